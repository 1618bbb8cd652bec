"""Grams again from stored joules: with another place's factor, another PUE, or live values.

`recompute --zone DE` has all runs of this notebook restated with the yearly factor of that place;
without --zone with the place as it is set now, and a live provider's values where they are known
of the time of a run. A run that has live values of its place keeps them, and so does a cell the
place that was said in it (`%%energy --zone`); a place that is only assumed takes the place of none
that was known. What a run saved that waited or paused is told too, where it was not known at its
end. `--pue 1.2` alone changes the PUE and nothing else. What was said at the time is kept:
`recompute --undo` brings it back.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from ..factors import Factors
    from ..json_shapes import CarbonJson
    from ..model import CarbonIntensity, Emissions, Record
    from ..restating import Basis
    from ..store import Store
    from .base import Context

IN_NOTEBOOK, IN_SHELL = True, True
# Whose figure a PUE is that was said here.
BY_PUE = "set by recompute --pue"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """NOTEBOOK, --zone, --pue, --undo and --json."""
    parser.add_argument("notebook", nargs="?", help="a notebook or script; default: this one")
    parser.add_argument("--zone", help="the place, such as FR; default: the place as it is set now")
    parser.add_argument("--pue", type=float, help="power usage effectiveness, 1 or more")
    parser.add_argument("--undo", action="store_true", help="back to what was said at the time")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Restate, and say what it was and is; 0. Raises WrongUse, NoSuchNotebook, StoreError."""
    from ..display.shifts import line
    from ..errors import NoSuchNotebook, StoreError, WrongUse
    from ..factors import Factors
    from ..history_rows import pruned_of
    from ..restating import is_restated, taken_back
    from ..schema import shift_json
    from ..store import Store
    from ..version import version
    from .gathered import asked_for

    if arguments.undo and (arguments.zone is not None or arguments.pue is not None):
        raise WrongUse("--undo goes without --zone and --pue: it brings back what was said")
    ref, own = asked_for(arguments.notebook, context, "recompute")
    factors = Factors(context.settings, context.environ)
    kept: dict[str, set[str]] = {"place": set(), "kind": set()}
    change = taken_back if arguments.undo else _change(arguments, factors, kept)
    if own:
        context.monitor().flush()
    notebook = context.known_notebook() if own else None
    store = Store(context.settings.store_path())
    try:
        with suppress(StoreError):  # what dead kernels have left is restated too, as far as it can
            store.absorb()
        notebook = notebook or store.find_notebook(ref)
        if notebook is None:
            raise NoSuchNotebook(f"{ref.name} was never measured: there is nothing to restate")
        pairs = store.restate(notebook.id, change)
        pruned = store.read(lambda c: pruned_of(c, notebook.id), "")
    finally:
        store.close()
        factors.close()
    _tell(store, pruned, context)
    for what, runs in kept.items():
        if runs:
            context.err(_kept_words(len(runs), what, context.command))
    before, after = (_carbon([pair[side] for pair in pairs]) for side in (0, 1))
    restated = sum(old != new for old, new in pairs)
    if arguments.json:
        document = {
            "schema": 1,
            "version": version(),
            "notebook": {"id": notebook.id, "path": notebook.path, "name": notebook.name},
            "runs": len(pairs),
            "restated": restated,
            "before": before,
            "after": after,
        }
        context.out(json.dumps(document, indent=2, allow_nan=False))
        return 0
    context.out("\n".join(_lines(notebook.name, len(pairs), restated, before, after)))
    for old, new in pairs:
        if new.shift is not None and new.shift != old.shift:
            context.out(f"  {line(shift_json(new.shift))}")
    if restated and any(is_restated(after) or after.shift_said for _, after in pairs):
        context.out(f"What was said at the time is kept: {context.command} recompute --undo")
    return 0


def _change(
    arguments: argparse.Namespace, factors: Factors, kept: Mapping[str, set[str]]
) -> Callable[[Record], Record]:
    """What makes a record again; into `kept` go the runs that keep their "place", since now none is
    set, and their "kind", which is another one now.

    Raises UnknownZone, and WrongUse for a PUE that cannot be.
    """
    from ..carbon import factor
    from ..carbon.emissions import checked_pue
    from ..errors import UnknownZone
    from ..later import with_outcome
    from ..restating import course_of, first_said, restated, zone_of_the_cell

    said_pue = None if arguments.pue is None else (checked_pue(arguments.pue), BY_PUE)
    when, place = datetime.now(UTC), None
    if arguments.zone is not None:
        place = replace(factor(arguments.zone), how="set by recompute --zone", assumed=False)
    else:
        factors.wait()
        if said_pue is None:
            factors.ask()

    def basis(record: Record) -> Basis | None:
        of = record.emissions
        if place is not None:
            return (place, *(said_pue or factors.pue(place)), ())
        if said_pue is not None and of is not None:
            return (_without_note(of), *said_pue, of.spans)
        try:
            found, spans = factors.of_run(course_of(record), zone_of_the_cell(record))
        except UnknownZone:  # of another version: it is left as it was said
            return None
        if (what := _keeps(of, found)) is not None:
            kept[what].add(record.run_id)
            return None
        pue = said_pue or factors.pue(found)
        held = None if spans else _live_values((of, first_said(record)), found)
        return (found, *pue, spans) if held is None else (_without_note(held), *pue, held.spans)

    def change(record: Record) -> Record:
        found = basis(record)
        made = record if found is None else restated(record, found, when)
        return made if place is not None or said_pue is not None else with_outcome(made, factors)

    return change


def _live_values(said: Sequence[Emissions | None], found: CarbonIntensity) -> Emissions | None:
    """The first of what was said by live values of the same place and kind as the factor of now."""
    of = found.zone, found.kind
    held = (e for e in said if e is not None and e.spans)
    return next((e for e in held if (e.intensity.zone, e.intensity.kind) == of), None)


def _keeps(of: Emissions | None, found: CarbonIntensity) -> str | None:
    """What of a run's grams must not give way to the factor of now, or None."""
    if of is not None and found.assumed and not of.intensity.assumed:
        return "place"
    return "kind" if of is not None and of.intensity.kind != found.kind else None


def _kept_words(runs: int, what: str, command: str) -> str:
    whose = f"1 run keeps the {what} it has" if runs == 1 else f"{runs} runs keep their {what}"
    if what == "place":
        return f"{whose}: nobody has said where this is now (set it: {command} zone FR)"
    return (
        f"{whose}, average or marginal (all by one yearly average: {command} recompute --zone FR)"
    )


def _without_note(of: Emissions) -> CarbonIntensity:
    """The factor of grams, without what is noted of it: that is of the grams as they were."""
    return replace(of.intensity, note=None) if of.restated is not None else of.intensity


def _carbon(records: Sequence[Record]) -> CarbonJson | None:
    from ..schema import totals_from_records

    return totals_from_records(records)["carbon_g"]


def _tell(store: Store, pruned: str, context: Context) -> None:
    for text in dict.fromkeys(store.warnings):
        context.tell(text)
    if pruned:
        context.err(f"runs from before {pruned} were pruned: their grams stay as they were said")


def _lines(
    name: str, runs: int, restated: int, before: CarbonJson | None, after: CarbonJson | None
) -> list[str]:
    """What changed, then the grams as they were and as they are, a line for each kind."""
    nouns = "run" if runs == 1 else "runs"
    if not restated:
        return [f"{name}: the grams of its {runs} {nouns} are so already."]
    lines = [f"{name}: {restated} of {runs} {nouns} restated"]
    kinds = {part["kind"]: None for carbon in (before, after) for part in _parts(carbon)}
    for kind in kinds:
        was, now = (_figure(carbon, kind) for carbon in (before, after))
        lines.append(f"  CO2e ({kind or 'kind unknown'}): {was} → {now}")
    return lines


def _parts(carbon: CarbonJson | None) -> list[CarbonJson]:
    if carbon is None:
        return []
    return carbon["parts"] or [carbon]


def _figure(carbon: CarbonJson | None, kind: str | None) -> str:
    """The grams of one kind with their factor: "≈ 5.1 g (381 g/kWh, United States)"."""
    from .. import units
    from ..display.grams import carbon_short, scope_words
    from ..plain_text import clean

    part = next((part for part in _parts(carbon) if part["kind"] == kind), None)
    figure = carbon_short(part)
    if part is None or figure is None:
        return "none"
    words = [clean(part["place"] or part["zone"] or "", 60)]
    if part["g_per_kwh"] is not None:
        words[:0] = [units.intensity(part["g_per_kwh"]), scope_words(part)]
    if part["pue"] is not None and part["pue"] != 1:
        words.append(f"PUE {units.plain(part['pue'])}")
    return f"{figure.text} ({', '.join(filter(None, words))})"

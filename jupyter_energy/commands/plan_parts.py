"""The parts of a plan that a command has to ask for: where, when, and what became of earlier ones.

Each costs no more than its own lines where it fails: the part that can be answered is answered.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from ..errors import EnergyError, StoreError
from ..plan import regions
from ..plan.document import Parts
from ..plan.nouns import Job
from ..signals import raise_if_users
from ..units import duration
from .base import Context
from .gathered import Gathered
from .plan_options import Options

if TYPE_CHECKING:
    from pathlib import Path

    from ..config import Energy
    from ..factors import Factors
    from ..model import Record
    from ..plan.idling import Paused
    from ..plan.nouns import Outlook
    from ..plan.shapes import PlanJson
    from ..shift import Shift

# A checkpoint within the hour hardly moves a plan whose figures are by the hour, mostly.
LONG_CHECKPOINT_S = 3600.0


def where(
    parts: Parts, options: Options, runs: list[Record], factors: Factors, context: Context
) -> None:
    """The present place, and the others beside it."""
    with costing_only(parts, "where to run"):
        from ..carbon.emissions import SEEN
        from ..carbon.platforms import cloud_of
        from ..carbon.zones import zones
        from ..model import FACILITY

        factors.wait()
        here = parts.here = factors.yearly()
        parts.pue = factors.pue(here)
        if any(d.domain.kind == FACILITY for r in runs for d in r.measurement.counted()):
            parts.pue = 1.0, SEEN
        region = zones().tables.regions.get(here.zone)
        own = region.provider if region is not None else None
        own = own or cloud_of(context.settings.machine(context.environ))
        cloud = options.cloud or own
        parts.rankings = regions.rankings(parts.job, here, parts.pue, cloud, parts.energy_j)
        best = regions.item(parts.rankings, here, own if cloud == own else None)
        parts.items += [best] if best is not None else []
        marginal = {
            run.emissions.intensity.source
            for run in runs
            if run.emissions is not None and run.emissions.intensity.kind == "marginal"
        }
        if marginal:
            parts.notes.append(
                f"places are ranked by average figures, and the grams of these runs are marginal "
                f"({', '.join(sorted(marginal))}): the two are not comparable"
            )


def when(
    parts: Parts,
    job: Job,
    options: Options,
    factors: Factors,
    settings: Energy,
    paused: Paused | None = None,
) -> None:
    """What is known ahead, and the best start and pauses in it; `paused` is what was drawn between
    cells."""
    with costing_only(parts, "when to run"):
        from .. import outlooks
        from ..plan import idling, timing
        from ..plan.pausing import LEAST_RESUME_S, free

        length_s = job.duration_s + options.within_s
        outlook, said = outlooks.find(
            *(factors, settings, options.begin, length_s, options.trace),
            by_file=outlooks.BY_OPTION,
        )
        parts.outlook, parts.outlook_notes = outlook, said
        parts.notes += options.notes
        if outlook is None:
            return
        pue = parts.pue[0]
        parts.notes += timing.problems(job, outlook, options.within_s)
        parts.now_g = timing.grams_now(job, outlook, pue)
        resume_s = max(LEAST_RESUME_S, options.checkpoint_s)
        powers = replace(idling.powers(job, paused), resume_s=resume_s)
        if options.on_anyway:  # what is left of a pause's cost is to save and load
            powers = replace(free(), resume_s=options.checkpoint_s)
        if not timing.can_choose(job, outlook, options.within_s):
            return
        parts.start = timing.best_start(job, outlook, options.within_s, pue, powers)
        with costing_only(parts, "pauses"):
            parts.pause = timing.best_pauses(job, outlook, options.within_s, powers, pue)
            if options.checkpoint_s > LONG_CHECKPOINT_S and parts.pause is not None:
                parts.notes.append(
                    f"--checkpoint {duration(options.checkpoint_s)}: times are told as if saving "
                    "and loading took none, and its grams as if it were done where the job goes on"
                )
        # What was asked for here alone a call in a cell does not know: a file it can be told of.
        can_type = not options.begins_later and options.zone is None
        first = None
        if options.trace is not None:
            first = _setup(options.trace, outlook, outlooks.own_zone(factors, settings))
        how = (parts.now_g, can_type, powers, first)
        parts.items += timing.items(job, outlook, parts.start, parts.pause, *how)


def _setup(trace: Path, outlook: Outlook, own_zone: str | None) -> str:
    """The lines that make a file the provider, which takes rows of the user's own zone alone, or of
    the one that they name."""
    lines = [
        f"%config Energy.csv_trace = {_typed(str(trace.absolute()))}",
        '%config Energy.provider = "csv_trace"',
    ]
    if own_zone is not None and outlook.zone.casefold() != own_zone.casefold():
        lines.append(f"%config Energy.provider_zone = {_typed(outlook.zone)}")
    return "\n".join(lines)


def _typed(text: str) -> str:
    """A text as it can be typed in Python and shown as it is, on one line."""
    plain = json.dumps(text, ensure_ascii=False)
    return plain if plain.isprintable() else ascii(text)


def became(
    parts: Parts, found: Gathered | None, made: datetime, factors: Factors, context: Context
) -> None:
    """What became of earlier plans of the same notebook."""
    notebook = None if found is None else found.summary["notebook"]["id"]
    if found is None or notebook is None:
        return
    with costing_only(parts, "earlier plans"):
        from .. import kept_plans

        file = kept_plans.file_of(context.settings.store_path())
        signal = factors.ahead()[0] if file.exists() else None
        shifts = _outcomes(found.records, notebook, factors, context)
        parts.kept = kept_plans.tell(file, notebook, signal, shifts, made)


def _outcomes(
    records: Sequence[Record], notebook: str, factors: Factors, context: Context
) -> list[Shift]:
    """What became of the runs that were shifted; what was not known at their end is looked up, and
    kept where it is known now."""
    from .. import later
    from ..store import Store

    later.ask(records, factors)
    if any(later.with_outcome(record, factors) != record for record in records):
        store = Store(context.settings.store_path())
        try:
            if context.in_notebook:
                context.monitor().flush()  # what waits in memory has no row yet
            store.restate(notebook, lambda record: later.with_outcome(record, factors))
        except StoreError as error:
            context.tell(f"what earlier runs saved is known now, but cannot be kept: {error}")
        finally:
            store.close()
    return [later.told_again(r.shift, factors) for r in records if r.shift is not None]


def keep(plan: PlanJson, parts: Parts, context: Context) -> None:
    """Keep what the plan promises, to be compared with what comes of it."""
    if parts.job is None or parts.outlook is None:
        return
    from .. import kept_plans

    try:
        file = kept_plans.file_of(context.settings.store_path())
        kept_plans.keep(file, plan, parts.job, parts.outlook)
    except EnergyError as error:
        context.tell(f"this plan is not kept, so that nobody can tell what comes of it: {error}")


@contextmanager
def factors_for(context: Context, settings: Energy) -> Iterator[Factors]:
    """The kernel's factors; in a shell, and of another place, some of our own, which end with the
    command."""
    if context.in_notebook and settings is context.settings:
        yield context.monitor().factors
        return
    from ..factors import Factors

    made = Factors(settings, context.environ)
    try:
        yield made
    finally:
        made.close()


@contextmanager
def costing_only(parts: Parts, what: str) -> Iterator[None]:
    """What fails within costs no more than its own lines: the rest is answered."""
    try:
        yield
    except EnergyError as error:
        parts.notes.append(f"{what}: {error}")
    except Exception as error:  # noqa: BLE001  the part that can be answered is answered
        raise_if_users(error)
        parts.notes.append(f"{what} could not be planned, by a fault of ours: {error!r:.200}")

"""Show or set the place that carbon is computed for, and how it was found.

`zone` alone shows the place, its grams of CO2e a kWh, their table, source and year, and the PUE.
`zone FR` sets the place and remembers it for all notebooks of this user: a country (FR, France), a
US state (US-CA), a grid zone (EM:DK-DK1), a cloud region (aws:eu-west-3, gcp:us-west1,
azure:westeurope), or WORLD for the world average. `zone auto` forgets it; on a machine of AWS,
Google Cloud or Azure its own metadata service is then asked for the region, elsewhere the place is
guessed from the time zone. `--pue 1.2` sets what the data centre draws over what its computers
draw, at every place; `--pue auto` forgets it, and the place's own counts. No network is asked, but
for that service after `zone auto`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from ..carbon.tables import Table, TableName
    from ..model import CarbonIntensity
    from .base import Context


IN_NOTEBOOK, IN_SHELL = True, True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """ZONE, which may be several words ("South Korea"), --pue and --json."""
    parser.add_argument(
        "zone",
        nargs="*",
        metavar="ZONE",
        help="a country (FR, France), US-CA, EM:DK-DK1, aws:eu-west-3, WORLD, or auto",
    )
    parser.add_argument(
        "--pue",
        type=_pue,
        metavar="PUE",
        help="power usage effectiveness, 1 or more; auto: that of the place",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Set what was given, then show what holds. Raises UnknownZone, and WrongUse for a PUE."""
    from ..carbon import pue_of
    from ..carbon.here import Here
    from ..config import DEFAULT

    file = _remember(" ".join(arguments.zone), arguments.pue, context)
    settings = context.settings
    machine = settings.machine(context.environ)
    here = Here(machine)
    here.intensity(*context.zone())
    here.wait()
    found = here.intensity(*context.zone())
    pue = pue_of(found.zone, context.pue(), settings.origin("pue"), machine)
    own = pue_of(found.zone, 1.0, DEFAULT, machine)
    if arguments.json:
        import json

        document = {**_document(found, pue), "provider": settings.provider or None}
        context.out(json.dumps(document, ensure_ascii=False, indent=2))
    else:
        context.out("\n".join([_text(found, pue, file, context), *_pue_again(pue, own, context)]))
    return 0


def _pue(text: str) -> float | str:
    """A PUE as a number, or "auto". Raises ValueError."""
    from ..carbon.place import AUTO

    return AUTO if text.strip().lower() == AUTO else float(text)


def _remember(wanted: str, pue: float | str | None, context: Context) -> Path | None:
    """Check all, then remember all; the file that it was written to, or None."""
    from ..carbon.emissions import checked_pue
    from ..carbon.place import AUTO
    from ..carbon.zones import zones
    from ..config import DEFAULT, FILE

    zone = AUTO  # remembered as such: it is the user's word that the machine may be asked
    if wanted and wanted.lower() != AUTO:
        zone = zones().place(wanted).code
    if isinstance(pue, float):
        checked_pue(pue)
    file = None
    if wanted:
        file = context.remember("zone", zone)
        setting, origin = context.zone()
        if (setting or AUTO).lower() != zone.lower():
            context.err(f"{origin} is stronger than what is remembered, and says {setting}")
    if pue is not None:
        wanted_pue = pue if isinstance(pue, float) else None
        file = context.remember("pue", wanted_pue)
        origin = context.settings.origin("pue")
        if origin != (DEFAULT if wanted_pue is None else FILE):
            context.err(
                f"{origin} is stronger than what is remembered, and says PUE {context.pue():g}"
            )
    return file


def _pue_again(pue: tuple[float, str], own: tuple[float, str], context: Context) -> list[str]:
    """How the place's own PUE comes back, where one that was set stands before another."""
    from ..config import FILE, SAID

    is_ours = context.settings.origin("pue") in (FILE, SAID)
    if not is_ours or pue[0] == own[0]:
        return []
    its = f"{own[0]:g} ({own[1]})"
    told = f"The PUE that you set counts at every place. For this one's own, {its}: "
    return [f"{told}{context.command} zone --pue auto"]


def _text(
    found: CarbonIntensity, pue: tuple[float, str], file: Path | None, context: Context
) -> str:
    """What a person reads: the figure first, then where it comes from, then what to do."""
    from ..units import quantity

    factor = quantity(found.g_per_kwh, ((0.0, 1.0, "g CO2e/kWh"),))
    name, table = _table(found)
    lines = [
        f"{found.place} ({found.zone}): {factor}{_doubt(found)}",
        (
            f"  year    {found.year}, {found.kind} of the {found.resolution}, "
            f"{found.boundary} based, {_SCOPES[found.scope]}"
        ),
        f"  table   {_region_words(found)}{name}",
        f"  source  {found.source}, {table.url}",
        *([f"  licence {table.licence}, {table.licence_url}"] if table.licence_url else ()),
        f"  place   {found.how}",
        f"  PUE     {pue[0]:g} ({pue[1]})",
        *(f"  note    {note}" for note in _notes(found)),
    ]
    if provider := context.settings.provider:
        lines.append(f"  live    by {provider}; this figure counts where that tells none")
    if file is not None:
        lines.append(f"Settings are kept in {file}.")
    return "\n".join([*lines, *_what_to_do(found, file is not None, context.command)])


# In eGRID what leaves the stacks is counted, and no more: such a figure is lower than the others.
_SCOPES = {"lifecycle": "lifecycle", "direct": "direct (not comparable with lifecycle figures)"}


def _what_to_do(found: CarbonIntensity, told: bool, command: str) -> list[str]:
    """How to set, pin or change the place."""
    from ..carbon.place import WORLD

    if found.assumed:
        example = "CODE, such as FR, US-CA or aws:eu-west-3" if found.zone == WORLD else found.zone
        lines = [f"To set the place: {command} zone {example}"]
        if "`zone auto`" in found.how:
            lines.append(f"To have the machine asked for its region: {command} zone auto")
        return lines
    if found.how.startswith("told"):
        return [f"To pin it: {command} zone {found.zone}"]
    return [] if told else [f"To change it: {command} zone CODE, or {command} zone auto"]


def _notes(found: CarbonIntensity) -> list[str]:
    """What one should know of the figure beside it."""
    from ..units import quantity

    notes = [found.note] if found.note else []
    if (google := _google_g_per_kwh(found)) is not None:
        figure = quantity(google, ((0.0, 1.0, "g CO2e/kWh"),))
        notes.append(f"Google's own figure is {figure}: 2024, direct emissions, not comparable")
    return notes


def _region_words(found: CarbonIntensity) -> str:
    """That a figure is of another table than the one its code is of; "" where it is not."""
    from ..carbon.zones import zones

    return "cloud region, by the figure of its " if found.zone in zones().tables.regions else ""


def _google_g_per_kwh(found: CarbonIntensity) -> float | None:
    """Google's own direct figure for one of its regions, or None."""
    from ..carbon.zones import zones

    region = zones().tables.regions.get(found.zone)
    return None if region is None else region.google_g_per_kwh


def _table(found: CarbonIntensity) -> tuple[TableName, Table]:
    """The table that a figure is of, with its name."""
    from ..carbon.tables import TABLES

    return next(item for item in TABLES.items() if item[1].source == found.source)


def _doubt(found: CarbonIntensity) -> str:
    """What to say of a place that nobody set."""
    if not found.assumed:
        return ""
    return ", guessed" if found.how.startswith("guessed") else ", assumed"


def _document(found: CarbonIntensity, pue: tuple[float, str]) -> dict[str, object]:
    """The same for programs, in the words of CARBON in schema 1."""
    from dataclasses import asdict

    from ..schema import SCHEMA

    name, table = _table(found)
    words = asdict(found)
    words["factor_quality"] = words.pop("quality")
    return {
        "schema": SCHEMA,
        **words,
        "pue": pue[0],
        "pue_source": pue[1],
        "table": name,
        "url": table.url,
        "licence": table.licence,
        "licence_url": table.licence_url or None,
        "google_g_per_kwh": _google_g_per_kwh(found),
    }

"""Show or set the place that carbon is computed for, and how it was found.

`zone` alone shows the place, its grams of CO2e a kWh, and their source and year. `zone FR` sets
the place and remembers it for all notebooks of this user; a country's code or English name will
do, or WORLD for the world average. `zone auto` forgets it: the place is then guessed from the
time zone. `--pue 1.2` sets what the data centre draws over what its computers draw. Nothing is
asked of any network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from ..model import CarbonIntensity
    from .base import Context


IN_NOTEBOOK, IN_SHELL = True, True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """ZONE, which may be several words ("South Korea"), --pue and --json."""
    parser.add_argument(
        "zone", nargs="*", metavar="ZONE", help="a country (FR, France), WORLD, or auto"
    )
    parser.add_argument("--pue", type=float, help="power usage effectiveness, 1 or more")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Set what was given, then show what holds. Raises UnknownZone, and WrongUse for a PUE."""
    from ..carbon import intensity

    file = _remember(" ".join(arguments.zone), arguments.pue, context)
    setting, origin = context.zone()
    found = intensity(setting, origin, context.environ)
    pue = context.pue()
    if arguments.json:
        import json

        context.out(json.dumps(_document(found, pue), ensure_ascii=False, indent=2))
    else:
        context.out(_text(found, pue, file, context.command))
    return 0


def _remember(wanted: str, pue: float | None, context: Context) -> Path | None:
    """Check all, then remember all; the file that it was written to, or None."""
    from datetime import UTC, datetime

    from ..carbon.emissions import checked_pue
    from ..carbon.place import AUTO
    from ..carbon.static import table

    zone = None
    if wanted and wanted.lower() != AUTO:
        zone = table().at(wanted, datetime.now(UTC)).zone
    if pue is not None:
        checked_pue(pue)
    file = None
    if wanted:
        file = context.remember("zone", zone)
        setting, origin = context.zone()
        if (setting or AUTO) != (zone or AUTO):
            context.err(f"{origin} is stronger than what is remembered, and says {setting}")
    if pue is not None:
        file = context.remember("pue", pue)
        if context.pue() != pue:
            context.err(f"a stronger setting than what is remembered says PUE {context.pue():g}")
    return file


def _text(found: CarbonIntensity, pue: float, file: Path | None, command: str) -> str:
    """What a person reads: the figure first, then where it comes from, then what to do."""
    from ..carbon.static import SOURCE, SOURCE_URL
    from ..units import quantity

    factor = quantity(found.g_per_kwh, ((0.0, 1.0, "g CO2e/kWh"),))
    address = f", {SOURCE_URL}" if found.source == SOURCE else ""
    lines = [
        f"{found.place} ({found.zone}): {factor}{_doubt(found)}",
        (
            f"  year    {found.year}, {found.kind} of the {found.resolution}, "
            f"{found.boundary} based, {found.scope}"
        ),
        f"  source  {found.source}{address}",
        f"  place   {found.how}",
        f"  PUE     {pue:g}",
    ]
    if file is not None:
        lines.append(f"Settings are kept in {file}.")
    if found.assumed:
        lines.append(f"To set the place: {command} zone {_example(found)}")
    elif file is None:
        lines.append(f"To change it: {command} zone CODE, or {command} zone auto")
    return "\n".join(lines)


def _doubt(found: CarbonIntensity) -> str:
    """What to say of a place that nobody set."""
    if not found.assumed:
        return ""
    return ", guessed" if found.how.startswith("guessed") else ", assumed"


def _example(found: CarbonIntensity) -> str:
    """What to type after "zone": the guess, which pins it, or a code as an example."""
    from ..carbon.place import WORLD

    return "CODE, such as FR or US" if found.zone == WORLD else found.zone


def _document(found: CarbonIntensity, pue: float) -> dict[str, object]:
    """The same for programs, in the words of CARBON in schema 1."""
    from dataclasses import asdict

    from ..schema import SCHEMA

    return {"schema": SCHEMA, **asdict(found), "pue": pue}

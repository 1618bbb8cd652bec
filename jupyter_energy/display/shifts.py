"""What a run that waited or paused for cleaner power was promised, and what it got, in words."""

from __future__ import annotations

from collections.abc import Sequence

from .. import units
from ..json_shapes import ShiftJson, StretchJson
from ..plain_text import NAME_LIMIT, clean
from ..shift import STOPPED
from ..uncertainty import Range, sum_of_ranges

_NOTE_LIMIT = 160
_OF = "of the emissions attributed to this run"
_ANYWAY = "the machine runs anyway"


def line(shift: ShiftJson) -> str:
    """One line: "planned 18 %, got 15 % of the emissions attributed to this run (…); …"."""
    pauses, waits = _pauses(shift), _waits(shift)
    return "; ".join(filter(None, (_got(shift), pauses, waits)))


def _got(shift: ShiftJson) -> str:
    planned, realised = shift["planned_fraction"], shift["realised_fraction"]
    promised = "no saving was planned" if planned is None else f"planned {units.percent(planned)}"
    basis = _basis(shift)
    note = "" if shift["note"] is None else clean(shift["note"], _NOTE_LIMIT)
    if realised is None:
        why = f": {note}" if note else ""
        return f"{promised} {_OF}{basis}, what it got is not known{why}"
    doubt = f", but {note}" if note else ""
    if realised < 0:
        more = f"{units.percent(-realised)} more than"
        more = "more than twice as much as" if realised < -1 else more
        return f"{promised} {_OF}{basis}, got {more} without a pause{doubt}"
    return f"{promised}, got {units.percent(realised)} {_OF}{basis}{doubt}"


def _basis(shift: ShiftJson) -> str:
    """By which signal, and over what it was planned: " (average; by the forecast of …)"."""
    said = [] if shift["kind"] is None else [clean(shift["kind"], 12)]
    if shift["basis"] is not None:
        source = (shift["source"] or "").partition(" (")[0]
        of = f" of {clean(source, NAME_LIMIT)}" if source else ""
        said.append(f"planned over the {clean(shift['basis'], 12)}{of}")
    return f" ({', '.join(said)})" if said else ""


def _pauses(shift: ShiftJson) -> str:
    """What the pauses drew, which is in the saving unless the machine runs anyway."""
    pauses = shift["pauses"]
    if not pauses:
        return "" if shift["waits"] else "there was no pause"
    many = "the pause" if len(pauses) == 1 else f"its {len(pauses)} pauses"
    drawn = _drawn(pauses)
    if drawn is None:
        return f"what {many} drew is not known"
    of = f", not counted: {_ANYWAY}" if shift["on_anyway"] else ", counted"
    return f"{many} drew {units.estimated(drawn)}{of}"


def _waits(shift: ShiftJson) -> str:
    """What was drawn before it began, which is not in the saving, and how to save that too."""
    waits = shift["waits"]
    if not waits:
        return ""
    drawn, grams = _drawn(waits), shift["waits_g"]
    if drawn is None:
        return "what the machine drew while it waited is not known"
    of = "" if grams is None else f" ({units.estimated(Range(**grams), units.MASS_G)} CO2e)"
    why = ": start the machine later to save that too" if shift["note"] != STOPPED else ""
    why = f": {_ANYWAY}" if shift["on_anyway"] else why
    return f"while it waited the machine drew {units.estimated(drawn)}{of}, not counted{why}"


def _drawn(stretches: Sequence[StretchJson]) -> Range | None:
    """What was drawn in some stretches; None where that is not known of all."""
    known = [Range(**one["energy_j"]) for one in stretches if one["energy_j"] is not None]
    return sum_of_ranges(known) if len(known) == len(stretches) else None

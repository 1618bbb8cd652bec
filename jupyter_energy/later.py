"""What a run saved that was shifted, told once its provider has told the values of its time.

At the end of a run some providers have not told them yet (carbon.md 3): its record then keeps what
it takes to reckon them (Shift.awaited). Nobody is asked but for a command of the user's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from .errors import UnknownZone
from .reckoning import reckoned_again

if TYPE_CHECKING:
    from .factors import Factors
    from .model import Record
    from .shift import Shift


def ask(records: Iterable[Record], factors: Factors) -> None:
    """Ask the chosen provider for what these records await of it: some seconds at most."""
    shifts = (record.shift for record in records if record.shift is not None)
    awaited = (shift.awaited for shift in shifts if _may_be_told(shift, factors))
    for zone in dict.fromkeys(of.zone for of in awaited if of is not None):
        factors.ask(zone)


def told_again(shift: Shift, factors: Factors) -> Shift:
    """What became of a run by what is known now; as it was told before where nothing is awaited,
    or that of a provider or a place that are not those of now. Asks nobody."""
    of = shift.awaited
    if of is None or not _may_be_told(shift, factors):
        return shift
    return reckoned_again(shift, lambda course: factors.of_run(course, of.zone))


def with_outcome(record: Record, factors: Factors) -> Record:
    """The record with what its run saved, where that has come to be known; else as it is."""
    before = record.shift
    after = None if before is None else told_again(before, factors)
    if after is None or after is before or after.awaited is not None:
        return record
    return replace(record, shift=after, shift_said=before)


def _may_be_told(shift: Shift, factors: Factors) -> bool:
    """Whether the provider that is chosen now is the one whose values are awaited."""
    of = shift.awaited
    try:
        return of is not None and factors.asked(of.zone) == of.asked
    except UnknownZone:
        return False

"""Records that the database does not have yet, in the order they came, one a run.

No lock is held: an interrupt may find the cell's thread in the middle, and a thread that hangs, or
is killed, must keep no other waiting. Each step is one call of a dict's, and a record is taken out
only by who finds it to be the one that was written.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .model import Record

# What waits in memory takes about 1 kB a record. What is in the journal need not.
MOST_PENDING = 10_000
MOST_JOURNALED = 1_000


@dataclass(eq=False, slots=True)
class Waiting:
    """A record and its notebook's key; `is_safe` in the journal or only in memory."""

    record: Record
    key: str | None
    is_safe: bool = False


class Waitlist:
    """The records that wait; any thread may use it."""

    def __init__(self) -> None:
        self._by_run: dict[str, Waiting] = {}

    def __len__(self) -> int:
        return len(self._by_run)

    def add(self, waiting: Waiting) -> None:
        """Have a record wait; one of the same run takes the place of the first."""
        self._by_run[waiting.record.run_id] = waiting

    def all(self) -> list[Waiting]:
        """All that wait now, the oldest first."""
        return list(self._by_run.values())

    def let_go(self, waiting: Iterable[Waiting]) -> None:
        """These wait no longer. One that another has taken the place of is not the other."""
        for one in waiting:
            now = self._by_run.pop(one.record.run_id, None)
            if now is not None and now is not one:
                self._by_run.setdefault(now.record.run_id, now)

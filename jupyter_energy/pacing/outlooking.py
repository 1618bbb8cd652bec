"""The outlook of a run that is held or goes on: asked for off its thread, again every half hour."""

from __future__ import annotations

from datetime import datetime, timedelta

from ..answer import Answer
from ..plan.nouns import SLOT_S, Outlook
from ..signals import raise_if_users
from .surroundings import Found, Surroundings

# Services make a new forecast about every half hour (carbon/known.py).
EVERY_S = 1800.0
# The wall clock is ahead of the other one by more: the machine was suspended, or its clock was set.
LEAST_JUMP_S = 60.0
# An answer that is waited for is looked for so often, in s.
LOOK_S = 0.05


def slot_of(now: datetime) -> datetime:
    """When the slot began that a moment lies in, by the clock (16:31 in the one from 16:30): values
    of a grid change with a slot, so runs wait and pause until one does."""
    return now - timedelta(seconds=now.timestamp() % SLOT_S)


class Outlooks:
    """What is known of the time ahead. `ask` begins to look, `taken` takes what was found."""

    def __init__(self, around: Surroundings) -> None:
        self.last: Outlook | None = None
        self.why: str | None = None  # there is none, once that is known
        self._around = around
        self._asked: Answer[Found] | None = None
        self._asked_s: float | None = None
        self._ahead_s = self._wall_ahead_s()

    def ask(self, length_s: float) -> None:
        """Begin to look for what lies ahead, if that is not under way."""
        self._ahead_s = self._wall_ahead_s()
        if self._asked is None:
            self._asked_s = self._around.monotonic_s()
            now = self._around.utc()
            begin = slot_of(now)
            self._asked = self._around.find(begin, length_s + (now - begin).total_seconds())

    def is_due(self) -> bool:
        """Whether it is time to ask again: half an hour has passed, or a clock jumped."""
        if self._asked is not None:
            return False
        if self._asked_s is None or abs(self._wall_ahead_s() - self._ahead_s) > LEAST_JUMP_S:
            return True
        return self._around.monotonic_s() - self._asked_s >= EVERY_S

    @property
    def is_asked(self) -> bool:
        """Whether an answer is under way."""
        return self._asked is not None

    def taken(self, timeout_s: float = 0.0) -> bool:
        """Whether a newer outlook has come, which is taken; where none has, the last one stays, and
        `why` says why. Waits for an answer no longer than `timeout_s`."""
        asked, began_s = self._asked, self._around.monotonic_s()
        if asked is None:
            return False
        while not asked.done():
            if self._around.monotonic_s() - began_s >= timeout_s:
                return False
            self._around.wait(LOOK_S)
        self._asked = None
        try:
            found, said = asked.result()
        except Exception as error:  # noqa: BLE001  ours: the run goes on without
            raise_if_users(error)
            found, said = None, [f"the forecast cannot be read ({type(error).__name__})"]
        self.why = "; ".join(said) or "nothing is known of the time ahead"
        self.last = found or self.last
        return found is not None

    def _wall_ahead_s(self) -> float:
        wall: datetime = self._around.utc()
        return wall.timestamp() - self._around.monotonic_s()

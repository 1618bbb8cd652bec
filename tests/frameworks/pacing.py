"""A grid that is dirty after the steps that a test names, and a clock that a training moves.

The pacer is the real one. Each step takes it five minutes, by its clock, and each time that the
grid is dirty lasts ten.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from jupyter_energy.answer import Answer
from jupyter_energy.blocks import current
from jupyter_energy.model import Record
from jupyter_energy.pacing.surroundings import Found, Surroundings
from jupyter_energy.plan.nouns import SLOT_S, Outlook
from jupyter_energy.reckoning import Promise
from jupyter_energy.shift import Kind, Segment
from jupyter_energy.store import Store

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
DIRTY_SLOTS = 2
CLEAN_G, DIRTY_G = 10.0, 1000.0
_NUMBERS = itertools.count(1)


class Pauses:
    """The surroundings of a training that has a pause after each of these steps.

    `tick` is called after each step, `during` at the begin of each pause. `said` is what the pacer
    told, `made` after which steps there was a pause, `marks` what its meter was told to go on from
    then on, `ended` how often it ended. `hours` as a user gives it, for a training whose first
    pause comes before its pace is known, or whose steps are not.
    """

    promise: Promise | None = None

    def __init__(
        self,
        *after: int,
        steps: int = 8,
        hours: float | None = None,
        during: Callable[[], None] | None = None,
    ) -> None:
        self.made: list[int] = []
        self.said: list[str] = []
        self.marks: list[Kind] = []
        self.ended = 0
        self.total: float | None = None  # the steps that the pacer was told of, as it plans
        self._hours, self._during = hours, during
        self._slack_s = max(1, len(after)) * DIRTY_SLOTS * SLOT_S
        self._steps = 0
        self._now_s = 0.0
        self._series: list[float] = []
        for step in range(1, steps + 1):
            self._series += [CLEAN_G] + DIRTY_SLOTS * [DIRTY_G] * (step in after)

    @property
    def words(self) -> dict[str, Any]:
        """What a callback is made with."""
        around = Surroundings(
            utc=lambda: BEGIN + timedelta(seconds=self._now_s),
            monotonic_s=lambda: self._now_s,
            wait=self._wait,
            find=self._find,
            line=self,
            close=lambda: None,
        )
        extend = f"{self._slack_s:.0f}s"
        return {
            "extend": extend,
            "hours": self._hours,
            "_pacing": {"around": around, "meter": self},
        }

    def tick(self) -> None:
        """A step is done."""
        self._steps += 1
        self._now_s += SLOT_S

    def say(self, text: str, is_last: bool = False) -> None:
        """The pacer's line."""
        self.said.append(text)

    def mark(self, kind: Kind) -> None:
        """Of the pacer's meter: what goes on from now on."""
        if kind != (self.marks[-1] if self.marks else "run"):
            self.marks.append(kind)

    def segments(self) -> tuple[Segment, ...]:
        """Of the meter: nothing is known."""
        return ()

    def shift(self) -> None:
        """Of the meter, at the end: nothing is known."""
        self.ended += 1

    def _wait(self, seconds: float) -> None:
        if self._steps not in self.made:
            self.made.append(self._steps)
            if self._during is not None:
                self._during()
        self._now_s += seconds

    def _find(self, begin: datetime, length_s: float) -> Answer[Found]:
        if self.total is None:
            self.total = self._steps + (length_s - self._slack_s) / SLOT_S
        answer: Answer[Found] = Answer()
        words = ("forecast", "FR", "France", "average", "consumption", "lifecycle", "a test")
        answer.set_result((Outlook(BEGIN, tuple(self._series), *words, 0.1, "a test"), []))
        return answer


def new_name() -> str:
    """A name that no other training has."""
    return f"training {next(_NUMBERS)}"


def records(name: str) -> list[Record]:
    """All records of this name."""
    monitor = current()
    monitor.flush(5)
    notebook = monitor.known_notebook()
    if notebook is None:
        return []
    return [r for r in Store(monitor.store_path).records(notebook.id) if r.name == name]


def record(name: str) -> Record:
    """The one record of a training."""
    (found,) = records(name)
    return found

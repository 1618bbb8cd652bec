"""A clock that steps from one thing that the sampler does to the next, and stands meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable

from .sensors import LIMIT_S


class SteppedClock:
    """Seconds for a sampler and its sensors. `go_to` lets the sampler's thread do all it would do
    until then, each thing at its moment; nothing is read while the clock moves.

    `moved` is told every new moment (a stand-in's own clock). `at_rest` returns when the workers
    have done what was asked of them.
    """

    def __init__(self, moved: Callable[[float], object], now_s: float) -> None:
        self._moved = moved
        self.at_rest: Callable[[], object] = lambda: None
        self._rests = 0
        self._wakes_at_s: float | None = None
        self._condition: threading.Condition | None = None
        self._rested = threading.Condition()
        self._set(now_s)

    def __call__(self) -> float:
        return self._now_s

    def wait(self, condition: threading.Condition, pause_s: float | None) -> None:
        """Stands in for Condition.wait in the sampler's thread."""
        with self._rested:
            self._condition = condition
            self._wakes_at_s = None if pause_s is None else self._now_s + pause_s
            self._rests += 1
            self._rested.notify_all()
        condition.wait()

    def go_to(self, t_s: float) -> None:
        """Let time pass until a moment."""
        self.settle_down()
        while self._wakes_at_s is not None and self._wakes_at_s <= t_s:
            self._set(self._wakes_at_s)
            self.settle_down()
        self._set(t_s)

    def settle_down(self) -> None:
        """Wake the thread, as any window does, and wait until it has nothing more to do now.

        A reading at a moment at which there was one changes no trace, so one wake too many is none.
        """
        with self._rested:
            assert self._rested.wait_for(lambda: self._rests, LIMIT_S)
        assert self._condition is not None
        with self._condition:
            rests = self._rests
            self._condition.notify_all()
        with self._rested:
            assert self._rested.wait_for(lambda: self._rests > rests, LIMIT_S)
        self.at_rest()

    def _set(self, t_s: float) -> None:
        self._now_s = t_s
        self._moved(t_s)

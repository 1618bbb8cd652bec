"""When a loop is to pause, and its pauses: what `je.carbon_aware` and the callbacks share."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from ..signals import raise_if_users
from .asked import anyway_of, extend_of, hours_of
from .course import Course
from .meter import Meter, NoMeter, WindowMeter
from .pace import Pace
from .stopping import Stopped, stoppable
from .surroundings import Surroundings, here
from .together import together

if TYPE_CHECKING:
    from ..blocks import measure
    from ..model import Outcome, Record
    from ..monitor import Monitor
    from ..open_window import OpenWindow
    from ..shift import Shift

T = TypeVar("T")
# What `with` would be told of a loop that ended so.
_KINDS: dict[str, type[BaseException] | None] = {
    "ok": None,
    "error": Exception,
    "interrupted": KeyboardInterrupt,
}


class Pacer:
    """Pauses a loop while power is dirty: `begin`, then after each step `due`, and where that says
    so `pause`; at last `end`, however the loop ended.

    `extend` is how much longer the loop may take: "50%" of its own time, or "6h". `hours` is how
    long it takes, where its number of steps does not tell. `name` is that of its record, which is
    `result` at the end; `checkpointed` says that the caller saves its state between `due` and
    `pause`; `on_anyway` that the machine runs anyway, so that pauses draw nothing more. Raises
    WrongUse for what cannot be; from then on nothing of ours is raised: where we
    fail, the loop runs on. Who brings clocks of their own as `around` brings a `meter` too, or
    nothing is measured.
    """

    def __init__(
        self,
        extend: str = "50%",
        hours: float | None = None,
        name: object = "carbon_aware",
        checkpointed: bool = False,
        *,
        on_anyway: bool = False,
        around: Surroundings | None = None,
        meter: Meter | None = None,
    ) -> None:
        self._extend = extend_of(extend)
        self._hours_s = None if hours is None else hours_of(hours)
        self._name, self._checkpointed = name, checkpointed
        self._on_anyway = anyway_of(on_anyway)
        self._given = around, meter
        self._block: measure | None = None
        self._course: Course | None = None
        self._around: Surroundings | None = None
        self._meter: Meter = NoMeter()
        self._monotonic_s = time.monotonic if around is None else around.monotonic_s
        self._kept: tuple[Monitor, OpenWindow] | None = None  # what has its record
        self._pid = 0
        self.result: Record | None = None

    def begin(self, total_steps: int | None = None) -> None:
        """The loop begins, and is measured from here on; it has so many steps, None: who knows."""
        self._ours(lambda: self._begin(total_steps), None)

    def due(self, steps_done: int) -> bool:
        """Whether a pause is to begin now, after so many steps in all: then save, call `pause`.

        Takes a microsecond but for once in some seconds, and never waits.
        """
        course = self._course
        if course is None or self._monotonic_s() < course.look_s:
            return False
        return self._ours(lambda: self._is_here() and course.due(steps_done), False)

    def pause(self) -> None:
        """Hold until the plan says go on, and no longer than `extend` allows. What stops the user's
        code, as Ctrl-C does, goes through at once."""
        course = self._course
        if course is not None:
            self._ours(lambda: self._pause(course), None)

    def not_now(self) -> None:
        """The loop goes on although `due` has said that a pause begins: `due` is asked again."""
        course = self._course
        if course is not None:
            self._ours(course.end, None)

    def end(self, outcome: Outcome = "ok") -> None:
        """The loop has ended: what was saved is reckoned, told and kept. Twice does no harm."""
        self._ours(lambda: self._end(outcome), None)

    def was_interrupted(self) -> None:
        """The loop that has ended was ended by Ctrl-C: its record says so from now on."""
        self._ours(self._restate, None)

    def _restate(self) -> None:
        record = self.result
        if record is not None and self._kept is not None and os.getpid() == self._pid:
            monitor, window = self._kept
            self.result = replace(record, outcome="interrupted")
            monitor.refining.restate(self.result, window.notebook)

    def _begin(self, total_steps: int | None) -> None:
        self._pid = os.getpid()
        around, meter = self._given
        if around is None:
            from ..blocks import current, measure

            self._around = around = here(current())
            self._block = measure(self._name)
            self._block.__enter__()
            if meter is None and (opened := self._block.window) is not None:
                meter = WindowMeter(*opened)
        self._around = around
        self._meter = meter = NoMeter() if meter is None else meter
        why = together(os.environ)
        if why is None and total_steps is None and self._hours_s is None:
            why = "how long it takes is not known; say it with hours="
        if why is not None:
            around.line.say(f"runs straight through: {why}", is_last=True)
            return
        pace = Pace(total_steps, self._hours_s)
        how = (self._checkpointed, self._on_anyway)
        self._course = Course(around, meter, self._extend, pace, *how)

    def _pause(self, course: Course) -> None:
        try:
            stoppable(course.pause)
        except Stopped:
            self._course = None
            course.around.line.say("runs on without pauses: Ctrl-C has stopped one", is_last=True)

    def _is_here(self) -> bool:
        """Whether this is the process of the loop, and no child of it; that has no pauses."""
        if os.getpid() == self._pid:
            return True
        self._course = None
        return False

    def _end(self, outcome: Outcome) -> None:
        around, self._around = self._around, None
        block, self._block = self._block, None
        course, self._course = self._course, None
        if os.getpid() != self._pid:
            return
        try:
            if course is not None:
                course.end()
                if course.is_silent and outcome == "ok" and around is not None:
                    why = "it was over before a plan was made"
                    around.line.say(f"ran straight through: {why}", is_last=True)
            if block is not None:
                self._kept = block.window
                block.__exit__(_KINDS[outcome], None, None)
                self.result = block.result
            shift = self._meter.shift() if self.result is None else self.result.shift
            if shift is not None and around is not None:
                around.line.say(_told(shift), is_last=True)
        finally:
            if around is not None and self._given[0] is None:
                around.close()

    def _ours(self, call: Callable[[], T], otherwise: T) -> T:
        """What a call of ours gives; where it fails the loop runs on, and that is said."""
        try:
            return call()
        except Exception as error:  # noqa: BLE001  ours must not reach the user's loop
            raise_if_users(error)
            self._course = None
            if self._around is not None:
                why = f"{type(error).__name__}: {error}"
                self._around.line.say(f"runs on without pauses ({why})", is_last=True)
            return otherwise


def _told(shift: Shift) -> str:
    from ..display.shifts import line
    from ..schema import shift_json

    return line(shift_json(shift))

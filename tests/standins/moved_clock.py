"""Clocks that move when they are told to, and what a paced loop sees by them."""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from jupyter_energy.answer import Answer
from jupyter_energy.pacing.meter import Meter
from jupyter_energy.pacing.surroundings import Found, Surroundings
from jupyter_energy.plan.nouns import SLOT_S, Basis, Outlook
from jupyter_energy.reckoning import Promise
from jupyter_energy.shift import Kind, Segment, Shift, Stretch
from jupyter_energy.uncertainty import Range

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def outlook(
    g_per_kwh: Sequence[float], begin: datetime = NOON, basis: Basis = "forecast"
) -> Outlook:
    """What lies ahead in slots from a moment on."""
    return Outlook(
        begin=begin,
        g_per_kwh=tuple(g_per_kwh),
        basis=basis,
        zone="FR",
        place="France",
        kind="average",
        boundary="production",
        scope="lifecycle",
        source="Energy-Charts (CC BY 4.0)",
        error=0.05,
        error_source="ours",
    )


class MovedClock:
    """Both clocks, moved by waits and by `run`; `at` has what happens at a time after the start,
    in s by the monotonic clock, such as a wall clock that is set."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.ahead_s = NOON.timestamp() - self.now_s
        self.waits = 0
        self.events: list[tuple[float, Callable[[], object]]] = []

    def utc(self) -> datetime:
        return datetime.fromtimestamp(self.now_s + self.ahead_s, UTC)

    def monotonic_s(self) -> float:
        return self.now_s

    @property
    def passed_s(self) -> float:
        """How much time has passed, by the monotonic clock, in s."""
        return self.now_s - 1000.0

    def wait(self, seconds: float) -> None:
        """A wait of ours."""
        assert seconds > 0
        self.waits += 1
        self.run(seconds)

    def run(self, seconds: float) -> None:
        """Time passes."""
        until_s = self.now_s + seconds
        while self.events and self.events[0][0] + 1000.0 <= until_s:
            at_s, happens = self.events.pop(0)
            self.now_s = max(self.now_s, at_s + 1000.0)
            happens()
        self.now_s = max(self.now_s, until_s)

    def at(self, after_s: float, happens: Callable[[], object]) -> None:
        """Something happens after so many s."""
        bisect.insort(self.events, (after_s, happens), key=lambda event: event[0])

    def sleeps(self, seconds: float) -> None:
        """The machine is suspended, or its wall clock set: ahead by so many s."""
        self.ahead_s += seconds


class Told:
    """Keeps what is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str, is_last: bool = False) -> None:
        self.lines.append(text)


class Ahead:
    """What a provider has ahead: what `look` gives, at the moment it is asked; counts that."""

    def __init__(self, look: Callable[[datetime, float], Found]) -> None:
        self.look = look
        self.asked = 0

    def find(self, begin: datetime, length_s: float) -> Answer[Found]:
        self.asked += 1
        answer: Answer[Found] = Answer()
        try:
            answer.set_result(self.look(begin, length_s))
        except Exception as error:  # noqa: BLE001  as a worker hands it over
            answer.set_exception(error)
        return answer


def series(g_per_kwh: Sequence[float]) -> Ahead:
    """A forecast from noon on, cut at the moment that it is asked for, as a service's is."""

    def look(begin: datetime, length_s: float) -> Found:
        passed = (begin - NOON).total_seconds() / SLOT_S
        values = []
        for slot in range(math.ceil(length_s / SLOT_S)):
            first = passed + slot
            part = first - math.floor(first)
            at = [
                g_per_kwh[n] if 0 <= n < len(g_per_kwh) else math.nan
                for n in (math.floor(first), math.floor(first) + 1)
            ]
            values.append(at[0] if part < 1e-9 else at[0] * (1 - part) + at[1] * part)
        while values and math.isnan(values[-1]):
            values.pop()
        if not values:
            return None, ["none of its values is of now"]
        return outlook(values, begin), []

    return Ahead(look)


def around(clock: MovedClock, ahead: Ahead, told: Told | None = None) -> Surroundings:
    """What a paced loop sees by a moved clock."""
    return Surroundings(
        utc=clock.utc,
        monotonic_s=clock.monotonic_s,
        wait=clock.wait,
        find=ahead.find,
        line=Told() if told is None else told,
        close=lambda: None,
    )


class ClockMeter:
    """A run of known powers in W, by a moved clock; `shift` gives what `reckon` makes of it."""

    def __init__(
        self,
        clock: MovedClock,
        run_w: float = 300.0,
        pause_w: float = 30.0,
        reckon: Callable[[Sequence[Segment], Promise | None], Shift | None] | None = None,
        memory_w: float = 0.0,
    ) -> None:
        self.promise: Promise | None = None
        self._clock, self._reckon, self._memory_w = clock, reckon, memory_w
        self._power_w = {"run": run_w, "save": run_w, "pause": pause_w, "wait": pause_w}
        self.marks: list[tuple[Kind, datetime]] = [("run", clock.utc())]

    def mark(self, kind: Kind) -> None:
        self.marks.append((kind, self._clock.utc()))

    def segments(self) -> list[Segment]:
        found = []
        for (kind, begin), (_, end) in pairwise([*self.marks, ("run", self._clock.utc())]):
            seconds = (end - begin) / timedelta(seconds=1)
            if seconds > 0:
                drawn_j = self._power_w[kind] * seconds
                stretch = Stretch(begin, end, Range(drawn_j, drawn_j, drawn_j))
                found.append(Segment(kind, stretch, self._memory_w * seconds))
        return found

    def shift(self) -> Shift | None:
        self.mark("run")
        return None if self._reckon is None else self._reckon(self.segments(), self.promise)


def is_a_meter(meter: ClockMeter) -> Meter:
    """For the type checker."""
    return meter

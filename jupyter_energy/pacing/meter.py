"""What a shifted run draws, piece by piece: marks in its window, and what they add up to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

from ..model import FACILITY
from ..open_window import utc_of
from ..reckoning import Promise, constant_of, energy_of, reckoned
from ..shift import Kind, Segment, Shift, Stretch

if TYPE_CHECKING:
    from ..monitor import Monitor
    from ..open_window import OpenWindow
    from ..window import Edge

# Of less some sensors tell nothing: it is a part of what comes next.
LEAST_SEGMENT_S = 1.0


class Meter(Protocol):
    """Measures a run that is shifted, and keeps what became of it."""

    promise: Promise | None

    def mark(self, kind: Kind) -> None:
        """From now on the run waits, runs, saves or is paused."""

    def segments(self) -> Sequence[Segment]:
        """What went on up to now, oldest first; reads the sensors."""

    def shift(self) -> Shift | None:
        """What became of it up to now; None where it neither was to be shifted nor was."""


class NoMeter:
    """The meter of a run that is not measured."""

    promise: Promise | None = None

    def mark(self, kind: Kind) -> None:
        """Nothing: nobody measures it."""

    def segments(self) -> Sequence[Segment]:
        """Nothing is known."""
        return ()

    def shift(self) -> Shift | None:
        """Nothing is known."""
        return None


class WindowMeter:
    """The meter of a run that lies in an open window, whose record tells what became of it."""

    def __init__(self, monitor: Monitor, window: OpenWindow) -> None:
        """From the start of the window on the run runs."""
        self.promise: Promise | None = None
        self._monitor, self._window = monitor, window
        self._marks: list[tuple[Kind, Edge]] = [("run", window.start)]
        self._settled: dict[int, Segment] = {}  # what went on from a mark to the next, by number
        window.shifted = self.up_to

    def mark(self, kind: Kind) -> None:
        """From now on the run waits, runs, saves or is paused; reads the sensors."""
        if self._window.ended:
            return
        edge = self._monitor.sampler.look(self._window.reads)
        if edge.t_s - self._marks[-1][1].t_s < LEAST_SEGMENT_S:
            self._marks[-1] = kind, self._marks[-1][1]
        else:
            self._marks.append((kind, edge))

    def segments(self) -> Sequence[Segment]:
        """What went on up to now; reads the sensors."""
        return self._segments(self._marks, self._monitor.sampler.look(self._window.reads))

    def shift(self) -> Shift | None:
        """What became of it up to now; reads the sensors."""
        return self.up_to(self._monitor.sampler.look(self._window.reads))

    def up_to(self, stop: Edge) -> Shift | None:
        """What became of the run up to an edge. Raises UnknownZone."""
        monitor, zone = self._monitor, self._window.options.zone
        segments = self._segments(list(self._marks), stop)
        if self.promise is None and all(segment.kind == "run" for segment in segments):
            return None
        factors = monitor.factors
        place = factors.yearly(zone)
        pue, _ = factors.pue(place)
        whole = monitor.so_far(self._window, self._window.start, stop)
        if any(d.domain.kind == FACILITY for d in whole.counted()):
            pue = 1.0  # the sensor sees the whole facility (carbon/emissions.py)
        asked = factors.asked(zone)
        return reckoned(
            *(segments, self.promise, lambda course: factors.of_run(course, zone), pue),
            signal=None if asked is None else (asked, place.zone),
        )

    def _segments(self, marks: Sequence[tuple[Kind, Edge]], stop: Edge) -> list[Segment]:
        """What went on up to an edge. What lies between two marks does not change any more, and is
        asked for every few seconds."""
        found = []
        for number, ((kind, begin), (_, end)) in enumerate(pairwise([*marks, ("run", stop)])):
            if end.t_s <= begin.t_s:
                continue
            segment = self._settled.get(number)
            if segment is None:
                drawn = self._monitor.so_far(self._window, begin, end)
                stretch = Stretch(self._at(begin), self._at(end), energy_of(drawn))
                segment = Segment(kind, stretch, constant_of(drawn))
                if end is not stop:
                    self._settled[number] = segment
            found.append(segment)
        return found

    def _at(self, edge: Edge) -> datetime:
        return utc_of(self._window, edge)

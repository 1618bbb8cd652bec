"""The one thread, and the edges: who reads the sensors, when, and on which thread.

Two reads at a window's edges make its energy. A sensor that is a file is read on the thread that
runs the cell; a sensor behind a driver library is read on that library's worker, which is waited
for no longer than a deadline. One daemon thread does the rest: finding the sensors, polling power
sensors while a window is open, reading counters again a moment after it, and guarding counters
that wrap. It sleeps without a timer while there is nothing to do.
"""

from __future__ import annotations

import math
import os
import random
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from operator import itemgetter
from typing import TypeVar

from . import upkeep
from .finding import Finder
from .readers import DRIVER_BUSY, DRIVER_DEADLINE_S, Readers, asleep_s
from .sensors.base import Absence, Discovery, Family, Machine, Reading, Sensor
from .settling import Settling, Told, settling
from .window import Edge

__all__ = ["DRIVER_BUSY", "DRIVER_DEADLINE_S", "FORKED", "Sampler"]

# interface.md "What it costs": the wrap guard reads every 30 s, for 10 minutes after a cell.
GUARD_PERIOD_S = 30.0
GUARD_LINGERS_S = 600.0
# How often power is polled while a window is open whose result will be shown. The 0.2 % of a core
# that this takes are more than silent measuring may (measuring.md 7).
SHOWN_INTERVAL_S = 0.1
# A counter is read around an edge until it has been renewed once, and a little longer.
EDGE_PERIODS = 1.3
# Drivers that would keep a device awake are let go of this long after the last window.
REST_AFTER_S = 10.0
FORKED = "not measured in a forked process"
T = TypeVar("T")


class Sampler:
    """The sensors of this machine and their traces. `start()` once, `close()` once.

    `families` is asked on the sampler's own thread: finding them takes some ms, which a cell need
    not wait for. `wait` is how that thread waits for a number of s (None: until it is woken),
    `asleep` how long the machine has been suspended, `driver_deadline_s` how long an edge waits for
    drivers.
    """

    def __init__(
        self,
        machine: Machine,
        families: Callable[[], Iterable[Family]],
        interval_s: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[threading.Condition, float | None], object] = threading.Condition.wait,
        asleep: Callable[[], float] = asleep_s,
        driver_deadline_s: float = DRIVER_DEADLINE_S,
    ) -> None:
        self._interval_s = interval_s
        self._clock = clock
        self._wait = wait
        self._asleep = asleep
        self._pid = os.getpid()
        self._finder = Finder(machine, families, self._begin)
        self._readers = Readers(lambda: self._finder.workers, clock, asleep, driver_deadline_s)
        # Taken by itself: `with` a Condition runs Python code that takes it and lets go of it, and
        # where Ctrl-C hits that, it stays taken. RLock: a handler of a signal may measure as well,
        # and so may a generator that the garbage collector ends.
        self._lock = threading.RLock()
        self._wake = threading.Condition(self._lock)
        # How often a window of these sensors, which is `shown` or not, is open now.
        self._open: dict[tuple[Callable[[Sensor], bool], bool], int] = {}
        self._ended_s = -math.inf  # when the last window ended
        self._edge_polls_until_s = -math.inf
        self._rests_at_s = math.inf  # when drivers are let go of
        self._settling: list[Settling] = []
        self._wakes_at_s = -math.inf  # when the thread wakes by itself
        self._closing = False
        self._thread: threading.Thread | None = None

    # -- life ------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to look for sensors, off this thread."""
        thread = threading.Thread(target=self._run, name="jupyter-energy", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            # No thread is to be had, as in Pyodide: then nothing polls, but edges are still read.
            self._finder.look()
        else:
            self._thread = thread

    def wait_until_found(self, timeout_s: float) -> bool:
        """Wait until every family has said what it has; False when one still looks.

        No lock is taken where nothing is waited for, as in a forked child, which finds no more.
        """
        if timeout_s <= 0 or os.getpid() != self._pid:
            return self._finder.ready.done()
        return self._finder.ready.wait(timeout_s)

    def close(self) -> None:
        """Stop the threads and let go of the sensors. A driver that hangs is left behind."""
        if os.getpid() != self._pid:
            return
        with self._lock:
            self._closing = True
            self._finder.close()
            self._wake.notify_all()
        if self._thread is not None:
            self._thread.join(0.5)
        self._deliver(self._taken(everything=True))
        self._readers.close()

    # -- what was found --------------------------------------------------------------------

    def discoveries(self) -> dict[str, Discovery]:
        """What each family found, by its name; a family that still looks is not in it."""
        return self._finder.discoveries()

    def sensors(self) -> tuple[Sensor, ...]:
        """The sensors found so far; none in a forked child, where no lock may be taken."""
        return () if os.getpid() != self._pid else self._readers.sensors()

    def absences(self) -> tuple[Absence, ...]:
        """The domains that cannot be read here, with their reasons."""
        return () if os.getpid() != self._pid else self._finder.absences()

    def try_once(self, sensor: Sensor) -> Reading:
        """One reading of a sensor, made on the thread that may make it; it enters no trace.

        Raises SensorError, SensorTimeout where a driver does not answer within 1 s.
        """
        return self._readers.try_once(sensor)

    def ask(self, sensor: Sensor, call: Callable[[], T], within_s: float = 2.0) -> T:
        """What a call to a sensor's driver gives, made on the thread that may make it.

        Raises what the call raises, SensorTimeout where the driver does not answer in time.
        """
        return self._readers.ask(sensor, call, within_s)

    def _begin(self, sensors: tuple[Sensor, ...], worker: str | None) -> None:
        """Begin the traces of sensors that were found, on the thread that may read them."""
        self._readers.add(sensors, worker)
        with self._lock:
            if not self._open:
                self._rests_at_s = self._clock() + REST_AFTER_S
            self._reckon()

    # -- edges -----------------------------------------------------------------------------

    def opening_edge(self, wanted: Callable[[Sensor], bool], shown: bool = False) -> Edge:
        """All wanted sensors, read now; its time is the moment after the last read.

        Where the result will be `shown`, power is polled more often until the window ends, and
        counters that bear it are read around its edges.
        """
        if os.getpid() != self._pid:
            return Edge(self._clock(), {})
        with self._lock:
            begun_s = self._clock()
            quiet_s = 0.0 if self._open else begun_s - self._ended_s
            self._open[wanted, shown] = self._open.get((wanted, shown), 0) + 1
            if shown:
                self._edge_polls_until_s = begun_s + EDGE_PERIODS * self._longest_period_s()
            self._reckon()
        readings = self._readers.read_drivers(wanted)
        readings |= self._readers.read_files(wanted)
        edge = Edge(self._clock(), readings, self._asleep(), quiet_s)
        self.interrupt_settling(edge)
        return edge

    def drop_edge(self, wanted: Callable[[Sensor], bool], shown: bool = False) -> None:
        """A window that was opened, or could not be, is none: it is forgotten, as if it had not
        been. To be called where `opening_edge` has raised; doing it twice does no harm."""
        if os.getpid() == self._pid:
            self._window_ended(wanted, shown, self._ended_s)

    def closing_edge(self, wanted: Callable[[Sensor], bool], shown: bool = False) -> Edge:
        """All wanted sensors, read now; its time is the moment before the first read. `wanted` is
        the window's own, as when it began."""
        try:
            t_s = self._clock()
            if os.getpid() != self._pid:
                return Edge(t_s, {})
            readings = self._readers.read_files(wanted)
            readings |= self._readers.read_drivers(wanted)
        finally:
            if os.getpid() == self._pid:
                self._window_ended(wanted, shown)
        return Edge(t_s, readings, self._asleep(), 0.0)

    def look(self, wanted: Callable[[Sensor], bool]) -> Edge:
        """All wanted sensors, read now, in the midst of a window; for the live display."""
        if os.getpid() != self._pid:
            return Edge(self._clock(), {})
        readings = self._readers.read_drivers(wanted) | self._readers.read_files(wanted)
        return Edge(self._clock(), readings, self._asleep(), 0.0)

    def shared(self, stop: Edge) -> dict[Sensor, str]:
        """Which of the devices that an edge has read others use too, in words. Takes some ms."""
        if os.getpid() != self._pid:
            return {}
        return upkeep.shared(self._readers, stop, self._clock)

    def settle(self, stop: Edge, told: Told, shown: bool = False) -> bool:
        """Whether sensors will be read again after a window that ended with `stop`.

        Then `told` is called once, on this sampler's thread, with what was read; with None where
        another window began before that could say anything. Nothing is read again where another
        window is open, because power has then not fallen to what it is when idle.
        """
        if os.getpid() != self._pid or self._thread is None:
            return False
        again = settling(stop, told)
        with self._lock:
            if again is None or self._open or self._closing:
                return False
            self._settling.append(again)
            if shown:
                self._edge_polls_until_s = again.due_s
            self._reckon()
        return True

    def interrupt_settling(self, edge: Edge | None = None) -> None:
        """Code runs again: what its window read at its start, if there is one, is all that can be
        told of the window before."""
        if not self._settling:
            return
        with self._lock:
            for waiting in self._settling:
                waiting.interrupt(edge)
            self._wake.notify_all()

    def _window_ended(
        self, wanted: Callable[[Sensor], bool], shown: bool, ended_s: float | None = None
    ) -> None:
        with self._lock:
            more = self._open.pop((wanted, shown), 1) - 1
            if more:
                self._open[wanted, shown] = more
            self._ended_s = self._clock() if ended_s is None else ended_s
            if not self._open:
                self._rests_at_s = self._ended_s + REST_AFTER_S
                self._reckon()

    def _longest_period_s(self) -> float:
        return max((s.period_s for s in self.sensors() if s.polls_s is not None), default=0.0)

    # -- the thread ------------------------------------------------------------------------

    def _run(self) -> None:
        # A fault here must not print a traceback into whatever cell runs then; and any code of the
        # process may throw an exception into this thread (PyThreadState_SetAsyncExc), as what
        # stops the threads of a notebook does. It is not meant for us.
        with suppress(BaseException):
            # A new thread keeps the interpreter for 5 ms; whoever started it is to go on first.
            time.sleep(0.001)
        self._finder.look()
        while not self._closing:
            with suppress(BaseException):
                self._work_until_closed()

    def _work_until_closed(self) -> None:
        while self._rest():
            with suppress(Exception):
                self._readers.poll(self._is_due)
            with suppress(Exception):
                self._settle_due()
                self._deliver(self._taken())
            with suppress(Exception):
                self._keep_up()

    def _keep_up(self) -> None:
        """What sensors want beside being read (upkeep.py)."""
        if self._open:
            if self._finder.has_sleepers():
                self._finder.look_for_woken()
            return
        upkeep.replace_condemned(self._readers)
        if self._clock() >= self._rests_at_s:
            self._rests_at_s = math.inf
            upkeep.rest(self._readers)

    def _rest(self) -> bool:
        """Wait until there may be something to read; False when all is over."""
        with self._lock:
            if not self._closing and not any(s.is_over for s in self._settling):
                pause_s = self._pause_s(jitter=random.uniform(0.5, 1.5))
                self._wakes_at_s = math.inf if pause_s is None else self._clock() + pause_s
                self._wait(self._wake, pause_s)
                self._wakes_at_s = -math.inf
            return not self._closing

    def _reckon(self) -> None:
        """Wake the thread where it would sleep too long: most cells need not."""
        pause_s = self._pause_s(jitter=1.5)
        if pause_s is not None and self._clock() + pause_s < self._wakes_at_s:
            self._wake.notify_all()

    def _pause_s(self, jitter: float) -> float | None:
        """Seconds until the next read; None to sleep until woken.

        A regular grid can lock to a periodic load (measuring.md 6.4), so polls are jittered.
        """
        now_s, sensors = self._clock(), self.sensors()
        pauses_s = [max(0.0, s.due_s - now_s) for s in self._settling]
        if now_s < self._edge_polls_until_s:
            pauses_s += [s.polls_s for s in sensors if s.polls_s is not None]
        if self._open and any(s.kind == "gauge" for s in sensors):
            is_shown = any(map(itemgetter(1), tuple(self._open)))
            shown_s = min(SHOWN_INTERVAL_S, self._interval_s)
            pauses_s.append((shown_s if is_shown else self._interval_s) * jitter)
        if self._open and (any(map(upkeep.is_checked, sensors)) or self._finder.has_sleepers()):
            pauses_s.append(self._interval_s * jitter)
        if not self._open and any(hasattr(s, "rest") for s in sensors):
            pauses_s += [max(0.0, self._rests_at_s - now_s)] if self._rests_at_s < math.inf else []
        guarding = bool(self._open) or now_s < self._ended_s + GUARD_LINGERS_S
        if guarding and any(s.wraps_at_j is not None for s in sensors):
            pauses_s.append(GUARD_PERIOD_S)
        # No longer than that: a clock that went back would have it wait for what that has lost.
        return min(*pauses_s, GUARD_PERIOD_S) if pauses_s else None

    def _is_due(self, sensor: Sensor) -> bool:
        """Whether a sensor is to be polled now."""
        if sensor.polls_s is not None and self._clock() < self._edge_polls_until_s:
            return True
        if sensor.kind == "gauge" or upkeep.is_checked(sensor):
            return bool(self._open)
        return sensor.wraps_at_j is not None

    def _settle_due(self) -> None:
        """Read again what is due after a window, unless another has begun by then."""
        with self._lock:
            now_s = self._clock()
            due = [s for s in self._settling if not s.is_over and s.due_s <= now_s]
        if not due:
            return
        sensors = frozenset().union(*(s.sensors for s in due))
        readings = self._readers.read_files(sensors.__contains__)
        readings |= self._readers.read_drivers(sensors.__contains__)
        edge = Edge(self._clock(), readings, self._asleep())
        with self._lock:
            for waiting in due:
                if not waiting.is_over:
                    waiting.edge, waiting.is_over = edge, True

    def _taken(self, everything: bool = False) -> list[Settling]:
        """The windows whose last reading is over (or all), taken off the list."""
        with self._lock:
            over = [s for s in self._settling if s.is_over or everything]
            self._settling = [s for s in self._settling if s not in over]
        return over

    def _deliver(self, over: list[Settling]) -> None:
        for settled in over:
            with suppress(Exception):  # told to whoever asked, whose fault it then is
                settled.told(settled.edge)

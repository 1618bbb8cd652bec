"""The one thread, and the edges: who reads the sensors, when, and on which thread.

Two reads at a window's edges make its energy. A sensor that is a file is read on the thread that
runs the cell; a sensor behind a driver library is read on that library's worker, which is waited
for no longer than a deadline. One daemon thread does the rest: finding the sensors, polling power
sensors while a window is open, and guarding counters that wrap. It sleeps without a timer while
there is nothing to do.
"""

from __future__ import annotations

import math
import os
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from functools import partial
from numbers import Real

from .errors import SensorError, SensorTimeout
from .model import Sample
from .sensors.base import Absence, Discovery, Family, Machine, Reading, Sensor, usable
from .trace import Trace
from .window import Edge
from .worker import Worker

Seen = Sample | str
# A driver call that takes longer than this would be felt at the edge of a cell (measuring.md 0).
DRIVER_DEADLINE_S = 0.05
# interface.md "What it costs": the wrap guard reads every 30 s, for 10 minutes after a cell.
GUARD_PERIOD_S = 30.0
GUARD_LINGERS_S = 600.0
# How fast the thread goes: not at all, to guard counters that wrap, to poll power sensors.
ASLEEP, GUARDING, POLLING = 0, 1, 2
DRIVER_BUSY = "the driver did not answer in time"
FORKED = "not measured in a forked process"


class Sampler:
    """The sensors of this machine and their traces. `start()` once, `close()` once.

    `families` is asked on the sampler's own thread: finding them takes some ms, which a cell need
    not wait for. `wait` is how that thread waits for a number of s (None: until it is woken).
    """

    def __init__(
        self,
        machine: Machine,
        families: Callable[[], Iterable[Family]],
        interval_s: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[threading.Condition, float | None], object] = threading.Condition.wait,
    ) -> None:
        self._machine = machine
        self._families = families
        self._interval_s = interval_s
        self._clock = clock
        self._wait = wait
        self._pid = os.getpid()
        self._lock = threading.Lock()  # traces and sensors
        self._traces: dict[Sensor, Trace] = {}
        self._found: dict[str, Discovery] = {}
        self._looking = 1  # families that have not said yet what they have, and the asking itself
        self._names: set[str] = set()
        self._workers: dict[str, Worker] = {}
        self._outstanding: dict[str, Future[dict[Sensor, Seen]]] = {}
        self._late: set[str] = set()
        self._wake = threading.Condition(threading.Lock())
        self._open_windows = 0
        self._guard_until_s = float("-inf")
        self._pace = ASLEEP
        self._pace_while_open = ASLEEP
        self._wraps = False  # whether any counter has to be guarded
        self._closing = False
        self._ready = threading.Event()
        self._thread: threading.Thread | None = None

    # -- life ------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to look for sensors, off this thread."""
        thread = threading.Thread(target=self._run, name="jupyter-energy", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            # No thread is to be had, as in Pyodide: then nothing polls, but edges are still read.
            self._discover()
        else:
            self._thread = thread

    def wait_until_found(self, timeout_s: float) -> bool:
        """Wait until every family has said what it has; False when one still looks.

        No lock is taken where nothing is waited for, as in a forked child, which finds no more.
        """
        if timeout_s <= 0 or os.getpid() != self._pid:
            return self._ready.is_set()
        return self._ready.wait(timeout_s)

    def close(self) -> None:
        """Stop the threads and let go of the sensors. A driver that hangs is left behind."""
        if os.getpid() != self._pid:
            return
        with self._wake:
            self._closing = True
            self._wake.notify_all()
        if self._thread is not None:
            self._thread.join(0.5)
        with self._lock:
            sensors = tuple(self._traces)
            self._traces = {}
        for sensor in sensors:
            if sensor.worker is None:
                with suppress(Exception):  # one that cannot let go must not keep the others open
                    sensor.close()
            else:
                self._workers[sensor.worker].submit(sensor.close)
        for worker in self._workers.values():
            worker.close()

    # -- what was found --------------------------------------------------------------------

    def discoveries(self) -> dict[str, Discovery]:
        """What each family found, by its name; a family that still looks is not in it."""
        with self._lock:
            return dict(self._found)

    def sensors(self) -> tuple[Sensor, ...]:
        """The sensors found so far; none in a forked child, where no lock may be taken."""
        if os.getpid() != self._pid:
            return ()
        with self._lock:
            return tuple(self._traces)

    def absences(self) -> tuple[Absence, ...]:
        """The domains that cannot be read here, with their reasons."""
        if os.getpid() != self._pid:
            return ()
        with self._lock:
            return tuple(a for found in self._found.values() for a in found.absences)

    def try_once(self, sensor: Sensor) -> Reading:
        """One reading of a sensor, in J or W, made on the thread that may make it.

        Raises SensorError, SensorTimeout where a driver does not answer within 1 s.
        """
        if sensor.worker is None:
            return _reading(sensor)
        try:
            return self._workers[sensor.worker].submit(partial(_reading, sensor)).result(1.0)
        except (FutureTimeout, TimeoutError):
            raise SensorTimeout(DRIVER_BUSY) from None

    # -- edges -----------------------------------------------------------------------------

    def opening_edge(self, wanted: Callable[[Sensor], bool]) -> Edge:
        """All wanted sensors, read now; its time is the moment after the last read."""
        if os.getpid() != self._pid:
            return Edge(self._clock(), {})
        with self._wake:
            self._open_windows += 1
            if self._pace_while_open > self._pace:
                self._wake.notify_all()
        try:
            readings = self._read_drivers(wanted)
            readings |= self._read_files(wanted)
        except BaseException:
            self._window_ended()
            raise
        return Edge(self._clock(), readings)

    def closing_edge(self, wanted: Callable[[Sensor], bool]) -> Edge:
        """All wanted sensors, read now; its time is the moment before the first read."""
        t_s = self._clock()
        if os.getpid() != self._pid:
            return Edge(t_s, {})
        try:
            readings = self._read_files(wanted)
            readings |= self._read_drivers(wanted)
        finally:
            self._window_ended()
        return Edge(t_s, readings)

    def look(self, wanted: Callable[[Sensor], bool]) -> Edge:
        """All wanted sensors, read now, in the midst of a window; for the live display."""
        if os.getpid() != self._pid:
            return Edge(self._clock(), {})
        readings = self._read_drivers(wanted) | self._read_files(wanted)
        return Edge(self._clock(), readings)

    def _window_ended(self) -> None:
        with self._wake:
            self._open_windows = max(0, self._open_windows - 1)
            self._guard_until_s = self._clock() + GUARD_LINGERS_S

    def _wanted(self, wanted: Callable[[Sensor], bool], worker: str | None) -> list[Sensor]:
        return [s for s in self.sensors() if s.worker == worker and wanted(s)]

    def _read_files(self, wanted: Callable[[Sensor], bool]) -> dict[Sensor, Seen]:
        return {s: self._read(s) for s in self._wanted(wanted, None)}

    def _read_drivers(self, wanted: Callable[[Sensor], bool]) -> dict[Sensor, Seen]:
        readings: dict[Sensor, Seen] = {}
        asked = {}
        patience_s = DRIVER_DEADLINE_S
        for name in self._workers:
            if sensors := self._wanted(wanted, name):
                before = self._outstanding.get(name)
                if before is not None and not before.done():
                    patience_s = 2 * DRIVER_DEADLINE_S  # a poll or the live display is before us
                asked[name] = (sensors, self._ask(name, sensors))
        deadline_s = self._clock() + patience_s
        for name, (sensors, future) in asked.items():
            readings |= dict.fromkeys(sensors, DRIVER_BUSY)
            if future is not None:
                try:
                    readings |= future.result(max(0.0, deadline_s - self._clock()))
                except (FutureTimeout, TimeoutError):
                    # A late reading still enters the trace when it comes; this edge has none.
                    self._late.add(name)
        return readings

    def _ask(self, name: str, sensors: Sequence[Sensor]) -> Future[dict[Sensor, Seen]] | None:
        """One batch of reads on a worker; None while an earlier batch still hangs in the driver."""
        before = self._outstanding.get(name)
        if before is None or before.done():
            self._late.discard(name)
        elif name in self._late:  # it hangs; a call that is merely under way is waited for
            return None
        future = self._workers[name].submit(lambda: {s: self._read(s) for s in sensors})
        self._outstanding[name] = future
        return future

    def _read(self, sensor: Sensor) -> Seen:
        """One reading into its trace; the sample, or the reason why there is none."""
        with self._lock:
            trace = self._traces.get(sensor)
        if trace is None:
            return "the sensor was closed"
        with trace.lock:  # reading and stamp in one: two threads may not swap their readings
            try:
                reading = _reading(sensor)
            except SensorError as error:
                return str(error)
            return trace.add(self._clock(), reading.raw)

    # -- the thread ------------------------------------------------------------------------

    def _run(self) -> None:
        # A new thread keeps the interpreter for 5 ms; whoever started it is to go on first.
        time.sleep(0.001)
        self._discover()
        while self._rest():
            # A fault here must not print a traceback into whatever cell runs then.
            with suppress(Exception):
                self._poll()

    def _rest(self) -> bool:
        """Wait until there may be something to read; False when all is over."""
        with self._wake:
            if not self._closing:
                self._pace = self._pace_now()
                self._wait(self._wake, self._pause_s())
            return not self._closing

    def _discover(self) -> None:
        """Ask every family what it has; a driver is asked on its worker, so a hang stays there.

        One by one, as they come: a plug-in that hangs when it is loaded hides no sensor before it.
        """
        try:
            for family in self._families():
                if self._closing:
                    return
                self._ask_family(family)
        except Exception as error:  # noqa: BLE001  broken metadata of some package: cells run on
            with self._lock:
                self._found["sensors"] = Discovery(notes=(_failed(error),))
        self._begun(-1)

    def _ask_family(self, family: Family) -> None:
        whole = str(getattr(family, "__name__", type(family).__name__))
        name = whole.rpartition(".")[2]
        while name in self._names:
            name = whole if whole not in self._names else f"{name} again"
        self._names.add(name)
        self._begun(1)
        worker = _worker_of(family)
        if worker is None:
            self._look(name, family)
            return
        if worker not in self._workers:
            # Replaced as a whole: the edges walk through it on other threads.
            self._workers = {**self._workers, worker: Worker(f"jupyter-energy-{worker}")}
        self._workers[worker].submit(partial(self._look, name, family))

    def _begun(self, families: int) -> None:
        """Count a family that begins to look (1), or one that has, or the asking itself (-1)."""
        with self._lock:
            self._looking += families
            complete = self._looking == 0
        if complete:
            self._ready.set()

    def _look(self, name: str, family: Family) -> None:
        """Ask one family, on the thread that may ask it, and begin the traces of its sensors."""
        try:
            found = usable(family.discover(self._machine), _worker_of(family))
        except BaseException as error:  # noqa: BLE001  one family's fault must not hide the others
            found = Discovery(notes=(_failed(error),))
        with self._lock:
            late = self._closing  # a driver that answered after all: nobody will read it
            if not late:
                self._traces |= {sensor: Trace(sensor) for sensor in found.sensors}
        for sensor in found.sensors:
            if late:
                with suppress(Exception):
                    sensor.close()
            elif self._open_windows:
                self._read(sensor)  # the window that is open already has what comes from here on
        with self._lock:
            self._found[name] = found
            self._wraps = any(s.wraps_at_j is not None for s in self._traces)
            if any(s.kind == "gauge" for s in self._traces):
                self._pace_while_open = POLLING
            elif self._wraps:
                self._pace_while_open = GUARDING
        self._begun(-1)
        with self._wake:
            if self._open_windows and self._pace_while_open > self._pace:
                self._wake.notify_all()

    def _pace_now(self) -> int:
        if self._open_windows:
            return self._pace_while_open
        guarding = self._wraps and self._clock() < self._guard_until_s
        return GUARDING if guarding else ASLEEP

    def _pause_s(self) -> float | None:
        """Seconds until the next poll; None to sleep until woken."""
        if self._pace == POLLING:
            # A regular grid can lock to a periodic load (measuring.md 6.4), so it is jittered.
            return self._interval_s * random.uniform(0.5, 1.5)
        return GUARD_PERIOD_S if self._pace == GUARDING else None

    def _poll(self) -> None:
        """Read the gauges while a window is open, and every counter that can wrap."""
        for name, sensors in self._due():
            if name is None:
                for sensor in sensors:
                    self._read(sensor)
            elif (before := self._outstanding.get(name)) is None or before.done():
                # Nobody waits for a poll, so none is added to a queue that does not move.
                self._ask(name, sensors)

    def _due(self) -> Iterator[tuple[str | None, list[Sensor]]]:
        open_windows = self._open_windows

        def due(sensor: Sensor) -> bool:
            return sensor.wraps_at_j is not None or (sensor.kind == "gauge" and open_windows > 0)

        for name in (None, *self._workers):
            if sensors := self._wanted(due, name):
                yield name, sensors


def _failed(error: BaseException) -> str:
    return f"failed: {type(error).__name__}: {error}"


def _worker_of(family: Family) -> str | None:
    """The worker on which a family must be asked; None for one that only reads files."""
    name: str | None = getattr(family, "WORKER", None)
    return name


def _reading(sensor: Sensor) -> Reading:
    """What a sensor gives, in J or W. Raises SensorError, whatever a third party's sensor does."""
    try:
        told: object = sensor.read()
        raw: object = told.raw if isinstance(told, Reading) else told
        if isinstance(raw, Real) and math.isfinite(raw):
            return told if isinstance(told, Reading) else Reading(float(raw))
    except SensorError:
        raise
    except BaseException as error:
        main = threading.current_thread() is threading.main_thread()
        if main and isinstance(error, KeyboardInterrupt):
            raise  # the user's own Ctrl-C
        raise SensorError(f"{type(error).__name__}: {error}") from error
    raise SensorError(f"the sensor gave {told!r:.40}, which is no reading")

"""Reading the sensors into their traces: files on any thread, drivers on their workers.

A driver call can block for as long as it likes. The thread that asks waits for it no longer than
a deadline; a late reading still enters its trace when it comes.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from numbers import Real
from typing import TypeVar

from .answer import Answer
from .errors import SensorError, SensorTimeout
from .model import Sample
from .sensors.base import Reading, Sensor
from .signals import raise_if_users, signal_of
from .trace import Trace
from .worker import Worker

Seen = Sample | str
T = TypeVar("T")
# A driver call that takes longer than this would be felt at the edge of a cell (measuring.md 0).
DRIVER_DEADLINE_S = 0.05
# On a machine with more to do than it has processors a worker may begin later than that, which is
# no fault of the driver's: nor would the cell have got a processor.
BEGIN_DEADLINE_S = 1.0
DRIVER_BUSY = "the driver did not answer in time"
# A suspend shorter than this is none: the two clocks are not read in one moment.
LEAST_SLEEP_S = 0.2


def asleep_s() -> float:
    """How long this machine has been suspended since it was started, in s; 0 where unknown.

    CLOCK_BOOTTIME goes on in a suspend, CLOCK_MONOTONIC does not (clock_gettime(2)).
    """
    boottime = getattr(time, "CLOCK_BOOTTIME", None)
    if boottime is None:
        return 0.0
    return time.clock_gettime(boottime) - time.clock_gettime(time.CLOCK_MONOTONIC)


@dataclass(frozen=True, slots=True)
class Batch:
    """Reads that a worker makes one by one from when it `begun` on, in s: `seen` grows as they
    come, until it is `done`."""

    begun: Answer[float]
    done: Answer[None]
    seen: list[tuple[Sensor, Seen]]


class Readers:
    """The traces of the sensors that were found, and the one way to read into them."""

    def __init__(
        self,
        workers: Callable[[], Mapping[str, Worker]],
        clock: Callable[[], float],
        asleep: Callable[[], float],
        deadline_s: float = DRIVER_DEADLINE_S,
    ) -> None:
        self._workers = workers
        self._clock = clock
        self._asleep = asleep
        self._deadline_s = deadline_s
        # A signal handler of the user's may measure while its thread is in here, and so may a
        # generator of theirs that the garbage collector ends, on any thread (RLock).
        self._lock = threading.RLock()
        self._traces: dict[Sensor, Trace] = {}
        self._worker_of: dict[Sensor, str | None] = {}  # None: read on the thread that asks
        # At the last reading: how long the machine had slept, how often its driver had begun.
        self._slept: dict[Sensor, tuple[float, int]] = {}
        self._outstanding: dict[str, Batch] = {}
        self._late: set[str] = set()
        self._being_read: dict[str, Sensor] = {}  # by worker: the last sensor that it began to read
        self._slow: set[Sensor] = set()  # they have kept an edge waiting, and are read last

    def add(self, sensors: Sequence[Sensor], worker: str | None) -> None:
        """Begin the traces of sensors that `worker` reads, with a first reading: call it there.

        None where any thread may read them.
        """
        with self._lock:
            self._worker_of |= dict.fromkeys(sensors, worker)
            self._traces |= {sensor: Trace(sensor) for sensor in sensors}
        for sensor in sensors:
            self.read(sensor)

    def sensors(self) -> tuple[Sensor, ...]:
        """All sensors that have a trace."""
        with self._lock:
            return tuple(self._traces)

    def replace(self, old: Sensor, new: Sensor) -> None:
        """Read a device by another sensor from now on: on a thread that may read both."""
        with self._lock:
            known = self._traces.pop(old, None) is not None
        if known:
            self.add((new,), self._worker_of[old])
            old.close()
        else:  # closed meanwhile
            new.close()

    def let_go(self) -> tuple[Sensor, ...]:
        """Forget all traces; the sensors that had one."""
        with self._lock:
            sensors, self._traces = tuple(self._traces), {}
        return sensors

    def close(self) -> None:
        """Let go of the sensors, each on a thread that may. A driver that hangs is left behind."""
        for sensor in self.let_go():
            name = self._worker_of[sensor]
            if name is None:
                with suppress(Exception):  # one that cannot let go must not keep the others open
                    sensor.close()
            else:
                self._workers()[name].submit(sensor.close)
        for worker in self._workers().values():
            worker.close()

    def try_once(self, sensor: Sensor) -> Reading:
        """One reading of a sensor, made on the thread that may make it; it enters no trace.

        Raises SensorError, SensorTimeout where a driver does not answer within 1 s.
        """
        return self.ask(sensor, partial(_reading, sensor), 1.0)

    def ask(self, sensor: Sensor, call: Callable[[], T], within_s: float) -> T:
        """What a call to a sensor's driver gives, made on the thread that may make it.

        Raises what the call raises, SensorTimeout where the driver does not answer in time; the
        call is made all the same once the driver answers.
        """
        name = self._worker_of.get(sensor)
        if name is None:
            return call()
        answer = self._workers()[name].submit(call)
        if not answer.wait(within_s):
            raise SensorTimeout(DRIVER_BUSY)
        return answer.result()

    def read(self, sensor: Sensor) -> Seen:
        """One reading into its trace; the sample, or the reason why there is none."""
        with self._lock:
            trace = self._traces.get(sensor)
        if trace is None:
            return "the sensor was closed"
        with trace.lock:  # reading and stamp in one: two threads may not swap their readings
            if trace.is_read:  # by this thread, in which a handler of the user's measures
                return "it was being read just then"
            trace.is_read = True
            try:
                return self._read_into(trace, sensor)
            except SensorError as error:
                raise_if_users(error)
                return str(error)
            except Exception as error:  # noqa: BLE001  what a third party's sensor declares may fail
                raise_if_users(error)
                return f"{type(error).__name__}: {error}"
            finally:
                trace.is_read = False

    def _read_into(self, trace: Trace, sensor: Sensor) -> Sample:
        """One reading into a trace whose lock is held. Raises SensorError, or anything."""
        before_s = self._clock()
        reading = _reading(sensor)
        after_s = self._clock()
        now = self._asleep(), int(getattr(sensor, "restarts", 0))
        asleep, restarts = self._slept.get(sensor, now)
        self._slept[sensor] = now
        trace.slept = now[0] - asleep > LEAST_SLEEP_S
        trace.restarted = now[1] > restarts
        sample = trace.add((before_s + after_s) / 2, reading, after_s - before_s)
        return _with_use(sample, sensor)

    def read_files(self, wanted: Callable[[Sensor], bool]) -> dict[Sensor, Seen]:
        """All wanted sensors that are files, read now and here."""
        return {s: self.read(s) for s in self._wanted(wanted, None)}

    def read_drivers(self, wanted: Callable[[Sensor], bool]) -> dict[Sensor, Seen]:
        """All wanted sensors behind drivers, read on their workers; waited for till a deadline.

        What a worker has read by then counts, whatever hangs behind it.
        """
        readings: dict[Sensor, Seen] = {}
        deadline_s = self._clock() + self._deadline_s
        asked = {
            name: (sensors, self._ask(name, sensors))
            for name in self._workers()
            if (sensors := self._wanted(wanted, name))
        }
        for name, (sensors, batch) in asked.items():
            readings |= dict.fromkeys(sensors, DRIVER_BUSY)
            if batch is None:
                continue
            if not self._is_over(batch, self._workers()[name], deadline_s):
                # A late reading still enters the trace when it comes; this edge has none.
                self._late.add(name)
                if (slow := self._being_read.get(name)) is not None:
                    self._slow.add(slow)
            else:
                batch.done.result()  # raises what ended the batch
            readings |= dict(tuple(batch.seen))
        return readings

    def _is_over(self, batch: Batch, worker: Worker, deadline_s: float) -> bool:
        """Whether a batch is over at the deadline; that of one which its worker, though it was in
        no other call, began late, is counted from there."""
        if batch.done.wait(deadline_s - self._clock()):
            return True
        if not batch.begun.wait(0.0 if worker.is_in_call else BEGIN_DEADLINE_S):
            return False
        return batch.done.wait(batch.begun.result() + self._deadline_s - self._clock())

    def poll(self, wanted: Callable[[Sensor], bool]) -> None:
        """Read the wanted sensors, for their traces only: no driver is waited for."""
        for sensor in self._wanted(wanted, None):
            self.read(sensor)
        for name in self._workers():
            before = self._outstanding.get(name)
            # Nobody waits for a poll, so none is added to a queue that does not move.
            if (before is None or before.done.done()) and (sensors := self._wanted(wanted, name)):
                self._ask(name, sensors)

    def hand_over(self, sensor: Sensor, call: Callable[[], T]) -> Answer[T] | None:
        """A call on the worker that reads a sensor; None where none does, or it is behind.

        A call that waited behind one that hangs would come too late, and others would pile up.
        """
        name = self._worker_of.get(sensor)
        before = None if name is None else self._outstanding.get(name)
        if name is None or (before is not None and not before.done.done()):
            return None
        return self._workers()[name].submit(call)

    def _wanted(self, wanted: Callable[[Sensor], bool], worker: str | None) -> list[Sensor]:
        found = [s for s in self.sensors() if self._worker_of[s] == worker and wanted(s)]
        return sorted(found, key=self._slow.__contains__)

    def _ask(self, name: str, sensors: Sequence[Sensor]) -> Batch | None:
        """One batch of reads on a worker; None while an earlier batch still hangs in the driver."""
        before = self._outstanding.get(name)
        if before is None or before.done.done():
            self._late.discard(name)
        elif name in self._late:  # it hangs; a call that is merely under way is waited for
            return None
        begun: Answer[float] = Answer()
        seen: list[tuple[Sensor, Seen]] = []

        def read_all() -> None:
            begun.set_result(self._clock())
            for sensor in sensors:
                self._being_read[name] = sensor
                seen.append((sensor, self.read(sensor)))

        batch = Batch(begun, self._workers()[name].submit(read_all), seen)
        self._outstanding[name] = batch
        return batch


def _with_use(sample: Sample, sensor: Sensor) -> Sample:
    """The sample with how busy a GPU has been, where its sensor tells: asked after the reading, so
    that it is no part of how long that took."""
    ask = getattr(sensor, "use", None)
    if ask is None:
        return sample
    with suppress(Exception):  # the energy is known without it
        return replace(sample, use=ask())
    return sample


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
        if main and signal_of(error) is not None:
            raise  # the user's own Ctrl-C, or alarm
        raise SensorError(f"{type(error).__name__}: {error}") from error
    raise SensorError(f"the sensor gave {told!r:.40}, which is no reading")

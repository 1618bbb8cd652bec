"""Sensor families of the shape that third parties write, and a clock that moves when told."""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Literal

from jupyter_energy.errors import SensorError
from jupyter_energy.model import Domain, Provenance
from jupyter_energy.sensors.base import Absence, Accuracy, Discovery, Family, Machine

# Generous, because a test machine may be busy: it bounds a hang and measures nothing.
LIMIT_S = 60.0


def everything(_: object) -> bool:
    """All sensors are wanted, by each window alike."""
    return True


class Clock:
    """Seconds that pass when a test says so, and the sampler's waiting by them.

    `waits` receives every pause that the sampler's thread asks for (None: until it is woken).
    """

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.waits: queue.Queue[float | None] = queue.Queue()
        self._condition: threading.Condition | None = None
        self._wakes_at_s: float | None = None

    def __call__(self) -> float:
        return self.now_s

    def wait(self, condition: threading.Condition, pause_s: float | None) -> None:
        """Stands in for Condition.wait: `advance` ends it when the pause is over."""
        self._condition = condition
        self._wakes_at_s = None if pause_s is None else self.now_s + pause_s
        self.waits.put(pause_s)
        condition.wait()

    def advance(self, seconds: float) -> None:
        """Let time pass; a thread whose pause is over then goes on."""
        self.now_s += seconds
        if self._condition is not None:
            with self._condition:
                if self._wakes_at_s is not None and self.now_s >= self._wakes_at_s:
                    self._condition.notify_all()

    def next_pause(self) -> float | None:
        """The next pause that the sampler asks for, waited for."""
        return self.waits.get(timeout=LIMIT_S)


class FakeSensor:
    """A sensor whose reading a test sets; it notes who reads and closes it.

    `hang()` makes the next reads block, as a driver can, until `release()`.
    """

    provenance: Provenance = "measured"
    period_s, step_j, averages_s = 0.0, 0.0, 0.0  # never late: its figures are exact
    settles_s: float | None = None
    polls_s: float | None = None
    accuracy = Accuracy(0.0, "a test")

    def __init__(
        self,
        domain: Domain | None = None,
        kind: Literal["counter", "gauge"] = "counter",
        worker: str | None = None,
        wraps_at_j: float | None = None,
        spread: tuple[float, float] | None = None,
        max_w: float | None = 1e9,
    ) -> None:
        self.domain = domain or Domain("package", 0, "package-0")
        self.kind, self.worker, self.wraps_at_j = kind, worker, wraps_at_j
        self.spread, self.max_w = spread, max_w
        self.source = "fake"
        self.value = 0.0  # J or W
        self.fault: Exception | None = None
        self.readers: list[str] = []
        self.closers: list[str] = []
        self.reads: queue.Queue[int] = queue.Queue()  # the number of each read, when it ends
        self.reading = threading.Event()
        self._free = threading.Event()
        self._free.set()

    def read(self) -> float:
        """The reading that was set."""
        self.readers.append(threading.current_thread().name)
        self.reading.set()
        if not self._free.wait(LIMIT_S):
            raise SensorError("a test let go of this sensor")
        self.reads.put(len(self.readers))
        if self.fault is not None:
            raise self.fault
        return self.value

    def close(self) -> None:
        """Noted."""
        self.closers.append(threading.current_thread().name)

    def forget(self) -> None:
        """Count its readings from here on."""
        self.readers.clear()
        while not self.reads.empty():
            self.reads.get()

    def hang(self) -> None:
        """Block from the next read on."""
        self.reading.clear()
        self._free.clear()

    def release(self) -> None:
        """Let blocked reads, and all later ones, through."""
        self._free.set()

    def next_read(self) -> int:
        """The number of the next read that ends, waited for."""
        return self.reads.get(timeout=LIMIT_S)


_numbers = itertools.count()


def family(
    *sensors: FakeSensor,
    absences: tuple[Absence, ...] = (),
    worker: str | None = None,
    name: str | None = None,
    before: Callable[[], object] | None = None,
) -> Family:
    """A module of sensors; `before` runs while it is being asked (to wait, or to fail)."""

    def discover(machine: Machine) -> Discovery:
        if before is not None:
            before()
        return Discovery(sensors, absences)

    made: Family = SimpleNamespace(
        __name__=name or f"fakes{next(_numbers)}", WORKER=worker, discover=discover
    )
    return made

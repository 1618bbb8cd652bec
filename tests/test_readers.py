"""One edge's reads: how long they are waited for, and whose figures a call that hangs can take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from standins.sensors import LIMIT_S, Clock, FakeSensor

from jupyter_energy import upkeep
from jupyter_energy.answer import Answer
from jupyter_energy.model import Domain, Sample
from jupyter_energy.readers import DRIVER_BUSY, DRIVER_DEADLINE_S, Readers
from jupyter_energy.sensors.base import Sensor
from jupyter_energy.window import Edge
from jupyter_energy.worker import Worker

NVML = "nvml"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def worker() -> Iterator[Worker]:
    made = Worker("a driver's")
    yield made
    made.close(LIMIT_S)


def everything(sensor: Sensor) -> bool:
    return True


def gpus(count: int, worker: str = NVML) -> list[FakeSensor]:
    return [FakeSensor(Domain("gpu", n, f"GPU {n}"), worker=worker) for n in range(count)]


def readers_of(worker: Worker, clock: Clock, sensors: list[FakeSensor]) -> Readers:
    # Those that do not hang are to be read before it is over, also on a busy machine.
    readers = Readers(lambda: {NVML: worker}, clock, lambda: 0.0, deadline_s=1.0)
    readers.add(sensors, NVML)
    clock.now_s += 1
    return readers


def figures(readings: dict[Any, Any]) -> list[int]:
    """The GPUs that have a reading; every other one has the reason."""
    assert all(r == DRIVER_BUSY for r in readings.values() if not isinstance(r, Sample))
    return sorted(s.domain.index for s, seen in readings.items() if isinstance(seen, Sample))


def let_go(worker: Worker, hung: FakeSensor) -> None:
    """End a hang, and wait until the worker has nothing left to do."""
    hung.release()
    worker.submit(lambda: None).result(LIMIT_S)


def test_a_gpu_that_hangs_takes_no_figure_of_those_read_before_it(
    worker: Worker, clock: Clock
) -> None:
    sensors = gpus(4)
    readers = readers_of(worker, clock, sensors)
    sensors[2].hang()
    assert figures(readers.read_drivers(everything)) == [0, 1]
    let_go(worker, sensors[2])


def test_a_gpu_that_kept_an_edge_waiting_is_read_last_from_then_on(
    worker: Worker, clock: Clock
) -> None:
    sensors = gpus(4)
    readers = readers_of(worker, clock, sensors)
    sensors[0].hang()
    assert figures(readers.read_drivers(everything)) == []
    assert figures(readers.read_drivers(everything)) == []  # it still hangs: no call piles up
    let_go(worker, sensors[0])
    sensors[0].hang()  # again: but now the others come first
    clock.now_s += 1
    assert figures(readers.read_drivers(everything)) == [1, 2, 3]
    let_go(worker, sensors[0])


def test_what_an_edge_was_told_does_not_change_when_the_late_readings_come(
    worker: Worker, clock: Clock
) -> None:
    sensors = gpus(2)
    readers = readers_of(worker, clock, sensors)
    sensors[1].hang()
    told = readers.read_drivers(everything)
    before = dict(told)
    let_go(worker, sensors[1])
    assert told == before


class NeverDone(Answer[Any]):
    """What a call that hangs gives: it notes how long it was waited for, and time passes."""

    def __init__(self, clock: Clock, waits: list[float]) -> None:
        super().__init__()
        self._clock, self._waits = clock, waits

    def wait(self, timeout_s: float | None = None) -> bool:
        """Waited for in vain."""
        assert timeout_s is not None, "a call that hangs is waited for without an end"
        self._waits.append(max(0.0, timeout_s))
        self._clock.now_s += max(0.0, timeout_s)
        return False


class Hanging(Worker):
    """A worker whose every call hangs."""

    def __init__(self, clock: Clock) -> None:
        super().__init__("hangs")
        self.is_in_call = True
        self.waits: list[float] = []
        self._clock = clock

    def submit(self, call: Callable[[], Any]) -> Answer[Any]:
        """Never called."""
        return NeverDone(self._clock, self.waits)


class BegunLate(Answer[Any]):
    """What a call gives that begins when somebody has waited for it to the deadline."""

    def __init__(self, clock: Clock, call: Callable[[], Any]) -> None:
        super().__init__()
        self._clock, self._call = clock, call
        self._is_begun = False

    def wait(self, timeout_s: float | None = None) -> bool:
        """Waited for in vain the first time."""
        if self._is_begun:
            return super().wait(timeout_s)
        self._is_begun = True
        self._clock.now_s += timeout_s or 0.0
        self.set_result(self._call())
        return False


class Starved(Worker):
    """A worker that gets no processor before an edge's deadline."""

    def __init__(self, clock: Clock) -> None:
        super().__init__("starved")
        self._clock = clock

    def submit(self, call: Callable[[], Any]) -> Answer[Any]:
        """Called late."""
        return BegunLate(self._clock, call)


def test_a_worker_that_gets_no_processor_is_no_driver_that_hangs(clock: Clock) -> None:
    worker = Starved(clock)
    readers = readers_of(worker, clock, gpus(2))
    for _ in range(2):
        assert figures(readers.read_drivers(everything)) == [0, 1]


def hanging_readers(clock: Clock, drivers: int) -> tuple[Readers, Hanging]:
    """Readers of so many drivers, all of which hang."""
    worker = Hanging(clock)
    names = [f"driver {number}" for number in range(drivers)]
    readers = Readers(lambda: dict.fromkeys(names, worker), clock, lambda: 0.0)
    for name in names:
        readers.add(gpus(2, name), name)
    return readers, worker


@pytest.mark.parametrize("drivers", [1, 3])
def test_an_edge_waits_no_longer_than_its_deadline_for_all_drivers_together(
    clock: Clock, drivers: int
) -> None:
    readers, worker = hanging_readers(clock, drivers)
    assert set(readers.read_drivers(everything).values()) == {DRIVER_BUSY}
    assert sum(worker.waits) == pytest.approx(DRIVER_DEADLINE_S)
    assert sum(worker.waits) <= 0.05 + 1e-9


def test_an_edge_behind_a_poll_that_hangs_waits_no_longer_either(clock: Clock) -> None:
    readers, worker = hanging_readers(clock, 1)
    readers.poll(everything)
    readers.read_drivers(everything)
    assert sum(worker.waits) <= 0.05 + 1e-9


def test_a_driver_that_goes_on_hanging_is_waited_for_once(clock: Clock) -> None:
    readers, worker = hanging_readers(clock, 2)
    for _ in range(5):
        assert set(readers.read_drivers(everything).values()) == {DRIVER_BUSY}
    assert sum(worker.waits) == pytest.approx(DRIVER_DEADLINE_S)


class Told(FakeSensor):
    """A GPU that tells who else uses it."""

    def shared_with(self) -> str:
        """In words."""
        return "shared with 1 other process"


def test_who_shares_a_device_is_waited_for_with_one_deadline_for_all(clock: Clock) -> None:
    worker = Hanging(clock)
    readers = Readers(lambda: {NVML: worker}, clock, lambda: 0.0)
    sensors = [Told(Domain("gpu", n, "a GPU"), worker=NVML) for n in range(8)]
    readers.add(sensors, NVML)
    stop = Edge(clock(), {sensor: Sample(clock(), 0.0, 0.0) for sensor in sensors})
    assert upkeep.shared(readers, stop, clock) == {}
    assert sum(worker.waits) <= 0.05 + 1e-9


def test_who_shares_a_device_is_not_asked_where_its_driver_hangs(clock: Clock) -> None:
    worker = Hanging(clock)
    readers = Readers(lambda: {NVML: worker}, clock, lambda: 0.0)
    sensors = [Told(Domain("gpu", n, "a GPU"), worker=NVML) for n in range(8)]
    readers.add(sensors, NVML)
    stop = Edge(clock(), readers.read_drivers(everything))
    waited_s = sum(worker.waits)
    assert upkeep.shared(readers, stop, clock) == {}
    answered = Edge(clock(), {sensor: Sample(clock(), 0.0, 0.0) for sensor in sensors})
    assert upkeep.shared(readers, answered, clock) == {}  # those that were read before the hang
    assert sum(worker.waits) == waited_s


def test_who_shares_a_device_is_told_of_those_that_an_edge_has_read(
    worker: Worker, clock: Clock
) -> None:
    readers = Readers(lambda: {NVML: worker}, clock, lambda: 0.0)
    told, silent = Told(Domain("gpu", 0, "a GPU")), Told(Domain("gpu", 1, "another"))
    readers.add((told, silent), NVML)
    stop = Edge(clock(), {told: Sample(clock(), 0.0, 0.0), silent: DRIVER_BUSY})
    assert upkeep.shared(readers, stop, clock, LIMIT_S) == {told: "shared with 1 other process"}

"""Who reads the sensors, when and on which thread; a driver that hangs hurts nobody."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

import pytest
from standins.sensors import LIMIT_S, Clock, FakeSensor, family

from jupyter_energy.errors import SensorDenied, SensorTimeout
from jupyter_energy.model import Domain, Sample
from jupyter_energy.sampler import (
    DRIVER_BUSY,
    DRIVER_DEADLINE_S,
    GUARD_LINGERS_S,
    GUARD_PERIOD_S,
    REST_AFTER_S,
    Sampler,
)
from jupyter_energy.sensors.base import Absence, Family, Machine, Sensor
from jupyter_energy.window import Edge

GPU = Domain("gpu", 0, "a GPU")
Start = Callable[..., Sampler]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def start(clock: Clock) -> Iterator[Start]:
    """Starts a sampler of some families, by default waiting until all have been asked."""
    with ExitStack() as stack:

        def started(
            *families: Family, found: bool = True, driver_deadline_s: float = LIMIT_S
        ) -> Sampler:
            sampler = Sampler(
                *(Machine(), lambda: families, 1.0, clock, clock.wait),
                driver_deadline_s=driver_deadline_s,
            )
            stack.callback(sampler.close)
            sampler.start()
            if found:
                assert sampler.wait_until_found(LIMIT_S)
                assert clock.next_pause() is None  # nothing is open: it sleeps without a timer
                for sensor in sampler.sensors():
                    assert isinstance(sensor, FakeSensor)
                    sensor.forget()  # the first reading, by which its trace began
                clock.advance(1)
            return sampler

        yield started


def everything(sensor: Sensor) -> bool:
    return True


def sample(edge: Edge, sensor: FakeSensor) -> Sample:
    reading = edge.readings[sensor]
    assert isinstance(reading, Sample), reading
    return reading


# -- edges -----------------------------------------------------------------------------------


def test_an_edge_reads_files_on_the_calling_thread_and_drivers_on_their_worker(
    start: Start,
) -> None:
    file, driver = FakeSensor(), FakeSensor(GPU, worker="nvml")
    sampler = start(family(file), family(driver, worker="nvml"))
    sampler.opening_edge(everything)
    sampler.closing_edge(everything)
    here = threading.current_thread().name
    assert file.readers == [here, here]
    assert driver.readers == ["jupyter-energy-nvml"] * 2


def test_a_window_is_the_difference_of_its_edges(start: Start, clock: Clock) -> None:
    file = FakeSensor()
    sampler = start(family(file))
    file.value = 1000.0
    opened = sampler.opening_edge(everything)
    clock.advance(2)
    file.value = 1030.0
    closed = sampler.closing_edge(everything)
    assert sample(closed, file).energy_j - sample(opened, file).energy_j == pytest.approx(30)
    assert sample(closed, file).covered_s - sample(opened, file).covered_s == pytest.approx(2)
    assert closed.t_s - opened.t_s == pytest.approx(2)


def test_only_the_sensors_that_are_asked_for_are_read(start: Start) -> None:
    file, driver = FakeSensor(), FakeSensor(GPU, worker="nvml")
    sampler = start(family(file), family(driver, worker="nvml"))
    edge = sampler.opening_edge(lambda sensor: sensor is driver)
    assert list(edge.readings) == [driver]
    assert file.readers == []


def test_a_sensor_that_fails_gives_its_reason_and_the_others_their_figures(start: Start) -> None:
    fine, denied, broken = FakeSensor(), FakeSensor(GPU), FakeSensor(Domain("dram", 0, "dram"))
    denied.fault, broken.fault = SensorDenied("not for this user"), ZeroDivisionError("a bug")
    sampler = start(family(denied, broken, fine))
    edge = sampler.opening_edge(everything)
    assert edge.readings[denied] == "not for this user"
    assert edge.readings[broken] == "ZeroDivisionError: a bug"
    assert isinstance(edge.readings[fine], Sample)


def test_a_driver_that_hangs_costs_one_edge_its_figure_and_no_call_piles_up(start: Start) -> None:
    file, driver = FakeSensor(), FakeSensor(GPU, worker="nvml")
    sampler = start(
        family(file), family(driver, worker="nvml"), driver_deadline_s=DRIVER_DEADLINE_S
    )
    driver.hang()
    edges = [sampler.opening_edge(everything)]  # that it returns at all is the deadline
    for _ in range(10):
        edges += [sampler.closing_edge(everything), sampler.opening_edge(everything)]
    assert {edge.readings[driver] for edge in edges} == {DRIVER_BUSY}
    assert all(isinstance(edge.readings[file], Sample) for edge in edges)
    driver.release()
    sampler.ask(driver, driver.read, LIMIT_S)  # ends after all calls that were made before it
    assert len(driver.readers) == 2  # the one that hung, and this one


def test_a_driver_that_is_busy_with_another_thread_is_waited_for(start: Start) -> None:
    driver = FakeSensor(GPU, worker="nvml")
    sampler = start(family(driver, worker="nvml"))
    edges: list[Edge] = []
    begun = threading.Semaphore(0)

    def edge() -> None:
        edges.append(sampler.opening_edge(everything))

    def late_edge() -> None:
        def wanted(sensor: Sensor) -> bool:
            begun.release()  # its next step is to ask the driver
            return True

        assert driver.reading.wait(LIMIT_S)  # it is busy with the first
        edges.append(sampler.opening_edge(wanted))

    for _ in range(20):
        driver.hang()
        threads = [threading.Thread(target=call) for call in (late_edge, late_edge, edge)]
        for thread in threads:
            thread.start()
        for _ in range(2):
            assert begun.acquire(timeout=LIMIT_S)
        driver.release()
        for thread in threads:
            thread.join()
    assert [e for e in edges if not isinstance(e.readings[driver], Sample)] == []


class Descheduled(FakeSensor):
    """A counter whose first reader is held up behind its reading, until another has come by."""

    def __init__(self) -> None:
        super().__init__(wraps_at_j=262_143.0, max_w=100.0)
        self.read_once, self.passed = threading.Event(), threading.Event()
        self.slow: threading.Thread | None = None

    def read(self) -> float:
        """What the counter held when it was read."""
        raw = super().read()
        if threading.current_thread() is self.slow:
            self.read_once.set()
            # Where nobody can come by, as must be, this ends by itself.
            self.passed.wait(0.2)
        return raw


def test_two_threads_that_read_one_counter_never_swap_their_readings(
    start: Start, clock: Clock
) -> None:
    counter = Descheduled()
    sampler = start(family(counter))
    counter.value = 100.0
    opened = sample(sampler.opening_edge(everything), counter)
    clock.advance(1)
    counter.value = 110.0
    counter.slow = threading.Thread(target=lambda: sampler.opening_edge(everything))
    counter.slow.start()
    assert counter.read_once.wait(LIMIT_S)
    clock.advance(1)
    counter.value = 120.0
    sampler.closing_edge(everything)
    clock.advance(1)
    counter.passed.set()
    counter.slow.join()
    clock.advance(1)
    counter.value = 140.0
    closed = sample(sampler.closing_edge(everything), counter)
    assert closed.energy_j - opened.energy_j == pytest.approx(40)
    assert closed.covered_s - opened.covered_s == pytest.approx(4)


def test_a_reading_that_came_too_late_for_its_edge_still_enters_the_trace(
    start: Start, clock: Clock
) -> None:
    driver = FakeSensor(GPU, worker="nvml")
    sampler = start(family(driver, worker="nvml"), driver_deadline_s=DRIVER_DEADLINE_S)
    driver.hang()
    driver.value = 500.0
    assert sampler.opening_edge(everything).readings[driver] == DRIVER_BUSY
    assert driver.reading.wait(LIMIT_S)
    driver.release()
    sampler.ask(driver, driver.read, LIMIT_S)  # after the late one; it enters no trace
    clock.advance(3)
    driver.value = 560.0
    late = sample(sampler.closing_edge(everything), driver)
    assert (late.energy_j, late.covered_s) == (pytest.approx(560), pytest.approx(4))
    assert late.number == 3  # the one by which it was found, the late one, this one


def test_a_single_try_gives_up_on_a_driver_that_hangs(start: Start) -> None:
    driver = FakeSensor(GPU, worker="nvml")
    sampler = start(family(driver, worker="nvml"))
    driver.hang()
    with pytest.raises(SensorTimeout):
        sampler.try_once(driver)
    driver.release()


# -- finding ---------------------------------------------------------------------------------


def test_a_sensor_found_late_is_not_in_an_edge_before_it(start: Start) -> None:
    gate = threading.Event()
    early, late = FakeSensor(), FakeSensor(GPU, worker="slow")
    slow = family(late, worker="slow", before=lambda: gate.wait(LIMIT_S))
    sampler = start(slow, family(early), found=False)
    while early not in sampler.sensors():  # the fast family is not held up by the slow one
        assert not sampler.wait_until_found(0.001)
    opened = sampler.opening_edge(everything)
    gate.set()
    assert sampler.wait_until_found(LIMIT_S)
    closed = sampler.closing_edge(everything)
    assert list(opened.readings) == [early]
    assert set(closed.readings) == {early, late}


def test_one_family_that_fails_hides_no_other(start: Start) -> None:
    def fail() -> None:
        raise ImportError("no such library")

    fine = FakeSensor()
    sampler = start(family(before=fail, name="broken"), family(fine))
    assert sampler.sensors() == (fine,)
    assert sampler.discoveries()["broken"].notes == ("failed: ImportError: no such library",)


def test_families_that_cannot_be_listed_leave_a_note_and_no_sensor(clock: Clock) -> None:
    def fail() -> Sequence[Family]:
        raise OSError("metadata of some package is broken")

    sampler = Sampler(Machine(), fail, 1.0, clock, clock.wait)
    sampler.start()
    assert sampler.wait_until_found(LIMIT_S)
    assert sampler.opening_edge(everything).readings == {}
    assert "metadata of some package" in sampler.discoveries()["sensors"].notes[0]
    sampler.close()


def test_two_families_of_one_name_are_both_found(start: Start) -> None:
    one, two = FakeSensor(), FakeSensor(GPU)
    sampler = start(family(one, name="here.meter"), family(two, name="there.meter"))
    assert set(sampler.sensors()) == {one, two}
    assert len(sampler.discoveries()) == 2


def test_a_machine_with_no_family_is_known_at_once_to_have_nothing(start: Start) -> None:
    assert start().sensors() == ()


def test_absences_are_those_of_all_families(start: Start) -> None:
    missing = Absence(GPU, "nvml", "no driver")
    also = Absence(Domain("package", 0, "CPU"), "rapl", "only root may read it")
    sampler = start(family(absences=(missing,)), family(absences=(also,)))
    assert sampler.absences() == (missing, also)


# -- the thread ------------------------------------------------------------------------------


def test_a_gauge_is_polled_while_a_window_is_open_and_not_else(start: Start, clock: Clock) -> None:
    gauge = FakeSensor(GPU, kind="gauge")
    sampler = start(family(gauge))
    assert gauge.readers == []
    sampler.opening_edge(everything)
    for _ in range(3):
        pause_s = clock.next_pause()
        assert pause_s is not None
        assert 0.5 <= pause_s <= 1.5  # a second, jittered
        before = len(gauge.readers)
        clock.advance(pause_s)
        while len(gauge.readers) == before:
            gauge.next_read()
    sampler.closing_edge(everything)
    at_end = len(gauge.readers)
    clock.next_pause()
    clock.advance(2)  # the pause that was running ends, and no other is begun
    assert clock.next_pause() is None
    assert len(gauge.readers) == at_end


def test_a_gauge_between_edges_is_integrated_from_what_was_polled(
    start: Start, clock: Clock
) -> None:
    gauge = FakeSensor(GPU, kind="gauge", worker="nvml")
    sampler = start(family(gauge, worker="nvml"))
    gauge.value = 100.0
    opened = sample(sampler.opening_edge(everything), gauge)
    clock.next_pause()
    sampler.ask(gauge, gauge.read, LIMIT_S)  # whatever was being read has been read
    clock.advance(2)  # longer than any pause, so the gauge is polled here
    clock.next_pause()
    sampler.ask(gauge, gauge.read, LIMIT_S)
    gauge.value = 300.0
    clock.advance(2)
    clock.next_pause()
    sampler.ask(gauge, gauge.read, LIMIT_S)
    closed = sample(sampler.closing_edge(everything), gauge)
    assert closed.energy_j - opened.energy_j == pytest.approx(100 * 2 + 200 * 2)
    assert closed.covered_s - opened.covered_s == pytest.approx(4)


def test_a_counter_that_never_wraps_needs_no_timer_even_while_a_window_is_open(
    start: Start, clock: Clock
) -> None:
    counter = FakeSensor()
    sampler = start(family(counter))
    for _ in range(5):
        sampler.opening_edge(everything)
        clock.advance(3600)
        sampler.closing_edge(everything)
        clock.advance(3600)
    assert len(counter.readers) == 10  # the edges alone
    assert clock.waits.empty()  # the one pause, without an end, still runs


def test_a_counter_that_wraps_is_guarded_for_ten_minutes_after_the_last_cell(
    start: Start, clock: Clock
) -> None:
    counter = FakeSensor(wraps_at_j=1000.0, max_w=30.0)
    sampler = start(family(counter))
    opened = sample(sampler.opening_edge(everything), counter)
    assert clock.next_pause() == GUARD_PERIOD_S
    for turn in range(1, 41):  # 20 minutes at 20 W: 24 times around the counter
        counter.value = 600.0 * turn % 1000.0
        before = len(counter.readers)
        clock.advance(GUARD_PERIOD_S)
        assert clock.next_pause() == GUARD_PERIOD_S
        assert len(counter.readers) == before + 1
    closed = sample(sampler.closing_edge(everything), counter)
    assert closed.energy_j - opened.energy_j == pytest.approx(24_000)
    assert closed.covered_s - opened.covered_s == pytest.approx(1200)
    guards = 0
    clock.advance(GUARD_PERIOD_S)
    while clock.next_pause() is not None:
        guards += 1
        clock.advance(GUARD_PERIOD_S)
    assert guards == GUARD_LINGERS_S / GUARD_PERIOD_S - 1
    at_rest = len(counter.readers)
    clock.advance(24 * 3600)
    assert len(counter.readers) == at_rest
    assert clock.waits.empty()


# -- the end ---------------------------------------------------------------------------------


def test_the_end_stops_every_thread_and_closes_each_sensor_on_its_own(clock: Clock) -> None:
    before = set(threading.enumerate())
    file, driver = FakeSensor(), FakeSensor(GPU, worker="nvml")
    families = (family(file), family(driver, worker="nvml"))
    sampler = Sampler(Machine(), lambda: families, 1.0, clock, clock.wait)
    sampler.start()
    assert sampler.wait_until_found(LIMIT_S)
    clock.next_pause()
    sampler.opening_edge(everything)
    assert len(set(threading.enumerate()) - before) == 2
    sampler.close()
    assert set(threading.enumerate()) <= before
    assert file.closers == [threading.current_thread().name]
    assert driver.closers == ["jupyter-energy-nvml"]
    assert sampler.closing_edge(everything).readings == {}  # an edge after the end is empty


def test_a_driver_that_hangs_is_left_behind_and_what_it_finds_is_closed(clock: Clock) -> None:
    gate, begun = threading.Event(), threading.Event()
    driver = FakeSensor(GPU, worker="nvml")

    def hang() -> None:
        begun.set()
        gate.wait(LIMIT_S)

    slow = family(driver, worker="nvml", before=hang)
    sampler = Sampler(Machine(), lambda: (slow,), 1.0, clock, clock.wait)
    sampler.start()
    assert begun.wait(LIMIT_S)
    (hanging,) = (t for t in threading.enumerate() if t.name == "jupyter-energy-nvml")
    sampler.close()  # that it returns at all is the point
    gate.set()
    hanging.join(LIMIT_S)
    assert driver.closers == ["jupyter-energy-nvml"]
    assert sampler.sensors() == ()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")  # it is the point
def test_a_forked_child_reads_nothing_and_raises_nothing(start: Start) -> None:
    file, driver = FakeSensor(), FakeSensor(GPU, worker="nvml")
    sampler = start(family(file), family(driver, worker="nvml"))
    sampler.opening_edge(everything)
    read_before = len(file.readers), len(driver.readers)
    child = os.fork()
    if child == 0:
        status = 9  # an exception
        try:
            edges = sampler.opening_edge(everything), sampler.closing_edge(everything)
            sampler.close()
            read = (len(file.readers), len(driver.readers)) != read_before
            status = 1 if read or file.closers or any(edge.readings for edge in edges) else 0
        finally:
            os._exit(status)
    _, ended = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(ended) == 0
    assert isinstance(sampler.closing_edge(everything).readings[driver], Sample)


def test_a_sensor_found_while_a_window_is_open_is_read_from_then_on(
    start: Start, clock: Clock
) -> None:
    gate = threading.Event()
    late = FakeSensor(GPU, worker="slow")
    sampler = start(family(late, worker="slow", before=lambda: gate.wait(LIMIT_S)), found=False)
    opened = sampler.opening_edge(everything)
    clock.advance(1)
    gate.set()
    assert sampler.wait_until_found(LIMIT_S)
    clock.advance(3)
    closed = sampler.closing_edge(everything)
    assert opened.readings == {}
    assert sample(closed, late).covered_s == pytest.approx(3)


def test_a_plug_in_that_hangs_when_it_is_loaded_hides_no_sensor_before_it(clock: Clock) -> None:
    gate = threading.Event()
    built_in, plugged_in = FakeSensor(), FakeSensor(GPU)

    def families() -> Iterator[Family]:
        yield family(built_in)
        gate.wait(LIMIT_S)
        yield family(plugged_in)

    sampler = Sampler(Machine(), families, clock=clock)
    sampler.start()
    try:
        while built_in not in sampler.sensors():
            assert not sampler.wait_until_found(0.001)
        gate.set()
        assert sampler.wait_until_found(LIMIT_S)
        assert set(sampler.sensors()) == {built_in, plugged_in}
    finally:
        gate.set()
        sampler.close()


# -- after a window --------------------------------------------------------------------------


def slow_counter(polls_s: float | None = None) -> FakeSensor:
    """A counter as NVML's: renewed every 100 ms, and worth a read 150 ms after a window."""
    counter = FakeSensor(GPU)
    counter.period_s, counter.settles_s, counter.polls_s = 0.1, 0.15, polls_s
    return counter


def paused(clock: Clock) -> float:
    """The next pause that ends by itself."""
    while (pause_s := clock.next_pause()) is None:
        pass
    return pause_s


def ended(sampler: Sampler, clock: Clock) -> Edge:
    """The closing edge of a window of a second."""
    sampler.opening_edge(everything)
    clock.advance(1)
    return sampler.closing_edge(everything)


def test_a_slow_counter_is_read_once_more_a_moment_after_its_window(
    start: Start, clock: Clock
) -> None:
    slow, quick = slow_counter(), FakeSensor()
    sampler = start(family(slow, quick))
    stop = ended(sampler, clock)
    told: queue.Queue[Edge | None] = queue.Queue()
    assert sampler.settle(stop, told.put)
    assert paused(clock) == pytest.approx(0.15)
    clock.advance(0.15)
    edge = told.get(timeout=LIMIT_S)
    assert edge is not None
    assert edge.t_s - stop.t_s == pytest.approx(0.15)
    assert list(edge.readings) == [slow]
    assert isinstance(edge.readings[slow], Sample)
    assert len(quick.readers) == 2  # its edges alone
    assert clock.next_pause() is None  # and then the thread sleeps without a timer


@pytest.mark.parametrize(("gap_s", "tells"), [(0.05, False), (0.12, True)])
def test_a_window_that_begins_soon_takes_the_place_of_the_read_after_the_one_before(
    start: Start, clock: Clock, gap_s: float, tells: bool
) -> None:
    slow = slow_counter()
    sampler = start(family(slow))
    told: queue.Queue[Edge | None] = queue.Queue()
    assert sampler.settle(ended(sampler, clock), told.put)
    clock.advance(gap_s)
    opened = sampler.opening_edge(everything)
    # What it read at its start holds where the counter has been renewed by then.
    assert told.get(timeout=LIMIT_S) == (opened if tells else None)
    sampler.closing_edge(everything)
    assert opened.quiet_s == pytest.approx(gap_s)


def test_nothing_is_read_after_a_window_that_lies_in_another_or_where_nothing_would_be_told(
    start: Start, clock: Clock
) -> None:
    slow, quick = slow_counter(), FakeSensor()
    sampler = start(family(slow, quick))
    sampler.opening_edge(everything)
    inner = ended(sampler, clock)
    assert not sampler.settle(inner, lambda _: None)
    sampler.closing_edge(everything)
    only_quick = sampler.closing_edge(lambda sensor: sensor is quick)
    assert not sampler.settle(only_quick, lambda _: None)


def test_closing_tells_those_who_still_wait(start: Start, clock: Clock) -> None:
    sampler = start(family(slow_counter()))
    told: queue.Queue[Edge | None] = queue.Queue()
    assert sampler.settle(ended(sampler, clock), told.put)
    sampler.close()
    assert told.get(timeout=LIMIT_S) is None


def test_a_counter_that_bears_it_is_read_around_the_edges_of_shown_windows_alone(
    start: Start, clock: Clock
) -> None:
    counter = slow_counter(polls_s=0.02)
    sampler = start(family(counter))
    sampler.opening_edge(everything)
    assert clock.waits.empty()  # a silent window: nothing is polled
    sampler.closing_edge(everything)
    sampler.opening_edge(everything, shown=True)
    counter.forget()
    for _ in range(7):  # 1.3 periods
        counter.next_read()
        assert paused(clock) == pytest.approx(0.02)
        clock.advance(0.02)
    while paused_s := clock.next_pause():
        clock.advance(paused_s)
    assert 7 <= len(counter.readers) <= 9
    sampler.closing_edge(everything, shown=True)


def test_a_window_that_is_dropped_leaves_the_quiet_before_the_next_one_as_it_was(
    start: Start, clock: Clock
) -> None:
    sampler = start(family(FakeSensor()))
    ended(sampler, clock)
    clock.advance(5)
    sampler.opening_edge(everything)
    sampler.drop_edge(everything)
    assert sampler.opening_edge(everything).quiet_s == pytest.approx(5)


def test_a_machine_that_slept_in_a_window_is_seen_by_its_clocks_and_no_wrap_is_made_of_it(
    clock: Clock,
) -> None:
    slept_s = 0.0
    counter = FakeSensor(wraps_at_j=1000.0, max_w=30.0)
    sampler = Sampler(Machine(), lambda: [family(counter)], 1.0, clock, clock.wait, lambda: slept_s)
    sampler.start()
    assert sampler.wait_until_found(LIMIT_S)
    counter.value = 900.0
    clock.advance(30)
    opened = sampler.opening_edge(everything)
    slept_s, counter.value = 240.0, 5.0  # its registers began again at 0 in the meantime
    clock.advance(4)
    closed = sampler.closing_edge(everything)
    sampler.close()
    assert closed.asleep_s - opened.asleep_s == 240.0
    first, last = sample(opened, counter), sample(closed, counter)
    assert last.energy_j == first.energy_j
    assert last.covered_s == first.covered_s


class Restful(FakeSensor):
    """A sensor behind a driver that keeps its device awake until it is let go of."""

    def __init__(self) -> None:
        super().__init__(GPU, worker="nvml")
        self.rested: queue.Queue[str] = queue.Queue()

    def rest(self) -> None:
        """Noted."""
        self.rested.put(threading.current_thread().name)


def test_a_driver_that_keeps_its_device_awake_is_let_go_of_once_some_time_after_the_last_window(
    clock: Clock,
) -> None:
    gpu = Restful()
    sampler = Sampler(
        Machine(), lambda: [family(gpu, worker="nvml")], 1.0, clock, clock.wait, lambda: 0.0
    )
    sampler.start()
    assert sampler.wait_until_found(LIMIT_S)
    ended(sampler, clock)
    assert paused(clock) <= REST_AFTER_S
    clock.advance(REST_AFTER_S)
    assert gpu.rested.get(timeout=LIMIT_S) == "jupyter-energy-nvml"
    while clock.next_pause() is not None:
        clock.advance(REST_AFTER_S)
    assert gpu.rested.empty()  # once, and then the thread sleeps without a timer
    sampler.close()

"""A trace: what it adds, what it leaves out, and that it never falls."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_energy.model import Domain, Provenance, Sample
from jupyter_energy.sensors.base import Accuracy, Reading
from jupyter_energy.trace import LONGEST_GAUGE_STEP_S, Trace

STEP_J = 61.035e-6
RANGE_STEPS = 2**32 - 1
INTEL_J = RANGE_STEPS * STEP_J
PACKAGE = Domain("package", 0, "package-0")
EXACT = Accuracy(0.0, "a test")


@dataclass(frozen=True)
class Told:
    """What a sensor says of itself; the readings are given to the trace by the test."""

    kind: Literal["counter", "gauge"] = "counter"
    wraps_at_j: float | None = INTEL_J
    max_w: float | None = 400.0
    step_j: float = STEP_J
    period_s: float = 0.001
    provenance: Provenance = "measured"
    domain: Domain = PACKAGE
    source: str = "test"
    accuracy: Accuracy = EXACT
    averages_s: float = 0.0
    settles_s: float | None = None
    polls_s: float | None = None
    spread: tuple[float, float] | None = None
    worker: str | None = None

    def read(self) -> float:
        raise NotImplementedError

    def close(self) -> None:
        pass


GAUGE = Told(kind="gauge", wraps_at_j=None, step_j=0.0, max_w=300.0, period_s=0.1)
UNKNOWN_RANGE = Told(wraps_at_j=None)


def fed(sensor: Told, *readings: tuple[float, float]) -> tuple[Trace, list[Sample]]:
    trace = Trace(sensor)
    return trace, [trace.add(t_s, raw) for t_s, raw in readings]


SENSORS = st.sampled_from([Told(), UNKNOWN_RANGE, Told(max_w=None), GAUGE])
ANY_READING = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.floats(0, 500),
    st.floats(INTEL_J - 100, INTEL_J),
)


@settings(deadline=None)  # a busy machine is no fault of the arithmetic
@given(SENSORS, st.lists(st.tuples(st.floats(0, 2000), ANY_READING), max_size=30))
def test_energy_and_cover_never_fall_whatever_a_sensor_says(
    sensor: Told, readings: list[tuple[float, float]]
) -> None:
    _, samples = fed(sensor, *readings)
    for before, after in pairwise(samples):
        assert after.t_s >= before.t_s
        assert after.energy_j >= before.energy_j
        assert after.covered_s >= before.covered_s
        # What is covered has passed, and nothing is drawn in time that is not covered.
        assert after.covered_s - before.covered_s <= after.t_s - before.t_s + 1e-9
        if after.covered_s == before.covered_s:
            assert after.energy_j == before.energy_j
    assert all(math.isfinite(sample.energy_j) for sample in samples)


# Truth: pieces of (s, W). At most 20 · 30 s · 400 W = 240 kJ, so that one turn is the most.
LOADS = st.lists(st.tuples(st.floats(0.001, 30), st.floats(0, 400)), min_size=1, max_size=20)


def counter_readings(
    load: list[tuple[float, float]], start_steps: int
) -> list[tuple[float, float]]:
    """What a counter of 32 bits shows between the pieces of a load."""
    t_s, energy_j = 0.0, 0.0
    readings = [(t_s, start_steps * STEP_J)]
    for seconds, watts in load:
        t_s, energy_j = t_s + seconds, energy_j + seconds * watts
        steps = start_steps + math.floor(energy_j / STEP_J)
        readings.append((t_s, steps % (RANGE_STEPS + 1) * STEP_J))
    return readings


@settings(deadline=None)  # a busy machine is no fault of the arithmetic
@given(LOADS, st.integers(0, RANGE_STEPS), st.data())
def test_any_partition_of_a_counter_sums_to_the_whole_across_a_wrap(
    load: list[tuple[float, float]], start_steps: int, data: st.DataObject
) -> None:
    readings = counter_readings(load, start_steps)
    some = data.draw(st.lists(st.sampled_from(readings), unique=True)) if readings[1:-1] else []
    partition = sorted({readings[0], *some, readings[-1]})
    truth_j = sum(seconds * watts for seconds, watts in load)
    for trace, samples in (fed(Told(), *partition), fed(Told(), readings[0], readings[-1])):
        assert trace.gaps == 0
        assert samples[-1].energy_j == pytest.approx(truth_j, abs=2 * STEP_J, rel=1e-9)
        assert samples[-1].covered_s == pytest.approx(readings[-1][0])


@pytest.mark.parametrize(
    ("before", "after", "gained"),
    [
        (RANGE_STEPS - 1, RANGE_STEPS, 1),
        (RANGE_STEPS, 0, 1),
        (RANGE_STEPS - 1, 0, 2),
        (RANGE_STEPS, 1, 2),
        (RANGE_STEPS, RANGE_STEPS, 0),
        (RANGE_STEPS - 1, 1, 3),
        (0, 0, 0),
    ],
)
def test_a_wrap_is_exact_to_the_step(before: int, after: int, gained: int) -> None:
    trace, samples = fed(Told(), (0, before * STEP_J), (1, after * STEP_J))
    assert trace.gaps == 0
    assert samples[-1].energy_j == pytest.approx(gained * STEP_J, abs=1e-9)


def test_two_wraps_between_readings_of_a_guard_are_both_counted() -> None:
    height_j, readings = 0.0, [(0.0, 0.0)]
    for number in range(1, 51):  # 50 guards of 30 s at 390 W are 585 kJ: two turns of 262 kJ
        height_j += 30 * 390.0
        readings.append((30.0 * number, height_j % (INTEL_J + STEP_J)))
    trace, samples = fed(Told(), *readings)
    assert trace.gaps == 0
    assert samples[-1].energy_j == pytest.approx(585_000, abs=1)


def test_so_long_a_time_that_two_wraps_could_hide_is_a_gap_even_if_the_counter_rose() -> None:
    longest_s = INTEL_J / 400
    trace, samples = fed(Told(), (0, 0.0), (longest_s + 1, 1000.0), (longest_s + 2, 1100.0))
    assert "wrapped unseen" in (trace.last_gap or "")
    assert samples[1].energy_j == samples[1].covered_s == 0
    assert (samples[2].energy_j, samples[2].covered_s) == (100.0, pytest.approx(1))
    trace, samples = fed(Told(), (0, 0.0), (longest_s - 1, 1000.0))
    assert (trace.gaps, samples[1].energy_j) == (0, 1000.0)


def test_a_fall_of_a_counter_with_an_unknown_range_is_a_gap() -> None:
    trace, samples = fed(UNKNOWN_RANGE, (0, 100.0), (1, 5.0), (2, 8.0))
    assert (trace.gaps, samples[-1].energy_j, samples[-1].covered_s) == (1, 3.0, 1.0)


def test_a_reset_that_looks_like_a_wrap_is_a_gap() -> None:
    # 1000 J up, then a driver that begins at 0: as a wrap this would be 261 kJ in a second.
    trace, samples = fed(Told(), (0, 1000.0), (1, 0.0), (2, 50.0))
    assert (trace.gaps, samples[-1].energy_j, samples[-1].covered_s) == (1, 50.0, 1.0)
    assert "more than can be drawn" in (trace.last_gap or "")


def test_a_counter_above_its_own_range_is_a_gap() -> None:
    trace, samples = fed(Told(), (0, 3 * INTEL_J), (1, 5.0))
    assert (trace.gaps, samples[-1].energy_j) == (1, 0.0)


def test_a_jump_beyond_what_can_be_drawn_is_a_gap_and_the_next_reading_counts_again() -> None:
    sensor = Told(wraps_at_j=None)
    trace, samples = fed(sensor, (0, 0.0), (1, 9_000.0), (2, 9_100.0))
    assert (trace.gaps, samples[-1].energy_j, samples[-1].covered_s) == (1, 100.0, 1.0)


def test_a_short_window_may_hold_the_energy_of_a_reading_that_came_late() -> None:
    # 10 ms by the stamps, but the thread lost the processor for 50 ms before it read.
    trace, samples = fed(Told(), (0, 0.0), (0.010, 400 * 0.060))
    assert (trace.gaps, samples[-1].energy_j) == (0, pytest.approx(24.0))


def test_an_estimate_is_never_implausible() -> None:
    trace, samples = fed(Told(wraps_at_j=None, provenance="estimated"), (0, 0.0), (0.1, 5_000.0))
    assert (trace.gaps, samples[-1].energy_j) == (0, 5_000.0)


@settings(deadline=None)  # a busy machine is no fault of the arithmetic
@given(st.integers(0, 600), st.lists(st.integers(1, 2560), min_size=1, max_size=50))
def test_a_gauge_at_constant_power_gives_power_times_time_exactly(
    power_w: int, steps: list[int]
) -> None:
    times_s = [sum(steps[:count]) / 1024 for count in range(len(steps) + 1)]
    trace, samples = fed(GAUGE, *((t_s, float(power_w)) for t_s in times_s))
    assert trace.gaps == 0
    assert samples[-1].energy_j == power_w * times_s[-1]
    assert samples[-1].covered_s == times_s[-1]


def test_a_gauge_is_integrated_by_trapezoids() -> None:
    _, samples = fed(GAUGE, (0, 100.0), (1, 300.0), (3, 0.0))
    assert [sample.energy_j for sample in samples] == [0, 200, 500]


@pytest.mark.parametrize("bad_w", [math.nan, math.inf, -1.0, 601.0])
def test_a_refused_power_enters_neither_the_trapezoid_before_nor_the_one_after(
    bad_w: float,
) -> None:
    trace, samples = fed(GAUGE, (0, 100.0), (1, 100.0), (2, bad_w), (3, 100.0), (4, 100.0))
    assert [sample.energy_j for sample in samples] == [0, 100, 100, 100, 200]
    assert [sample.covered_s for sample in samples] == [0, 1, 1, 1, 2]
    assert trace.gaps == 2
    assert [sample.t_s for sample in samples] == [0, 1, 2, 3, 4]


def test_a_first_reading_that_is_refused_starts_nothing() -> None:
    trace, samples = fed(Told(), (0, math.nan), (1, 100.0), (2, 150.0))
    assert (samples[-1].energy_j, samples[-1].covered_s) == (50.0, 1.0)
    assert trace.last_gap == "the sensor gave nan, which is no reading"


def test_a_gauge_that_was_not_read_for_long_is_a_gap() -> None:
    _, samples = fed(GAUGE, (0, 100.0), (LONGEST_GAUGE_STEP_S, 100.0))
    assert samples[-1].covered_s == LONGEST_GAUGE_STEP_S
    trace, samples = fed(GAUGE, (0, 100.0), (LONGEST_GAUGE_STEP_S + 0.1, 100.0))
    assert (samples[-1].energy_j, samples[-1].covered_s) == (0, 0)
    assert trace.last_gap == "no reading for 2.6 s"


def test_readings_with_one_stamp_or_out_of_order_lose_no_energy() -> None:
    trace, samples = fed(Told(), (0, 0.0), (1, 100.0), (1, 101.0), (0.5, 50.0), (2, 200.0))
    assert [sample.energy_j for sample in samples] == [0, 100, 100, 100, 200]
    assert [sample.t_s for sample in samples] == [0, 1, 1, 1, 2]
    assert trace.gaps == 0


def test_power_is_over_five_periods_at_least_and_unknown_after_a_gap() -> None:
    sensor = Told(period_s=0.1)
    trace = Trace(sensor)

    def power_w(t_s: float, raw: float) -> float | None:
        return trace.add(t_s, raw).power_w

    assert power_w(0, 0.0) is None
    assert power_w(0.001, 10.0) is None  # a period's energy in a ms is 10 kW, and says nothing
    assert power_w(0.5, 50.0) == pytest.approx(100)
    assert power_w(0.6, 90.0) == pytest.approx(100)
    assert power_w(1.0, 150.0) == pytest.approx(200)
    assert power_w(1.1, 9_999_999.0) is None
    assert power_w(1.6, 9_999_999.0 + 25) == pytest.approx(50)


def test_what_the_device_tells_of_its_power_goes_before_what_was_reckoned() -> None:
    trace = Trace(Told(period_s=0.1))
    trace.add(0.0, Reading(0.0, 20.0))
    told = trace.add(10.0, Reading(1000.0, 30.0))
    assert (told.power_w, told.power_since_s) == (30.0, pytest.approx(9.9))
    nonsense = trace.add(11.0, Reading(1100.0, math.nan))
    assert (nonsense.power_w, nonsense.power_since_s) == (pytest.approx(100), 10.0)


def test_readings_that_a_driver_kept_are_taken_at_their_own_moments() -> None:
    trace = Trace(GAUGE)
    trace.add(0.0, 100.0)
    past = tuple((0.1 * n, 100.0 if n < 5 else 200.0) for n in range(-3, 10))
    sample = trace.add(1.0, Reading(200.0, None, past))
    assert sample.covered_s == pytest.approx(1.0)
    assert sample.energy_j == pytest.approx(0.45 * 100 + 0.55 * 200)


def test_a_counter_that_fell_while_the_machine_slept_is_no_wrap() -> None:
    fell = [(0.0, INTEL_J - 10), (100.0, 5.0)]
    awake, asleep = Trace(Told()), Trace(Told())
    for slept, trace in ((False, awake), (True, asleep)):
        for t_s, raw in fell:
            trace.slept = slept
            last = trace.add(t_s, raw)
        assert last.covered_s == (0 if slept else 100)
    assert asleep.last_gap == "the counter fell while the machine slept"
    gauge = Trace(GAUGE)
    gauge.add(0.0, 50.0)
    gauge.slept = True
    assert gauge.add(1.0, 60.0).covered_s == 0
    assert gauge.add(2.0, 60.0).energy_j == pytest.approx(60)


def test_nothing_is_known_of_the_time_in_which_a_driver_was_loaded_again() -> None:
    trace = Trace(Told())
    trace.add(0.0, 100.0)
    trace.restarted = True
    higher = trace.add(10.0, 1000.0)  # it has counted further than the one before
    assert (higher.energy_j, higher.covered_s) == (0, 0)
    assert trace.last_gap == "the driver was loaded again"
    assert trace.add(11.0, 1100.0).energy_j == pytest.approx(100)

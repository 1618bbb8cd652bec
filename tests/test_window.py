"""Energy between two edges: hand-computed vectors, and no figure that nobody measured."""

from __future__ import annotations

import itertools
import math
import random
import statistics
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulation import Counter, Load

from jupyter_energy.model import Age, Domain, Provenance, Sample
from jupyter_energy.sensors.base import Absence, Accuracy
from jupyter_energy.trace import Trace
from jupyter_energy.uncertainty import Range, Uncertain
from jupyter_energy.window import Edge, between, boundary, measure

START = datetime(2026, 11, 22, tzinfo=UTC)
EXACT = Accuracy(0.0, "a test")
PACKAGE = Domain("package", 0, "package-0")


@dataclass(frozen=True, eq=False)
class Declared:
    """A sensor's declaration; windows are made of samples, so nothing reads it here."""

    domain: Domain = PACKAGE
    kind: Literal["counter", "gauge"] = "counter"
    provenance: Provenance = "measured"
    source: str = "rapl"
    wraps_at_j: float | None = None
    max_w: float | None = None
    step_j: float = 0.0
    period_s: float = 0.001
    accuracy: Accuracy = EXACT
    averages_s: float = 0.0
    settles_s: float | None = None
    polls_s: float | None = None
    spread: tuple[float, float] | None = None
    worker: str | None = None

    def read(self) -> float:
        """Never called."""
        raise AssertionError

    def close(self) -> None:
        """Nothing to close."""


def read_at(sensor: Counter, *moments_s: float) -> list[Sample]:
    """The samples of a trace that is read at these moments."""
    trace, samples = Trace(sensor), []
    for t_s in moments_s:
        sensor.now_s = t_s
        samples.append(trace.add(t_s, sensor.read()))
    return samples


@pytest.mark.parametrize(
    ("begin_w", "end_w", "period_s", "lasts_s", "bias_j", "sd_j", "bounds_j"),
    [
        # measuring.md 6.1: V1 to V6
        (100, 100, 0.1, 1.0, 0.0, 4.08, (-10, 10)),
        (50, 300, 0.1, 1.0, -12.5, 8.78, (-30, 5)),
        (100, 700, 0.1, 1.0, -30, 20.4, (-70, 10)),
        (100, 700, 0.02, 1.0, -6, 4.08, (-14, 2)),
        (5, 60, 0.001, 0.1, -0.0275, 0.0174, (-0.060, 0.005)),
        (5, 60, 0.001, 0.01, -0.0275, 0.0174, (-0.060, 0.005)),
    ],
    ids=["V1", "V2", "V3", "V4", "V5", "V6"],
)
def test_two_reads_of_a_counter_are_corrected_for_its_age_and_their_interval_holds(
    begin_w: float,
    end_w: float,
    period_s: float,
    lasts_s: float,
    bias_j: float,
    sd_j: float,
    bounds_j: tuple[float, float],
) -> None:
    assert boundary(begin_w, end_w, period_s / 2, period_s / 2).u == pytest.approx(sd_j, rel=0.005)
    rng = random.Random(1)
    plain, corrected, held = [], [], 0
    for _ in range(2000):
        # Of no whole number of periods: the two ages are then independent of each other.
        end_s = 10 + lasts_s + rng.uniform(0, period_s)
        truth_j = end_w * (end_s - 10)
        load = Load.of([(10, begin_w), (end_s - 10, end_w), (math.inf, begin_w)])
        sensor = Counter(load, period_s, rng.uniform(0, period_s), accuracy=EXACT)
        _, start, stop = read_at(sensor, 0.0, 10.0, end_s)
        plain.append(stop.energy_j - start.energy_j - truth_j)
        energy = between(sensor, start, stop, 10.0, end_s).energy
        assert isinstance(energy, Uncertain)
        corrected.append(energy.value - truth_j)
        held += abs(energy.value - truth_j) <= energy.u95_repeat
    low_j, high_j = bounds_j
    assert low_j - 1e-9 <= min(plain)
    assert max(plain) <= high_j + 1e-9
    slack_j = 4 * sd_j / math.sqrt(len(plain))
    assert statistics.fmean(plain) == pytest.approx(bias_j, abs=slack_j)
    assert statistics.stdev(plain) == pytest.approx(sd_j, rel=0.05)
    # Power is constant here, so that the mean is the power at the end, but for what was missed.
    assert statistics.fmean(corrected) == pytest.approx(0, abs=slack_j + 0.05 * abs(bias_j))
    assert held >= 0.93 * len(plain)


def test_a_constant_power_over_a_second() -> None:
    sensor = Declared(period_s=0.1, accuracy=Accuracy(0.05, "a test"))
    ages = Age(0.0, 0.1), Age(0.0, 0.1)
    start = Sample(10, 500, 10, power_w=100, age=ages[0])
    stop = Sample(11, 600, 11, power_w=100, power_since_s=10.9, age=ages[1])
    found = between(sensor, start, stop, 10, 11)
    assert isinstance(found.energy, Uncertain)
    assert found.energy.value == pytest.approx(100)
    boundary_j = 100 * 0.1 / math.sqrt(6)
    assert boundary_j < found.energy.u_random < 1.1 * boundary_j  # the powers are not exact
    assert found.energy.u_systematic == pytest.approx(5 / math.sqrt(3))
    assert found.energy.excess_systematic == pytest.approx(-1.2)
    assert (found.coverage, found.provenance, found.reason) == (1.0, "measured", None)


def test_the_read_after_a_window_tells_what_the_last_one_in_it_could_not() -> None:
    sensor = Declared(period_s=0.1)
    # 0.25 s at 700 W between 100 W and 150 W; the counter was renewed 60 ms before each edge.
    start = Sample(10.0, 1000.0, 10, 100, 9.9, Age(0.0, 0.1))
    stop = Sample(10.25, 1000.0 + 6 + 0.19 * 700, 10.25, 700, 10.15, Age(0.0, 0.1))
    after = Sample(10.4, 1000.0 + 6 + 175 + 0.09 * 150, 10.4, 150, 10.3, Age(0.0, 0.1))
    two = between(sensor, start, stop, 10.0, 10.25).energy
    three = between(sensor, start, stop, 10.0, 10.25, after).energy
    assert isinstance(two, Uncertain)
    assert isinstance(three, Uncertain)
    assert abs(three.value - 175) <= three.u95_repeat
    assert three.u95_repeat < two.u95_repeat / 3
    early = Sample(10.3, 1150.0, 10.3, 150, 10.2, Age(0.0, 0.1))
    for not_holding in (early, replace(after, covered_s=10.3), replace(after, power_w=None)):
        assert between(sensor, start, stop, 10.0, 10.25, not_holding).energy == two


STILL = Sample(10, 500, 10, age=Age(0.0, 0.1))
NOT_MOVED = Sample(10.02, 500, 10.02, age=Age(0.0, 0.1))


def test_a_counter_that_did_not_move_bounds_what_it_may_have_missed() -> None:
    sensor = Declared(max_w=700, period_s=0.1)
    found = between(sensor, STILL, NOT_MOVED, 10, 10.02)
    assert isinstance(found.energy, Uncertain)
    assert found.energy.value == 0
    assert found.energy.u95 > 700 * 0.02 / 2  # never "0 J, exactly"
    unlimited = between(Declared(), STILL, NOT_MOVED, 10, 10.02)
    assert isinstance(unlimited.energy, Uncertain)
    assert unlimited.energy.u95 > 0.1  # nor next to nothing where no limit is known


def test_a_counter_that_stands_still_for_seconds_is_broken_and_gives_no_figure() -> None:
    still, moved = Sample(10, 500, 10), Sample(12, 500.001, 12)
    found = between(Declared(), still, replace(moved, energy_j=500), 10, 12)
    assert (found.energy, found.provenance) == (None, "none")
    assert found.reason == "the counter stood still for 2 s"
    assert isinstance(between(Declared(), still, moved, 10, 12).energy, Uncertain)


def test_a_counter_that_never_moved_bounds_nothing_however_short_the_window() -> None:
    sensor = Declared(max_w=150)
    dead, later = (replace(s, still_s=math.inf) for s in (STILL, NOT_MOVED))
    found = between(sensor, dead, later, 10, 10.02)
    assert (found.energy, found.provenance) == (None, "none")
    assert found.reason == "the counter has not moved since it was first read"
    woken = replace(NOT_MOVED, energy_j=501, still_s=0.0)
    assert isinstance(between(sensor, dead, woken, 10, 10.02).energy, Uncertain)


def test_a_counter_that_stopped_long_before_a_short_window_bounds_nothing_either() -> None:
    stopped = replace(NOT_MOVED, still_s=30.0)
    found = between(Declared(max_w=150), STILL, stopped, 10, 10.02)
    assert (found.energy, found.reason) == (None, "the counter stood still for 30 s")
    slow = Declared(max_w=150, period_s=5.0)
    assert isinstance(between(slow, STILL, stopped, 10, 10.02).energy, Uncertain)


def test_an_estimate_is_a_range_and_carries_no_uncertainty() -> None:
    sensor = Declared(spread=(0.4, 2.5), provenance="estimated")
    found = between(sensor, Sample(0, 0, 0), Sample(1, 10, 1), 0, 1.0)
    assert found.energy == Range(4, 10, 25)


def test_what_was_drawn_while_nobody_looked_is_within_the_interval() -> None:
    sensor = Declared(max_w=150)
    found = between(sensor, Sample(0, 0, 0), Sample(100, 5100, 51), 0, 100)  # a constant 100 W
    assert isinstance(found.energy, Uncertain)
    assert found.energy.value == 5100
    assert found.energy.value + found.energy.u95 >= 10_000


def test_two_readings_of_a_power_are_no_sure_knowledge_of_what_lay_between_them() -> None:
    sensor = Declared(kind="gauge", max_w=700, provenance="integrated")
    found = between(sensor, Sample(0, 0, 0), Sample(0.45, 27, 0.45), 0, 0.45)  # 60 W at both edges
    assert isinstance(found.energy, Uncertain)
    assert found.energy.value + found.energy.u95 >= 0.9 * 700 * 0.45 / 1.1


def test_a_power_that_is_a_mean_over_a_second_says_so_in_a_short_cell() -> None:
    sensor = Declared(kind="gauge", max_w=700, provenance="integrated", averages_s=1.0)
    found = between(sensor, Sample(0, 0, 0), Sample(1, 100, 1), 0, 1.0)
    assert found.reason == "its power is a mean over 1 s, longer than half of this"
    assert between(sensor, Sample(0, 0, 0), Sample(9, 100, 9), 0, 9.0).reason is None


@dataclass(frozen=True, eq=False)
class Slice(Declared):
    """A sensor that has something to say of all its figures."""

    remark: str = "whole GPU, MIG slice 2 of 7"


def test_what_a_sensor_says_of_its_figures_stands_beside_them() -> None:
    found = between(Slice(), Sample(0, 0, 0), Sample(1, 100, 1), 0, 1.0)
    assert found.reason == "whole GPU, MIG slice 2 of 7"
    partly = between(Slice(), Sample(0, 0, 0), Sample(1, 90, 0.9), 0, 1.0)
    assert partly.reason == "the sensor saw 90% of the window"


def test_no_reason_says_that_a_sensor_saw_all_of_the_window() -> None:
    found = between(Declared(), Sample(0, 0, 0), Sample(1, 30, 0.9985), 0, 1.0)
    assert (found.reason, found.coverage) == (None, 0.9985)
    guess = Declared(spread=(0.5, 2), source="estimate:cpu-time")
    start, stop = edges((guess, ZERO, Sample(1, 30, 0.9)))
    absent = [Absence(PACKAGE, "rapl", "permission denied")]
    (domain,) = measure(START, start, stop, absent).domains
    assert domain.reason == "permission denied; the sensor saw 90% of the window"


def test_the_range_of_a_short_cell_knows_the_step_of_the_counter_behind_it() -> None:
    sensor = Declared(spread=(0.5, 2), provenance="estimated", step_j=1.0)
    found = between(sensor, Sample(0, 0, 0), Sample(0.01, 0.5, 0.01), 0, 0.01)
    assert found.energy == Range(0, 0.5, 3)


def test_a_window_the_sensor_mostly_missed_has_a_reason_and_no_figure() -> None:
    found = between(Declared(), Sample(0, 0, 0), Sample(10, 80, 4), 0, 10)
    assert found.energy is None
    assert found.provenance == "none"
    assert found.coverage == 0.4
    assert found.reason is not None
    assert "40%" in found.reason


@given(st.lists(st.tuples(st.floats(1e-3, 100), st.floats(0.1, 500)), min_size=2, max_size=20))
def test_windows_end_to_end_add_up_to_the_whole(steps: list[tuple[float, float]]) -> None:
    sensor = Declared()
    samples = [Sample(0.0, 0.0, 0.0)]
    for dt_s, watts in steps:
        last = samples[-1]
        samples.append(Sample(last.t_s + dt_s, last.energy_j + watts * dt_s, last.covered_s + dt_s))
    parts = [between(sensor, a, b, a.t_s, b.t_s) for a, b in itertools.pairwise(samples)]
    whole = between(sensor, samples[0], samples[-1], 0.0, samples[-1].t_s)
    assert isinstance(whole.energy, Uncertain)
    values = [p.energy.value for p in parts if isinstance(p.energy, Uncertain)]
    assert len(values) == len(parts)
    assert math.fsum(values) == pytest.approx(whole.energy.value)


def edges(*readings: tuple[Declared, Sample | str, Sample | str]) -> tuple[Edge, Edge]:
    """The two edges of a window of one second."""
    return (
        Edge(0.0, {sensor: first for sensor, first, _ in readings}),
        Edge(1.0, {sensor: last for sensor, _, last in readings}),
    )


ZERO, ONE = Sample(0, 0, 0), Sample(1, 30, 1)


def test_a_domain_without_a_reading_at_an_edge_is_absent_with_its_reason() -> None:
    sensor = Declared()
    start, stop = edges((sensor, ZERO, "the counter could not be read: I/O error"))
    (domain,) = measure(START, start, stop).domains
    assert domain.energy is None
    assert domain.reason == "the counter could not be read: I/O error"
    gone = measure(START, Edge(0.0, {sensor: ZERO}), Edge(1.0, {}))
    assert gone.domains[0].energy is None
    assert gone.measured_j is None
    assert gone.average_w is None


def test_a_sensor_found_in_mid_window_covers_the_rest_of_it() -> None:
    sensor = Declared()
    soon = measure(START, Edge(0.0, {}), Edge(1.0, {sensor: Sample(1.0, 27, 0.9)}))
    assert soon.measured_j is not None
    assert soon.measured_j.value == 27
    assert soon.domains[0].coverage == 0.9
    assert soon.domains[0].reason == "the sensor saw 90% of the window"
    late = measure(START, Edge(0.0, {}), Edge(1.0, {sensor: Sample(1.0, 3, 0.1)}))
    assert late.measured_j is None
    assert late.domains[0].energy is None


def test_an_estimate_stands_in_only_where_nothing_was_measured_and_says_why() -> None:
    rapl, guess = Declared(), Declared(spread=(0.5, 2), source="estimate:cpu-time")
    start, stop = edges((rapl, ZERO, ONE), (guess, ZERO, ONE))
    both = measure(START, start, stop)
    assert [d.source for d in both.domains] == ["rapl"]
    start, stop = edges((rapl, "permission denied", "permission denied"), (guess, ZERO, ONE))
    failed = measure(START, start, stop)
    (only,) = failed.domains
    assert only.energy == Range(15, 30, 60)
    assert only.reason == "permission denied"
    assert failed.measured_j is None
    assert failed.estimated_j == Range(15, 30, 60)
    assert failed.average_w == 30


def test_what_was_never_there_is_told_beside_its_estimate() -> None:
    guess = Declared(spread=(0.5, 2), source="estimate:cpu-time")
    start, stop = edges((guess, ZERO, ONE))
    absent = [Absence(PACKAGE, "rapl", "permission denied", "see doctor")]
    (domain,) = measure(START, start, stop, absent).domains
    assert (domain.source, domain.reason) == ("estimate:cpu-time", "permission denied")
    (alone,) = measure(START, Edge(0.0, {}), Edge(1.0, {}), absent).domains
    assert (alone.energy, alone.source, alone.reason) == (None, "rapl", "permission denied")


def test_a_total_takes_the_outermost_domains_and_leaves_psys_apart() -> None:
    package = Declared()
    core = Declared(domain=Domain("core", 0, "core"))
    dram = Declared(domain=Domain("dram", 0, "dram"))
    psys = Declared(domain=Domain("psys", 0, "psys"))
    readings = [(s, ZERO, ONE) for s in (package, core, dram, psys)]
    measured = measure(START, *edges(*readings))
    assert measured.measured_j is not None
    assert measured.measured_j.value == 60  # package and dram
    assert len(measured.domains) == 4


def test_a_superchips_module_holds_its_gpu_and_cpu() -> None:
    parts = [Declared(domain=Domain(kind, 0, kind)) for kind in ("module", "gpu", "package")]
    measured = measure(START, *edges(*[(s, ZERO, ONE) for s in parts]))
    assert measured.measured_j is not None
    assert measured.measured_j.value == 30


def test_domains_stand_in_the_order_people_ask() -> None:
    kinds = ("psys", "dram", "package", "gpu")
    sensors = [Declared(domain=Domain(kind, 0, kind)) for kind in kinds]
    measured = measure(START, *edges(*[(s, ZERO, ONE) for s in sensors]))
    assert [d.domain.kind for d in measured.domains] == ["gpu", "package", "dram", "psys"]

"""Energy between two edges: hand-computed vectors, and no figure that nobody measured."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_energy.model import Domain, Provenance, Sample
from jupyter_energy.sensors.base import Absence, Accuracy
from jupyter_energy.uncertainty import Range, Uncertain
from jupyter_energy.window import Edge, between, boundary_u_j, measure

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
    spread: tuple[float, float] | None = None
    worker: str | None = None

    def read(self) -> float:
        """Never called."""
        raise AssertionError

    def close(self) -> None:
        """Nothing to close."""


@pytest.mark.parametrize(
    ("begin_w", "end_w", "period_s", "sd_j"),
    [
        # measuring.md 6.1: V1 to V5
        (100, 100, 0.1, 4.08),
        (50, 300, 0.1, 8.78),
        (100, 700, 0.1, 20.4),
        (100, 700, 0.02, 4.08),
        (5, 60, 0.001, 0.0174),
    ],
)
def test_the_boundary_term_of_two_reads(
    begin_w: float, end_w: float, period_s: float, sd_j: float
) -> None:
    assert boundary_u_j(begin_w, end_w, period_s) == pytest.approx(sd_j, rel=0.005)


def test_a_constant_power_over_a_second() -> None:
    sensor = Declared(period_s=0.1, accuracy=Accuracy(0.05, "a test"))
    found = between(sensor, Sample(10, 500, 10), Sample(11, 600, 11), 1.0)
    assert isinstance(found.energy, Uncertain)
    assert found.energy.value == 100
    assert found.energy.u_random == pytest.approx(100 * 0.1 / math.sqrt(6))
    assert found.energy.u_systematic == pytest.approx(5 / math.sqrt(3))
    assert (found.coverage, found.provenance, found.reason) == (1.0, "measured", None)


def test_a_counter_that_did_not_move_bounds_what_it_may_have_missed() -> None:
    sensor = Declared(max_w=700, period_s=0.1)
    found = between(sensor, Sample(10, 500, 10), Sample(10.02, 500, 10.02), 0.02)
    assert isinstance(found.energy, Uncertain)
    assert found.energy.value == 0
    assert found.energy.u95 > 700 * 0.02 / 2  # never "0 J, exactly"
    unlimited = between(Declared(), Sample(10, 500, 10), Sample(10.02, 500, 10.02), 0.02)
    assert isinstance(unlimited.energy, Uncertain)
    assert unlimited.energy.u95 > 0.1  # nor next to nothing where no limit is known


def test_an_estimate_is_a_range_and_carries_no_uncertainty() -> None:
    sensor = Declared(spread=(0.4, 2.5), provenance="estimated")
    found = between(sensor, Sample(0, 0, 0), Sample(1, 10, 1), 1.0)
    assert found.energy == Range(4, 10, 25)


def test_what_was_drawn_while_nobody_looked_is_within_the_interval() -> None:
    sensor = Declared(max_w=150)
    found = between(sensor, Sample(0, 0, 0), Sample(100, 5100, 51), 100)  # a constant 100 W
    assert isinstance(found.energy, Uncertain)
    assert found.energy.value == 5100
    assert found.energy.value + found.energy.u95 >= 10_000


def test_two_readings_of_a_power_are_no_sure_knowledge_of_what_lay_between_them() -> None:
    sensor = Declared(kind="gauge", max_w=700, provenance="integrated")
    found = between(sensor, Sample(0, 0, 0), Sample(0.45, 27, 0.45), 0.45)  # 60 W at both edges
    assert isinstance(found.energy, Uncertain)
    assert found.energy.value + found.energy.u95 >= 0.9 * 700 * 0.45 / 1.1


def test_a_power_that_is_a_mean_over_a_second_says_so_in_a_short_cell() -> None:
    sensor = Declared(kind="gauge", max_w=700, provenance="integrated", period_s=1.0)
    found = between(sensor, Sample(0, 0, 0), Sample(1, 100, 1), 1.0)
    assert found.reason == "its power is a mean over 1 s, longer than half of this"
    assert between(sensor, Sample(0, 0, 0), Sample(9, 100, 9), 9.0).reason is None


def test_no_reason_says_that_a_sensor_saw_all_of_the_window() -> None:
    found = between(Declared(), Sample(0, 0, 0), Sample(1, 30, 0.9985), 1.0)
    assert (found.reason, found.coverage) == (None, 0.9985)
    guess = Declared(spread=(0.5, 2), source="estimate:cpu-time")
    start, stop = edges((guess, ZERO, Sample(1, 30, 0.9)))
    absent = [Absence(PACKAGE, "rapl", "permission denied")]
    (domain,) = measure(START, start, stop, absent).domains
    assert domain.reason == "permission denied; the sensor saw 90% of the window"


def test_the_range_of_a_short_cell_knows_the_step_of_the_counter_behind_it() -> None:
    sensor = Declared(spread=(0.5, 2), provenance="estimated", step_j=1.0)
    found = between(sensor, Sample(0, 0, 0), Sample(0.01, 0.5, 0.01), 0.01)
    assert found.energy == Range(0, 0.5, 3)


def test_a_window_the_sensor_mostly_missed_has_a_reason_and_no_figure() -> None:
    found = between(Declared(), Sample(0, 0, 0), Sample(10, 80, 4), 10)
    assert found.energy is None
    assert found.provenance == "none"
    assert found.coverage == 0.4
    assert found.reason is not None
    assert "40%" in found.reason


@given(st.lists(st.tuples(st.floats(1e-3, 100), st.floats(0, 500)), min_size=2, max_size=20))
def test_windows_end_to_end_add_up_to_the_whole(steps: list[tuple[float, float]]) -> None:
    sensor = Declared()
    samples = [Sample(0.0, 0.0, 0.0)]
    for dt_s, watts in steps:
        last = samples[-1]
        samples.append(Sample(last.t_s + dt_s, last.energy_j + watts * dt_s, last.covered_s + dt_s))
    parts = [between(sensor, a, b, b.t_s - a.t_s) for a, b in itertools.pairwise(samples)]
    whole = between(sensor, samples[0], samples[-1], samples[-1].t_s)
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

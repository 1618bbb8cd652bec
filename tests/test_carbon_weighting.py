"""A run across a changing signal: grams by the energy in each interval, and never two kinds."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_energy.carbon.base import Interval, Signal
from jupyter_energy.carbon.emissions import SEEN, emissions
from jupyter_energy.carbon.weighting import (
    MOST_MOMENTS,
    MOST_SPANS,
    Drawn,
    drawn,
    energy_shares,
    joined,
    mean_factor,
    noted,
    weighted,
)
from jupyter_energy.model import CarbonIntensity, Domain, DomainEnergy, Measurement, Span
from jupyter_energy.uncertainty import Range, Uncertain

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
YEARLY = CarbonIntensity(
    300.0, "DE", "Germany", "average", "production", "lifecycle", "year", "measured",
    "Ember", 2024, "you said so", False,
)  # fmt: skip


def at(minutes: float) -> datetime:
    """So many minutes after noon."""
    return NOON + timedelta(minutes=minutes)


def signal(*intervals: tuple[float, float, float], **changed: object) -> Signal:
    """Intervals: from minute, to minute, g/kWh."""
    found = tuple(Interval(at(a), at(b), g, "measured") for a, b, g in intervals)
    made = Signal(
        "DE", "Germany", "average", "consumption", "lifecycle", 900.0,
        "A service", "https://service.example", at(0), found,
    )  # fmt: skip
    return replace(made, **changed)


def course(*points: tuple[float, float], key: str = "gpu:0") -> list[Drawn]:
    """What one domain had drawn by when: minute, J."""
    return [Drawn(at(minute), {key: energy_j}) for minute, energy_j in points]


def test_a_run_in_two_intervals_has_the_mean_factor_weighted_by_its_energy() -> None:
    # 1 kJ in the first quarter of an hour at 100 g/kWh, 3 kJ in the second one at 500 g/kWh.
    run = course((0, 0), (15, 1000), (30, 4000))
    found, spans = weighted(run, signal((0, 15, 100), (15, 30, 500)), YEARLY)
    assert found.g_per_kwh == pytest.approx((1 * 100 + 3 * 500) / 4)
    assert [s.energy_share for s in spans] == pytest.approx([0.25, 0.75])
    assert [(s.start, s.end, s.g_per_kwh) for s in spans] == [
        (at(0), at(15), 100),
        (at(15), at(30), 500),
    ]
    assert (found.resolution, found.year, found.source) == ("15min", 2026, "A service")
    assert (found.zone, found.how, found.note) == ("DE", "you said so", None)


def test_between_two_moments_energy_is_shared_out_by_time() -> None:
    run = course((0, 0), (10, 600), (20, 1600))  # 60 J a minute, then 100
    found, spans = weighted(run, signal((0, 15, 100), (15, 30, 500)), YEARLY)
    assert [s.energy_share for s in spans] == pytest.approx([1100 / 1600, 500 / 1600])
    assert found.g_per_kwh == pytest.approx((1100 * 100 + 500 * 500) / 1600)


def test_the_machines_own_sleep_draws_nothing() -> None:
    """It is suspended from minute 5 to minute 65, between two looks that lie seconds apart by the
    clock that stood still."""
    run = course((0, 0), (5, 500), (65, 500), (70, 1000))
    _, spans = weighted(run, signal((0, 60, 100), (60, 120, 500)), YEARLY)
    assert [s.energy_share for s in spans] == pytest.approx([0.5, 0.5])


def test_each_domain_is_followed_for_itself_and_a_failed_look_says_nothing_of_it() -> None:
    run = [
        Drawn(at(0), {}),
        Drawn(at(15), {"gpu:0": 900.0}),  # the package could not be read
        Drawn(at(30), {"gpu:0": 1000.0, "package:0": 1000.0}),
    ]
    assert energy_shares(run, [at(0), at(15), at(30)]) == pytest.approx([0.7, 0.3])


def test_a_gap_has_the_yearly_factor_of_its_place_and_the_note_says_how_much() -> None:
    run = course((0, 0), (40, 4000))
    found, spans = weighted(run, signal((0, 10, 100), (20, 40, 200)), YEARLY)
    assert [s.g_per_kwh for s in spans] == [100, 300, 200]
    assert found.g_per_kwh == pytest.approx((100 + 300 + 2 * 200) / 4)
    assert found.note == (
        "25 % of it has the yearly factor of Ember 2024 (production, not consumption): "
        "A service has no value for that time"
    )


@pytest.mark.parametrize("other", [{"kind": "marginal"}, {"scope": "direct"}])
def test_a_gap_is_never_filled_with_a_factor_of_another_kind(other: dict[str, str]) -> None:
    run = course((0, 0), (40, 4000))
    found, spans = weighted(run, signal((0, 10, 100), **other), YEARLY)
    assert spans == ()
    assert replace(found, note=None) == YEARLY
    assert found.note is not None
    assert "25 % of it only, which are not mixed" in found.note
    whole, spans = weighted(run, signal((0, 60, 100), **other), YEARLY)
    assert {"kind": whole.kind, "scope": whole.scope}.items() >= other.items()
    assert len(spans) == 1


def test_a_gap_filled_within_the_same_boundary_names_none() -> None:
    yearly = replace(YEARLY, boundary="consumption")
    found, _ = weighted(course((0, 0), (20, 400)), signal((0, 15, 100)), yearly)
    assert "production" not in str(found.note)
    assert "consumption" not in str(found.note)


def test_a_time_without_any_value_has_the_yearly_factor_and_says_why() -> None:
    found, spans = weighted(course((0, 0), (5, 10)), signal((60, 75, 100)), YEARLY)
    assert (found.g_per_kwh, spans) == (300.0, ())
    assert found.note == "A service has no value for this time: the yearly factor"


def test_a_mean_is_no_surer_than_the_least_sure_of_its_values() -> None:
    told = signal((0, 15, 100), (15, 30, 500))
    first, second = told.intervals
    told = replace(told, intervals=(first, replace(second, quality="forecast")))
    assert weighted(course((0, 0), (30, 1)), told, YEARLY)[0].quality == "forecast"
    assert weighted(course((0, 0), (14, 1)), told, YEARLY)[0].quality == "measured"


def test_a_run_that_drew_nothing_is_shared_out_by_time_and_one_of_no_duration_is_in_one_span() -> (
    None
):
    told = signal((0, 15, 100), (15, 60, 500))
    _, spans = weighted(course((0, 0), (60, 0)), told, YEARLY)
    assert [s.energy_share for s in spans] == pytest.approx([0.25, 0.75])
    found, spans = weighted([Drawn(at(15), {}), Drawn(at(15), {})], told, YEARLY)
    assert (found.g_per_kwh, [s.energy_share for s in spans]) == (500, [1.0])


def test_an_estimate_alone_is_weighted_by_its_middle_and_keeps_its_range() -> None:
    energy = DomainEnergy(
        Domain("package", 0, "CPU"), Range(1e6, 2e6, 4e6), "estimated", "estimate", 1.0
    )
    measurement = Measurement(at(0), 1800.0, (energy,))
    run = [Drawn(at(0), {}), Drawn(at(15), {"package:0": 0.5e6}), drawn(measurement, at(30))]
    found, spans = weighted(run, signal((0, 15, 100), (15, 30, 500)), YEARLY)
    assert found.g_per_kwh == pytest.approx(400)
    made = emissions(measurement, found, 1.5, "you", spans)
    assert made is not None
    assert made.carbon_g.mid == pytest.approx(2e6 / 3.6e6 * 400 * 1.5)
    assert made.carbon_g.low == pytest.approx(1e6 / 3.6e6 * 400 * 1.5)
    assert (made.estimated_share, made.pue_source, made.spans) == (1.0, "you", spans)


def test_no_pue_is_put_on_what_a_facilitys_own_meter_read_and_nothing_counts_beside_it() -> None:
    def of(kind: str, energy: Uncertain | Range) -> DomainEnergy:
        return DomainEnergy(Domain(kind, 0, kind), energy, "measured", "meter", 1.0)

    gpu, memory = of("gpu", Uncertain(2e6)), of("dram", Range(1.0, 2.0, 3.0))
    whole = Measurement(at(0), 1.0, (gpu, memory, of("facility", Uncertain(3.6e6))))
    made = emissions(whole, YEARLY, 1.4, "the settings file")
    assert made is not None
    assert made.carbon_g.mid == pytest.approx(300)
    assert (made.pue, made.pue_source, made.estimated_share) == (1.0, SEEN, 0.0)
    without = emissions(Measurement(at(0), 1.0, (gpu,)), YEARLY, 1.4, "the settings file")
    assert without is not None
    assert (without.pue, without.pue_source) == (1.4, "the settings file")


def test_of_a_long_run_the_moments_that_matter_are_kept_and_no_more_than_so_many() -> None:
    run: list[Drawn] = []
    for second in range(0, 1800, 5):
        noted(run, Drawn(at(second / 60), {"gpu:0": float(second)}))
    by_step = [one.at.minute // 5 for one in run]
    assert by_step == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert [one.at for one in run[::2]] == [at(minute) for minute in range(0, 30, 5)]
    for minute in range(30, 30 + 5 * MOST_MOMENTS, 5):
        noted(run, Drawn(at(minute), {"gpu:0": minute * 60.0}))
    assert len(run) <= MOST_MOMENTS
    assert run == sorted(run, key=lambda one: one.at)


def test_of_a_run_of_days_neighbouring_spans_are_one_with_their_mean() -> None:
    many = tuple(
        Span(at(5 * n), at(5 * n + 5), 100.0 + n, "measured", 1 / 1000) for n in range(1000)
    )
    few = joined(many)
    assert len(few) <= MOST_SPANS
    assert mean_factor(few) == pytest.approx(mean_factor(many))
    assert (few[0].start, few[-1].end) == (many[0].start, many[-1].end)
    assert all(one.end == other.start for one, other in pairwise(few))


@st.composite
def runs(draw: st.DrawFn) -> list[Drawn]:
    """A run of up to two hours with some looks at it."""
    minutes = sorted(draw(st.lists(st.floats(0, 120), min_size=2, max_size=8)))
    rises = draw(st.lists(st.floats(0, 1e7), min_size=len(minutes), max_size=len(minutes)))
    heights, height_j = [0.0], 0.0
    for rise_j in rises[1:]:
        height_j += rise_j
        heights.append(height_j)
    return course(*zip(minutes, heights, strict=True))


@st.composite
def signals(draw: st.DrawFn) -> Signal:
    """Quarters of an hour, some of them missing."""
    factors = draw(st.lists(st.none() | st.floats(0, 2000), min_size=10, max_size=10))
    told = [(15.0 * n, 15.0 * n + 15, g) for n, g in enumerate(factors, -1) if g is not None]
    return signal(*told)


@given(runs(), signals())
def test_the_shares_of_spans_sum_to_one_and_the_mean_lies_within_the_factors(
    run: list[Drawn], told: Signal
) -> None:
    found, spans = weighted(run, told, YEARLY)
    factors = [s.g_per_kwh for s in spans] or [YEARLY.g_per_kwh]
    assert min(factors) <= found.g_per_kwh <= max(factors)
    if spans:
        assert math.fsum(s.energy_share for s in spans) == pytest.approx(1)
        assert all(0 < s.energy_share <= 1 + 1e-12 for s in spans)
        assert all(s.start <= s.end for s in spans)


@given(runs(), signals(), st.floats(1, 3))
def test_the_grams_of_the_whole_are_the_sum_of_the_grams_in_each_interval(
    run: list[Drawn], told: Signal, pue: float
) -> None:
    [energy_j] = run[-1].energy_j.values()
    gpu = DomainEnergy(Domain("gpu", 0, "GPU"), Uncertain(energy_j), "measured", "test", 1.0)
    measurement = Measurement(run[0].at, 1.0, (gpu,))
    found, spans = weighted(run, told, YEARLY)
    made = emissions(measurement, found, pue, "", spans)
    assert made is not None
    parts = [energy_j / 3.6e6 * s.energy_share * s.g_per_kwh * pue for s in spans]
    expected = math.fsum(parts) if spans else energy_j / 3.6e6 * YEARLY.g_per_kwh * pue
    assert made.carbon_g.mid == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(runs(), st.floats(0, 2000))
def test_a_signal_that_does_not_change_gives_its_own_factor_whatever_the_run(
    run: list[Drawn], g_per_kwh: float
) -> None:
    told = signal(*((15.0 * n, 15.0 * n + 15, g_per_kwh) for n in range(9)))
    assert weighted(run, told, YEARLY)[0].g_per_kwh == pytest.approx(g_per_kwh)

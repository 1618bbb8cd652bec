"""Joules into grams: bounds, linearity, PUE once, and nothing out of nothing."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from jupyter_energy.carbon.emissions import checked_pue, emissions
from jupyter_energy.errors import WrongUse
from jupyter_energy.model import CarbonIntensity, Domain, DomainEnergy, Emissions, Measurement
from jupyter_energy.uncertainty import Range, Uncertain

INTENSITY = CarbonIntensity(
    100.0,
    "XX",
    "X",
    "average",
    "production",
    "lifecycle",
    "year",
    "measured",
    "s",
    2024,
    "h",
    False,
)
# No sensor resolves less than a nanojoule, and denormal floats have no precision to test.
joules = st.one_of(st.just(0.0), st.floats(1e-9, 1e12))
factors = st.floats(1e-3, 2e3)
pues = st.floats(1, 5)


def measurement(*energies: Uncertain | Range | None) -> Measurement:
    """One window with a GPU for each energy."""
    domains = tuple(
        DomainEnergy(
            Domain("gpu", i, "GPU"),
            energy,
            "estimated" if isinstance(energy, Range) else "measured" if energy else "none",
            "test",
            1.0,
        )
        for i, energy in enumerate(energies)
    )
    return Measurement(datetime(2026, 1, 1, tzinfo=UTC), 1.0, domains)


@st.composite
def ranges(draw: st.DrawFn) -> Range:
    return Range(*sorted(draw(st.tuples(joules, joules, joules))))


@st.composite
def measurements(draw: st.DrawFn) -> Measurement:
    measured = st.builds(Uncertain, joules, joules, joules)
    return measurement(*draw(st.lists(st.one_of(measured, ranges()), min_size=1, max_size=4)))


def known(m: Measurement, intensity: CarbonIntensity, pue: float) -> Emissions:
    found = emissions(m, intensity, pue)
    assert found is not None
    return found


def test_one_kwh_at_100_g_and_pue_1_2_is_120_g() -> None:
    found = known(measurement(Uncertain(3.6e6, 0.0, 3.6e5 / 1.96)), INTENSITY, 1.2)
    assert found.carbon_g.mid == pytest.approx(120)
    assert found.carbon_g.low == pytest.approx(108)
    assert found.carbon_g.high == pytest.approx(132)
    assert (found.estimated_share, found.pue, found.intensity) == (0.0, 1.2, INTENSITY)


def test_no_known_energy_gives_no_grams_and_not_zero() -> None:
    assert emissions(measurement(None, None), INTENSITY, 1.0) is None
    assert emissions(measurement(), INTENSITY, 1.0) is None


def test_a_measured_zero_is_zero_grams_and_not_unknown() -> None:
    found = known(measurement(Uncertain(0.0)), INTENSITY, 1.0)
    assert (found.carbon_g, found.estimated_share) == (Range(0.0, 0.0, 0.0), 0.0)


def test_measured_and_estimated_energy_meet_only_here_and_the_share_says_how_much() -> None:
    found = known(measurement(Uncertain(3.6e6), Range(1.8e6, 3.6e6, 7.2e6)), INTENSITY, 1.0)
    assert found.carbon_g == Range(150.0, 200.0, 300.0)
    assert found.estimated_share == 0.5


def test_energy_that_is_only_estimated_has_a_share_of_one_even_when_it_is_zero() -> None:
    assert known(measurement(Range(1.0, 2.0, 4.0)), INTENSITY, 1.0).estimated_share == 1.0
    assert known(measurement(Range(0.0, 0.0, 4.0)), INTENSITY, 1.0).estimated_share == 1.0


def test_a_measurement_below_its_own_uncertainty_gives_no_negative_grams() -> None:
    found = known(measurement(Uncertain(1.0, 5.0, 0.0)), INTENSITY, 1.0)
    assert found.carbon_g.low == 0.0
    assert found.carbon_g.high > found.carbon_g.mid > 0


@given(measurements(), factors, pues)
def test_bounds_rise_and_the_share_lies_between_none_and_all(
    m: Measurement, factor: float, pue: float
) -> None:
    found = known(m, replace(INTENSITY, g_per_kwh=factor), pue)
    assert 0 <= found.carbon_g.low <= found.carbon_g.mid <= found.carbon_g.high
    assert 0 <= found.estimated_share <= 1


@given(measurements(), factors, st.floats(1e-3, 1e3))
def test_grams_are_linear_in_the_factor(m: Measurement, factor: float, times: float) -> None:
    once = known(m, replace(INTENSITY, g_per_kwh=factor), 1.0).carbon_g
    more = known(m, replace(INTENSITY, g_per_kwh=factor * times), 1.0).carbon_g
    for a, b in ((once.low, more.low), (once.mid, more.mid), (once.high, more.high)):
        assert math.isclose(a * times, b, rel_tol=1e-9, abs_tol=1e-300)


@given(measurements(), factors, pues)
def test_pue_multiplies_once(m: Measurement, factor: float, pue: float) -> None:
    intensity = replace(INTENSITY, g_per_kwh=factor)
    bare, whole = known(m, intensity, 1.0), known(m, intensity, pue)
    assume(bare.carbon_g.mid > 0)
    assert math.isclose(whole.carbon_g.mid / bare.carbon_g.mid, pue, rel_tol=1e-9)
    assert whole.estimated_share == bare.estimated_share


@pytest.mark.parametrize("value", [1.0, 1.2, 5.0])
def test_a_pue_of_one_or_more_is_taken(value: float) -> None:
    assert checked_pue(value) == value


@pytest.mark.parametrize("value", [0.99, 0.0, -1.0, 120.0, math.nan, math.inf])
def test_what_can_be_no_pue_is_wrong_use(value: float) -> None:
    with pytest.raises(WrongUse, match="is no PUE"):
        checked_pue(value)

"""What grams are like: whose car, how far, and when nothing is said."""

from __future__ import annotations

import display_examples as examples
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_energy.carbon.equivalents import CHARGE_KWH, car_for, cars, charge_g
from jupyter_energy.display import grams, html, text


@pytest.mark.parametrize(
    "zone",
    [
        *("FR", "NO", "EM:DE", "EM:SE-SE3", "DK", "aws:eu-west-3", "azure:westeurope"),
        *("FR, DE", "aws:eu-west-3, EM:SE-SE3, NO"),
    ],
)
def test_in_the_countries_of_the_european_figure_it_is_taken(zone: str) -> None:
    assert car_for(zone).g_per_km == 106.8
    assert "EU" in car_for(zone).words


@pytest.mark.parametrize(
    "zone",
    [
        "US",
        "US-CA",
        "GB",
        "WORLD",
        "EM:US-CAL-CISO",
        "aws:eu-west-2",
        "aws:none",
        "FRANCE",
        "US-CA, GB",
        "",
        None,
    ],
)
def test_elsewhere_it_is_the_figure_of_the_us(zone: str | None) -> None:
    assert car_for(zone).words == "average petrol car in the US"


@pytest.mark.parametrize("zone", ["FR, US", "aws:eu-west-2, DE", "WORLD, FR"])
def test_of_places_in_europe_and_elsewhere_no_car_is_that_of_both(zone: str) -> None:
    assert car_for(zone) is None
    assert grams.equivalent(examples.carbon(500.0, zone=zone)) is None
    assert grams.equivalent(examples.carbon(500.0, zone="FR, DE")) is not None


def test_the_figure_of_the_us_is_its_mile_in_kilometres() -> None:
    assert cars()["car_us"].g_per_km == pytest.approx(393 / 1.609344, abs=0.05)


@given(st.floats(0, 1.0, exclude_max=True))
def test_below_a_gram_nothing_is_compared(carbon_g: float) -> None:
    assert grams.equivalent(examples.carbon(carbon_g)) is None
    assert grams.equivalent(examples.carbon(1.0)) is not None


def test_of_unknown_grams_and_of_two_kinds_nothing_is_compared() -> None:
    assert grams.equivalent(None) is None
    two = [examples.carbon(50.0), examples.carbon(70.0, kind="marginal")]
    assert grams.equivalent(examples.carbon(None, parts=two)) is None


def test_a_comparison_names_the_car_its_figure_and_its_source() -> None:
    said = grams.equivalent(examples.carbon(500.0))
    assert said == (
        "about as much as 4.7 km by car "
        "(average new car of 2024 in the EU, 107 g/km: European Environment Agency)"
    )


def test_less_than_a_kilometre_is_told_in_phones_charged_at_the_same_place() -> None:
    # 44.3 g/kWh and a charge of 11.6 Wh: 0.514 g each
    said = grams.equivalent(examples.carbon(50.0))
    assert said == "about as much as charging 97 phones there (12 Wh each: US EPA)"
    assert "m by car" in str(grams.equivalent(examples.carbon(50.0, g_per_kwh=None)))
    assert "m by car" in str(grams.equivalent(examples.carbon(50.0, g_per_kwh=0.5)))


def test_a_phone_charges_as_many_grams_as_its_energy_stands_for_here() -> None:
    assert charge_g(100.0, 1.2) == pytest.approx(0.0116 * 100 * 1.2)
    assert charge_g(None, 1.0) is None
    assert pytest.approx((14.46 - 22 * 0.13) / 1000) == CHARGE_KWH


def test_a_wide_range_has_one_digit_and_a_narrow_one_two() -> None:
    assert "5 km by car" in str(grams.equivalent(examples.carbon(500.0, spread=2.0)))
    assert "4.7 km by car" in str(grams.equivalent(examples.carbon(500.0, spread=1.05)))


def test_a_summary_ends_with_the_comparison_and_its_html_has_it_on_the_grams() -> None:
    made = examples.summary(
        [examples.MEASURED], measured_j=examples.value(4e7, 1e6), carbon_g=examples.carbon(500.0)
    )
    assert text.summary(made).rstrip().endswith("Environment Agency)")
    assert 'title="about as much as 4.7 km by car' in html.summary(made)


def test_a_summary_of_less_than_a_gram_ends_as_before() -> None:
    made = examples.SUMMARIES["summary_idle"]
    assert "by car" not in text.summary(made) + html.summary(made)

"""Numbers become text in one way, with units that scale and honest digits."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_energy import units
from jupyter_energy.errors import WrongUse
from jupyter_energy.uncertainty import Range, Uncertain

SIZES = {"µJ": 1e-6, "mJ": 1e-3, "J": 1.0, "kJ": 1e3, "Wh": 3600.0, "kWh": 3.6e6}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Uncertain(735, 5, 20), "735 ± 40 J"),
        (Uncertain(412, 10.2, 10), "412 ± 28 J"),
        (Uncertain(0.02, 0.001, 0.001), "20.0 ± 2.8 mJ"),
        (Uncertain(123456, 500, 3000), "34.3 ± 1.7 Wh"),
        (Uncertain(1, 2, 0), "< 4.9 J"),
        (Uncertain(0, 0.5, 0), "< 980 mJ"),
        (Uncertain(0, 0, 0), "0 J"),
    ],
)
def test_a_measurement_shows_two_digits_of_its_uncertainty(value: Uncertain, text: str) -> None:
    assert units.measured(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Uncertain(556, 182), "560 W"),
        (Uncertain(403, 17), "403 W"),
        (Uncertain(8.0, 0.9), "8.0 W"),
        (Uncertain(1, 2), "< 4.9 W"),
        (Uncertain(5), "5.00 W"),
    ],
)
def test_a_power_shows_no_digit_that_its_energy_does_not_know(value: Uncertain, text: str) -> None:
    assert units.measured_alone(value, units.POWER_W) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Range(6, 12, 24), "≈ 12 J (6.0–24 J)"),
        (Range(4000, 8000, 16000), "≈ 2.2 Wh (1.1–4.4 Wh)"),
        (Range(0.0004, 0.001, 0.0025), "≈ 1.0 mJ (0.40–2.5 mJ)"),
        (Range(0, 0, 0), "≈ 0 J"),
        (Range(0.46, 0.998, 2.2), "≈ 1.0 J (0.46–2.2 J)"),
        (Range(0, 0.00085, 0.065), "≈ 0.85 mJ (up to 65 mJ)"),
    ],
)
def test_an_estimate_shows_a_range_and_never_a_plus_minus(value: Range, text: str) -> None:
    assert units.estimated(value) == text


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(999.6e-6, 2, "1.0 mg"), (994e-6, 2, "990 µg"), (999.4, 3, "999 g"), (999.6, 3, "1.00 kg")],
)
def test_what_rounds_to_a_thousand_is_one_of_the_next_unit(
    value: float, digits: int, text: str
) -> None:
    assert units.quantity(value, units.MASS_G, digits) == text


def test_an_estimate_that_rounds_to_a_thousand_is_one_of_the_next_unit() -> None:
    close = Range(0.00099, 0.000997, 0.000998)
    assert units.estimated(close, units.MASS_G) == "≈ 1.0 mg (0.99–1.0 mg)"


@given(st.floats(1e-6, 0.9e3), st.sampled_from([2, 3]))
def test_no_number_below_the_largest_unit_has_four_digits(value_g: float, digits: int) -> None:
    assert float(units.quantity(value_g, units.MASS_G, digits).split()[0]) < 1000


@given(st.floats(1e-9, 1e12))
def test_a_quantity_is_the_number_it_shows_to_half_a_percent(value_j: float) -> None:
    number, unit = units.quantity(value_j, units.ENERGY_J).split(" ")
    assert "e" not in number
    assert float(number) * SIZES[unit] == pytest.approx(value_j, rel=0.0051, abs=6e-9)


@given(st.floats(1e-3, 1e10), st.floats(1e-4, 0.9))
def test_value_and_uncertainty_end_at_the_same_place(value_j: float, relative: float) -> None:
    text = units.measured(Uncertain(value_j, value_j * relative / 1.96))
    found = re.fullmatch(r"([\d.]+) ± ([\d.]+) (\S+)", text)
    assert found, text
    number, uncertainty, unit = found.groups()
    assert len(number.partition(".")[2]) == len(uncertainty.partition(".")[2])
    digits = uncertainty.replace(".", "").lstrip("0")
    assert len(digits) == 2 or float(uncertainty) >= 100, text
    assert float(number) * SIZES[unit] == pytest.approx(value_j, rel=relative * 0.06 + 1e-9)


@given(st.floats(1e-6, 1e10), st.floats(1, 3), st.floats(1, 3))
def test_a_shown_range_keeps_its_order_and_two_digits(
    mid_j: float, below: float, above: float
) -> None:
    text = units.estimated(Range(mid_j / below, mid_j, mid_j * above))
    assert "±" not in text
    found = re.fullmatch(r"≈ ([\d.]+) (\S+) \(([\d.]+)–([\d.]+) (\S+)\)", text)
    assert found, text
    mid, unit, low, high, again = found.groups()
    assert unit == again
    assert float(low) <= float(mid) <= float(high)
    assert all(len(n.replace(".", "").strip("0")) <= 2 for n in (low, mid, high)), text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0000204, "0.0204 ms"),
        (0.0123, "12.3 ms"),
        (2.314, "2.31 s"),
        (59.96, "60.0 s"),
        (252, "4 min 12 s"),
        (3599.7, "1 h 00 min"),
        (3900, "1 h 05 min"),
    ],
)
def test_durations_are_short(seconds: float, text: str) -> None:
    assert units.duration(seconds) == text


def test_grams_are_energy_times_intensity_times_pue() -> None:
    assert units.carbon_g(3.6e6, 44.0) == 44.0
    assert units.carbon_g(1.8e6, 400.0, 1.5) == 300.0


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("5Wh", (18000.0, "J")),
        ("20 kJ", (20000.0, "J")),
        (".5g", (0.5, "g")),
        ("2kg", (2000, "g")),
        ("5wh", (18000.0, "J")),
        ("2KWH", (7.2e6, "J")),
        ("1e3J", (1000.0, "J")),
        ("2.5E-3 g", (0.0025, "g")),
        ("1mJ", (0.001, "J")),
        ("1MJ", (1e6, "J")),
        ("1mwh", (3.6, "J")),
        ("1MWh", (3.6e9, "J")),
    ],
)
def test_a_limit_is_a_number_with_a_unit(text: str, limit: tuple[float, str]) -> None:
    assert units.parse_limit(text) == limit


@pytest.mark.parametrize(
    "text", ["5", "Wh", "five Wh", "5 W", "-5Wh", "5Wh 3g", "", "1eJ", "e3J", "nanJ", "5Mg"]
)
def test_a_limit_without_number_or_unit_says_what_would_be_right(text: str) -> None:
    with pytest.raises(WrongUse, match="number and a unit, such as 5Wh"):
        units.parse_limit(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("6", 21600), ("6h", 21600), (" 90 min ", 5400), ("90m", 5400), ("30s", 30), ("2D", 172800)],
)
def test_a_duration_is_read_with_its_unit_or_in_hours(text: str, seconds: float) -> None:
    assert units.parse_duration(text) == seconds
    assert units.parse_duration("7", "s") == 7


@pytest.mark.parametrize("text", ["", "h", "-1", "nan", "inf", "6 h 3", "6x", "1e3", "9" * 400])
def test_what_is_no_duration_is_refused_with_what_would_be_right(text: str) -> None:
    with pytest.raises(WrongUse, match="write such as 6h, 90min, 30s or 2d"):
        units.parse_duration(text)

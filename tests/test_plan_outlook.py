"""What lies ahead in slots: means over time, gaps, typical days and their rehearsals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_energy.carbon.base import Interval, Quality, Signal
from jupyter_energy.plan.nouns import SLOT_S, Basis
from jupyter_energy.plan.outlook import (
    A_DAY,
    FORECAST_ERROR,
    from_signal,
    slot_means,
    typical_day,
)

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SLOT = timedelta(seconds=SLOT_S)


def intervals(
    values: Sequence[float | None],
    start: datetime = NOON,
    step: timedelta = HOUR,
    quality: Quality = "measured",
) -> tuple[Interval, ...]:
    """One after the other; None is a gap."""
    return tuple(
        Interval(start + n * step, start + (n + 1) * step, value, quality)
        for n, value in enumerate(values)
        if value is not None
    )


def signal(held: tuple[Interval, ...], fetched: datetime = NOON) -> Signal:
    return Signal(
        "FR", "France", "average", "consumption", "lifecycle", 3600.0, "A service, its licence",
        "", fetched, held,
    )  # fmt: skip


values = st.one_of(st.none(), st.floats(0, 900))


@given(
    st.lists(values, min_size=1, max_size=6),
    st.integers(-4000, 8000),
    st.sampled_from((300, 420, 900, 3600)),
    st.integers(1, 30),
)
def test_a_slot_has_the_mean_over_time_of_what_holds_in_it_or_nothing(
    held: list[float | None], offset_s: int, step_s: int, slots: int
) -> None:
    begin = NOON + timedelta(seconds=offset_s)
    found = slot_means(intervals(held, step=timedelta(seconds=step_s)), begin, slots)
    assert found.shape == (slots,)
    for number, mean in enumerate(found):
        seconds = range(offset_s + 300 * number, offset_s + 300 * (number + 1), 20)
        in_it = [held[s // step_s] if 0 <= s < step_s * len(held) else None for s in seconds]
        known = [g for g in in_it if g is not None]
        if offset_s % 20 == 0:  # then no edge lies between two of the moments that are looked at
            expected = math.fsum(known) / 15 if len(known) == 15 else math.nan
            assert mean == pytest.approx(expected, rel=1e-7, abs=1e-7, nan_ok=True)


def test_what_is_equal_stays_so_to_the_last_bit() -> None:
    held = intervals([0.1 + 0.2, 70.7, 0.1 + 0.2])
    found = slot_means(held, NOON, 36)
    assert set(found[:12]) == set(found[24:]) == {0.1 + 0.2}


def test_an_outlook_ends_where_values_do_and_says_what_is_missing_before() -> None:
    found = from_signal(signal(intervals([10, None, 30])), NOON + 7 * SLOT, 400, "trace")
    assert len(found.g_per_kwh) == 29
    assert np.isnan(found.g_per_kwh[5:17]).all()
    assert np.isfinite(found.g_per_kwh[17:]).all()
    assert "no value for 1 h 00 min of that time" in found.notes[0]


def test_no_value_for_the_time_is_an_error_that_says_what_there_is() -> None:
    with pytest.raises(ValueError, match=r"A service, its licence has values from 2026-11-23 12"):
        from_signal(signal(intervals([10.0])), NOON + DAY, 12, "trace")


def test_values_that_have_happened_are_hindsight_and_a_forecast_is_not() -> None:
    past = intervals([10.0, 20.0], NOON - 2 * HOUR)
    cases: tuple[tuple[tuple[Interval, ...], datetime, Basis, bool], ...] = (
        (past, NOON - 2 * HOUR, "trace", True),
        (intervals([10.0, 20.0]), NOON, "trace", False),  # of what is to come, whoever says so
        (intervals([10.0], NOON - HOUR, quality="forecast"), NOON - HOUR, "trace", False),
        (intervals([10.0, 20.0], quality="forecast"), NOON, "forecast", False),
        # the first hour of two has passed: whoever begins there knows how clean it was
        (intervals([10.0, 20.0], NOON - HOUR), NOON - HOUR, "trace", True),
        (intervals([10.0, 20.0], NOON - HOUR), NOON - SLOT / 5, "trace", False),  # it is read late
    )
    for held, begin, basis, hindsight in cases:
        found = from_signal(signal(held), begin, 24, basis)
        assert found.hindsight is hindsight
        assert found.error == FORECAST_ERROR
        assert any("upper bound" in note for note in found.notes) is hindsight


def test_a_typical_day_is_made_of_ten_years_at_most() -> None:
    old = wave(9, NOON - 3660 * 20 * DAY) + wave(8)
    found = typical_day([signal(old)], NOON, 288)
    assert found.notes[0].startswith("the mean of 8 days")
    with pytest.raises(ValueError, match="there are 0"):
        typical_day([signal(old[: 9 * 24])], NOON, 288)


def wave(days: int, end: datetime = NOON, scale: float = 1.0) -> tuple[Interval, ...]:
    """Cleanest at 02:00 UTC, hour by hour, for so many days up to `end`."""
    first = end - days * DAY
    return intervals(
        [
            scale * (300 + 200 * math.cos(((first + n * HOUR).hour - 14) / 12 * math.pi))
            for n in range(24 * days)
        ],
        first,
    )


def test_a_typical_day_is_the_mean_of_past_days_at_the_same_time_of_day() -> None:
    begin = NOON + 3 * HOUR + timedelta(minutes=7)
    found = typical_day([signal((*wave(7, NOON - 7 * DAY, 0.5), *wave(7)))], begin, 2 * A_DAY)
    expected = slot_means(wave(3, NOON + 2 * DAY, 0.75), begin - DAY, A_DAY)
    assert found.basis == "typical day"
    assert found.g_per_kwh[:A_DAY] == pytest.approx(found.g_per_kwh[A_DAY:])
    assert found.g_per_kwh[: A_DAY - 60] == pytest.approx(expected[: A_DAY - 60], rel=0.05)
    assert found.notes[0].startswith("the mean of 1")
    assert "no forecast of this day" in found.notes[0]


def test_a_past_day_is_rehearsed_by_the_mean_of_the_others() -> None:
    days = [wave(1, NOON - n * DAY, 1 + n / 10) for n in range(9, -1, -1)]
    found = typical_day([signal(tuple(i for day in days for i in day))], NOON, A_DAY)
    assert len(found.rehearsals) == 10
    told, was = found.rehearsals[0]  # the oldest, which was 1.9 times as dirty
    ratio = np.asarray(was) / np.asarray(told)
    mean = sum(1 + n / 10 for n in range(9)) / 9
    assert ratio == pytest.approx(np.full(A_DAY, 1.9 / mean))
    assert 0 < found.error < 0.5


def test_days_of_the_same_season_are_taken_in_whatever_year() -> None:
    last_year = NOON - 365 * DAY
    held = (*wave(20, last_year + 10 * DAY, 2.0), *wave(60, NOON - 100 * DAY))
    found = typical_day([signal(held)], NOON, A_DAY)
    assert max(found.g_per_kwh) == pytest.approx(1000)
    assert len(found.notes) == 1


def test_days_of_another_season_say_so() -> None:
    found = typical_day([signal(wave(20, NOON - 100 * DAY))], NOON, A_DAY)
    assert found.notes[1] == "its days are of another time of the year"


def test_a_history_that_is_too_short_makes_no_typical_day() -> None:
    with pytest.raises(ValueError, match="takes 7 past days with values: there are 3"):
        typical_day([signal(wave(3))], NOON, A_DAY)
    with pytest.raises(ValueError, match="no past values"):
        typical_day([], NOON, A_DAY)
    with pytest.raises(ValueError, match="there are 0"):
        typical_day([signal(wave(9, NOON + 20 * DAY))], NOON, A_DAY)  # all of it lies ahead


def test_forecasts_and_signals_of_another_kind_are_no_part_of_a_typical_day() -> None:
    own = signal(wave(10))
    marginal = replace(signal(wave(10, NOON - 10 * DAY, 9.0)), kind="marginal")
    forecast = signal(tuple(replace(i, quality="forecast") for i in wave(10, NOON - 10 * DAY, 9.0)))
    found = typical_day([own, marginal, forecast], NOON, A_DAY)
    assert max(found.g_per_kwh) == pytest.approx(500)


def test_a_year_of_days_is_rehearsed_on_a_few_of_them() -> None:
    found = typical_day([signal(wave(750))], NOON, A_DAY + 72)
    assert 20 <= len(found.rehearsals) <= 40
    assert all(len(told) == len(was) == A_DAY + 72 for told, was in found.rehearsals)

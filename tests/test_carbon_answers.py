"""Intervals in order: none overlaps, none is lost, what was goes before what was expected."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_energy.carbon.answers import checked, in_order
from jupyter_energy.carbon.base import Interval, Signal
from jupyter_energy.carbon.known import Known, from_text, to_text
from jupyter_energy.errors import ProviderError

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
RANK = {"forecast": 0, "estimated": 1, "measured": 2}


def minutes(number: int) -> datetime:
    return NOON + timedelta(minutes=number)


intervals = st.lists(
    st.builds(
        lambda start, length, g, quality: Interval(
            minutes(start), minutes(start + length), g, quality, NOON
        ),
        st.integers(-60, 60),
        st.integers(1, 90),
        st.floats(0, 3000),
        st.sampled_from(list(RANK)),
    ),
    max_size=12,
)


@given(intervals, intervals)
def test_intervals_in_order_do_not_overlap_and_begin_where_one_of_them_began(
    new: list[Interval], older: list[Interval]
) -> None:
    ordered = in_order(new, older)
    assert [i.start for i in ordered] == sorted({i.start for i in new + older})
    assert all(one.end <= following.start for one, following in pairwise(ordered))
    assert all(i.start < i.end for i in ordered)


@given(intervals, intervals)
def test_of_two_that_begin_together_the_better_known_one_stays_then_the_newer(
    new: list[Interval], older: list[Interval]
) -> None:
    for found in in_order(new, older):
        rivals = [i for i in older + new if i.start == found.start]
        best = max(RANK[i.quality] for i in rivals)
        last = [i for i in rivals if RANK[i.quality] == best][-1]
        assert (found.g_per_kwh, found.quality) == (last.g_per_kwh, last.quality)


@given(intervals, intervals)
def test_what_is_in_order_stays_as_it_is(new: list[Interval], older: list[Interval]) -> None:
    ordered = in_order(new, older)
    assert in_order(ordered) == in_order((), ordered) == ordered


@given(intervals.filter(bool))
def test_what_is_known_comes_back_from_its_text_to_the_last_digit(found: list[Interval]) -> None:
    signal = Signal(
        *("fr", "France", "average", "production", "lifecycle", 900.0, "Us", "", NOON),
        in_order(found),
    )
    known = Known(signal, NOON, None, None)
    assert from_text(to_text(known)) == known


def of(start: datetime, end: datetime, step_s: float = 900.0) -> Signal:
    return Signal(
        *("fr", "France", "average", "production", "lifecycle", step_s, "Us", "", NOON),
        (Interval(start, end, 43.0, "measured"),),
    )


@pytest.mark.parametrize(
    "signal",
    [
        of(NOON, NOON),
        of(NOON, NOON - timedelta(minutes=1)),
        of(NOON.replace(tzinfo=None), NOON.replace(tzinfo=None) + timedelta(minutes=1)),
        of(NOON, datetime.max.replace(tzinfo=UTC)),
        of(datetime.min.replace(tzinfo=UTC), NOON),
        *(of(NOON, minutes(1), step_s) for step_s in (0.0, -1.0, nan, inf, 1e300)),
    ],
)
def test_a_signal_that_cannot_be_is_garbage(signal: Signal) -> None:
    with pytest.raises(ProviderError) as raised:
        checked(signal, "The grid")
    assert raised.value.kind == "garbage"


def test_moments_of_another_zone_are_brought_to_utc() -> None:
    paris = timezone(timedelta(hours=1))
    (interval,) = checked(of(NOON.astimezone(paris), minutes(15).astimezone(paris)), "x").intervals
    assert (interval.start.hour, interval.start.tzinfo, interval.end) == (12, UTC, minutes(15))

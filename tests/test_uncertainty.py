"""Measured and estimated numbers add up, each in its own way."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_energy.uncertainty import (
    Range,
    Uncertain,
    sum_of_ranges,
    sum_over_devices,
    sum_over_time,
)

positive = st.floats(0, 1e9)
uncertains = st.builds(Uncertain, positive, positive, positive)
ranges = st.lists(positive, min_size=3, max_size=3).map(lambda v: Range(*sorted(v)))


def test_nothing_adds_up_to_unknown_and_not_to_zero() -> None:
    assert sum_over_devices([]) is None
    assert sum_over_time([]) is None
    assert sum_of_ranges([]) is None


@given(st.lists(uncertains, min_size=1, max_size=8))
def test_a_devices_gain_error_does_not_average_out_over_time_but_does_over_devices(
    values: list[Uncertain],
) -> None:
    over_time, over_devices = sum_over_time(values), sum_over_devices(values)
    assert over_time is not None
    assert over_devices is not None
    assert over_time.value == over_devices.value == math.fsum(v.value for v in values)
    assert over_time.u_random == over_devices.u_random
    assert over_time.u_systematic >= over_devices.u_systematic * (1 - 1e-12)
    assert over_time.u_systematic == pytest.approx(sum(v.u_systematic for v in values))


def test_the_interval_is_the_gum_combination() -> None:
    value = Uncertain(100, u_random=3, u_systematic=4)
    assert value.u95_repeat == pytest.approx(5.88)
    assert value.u95 == pytest.approx(9.8)
    assert value.scaled(2) == Uncertain(200, 6, 8)


@given(st.lists(ranges, min_size=1, max_size=8))
def test_bounds_of_estimates_add(values: list[Range]) -> None:
    total = sum_of_ranges(values)
    assert total is not None
    assert total.low == math.fsum(v.low for v in values)
    assert total.high == math.fsum(v.high for v in values)
    assert total.low <= total.mid <= total.high


@pytest.mark.parametrize("bounds", [(2, 1, 3), (1, 3, 2), (math.nan, 1, 2), (1, math.nan, 2)])
def test_a_range_out_of_order_cannot_be_made(bounds: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="must rise"):
        Range(*bounds)

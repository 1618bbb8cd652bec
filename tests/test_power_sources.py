"""What becomes of the readings of one device in the process that reads power over time."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_energy.power.nvidia import Gpu
from jupyter_energy.power.sources import Affine, Source

RANGE_J = 262_143.0


def source(kind: type[Source] = Affine, **fields: Any) -> Source:
    plan = {
        "counted": True,
        "step_j": 0.0,
        "wraps_at_j": None,
        "max_w": None,
        "j_per_unit": 1.0,
        "idle_w": 0.0,
        "nvml": "GPU-0a",
        **fields,
    }
    return kind(plan, 2000)


def feed(to: Source, readings: list[tuple[float, float]], slept_s: float = 0.0) -> None:
    """Readings at seconds after the source began."""
    begin_s = to.line.begin_s
    to._slept_s = 0.0
    for t_s, raw in readings:
        to.add(begin_s + t_s, raw, slept_s)


def energy_j(of: Source) -> float:
    ends = [of.line.begin_s, *of.line.ends_s]
    steps = zip(pairwise(ends), of.line.power_w, strict=True)
    return math.fsum((b - a) * w for (a, b), w in steps if w is not None)


@given(
    st.lists(st.tuples(st.floats(0.001, 2.0), st.floats(0.0, 900.0)), min_size=1, max_size=60),
    st.floats(0.0, RANGE_J),
)
def test_a_counter_keeps_its_energy_whatever_its_rhythm_and_its_wraps(
    steps: list[tuple[float, float]], first_j: float
) -> None:
    counter = source(wraps_at_j=RANGE_J, step_j=1.0)
    whole = RANGE_J + 1.0
    t_s, height_j = 0.05, first_j
    readings = [(t_s, first_j)]
    for dt_s, power_w in steps:
        t_s, height_j = t_s + dt_s, height_j + dt_s * power_w
        readings.append((t_s, height_j % whole))
    feed(counter, readings[:-1])
    counter.add(counter.line.begin_s + readings[-1][0], readings[-1][1], 0.0, is_last=True)
    assert energy_j(counter) == pytest.approx(height_j - first_j, rel=1e-4, abs=1e-3)


@given(st.lists(st.floats(0.0, 1e6), min_size=2, max_size=40))
def test_a_counter_that_jumps_about_never_draws_more_than_it_can(heights: list[float]) -> None:
    counter = source(max_w=300.0)
    feed(counter, [(0.1 * (n + 1), height) for n, height in enumerate(heights)])
    known = [w for w in counter.line.power_w if w is not None]
    assert all(0 <= w <= 300.0 * 2 + 1e-6 for w in known)  # 0.1 s, and 0.1 s of slack


def test_after_a_sleep_the_stretch_is_a_gap() -> None:
    for kind in (Affine, Gpu):
        slept = source(kind)
        feed(slept, [(0.1, 10.0), (0.2, 20.0)])
        feed_s = slept.line.begin_s
        slept.add(feed_s + 0.3, 30.0, 240.0)
        slept.add(feed_s + 0.4, 40.0, 240.0)
        assert [w is None for w in slept.line.power_w] == [True, False, True, False]


def test_a_gauge_is_the_mean_of_two_readings_and_refuses_what_cannot_be() -> None:
    gauge = source(Gpu, max_w=400.0)
    feed(gauge, [(0.1, 100.0), (0.2, 300.0), (0.3, 900.0), (0.4, 100.0), (0.5, 100.0)])
    assert gauge.line.power_w == [None, 200.0, None, None, 100.0]


def test_the_longest_gap_is_between_two_readings() -> None:
    gauge = source(Gpu)
    feed(gauge, [(0.1, 1.0), (0.9, 1.0), (1.0, 1.0)])
    assert gauge.longest_gap_s == pytest.approx(0.8)

"""Power over time in a bounded memory: what is put together keeps its mean."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_energy.power.line import Line

LENGTHS_S = st.floats(0.001, 10.0)
POWERS_W = st.floats(0.0, 1000.0)


def stretches(line: Line) -> list[tuple[float, float | None]]:
    """Length in s and power in W of each stretch."""
    ends = [line.begin_s, *line.ends_s]
    return [(b - a, w) for (a, b), w in zip(pairwise(ends), line.power_w, strict=True)]


def energy_j(line: Line) -> float:
    return math.fsum(dt_s * w for dt_s, w in stretches(line) if w is not None)


def made(steps: list[tuple[float, float | None]], most: int, least_s: float = 0.0) -> Line:
    line, now_s = Line(100.0, most, least_s), 100.0
    for length_s, power_w in steps:
        now_s += length_s
        line.add(now_s, power_w)
    return line


@given(st.lists(st.tuples(LENGTHS_S, POWERS_W), max_size=200), st.integers(4, 50))
def test_however_long_a_line_holds_all_its_energy_in_few_stretches(
    steps: list[tuple[float, float]], most: int
) -> None:
    line = made(list(steps), most)
    assert len(line.ends_s) < most
    assert energy_j(line) == pytest.approx(math.fsum(dt * w for dt, w in steps), rel=1e-9)
    if steps:
        end_s = 100.0
        for length_s, _ in steps:
            end_s += length_s
        assert line.ends_s[-1] == end_s


@given(st.lists(st.tuples(LENGTHS_S, st.none() | POWERS_W), max_size=200), st.integers(4, 50))
def test_gaps_do_not_break_the_bound_and_the_ends_rise(
    steps: list[tuple[float, float | None]], most: int
) -> None:
    line = made(steps, most)
    assert len(line.ends_s) < most
    assert all(a < b for a, b in pairwise([line.begin_s, *line.ends_s]))
    known = [w for _, w in steps if w is not None]
    shown = [w for w in line.power_w if w is not None]
    assert all(min(known) * (1 - 1e-9) <= w <= max(known) * (1 + 1e-9) for w in shown)


@given(st.lists(st.tuples(LENGTHS_S, st.none() | POWERS_W), max_size=40))
def test_while_there_is_room_nothing_is_put_together(
    steps: list[tuple[float, float | None]],
) -> None:
    assert [w for _, w in stretches(made(steps, most=50))] == [w for _, w in steps]


def test_a_gap_that_can_be_seen_is_never_filled_with_power() -> None:
    steps: list[tuple[float, float | None]] = [(0.1, 50.0)] * 300 + [(40.0, None)]
    steps += [(0.1, 50.0)] * 300
    line = made(steps, most=20)
    unknown_s = sum(dt_s for dt_s, w in stretches(line) if w is None)
    assert unknown_s == pytest.approx(40.0)
    assert energy_j(line) == pytest.approx(60 * 50.0)


def test_a_cell_of_a_day_at_ten_readings_a_second_takes_no_more_than_its_points() -> None:
    line = Line(0.0, 2000)
    for number in range(1, 864_001):
        line.add(number / 10, 100.0 + number % 2)
    assert 1000 <= len(line.ends_s) < 2000
    assert energy_j(line) == pytest.approx(86_400 * 100.5)


def test_a_stretch_shorter_than_the_least_takes_in_the_next() -> None:
    line = made([(0.1, 10.0), (0.1, 30.0), (0.1, 20.0), (0.2, 20.0), (0.3, 80.0)], 50, 0.25)
    lengths, powers = zip(*stretches(line), strict=True)
    assert lengths == pytest.approx((0.3, 0.5))
    assert powers == pytest.approx((20.0, 56.0))


@given(st.lists(st.tuples(LENGTHS_S, POWERS_W), min_size=1, max_size=20), LENGTHS_S, POWERS_W)
def test_what_is_joined_to_the_last_stretch_keeps_its_energy(
    steps: list[tuple[float, float]], length_s: float, power_w: float
) -> None:
    line = made(list(steps), most=50)
    before_j, count = energy_j(line), len(line.ends_s)
    assert line.join(line.ends_s[-1] + length_s, power_w)
    assert len(line.ends_s) == count
    assert energy_j(line) == pytest.approx(before_j + length_s * power_w, rel=1e-9)


def test_nothing_is_joined_to_what_is_unknown() -> None:
    assert not made([(1.0, None)], 50).join(102.0, 5.0)
    assert not Line(0.0, 50).join(1.0, 5.0)

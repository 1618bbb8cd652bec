"""Grids change at full five minutes by the clock: so do waits and pauses, whenever a run begins."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standins.moved_clock import NOON, ClockMeter, MovedClock, Told, around, outlook, series
from standins.sensors import LIMIT_S
from test_factors import MakeDesk, at, desk

from jupyter_energy.pacing.outlooking import slot_of
from jupyter_energy.pacing.pacer import Pacer
from jupyter_energy.pacing.planning import Plan, Start, pauses, start
from jupyter_energy.pacing.surroundings import here
from jupyter_energy.pacing.waits import Wait, Waited
from jupyter_energy.plan.nouns import SLOT_S
from jupyter_energy.plan.pausing import Powers, free

__all__ = ["desk"]  # a fixture
# Clean from a quarter past on, and asked at one minute past.
CLEAN_AT_15 = [500.0] * 3 + [100.0] * 100
VALUES = st.lists(st.sampled_from([20.0, 100.0, 300.0, 900.0]), min_size=40, max_size=60)


def held(max_wait_s: float, hours: float = 0.05) -> tuple[Waited, float]:
    """What a wait from 12:01 on did, of a machine that runs anyway, and when it was over, in s
    after noon."""
    clock = MovedClock()
    clock.run(60.0)
    wait = Wait(around(clock, series(CLEAN_AT_15), Told()), ClockMeter(clock), free)
    return wait.held(hours * 3600, max_wait_s), clock.passed_s


def grams(prices: Sequence[float], since_s: float, until_s: float) -> float:
    """What lies between two moments, in s after noon: the price over time."""
    slots = enumerate(prices)
    return sum(
        price * max(0.0, min(until_s, (n + 1) * SLOT_S) - max(since_s, n * SLOT_S))
        for n, price in slots
    )


def test_a_short_run_does_not_wait_for_what_begins_when_it_is_over() -> None:
    waited, over_s = held(600.0)
    assert waited.planned is None
    assert waited.why is not None
    assert waited.why.startswith("no later start would save 2 % or more")
    assert over_s == 60.0


def test_a_short_run_begins_at_the_very_moment_that_is_clean() -> None:
    waited, over_s = held(900.0)
    assert over_s == 900.0
    assert waited.saved_fraction == pytest.approx(0.8)


def test_a_pause_ends_at_the_very_moment_that_is_clean() -> None:
    clock = MovedClock()
    clock.run(60.0)
    pacer = Pacer("1h", around=around(clock, series(CLEAN_AT_15)), meter=ClockMeter(clock))
    pacer.begin(600)
    ended_s = []
    for step in range(600):
        if pacer.due(step):
            pacer.pause()
            ended_s.append(clock.passed_s)
        clock.run(10.0)
    pacer.end()
    assert ended_s == [900.0]


@given(
    prices=VALUES,
    passed_s=st.floats(0, 299),
    run_s=st.floats(1, 3000),
    wait_s=st.floats(300, 6000),
    idle=st.sampled_from([0.0, 0.3]),
)
def test_a_start_saves_what_its_very_times_do_with_the_wait_for_it(
    prices: list[float], passed_s: float, run_s: float, wait_s: float, idle: float
) -> None:
    now = NOON + timedelta(seconds=passed_s)
    found = start(outlook(prices), now, run_s, wait_s, Powers(idle=idle))
    passed_s = (now - NOON).total_seconds()
    at_once = grams(prices, passed_s, passed_s + run_s)
    edges = [n * SLOT_S for n in range(1, 60) if n * SLOT_S <= passed_s + wait_s]
    waits = {at_s: idle * grams(prices, passed_s, at_s) for at_s in edges}
    best = min(grams(prices, at_s, at_s + run_s) + waits[at_s] for at_s in edges)
    if isinstance(found, Start):
        at_s = (found.at - NOON).total_seconds()
        assert at_s in edges
        assert found.saved_fraction == pytest.approx(1 - best / at_once)
        assert grams(prices, at_s, at_s + run_s) + waits[at_s] == pytest.approx(best)
        assert found.wait_fraction == pytest.approx(waits[at_s] / at_once)
    else:
        assert 1 - best / at_once < 0.0201


@given(
    prices=VALUES,
    passed_s=st.floats(0, 299),
    run_s=st.floats(1, 3000),
    slack_s=st.floats(0, 6000),
    idle=st.sampled_from([0.0, 0.3]),
    is_paused=st.booleans(),
)
def test_pauses_save_what_their_very_times_do(
    prices: list[float],
    passed_s: float,
    run_s: float,
    slack_s: float,
    idle: float,
    is_paused: bool,
) -> None:
    now = NOON + timedelta(seconds=passed_s)
    found = pauses(outlook(prices), now, run_s, slack_s, Powers(idle=idle), is_paused)
    if not isinstance(found, Plan):
        return
    at_s = now_s = (now - NOON).total_seconds()
    cost, left_s, paused_s = 0.0, run_s, 0.0
    for begin, end in found.pauses:
        begin_s, end_s = ((moment - NOON).total_seconds() for moment in (begin, end))
        cost += grams(prices, at_s, begin_s) + idle * grams(prices, begin_s, end_s)
        if not (is_paused and begin_s == now_s):
            cost += 60.0 * prices[int(end_s // SLOT_S)]
        left_s -= begin_s - at_s
        paused_s += end_s - begin_s
        at_s = end_s
        assert end_s % SLOT_S == 0
    assert left_s > 0
    assert paused_s <= slack_s + 1
    cost += grams(prices, at_s, at_s + left_s)
    at_once = grams(prices, now_s, now_s + run_s)
    assert found.saved_fraction == pytest.approx(1 - cost / at_once, abs=1e-6)


def test_a_file_that_begins_within_the_five_minutes_of_now_is_planned_over(desk: MakeDesk) -> None:
    """As one that was written just before the run; what was before that is of no matter."""
    made = desk()
    now = datetime.now(UTC)
    minutes = (now - at(0)) / timedelta(minutes=1)
    made.says((minutes - 1e-4, 400), (minutes + 120, 100), (minutes + 1800, 100))
    around_it = here(made.monitor)
    found, _ = around_it.find(slot_of(now), 4 * 3600.0).result(LIMIT_S)
    around_it.close()
    assert found is not None
    assert found.begin == slot_of(now)
    assert found.g_per_kwh[:10] == pytest.approx([400.0] * 10)

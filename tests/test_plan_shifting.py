"""Flexible Start and Pause & Resume against brute force, and the properties of carbon.md 1.4."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from jupyter_energy.errors import WrongUse
from jupyter_energy.plan.shifting import Schedule, flexible_start, pause_resume, starts
from jupyter_energy.units import J_PER_KWH

NAN = math.nan
intensities = st.one_of(st.integers(0, 8).map(float), st.floats(0, 900))  # with ties, and without
with_gaps = st.one_of(intensities, st.just(NAN))
energies = st.floats(0.1, 10).map(lambda kwh: kwh * J_PER_KWH)
jobs = st.lists(energies, min_size=1, max_size=4)
constant = st.tuples(energies, st.integers(1, 4)).map(lambda job: [job[0]] * job[1])
series = st.lists(intensities, min_size=1, max_size=10)
gappy = st.lists(with_gaps, min_size=1, max_size=10)
windows = st.integers(0, 6)


def grams(job: Sequence[float], held: Sequence[float], slots: Sequence[int]) -> float:
    """Energy times intensity, slot by slot: NaN where one is unknown."""
    return math.fsum(e / J_PER_KWH * held[s] for e, s in zip(job, slots, strict=True))


def every_start(job: Sequence[float], held: Sequence[float], latest: int) -> list[float]:
    """The grams of each start within the window that has values all along."""
    last = min(latest, len(held) - len(job))
    found = [grams(job, held, range(s, s + len(job))) for s in range(last + 1)]
    return [g for g in found if not math.isnan(g)]


def every_choice(
    job: Sequence[float],
    held: Sequence[float],
    slack: int,
    pause_j: float = 0.0,
    idle_j: float = 0.0,
) -> list[float]:
    """The grams of each way to choose the job's slots in the window."""
    found = []
    held = held[: slack + len(job)]
    known = [g for g in held if not math.isnan(g)]
    pauses = [math.fsum(known) / len(known) if math.isnan(g) else g for g in held if known]
    for slots in combinations(range(len(held)), len(job)):
        resumed = [b for a, b in pairwise(slots) if b > a + 1]
        total = grams(job, held, slots) + sum(pause_j / J_PER_KWH * held[s] for s in resumed)
        between = set(range(slots[-1])) - set(slots)
        total += sum(idle_j / J_PER_KWH * pauses[s] for s in between if pauses)
        if not math.isnan(total):
            found.append(total)
    return found


def near(found: Schedule | None, all_grams: list[float]) -> bool:
    """Whether the best was found, or rightly none."""
    if not all_grams or found is None:
        return found is None and not all_grams
    return found.carbon_g == pytest.approx(min(all_grams), rel=1e-9, abs=1e-9)


@given(jobs, gappy, windows)
def test_the_start_is_the_best_of_all_starts(
    job: list[float], held: list[float], latest: int
) -> None:
    found = flexible_start(job, held, latest)
    assert near(found, every_start(job, held, latest))
    if found is not None:
        assert found.pauses == 0
        assert found.start <= latest
        assert found.carbon_g == pytest.approx(grams(job, held, found.slots), abs=1e-9)


costs = st.one_of(st.just(0.0), energies)
with_nothing = st.lists(st.one_of(st.just(0.0), energies), min_size=1, max_size=4)


@given(st.one_of(jobs, constant, with_nothing), gappy, windows, costs, costs)
def test_the_slots_are_the_best_of_all_choices_with_the_cost_of_each_pause_and_resumption(
    job: list[float], held: list[float], slack: int, pause_j: float, idle_j: float
) -> None:
    found = pause_resume(job, held, slack, pause_j, idle_j)
    assert near(found, every_choice(job, held, slack, pause_j, idle_j))
    if found is not None:
        assert len(found.slots) == len(job)
        assert list(found.slots) == sorted(set(found.slots))


@given(constant, gappy, windows)
def test_a_job_of_constant_power_takes_the_cheapest_slots_and_of_equal_ones_the_earliest(
    job: list[float], held: list[float], slack: int
) -> None:
    found = pause_resume(job, held, slack)
    window = [(g, n) for n, g in enumerate(held[: slack + len(job)]) if not math.isnan(g)]
    cheapest = sorted(n for _, n in sorted(window)[: len(job)])
    assert (None if found is None else list(found.slots)) == (
        cheapest if len(window) >= len(job) else None
    )


@given(jobs, series, windows)
def test_pausing_is_no_worse_than_starting_later_and_that_no_worse_than_now(
    job: list[float], held: list[float], window: int
) -> None:
    assume(len(held) >= len(job))
    later, paused = flexible_start(job, held, window), pause_resume(job, held, window)
    assert later is not None
    assert paused is not None
    assert later.now_g is not None
    slack_g = 1e-9 * max(1.0, later.now_g)
    assert paused.carbon_g <= later.carbon_g + slack_g
    assert later.carbon_g <= later.now_g + slack_g
    assert later.now_g == pytest.approx(grams(job, held, range(len(job))), abs=1e-9)


@given(jobs, series, windows, windows)
def test_a_longer_window_is_never_worse(
    job: list[float], held: list[float], window: int, more: int
) -> None:
    assume(len(held) >= len(job))
    for plan in (flexible_start, pause_resume):
        short, long = plan(job, held, window), plan(job, held, window + more)
        assert short is not None
        assert long is not None
        assert long.carbon_g <= short.carbon_g + 1e-9 * max(1.0, short.carbon_g)


@given(jobs, series)
def test_without_a_window_both_are_running_now(job: list[float], held: list[float]) -> None:
    assume(len(held) >= len(job))
    for plan in (flexible_start, pause_resume):
        found = plan(job, held, 0)
        assert found is not None
        assert found.slots == tuple(range(len(job)))
        assert found.carbon_g == found.now_g
        assert found.saved_fraction == 0


@given(jobs, st.floats(0, 900), st.integers(4, 10), windows)
def test_a_signal_that_never_changes_saves_nothing_and_pauses_nothing(
    job: list[float], value: float, slots: int, window: int
) -> None:
    for plan in (flexible_start, pause_resume):
        found = plan(job, [value] * slots, window)
        assert found is not None
        assert found.saved_fraction == pytest.approx(0, abs=1e-9)
        assert found.slots == tuple(range(len(job)))


@given(jobs, st.lists(st.floats(1, 900), min_size=4, max_size=10), windows, st.floats(0.01, 100))
def test_another_unit_of_the_signal_changes_no_percentage(
    job: list[float], held: list[float], window: int, factor: float
) -> None:
    for plan in (flexible_start, pause_resume):
        a, b = plan(job, held, window), plan(job, [factor * g for g in held], window)
        assert a is not None
        assert b is not None
        assert a.saved_fraction is not None
        assert b.saved_fraction == pytest.approx(a.saved_fraction, abs=1e-9)


@given(
    constant, st.lists(st.integers(1, 900), min_size=4, max_size=10), windows, st.integers(1, 99)
)
def test_a_signal_with_something_added_has_the_same_schedule_and_a_lower_percentage(
    job: list[float], held: list[int], window: int, more: int
) -> None:
    a, b = pause_resume(job, held, window), pause_resume(job, [g + more for g in held], window)
    assert a is not None
    assert b is not None
    assert a.slots == b.slots
    assert a.saved_fraction is not None
    assert b.saved_fraction is not None
    assert b.saved_fraction <= a.saved_fraction + 1e-12


@given(st.integers(0, 2**32 - 1))
def test_long_jobs_of_varying_power_are_summed_as_short_ones_are(seed: int) -> None:
    random = np.random.default_rng(seed)
    held, job = random.uniform(0, 900, 5000), random.uniform(0, J_PER_KWH, 700)
    held[random.integers(0, 5000, 2)] = NAN
    found = starts(list(job), list(held))
    for start in random.integers(0, len(found), 5):
        expected = float((job / J_PER_KWH * held[start : start + 700]).sum())
        assert found[start] == pytest.approx(expected, rel=1e-9, nan_ok=True)


def test_what_is_no_job_or_no_window_is_told() -> None:
    for job in ([], [-1.0], [NAN], [math.inf]):
        with pytest.raises(WrongUse, match="a job"):
            flexible_start(job, [1.0], 0)
    with pytest.raises(WrongUse, match="window"):
        pause_resume([1.0], [1.0], -1)


def test_a_job_longer_than_the_series_has_no_plan() -> None:
    assert flexible_start([1.0, 1.0], [100.0], 5) is None
    assert pause_resume([1.0, 1.0], [100.0], 5) is None


def test_a_search_that_would_take_minutes_is_refused_with_what_to_do() -> None:
    job = [1.0, 2.0] * 40_000
    with pytest.raises(WrongUse, match="longer slots or a shorter window"):
        pause_resume(job, [1.0] * 160_000, 80_000)


def test_a_schedule_tells_its_runs_and_pauses() -> None:
    found = pause_resume([J_PER_KWH] * 3, [5.0, 900.0, 4.0, 3.0, 900.0], 2)
    assert found is not None
    assert (found.slots, found.pauses, found.runs) == ((0, 2, 3), 1, ((0, 1), (2, 4)))
    assert (found.carbon_g, found.now_g) == (12.0, 909.0)

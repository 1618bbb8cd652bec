"""What a start or pauses are told to save: ranges over forecasts, and promises by typical days."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from test_plan_timing import (
    HOUR_S,
    NAN,
    grams,
    job,
    outlook,
    positive,
    slot,
    typical,
    weights,
    windows,
    with_gaps,
)

from jupyter_energy.plan.nouns import SLOT_S
from jupyter_energy.plan.pausing import Powers, assumed, free
from jupyter_energy.plan.saved import worst_ratio
from jupyter_energy.plan.timing import best_pauses, best_start, grams_now, items, problems

Numbers = np.ndarray[tuple[int], np.dtype[np.float64]]


@given(st.lists(st.floats(0, 50), min_size=1, max_size=7), st.data(), st.floats(0, 0.9))
def test_the_worst_that_errors_can_do_is_the_worst_of_all_corners(
    now: list[float], data: st.DataObject, error: float
) -> None:
    planned = data.draw(
        st.lists(st.floats(0, 50), min_size=len(now), max_size=len(now)), label="planned"
    )
    assume(math.fsum(now) > 1e-3)
    corners = [
        math.fsum(o * p for o, p in zip(off, planned, strict=True))
        / math.fsum(o * n for o, n in zip(off, now, strict=True))
        for off in product((1 - error, 1 + error), repeat=len(now))
    ]
    found = worst_ratio(np.array(planned), np.array(now), error)
    assert found == pytest.approx(max(corners), rel=1e-9)


@given(weights, st.lists(positive, min_size=10, max_size=12), windows, st.floats(0, 0.3))
def test_a_forecasts_range_holds_its_figure_and_whatever_comes_within_the_error(
    parts: list[float], series: list[float], window: int, error: float
) -> None:
    of = job(parts)
    found = best_start(of, outlook(series, error), window * SLOT_S)
    assert found is not None
    low, mid, high = (found["saved_range"][name] for name in ("low", "mid", "high"))
    assert low <= mid <= high
    assert mid == found["saved_fraction"]
    start = round(slot(found["start"]))
    for off in ([1 + error, 1 - error] * 6, [1 - error] * 12, [1 - error, 1 + error] * 6):
        was = [o * g for o, g in zip(off, series, strict=False)]
        now, then = (grams(of, was, range(s, s + len(parts))) for s in (0, start))
        assert low - 1e-9 <= 1 - then / now <= high + 1e-9


powers_of_pauses = st.one_of(
    st.builds(assumed, st.floats(0, 1)),
    st.builds(Powers, st.floats(0, 1.2), st.booleans(), st.floats(0, 300)),
    st.builds(
        lambda ends, part: Powers(ends[0] + part * (ends[1] - ends[0]), estimated=ends),
        st.tuples(st.floats(0, 0.5), st.floats(0.5, 1.2)),
        st.floats(0, 1),
    ),
)


@given(
    weights,
    st.lists(positive, min_size=4, max_size=4),
    st.lists(with_gaps, max_size=3),
    windows,
    st.floats(0, 0.3),
    powers_of_pauses,
    st.booleans(),
)
def test_a_range_of_pauses_is_from_the_least_to_the_most_that_errors_and_pauses_come_to(
    parts: list[float],
    first: list[float],
    then: list[float],
    window: int,
    error: float,
    powers: Powers,
    hindsight: bool,
) -> None:
    series = [*first, *then]
    of, ahead = job(parts), replace(outlook(series, error), hindsight=hindsight)
    found = best_pauses(of, ahead, window * SLOT_S, powers)
    assert found is not None
    low, mid, high = (found["saved_range"][name] for name in ("low", "mid", "high"))
    assert low <= mid <= high <= 1
    runs = [(round(slot(a)), round(slot(b))) for a, b in found["run"]]
    slots = [n for run in runs for n in range(*run)]
    reach = series[: window + len(parts)]
    mean = float(np.nanmean(reach))
    known = np.array([mean if math.isnan(g) else g for g in reach])

    def saved(values: Numbers, idle: float) -> float:
        between = set(range(slots[-1])) - {*slots}
        pauses = idle * math.fsum(values[n] for n in between)
        pauses += powers.resume_s / SLOT_S * math.fsum(values[start] for start, _ in runs[1:])
        # Of 2 kWh, a slot of the run's power has this part.
        drawn_g = grams(of, values.tolist(), slots) + 2.0 / len(parts) * pauses
        return 1 - drawn_g / grams(of, values.tolist(), range(len(parts)))

    # Whatever lies between the corners lies between what these come to.
    off = (np.array(one) for one in product((1 - error, 1 + error), repeat=len(known)))
    each = [[saved(one * known, idle) for idle in powers.bounds] for one in off]
    least, most = min(saves for _, saves in each), max(saves for saves, _ in each)
    if hindsight:  # nobody can beat what has come true
        most = saved(known, powers.bounds[0])
    assert (low, high) == pytest.approx((least, most), abs=1e-9)


def test_pauses_whose_power_is_only_assumed_save_no_more_than_all() -> None:
    ahead = outlook([0.0] * 6 + [150.0] * 8 + [0.0] * 6 + [150.0] * 6, 0.07)
    found = best_pauses(job([1.0] * 12), ahead, 12 * SLOT_S, Powers())
    assert found is not None
    assert found["saved_fraction"] == pytest.approx(0.6)
    assert found["saved_range"]["high"] == 1  # where they draw nothing


def test_a_forecast_that_may_be_off_by_all_of_it_has_a_range_that_can_be_written() -> None:
    found = best_start(job([1.0]), outlook([500.0, 100.0], 1.0), SLOT_S)
    assert found is not None
    assert -math.inf < found["saved_range"]["low"] < -10


def test_a_range_by_hindsight_ends_at_the_figure_which_nobody_can_beat() -> None:
    ahead = replace(outlook([500.0, 100.0, 300.0], 0.07), hindsight=True, basis="trace")
    found = best_start(job([1.0]), ahead, 2 * SLOT_S)
    assert found is not None
    assert found["saved_range"]["high"] == found["saved_fraction"] == pytest.approx(0.8)
    assert found["saved_range"]["low"] == pytest.approx(1 - 100 * 1.07 / (500 * 0.93))
    (item,) = items(job([1.0]), ahead, found, None, None)
    assert "upper bound" in item["evidence"]


def test_a_typical_day_promises_what_past_days_saved_less_chance_and_a_range_for_one_more() -> None:
    days = [(200.0, float(was), 150.0) for was in range(110, 151, 5)]
    ahead = typical((200.0, 100.0, 150.0), *days)  # whose own figure is 50 %
    found = best_start(job([1.0]), ahead, 2 * SLOT_S)
    assert found is not None
    assert found["carbon_g"] is not None
    ratios = np.array([was / 200 for _, was, _ in days])
    apart = 1.8595 * math.sqrt(1 + 1 / 9)  # Student's t with 8 degrees
    low, mid, high = (found["saved_range"][name] for name in ("low", "mid", "high"))
    by_chance = ratios.var(ddof=1) / 9 / 0.35
    assert mid == found["saved_fraction"] == pytest.approx(0.35 - by_chance)
    assert low == pytest.approx(1 - ratios.mean() - apart * ratios.std(ddof=1), abs=1e-3)
    inverse = 1 / ratios
    assert high == pytest.approx(1 - 1 / (inverse.mean() + apart * inverse.std(ddof=1)), abs=1e-3)
    # The grams are those that the share is of.
    assert found["carbon_g"]["mid"] == pytest.approx(2.0 * 200 * (1 - mid))
    (item,) = items(job([1.0]), ahead, found, None, None)
    assert item["saved_fraction"] == found["saved_range"]


def test_a_typical_day_that_promises_all_saves_no_more_than_that() -> None:
    """Nothing is emitted there at any time."""
    ahead = typical((200.0, 0.0), *[(200.0, 0.0), (100.0, 0.0), (50.0, 0.0)] * 3)
    found = best_start(job([1.0]), ahead, SLOT_S)
    assert found is not None
    assert found["saved_range"] == {"low": 1.0, "mid": 1.0, "high": 1.0}


def test_a_past_day_is_rehearsed_with_all_the_time_there_is() -> None:
    told, was = (200.0, 100.0, 150.0), (200.0, 150.0, 50.0)
    ahead = typical(told, *[was] * 5, by=was)  # cleanest later than by the typical day
    start = best_start(job([1.0]), ahead, 2 * SLOT_S)
    pause = best_pauses(job([1.0, 1.0]), ahead, SLOT_S, free())
    assert start is not None
    assert pause is not None
    assert start["saved_fraction"] == pytest.approx(0.75)
    assert pause["saved_fraction"] == pytest.approx(1 - 200 / 350)


@pytest.mark.parametrize(
    ("later", "is_advised"),
    [
        ([97.0, 140.0, 99.0, 140.0, 98.0], False),  # against it
        ([98.9] * 4 + [99.1] * 4, False),  # less than 2 %
        ([20.0, 130.0, 90.0, 120.0, 85.0, 110.0], False),  # 7.5 % in the mean, and as well nothing
        ([60.0, 80.0, 90.0, 70.0], False),  # of too few days
        ([60.0, 80.0, 90.0, 70.0, NAN], False),
        ([60.0, 80.0, 90.0, 70.0, 105.0], True),
    ],
)
def test_a_typical_day_is_advised_by_only_where_past_days_clearly_speak_for_it(
    later: list[float], is_advised: bool
) -> None:
    ahead = typical((100.0, 80.0, 90.0), *((100.0, was, 90.0) for was in later))
    start = best_start(job([1.0]), ahead, 2 * SLOT_S)
    pause = best_pauses(job([1.0]), ahead, 2 * SLOT_S, free())
    now = grams_now(job([1.0]), ahead)
    for found in (start, pause):
        assert found is not None
        assert (found["saved_fraction"] > 0) == is_advised
        if not is_advised:  # there is no better plan than to run at once
            assert found["saved_range"] == {"low": 0.0, "mid": 0.0, "high": 0.0}
            assert found["carbon_g"] == now
    assert start is not None
    assert slot(start["start"]) == (1 if is_advised else 0)
    assert bool(items(job([1.0]), ahead, start, pause, now)) == is_advised
    is_few = sum(map(math.isfinite, later)) < 5 and len(later) < 5
    assert any("too few past days" in said for said in problems(job([1.0]), ahead, HOUR_S)) == (
        is_few
    )


def test_over_a_typical_day_what_a_pause_may_draw_is_in_the_range() -> None:
    of, told = job([1.0, 1.0]), (100.0, 900.0, 100.0, 900.0)
    ahead = typical(told, *[told] * 6)
    pause = best_pauses(of, ahead, SLOT_S, Powers(resume_s=0.0))
    assert pause is not None
    drawn = [1 - (200 + 900 * idle) / 1000 for idle in (0.5, 0.3, 0.0)]
    assert [pause["saved_range"][n] for n in ("low", "mid", "high")] == pytest.approx(drawn)

"""Start and pauses of a job over an outlook: against brute force, and the properties of 1.4."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_energy.json_shapes import RangeJson
from jupyter_energy.pacing.asked import extend_of, hours_of, wait_of
from jupyter_energy.pacing.planning import pauses
from jupyter_energy.plan.document import advice
from jupyter_energy.plan.nouns import SLOT_S, Job, Outlook
from jupyter_energy.plan.pausing import Powers, assumed, free
from jupyter_energy.plan.timing import best_pauses, best_start, grams_now, items, problems
from jupyter_energy.uncertainty import Range, Uncertain
from jupyter_energy.units import J_PER_KWH, percent

NAN = math.nan
BEGIN = datetime(2026, 11, 23, 12, 5, 7, tzinfo=UTC)
HOUR_S = 3600.0
intensities = st.one_of(st.integers(0, 8).map(float), st.floats(0.1, 900))  # with ties
positive = st.one_of(st.integers(1, 8).map(float), st.floats(0.1, 900))
with_gaps = st.one_of(intensities, st.just(NAN))
weights = st.lists(st.floats(0.1, 10), min_size=1, max_size=4)
windows = st.integers(0, 6)


def job(parts: Sequence[float], kwh: float | None = 2.0, last_s: float = SLOT_S) -> Job:
    """One of these weights, slot by slot, the last one so many s long."""
    whole = math.fsum(parts)
    shares = tuple(part / whole for part in parts)
    energy = None if kwh is None else Uncertain(kwh * J_PER_KWH, 0.0, 0.0)
    return Job((len(parts) - 1) * SLOT_S + last_s, shares, energy, None, "a test")


def outlook(series: Sequence[float], error: float = 0.0) -> Outlook:
    return Outlook(
        BEGIN, tuple(series), "forecast", "FR", "France", "average", "consumption", "lifecycle",
        "a test", error, "a test",
    )  # fmt: skip


def grams(of: Job, series: Sequence[float], slots: Sequence[int], pause_j: float = 0.0) -> float:
    """Energy times intensity, slot by slot, and a checkpoint where it goes on after a pause."""
    total = math.fsum(s * 2.0 * series[n] for s, n in zip(of.shares, slots, strict=True))
    resumed = [b for a, b in pairwise(slots) if b > a + 1]
    return total + math.fsum(pause_j / J_PER_KWH * series[n] for n in resumed)


def slot(text: str) -> float:
    return (datetime.fromisoformat(text) - BEGIN) / timedelta(seconds=SLOT_S)


@given(weights, st.lists(with_gaps, min_size=1, max_size=10), windows)
def test_the_start_is_the_earliest_of_the_best_of_all(
    parts: list[float], series: list[float], window: int
) -> None:
    of = job(parts)
    last = min(window, len(series) - len(parts))
    each = {s: grams(of, series, range(s, s + len(parts))) for s in range(last + 1)}
    known = {s: g for s, g in each.items() if not math.isnan(g)}
    found = best_start(of, outlook(series), window * SLOT_S)
    if 0 not in known:  # what it is compared with is unknown, and no figure is made up
        assert found is None
        return
    assert found is not None
    assert found["carbon_g"] is not None
    least = min(known.values())
    assert found["carbon_g"]["mid"] == pytest.approx(least, rel=1e-9, abs=1e-9)
    start = round(slot(found["start"]))
    assert known[start] == pytest.approx(least, rel=1e-9, abs=1e-9)
    assert all(g > least for s, g in known.items() if s < start)
    saved = 1 - least / known[0] if known[0] > 0 else 0.0
    assert found["saved_fraction"] == pytest.approx(saved, abs=1e-7)


@given(
    weights,
    st.lists(with_gaps, min_size=1, max_size=9),
    windows,
    st.one_of(st.just(0.0), st.floats(1, J_PER_KWH)),
)
def test_pauses_are_the_best_of_all_choices_of_slots_with_the_cost_of_each_checkpoint(
    parts: list[float], series: list[float], window: int, pause_j: float
) -> None:
    of = job(parts)
    reach = range(min(len(series), window + len(parts)))
    each = [grams(of, series, slots, pause_j) for slots in combinations(reach, len(parts))]
    known = [g for g in each if not math.isnan(g)]
    resume_s = pause_j / (2 * J_PER_KWH) * of.duration_s
    powers = Powers(idle=0.0, is_measured=True, resume_s=resume_s)
    found = best_pauses(of, outlook(series), window * SLOT_S, powers)
    if not known or len(series) < len(parts) or any(map(math.isnan, series[: len(parts)])):
        assert found is None
        return
    assert found is not None
    assert found["carbon_g"] is not None
    assert found["carbon_g"]["mid"] == pytest.approx(min(known), rel=1e-9, abs=1e-9)
    slots = [n for a, b in found["run"] for n in range(round(slot(a)), round(slot(b)))]
    assert len(slots) == len(parts)
    assert grams(of, series, slots, pause_j) == pytest.approx(min(known), rel=1e-9, abs=1e-9)
    assert found["pauses"] == len(found["run"]) - 1


@given(weights, st.lists(positive, min_size=10, max_size=12), windows, windows)
def test_pausing_saves_no_less_than_starting_later_and_more_time_never_less(
    parts: list[float], series: list[float], window: int, more: int
) -> None:
    of, ahead = job(parts), outlook(series)
    saved = []
    for slots in (window, window + more):
        start = best_start(of, ahead, slots * SLOT_S)
        pause = best_pauses(of, ahead, slots * SLOT_S, free())
        assert start is not None
        assert pause is not None
        assert pause["saved_fraction"] >= start["saved_fraction"] - 1e-9
        assert start["saved_fraction"] >= -1e-9
        saved.append((start["saved_fraction"], pause["saved_fraction"]))
    assert saved[1][0] >= saved[0][0] - 1e-9
    assert saved[1][1] >= saved[0][1] - 1e-9


@given(weights, st.lists(positive, min_size=10, max_size=12), windows, st.floats(0.01, 100))
def test_neither_the_signals_unit_nor_the_jobs_energy_changes_what_share_is_saved(
    parts: list[float], series: list[float], window: int, factor: float
) -> None:
    within_s = window * SLOT_S
    kilowatts = best_start(job(parts), outlook(series), within_s)
    assert kilowatts is not None
    unknown = best_start(job(parts, kwh=None), outlook(series), within_s)
    for other in (
        best_start(job(parts), outlook([factor * g for g in series]), within_s),
        best_start(job(parts, kwh=factor), outlook(series), within_s),
        unknown,
    ):
        assert other is not None
        assert other["saved_fraction"] == pytest.approx(kilowatts["saved_fraction"], abs=1e-9)
    assert unknown is not None
    assert unknown["carbon_g"] is None  # of a job whose energy nobody knows


@given(weights, positive, windows, st.floats(0, 0.2))
def test_a_signal_that_never_changes_saves_nothing_and_waits_for_nothing(
    parts: list[float], value: float, window: int, error: float
) -> None:
    ahead = outlook([value] * 12, error)
    start = best_start(job(parts), ahead, window * SLOT_S)
    pause = best_pauses(job(parts), ahead, window * SLOT_S, free())
    assert start is not None
    assert pause is not None
    assert (slot(start["start"]), pause["pauses"]) == (0, 0)
    assert start["saved_fraction"] == pause["saved_fraction"] == 0
    # What is the same plan is off by the same.
    assert start["saved_range"]["low"] == pytest.approx(0, abs=1e-12)
    assert items(job(parts), ahead, start, pause, None) == []


def test_the_last_slot_ends_with_the_job_and_what_it_draws_is_less() -> None:
    of = job([1.0, 0.25], last_s=75.0)
    found = best_pauses(of, outlook([100.0, 900.0, 900.0, 10.0]), 2 * SLOT_S, free())
    assert found is not None
    assert [(slot(a), slot(b)) for a, b in found["run"]] == [(0, 1), (3, 3.25)]
    assert slot(found["until"]) == 2 + 1.25


def test_varying_power_draws_most_where_the_grid_is_clean() -> None:
    of = job([1.0, 10.0])
    found = best_start(of, outlook([100.0, 400.0, 300.0, 100.0, 500.0]), 3 * SLOT_S)
    assert found is not None
    assert slot(found["start"]) == 2  # its second slot at 100


def test_grams_have_the_bounds_of_energy_and_of_the_outlook_and_the_pue() -> None:
    of = replace(job([1.0, 1.0]), measured=None, estimated=Range(1e6, 2e6, 4e6))
    found = grams_now(of, outlook([360.0, 180.0, 1.0], 0.1), pue=1.5)
    assert found is not None
    assert [found["low"], found["mid"], found["high"]] == pytest.approx(
        [1e6 / 3.6e6 * 270 * 1.5 * 0.9, 2e6 / 3.6e6 * 270 * 1.5, 4e6 / 3.6e6 * 270 * 1.5 * 1.1]
    )
    assert grams_now(of, outlook([360.0, NAN])) is None
    assert grams_now(of, outlook([360.0])) is None


def typical(
    told: tuple[float, ...], *days: tuple[float, ...], by: tuple[float, ...] | None = None
) -> Outlook:
    """A typical day, and past ones, for each of which the others would have told `by`."""
    rehearsals = tuple((by or told, day) for day in days)
    return replace(outlook(told), basis="typical day", rehearsals=rehearsals)


def hours(count: float) -> Job:
    return job([1.0] * round(count * 12))


WAVE = [300 + 200 * math.sin(n / 288 * 2 * math.pi) for n in range(1200)]


def test_over_a_typical_day_a_day_long_job_is_told_when_to_pause_and_not_when_to_start() -> None:
    ahead = typical(tuple(WAVE), *[tuple(WAVE)] * 5)
    assert best_start(hours(12), ahead, 24 * HOUR_S) is not None
    assert best_start(hours(24), ahead, 24 * HOUR_S) is None
    assert best_pauses(hours(24), ahead, 24 * HOUR_S, free()) is not None
    (said,) = problems(hours(24), ahead, 24 * HOUR_S)
    assert said.startswith("a typical day does not tell when to start a job of 24 h")
    assert problems(hours(12), ahead, 24 * HOUR_S) == []


def test_what_cannot_be_planned_is_told_with_what_to_do() -> None:
    short = outlook([100.0, 50.0, 70.0])
    (said,) = problems(hours(1), short, HOUR_S)
    assert said.startswith("the job takes 1 h 00 min, longer than what is known ahead (until 2026")
    assert best_start(hours(1), short, HOUR_S) is None
    assert best_pauses(hours(1), short, HOUR_S, free()) is None
    (said,) = problems(job([1.0]), short, 0.0)
    assert "nothing to choose" in said
    found = best_start(job([1.0]), short, 0.0)
    assert found is not None
    assert (found["saved_fraction"], slot(found["start"])) == (0, 0)
    (said,) = problems(job([1.0]), short, HOUR_S)
    assert said == "values end at 2026-11-23 12:20 UTC: no later time is planned"
    (said,) = problems(job([1.0]), outlook([NAN, 50.0]), SLOT_S)
    assert "what running now would emit is not known" in said
    assert said.endswith("against a later time it can: --start 2026-11-23T12:10Z")
    (said,) = problems(job([1.0, 1.0]), outlook([NAN, 50.0]), 0.0)[:1]
    assert said.endswith("so no saving can be told")


def test_pauses_whose_search_would_take_minutes_are_refused_in_words() -> None:
    of = job([1.0, 2.0] * 8_000)
    ahead = outlook([100.0, 200.0] * 16_000)
    assert best_pauses(of, ahead, 16_000 * SLOT_S, free()) is None
    (said,) = problems(of, ahead, 16_000 * SLOT_S)
    assert said.startswith("pauses of a job of 1333 h")


def test_short_jobs_are_told_when_to_start_first_and_long_ones_when_to_pause() -> None:
    for length, first in ((8.0, "start"), (30.0, "pause")):
        of, ahead = hours(length), outlook(WAVE)
        start = best_start(of, ahead, 24 * HOUR_S)
        pause = best_pauses(of, ahead, 24 * HOUR_S, free())
        now = grams_now(of, ahead)
        found = items(of, ahead, start, pause, now)
        assert found[0]["what"] == first
        for item in found:
            assert item["saved_fraction"]["mid"] >= 0.02
            assert item["saved_g"] is not None
            assert now is not None
            assert item["saved_g"]["mid"] == pytest.approx(
                item["saved_fraction"]["mid"] * now["mid"]
            )
            assert "Dodge et al. 2022" in item["evidence"]
            assert "later" in item["cost"]


@pytest.mark.parametrize(
    ("powers", "adds", "said"),
    [
        (Powers(), 1.5, "assumed to draw 30 % of the run's power"),
        (assumed(0.5), 3.25, "65 % of the run's power (memory's whole, 30 % of the rest)"),
        (Powers(idle=0.038, is_measured=True), 0.19, "drawing 4 % of the run's power, as measured"),
    ],
)
def test_a_start_that_a_waiting_kernel_cannot_save_by_is_told_without_a_command(
    powers: Powers, adds: float, said: str
) -> None:
    """Five hours at 400 g/kWh, for 20 % less of one hour."""
    of, ahead = hours(1.0), outlook([400.0] * 60 + [320.0] * 240)
    start = best_start(of, ahead, 6 * HOUR_S, powers=powers)
    assert start is not None
    assert start["wait_fraction"] == pytest.approx(adds)
    assert start["held"] is None
    (item,) = items(of, ahead, start, None, None, powers=powers)
    assert item["command"] is None
    assert item["saved_fraction"]["mid"] == pytest.approx(0.2)
    assert "the saving of a machine that is started then" in item["cost"]
    assert f"a kernel that waits adds about {percent(adds)} of the run's emissions" in item["cost"]
    assert said in item["cost"]
    assert ("more than it saves" in item["cost"]) == (adds > 0.2)
    assert item["cost"].endswith("start the notebook then")


def test_a_start_whose_command_holds_a_kernel_tells_what_that_saves_and_ranks_by_it() -> None:
    of, ahead = hours(1.0), outlook([400.0] * 6 + [200.0] * 240)
    start = best_start(of, ahead, 6 * HOUR_S)
    assert start is not None
    assert start["saved_fraction"] == pytest.approx(1 / 3)
    # Half an hour at 400 g/kWh by 30 % of what an hour at 300 g/kWh in the mean draws.
    assert start["wait_fraction"] == pytest.approx(0.2)
    assert start["held"] == {"start": start["start"], "saved_fraction": pytest.approx(1 / 3 - 0.2)}
    (item,) = items(of, ahead, start, None, None)
    assert item["command"] == 'je.wait_for_clean_power(hours=1, max_wait="6h")'
    assert "a kernel that waits for it saves about 13 %, what it draws taken off" in item["cost"]
    others = [{**item, "what": "region", "saved_fraction": RangeJson(low=0.2, mid=0.2, high=0.2)}]
    ranked = advice([item, *others], start)  # type: ignore[list-item]  # of the same shape
    assert [one["what"] for one in ranked] == ["region", "start"]
    assert item["cost"].endswith("; it ranks by that")
    (untyped,) = items(of, ahead, start, None, None, can_type=False)
    assert "ranks" not in untyped["cost"]
    ranked = advice([*others, untyped], start)  # type: ignore[list-item]
    assert [one["what"] for one in ranked] == ["start", "region"]


@given(
    weights,
    st.lists(positive, min_size=10, max_size=12),
    windows,
    st.sampled_from([0.0, 0.05, 0.3]),
)
def test_a_kernel_that_waits_begins_at_its_own_best_of_all(
    parts: list[float], series: list[float], window: int, idle: float
) -> None:
    of = job(parts)
    last = min(window, len(series) - len(parts))
    idle_kwh = idle * 2.0 * SLOT_S / of.duration_s
    costs = {
        s: grams(of, series, range(s, s + len(parts))) + idle_kwh * math.fsum(series[:s])
        for s in range(last + 1)
    }
    powers = Powers(idle=idle)
    found = best_start(of, outlook(series), window * SLOT_S, powers=powers)
    assert found is not None
    saved = 1 - min(costs.values()) / costs[0]
    if found["held"] is None:
        assert saved < 0.02 + 1e-9
        return
    assert found["held"]["saved_fraction"] == pytest.approx(saved)
    assert costs[round(slot(found["held"]["start"]))] == pytest.approx(min(costs.values()))
    assert found["saved_fraction"] >= found["held"]["saved_fraction"] - 1e-9
    assert idle > 0 or found["wait_fraction"] == 0


def test_a_kernel_that_waits_may_do_best_to_begin_before_the_best_start() -> None:
    of, ahead = hours(1.0), outlook([400.0] * 3 + [200.0] * 60 + [190.0] * 240)
    start = best_start(of, ahead, 8 * HOUR_S)
    assert start is not None
    assert start["held"] is not None
    assert (slot(start["start"]), slot(start["held"]["start"])) == (63, 3)
    (item,) = items(of, ahead, start, None, None)
    assert (
        "a kernel that waits had best begin 15 min 00 s later and saves about 8 %" in item["cost"]
    )


def test_on_a_machine_that_runs_anyway_waits_and_pauses_are_free_and_the_commands_say_so() -> None:
    of, ahead = hours(1.0), outlook([400.0] * 60 + [320.0] * 6 + [400.0] * 6 + [320.0] * 240)
    pause = best_pauses(of, ahead, 6 * HOUR_S, free())
    (item,) = items(of, ahead, None, pause, None, powers=free())
    assert item["command"] is not None
    assert item["command"].endswith(", checkpoint=save, on_anyway=True)")
    assert "as the machine runs anyway, pauses draw nothing more" in item["cost"]
    ahead = outlook([400.0] * 60 + [320.0] * 240)
    start = best_start(of, ahead, 6 * HOUR_S, powers=free())
    assert start is not None
    assert start["held"] == {"start": start["start"], "saved_fraction": start["saved_fraction"]}
    assert start["wait_fraction"] == 0
    (item,) = items(of, ahead, start, None, None, powers=free())
    assert item["command"] == 'je.wait_for_clean_power(hours=1, max_wait="6h", on_anyway=True)'
    assert "as the machine runs anyway, the wait adds nothing" in item["cost"]


def test_pauses_that_save_hardly_more_than_the_right_start_are_not_advised() -> None:
    for last, told in ((91.0, ["start"]), (80.0, ["start", "pause"])):
        of, ahead = job([1.0, 1.0]), outlook([100.0, 90.0, 92.0, 95.0, last])
        start = best_start(of, ahead, 3 * SLOT_S)
        pause = best_pauses(of, ahead, 3 * SLOT_S, free())
        assert pause is not None
        assert pause["pauses"] == 1
        assert [item["what"] for item in items(of, ahead, start, pause, None)] == told


def test_the_plan_promises_what_the_loop_that_it_advises_finds() -> None:
    for length, extra in ((6.0, 24.0), (12.0, 12.0), (24.0, 24.0)):
        ahead = outlook(WAVE[: round((length + extra) * 12)])
        pause = best_pauses(hours(length), ahead, extra * HOUR_S, Powers())
        loop = pauses(ahead, BEGIN, length * HOUR_S, extra * HOUR_S, Powers())
        assert pause is not None
        found = 0.0 if isinstance(loop, str) else loop.saved_fraction
        # The loop has begun: its first pause, too, ends in a resumption.
        assert pause["saved_fraction"] == pytest.approx(found, abs=0.01)
        bound = best_pauses(hours(length), ahead, extra * HOUR_S, free())
        assert bound is not None
        assert bound["saved_fraction"] > pause["saved_fraction"] + 0.1


def test_what_pauses_draw_is_said_with_whose_word_it_is_and_bounds_the_saving() -> None:
    series = [100.0 if n % 288 < 144 else 900.0 for n in range(576)]
    of, ahead = hours(24.0), outlook(series)
    for powers, said in (
        (Powers(), "pauses draw 30 % of its power (assumed)"),
        (Powers(idle=0.1, is_measured=True), "draw 10 % of its power (measured between cells)"),
    ):
        pause = best_pauses(of, ahead, 24 * HOUR_S, powers)
        assert pause is not None
        (item,) = items(of, ahead, None, pause, None)
        assert said in item["cost"]
        assert (pause["idle_fraction"], pause["idle_measured"]) == (
            powers.idle,
            powers.is_measured,
        )
        runs = [(round(slot(a)), round(slot(b))) for a, b in pause["run"]]
        on = {n for a, b in runs for n in range(a, b)}
        now = math.fsum(series[:288])
        for idle, bound in zip(powers.bounds, ("high", "low"), strict=True):
            drawn = math.fsum(series[n] * (1 if n in on else idle) for n in range(runs[-1][1]))
            resumed = math.fsum(0.2 * series[a] for a, _ in runs[1:])
            saved = pause["saved_range"][bound]
            assert saved == pytest.approx(1 - (drawn + resumed) / now, abs=1e-9)


def test_a_season_is_planned_as_if_resuming_cost_nothing_and_that_is_taken_off() -> None:
    of, ahead = hours(168.0), outlook([100.0] * 2000 + [900.0, 800.0] * 30_000)
    ahead = replace(ahead, g_per_kwh=(900.0, *ahead.g_per_kwh))
    within_s = 5000 * HOUR_S
    found = best_pauses(of, ahead, within_s, Powers(idle=0.0, is_measured=True))
    assert found is not None
    assert found["carbon_g"] is not None
    assert found["pauses"] > 0
    of_one_h = 2.0 / 168  # kWh
    ran = of_one_h / 12 * (2000 * 100 + 16 * 800)
    resumed = of_one_h / 60 * 800 * found["pauses"]
    assert found["carbon_g"]["mid"] == pytest.approx(ran + resumed)
    *_, said = problems(of, ahead, within_s)
    assert "as if going on again cost nothing, and what it costs is taken off" in said


def test_what_saves_less_than_two_percent_is_no_advice() -> None:
    for cleaner, told in ((98.5, 0), (97.5, 1)):
        ahead = outlook([100.0, cleaner])
        start = best_start(job([1.0]), ahead, SLOT_S)
        assert len(items(job([1.0]), ahead, start, None, None)) == told


def test_a_saving_that_the_forecasts_error_may_undo_is_of_low_confidence() -> None:
    for error, sure in ((0.01, "high"), (0.07, "low")):
        ahead = outlook([100.0, 90.0], error)
        start = best_start(job([1.0]), ahead, SLOT_S)
        now = RangeJson(low=90.0, mid=100.0, high=110.0)
        (item,) = items(job([1.0]), ahead, start, None, now)
        assert item["confidence"] == sure
        assert item["saved_g"] is not None
        assert item["saved_g"]["low"] <= item["saved_g"]["mid"] <= item["saved_g"]["high"]


def test_no_start_and_no_end_is_later_than_what_is_known() -> None:
    of, ahead = hours(1.0), outlook([300.0] * 20 + [100.0] * 12)
    start = best_start(of, ahead, 24 * HOUR_S)
    pause = best_pauses(of, ahead, 24 * HOUR_S, Powers())
    assert start is not None
    assert pause is not None
    assert slot(start["latest"]) == 20
    assert slot(pause["until"]) == 32


@pytest.mark.parametrize(("length", "within"), [(1.0, 1999.0), (900.0, 100.0), (1.0, 30.0)])
def test_what_is_to_be_typed_is_what_the_calls_take(length: float, within: float) -> None:
    count = round((length + within) * 12)
    of = hours(length)
    ahead = outlook(([100.0] * 6 + [900.0] * 6 + [50.0] * 6 + [900.0] * 6) * (count // 24 + 1))
    ahead = replace(ahead, g_per_kwh=(900.0, *ahead.g_per_kwh)[:count])
    start = best_start(of, ahead, within * HOUR_S, powers=free())
    pause = best_pauses(of, ahead, within * HOUR_S, free())
    told = items(of, ahead, start, pause, None, powers=free())
    assert told
    for item in told:
        assert item["command"] is not None
        given = dict(re.findall(r'(max_wait|extend|hours)="?([^",)]*)', item["command"]))
        if item["what"] == "start":
            assert hours_of(float(given["hours"])) == pytest.approx(length * HOUR_S, rel=0.01)
            assert wait_of(given["max_wait"]) == pytest.approx(within * HOUR_S, rel=0.01)
        else:
            slack_s = extend_of(given["extend"]).slack_s(of.duration_s)
            assert slack_s == pytest.approx(within * HOUR_S, rel=0.05)
    for kind in (
        items(of, ahead, start, pause, None, can_type=False),
        items(of, replace(ahead, hindsight=True), start, pause, None),
    ):
        assert [item["what"] for item in kind] == [item["what"] for item in told]
        assert {item["command"] for item in kind} == {None}


def test_a_job_of_more_than_a_day_is_not_told_when_to_start() -> None:
    ahead = outlook([900.0] * 288 + [100.0] * 1200)
    for length, told in ((24.0, ["start"]), (72.0, [])):
        start = best_start(hours(length), ahead, 24 * HOUR_S)
        assert start is not None
        assert start["saved_fraction"] > 0.1
        assert [i["what"] for i in items(hours(length), ahead, start, None, None)] == told


def test_by_a_typical_day_a_kernel_is_held_by_no_more_than_past_days_promise() -> None:
    """Its mean says 50 % less; so it was on half of the past days, and a little less on others."""
    told = (200.0, 100.0, 150.0)
    days = tuple((told, (200.0, 100.0 if n % 2 else 170.0, 150.0)) for n in range(20))
    ahead = replace(outlook(told), basis="typical day", rehearsals=days)
    found = best_start(job([1.0]), ahead, 2 * SLOT_S, powers=Powers(idle=0.1))
    assert found is not None
    assert 0.25 < found["saved_fraction"] < 0.4
    assert found["held"] is not None
    assert found["held"]["saved_fraction"] == pytest.approx(found["saved_fraction"] - 0.1)
    noise = tuple((told, (200.0, 100.0 if n % 2 else 310.0, 150.0)) for n in range(20))
    found = best_start(job([1.0]), replace(ahead, rehearsals=noise), 2 * SLOT_S, powers=free())
    assert found is not None
    assert (found["saved_fraction"], found["held"], found["wait_fraction"]) == (0.0, None, 0.0)

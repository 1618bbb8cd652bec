"""Earlier plans and what became of them: what was promised against the values known since."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_energy.carbon.base import Interval, Quality, Signal
from jupyter_energy.documents import utc_text
from jupyter_energy.errors import WrongUse
from jupyter_energy.json_shapes import NotebookJson
from jupyter_energy.kept_plans import MOST_KEPT, file_of, forecast_error, keep, tell
from jupyter_energy.plan.nouns import SLOT_S, Job, Outlook
from jupyter_energy.plan.pausing import Powers, free
from jupyter_energy.plan.shapes import PlanJson
from jupyter_energy.plan.timing import best_pauses, best_start, items
from jupyter_energy.schema import SCHEMA
from jupyter_energy.shift import Shift, Stretch
from jupyter_energy.uncertainty import Uncertain
from jupyter_energy.units import J_PER_KWH

NIGHT = datetime(2026, 11, 22, 20, 3, 9, tzinfo=UTC)
SLOT = timedelta(seconds=SLOT_S)
MINE = "f" * 32


def outlook(series: Sequence[float], begin: datetime = NIGHT) -> Outlook:
    return Outlook(
        begin, tuple(series), "forecast", "FR", "France", "average", "consumption", "lifecycle",
        "a test", 0.05, "a test",
    )  # fmt: skip


def job(slots: int, last_s: float = SLOT_S) -> Job:
    return Job((slots - 1) * SLOT_S + last_s, (1 / slots,) * slots, None, None, "a test")


def planned(
    of: Job,
    ahead: Outlook,
    within: int,
    made: datetime = NIGHT,
    powers: Powers | None = None,
) -> PlanJson:
    start = best_start(of, ahead, within * SLOT_S)
    pause = best_pauses(of, ahead, within * SLOT_S, powers or free())
    return PlanJson(
        schema=SCHEMA, version="1", notebook=NotebookJson(id=MINE, path=None, name="mine"),
        made=utc_text(made), job=None, run_now={"carbon_g": None, "yearly_g": None},
        flexible_start=start, pause_resume=pause, regions=[], rankings=[],
        advice=items(of, ahead, start, pause, None),
        basis={
            "kind": "forecast", "source": None, "zone": None, "place": None, "signal": None,
            "boundary": None, "scope": None, "start": None, "end": None, "forecast": True,
            "error": None, "error_source": None, "notes": [],
        },
        slots=None, kept=[], notes=[],
    )  # fmt: skip


def signal(values: Sequence[float], quality: Quality = "measured") -> Signal:
    held = tuple(
        Interval(NIGHT + n * SLOT, NIGHT + (n + 1) * SLOT, g, quality) for n, g in enumerate(values)
    )
    return Signal(
        "FR", "France", "average", "consumption", "lifecycle", SLOT_S, "a test", "", NIGHT, held
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return file_of(tmp_path / "energy.sqlite")


LATER = NIGHT + timedelta(days=1)
FORECAST = [500.0, 400.0, 100.0, 100.0, 300.0]


def shift(*runs: tuple[float, float], saved: float | None = 0.5) -> Shift:
    """A run of these stretches, in slots from NIGHT, that was measured."""
    edges = [0.0, *(edge for run in runs for edge in run)]
    made = [Stretch(NIGHT + a * SLOT, NIGHT + b * SLOT, None) for a, b in pairwise(edges) if b > a]
    ran = tuple(Stretch(NIGHT + a * SLOT, NIGHT + b * SLOT, None) for a, b in runs)
    paused = tuple(one for one in made if one not in ran)
    return Shift(NIGHT, None, "forecast", "a test", ran, paused, None, None, saved, "average", None)


def test_what_a_start_promised_is_told_beside_what_was_measured_of_the_run(file: Path) -> None:
    of, ahead = job(2), outlook(FORECAST)
    keep(file, planned(of, ahead, 3), of, ahead)
    actual = signal([500.0, 300.0, 200.0, 120.0, 300.0])
    (kept,) = tell(file, MINE, actual, [shift((2.8, 4.7))], LATER)
    assert kept["predicted_fraction"] == pytest.approx(1 - 200 / 900)
    assert kept["realised_fraction"] == 0.5
    assert kept["done"]
    assert kept["said"].endswith(
        "“start at 20:13 UTC” was to save 78 %; it was run so, and as measured it saved 50 %"
    )


def waited(until: float, ran: float, saved: float | None = 0.8) -> Shift:
    """A cell that ran for a minute, waited until a slot from NIGHT, and ran for so many slots."""
    before, held, after = (
        Stretch(NIGHT + a * SLOT, NIGHT + b * SLOT, None)
        for a, b in pairwise((0.0, 0.2, until, until + ran))
    )
    return replace(shift(saved=saved), planned_fraction=0.7, runs=(before, after), waits=(held,))


def test_a_start_that_was_waited_for_is_told_as_held_and_only_once(file: Path) -> None:
    of, ahead = job(2), outlook(FORECAST)
    keep(file, planned(of, ahead, 3), of, ahead)
    (kept,) = tell(file, MINE, signal(FORECAST), [waited(2.0, 1.9)], LATER)
    assert (kept["done"], kept["realised_fraction"]) == (True, 0.8)
    assert kept["said"].endswith(
        "“start at 20:13 UTC” was to save 78 %; it was run so, and as measured it saved 80 %"
    )


def test_a_wait_for_another_time_or_for_a_shorter_run_is_one_of_its_own(file: Path) -> None:
    of, ahead = job(8), outlook([500.0, 400.0, *[100.0] * 8, 300.0])
    keep(file, planned(of, ahead, 3), of, ahead)
    for other in (waited(9.0, 8.0), waited(2.0, 3.0)):
        told = tell(file, MINE, None, [other], LATER)
        assert {one["change"]: one["done"] for one in told} == {
            "start at 20:13 UTC": False,
            "hold the run for cleaner power": True,
        }


def test_a_wait_is_no_pause_that_was_planned(file: Path) -> None:
    of, ahead = job(3), outlook([100.0, 900.0, 100.0, 900.0, 100.0])
    keep(file, planned(of, ahead, 2), of, ahead)
    told = tell(file, MINE, signal([100.0] * 5), [waited(2.0, 3.0)], LATER)
    (kept,) = (one for one in told if one["change"].startswith("pause"))
    assert not kept["done"]


def test_a_wait_that_was_stopped_held_no_run(file: Path) -> None:
    assert tell(file, MINE, None, [waited(0.3, 0.001, saved=None)], LATER) == []
    stopped = replace(waited(0.3, 1.0, saved=None), runs=())
    assert tell(file, MINE, None, [stopped], LATER) == []


def test_a_plan_that_nobody_ran_would_have_saved_it(file: Path) -> None:
    of, ahead = job(2), outlook(FORECAST)
    keep(file, planned(of, ahead, 3), of, ahead)
    others = [
        shift((9.0, 11.0)),  # another time
        shift((2.0, 2.1)),  # a cell of half a minute
        shift((0.0, 2.0)),  # it was not held at all
    ]
    (kept,) = tell(file, MINE, signal(FORECAST), others, LATER)
    assert kept["realised_fraction"] == pytest.approx(1 - 200 / 900)
    assert not kept["done"]
    assert kept["said"].endswith("it would have saved 78 %; no run was held for it")


def test_a_run_whose_saving_is_not_known_is_not_said_to_have_saved_anything(file: Path) -> None:
    of, ahead = job(2), outlook(FORECAST)
    keep(file, planned(of, ahead, 3), of, ahead)
    (kept,) = tell(file, MINE, signal(FORECAST), [shift((2.0, 4.0), saved=None)], LATER)
    assert kept["done"]
    assert kept["said"].endswith("it would have saved 78 %; what its run saved is unknown")


def test_what_pauses_cost_is_taken_off_what_became_of_them(file: Path) -> None:
    of = replace(job(3), measured=Uncertain(3 * J_PER_KWH, 0.0, 0.0))
    ahead = outlook([100.0, 900.0, 100.0, 900.0, 100.0])
    plan = planned(of, ahead, 2, powers=Powers(idle=0.3, resume_s=30.0))
    keep(file, plan, of, ahead)
    actual = signal([200.0, 600.0, 400.0, 900.0, 300.0])
    (kept,) = tell(file, MINE, actual, [], LATER)
    paused = 0.3 * (600 + 900) + 0.1 * (400 + 300)
    assert kept["realised_fraction"] == pytest.approx(1 - (900 + paused) / 1200)
    (kept,) = tell(file, MINE, actual, [shift((0.0, 1.0), (2.0, 3.0), (4.0, 4.6))], LATER)
    assert kept["done"]


def test_pauses_are_reckoned_slot_by_slot_the_last_one_too(file: Path) -> None:
    of = job(3, last_s=100.0)
    ahead = outlook([100.0, 900.0, 100.0, 900.0, 100.0])
    plan = planned(of, ahead, 2)
    assert [item["what"] for item in plan["advice"]] == ["pause"]
    keep(file, plan, of, ahead)
    actual = signal([200.0, 600.0, 400.0, 900.0, 300.0])
    (kept,) = tell(file, MINE, actual, [], LATER)
    assert kept["realised_fraction"] == pytest.approx(1 - 900 / 1200)


def test_what_is_not_known_yet_or_of_another_kind_is_no_figure(file: Path) -> None:
    of, ahead = job(1), outlook(FORECAST)
    keep(file, planned(of, ahead, 4), of, ahead)
    assert tell(file, MINE, signal(FORECAST), [], NIGHT + SLOT) == []  # its time is not over
    assert tell(file, "another", signal(FORECAST), [], LATER) == []
    for found in (
        None,
        signal(FORECAST, "forecast"),
        signal(FORECAST[:2]),
        replace(signal(FORECAST), kind="marginal"),
    ):
        (kept,) = tell(file, MINE, found, [], LATER)
        assert kept["realised_fraction"] is None
        assert "not known" in kept["said"]


def test_what_was_planned_by_hindsight_for_another_day_or_for_nothing_is_not_kept(
    file: Path,
) -> None:
    of, ahead = job(1), outlook(FORECAST)
    seen = replace(ahead, hindsight=True)
    keep(file, planned(of, seen, 4), of, seen)
    keep(file, planned(of, ahead, 4, made=NIGHT - timedelta(hours=2)), of, ahead)
    flat = outlook([100.0] * 5)
    keep(file, planned(of, flat, 4), of, flat)
    assert not file.exists()


def test_a_plan_takes_the_place_of_one_that_has_not_begun_and_of_no_other(file: Path) -> None:
    of = job(1)
    for minutes in (0, 3, 6, 20):  # each is to begin ten minutes later
        begin = NIGHT + timedelta(minutes=minutes)
        ahead = outlook(FORECAST, begin)
        keep(file, planned(of, ahead, 4, begin), of, ahead)
    kept = json.loads(file.read_text())["plans"]
    assert [plan["made"][11:16] for plan in kept] == ["20:09", "20:23"]


def test_the_file_is_the_users_own_and_holds_so_many_plans_at_most(file: Path) -> None:
    of = job(1)
    keep(file, planned(of, outlook(FORECAST), 4), of, outlook(FORECAST))
    (one,) = json.loads(file.read_text())["plans"]
    file.write_text(json.dumps({"plans": [one] * MOST_KEPT, "another's": 1}))
    ahead = outlook(FORECAST, LATER)
    keep(file, planned(of, ahead, 4, LATER), of, ahead)
    content = json.loads(file.read_text())
    assert len(content["plans"]) == MOST_KEPT
    assert content["plans"][-1]["made"] == utc_text(LATER)
    assert content["another's"] == 1
    assert file.stat().st_mode & 0o077 == 0
    assert len(tell(file, MINE, None, [], NIGHT + timedelta(days=9))) == 3


def test_enough_forecasts_tell_what_forecasts_here_are_off_by(file: Path) -> None:
    of = job(1)
    actual = [10 + (n + 50) % 97 for n in range(10 * 288)]
    for number in range(8):
        begin = NIGHT + timedelta(hours=19 * number)
        first = number * 19 * 12
        ahead = outlook([1.1 * g for g in actual[first : first + 100]], begin)
        keep(file, planned(of, ahead, 90, begin), of, ahead)
        found = forecast_error(file, signal(actual))
        assert (found is None) is (number < 7)
    assert found is not None
    assert found[0] == pytest.approx(0.1, rel=1e-2)
    assert found[1] == "what 8 forecasts here were off by in the mean"
    assert forecast_error(file, replace(signal(actual), scope="direct")) is None
    assert forecast_error(file, signal(actual, "forecast")) is None
    assert forecast_error(file.with_name("nowhere.json"), signal(actual)) is None


@given(
    st.recursive(
        st.one_of(st.none(), st.integers(), st.floats(), st.text(max_size=5)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(
                st.sampled_from(("made", "begin", "shares", "runs", "of", "notebook")), inner
            ),
        ),
        max_leaves=12,
    )
)
def test_whatever_the_file_holds_does_no_harm(
    tmp_path_factory: pytest.TempPathFactory, found: object
) -> None:
    file = tmp_path_factory.getbasetemp() / "plans.json"
    file.write_text(json.dumps({"plans": [found], "more": found}), encoding="utf-8")
    assert tell(file, MINE, signal(FORECAST), [], LATER) == []
    assert forecast_error(file, signal(FORECAST)) is None


def test_forecasts_of_small_values_are_off_by_no_more_than_the_whole(file: Path) -> None:
    of = job(1)
    for number in range(8):
        begin = NIGHT + timedelta(hours=19 * number)
        ahead = outlook([30.0, 20.0, *[30.0] * 98], begin)
        keep(file, planned(of, ahead, 90, begin), of, ahead)
    found = forecast_error(file, signal([5.0] * (10 * 288)))
    assert found is not None
    assert found[0] == 1.0


def test_a_broken_file_is_told_of_where_a_plan_is_to_be_kept(file: Path) -> None:
    file.write_text("{")
    assert tell(file, MINE, None, [], LATER) == []
    of, ahead = job(1), outlook(FORECAST)
    with pytest.raises(WrongUse, match="mend or delete it"):
        keep(file, planned(of, ahead, 4), of, ahead)

"""A run that is held until the cleanest start, by clocks that move when they are told to."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standins.moved_clock import (
    NOON,
    Ahead,
    ClockMeter,
    MovedClock,
    Told,
    around,
    outlook,
    series,
)

from jupyter_energy import wait_for_clean_power
from jupyter_energy.answer import Answer
from jupyter_energy.errors import WrongUse
from jupyter_energy.pacing.surroundings import Found
from jupyter_energy.pacing.waits import ANSWER_S, Wait, Waited
from jupyter_energy.plan.nouns import SLOT_S
from jupyter_energy.plan.pausing import Powers, free
from jupyter_energy.plan.shifting import flexible_start

HOUR = 12  # slots
DIRTY_FIRST = [400.0] * 2 * HOUR + [100.0] * 40 * HOUR


class Rig:
    """A wait by a moved clock."""

    def __init__(self, ahead: Ahead, powers: Powers | None = None) -> None:
        self.clock, self.told, self.ahead = MovedClock(), Told(), ahead
        self.meter = ClockMeter(self.clock)
        held = (around(self.clock, ahead, self.told), self.meter)
        self.wait = Wait(*held, lambda: powers or Powers())

    def held(self, hours: float = 1.0, wait_hours: float = 6.0) -> Waited:
        return self.wait.held(hours * 3600, wait_hours * 3600)


def test_a_run_waits_until_the_clean_hours_begin_and_no_longer() -> None:
    rig = Rig(series(DIRTY_FIRST))
    waited = rig.held()
    assert waited.waited_s == rig.clock.passed_s == 2 * 3600
    assert waited.saved_fraction == pytest.approx(0.15)
    assert [kind for kind, _ in rig.meter.marks] == ["run", "wait", "run"]
    assert rig.meter.promise is not None
    assert rig.meter.promise.saved_fraction == pytest.approx(0.75)  # of the run, as is realised
    first = rig.told.lines[0]
    assert "waits until" in first
    assert (
        "saves about 15 % of the emissions attributed to this run (75 %, less 60 % for the wait, "
        "assumed to draw 30 % of the run's power), by the forecast"
    ) in first
    assert "Ctrl-C" in first
    assert rig.told.lines[-1].endswith("planned to save about 15 %, what the wait draws taken off")
    assert rig.ahead.asked > 3
    assert len(rig.told.lines) == 2  # its begin and its end: no plan was another one
    assert repr(waited).startswith("waited 2 h 00 min")


FOR_LITTLE = [400.0] * 5 * HOUR + [320.0] * 20 * HOUR


def test_a_wait_that_costs_more_than_it_saves_is_not_made_and_its_line_says_what_to_do() -> None:
    """Five hours at 400 g/kWh for 20 % less of one hour: at 30 % of its power 150 % more."""
    rig = Rig(series(FOR_LITTLE))
    waited = rig.held()
    assert (waited.waited_s, waited.planned, rig.clock.passed_s) == (0.0, None, 0.0)
    (line,) = rig.told.lines
    then = (NOON + timedelta(hours=5)).astimezone()
    assert line.startswith(
        f"begins at once: a start at {then:%Y-%m-%d %H:%M %Z} would save 20 % of the emissions "
        "attributed to this run, and a kernel that waits for it adds 150 % (assumed to draw 30 % "
        "of the run's power): start the notebook then instead, or give on_anyway=True where the "
        "machine runs anyway (by the forecast of"
    )


def test_on_a_machine_that_runs_anyway_the_same_wait_is_made_and_free() -> None:
    rig = Rig(series(FOR_LITTLE), free())
    waited = rig.held()
    assert waited.waited_s == 5 * 3600
    assert waited.saved_fraction == pytest.approx(0.2)
    first = rig.told.lines[0]
    assert "saves about 20 % of the emissions attributed to this run (the machine runs" in first
    assert rig.meter.promise is not None
    assert rig.meter.promise.on_anyway


def test_a_kernel_that_waits_begins_where_it_saves_most_though_a_later_start_is_cleaner() -> None:
    clean = [400.0] * 3 + [200.0] * 5 * HOUR + [190.0] * 20 * HOUR
    assert Rig(series(clean)).held(wait_hours=8.0).waited_s == 15 * 60
    assert Rig(series(clean), free()).held(wait_hours=8.0).waited_s == 5 * 3600 + 15 * 60


@given(
    forecast=st.lists(st.sampled_from([50.0, 100.0, 200.0, math.nan]), min_size=2, max_size=60),
    hours=st.sampled_from([0.05, 0.5, 1.0]),
    wait_hours=st.sampled_from([0.2, 1.0, 3.0]),
)
def test_it_begins_when_flexible_start_says_so_and_never_later(
    forecast: list[float], hours: float, wait_hours: float
) -> None:
    rig = Rig(series(forecast))
    waited = rig.held(hours, wait_hours)
    assert waited.waited_s == pytest.approx(rig.clock.passed_s)
    assert rig.clock.passed_s <= wait_hours * 3600
    if waited.planned is not None and rig.ahead.asked == 1:
        count = math.ceil(hours * 3600 / SLOT_S)
        found = flexible_start([1.0] * count, forecast, int(wait_hours * 3600 // SLOT_S))
        assert found is not None
        assert found.saved_fraction is not None
        assert rig.clock.passed_s <= (len(forecast) - count) * SLOT_S


@pytest.mark.parametrize(
    ("ahead", "hours", "why"),
    [
        (Ahead(lambda *_: (None, ["no provider is chosen"])), 1, "no provider is chosen"),
        (series([100.0] * 40 * HOUR), 1, "no later start would save 2 % or more"),
        (series([101.0] * HOUR + [100.0] * 40 * HOUR), 1, "no later start would save 2 %"),
        (series([400.0, 100.0] * HOUR), 5, "its values end before a run of that length would"),
        (series([math.nan] + [100.0] * 40 * HOUR), 1, "its values have a gap"),
        (
            Ahead(lambda begin, _: (outlook(DIRTY_FIRST, begin, "typical day"), [])),
            13,
            "a typical day tells nothing of the start of a run of more than 12 h",
        ),
    ],
)
def test_a_run_that_has_nothing_to_wait_for_begins_at_once_and_is_told_why(
    ahead: Ahead, hours: float, why: str
) -> None:
    rig = Rig(ahead)
    waited = rig.held(hours)
    assert (waited.waited_s, waited.planned, rig.clock.passed_s) == (0.0, None, 0.0)
    assert waited.why is not None
    assert waited.why.startswith(why)
    (line,) = rig.told.lines
    assert line == f"begins at once: {waited.why}"
    assert repr(waited) == f"began at once: {waited.why}"


def test_a_provider_that_does_not_answer_holds_nobody_longer_than_some_seconds() -> None:
    rig = Rig(series(DIRTY_FIRST))
    hanging = around(rig.clock, rig.ahead, rig.told)
    never: Answer[Found] = Answer()
    object.__setattr__(hanging, "find", lambda *_: never)
    waited = Wait(hanging, rig.meter).held(3600.0, 7200.0)
    assert waited.why == "no forecast came within 10 s"
    assert rig.clock.passed_s == pytest.approx(ANSWER_S, abs=0.1)


def test_a_newer_forecast_moves_the_start() -> None:
    ahead = series(DIRTY_FIRST)
    rig = Rig(ahead)
    later = series([400.0] * 4 * HOUR + [10.0] * 40 * HOUR)
    rig.clock.at(5000.0, lambda: setattr(ahead, "look", later.look))
    assert rig.held().waited_s == pytest.approx(4 * 3600, abs=SLOT_S)


def test_a_provider_that_dies_meanwhile_changes_nothing() -> None:
    ahead = series(DIRTY_FIRST)
    rig = Rig(ahead)
    rig.clock.at(1000.0, lambda: setattr(ahead, "look", lambda *_: (None, ["it is gone"])))
    assert rig.held().waited_s == 2 * 3600
    assert ahead.asked > 2


def test_a_machine_that_sleeps_through_the_start_begins_when_it_wakes() -> None:
    rig = Rig(series(DIRTY_FIRST))
    rig.clock.at(1000.0, lambda: rig.clock.sleeps(3 * 3600.0))
    rig.held()
    assert rig.clock.passed_s <= 1005.0


def test_a_wall_clock_that_is_set_back_holds_a_run_no_longer() -> None:
    """Nor where nobody tells a new forecast any more."""
    rig = Rig(series(DIRTY_FIRST))
    rig.clock.at(1000.0, lambda: setattr(rig.ahead, "look", lambda *_: (None, ["it is gone"])))
    rig.clock.at(1000.0, lambda: rig.clock.sleeps(-9 * 3600.0))
    rig.held()
    assert rig.clock.passed_s == 2 * 3600


def test_ctrl_c_ends_a_wait_at_once() -> None:
    rig = Rig(series(DIRTY_FIRST))

    def interrupt() -> None:
        raise KeyboardInterrupt

    rig.clock.at(1234.0, interrupt)
    with pytest.raises(KeyboardInterrupt):
        rig.held()
    assert rig.clock.passed_s == 1234.0
    assert rig.told.lines[-1] == "stopped while it waited"
    assert [kind for kind, _ in rig.meter.marks] == ["run", "wait", "run"]


def test_a_wait_that_is_shorter_than_a_step_of_a_plan_is_told_with_what_would_do() -> None:
    waited = Rig(series(DIRTY_FIRST)).held(wait_hours=2 / 60)
    assert waited.waited_s == 0
    assert waited.why is not None
    assert waited.why.startswith("plans are made in steps of 5 min")
    assert 'such as max_wait="6h"' in waited.why


@pytest.mark.parametrize(
    "wrong",
    [
        {"hours": 0},
        {"hours": "3"},
        {"hours": 3, "max_wait": 6},
        {"hours": 3, "max_wait": "6h", "on_anyway": "yes"},
    ],
)
@pytest.mark.parametrize("more", [{}, {"max_wait": "soon"}])
def test_wrong_use_is_told_before_anything_begins(
    wrong: dict[str, object], more: dict[str, object]
) -> None:
    with pytest.raises(WrongUse, match=r"write (how|True)"):
        wait_for_clean_power(**{**more, **wrong})  # type: ignore[arg-type]  # on purpose

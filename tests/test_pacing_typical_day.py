"""By a typical day a run waits and pauses where past days clearly speak for it, and promises no
more than the plan does. The days are those of typical_days.py."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest
from standins.moved_clock import Ahead, ClockMeter, MovedClock, Told, around
from typical_days import BEGIN, LEAST, LITTLE, Numbers, signal_of, white, windy

from jupyter_energy.pacing.pacer import Pacer
from jupyter_energy.pacing.past_days import PastDays
from jupyter_energy.pacing.planning import Plan, Start, pauses, start
from jupyter_energy.pacing.surroundings import Found
from jupyter_energy.pacing.waits import Wait
from jupyter_energy.plan.job import job_of
from jupyter_energy.plan.nouns import SLOT_S
from jupyter_energy.plan.outlook import typical_day
from jupyter_energy.plan.pausing import free
from jupyter_energy.plan.timing import best_pauses, best_start

Make = Callable[[np.random.Generator, int], Numbers]
HOUR_S = 3600.0
RUN_S, WAIT_S = 3 * HOUR_S, 24 * HOUR_S
# Of 5 in 100, so many of these series may pass by chance.
SERIES, MOST_BY_CHANCE = 30, 4
NOISE, PATTERN = white(100.0), windy(40.0, 120.0)


def days(seed: int, make: Make) -> Numbers:
    return np.maximum(LEAST, make(np.random.default_rng(seed), 14 * 24))


class Rig:
    """What a run sees that begins at 9 UTC after 14 days, by a moved clock."""

    def __init__(self, seed: int, make: Make) -> None:
        self.clock, self.told = MovedClock(), Told()
        self.clock.ahead_s = BEGIN.timestamp() - self.clock.now_s
        self.signal = signal_of(days(seed, make))
        self.ahead = Ahead(self.look)
        self.around = around(self.clock, self.ahead, self.told)
        self.meter = ClockMeter(self.clock, pause_w=15.0)

    def look(self, begin: datetime, length_s: float) -> Found:
        return typical_day([self.signal], begin, math.ceil(length_s / SLOT_S)), []

    def waits(self) -> bool:
        waited = Wait(self.around, self.meter, free).held(RUN_S, WAIT_S)
        assert (waited.planned is not None) == (self.clock.passed_s > 0)
        return waited.planned is not None

    def pauses(self) -> bool:
        pacer = Pacer("24h", RUN_S / HOUR_S, around=self.around, meter=self.meter, on_anyway=True)
        pacer.begin()
        for step in range(int(RUN_S / 60)):
            if pacer.due(step):
                pacer.pause()
            self.clock.run(60.0)
        pacer.end()
        return self.clock.passed_s > RUN_S


@pytest.mark.parametrize(
    ("does", "why"),
    [
        (Rig.waits, "begins at once: past days do not clearly speak for a later start (by the"),
        (Rig.pauses, "runs on without a pause: past days do not clearly speak for pauses (by the"),
    ],
)
def test_days_of_noise_hold_and_pause_hardly_any_run_and_it_is_told_why(
    does: Callable[[Rig], bool], why: str
) -> None:
    held, told = 0, list[str]()
    for seed in range(SERIES):
        rig = Rig(seed, NOISE)
        if does(rig):
            held += 1
        else:
            told += rig.told.lines
    assert held <= MOST_BY_CHANCE
    assert len(told) == SERIES - held
    # Of some means the first hours are the best anyway.
    assert sum(line.startswith(why) for line in told) > SERIES / 2


@pytest.mark.parametrize("does", [Rig.waits, Rig.pauses])
def test_days_with_a_pattern_hold_and_pause_a_run(does: Callable[[Rig], bool]) -> None:
    assert all(does(Rig(seed, PATTERN)) for seed in range(3))


@pytest.mark.parametrize("make", [NOISE, windy(60.0, 60.0), PATTERN])
def test_a_wait_and_a_loop_promise_what_the_plan_promises(make: Make) -> None:
    job, slots = job_of(RUN_S / HOUR_S, None), int((RUN_S + WAIT_S) / SLOT_S)
    for seed in range(10):
        outlook = typical_day([signal_of(days(seed, make))], BEGIN, slots)
        planned = best_start(job, outlook, WAIT_S)
        assert planned is not None
        kept = PastDays().kept(outlook, BEGIN, RUN_S, WAIT_S)
        found = start(outlook, BEGIN, RUN_S, WAIT_S, free(), kept=kept)
        saved = found.saved_fraction if isinstance(found, Start) else 0.0
        assert saved == pytest.approx(planned["saved_fraction"])
        paused = best_pauses(job, outlook, WAIT_S, LITTLE)
        assert paused is not None
        kept = PastDays().kept(outlook, BEGIN, RUN_S, WAIT_S, LITTLE)
        plan = pauses(outlook, BEGIN, RUN_S, WAIT_S, LITTLE, kept=kept)
        saved = plan.saved_fraction if isinstance(plan, Plan) else 0.0
        assert saved == pytest.approx(paused["saved_fraction"])


def test_past_days_are_those_of_the_same_time_of_day_where_the_outlook_is_older() -> None:
    hours = days(1, PATTERN)
    later = BEGIN + timedelta(seconds=6 * SLOT_S)
    outlook = typical_day([signal_of(hours)], BEGIN, 400)
    cut = replace(
        outlook,
        begin=later,
        g_per_kwh=outlook.g_per_kwh[6:],
        rehearsals=tuple((told[6:], was[6:]) for told, was in outlook.rehearsals),
    )
    kept = PastDays().kept(outlook, later, RUN_S, WAIT_S)
    assert 0 < kept < 1
    assert kept == PastDays().kept(cut, later, RUN_S, WAIT_S)


def test_past_days_are_asked_once_a_run_and_of_a_forecast_not_at_all() -> None:
    past_days = PastDays()
    noise, pattern = (
        typical_day([signal_of(days(1, make))], BEGIN, 400) for make in (NOISE, PATTERN)
    )
    kept = past_days.kept(pattern, BEGIN, RUN_S, WAIT_S)
    assert kept > 0
    assert past_days.kept(noise, BEGIN, RUN_S, WAIT_S) == kept
    assert past_days.kept(replace(noise, basis="forecast"), BEGIN, RUN_S, WAIT_S) == 1.0

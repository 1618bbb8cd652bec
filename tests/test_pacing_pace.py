"""What a loop's pace tells of its time, and what pauses are worth their checkpoint."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standins.moved_clock import series
from test_pacing import HOUR, Rig

from jupyter_energy.pacing.pacer import Pacer


@pytest.mark.parametrize(("dirty_slots", "pauses"), [(4, True), (6 * HOUR, False)])
def test_a_share_of_its_time_is_not_told_by_slow_first_steps(
    dirty_slots: int, pauses: bool
) -> None:
    """Three steps of 30 s, which compile, then 2000 of 1 s: half of it is 17 min, and not 8 h."""
    rig = Rig(series([400.0] * dirty_slots + [100.0] * 60 * HOUR))
    pacer = Pacer("50%", around=rig.around, meter=rig.meter)
    pacer.begin(2003)
    for step in range(2003):
        if pacer.due(step):
            pacer.pause()
        rig.clock.run(30.0 if step < 3 else 1.0)
    pacer.end()
    assert rig.clock.passed_s <= 1.5 * 2090.0 + 1.0
    assert (rig.clock.passed_s > 2090.0 + 10 * 60) is pauses


@given(
    slow_s=st.floats(6.0, 60.0),
    faster=st.floats(1.0, 20.0),
    share=st.sampled_from([0.1, 0.5, 1.0]),
)
def test_a_loop_that_is_slow_for_a_fortieth_of_its_time_keeps_to_its_share(
    slow_s: float, faster: float, share: float
) -> None:
    times = [slow_s] * 3 + [slow_s / faster] * math.ceil(120 * faster)
    rig = Rig(series([400.0] * 6 * HOUR + [100.0] * 60 * HOUR))
    pacer = Pacer(f"{100 * share:g}%", around=rig.around, meter=rig.meter)
    pacer.begin(len(times))
    for step, seconds in enumerate(times):
        if pacer.due(step):
            pacer.pause()
        rig.clock.run(seconds)
    pacer.end()
    assert rig.clock.passed_s <= (1 + share) * sum(times) + slow_s


@pytest.mark.parametrize("seed", [42, 569, 737, 1314])  # of 1500, these once were
def test_no_checkpoint_is_written_for_a_pause_that_is_as_good_as_over(seed: int) -> None:
    chance = random.Random(seed)
    forecast: list[float] = []
    for _ in range(40):
        forecast += [chance.choice([60.0, 100.0, 200.0, 400.0, 600.0])] * chance.randint(2, 24)
    many, base_s = chance.randint(100, 1200), chance.choice([5.0, 10.0, 20.0, 60.0])
    speed, noise, after = chance.uniform(0.8, 1.2), chance.choice([0.0, 0.1, 0.3]), many // 3
    times = [
        base_s * (speed if step > after else 1.0) * (1 + chance.uniform(-noise, noise))
        for step in range(many)
    ]
    rig = Rig(series(forecast), pause_w=30.0)
    pacer = Pacer(
        chance.choice(["30%", "50%", "100%"]),
        checkpointed=True,
        around=rig.around,
        meter=rig.meter,
    )
    pacer.begin(many)
    for step, seconds in enumerate(times):
        if pacer.due(step):
            began_s = rig.clock.passed_s
            rig.clock.run(30.0)
            pacer.pause()
            rig.pauses.append((began_s, rig.clock.passed_s))
        rig.clock.run(seconds)
    pacer.end()
    assert all(end - begin >= 60.0 for begin, end in rig.pauses)

"""Loops that are paced, by clocks that move when they are told to."""

from __future__ import annotations

import copy
import itertools
import math
import pickle
from collections import deque
from collections.abc import Iterator
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standins.moved_clock import NOON, Ahead, ClockMeter, MovedClock, Told, around, outlook, series

from jupyter_energy import carbon_aware
from jupyter_energy.errors import WrongUse
from jupyter_energy.pacing.pacer import Pacer
from jupyter_energy.pacing.surroundings import SLICE_S
from jupyter_energy.plan.nouns import SLOT_S
from jupyter_energy.plan.pausing import cheapest

HOUR = 12  # slots
# Two dirty hours, then clean ones.
DIRTY_FIRST = [400.0] * 2 * HOUR + [100.0] * 40 * HOUR


class Rig:
    """A loop of `steps` by a moved clock: what it saw, and how long it took."""

    def __init__(self, ahead: Ahead, run_w: float = 300.0, pause_w: float = 30.0) -> None:
        self.clock, self.told, self.ahead = MovedClock(), Told(), ahead
        self.around = around(self.clock, ahead, self.told)
        self.meter = ClockMeter(self.clock, run_w, pause_w)
        self.pauses: list[tuple[float, float]] = []  # begin and end, in s after the start
        self.saves = 0

    def loop(
        self,
        steps: int,
        step_s: float,
        extend: str = "50%",
        hours: float | None = None,
        save_s: float | None = None,
        total: int | None = -1,
        on_anyway: bool = False,
    ) -> float:
        """Run it with the Pacer; the s that it took."""
        given = {"around": self.around, "meter": self.meter, "on_anyway": on_anyway}
        pacer = Pacer(extend, hours, checkpointed=save_s is not None, **given)  # type: ignore[arg-type]
        pacer.begin(steps if total == -1 else total)
        for step in range(steps):
            if pacer.due(step):
                began_s = self.clock.passed_s
                if save_s is not None:
                    self.saves += 1
                    self.clock.run(save_s)
                pacer.pause()
                self.pauses.append((began_s, self.clock.passed_s))
            self.clock.run(step_s)
        pacer.end()
        return self.clock.passed_s


def test_a_loop_is_paused_through_the_dirty_hours_that_its_slack_covers() -> None:
    rig = Rig(series(DIRTY_FIRST))
    took_s = rig.loop(steps=240, step_s=60.0, extend="2h")
    ((began_s, ended_s),) = rig.pauses
    assert began_s <= 3 * 60 + SLOT_S  # as soon as its pace is known
    assert ended_s == pytest.approx(2 * 3600, abs=SLOT_S)
    assert took_s == pytest.approx(240 * 60 + (ended_s - began_s))
    assert any("paused until" in line and "Ctrl-C" in line for line in rig.told.lines)


def test_a_loop_that_cannot_gain_runs_straight_through_and_says_why_once() -> None:
    rig = Rig(series([250.0] * 48 * HOUR))
    assert rig.loop(steps=240, step_s=60.0) == 240 * 60
    (line,) = rig.told.lines
    assert line.startswith("runs on without a pause: no pauses would save 2 % or more")


@pytest.mark.parametrize("steps", [0, 3])
def test_a_loop_that_is_over_at_once_says_that_it_ran_straight_through(steps: int) -> None:
    rig = Rig(Ahead(lambda *_: (None, ["no provider is chosen"])))
    assert rig.loop(steps=steps, step_s=0.5) == 0.5 * steps
    assert rig.told.lines == ["ran straight through: it was over before a plan was made"]


def test_what_pauses_draw_keeps_a_loop_from_pausing_for_less() -> None:
    """A pause that draws 80 % of the loop's power does not pay where clean is half as dirty."""
    forecast = [200.0] * 2 * HOUR + [100.0] * 40 * HOUR
    cheap, dear = Rig(series(forecast), pause_w=30.0), Rig(series(forecast), pause_w=240.0)
    for rig in (cheap, dear):
        rig.loop(steps=480, step_s=60.0, extend="2h")
    assert sum(end - begin for begin, end in cheap.pauses) > 1.5 * 3600
    # its first pause tells what pauses draw, and is left when that is known
    assert sum(end - begin for begin, end in dear.pauses) == pytest.approx(SLOT_S, abs=10)


def test_on_a_machine_that_runs_anyway_a_pause_that_draws_much_is_free() -> None:
    rig = Rig(series([200.0] * 2 * HOUR + [100.0] * 40 * HOUR), pause_w=240.0)
    rig.loop(steps=480, step_s=60.0, extend="2h", on_anyway=True)
    ((begin, end),) = rig.pauses
    assert end - begin > 1.5 * 3600
    assert any(
        "paused until" in line and "the machine runs anyway" in line for line in rig.told.lines
    )
    assert rig.meter.promise is not None
    assert rig.meter.promise.on_anyway


@given(
    forecast=st.lists(st.floats(10, 900), min_size=1, max_size=200),
    steps=st.integers(1, 120),
    step_s=st.floats(5.0, 900.0),
    save_s=st.none() | st.floats(0.0, 400.0),
    extend=st.sampled_from(["10%", "50%", "100%", "30min", "3h", "0%"]),
)
def test_no_loop_takes_longer_than_its_time_and_its_slack_and_a_step_and_a_checkpoint(
    forecast: list[float], steps: int, step_s: float, save_s: float | None, extend: str
) -> None:
    rig = Rig(series(forecast))
    took_s = rig.loop(steps, step_s, extend, save_s=save_s)
    run_s = steps * step_s
    slack_s = {"10%": 0.1 * run_s, "50%": 0.5 * run_s, "100%": run_s, "30min": 1800.0}.get(
        extend, 10800.0 if extend == "3h" else 0.0
    )
    assert took_s <= run_s + slack_s + step_s + (save_s or 0.0) + 1e-6
    assert took_s >= run_s - 1e-6


@given(
    forecast=st.lists(st.sampled_from([50.0, 100.0, 800.0]), min_size=1, max_size=200),
    step_s=st.lists(st.floats(1.0, 1200.0), min_size=1, max_size=60),
    extend=st.sampled_from(["10min", "2h"]),
    pause_w=st.sampled_from([0.0, 30.0, 290.0]),
)
def test_nor_does_one_whose_pace_changes(
    forecast: list[float], step_s: list[float], extend: str, pause_w: float
) -> None:
    rig = Rig(series(forecast), pause_w=pause_w)
    pacer = Pacer(extend, around=rig.around, meter=rig.meter)
    pacer.begin(len(step_s))
    for step, seconds in enumerate(step_s):
        if pacer.due(step):
            pacer.pause()
        rig.clock.run(seconds)
    pacer.end()
    slack_s = {"10min": 600.0, "2h": 7200.0}[extend]
    assert rig.clock.passed_s <= sum(step_s) + slack_s + 1e-6


@given(
    items=st.lists(st.integers(), max_size=60),
    forecast=st.lists(st.sampled_from([50.0, 100.0, 400.0, math.nan]), min_size=1, max_size=60),
)
def test_every_item_comes_once_and_in_order(items: list[int], forecast: list[float]) -> None:
    clock = MovedClock()
    seen = []
    for item in carbon_aware(items, around=around(clock, series(forecast))):
        seen.append(item)
        clock.run(200.0)
    assert seen == items


@pytest.mark.parametrize("is_paused", [False, True])
@given(
    price=st.lists(st.sampled_from([1.0, 2.0, 3.0, 7.0, math.nan]), min_size=1, max_size=8),
    work=st.lists(st.sampled_from([0.5, 1.0, 2.0]), min_size=1, max_size=5),
    idle=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    resume=st.sampled_from([0.0, 0.3, 2.0]),
)
def test_the_cheapest_slots_are_those_of_brute_force(
    is_paused: bool, price: list[float], work: list[float], idle: float, resume: float
) -> None:
    known = [p for p in price if not math.isnan(p)]
    mean = sum(known) / len(known) if known else 0.0
    filled = [mean if math.isnan(p) else p for p in price]

    def cost(slots: tuple[int, ...]) -> float:
        if any(math.isnan(price[slot]) for slot in slots):
            return math.inf
        total, before = 0.0, -1
        for energy, slot in zip(work, slots, strict=True):
            total += idle * sum(filled[before + 1 : slot])
            if slot > before + 1 and not (before < 0 and is_paused):
                total += resume * price[slot]
            total += energy * price[slot]
            before = slot
        return total

    all_of_them = list(itertools.combinations(range(len(price)), len(work)))
    least = min(map(cost, all_of_them), default=math.inf)
    found = cheapest(work, price, idle, resume, is_paused)
    if least == math.inf:
        assert found is None
    else:
        assert found is not None
        assert found.cost == pytest.approx(least)
        assert cost(found.slots) == pytest.approx(least)


def test_a_provider_that_dies_while_a_loop_is_paused_holds_nobody_beyond_the_plan() -> None:
    ahead = series(DIRTY_FIRST)
    rig = Rig(ahead)
    rig.clock.at(1800.0, lambda: setattr(ahead, "look", lambda *_: (None, ["it is gone"])))
    took_s = rig.loop(steps=240, step_s=60.0, extend="2h")
    assert took_s <= 240 * 60 + 2 * 3600
    assert rig.pauses[0][1] == pytest.approx(2 * 3600, abs=SLOT_S)


def test_a_new_forecast_ends_a_pause_that_has_lost_its_reason() -> None:
    ahead = series(DIRTY_FIRST)
    rig = Rig(ahead)
    clean = series([100.0] * 48 * HOUR)
    rig.clock.at(1700.0, lambda: setattr(ahead, "look", clean.look))
    rig.loop(steps=240, step_s=60.0, extend="2h")
    assert rig.pauses[0][1] == pytest.approx(1800 + 180, abs=120)


def test_a_machine_that_wakes_behind_the_end_of_a_pause_goes_on() -> None:
    rig = Rig(series(DIRTY_FIRST))
    rig.clock.at(1800.0, lambda: rig.clock.sleeps(5 * 3600.0))
    rig.loop(steps=240, step_s=60.0, extend="2h")
    assert rig.pauses[0][1] <= 1810.0


def test_a_wall_clock_that_is_set_back_holds_nobody_longer() -> None:
    rig = Rig(series(DIRTY_FIRST))
    rig.clock.at(1000.0, lambda: rig.clock.sleeps(-10 * 3600.0))
    assert rig.loop(steps=240, step_s=60.0, extend="2h") <= 240 * 60 + 2 * 3600 + 60


def test_a_forecast_that_cannot_be_read_lets_the_loop_run_on_and_says_so() -> None:
    def broken(*_: object) -> tuple[None, list[str]]:
        raise ZeroDivisionError

    rig = Rig(Ahead(broken))
    assert rig.loop(steps=100, step_s=60.0) == 6000.0
    assert rig.told.lines == [
        "runs on without a pause: the forecast cannot be read (ZeroDivisionError)"
    ]


def test_slack_that_is_used_up_is_used_up() -> None:
    """Though more dirty times come, and newer forecasts."""
    rig = Rig(series(([800.0] * HOUR + [50.0] * HOUR) * 8))
    took_s = rig.loop(steps=300, step_s=60.0, extend="1h")
    assert 300 * 60 + 1800 < took_s <= 300 * 60 + 3600


def test_a_checkpoint_is_saved_before_each_pause_and_never_else() -> None:
    forecast = ([500.0] * HOUR + [50.0] * HOUR) * 20
    rig = Rig(series(forecast))
    rig.loop(steps=600, step_s=60.0, extend="100%", save_s=20.0)
    assert rig.saves == len(rig.pauses) >= 3
    kinds = [kind for kind, _ in rig.meter.marks]
    assert kinds.count("save") == rig.saves


def test_a_checkpoint_that_costs_much_makes_fewer_pauses() -> None:
    forecast = ([400.0] * 6 + [100.0] * 6) * 60
    many, few = Rig(series(forecast)), Rig(series(forecast))
    many.loop(steps=900, step_s=60.0, extend="100%", save_s=1.0)
    few.loop(steps=900, step_s=60.0, extend="100%", save_s=2400.0)
    assert few.saves < many.saves / 2


def test_a_loop_beyond_the_forecast_uses_its_share_of_the_slack_within_it() -> None:
    """A loop of 100 h that may take twice as long, over ten dirty hours and ten clean ones."""
    rig = Rig(series([400.0] * 10 * HOUR + [100.0] * 10 * HOUR))
    pacer = Pacer("100%", hours=100, around=rig.around, meter=rig.meter)
    pacer.begin(None)
    while rig.clock.passed_s < 10 * 3600:
        if pacer.due(1):
            pacer.pause()
        rig.clock.run(60.0)
    assert rig.clock.passed_s == pytest.approx(10 * 3600, abs=2 * SLOT_S)
    paused = [at for kind, at in rig.meter.marks if kind == "pause"]
    assert paused
    assert paused[0] <= NOON + timedelta(minutes=10)
    assert rig.clock.waits > 9 * 3600 / SLICE_S


def test_a_loop_of_unknown_length_runs_straight_through_or_by_its_hours() -> None:
    rig = Rig(series(DIRTY_FIRST))
    assert rig.loop(steps=240, step_s=60.0, total=None) == 240 * 60
    assert "hours=" in rig.told.lines[0]
    timed = Rig(series(DIRTY_FIRST))
    timed.loop(steps=240, step_s=60.0, total=None, hours=4.0, extend="2h")
    assert timed.pauses[0][0] == 0.0 or timed.pauses[0][0] <= 600.0


# -- generators ------------------------------------------------------------------------------


class Loader:
    """Items and an error of its own after some."""

    def __init__(self, many: int, error: Exception | None = None) -> None:
        self.many, self.error = many, error

    def __iter__(self) -> Iterator[int]:
        yield from range(self.many)
        if self.error is not None:
            raise self.error


def paced(loader: object, **more: object) -> carbon_aware[int]:
    clock = MovedClock()
    return carbon_aware(loader, around=around(clock, series(DIRTY_FIRST)), **more)  # type: ignore[arg-type]  # for brevity


def test_what_a_loader_raises_comes_through_unchanged() -> None:
    error = OSError("disk")
    items = iter(paced(Loader(3, error)))
    assert [next(items) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match="disk") as caught:
        next(items)
    assert caught.value is error


def test_a_loop_may_be_left_nested_and_begun_again() -> None:
    outer = paced(range(5))
    seen = []
    for epoch in outer:
        for item in paced(range(3)):
            if item == 2:
                break
            seen.append((epoch, item))
    assert len(seen) == 10
    assert list(outer) == [0, 1, 2, 3, 4]
    assert len(outer) == 5
    with pytest.raises(TypeError):
        len(paced(Loader(3)))


class Loaded(Loader):
    """A loader with more to it, as PyTorch's has: its data, and what shuffles it."""

    dataset = "its data"

    @property
    def broken(self) -> str:
        return self.nothing  # type: ignore[attr-defined,no-any-return]  # on purpose


def test_a_loop_is_as_its_loader_is_to_the_code_around_it() -> None:
    assert paced(Loader(0))
    assert paced(range(3))
    assert not paced([])
    loop = paced(Loaded(3))
    assert (loop.dataset, loop.many, loop.result) == ("its data", 3, None)
    assert not hasattr(loop, "sampler")
    with pytest.raises(AttributeError, match="nothing"):
        _ = loop.broken
    plain = carbon_aware(Loaded(3))
    assert pickle.loads(pickle.dumps(plain)).dataset == copy.copy(plain).dataset == "its data"


def test_what_the_users_checkpoint_raises_comes_through() -> None:
    def save() -> None:
        raise RuntimeError("no space")

    clock = MovedClock()
    loop = carbon_aware(
        range(240), "2h", save, around=around(clock, series(DIRTY_FIRST)), name="train"
    )
    with pytest.raises(RuntimeError, match="no space"):
        deque((clock.run(60.0) for _ in loop), maxlen=0)


def test_ctrl_c_in_a_pause_goes_through_at_once() -> None:
    rig = Rig(series(DIRTY_FIRST))

    def interrupt() -> None:
        raise KeyboardInterrupt

    rig.clock.at(3000.0, interrupt)
    with pytest.raises(KeyboardInterrupt):
        rig.loop(steps=240, step_s=60.0, extend="2h")
    assert rig.clock.passed_s == 3000.0
    assert rig.told.lines[-1] == "stopped while it was paused"


@pytest.mark.parametrize(
    "wrong",
    [
        {"extend": "half"},
        {"extend": 6},
        {"extend": "-5%"},
        {"extend": "6"},
        {"hours": 0},
        {"hours": math.nan},
        {"hours": "3"},
        {"checkpoint": "model.pt"},
        {"loader": 7},
        {"on_anyway": "yes"},
    ],
)
def test_wrong_use_is_told_before_the_loop_begins(wrong: dict[str, object]) -> None:
    with pytest.raises(WrongUse):
        carbon_aware(**{"loader": range(3), **wrong})  # type: ignore[arg-type]  # on purpose


def test_an_outlook_from_before_now_is_planned_over_from_now_on() -> None:
    rig = Rig(Ahead(lambda *_: (outlook([100.0] * 2 * HOUR + [400.0] * 9, NOON), [])))
    rig.clock.run(7 * 3600.0)
    assert rig.loop(steps=60, step_s=60.0) == pytest.approx(7 * 3600.0 + 3600.0)
    assert "none of its values is of now" in rig.told.lines[0]

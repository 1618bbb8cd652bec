"""What a run that goes on, or is about to begin, had best do over an outlook. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from ..plan import LEAST_SAVING
from ..plan.held import drawn_until, draws, earliest_best
from ..plan.nouns import SLOT_S, Outlook
from ..plan.pausing import Powers, cheapest
from ..plan.shifting import starts
from ..plan.timing import LONGEST_BY_TYPICAL_DAY_S
from ..units import J_PER_KWH, duration, percent

SLOT = timedelta(seconds=SLOT_S)
# A longer outlook is planned over a part at a time: a grid's week tells how clean is clean.
MOST_SLOTS = int(7 * 24 * 3600 / SLOT_S)

# Two clocks are read one after the other: so many s are no difference; whoever holds a run keeps to
# its slack. Of a sum: what is closer is equal.
CLOCKS_S, ROUNDED = 1.0, 1e-9
NO_GAIN = "no pauses would save 2 % or more"


@dataclass(frozen=True, slots=True)
class Plan:
    """The pauses of a run, [begin, end) each (UTC), and the share of its emissions that they save.

    `saved_fraction` is of the work of `planned_s` that lies within the outlook, and what the pauses
    draw is taken off.
    """

    pauses: tuple[tuple[datetime, datetime], ...]
    saved_fraction: float
    planned_s: float

    def pause_at(self, now: datetime) -> tuple[datetime, datetime] | None:
        """The pause that a moment lies in; None where it lies in none."""
        return next((pause for pause in self.pauses if pause[0] <= now < pause[1]), None)

    def next_after(self, now: datetime) -> datetime | None:
        """When the next pause begins; None where there is none."""
        return min((begin for begin, _ in self.pauses if begin > now), default=None)


def pauses(
    outlook: Outlook,
    now: datetime,
    left_s: float,
    slack_s: float,
    powers: Powers,
    is_paused: bool = False,
    kept: float = 1.0,
) -> Plan | str:
    """The pauses for a run that has `left_s` to go and may be paused for `slack_s`; or why there is
    none, in words. Where it `is_paused`, the pause that it is in is the first one. `kept` of what
    they save by the outlook is promised (past_days.py)."""
    since, series = _ahead(outlook, now)
    first_s = SLOT_S - (now - since).total_seconds()  # what is left of the slot of now
    if slack_s + CLOCKS_S < first_s or left_s <= 0:
        return "no time is left to pause in"
    if not series:
        return "none of its values is of now"
    known_s = first_s + (len(series) - 1) * SLOT_S
    if known_s < left_s + slack_s:
        # What lies behind the outlook takes its share of the slack; it is planned anew by then.
        left_s = known_s * left_s / (left_s + slack_s)
        slack_s = known_s - left_s
    runs_on = _run_first(series, first_s, left_s, slack_s, powers)
    found = _pause_first(series, first_s, left_s, slack_s, powers, is_paused)
    if runs_on is not None and (found is None or found[0] >= (1 - ROUNDED) * runs_on[0]):
        found = runs_on
    if found is None:
        return "too few of its values are known"
    cost, slots = found
    now_cost = _at_once(series, first_s, left_s)
    if not math.isfinite(now_cost):
        return "its values have a gap where the run would be"
    saved = 0.0 if now_cost <= 0 else kept * (1 - cost / now_cost)
    edges = [-1, *slots]
    gaps = [(a + 1, b) for a, b in pairwise(edges) if b > a + 1]
    if gaps and kept <= 0:
        return "past days do not clearly speak for pauses"
    if not gaps or (saved < LEAST_SAVING and not is_paused):
        return NO_GAIN
    made = tuple((max(now, since + begin * SLOT), since + end * SLOT) for begin, end in gaps)
    return Plan(made, saved, left_s)


# A way to go on from now: what it costs, in full slots of the run's power times g/kWh, and the
# slots that it runs in, from that of now on.
_Way = tuple[float, tuple[int, ...]]


def _run_first(
    series: list[float], first_s: float, left_s: float, slack_s: float, powers: Powers
) -> _Way | None:
    """The best way that runs in what is left of the slot of now; None where there is none."""
    if not math.isfinite(series[0]):
        return None
    cost = min(first_s, left_s) / SLOT_S * series[0]
    work = work_of(left_s - first_s)
    if not work:
        return cost, (0,)
    price = series[1 : 1 + len(work) + slots_of(slack_s)]
    found = cheapest(work, price, powers.idle, powers.resume_s / SLOT_S)
    if found is None:
        return None
    return cost + found.cost, (0, *(1 + slot for slot in found.slots))


def _pause_first(
    series: list[float],
    first_s: float,
    left_s: float,
    slack_s: float,
    powers: Powers,
    is_paused: bool,
) -> _Way | None:
    """The best way that is paused until the next slot at least; None where there is none."""
    if slack_s + CLOCKS_S < first_s:
        return None
    work, resume = work_of(left_s), powers.resume_s / SLOT_S
    price = series[1 : 1 + len(work) + slots_of(slack_s - first_s)]
    # Whenever it goes on, it does so in the slot of its first work. Of a pause that it is in
    # already, that is not counted any more.
    first = [work[0] + (0.0 if is_paused else resume), *work[1:]]
    found = cheapest(first, price, powers.idle, resume, is_paused=True)
    if found is None or not math.isfinite(series[0]):
        return None
    drawn = powers.idle * first_s / SLOT_S * series[0]
    return drawn + found.cost, tuple(1 + slot for slot in found.slots)


def slots_of(seconds: float) -> int:
    """How many whole slots there are."""
    return max(0, int((seconds + CLOCKS_S) // SLOT_S))


def work_of(run_s: float) -> list[float]:
    """How much of each slot a run of `run_s` takes that begins with one."""
    count = math.ceil(run_s / SLOT_S)
    return [] if count < 1 else [*[1.0] * (count - 1), run_s / SLOT_S - (count - 1)]


def _at_once(series: list[float], first_s: float, run_s: float) -> float:
    """What a run from now on costs, of whose slot `first_s` are left; NaN where nobody knows."""
    work = [min(first_s, run_s) / SLOT_S, *work_of(run_s - first_s)]
    if len(series) < len(work):
        return math.nan
    return math.fsum(share * value for share, value in zip(work, series, strict=False))


@dataclass(frozen=True, slots=True)
class Start:
    """When a run that is held had best begin (UTC), and the share of its emissions that this saves,
    `wait_fraction` taken off: what is drawn until then, as a share of them too."""

    at: datetime
    saved_fraction: float
    wait_fraction: float


def start(
    outlook: Outlook,
    now: datetime,
    run_s: float,
    wait_s: float,
    powers: Powers,
    is_waiting: bool = False,
    like: str = "",
    kept: float = 1.0,
) -> Start | str:
    """When a run of `run_s` had best begin that is held until then and draws what `powers` says of
    a pause, `wait_s` from now at the latest; or why it is now, in words. `like` says what the run's
    power is taken from (held.draws); `kept` of what a start saves by the outlook is promised
    (past_days.py)."""
    if outlook.basis == "typical day" and run_s > LONGEST_BY_TYPICAL_DAY_S:
        return "a typical day tells nothing of the start of a run of more than 12 h"
    since, series = _ahead(outlook, now)
    passed_s = (now - since).total_seconds()
    work, latest = work_of(run_s), slots_of(wait_s + passed_s)
    if latest < 1:
        if is_waiting:
            return "no time is left to wait"
        return (
            f"plans are made in steps of {duration(SLOT_S)}, and max_wait is less: "
            'give more, such as max_wait="6h"'
        )
    if not series:
        return "none of its values is of now"
    if len(series) * SLOT_S < passed_s + run_s:
        return f"its values end before a run of that length would, at {_clock(since, len(series))}"
    now_cost = _at_once(series, SLOT_S - passed_s, run_s)
    if not math.isfinite(now_cost):
        return "its values have a gap where the run would be"
    if kept <= 0:
        return "past days do not clearly speak for a later start"
    latest = min(latest, len(series) - len(work))
    found = _best_held(series, passed_s, work, latest, now_cost, powers, kept)
    least = ROUNDED if is_waiting else LEAST_SAVING
    if found.most < least:
        return "no later start would save 2 % or more"
    if found.saved_fraction < least:
        return (
            f"a start at {_clock(since, found.of_most)} would save {percent(found.most)} of the "
            "emissions attributed to this run, and a kernel that waits for it adds "
            f"{percent(found.adds)} ({draws(powers, like)}): start the notebook then instead, or "
            "give on_anyway=True where the machine runs anyway"
        )
    return Start(since + found.begins * SLOT, found.saved_fraction, found.wait_fraction)


@dataclass(frozen=True, slots=True)
class _Held:
    """The slot that a held run had best begin with, what that saves and what its wait adds; and the
    same of the start that saves most without a wait. All savings are shares of running now."""

    begins: int
    saved_fraction: float
    wait_fraction: float
    of_most: int
    most: float
    adds: float


def _best_held(
    series: list[float],
    passed_s: float,
    work: list[float],
    latest: int,
    now_cost: float,
    powers: Powers,
    kept: float,
) -> _Held:
    """The best start of a run, now or with one of the slots from the next one on."""
    import numpy as np

    if now_cost <= 0:
        return _Held(0, 0.0, 0.0, 0, 0.0, 0.0)
    later = starts(work, series[1:])[: max(0, latest)] * J_PER_KWH
    runs = 1 - kept * (1 - np.append([now_cost], later) / now_cost)
    waits = drawn_until(series, powers.idle / now_cost, passed_s / SLOT_S)[: len(runs)]
    # What running now costs is known, and so one of them is.
    held, free = (earliest_best(costs) or 0 for costs in (runs + waits, runs))
    net = 1 - float(runs[held] + waits[held])
    return _Held(held, net, float(waits[held]), free, 1 - float(runs[free]), float(waits[free]))


def _ahead(outlook: Outlook, now: datetime) -> tuple[datetime, list[float]]:
    """The outlook from the slot on that `now` lies in, up to its last value, and when that begins;
    nothing of one that begins later, as where a clock was set back."""
    passed = (now - outlook.begin) // SLOT
    if passed < 0:
        return now, []
    series = list(outlook.g_per_kwh[passed : passed + MOST_SLOTS])
    while series and not math.isfinite(series[-1]):
        series.pop()
    return outlook.begin + passed * SLOT, series


def _clock(since: datetime, slots: int) -> str:
    return f"{(since + slots * SLOT).astimezone():%Y-%m-%d %H:%M %Z}"

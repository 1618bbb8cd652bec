"""What a schedule of a job emits and saves over an outlook, with its range. Pure functions."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from ..json_shapes import RangeJson
from ..units import J_PER_KWH
from . import LEAST_SAVING
from .nouns import SLOT_S, Job, Outlook
from .pausing import Powers, free
from .shifting import MOST_STEPS, Schedule, flexible_start, is_searched, pause_resume, steps

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

# Of what is told of fewer past days nobody can say how far it may be off.
LEAST_REHEARSALS = 5
# The 95 % point of the normal distribution.
_Z = 1.645
# Of a forecast that may be off by all of it no ratio can be told: it has no end.
_MOST_ERROR = 0.99


def energy_of(job: Job) -> list[float]:
    """J in each slot; of a job whose energy is not known, as if it drew 1 kWh."""
    energy_j = job.energy_j
    whole_j = energy_j.mid if energy_j is not None and energy_j.mid > 0 else J_PER_KWH
    return [share * whole_j for share in job.shares]


def costs_of(job: Job, powers: Powers) -> tuple[float, float]:
    """J of each resumption, and of each slot of a pause, for the energies of `energy_of`."""
    mean_w = sum(energy_of(job)) / job.duration_s if job.duration_s > 0 else 0.0
    return powers.resume_s * mean_w, powers.idle * mean_w * SLOT_S


def grams_of(
    job: Job, outlook: Outlook, found: Schedule, pue: float, powers: Powers | None = None
) -> RangeJson | None:
    """Grams of a schedule, within the bounds of the job's energy, of what pauses draw, and of the
    outlook's error."""
    energy_j = job.energy_j
    if energy_j is None:
        return None
    if energy_j.mid <= 0:
        return RangeJson(low=0.0, mid=0.0, high=0.0)
    error = 0.0 if outlook.hindsight else outlook.error
    low_g, high_g = (found.carbon_g + more for more in _off(found, powers or free()))
    per_j = pue / energy_j.mid
    return RangeJson(
        low=low_g * per_j * energy_j.low * (1 - error),
        mid=found.carbon_g * per_j * energy_j.mid,
        high=high_g * per_j * energy_j.high * (1 + error),
    )


def promised(
    job: Job, outlook: Outlook, found: Schedule, slack: int, powers: Powers | None
) -> tuple[Schedule, RangeJson]:
    """The schedule to advise, and what share it may save; `found` is the best of so many slots to
    spare, and `powers` what pauses cost, None where it only starts later.

    By a typical day, what the best one saves of the mean of past days is no promise: it is the best
    because of their chance, too. What is promised is what such plans, each made from the other
    days, saved on past days. Where these do not clearly speak for it, it is running at once.
    """
    if outlook.basis != "typical day":
        return found, _by_forecast(job, outlook, found, slack, powers or free())
    now_g, at_once = found.now_g or 0.0, tuple(range(len(found.slots)))
    if found.slots != at_once and now_g > 0:
        told = by_past_days(_rehearsed(job, outlook, slack, powers))
        if told is not None:
            carbon_g = now_g * (1 - told["mid"])
            paused_g = found.paused_g * carbon_g / found.carbon_g if found.carbon_g > 0 else 0.0
            return replace(found, carbon_g=carbon_g, paused_g=paused_g), told
    found = replace(found, slots=at_once, carbon_g=now_g, paused_g=0.0)
    return found, RangeJson(low=0.0, mid=0.0, high=0.0)


def by_past_days(days: Sequence[tuple[float, float, float]]) -> RangeJson | None:
    """The share to promise, by what plans saved on past days, and the range for one more day; None
    where these do not clearly speak for it. Each day has what was emitted, over running at once:
    where pauses draw the least, as they are taken to, and the most.

    Clearly: the mean's one-sided 95 % bound is above nothing (Student 1908); simulated days without
    a pattern pass in 2 to 7 of 100 cases (tests/typical_days.py). Of means that have passed, chance
    is a part: as much is taken off as James and Stein (1961) do, by the mean's own error. The range
    is a 90 % prediction interval for one new value, mean and t s sqrt(1 + 1/n) (Hahn and Meeker
    1991, 4.6): that from the least to the most of n days would hold only (n - 1)/(n + 1), of six
    days 71 %. Its high end is that of running at once over the plan: nothing saves over 100 %.
    """
    import numpy as np

    count = len(days)
    if count < LEAST_REHEARSALS:
        return None
    least, drawn, most = np.asarray(days, dtype=float).T
    mean, student = 1 - float(drawn.mean()), _student_95(count - 1)
    error = float(drawn.std(ddof=1)) / math.sqrt(count)
    if mean <= student * error:
        return None
    saved = mean - error**2 / mean
    if saved < LEAST_SAVING:
        return None

    def above(ratios: Numbers) -> float:
        return float(ratios.mean()) + student * float(ratios.std(ddof=1)) * math.sqrt(1 + 1 / count)

    high = 1 - 1 / above(1 / least) if least.all() else 1.0
    return RangeJson(low=1 - above(most), mid=saved, high=high)


def is_rehearsed(job: Job, outlook: Outlook, slack: int, powers: Powers | None) -> bool:
    """Whether enough past days can be planned again to promise anything of a typical day."""
    return len(_days(job, outlook, slack, powers)) >= LEAST_REHEARSALS


def _student_95(freedom: int) -> float:
    """The one-sided 95 % point of Student's t, within 0.02 from 4 degrees on (Abramowitz and Stegun
    1964, 26.7.5)."""
    first = (_Z**3 + _Z) / 4
    second = (5 * _Z**5 + 16 * _Z**3 + 3 * _Z) / 96
    return _Z + first / freedom + second / freedom**2


def _by_forecast(
    job: Job, outlook: Outlook, found: Schedule, slack: int, powers: Powers
) -> RangeJson:
    """What a schedule saves where the forecast errs against it and its pauses draw the most, and
    where both are for it."""
    mid = found.saved_fraction or 0.0
    if not found.now_g:
        return RangeJson(low=mid, mid=mid, high=mid)
    import numpy as np

    series = np.asarray(outlook.g_per_kwh[: slack + len(job.shares)], dtype=float)
    # As pausing.py reckons with a pause in a slot that nobody knows.
    series = np.where(np.isfinite(series), series, np.nanmean(series))
    now = _at_once(job, len(series)) * series
    least, most = (_kwh(job, found, one, len(series)) * series for one in _bounds(powers))
    error = 0.0 if outlook.hindsight else outlook.error
    low = 1 - worst_ratio(most, now, outlook.error)
    high = 1 - 1 / worst_ratio(now, least, error)
    # What sums round by is no range.
    return RangeJson(low=min(low, mid), mid=mid, high=max(high, mid))


def _bounds(powers: Powers) -> tuple[Powers, Powers]:
    """Pauses that draw the least, and the most, that they may."""
    least, most = powers.bounds
    return replace(powers, idle=least), replace(powers, idle=most)


def _off(found: Schedule, powers: Powers) -> tuple[float, float]:
    """How many grams less and more than taken the pauses may stand for; the first is negative."""
    if powers.idle <= 0:
        return 0.0, 0.0
    least, most = (found.paused_g * (bound / powers.idle - 1) for bound in powers.bounds)
    return least, most


def worst_ratio(planned_g: Numbers, now_g: Numbers, error: float) -> float:
    """The most that sum(planned) / sum(now) can be where each slot is off by up to `error`, a
    share, and by the same in both; infinite where running now gives nothing.

    Slots above the ratio are then high and those below low, which tells the ratio in turn: it
    only grows, and stands after a few rounds (Dinkelbach 1967, doi 10.1287/mnsc.13.7.492).
    """
    import numpy as np

    if not now_g.any():
        return math.inf if planned_g.any() else 1.0
    error = min(error, _MOST_ERROR)
    ratio = 0.0
    for _ in range(50):
        off = np.where(planned_g > ratio * now_g, 1 + error, 1 - error)
        following = float((off * planned_g).sum()) / float((off * now_g).sum())
        if following <= ratio:
            break
        ratio = following
    return ratio


def _at_once(job: Job, slots: int) -> Numbers:
    """kWh in each of so many slots of the job, begun in the first one."""
    import numpy as np

    kwh = np.zeros(slots)
    kwh[: len(job.shares)] = np.asarray(energy_of(job)) / J_PER_KWH
    return kwh


def _kwh(job: Job, found: Schedule, powers: Powers, slots: int) -> Numbers:
    """kWh in each of so many slots, of the job, its pauses and resumptions."""
    import numpy as np

    resume_kwh, idle_kwh = (one_j / J_PER_KWH for one_j in costs_of(job, powers))
    kwh = np.zeros(slots)
    kwh[: found.slots[-1]] = idle_kwh
    kwh[list(found.slots)] = np.asarray(energy_of(job)) / J_PER_KWH
    for first, _ in found.runs[1:]:
        kwh[first] += resume_kwh
    return kwh


def _days(
    job: Job, outlook: Outlook, slack: int, powers: Powers | None
) -> Sequence[tuple[Sequence[float], Sequence[float]]]:
    """The past days to plan again: as many of them as are searched in some seconds."""
    days = outlook.rehearsals
    if powers is None or not is_searched(energy_of(job), *costs_of(job, powers)):
        return days
    most = MOST_STEPS // max(1, steps(energy_of(job), outlook.g_per_kwh, slack))
    return days[:: -(-len(days) // most)] if most >= LEAST_REHEARSALS and days else ()


def _rehearsed(
    job: Job, outlook: Outlook, slack: int, powers: Powers | None
) -> list[tuple[float, float, float]]:
    """What past days would have emitted by such a plan, over running at once, each planned by the
    mean of the others: where pauses draw the least, as they are taken to, and the most."""
    import numpy as np

    energy_j, window = energy_of(job), len(outlook.g_per_kwh)
    # Waiting for a later start draws nothing of the job's; pauses do.
    taken = powers or free()
    found = []
    for told, was in _days(job, outlook, slack, powers):
        if powers is None:
            plan = flexible_start(energy_j, told[:window], slack)
        else:
            plan = pause_resume(energy_j, told[:window], slack, *costs_of(job, powers))
        if plan is None:
            continue
        actual = np.asarray(was, dtype=float)[: len(told[:window])]

        def drawn_g(kwh: Numbers, actual: Numbers = actual) -> float:
            return float((kwh[kwh > 0] * actual[kwh > 0]).sum())

        now_g = drawn_g(_at_once(job, len(actual)))
        least, most = _bounds(taken)
        each = [drawn_g(_kwh(job, plan, one, len(actual))) for one in (least, taken, most)]
        if now_g > 0 and math.isfinite(now_g) and all(map(math.isfinite, each)):
            found.append((each[0] / now_g, each[1] / now_g, each[2] / now_g))
    return found

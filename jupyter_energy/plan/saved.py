"""What a schedule of a job emits and saves over an outlook, with its range. Pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..json_shapes import RangeJson
from ..units import J_PER_KWH
from .nouns import SLOT_S, Job, Outlook
from .pausing import Powers, free
from .shifting import MOST_STEPS, Schedule, flexible_start, is_searched, pause_resume, steps

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

# Of what the advice would have saved on past days, this share lies within the range.
WITHIN = 0.9
# Of fewer past days that is no range.
LEAST_REHEARSALS = 5


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


def saved_range(
    job: Job, outlook: Outlook, found: Schedule, slack: int, powers: Powers | None
) -> RangeJson:
    """What share a schedule may save that was chosen with so many slots to spare; `powers` is what
    pauses cost, None where it only starts later."""
    import numpy as np

    mid = found.saved_fraction or 0.0
    less, more = _off(found, powers or free())
    now_g = found.now_g or 0.0
    # What pauses draw may be otherwise: so much more or less is saved.
    more_saved, less_saved = (-less / now_g, more / now_g) if now_g > 0 else (0.0, 0.0)
    saved = _rehearsed(job, outlook, slack, powers) if outlook.rehearsals else []
    if saved:
        low, high = np.quantile(saved, [(1 - WITHIN) / 2, (1 + WITHIN) / 2])
    else:
        planned, now = _drawn(job, outlook, found, powers or free())
        low = 1 - worst_ratio(planned, now, outlook.error)
        high = mid if outlook.hindsight else 1 - 1 / worst_ratio(now, planned, outlook.error)
    low, high = float(low) - less_saved, float(high) + more_saved
    return RangeJson(low=min(low, mid), mid=mid, high=max(high, mid))


def _off(found: Schedule, powers: Powers) -> tuple[float, float]:
    """How many grams less and more than taken the pauses may stand for; the first is negative."""
    if powers.idle <= 0:
        return 0.0, 0.0
    least, most = (found.paused_g * (bound / powers.idle - 1) for bound in powers.bounds)
    return least, most


def worst_ratio(planned_g: Numbers, now_g: Numbers, error: float) -> float:
    """The most that sum(planned) / sum(now) can be where each slot is off by up to `error`, a
    share, and by the same in both.

    Slots above the ratio are then high and those below low, which tells the ratio in turn: it
    only grows, and stands after a few rounds (Dinkelbach 1967, doi 10.1287/mnsc.13.7.492).
    """
    import numpy as np

    low, high = max(0.0, 1 - error), 1 + error
    ratio = 0.0
    for _ in range(50):
        off = np.where(planned_g > ratio * now_g, high, low)
        under = float((off * now_g).sum())
        if under <= 0:
            return 1.0
        following = float((off * planned_g).sum()) / under
        if following <= ratio:
            break
        ratio = following
    return ratio


def _drawn(job: Job, outlook: Outlook, found: Schedule, powers: Powers) -> tuple[Numbers, Numbers]:
    """Grams in each slot of the outlook: of a schedule, and of running now."""
    import numpy as np

    energy_kwh = np.asarray(energy_of(job)) / J_PER_KWH
    series = np.asarray(outlook.g_per_kwh, dtype=float)
    now_kwh = np.zeros(len(series))
    now_kwh[: len(energy_kwh)] = energy_kwh
    filled = np.where(np.isfinite(series), series, np.nanmean(series))
    return _kwh(job, found, powers, len(series)) * filled, now_kwh * filled


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


def _rehearsed(job: Job, outlook: Outlook, slack: int, powers: Powers | None) -> list[float]:
    """What the advice would have saved on past days, each planned by the mean of the others; of so
    many of them as are searched in some seconds, and nothing of too few."""
    import numpy as np

    energy_j = energy_of(job)
    kwh, window = np.asarray(energy_j) / J_PER_KWH, len(outlook.g_per_kwh)
    days = outlook.rehearsals
    resume_j, idle_j = costs_of(job, powers or free())
    if powers is not None and is_searched(energy_j, resume_j, idle_j):
        most = MOST_STEPS // max(1, steps(energy_j, outlook.g_per_kwh, slack))
        if most < min(LEAST_REHEARSALS, len(days)):
            return []
        days = days[:: -(-len(days) // most)]
    saved = []
    for told, was in days:
        if powers is None:
            plan = flexible_start(energy_j, told[:window], slack)
        else:
            plan = pause_resume(energy_j, told[:window], slack, resume_j, idle_j)
        if plan is None:
            continue
        actual = np.asarray(was, dtype=float)[: len(told[:window])]
        # Waiting for a later start draws nothing of the job's; pauses do.
        drawn = _kwh(job, plan, powers or free(), len(actual))
        grams = float((drawn[drawn > 0] * actual[drawn > 0]).sum())
        now = float((kwh * actual[: len(kwh)]).sum())
        if grams == grams and now > 0:
            saved.append(1 - grams / now)
    return saved

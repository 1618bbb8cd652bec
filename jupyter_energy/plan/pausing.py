"""When a run is best paused: the cheapest slots, where a pause draws power too. Pure.

Pause & Resume of Dodge et al. 2022 takes pauses to cost nothing (`free`). A run that is held in
memory keeps its machine awake and its GPU's context: what it draws meanwhile is a cost of its
pauses, and they pay only where the grid is so much dirtier than later.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

# What a pause draws of the run's mean power, until one has been measured. Ours, and said wherever
# it is used: a server that does nothing draws about half of its full power (Barroso and Hölzle
# 2007, doi 10.1109/MC.2007.443), a GPU that holds a context far less (arXiv 2605.23918, carbon.md
# 6). It may be as little as nothing, where the machine sleeps or others use it, and that half.
ASSUMED_IDLE, LEAST_IDLE, MOST_IDLE = 0.3, 0.0, 0.5
# What a pause costs at least besides: caches, clocks and queues are cold after it. So much of the
# run's time is taken for that (ours), so that no pause is made for next to nothing.
LEAST_RESUME_S = 60.0
# Of a sum: what is closer is equal.
_EPSILON = 1e-12


@dataclass(frozen=True, slots=True)
class Powers:
    """What a pause draws as a share of the run's power (0.3: 30 %), whether that was measured, and
    what one resumption costs, in s of the run's power. `constant` of the run's power is drawn in a
    pause for certain. `estimated` are the least and the most that it draws by estimates of these
    devices; None where it was measured, or is assumed. `on_anyway`: the machine runs whether or not
    this run does, by the user's word, so that a wait or a pause draws nothing more (`free`)."""

    idle: float = ASSUMED_IDLE
    is_measured: bool = False
    resume_s: float = LEAST_RESUME_S
    constant: float = 0.0
    estimated: tuple[float, float] | None = None
    on_anyway: bool = False

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the most that a pause may draw, as such shares."""
        if self.is_measured or self.on_anyway:
            return self.idle, self.idle
        if self.estimated is not None:
            return self.estimated
        least, most = (with_constant(of_rest, self.constant) for of_rest in (LEAST_IDLE, MOST_IDLE))
        return min(least, self.idle), max(most, self.idle)


def with_constant(of_rest: float, constant: float) -> float:
    """The share of a run's power where `constant` of it stays and `of_rest` of what else there is;
    all are shares."""
    return constant + of_rest * (1 - constant)


def assumed(constant: float) -> Powers:
    """What a pause is taken to draw before one is measured, where `constant` of the run's power
    stays whole, as that of memory."""
    return Powers(idle=with_constant(ASSUMED_IDLE, constant), constant=constant)


def free() -> Powers:
    """Pauses that cost nothing, as of a machine that runs anyway: the definition in the literature,
    and a bound."""
    return Powers(idle=0.0, resume_s=0.0, on_anyway=True)


@dataclass(frozen=True, slots=True)
class Cheapest:
    """The slots to run in, from 0, in order; what they, the resumptions and the pauses between them
    cost; the pauses' part of that; and what running in the first ones would, None where some of
    those have no value."""

    slots: tuple[int, ...]
    cost: float
    paused: float
    now: float | None

    @property
    def saved_fraction(self) -> float | None:
        """0.2 where a fifth of the cost of running now is saved; None where that is unknown."""
        if self.now is None:
            return None
        return 0.0 if self.now <= 0 else 1 - self.cost / self.now


def cheapest(
    work: Sequence[float],
    price: Sequence[float],
    idle: float,
    resume: float,
    is_paused: bool = False,
) -> Cheapest | None:
    """The slots of `price` that the slots of `work`, in order, cost the least in.

    `work` is the energy of each slot of the run, `idle` that of a slot of a pause, `resume` that of
    each resumption, all in one unit; costs are that times the unit of `price`, NaN where nobody
    knows. A slot without a price is never run in, and a pause in one has the mean price. What
    lies before the first slot is a pause as any other; where the run `is_paused` already, or has
    not begun, one without a resumption at its end. Of equal ones the earliest. None where the run
    does not fit.
    """
    import numpy as np

    series = np.asarray(price, dtype=float)
    job = np.asarray(work, dtype=float)
    known = np.isfinite(series)
    if not len(job) or known.sum() < len(job):
        return None
    runs = np.where(known, series, np.inf)
    pauses = idle * np.where(known, series, series[known].mean())
    reach = _reach(job, runs, pauses, idle, resume)
    runs, pauses = runs[:reach], pauses[:reach]
    if resume <= 0 and 0 <= idle <= job[0] and bool((job == job[0]).all()):
        slots = _of_constant(len(job), runs, pauses, job[0] - idle)
    else:
        slots = _in_order(job, runs, pauses, resume, 0.0 if is_paused else resume)
    gaps = np.diff(slots, prepend=-1) > 1
    gaps[0] &= not is_paused
    between = np.ones(slots[-1] + 1, dtype=bool)
    between[slots] = False
    paused = float(pauses[: len(between)][between].sum())
    resumed = resume * float(series[slots[gaps]].sum()) if resume > 0 else 0.0
    now = float((job * series[: len(job)]).sum())
    cost = float((job * series[slots]).sum()) + resumed + paused
    return Cheapest(tuple(map(int, slots)), cost, paused, now if now == now else None)


def _reach(job: Numbers, runs: Numbers, pauses: Numbers, idle: float, resume: float) -> int:
    """How many slots are worth a look: who waits longer has paid more by then than the first slots
    that the run fits in cost it. Over a year that leaves some hours or days to search."""
    import numpy as np

    known = np.flatnonzero(runs < np.inf)
    first = known[: len(job)]
    until = np.cumsum(pauses)
    # A slot that the run has is no pause: it counts for what running draws above one.
    more = job - idle
    price = runs[first]
    cost = float(until[first[-1]] + (more * price).sum())
    cost += resume * float(price[np.diff(first, prepend=-1) > 1].sum())
    low, high = runs[known].min(), runs[known].max()
    least = float((np.maximum(more, 0) * low + np.minimum(more, 0) * high).sum())
    # Pauses that cost nothing leave all of it; sums are no surer than a billionth.
    worth = int(np.searchsorted(until, cost - least + 1e-9 * abs(cost), side="right"))
    return max(int(first[-1]) + 1, worth)


def _of_constant(count: int, runs: Numbers, pauses: Numbers, more: float) -> NDArray[np.intp]:
    """The best slots of constant power without a cost of resumptions: up to some slot, the cheapest
    ones. `more` is what running draws above a pause, in each slot."""
    import numpy as np

    last = len(runs) - 1
    if pauses.any():
        until = np.cumsum(pauses).tolist()
        least, kept = np.inf, 0.0
        held: list[tuple[float, int]] = []
        for slot, price in enumerate(runs.tolist()):
            if price == np.inf:
                continue
            # The dearest of those that are held, of equal ones the latest, makes room.
            kept += price
            if len(held) < count:
                heapq.heappush(held, (-price, -slot))
            else:
                kept += heapq.heappushpop(held, (-price, -slot))[0]
            cost = more * kept + until[slot]
            if len(held) == count and (least == np.inf or cost < least - _EPSILON * least):
                least, last = cost, slot
    # "stable" leaves equal ones in the order of time.
    return np.sort(np.argsort(runs[: last + 1], kind="stable")[:count])


def _in_order(
    job: Numbers, runs: Numbers, pauses: Numbers, resume: float, first: float
) -> NDArray[np.intp]:
    """The best slots for energies in their own order, with a cost of each resumption.

    Dynamic programming: `best[at]` is the least that the run's first k slots can cost where the
    k-th lies in slot k + at. Then "the slot before" has the same number for the one before in the
    run, and all earlier ones have lower numbers. One step is a few operations over the window.
    """
    import numpy as np

    width = len(runs) - len(job) + 1
    # `until[j]`: what a pause from slot 0 to slot j draws
    until = np.concatenate(([0.0], np.cumsum(pauses)))
    came_from = np.zeros((len(job), width), dtype=np.int32)
    numbers = np.arange(width)
    best = until[:width] + _times(job[0], runs[:width])
    best[1:] += _times(first, runs[1:width])
    for k in range(1, len(job)):
        here, drawn = runs[k : k + width], until[k : k + width]
        paused = best - drawn
        least = np.minimum.accumulate(paused)
        # where the least up to each number lies, the earliest of equal ones
        came = np.maximum.accumulate(np.where(np.r_[True, least[1:] < least[:-1]], numbers, 0))
        resumed, before = np.full(width, np.inf), np.zeros(width, dtype=np.int64)
        resumed[1:], before[1:] = least[:-1] + drawn[1:], came[:-1]
        resumed = resumed + _times(resume, here)
        goes_on = best <= resumed
        came_from[k] = np.where(goes_on, numbers, before)
        best = np.where(goes_on, best, resumed) + _times(job[k], here)
    slots = np.empty(len(job), dtype=np.intp)
    at = int(np.argmin(best))
    for k in range(len(job) - 1, -1, -1):
        slots[k] = k + at
        at = int(came_from[k][at])
    return slots


def _times(energy: float, price: Numbers) -> Numbers:
    """What an energy costs in each slot; infinite where there is no price, of no energy too."""
    import numpy as np

    infinite = np.isinf(price)
    return np.where(infinite, np.inf, energy * np.where(infinite, 0.0, price))

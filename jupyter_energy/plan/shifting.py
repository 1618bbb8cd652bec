"""When a job should run: Flexible Start and Pause & Resume over a series of carbon intensity.

Pure functions over whole slots, as Dodge et al. 2022 define them (doi 10.1145/3531146.3533234,
section 6; carbon.md 1.1, 1.4). A job is its energy slot by slot, in the order in which it is
drawn; the series says what a kWh stands for in each slot from the moment it could start on, NaN
where nobody knows. A slot without a value is never used, and no sum passes over one.

All grams are of the series' own kind: whoever hands a series in says whether it is a forecast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import WrongUse
from ..units import J_PER_KWH
from .pausing import cheapest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

# Where a job's slots differ, its schedules are searched step by step: so many take some seconds,
# and 4 bytes each.
MOST_STEPS = 100_000_000
# Of a sum: what is closer is equal.
EPSILON = 1e-12


@dataclass(frozen=True, slots=True)
class Schedule:
    """Which slots of the series a job runs in, from 0, in order, and the grams that gives, of which
    `paused_g` are those of the power drawn in pauses.

    `saved_fraction` is what that is less than `now_g`, of a job that begins in slot 0; both are
    None where some slot of that has no value.
    """

    slots: tuple[int, ...]
    carbon_g: float
    now_g: float | None
    paused_g: float = 0.0

    @property
    def saved_fraction(self) -> float | None:
        """0.2 where a fifth of the grams of running now is saved; None where those are unknown."""
        if self.now_g is None:
            return None
        return 0.0 if self.now_g <= 0 else 1 - self.carbon_g / self.now_g

    @property
    def start(self) -> int:
        """The slot that it begins in."""
        return self.slots[0]

    @property
    def pauses(self) -> int:
        """How often it is interrupted."""
        return sum(b != a + 1 for a, b in zip(self.slots, self.slots[1:], strict=False))

    @property
    def runs(self) -> tuple[tuple[int, int], ...]:
        """What it runs without a pause: first slot, and the one after the last."""
        found: list[tuple[int, int]] = []
        for slot in self.slots:
            if found and found[-1][1] == slot:
                found[-1] = found[-1][0], slot + 1
            else:
                found.append((slot, slot + 1))
        return tuple(found)


def flexible_start(
    energy_j: Sequence[float], g_per_kwh: Sequence[float], latest: int
) -> Schedule | None:
    """The start within `latest` slots from now that gives the least grams, run to the end.

    Of several, the earliest. None where every start would run through a slot without a value.
    Raises WrongUse for a job without a slot, a negative energy, a window below 0.
    """
    import numpy as np

    job, series = _checked(energy_j, g_per_kwh, latest)
    if len(series) < len(job):
        return None
    sums = _sums(job, series[: latest + len(job)])
    if np.isnan(sums).all():
        return None
    # Sums over a window round: of starts that differ by no more than that, the earliest.
    start = int(np.argmax(sums <= np.nanmin(sums) + EPSILON * np.nanmax(sums)))
    grams, now = (float((job * series[s : s + len(job)]).sum()) for s in (start, 0))
    return Schedule(tuple(range(start, start + len(job))), grams, _known(now))


def pause_resume(
    energy_j: Sequence[float],
    g_per_kwh: Sequence[float],
    slack: int,
    pause_j: float = 0.0,
    idle_j: float = 0.0,
) -> Schedule | None:
    """The slots among the next `slack` + the job's own that give the least grams.

    For a job of constant power these are the cheapest ones (of equal ones the earliest); where its
    power varies, the slots are the best for its energy in its own order. Each resumption costs
    `pause_j` more energy (writing and reading a checkpoint), each slot of a pause, of the wait
    before the first slot too, `idle_j`: both are in `carbon_g`. Dodge et al. 2022 take both to be
    0. None where too few slots have a value. Raises WrongUse as `flexible_start`, and where the
    search would take minutes.
    """
    job, series = _checked(energy_j, g_per_kwh, slack)
    series = series[: slack + len(job)]
    if is_too_long(energy_j, g_per_kwh, slack, pause_j, idle_j):
        raise WrongUse(
            f"a job of {len(job)} slots in a window of {len(series)} takes too long to plan: "
            "take longer slots or a shorter window"
        )
    idle, resume = (max(0.0, one_j) / J_PER_KWH for one_j in (idle_j, pause_j))
    found = cheapest(job.tolist(), series.tolist(), idle, resume, is_paused=True)
    if found is None:
        return None
    return Schedule(found.slots, found.cost, found.now, found.paused)


def steps(energy_j: Sequence[float], g_per_kwh: Sequence[float], slack: int) -> int:
    """How many steps a search takes where it is not by the cheapest slots alone."""
    count = len(energy_j)
    return max(0, count * (min(len(g_per_kwh), slack + count) - count + 1))


def is_searched(energy_j: Sequence[float], pause_j: float, idle_j: float) -> bool:
    """Whether `pause_resume` searches step by step, and not by the cheapest slots alone."""
    return pause_j > 0 or len(set(energy_j)) > 1 or idle_j > energy_j[0]


def is_too_long(
    energy_j: Sequence[float],
    g_per_kwh: Sequence[float],
    slack: int,
    pause_j: float = 0.0,
    idle_j: float = 0.0,
) -> bool:
    """Whether `pause_resume` refuses to search so long a job in so long a window."""
    is_long = steps(energy_j, g_per_kwh, slack) > MOST_STEPS
    return is_long and is_searched(energy_j, pause_j, idle_j)


def starts(energy_j: Sequence[float], g_per_kwh: Sequence[float]) -> Numbers:
    """The grams of running the job from each slot on to its end; shape (slots - job + 1,).

    NaN where a slot without a value lies within. Raises WrongUse as `flexible_start`.
    """
    job, series = _checked(energy_j, g_per_kwh, 0)
    return _sums(job, series)


def _checked(
    energy_j: Sequence[float], g_per_kwh: Sequence[float], window: int
) -> tuple[Numbers, Numbers]:
    """The job in kWh and the series, as arrays."""
    import numpy as np

    job = np.asarray(energy_j, dtype=float) / J_PER_KWH
    series = np.asarray(g_per_kwh, dtype=float)
    if job.ndim != 1 or not len(job):
        raise WrongUse("a job takes one slot at least")
    if not (np.isfinite(job) & (job >= 0)).all():
        raise WrongUse("a job's energy is a number of J, 0 or more, in each slot")
    if window < 0:
        raise WrongUse("the window ends before it begins: give 0 or more")
    return job, np.where(np.isfinite(series), series, np.nan)


def _sums(job: Numbers, series: Numbers) -> Numbers:
    """The grams of the job from each slot on."""
    import numpy as np

    count = len(series) - len(job) + 1
    if count < 1:
        return np.empty(0)
    unknown = np.isnan(series)
    filled = np.where(unknown, 0.0, series)
    if (job == job[0]).all():
        sums = np.asarray(job[0] * _moving(filled, len(job)))
    elif count * len(job) <= 1_000_000:
        sums = np.asarray(np.correlate(filled, job), dtype=float)
    else:
        sums = _correlated(filled, job)
    if unknown.any():
        sums[_moving(unknown.astype(float), len(job)) > 0.5] = np.nan
    return sums


def _moving(series: Numbers, count: int) -> Numbers:
    """Sums over `count` slots from each on."""
    import numpy as np

    running = np.concatenate(([0.0], np.cumsum(series)))
    return np.asarray(running[count:] - running[:-count])


def _correlated(series: Numbers, job: Numbers) -> Numbers:
    """The same as numpy.correlate in n log n steps."""
    import numpy as np

    size = 1 << (len(series) + len(job) - 2).bit_length()
    product = np.fft.rfft(series, size) * np.fft.rfft(job[::-1], size)
    whole = np.fft.irfft(product, size)
    return np.asarray(whole[len(job) - 1 : len(series)])


def _known(grams: float) -> float | None:
    """The grams, or None where they are unknown."""
    return float(grams) if grams == grams else None

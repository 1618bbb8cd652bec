"""How often a typical day leads to advice, what that promised, and what came true on the next day.

`python tests/typical_days.py [SERIES]` prints the table that tests/test_typical_days.py guards. The
days are drawn from what has no daily pattern, where all advice is chance (white noise; hours that
follow each other as wind does), and from the same with a pattern of 24 hours in it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from jupyter_energy.carbon.base import Interval, Signal
from jupyter_energy.plan.job import job_of
from jupyter_energy.plan.nouns import SLOT_S, Job, Outlook
from jupyter_energy.plan.outlook import typical_day
from jupyter_energy.plan.pausing import Powers
from jupyter_energy.plan.timing import best_pauses, best_start

SERIES = 1000
BEGIN = datetime(2026, 11, 23, 9, tzinfo=UTC)
WITHIN_S = 24 * 3600.0
MEAN, LEAST = 300.0, 1.0  # g/kWh
AN_HOUR = 12  # slots
Numbers = np.ndarray[tuple[int], np.dtype[np.float64]]


@dataclass(frozen=True)
class Kind:
    """Days of hours, drawn from `make(random, hours)`: so many of them, then the day planned."""

    name: str
    make: Callable[[np.random.Generator, int], Numbers]
    days: int = 14
    hours: float = 3.0
    powers: Powers | None = None  # of pauses; None: a later start


@dataclass(frozen=True)
class Row:
    """Shares of the series that were advised, and of these: mean of the shares promised and come
    true, that mean's standard error, and how many came true within the range."""

    advised: float
    promised: float
    came_true: float
    error: float
    within: float


def white(spread: float) -> Callable[[np.random.Generator, int], Numbers]:
    return lambda random, hours: random.normal(MEAN, spread, hours)


def windy(spread: float, daily: float = 0.0) -> Callable[[np.random.Generator, int], Numbers]:
    """Each hour 0.97 of the one before and chance; `daily` is the height of the pattern."""

    def make(random: np.random.Generator, hours: int) -> Numbers:
        steps = random.normal(0.0, spread * np.sqrt(1 - 0.97**2), hours)
        series = np.empty(hours)
        at = random.normal(0.0, spread)
        for hour in range(hours):
            at = 0.97 * at + steps[hour]
            series[hour] = at
        return MEAN + series + daily * np.sin((np.arange(hours) - 3) / 24 * 2 * np.pi)

    return make


# What a pause draws was measured, and is little: else a day's pattern is too weak for pauses.
LITTLE = Powers(idle=0.05, is_measured=True)
NOISE = (
    Kind("white noise", white(100.0)),
    Kind("like wind", windy(100.0)),
    Kind("like wind, 7 days", windy(100.0), days=7),
    Kind("like wind, pauses", windy(100.0), hours=6.0, powers=LITTLE),
)
WEAK = (
    Kind("weak pattern", windy(60.0, 30.0)),
    Kind("middling pattern", windy(60.0, 60.0)),
)
STRONG = (
    Kind("strong pattern", windy(40.0, 120.0)),
    Kind("strong pattern, 7 days", windy(40.0, 120.0), days=7),
    Kind("strong pattern, 6 weeks", windy(40.0, 120.0), days=42),
    Kind("strong pattern, pauses", windy(40.0, 120.0), hours=6.0, powers=LITTLE),
)


def row_of(kind: Kind, series: int = SERIES, seed: int = 5) -> Row:
    """What became of so many random series of one kind."""
    random = np.random.default_rng(seed)
    job = job_of(kind.hours, 1.0)
    slots = len(job.shares) + int(WITHIN_S / SLOT_S)
    told = []
    for _ in range(series):
        hours = np.maximum(LEAST, kind.make(random, (kind.days + 2) * 24))
        past, then = np.split(hours, [kind.days * 24])
        ahead = typical_day([signal_of(past)], BEGIN, slots)
        actual = np.repeat(then, AN_HOUR)[:slots]
        if (one := _one(kind, job, ahead, actual)) is not None:
            told.append(one)
    low, mid, high, true = np.asarray(told).reshape(-1, 4).T
    count = len(told)
    return Row(
        count / series,
        *((float(mid.mean()), float(true.mean())) if count else (0.0, 0.0)),
        float(true.std(ddof=1)) / np.sqrt(count) if count > 1 else 1.0,
        float(((low <= true) & (true <= high)).mean()) if count else 0.0,
    )


def _one(
    kind: Kind, job: Job, ahead: Outlook, actual: Numbers
) -> tuple[float, float, float, float] | None:
    """The range promised and the share that came true; None where running at once is advised."""
    work = np.asarray(job.shares)
    if kind.powers is None:
        start = best_start(job, ahead, WITHIN_S)
        assert start is not None
        saved, runs = start["saved_range"], [(start["start"], "")]
    else:
        pause = best_pauses(job, ahead, WITHIN_S, kind.powers)
        assert pause is not None
        saved, runs = pause["saved_range"], pause["run"]
    firsts = [_slot(begin) for begin, _ in runs]
    if firsts == [0]:
        assert saved == {"low": 0.0, "mid": 0.0, "high": 0.0}
        return None
    now = float((work * actual[: len(work)]).sum())
    if kind.powers is None:
        then = float((work * actual[firsts[0] : firsts[0] + len(work)]).sum())
    else:
        drawn = np.full(_slot(runs[-1][1]), kind.powers.idle * work[0])
        for begin, end in runs:
            drawn[_slot(begin) : _slot(end)] = work[0]
        drawn[firsts[1:]] += kind.powers.resume_s / job.duration_s
        then = float((drawn * actual[: len(drawn)]).sum())
    return saved["low"], saved["mid"], saved["high"], 1 - then / now


def _slot(moment: str) -> int:
    return round((datetime.fromisoformat(moment) - BEGIN).total_seconds() / SLOT_S)


def signal_of(hours: Numbers) -> Signal:
    """The values of so many hours up to BEGIN."""
    begin, hour = BEGIN - len(hours) * timedelta(hours=1), timedelta(hours=1)
    intervals = tuple(
        Interval(begin + n * hour, begin + (n + 1) * hour, float(value), "measured")
        for n, value in enumerate(hours)
    )
    return Signal(
        zone="FR", place="France", kind="average", boundary="consumption", scope="lifecycle",
        step_s=3600.0, source="simulated", url="", fetched=BEGIN, intervals=intervals,
    )  # fmt: skip


def main() -> None:
    """The table, as Markdown."""
    series = int(sys.argv[1]) if len(sys.argv) > 1 else SERIES
    print(f"| {series} series of each | advised | promised | came true | within its range |")
    print("| --- | --- | --- | --- | --- |")
    for kind in (*NOISE, *WEAK, *STRONG):
        row = row_of(kind, series)
        told = "– | – | –"
        if row.advised > 0:
            came_true = f"{row.came_true:.1%} ± {1.96 * row.error:.1%}"
            told = f"{row.promised:.1%} | {came_true} | {row.within:.0%}"
        print(f"| {kind.name} | {row.advised:.1%} | {told} |", flush=True)


if __name__ == "__main__":
    main()

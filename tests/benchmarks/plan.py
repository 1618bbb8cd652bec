"""A year of 5-minute data planned, and ten thousand starts, against searching by brute force.

The file is read, too: its time is no part of the plan's.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from math import cos, pi
from pathlib import Path
from statistics import median

from common import ROOT, Row

sys.path.insert(0, str(ROOT))

from jupyter_energy.carbon.base import Query, Signal
from jupyter_energy.carbon.csv_trace import CsvTrace, file_reader
from jupyter_energy.plan.nouns import Job
from jupyter_energy.plan.outlook import from_signal, typical_day
from jupyter_energy.plan.pausing import Powers, free
from jupyter_energy.plan.shifting import Schedule, flexible_start, pause_resume
from jupyter_energy.plan.timing import best_pauses, best_start
from jupyter_energy.uncertainty import Uncertain

NAME = "plan"
YEAR = 365 * 288
FIRST = datetime(2025, 1, 1, tzinfo=UTC)
TIMES = 7
HOUR_S, DAY_S = 3600.0, 86400.0


def series() -> list[float]:
    """A grid with a sun, and weather that changes slowly."""
    chance = random.Random(1)
    drift = accumulate(chance.gauss(0, 2) for _ in range(YEAR))
    return [
        max(20.0, 300 + 120 * cos((n % 288) / 144 * pi) + min(150.0, max(-150.0, wet)))
        for n, wet in enumerate(drift)
    ]


def a_job(hours: float, varying: bool = False) -> Job:
    """A job of 300 W, or one that warms up, trains and writes at its end."""
    count = round(12 * hours)
    weights = [1.0 + (varying and n % 7) for n in range(count)]
    whole = sum(weights)
    energy = Uncertain(300 * 3600 * hours, 0.0, 0.0)
    return Job(hours * HOUR_S, tuple(w / whole for w in weights), energy, None, "a benchmark")


def by_hand_start(job: Job, held: list[float], latest: int) -> tuple[float, int]:
    """Every start, every slot."""
    count = len(job.shares)
    return min(
        (sum(s * g for s, g in zip(job.shares, held[n : n + count], strict=True)), n)
        for n in range(latest + 1)
    )


def by_hand_pauses(job: Job, held: list[float], slack: int) -> float:
    """The cheapest slots one by one: each time the least of what is left."""
    window = held[: slack + len(job.shares)]
    found = 0.0
    for share in job.shares:
        at = min(range(len(window)), key=window.__getitem__)
        found += share * window.pop(at)
    return found


def ten_thousand(
    plan: Callable[[Sequence[float], Sequence[float], int], Schedule | None],
    job: Job,
    held: list[float],
) -> None:
    """A job that could begin at each of ten thousand moments of the year, planned by itself."""
    for begin in range(10_000):
        plan(job.shares, held[begin : begin + 360], 288)


def often_ms(call: Callable[[], object], times: int = TIMES) -> dict[str, float]:
    """How long a call takes, in ms: the median and the longest."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        took.append(1e3 * (time.perf_counter() - began))
    return {"median": median(took), "max": max(took)}


def read_file(folder: Path, held: list[float]) -> tuple[Signal, dict[str, float]]:
    """The series as a file, and how long it takes to read."""
    file = folder / "year.csv"
    step = timedelta(minutes=5)
    rows = (f"{FIRST + n * step:%Y-%m-%d %H:%M},{g:.2f}" for n, g in enumerate(held))
    file.write_text("time (UTC),g_per_kwh\n" + "\n".join(rows), encoding="utf-8")
    now = datetime.now(UTC)
    query = Query("", now, now, now, {})

    def read() -> Signal:
        return CsvTrace().fetch(query, file_reader(str(file)))

    return read(), often_ms(read, 3)


def run() -> list[Row]:
    """Times in ms in one process; the factors are of the same inputs."""
    held = series()
    with tempfile.TemporaryDirectory() as folder:
        signal, reading = read_file(Path(folder), held)
    moved = FIRST + timedelta(minutes=2)
    outlook = from_signal(signal, FIRST, YEAR, "trace")
    six, long, varying = a_job(6), a_job(36), a_job(36, varying=True)
    year_s = YEAR * 300.0
    day = replace(outlook, g_per_kwh=outlook.g_per_kwh[: 10_000 + 72])
    rows = [
        Row("read a year of 5-minute rows from a file", "ms", reading),
        Row(
            "its outlook in slots",
            "ms",
            often_ms(lambda: from_signal(signal, moved, YEAR, "trace")),
        ),
        Row(
            "a typical day of that year, rehearsed",
            "ms",
            often_ms(lambda: typical_day([signal], FIRST + timedelta(days=365), 500)),
        ),
        Row(
            "start of a 6 h job within the year",
            "ms",
            often_ms(lambda: best_start(six, outlook, year_s)),
            aim=50,
        ),
        Row(
            "start of a varying 36 h job within the year",
            "ms",
            often_ms(lambda: best_start(varying, outlook, year_s)),
            aim=50,
        ),
        Row(
            "pauses of a 36 h job within the year",
            "ms",
            often_ms(lambda: best_pauses(long, outlook, year_s, free())),
            aim=50,
        ),
        Row(
            "the same, where a pause draws power",
            "ms",
            often_ms(lambda: best_pauses(long, outlook, year_s, Powers())),
            aim=50,
        ),
        Row(
            "pauses of a varying 36 h job within a day",
            "ms",
            often_ms(lambda: best_pauses(varying, outlook, DAY_S, Powers())),
            aim=50,
        ),
        Row(
            "ten thousand starts of a 6 h job",
            "ms",
            often_ms(lambda: best_start(six, day, 9_999 * 300.0)),
            aim=1000,
        ),
        Row(
            "ten thousand jobs of 6 h within a day, each its start",
            "ms",
            often_ms(lambda: ten_thousand(flexible_start, six, held), 3),
            aim=1000,
        ),
        Row(
            "ten thousand jobs of 6 h within a day, each its pauses",
            "ms",
            often_ms(lambda: ten_thousand(pause_resume, six, held), 3),
            aim=1000,
        ),
    ]
    starts_ms = rows[-3].figures["median"]
    begun = time.perf_counter()
    by_hand = by_hand_start(six, held, 9_999)
    hand_ms = 1e3 * (time.perf_counter() - begun)
    found = best_start(six, day, 9_999 * 300.0)
    assert found is not None
    at = round((datetime.fromisoformat(found["start"]) - FIRST).total_seconds() / 300)
    assert at == by_hand[1]
    begun = time.perf_counter()
    by_hand_pauses(long, held, YEAR - len(long.shares))
    pauses_ms = 1e3 * (time.perf_counter() - begun)
    return [
        *rows,
        Row(
            "brute force over the same ten thousand starts",
            "ms",
            {"once": hand_ms, "factor": hand_ms / starts_ms},
        ),
        Row(
            "brute force over the pauses of the 36 h job",
            "ms",
            {"once": pauses_ms, "factor": pauses_ms / rows[5].figures["median"]},
        ),
    ]

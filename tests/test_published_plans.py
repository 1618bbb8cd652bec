"""Figures that others have published for the same definitions (tests/data), to rounding."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jupyter_energy.carbon.base import Query, Signal
from jupyter_energy.carbon.csv_trace import CsvTrace, file_reader
from jupyter_energy.plan.nouns import Job
from jupyter_energy.plan.outlook import from_signal
from jupyter_energy.plan.pausing import free
from jupyter_energy.plan.shifting import flexible_start, pause_resume
from jupyter_energy.plan.timing import best_pauses, best_start, grams_now
from jupyter_energy.uncertainty import Uncertain
from jupyter_energy.units import J_PER_KWH

DATA = Path(__file__).parent / "data"
NEW_YEAR = datetime(2022, 1, 1, tzinfo=UTC)
DAY_S = 86400.0
ROUNDING_G = 0.005 + 1e-9
HOURLY, PUBLISHED = (DATA / f"sukprasert2024_california{end}.csv" for end in ("_hourly", ""))


def hourly() -> Signal:
    query = Query("", NEW_YEAR, NEW_YEAR, NEW_YEAR, {})
    return CsvTrace().fetch(query, file_reader(str(HOURLY)))


def published(job_h: int) -> list[tuple[int, float, float, float]]:
    """Hour of the start, and grams of running then, of the best start, of the best hours."""
    with PUBLISHED.open(encoding="utf-8") as file:
        return [
            (
                int(row["start_h"]),
                float(row["slack_0"]),
                float(row["non_interrupt"]),
                float(row["interrupt"]),
            )
            for row in csv.DictReader(file)
            if int(row["job_h"]) == job_h
        ]


@pytest.mark.parametrize(("job_h", "rows"), [(1, 70), (6, 67), (24, 49)])
def test_every_published_figure_comes_out_in_whole_hours(job_h: int, rows: int) -> None:
    series = [interval.g_per_kwh for interval in hourly().intervals]
    figures = published(job_h)
    assert len(figures) == rows
    for start_h, now_g, start_g, pause_g in figures:
        job = [J_PER_KWH] * job_h
        start = flexible_start(job, series[start_h:], 24)
        pause = pause_resume(job, series[start_h:], 24)
        assert start is not None
        assert pause is not None
        found = start.now_g, start.carbon_g, pause.carbon_g
        assert found == pytest.approx((now_g, start_g, pause_g), abs=ROUNDING_G, rel=0)


@pytest.mark.parametrize("job_h", [1, 6, 24])
def test_every_published_figure_comes_out_of_a_file_in_slots_of_five_minutes(job_h: int) -> None:
    signal = hourly()
    slots = 12 * job_h
    energy = Uncertain(job_h * J_PER_KWH, 0.0, 0.0)
    job = Job(3600.0 * job_h, (1 / slots,) * slots, energy, None, "one kilowatt")
    for start_h, now_g, start_g, pause_g in published(job_h):
        begin = NEW_YEAR + timedelta(hours=start_h)
        outlook = from_signal(signal, begin, slots + 288, "trace")
        now = grams_now(job, outlook)
        start = best_start(job, outlook, DAY_S)
        pause = best_pauses(job, outlook, DAY_S, free())
        assert now is not None
        assert start is not None
        assert pause is not None
        assert start["carbon_g"] is not None
        assert pause["carbon_g"] is not None
        found = now["mid"], start["carbon_g"]["mid"], pause["carbon_g"]["mid"]
        assert found == pytest.approx((now_g, start_g, pause_g), abs=ROUNDING_G, rel=0)
        assert start["saved_fraction"] == pytest.approx(1 - start_g / now_g, abs=2e-5)
        assert pause["saved_fraction"] == pytest.approx(1 - pause_g / now_g, abs=2e-5)

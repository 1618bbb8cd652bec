"""`summary` of one notebook, `history` and an append, in a store of a million records."""

from __future__ import annotations

import os
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from sqlite3 import connect
from statistics import median

from common import ROOT, Row, percentiles

sys.path.insert(0, str(ROOT))

from jupyter_energy.documents import record_to_document, to_json
from jupyter_energy.history import Wanted, history_json, load
from jupyter_energy.model import (
    CarbonIntensity,
    Domain,
    DomainEnergy,
    Emissions,
    Measurement,
    Record,
)
from jupyter_energy.schema import NotebookJson
from jupyter_energy.store import Store
from jupyter_energy.summary import summarise
from jupyter_energy.uncertainty import Range, Uncertain

NAME = "history"
RECORDS = int(os.environ.get("JUPYTER_ENERGY_BENCHMARK_RECORDS", "1000000"))
DAYS = 730
A_DAY = 1370  # runs: a million in two years
MINE = "f" * 32
APPENDS = 300
CARBON = CarbonIntensity(
    44.3, "FR", "France", "average", "production", "lifecycle", "year", "measured",
    "Ember", 2024, "guessed from the time zone", True,
)  # fmt: skip
# Two kernels by turns, 20 s apart, so that every other run overlaps the one before; a notebook has
# fifty runs, then another one is used. Of 2000 blocks of fifty, those of number 7 are MINE: 500
# runs of 25 cells. The dates are the last DAYS; one in five hundred runs lasts for hours.
FILL = """
WITH RECURSIVE run (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM run WHERE i + 1 < :records),
placed AS (
  SELECT i, i / :a_day AS day,
    28800 + (i % :a_day) * 40 + (i % 2) * 10 AS at_s,
    CASE WHEN i % 500 = 499 THEN 9000.0 ELSE 2.0 + (i * 7919 % 290) / 10.0 END AS seconds,
    CASE WHEN (i / 50) % 2000 = 7 THEN :mine
      ELSE printf('%032x', (i / 300 * 2 + i % 2) % 400 + 1) END AS notebook
  FROM run
),
dated AS (
  SELECT *, strftime('%Y-%m-%dT%H:%M:%S', :first, '+' || day || ' days', '+' || at_s || ' seconds')
    || '.000000Z' AS started,
    strftime('%Y-%m-%dT%H:%M:%f', :first, '+' || day || ' days', '+' || (at_s + seconds)
    || ' seconds') || '000Z' AS ended FROM placed
)
INSERT INTO record (run_id, notebook_id, session_id, started, document, host, ended, devices)
SELECT printf('%032x', i), notebook, printf('s%d-%s', day, notebook), started,
  replace(replace(replace(replace(replace(replace(:document, '@run', printf('%032x', i)),
    '@notebook', notebook), '@session', printf('s%d-%s', day, notebook)), '@start', started),
    '"@seconds"', seconds), '@cell', printf('cell%04d', i % 25)),
  'host', ended, :devices FROM dated
"""


def a_record() -> Record:
    """The run that all are made of: GPU, processor and memory, of which the last is estimated."""
    domains = (
        DomainEnergy(Domain("gpu", 0, "NVIDIA H100 80GB HBM3", "GPU-5f1c2d3e"),
                     Uncertain(2412.5, 4.1, 60.3), "measured", "nvml-counter", 1.0),
        DomainEnergy(Domain("package", 0, "package-0"), Uncertain(612.5, 0.4, 15.3),
                     "measured", "rapl", 1.0),
        DomainEnergy(Domain("core", 0, "core"), Uncertain(312.5, 0.4, 7.7),
                     "measured", "rapl", 1.0),
        DomainEnergy(Domain("dram", 0, "memory"), Range(12.0, 25.0, 60.0), "estimated", "estimate",
                     1.0, "there is no counter for it"),
    )  # fmt: skip
    return Record(
        run_id="@run", notebook_id="@notebook", session_id="@session", host="host",
        cell_id="@cell", name=None, execution_count=1, within=None, outcome="ok",
        measurement=Measurement(datetime.now(UTC), 2.0, domains),
        emissions=Emissions(Range(0.03, 0.04, 0.05), CARBON, 1.0, 0.01), synced=False,
        kernel_cpu_s=1.5, machine_cpu_s=2.5,
    )  # fmt: skip


def fill(path: Path) -> None:
    """Make the store: each record's document is the template's with its own ids and times."""
    document = record_to_document(a_record()) | {"start": "@start", "duration_s": "@seconds"}
    first = datetime.fromtimestamp(time.time() - DAYS * 86400, UTC).date().isoformat()
    with closing(connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN")
        connection.execute(
            FILL,
            {
                "records": RECORDS,
                "a_day": max(1, RECORDS // DAYS),
                "mine": MINE,
                "first": first,
                "document": to_json(document),
                "devices": '["dram:0", "gpu:GPU-5f1c2d3e", "package:0"]',
            },
        )
        connection.execute(
            "INSERT INTO notebook (id, path, name, host, first_seen) SELECT DISTINCT notebook_id, "
            "'/home/user/' || notebook_id || '.ipynb', notebook_id || '.ipynb', 'host', '' "
            "FROM record"
        )
        connection.execute("COMMIT")


def timed_ms(call: Callable[[], object]) -> float:
    """How long a call takes, in ms."""
    started = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - started)


def often(call: Callable[[], object], times: int) -> dict[str, float]:
    """How long a call takes, and how much of the processor, in ms."""
    whole, own = [], []
    for _ in range(times):
        began = time.thread_time()
        whole.append(timed_ms(call))
        own.append(1e3 * (time.thread_time() - began))
    return {"median": median(whole), "max": max(whole), "cpu": median(own)}


def run() -> list[Row]:
    """Times in ms, of the same process that has the store open."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "energy.sqlite"
        store = Store(path)
        store.open()
        made_s = timed_ms(lambda: fill(path)) / 1e3

        def summary() -> None:
            records = store.records(MINE)
            others = store.others_at_once([r for r in records if r.within is None])
            summarise(NotebookJson(id=MINE, path=None, name="mine"), records, "1", (), others)

        def history(by: str) -> None:
            history_json(load(store, Wanted(by), (), lambda _: None), Wanted(by), "1")

        first_s = timed_ms(lambda: history("notebook")) / 1e3
        summaries = often(summary, 11)
        histories = {by: often(partial(history, by), 7) for by in ("notebook", "day", "host")}
        with closing(connect(path)) as connection:
            ((started,),) = connection.execute("SELECT max(started) FROM record")
        sample, day = a_record(), datetime.fromisoformat(started)
        measurement = replace(sample.measurement, start=day)
        sample = replace(sample, notebook_id=MINE, session_id="now", measurement=measurement)

        def append() -> None:
            store.append(replace(sample, run_id=uuid.uuid4().hex, cell_id="cell0001"))

        appends = [timed_ms(append) for _ in range(APPENDS)]
        after = often(lambda: (append(), history("notebook")), 7)
        size = path.stat().st_size / RECORDS
        store.close()
    return [
        Row(f"summary, 500 of {RECORDS} records", "ms", summaries, aim=50),
        *(
            Row(f"history --by {by}, {RECORDS} records", "ms", times, aim=300)
            for by, times in histories.items()
        ),
        Row("append to a full day, then history", "ms", after, aim=300),
        Row("first history of a store without totals", "s", {"once": first_s}),
        Row(f"append, {RECORDS} records in it", "ms", percentiles(appends)),
        Row("a record in the file, with all indexes", "B", {"mean": size}),
        Row("making this store", "s", {"once": made_s}),
    ]

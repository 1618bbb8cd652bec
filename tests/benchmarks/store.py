"""What keeping one record costs the thread that writes it, and how that grows with the store."""

from __future__ import annotations

import sys
import tempfile
import time
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from common import ROOT, Row, percentiles

sys.path.insert(0, str(ROOT))

from jupyter_energy.identity import NotebookRef
from jupyter_energy.model import Domain, DomainEnergy, Measurement, Record
from jupyter_energy.store import Store
from jupyter_energy.uncertainty import Uncertain

NAME = "store"
APPENDS = 500
FULL = 20_000


def a_record(notebook_id: str) -> Record:
    """The record of a cell on a machine with one GPU, two CPU packages and their memory."""
    domains = tuple(
        DomainEnergy(Domain(kind, i, f"{kind}-{i}"), Uncertain(12.5, 0.1, 0.3), "measured", "x", 1)
        for kind, i in (("gpu", 0), ("package", 0), ("package", 1), ("dram", 0), ("dram", 1))
    )
    return Record(
        run_id=uuid.uuid4().hex,
        notebook_id=notebook_id,
        session_id="session",
        host="host",
        cell_id=uuid.uuid4().hex[:8],
        name=None,
        execution_count=1,
        within=None,
        outcome="ok",
        measurement=Measurement(datetime.now(UTC), 1.0, domains),
        emissions=None,
        synced=False,
    )


def run() -> list[Row]:
    """Opening a new store, and appending to a new and to a full one, in ms."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "energy.sqlite"
        started = time.perf_counter()
        store = Store(path)
        store.open()
        opened_ms = 1e3 * (time.perf_counter() - started)
        notebook = store.notebook_for(NotebookRef(None, "benchmark", kernel_id="kernel"))
        new = append(store, a_record(notebook.id), APPENDS)
        append(store, a_record(notebook.id), FULL - APPENDS)
        full = append(store, a_record(notebook.id), APPENDS)
        started = time.perf_counter()
        assert len(store.records(notebook.id)) == FULL + APPENDS
        read_ms = 1e3 * (time.perf_counter() - started)
        size = path.stat().st_size / (FULL + APPENDS)
        store.close()
    return [
        Row("open a new store", "ms", {"once": opened_ms}),
        Row("append a record, new store", "ms", percentiles(new)),
        Row(f"append a record, {FULL} records in it", "ms", percentiles(full)),
        Row(f"read {FULL + APPENDS} records", "ms", {"once": read_ms}),
        Row("size of a record in the file", "B", {"mean": size}),
    ]


def append(store: Store, record: Record, count: int) -> list[float]:
    """The times in ms of so many appends."""
    times_ms = []
    for _ in range(count):
        one = replace(record, run_id=uuid.uuid4().hex)
        started = time.perf_counter()
        store.append(one)
        times_ms.append(1e3 * (time.perf_counter() - started))
    return times_ms

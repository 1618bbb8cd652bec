"""Totals over notebooks, days and hosts: what the store keeps is what would be computed anew."""

from __future__ import annotations

import math
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import records

from jupyter_energy.history import Wanted, history_json, load, refresh
from jupyter_energy.history_rows import TABLES
from jupyter_energy.model import Record
from jupyter_energy.schema import totals_from_records
from jupyter_energy.store import Store

MIDNIGHT = datetime(2026, 11, 2, tzinfo=UTC)
DAY_S = 86400.0


@pytest.fixture
def store(tmp_path: Path):
    store = Store(tmp_path / "energy.sqlite", host="here")
    yield store
    store.close()


def silent(_: str) -> None:
    """Nothing is told here."""


def placed(run: Record, number: int, at_s: float, seconds: float, notebook: str) -> Record:
    measurement = replace(
        run.measurement, start=MIDNIGHT + timedelta(seconds=at_s), duration_s=seconds
    )
    return replace(run, run_id=f"r{number}", notebook_id=notebook, measurement=measurement)


# A few days, with many runs close to midnights and some over several of them.
near_midnight = st.builds(
    placed,
    records(),
    st.integers(0, 5),
    st.one_of(
        st.floats(-3 * DAY_S, 3 * DAY_S),
        st.sampled_from([-DAY_S, 0.0, DAY_S]).flatmap(lambda m: st.floats(m - 20, m + 20)),
    ),
    st.one_of(st.floats(0, 40), st.floats(0, 3 * DAY_S)),
    st.sampled_from(["a", "b"]),
)


def tables(store: Store) -> dict[str, list[tuple]]:
    """What is kept of days, in an order of its own."""
    with closing(sqlite3.connect(store.path)) as connection:
        return {
            table: sorted(connection.execute(f"SELECT * FROM {table}").fetchall(), key=repr)
            for table in TABLES.values()
        }


@given(st.lists(st.tuples(near_midnight, st.booleans()), max_size=12))
@settings(max_examples=60, deadline=None)
def test_what_is_kept_of_days_is_what_would_be_computed_from_all_records(
    steps: list[tuple[Record, bool]],
) -> None:
    """Records are added, and replaced by others of the same run; history is asked in between."""
    with TemporaryDirectory() as folder:
        store, fresh = (Store(Path(folder) / f"{name}.sqlite") for name in ("a", "b"))
        stands: dict[str, Record] = {}
        for new, asks in steps:
            # A run that is made again began when it began, in the same kernel.
            old = stands.get(new.run_id, new)
            same = replace(new.measurement, start=old.measurement.start)
            record = replace(old, measurement=same, emissions=new.emissions, outcome=new.outcome)
            store.append(record)
            stands[record.run_id] = record
            if asks:
                refresh(store, Wanted(), silent)
        for record in reversed(stands.values()):
            fresh.append(record)
        store.open()
        fresh.open()
        for one in (store, fresh):
            refresh(one, Wanted(), silent)
        assert tables(store) == tables(fresh)
        for by in ("notebook", "day", "host"):
            asked = [
                history_json(load(one, Wanted(by), (), silent), Wanted(by), "1")
                for one in (store, fresh)
            ]
            assert asked[0] == asked[1]
        store.close()
        fresh.close()


@given(st.lists(near_midnight, max_size=8, unique_by=lambda r: r.run_id), st.integers(0, 8))
@settings(max_examples=40, deadline=None)
def test_what_is_not_in_the_store_yet_counts_as_if_it_were(runs: list[Record], of: int) -> None:
    with TemporaryDirectory() as folder:
        store, whole = (Store(Path(folder) / f"{name}.sqlite") for name in ("a", "b"))
        for record in runs:
            whole.append(record)
        for record in runs[:of]:
            store.append(record)
        refresh(store, Wanted(), silent) if of else None
        for by in ("notebook", "day", "host"):
            wanted = Wanted(by)
            waiting = history_json(load(store, wanted, runs, silent), wanted, "1")
            stored = history_json(load(whole, wanted, (), silent), wanted, "1")
            assert close(waiting, stored)
        store.close()
        whole.close()


def close(one: object, other: object) -> bool:
    """Whether two documents agree but for the last digits."""
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-6)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(close(one[k], other[k]) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(close, one, other))
    return one == other


@given(st.lists(near_midnight, max_size=8, unique_by=lambda r: r.run_id))
@settings(max_examples=40, deadline=None)
def test_a_notebooks_row_is_its_summary(runs: list[Record]) -> None:
    runs = [replace(run, host="here", session_id=f"s{run.notebook_id}") for run in runs]
    with TemporaryDirectory() as folder:
        store = Store(Path(folder) / "energy.sqlite")
        for record in runs:
            store.append(record)
        found = history_json(load(store, Wanted(), (), silent), Wanted(), "1")
        for row in found["rows"]:
            assert row["notebook"] is not None
            mine = [run for run in runs if run.notebook_id == row["notebook"]["id"]]
            totals = totals_from_records(mine)
            for name in ("runs", "duration_s", "estimated_j", "first", "last", "interrupted"):
                assert close(row[name], totals[name]), name  # type: ignore[literal-required]
            assert (row["measured_j"] is None) == (totals["measured_j"] is None)
            if totals["measured_j"] is not None:
                assert close(row["measured_j"]["value"], totals["measured_j"]["value"])
        store.close()

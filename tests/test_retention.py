"""What is pruned goes, its days' totals stay, and nothing of it comes back."""

from __future__ import annotations

import math
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import a_record
from test_history import DAY_S, EXAMPLES, MIDNIGHT, close, near_midnight, silent, tables

from jupyter_energy.documents import record_to_document, to_json
from jupyter_energy.history import Wanted, history_json, load
from jupyter_energy.journal import Entry
from jupyter_energy.json_shapes import HistoryJson
from jupyter_energy.model import Idle, Measurement, Record
from jupyter_energy.power.document import PowerTrace
from jupyter_energy.retention import prunable, prune
from jupyter_energy.store import Mark, Store
from jupyter_energy.uncertainty import Uncertain

DAY = "2026-11-02"  # the one that begins at MIDNIGHT


@pytest.fixture
def store(tmp_path: Path):
    store = Store(tmp_path / "energy.sqlite", host="here")
    yield store
    store.close()


def at(run_id: str, after_s: float, duration_s: float = 5.0, **fields: object) -> Record:
    """A run that began so many seconds after midnight."""
    run = a_record(run_id, energies={"gpu": Uncertain(100.0, 1.0, 5.0)}, **fields)
    measurement = replace(
        run.measurement, start=MIDNIGHT + timedelta(seconds=after_s), duration_s=duration_s
    )
    return replace(run, measurement=measurement)


def history(store: Store, by: str = "notebook") -> HistoryJson:
    return history_json(load(store, Wanted(by), (), silent), Wanted(by), "1")


def runs_by_day(store: Store) -> dict[str | None, int]:
    return {row["day"]: row["runs"] for row in history(store, "day")["rows"]}


def test_records_go_and_the_totals_of_their_days_stay(store: Store) -> None:
    for n, after_s in enumerate((-2 * DAY_S, -10.0, 10.0, 20.0)):
        store.append(at(f"r{n}", after_s))
    before = {by: history(store, by) for by in ("notebook", "day", "host")}
    assert prunable(store, DAY) == 2
    assert prune(store, DAY) == 2
    assert [r.run_id for r in store.records("n1")] == ["r2", "r3"]
    assert {by: history(store, by) for by in before} == before
    assert (prunable(store, DAY), prune(store, DAY)) == (0, 0)


def test_what_was_pruned_does_not_come_back_and_is_not_counted_again(store: Store) -> None:
    old, new = at("old", -100.0), at("new", 100.0)
    for record in (old, new):
        store.append(record)
    prune(store, DAY)
    before = history(store)
    store.append(old)
    store.append(at("another", -500.0))
    store.book_idle(Idle("i", "n1", "s1", "here", Measurement(old.start, 5.0, ())))
    assert store.records("n1") == [new]
    assert store.idles("n1") == []
    assert history(store) == before
    waiting = load(store, Wanted(), [old], silent)
    assert history_json(waiting, Wanted(), "1") == before


def test_what_was_pruned_is_not_read_from_a_journal_that_still_has_it(store: Store) -> None:
    """A kernel that lives keeps in its journal for a while what the database has."""
    old, new = at("old", -100.0), at("new", 100.0)
    for record in (old, new, at("last", 200.0)):
        store.append(record)
    journal = store.begin_journal("s1")
    for record in (old, new):
        document = to_json(record_to_document(record))
        journal.append(Entry("record", document, record.run_id, None, "n1"))
    assert [r.run_id for r in store.records("n1")] == ["old", "new", "last"]
    prune(store, DAY)
    assert [r.run_id for r in store.records("n1")] == ["new", "last"]
    more = store.loose()
    assert {r.run_id for r in more} == {"old", "new"}
    assert history_json(load(store, Wanted("day"), more, silent), Wanted("day"), "1") == history(
        store, "day"
    )


def test_a_run_over_the_border_stays_and_counts_on_the_first_day_left(store: Store) -> None:
    store.append(at("over", -100.0, 200.0))
    store.append(at("before", -1000.0))
    store.append(at("after", 1000.0))
    assert runs_by_day(store) == {"2026-11-01": 2, DAY: 1}
    assert prune(store, DAY) == 1
    assert runs_by_day(store) == {"2026-11-01": 1, DAY: 2}
    store.append(at("late", -50.0, 300.0, session_id="s2"))  # it ended after the border too
    assert runs_by_day(store) == {"2026-11-01": 1, DAY: 3}


def test_what_a_run_that_stays_shared_with_pruned_ones_still_counts_once(store: Store) -> None:
    store.append(at("over", -100.0, 200.0))
    store.append(at("shared", -50.0, 10.0, notebook_id="n2", session_id="s2"))
    store.append(at("last", 500.0))
    total = history(store)["totals"]["measured_j"]
    prune(store, DAY)
    assert history(store)["totals"]["measured_j"] == total
    assert total is not None
    assert total["value"] == 200.0


def test_what_comes_after_a_prune_of_all_has_a_number_of_its_own(store: Store) -> None:
    """Readers know by a record's number what is new to them."""
    for n in range(4):
        store.append(at(f"r{n}", -1000.0 + 10 * n))
    _, last = store.records_after(Mark(), "n1")
    assert prune(store, DAY) == 3  # the last one written stays until there is a later one
    store.append(at("new", 10.0))
    found, last = store.records_after(last, "n1")
    assert [r.run_id for r in found] == ["new"]
    assert prune(store, DAY) == 1
    assert [r.run_id for r in store.records("n1")] == ["new"]


def test_idle_times_and_power_traces_go_with_their_records(store: Store) -> None:
    empty = PowerTrace(1.0, 0.1, 0.1, 0.0, None, ())
    for run_id, after_s in (("old", -100.0), ("new", 100.0)):
        record = at(run_id, after_s)
        store.append(record)
        store.book_idle(Idle(run_id, "n1", "s1", "here", Measurement(record.start, 5.0, ())))
        store.keep_power(run_id, empty)
    prune(store, DAY)
    assert [idle.idle_id for idle in store.idles("n1")] == ["new"]
    assert (store.power("old"), store.power("new")) == (None, empty)


@given(
    st.lists(near_midnight, max_size=9, unique_by=lambda r: r.run_id),
    st.lists(st.sampled_from(["2026-10-31", "2026-11-01", DAY, "2026-11-03"]), max_size=2),
)
@settings(max_examples=EXAMPLES, deadline=None)
def test_no_run_is_lost_from_history_or_counted_twice_by_pruning(
    runs: list[Record], days: list[str]
) -> None:
    with TemporaryDirectory() as folder:
        store = Store(Path(folder) / "energy.sqlite")
        for record in runs:
            store.append(record)
        before = {by: history(store, by) for by in ("notebook", "host")}
        for day in days:
            left = {r.run_id for r in runs if r.start + timedelta(seconds=r.duration_s) >= MIDNIGHT}
            prune(store, day)
            if day == DAY:
                kept = {r.run_id for n in ("a", "b") for r in store.records(n)}
                assert left <= kept
        for by, was in before.items():
            now = history(store, by)
            assert now["totals"]["runs"] == was["totals"]["runs"]
            across = any(
                r.start.date() < (r.start + timedelta(seconds=r.duration_s)).date() for r in runs
            )
            if not across:
                assert close(now, was)
        for record in runs:
            store.append(record)
        assert history(store, "host")["totals"]["runs"] == before["host"]["totals"]["runs"]
        store.close()


def test_what_is_kept_after_a_prune_is_what_would_be_computed_of_the_rest(
    store: Store, tmp_path: Path
) -> None:
    """Of days that were not pruned, marking them all changes nothing."""
    for n, after_s in enumerate((-90000.0, -10.0, -5.0, 10.0, DAY_S - 2, DAY_S + 10)):
        store.append(at(f"r{n}", after_s, 8.0, session_id=f"s{n % 2}"))
    prune(store, DAY)
    history(store)
    was = tables(store)
    with closing(sqlite3.connect(store.path)) as connection, connection:
        connection.execute("UPDATE day SET state = 'stale' WHERE state = 'kept'")
    history(store)
    assert tables(store) == was


def test_a_prune_that_was_stopped_halfway_counts_nothing_twice(store: Store) -> None:
    for n in range(5):
        store.append(at(f"r{n}", -1000.0 + 10 * n))
    store.append(at("new", 10.0))
    before = history(store)
    with closing(sqlite3.connect(store.path)) as connection, connection:
        # As after the first of its transactions: the days are closed, the records still there.
        connection.execute("UPDATE day SET state = 'closed' WHERE day < ?", (DAY,))
        connection.execute("INSERT INTO pruned VALUES (?, '')", (DAY,))
    assert history(store) == before
    assert prune(store, DAY) == 5
    assert history(store) == before
    assert math.isclose(history(store)["totals"]["duration_s"], before["totals"]["duration_s"])

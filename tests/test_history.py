"""Totals over notebooks, days and hosts: what the store keeps is what would be computed anew."""

from __future__ import annotations

import math
import os
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import a_record, in_zone, records

from jupyter_energy.history import Wanted, history_json, load, refresh
from jupyter_energy.history_rows import TABLES, compute, keep, stale_days
from jupyter_energy.model import Record
from jupyter_energy.schema import totals_from_records
from jupyter_energy.store import Store
from jupyter_energy.uncertainty import Uncertain

MIDNIGHT = datetime(2026, 11, 2, tzinfo=UTC)
DAY_S = 86400.0
# Each example makes stores of its own; a whole run makes more.
EXAMPLES = 500 if os.environ.get("JUPYTER_ENERGY_TEST_WHOLE") == "1" else 20


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
@settings(max_examples=EXAMPLES, deadline=None)
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
@settings(max_examples=EXAMPLES, deadline=None)
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
@settings(max_examples=EXAMPLES, deadline=None)
def test_a_notebooks_row_is_its_summary(runs: list[Record]) -> None:
    runs = [replace(run, host="here") for run in runs]
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


# -- speed: that no question walks all records; how long it takes is in tests/benchmarks ----------


def plans(store: Store, call) -> list[str]:
    """How SQLite answers each question that a call asks of the store's records."""
    asked: list[str] = []
    store.read(lambda c: c.set_trace_callback(asked.append), None)
    call()
    store.read(lambda c: c.set_trace_callback(None), None)
    with closing(sqlite3.connect(store.path)) as connection:
        return [
            f"{row[3]} <- {sql}"
            for sql in asked
            if sql.lstrip().upper().startswith("SELECT")
            for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}")
        ]


def test_a_summary_walks_its_own_records_and_those_of_about_the_same_time(store: Store) -> None:
    for n in range(3):
        store.append(a_record(f"r{n}", after_s=1000.0 * n, energies={"gpu": Uncertain(1.0)}))
    runs = store.records("n1")
    found = plans(store, lambda: (store.records("n1"), store.others_at_once(runs)))
    assert len(found) >= 4
    assert not [plan for plan in found if plan.startswith("SCAN record")]
    # By host and span of time, and by notebook: never by host alone.
    neighbours = [plan for plan in found if "record_by_span" in plan]
    assert neighbours
    assert all("(host=? AND <expr>" in plan for plan in neighbours)


def test_history_walks_only_the_records_of_days_that_have_changed(store: Store) -> None:
    for n in range(3):
        store.append(a_record(f"r{n}", after_s=DAY_S * n, energies={"gpu": Uncertain(1.0)}))
    load(store, Wanted(), (), silent)
    for by in ("notebook", "day", "host"):
        found = plans(store, lambda: load(store, Wanted(by), (), silent))  # noqa: B023 - called at once
        assert found
        assert not [plan for plan in found if "record" in plan.partition(" <- ")[0]]
    store.append(a_record("r3", after_s=10.0))
    found = plans(store, lambda: load(store, Wanted(), (), silent))
    of_records = [p for p in found if "record" in p.partition(" <- ")[0]]
    assert of_records
    assert all("USING INDEX record_by_span (host=? AND <expr>" in plan for plan in of_records)


def neighbour(n: int, at_s: float, seconds: float) -> Record:
    run = a_record(f"n{n}", f"nb{n}", session_id=f"s{n}", energies={"gpu": Uncertain(1.0)})
    start = MIDNIGHT + timedelta(seconds=at_s)
    return replace(run, measurement=replace(run.measurement, start=start, duration_s=seconds))


@given(
    st.lists(st.tuples(st.floats(-40 * DAY_S, 40 * DAY_S), st.floats(0.1, 40 * DAY_S)), max_size=6),
    st.floats(-DAY_S, DAY_S),
    st.floats(0.1, 3 * DAY_S),
)
@settings(max_examples=EXAMPLES, deadline=None)
def test_neighbours_are_found_however_long_they_are_and_wherever_they_began(
    others: list[tuple[float, float]], at_s: float, seconds: float
) -> None:
    mine = neighbour(99, at_s, seconds)
    with TemporaryDirectory() as folder:
        store = Store(Path(folder) / "energy.sqlite", procfs=Path(folder))
        for n, (their_s, long_s) in enumerate(others):
            store.append(neighbour(n, their_s, long_s))
        store.append(mine)
        shared = (min(a + b, at_s + seconds) - max(a, at_s) for a, b in others)
        assert store.others_at_once([mine]) == sum(s > 1e-3 for s in shared)
        store.close()


# -- what is counted once ------------------------------------------------------------------------


def test_two_notebooks_over_midnight_count_once_on_both_days(store: Store) -> None:
    """The run that began before has the shared time; the later one the rest, on its own day."""
    store.append(neighbour(1, -100.0, 200.0))
    store.append(neighbour(2, 50.0, 100.0))
    found = history_json(load(store, Wanted("day"), (), silent), Wanted("day"), "1")
    by_day = {row["day"]: row for row in found["rows"]}
    assert {d: row["duration_s"] for d, row in by_day.items()} == {
        "2026-11-01": 200.0,
        "2026-11-02": 50.0,
    }
    assert by_day["2026-11-02"]["measured_j"] == pytest.approx(
        {"value": 0.5, "u95_repeat": 0.0, "u95": 0.0}
    )
    assert found["totals"]["duration_s"] == 250.0
    notebooks = history_json(load(store, Wanted(), (), silent), Wanted(), "1")["rows"]
    assert [row["overlaps"] for row in notebooks] == [1, 1]
    assert sorted(row["duration_s"] for row in notebooks) == [100.0, 200.0]


@pytest.mark.parametrize("by", ["notebook", "day", "host"])
@pytest.mark.parametrize("notebook", ["n1", "n2"])
def test_a_run_within_the_time_of_another_has_energy_and_grams_though_it_adds_none(
    store: Store, by: str, notebook: str
) -> None:
    """One notebook in two kernels, or two notebooks at once."""
    for n, emitted in enumerate((in_zone("FR", 50.0, 4.0), None, in_zone("FR", 50.0, 1.0))):
        run = neighbour(n, 10.0 * n, 100.0 - 30.0 * n)
        of = "n1" if n == 0 else notebook
        store.append(replace(run, notebook_id=of, session_id=f"s{n}", emissions=emitted))
    found = history_json(load(store, Wanted(by), (), silent), Wanted(by), "1")
    warnings = [text for of in (found["totals"], *found["rows"]) for text in of["warnings"]]
    assert not [text for text in warnings if "no energy" in text]
    told = [text for text in warnings if "no CO2e" in text]
    # Of three runs, two of them of another notebook than the first.
    n1, rest = "1 of 3 runs has energy but no CO2e", "1 of 2 runs has energy but no CO2e"
    expected = [n1, rest] if (by, notebook) == ("notebook", "n2") else [n1, n1]
    assert [text.partition(":")[0] for text in told] == expected


def test_a_run_that_comes_late_changes_the_later_days_that_it_reaches_into(store: Store) -> None:
    store.append(neighbour(2, 50.0, 100.0))
    store.append(neighbour(3, DAY_S + 50.0, 100.0))
    assert by_days(store) == {"2026-11-02": 100.0, "2026-11-03": 100.0}
    store.append(neighbour(1, -100.0, 100.0 + DAY_S + 100.0))
    expected = {"2026-11-01": DAY_S + 200.0, "2026-11-02": 0.0, "2026-11-03": 50.0}
    assert by_days(store) == pytest.approx(expected)


def by_days(store: Store) -> dict[str | None, float]:
    found = history_json(load(store, Wanted("day"), (), silent), Wanted("day"), "1")
    return {row["day"]: row["duration_s"] for row in found["rows"]}


def test_grams_of_two_places_keep_their_factors(store: Store) -> None:
    for n, zone in enumerate(("FR", "DE")):
        run = neighbour(n, 100.0 * n - DAY_S * n, 10.0)
        store.append(replace(run, emissions=in_zone(zone, 50.0 + 300 * n, 3.6e6)))
    carbon = history_json(load(store, Wanted(), (), silent), Wanted(), "1")["totals"]["carbon_g"]
    assert carbon is not None
    assert (carbon["mid"], carbon["g_per_kwh"]) == (400.0, 200.0)
    assert set((carbon["zone"] or "").split(", ")) == {"FR", "DE"}


def test_days_of_a_store_from_before_are_added_up_at_the_first_history(store: Store) -> None:
    for n in range(45):
        store.append(neighbour(n, -DAY_S * n, 5.0))
    with closing(sqlite3.connect(store.path)) as connection, connection:
        connection.execute("UPDATE day SET state = 'stale'")
        for table in TABLES.values():
            connection.execute(f"DELETE FROM {table}")
    load(store, Wanted(), (), silent)
    with closing(sqlite3.connect(store.path)) as connection:
        assert connection.execute("SELECT DISTINCT state FROM day").fetchall() == [("kept",)]
    assert len(tables(store)["day_total"]) == 90


def test_a_day_that_changed_while_it_was_computed_stays_to_be_computed(store: Store) -> None:
    store.append(neighbour(1, 0.0, 5.0))
    store.open()
    (day,) = store.read(lambda c: stale_days(c, "", "9"), [])
    totals = store.read(lambda c: compute(c, day), None)
    store.append(neighbour(2, 100.0, 5.0))
    assert totals is not None
    store.write(lambda c: keep(c, day, totals))
    assert store.read(lambda c: len(stale_days(c, "", "9")), 0) == 1
    found = history_json(load(store, Wanted(), (), silent), Wanted(), "1")
    assert found["totals"]["runs"] == 2


def test_the_live_factors_of_many_runs_are_one_row_with_their_mean(store: Store) -> None:
    def live(number: int) -> Record:
        energy_j = 3.6e6 * (1 + number)
        of = in_zone("FR", 100.0 * (1 + number), energy_j)
        words = replace(of.intensity, resolution="15min", note=f"note {number}")
        emitted = replace(of, intensity=words)
        energies = {"gpu": Uncertain(energy_j)}
        return a_record(f"r{number}", energies=energies, emitted=emitted, after_s=10.0 * number)

    store.append(*map(live, range(3)))
    refresh(store, Wanted(), silent)
    own = [row for row in tables(store)["day_grams"] if row[2] == "n1"]
    assert len(own) == 1
    carbon = history_json(load(store, Wanted(), (), silent), Wanted(), "1")["totals"]["carbon_g"]
    assert carbon is not None
    assert carbon["mid"] == pytest.approx(100 + 400 + 900)
    assert carbon["g_per_kwh"] == pytest.approx(1400 / 6)
    assert (carbon["resolution"], carbon["scope"], carbon["note"]) == ("15min", "lifecycle", None)

"""The store's tables come about step by step, whoever opens the file first."""

from __future__ import annotations

import multiprocessing
import sqlite3
from pathlib import Path

import pytest
from processes import migrate_when_told
from strategies import a_record, in_zone

from jupyter_energy.day_totals import with_all_words
from jupyter_energy.documents import record_to_document, to_json
from jupyter_energy.errors import StoreError
from jupyter_energy.history import Wanted, history_json, load
from jupyter_energy.migrations import STEPS, Connection, Step, applied, migrate
from jupyter_energy.seal import sealed
from jupyter_energy.store import Store
from jupyter_energy.uncertainty import Uncertain

ONE = Step("0001 one", ("CREATE TABLE one (a TEXT)",))
TWO = Step("0002 two", ("CREATE TABLE two (a TEXT)", "ALTER TABLE one ADD COLUMN b TEXT"))


@pytest.fixture
def connection(tmp_path: Path):
    connection = sqlite3.connect(tmp_path / "a.sqlite", isolation_level=None)
    yield connection
    connection.close()


def tables(connection: sqlite3.Connection) -> set[str]:
    return {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}


def test_steps_are_done_once_and_in_order(connection: sqlite3.Connection) -> None:
    assert migrate(connection, [ONE]) == ("0001 one",)
    assert migrate(connection, [ONE, TWO]) == ("0002 two",)
    assert migrate(connection, [ONE, TWO]) == ()
    assert applied(connection) == ("0001 one", "0002 two")
    assert {"one", "two"} <= tables(connection)


def test_a_step_may_be_a_function(connection: sqlite3.Connection) -> None:
    def fill(connection: Connection) -> None:
        connection.execute("INSERT INTO one VALUES ('x')")

    migrate(connection, [ONE, Step("0002 fill", fill)])
    assert connection.execute("SELECT a FROM one").fetchall() == [("x",)]


def test_a_step_that_fails_leaves_no_trace(connection: sqlite3.Connection) -> None:
    broken = Step("0002 broken", ("CREATE TABLE two (a TEXT)", "CREATE TABLE two (a TEXT)"))
    with pytest.raises(sqlite3.OperationalError, match="already exists"):
        migrate(connection, [ONE, broken])
    assert applied(connection) == ("0001 one",)
    assert "two" not in tables(connection)
    assert migrate(connection, [ONE, TWO]) == ("0002 two",)


def test_a_file_that_a_newer_version_changed_is_refused_and_left_alone(
    connection: sqlite3.Connection,
) -> None:
    migrate(connection, [ONE, TWO])
    with pytest.raises(StoreError, match=r"newer jupyter-energy \(0002 two\)"):
        migrate(connection, [ONE, Step("0001 b", ("CREATE TABLE b (a TEXT)",))])
    assert "b" not in tables(connection)


def test_the_database_of_another_program_is_refused_and_left_alone(
    connection: sqlite3.Connection,
) -> None:
    connection.execute("CREATE TABLE bookmarks (url TEXT)")
    with pytest.raises(StoreError, match="another program"):
        migrate(connection)
    assert tables(connection) == {"bookmarks"}


def test_the_names_of_the_steps_are_in_order_and_differ() -> None:
    names = [step.name for step in STEPS]
    assert names == sorted(set(names))


def test_processes_that_open_a_new_file_at_once_do_each_step_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    start, done = context.Barrier(4), context.Queue()
    steps = [ONE, TWO, *(Step(f"0003 {n}", ()) for n in range(5))]
    arguments = (tmp_path / "a.sqlite", steps, start, done)
    processes = [context.Process(target=migrate_when_told, args=arguments) for _ in range(4)]
    for process in processes:
        process.start()
    steps = [name for _ in processes for name in done.get(timeout=60)]
    for process in processes:
        process.join()
    assert len(steps) == 7
    assert len(set(steps)) == 7


def made_before_0006(path: Path) -> None:
    """A store with a run, whose day is closed, of the version before grams said what they mean."""
    run = a_record("r1", energies={"gpu": Uncertain(3.6e6)}, emitted=in_zone("FR", 50, 3.6e6))
    document = record_to_document(run)
    del document["said"]
    for name in ("spans", "pue_source", "restated"):
        del document["emissions"][name]  # type: ignore[attr-defined]
    connection = sqlite3.connect(path, isolation_level=None)
    migrate(connection, STEPS[: [step.name[:4] for step in STEPS].index("0006")])
    values = "'n1', 's1', '2025-03-01T09:30:00.000000Z', ?, 'here', '2025-03-01T09:31:00Z', '[]'"
    connection.execute(
        f"INSERT INTO record (run_id, notebook_id, session_id, started, document, host, ended, "
        f"devices) VALUES ('r1', {values})",
        (sealed(to_json(document)),),
    )
    day = "'here', '2020-01-01', 'n1'"
    connection.execute("INSERT INTO day VALUES ('here', '2020-01-01', 1, 'closed')")
    connection.execute(
        f"INSERT INTO day_total VALUES ({day}, 1, 0, 1, 0, 2.0, NULL, NULL, NULL, "
        "'2020-01-01T00:00:00Z', '2020-01-01T00:00:00Z')"
    )
    connection.execute(
        f"INSERT INTO day_grams VALUES ({day}, 'average', 'DE', 'Germany', 'Ember', 2019, 1.0, "
        "'you said so', 0, 400.0, 90.0, 100.0, 110.0, 9e5, 0.0)"
    )
    connection.close()


def test_a_store_of_before_0006_reads_on_and_what_it_did_not_know_stays_unknown(
    tmp_path: Path,
) -> None:
    path = tmp_path / "energy.sqlite"
    made_before_0006(path)
    store = Store(path, host="here")
    (run,) = store.records("n1")
    assert run.emissions is not None
    assert (run.said, run.emissions.spans, run.emissions.pue_source) == (None, (), "")
    found = history_json(load(store, Wanted(), (), lambda _: None), Wanted(), "1")
    carbon = found["rows"][0]["carbon_g"]
    assert carbon is not None
    assert carbon["mid"] == pytest.approx(150)
    assert (carbon["zone"], carbon["boundary"]) == ("DE, FR", "consumption")
    store.close()


def test_what_a_closed_day_of_before_0006_kept_as_a_document_is_restored() -> None:
    row = ("n1", "average", "DE", "Germany", "Ember", 2019, 1.0, "you said so", 0, 400.0)
    grams = (90.0, 100.0, 110.0, 9e5, 0.0)
    unknown = (None,) * 5
    assert with_all_words((*row, *grams)) == (*row[:-1], *unknown, 400.0, *grams)
    whole = (*row[:-1], "production", "lifecycle", "year", "measured", "", 400.0, *grams)
    assert with_all_words(whole) == whole

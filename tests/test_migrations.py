"""The store's tables come about step by step, whoever opens the file first."""

from __future__ import annotations

import multiprocessing
import sqlite3
from pathlib import Path

import pytest
from processes import migrate_when_told

from jupyter_energy.errors import StoreError
from jupyter_energy.migrations import STEPS, Connection, Step, applied, migrate

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

"""The store's tables, as an ordered list of named steps; each runs once, in its own transaction.

A step is never changed once it has been released: a change to the tables is a new step at the
end. Which steps a file has had is kept in the file itself, in `energy_migration`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from .documents import record_from_document, utc_text
from .errors import StoreError
from .foreign import loads
from .history_tables import MEANING
from .history_tables import STATEMENTS as HISTORY
from .overlaps import spell_of


class Connection(Protocol):
    """As much of a database connection as a step needs; only database.py imports sqlite3."""

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> Iterable[Any]:
        """The rows of one statement."""

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> object:
        """One statement for each set of parameters."""


@dataclass(frozen=True, slots=True)
class Step:
    """One change of the tables: SQL statements, or a function for what SQL cannot say."""

    name: str
    change: tuple[str, ...] | Callable[[Connection], None]


def _day_totals(connection: Connection) -> None:
    """The tables of day totals; runs that were kept before 0002 get the columns that it added."""
    rows = connection.execute("SELECT run_id, document FROM record WHERE ended IS NULL")
    filled = [(*columns, run_id) for run_id, text in rows if (columns := _when_and_on_what(text))]
    connection.executemany(
        "UPDATE record SET host = ?, ended = ?, devices = ? WHERE run_id = ?", filled
    )
    for statement in HISTORY:
        connection.execute(statement)


def _when_and_on_what(text: str) -> tuple[str, str, str] | None:
    """Host, end and devices of a run, as the columns hold them; None where nobody can tell."""
    try:
        spell = spell_of(record_from_document(loads(text)))
        ended = utc_text(datetime.fromtimestamp(spell.end_s, UTC))
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        return None
    return spell.host, ended, json.dumps(sorted(spell.devices))


STEPS: tuple[Step, ...] = (
    Step(
        "0001 notebooks, their cells and records",
        (
            # `path` and `host`: where it was last seen, and from which machine. A path that is
            # no valid Unicode is a blob, so TEXT is an affinity and not a promise.
            """CREATE TABLE notebook (
                id TEXT PRIMARY KEY,
                path TEXT,
                name TEXT NOT NULL,
                host TEXT NOT NULL,
                kernel_id TEXT,
                copied_from TEXT,
                first_seen TEXT NOT NULL
            )""",
            "CREATE INDEX notebook_by_kernel ON notebook (kernel_id)",
            """CREATE TABLE notebook_cell (
                notebook_id TEXT NOT NULL,
                cell_id TEXT NOT NULL,
                PRIMARY KEY (cell_id, notebook_id)
            ) WITHOUT ROWID""",
            "CREATE INDEX notebook_cell_by_notebook ON notebook_cell (notebook_id)",
            # `document` holds the whole record (schema.record_to_document); the other columns
            # repeat what is asked for.
            """CREATE TABLE record (
                run_id TEXT PRIMARY KEY,
                notebook_id TEXT NOT NULL,
                session_id TEXT NOT NULL,
                started TEXT NOT NULL,
                document TEXT NOT NULL
            )""",
            "CREATE INDEX record_by_notebook ON record (notebook_id, started)",
        ),
    ),
    Step(
        "0002 idle energy between cells, when and on what each run was, what runs now",
        (
            # Unknown (NULL) for runs of before; `devices` is a JSON list (overlaps.Spell).
            "ALTER TABLE record ADD COLUMN host TEXT",
            "ALTER TABLE record ADD COLUMN ended TEXT",
            "ALTER TABLE record ADD COLUMN devices TEXT",
            "CREATE INDEX record_by_end ON record (host, ended)",
            """CREATE TABLE idle (
                idle_id TEXT PRIMARY KEY,
                notebook_id TEXT NOT NULL,
                session_id TEXT NOT NULL,
                started TEXT NOT NULL,
                document TEXT NOT NULL
            )""",
            "CREATE INDEX idle_by_notebook ON idle (notebook_id, started)",
            # Sessions with a cell that runs now. A row whose process (`pid`, and the tick that it
            # `began` at) is gone says nothing: nobody has to clean up after a kernel that died.
            """CREATE TABLE running (
                session_id TEXT PRIMARY KEY,
                notebook_id TEXT NOT NULL,
                host TEXT NOT NULL,
                started TEXT NOT NULL,
                devices TEXT NOT NULL,
                pid INTEGER NOT NULL,
                began INTEGER NOT NULL
            ) WITHOUT ROWID""",
        ),
    ),
    Step(
        "0003 power traces",
        # Apart from the records, which are read all at once: a trace has up to 2000 points a
        # device. `document` is power/document.py's.
        ("CREATE TABLE power_trace (run_id TEXT PRIMARY KEY, document TEXT NOT NULL)",),
    ),
    Step("0005 day totals", _day_totals),
    Step("0006 what grams of a day mean, which grams were restated", MEANING),
)


def applied(connection: Connection) -> tuple[str, ...]:
    """The names of the steps that a file has had, in order; none for an empty file.

    Raises StoreError where the file holds another program's tables.
    """
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    if "energy_migration" not in tables:
        if tables:
            raise StoreError(
                "cannot be used: it is another program's database; set JUPYTER_ENERGY_STORE to "
                "another file",
                "foreign",
            )
        return ()
    rows = connection.execute("SELECT name FROM energy_migration ORDER BY name")
    return tuple(row[0] for row in rows)


def migrate(connection: Connection, steps: Sequence[Step] = STEPS) -> tuple[str, ...]:
    """The names of the steps that were still to do, and are now done.

    Safe when several processes open a new file at once: each step looks again, under the write
    lock, whether another process has just done it. A step that fails leaves no trace.
    Raises StoreError where a newer version has already changed the tables.
    """
    done = _checked(connection, steps)
    todo = [step for step in steps if step.name not in done]
    return tuple(step.name for step in todo if _apply(connection, step, steps))


def check(connection: Connection) -> None:
    """Raises StoreError where a newer version has changed the tables, or somebody else has."""
    _checked(connection, STEPS)


def _checked(connection: Connection, steps: Sequence[Step]) -> frozenset[str]:
    done = frozenset(applied(connection))
    unknown = sorted(done.difference(step.name for step in steps))
    if unknown and steps and unknown[-1][:4] <= max(step.name for step in steps)[:4]:
        # A newer version has all steps of this one, and more behind them.
        raise StoreError(f"is damaged: it has had a step {unknown[-1]!r}; move it away", "damaged")
    if unknown:
        raise StoreError(
            f"was changed by a newer jupyter-energy ({unknown[-1]}); this one keeps its records "
            "beside it, for the newer one to take in; update this one",
            "newer",
        )
    if strangers := _strangers(connection):
        raise StoreError(f"it is damaged: somebody has added {strangers[0]!r:.60}", "damaged")
    return done


def _strangers(connection: Connection) -> list[str]:
    """Triggers and views that no step has made: they act on what is read and written, and as long
    as they like (sqlite.org/security.html). Such a file is set aside, and its records are read."""
    ours = {
        *HISTORY,
        *(sql for step in STEPS if isinstance(step.change, tuple) for sql in step.change),
    }
    rows = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE type IN ('trigger', 'view')"
    )
    return sorted(str(name) for name, sql in rows if sql not in ours)


def _apply(connection: Connection, step: Step, steps: Sequence[Step]) -> bool:
    connection.execute("BEGIN IMMEDIATE")
    try:
        todo = step.name not in _checked(connection, steps)
        if todo:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS energy_migration "
                "(name TEXT PRIMARY KEY, applied TEXT NOT NULL)"
            )
            if isinstance(step.change, tuple):
                for statement in step.change:
                    connection.execute(statement)
            else:
                step.change(connection)
            connection.execute(
                "INSERT INTO energy_migration VALUES (?, strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))",
                (step.name,),
            )
    except BaseException:
        # After some errors (a full disk) the database has rolled back by itself.
        with suppress(Exception):
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
    return todo

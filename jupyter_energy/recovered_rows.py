"""What a damaged store gave back, as rows of the new one: written by the functions that write
everything else, so that nothing unsound gets in."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from . import history_rows, notebook_rows, power_rows, run_rows
from .documents import idle_from_document, record_from_document, utc_text
from .identity import is_cell_id
from .migrations import Connection
from .notebook_rows import Kept
from .power.document import PowerTrace
from .seal import opened

# The tables that hold documents, and the column that says what a document is of.
# Closed days first: what ended before them is not taken over (history_tables.py).
TABLES = (
    *(("closed_day", "day"), ("record", "run_id")),
    *(("idle", "idle_id"), ("power_trace", "run_id")),
)
# SQLite's result codes for what one document is (sqlite.org/rescode.html): ERROR, TOOBIG,
# CONSTRAINT, MISMATCH, RANGE; 0 stands for errors that are not SQLite's. All others say that
# nothing can be written now.
OF_THE_DOCUMENT = frozenset((0, 1, 18, 19, 20, 25))
# Longer is no name, path or id.
LONGEST_TEXT = 5000
# A path and its name may be no valid Unicode, and are written as such (notebook_rows). Of a host,
# what is left of its name is enough.
TEXTS = {"path": "surrogatepass", "name": "surrogatepass", "host": "replace"}
NAMELESS = "recovered notebook"
LOST = '"outcome": "lost"'  # within a text of a document, its quotes would be escaped
_RECORD = re.compile(
    r'\{(?:"crc32": "[^"]*", "bytes": [0-9]+, )?"run_id": "([^"\\]*)", "notebook_id"'
)
_ID = re.compile("[0-9a-f]{32}")  # as notebook_rows makes them


def text(column: object, errors: str = "strict") -> str | None:
    """The text of a column that was read as bytes; None where it is none."""
    if not isinstance(column, bytes) or len(column) > LONGEST_TEXT or b"\0" in column:
        return None
    with suppress(UnicodeDecodeError):
        return column.decode("utf-8", errors)
    return None


def notebook(row: tuple[Any, ...]) -> Kept | None:
    """A notebook's row as it was read; None where it cannot be right.

    A path that is not that of its name is damaged: without it the notebook is found again by its
    cells, as one that was moved.
    """
    found = {
        name: text(column, TEXTS.get(name, "strict"))
        for name, column in zip(Kept.__slots__, row, strict=True)
    }
    notebook_id, name, host, seen = (found[k] for k in ("id", "name", "host", "first_seen"))
    if notebook_id is None or not _ID.fullmatch(notebook_id) or name is None or host is None:
        return None
    path, copied_from = found["path"], found["copied_from"]
    if path is not None and name not in (PurePosixPath(path).name, PureWindowsPath(path).name):
        path = None
    if copied_from is not None and not _ID.fullmatch(copied_from):
        copied_from = None
    try:
        first_seen = utc_text(datetime.fromisoformat(seen or ""))
    except (ValueError, OverflowError):
        first_seen = utc_text(datetime.now(UTC))
    return Kept(notebook_id, path, name, host, found["kernel_id"], copied_from, first_seen)


def keep_cell(connection: Connection, found: tuple[str, str]) -> int:
    """Write down that a notebook of the new store has had a cell; 1, or 0 for no cell."""
    notebook_id, cell_id = found
    if not is_cell_id(cell_id) or not _is_there(connection, "notebook", "id", notebook_id):
        return 0
    notebook_rows.add_cells(connection, notebook_id, [cell_id])
    return 1


def has(connection: Connection, run_id: str) -> bool:
    """Whether the new store has a record of a run."""
    return _is_there(connection, "record", "run_id", run_id)


def keep(connection: Connection, found: tuple[object, str | bytes]) -> int:
    """Write a document that is sound, where the new store has none of its kind and name; 1 for a
    record, and 0 for all else. What it is of is said beside documents of before the seal."""
    name, said = found
    try:
        document_text = said if isinstance(said, str) else said.decode("ascii")
        begin = _RECORD.match(document_text)
        if begin is not None and not _is_missing(connection, begin[1], document_text):
            return 0  # most of what is found in the bytes has been found by SQL
        document = opened(document_text)
        if "closed_day" in document:
            history_rows.restore_closed(connection, document)
        elif "devices" in document and "schema" in document:
            run_id = document.get("run_id", text(name))
            if isinstance(run_id, str):
                power_rows.keep(connection, run_id, PowerTrace.from_document(document))
        elif "idle_id" in document:
            run_rows.add_idle(connection, idle_from_document(document))
        else:
            return _keep_record(connection, document)
    except Exception as error:
        # It is no document of ours, or not as it was written: that ends nothing.
        if getattr(error, "sqlite_errorcode", 0) & 0xFF not in OF_THE_DOCUMENT:
            raise
    return 0


def _keep_record(connection: Connection, document: dict[str, Any]) -> int:
    record = record_from_document(document)
    row = run_rows.record_row(record)
    if not _is_missing(connection, record.run_id, row[-1]):
        return 0
    run_rows.add_record(connection, row)
    if not has(connection, record.run_id):
        return 0  # of a day that has been pruned
    if record.cell_id is not None and is_cell_id(record.cell_id):
        notebook_rows.add_cells(connection, record.notebook_id, [record.cell_id])
    return 1


def _is_missing(connection: Connection, run_id: str, said: str) -> bool:
    """Whether the new store has no record of a run, or only what was written last before a kill
    and `said` is what came after it."""
    stored = connection.execute("SELECT document FROM record WHERE run_id = ?", (run_id,))
    return all(LOST in known and LOST not in said for (known,) in stored)


def name_the_nameless(connection: Connection) -> None:
    """Give a row to the notebooks that only records tell of. Without a path they are found again
    by their cells, as ones that were moved."""
    rows = connection.execute(
        "SELECT notebook_id, host, min(started) FROM record "
        "WHERE notebook_id NOT IN (SELECT id FROM notebook) GROUP BY notebook_id"
    )
    for notebook_id, host, started in list(rows):
        row = Kept(notebook_id, None, NAMELESS, host or "", None, None, started)
        notebook_rows.restore(connection, row)


def _is_there(connection: Connection, table: str, column: str, value: str) -> bool:
    rows = connection.execute(f"SELECT 1 FROM {table} WHERE {column} = ?", (value,))  # noqa: S608  names of ours
    return next(iter(rows), None) is not None

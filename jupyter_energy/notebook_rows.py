"""The store's rows about notebooks: who a notebook may be, and where it was last seen.

Every function works within a transaction of the store's.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

from .documents import utc_text
from .identity import Known, Match, Notebook, NotebookRef
from .migrations import Connection


def candidates(connection: Connection, ref: NotebookRef) -> list[Known]:
    """The notebooks that `ref` might be, newest first: at its path, of its kernel, or with a
    cell in common."""
    sharing = {
        row[0]
        for cell_id in ref.cell_ids
        for row in connection.execute(
            "SELECT notebook_id FROM notebook_cell WHERE cell_id = ?", (cell_id,)
        )
    }
    here = None if ref.path is None else os.path.normcase(ref.path)
    found = []
    for notebook_id, column, host, kernel_id in connection.execute(
        "SELECT id, path, host, kernel_id FROM notebook ORDER BY first_seen DESC, rowid DESC"
    ):
        path = None if column is None else text_of(column)
        at_path = path is not None and os.path.normcase(path) == here
        of_kernel = kernel_id is not None and kernel_id == ref.kernel_id
        if at_path or of_kernel or notebook_id in sharing:
            found.append(Known(notebook_id, path, host, kernel_id, frozenset()))
    return [replace(k, cell_ids=_cells_of(connection, k.id)) for k in found]


def settle(connection: Connection, ref: NotebookRef, found: Match, host: str) -> Notebook:
    """The notebook that `match` found for `ref`, after writing down what is now known of it."""
    if found.replaced is not None:
        connection.execute("UPDATE notebook SET path = NULL WHERE id = ?", (found.replaced.id,))
    if found.known is not None and found.verdict in ("same", "renamed"):
        notebook_id = found.known.id
    else:
        notebook_id = uuid.uuid4().hex
        copied_from = found.known.id if found.known is not None else None
        now = utc_text(datetime.now(UTC))
        connection.execute(
            "INSERT INTO notebook (id, name, host, copied_from, first_seen) VALUES (?, ?, ?, ?, ?)",
            (notebook_id, _to_column(ref.name), host, copied_from, now),
        )
    if ref.kernel_id is not None:
        # A kernel runs for one notebook at a time: the one it last ran for.
        connection.execute(
            "UPDATE notebook SET kernel_id = NULL WHERE kernel_id = ?", (ref.kernel_id,)
        )
        connection.execute(
            "UPDATE notebook SET kernel_id = ? WHERE id = ?", (ref.kernel_id, notebook_id)
        )
    if ref.path is not None:
        place(connection, notebook_id, ref.path, ref.name, host)
    add_cells(connection, notebook_id, ref.cell_ids)
    if ref.path is not None:
        return Notebook(notebook_id, ref.path, ref.name)
    ((path, name),) = connection.execute(
        "SELECT path, name FROM notebook WHERE id = ?", (notebook_id,)
    )
    return Notebook(notebook_id, None if path is None else text_of(path), text_of(name))


def place(connection: Connection, notebook_id: str, path: str, name: str, host: str) -> None:
    """Write down that a notebook lies at `path`; no other notebook does any more."""
    column = _to_column(path)
    connection.execute(
        "UPDATE notebook SET path = NULL WHERE path = ? AND id <> ?", (column, notebook_id)
    )
    connection.execute(
        "UPDATE notebook SET path = ?, name = ?, host = ? WHERE id = ?",
        (column, _to_column(name), host, notebook_id),
    )


def add_cells(connection: Connection, notebook_id: str, cell_ids: Iterable[str]) -> None:
    """Write down that a notebook has had these cells."""
    connection.executemany(
        "INSERT INTO notebook_cell (notebook_id, cell_id) VALUES (?, ?) ON CONFLICT DO NOTHING",
        [(notebook_id, cell_id) for cell_id in sorted(cell_ids)],
    )


def _cells_of(connection: Connection, notebook_id: str) -> frozenset[str]:
    rows = connection.execute(
        "SELECT cell_id FROM notebook_cell WHERE notebook_id = ?", (notebook_id,)
    )
    return frozenset(row[0] for row in rows)


def _to_column(text: str) -> str | bytes:
    """A path as SQLite can hold it: bytes where it is no valid Unicode, as Linux allows."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode(errors="surrogatepass")
    return text


def text_of(column: str | bytes) -> str:
    """What `_to_column` wrote, as text."""
    return column.decode(errors="surrogatepass") if isinstance(column, bytes) else column

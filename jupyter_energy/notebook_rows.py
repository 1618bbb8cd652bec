"""The store's rows about notebooks: who a notebook may be, and where it was last seen.

Every function works within a transaction of the store's.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from .documents import utc_text
from .identity import Known, Match, Notebook, NotebookRef
from .migrations import Connection


@dataclass(frozen=True, slots=True)
class Kept:
    """A notebook's row."""

    id: str
    path: str | None
    name: str
    host: str
    kernel_id: str | None
    copied_from: str | None
    first_seen: str


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
        if not isinstance(notebook_id, str):
            continue  # damaged
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
    is_known = found.known is not None and found.verdict in ("same", "renamed")
    notebook_id = found.known.id if found.known is not None and is_known else new_id()
    if not is_known or not has(connection, notebook_id):  # a journal may know one without a row
        copied_from = found.known.id if found.known is not None and not is_known else None
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


def new_id() -> str:
    """An id for a new notebook."""
    return uuid.uuid4().hex


def has(connection: Connection, notebook_id: str) -> bool:
    """Whether a notebook has a row."""
    rows = connection.execute("SELECT 1 FROM notebook WHERE id = ?", (notebook_id,))
    return next(iter(rows), None) is not None


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


def restore(connection: Connection, kept: Kept) -> int:
    """Write a notebook's row that another store had; 1, or 0 where the notebook has one here."""
    known = connection.execute("SELECT 1 FROM notebook WHERE id = ?", (kept.id,))
    if next(iter(known), None) is not None:
        return 0
    connection.execute(
        "INSERT INTO notebook (id, name, host, copied_from, first_seen) VALUES (?, ?, ?, ?, ?)",
        (kept.id, _to_column(kept.name), kept.host, kept.copied_from, kept.first_seen),
    )
    # A kernel that has run here since keeps to the notebook that it has now.
    connection.execute(
        "UPDATE notebook SET kernel_id = ?1 WHERE id = ?2 "
        "AND NOT EXISTS (SELECT 1 FROM notebook WHERE kernel_id = ?1)",
        (kept.kernel_id, kept.id),
    )
    if kept.path is not None:
        place(connection, kept.id, kept.path, kept.name, kept.host)
    return 1


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


def text_of(column: object) -> str:
    """What `_to_column` wrote, as text; of a column that is damaged, what is left of it."""
    if isinstance(column, bytes):
        try:
            return column.decode(errors="surrogatepass")
        except UnicodeDecodeError:
            return column.decode(errors="replace")
    return column if isinstance(column, str) else ""

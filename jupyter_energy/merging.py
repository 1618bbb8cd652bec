"""What a journal holds, written into the database: in parts, and the same again changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain, islice
from typing import Any

from . import notebook_rows, power_rows, run_rows
from .documents import idle_from_document, record_from_document
from .foreign import loads
from .identity import NotebookRef, is_cell_id
from .journal import Entry
from .journals import Described
from .migrations import Connection

# Entries of one transaction, after which another kernel may write.
AT_ONCE = 200
# The notebook of entries whose journal does not say which one that was.
UNKNOWN = NotebookRef(None, "unsaved")


def take_in(
    write: Callable[[Callable[[Connection], Any]], Any],
    entries: Callable[[], Iterable[Entry]],
    said: Described,
    settled: Callable[[Connection, NotebookRef], str],
    over: bool,
) -> int:
    """Write a journal's entries; how many of its runs were cut short, where its process is `over`.

    `entries` reads them, here twice: a journal that stood in for a database may be a long one.
    `write` makes a call within a transaction; `settled` gives the id of a notebook that has none
    in the database yet, where it then has a row.
    """
    owners: dict[tuple[str | None, str], str] = {}

    def owner(connection: Connection, entry: Entry) -> str:
        of = entry.key, said.notebook_id(entry)
        found = owners.get(of, of[1])
        # Looked for each time: a part may be written again, into a file that is another by then.
        if not found or not notebook_rows.has(connection, found):
            _, ref = said.notebooks.get(entry.key, ("", UNKNOWN))
            # One who wrote this before, and did not come to its end, has found it a notebook.
            found = run_rows.notebook_of(connection, entry.name) or settled(connection, ref)
        owners[of] = found
        return found

    finished: set[str] = set()
    beating: dict[str, Entry] = {}
    for entry in entries():
        if entry.kind == "record":
            finished.add(entry.name)
        elif entry.kind == "heartbeat":
            beating[entry.name] = entry
    cut = [entry for name, entry in beating.items() if over and name not in finished]
    rest = chain((e for e in entries() if e.kind in ("record", "idle", "power")), cut)
    while part := list(islice(rest, AT_ONCE)):
        write(partial(_add, part=part, owner=owner))
    return len(cut)


def _add(
    connection: Connection, part: Sequence[Entry], owner: Callable[[Connection, Entry], str]
) -> None:
    """Write entries as rows, in order. One that is no sense is left out."""
    for entry in part:
        with suppress(KeyError, TypeError, ValueError, OverflowError, RecursionError):
            if entry.kind == "power":
                if (trace := power_rows.readable(entry.document, entry.name)) is not None:
                    power_rows.keep(connection, entry.name, trace)
                continue
            document = loads(entry.document) | {"notebook_id": owner(connection, entry)}
            if entry.kind == "idle":
                run_rows.add_idle(connection, idle_from_document(document))
            elif entry.kind == "record" or not run_rows.held(connection, [entry.name]):
                record = record_from_document(document)
                run_rows.add_record(connection, run_rows.record_row(record))
                if record.cell_id is not None and is_cell_id(record.cell_id):
                    notebook_rows.add_cells(connection, record.notebook_id, [record.cell_id])

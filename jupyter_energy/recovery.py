"""What can be read of a damaged store, written into the new one.

First by SQL, table by table around what cannot be read, on a copy: so that the damaged file stays
byte for byte as it was. Then whatever sealed document its bytes still hold (carving.py). Only what
is sound is written, by the functions that write everything else.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TypeVar

from . import carved_rows, notebook_rows, recovered_rows
from .aside import BESIDE, SQLITE_HEADER
from .carving import PAGE_BYTES, PAGE_SIZES, carved
from .migrations import Connection

T = TypeVar("T")

# What is larger is read where it lies, without what only its WAL has of the tables.
LARGEST_COPY_BYTES = 256 * 2**20
# Rows of one transaction, after which another kernel may write.
AT_ONCE = 200
# How often a table is begun anew behind what cannot be read, and how often in vain: a page of 4096
# bytes has some 50 rows of a notebook or a cell.
MOST_TRIES, MOST_IN_VAIN = 5000, 300
LARGEST_ROWID = 2**63 - 1


class Damaged(Connection, Protocol):
    """A connection to a damaged file; text comes as bytes, which may be no text any more."""

    def close(self) -> None:
        """Let go of the file."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """How many records of a damaged store the new one has taken over, and how many more there
    were; None where that cannot be known any more."""

    records: int
    missing: int | None

    def __str__(self) -> str:
        if not self.records and self.missing is None:
            return "nothing could be recovered from it"
        recovered = (
            "1 of its records was recovered"
            if self.records == 1
            else f"{self.records or 'none'} of its records were recovered"
        )
        if self.missing is None:
            return f"{recovered}; it may have had more"
        return f"{recovered}, {self.missing} could not be read" if self.missing else recovered


def recover(
    path: Path,
    into: Connection,
    transaction: Callable[[Connection], AbstractContextManager[None]],
    connect: Callable[[Path, bool], Damaged],
) -> Recovered:
    """Write what can be read of the damaged store at `path` into a new one.

    `connect` opens a damaged file; the second argument says that it must stay as it is. What the
    new store has already is not replaced. Time and memory are bounded by the size of the file.
    Raises what `into` and `transaction` raise, and OSError.
    """

    def write(found: Iterable[T], keep: Callable[[Connection, T], int]) -> int:
        kept, rest = 0, iter(found)
        while part := list(islice(rest, AT_ONCE)):
            with transaction(into):
                kept += sum(keep(into, one) for one in part)
        return kept

    with _opened(path, connect) as damaged:
        # First, so that a notebook that is run meanwhile is found again.
        write(_notebooks(damaged), notebook_rows.restore)
        write(_cells(damaged), recovered_rows.keep_cell)
        records = sum(
            write(rows(damaged, table, name, "document"), recovered_rows.keep)
            for table, name in recovered_rows.TABLES
        )
        records += write(((None, document) for document in carved(path)), recovered_rows.keep)
        without = recovered_rows.nameless(into)
        if without:
            found = map(recovered_rows.notebook, carved_rows.notebooks(path))
            write((f for f in found if f is not None and f.id in without), notebook_rows.restore)
        with transaction(into):
            recovered_rows.name_the_nameless(into)
        return Recovered(records, _missing(damaged, into))


def rows(damaged: Damaged, table: str, *columns: str) -> Iterator[tuple[Any, ...]]:
    """The rows of a table that can be read: forward, backward, and then around what cannot."""
    names = ", ".join(("rowid", *columns))
    sql = f"SELECT {names} FROM {table} NOT INDEXED WHERE rowid > ? AND rowid < ? ORDER BY rowid"  # noqa: S608  names of ours
    # A row is given once SQLite has moved on to the next one, so that the last one before the
    # damage has to be asked for alone.
    ways = [(sql + end, end) for end in ("", " LIMIT 1", " DESC", " DESC LIMIT 1")]
    stretches, tries, in_vain = [(0, LARGEST_ROWID)], 0, 0
    while stretches and tries < MOST_TRIES and in_vain < MOST_IN_VAIN:
        low, high = stretches.pop()
        tries, in_vain = tries + 1, in_vain + 1
        for query, way in ways:
            whole = "LIMIT" not in way
            for row in _until_damage(damaged, query, (low, high)):
                if row is None or not isinstance(row[0], int) or not low < row[0] < high:
                    whole = False
                    break
                low, high = (low, row[0]) if "DESC" in way else (row[0], high)
                in_vain = 0
                yield row[1:]
            if whole:
                break
        else:
            if high - low > 2:
                middle = (low + high) // 2
                # The lower half first: rows are numbered from 1 on, and nobody knows how far.
                stretches += [(middle, high), (low, middle + 1)]


def _until_damage(
    damaged: Damaged, sql: str, parameters: tuple[Any, ...] = ()
) -> Iterator[tuple[Any, ...] | None]:
    """The rows of a query, and then None where it ended in an error."""
    try:
        found = iter(damaged.execute(sql, parameters))
        yield from found
    except Exception:  # noqa: BLE001  whatever a damaged file makes of a query
        yield None


def _contradicted(damaged: Damaged, sql: str, *parameters: object) -> bool:
    """Whether a second place that says the same (an index) is sound and does not know it."""
    return next(_until_damage(damaged, sql, parameters), ()) == ()


def _notebooks(damaged: Damaged) -> Iterator[notebook_rows.Kept]:
    by_id = "SELECT 1 FROM notebook WHERE id = CAST(? AS TEXT)"
    for row in rows(damaged, "notebook", *notebook_rows.Kept.__slots__):
        found = recovered_rows.notebook(row)
        if found is not None and not _contradicted(damaged, by_id, row[0]):
            yield found


def _cells(damaged: Damaged) -> Iterator[tuple[str, str]]:
    """Notebooks with a cell of theirs. The table has no rowid; what it lacks, records tell."""
    sql = "SELECT notebook_id, cell_id FROM notebook_cell NOT INDEXED ORDER BY cell_id"
    by_notebook = (
        "SELECT 1 FROM notebook_cell INDEXED BY notebook_cell_by_notebook "
        "WHERE notebook_id = CAST(? AS TEXT) AND cell_id = CAST(? AS TEXT)"
    )
    for row in _until_damage(damaged, sql):
        if row is None:
            return
        notebook_id, cell_id = map(recovered_rows.text, row)
        if notebook_id and cell_id and not _contradicted(damaged, by_notebook, *row):
            yield notebook_id, cell_id


def _missing(damaged: Damaged, into: Connection) -> int | None:
    """How many runs the index of the damaged store names that the new one lacks."""
    missing = 0
    sql = "SELECT run_id FROM record INDEXED BY sqlite_autoindex_record_1 ORDER BY run_id"
    for row in _until_damage(damaged, sql):
        if row is None:
            return None
        run_id = recovered_rows.text(row[0])
        missing += run_id is None or not recovered_rows.has(into, run_id)
    return missing


@contextmanager
def _opened(path: Path, connect: Callable[[Path, bool], Damaged]) -> Iterator[Damaged]:
    """The damaged file, or a copy of it with its journals, whose header has been mended."""
    with ExitStack() as stack:
        place, as_it_is = path, True
        parts = [Path(f"{path}{suffix}") for suffix in BESIDE if suffix != "-shm"]
        with suppress(OSError):
            if sum(p.stat().st_size for p in parts if p.exists()) <= LARGEST_COPY_BYTES:
                folder = tempfile.TemporaryDirectory(prefix="jupyter-energy-")
                copy = Path(stack.enter_context(folder)) / "copy"
                for part in filter(Path.exists, parts):
                    shutil.copyfile(part, f"{copy}{part.name[len(path.name) :]}")
                _mend_header(copy)
                place, as_it_is = copy, False
        yield stack.enter_context(closing(connect(place, as_it_is)))


def _mend_header(path: Path) -> None:
    """Write the fields of a database's header as every store of ours has them.

    sqlite.org/fileformat.html, 1.3. Without them SQLite looks at nothing else.
    """
    has_wal = Path(f"{path}-wal").exists()
    if path.stat().st_size < PAGE_BYTES:
        if not has_wal:
            return
        os.truncate(path, PAGE_BYTES)  # SQLite looks into no WAL of an empty database
    size = path.stat().st_size
    with path.open("r+b") as file:
        header = bytearray(file.read(100))
        is_wal = header[18:20] == b"\2\2" or has_wal
        page_bytes = int.from_bytes(header[16:18], "big")
        if header[:16] != SQLITE_HEADER or page_bytes not in PAGE_SIZES:
            page_bytes = PAGE_BYTES
        versions = b"\2\2" if is_wal else b"\1\1"
        fractions = bytes((0, 64, 32, 32))  # no reserved space; three constants
        header[:24] = SQLITE_HEADER + page_bytes.to_bytes(2, "big") + versions + fractions
        header[28:32] = (size // page_bytes).to_bytes(4, "big")
        header[32:40] = bytes(8)  # no free pages: nothing is written
        header[44:48] = (4).to_bytes(4, "big")  # schema format
        header[52:56] = bytes(4)  # no auto-vacuum
        header[56:60] = (1).to_bytes(4, "big")  # UTF-8
        header[64:92] = bytes(28)
        header[92:96] = header[24:28]  # the size above is valid
        file.seek(0)
        file.write(header)

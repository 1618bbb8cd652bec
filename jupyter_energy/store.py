"""The store: one SQLite file in the user's data folder, one row a run. Alone imports sqlite3.

It never holds source code, outputs or tokens. A write that cannot be done now raises StoreError
at once, and the caller keeps the record and tries again: the store never makes a cell wait.
"""

from __future__ import annotations

import os
import platform
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from . import notebook_rows, power_rows, run_rows
from .errors import StoreError
from .filesystem import NETWORK_FILESYSTEMS, filesystem_of
from .identity import Notebook, NotebookRef, is_cell_id, match
from .migrations import applied, migrate
from .model import Idle, Record
from .overlaps import Spell, others_at_once, spell_of
from .power.document import PowerTrace
from .process_tree import began_at

T = TypeVar("T")

# A cell's reply waits for its record, so another program's lock is not waited out.
BUSY_MS = 100
# Opening may have to wait for another kernel that is making the tables.
OPENING_BUSY_MS = 3000
# The low byte of SQLite's extended result codes (sqlite.org/rescode.html).
# sqlite.org/fileformat.html, 1.3
SQLITE_HEADER = b"SQLite format 3\0"
DATABASE_SUFFIXES = (".sqlite", ".sqlite3", ".db")
CORRUPT = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def default_path() -> Path:
    """The store's file in the user's data folder."""
    from platformdirs import user_data_dir

    return Path(user_data_dir("jupyter-energy", appauthor=False)) / "energy.sqlite"


class Store:
    """What is kept between kernels. Opened by the first call that needs it; one thread at a time.

    `warnings` holds what the user should be told, each once. Every method raises StoreError
    where the file cannot be used; a record that was not appended can be appended again later.
    `host` is this machine's name; `procfs` is moved in tests.
    """

    def __init__(self, path: Path, host: str | None = None, procfs: Path = Path("/proc")) -> None:
        self.path = Path(path)
        self.warnings: list[str] = []
        self.generation = 0  # counts openings: after a new one, the file may be another
        self._host = host if host is not None else platform.node()
        self._procfs = procfs
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._pid = 0
        self._waits = True  # for another program's lock; not again before a call has worked
        self._inherited: list[sqlite3.Connection] = []
        self._cells: set[tuple[str, str]] = set()  # (notebook, cell) known to be in the open file

    def open(self) -> None:
        """Make the file and its tables, or bring them up to date."""
        self._run(lambda _connection: None)

    def check_writable(self) -> None:
        """Raises StoreError where nothing could be kept: a file that opens may be read-only.

        Nothing is changed. Another program's write is waited out as when opening.
        """

        def probe(connection: sqlite3.Connection) -> None:
            connection.execute(f"PRAGMA busy_timeout = {OPENING_BUSY_MS}")
            try:
                connection.execute("BEGIN IMMEDIATE")
                try:
                    connection.execute("CREATE TABLE probe (x)")
                finally:
                    with suppress(sqlite3.Error):  # after some errors there is nothing left to undo
                        connection.execute("ROLLBACK")
            finally:
                connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")

        self._run(probe)

    def append(self, record: Record) -> None:
        """Keep a record; the same `run_id` a second time takes the place of the first."""
        row = run_rows.record_row(record)
        cell = None
        if record.cell_id is not None and is_cell_id(record.cell_id):
            cell = record.notebook_id, record.cell_id

        def write(connection: sqlite3.Connection) -> None:
            with _transaction(connection):
                run_rows.add_record(connection, row)
                if cell is not None and cell not in self._cells:
                    notebook_rows.add_cells(connection, cell[0], [cell[1]])
            if cell is not None:
                self._cells.add(cell)

        self._run(write)

    def records(self, notebook_id: str, session_id: str | None = None) -> list[Record]:
        """A notebook's records in the order they began, of one session or of all."""
        return self.records_after(0, notebook_id, session_id)[0]

    def records_after(
        self, last: int, notebook_id: str, session_id: str | None = None
    ) -> tuple[list[Record], int]:
        """The records that were kept since the call that gave `last`, and what to give next time.

        0 stands for all. Where another file has taken the store's place, all are new.
        """

        found: list[tuple[int, str]] = self.read(
            lambda connection: run_rows.documents_after(connection, last, notebook_id, session_id),
            [],
        )
        records = run_rows.readable([document for _, document in found])
        if unread := len(found) - len(records):
            self._warn(f"{unread} records in {self.path} cannot be read; totals leave them out")
        return records, max((row for row, _ in found), default=last)

    def book_idle(self, idle: Idle) -> None:
        """Keep what was drawn between two cells; the same again changes nothing."""

        self.write(lambda connection: run_rows.add_idle(connection, idle))

    def idles(self, notebook_id: str, session_id: str | None = None) -> list[Idle]:
        """What was drawn between a notebook's cells, of one session or of all."""
        return self.read(lambda connection: run_rows.idles(connection, notebook_id, session_id), [])

    def others_at_once(self, records: Sequence[Record]) -> int:
        """How many other notebooks drew from the same devices of a host while these records ran.

        Only those that keep their records in this file can be known.
        """
        others: list[Spell] = self.read(
            lambda connection: list(run_rows.meanwhile(connection, records, self._procfs)), []
        )
        return others_at_once(map(spell_of, records), others)

    def announce(self, spell: Spell) -> None:
        """Let other kernels know that this process has a cell that runs. Where the system does not
        tell one process from the next, they are not told."""
        pid = os.getpid()
        began = began_at(pid, self._procfs)
        if began is not None:
            self._run(lambda connection: run_rows.announce(connection, spell, pid, began))

    def withdraw(self, session_id: str) -> None:
        """Let them know that it has ended."""
        self._run(lambda connection: run_rows.withdraw(connection, session_id))

    def keep_power(self, run_id: str, trace: PowerTrace) -> None:
        """Keep the power trace of a run."""
        self._run(lambda connection: power_rows.keep(connection, run_id, trace))

    def power(self, run_id: str) -> PowerTrace | None:
        """The power trace of a run, or None where it has none."""
        return self.read(lambda connection: power_rows.find(connection, run_id), None)

    def traced(self, notebook_id: str) -> frozenset[str]:
        """The ids of a notebook's runs that have a power trace."""
        return self.read(lambda c: power_rows.traced(c, notebook_id), frozenset())

    def notebook_for(self, ref: NotebookRef) -> Notebook:
        """The notebook that `ref` is, by the rule of `identity.match`; made where it is new.

        A renamed notebook keeps its id and takes the new path; a copy gets an id of its own.
        """

        def settle(connection: sqlite3.Connection) -> Notebook:
            with _transaction(connection):
                found = match(ref, notebook_rows.candidates(connection, ref), self._host)
                return notebook_rows.settle(connection, ref, found, self._host)

        return self._run(settle)

    def find_notebook(self, ref: NotebookRef) -> Notebook | None:
        """The notebook that `ref` is, or None where the store knows none. Writes nothing."""

        def find(connection: sqlite3.Connection) -> Notebook | None:
            found = match(ref, notebook_rows.candidates(connection, ref), self._host)
            if found.known is None or found.verdict == "copied":
                return None
            return Notebook(found.known.id, ref.path, ref.name)

        return self.read(find, None)

    def note_path(self, notebook_id: str, path: str) -> None:
        """The notebook now lies at `path`; one that the store knew there no longer does."""

        def write(connection: sqlite3.Connection) -> None:
            with _transaction(connection):
                name = Path(path).name
                notebook_rows.place(connection, notebook_id, path, name, self._host)

        self._run(write)

    def read(self, call: Callable[[sqlite3.Connection], T], nothing: T) -> T:
        """The answer of `call`, or `nothing` where there is no file: reading makes none."""
        absent = False
        with suppress(OSError):  # not even to be looked at: opening it will say why
            absent = _file_at(self.path) is None
        return nothing if absent else self._run(call)

    def write(self, call: Callable[[sqlite3.Connection], T]) -> T:
        """The answer of `call`, made within a transaction: all or nothing."""

        def within(connection: sqlite3.Connection) -> T:
            with _transaction(connection):
                return call(connection)

        return self._run(within)

    def close(self) -> None:
        """Let go of the file. A later call opens it again."""
        connection, self._connection = self._connection, None
        if connection is not None and self._pid == os.getpid():
            with suppress(sqlite3.Error):
                connection.close()

    # --- the file ----------------------------------------------------------------------------

    def _run(self, call: Callable[[sqlite3.Connection], T]) -> T:
        """The answer of `call`; a corrupt file is set aside once and `call` made on a new one."""
        for attempt in ("first", "second"):
            try:
                answer = call(self._opened())
                self._wait_for_locks(True)
                return answer
            except sqlite3.Error as error:
                code = getattr(error, "sqlite_errorcode", 0) & 0xFF
                if code in BUSY:
                    self._wait_for_locks(False)  # once is enough: not at every cell
                else:
                    self.close()
                if code in CORRUPT and attempt == "first" and self._set_aside():
                    continue
                raise StoreError(*_explained(error, code, self.path)) from error
            except OSError as error:
                self.close()
                raise StoreError(*_explained(error, 0, self.path)) from error
        raise AssertionError("the second attempt returns or raises")

    def _opened(self) -> sqlite3.Connection:
        """The connection, made anew where it is another process's or its file has gone."""
        if self._connection is not None:
            if self._pid != os.getpid():
                # After a fork the connection is the parent's. Even closing it here would harm
                # the parent (sqlite.org/howtocorrupt.html 2.6), so it is kept and not used.
                self._inherited.append(self._connection)
                self._connection = None
            elif _file_at(self.path) != self._file:
                # Deleted or set aside by someone: what we wrote would be lost with it.
                self.close()
        if self._connection is None:
            self._connection = self._connect()
            self._pid = os.getpid()
        return self._connection

    def _connect(self) -> sqlite3.Connection:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            # Made here for its mode; the -wal and -shm files take theirs from it. Only a file
            # that nobody has open yet: closing any descriptor of it drops SQLite's locks.
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        self._file = _file_at(self.path)
        self.generation += 1
        self._cells.clear()  # it may be another file now
        connection = sqlite3.connect(
            self.path,
            timeout=OPENING_BUSY_MS / 1000 if self._waits else 0,
            isolation_level=None,  # every transaction is written out below
            check_same_thread=False,
        )
        try:
            applied(connection)  # another program's file is refused before anything is set in it
            self._set_journal(connection)
            migrate(connection)
            self._set_patience(connection)
        except StoreError as error:
            connection.close()
            raise StoreError(f"the store {self.path} cannot be used: {error}") from None
        except BaseException:
            connection.close()
            raise
        return connection

    def _wait_for_locks(self, wait: bool) -> None:
        """Whether the next calls wait for another program's lock, or fail at once."""
        if wait != self._waits:
            self._waits = wait
            if self._connection is not None:
                self._set_patience(self._connection)

    def _set_patience(self, connection: sqlite3.Connection) -> None:
        connection.execute(f"PRAGMA busy_timeout = {BUSY_MS if self._waits else 0}")

    def _set_journal(self, connection: sqlite3.Connection) -> None:
        """WAL, with which a reader never blocks a writer; the rollback journal on a network."""
        network = filesystem_of(self.path.parent, self._procfs) in NETWORK_FILESYSTEMS
        wanted = "delete" if network else "wal"
        (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
        if mode != wanted:
            # Another process may be about to do the same; whichever mode results works.
            with suppress(sqlite3.OperationalError):
                (mode,) = connection.execute(f"PRAGMA journal_mode = {wanted}").fetchone()
        if mode == "wal":
            # A commit then survives the end of the process, though not a loss of power, and
            # costs no wait for the disk (sqlite.org/pragma.html, "synchronous").
            connection.execute("PRAGMA synchronous = NORMAL")

    def _set_aside(self) -> bool:
        """Rename the corrupt file and what belongs to it, unless another process just has.

        True where the way is free for a new file.
        """
        if _file_at(self.path) != self._file:
            return True
        if not self._may_be_ours():
            return False
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        aside = Path(f"{self.path}.corrupt-{stamp}")
        number = 1
        while aside.exists():
            number += 1
            aside = Path(f"{self.path}.corrupt-{stamp}-{number}")
        # The file itself last: a new one must never meet the old one's journal.
        for suffix in ("-wal", "-shm", "-journal", ""):
            try:
                Path(f"{self.path}{suffix}").rename(f"{aside}{suffix}")
            except FileNotFoundError:
                continue
            except OSError:
                return False
        self._warn(f"the store {self.path} was damaged; it is kept as {aside.name}, a new one made")
        return True

    def _may_be_ours(self) -> bool:
        """Whether a corrupt file was a database, by its name or its first bytes: one that a user
        named by mistake (results.csv) is theirs, and stays where it is."""
        try:
            with self.path.open("rb") as file:
                is_database = file.read(len(SQLITE_HEADER)) == SQLITE_HEADER
        except OSError:
            is_database = False
        return is_database or self.path.suffix in DATABASE_SUFFIXES

    def _warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing; the write lock is taken at the start, so that nothing read turns stale."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # After some errors (a full disk) SQLite has rolled back by itself.
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def _file_at(path: Path) -> tuple[int, int] | None:
    """What tells the file now at `path` from one that took its place; None where there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _explained(error: sqlite3.Error | OSError, code: int, path: Path) -> tuple[str, str]:
    """What happened, to which file, and the one thing to do; and its kind in a StoreError."""
    if code in BUSY:
        return f"the store {path} is being written by another program; try again", "busy"
    if code == sqlite3.SQLITE_FULL:
        return f"the store {path} cannot grow: the disk is full; free some space", "full"
    if code == sqlite3.SQLITE_CORRUPT:
        return f"the store {path} is damaged and could not be set aside; move it away", "damaged"
    why = error.strerror if isinstance(error, OSError) else str(error)
    if code == sqlite3.SQLITE_NOTADB:
        why = "it is no database"
    remedy = "set JUPYTER_ENERGY_STORE to another file"
    return f"the store {path} cannot be used: {why}; {remedy}", "unusable"

"""The store: one SQLite file in the user's data folder, one row a run. Alone imports sqlite3.

It never holds source code, outputs or tokens. A write that cannot be done now raises StoreError
at once, and the caller keeps the record and tries again: the store never makes a cell wait.
"""

from __future__ import annotations

import os
import platform
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from errno import EINVAL
from os.path import realpath
from pathlib import Path
from typing import TypeVar

from . import notebook_rows, power_rows, run_rows
from .aside import (
    file_at,
    is_no_file,
    may_be_ours,
    name_when_read,
    names_our_tables,
    says_read_only,
    set_aside,
    taken,
    unread,
)
from .carving import LONGEST_BYTES
from .errors import StoreError
from .filesystem import NETWORK_FILESYSTEMS, filesystem_of
from .identity import Notebook, NotebookRef, is_cell_id, match
from .migrations import Connection, applied, migrate
from .model import Idle, Record
from .overlaps import Spell, others_at_once, spell_of
from .power.document import PowerTrace
from .process_tree import began_at
from .recovery import recover

T = TypeVar("T")

# A cell's reply waits for its record, so another program's lock is not waited out.
BUSY_MS = 100
# Opening may have to wait for another kernel that is making the tables.
OPENING_BUSY_MS = 3000
CORRUPT = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
# What SQLite may say of damage that it does not see, such as a letter in the name of a column.
PERHAPS_DAMAGE = (
    *(sqlite3.SQLITE_ERROR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_SCHEMA),
    *(sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_FORMAT),
)
TABLES = "SELECT name, sql FROM sqlite_master"
# How many thousands of steps SQLite may take in a damaged file: so many, and one for each kB.
TICK, LEAST_TICKS = 1000, 10_000


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

        found: list[tuple[int, str]] = self._read(
            lambda connection: run_rows.documents_after(connection, last, notebook_id, session_id),
            [],
        )
        records = run_rows.readable([document for _, document in found])
        if unread := len(found) - len(records):
            self._warn(f"{unread} records in {self.path} cannot be read; totals leave them out")
        return records, max((row for row, _ in found), default=last)

    def book_idle(self, idle: Idle) -> None:
        """Keep what was drawn between two cells; the same again changes nothing."""

        def write(connection: sqlite3.Connection) -> None:
            with _transaction(connection):
                run_rows.add_idle(connection, idle)

        self._run(write)

    def idles(self, notebook_id: str, session_id: str | None = None) -> list[Idle]:
        """What was drawn between a notebook's cells, of one session or of all."""
        return self._read(
            lambda connection: run_rows.idles(connection, notebook_id, session_id), []
        )

    def others_at_once(self, records: Sequence[Record]) -> int:
        """How many other notebooks drew from the same devices of a host while these records ran.

        Only those that keep their records in this file can be known.
        """
        others: list[Spell] = self._read(
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
        return self._read(lambda connection: power_rows.find(connection, run_id), None)

    def traced(self, notebook_id: str) -> frozenset[str]:
        """The ids of a notebook's runs that have a power trace."""
        return self._read(lambda c: power_rows.traced(c, notebook_id), frozenset())

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

        return self._read(find, None)

    def note_path(self, notebook_id: str, path: str) -> None:
        """The notebook now lies at `path`; one that the store knew there no longer does."""

        def write(connection: sqlite3.Connection) -> None:
            with _transaction(connection):
                name = Path(path).name
                notebook_rows.place(connection, notebook_id, path, name, self._host)

        self._run(write)

    def close(self) -> None:
        """Let go of the file. A later call opens it again."""
        connection, self._connection = self._connection, None
        if connection is not None and self._pid == os.getpid():
            with suppress(sqlite3.Error):
                connection.close()

    # --- the file ----------------------------------------------------------------------------

    def _read(self, call: Callable[[sqlite3.Connection], T], nothing: T) -> T:
        """The answer of `call`, or `nothing` where there is no file: reading makes none."""
        absent = False
        with suppress(OSError):  # not even to be looked at: opening it will say why
            absent = file_at(self.path) is None
        return nothing if absent else self._run(call)

    def _run(self, call: Callable[[sqlite3.Connection], T]) -> T:
        """The answer of `call`; a corrupt file is set aside once and `call` made on a new one."""
        for attempt in ("first", "second"):
            try:
                answer = call(self._opened())
                self._wait_for_locks(True)
                return answer
            except (sqlite3.Error, StoreError, UnicodeDecodeError) as error:
                if _code(error) in BUSY:
                    self._wait_for_locks(False)  # once is enough: not at every cell
                else:
                    self.close()
                if attempt == "first" and self._is_damage(error) and may_be_ours(self.path):
                    with suppress(OSError):  # it stays where it is
                        if set_aside(self.path, self._file):
                            continue
                raise StoreError(*_explained(error, self.path)) from error
            except OSError as error:
                self.close()
                raise StoreError(*_explained(error, self.path)) from error
        raise AssertionError("the second attempt returns or raises")

    def _opened(self) -> sqlite3.Connection:
        """The connection, made anew where it is another process's or its file has gone."""
        if self._connection is not None:
            if self._pid != os.getpid():
                # After a fork the connection is the parent's. Even closing it here would harm
                # the parent (sqlite.org/howtocorrupt.html 2.6), so it is kept and not used.
                self._inherited.append(self._connection)
                self._connection = None
            elif file_at(self.path) != self._file:
                # Deleted or set aside by someone: what we wrote would be lost with it.
                self.close()
        if self._connection is None:
            self._connection = self._connect()
            self._pid = os.getpid()
        return self._connection

    def _connect(self) -> sqlite3.Connection:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if is_no_file(self.path):
            raise OSError(EINVAL, "it is no file")
        with suppress(FileExistsError):
            # Made here for its mode; the -wal and -shm files take theirs from it. Only a file
            # that nobody has open yet: closing any descriptor of it drops SQLite's locks.
            os.close(os.open(realpath(self.path), os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        self._file = file_at(self.path)
        self.generation += 1
        self._cells.clear()  # it may be another file now
        connection = sqlite3.connect(
            self.path,
            timeout=OPENING_BUSY_MS / 1000 if self._waits else 0,
            isolation_level=None,  # every transaction is written out below
            check_same_thread=False,
        )
        connection.text_factory = _text
        try:
            applied(connection)  # another program's file is refused before anything is set in it
            self._set_journal(connection)
            migrate(connection)
            self._take_up(connection)
            self._set_patience(connection)
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

    def _is_damage(self, error: Exception) -> bool:
        """Whether an error comes of a damaged file, which may look like something else."""
        if isinstance(error, StoreError):
            return error.kind == "damaged" or (
                error.kind == "foreign" and names_our_tables(self.path)
            )
        if isinstance(error, UnicodeDecodeError):  # what SQLite says quotes a name that is damaged
            return True
        code = _code(error)
        return code in CORRUPT or (code in PERHAPS_DAMAGE and self._is_torn())

    def _is_torn(self) -> bool:
        """Whether the tables are not those that every store has."""
        if says_read_only(self.path):
            return True
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as new:
            migrate(new)
            wanted = set(new.execute(TABLES))
        try:
            uri = f"{self.path.absolute().as_uri()}?mode=ro"
            with closing(sqlite3.connect(uri, uri=True)) as connection:
                connection.text_factory = _text
                return not wanted <= set(connection.execute(TABLES))
        except (sqlite3.Error, UnicodeDecodeError) as error:
            return _code(error) in (*CORRUPT, 0)

    def _take_up(self, connection: sqlite3.Connection) -> None:
        """Take over what damaged files that were set aside still hold."""
        for found in unread(self.path):
            # What cannot be done now is done at the next opening, by whoever comes first.
            with suppress(sqlite3.Error, OSError), taken(self.path, found) as held:
                if held is not None:
                    told = recover(held, connection, _transaction, _connect_damaged)
                    name = name_when_read(self.path, found)
                    self._warn(f"the store {self.path} was damaged; it is kept as {name}; {told}")

    def _warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)


@contextmanager
def _transaction(connection: Connection) -> Iterator[None]:
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


def _connect_damaged(path: Path, as_it_is: bool) -> sqlite3.Connection:
    """A connection to a damaged file, which is hostile for all we know: bounded in what it may
    cost, and to a file that stays `as_it_is` blind for its journals."""
    uri = f"{path.absolute().as_uri()}?{'immutable=1' if as_it_is else 'mode=rw'}"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    connection.text_factory = bytes
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_BYTES)
    ticks = iter(range(LEAST_TICKS + path.stat().st_size // TICK))  # a row takes about 20
    connection.set_progress_handler(lambda: next(ticks, None) is None, TICK)
    for pragma in ("query_only = ON", "trusted_schema = OFF", "cell_size_check = ON"):
        with suppress(sqlite3.Error):
            connection.execute(f"PRAGMA {pragma}")
    return connection


def _text(held: bytes) -> str:
    """A text that was damaged is one that its checksum does not fit, and no error of the query."""
    return held.decode("utf-8", "replace")


def _code(error: Exception) -> int:
    """SQLite's primary result code: the low byte (sqlite.org/rescode.html); 0 of other errors."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _explained(error: Exception, path: Path) -> tuple[str, str]:
    """What happened, to which file, and the one thing to do; and its kind in a StoreError."""
    if isinstance(error, StoreError):
        return f"the store {path} cannot be used: {error}", error.kind
    code = _code(error)
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

"""The store's database: one SQLite file, opened, set aside where it is damaged. Alone imports
sqlite3."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from .errors import StoreError
from .filesystem import locks_work, mount_of
from .migrations import Connection, applied, migrate

T = TypeVar("T")

# No cell waits for it, but what reads the store does.
BUSY_MS = 1000
# Opening may have to wait for another kernel that is making the tables.
OPENING_BUSY_MS = 3000
# sqlite.org/fileformat.html, 1.3
SQLITE_HEADER = b"SQLite format 3\0"
DATABASE_SUFFIXES = (".sqlite", ".sqlite3", ".db")
# The low byte of SQLite's extended result codes (sqlite.org/rescode.html).
CORRUPT = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
NO_LOCKS = (
    "the file locks of {folder} do not keep writers apart, so the store {path} is only read, and "
    "records stay in {path}.journals; nothing is lost, and nothing needs to be done"
)


class Database:
    """A SQLite file. Opened by the first call that needs it; one thread at a time.

    `run` and `read` raise StoreError where the file cannot be used. `procfs` is moved in tests.
    """

    def __init__(self, path: Path, procfs: Path = Path("/proc")) -> None:
        self.path = Path(path)
        self.warnings: list[str] = []  # what the user should be told, each once
        self.generation = 0  # counts openings: after a new one, the file may be another
        self._procfs = procfs
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._pid = 0
        self._inherited: list[sqlite3.Connection] = []
        self._locks_work: bool | None = None

    def read(self, call: Callable[[Connection], T], nothing: T) -> T:
        """The answer of `call`, or `nothing` where there is no file: reading makes none."""
        absent = False
        with suppress(OSError):  # not even to be looked at: opening it will say why
            absent = _file_at(self.path) is None
        if absent:
            return nothing
        if self._locks_work is not False:
            try:
                return self.run(call)
            except StoreError as error:
                if error.kind != "locks":
                    raise
        return self._read_without_locks(call, nothing)

    def check_writable(self) -> None:
        """Raises StoreError where nothing could be kept: a file that opens may be read-only.

        Nothing is changed. Another program's write is waited out as when opening.
        """

        def probe(connection: Connection) -> None:
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

        self.run(probe)

    def write(self, call: Callable[[Connection], T]) -> T:
        """The answer of `call`, which is made within a transaction: all or nothing."""

        def within(connection: Connection) -> T:
            with _transaction(connection):
                return call(connection)

        return self.run(within)

    def close(self) -> None:
        """Let go of the file. A later call opens it again."""
        connection, self._connection = self._connection, None
        if connection is not None and self._pid == os.getpid():
            with suppress(sqlite3.Error):
                connection.close()

    def _read_without_locks(self, call: Callable[[Connection], T], nothing: T) -> T:
        """As the file was when it was last whole: nobody who uses this machine's locks writes it,
        and what is half written by another one is not taken for damage."""
        uri = f"{self.path.absolute().as_uri()}?immutable=1"  # sqlite.org/uri.html
        try:
            connection = sqlite3.connect(uri, uri=True, isolation_level=None)
        except sqlite3.Error:
            return nothing
        try:
            return call(connection)
        except sqlite3.Error:
            return nothing
        finally:
            connection.close()

    def run(self, call: Callable[[Connection], T]) -> T:
        """The answer of `call`; a corrupt file is set aside once and `call` made on a new one."""
        for attempt in ("first", "second"):
            try:
                return call(self._opened())
            except sqlite3.Error as error:
                code = getattr(error, "sqlite_errorcode", 0) & 0xFF
                if code not in BUSY:
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
        if self._locks_work is None:
            self._locks_work = locks_work(self.path.parent, self._procfs)
        if not self._locks_work:
            raise StoreError(NO_LOCKS.format(folder=self.path.parent, path=self.path), "locks")
        with suppress(FileExistsError):
            # Made here for its mode; the -wal and -shm files take theirs from it. Only a file
            # that nobody has open yet: closing any descriptor of it drops SQLite's locks.
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        self._file = _file_at(self.path)
        self.generation += 1
        connection = sqlite3.connect(
            self.path,
            timeout=OPENING_BUSY_MS / 1000,
            isolation_level=None,  # every transaction is written out below
            check_same_thread=False,
        )
        try:
            applied(connection)  # another program's file is refused before anything is set in it
            self._set_journal(connection)
            migrate(connection)
            connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        except StoreError as error:
            connection.close()
            raise StoreError(f"the store {self.path} {error}", error.kind) from None
        except BaseException:
            connection.close()
            raise
        return connection

    def _set_journal(self, connection: sqlite3.Connection) -> None:
        """WAL, with which a reader never blocks a writer; the rollback journal on a network."""
        mount = mount_of(self.path.parent, self._procfs)
        wanted = "delete" if mount is not None and mount.is_network else "wal"
        (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
        if mode != wanted:
            # Another process may be about to do the same; whichever mode results works.
            with suppress(sqlite3.OperationalError):
                connection.execute(f"PRAGMA journal_mode = {wanted}")
        # A commit survives a loss of power: journals are deleted after it. It is waited for where
        # no cell waits (sqlite.org/pragma.html, "synchronous").
        connection.execute("PRAGMA synchronous = FULL")

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

"""The store's database: one SQLite file, opened, set aside where it is damaged. Alone imports
sqlite3."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from errno import EINVAL, EIO, ENOENT
from os.path import realpath
from pathlib import Path
from typing import TypeVar

from .aside import (
    PAUSE_S,
    can_be_read,
    file_at,
    is_cut_off,
    is_empty,
    is_no_file,
    is_read_again,
    may_be_ours,
    name_when_read,
    names_our_tables,
    says_read_only,
    set_aside,
    taken,
    unread,
)
from .carving import LONGEST_BYTES
from .errors import Loss, StoreError
from .failures import (
    CORRUPT,
    FORKED,
    IN_USE,
    INTERRUPT,
    IS_DAMAGED,
    NO_LOCKS,
    PERHAPS_DAMAGED,
    UNWRITTEN,
    code_of,
    explained,
)
from .filesystem import locks_work, mount_of, no_room
from .held_files import FileId, held_files
from .migrations import Connection, applied, check, migrate
from .recovered_rows import OF_THE_DOCUMENT
from .recovery import Recovered, recover

T = TypeVar("T")

# No cell waits for it, but what reads the store does.
BUSY_MS = 1000
# Opening may have to wait for another kernel that is making the tables.
OPENING_BUSY_MS = 3000
# Another process fills a new file within this.
LONG_EMPTY_S = 2.0
TABLES = "SELECT name, sql FROM sqlite_master"
# How many thousands of steps SQLite may take in a damaged file: so many, and one for each kB.
TICK, LEAST_TICKS = 1000, 10_000


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
        self._held = held_files()
        self._file: FileId | None = None
        self._locks_work: bool | None = None

    def read(self, call: Callable[[Connection], T], nothing: T) -> T:
        """The answer of `call`, or `nothing` where there is no file: reading makes none."""
        absent = False
        with suppress(OSError):  # not even to be looked at: opening it will say why
            absent = file_at(self.path) is None
        if absent:
            return nothing
        if self._locks_work is not False:
            try:
                return self.run(call)
            except StoreError as error:
                if error.kind not in (*UNWRITTEN, "read-only", "full"):
                    raise
                if error.kind not in UNWRITTEN:
                    self._warn(str(error))
        return self._read_as_it_is(call, nothing)

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
        if why := no_room(self.path):  # SQLite would say it at the end of a transaction
            raise StoreError(f"the store {self.path} cannot grow: {why}", "full")

    def check(self, within_s: float) -> bool:
        """Whether every page was found sound within this time; a damaged file is set aside.

        It reads the whole file, so it is for those who ask: SQLite notices most damage when it
        meets it, and a document's checksum tells the rest (seal.py).
        """

        def look(connection: Connection) -> bool:
            assert isinstance(connection, sqlite3.Connection)
            last_s = time.monotonic() + within_s
            connection.set_progress_handler(lambda: time.monotonic() > last_s, TICK)
            try:
                ((said,),) = connection.execute("PRAGMA integrity_check(1)")
            except sqlite3.OperationalError as error:
                if code_of(error) == INTERRUPT:
                    return False
                raise
            finally:
                connection.set_progress_handler(None, 0)
            if said != "ok":
                raise StoreError(f"is damaged: {said}; move it away", "damaged")
            return True

        return self.run(look)

    def write(self, call: Callable[[Connection], T]) -> T:
        """The answer of `call`, which is made within a transaction: all or nothing."""

        def within(connection: Connection) -> T:
            with _transaction(connection):
                check(connection)  # a newer version may have come since the file was opened
                return call(connection)

        return self.run(within)

    def close(self) -> None:
        """Let go of the file. A later call opens it again."""
        connection, self._connection = self._connection, None
        if connection is not None and not self._held.is_forked:
            self._let_go(connection)

    def _let_go(self, connection: sqlite3.Connection) -> None:
        with suppress(sqlite3.Error):
            connection.close()
        self._held.closed(connection)

    def _read_as_it_is(self, call: Callable[[Connection], T], nothing: T) -> T:
        """As the file was when it was last whole, without locks and without writing anything beside
        it. What is half written by somebody else is not taken for damage."""
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
            except (sqlite3.Error, StoreError, UnicodeDecodeError) as error:
                if code_of(error) not in IN_USE:
                    self.close()
                if code_of(error) == CORRUPT and not can_be_read(self.path):
                    # As SQLite calls a read that fails, too (vdbe.c, SQLITE_IOERR_CORRUPTFS).
                    failing = OSError(EIO, os.strerror(EIO))
                    raise StoreError(*explained(failing, self.path)) from error
                if attempt == "first" and self._is_damage(error) and may_be_ours(self.path):
                    with suppress(OSError):  # it stays where it is
                        if set_aside(self.path, self._file):
                            continue
                raise StoreError(*explained(error, self.path)) from error
            except OSError as error:
                self.close()
                raise StoreError(*explained(error, self.path)) from error
        raise AssertionError("the second attempt returns or raises")

    def _opened(self) -> sqlite3.Connection:
        """The connection, made anew where its file has gone."""
        if self._held.is_forked:
            raise StoreError(FORKED.format(path=self.path), "forked")
        if self._connection is not None and file_at(self.path) != self._file:
            # Deleted or set aside by someone: what we wrote would be lost with it.
            self.close()
        if self._connection is not None and is_empty(self.path):
            # Cut off by someone. Closing it first would write to it, and delete its WAL.
            set_aside(self.path, self._file)
            self.close()
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def _connect(self) -> sqlite3.Connection:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._locks_work is None:
            self._locks_work = locks_work(self.path.parent, self._procfs)
        if not self._locks_work:
            raise StoreError(NO_LOCKS.format(folder=self.path.parent, path=self.path), "locks")
        if is_no_file(self.path):
            raise OSError(EINVAL, "it is no file")
        if is_cut_off(self.path):
            set_aside(self.path, file_at(self.path))
        new = os.O_CREAT | os.O_EXCL | os.O_RDWR
        was_empty = False
        try:
            with self._held.opened(Path(realpath(self.path)), new):
                pass  # made here for its mode; the -wal and -shm files take theirs from it
        except FileExistsError:
            was_empty = self._is_left_empty()
        file = self._file = file_at(self.path)
        if file is None:
            raise FileNotFoundError(ENOENT, os.strerror(ENOENT))
        self.generation += 1
        connection = self._held.connected(
            file,
            lambda: sqlite3.connect(
                self.path,
                timeout=OPENING_BUSY_MS / 1000,
                isolation_level=None,  # every transaction is written out below
                check_same_thread=False,
                factory=_Connection,
            ),
        )
        connection.text_factory = _text
        try:
            applied(connection)  # another program's file is refused before anything is set in it
            self._set_journal(connection)
            migrate(connection)
            if was_empty:  # told once one is begun: on a full disk none is, each time anew
                said = "was empty, and a new one is begun in it: if it held records, they are lost"
                backup = "unless a journal beside it or a backup of the file has them"
                self._warn(Loss(f"the store {self.path} {said}, {backup}"))
            # What is deleted is gone from the file: pruned records are in no copy of it, and no
            # recovery brings them back (sqlite.org/pragma.html, "secure_delete").
            connection.execute("PRAGMA secure_delete = ON")
            self._take_up(connection)
            connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        except BaseException:
            self._let_go(connection)
            raise
        return connection

    def _is_left_empty(self) -> bool:
        """Whether it was not just made: no byte is what a crash can leave of a file with many."""
        last_s = time.monotonic() + LONG_EMPTY_S
        while is_empty(self.path):
            age_s = time.time() - self.path.stat().st_mtime
            if age_s > LONG_EMPTY_S or time.monotonic() > last_s:
                return True
            time.sleep(PAUSE_S)
        return False

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

    def _is_damage(self, error: Exception) -> bool:
        """Whether an error comes of a damaged file, which may look like something else."""
        if isinstance(error, StoreError):
            return error.kind == "damaged" or (
                error.kind == "foreign" and names_our_tables(self.path)
            )
        if isinstance(error, UnicodeDecodeError):  # what SQLite says quotes a name that is damaged
            return True
        code = code_of(error)
        return code in IS_DAMAGED or (code in PERHAPS_DAMAGED and self._is_torn())

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
                with suppress(sqlite3.Error):  # which then is found below
                    check(connection)
                return not wanted <= set(connection.execute(TABLES))
        except StoreError as error:  # a newer version's tables are other ones, and whole
            return error.kind == "damaged"
        except (sqlite3.Error, UnicodeDecodeError) as error:
            return code_of(error) in (*IS_DAMAGED, 0)

    def _take_up(self, connection: sqlite3.Connection) -> None:
        """Take over what damaged files that were set aside still hold."""
        for found in unread(self.path):
            name = name_when_read(self.path, found)
            was = f"the store {self.path} was damaged; it is kept as {name}"
            # What cannot be done now is done at the next opening, by whoever comes first.
            try:
                with taken(self.path, found, _is_passing) as held:
                    if held is not None:
                        self._warn(Loss(f"{was}; {_recovered(held, connection)}"))
            except Exception as error:  # noqa: BLE001  whatever a damaged file makes of its reading
                if not _is_passing(error) and is_read_again(found):
                    said = f"reading it ended in an error ({type(error).__name__})"
                    self._warn(Loss(f"{was}; {said}, and what it held may not all be here"))

    def _warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)


class _Connection(sqlite3.Connection):
    """One that a weak reference can be made to."""


def _recovered(held: Path, connection: sqlite3.Connection) -> Recovered:
    """What a file that was set aside gave back. Until all is written, the file stands for it: one
    wait for the disk is enough."""
    connection.execute("PRAGMA synchronous = NORMAL")
    try:
        told = recover(held, connection, _transaction, _connect_damaged)
        connection.execute("PRAGMA wal_checkpoint").fetchall()
    finally:
        connection.execute("PRAGMA synchronous = FULL")
    return told


def _is_passing(error: BaseException) -> bool:
    """Whether another try may go better: the new file cannot be written now, or the user has
    interrupted it. All else is for what the damaged file is."""
    if isinstance(error, sqlite3.Error):
        return code_of(error) not in OF_THE_DOCUMENT
    return isinstance(error, OSError) or not isinstance(error, Exception)


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

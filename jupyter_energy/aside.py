"""Damaged stores that were set aside: kept beside the new one, and read for what is left in them.

`energy.sqlite` becomes `energy.sqlite.unread-20250301T093000Z`, with what belongs to it. Whoever
opens the store next reads it, and it is then called `….corrupt-…`: so what a killed process did
not get to is read by another. A file whose reading has ended a process is read once more
(`….reread-…`) and never again.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from .held_files import FileId, held_files

UNREAD, REREAD, READ = "unread", "reread", "corrupt"
# What SQLite puts beside a database (sqlite.org/tempfiles.html). The file itself last: a new one
# must never meet the old one's journal.
BESIDE = ("-wal", "-shm", "-journal", "")
# sqlite.org/fileformat.html, 1.3
SQLITE_HEADER = b"SQLite format 3\0"
DATABASE_SUFFIXES = (".sqlite", ".sqlite3", ".db")
# Where a database of ours has the list of its tables: in its first pages.
LIST_OF_TABLES_BYTES = 64 * 1024
READING = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
# How long to wait for another process that is setting the file aside, which takes it a moment.
PATIENCE_S, PAUSE_S = 3.0, 0.01


def file_at(path: Path) -> FileId | None:
    """What tells the file now at `path` from one that took its place; None where there is none.
    Raises OSError where it cannot be looked at."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def is_no_file(path: Path) -> bool:
    """Whether something lies there that is no file, such as a folder or a named pipe: opening a
    pipe could wait for ever."""
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False


def may_be_ours(path: Path) -> bool:
    """Whether a damaged file was a database, by its name or its first bytes: one that a user
    named by mistake (results.csv) is theirs, and stays where it is."""
    return path.suffix in DATABASE_SUFFIXES or _begin(path).startswith(SQLITE_HEADER)


def can_be_read(path: Path) -> bool:
    """Whether the disk gives all of a database: one that fails has damaged nothing yet."""
    try:
        for suffix in ("", "-wal"):
            file = path.with_name(path.name + suffix)
            if file.exists():
                with held_files().opened(file, READING) as descriptor:
                    while os.read(descriptor, LIST_OF_TABLES_BYTES):
                        pass
    except OSError:
        return False
    return True


def names_our_tables(path: Path) -> bool:
    """Whether a database that shows no table of ours still has the name of one: then it is not
    another program's, but its list of tables is damaged."""
    return b"energy_migration" in _begin(path)


def says_read_only(path: Path) -> bool:
    """Whether the header of a database asks for a newer SQLite to write it, as ours never do."""
    return any(version > 2 for version in _begin(path)[18:20])


def _begin(path: Path) -> bytes:
    if is_no_file(path):
        return b""
    try:
        with held_files().opened(path, READING) as descriptor:
            return os.read(descriptor, LIST_OF_TABLES_BYTES)
    except OSError:
        return b""


def set_aside(path: Path, damaged: FileId | None) -> bool:
    """Rename the damaged file and what belongs to it, unless another process just has.

    True where the way is free for a new file.
    """
    path = Path(os.path.realpath(path))  # a link stays; SQLite's files lie beside what it names
    give_up_s = time.monotonic() + PATIENCE_S
    while file_at(path) == damaged is not None:
        with locked(path) as is_ours:
            if is_ours:
                return file_at(path) != damaged or _renamed(path, _free_name(path))
        if time.monotonic() > give_up_s:
            return False
        time.sleep(PAUSE_S)
    return True


def unread(path: Path) -> list[Path]:
    """The damaged files beside a store that are still to be read, oldest first."""
    return [found for kind in (REREAD, UNREAD) for found in _called(path, kind)]


def kept(path: Path) -> list[Path]:
    """All damaged files beside a store, without what belongs to them."""
    return sorted(_called(path, READ) + unread(path))


def name_when_read(path: Path, found: Path) -> str:
    """What an unread file is called once it has been read."""
    return _as(path, found, READ).name


def is_read_again(found: Path) -> bool:
    """Whether reading an unread file has failed before: it is not read a third time."""
    return f".{REREAD}-" in found.name


@contextmanager
def taken(
    path: Path, found: Path, is_passing: Callable[[BaseException], bool]
) -> Iterator[Path | None]:
    """Holds an unread file while it is read: where it lies now; None where another process has it.

    It counts as read when the block ends, and as unread again where that raises what `is_passing`.
    What raises anything else is read once more, as if it had ended the process.
    """
    with locked(found) as is_ours:
        if not is_ours or file_at(found) is None:
            yield None
            return
        last_time = is_read_again(found)
        held = _as(path, found, READ if last_time else REREAD)
        if not _renamed(found, held):
            yield None
            return
        try:
            yield held
        except BaseException as error:
            if is_passing(error):
                _renamed(held, found)
            raise
        if not last_time:
            _renamed(held, _as(path, found, READ))


@contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Holds a damaged file for this process, as far as the system lets it: whether it does.

    The lock is on the file itself and ends with the process: nobody has to clean up.
    """
    try:
        import fcntl
    except ImportError:  # Windows, where nobody can rename a file that another process has open
        yield True
        return
    with ExitStack() as stack:
        try:
            flags = os.O_RDWR | os.O_NONBLOCK
            descriptor = stack.enter_context(held_files().opened(path, flags))
        except OSError:
            yield True  # it has gone, which the caller will see; or nothing can be known
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        except OSError:  # a file system without locks
            pass
        else:  # the descriptor may live on
            stack.callback(fcntl.flock, descriptor, fcntl.LOCK_UN)
        yield True


def _called(path: Path, kind: str) -> list[Path]:
    path = Path(os.path.realpath(path))
    name = re.compile(rf"{re.escape(path.name)}\.{kind}-[0-9]{{8}}T[0-9]{{6}}Z(-[0-9]+)?")
    with suppress(OSError):
        return sorted(found for found in path.parent.iterdir() if name.fullmatch(found.name))
    return []


def _as(path: Path, found: Path, kind: str) -> Path:
    """The name that a file set aside has when it is of another kind."""
    name = Path(os.path.realpath(path)).name
    stamp = found.name[len(name) :].partition("-")[2]
    return found.with_name(f"{name}.{kind}-{stamp}")


def _free_name(path: Path) -> Path:
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    number = 1
    while True:
        end = stamp if number == 1 else f"{stamp}-{number}"
        names = [Path(f"{path}.{kind}-{end}") for kind in (UNREAD, REREAD, READ)]
        if not any(map(os.path.lexists, names)):
            return names[0]
        number += 1


def _renamed(path: Path, to: Path) -> bool:
    for suffix in BESIDE:
        try:
            Path(f"{path}{suffix}").rename(f"{to}{suffix}")
        except FileNotFoundError:
            continue
        except OSError:
            return False
    return True

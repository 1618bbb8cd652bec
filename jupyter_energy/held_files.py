"""The database files that this process has open, whose locks neither a fork nor we may drop.

SQLite keeps the files that it has open and their locks in a table of the process. A forked child
inherits the table and none of the locks (sqlite.org/howtocorrupt.html, 2.6). And where a process
closes any descriptor of a file, the system drops all POSIX locks that it has on it, SQLite's too
(2.2). What is kept here is one for the process as well, because SQLite's table is.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from weakref import WeakSet

FileId = tuple[int, int]

_lock = threading.Lock()
_pid = 0  # of the process that opened the first one; 0 before
_connected: Counter[FileId] = Counter()
_open: WeakSet[object] = WeakSet()
# Descriptors of files that are connected, each with its flags: used again, and closed with the
# last connection.
_idle: dict[FileId, list[tuple[int, int]]] = {}


def is_forked() -> bool:
    """Whether this process was forked from one that has had a database open: nothing that it does
    with SQLite to that file would be kept apart from what others do."""
    return _pid not in (0, os.getpid())


def connecting(file: FileId) -> None:
    """A connection to a file is about to be opened; `disconnected` once it is closed."""
    global _pid  # noqa: PLW0603  see above: SQLite's table is the process's
    with _lock:
        _pid = _pid or os.getpid()
        _connected[file] += 1


def connected(connection: object) -> None:
    """It is open: a forked child never lets go of its copy."""
    _open.add(connection)


def disconnected(file: FileId) -> None:
    """A connection has been closed."""
    with _lock:
        _connected[file] -= 1
        if _connected[file] <= 0:
            del _connected[file]
            for _, descriptor in _idle.pop(file, ()):
                os.close(descriptor)


@contextmanager
def opened(path: Path, flags: int) -> Iterator[int]:
    """A descriptor of a file, at its beginning, which nobody else has; it is not closed while this
    process is connected to the file. Raises OSError."""
    with _lock:
        descriptor = _taken(path, flags)
    if descriptor is None:
        descriptor = os.open(path, flags, 0o600)
    try:
        yield descriptor
    finally:
        with _lock:
            found = os.fstat(descriptor)
            file = found.st_dev, found.st_ino
            if file in _connected:
                _idle.setdefault(file, []).append((flags, descriptor))
            else:
                os.close(descriptor)


def _taken(path: Path, flags: int) -> int | None:
    """One of those that wait to be closed, where there is one."""
    if not _idle or flags & os.O_EXCL:
        return None
    with suppress(OSError):
        found = path.stat()
        idle = _idle.get((found.st_dev, found.st_ino), [])
        for place, (of, descriptor) in enumerate(idle):
            if of == flags:
                os.lseek(descriptor, 0, os.SEEK_SET)
                del idle[place]
                return descriptor
    return None


def _after_fork() -> None:
    """In a forked child, where no other thread goes on and no lock of a file is held."""
    global _lock  # noqa: PLW0603  another thread may have held it
    _lock = threading.Lock()
    _connected.clear()
    _idle.clear()
    if _open:
        # Even closing a connection would act on files of the parent's, and Python closes what it
        # lets go of: with one reference more it never does.
        import ctypes

        for connection in list(_open):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


if hasattr(os, "register_at_fork"):  # Windows does not fork
    os.register_at_fork(after_in_child=_after_fork)

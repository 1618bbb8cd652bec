"""The database files that this process has open, whose locks neither a fork nor we may drop.

SQLite keeps the files that it has open and their locks in a table of the process. A forked child
inherits the table and none of the locks (sqlite.org/howtocorrupt.html, 2.6). And where a process
closes any descriptor of a file, the system drops all POSIX locks that it has on it, SQLite's too
(2.2).
"""

from __future__ import annotations

import os
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TypeVar
from weakref import WeakKeyDictionary, finalize

T = TypeVar("T")

FileId = tuple[int, int]


@cache
def held_files() -> HeldFiles:
    """Those of this process: one table, as SQLite's is."""
    return HeldFiles()


class HeldFiles:
    """Which files SQLite has open, and the descriptors that may not be closed before it lets go.

    Any thread may call it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pid = 0  # of the process that has them open
        self._connected: Counter[FileId] = Counter()
        self._connections: WeakKeyDictionary[object, finalize[..., object]] = WeakKeyDictionary()
        self._ends: deque[FileId] = deque()  # of connections, each told by its file
        # With their flags: they are used again, and closed with the last connection.
        self._idle: dict[FileId, list[tuple[int, int]]] = {}
        if hasattr(os, "register_at_fork"):  # Windows does not fork
            os.register_at_fork(after_in_child=self._after_fork)

    @property
    def is_forked(self) -> bool:
        """Whether this process was forked from one that had a database open: nothing that it did
        with SQLite to that file would be kept apart from what others do."""
        return bool(self._connected) and self._pid != os.getpid()

    def connected(self, file: FileId, connect: Callable[[], T]) -> T:
        """The connection to a file that `connect` opens. One that is let go of closes itself."""
        with self._lock:
            self._settle()
            self._pid = os.getpid()
            self._connected[file] += 1
        try:
            connection = connect()
        except BaseException:
            self._ends.append(file)
            raise
        ended: finalize[..., object] = finalize(connection, self._ends.append, file)
        ended.atexit = False
        self._connections[connection] = ended
        return connection

    def closed(self, connection: object) -> None:
        """A connection has been closed."""
        self._connections.pop(connection)()
        with self._lock:
            self._settle()

    def _settle(self) -> None:
        """Count what has ended; the garbage collector tells it at any moment, without the lock."""
        while self._ends:
            file = self._ends.popleft()
            self._connected[file] -= 1
            if self._connected[file] <= 0:
                del self._connected[file]
                for _, descriptor in self._idle.pop(file, ()):
                    os.close(descriptor)

    @contextmanager
    def opened(self, path: Path, flags: int) -> Iterator[int]:
        """A descriptor of a file, at its beginning, which nobody else has; it is not closed while
        this process is connected to the file. Raises OSError."""
        with self._lock:
            self._settle()
            descriptor = self._taken(path, flags)
        if descriptor is None:
            descriptor = os.open(path, flags, 0o600)
        try:
            yield descriptor
        finally:
            with self._lock:
                self._settle()
                file = _id(os.fstat(descriptor))
                if file in self._connected:
                    self._idle.setdefault(file, []).append((flags, descriptor))
                else:
                    os.close(descriptor)

    def _taken(self, path: Path, flags: int) -> int | None:
        """One of those that wait to be closed, where there is one."""
        if not self._idle or flags & os.O_EXCL:
            return None
        with suppress(OSError):
            idle = self._idle.get(_id(path.stat()), [])
            for place, (of, descriptor) in enumerate(idle):
                if of == flags:
                    os.lseek(descriptor, 0, os.SEEK_SET)
                    del idle[place]
                    return descriptor
        return None

    def _after_fork(self) -> None:
        """In a forked child, where no other thread goes on and no lock of a file is held."""
        self._lock = threading.Lock()  # another thread may have held it
        self._idle.clear()
        self._settle()
        kept = list(self._connections)
        if kept:
            # Even closing a connection would act on files of the parent's, and Python closes what
            # it lets go of: with one reference more it never does.
            import ctypes

            for connection in kept:
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


def _id(found: os.stat_result) -> FileId:
    return found.st_dev, found.st_ino

"""A file of the kernel that is read again and again, by one descriptor, and found again."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

from ..errors import SensorAbsent, SensorDenied, SensorError


class KernelFile:
    """The text of a file under sysfs, read from its start: about 1 µs a read.

    A driver that goes (a socket taken offline, a module loaded anew) leaves a dead descriptor
    behind. A read that fails therefore opens the file once more; `same` is called before, and
    raises SensorError where what lies there now is another's. Raises SensorDenied, SensorAbsent
    or SensorError where the file cannot be opened.
    """

    def __init__(self, path: Path, same: Callable[[], None] = lambda: None) -> None:
        self.path = path
        self._same = same
        self._closed = False
        self._descriptor = self._opened()
        self._identity = identity(self._descriptor)

    def read(self, longest: int) -> bytes:
        """The first `longest` bytes at most. Raises as the class does."""
        try:
            return os.pread(self._descriptor, longest, 0)
        except OSError as error:
            raise as_sensor_error(error, self.path) from error

    def reopen(self) -> None:
        """Put the file that lies there now behind the descriptor. Raises as the class does."""
        if self._closed:
            raise SensorError(f"{self.path} was closed")
        self._same()
        ours = self._is_ours()  # asked first, as the new file may get a number that is free
        new = self._opened()
        if ours:
            # In one step: another thread may be reading by this number.
            os.dup2(new, self._descriptor, inheritable=False)
            os.close(new)
        else:
            self._descriptor = new
        self._identity = identity(self._descriptor)

    def close(self) -> None:
        """Let go of the descriptor. Never raises."""
        if not self._closed and self._is_ours():
            os.close(self._descriptor)
        self._closed = True
        self._descriptor = -1

    def _opened(self) -> int:
        try:
            return os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise as_sensor_error(error, self.path) from error

    def _is_ours(self) -> bool:
        """Whether the number still is of our file: the user's code may have closed it, and opened
        a file of its own that got the same number."""
        return is_still(self._descriptor, self._identity)


def as_sensor_error(error: OSError, path: Path) -> SensorError:
    """Why a file cannot be read, in words."""
    if error.errno in (errno.EACCES, errno.EPERM):
        return SensorDenied(f"permission denied: {path}")
    if error.errno in (errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.ESRCH):
        return SensorAbsent(f"{path} is gone ({error.strerror})")
    if error.errno == errno.EBADF:
        return SensorError(f"{path} was closed")
    return SensorError(f"{path} could not be read ({error.strerror})")


def text_of(path: Path) -> str:
    """The text of a short file, without the white space around it. Raises OSError."""
    return path.read_text(encoding="utf-8", errors="replace").strip()


def number_of(path: Path) -> int | None:
    """The whole number in a file, or None where it has none or may not be read."""
    try:
        text = text_of(path)
    except OSError:
        return None
    return int(text) if text.isdecimal() else None


def lines_of(path: Path) -> list[str]:
    """The lines of a text file, none where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def is_file(path: Path) -> bool:
    """Whether a file is there and may be looked at."""
    try:
        return path.is_file()
    except OSError:
        return False


def is_folder(path: Path) -> bool:
    """Whether a folder is there and may be looked at."""
    try:
        return path.is_dir()
    except OSError:  # not allowed to follow: as good as absent
        return False


def identity(descriptor: int) -> tuple[int, int]:
    """What file a descriptor is of, so that `is_still` can tell it from another. Raises OSError."""
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def is_still(descriptor: int, before: tuple[int, int]) -> bool:
    """Whether a number is of the same file still: the user's code may have closed it, and opened
    a file of its own that got the same number, which is neither to be read nor closed."""
    try:
        return identity(descriptor) == before
    except OSError:
        return False

"""The part of a large CSV file that a plan needs, found without reading the rest.

A file of ten million rows takes a minute to read, and a plan needs those of its own time, or of the
year that ends it. Where rows are in the order of time, they are found by halving: some hundred
lines are looked at, whatever the size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from .answers import MOST_INTERVALS
from .base import Get, Reply
from .csv_trace import MOST_BYTES, file_reader, moments_of

# What is smaller is read whole.
LARGE_BYTES = 2 * 2**20
# With the time that is planned these are fewer rows than are read, at a step of five minutes; where
# the step is shorter, the second: a season (plan/outlook.py).
BEFORE = (timedelta(days=360), timedelta(days=31))
# So far out of their order may rows lie, and are found all the same.
AFTER = timedelta(days=7)
_LONGEST_LINE = 64 * 2**10
# So many moments of a file must be in order for all to be taken to be.
_PROBES = 64
_TRIES = 20  # lines until one has a moment

Moments = Callable[[bytes], datetime | None]


def part_reader(file: str, begin: datetime, end: datetime) -> Get:
    """Gives what `csv_trace.file_reader` does; of a large file in the order of time, its first line
    and the rows of about a year up to `end`, or up to the file's own where that is earlier."""
    whole = file_reader(file)

    def get(path: str, headers: Mapping[str, str]) -> Reply:
        found = _part(Path(file).expanduser(), begin, end)
        if found is None:
            return whole(path, headers)
        return Reply(200, {"x-name": Path(file).name}, found)

    return get


def _part(path: Path, begin: datetime, end: datetime) -> bytes | None:
    """The first line and those of the time; None where the whole file is to be read, or tells why
    it cannot be."""
    try:
        if not path.is_file() or path.stat().st_size <= LARGE_BYTES:
            return None
        with path.open("rb") as opened:
            return _Large(opened, path).rows(begin, end)
    except OSError:
        return None


class _Large:
    """A file of which lines are looked at where they are wanted."""

    def __init__(self, opened: BinaryIO, path: Path) -> None:
        self._file = opened
        self._first = opened.readline(_LONGEST_LINE)
        self._size = path.stat().st_size
        self._moment = moments_of(path.name, self._first)

    def rows(self, begin: datetime, end: datetime) -> bytes | None:
        """The bytes of those rows; None where times are not in order, or not to be read."""
        top = len(self._first)
        step = max(1, (self._size - top) // _PROBES)
        seen = [self._after(at)[0] for at in range(top, self._size, step)]
        times = [one for one in seen if one is not None]
        if len(times) < _PROBES // 2 or times != sorted(times):
            return None
        last, last_line = self._last()
        upper = self._offset(end + AFTER)
        for before in BEFORE:
            lower = self._offset(min(begin, last or times[-1]) - before)
            body = self._read(lower, upper)
            if body.count(b"\n") < MOST_INTERVALS:
                # Of a file that begins later, the first lines and the last say what it holds.
                head = b"" if body else self._read(top, top + _LONGEST_LINE)
                return self._first + (body or head[: head.rfind(b"\n") + 1] + last_line)
        return None

    def _read(self, lower: int, upper: int) -> bytes:
        """The bytes between two offsets; of more than are read, whole lines of them."""
        self._file.seek(lower)
        found = self._file.read(min(upper - lower, MOST_BYTES))
        return found if lower + len(found) >= upper else found[: found.rfind(b"\n") + 1]

    def _last(self) -> tuple[datetime | None, bytes]:
        """The last moment, and its line."""
        self._file.seek(max(self._size - _LONGEST_LINE, 0))
        for line in reversed(self._file.read(_LONGEST_LINE).splitlines()[1:]):
            found = self._moment(line)
            if found is not None:
                return found, line
        return None, b""

    def _offset(self, moment: datetime) -> int:
        """Where the first line begins that is of a moment or later."""
        low, high = len(self._first), self._size
        first, _ = self._after(low)
        if first is None or first >= moment:
            return low
        while high - low > 1:
            middle = (low + high) // 2
            found, _ = self._after(middle)
            if found is None or found >= moment:
                high = middle
            else:
                low = middle
        return self._after(high)[1]

    def _after(self, at: int) -> tuple[datetime | None, int]:
        """The moment of the first line that begins at or after a byte and has one, and where that
        line begins; None at the end."""
        self._file.seek(max(at - 1, 0))
        self._file.readline(_LONGEST_LINE)
        for _ in range(_TRIES):
            begins = self._file.tell()
            line = self._file.readline(_LONGEST_LINE)
            if not line:
                return None, self._size
            found = self._moment(line)
            if found is not None:
                return found, begins
        return None, self._size

"""The part of a large CSV file that a plan needs, found without reading the rest.

A file of ten million rows takes a minute to read, and a plan needs those of its own time, or of the
year that ends it. Where rows are in the order of time, they are found by halving: some hundred
lines are looked at, whatever the size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from .answers import MOST_INTERVALS
from .base import Get, Reply
from .csv_trace import MOST_BYTES, file_reader, moments_of

# What is smaller is read whole.
LARGE_BYTES = 2 * 2**20
# The first of these whose rows, with those of the time itself, are few enough to be read at once:
# at a step of five minutes the second, where it is shorter the third: a season (plan/outlook.py).
BEFORE = (timedelta(days=360), timedelta(days=340), timedelta(days=31))
# Of whatever may have been measured, as much as is read at once.
EVER = (timedelta(days=20 * 366), *BEFORE)
# So far out of their order may rows lie, and are found all the same.
AFTER = timedelta(days=7)
_LONGEST_LINE = 64 * 2**10
# So many moments of a file must be in order for all to be taken to be.
_PROBES = 64
_TRIES = 20  # lines until one has a moment

Moments = Callable[[bytes], datetime | None]


def part_reader(file: str, befores: Sequence[timedelta] = BEFORE) -> Get:
    """Gives what `csv_trace.file_reader` does; of a large file in the order of time, asked for days
    such as "2026-01-01/2026-01-03", its first line, their rows and those of a time before them: of
    `befores` the first that is no more than is read at once.

    Where the file has no rows of these days, that time ends with its last row.
    """
    whole = file_reader(file)

    def get(days: str, headers: Mapping[str, str]) -> Reply:
        found = _part(Path(file).expanduser(), days, befores, headers.get("if-none-match", ""))
        return whole(days, headers) if found is None else found

    return get


def _part(path: Path, days: str, befores: Sequence[timedelta], known: str) -> Reply | None:
    """The first line and those of the days; None where the whole file is to be read, or tells why
    it cannot be."""
    begin, end = (datetime.fromisoformat(day).replace(tzinfo=UTC) for day in days.split("/"))
    try:
        found = path.stat()
        if not path.is_file() or found.st_size <= LARGE_BYTES:
            return None
        etag = f"{found.st_ino}-{found.st_size}-{found.st_mtime_ns}-{days}"
        if etag in known.split(", "):
            return Reply(304, {"etag": etag}, b"")
        with path.open("rb") as opened:
            body = _Large(opened, path).rows(begin, end, befores)
    except OSError:
        return None
    return None if body is None else Reply(200, {"x-name": path.name, "etag": etag}, body)


class _Large:
    """A file of which lines are looked at where they are wanted."""

    def __init__(self, opened: BinaryIO, path: Path) -> None:
        self._file = opened
        self._first = opened.readline(_LONGEST_LINE)
        self._size = path.stat().st_size
        self._moment = moments_of(path.name, self._first)

    def rows(self, begin: datetime, end: datetime, befores: Sequence[timedelta]) -> bytes | None:
        """The bytes of those rows; None where times are not in order, not to be read, or where
        there is too much of them."""
        top = len(self._first)
        step = max(1, (self._size - top) // _PROBES)
        seen = [self._after(at)[0] for at in range(top, self._size, step)]
        times = [one for one in seen if one is not None]
        if len(times) < _PROBES // 2 or times != sorted(times):
            return None
        last, last_line = self._last()
        upper = self._offset(end + AFTER)
        for before in befores:
            lower = self._offset(min(begin, last or times[-1]) - before)
            if upper - lower > MOST_BYTES:
                continue
            body = self._read(lower, upper)
            if body.count(b"\n") < MOST_INTERVALS:
                # Of a file that begins later, the first lines and the last say what it holds.
                head = b"" if body else self._read(top, top + _LONGEST_LINE)
                return self._first + (body or head[: head.rfind(b"\n") + 1] + last_line)
        return None

    def _read(self, lower: int, upper: int) -> bytes:
        self._file.seek(lower)
        return self._file.read(max(0, upper - lower))

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

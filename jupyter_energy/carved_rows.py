"""The rows of notebooks in the bytes of a damaged database, where SQL finds them no more.

A row is the sizes of its columns and then the columns, without a gap (sqlite.org/fileformat.html,
2.1). Nothing seals it: what is found is for `recovered_rows.notebook` to judge.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import accumulate, pairwise
from pathlib import Path

from .carving import CHUNK_BYTES, LARGEST_FILE_BYTES

COLUMNS = 7
# Of a row, in one page: longer ones go on elsewhere.
LONGEST_BYTES = 4096
# The size of the header, and the type of a text of 32 bytes; then come those of the other columns.
_ROW = re.compile(rb"(?=[\x08-\x0f]\x4d)")
_ID = re.compile(rb"[0-9a-f]{32}")


def notebooks(path: Path) -> Iterator[tuple[bytes | None, ...]]:
    """What may be rows of the table `notebook`, in a database that was set aside and in its WAL;
    the latest of those in the WAL first."""
    with suppress(OSError):
        yield from reversed(list(_rows(Path(f"{path}-wal"))))
    with suppress(OSError):
        yield from _rows(path)


def _rows(path: Path) -> Iterator[tuple[bytes | None, ...]]:
    with path.open("rb") as file:
        place, held = 0, b""
        while place < LARGEST_FILE_BYTES and (chunk := file.read(CHUNK_BYTES)):
            place += len(chunk)
            held += chunk
            is_last = len(chunk) < CHUNK_BYTES
            end = len(held) if is_last else max(0, len(held) - LONGEST_BYTES)
            for found in _ROW.finditer(held):
                if found.start() < end and (row := _row(held, found.start())) is not None:
                    yield row
            held = held[end:]


def _row(held: bytes, place: int) -> tuple[bytes | None, ...] | None:
    begin = place + held[place]
    types = _numbers(held[place + 1 : begin])
    if len(types) != COLUMNS or not _ID.match(held, begin):
        return None
    sizes = [(kind - 12) // 2 if kind >= 12 else 0 for kind in types]
    if sum(sizes) > LONGEST_BYTES or any(0 < kind < 12 for kind in types):
        return None
    ends = pairwise(accumulate(sizes, initial=begin))
    return tuple(
        held[first:last] if kind else None for kind, (first, last) in zip(types, ends, strict=True)
    )


def _numbers(header: bytes) -> list[int]:
    """The numbers of a header: seven bits a byte, of which the last has no eighth."""
    found, number = [], 0
    for byte in header:
        number = number << 7 | byte & 0x7F
        if byte < 0x80:
            found.append(number)
            number = 0
    return found

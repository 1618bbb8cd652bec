"""The sealed documents in the bytes of a damaged database, whatever became of its tables.

A document of up to about 4000 bytes lies in one page, in one piece. A longer one goes on in
overflow pages, each of which begins with the number of the next (sqlite.org/fileformat.html, 1.6).
What is found has the checksum that it was written with (seal.py): nothing is guessed.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

from .seal import LONGEST_SEAL, seal_of

# What SQLite uses unless told otherwise, which we never do (sqlite.org/pragma.html, "page_size").
PAGE_BYTES = 4096
PAGE_SIZES = frozenset(1 << n for n in range(9, 17))
WAL_HEADER_BYTES, FRAME_HEADER_BYTES = 32, 24
# A trace of eight GPUs takes under 1 MB.
LONGEST_BYTES = 8 * 2**20
# A store of a million records has about 2 GB.
LARGEST_FILE_BYTES = 8 * 2**30
CHUNK_BYTES = 2**20
# What is read of a document besides its place: no hostile file has itself read over and over.
READ_AGAIN = 4
_MARK = b'{"crc32": "'  # MARK, as bytes
_RUN = re.compile(rb"[ -~]*")  # a document is plain ASCII


def carved(path: Path) -> Iterator[str]:
    """Every whole document in a database that was set aside, in its WAL and its rollback journal;
    the latest of those in the WAL first."""
    wal = Path(f"{path}-wal")
    for part in (wal, path, Path(f"{path}-journal")):
        with suppress(OSError), part.open("rb") as file, _Pages(path, wal) as pages:
            size = min(file.seek(0, 2), LARGEST_FILE_BYTES)
            places = _marks(file, size)
            if part == wal:
                places.reverse()  # it is written from its beginning
            budget = _Budget(CHUNK_BYTES + READ_AGAIN * size)
            found = (_document(file, place, pages, budget) for place in places)
            yield from filter(None, found)


class _Budget:
    """How many bytes may still be read."""

    def __init__(self, size: int) -> None:
        self._left = size

    def spend(self, size: int) -> bool:
        """Whether as much is left, which then is not any more."""
        self._left -= size
        return self._left >= 0


def _document(file: BinaryIO, place: int, pages: _Pages, budget: _Budget) -> str | None:
    """The document that begins at a place, where it is whole."""
    file.seek(place)
    seal = seal_of(file.read(LONGEST_SEAL).decode("ascii", "replace"))
    if seal is None:
        return None
    length, checksum, start = seal
    needed = start + length
    if length > LONGEST_BYTES or not budget.spend(needed):
        return None
    file.seek(place)
    found = file.read(needed)
    if crc32(found[start:]) == checksum:
        return found.decode("ascii", "replace")
    # In one piece up to the number of its first overflow page, whose first byte is 0.
    run = _RUN.match(found)
    here = found[: run.end()] if run is not None else b""
    file.seek(place + len(here))
    first = int.from_bytes(file.read(4), "big")
    for as_in_wal in (True, False):
        if budget.spend(needed):
            whole = here + pages.chain(first, needed - len(here), as_in_wal)
            if len(whole) == needed and crc32(whole[start:]) == checksum:
                return whole.decode("ascii", "replace")
    return None


class _Pages:
    """The pages of a database by their number: as its WAL has them, or as its file does."""

    def __init__(self, main: Path, wal: Path) -> None:
        self._paths = main, wal
        self._files: list[BinaryIO | None] = []
        self._frames: dict[int, int] = {}  # where the WAL has a page; the last frame of it counts
        self._page_bytes = PAGE_BYTES

    def __enter__(self) -> _Pages:
        for path in self._paths:
            try:
                self._files.append(path.open("rb"))
            except OSError:
                self._files.append(None)
        main, wal = self._files
        if main is not None:
            said = int.from_bytes(main.read(18)[16:], "big")
            self._page_bytes = _page_size(65536 if said == 1 else said)
        if wal is not None:
            self._page_bytes = _page_size(int.from_bytes(wal.read(12)[8:], "big"))
            self._look_through(wal)
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files:
            if file is not None:
                file.close()

    def _look_through(self, wal: BinaryIO) -> None:
        size = min(wal.seek(0, 2), LARGEST_FILE_BYTES)
        frame_bytes = FRAME_HEADER_BYTES + self._page_bytes
        for place in range(WAL_HEADER_BYTES, size - frame_bytes + 1, frame_bytes):
            wal.seek(place)
            number = int.from_bytes(wal.read(4), "big")
            self._frames[number] = place + FRAME_HEADER_BYTES

    def chain(self, number: int, size: int, as_in_wal: bool) -> bytes:
        """`size` bytes of the overflow pages from a page on, or as many as there are."""
        main, wal = self._files
        parts, held = [], 0
        while number and held < size:
            if as_in_wal and wal is not None and number in self._frames:
                file, place = wal, self._frames[number]
            elif main is not None:
                file, place = main, (number - 1) * self._page_bytes
            else:
                break
            file.seek(place)
            page = file.read(self._page_bytes)
            if len(page) < self._page_bytes:
                break
            number = int.from_bytes(page[:4], "big")
            parts.append(page[4:])
            held += len(page) - 4
        return b"".join(parts)[:size]


def _page_size(said: int) -> int:
    return said if said in PAGE_SIZES else PAGE_BYTES


def _marks(file: BinaryIO, size: int) -> array[int]:
    """Where documents begin in the first `size` bytes of a file."""
    found: array[int] = array("Q")
    file.seek(0)
    place, tail = 0, b""
    while place < size and (chunk := file.read(min(CHUNK_BYTES, size - place))):
        text = tail + chunk
        at = text.find(_MARK)
        while at >= 0:
            found.append(place - len(tail) + at)
            at = text.find(_MARK, at + 1)
        place += len(chunk)
        tail = text[1 - len(_MARK) :]
    return found

"""A journal: what one process has to keep, one line an entry, safe as soon as it is appended.

An append is one write of one line to the end of a file that no other process writes. What has been
written survives the end of the process at any moment (`kill -9`): the system has it. A line that
was cut short, by a full disk or a power cut, is told by its checksum and passed over.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from errno import EBADF, EINVAL, EMSGSIZE, ENOSPC
from pathlib import Path
from typing import Literal, cast, get_args
from weakref import ref
from zlib import crc32

from .foreign import loads

Kind = Literal["head", "notebook", "record", "heartbeat", "idle", "power", "end"]
KINDS = frozenset(get_args(Kind))
SUFFIX = ".journal"
BETWEEN = "\t"  # what an entry is of, and the entry: JSON holds no tab
# A trace of eight GPUs takes under 1 MB; what is longer was not written by us.
LONGEST_LINE_BYTES = 8 * 2**20


@dataclass(frozen=True, slots=True)
class Entry:
    """What a line holds: a JSON `document`, and what it is of.

    `name` is the id of the run or of the idle time; `key` is that of the notebook it belongs to
    (see pages.py), and `notebook_id` its id in the store, empty while that is not known. A
    "heartbeat" is the record that a run would have if it had ended then.
    """

    kind: Kind
    document: str
    name: str = ""
    key: str | None = None
    notebook_id: str = ""

    def line(self) -> bytes:
        """The entry as a line, with the checksum of what follows it."""
        of = json.dumps([self.kind, self.name, self.key, self.notebook_id])
        text = f"{of}{BETWEEN}{self.document}".encode("ascii")
        return b"%08x %b\n" % (crc32(text), text)


class _Open:
    """A file that is written by its descriptor's number, by whoever holds this."""

    __slots__ = ("__weakref__", "number")

    def __init__(self, number: int) -> None:
        self.number = number


class Journal:
    """A new file, mode 0600, that entries are appended to; `open()` first.

    Any thread may append, without a lock: one that is killed, or hangs, in the middle of it keeps
    no other waiting. A forked child does not append. `append` raises OSError where the entry was
    not written whole, and then it does not count.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size_bytes = 0  # about: two threads may add to it at once
        self._file: _Open | None = None
        self._pid = os.getpid()

    def open(self) -> None:
        """Make the file and the folder it lies in. Raises OSError."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL
        self._file = _Open(os.open(self.path, flags, 0o600))

    def append(self, entry: Entry) -> None:
        """Write an entry; it is safe when this returns. Raises OSError."""
        if os.getpid() != self._pid:
            raise OSError(EBADF, "a forked process has no journal")
        # Behind a line that was cut short, by whichever thread, it is a line of its own.
        line = b"\n" + entry.line()
        if len(line) > LONGEST_LINE_BYTES:
            raise OSError(EMSGSIZE, "it is too long for a journal")
        file = self._file
        if file is None:
            raise OSError(EBADF, os.strerror(EBADF))
        if os.fstat(file.number).st_nlink == 0:
            raise FileNotFoundError(self.path)  # deleted: what is written goes with it
        written = os.write(file.number, line)
        self.size_bytes += written
        if written < len(line):
            raise OSError(ENOSPC, os.strerror(ENOSPC))

    def sync(self) -> None:
        """Wait until what was written survives a loss of power. Raises OSError."""
        file = self._file
        if file is not None:
            os.fsync(file.number)

    def close(self) -> None:
        """Let go of the file, which stays.

        It is not closed while another thread is about to write it: that write would go into
        whatever file has its number then. Such a one stays open as long as the process.
        """
        file, self._file = self._file, None
        if file is not None:
            number, still_held = file.number, ref(file)
            del file
            if still_held() is None:
                with suppress(OSError):
                    os.close(number)

    def remove(self) -> None:
        """Delete the file: everything in it lies elsewhere by now."""
        self.close()
        if os.getpid() == self._pid:
            with suppress(OSError):
                self.path.unlink()


def entries(path: Path, offset: int = 0) -> Iterator[tuple[Entry, int]]:
    """The entries of a journal from `offset` on, each with the offset behind it.

    What is no whole line of ours is passed over; a last line without its end is left for the next
    time, since it may be about to be written. Raises OSError.
    """
    # A named pipe would block for ever, and what a link leads to may have no end.
    with open(path, "rb", opener=_regular) as file:
        file.seek(offset)
        while line := file.readline(LONGEST_LINE_BYTES):
            offset += len(line)
            if not line.endswith(b"\n"):
                if len(line) < LONGEST_LINE_BYTES:
                    return
                continue  # a part of a line that is too long
            entry = _entry(line[:-1])
            if entry is not None:
                yield entry, offset


def _regular(path: str, flags: int) -> int:
    """A descriptor of a file that is one. Raises OSError."""
    own = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # Windows has neither
    fd = os.open(path, flags | own)
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    raise OSError(EINVAL, "it is no file")


def _entry(line: bytes) -> Entry | None:
    checksum, _, text = line.partition(b" ")
    try:
        if int(checksum, 16) != crc32(text):
            return None
        of, _, document = text.decode("ascii").partition(BETWEEN)
        kind, name, key, notebook_id = loads(of)
    except (ValueError, TypeError):
        return None
    named = isinstance(name, str) and isinstance(notebook_id, str) and isinstance(key, str | None)
    if not named or not isinstance(kind, str) or kind not in KINDS:
        return None
    return Entry(cast(Kind, kind), document, name, key, notebook_id)

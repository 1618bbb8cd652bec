"""Faults below Python: files that fail, hang or lie, and clocks that jump, in a process that has
`libfaults.so` preloaded (faults.c). Imported also by the kernel under test, which steers it from
within; so nothing but the standard library."""

from __future__ import annotations

import errno
import mmap
import os
import struct
from collections.abc import Sequence
from pathlib import Path

FAIL, HANG, GARBAGE, DIE = range(4)
READ, WRITE, OPEN, OPEN_TO_WRITE, LOOK = (1 << bit for bit in range(5))
EVERY_CALL = READ | WRITE | OPEN | OPEN_TO_WRITE | LOOK
CLOCKS = struct.Struct("=qq")
RULE = struct.Struct("=iiii200s")
RULES = 4
HOUR_NS = 3600 * 10**9
# CLOCK_MONOTONIC begins with the machine; so that it can go back an hour, it stands later here.
AHEAD_NS = 10 * HOUR_NS


class Page:
    """The page of memory by which a preloaded process is steered, in the file `path`."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        size = CLOCKS.size + RULES * RULE.size
        is_new = not self.path.exists()
        if is_new:
            self.path.write_bytes(bytes(size))
        with self.path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), size)
        if is_new:
            self.jump()

    def environ(self, library: Path, network: Path | None = None) -> dict[str, str]:
        """What a process needs in its environment to be steered. To it `network` lies on another
        machine."""
        more = {}
        if network is not None:
            mounts = self.path.with_name("mountinfo")
            mounts.write_text(f"30 1 0:30 / {network} rw - nfs4 server:/home rw,vers=4.2\n")
            more = {"FAULTS_MOUNTS": str(mounts)}
        both = " ".join(filter(None, [str(library), os.environ.get("LD_PRELOAD")]))
        return {"LD_PRELOAD": both, "FAULTS_PAGE": str(self.path), **more}

    def jump(self, realtime_ns: int = 0, monotonic_ns: int = 0) -> None:
        """Put the clocks that far from where they were."""
        CLOCKS.pack_into(self._memory, 0, realtime_ns, AHEAD_NS + monotonic_ns)

    def strike(self, below: Sequence[str], act: int, error: int, calls: int) -> None:
        """From now on calls on all files whose path begins so fail (hang, …)."""
        for number, path in enumerate(below):
            at = CLOCKS.size + number * RULE.size
            RULE.pack_into(self._memory, at, 0, act, error, calls, path.encode())
            struct.pack_into("=i", self._memory, at, 1)  # on, once all of it is there

    def lift(self) -> None:
        """All is well again: nothing fails, what hangs goes on, the clocks tell the truth."""
        self.jump()
        for number in range(RULES):
            struct.pack_into("=i", self._memory, CLOCKS.size + number * RULE.size, 0)


# What a fault of files is, by its name: what it does, with which error, to which calls.
FILE_FAULTS = {
    "raises": (FAIL, errno.EIO, READ | WRITE | OPEN),
    "hangs": (HANG, 0, READ | WRITE | OPEN),
    "garbage": (GARBAGE, 0, READ),
    "disappears": (FAIL, errno.ENOENT, OPEN | OPEN_TO_WRITE | LOOK),
    "permission denied": (FAIL, errno.EACCES, READ | WRITE | OPEN | OPEN_TO_WRITE),
    "disk full": (FAIL, errno.ENOSPC, WRITE | OPEN_TO_WRITE),
    "read-only home": (FAIL, errno.EROFS, WRITE | OPEN_TO_WRITE),
    "thread dies": (DIE, 0, WRITE),
}

"""One small file a region, shared by all kernels of this user: whose turn it is to ask, and what
was answered.

Nothing in it is needed to go on: a folder that cannot be written, a damaged file, a file system
without locks cost questions, and no more.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .. import foreign

# 14 days in steps of five minutes take 0.5 MB.
_MOST_BYTES = 8 * 2**20
# Which place a notebook runs at is nobody else's business.
_MODE = 0o600


def default_folder() -> Path:
    """Where answers of services lie, such as ~/.cache/jupyter-energy/carbon."""
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("jupyter-energy", appauthor=False)) / "carbon"


class Cache:
    """The files of one provider in a folder; `address` is where it is asked, unless that is its
    own: what one address answers says nothing of another."""

    def __init__(self, folder: Path, provider: str, address: str = "") -> None:
        from zlib import crc32

        self._folder = folder
        self._provider = provider + (f"@{crc32(address.encode()):08x}" if address else "")

    def file(self, region: str) -> Path:
        """The file of a region; regions whose names differ in odd characters only get apart by a
        number that is made of the name."""
        from zlib import crc32

        plain = re.sub(r"[^A-Za-z0-9-]", "_", region)[:40]
        odd = "" if plain == region else f"-{crc32(region.encode(errors='replace')):08x}"
        return self._folder / f"{self._provider}-{plain}{odd}.json"

    def read(self, region: str) -> str | None:
        """What the file holds, or None."""
        try:
            return foreign.file_text(self.file(region), _MOST_BYTES)
        except (OSError, ValueError):
            return None

    def write(self, region: str, text: str) -> None:
        """Put a text into the file in one step: a reader sees the old one or the new one."""
        import tempfile

        file = self.file(region)
        with suppress(OSError):
            # mkstemp's mode is 0600.
            descriptor, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=self._folder)
            try:
                with os.fdopen(descriptor, "w", encoding="utf-8") as out:
                    out.write(text)
                Path(name).replace(file)
            except BaseException:
                with suppress(OSError):
                    Path(name).unlink()
                raise

    @contextmanager
    def turn(self, region: str) -> Iterator[bool]:
        """Whether it is this kernel's turn to ask: nobody else is asking meanwhile.

        The lock lies on the file itself and ends with the process, so nothing can stay behind. It
        is never waited for. Where there are no locks, it is everybody's turn.
        """
        try:
            import fcntl
        except ImportError:  # Windows
            yield True
            return
        descriptor = self._opened(region)
        if descriptor is None:
            yield True
            return
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            except OSError:  # a file system without locks
                yield True
                return
            try:
                # Whoever wrote since it was opened has put another file in its place; the caller
                # reads that, and has nothing to ask.
                yield True
            finally:
                # Not by closing alone: a forked child has the descriptor too, and so the lock.
                with suppress(OSError):
                    fcntl.flock(descriptor, fcntl.LOCK_UN)
        finally:
            os.close(descriptor)

    def _opened(self, region: str) -> int | None:
        """A descriptor of the file, made where there is none; None where that cannot be."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            return os.open(self.file(region), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
        except OSError:
            return None

"""Disks without working locks, and processes that die in the middle of a write (storage.c)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from . import compile_library, preloaded

Locks = Literal["lying", "missing"]


def build_storage(folder: Path) -> Path:
    """`libstorage.so` in `folder`, to be preloaded."""
    return compile_library("storage.c", folder / "libstorage.so", "-D_LARGEFILE64_SOURCE", "-ldl")


def without_locks(library: Path, locks: Locks) -> dict[str, str]:
    """The environment of a process whose locks keep nobody out, or all fail."""
    return {"LD_PRELOAD": preloaded(library), "STORAGE_LOCKS": locks}


def dying(library: Path, below: Path, call: int, part: float) -> dict[str, str]:
    """The environment of a process that is killed in the middle of the call of that number (from
    1) which changes a file whose path begins with `below`, when `part` of its bytes are written."""
    return {
        "LD_PRELOAD": preloaded(library),
        "STORAGE_BELOW": str(below),
        "STORAGE_DIES_AT": str(call),
        "STORAGE_DIES_PART": str(round(1000 * part)),
    }

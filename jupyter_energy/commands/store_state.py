"""Where the store lies and how it is: what `doctor` says of it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict

from ..aside import BESIDE, kept
from ..display.words import counted
from ..errors import EnergyError
from ..migrations import Connection
from ..store import Store

# How long its pages are looked through: 200 MB take about 2 s.
CHECK_S = 5.0


class StoreState(TypedDict):
    """A store: `state` is "works" or why not; what is not known is null.

    `open_to_others` says that other users may read or write it, and that its owner, who asks, can
    end that. `damaged` are the files that were set aside, `journals` how many hold records, those
    of kernels that run included; `warnings` what had to be done to open it.
    """

    path: str
    state: str
    records: int | None
    size_bytes: int | None
    mode: str | None
    open_to_others: bool
    journal_mode: str | None
    checked: bool
    journals: int
    damaged: list[str]
    warnings: list[str]


def look_at(path: Path) -> StoreState:
    """How the store at a path is. A damaged one is set aside and read, as at every opening."""
    store = Store(path)
    nothing: tuple[int | None, str | None] = (None, None)
    records, journal_mode = nothing
    checked, state, is_ours = False, "works", True
    try:
        store.check_writable()
        checked = store.check(CHECK_S)
        records, journal_mode = store.read(_counted, nothing)
    except EnergyError as error:
        state = f"failed: {error}"
        is_ours = getattr(error, "kind", "") not in ("foreign", "unusable")
    finally:
        store.close()
    try:
        found = path.stat()
    except OSError:
        found = None
    return {
        "path": str(path),
        "state": state,
        "records": records,
        "size_bytes": None if found is None else _size_bytes(path),
        "mode": None if found is None else f"{stat.S_IMODE(found.st_mode):04o}",
        "open_to_others": is_ours and found is not None and _is_open_to_others(found),
        "journal_mode": journal_mode,
        "checked": checked,
        "journals": sum(_holds_records(store, name) for name in store.journals.names()),
        "damaged": [str(one) for one in kept(path)],
        "warnings": list(store.warnings),
    }


def told(state: StoreState, waiting: int = 0) -> Iterator[str]:
    """The same as lines for people; so many records of this kernel are `waiting` in memory."""
    yield f"Store: {state['path']} ({state['state']})"
    yield from (f"  {warning}" for warning in state["warnings"])
    if waiting:
        yield (
            f"  {counted(waiting, 'record')} of this kernel could not be written beside it: free "
            "disk space, or make its folder writable, before the kernel ends"
        )
    if state["records"] is not None and state["size_bytes"] is not None:
        checked = "no damage found" if state["checked"] else "too large to be searched for damage"
        large = _megabytes(state["size_bytes"])
        yield f"  {counted(state['records'], 'record')}, {large}, {checked}"
    if state["open_to_others"]:
        yield f"  other users may open it; to keep them out: chmod 600 '{state['path']}'"
    if state["journals"]:
        yield (
            f"  journals beside it: {state['journals']} (of kernels that run, and of records that "
            "are not in it yet)"
        )
    if state["damaged"]:
        size = sum(_size_bytes(Path(one)) for one in state["damaged"])
        yield f"  damaged files that were set aside, {_megabytes(size)}; nothing of ours needs them"
        yield "  any more, and you may delete them, with what begins with the same names:"
        yield from (f"    {one}" for one in state["damaged"])


def _counted(connection: Connection) -> tuple[int | None, str | None]:
    ((records,),) = connection.execute("SELECT count(*) FROM record")
    ((journal_mode,),) = connection.execute("PRAGMA journal_mode")
    return records, journal_mode


def _is_open_to_others(found: os.stat_result) -> bool:
    """Whether a file of this user's may be opened by others: Windows has no such modes."""
    is_own = hasattr(os, "geteuid") and found.st_uid == os.geteuid()
    return is_own and stat.S_ISREG(found.st_mode) and bool(found.st_mode & 0o077)


def _holds_records(store: Store, name: str) -> bool:
    """Whether a journal has more than what it says of itself: one that has just begun has not."""
    return any(e.kind not in ("head", "notebook", "end") for e, _, _ in store.journals.read(name))


def _size_bytes(path: Path) -> int:
    """The size of a database with all that belongs to it."""
    parts = [Path(f"{path}{suffix}") for suffix in BESIDE]
    return sum(part.stat().st_size for part in parts if part.exists())


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"

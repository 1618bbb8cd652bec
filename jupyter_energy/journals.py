"""The journals beside a store: one for each process that writes, until the database has it all.

A journal whose process has ended is taken into the database by whoever looks next. Until then, and
where the database cannot be written, what it holds is read from here.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .documents import to_json
from .foreign import loads
from .identity import Known, NotebookRef, is_cell_id
from .journal import SUFFIX, Entry, Journal, entries
from .process_tree import began_at

VERSION = 1
# A process of another machine or container cannot be looked for. One that has a cell running writes
# every few seconds, so a journal that has been silent for so long is taken for a dead one's: if it
# is not, its process notices that the file has gone and begins a new one.
SILENT_S = 600.0
LARGEST_PID = 2**32 - 1  # a DWORD on Windows, which has the largest


@dataclass(frozen=True, slots=True)
class Process:
    """Which process: its number and the tick it began at, on which machine since which start, and
    in which namespace of numbers (a container has its own)."""

    host: str
    pid: int
    began: int | None
    boot: str
    namespace: str

    @classmethod
    def own(cls, host: str, procfs: Path) -> Process:
        """This one."""
        boot = namespace = ""
        with suppress(OSError):
            boot = (procfs / "sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        with suppress(OSError):
            namespace = str((procfs / "self/ns/pid").readlink())
        pid = os.getpid()
        return cls(host, pid, _began(pid, procfs), boot, namespace)


@dataclass(slots=True)
class Described:
    """What a journal says of itself: whose it is, and which notebooks it is about, by their key."""

    process: Process | None = None
    version: int = VERSION
    session_id: str = ""
    notebooks: dict[str | None, tuple[str, NotebookRef]] = field(default_factory=dict)
    ended: bool = False

    def take(self, entry: Entry) -> None:
        """Learn from an entry; one that is no sense changes nothing."""
        if entry.kind == "end":
            self.ended = True
        if entry.kind not in ("head", "notebook"):
            return
        with suppress(ValueError, TypeError, KeyError, ArithmeticError, RecursionError):
            said = loads(entry.document)
            if entry.kind == "head":
                self.version = int(said["version"])
                self.process = _process(said["process"])
                self.session_id = str(said["session_id"])
            else:
                self.notebooks[entry.key] = entry.notebook_id, _ref(said)

    def notebook_id(self, entry: Entry) -> str:
        """The id of the notebook that an entry belongs to; empty while it is not known."""
        return entry.notebook_id or self.notebooks.get(entry.key, ("", None))[0]


class Journals:
    """The journals of a store; `host` is this machine's name."""

    def __init__(self, store: Path, host: str, procfs: Path) -> None:
        self.folder = Path(f"{store}.journals")
        self._host, self._procfs = host, procfs
        self._described: dict[str, Described] = {}

    def begin(self, session_id: str) -> Journal:
        """A new journal of this process. Raises OSError."""
        process = Process.own(self._host, self._procfs)
        # Nobody else's business either; `Journal.open` would make it for all to look into.
        self.folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = Journal(self.folder / f"{process.pid}-{secrets.token_hex(8)}{SUFFIX}")
        made.open()
        whose = {name: getattr(process, name) for name in Process.__slots__}
        head = {"version": VERSION, "session_id": session_id, "process": whose}
        try:
            made.append(Entry("head", to_json(head)))
        except OSError:
            made.remove()
            raise
        return made

    def names(self) -> list[str]:
        """The names of all journals there are."""
        with suppress(OSError):
            return sorted(path.name for path in self.folder.glob(f"*{SUFFIX}"))
        return []

    def read(self, name: str, offset: int = 0) -> Iterator[tuple[Entry, Described, int]]:
        """The entries of a journal from `offset` on, with what the journal says of itself and the
        offset behind each. One that has gone has none."""
        is_new = name not in self._described
        described = self._described.setdefault(name, Described())
        with suppress(OSError):
            for entry, end in entries(self.folder / name) if is_new and offset else ():
                described.take(entry)
                if end >= offset:
                    break
            for entry, end in entries(self.folder / name, offset):
                described.take(entry)
                yield entry, described, end

    def described(self, name: str) -> Described:
        """What a journal says of itself, as far as it has been read here."""
        return self._described.setdefault(name, Described())

    def is_over(self, name: str) -> bool:
        """Whether nothing more will come: its process has ended, or is silent where it cannot be
        looked for. The journal has been read before; one of a newer version is that one's."""
        found = self.described(name)
        if found.version > VERSION:
            return False
        if found.ended:
            return True
        own, its = Process.own(self._host, self._procfs), found.process
        if its == own:
            return False
        if its is not None and its.host == own.host and its.boot == own.boot:
            if its.namespace == own.namespace and its.began is not None:
                return _began(its.pid, self._procfs) != its.began
        elif its is not None and its.host == own.host and its.boot and own.boot:
            return True  # the machine has been started since
        elif its is None and (pid := _number(name)) and _began(pid, self._procfs) is None:
            return True  # it was killed in the middle of its first line
        with suppress(OSError):
            return time.time() - (self.folder / name).stat().st_mtime > SILENT_S
        return False

    def size_bytes(self, name: str) -> int:
        """How long a journal is; 0 of one that has gone."""
        with suppress(OSError):
            return (self.folder / name).lstat().st_size
        return 0

    def remove(self, name: str, size_bytes: int) -> None:
        """Delete a journal: everything that it held when it was so long lies in the database. One
        that has grown since was silent and is not dead: it stays."""
        if self.size_bytes(name) == size_bytes:
            self._described.pop(name, None)
            with suppress(OSError):
                (self.folder / name).unlink()

    def known(self) -> list[Known]:
        """The notebooks that journals tell of, for `identity.match`."""
        found: dict[str, Known] = {}
        for name in self.names():
            for _ in self.read(name):
                pass
            said = self.described(name)
            host = said.process.host if said.process is not None else self._host
            for notebook_id, ref in said.notebooks.values():
                if notebook_id:
                    before = found.get(notebook_id)
                    cells = ref.cell_ids | (before.cell_ids if before else frozenset())
                    found[notebook_id] = Known(notebook_id, ref.path, host, ref.kernel_id, cells)
        return list(found.values())


def notebook_entry(key: str | None, notebook_id: str, ref: NotebookRef) -> Entry:
    """What a journal says of a notebook; `notebook_id` is empty while the store was not asked."""
    said = {
        "path": ref.path,
        "name": ref.name,
        "cell_ids": sorted(ref.cell_ids),
        "kernel_id": ref.kernel_id,
        "blank": ref.blank,
    }
    return Entry("notebook", to_json(said), key=key, notebook_id=notebook_id)


def _began(pid: int, procfs: Path) -> int | None:
    """What tells a process from an earlier one of its number; None where there is no process."""
    if procfs.is_dir():
        return began_at(pid, procfs)
    import psutil  # macOS and Windows have no procfs

    try:
        return int(1000 * psutil.Process(pid).create_time())
    except psutil.Error:
        return None


def _number(name: str) -> int:
    """The number of the process that a journal is called after; 0, which none has, if none."""
    number = name.partition("-")[0]
    return int(number) if number.isdecimal() and len(number) < 11 else 0


def _process(said: Mapping[str, Any]) -> Process:
    """The process that a head tells of. Raises TypeError or ValueError where it is no sense."""
    found = Process(**said)
    texts = found.host, found.boot, found.namespace
    numbers = found.pid, *(() if found.began is None else (found.began,))
    if not all(isinstance(text, str) for text in texts) or set(map(type, numbers)) != {int}:
        raise ValueError("a process has a number, and names are text")
    if not 0 < found.pid <= LARGEST_PID:
        raise ValueError("no process has that number")
    return found


def _ref(said: Mapping[str, Any]) -> NotebookRef:
    path, kernel_id = said["path"], said["kernel_id"]
    return NotebookRef(
        None if path is None else str(path),
        str(said["name"]),
        frozenset(filter(is_cell_id, map(str, said["cell_ids"]))),
        None if kernel_id is None else str(kernel_id),
        said["blank"] is True,
    )

"""A moved procfs whose processes a test makes, lets spend CPU time, and ends."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

ROOT, INIT = 100, 1


@dataclass
class Process:
    """One process; `own` and `waited` are its CPU time and its children's, in ticks."""

    parent: int
    started: int
    own: int = 0
    waited: int = 0


class FakeProcfs:
    """Processes below `ROOT`, which is this process as that procfs tells it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.processes = {INIT: Process(0, 0), ROOT: Process(INIT, 1)}
        self.machine_ticks = 0
        self._next = ROOT
        root.mkdir()
        (root / "self").symlink_to(str(ROOT))
        self.write()

    def fork(self, parent: int) -> int:
        """A new process; its number."""
        self._next += 1
        self.processes[self._next] = Process(parent, self._next)
        return self._next

    def burn(self, pid: int, ticks: int) -> None:
        """Let a process work."""
        self.processes[pid].own += ticks
        self.machine_ticks += ticks

    def end(self, pid: int) -> None:
        """End a process, for which its parent waits at once; its children go to init."""
        ended = self.processes.pop(pid)
        for process in self.processes.values():
            if process.parent == pid:
                process.parent = INIT
        self.processes[ended.parent].waited += ended.own + ended.waited

    def write(self) -> None:
        """Write the files as they are now."""
        (self.root / "stat").write_text(
            f"cpu  {self.machine_ticks} 0 0 9 9 0 0 7 0 0\ncpu0 0\nbtime 1000000\n"
        )
        for folder in self.root.glob("[0-9]*"):
            if int(folder.name) not in self.processes:
                shutil.rmtree(folder)
        for pid, process in self.processes.items():
            task = self.root / str(pid) / "task" / str(pid)
            task.mkdir(parents=True, exist_ok=True)
            below = [n for n, child in self.processes.items() if child.parent == pid]
            (task / "children").write_text("".join(f"{n} " for n in below))
            # A name may hold spaces and brackets; a part of each count stands in the other field.
            user, waited = process.own // 3, process.waited // 4
            fields = [
                *("S", process.parent, 0, 0, 0, 0, 0, 0, 0, 0, 0),
                *(user, process.own - user, waited, process.waited - waited),
                *(20, 0, 1, 0, process.started, *([0] * 30)),
            ]
            text = f"{pid} (py) thon 1 ) {' '.join(map(str, fields))}\n"
            (self.root / str(pid) / "stat").write_text(text)

"""Real kernels on one store, each killed (SIGKILL) at a random moment: in a cell, as its reply
comes, or in the middle of a write to a journal or the database, at a random byte."""

from __future__ import annotations

import json
import math
import os
import queue
import random
import signal
import sqlite3
import sys
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness import LIMIT_S, LOAD, Kernel, running
from standins import FakeNvml, build_nvml
from standins.storage import build_storage, dying

from jupyter_energy.documents import record_from_document
from jupyter_energy.journal import Entry, entries
from jupyter_energy.model import Record
from jupyter_energy.schema import MIME_TYPE, cell_from_records
from jupyter_energy.seal import opened

GPU = 'gpu 0 uuid=GPU-1 name="NVIDIA H100" mode=clock power_mw=350000 limit_mw=700000'
# So many changes of files a session of about eight cells makes, its opening of the store included.
MOST_CALLS = 120
NOTEBOOKS = 3
# A heartbeat is due after 1 s; on a machine that is busy it comes when it can.
SURELY_BEATEN_S = 3.0


@dataclass(slots=True)
class Cell:
    """A cell that was sent: what of it was seen before its kernel died."""

    printed_j: list[float] = field(default_factory=list)
    replied: bool = False
    ran_s: float = 0.0  # for how long it surely ran when it was killed


@dataclass(slots=True)
class Outcome:
    """What came of all kills, as counts and as violations in words."""

    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


class Kills:
    """Kernels of one interpreter on a store in `folder`, killed one after another."""

    def __init__(self, folder: Path, python: str, seed: int) -> None:
        self.python, self.folder = python, folder
        self.random = random.Random(seed)
        self.store = folder / "store" / "energy.sqlite"
        self.library = build_storage(folder / "lib")
        driver = FakeNvml(build_nvml(folder / "lib"), folder)
        driver.set(GPU)
        (folder / "sys").mkdir()
        self.environ = {
            **driver.environ,
            "JUPYTER_ENERGY_STORE": str(self.store),
            "JUPYTER_ENERGY_SYSFS": str(folder / "sys"),
            "JUPYTER_ENERGY_ESTIMATE": "0",
        }
        self.cells: dict[str, Cell] = {}  # those not looked for yet
        self.sent: set[str] = set()
        self.beats: dict[str, Record] = {}  # the last heartbeats that dead kernels have left
        self.told = Outcome()

    def run(self, kills: int) -> Outcome:
        """Kill so many kernels, then let one live, which finds everything."""
        ways = ["in a cell", "at a reply", "in a write", "in a write"]
        for number in range(kills):
            way = ways[number % len(ways)]
            self._session(way)
            self.told.counts[way] += 1
            self._look_at_files()
            if (number + 1) % 20 == 0:
                print(number + 1, dict(self.told.counts), self.told.wrong, file=sys.stderr)
        self._session("not at all")
        return self.told

    def _session(self, way: str) -> None:
        notebook = self.folder / f"{self.random.randrange(NOTEBOOKS)}.ipynb"
        environ = {**self.environ, "JPY_SESSION_NAME": str(notebook)}
        if way == "in a write":
            # Half of them while the store is opened and dead kernels' journals are taken in.
            call = self.random.randint(1, self.random.choice((30, MOST_CALLS)))
            environ |= dying(self.library, self.store, call, self.random.random())
        with running(self.python, self.folder / "home", environ) as kernel:
            if not self._is_loaded(kernel) or not self._ran(kernel, self._short()):
                return
            if way != "in a write":
                self._check(kernel)
            for _ in range(self.random.randint(1, 6)):
                if not self._ran(kernel, self._short()):
                    return
            if way == "in a cell":
                self._killed_in_a_cell(kernel)
            elif way == "in a write":
                while self._ran(kernel, self._short()):
                    pass  # until it is dead
            elif way == "at a reply":
                _kill(kernel)

    def _short(self) -> str:
        """The source of a cell that is over soon: shown or silent, short or with a heartbeat."""
        seconds = 1.2 if self.random.random() < 0.05 else self.random.uniform(0, 0.03)
        shown = self.random.choice(("%%energy\n", ""))
        return f"{shown}import time; time.sleep({seconds:.3f})"

    def _is_loaded(self, kernel: Kernel) -> bool:
        return _answered(kernel, kernel.send(LOAD), Cell())

    def _ran(self, kernel: Kernel, source: str) -> bool:
        """Whether the kernel lived to the end of a cell."""
        cell_id, cell = self._new_cell()
        return _answered(kernel, kernel.send(source, cell_id), cell)

    def _new_cell(self) -> tuple[str, Cell]:
        cell_id, cell = f"{self.random.getrandbits(64):016x}", Cell()
        self.cells[cell_id] = cell
        self.sent.add(cell_id)
        return cell_id, cell

    def _killed_in_a_cell(self, kernel: Kernel) -> None:
        cell_id, cell = self._new_cell()
        shown = self.random.choice(("%%energy\n", ""))
        kernel.wait_for_output(
            kernel.send(f"{shown}import time; print('on', flush=True); time.sleep(600)", cell_id),
            "on",
        )
        began = time.monotonic()
        time.sleep(self.random.uniform(0, 1.5) + self.random.choice((0, 1, 5)))
        cell.ran_s = time.monotonic() - began
        _kill(kernel)

    # -- what must hold ------------------------------------------------------------------------

    def _look_at_files(self) -> None:
        """After a kill: the heartbeats that are left, and whether the database is whole."""
        finished: set[str] = set()
        beats: dict[str, Entry] = {}
        for path in Path(f"{self.store}.journals").glob("*.journal"):
            for entry, _ in entries(path):
                if entry.kind == "record":
                    finished.add(entry.name)
                elif entry.kind == "heartbeat":
                    beats[entry.name] = entry
        for name, entry in beats.items():
            if name not in finished:
                self.beats[name] = record_from_document(json.loads(entry.document))
        if self.store.exists() and self.store.stat().st_size:
            with closing(sqlite3.connect(f"file:{self.store}?mode=ro", uri=True)) as database:
                found = database.execute("PRAGMA integrity_check").fetchall()
            if found != [("ok",)]:
                self.told.wrong.append(f"the database is damaged: {found[:3]}")

    def _check(self, kernel: Kernel) -> None:
        """A kernel has begun and lives: what all the dead ones left is there, once."""
        pid = kernel.manager.provisioner.pid
        folder = Path(f"{self.store}.journals")
        deadline = time.monotonic() + LIMIT_S
        while left := [p.name for p in folder.glob("*") if not p.name.startswith(f"{pid}-")]:
            if time.monotonic() > deadline:
                self.told.wrong.append(f"journals are left: {left}")
                break
            time.sleep(0.02)
        with closing(sqlite3.connect(f"file:{self.store}?mode=ro", uri=True)) as database:
            rows = database.execute("SELECT document FROM record").fetchall()
        records = [record_from_document(opened(text)) for (text,) in rows]
        by_cell: dict[str | None, list[Record]] = {}
        for record in records:
            by_cell.setdefault(record.cell_id, []).append(record)
        self.told.counts["checks"] += 1
        self.told.counts["records"] = len(records)
        live = next(reversed(self.cells))  # this kernel's own, whose record may be on its way
        for cell_id, cell in self.cells.items():
            if cell_id != live:
                self._check_cell(cell_id, cell, by_cell.get(cell_id, []))
        self.cells = {live: self.cells[live]}
        for cell_id, found in by_cell.items():
            if len(found) > 1 or cell_id not in self.sent:
                self.told.wrong.append(f"cell {cell_id} is there {len(found)} times: {found}")

    def _check_cell(self, cell_id: str, cell: Cell, found: list[Record]) -> None:
        wrong, counts = self.told.wrong, self.told.counts
        said = f"cell {cell_id} ({cell})"
        beat = next((b for b in self.beats.values() if b.cell_id == cell_id), None)
        if cell.replied:
            counts["finished"] += 1
            if [r.outcome for r in found] != ["ok"]:
                wrong.append(f"{said} finished and is {[r.outcome for r in found]}")
            elif cell.printed_j:
                self._check_energy(said, cell, found[0])
        elif beat is not None:
            counts["lost"] += 1
            if [(r.outcome, r.duration_s, r.measurement.domains) for r in found] != [
                ("lost", beat.duration_s, beat.measurement.domains)
            ]:
                wrong.append(f"{said} left a heartbeat of {beat.duration_s} s and is {found}")
        elif cell.ran_s > SURELY_BEATEN_S:
            wrong.append(f"{said} left no heartbeat")
        else:
            counts["no reply, and kept" if found else "before a heartbeat"] += 1

    def _check_energy(self, said: str, cell: Cell, record: Record) -> None:
        shown = cell_from_records([record])["measured_j"]
        if shown is None:
            self.told.wrong.append(f"{said} has no energy")
            return
        if any(math.isclose(shown["value"], printed, rel_tol=1e-9) for printed in cell.printed_j):
            self.told.counts["energy as printed"] += 1
        elif abs(shown["value"] - cell.printed_j[-1]) <= 2 * shown["u95_absolute"] + 1e-9:
            self.told.counts["energy made better as it was killed"] += 1
        else:
            self.told.wrong.append(f"{said} is kept with {shown['value']} J")


def _answered(kernel: Kernel, message_id: str, cell: Cell) -> bool:
    """Whether a request was answered; what is printed of it and whether it was replied to is noted
    in `cell`, up to the kernel's death."""
    deadline = time.monotonic() + LIMIT_S
    is_idle = False
    while not (is_idle and cell.replied):
        is_alive = kernel.manager.provisioner.process.poll() is None
        came = _taken(kernel.client.get_iopub_msg)
        if came is not None and came["parent_header"].get("msg_id") == message_id:
            data = came["content"].get("data", {})
            if MIME_TYPE in data and (measured := data[MIME_TYPE].get("measured_j")):
                cell.printed_j.append(measured["value"])
            is_idle |= came["content"].get("execution_state") == "idle"
        reply = _taken(kernel.client.get_shell_msg)
        if reply is not None and reply["parent_header"].get("msg_id") == message_id:
            cell.replied = reply["content"]["status"] == "ok"
        if came is None and reply is None and not is_alive:
            return False
        assert time.monotonic() < deadline, "the kernel does not answer"
    return True


def _taken(receive: Any) -> Any:
    """The next message, or None where none comes within a moment."""
    try:
        return receive(timeout=0.01)
    except queue.Empty:
        return None


def _kill(kernel: Kernel) -> None:
    process = kernel.manager.provisioner.process
    os.kill(process.pid, signal.SIGKILL)
    process.wait()

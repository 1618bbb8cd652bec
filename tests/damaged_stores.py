"""Stores with something of everything in them, and what can happen to their files."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import strategies as st
from strategies import a_record

from jupyter_energy.identity import NotebookRef
from jupyter_energy.model import Domain, Idle, Record
from jupyter_energy.power.document import Curve, PowerTrace
from jupyter_energy.store import Store
from jupyter_energy.uncertainty import Uncertain

PAGE = 4096
CELLS = tuple(f"{n:08x}" for n in range(6))
NEVER_RUN = "89abcdef"
ENERGIES = {"gpu": Uncertain(3.5, 0.1, 0.2), "package": Uncertain(12.25, 0.5), "dram": None}


@dataclass(frozen=True)
class Sound:
    """A store's files, and what is in them: `wal` is empty where everything is in `main`."""

    main: bytes
    wal: bytes
    notebooks: dict[str, tuple]
    cells: frozenset[tuple[str, str]]
    records: dict[str, Record]
    idles: dict[str, Idle]
    traces: dict[str, PowerTrace]

    def put(self, path: Path) -> None:
        """Lay the files at a path."""
        path.write_bytes(self.main)
        if self.wal:
            Path(f"{path}-wal").write_bytes(self.wal)


def a_trace(points: int) -> PowerTrace:
    ends_s = tuple(0.1 * (n + 1) for n in range(points))
    watts = tuple(round(100 + n / 7, 3) for n in range(points))
    curve = Curve(Domain("gpu", 0, "GPU"), "measured", "test", None, ends_s, watts)
    return PowerTrace(0.1 * points, 0.1, 0.2, 0.0, 300.0, (curve,))


@cache
def sound_store(checkpointed: bool = True, records: int = 60) -> Sound:
    """A store of three notebooks, one of them a copy of another; some documents are longer than a
    page. Its latest pages are still in the WAL unless `checkpointed`."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "energy.sqlite"
        store = Store(path, host="here")
        (Path(folder) / "a.ipynb").touch()  # so that b is a copy
        cells = frozenset({*CELLS, NEVER_RUN})
        refs = [NotebookRef(f"{folder}/{n}.ipynb", f"{n}.ipynb", cells) for n in "ab"]
        ids = [store.notebook_for(ref).id for ref in refs]
        ids.append(store.notebook_for(NotebookRef(None, "unsaved (k)", kernel_id="k")).id)
        kept, idles, traces = {}, {}, {}
        for n in range(records):
            if n == records // 2:
                with closing(sqlite3.connect(path)) as other:
                    other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            record = a_record(
                f"{n:032x}",
                ids[n % 3],
                cell_id=CELLS[n % len(CELLS)],
                energies=ENERGIES,
                after_s=10.0 * n,
                warnings=("a long story " * 900,) if n % 10 == 0 else (),
            )
            store.append(record)
            kept[record.run_id] = record
            if n % 6 == 0:
                idle = Idle(f"{n:032x}", ids[n % 3], "s1", "here", record.measurement)
                store.book_idle(idle)
                idles[idle.idle_id] = idle
                store.keep_power(record.run_id, a_trace(5 if n % 4 else 600))
                traces[record.run_id] = a_trace(5 if n % 4 else 600)
        if checkpointed:
            store.close()
        main, wal = path.read_bytes(), b""
        if not checkpointed:
            wal = Path(f"{path}-wal").read_bytes()
            store.close()
        return Sound(main, wal, notebooks(path), cells_in(path), kept, idles, traces)


def notebooks(path: Path) -> dict[str, tuple]:
    """The rows of a store's notebooks."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT id, path, name, host, copied_from FROM notebook")
        return {row[0]: row[1:] for row in rows}


def cells_in(path: Path) -> frozenset[tuple[str, str]]:
    """A store's notebooks with their cells."""
    with closing(sqlite3.connect(path)) as connection:
        return frozenset(connection.execute("SELECT notebook_id, cell_id FROM notebook_cell"))


@st.composite
def damages(draw: st.DrawFn, size: int, most: int = 3) -> list[tuple[str, int, int]]:
    """What happens to a file of `size` bytes, up to `most` times over."""
    anywhere = st.integers(0, size - 1)
    one = st.one_of(
        st.tuples(st.just("byte"), anywhere, st.integers(0, 255)),
        st.tuples(st.just("byte"), st.integers(0, min(size, PAGE) - 1), st.integers(0, 255)),
        st.tuples(st.just("zeros"), anywhere, st.just(PAGE)),
        st.tuples(st.just("zeros"), anywhere, st.sampled_from([16, 512])),
        st.tuples(st.just("garbage"), anywhere, st.integers(0, 99)),
        st.tuples(st.just("cut"), anywhere, st.just(0)),
        st.tuples(st.just("zeros"), st.just(0), st.just(100)),  # the header
    )
    return draw(st.lists(one, min_size=1, max_size=most))


def damaged(content: bytes, what: list[tuple[str, int, int]]) -> bytes:
    """A file's bytes after all that has happened to it."""
    torn = bytearray(content)
    for kind, at, how in what:
        if kind == "cut":
            del torn[at:]
        elif at < len(torn) and kind == "byte":
            torn[at] = how
        elif at < len(torn):
            begin = at // PAGE * PAGE if kind == "garbage" or how == PAGE else at
            end = min(len(torn), begin + (how if kind == "zeros" else PAGE))
            filled = bytes(end - begin)
            if kind == "garbage":
                filled = random.Random(how).randbytes(end - begin)
            torn[begin:end] = filled
    return bytes(torn)

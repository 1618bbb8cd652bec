"""Sessions of many cells, and what their process takes the longer they are."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from harness import environment

from jupyter_energy.store import Store

PROGRAM = Path(__file__).with_name("long_session.py")
KINDS = ("a store", "a newer version's store")
# From the first row to the last; Python's memory is not given back at once.
MOST_GROWTH_KB = 4096


def session(folder: Path, kind: str, cells: int, every: int) -> Iterator[dict[str, int]]:
    """What a process takes after every so many cells; the store must have them all at its end."""
    path = folder / "energy.sqlite"
    if kind != "a store":
        store = Store(path)
        store.open()
        store.close()
        with closing(sqlite3.connect(path)) as database:
            database.execute("INSERT INTO energy_migration VALUES ('9999 later', '')")
            database.commit()
    (folder / "sys").mkdir()
    more = {"JUPYTER_ENERGY_STORE": str(path), "JUPYTER_ENERGY_SYSFS": str(folder / "sys")}
    command = [sys.executable, str(PROGRAM), str(cells), str(every)]
    with subprocess.Popen(
        command, env=environment(folder / "home", more), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        for line in process.stdout:
            yield json.loads(line)
    assert process.returncode == 0
    with closing(sqlite3.connect(path)) as database:
        database.execute("DELETE FROM energy_migration WHERE name = '9999 later'")
        database.commit()
    store = Store(path)
    store.absorb()
    ((kept,),) = store.read(lambda c: c.execute("SELECT count(*) FROM record").fetchall(), [(0,)])
    left = store.journals.names()
    store.close()
    # The cell that loads the extension began without it, and that which unloads it has no end.
    assert kept == cells, f"of {cells} cells {kept} are kept"
    assert left == []


def growth(rows: Sequence[dict[str, int]]) -> list[str]:
    """What grew with the number of cells, in words; the first row is left to warm up."""
    first, last = rows[0], rows[-1]
    wrong = [
        f"{name}: {first[name]} became {last[name]}"
        for name in ("descriptors", "threads")
        if last[name] > first[name]
    ]
    if last["rss_kb"] - first["rss_kb"] > MOST_GROWTH_KB:
        wrong.append(f"memory: {first['rss_kb']} kB became {last['rss_kb']} kB")
    return wrong

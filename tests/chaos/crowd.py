"""Many writers at once on one store, with locks, with locks that lie and with none at all."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import nbformat
from harness import environment
from strategies import a_record

from jupyter_energy.store import Store

from .writers import HOST, notebook_of

WRITERS = Path(__file__).with_name("writers.py")
PROGRAM = [sys.executable, "-m", "jupyter_energy"]


def crowd(
    store: Path, writers: int, cells: int, more: Mapping[str, str]
) -> list[tuple[float, float]]:
    """Have so many processes write; the times of every put in ms, and the thread's own."""
    done = subprocess.run(
        [sys.executable, str(WRITERS), str(store), str(writers), str(cells)],
        env={**os.environ, **more},
        capture_output=True,
        text=True,
        check=True,
    )
    return [(wall, own) for wall, own in json.loads(done.stdout)]


def a_store(folder: Path) -> Path:
    """A store with one record of a notebook that nobody writes for."""
    store = Store(folder / "data" / "energy.sqlite", host=HOST)
    store.append(a_record("before"))
    store.close()
    return store.path


def wrong_with(store: Path, writers: int, cells: int) -> list[str]:
    """What of the writers' records is in neither database nor journals, in words; then, once the
    journals were taken in, what is lost, doubled or left."""
    wanted = Counter(f"{number}-{cell}" for number in range(writers) for cell in range(cells))
    wrong = []
    reader = Store(store, host=HOST)
    rows = reader.read(lambda c: c.execute("SELECT run_id FROM record").fetchall(), [])
    held = {run_id for (run_id,) in rows} | {record.run_id for record in reader.loose()}
    if missing := wanted.keys() - held:
        wrong.append(f"{len(missing)} are nowhere")
    reader.absorb()
    found: Counter[str] = Counter()
    for number in range(writers):
        known = reader.find_notebook(notebook_of(store, number))
        if known is not None:
            found.update(record.run_id for record in reader.records(known.id))
    if found != wanted:
        wrong.append(f"{len(wanted - found)} are lost, {len(found - wanted)} doubled")
    if left := reader.journals.names():
        wrong.append(f"{len(left)} journals are left")
    reader.close()
    with closing(sqlite3.connect(store)) as database:
        if database.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
            wrong.append("the database is damaged")
        ((count,),) = database.execute("SELECT count(*) FROM record").fetchall()
    if count != writers * cells + 1:
        wrong.append(f"the database holds {count} records")
    return wrong


def wrong_without_locks(
    store: Path, writers: int, cells: int, before: bytes, more: Mapping[str, str]
) -> list[str]:
    """What commands say wrongly of the writers' records, and whether the database was written."""
    wrong = []
    if store.read_bytes() != before:
        wrong.append("the database was written")
    beside = sorted(path.name for path in store.parent.iterdir())
    if beside != [store.name, f"{store.name}.journals"]:
        wrong.append(f"beside the database lies {beside}")
    runs = sum(row["runs"] for row in _said(store, ["history", "--json"], more)["rows"])
    if runs != writers * cells + 1:
        wrong.append(f"history knows {runs} runs")
    path = Path(str(notebook_of(store, 0).path))
    nbformat.write(nbformat.v4.new_notebook(), path)
    runs = _said(store, ["summary", str(path), "--json"], more)["totals"]["runs"]
    if runs != cells:
        wrong.append(f"summary knows {runs} runs")
    return wrong


def _said(store: Path, words: Sequence[str], more: Mapping[str, str]) -> dict:
    home = environment(store.parent.parent / "home", {"JUPYTER_ENERGY_STORE": str(store), **more})
    done = subprocess.run([*PROGRAM, *words], env=home, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict = json.loads(done.stdout)
    return found

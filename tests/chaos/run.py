"""`python tests/chaos/run.py [kills] [writers] [cells]`: the whole experiments, as tables.

Exit status 1 where one found something wrong.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from kernels import kernel_pythons
from standins.storage import build_storage, without_locks

from chaos.crowd import a_store, crowd, wrong_with, wrong_without_locks
from chaos.kills import Kills
from chaos.sessions import KINDS, growth, session

KILLS = 200
CROWDS = ((1, 200), (10, 200), (50, 200))
CELLS, EVERY = 100_000, 10_000


def kills(folder: Path) -> Iterator[str]:
    """Kill 200 kernels, those of all interpreters under test in turn."""
    pythons = kernel_pythons()
    number = int(os.environ.get("JUPYTER_ENERGY_TEST_KILLS", KILLS)) // len(pythons)
    for name, python in pythons.items():
        began = time.monotonic()
        (folder / name).mkdir()
        told = Kills(folder / name, str(python), seed=5).run(number)
        counts = ", ".join(f"{count} {what}" for what, count in sorted(told.counts.items()))
        print(f"| {name} | {number} | {counts} | {len(told.wrong)} |", flush=True)
        print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)
        yield from told.wrong


def writers(folder: Path) -> Iterator[str]:
    """Have 1, 10 and 50 processes write 200 records each, then 50 without locks that work."""
    library = build_storage(folder / "lib")
    last = CROWDS[-1]
    cases = [
        *((f"{number} writers", number, cells, {}) for number, cells in CROWDS),
        *(
            (f"{last[0]} writers, {locks} locks", *last, without_locks(library, locks))
            for locks in ("lying", "missing")
        ),
    ]
    for name, number, cells, more in cases:
        store = a_store(folder / name)
        before = store.read_bytes()
        times_ms = crowd(store, number, cells, more)
        wrong = wrong_without_locks(store, number, cells, before, more) if more else []
        wrong += wrong_with(store, number, cells)
        figures = " | ".join(_percentiles(one) for one in zip(*times_ms, strict=True))
        print(f"| {name} | {number * cells} | {figures} | {len(wrong)} |", flush=True)
        print(*wrong, sep="\n", file=sys.stderr, flush=True)
        yield from (f"{name}: {text}" for text in wrong)


def cells(folder: Path) -> Iterator[str]:
    """Run 100 000 cells in one shell, with a store and where a newer version has it."""
    for kind in KINDS:
        (folder / kind).mkdir()
        rows = []
        for row in session(folder / kind, kind, CELLS, EVERY):
            print("| " + " | ".join(map(str, (kind, *row.values()))) + " |", flush=True)
            rows.append(row)
        yield from (f"{kind}: {text}" for text in growth(rows))


def _percentiles(values_ms: tuple[float, ...]) -> str:
    """Median and 99th percentile."""
    ordered = sorted(values_ms)
    p50, p99 = (ordered[round(q * (len(ordered) - 1))] for q in (0.5, 0.99))
    return f"{p50:.2f}, {p99:.2f} ms"


EXPERIMENTS = {"kills": kills, "writers": writers, "cells": cells}


def main(wanted: list[str]) -> int:
    """Run the experiments that are named, or all."""
    wrong = []
    for name, experiment in EXPERIMENTS.items():
        if not wanted or name in wanted:
            with tempfile.TemporaryDirectory() as folder:
                wrong += experiment(Path(folder))
    print(*wrong, sep="\n", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

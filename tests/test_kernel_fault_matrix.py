"""Whatever fails of ours, and whenever, a program of cells is byte for byte what it is without us;
one plain line tells of it, no record is lost, none has a figure that nobody measured (promises
5.1, 5.2).

CI runs a slice; JUPYTER_ENERGY_TEST_WHOLE=1 runs all of it.
"""

from __future__ import annotations

import json
import math
import os
import random
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from conftest import SEED, WHOLE
from fault_kernel import GPU
from fault_matrix import CASES, FAULTS, MOMENTS, PARTS, REASONS, Case
from fault_program import LAST, NOT_MEASURED, PROGRAM, Place, differences, run_program
from harness import LIMIT_S, LOAD, Kernel, running
from standins import HERE, FakeNvml, build_nvml, compile_library
from standins.faults import Page
from standins.powercap import FakePowercap

from jupyter_energy.documents import record_from_document
from jupyter_energy.model import Record
from jupyter_energy.schema import cell_from_records
from jupyter_energy.store import Store

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the stand-ins are Linux's")

STORE = "home/data/jupyter-energy"
# The cells of the program that are measured, as their ids begin.
STRUCK = [name for name in PROGRAM if name not in NOT_MEASURED]
IN_A_SLICE = 8
# In every slice: a thread that is gone in the middle of a write once kept cells waiting for ever.
ALWAYS = {"store - thread dies - without a trace - end"}
CHOSEN = [
    case
    for case in CASES
    if WHOLE or case.name in ALWAYS or case in random.Random(SEED).sample(CASES, IN_A_SLICE)
]


@pytest.fixture(scope="session")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The library to preload, and the stand-in of NVIDIA's driver."""
    folder = tmp_path_factory.mktemp("libraries")
    return compile_library("faults.c", folder / "libfaults.so", "-ldl"), build_nvml(folder)


@contextmanager
def kernel_in(
    python: str, folder: Path, libraries: tuple[Path, Path], case: Case | None = None
) -> Iterator[Kernel]:
    """A kernel on a machine with a counter of the kernel's and a GPU, which can be made to fail."""
    faults, nvml = libraries
    folder.mkdir()
    tree = FakePowercap(folder / "sys")
    tree.zone("package-0", energy_uj=10**9)
    driver = FakeNvml(nvml, folder)
    driver.set(GPU)
    network = folder / "home" if case is not None and case.way == "on a network" else None
    path = os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    more = {
        "JUPYTER_ENERGY_SYSFS": str(tree.root),
        "PYTHONPATH": path,
        **Page(folder / "page").environ(faults, network),
        **driver.environ,
    }
    with tree.run({"intel-rapl:0": 50.0}), running(python, folder / "home", more) as kernel:
        yield kernel


class References:
    """What kernels without us give, each run when first asked for."""

    def __init__(self, python: str, folder: Path, libraries: tuple[Path, Path]) -> None:
        self._how = python, folder, libraries
        self._known: dict[str, dict[str, Any]] = {}

    def of(self, case: Case) -> dict[str, Any]:
        """The cells of a kernel without us; where the fault is felt without us, with it."""
        return self._cells(case.name if case.is_felt else "one", case if case.is_felt else None)

    def by_chance(self) -> set[Place]:
        """Where two kernels without us differ, and nothing is wrong with either."""
        return set(differences(self._cells("one", None), self._cells("another", None)))

    def _cells(self, name: str, case: Case | None) -> dict[str, Any]:
        if name not in self._known:
            python, folder, libraries = self._how
            with kernel_in(python, folder / str(len(self._known)), libraries) as kernel:
                self._known[name] = run_program(kernel, case, "pass").cells
        return self._known[name]


@pytest.fixture(scope="session")
def references(
    python: str, libraries: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> References:
    return References(python, tmp_path_factory.mktemp("references"), libraries)


def test_every_combination_is_a_case_or_has_its_reason() -> None:
    for part, fault in product(PARTS, FAULTS):
        found = [m for m in MOMENTS if any(case.covers(part, fault, m) for case in CASES)]
        assert found == ([] if (part, fault) in REASONS else list(MOMENTS)), (part, fault)
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CHOSEN])
def test_a_fault_changes_nothing_that_a_front_end_sees_and_loses_no_record(
    case: Case, python: str, libraries: tuple[Path, Path], references: References, tmp_path: Path
) -> None:
    folder = tmp_path / "kernel"
    with kernel_in(python, folder, libraries, case) as kernel:
        seen = run_program(kernel, case, LOAD)
        message = wait_for_idle(kernel)
        threads = kernel.value(LEFT_AFTER_UNLOADING)
    found = differences(seen.cells, references.of(case))
    records = kept_in(folder / STORE)
    problems = {
        "cells": {at: w for at, w in found.items() if at not in references.by_chance()},
        "told": seen.told if too_much(seen.told) else [],
        "silence": ["nothing is told"] if case.must_tell and not seen.told else [],
        "last cell": [] if LAST in seen.shown else ["shows nothing"],
        "live": [] if message["state"] == "idle" else [message],
        "threads": threads,
        "records": {} if case.loses_all and seen.told else lost_or_doubled(records),
        "figures": [*map(made_up, records)] if any(map(made_up, records)) else [],
        "reasons": unsaid(case, records),
    }
    assert {about: found for about, found in problems.items() if found} == {}


def too_much(told: list[str]) -> bool:
    """Whether more than one line is told; but where the database was told of, that records are not
    even safe in a journal any more, or that some are lost with it, is worth a second one."""
    worse = ["wait in memory" in line or "was damaged" in line for line in told]
    return worse not in ([], [False], [True], [False, True])


def made_up(record: Record) -> list[str]:
    """Figures that nobody can have measured, and domains that lack one without a reason."""
    cell = cell_from_records([record])
    found = [] if cell["duration_s"] >= 0 else [f"{cell['duration_s']} s"]
    for domain in cell["domains"]:
        known = (domain["energy_j"], domain["u95_j"], domain["low_j"], domain["high_j"])
        figures = [figure for figure in known if figure is not None]
        if any(figure < 0 or not math.isfinite(figure) for figure in figures):
            found.append(f"{domain}")
        if (domain["provenance"] == "none") != (not figures) or not (figures or domain["reason"]):
            found.append(f"{domain}")
    return found


def unsaid(case: Case, records: list[Record]) -> dict[str, list[str]]:
    """The cells whose sensors failed, and whose record does not say so."""
    return {
        record.cell_id or "": silent
        for record in records
        if (record.cell_id or "").removesuffix("-0001") in STRUCK
        and (silent := [k for k in case.silent_kinds if not says_why(record, k)])
    }


def says_why(record: Record, kind: str) -> bool:
    """Whether a record has a reason for what it lacks of a device."""
    domains = cell_from_records([record])["domains"]
    return any(d["kind"] == kind and d["energy_j"] is None and d["reason"] for d in domains)


# Threads that are at work when they are told to end get the time they need for it.
LEFT_AFTER_UNLOADING = (
    "(lambda ours: [get_ipython().run_line_magic('unload_ext', 'jupyter_energy'),"
    " [t.join(60) for t in ours], [t.name for t in ours if t.is_alive()]][2])"
    "([t for t in __import__('threading').enumerate() if 'jupyter-energy' in t.name])"
)


def lost_or_doubled(records: list[Record]) -> dict[str, int]:
    """The cells that are not there exactly once, and how often they are."""
    found = Counter((record.cell_id or "").removesuffix("-0001") for record in records)
    return {name: found[name] for name in ("first", *STRUCK, LAST) if found[name] != 1}


def wait_for_idle(kernel: Kernel) -> dict[str, Any]:
    """The live channel's message that nothing runs any more: it is sent a moment after a cell."""
    kernel.client.shell_channel.send(
        kernel.client.session.msg(
            "comm_msg", {"comm_id": "jupyter-energy", "data": {"op": "hello", "v": 1}}
        )
    )
    while True:
        message = kernel.client.get_iopub_msg(timeout=LIMIT_S)
        if message["msg_type"] == "comm_msg" and message["content"]["data"]["state"] == "idle":
            return dict(message["content"]["data"])


def kept_in(folder: Path) -> list[Record]:
    """All records; whoever opens the store takes in what dead kernels left."""
    if not folder.is_dir():
        return []
    store = Store(folder / "energy.sqlite")
    store.open()
    store.absorb()
    store.close()
    with closing(sqlite3.connect(folder / "energy.sqlite")) as connection:
        rows = connection.execute("SELECT document FROM record ORDER BY rowid").fetchall()
    return [record_from_document(json.loads(document)) for (document,) in rows]

"""A notebook of somebody else's gives with the extension what it gives without.

The whole list is run by `python tests/real_notebooks.py`; this one comes with papermill's wheel.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from conftest import SEED
from real_notebooks import Verdict, compare

NAMES = ("complex_parameters", "line_magic_error", "simple_execute")


@pytest.mark.slow
def test_a_notebook_that_is_installed_gives_with_us_what_it_gives_without(python: str) -> None:
    papermill = pytest.importorskip("papermill")
    folder = Path(papermill.__file__).parent / "tests" / "notebooks"
    name = random.Random(f"notebook {SEED}").choice(NAMES)
    verdict = compare(python, folder / f"{name}.ipynb")
    assert verdict.cells > 0
    # Where two runs without us differ as well, a cell says nothing of us.
    assert verdict.agrees, verdict.text()


def test_a_verdict_names_the_cells_that_differ() -> None:
    assert Verdict(3, 0, (), ()).text() == "agreed"
    assert Verdict(3, 1, (), ()).text() == "agreed; cells that differ also without us: 1"
    assert Verdict(3, 0, (), (), known="cells 2").text() == "agreed; but for cells 2"
    assert not Verdict(3, 0, (2,), ()).agrees
    assert "cells [2] DIFFER" in Verdict(3, 0, (2,), ()).text()
    assert Verdict(0, 0, (), (), "no module x").text() == "skipped: no module x"

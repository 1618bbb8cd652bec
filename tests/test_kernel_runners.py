"""What runs notebooks without a browser gives what it gives without us, however the run ends, and
the totals are there: in the store, and in the outputs that were saved (promises 14.3)."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest
from conftest import SEED, WHOLE
from harness import MIME_TYPE
from runners import RUNNERS, Loading, Machine, Run, Runner
from shell import Here

pytestmark = pytest.mark.skipif(os.name == "nt", reason="process groups and their signals")

# So that a traceback, which quotes a few lines around the one that failed, does not quote ours.
FAR = "\n" + "# nothing\n" * 8


@dataclass(frozen=True)
class Ending:
    """How a run ends: what its second cell does, and which outcomes the cells then have."""

    cell: str
    outcomes: dict[str, str]
    wish: str = ""  # the runner's options that this takes
    tags: tuple[str, ...] = ()
    killed: bool = False  # whether the kernel ends with that cell


FINE = {"first": "ok", "second": "ok", "third": "ok"}
FAILS = {"first": "ok", "second": "error"}
ENDINGS = {
    "ends well": Ending("'fine'", FINE),
    "a cell raises": Ending("1 / 0", FAILS),
    "a cell exits": Ending("import sys\nsys.exit(3)", FAILS),
    "the kernel dies": Ending("import os\nos._exit(3)", {"first": "ok"}, killed=True),
    "Ctrl-C": Ending(
        "{here}\nimport time\nwhile True:\n    time.sleep(0.01)", {"first": "ok"}, killed=True
    ),
    "an error is allowed": Ending("1 / 0", FINE | FAILS, wish="allow_errors"),
    "an error is allowed by a tag": Ending("1 / 0", FINE | FAILS, tags=("raises-exception",)),
    "a cell asks for input": Ending("input('?')", FAILS),
    "a cell takes too long": Ending(
        "import time\ntime.sleep(600)", {"first": "ok"}, wish="timeout", killed=True
    ),
}
SLICE = 4  # of the runners, of which each takes some five seconds of a core
LOADINGS: tuple[Loading, ...] = ("%load_ext", "enabled", "--ext")


def possible() -> list[tuple[str, str, Loading]]:
    """The whole matrix: runners by endings, each with one way to load, taken in turn."""
    cases = [
        (name, ending)
        for name, runner in RUNNERS.items()
        for ending, how in ENDINGS.items()
        if not how.wish or getattr(runner, how.wish)
    ]
    return [(*case, LOADINGS[n % len(LOADINGS)]) for n, case in enumerate(cases)]


def chosen() -> list[tuple[str, str, Loading]]:
    """All of the matrix in a whole run; else some runners, by the seed, each with an ending."""
    if WHOLE:
        return possible()
    dice = random.Random(f"runners {SEED}")
    runners = dice.sample(sorted(RUNNERS), SLICE)
    endings = dice.sample([e for e in ENDINGS if not ENDINGS[e].wish], SLICE)
    return [case for case in possible() if case[:2] in set(zip(runners, endings, strict=True))]


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    made = Here(tmp_path)
    with closing(made):
        yield made


def cells_of(ending: Ending, here: Here) -> list[object]:
    """A notebook of three shown cells, of which the second one ends it."""
    body = FAR + ending.cell.format(here=here.code)
    second = nbformat.v4.new_code_cell(f"%%energy -n second{body}", id="cell-0003")
    if ending.tags:
        second.metadata["tags"] = list(ending.tags)
    shown = "%%energy -n first\nimport sys\nprint('out')\nprint('err', file=sys.stderr)\n6 * 7"
    return [shown, second, "%%energy -n third\n'last'"]


def outcomes(summary: dict[str, Any]) -> dict[str, str]:
    """How the named cells of a summary ended; those that were killed with their kernel apart."""
    cells = summary["cells"]
    return {c["name"]: c["outcome"] for c in cells if c["name"] and c["outcome"] != "lost"}


def of_the_finished(found: dict[str, str], ending: Ending) -> dict[str, str]:
    """The outcomes without that of a cell which was killed: nbclient interrupts it first, and
    whether the kernel then lives long enough to keep its record is a matter of time."""
    killed = ending.killed and found.get("second") == "interrupted"
    return {name: outcome for name, outcome in found.items() if name != "second" or not killed}


def in_order(summary: dict[str, Any]) -> list[dict[str, Any]]:
    """The named cells of a summary in the order of their execution."""
    return sorted(summary["cells"], key=lambda cell: cell["started"])


def by_us(runner: Runner) -> bool:
    """Whether it is our own, of which there is none without us."""
    return runner.name == "jupyter energy run"


@pytest.mark.slow
@pytest.mark.parametrize(("name", "end", "how"), chosen())
def test_a_run_without_a_browser_is_as_without_us_and_its_totals_are_kept(
    python: str, tmp_path: Path, here: Here, name: str, end: str, how: Loading
) -> None:
    runner, ending = RUNNERS[name], ENDINGS[end]
    if runner.package:
        pytest.importorskip(runner.package)
    machine = Machine(python, tmp_path)
    cells = cells_of(ending, here)
    options = getattr(runner, ending.wish) if ending.wish else ()
    press = here if end == "Ctrl-C" else None
    without = RUNNERS["nbclient"] if by_us(runner) else runner
    plain = machine.execute(without, cells, "not", options, press)
    measured = machine.execute(runner, cells, how, options, press)

    assert (measured.status == 0) == (plain.status == 0)
    assert measured.executed.exists() == plain.executed.exists()
    stopped = 2 if end == "Ctrl-C" else None  # ours lets the cell end, whose output then differs
    assert measured.seen(ending.killed)[:stopped] == plain.seen(ending.killed)[:stopped]
    assert measured.metadata == plain.metadata
    assert "jupyter-energy" not in measured.stderr
    if not by_us(runner):
        assert measured.status == plain.status
        assert measured.stdout == plain.stdout
        # What a kernel that is killed still says, and what nbclient makes of it, is a matter of
        # time; where Ctrl-C did it, so is nbclient's last word.
        if not ending.killed:
            assert measured.said() == plain.said()
        elif end != "Ctrl-C":
            assert measured.said()[-1:] == plain.said()[-1:]
    assert_totals(machine, runner, measured, ending)


def assert_totals(machine: Machine, runner: Runner, run: Run, ending: Ending) -> None:
    """The totals are in the store and, where the executed notebook was written, in its outputs."""
    stored, expected = None, ending.outcomes
    if runner.tells_path:
        path = run.executed if runner.records_at == "output" else run.notebook
        stored = machine.summary(path)
        assert of_the_finished(outcomes(stored), ending) == expected
        assert stored["totals"]["duration_s"] > 0
    if runner.suffix == ".html":
        if run.executed.exists():
            assert_readable_page(run, expected)
        return
    if not run.executed.exists():
        return
    saved = machine.summary(run.executed, store=machine.folder / "empty.sqlite")
    assert of_the_finished(outcomes(saved), ending) == expected
    ours = run.energy()
    assert [o["data"][MIME_TYPE]["name"] for o in ours] == [c["name"] for c in in_order(saved)]
    for output in ours:
        assert output["metadata"] == {}
        assert set(output["data"]) == {"text/plain", "text/html", MIME_TYPE}
        assert "CO2e" in output["data"]["text/plain"]
        assert "<script" not in output["data"]["text/html"]
    if stored is not None:
        rows = {cell["name"]: cell for cell in stored["cells"]}
        for cell in saved["cells"]:
            for figure in ("duration_s", "measured_j", "estimated_j", "carbon_g", "outcome"):
                assert cell[figure] == rows[cell["name"]][figure]


def assert_readable_page(run: Run, expected: dict[str, str]) -> None:
    """Each result can be read on the page without its scripts."""
    text = re.sub(r"(?s)<script.*?</script>|<style.*?</style>", "", run.page)
    for name in expected:
        assert re.search(rf"{name}\b.*?CO2e", re.sub(r"<[^>]*>", " ", text), re.DOTALL)

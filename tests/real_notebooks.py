"""Real notebooks, run with the extension and without: `python tests/real_notebooks.py`.

They come from packages that ship examples, are fetched by pip, and none is kept here. Each runs
twice without the extension, once with every cell measured silently, and once with every cell shown.
A cell agrees where it gives what it gave without us; where the two runs without us differ from one
another, nobody can tell. Prints a table for tests/whole.md; status 1 where a cell does not agree.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from environments import WORK, make_environment
from harness import MIME_TYPE
from runners import RUNNERS, Loading, Machine, Run

ROOT = Path(__file__).resolve().parent.parent
# Package by package, the notebooks in its source distribution that need no network.
NOTEBOOKS = {
    "control": (
        "examples/cruise.ipynb",
        "examples/describing_functions.ipynb",
        "examples/simulating_discrete_nonlinear.ipynb",
        "examples/steering.ipynb",
        "examples/repr_gallery.ipynb",
    ),
    "emcee": ("docs/tutorials/quickstart.ipynb", "docs/tutorials/moves.ipynb"),
    "lmfit": ("examples/discuss_model_eval_uncertainty.ipynb",),
    "nbclient": (
        "tests/files/Clear Output.ipynb",
        "tests/files/Output.ipynb",
        "tests/files/update-display-id.ipynb",
    ),
    "nbconvert": ("tests/files/notebook2.ipynb",),
    "papermill": (
        "papermill/tests/notebooks/complex_parameters.ipynb",
        "papermill/tests/notebooks/line_magic_error.ipynb",
    ),
    "seaborn": (
        "doc/_tutorial/aesthetics.ipynb",
        "doc/_tutorial/error_bars.ipynb",
        "doc/_docstrings/color_palette.ipynb",
    ),
    "tqdm": ("tests_notebook.ipynb", "DEMO.ipynb"),
    "xarray": ("doc/examples/weather-data.ipynb",),
}
# Cells that cannot agree under `%%energy`, by notebook, and why.
KNOWN = {
    "Clear Output.ipynb": (
        {4, 10},
        "they end with `clear_output(wait=True)`, which waits for the next output: ours",
    ),
}
# What their cells import beyond the packages themselves.
ALSO = ("ipykernel", "ipywidgets", "matplotlib", "numpy", "pandas", "requests", "scipy", "sympy")
WHERE = r"\([^()]*, line \d+\)"  # a SyntaxError's text has it
CELL_LIMIT_S = 120
RUN_LIMIT_S = 900.0


@dataclass(frozen=True)
class Verdict:
    """How the cells of one notebook compare."""

    cells: int
    unsteady: int  # cells that differ without us from one run to the next
    silent: tuple[int, ...]  # those that differ where they are measured silently, counted from 1
    shown: tuple[int, ...]  # and where `%%energy` shows them
    problem: str = ""  # why nothing was compared
    known: str = ""  # which cells cannot agree where they are shown, and why

    @property
    def agrees(self) -> bool:
        """Whether every cell that can be compared gave what it gives without us."""
        return not (self.silent or self.shown)

    def text(self) -> str:
        """The verdict in words."""
        if self.problem:
            return f"skipped: {self.problem}"
        words = ["agreed"] if self.agrees else []
        words += [f"cells {list(self.silent)} DIFFER silently"] if self.silent else []
        words += [f"cells {list(self.shown)} DIFFER under %%energy"] if self.shown else []
        words += [f"but for {self.known}"] if self.known else []
        words += [f"cells that differ also without us: {self.unsteady}"] if self.unsteady else []
        return "; ".join(words)


def compare(python: str, source: Path) -> Verdict:
    """Run a notebook in a kernel of `python`, twice without us and in both ways with us."""
    with tempfile.TemporaryDirectory(prefix="real-notebooks-") as name:
        runs = [
            _run(python, source, Path(name), *how)
            for how in (("not", False), ("not", False), ("enabled", False), ("enabled", True))
        ]
    first, again, silent, shown = ([_given(c) for c in run.cells] for run in runs)
    if not any(run.cells for run in runs):
        last = (runs[0].stderr.strip().splitlines() or ["it gave nothing"])[-1]
        return Verdict(0, 0, (), (), last[:80])
    steady = {n for n, (one, other) in enumerate(zip(first, again, strict=True)) if one == other}
    unlike = _unlike(
        [_but_lines(c) for c in first], [_but_lines(_without_ours(c)) for c in shown], steady
    )
    excused, why = KNOWN.get(source.name, (set(), ""))
    cells = [n for n in unlike if n in excused]
    return Verdict(
        len(first),
        len(first) - len(steady),
        _unlike(first, silent, steady),
        tuple(n for n in unlike if n not in excused),
        known=f"cells {', '.join(map(str, cells))} under `%%energy`: {why}" if cells else "",
    )


def _run(python: str, source: Path, place: Path, how: Loading, shown: bool) -> Run:
    """One run, in a copy of the notebook's folder that has the same path each time."""
    folder = place / "here"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source.parent, folder)
    path = folder / source.name
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata["kernelspec"] = {"name": "tested", "display_name": "x", "language": "python"}
    for cell in notebook.cells:
        if shown and cell.cell_type == "code" and cell.source.strip():
            cell.source = f"%%energy\n{cell.source}"
    _, notebook = nbformat.validator.normalize(notebook)
    nbformat.write(notebook, path)
    home = place / f"home-{len(list(place.iterdir()))}"
    machine = Machine(python, home)
    machine.environ |= {
        "PYTHONPATH": str(ROOT),
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    }
    options = ["allow_errors=1", f"timeout={CELL_LIMIT_S}"]
    return machine.run_file(RUNNERS["nbclient"], path, how, options, limit_s=RUN_LIMIT_S)


def _given(cell: Any) -> list[Any]:
    """A cell's outputs, without what is made up anew in every run: addresses, ids, processes."""
    text = json.dumps([_output(o) for o in cell["outputs"]])
    text = re.sub(r"0x[0-9a-f]+|\b[0-9a-f]{32}\b|ipykernel_\d+/\d+|home-\d+", "", text)
    found: list[Any] = json.loads(text)
    return found


def _output(output: Any) -> dict[str, Any]:
    """An output without the cell's number, which is the cell's."""
    return {k: v for k, v in output.items() if k != "execution_count"}


def _without_ours(outputs: list[Any]) -> list[Any]:
    return [output for output in outputs if MIME_TYPE not in output.get("data", {})]


def _but_lines(outputs: list[Any]) -> list[Any]:
    """Errors by name and text only: `%%energy` is one more line in what a traceback quotes."""
    return [
        {k: re.sub(WHERE, "", str(v)) for k, v in o.items() if k != "traceback"}
        if o["output_type"] == "error"
        else o
        for o in outputs
    ]


def _unlike(one: list[list[Any]], other: list[list[Any]], steady: set[int]) -> tuple[int, ...]:
    pairs = enumerate(zip(one, other, strict=True))
    return tuple(n + 1 for n, (a, b) in pairs if n in steady and a != b)


def fetched(package: str, place: Path) -> tuple[Path, str]:
    """A package's source distribution, unpacked, and its version; pip fetches it."""
    archives = place / package
    if not list(archives.glob("*.tar.gz")):
        pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", package]
        subprocess.run([*pip, "-d", str(archives), package], check=True)
    (archive,) = archives.glob("*.tar.gz")
    folder = archives / archive.name.removesuffix(".tar.gz")
    if not folder.exists():
        with tarfile.open(archive) as tar:
            tar.extractall(archives, filter="data")
    return folder, folder.name.rpartition("-")[2]


def rows(python: str, packages: Sequence[str], place: Path) -> Iterator[tuple[str, bool]]:
    """A row of the table for each notebook, and whether it agrees."""
    for package in packages:
        folder, version = fetched(package, place)
        for name in NOTEBOOKS[package]:
            verdict = compare(python, folder / name)
            notebook = name.rpartition("/")[2]
            row = f"| {package} {version} | {notebook} | {verdict.cells} | {verdict.text()} |"
            yield row, verdict.agrees


def main() -> int:
    """Print the table; 1 where a notebook gave something else with us."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("packages", nargs="*", help="those of these packages only")
    arguments = parser.parse_args()
    packages = arguments.packages or list(NOTEBOOKS)
    needed = ["anywidget", "nvidia-ml-py", "platformdirs", "psutil", "traitlets"]
    kernel = make_environment(
        WORK / "real-notebooks", sys.executable, sorted({*ALSO, *needed, *NOTEBOOKS})
    )
    print("| package | notebook | cells | with the extension |\n|---|---|---|---|", flush=True)
    all_agree = True
    for row, agrees in rows(str(kernel), packages, WORK / "real-notebooks-fetched"):
        print(row, flush=True)
        all_agree &= agrees
    return 0 if all_agree else 1


if __name__ == "__main__":
    sys.exit(main())

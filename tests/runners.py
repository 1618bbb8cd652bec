"""Notebooks run by the programs that run them without a browser, with the extension or without.

A `Machine` is a home with the kernel under test in it; a `Runner` is one such program. What a run
gave is compared as a `Run`: exit status, stderr, and the executed notebook without our own block.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import nbformat
from harness import LIMIT_S, LOAD, MIME_TYPE, environment
from shell import Here

Loading = Literal["not", "%load_ext", "enabled", "--ext"]
ENERGY = [sys.executable, "-m", "jupyter_energy"]
PLAIN_LOAD, PLAIN_LINE = "pass", "# nothing"
# nbclient as a library: what comes of a run is kept however it ends, as people do it.
NBCLIENT = """
import sys, nbformat
from nbclient import NotebookClient
asked, out, *options = sys.argv[1:]
notebook = nbformat.read(asked, as_version=4)
keywords = dict(option.split("=") for option in options)
keywords = {name: int(value) for name, value in keywords.items()}
try:
    NotebookClient(notebook, record_timing=False, **keywords).execute()
finally:
    nbformat.write(notebook, out)
"""
TIMEOUT_S = 10  # of a cell: loading is to be done by then, also on a busy machine
# ipykernel says so where the interrupt that comes before every shutdown finds it busy.
AT_SHUTDOWN = "KeyboardInterrupt caught in kernel"


@dataclass(frozen=True)
class Runner:
    """A program that runs notebooks: its command line, and how it is told of two wishes.

    `tells_path`: whether a kernel can know by it which notebook it runs for.
    """

    name: str
    words: Callable[[Path, Path], Sequence[str | Path]]
    timeout: Sequence[str] = ()
    allow_errors: Sequence[str] = ()
    keeps_failed: bool = False  # whether the executed notebook is written also when a cell failed
    tells_path: bool = True
    records_at: Literal["input", "output"] = "input"  # the notebook that the totals belong to
    suffix: str = ".ipynb"
    package: str = ""  # that may not be there, where the environment of the tests is an older one


RUNNERS = {
    runner.name: runner
    for runner in (
        Runner(
            "papermill",
            lambda nb, out: ["-m", "papermill", nb, out, "--no-progress-bar"],
            timeout=["--execution-timeout", str(TIMEOUT_S)],
            keeps_failed=True,
            records_at="output",
            package="papermill",
        ),
        Runner(
            "nbclient",
            lambda nb, out: ["-c", NBCLIENT, nb, out],
            timeout=[f"timeout={TIMEOUT_S}"],
            allow_errors=["allow_errors=1"],
            keeps_failed=True,
            tells_path=False,
        ),
        Runner(
            "jupyter execute",
            lambda nb, out: ["-m", "jupyter", "execute", nb, f"--output={out.name}"],
            timeout=[f"--timeout={TIMEOUT_S}"],
            allow_errors=["--allow-errors"],
        ),
        Runner(
            "nbconvert",
            lambda nb, out: [
                *("-m", "nbconvert", "--execute", "--to", "notebook", nb, f"--output={out.name}")
            ],
            timeout=[f"--ExecutePreprocessor.timeout={TIMEOUT_S}"],
            allow_errors=["--allow-errors"],
        ),
        Runner(
            "nbconvert to HTML",
            lambda nb, out: [
                *("-m", "nbconvert", "--execute", "--to", "html", nb, f"--output={out.name}")
            ],
            timeout=[f"--ExecutePreprocessor.timeout={TIMEOUT_S}"],
            allow_errors=["--allow-errors"],
            suffix=".html",
        ),
        Runner(
            "jupyter energy run",
            lambda nb, out: ["-m", "jupyter_energy", "run", nb, "--output", out],
            keeps_failed=True,
        ),
    )
}


@dataclass
class Run:
    """How a run ended: what it printed, and the notebook or page that it made, if it did."""

    status: int
    stdout: str
    stderr: str
    notebook: Path
    executed: Path
    folder: Path
    cells: list[dict[str, Any]] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def page(self) -> str:
        """The HTML page, as text."""
        return self.executed.read_text(encoding="utf-8")

    def energy(self) -> list[dict[str, Any]]:
        """The outputs that are ours, in order."""
        outputs = [output for cell in self.cells for output in cell["outputs"]]
        return [output for output in outputs if MIME_TYPE in output.get("data", {})]

    def seen(self, killed: bool = False) -> list[Any]:
        """The cells and their outputs, as they would be without us.

        Whether a runner that was stopped has heard by then which number the cell has, that was
        `killed` with it, is a matter of time.
        """
        return [
            {
                "source": without_us(cell["source"]),
                "count": None if killed else cell.get("execution_count"),
                "metadata": comparable_metadata(cell["metadata"]),
                "outputs": [
                    comparable(output)
                    for output in cell["outputs"]
                    if MIME_TYPE not in output.get("data", {})
                ],
            }
            for cell in self.cells
        ]

    def said(self) -> list[str]:
        """The lines of stderr without what differs between two runs of one notebook."""
        text = steady(without_us(self.stderr.replace(str(self.folder), "FOLDER")))
        return [line for line in text.splitlines() if AT_SHUTDOWN not in line]


class Machine:
    """A home with the kernel under test in it; each run has a folder of its own."""

    def __init__(self, python: str, folder: Path) -> None:
        self.python, self.folder = python, folder
        folder.mkdir(parents=True, exist_ok=True)
        self.store = folder / "store" / "energy.sqlite"
        (folder / "sys").mkdir()
        self.environ = environment(
            folder / "home",
            {
                "JUPYTER_ENERGY_SYSFS": str(folder / "sys"),
                "JUPYTER_ENERGY_STORE": str(self.store),
                "PYDEVD_DISABLE_FILE_VALIDATION": "1",
            },
        )

    def load(self, how: Loading) -> None:
        """Have the kernel load the extension this way."""
        spec = Path(self.environ["JUPYTER_DATA_DIR"]) / "kernels" / "tested"
        spec.mkdir(parents=True, exist_ok=True)
        argv = [self.python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        argv += ["--ext=jupyter_energy"] if how == "--ext" else []
        words = {"argv": argv, "display_name": "tested", "language": "python"}
        (spec / "kernel.json").write_text(json.dumps(words))
        # What `jupyter energy enable` writes.
        profile = Path(self.environ["IPYTHONDIR"]) / "profile_default"
        profile.mkdir(parents=True, exist_ok=True)
        extensions = ["jupyter_energy"] if how == "enabled" else []
        config = {"InteractiveShellApp": {"extra_extensions": extensions}}
        (profile / "ipython_kernel_config.json").write_text(json.dumps(config))

    def notebook(self, path: Path, cells: Sequence[str | Any]) -> Path:
        """A notebook file with these cells, each with an id of its own."""
        code = [
            nbformat.v4.new_code_cell(cell, id=f"cell-{number:04}")
            if isinstance(cell, str)
            else cell
            for number, cell in enumerate(cells, 1)
        ]
        kernel = {"name": "tested", "display_name": "tested", "language": "python"}
        notebook = nbformat.v4.new_notebook(cells=code, metadata={"kernelspec": kernel})
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, path)
        return path

    def execute(
        self,
        runner: Runner,
        cells: Sequence[str | Any],
        how: Loading,
        options: Sequence[str] = (),
        press: Here | None = None,
    ) -> Run:
        """Run a notebook of these cells behind one that loads the extension or does not.

        Where `press` is given, Ctrl-C is pressed when the notebook says so.
        """
        folder = self.folder / ("without" if how == "not" else "with")
        first = LOAD if how == "%load_ext" else PLAIN_LOAD
        body = [as_plain(cell) if how == "not" else cell for cell in cells]
        path = self.notebook(folder / "a.ipynb", [first, *body])
        return self.run_file(runner, path, how, options, press)

    def run_file(
        self,
        runner: Runner,
        path: Path,
        how: Loading,
        options: Sequence[str] = (),
        press: Here | None = None,
        limit_s: float = LIMIT_S,
    ) -> Run:
        """Run a notebook file, in its folder; what it gives lies beside it."""
        self.load(how)
        folder = path.parent
        executed = folder / f"out{runner.suffix}"
        child = subprocess.Popen(
            [sys.executable, *map(str, runner.words(path, executed)), *options],
            env=self.environ,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            if press is not None:
                press.wait()
                os.killpg(child.pid, signal.SIGINT)
            out, err = child.communicate(timeout=limit_s)
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.communicate()
        run = Run(child.returncode, out, err, path, executed, folder)
        if executed.exists() and runner.suffix == ".ipynb":
            read = nbformat.read(executed, as_version=4)
            nbformat.validate(read)
            run.cells = [cell for cell in read.cells if cell.cell_type == "code"]
            # The kernel names its language, and papermill what it did when.
            run.metadata = comparable_metadata(read.metadata)
        return run

    def summary(self, path: Path, store: Path | None = None) -> dict[str, Any]:
        """What `jupyter energy summary NOTEBOOK --json` prints."""
        done = subprocess.run(
            [*ENERGY, "summary", str(path), "--json"],
            env={**self.environ, **({"JUPYTER_ENERGY_STORE": str(store)} if store else {})},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def forget(self) -> None:
        """Take the store away, as on another machine."""
        shutil.rmtree(self.store.parent)


def as_plain(cell: str | Any) -> str | Any:
    """A cell without the line of `%%energy`, and with as many lines."""
    if isinstance(cell, str):
        return without_us(cell)
    plain = nbformat.from_dict(dict(cell))
    plain["source"] = without_us(cell["source"])
    return plain


def without_us(text: str) -> str:
    """A cell's source, or what quotes it, as it is in the notebook without us."""
    # As far as the line goes, in colours and in JSON too.
    text = re.sub(r'(# )?%%energy\b[^\n\x1b\\"]*', PLAIN_LINE, text)
    return text.replace(LOAD, PLAIN_LOAD)


def steady(text: str) -> str:
    """A text without addresses, processes, byte counts and the temporary names of cells."""
    text = re.sub(r"0x[0-9a-f]+|pid[= ]\d+", "", text)
    text = re.sub(r"ipykernel_\d+/\d+\.py", "cell.py", text)
    return re.sub(r"\d+ bytes", "bytes", text)


def comparable(output: Any) -> Any:
    """An output without what differs between two runs of the very same cell."""
    return json.loads(steady(without_us(json.dumps(output))))


def comparable_metadata(metadata: Any) -> dict[str, Any]:
    """A notebook's or cell's metadata without what runners write there by themselves."""
    theirs = ("execution", "papermill", "language_info")
    return {k: v for k, v in metadata.items() if k not in theirs}

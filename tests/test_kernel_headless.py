"""Notebooks that run without a front end: nothing in their metadata, all in their outputs
(promises 14.2, 14.3)."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import nbformat
import pytest
from harness import LIMIT_S, LOAD, MIME_TYPE, environment
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

CELLS = (
    "total = sum(range(10**5))",
    "print('printed')\ntotal",
    "await __import__('asyncio').sleep(0.05)",
)
PLAIN = ["pass", "# nothing", *(f"# nothing\n{body}" for body in CELLS)]
MEASURED = [LOAD, "# nothing", *(f"%%energy -n 'cell {i}'\n{b}" for i, b in enumerate(CELLS))]
ENERGY = "import sys; from jupyter_energy.cli import main; sys.exit(main())"
needs_nbconvert = pytest.mark.skipif(
    find_spec("nbconvert") is None, reason="nbconvert is not in the environment of the tests"
)


class Machine:
    """A home with the kernel under test in it, and what runs notebooks there."""

    def __init__(self, python: str, folder: Path) -> None:
        self.folder = folder
        self.environ = environment(folder / "home")
        spec = Path(self.environ["JUPYTER_DATA_DIR"]) / "kernels" / "tested"
        spec.mkdir(parents=True)
        argv = [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        words = {"argv": argv, "display_name": "tested", "language": "python"}
        (spec / "kernel.json").write_text(json.dumps(words))

    def notebook(self, name: str, cells: list[str]) -> Path:
        """A notebook file with these cells, each with an id of its own."""
        code = [nbformat.v4.new_code_cell(source, id=f"{i:08}") for i, source in enumerate(cells)]
        kernel = {"name": "tested", "display_name": "tested", "language": "python"}
        notebook = nbformat.v4.new_notebook(cells=code, metadata={"kernelspec": kernel})
        path = self.folder / name
        nbformat.write(notebook, path)
        return path

    def run(self, *words: str, status: int = 0) -> str:
        """What a Python command prints in this home; its exit status must be `status`."""
        done = subprocess.run(
            [sys.executable, *words],
            env=self.environ,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert done.returncode == status, done.stderr
        return done.stdout

    def execute(self, path: Path) -> Any:
        """The notebook as nbclient leaves it; also written back, as people do."""
        notebook = nbformat.read(path, as_version=4)
        client = NotebookClient(notebook, kernel_name="tested", record_timing=False)
        try:
            client.execute(env=self.environ, cwd=str(self.folder))
        finally:
            nbformat.write(notebook, path)
        return nbformat.read(path, as_version=4)

    def forget(self) -> None:
        """Take the store away, as on another machine."""
        shutil.rmtree(self.folder / "home" / "data" / "jupyter-energy")

    def summary(self, path: Path) -> dict[str, Any]:
        """What `jupyter energy summary NOTEBOOK --json` prints."""
        found: dict[str, Any] = json.loads(self.run("-c", ENERGY, "summary", str(path), "--json"))
        return found


@pytest.fixture
def machine(python: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(python, tmp_path)
    # nbclient looks for the kernel from this process.
    monkeypatch.setenv("JUPYTER_DATA_DIR", made.environ["JUPYTER_DATA_DIR"])
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    return made


def metadata(notebook: Any) -> list[dict[str, Any]]:
    """All metadata: the notebook's, which names the language by itself, and each cell's."""
    whole = {k: v for k, v in notebook.metadata.items() if k != "language_info"}
    return [whole, *(cell.metadata for cell in notebook.cells)]


def energy(notebook: Any) -> list[dict[str, Any]]:
    """The data of the outputs that are ours."""
    outputs = [output for cell in notebook.cells for output in cell.outputs]
    return [o["data"] for o in outputs if MIME_TYPE in o.get("data", {})]


def others(notebook: Any) -> list[list[Any]]:
    """Each cell's outputs that are not ours."""
    return [
        [output for output in cell.outputs if MIME_TYPE not in output.get("data", {})]
        for cell in notebook.cells
    ]


def test_a_headless_run_leaves_metadata_and_outputs_as_they_would_be_without_us(
    machine: Machine,
) -> None:
    plain = machine.execute(machine.notebook("plain.ipynb", PLAIN))
    measured = machine.execute(machine.notebook("measured.ipynb", MEASURED))
    nbformat.validate(measured)
    assert metadata(measured) == metadata(plain)
    assert others(measured) == others(plain)
    assert [cell.source for cell in measured.cells] == MEASURED
    ours = [o for cell in measured.cells for o in cell.outputs if MIME_TYPE in o.get("data", {})]
    assert [output.metadata for output in ours] == [{}] * len(CELLS)


def test_each_shown_cell_can_be_read_as_text_as_a_page_and_by_programs(machine: Machine) -> None:
    measured = machine.execute(machine.notebook("measured.ipynb", MEASURED))
    found = energy(measured)
    assert [data[MIME_TYPE]["name"] for data in found] == ["cell 0", "cell 1", "cell 2"]
    for data in found:
        assert set(data) == {"text/plain", "text/html", MIME_TYPE}
        assert "CO2e" in data["text/plain"]
        assert "<script" not in data["text/html"]


def test_the_summary_of_a_notebook_from_another_machine_is_read_from_its_outputs(
    machine: Machine,
) -> None:
    path = machine.notebook("measured.ipynb", MEASURED)
    measured = machine.execute(path)
    machine.forget()
    there = machine.summary(path)
    assert there["schema"] == 1
    shown = [data[MIME_TYPE] for data in energy(measured)]
    assert there["totals"]["cells"] == len(CELLS)
    assert {cell["name"] for cell in there["cells"]} == {cell["name"] for cell in shown}
    assert there["totals"]["duration_s"] == pytest.approx(sum(c["duration_s"] for c in shown))
    middle_j = sum(cell["estimated_j"]["mid"] for cell in shown)
    assert there["totals"]["estimated_j"]["mid"] == pytest.approx(middle_j)


def test_a_failing_cell_stops_a_headless_run_as_it_does_without_us(machine: Machine) -> None:
    said = []
    for name, cells in (("plain.ipynb", PLAIN), ("measured.ipynb", MEASURED)):
        first = cells[-1].partition("\n")[0]
        path = machine.notebook(name, [*cells, f"{first}\n1 / 0", "print('reached')"])
        with pytest.raises(CellExecutionError) as caught:
            machine.execute(path)
        said.append((caught.value.ename, caught.value.evalue))
        ran = nbformat.read(path, as_version=4)
        assert ran.cells[-1].outputs == []
        assert ran.cells[-2].outputs[0].output_type == "error"
    assert said[0] == said[1]


@needs_nbconvert
def test_nbconvert_runs_a_measured_notebook_and_exports_what_it_drew(machine: Machine) -> None:
    path = machine.notebook("measured.ipynb", MEASURED)
    plain = machine.notebook("plain.ipynb", PLAIN)
    convert = ("-m", "nbconvert", "--execute", "--ExecutePreprocessor.record_timing=False")
    for notebook in (path, plain):
        machine.run(*convert, "--to", "notebook", "--inplace", str(notebook))
    measured = nbformat.read(path, as_version=4)
    nbformat.validate(measured)
    assert metadata(measured) == metadata(nbformat.read(plain, as_version=4))
    assert len(energy(measured)) == len(CELLS)
    machine.run("-m", "nbconvert", "--to", "html", str(path))
    assert path.with_suffix(".html").read_text().count("CO2e") >= len(CELLS)


@needs_nbconvert
def test_nbconvert_ends_with_the_same_status_when_a_cell_fails(machine: Machine) -> None:
    for name, line in (("plain.ipynb", "# nothing"), ("measured.ipynb", "%%energy")):
        path = machine.notebook(name, [LOAD, f"{line}\n1 / 0"])
        machine.run("-m", "nbconvert", "--execute", "--to", "notebook", str(path), status=1)

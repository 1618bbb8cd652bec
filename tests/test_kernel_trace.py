"""`%%energy --trace` in a real kernel: a cell that holds the interpreter, Ctrl-C, forks, faults."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from conftest import StartKernel
from harness import LOAD, Kernel
from shell import Shell, notebook
from standins import HERE
from standins.powercap import FakePowercap

from jupyter_energy.power.document import PowerTrace
from jupyter_energy.store import Store

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="RAPL's files are Linux's")

PACKAGE_W = 65.0
PNG = b"\x89PNG"


@pytest.fixture
def sysfs(tmp_path: Path) -> Iterator[Path]:
    """A package whose counter runs, in a process of its own: no kernel can hold it up."""
    fake = FakePowercap(tmp_path / "sys")
    fake.zone("package-0")
    command = [sys.executable, str(HERE / "powercap.py"), str(fake.root)]
    counters = subprocess.Popen(
        [*command, f"intel-rapl:0={PACKAGE_W}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert counters.stdout is not None
    counters.stdout.readline()
    yield fake.root
    counters.communicate()


@pytest.fixture
def traced(start_kernel: StartKernel, tmp_path: Path, sysfs: Path) -> Kernel:
    """A kernel that sees that package alone and keeps its records in the test's folder."""
    kernel = start_kernel(
        {
            "JUPYTER_ENERGY_SYSFS": str(sysfs),
            "JUPYTER_ENERGY_STORE": str(tmp_path / "energy.sqlite"),
            "JUPYTER_ENERGY_ESTIMATE": "no",
        }
    )
    assert kernel.run(LOAD).status == "ok"
    return kernel


def kept(kernel: Kernel, folder: Path) -> list[PowerTrace]:
    """The traces that the store holds, in the order of their runs."""
    import sqlite3

    kernel.flush()
    path = folder / "energy.sqlite"
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT run_id FROM record ORDER BY started").fetchall()
    connection.close()
    store = Store(path)
    found = [store.power(run_id) for (run_id,) in rows]
    store.close()
    return [trace for trace in found if trace is not None]


def test_a_cell_that_holds_the_interpreter_is_traced_while_it_does(
    traced: Kernel, tmp_path: Path
) -> None:
    # One call into C, which lets no thread of the kernel run before it is over.
    result = traced.run("%%energy --trace -n held\nsum(range(120_000_000))")
    assert result.status == "ok", result
    (cell,) = result.energy
    assert cell["warnings"] == []
    (trace,) = kept(traced, tmp_path)
    (curve,) = trace.curves
    assert trace.duration_s == pytest.approx(cell["duration_s"])
    # Their stamps lie within the cell, which is nothing but that call.
    ends_s = [end_s for _, end_s, power_w in curve.stretches() if power_w is not None]
    assert len(ends_s) >= 5
    assert all(0 < end_s <= trace.duration_s + 1e-5 for end_s in ends_s)
    assert cell["peak_w"] == trace.peak_w
    assert cell["peak_w"] is not None


def test_ctrl_c_ends_the_cell_and_its_trace_is_kept(traced: Kernel, tmp_path: Path) -> None:
    message = traced.send(
        "%%energy --trace\nimport psutil, time\n"
        "print(*(p.pid for p in psutil.Process().children()), 'runs', flush=True)\n"
        "time.sleep(600)"
    )
    traced.wait_for_output(message, "runs")
    pids = [p.pid for p in psutil.Process(traced.manager.provisioner.pid).children()]
    assert len(pids) == 1
    traced.manager.interrupt_kernel()
    result = traced.collect(message)
    assert [cell["outcome"] for cell in result.energy] == ["interrupted"]
    assert result.energy[0]["warnings"] == []
    assert len(kept(traced, tmp_path)) == 1
    assert not psutil.pid_exists(pids[0])


def test_a_process_that_cannot_start_is_a_warning_and_no_more(
    traced: Kernel, tmp_path: Path
) -> None:
    traced.run("import sys\nsys.executable = '/no/such/python'")
    result = traced.run("%%energy --trace\n6 * 7")
    assert result.value is not None
    assert (result.status, result.value["text/plain"], result.stderr) == ("ok", "42", "")
    (cell,) = result.energy
    (warning,) = cell["warnings"]
    assert warning.startswith("no power trace: the process that reads it did not start")
    assert (cell["peak_w"], kept(traced, tmp_path)) == (None, [])
    assert cell["measured_j"] is not None


HOSTILE = {
    "a fork that goes on after the cell": (
        # Python 3.12 and later warn of it in every kernel, since all kernels have threads.
        "import warnings\nwarnings.simplefilter('ignore', DeprecationWarning)\n"
        "pid = os.fork()\nif pid == 0:\n    time.sleep(600)"
    ),
    "its child is ended": (
        "import psutil\n[child] = psutil.Process().children()\nchild.kill(); child.wait()"
    ),
    "its child is reaped": (
        "import psutil\n[child] = psutil.Process().children()\nchild.kill()\nos.wait()"
    ),
    "SIGCHLD is ignored": "signal.signal(signal.SIGCHLD, signal.SIG_IGN)",
    "SIGPIPE kills": (
        "import psutil\nsignal.signal(signal.SIGPIPE, signal.SIG_DFL)\n"
        "[child] = psutil.Process().children()\nchild.kill(); child.wait()"
    ),
    "its environment is emptied": "os.environ.clear()",
    "subprocess is broken": "import subprocess\nsubprocess.Popen = None",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_whatever_the_cell_does_to_its_process_it_runs_as_it_would(
    traced: Kernel, what: str
) -> None:
    prelude = "import os, signal, time"
    result = traced.run(f"%%energy --trace\n{prelude}\n{HOSTILE[what]}\n6 * 7")
    assert result.value is not None
    assert (result.status, result.value["text/plain"], result.stderr) == ("ok", "42", "")
    assert len(result.energy) == 1
    again = traced.run("%%energy --trace\n6 * 7")
    assert again.value is not None
    assert (again.status, again.value["text/plain"]) == ("ok", "42")
    traced.run("import os, signal\nif globals().get('pid'):\n    os.kill(pid, signal.SIGKILL)")


def test_a_cell_is_plotted_by_its_name_and_its_count(traced: Kernel) -> None:
    count = traced.run("%%energy --trace -n 'a b'\nimport time; time.sleep(0.4)").execution_count
    for cell in ("'a b'", f"[{count}]", str(count)):
        result = traced.run(f"%energy plot {cell}")
        (shown,) = result.displays
        assert shown["text/plain"].startswith("a b: power over ")
        assert shown["image/png"].startswith("iVBOR")


def test_a_cell_without_a_trace_gives_one_line_that_says_what_to_do(traced: Kernel) -> None:
    traced.run("%%energy -n plain\n1")
    for cell, said in (
        ("plain", "cell 'plain' has no power trace: run it with %%energy --trace"),
        ("other", "no cell 'other' has been measured in"),
    ):
        result = traced.run(f"%energy plot {cell}")
        assert said in result.stderr
        assert "Traceback" not in result.stderr
        assert result.displays == []


def test_a_trace_that_the_store_cannot_take_is_plotted_from_memory(
    start_kernel: StartKernel, tmp_path: Path, sysfs: Path
) -> None:
    (tmp_path / "a folder").mkdir()
    kernel = start_kernel(
        {"JUPYTER_ENERGY_SYSFS": str(sysfs), "JUPYTER_ENERGY_STORE": str(tmp_path / "a folder")}
    )
    kernel.run(LOAD)
    told = kernel.run("%%energy --trace -n kept\nimport time; time.sleep(0.2)").stderr
    result = kernel.run("%energy plot kept")
    assert "cannot be used" in told + result.stderr
    assert [shown["text/plain"][:16] for shown in result.displays] == ["kept: power over"]


def test_a_block_is_traced_within_a_traced_cell(traced: Kernel, tmp_path: Path) -> None:
    result = traced.run(
        "%%energy --trace -n outer\nimport jupyter_energy as je, time\n"
        "with je.measure('inner', trace=True) as m:\n    time.sleep(0.3)\n"
        "print(m.result.peak_w is not None)"
    )
    assert (result.status, result.stdout) == ("ok", "True\n"), result
    outer, inner = kept(traced, tmp_path)
    assert outer.duration_s >= inner.duration_s >= 0.3
    shown = traced.run("%energy plot inner").displays
    assert shown[0]["text/plain"].startswith("↳ inner: power over ")


def test_a_trace_is_plotted_from_the_shell(tmp_path: Path, sysfs: Path) -> None:
    (tmp_path / "shell").mkdir()
    shell = Shell(tmp_path / "shell")
    shell.environ["JUPYTER_ENERGY_SYSFS"] = str(sysfs)
    cells = ["%load_ext jupyter_energy", "%%energy --trace -n fit\nimport time; time.sleep(0.4)"]
    path = notebook(shell.folder / "a.ipynb", cells)
    assert shell("run", path).returncode == 0
    told = shell("plot", path, "fit")
    assert told.returncode == 0, told
    assert "fit: power over " in told.stdout
    written = shell("plot", path, "fit", "--output", "power.png")
    assert (written.returncode, written.stdout) == (0, "Written: power.png\n"), written
    assert (shell.folder / "power.png").read_bytes().startswith(PNG)
    refused = shell("plot", path, "none")
    assert refused.returncode == 2
    assert "no cell 'none' has been measured in a.ipynb" in refused.stderr

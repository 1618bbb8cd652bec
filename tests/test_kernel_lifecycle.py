"""Windows close when cells do; loading leaves nothing behind (promises 5.3, 5.4, 11.2a, 11.4)."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from conftest import StartKernel
from harness import LIMIT_S, LOAD, Kernel, environment

from jupyter_energy.monitor import FIRST_CELL_DEADLINE_S
from jupyter_energy.store import Store

CELLS = "__import__('jupyter_energy.commands.summary', fromlist=['x'])"
SUMMARY = (
    "(lambda c, k, e: c.load(k.KernelContext(e.monitor), e.monitor.notebook(), own=True))("
    "__import__('jupyter_energy.commands.summary', fromlist=['x']),"
    "__import__('jupyter_energy.commands.kernel_context', fromlist=['x']),"
    "__import__('jupyter_energy.magics', fromlist=['x']).loaded_in(get_ipython()))"
)


def outcomes(kernel: Kernel) -> dict[str, str]:
    """The outcome of every cell so far, by cell id."""
    return {c["cell_id"]: c["outcome"] for c in kernel.value(SUMMARY)["cells"]}


def test_cells_are_kept_under_their_outcome(kernel: Kernel) -> None:
    kernel.run("1", cell_id="fine")
    kernel.run("1/0", cell_id="raises")
    kernel.run("raise KeyboardInterrupt", cell_id="stopped")
    assert outcomes(kernel) == {"fine": "ok", "raises": "error", "stopped": "interrupted"}


def test_a_record_bears_the_number_that_the_front_end_shows(kernel: Kernel) -> None:
    shown = {}
    for code in ("1", "1/0", "%%energy\n2", "import asyncio\nawait asyncio.sleep(0)"):
        shown[f"cell-{len(shown)}"] = kernel.run(code, cell_id=f"cell-{len(shown)}").execution_count
    cells = kernel.value(SUMMARY)["cells"]
    assert {c["cell_id"]: c["execution_count"] for c in cells} == shown


def test_a_record_is_in_the_store_when_the_reply_is_sent(
    start_kernel: StartKernel, tmp_path: Path
) -> None:
    store = tmp_path / "energy.sqlite"
    kernel = start_kernel({"JUPYTER_ENERGY_STORE": str(store)})
    kernel.run(LOAD)
    kernel.run("%energy off")
    for number in range(5):
        # The reply is read first; the files are then read by this process, not by the kernel. The
        # database may follow later.
        kernel.run(f"%%energy -q -n n{number}\npass")
        names = {r.name for r in Store(store).loose() if r.name is not None}
        assert names == {f"n{i}" for i in range(number + 1)}


def test_a_real_interrupt_ends_the_cell_and_its_window(kernel: Kernel) -> None:
    running = kernel.send(
        "%%energy -n long\nimport pathlib, time\npathlib.Path('asleep').touch()\ntime.sleep(600)",
        stop_on_error=False,  # an older kernel aborts what comes within a moment after an error
    )
    deadline_s = time.monotonic() + LIMIT_S
    while not (kernel.folder / "asleep").exists():  # so that it hits the cell, not a print
        assert time.monotonic() < deadline_s, "the cell has not begun"
        time.sleep(0.01)
    kernel.manager.interrupt_kernel()
    result = kernel.collect(running)
    assert result.error is not None
    assert result.error[0] == "KeyboardInterrupt"
    assert [c["outcome"] for c in result.energy] == ["interrupted"]
    assert kernel.run("'alive'").value == {"text/plain": "'alive'"}


def test_a_syntax_error_measures_nothing(kernel: Kernel) -> None:
    kernel.run("%%energy\nx = = 1", cell_id="broken")
    kernel.run("y = = 1", cell_id="broken too")
    kernel.run("1", cell_id="fine")
    assert outcomes(kernel) == {"fine": "ok"}


def test_an_empty_cell_is_no_cell(kernel: Kernel) -> None:
    """IPython fires post_run_cell without pre_run_cell for it (ipython#14597)."""
    for code in ("", "   \n", "\n"):
        assert kernel.run(code).status == "ok"
    kernel.run("1", cell_id="fine")
    assert outcomes(kernel) == {"fine": "ok"}


def test_a_cell_whose_end_was_never_told_is_closed_as_interrupted_by_the_next(
    kernel: Kernel,
) -> None:
    # A second pre_run_cell in the same request, whose post_run_cell never comes, leaves one
    # frame behind, as ipykernel does for some interrupted async cells (ipykernel#520).
    kernel.run(
        "from IPython.core.interactiveshell import ExecutionInfo as I\n"
        "import inspect\n"
        "names = list(inspect.signature(I.__init__).parameters)[1:]\n"
        "ip = get_ipython()\n"
        "ip.events.trigger('pre_run_cell', I(*[None for _ in names]))",
        cell_id="odd",
    )
    kernel.run("2", cell_id="next")
    assert outcomes(kernel) == {"odd": "interrupted", "next": "ok"}


INTERRUPTING_SENSOR = '''
import os, signal
from jupyter_energy.model import Domain
from jupyter_energy.sensors.base import Accuracy, Discovery

WORKER = None


class Interrupting:
    """A sensor during whose reading the user presses Ctrl-C, once it is armed."""

    domain = Domain("gpu", 9, "interrupting")
    kind, provenance, source = "counter", "measured", "interrupting"
    wraps_at_j = max_w = spread = worker = None
    step_j, period_s, accuracy = 0.0, 0.001, Accuracy(0.0, "a test")
    averages_s, settles_s, polls_s = 0.0, None, None
    joules = 0.0

    def read(self):
        if os.environ.get("ARMED") == str(os.getpid()):
            del os.environ["ARMED"]
            os.kill(os.getpid(), signal.SIGINT)
        self.joules += 1.0  # of one that never moves no figure is told
        return self.joules

    def close(self):
        pass


def discover(machine):
    return Discovery((Interrupting(),))
'''


def third_party_sensor(folder: Path, source: str) -> dict[str, str]:
    """An installed package that adds a sensor by its entry point; the environment to see it."""
    (folder / "added-1.0.dist-info").mkdir(parents=True)
    (folder / "added.py").write_text(source)
    (folder / "added-1.0.dist-info" / "METADATA").write_text("Name: added\nVersion: 1.0\n")
    (folder / "added-1.0.dist-info" / "entry_points.txt").write_text(
        "[jupyter_energy.sensors]\nadded = added\n"
    )
    return {"PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}


def test_ctrl_c_that_hits_our_hook_interrupts_the_cell_and_nothing_else(
    start_kernel: StartKernel, tmp_path: Path
) -> None:
    kernel = start_kernel(third_party_sensor(tmp_path / "site", INTERRUPTING_SENSOR))
    kernel.run(LOAD)
    kernel.run("%%energy -q\nimport os, time", cell_id="finds")  # waits until sensors are found
    kernel.run("os.environ['ARMED'] = str(os.getpid())", cell_id="arms")
    # Armed at the closing edge of that cell already: the interrupt came after its code.
    assert kernel.value("__import__('os').environ.get('ARMED')") is None
    kernel.run("1", cell_id="later")
    # No window was left open around it: it is in the totals.
    assert "later" in outcomes(kernel)
    found = kernel.value(SUMMARY)
    assert found["totals"]["runs"] == sum(c["runs"] for c in found["cells"])
    kernel.run(
        "class Arm:\n"
        "    def __call__(self, info):\n"
        "        if 'sleep' in info.raw_cell: os.environ['ARMED'] = str(os.getpid())\n"
        "hooks = get_ipython().events.callbacks['pre_run_cell']\n"
        "hooks.insert(0, Arm())"
    )
    result = kernel.run("time.sleep(600)", cell_id="hit")
    assert result.error is not None
    assert result.error[0] == "KeyboardInterrupt"
    assert kernel.run("'alive'").value == {"text/plain": "'alive'"}
    assert kernel.value(
        "len([t for t in __import__('threading').enumerate() if 'energy' in t.name]) > 0"
    )


GPU_QUEUE = """
import os, signal, sys, types
sys.modules["mlx"], core = types.ModuleType("mlx"), types.ModuleType("mlx.core")
sys.modules["mlx.core"], waits = core, []
def synchronize():
    waits.append(1)
    if len(waits) == {wait}:
        os.kill(os.getpid(), signal.SIGINT)  # the user presses Ctrl-C while we wait
core.synchronize = synchronize
"""


def test_ctrl_c_while_the_gpu_is_waited_for_at_the_end_leaves_no_window_open(
    kernel: Kernel,
) -> None:
    kernel.run(GPU_QUEUE.format(wait=2), cell_id="sets up")
    waiting = kernel.run("%%energy\n'done'", cell_id="waits")
    assert waiting.value == {"text/plain": "'done'"}
    (cell,) = waiting.energy
    assert "interrupted: queued GPU work was not waited for" in " ".join(cell["warnings"])
    kernel.run("1", cell_id="later")
    assert outcomes(kernel) == {"sets up": "ok", "waits": "ok", "later": "ok"}
    assert kernel.value(SUMMARY)["totals"]["runs"] == 3


def test_ctrl_c_while_the_gpu_is_waited_for_at_the_beginning_measures_nothing(
    kernel: Kernel,
) -> None:
    kernel.run(GPU_QUEUE.format(wait=1), cell_id="sets up")
    waiting = kernel.run("%%energy\n'done'", cell_id="stopped")
    assert waiting.error is not None
    assert waiting.error[0] == "KeyboardInterrupt"
    kernel.run("1", cell_id="later")
    assert outcomes(kernel) == {"sets up": "ok", "later": "ok"}


def test_unloading_within_a_block_leaves_no_thread_and_says_what_is_lost(kernel: Kernel) -> None:
    result = kernel.run(
        "import jupyter_energy as je\n"
        "with je.measure('block'):\n"
        "    get_ipython().run_line_magic('unload_ext', 'jupyter_energy')"
    )
    assert result.status == "ok"
    assert "is lost" in result.stderr
    assert (
        kernel.value("[t.name for t in __import__('threading').enumerate() if 'energy' in t.name]")
        == []
    )


def test_unloading_leaves_threads_descriptors_hooks_and_transformers_as_before(
    start_kernel: StartKernel,
) -> None:
    state = (
        "{'threads': sorted(t.name for t in __import__('threading').enumerate()),"
        " 'files': sorted(os.readlink(f'/proc/self/fd/{n}') for n in os.listdir('/proc/self/fd')"
        "     if os.path.exists(f'/proc/self/fd/{n}')"
        # IPython's own, which comes and goes as it writes, and ipykernel's pipe of every thread
        # that has sent something: it closes those of ended threads every 10 s.
        "     and 'history.sqlite' not in os.readlink(f'/proc/self/fd/{n}')"
        "     and not os.readlink(f'/proc/self/fd/{n}').endswith('profile_default')"
        "     and 'eventfd' not in os.readlink(f'/proc/self/fd/{n}')),"
        " 'hooks': {k: len(v) for k, v in get_ipython().events.callbacks.items()},"
        " 'transformers': len(get_ipython().input_transformers_cleanup),"
        " 'configurables': len(get_ipython().configurables),"
        " 'line': sorted(get_ipython().magics_manager.magics['line']),"
        " 'cell': sorted(get_ipython().magics_manager.magics['cell'])}"
    )
    kernel = start_kernel()
    # Imports stay, and IPython registers the magic that loads extensions at its first use.
    kernel.run("%load_ext autoreload\n%unload_ext autoreload")
    kernel.run("import gc, os, jupyter_energy.magics, matplotlib, sqlite3, pynvml")
    before = kernel.value(state)
    for _ in range(3):
        kernel.run(LOAD)
        kernel.run("%%energy\nsum(range(1000))")
        assert kernel.value(state) != before
        assert kernel.run("%unload_ext jupyter_energy").status == "ok"
        assert kernel.value(state) == before
    kernel.run(LOAD)
    kernel.run("%reload_ext jupyter_energy")
    (cell,) = kernel.run("%%energy\n1").energy
    assert cell["outcome"] == "ok"
    kernel.run("%unload_ext jupyter_energy")
    assert kernel.value(state) == before
    unknown = kernel.run("%%energy\n1")
    assert "not found" in unknown.stderr


def test_all_our_threads_are_daemons(kernel: Kernel) -> None:
    kernel.run("%%energy\n1")
    ours = kernel.value(
        "[[t.name, t.daemon] for t in __import__('threading').enumerate() if 'energy' in t.name]"
    )
    assert ours
    assert all(daemon for _, daemon in ours), ours


def test_a_kernel_that_is_told_to_end_ends(kernel: Kernel) -> None:
    kernel.run("%%energy\n1")
    kernel.manager.request_shutdown()
    deadline = time.monotonic() + LIMIT_S
    while kernel.manager.is_alive():
        assert time.monotonic() < deadline, "the kernel still runs"
        time.sleep(0.05)  # a process's end is no event that jupyter_client hands out


def test_a_restart_continues_the_notebooks_totals(
    start_kernel: StartKernel, tmp_path: Path
) -> None:
    more = {"JPY_SESSION_NAME": str(tmp_path / "home" / "analysis.ipynb")}
    first = start_kernel(more)
    first.run(LOAD)
    first.run("sum(range(10**5))", cell_id="aaaaaaaa-1")
    before = first.value(SUMMARY)
    second = start_kernel(more)
    second.run(LOAD)
    second.run("sum(range(10**5))", cell_id="aaaaaaaa-1")
    second.run("1", cell_id="bbbbbbbb-2")
    after = second.value(SUMMARY)
    assert after["notebook"]["id"] == before["notebook"]["id"]
    runs = {c["cell_id"]: c["runs"] for c in after["cells"]}
    assert runs == {"aaaaaaaa-1": 2, "bbbbbbbb-2": 1}


def test_a_restart_continues_the_totals_of_a_notebook_that_was_never_saved(
    start_kernel: StartKernel, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    blank = home / "Untitled.ipynb"
    blank.write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
    for name, more in (("blank", {"JPY_SESSION_NAME": str(blank)}), ("unsaved", {})):
        kernel = start_kernel(more)
        for runs in (1, 2):
            kernel.run(LOAD)
            kernel.run("1", cell_id=f"{name}-0001")
            (cell,) = kernel.value(SUMMARY)["cells"]
            assert (cell["cell_id"], cell["runs"]) == (f"{name}-0001", runs)
            kernel.manager.restart_kernel()
            kernel.client.wait_for_ready(timeout=LIMIT_S)


NOTEBOOK_OF_A_SHELL = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell()
shell.run_line_magic("load_ext", "jupyter_energy")
from jupyter_energy.magics import loaded_in
from jupyter_energy.store import Store
monitor = loaded_in(shell).monitor
shell.run_cell("None")
print(Store(monitor.store_path).notebook_for(monitor.notebook()).id)
shell.run_line_magic("unload_ext", "jupyter_energy")
"""


def test_two_terminal_sessions_are_two_notebooks_whatever_their_process_number(
    python: str, tmp_path: Path
) -> None:
    code = f"for _ in range(2):\n    exec({NOTEBOOK_OF_A_SHELL!r}, {{}})"  # of one process number
    done = subprocess.run(
        [python, "-c", code],
        env=environment(tmp_path / "home"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    first, second = done.stdout.split()
    assert first != second


def test_fifty_comm_messages_in_mid_cell_neither_open_nor_close_a_window(
    kernel: Kernel,
) -> None:
    """Handling a comm message fires pre_execute and post_execute, on ipykernel 7 even on another
    thread (ipykernel#1564): only *_run_cell may count (promise 11.2a)."""
    kernel.run(
        "try:\n"
        "    from comm import get_comm_manager\n"
        "except ImportError:\n"
        "    get_comm_manager = lambda: get_ipython().kernel.comm_manager\n"
        "handled = []\n"
        "def opened(comm, message):\n"
        "    comm.on_msg(lambda m: handled.append(1))\n"
        "get_comm_manager().register_target('test', opened)",
        cell_id="sets up",
    )
    client = kernel.client
    control = client.session.msg("create_subshell_request", {})
    client.control_channel.send(control)
    subshell = None
    info = client._recv_reply(client.kernel_info(), timeout=LIMIT_S)["content"]
    if "kernel subshells" in info.get("supported_features", []):
        reply = client.control_channel.get_msg(timeout=LIMIT_S)
        subshell = reply["content"].get("subshell_id")

    def send_comm(kind: str, content: dict[str, object]) -> None:
        message = client.session.msg(kind, content)
        if subshell is not None:
            message["header"]["subshell_id"] = subshell
        client.shell_channel.send(message)

    cell = kernel.send(
        "%%energy -n busy\nprint('begun', flush=True)\nimport time\n"
        f"end = time.monotonic() + {LIMIT_S}\n"
        f"while {subshell is not None} and len(handled) < 50 and time.monotonic() < end:\n"
        "    time.sleep(0.01)\n"
        "time.sleep(0.3)\nlen(handled)",
        cell_id="busy",
    )
    kernel.wait_for_output(cell, "begun")
    send_comm("comm_open", {"comm_id": "c1", "target_name": "test", "data": {}})
    for _ in range(50):
        send_comm("comm_msg", {"comm_id": "c1", "data": {}})
    result = kernel.collect(cell)
    assert result.value == {"text/plain": "50" if subshell is not None else "0"}
    (shown,) = result.energy
    assert shown["duration_s"] >= 0.3
    kernel.run("1", cell_id="next")
    assert kernel.value("len(handled)") == 50
    assert outcomes(kernel) == {"sets up": "ok", "busy": "ok", "next": "ok"}


QUIET = """
import sys, threading, os
events = []
def seen(event, args):
    if event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+"):
        events.append([event, str(args[0])])
    if event.startswith(("socket.", "subprocess.", "os.mkdir", "os.rename", "ctypes.dlopen")):
        events.append([event, str(args)])
sys.addaudithook(seen)
before = threading.active_count()
sys.dont_write_bytecode = True
import jupyter_energy
print(events, threading.active_count() - before,
      sorted(set(sys.modules) & {"pynvml", "matplotlib", "IPython", "sqlite3", "numpy", "psutil"}))
"""


def test_importing_starts_no_thread_opens_nothing_and_writes_nothing(
    python: str, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    done = subprocess.run(
        [python, "-c", QUIET], env=environment(home), capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[] 0 []"
    assert list(home.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_a_kernel_that_was_killed_needs_no_cleaning_up(
    start_kernel: StartKernel, tmp_path: Path
) -> None:
    more = {"JPY_SESSION_NAME": str(tmp_path / "home" / "a.ipynb")}
    first = start_kernel(more)
    first.run(LOAD)
    first.run("import os", cell_id="kept-0001")
    pid = first.value("__import__('os').getpid()")
    os.kill(pid, signal.SIGKILL)
    second = start_kernel(more)
    second.run(LOAD)
    (cell,) = second.run("%%energy\n1", cell_id="kept-0002").energy
    assert cell["outcome"] == "ok"
    assert set(outcomes(second)) == {"kept-0001", "kept-0002"}


@pytest.mark.every_kernel
def test_a_sign_of_life_has_the_number_that_its_cell_will_have(kernel: Kernel) -> None:
    """So that a row that was lost is named as others are."""
    loaded = "__import__('jupyter_energy.magics', fromlist=['x']).loaded_in(get_ipython())"
    counts = f"[r.execution_count for r, _ in {loaded}.monitor._under_way()]"
    kernel.run("1")
    for code in (counts, f"%%energy\n{counts}"):
        ran = kernel.run(code)
        assert ran.value is not None
        assert ran.value["text/plain"] == f"[{ran.execution_count}]"


def test_a_store_that_is_deleted_while_the_kernel_runs_is_made_anew_and_goes_on(
    start_kernel: StartKernel, tmp_path: Path
) -> None:
    store = tmp_path / "s" / "energy.sqlite"
    kernel = start_kernel({"JUPYTER_ENERGY_STORE": str(store)})
    kernel.run(LOAD)
    kernel.run("1", cell_id="before-1")
    kernel.flush()  # what the database lacked would be written again
    shutil.rmtree(store.parent)
    kernel.run("1", cell_id="after-11")
    assert set(outcomes(kernel)) == {"after-11"}


def test_the_first_cell_after_loading_is_measured(start_kernel: StartKernel) -> None:
    kernel = start_kernel()
    loading = kernel.send(LOAD)
    first = kernel.send("1", cell_id="first-01")
    kernel.collect(loading)
    kernel.collect(first)
    (cell,) = kernel.value(SUMMARY)["cells"]
    if cell["estimated_j"] is None and cell["measured_j"] is None:
        # a busy machine has not found a sensor in the time that a first cell waits; it did wait
        loaded = "__import__('jupyter_energy.magics', fromlist=['x']).loaded_in(get_ipython())"
        assert kernel.value(f"{loaded}.monitor._waited_s") == FIRST_CELL_DEADLINE_S


def test_a_kernel_keeps_its_notebook_when_it_is_renamed_and_another_takes_the_name(
    start_kernel: StartKernel, tmp_path: Path
) -> None:
    path = tmp_path / "home" / "Untitled.ipynb"
    path.parent.mkdir()

    def save(name: str, cell_id: str) -> None:
        cell = {"cell_type": "code", "id": cell_id, "source": "1", "metadata": {}, "outputs": []}
        document = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [cell]}
        path.with_name(name).write_text(json.dumps(document))

    save("Untitled.ipynb", "aaaaaaaa-1")
    more = {"JPY_SESSION_NAME": str(path), "JUPYTER_ENERGY_STORE": str(tmp_path / "e.sqlite")}
    kernel = start_kernel(more)
    kernel.run(LOAD)
    kernel.run("1", cell_id="aaaaaaaa-1")
    path.rename(path.with_name("train.ipynb"))
    save("Untitled.ipynb", "bbbbbbbb-2")
    other = start_kernel(more, home="other")
    other.run(LOAD)
    other.run("1", cell_id="bbbbbbbb-2")
    assert set(outcomes(kernel)) == {"aaaaaaaa-1"}

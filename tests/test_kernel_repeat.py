"""`%%energy -r` in real kernels: a body that runs several times is otherwise a plain cell."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from conftest import StartKernel
from harness import LIMIT_S, LOAD, MIME_TYPE, Kernel, environment, stopped_by
from nbclient import NotebookClient
from standins import HERE
from standins.powercap import FakePowercap

# Bodies, what they print in each run, and what the cell shows as its value.
BODIES = {
    "an expression": ("6 * 7", "", "42"),
    "a silenced expression": ("print('x')\n6 * 7;", "x\n", None),
    "a statement": ("x = 1", "", None),
    "a multi-line string": ('text = """a\n  b\n\tc"""\ntext', "", "'a\\n  b\\n\\tc'"),
    "top-level await": ("import asyncio\nawait asyncio.sleep(0.001)\nprint('w')\n1", "w\n", "1"),
    "async for": ("async def g():\n    yield 1\n[x async for x in g()]", "", "[1]"),
    "a magic": ("%who_ls bytes", "", "[]"),
    "a shell command": ("!echo out", "out\n", None),
    "a future import": ("from __future__ import annotations\nprint(1)", "1\n", None),
    "a definition": ("def f():\n    return 5\n\n\nprint(f())\nf()", "5\n", "5"),
    "another cell magic": ("%%bash\necho from bash\n", "from bash\n", None),
    "an unused result": ("import sys\nsys.version_info\nNone", "", None),
}


@pytest.fixture
def kernel(shared_kernel: Kernel) -> Kernel:
    return shared_kernel


def plain(traceback: list[str]) -> str:
    """A traceback without its colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(traceback))


@pytest.mark.every_kernel
def test_a_body_runs_as_often_as_asked_and_its_value_is_shown_once(kernel: Kernel) -> None:
    for name, (body, printed, value) in BODIES.items():
        result = kernel.run(f"%%energy -r 3\n{body}")
        stdout = result.stdout.replace("\r", "")  # a shell command writes to a terminal
        assert (result.status, stdout) == ("ok", printed * 3), (name, result)
        assert (result.value or {}).get("text/plain") == value, (name, result)
        assert [cell["repeats"]["runs"] for cell in result.energy] == [2], (name, result)
        assert [cell["repeats"]["first_runs"] for cell in result.energy] == [1]


@pytest.mark.every_kernel
def test_nothing_of_ours_is_left_in_the_users_namespace(kernel: Kernel) -> None:
    names = "sorted(k for k in globals() if not k.startswith('_'))"
    kernel.run("%%energy -q\ncount = 0")
    before = kernel.value(names)
    kernel.run("%%energy -q -r 5\ncount += 1")
    assert kernel.value(names) == before
    assert kernel.value("count") == 5


def test_the_users_own_names_do_not_stand_in_our_way(kernel: Kernel) -> None:
    kernel.run("get_ipython = None")
    kernel.run("count = 0")
    assert kernel.run("%%energy -q -r 5\ncount += 1").status == "ok"
    assert kernel.value("count") == 5


@pytest.mark.every_kernel
def test_an_error_ends_the_cell_at_the_users_own_line(kernel: Kernel) -> None:
    result = kernel.run("%%energy -r 5\nn = globals().get('n', 0) + 1\n\nprint(1 / (3 - n))")
    assert (result.status, result.stdout) == ("error", "0.5\n1.0\n")
    assert result.error is not None
    assert result.error[:2] == ("ZeroDivisionError", "division by zero")
    text = plain(result.error[2])
    assert text.count("ZeroDivisionError: division by zero") == 1
    assert re.search(r"-+> 4 print\(1 / \(3 - n\)\)", text), text
    assert "jupyter_energy" not in text
    assert "energy_runs" not in text
    (cell,) = result.energy
    assert cell["outcome"] == "error"
    assert cell["repeats"]["runs"] == 1


@pytest.mark.every_kernel
def test_an_error_in_the_last_run_reads_as_in_any_other(kernel: Kernel) -> None:
    result = kernel.run("%%energy -r 2\nn = globals().get('n', 0) + 1\n1 / (2 - n)")
    assert result.error is not None
    assert re.search(r"-+> 3 1 / \(2 - n\)", plain(result.error[2]))
    assert kernel.value("n") == 2


def test_run_all_stops_at_a_repeated_cell_that_fails(kernel: Kernel) -> None:
    stopped = stopped_by(kernel, "%%energy -r 4\nraise ValueError('stop here')")
    assert stopped.status in ("aborted", "error")
    assert kernel.value("'reached' in globals()") is False


@pytest.mark.every_kernel
def test_an_interrupt_ends_all_runs_and_tells_of_the_blocks_before_it(kernel: Kernel) -> None:
    body = "n = globals().get('n', 0) + 1\nif n == 4:\n    print('now')\n    time.sleep(60)"
    kernel.run("import time")
    running = kernel.send(f"%%energy -r 6 -v result\n{body}", stop_on_error=False)
    kernel.wait_for_output(running, "now")
    kernel.manager.interrupt_kernel()
    result = kernel.collect(running)
    assert result.error is not None
    assert result.error[0] == "KeyboardInterrupt"
    assert [cell["outcome"] for cell in result.energy] == ["interrupted"]
    assert kernel.value("[n, result.repeats.runs]") == [4, 2]


@pytest.mark.every_kernel
@pytest.mark.parametrize("body", ["x = 1\nbreak", "if True:\n    continue", "return 1"])
def test_what_needs_a_loop_of_the_users_own_is_the_error_it_is_without_us(
    kernel: Kernel, body: str
) -> None:
    once, repeated = kernel.run(f"%%energy\n{body}"), kernel.run(f"%%energy -r 3\n{body}")
    assert once.error is not None
    assert repeated.error is not None
    assert repeated.error[:1] == once.error[:1] == ("SyntaxError",)
    assert repeated.error[1].partition("(")[0] == once.error[1].partition("(")[0]


@pytest.mark.parametrize("option", ["0", "x", "1.5", "-3", "", "1e3", "'2 3'"])
def test_a_bad_number_of_runs_is_one_line_and_no_run(kernel: Kernel, option: str) -> None:
    result = kernel.run(f"%%energy -r {option}\nprint('ran')")
    assert (result.status, result.stdout) == ("error", "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("UsageError: %%energy")
    assert result.energy == []
    assert "Traceback" not in line


def test_a_wrong_zone_ends_the_cell_before_the_first_run(kernel: Kernel) -> None:
    result = kernel.run("%%energy -r 3 --zone XX\nprint('ran')")
    assert (result.status, result.stdout) == ("error", "")


def test_one_run_is_as_without_the_option(kernel: Kernel) -> None:
    result = kernel.run("%%energy -r 1\nprint('once')\n5")
    assert (result.stdout, result.value) == ("once\n", {"text/plain": "5"})
    assert [cell["repeats"] for cell in result.energy] == [None]


def test_the_number_of_runs_may_be_a_variable(kernel: Kernel) -> None:
    kernel.run("n = 4")
    assert kernel.run("%%energy -r {n}\nprint('x')").stdout == "x\n" * 4
    kernel.run("n = 1")
    assert kernel.run("%%energy -r $n\nprint('x')").stdout == "x\n"


@pytest.mark.every_kernel
def test_the_time_magic_works_above_and_below(kernel: Kernel) -> None:
    below = kernel.run("%%energy -r 2\n%%time\nx = 5\nx + 1")
    assert below.value is not None, below
    assert below.value["text/plain"] == "6"
    assert below.stdout.count("Wall time") == 2
    above = kernel.run("%%time\n%%energy -r 2\nprint('y')\n7")
    assert above.value is not None, above
    assert above.value["text/plain"] == "7"
    assert above.stdout.count("Wall time") == 1
    assert above.stdout.count("y\n") == 2
    assert [c["repeats"]["runs"] for c in (*below.energy, *above.energy)] == [1, 1]


def test_the_magic_called_by_name_repeats_too(kernel: Kernel) -> None:
    call = "get_ipython().run_cell_magic('energy', '-r 3 -v result', 'print(1)\\n8')"
    result = kernel.run(call)
    assert (result.stdout, result.value) == ("1\n" * 3, {"text/plain": "8"})
    assert kernel.value("[result.repeats.runs, result.repeats.first_runs]") == [2, 1]


def test_a_later_transformer_sees_each_number_once(start_kernel: StartKernel) -> None:
    kernel = start_kernel()
    kernel.run(LOAD)
    kernel.run(
        "import ast\n"
        "class Doubled(ast.NodeTransformer):\n"
        "    def visit_Constant(self, node):\n"
        "        if not isinstance(node.value, int):\n"
        "            return node\n"
        "        return ast.BinOp(node, ast.Mult(), ast.Constant(2))\n"
        "get_ipython().ast_transformers.append(Doubled())"
    )
    assert kernel.run("%%energy -r 3\nprint(21)").stdout == "42\n" * 3


def test_the_magic_leaves_with_the_extension(start_kernel: StartKernel) -> None:
    kernel = start_kernel()
    kernel.run(LOAD)
    kernel.run("%unload_ext jupyter_energy")
    assert kernel.value("len(get_ipython().ast_transformers)") == 0
    kernel.run(LOAD)
    assert kernel.value("len(get_ipython().ast_transformers)") == 1


# -- auto, and the line that tells how far it has got --------------------------------------------

SLOW = "import time\ntime.sleep(0.21)"


def test_auto_runs_until_blocks_of_equal_length_agree(kernel: Kernel) -> None:
    # By the clock's own grid, so that a machine that is busy makes no run longer in the mean.
    body = "import time\ntime.sleep(0.05 - time.monotonic() % 0.05)"
    result = kernel.run(f"%%energy -r auto -v result\n{body}")
    (cell,) = result.energy
    repeats = cell["repeats"]
    assert repeats["auto"] is True
    assert repeats["blocks"] >= 5
    # Blocks of 0.4 s: CPU time is told in ticks of 10 ms.
    assert repeats["first_runs"] * repeats["first_run_s"] >= 0.39
    assert repeats["runs"] >= repeats["blocks"]
    assert (repeats["measured_j"], repeats["median_j"]) == (None, None)
    assert repeats["estimated_j"]["low"] < repeats["estimated_j"]["high"]


def test_the_result_takes_the_place_of_the_progress_bar(kernel: Kernel) -> None:
    result = kernel.run(f"%%energy -r 8\nprint('x')\n{SLOW}")
    assert result.updates >= 1
    (shown,) = result.displays
    assert "a run" in shown["text/plain"]
    assert MIME_TYPE in shown


def test_a_quiet_repetition_shows_neither_bar_nor_result(kernel: Kernel) -> None:
    result = kernel.run(f"%%energy -q -r 8\n{SLOW}")
    assert (result.displays, result.updates, result.stdout) == ([], 0, "")


def test_after_an_error_the_bar_is_gone_too(kernel: Kernel) -> None:
    body = f"n = globals().get('n', 0) + 1\n{SLOW}\n1 / (n - 8)"
    result = kernel.run(f"%%energy -r 20\n{body}")
    assert result.updates >= 1
    assert [MIME_TYPE in shown for shown in result.displays] == [True]


def test_a_headless_run_ends_with_the_result_alone(
    python: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = environment(tmp_path / "home")
    spec = Path(environ["JUPYTER_DATA_DIR"]) / "kernels" / "tested"
    spec.mkdir(parents=True)
    argv = f'["{python}", "-m", "ipykernel_launcher", "-f", "{{connection_file}}"]'
    (spec / "kernel.json").write_text(
        f'{{"argv": {argv}, "display_name": "tested", "language": "python"}}'
    )
    monkeypatch.setenv("JUPYTER_DATA_DIR", environ["JUPYTER_DATA_DIR"])
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    cells = [nbformat.v4.new_code_cell(c) for c in (LOAD, f"%%energy -r 8\n{SLOW}\n3")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(notebook, kernel_name="tested", timeout=LIMIT_S).execute(env=environ)
    shown, value = notebook.cells[1].outputs
    assert set(shown["data"]) == {"text/plain", "text/html", MIME_TYPE}
    assert "░" not in shown["data"]["text/plain"]
    assert value["data"] == {"text/plain": "3"}
    nbformat.validate(notebook)


# -- measured --------------------------------------------------------------------------------------


def test_one_run_draws_the_power_of_the_machine_times_its_time(
    start_kernel: StartKernel, tmp_path: Path
) -> None:
    fake = FakePowercap(tmp_path / "sys")
    fake.zone("package-0")
    counters = subprocess.Popen(
        [sys.executable, str(HERE / "powercap.py"), str(fake.root), "intel-rapl:0=65.0"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert counters.stdout is not None
        assert counters.stdout.readline() == "running\n"
        kernel = start_kernel({"JUPYTER_ENERGY_SYSFS": str(fake.root)})
        kernel.run(LOAD)
        line = "%%energy -r 12 -v result --devices cpu"
        result = kernel.run(f"{line}\n{SLOW}")
    finally:
        counters.communicate(timeout=LIMIT_S)
    (cell,) = result.energy
    repeats = cell["repeats"]
    assert (repeats["runs"], repeats["blocks"], repeats["first_runs"]) == (10, 5, 2)
    energy = repeats["measured_j"]
    assert energy["value"] == pytest.approx(65.0 * repeats["run_s"], abs=energy["u95"])
    assert cell["measured_j"]["value"] > 10 * energy["value"]  # the whole window, warm-up too
    text = result.displays[0]["text/plain"]
    assert "a run measured" in text
    assert "mean of 10 runs in 5 blocks; median" in text
    assert kernel.value("result.repeats.measured_j.value") == energy["value"]

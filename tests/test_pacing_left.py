"""How a loop was left, in its record: by `break`, by an exception, by Ctrl-C, or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import StartKernel
from harness import LOAD, Kernel
from shell import Shell
from test_measure import Program

BEGIN = """
import signal

def fail():
    raise ValueError("of the user")

def wrapped(loop):
    for item in loop:
        yield item

def ctrl_c():
    signal.raise_signal(signal.SIGINT)

loop = je.carbon_aware(range(5), hours=1)

"""
# The body of a function, and how the loop in it ends.
WAYS = {
    "to its end": ("for i in loop: pass", "ok"),
    "break": ("for i in loop: break", "ok"),
    "return": ("for i in loop: return [i]", "ok"),
    "return within with": ("for i in loop:\n        with open(__file__): return 1", "ok"),
    "return through finally": (
        "for i in loop:\n        try: return 1\n        finally: str()",
        "ok",
    ),
    "break behind an exception": (
        "for i in loop:\n        try: fail()\n        except ValueError: break",
        "ok",
    ),
    "close": ("items = iter(loop)\n    for i in items: break\n    items.close()", "ok"),
    "del": ("items = iter(loop)\n    for i in items: break\n    del items", "ok"),
    "next": ("next(iter(loop))\n    fail()", "ok"),
    "enumerate and break": ("for i, j in enumerate(loop): break", "ok"),
    "a generator and break": ("for i in wrapped(loop): break", "ok"),
    "an error later": ("for i in loop: break\n    fail()", "ok"),
    "a call that fails": ("for i in loop: fail()", "error"),
    "an operation that fails": ("for i in loop: 1 / 0", "error"),
    "within with": ("for i in loop:\n        with open(__file__): fail()", "error"),
    "another one": (
        "for i in loop:\n        try: fail()\n        except ValueError: raise KeyError from None",
        "error",
    ),
    "caught around the loop": (
        "try:\n        for i in loop: fail()\n    except ValueError: pass",
        "error",
    ),
    "enumerate and an error": ("for i, j in enumerate(loop): fail()", "error"),
    "a generator and an error": ("for i in wrapped(loop): fail()", "error"),
}


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(Shell(tmp_path))


def test_a_loop_that_an_exception_ends_is_told_from_one_that_is_left(program: Program) -> None:
    ways = [
        f"def way():\n    {body}\n"
        "try: way()\n"
        "except Exception: pass\n"
        "print(json.dumps(loop.result.outcome))\n"
        for body, _ in WAYS.values()
    ]
    found = program.run(BEGIN + "".join(ways), said=None)
    assert dict(zip(WAYS, found, strict=True)) == {way: how for way, (_, how) in WAYS.items()}


@pytest.mark.parametrize("body", ["ctrl_c()", "\n    with open(__file__): ctrl_c()"])
def test_a_loop_that_ctrl_c_ends_was_interrupted(program: Program, body: str) -> None:
    program.run(f"{BEGIN}for i in loop: {body}", status=-2, said=None)
    assert program.rows()["carbon_aware"]["outcome"] == "interrupted"
    assert "it was over before" not in program.stderr


def test_a_loop_whose_error_was_caught_is_not_taken_for_one_that_ctrl_c_ends(
    program: Program,
) -> None:
    program.run(
        f"{BEGIN}try:\n    for i in loop: fail()\nexcept ValueError: pass\nctrl_c()\n",
        status=-2,
        said=None,
    )
    assert program.rows()["carbon_aware"]["outcome"] == "error"


def test_the_record_of_a_loop_that_is_left_open_is_kept_at_the_end(program: Program) -> None:
    program.run(
        f"{BEGIN}items = iter(loop)\nnext(items)\nwith je.measure('later'): work()\n", said=None
    )
    assert "a record since then is lost" not in program.stderr
    rows = program.rows()
    assert rows["carbon_aware"]["outcome"] == "ok"
    assert rows["later"]["inside"]


# -- in kernels ------------------------------------------------------------------------------

LOOP = "import jupyter_energy as je, time\nloop = je.carbon_aware(range(10**6), hours=1)"


@pytest.fixture
def kernel(start_kernel: StartKernel) -> Kernel:
    started = start_kernel()
    started.run(LOAD)
    started.run(LOOP)
    return started


def rows(kernel: Kernel) -> dict[str, Any]:
    cells = json.loads(kernel.run("%energy summary --json").stdout)["cells"]
    return {cell["name"]: cell for cell in cells}


@pytest.mark.every_kernel
def test_a_loop_in_a_cell_that_is_interrupted_was_interrupted(kernel: Kernel) -> None:
    code = "for i in loop:\n    if i == 3: print('here')\n    time.sleep(0.02)"
    request = kernel.send(code, stop_on_error=False)
    kernel.wait_for_output(request, "here")
    kernel.manager.interrupt_kernel()
    assert kernel.collect(request).status == "error"
    assert kernel.value("loop.result.outcome") == "interrupted"
    assert rows(kernel)["carbon_aware"]["outcome"] == "interrupted"


@pytest.mark.every_kernel
def test_a_loop_in_a_cell_that_fails_has_an_error(kernel: Kernel) -> None:
    result = kernel.run("for i in loop:\n    if i == 3: 1 / 0")
    assert result.error is not None
    assert result.error[0] == "ZeroDivisionError"
    assert rows(kernel)["carbon_aware"]["outcome"] == "error"
    shown = [display["text/plain"] for display in result.displays]
    assert not any("it was over before" in line for line in shown)


@pytest.mark.parametrize("how", ["on", "off"])
def test_a_loop_that_a_cell_leaves_open_ends_with_it(kernel: Kernel, how: str) -> None:
    kernel.run(f"%energy {how}")
    kernel.run("items = iter(loop)\nnext(items)")
    kernel.run("with je.measure('later'): sum(range(10**6))")
    assert kernel.value("[next(items), next(items), loop.result.outcome]") == [1, 2, "ok"]
    found = rows(kernel)
    assert found["carbon_aware"]["outcome"] == "ok"
    assert found["later"]["inside"] is (how == "on")  # of its own cell


def test_a_cell_that_runs_within_a_loop_does_not_end_it(kernel: Kernel) -> None:
    kernel.run(
        "for i in loop:\n    get_ipython().run_cell('6 * 7')\n    if i: before = loop.result; break"
    )
    assert kernel.value("before is None")
    assert rows(kernel)["carbon_aware"]["outcome"] == "ok"


def test_a_loop_in_a_task_goes_on_when_its_cell_is_over(kernel: Kernel) -> None:
    kernel.run(
        "import asyncio\ngo = asyncio.Event()\n"
        "async def train():\n"
        "    for i in loop:\n        await go.wait()\n        break\n"
        "task = asyncio.ensure_future(train())"
    )
    kernel.run("await asyncio.sleep(0)")
    assert kernel.value("loop.result is None")
    kernel.run("go.set()\nawait task")
    assert kernel.value("loop.result.outcome") == "ok"

"""A measured cell returns, prints and raises what it would without us (promises 5.1, 5.5, 11.5)."""

from __future__ import annotations

import re

import pytest
from conftest import StartKernel
from harness import LOAD, Kernel, Result, stopped_by

pytestmark = pytest.mark.every_kernel

CELLS = {
    "an expression": "6 * 7",
    "a silenced expression": "6 * 7;",
    "a statement": "x = 1",
    "output on both streams": "import sys\nprint('out')\nprint('err', file=sys.stderr)",
    "a multi-line string": 'text = """a\n  b\n\tc"""\ntext',
    "a display": "from IPython.display import display, HTML\ndisplay(HTML('<b>x</b>'))\n1",
    "top-level await": "import asyncio\nawait asyncio.sleep(0.01)\n'awaited'",
    "async for": "async def g():\n    yield 1\n[x async for x in g()]",
    "an exception": "def f():\n    return 1 / 0\n\nf()",
    "an exception in the first line": "1 / 0",
    "an exception of the user's own": "class Mine(Exception): pass\nraise Mine('a' * 20)",
    "a syntax error": "x = = 1",
    "a later line with a syntax error": "x = 1\ny = (",
    "a magic": "%who_ls int",
    "a shell command": "!echo from the shell",
    "help": "len?",
    "a comment": "# nothing",
    "a future import": "from __future__ import annotations\n1",
    "the last results": "_ is not None, Out is not None",
}
BODIES_WITH_A_CELL_MAGIC = {
    "%%bash": "%%bash\necho from bash\n",
    "%%bash that fails": "%%bash\nexit 3\n",
    "%%capture": "%%capture caught\nprint('hidden')",
}


def _comparable(result: Result) -> dict[str, object]:
    """What the user sees, without what differs between two runs of the very same cell."""
    seen = result.seen()
    text = repr(seen)
    # Addresses, processes and the temporary names that ipykernel gives to cells.
    text = re.sub(r"0x[0-9a-f]+|pid=\d+", "", text)
    text = re.sub(r"ipykernel_\d+/\d+\.py", "cell.py", text)
    return {"text": text, "execution_count": result.execution_count}


def _run_all(kernel: Kernel, first: str, cells: list[str]) -> list[dict[str, object]]:
    assert kernel.run(first).status == "ok"
    return [_comparable(kernel.run(cell)) for cell in cells]


def test_a_silently_measured_cell_is_identical_to_one_that_is_not(
    start_kernel: StartKernel,
) -> None:
    cells = [*CELLS.values(), *BODIES_WITH_A_CELL_MAGIC.values()]
    without = _run_all(start_kernel(home="without"), "pass", cells)
    measured = _run_all(start_kernel(home="measured"), LOAD, cells)
    assert measured == without


def _without_line_numbers(result: Result) -> dict[str, object]:
    """The `%%energy` line is one more line of source: its number and echo may differ, no more."""
    seen = result.seen()
    if result.error is not None:
        name, text, _ = result.error
        text = re.sub(r"line \d+", "line", text)
        seen["error"] = (name, re.sub(r"\(.*?, line\)", "", text))
    seen["stdout"] = re.sub(r"0x[0-9a-f]+", "0x", str(seen["stdout"]))
    return seen


@pytest.mark.parametrize("energy_line", ["%%energy", "%%energy -q -n 'a name'"])
def test_a_cell_under_the_magic_gives_what_its_body_gives(
    start_kernel: StartKernel, energy_line: str
) -> None:
    bodies = [b for name, b in CELLS.items() if name not in ("a comment", "help")]
    bodies += BODIES_WITH_A_CELL_MAGIC.values()
    plain, energy = start_kernel(home="plain"), start_kernel(home="energy")
    plain.run("pass")
    energy.run(LOAD)
    for body in bodies:
        expected = plain.run(body)
        got = energy.run(f"{energy_line}\n{body}")
        assert _without_line_numbers(got) == _without_line_numbers(expected), body
        assert got.execution_count == expected.execution_count


@pytest.fixture
def kernel(shared_kernel: Kernel) -> Kernel:
    return shared_kernel


def test_an_error_under_the_magic_is_told_once_with_the_users_own_line(kernel: Kernel) -> None:
    result = kernel.run("%%energy\nvalue = 0\nresult = 1 / value")
    assert result.status == "error"
    assert result.error is not None
    name, text, traceback = result.error
    assert (name, text) == ("ZeroDivisionError", "division by zero")
    plain = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(traceback))
    assert plain.count("ZeroDivisionError: division by zero") == 1
    assert re.search(r"-+> 3 result = 1 / value", plain), plain
    assert "jupyter_energy" not in plain
    assert "energy_begin" not in plain
    assert "1 # %%energy" in plain
    assert [cell["outcome"] for cell in result.energy] == ["error"]


def test_run_all_stops_at_a_failing_cell_under_the_magic(kernel: Kernel) -> None:
    stopped = stopped_by(kernel, "%%energy\nraise ValueError('stop here')")
    assert stopped.status in ("aborted", "error")
    assert kernel.value("'reached' in globals()") is False


def test_the_value_of_a_measured_cell_is_in_out_and_underscore(kernel: Kernel) -> None:
    result = kernel.run("%%energy\n6 * 7")
    assert result.value is not None
    assert result.value["text/plain"] == "42"
    count = result.execution_count
    assert kernel.run(f"Out[{count}], _{count}").value == {"text/plain": "(42, 42)"}
    assert kernel.run("%%energy\n1 + 1;").value is None


def test_the_time_magic_works_above_and_below(kernel: Kernel) -> None:
    below = kernel.run("%%energy\n%%time\nx = 5\nx + 1")
    assert below.value is not None, below
    assert below.value["text/plain"] == "6"
    assert "Wall time" in below.stdout
    assert len(below.energy) == 1
    above = kernel.run("%%time\n%%energy\ny = 5\ny + 2")
    assert above.value is not None, above
    assert above.value["text/plain"] == "7"
    assert "Wall time" in above.stdout
    assert len(above.energy) == 1
    assert kernel.value("[x, y]") == [5, 5]


def test_capture_above_the_magic_takes_our_block_with_the_rest(kernel: Kernel) -> None:
    result = kernel.run("%%capture caught\n%%energy\nprint('inside')\n9")
    assert (result.stdout, result.energy) == ("", [])
    assert kernel.value("[caught.stdout, len(caught.outputs) > 0]") == ["inside\n", True]


def test_sys_exit_under_the_magic_is_what_it_is_without(start_kernel: StartKernel) -> None:
    results = []
    for name, first, cell in (
        ("plain", "pass", "import sys\nsys.exit(3)"),
        ("energy", LOAD, "%%energy\nimport sys\nsys.exit(3)"),
    ):
        kernel = start_kernel(home=name)
        kernel.run(first)
        result = kernel.run(cell)
        assert result.error is not None
        results.append((result.status, result.error[:2]))
    assert results[0] == results[1]


def test_async_cells_are_measured_for_as_long_as_they_wait(kernel: Kernel) -> None:
    result = kernel.run("%%energy\nimport asyncio\nawait asyncio.sleep(0.2)\n'done'")
    assert result.value == {"text/plain": "'done'"}
    (cell,) = result.energy
    assert cell["outcome"] == "ok"
    assert 0.2 <= cell["duration_s"] < 30

"""`jupyter energy run`: notebooks and scripts in processes of their own, as a user starts them."""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import nbformat
import pytest
from left_journals import DEAD, about, head, kept, leave
from shell import (
    IN_A_TERMINAL,
    LIMIT_S,
    OBEYING_MODES,
    PROGRAM,
    Here,
    Shell,
    by_id,
    code,
    notebook,
    one_line,
)
from strategies import a_record

from jupyter_energy.commands.limit import NOT_SURE, verdict
from jupyter_energy.commands.session import Session
from jupyter_energy.commands.shell_context import ShellContext
from jupyter_energy.identity import NotebookRef
from jupyter_energy.sensors.nvidia_pci import ASLEEP
from jupyter_energy.store import Store

KEYS = {
    "summary": {"schema", "version", "notebook", "totals", "cells"},
    "notebook": {"id", "path", "name"},
    "totals": {
        *("runs", "cells", "duration_s", "measured_j", "estimated_j", "carbon_g"),
        *("first", "last", "interrupted", "lost", "idle", "warnings"),
    },
    "cell": {
        *(
            "cell_id",
            "name",
            "inside",
            "runs",
            "execution_count",
            "started",
            "duration_s",
            "outcome",
        ),
        *("measured_j", "estimated_j", "above_idle_j", "kernel_share", "kernel_j", "baseline"),
        *("average_w", "waited_s", "peak_w", "repeats", "shift"),
        *("domains", "carbon_g", "warnings"),
    },
    "domain": {
        *("kind", "index", "name", "uuid", "energy_j", "u95_j", "low_j", "high_j"),
        *("provenance", "source", "coverage", "scope", "reason"),
    },
    "range": {"low", "mid", "high"},
    "carbon": {
        *("low", "mid", "high", "g_per_kwh", "zone", "kind", "source", "year", "pue", "how"),
        *("assumed", "estimated_share", "parts"),
    },
}
BUSY = "n = sum(i * i for i in range(2 * 10**5))"


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def outcomes(summary: Any) -> dict[str, str]:
    return {cell["cell_id"]: cell["outcome"] for cell in summary["cells"]}


def known_j(totals: Any) -> float:
    """The middle of the estimate: these notebooks run where nothing can be measured."""
    assert totals["measured_j"] is None
    return float(totals["estimated_j"]["mid"])


# -- how a run ends ------------------------------------------------------------------------


def test_each_cell_has_a_row_in_order_and_the_summary_comes_last(shell: Shell) -> None:
    path = notebook(shell.folder / "a.ipynb", [BUSY, BUSY, BUSY])
    done = shell("run", path)
    assert done.returncode == 0, done.stderr
    rows, _, summary = done.stdout.partition("\n\n")
    assert [row.split()[0] for row in rows.splitlines()] == ["[1]", "[2]", "[3]"]
    assert summary.startswith("a.ipynb: ")
    assert "3 runs of 3 cells" in summary


@pytest.mark.parametrize(
    ("failing", "said"),
    [
        ("1/0", "ZeroDivisionError"),
        ("import sys; sys.exit(0)", "SystemExit"),
        ("import sys; sys.exit('enough')", "enough"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    ],
)
def test_a_failing_cell_ends_the_run_with_status_1_and_its_own_row(
    shell: Shell, failing: str, said: str
) -> None:
    later = shell.folder / "later"
    path = notebook(shell.folder / "a.ipynb", [BUSY, failing, f"open({str(later)!r}, 'w')"])
    done = shell("run", path)
    assert done.returncode == 1
    assert said in done.stderr
    rows = done.stdout.partition("\n\n")[0].splitlines()
    assert [row.split()[0] for row in rows] == ["[1]", "[2]"]
    assert not later.exists()
    outcome = "interrupted" if "Keyboard" in failing else "error"
    assert outcomes(shell.summary(path)) == {"cell-0001": "ok", "cell-0002": outcome}


def test_a_kernel_that_dies_is_said_in_one_line_and_what_was_measured_is_summed_up(
    shell: Shell,
) -> None:
    path = notebook(shell.folder / "a.ipynb", [BUSY, "import os; os._exit(0)", "1"])
    summary = shell.run_json(path, status=1)
    assert outcomes(summary) == {"cell-0001": "ok"}
    done = shell("run", path)
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if "a.ipynb" in line]
    assert line.endswith("the kernel died in [2]: what that cell drew is not known")
    assert "1 run of 1 cell" in done.stdout


# -- Ctrl-C --------------------------------------------------------------------------------


class Pressed:
    """A run whose code tells when it is where Ctrl-C is to be pressed."""

    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        self.child: subprocess.Popen[str] | None = None
        self.place = Here(shell.folder)
        self.here = f"{self.place.code}\n"

    def start(self, *words: str | Path) -> subprocess.Popen[str]:
        """Start `jupyter energy WORDS`, as a shell does: in a process group of its own."""
        self.child = subprocess.Popen(
            [*PROGRAM, *map(str, words)],
            cwd=self.shell.folder,
            env=self.shell.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        return self.child

    def wait_here(self) -> None:
        """Wait until the code says that it is there."""
        self.place.wait()

    def end(self, child: subprocess.Popen[str]) -> tuple[int, str, str]:
        """The exit status, stdout and stderr of a run; no traceback of ours is in them."""
        out, err = child.communicate(timeout=LIMIT_S)
        assert "Traceback" not in out + err, err
        return child.returncode, out, err


@pytest.fixture
def pressed(shell: Shell) -> Iterator[Pressed]:
    made = Pressed(shell)
    with closing(made.place):
        yield made
    if made.child is not None and made.child.poll() is None:  # a test that failed
        os.killpg(made.child.pid, signal.SIGKILL)


WAIT_FOREVER = "import time\nwhile True:\n    time.sleep(0.01)"


def indented(source: str) -> str:
    """The lines, as they stand in a block."""
    return "".join(f"    {line}\n" for line in source.splitlines())


def deaf_to_interrupts(heard: str) -> str:
    """Code after which Ctrl-C only runs `heard`."""
    return f"import signal\ndef hear(*_):\n{indented(heard)}signal.signal(signal.SIGINT, hear)\n"


TO_ONE_OR_ALL = pytest.mark.parametrize(
    "press", [os.kill, getattr(os, "killpg", None)], ids=["to us", "to the process group"]
)
needs_signals = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")


@needs_signals
@TO_ONE_OR_ALL
def test_an_interrupt_ends_the_cell_and_all_that_was_measured_is_told(
    shell: Shell, pressed: Pressed, press: Any
) -> None:
    copy, later = shell.folder / "out.ipynb", f"open({str(shell.folder / 'later')!r}, 'w')"
    path = notebook(
        shell.folder / "a.ipynb", [BUSY, f"print('so far')\n{pressed.here}{WAIT_FOREVER}", later]
    )
    child = pressed.start("run", path, "--output", copy)
    pressed.wait_here()
    press(child.pid, signal.SIGINT)
    status, out, err = pressed.end(child)
    assert (status, one_line(err)) == (1, f"{path}: interrupted")
    rows, _, summary = out.partition("\n\n")
    assert [row.split()[0] for row in rows.splitlines()] == ["[1]", "[2]"]
    assert rows.endswith("interrupted")
    assert "2 runs of 2 cells, 1 run interrupted" in summary
    cell = by_id(shell.summary(path))["cell-0002"]
    assert (cell["outcome"], cell["estimated_j"]["mid"] > 0) == ("interrupted", True)
    assert not (shell.folder / "later").exists()
    stream, error = nbformat.read(copy, as_version=4).cells[1].outputs
    assert (stream["text"], error["ename"]) == ("so far\n", "KeyboardInterrupt")


@needs_signals
def test_a_cell_that_takes_an_interrupt_as_its_end_is_the_last_one(
    shell: Shell, pressed: Pressed
) -> None:
    later = shell.folder / "later"
    saves = (
        "import time\ntry:\n"
        f"{indented(pressed.here)}    time.sleep(600)\nexcept KeyboardInterrupt:\n    pass"
    )
    path = notebook(shell.folder / "a.ipynb", [saves, f"open({str(later)!r}, 'w')"])
    child = pressed.start("run", path)
    pressed.wait_here()
    os.kill(child.pid, signal.SIGINT)
    status, out, err = pressed.end(child)
    assert (status, one_line(err)) == (1, f"{path}: interrupted")
    assert "1 run of 1 cell" in out
    assert not later.exists()


@needs_signals
@TO_ONE_OR_ALL
def test_a_second_interrupt_ends_a_run_whose_cell_does_not_heed_the_first(
    shell: Shell, pressed: Pressed, press: Any
) -> None:
    deaf = f"{deaf_to_interrupts(pressed.here)}{pressed.here}{WAIT_FOREVER}"
    path = notebook(shell.folder / "a.ipynb", [BUSY, deaf])
    child = pressed.start("run", path)
    for _ in range(2):
        pressed.wait_here()
        press(child.pid, signal.SIGINT)
    status, out, err = pressed.end(child)
    assert (status, err.splitlines()[-1]) == (1, f"{path}: interrupted")
    assert "1 run of 1 cell" in out


# -- what a notebook asks for --------------------------------------------------------------


def test_tags_that_allow_an_error_or_skip_a_cell_are_kept_to(shell: Shell) -> None:
    path = notebook(
        shell.folder / "a.ipynb",
        [
            code("1/0", "may-fail", "raises-exception"),
            code("1/0", "is-skipped", "skip-execution"),
            code(BUSY, "comes-last"),
        ],
    )
    assert outcomes(shell.run_json(path)) == {"may-fail": "error", "comes-last": "ok"}


# -- --json --------------------------------------------------------------------------------


def assert_schema(summary: Any) -> None:
    """Every key of interface.md is there, whatever its value."""
    assert set(summary) == KEYS["summary"]
    assert summary["schema"] == 1
    assert set(summary["notebook"]) == KEYS["notebook"]
    assert set(summary["totals"]) == KEYS["totals"]
    for carbon in (summary["totals"]["carbon_g"], *(c["carbon_g"] for c in summary["cells"])):
        assert set(carbon) >= KEYS["carbon"]
    for estimate in (summary["totals"], *summary["cells"]):
        assert set(estimate["estimated_j"]) == KEYS["range"]
    for cell in summary["cells"]:
        assert set(cell) == KEYS["cell"]
        for domain in cell["domains"]:
            assert set(domain) >= KEYS["domain"]


def test_json_is_one_document_whatever_the_cells_write_to_the_kernels_streams(
    shell: Shell,
) -> None:
    path = notebook(
        shell.folder / "a.ipynb",
        [
            "import os, subprocess, sys",
            "print('printed')",
            "os.system('echo from a shell')",
            "os.write(1, b'written')",
            "subprocess.run([sys.executable, '-c', 'print(1)'])",
            "print('past IPython', file=sys.__stdout__, flush=True)",
        ],
    )
    summary = shell.run_json(path)
    assert_schema(summary)
    assert [cell["runs"] for cell in summary["cells"]] == [1] * 6
    assert summary["notebook"]["path"] == str(path)


def test_the_executions_numbers_are_those_of_the_notebook(shell: Shell) -> None:
    executed = shell.folder / "out.ipynb"
    path = notebook(shell.folder / "a.ipynb", [BUSY, "# nothing to do", BUSY])
    summary = shell.run_json(path, "--output", executed)
    shown = {cell["id"]: cell["execution_count"] for cell in nbformat.read(executed, 4).cells}
    assert {c["cell_id"]: c["execution_count"] for c in summary["cells"]} == shown
    assert set(shown.values()) == {1, 2, 3}


def test_a_failing_run_with_json_still_prints_its_document(shell: Shell) -> None:
    path = notebook(shell.folder / "a.ipynb", [BUSY, "1/0"])
    assert_schema(shell.run_json(path, status=1))


# -- --assert-under ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "status", "said"),
    [
        ("5Wh", 0, "under the limit of 5Wh"),
        ("5wh", 0, "under the limit of 5wh"),
        ("3g", 0, "CO2e: under the limit of 3g"),
        ("1e-9 Wh", 3, "over the limit of 1e-9 Wh"),
        ("0.000000001mg", 3, "CO2e: over the limit of 0.000000001mg"),
    ],
)
def test_a_passed_limit_is_status_3_and_said_as_the_user_wrote_it(
    shell: Shell, limit: str, status: int, said: str
) -> None:
    path = notebook(shell.folder / "a.ipynb", [BUSY])
    done = shell("run", path, "--assert-under", limit)
    assert done.returncode == status, done.stderr
    line = one_line(done.stderr)
    assert line.endswith(said)
    assert line.startswith("≈ ")  # the estimate with its range, as in the summary
    assert line.partition(":")[0].removesuffix(" estimated").removesuffix(" CO2e") in done.stdout


MEASURED = {"value": 95.0, "u95_repeat": 1.0, "u95": 4.0}
ESTIMATED = {"low": 2.6, "mid": 5.2, "high": 10.0}
BOTH = "95.0 ± 4.0 J measured and ≈ 5.2 J (2.6–10 J) estimated"


@pytest.mark.parametrize(
    ("limit", "measured", "estimated", "passed", "said"),
    [
        ("80J", MEASURED, ESTIMATED, True, f"{BOTH}: over the limit of 80J"),
        ("200 j", MEASURED, ESTIMATED, False, f"{BOTH}: under the limit of 200 j"),
        ("94J", MEASURED, ESTIMATED, True, f"{BOTH}: over the limit of 94J{NOT_SURE}"),
        ("100.2J", MEASURED, ESTIMATED, True, f"{BOTH}: over the limit of 100.2J{NOT_SURE}"),
        ("108J", MEASURED, ESTIMATED, False, f"{BOTH}: under the limit of 108J{NOT_SURE}"),
        ("92J", MEASURED, None, True, f"95.0 ± 4.0 J measured: over the limit of 92J{NOT_SURE}"),
        ("90J", MEASURED, None, True, "95.0 ± 4.0 J measured: over the limit of 90J"),
        ("2J", None, ESTIMATED, True, "≈ 5.2 J (2.6–10 J) estimated: over the limit of 2J"),
        ("9J", None, None, True, "nothing was measured or estimated, so it is unknown"),
        ("9g", None, None, True, "nothing was measured or estimated, so it is unknown"),
    ],
)
def test_a_limit_is_held_against_what_is_known_and_doubt_is_said(
    limit: str, measured: Any, estimated: Any, passed: bool, said: str
) -> None:
    totals = {"measured_j": measured, "estimated_j": estimated, "carbon_g": None}
    over, line = verdict(limit, with_cells(totals))
    assert (over, line.endswith(said)) == (passed, True), line


def with_cells(totals: Any, *cells: Any) -> Any:
    """A summary of these totals, whose cells have just what a limit looks at."""
    plain = {"inside": False, "domains": [], **totals}
    return {"totals": totals, "cells": [{**plain, **cell} for cell in cells]}


GRAMS = {"low": 1.0, "mid": 2.0, "high": 3.0}
BROKEN = {"kind": "gpu", "index": 0, "energy_j": None, "low_j": None, "reason": "lost"}
UNKNOWN = {"measured_j": None, "estimated_j": None}


@pytest.mark.parametrize(
    ("limit", "cell", "said"),
    [
        ("5Wh", {}, None),
        ("5g", {}, None),
        ("5Wh", {"domains": [BROKEN]}, "without GPU 0"),
        ("5g", {"domains": [BROKEN]}, "without GPU 0"),
        ("5Wh", UNKNOWN, "without 1 of 2 cells"),
        ("5g", {"carbon_g": None}, "without 1 of 2 cells"),
        ("5Wh", {"carbon_g": None}, None),
        ("5Wh", {**UNKNOWN, "inside": True}, None),
        ("5Wh", {"domains": [{**BROKEN, "reason": ASLEEP}]}, None),
        ("2J", {"domains": [BROKEN]}, None),  # what is known is over it already
    ],
)
def test_a_total_that_leaves_something_out_does_not_show_that_a_limit_was_kept(
    limit: str, cell: Any, said: str | None
) -> None:
    totals = {"measured_j": None, "estimated_j": ESTIMATED, "carbon_g": GRAMS}
    passed, line = verdict(limit, with_cells(totals, {}, cell))
    assert passed == (said is not None or limit == "2J")
    assert (f"{said}, of which nothing is known: whether" in line) == (said is not None), line


def test_a_run_of_which_nothing_is_known_does_not_pass_its_limit_silently(shell: Shell) -> None:
    path = notebook(shell.folder / "a.ipynb", [BUSY])
    done = shell("run", path, "--assert-under", "5Wh", more={"JUPYTER_ENERGY_ESTIMATE": "false"})
    assert done.returncode == 3
    assert one_line(done.stderr).endswith("nothing was measured or estimated, so it is unknown")


@pytest.mark.parametrize("limit", ["5", "Wh", "5 apples", "-5Wh", ""])
def test_a_limit_without_a_number_or_unit_is_wrong_use_and_nothing_runs(
    shell: Shell, limit: str
) -> None:
    ran = shell.folder / "ran"
    path = notebook(shell.folder / "a.ipynb", [f"open({str(ran)!r}, 'w')"])
    done = shell("run", path, f"--assert-under={limit}")
    assert done.returncode == 2
    assert "such as 5Wh" in one_line(done.stderr)
    assert not ran.exists()


def test_a_failing_notebook_is_status_1_even_where_it_passed_its_limit(shell: Shell) -> None:
    path = notebook(shell.folder / "a.ipynb", [BUSY, "1/0"])
    assert shell("run", path, "--assert-under", "0.0001J").returncode == 1


# -- the notebook files --------------------------------------------------------------------


def test_the_executed_copy_is_valid_and_the_source_is_left_byte_by_byte(shell: Shell) -> None:
    cells = [
        nbformat.v4.new_markdown_cell("# Title", id="title", metadata={"mine": [1]}),
        code("6 * 7", "answer", "kept"),
        code("print('out')", "prints"),
    ]
    own = {"kernelspec": {"name": "python3", "display_name": "Mine"}, "mine": {"author": "å"}}
    path = notebook(shell.folder / "a.ipynb", cells, **own)
    before, executed = path.read_bytes(), shell.folder / "out.ipynb"
    done = shell("run", path, "--output", executed)
    assert done.returncode == 0, done.stderr
    assert path.read_bytes() == before
    result = nbformat.read(executed, as_version=4)
    nbformat.validate(result)
    assert {name: result.metadata[name] for name in own} == own
    assert [cell.metadata for cell in result.cells] == [cell.metadata for cell in cells]
    assert [cell.id for cell in result.cells] == ["title", "answer", "prints"]
    (value,) = result.cells[1].outputs
    assert value["data"]["text/plain"] == "42"
    (stream,) = result.cells[2].outputs
    assert stream["text"] == "out\n"


def test_the_copy_of_a_failing_run_holds_the_error(shell: Shell) -> None:
    path, executed = notebook(shell.folder / "a.ipynb", ["1/0"]), shell.folder / "out.ipynb"
    assert shell("run", path, "--output", executed).returncode == 1
    (output,) = nbformat.read(executed, as_version=4).cells[0].outputs
    assert output["ename"] == "ZeroDivisionError"


@pytest.mark.parametrize("place", ["no folder", "is a folder", "in a file", "read-only"])
def test_a_copy_that_could_not_be_written_is_status_2_before_anything_runs(
    shell: Shell, place: str
) -> None:
    ran = shell.folder / "ran"
    path = notebook(shell.folder / "a.ipynb", [f"open({str(ran)!r}, 'w')"])
    output = shell.folder / "out.ipynb"
    if place == "no folder":
        output = shell.folder / "no" / "such" / "folder.ipynb"
    elif place == "is a folder":
        output.mkdir()
    elif place == "in a file":
        output = path / "out.ipynb"
    else:
        output.write_text("mine")
        output.chmod(0o444)
        if os.name == "posix" and os.geteuid() == 0:
            shell.within = OBEYING_MODES
    done = shell("run", path, "--output", output)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{output} could not be written: " in one_line(done.stderr)
    assert not ran.exists()
    assert place != "read-only" or output.read_text() == "mine"


def test_a_copy_that_was_there_is_replaced_and_nothing_is_left_beside_it(shell: Shell) -> None:
    path, output = notebook(shell.folder / "a.ipynb", [BUSY]), shell.folder / "copies" / "out.ipynb"
    output.parent.mkdir()
    for _ in range(2):
        assert shell("run", path, "--output", output).returncode == 0
        assert nbformat.read(output, as_version=4).cells[0].execution_count == 1
    assert list(output.parent.iterdir()) == [output]


def test_a_copy_that_fails_after_all_is_status_1_and_the_summary_is_told(shell: Shell) -> None:
    output = shell.folder / "out.ipynb"
    path = notebook(shell.folder / "a.ipynb", [f"import os; os.mkdir({str(output)!r})"])
    done = shell("run", path, "--output", output)
    assert done.returncode == 1
    assert one_line(done.stderr).startswith(f"{output} could not be written: ")
    assert "1 run of 1 cell" in done.stdout


@pytest.mark.parametrize(
    ("cells", "rows"),
    [([], []), ([nbformat.v4.new_markdown_cell("# Only words", id="only-words")], [])],
    ids=["no cells", "only markdown"],
)
def test_a_notebook_without_code_has_nothing_to_tell(
    shell: Shell, cells: list[Any], rows: list[Any]
) -> None:
    path = notebook(shell.folder / "a.ipynb", cells)
    done = shell("run", path)
    assert done.returncode == 0, done.stderr
    assert "Nothing measured yet" in done.stdout
    summary = shell.run_json(path)
    assert summary["cells"] == rows
    assert summary["totals"]["estimated_j"] is summary["totals"]["measured_j"] is None


@pytest.mark.parametrize("name", ["a.ipynb", "A.IPYNB", "a.json", "a notebook without suffix"])
def test_a_notebook_is_one_by_what_is_in_it_and_not_by_its_name(shell: Shell, name: str) -> None:
    path = notebook(shell.folder / "first.ipynb", [BUSY]).rename(shell.folder / name)
    (cell,) = shell.run_json(path)["cells"]
    assert (cell["cell_id"], cell["outcome"]) == ("cell-0001", "ok")


@pytest.mark.parametrize("minor", [4, 5])
def test_cells_without_ids_are_told_by_their_execution_counts(shell: Shell, minor: int) -> None:
    path = shell.folder / "old.ipynb"
    content = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(BUSY) for _ in "ab"])
    for cell in content.cells:
        del cell["id"]
    content["nbformat_minor"] = minor  # 4.5 demands ids, and some that write it forget them
    path.write_text(json.dumps(content))
    for runs in (1, 2):
        done = shell("run", path)
        assert (done.returncode, "Warning" in done.stderr) == (0, False), done.stderr
        summary = shell.summary(path)
        assert sorted((c["execution_count"], c["runs"]) for c in summary["cells"]) == [
            (1, runs),
            (2, runs),
        ]


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({}, None),
        ({"kernelspec": {"name": "nowhere", "display_name": "x"}}, "no kernel 'nowhere' here"),
    ],
    ids=["no kernelspec", "an unknown kernelspec"],
)
def test_without_its_kernel_a_notebook_runs_in_this_python_and_says_so(
    shell: Shell, metadata: dict[str, Any], said: str | None
) -> None:
    path = notebook(shell.folder / "a.ipynb", [BUSY], **metadata)
    done = shell("run", path)
    assert done.returncode == 0, done.stderr
    assert ("no kernel" in done.stderr) == (said is not None)
    assert said is None or said in done.stderr


@pytest.mark.parametrize("program", [[sys.executable, "-c", "exit(1)"], ["no-such-program"]])
def test_a_kernel_that_does_not_start_is_told_without_a_traceback(
    shell: Shell, program: list[str]
) -> None:
    spec = shell.folder / "home" / "jupyter-data" / "kernels" / "bad" / "kernel.json"
    spec.parent.mkdir(parents=True)
    argv = [*program, "{connection_file}"]
    spec.write_text(json.dumps({"argv": argv, "display_name": "x", "language": "python"}))
    path = notebook(
        shell.folder / "a.ipynb", [BUSY], kernelspec={"name": "bad", "display_name": "x"}
    )
    done = shell("run", path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr, done.stderr
    assert "the kernel 'bad' could not be started" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    "metadata",
    [
        {"kernelspec": {"name": "ir", "display_name": "R", "language": "R"}},
        {"language_info": {"name": "R"}},
    ],
)
def test_a_notebook_in_another_language_is_wrong_use(
    shell: Shell, metadata: dict[str, Any]
) -> None:
    path = notebook(shell.folder / "a.ipynb", ["x <- 1"], **metadata)
    done = shell("run", path)
    assert done.returncode == 2
    assert one_line(done.stderr).endswith("is in R; only Python notebooks are measured")


def test_arguments_are_for_scripts_and_a_copy_for_notebooks(shell: Shell) -> None:
    path = notebook(shell.folder / "a.ipynb", [BUSY])
    done = shell("run", path, "--", "x")
    assert (done.returncode, "for scripts" in one_line(done.stderr)) == (2, True)
    script = shell.folder / "a.py"
    script.write_text("raise SystemExit('ran')")
    done = shell("run", script, "--output", shell.folder / "out.ipynb")
    assert (done.returncode, "is for notebooks" in one_line(done.stderr)) == (2, True)


# -- several runs --------------------------------------------------------------------------


def test_a_second_run_adds_to_each_cell(shell: Shell) -> None:
    path = notebook(shell.folder / "a.ipynb", [BUSY, BUSY])
    first, second = shell.run_json(path), shell.run_json(path)
    both = shell.summary(path)
    assert {c["runs"] for c in first["cells"] + second["cells"]} == {1}
    assert {c["cell_id"]: c["runs"] for c in both["cells"]} == {"cell-0001": 2, "cell-0002": 2}
    assert known_j(both["totals"]) == pytest.approx(
        known_j(first["totals"]) + known_j(second["totals"])
    )
    assert first["notebook"]["id"] == second["notebook"]["id"] == both["notebook"]["id"]


def test_a_rename_between_two_runs_keeps_the_totals(shell: Shell) -> None:
    old = notebook(shell.folder / "old.ipynb", [BUSY, BUSY])
    first = shell.run_json(old)
    new = old.rename(shell.folder / "a new name.ipynb")
    second = shell.run_json(new)
    assert second["notebook"]["id"] == first["notebook"]["id"]
    summary = shell.summary(new)
    assert (summary["totals"]["runs"], summary["notebook"]["name"]) == (4, "a new name.ipynb")


def test_a_copy_counts_on_its_own_from_then_on(shell: Shell) -> None:
    original = notebook(shell.folder / "a.ipynb", [BUSY, BUSY])
    first = shell.run_json(original)
    copy = Path(shutil.copy(original, shell.folder / "copy.ipynb"))
    copied = shell.run_json(copy)
    assert copied["notebook"]["id"] != first["notebook"]["id"]
    assert shell.summary(original)["totals"]["runs"] == 2
    assert shell.summary(copy)["totals"]["runs"] == 2


# -- scripts -------------------------------------------------------------------------------


def script(shell: Shell, source: str) -> Path:
    path = shell.folder / "train.py"
    path.write_text(source)
    return path


@pytest.mark.parametrize("ours", [(), ("--assert-under", "5Wh")])
def test_a_script_gets_its_arguments_and_standard_input(
    shell: Shell, ours: tuple[str, ...]
) -> None:
    path = script(shell, "import sys\nprint(sys.argv[1:], sys.stdin.read())")
    done = shell("run", path, *ours, "--", "--epochs", "3", "--json", stdin="read me")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("['--epochs', '3', '--json'] read me\n")
    assert "1 run of 1 cell" in done.stdout


def test_with_json_a_scripts_own_output_goes_to_stderr(shell: Shell) -> None:
    path = script(shell, "import os\nprint('mine')\nos.system('echo and mine')")
    done = shell("run", path, "--json")
    assert_schema(json.loads(done.stdout))
    assert sorted(done.stderr.splitlines()) == ["and mine", "mine"]


@pytest.mark.parametrize("end", ["raise SystemExit(7)", "import os; os._exit(7)"])
def test_a_failing_script_is_status_1_and_its_row_an_error(shell: Shell, end: str) -> None:
    path = script(shell, f"{BUSY}\n{end}")
    done = shell("run", path)
    assert done.returncode == 1
    assert one_line(done.stderr).endswith("train.py ended with exit status 7")
    (row,) = shell.summary(path)["cells"]
    assert (row["name"], row["outcome"]) == ("train.py", "error")


def test_blocks_of_a_script_have_rows_within_its_record_and_count_once(shell: Shell) -> None:
    path = script(
        shell,
        "import jupyter_energy as je\n"
        "for _ in range(2):\n"
        "    with je.measure('epoch'):\n"
        "        with je.measure('step'):\n"
        f"            {BUSY}\n",
    )
    summary = shell.run_json(path)
    rows = {cell["name"]: cell for cell in summary["cells"]}
    assert {name: row["runs"] for name, row in rows.items()} == {
        "train.py": 1,
        "epoch": 2,
        "step": 2,
    }
    totals, whole = summary["totals"], rows["train.py"]
    assert (totals["runs"], totals["duration_s"]) == (1, whole["duration_s"])
    assert known_j(totals) == pytest.approx(whole["estimated_j"]["mid"])
    assert rows["step"]["duration_s"] <= rows["epoch"]["duration_s"] <= whole["duration_s"]
    assert shell.summary(path)["totals"]["runs"] == 1


# Needs longer to save than subprocess.run grants; counts every Ctrl-C that reaches it.
SAVES = """
import signal, time
def save(*_):
    print("saving", flush=True)
    end = time.monotonic() + 1.5
    while time.monotonic() < end:
        time.sleep(0.01)
    print("saved", flush=True)
    raise SystemExit(0)
signal.signal(signal.SIGINT, save)
"""


@needs_signals
def test_a_script_has_the_time_that_it_needs_to_end_after_an_interrupt(
    shell: Shell, pressed: Pressed
) -> None:
    path = script(shell, f"{SAVES}{pressed.here}{WAIT_FOREVER}")
    child = pressed.start("run", path)
    pressed.wait_here()
    os.kill(child.pid, signal.SIGINT)
    status, out, err = pressed.end(child)
    assert (status, err) == (1, "interrupted\n")
    assert out.startswith("saving\nsaved\n")
    assert "1 run interrupted" in out
    (row,) = shell.summary(path)["cells"]
    assert (row["outcome"], row["duration_s"] > 1.5) == ("interrupted", True)


@needs_signals
def test_an_interrupt_while_the_script_begins_ends_it_too(shell: Shell) -> None:
    """At the moment when there is a process already, and nobody knows of it yet."""
    path = script(shell, WAIT_FOREVER)
    done = shell.python(
        "-c",
        "import os, signal, sys\n"
        "def press(frame, event, called):\n"
        "    if event == 'c_return' and called.__name__ == 'fork_exec':\n"
        "        sys.setprofile(None)\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.setprofile(press)\n"
        "from jupyter_energy.cli import main\n"
        f"sys.exit(main(['run', {str(path)!r}]))",
    )
    assert (done.returncode, done.stderr) == (1, "interrupted\n")
    assert "1 run interrupted" in done.stdout


THAT_END = pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])


@needs_signals
@THAT_END
def test_what_ends_a_run_ends_its_script_and_the_run_ends_as_the_script(
    shell: Shell, pressed: Pressed, name: str
) -> None:
    path = script(shell, f"{pressed.here}{WAIT_FOREVER}")
    child = pressed.start("run", path)
    pressed.wait_here()
    os.kill(child.pid, signal.Signals[name])
    status, out, err = pressed.end(child)
    assert (status, one_line(err)) == (-signal.Signals[name], f"{path} was ended by {name}")
    assert "1 run interrupted" in out
    (row,) = shell.summary(path)["cells"]
    assert row["outcome"] == "interrupted"


@needs_signals
@pytest.mark.parametrize("send", ["kill", "killpg"])
def test_a_script_that_heeds_sigterm_gets_it_once_and_has_the_time_and_the_status_that_it_wants(
    shell: Shell, pressed: Pressed, send: str
) -> None:
    saves = SAVES.replace("SIGINT", "SIGTERM").replace("SystemExit(0)", "SystemExit(7)")
    path = script(shell, f"{saves}{pressed.here}{WAIT_FOREVER}")
    child = pressed.start("run", path)
    pressed.wait_here()
    getattr(os, send)(child.pid, signal.SIGTERM)  # `timeout` sends it to the whole group
    status, out, err = pressed.end(child)
    assert (status, one_line(err)) == (7, f"{path} ended with exit status 7")
    assert out.startswith("saving\nsaved\n")
    assert "1 run interrupted" in out


@needs_signals
@THAT_END
def test_what_ends_a_run_interrupts_its_cell_and_is_said_in_one_line(
    shell: Shell, pressed: Pressed, name: str
) -> None:
    path = notebook(shell.folder / "a.ipynb", [BUSY, f"{pressed.here}{WAIT_FOREVER}", BUSY])
    child = pressed.start("run", path)
    pressed.wait_here()
    os.kill(child.pid, signal.Signals[name])
    status, out, err = pressed.end(child)
    assert (status, one_line(err)) == (-signal.Signals[name], f"{path}: interrupted by {name}")
    assert "2 runs of 2 cells, 1 run interrupted" in out
    assert by_id(shell.summary(path))["cell-0002"]["outcome"] == "interrupted"


@pytest.mark.skipif(os.name == "nt", reason="POSIX pipes")
def test_a_script_that_fails_fails_the_run_also_where_nobody_reads_what_we_print(
    shell: Shell,
) -> None:
    path = script(shell, "raise SystemExit(5)")
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [*PROGRAM, "run", str(path)],
            env=shell.environ,
            cwd=shell.folder,
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
    finally:
        os.close(writing)
    assert (done.returncode, one_line(done.stderr)) == (1, f"{path} ended with exit status 5")


@needs_signals
def test_ctrl_c_in_a_terminal_reaches_a_script_once(shell: Shell, pressed: Pressed) -> None:
    path = script(shell, f"{SAVES}{pressed.here}{WAIT_FOREVER}")
    ours, its = os.openpty()
    child = subprocess.Popen(
        [sys.executable, "-c", IN_A_TERMINAL, *PROGRAM, "run", str(path)],
        stdin=its,
        stdout=its,
        stderr=its,
        cwd=shell.folder,
        env=shell.environ,
    )
    os.close(its)
    pressed.wait_here()
    os.write(ours, b"\x03")
    shown = b""
    with suppress(OSError):  # Linux's word for the end of a terminal
        while piece := os.read(ours, 4096):
            shown += piece
    os.close(ours)
    assert child.wait(LIMIT_S) == 1
    lines = shown.decode().replace("^C", "").splitlines()
    assert lines[:3] == ["saving", "saved", "interrupted"]
    assert "1 run interrupted" in shown.decode()


@needs_signals
def test_a_second_interrupt_ends_a_script_that_does_not_heed_the_first(
    shell: Shell, pressed: Pressed
) -> None:
    path = script(shell, f"{deaf_to_interrupts(pressed.here)}{pressed.here}{WAIT_FOREVER}")
    child = pressed.start("run", path)
    for _ in range(2):
        pressed.wait_here()
        os.kill(child.pid, signal.SIGINT)
    status, out, err = pressed.end(child)
    assert (status, err) == (1, "interrupted\n")
    assert "1 run interrupted" in out


# -- settings ------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["the environment", "the settings file"])
@pytest.mark.parametrize("kind", ["notebook", "script"])
def test_a_zone_that_is_none_is_named_at_the_start_of_a_run(
    shell: Shell, kind: str, where: str
) -> None:
    if where == "the environment":
        shell.environ["JUPYTER_ENERGY_ZONE"] = "Atlantis"
    else:
        settings = Path(shell.environ["XDG_CONFIG_HOME"]) / "jupyter-energy" / "settings.json"
        settings.parent.mkdir(parents=True)
        settings.write_text(json.dumps({"Energy": {"zone": "Atlantis"}}))
    path = notebook(shell.folder / "a.ipynb", [BUSY]) if kind == "notebook" else script(shell, BUSY)
    done = shell("run", path)
    assert done.returncode == 0
    assert "CO2e will not be known: no zone 'Atlantis'" in one_line(done.stderr)
    assert "1 run of 1 cell" in done.stdout


@pytest.mark.parametrize("kind", ["notebook", "script"])
def test_a_recording_that_cannot_be_read_is_named_at_the_start_of_a_run(
    shell: Shell, kind: str
) -> None:
    recording = shell.folder / "no.csv"
    shell.environ["JUPYTER_ENERGY_REPLAY"] = str(recording)
    path = notebook(shell.folder / "a.ipynb", [BUSY]) if kind == "notebook" else script(shell, BUSY)
    done = shell("run", path)
    assert done.returncode == 0
    line = one_line(done.stderr)
    assert f"{recording}: No such file" in line
    assert "unset the setting `replay`" in line


@pytest.mark.parametrize("kind", ["notebook", "script"])
def test_paths_in_the_environment_are_those_of_the_folder_that_a_run_is_started_in(
    shell: Shell, kind: str
) -> None:
    (shell.folder / "power.csv").write_text("t_s,domain,watts\n0,gpu:0,60\n9,gpu:0,60\n")
    shell.environ["JUPYTER_ENERGY_REPLAY"] = "power.csv"
    shell.environ["JUPYTER_ENERGY_STORE"] = "mine.sqlite"
    path = notebook(shell.folder / "below" / "a.ipynb", [BUSY])
    if kind == "script":
        path = script(shell, BUSY)
    done = shell("run", path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "J measured" in done.stdout.partition("\n\n")[0]
    assert [found.name for found in shell.folder.rglob("*.sqlite")] == ["mine.sqlite"]


# -- our own failures ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["notebook", "script"])
def test_a_store_that_cannot_be_written_is_said_before_and_after_and_the_figures_are_told(
    shell: Shell, kind: str
) -> None:
    # A file where the folder should be stops root as well.
    shell.store.parent.write_text("no folder")
    path = (
        notebook(shell.folder / "a.ipynb", [BUSY, BUSY])
        if kind == "notebook"
        else script(shell, f"import jupyter_energy as je\nwith je.measure('x'):\n    {BUSY}")
    )
    done = shell("run", path)
    assert done.returncode == 0, done.stderr
    before, after = [line for line in done.stderr.splitlines() if "store" in line]
    assert "cannot be written (" in before
    assert ": set JUPYTER_ENERGY_STORE to another file. " in before
    assert after.endswith("This run was measured but not kept.")
    assert "estimated in" in done.stdout
    assert by_id(shell.run_json(path))


@pytest.mark.skipif(os.name == "nt", reason="file modes")
@pytest.mark.parametrize("kind", ["file", "folder", "both"])
def test_where_a_database_may_only_be_read_the_journals_beside_it_keep_a_run(
    shell: Shell, kind: str
) -> None:
    path = notebook(shell.folder / "a.ipynb", [BUSY, BUSY])
    shell.run_json(path)  # makes the store
    changed = {"file": [shell.store], "folder": [shell.store.parent]}
    for item in changed.get(kind, [shell.store, shell.store.parent]):
        item.chmod(0o555 if item.is_dir() else 0o444)
    if os.geteuid() == 0:
        shell.within = OBEYING_MODES
    try:
        done, seen = shell("run", path), shell("doctor")
    finally:
        shell.store.parent.chmod(0o700)
    assert done.returncode == 0, done.stderr
    said = f"What this run has measured is safe in {shell.store}.journals."
    assert one_line(done.stderr).endswith(said)
    assert "2 runs of 2 cells" in done.stdout
    assert f"Store: {shell.store} (failed: " in seen.stdout
    assert shell.summary(path)["totals"]["runs"] == 4


@pytest.mark.parametrize(("kind", "lock"), [("notebook", "IMMEDIATE"), ("script", "EXCLUSIVE")])
def test_a_run_beside_a_locked_database_is_kept(shell: Shell, kind: str, lock: str) -> None:
    if kind == "notebook":
        path = notebook(shell.folder / "a.ipynb", [BUSY, BUSY])
    else:
        body = f"import jupyter_energy as je\nwith je.measure('x'):\n    {BUSY}\n"
        path = script(shell, body)
    made = Store(shell.store)
    made.open()
    made.close()
    with closing(sqlite3.connect(shell.store, isolation_level=None)) as other:
        if lock == "EXCLUSIVE":
            other.execute("PRAGMA journal_mode = delete")  # then nobody may read either
        other.execute(f"BEGIN {lock}")
        done = shell("run", path)
        other.execute("ROLLBACK")
    assert done.returncode == 0, done.stderr
    said = f"What this run has measured is safe in {shell.store}.journals."
    assert one_line(done.stderr).endswith(said)
    runs = "2 runs of 2 cells" if kind == "notebook" else "1 run of 1 cell"
    assert runs in done.stdout
    assert ("↳ x" in done.stdout) == (kind == "script")
    assert shell.summary(path)["totals"]["runs"] == (2 if kind == "notebook" else 1)


def test_what_a_database_takes_once_it_is_unlocked_is_in_the_summary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "energy.sqlite"
    monkeypatch.setenv("JUPYTER_ENERGY_STORE", str(path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    made = Store(path)
    made.open()
    made.close()
    ref = NotebookRef(str(tmp_path / "a.py"), "a.py")
    session = Session(ShellContext(), ref, quiet=True)
    head_of_dead = head(session.session_id, host=platform.node(), **DEAD)
    leave(path, [head_of_dead, about(ref), kept(a_record(session_id=session.session_id))])
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = delete")
        other.execute("BEGIN EXCLUSIVE")
        assert len(session.records()) == 1  # from the journal
        other.execute("ROLLBACK")
    session.keep()
    assert list(made.journals.names()) == []
    assert session.summary()["totals"]["runs"] == 1


@pytest.mark.skipif(os.name == "nt", reason="limits of resources")
def test_what_is_lost_while_a_notebook_runs_is_told_and_not_said_to_be_safe(shell: Shell) -> None:
    """The kernel may write no file any more, as on a full disk, from its second cell on."""
    full = (
        "import resource, signal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1, 1))"
    )
    path = notebook(shell.folder / "a.ipynb", [BUSY, full, BUSY])
    done = shell("run", path)
    assert done.returncode == 0
    told = [line for line in done.stderr.splitlines() if str(shell.store) in line]
    assert [line for line in told if "cannot be written (File too large)" in line]
    assert not [line for line in told if "safe in" in line]


@pytest.mark.skipif(os.name == "nt", reason="file modes")
def test_a_run_is_kept_where_the_store_can_be_written_by_its_end(shell: Shell) -> None:
    folder = shell.store.parent
    folder.mkdir(mode=0o555)
    if os.geteuid() == 0:
        shell.within = OBEYING_MODES
    path = script(shell, f"import os\nos.chmod({str(folder)!r}, 0o700)")
    done = shell("run", path, "--json")
    assert done.returncode == 0
    assert one_line(done.stderr).endswith(
        "(Permission denied): make its folder writable. "
        "This run is measured, and kept if it can be when it ends."
    )
    shown, kept = json.loads(done.stdout), shell.summary(path)
    assert shown["totals"]["runs"] == 1
    assert kept["totals"] == shown["totals"]
    assert kept["notebook"] == shown["notebook"]


def test_a_corrupt_store_is_said_and_the_notebook_runs(shell: Shell) -> None:
    shell.store.parent.mkdir()
    shell.store.write_bytes(b"this is no database\0" * 100)
    path = notebook(shell.folder / "a.ipynb", [BUSY])
    done = shell("run", path)
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if str(shell.store) in line]
    assert "estimated in" in done.stdout

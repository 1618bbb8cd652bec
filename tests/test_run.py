"""`jupyter energy run`: notebooks and scripts in processes of their own, as a user starts them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest
from shell import Shell, by_id, code, notebook, one_line

KEYS = {
    "summary": {"schema", "version", "notebook", "totals", "cells"},
    "notebook": {"id", "path", "name"},
    "totals": {
        *("runs", "cells", "duration_s", "measured_j", "estimated_j", "carbon_g"),
        *("first", "last", "interrupted", "warnings"),
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
        *("measured_j", "estimated_j", "above_idle_j", "kernel_share", "average_w", "peak_w"),
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
    assert line.endswith("the kernel died")
    assert "1 run of 1 cell" in done.stdout


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
        ("5Wh", 0, "under the limit of 5.00 Wh"),
        ("3g", 0, "under the limit of 3.00 g"),
        ("0.0001J", 3, "over the limit of 100 µJ"),
        ("0.000000001mg", 3, "over the limit of"),
    ],
)
def test_a_passed_limit_is_status_3_and_said_with_both_figures(
    shell: Shell, limit: str, status: int, said: str
) -> None:
    path = notebook(shell.folder / "a.ipynb", [BUSY])
    done = shell("run", path, "--assert-under", limit)
    assert done.returncode == status, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "limit" in line]
    assert said in line
    assert "estimated in part" in line


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


def test_a_copy_that_cannot_be_written_is_status_2_and_the_run_is_kept(shell: Shell) -> None:
    path = notebook(shell.folder / "a.ipynb", [BUSY])
    done = shell("run", path, "--output", shell.folder / "no" / "such" / "folder.ipynb")
    assert done.returncode == 2
    assert "could not be written" in done.stderr.splitlines()[-1]
    assert shell.summary(path)["totals"]["runs"] == 1


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


# -- our own failures ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["notebook", "script"])
def test_a_store_that_cannot_be_written_is_said_once_and_the_figures_are_told(
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
    (line,) = [line for line in done.stderr.splitlines() if "store" in line]
    assert line.endswith("This run is measured but not kept.")
    assert "estimated in" in done.stdout
    assert by_id(shell.run_json(path))


def test_a_corrupt_store_is_said_and_the_notebook_runs(shell: Shell) -> None:
    shell.store.parent.mkdir()
    shell.store.write_bytes(b"this is no database" * 100)
    path = notebook(shell.folder / "a.ipynb", [BUSY])
    done = shell("run", path)
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if str(shell.store) in line]
    assert "estimated in" in done.stdout

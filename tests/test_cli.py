"""`jupyter energy` with every wrong turn a user takes: exact exit statuses, one clear line."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import nbformat
import pytest
from shell import LIMIT_S, PROGRAM, Shell, notebook, one_line

import jupyter_energy
from jupyter_energy.commands import COMMANDS
from jupyter_energy.schema import MIME_TYPE

BUSY = "n = sum(i * i for i in range(10**5))"
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Shell, Path]:
    """A shell in which a notebook, `a notebook.ipynb` in an odd folder, has been measured."""
    shell = Shell(tmp_path_factory.mktemp("measured"))
    path = notebook(shell.folder / "my wörk ✓" / "a notebook.ipynb", [BUSY, BUSY])
    assert shell("run", path).returncode == 0
    return shell, path


# -- help and version ----------------------------------------------------------------------


def test_without_a_command_the_list_of_commands_is_shown_as_wrong_use(shell: Shell) -> None:
    bare, asked = shell(), shell("--help")
    assert (bare.returncode, asked.returncode) == (2, 0)
    assert bare.stdout == asked.stdout == shell("-h").stdout == shell("help").stdout
    assert bare.stderr == asked.stderr == ""
    for name in COMMANDS:
        assert f"\n  {name} " in asked.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself(shell: Shell, command: str) -> None:
    done = shell(command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: jupyter energy {command} ")
    assert not shell.store.exists()


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_the_version_is_one_line(shell: Shell, option: str) -> None:
    done = shell(option)
    assert (done.returncode, done.stderr) == (0, "")
    assert one_line(done.stdout) == jupyter_energy.__version__


def test_the_installed_version_is_that_of_the_front_end(shell: Shell) -> None:
    if jupyter_energy.__version__ == "unknown":
        pytest.skip("jupyter-energy is not installed here")
    package = Path(__file__).parents[1] / "labextension" / "package.json"
    stated = json.loads(package.read_text())["version"]
    # Python writes the pre-release 1.0.0-rc.1 as 1.0.0rc1.
    assert one_line(shell("--version").stdout) == stated.replace("-", "").replace("rc.", "rc")


# -- wrong use -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sumary"], "'sumary' is no command; did you mean summary?"),
        (["frobnicate"], "'frobnicate' is no command; there are: run, summary,"),
        ([""], "'' is no command; there are: run, summary,"),
        (["summary"], "which notebook? jupyter energy summary NOTEBOOK.ipynb"),
        (["summary", "a.ipynb", "--session"], "--session is for a notebook"),
        (["plot"], "which notebook? jupyter energy plot NOTEBOOK.ipynb --output energy.png"),
        (["plot", "new.ipynb"], "where to? jupyter energy plot NOTEBOOK.ipynb --output"),
        (["plot", "new.ipynb", "--output", "x.png"], "no cell has been measured yet"),
        (["zone", "Atlantis"], "no zone 'Atlantis': write a country code"),
        (["zone", "--pue", "0.5"], "PUE"),
    ],
)
def test_wrong_use_is_status_2_and_one_line_that_says_what_would_be_right(
    shell: Shell, words: list[str], said: str
) -> None:
    for name in ("a.ipynb", "new.ipynb"):
        notebook(shell.folder / name, [BUSY])
    done = shell(*words)
    assert (done.returncode, done.stdout) == (2, "")
    line = one_line(done.stderr)
    assert line.startswith("jupyter energy: ")
    assert said in line


@pytest.mark.parametrize(
    "words", [["summary", "--frobnicate"], ["run"], ["doctor", "x"], ["zone", "--pue", "x"]]
)
def test_a_wrong_option_is_status_2_with_the_usage_below_the_line(
    shell: Shell, words: list[str]
) -> None:
    done = shell(*words)
    assert (done.returncode, done.stdout) == (2, "")
    line, usage = done.stderr.split("\n", 1)
    assert line.startswith("jupyter energy: ")
    assert usage.startswith(f"usage: jupyter energy {words[0]} ")


def test_a_misspelt_option_is_told_with_the_one_that_is_like_it(shell: Shell) -> None:
    done = shell("plan", "--huors", "6")
    assert done.returncode == 2
    assert "arguments: --huors; did you mean --hours?" in done.stderr


def test_arguments_of_a_script_without_dashes_before_them_are_told_where_they_go(
    shell: Shell,
) -> None:
    (shell.folder / "s.py").write_text("raise SystemExit('ran')")
    done = shell("run", "s.py", "--epochs", "3")
    assert (done.returncode, done.stdout) == (2, "")
    line = done.stderr.splitlines()[0]
    assert line.endswith("arguments: --epochs 3 (arguments for a script go behind --)")
    assert "behind --" not in shell("summary", "a.ipynb", "--epochs").stderr


@pytest.mark.parametrize("command", ["summary", "run", "plot"])
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("missing.ipynb", "there is no such file"),
        ("folder", "is not a file: give an .ipynb file or a .py script"),
        ("folder.py", "is not a file: give an .ipynb file or a .py script"),
        ("text.txt", "is no notebook: give an .ipynb file or a .py script"),
        ("text.ipynb", "is no notebook"),
        ("empty.ipynb", "is no notebook"),
        ("list.ipynb", "is no notebook"),
        ("binary.ipynb", "is no notebook"),
        ("cells.ipynb", "is no notebook"),
    ],
)
def test_what_is_no_notebook_is_status_2_and_named(
    shell: Shell, command: str, name: str, said: str
) -> None:
    (shell.folder / "folder").mkdir()
    (shell.folder / "folder.py").mkdir()
    (shell.folder / "text.txt").write_text("words")
    (shell.folder / "text.ipynb").write_text("words")
    (shell.folder / "empty.ipynb").write_text("")
    (shell.folder / "list.ipynb").write_text("[1, 2]")
    (shell.folder / "binary.ipynb").write_bytes(bytes(range(256)))
    (shell.folder / "cells.ipynb").write_text('{"cells": 3, "nbformat": 4}')
    more = ["--output", "x.png"] if command == "plot" else []
    done = shell(command, name, *more)
    assert (done.returncode, done.stdout) == (2, "")
    line = one_line(done.stderr)
    assert name in line
    assert said in line
    assert not shell.store.exists()


# -- summary -------------------------------------------------------------------------------


def test_a_notebook_that_was_never_measured_has_an_empty_summary(shell: Shell) -> None:
    path = notebook(shell.folder / "new.ipynb", [BUSY])
    done = shell("summary", path)
    assert (done.returncode, done.stderr) == (0, "")
    assert one_line(done.stdout).startswith("new.ipynb: Nothing measured yet.")
    summary = shell.summary(path)
    assert (summary["cells"], summary["totals"]["runs"]) == ([], 0)


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_where_the_store_cannot_be_used_that_is_said_and_not_that_nothing_was_measured(
    shell: Shell, kind: str
) -> None:
    path = notebook(shell.folder / "new.ipynb", [BUSY])
    if kind == "folder":
        shell.store.parent.write_text("no folder")
    else:
        shell.store.parent.mkdir()
        with closing(sqlite3.connect(shell.store)) as other:
            other.execute("CREATE TABLE theirs (x)")
    before = sorted(shell.folder.rglob("*"))
    # A notebook's own outputs might tell; a history there is none without the store.
    for words, status in ((["summary", path], 0), (["history"], 1)):
        done = shell(*words)
        assert done.returncode == status, done.stderr
        told, other = (done.stdout, done.stderr)[:: -1 if status else 1]
        assert f"the store {shell.store} cannot be " in " ".join(told.split())
        assert "set JUPYTER_ENERGY_STORE to another file" in " ".join(told.split())
        assert "Nothing" not in told
        assert other == ""  # it is told once
        document = json.loads(shell(*words, "--json").stdout)
        assert [str(shell.store) in line for line in document["totals"]["warnings"]] == [True]
    script = path.with_suffix(".py")
    script.write_text("")
    done = shell("summary", script)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"nothing is known of {script}" in one_line(done.stderr)
    script.unlink()
    assert sorted(shell.folder.rglob("*")) == before  # it was only looked at


def test_figures_from_saved_outputs_are_said_to_be_those(shell: Shell) -> None:
    cell = nbformat.v4.new_code_cell(f"%%energy\n{BUSY}", id="mine")
    saved = {"started": "2026-01-01T12:00:00Z", "duration_s": 2.0, "runs": 1, "outcome": "ok"}
    saved["estimated_j"] = {"low": 5.0, "mid": 10.0, "high": 20.0}
    cell.outputs = [nbformat.v4.new_output("display_data", {MIME_TYPE: saved})]
    path = notebook(shell.folder / "sent.ipynb", [cell, BUSY])
    done = shell("summary", path)
    assert done.returncode == 0
    said = "from the outputs saved in sent.ipynb: cells without %%energy left none"
    assert one_line(done.stderr) == said
    assert "1 run of 1 cell" in done.stdout
    done = shell("summary", path, "--json")
    assert (one_line(done.stderr), len(json.loads(done.stdout)["cells"])) == (said, 1)


def test_a_shell_offers_no_session_of_a_kernel(shell: Shell) -> None:
    offered = shell("summary", "--help").stdout
    assert "--session" not in offered
    assert "--all-time" in offered


def test_a_script_that_was_never_measured_is_told_how_to(shell: Shell) -> None:
    script = shell.folder / "train.py"
    script.write_text("pass")
    done = shell("summary", script)
    assert (done.returncode, done.stdout) == (2, "")
    assert one_line(done.stderr).endswith(f"try: jupyter energy run {script}")


def test_a_summary_is_the_same_from_any_folder_and_by_any_path(
    measured: tuple[Shell, Path],
) -> None:
    shell, path = measured
    whole = shell("summary", path)
    assert (whole.returncode, whole.stderr) == (0, "")
    assert "2 runs of 2 cells" in whole.stdout
    assert shell("summary", path.name, cwd=path.parent).stdout == whole.stdout
    roundabout = Path("..") / path.parent.name / path.name
    assert shell("summary", roundabout, cwd=path.parent).stdout == whole.stdout


def test_a_summary_names_the_commands_of_a_shell(measured: tuple[Shell, Path]) -> None:
    shell, path = measured
    shown = " ".join(shell("summary", path).stdout.split())
    assert "jupyter energy zone" in shown
    assert "%energy" not in shown


def test_the_json_of_a_summary_is_one_document_with_the_real_path(
    measured: tuple[Shell, Path],
) -> None:
    shell, path = measured
    summary = shell.summary(path)
    assert summary["notebook"]["path"] == str(path)
    assert summary["notebook"]["name"] == path.name
    assert sorted(c["cell_id"] for c in summary["cells"]) == ["cell-0001", "cell-0002"]


# -- plot ----------------------------------------------------------------------------------


def test_a_plot_is_a_real_picture_of_the_kind_its_name_says(measured: tuple[Shell, Path]) -> None:
    shell, path = measured
    for name, written, head in (
        ("energy chart.png", "energy chart.png", PNG),
        ("energy.pdf", "energy.pdf", b"%PDF"),
        ("e.svg", "e.svg", b"<?xml"),
        ("no suffix", "no suffix.png", PNG),
    ):
        done = shell("plot", path, "--output", name)
        assert (done.returncode, done.stdout) == (0, f"Written: {written}\n"), done
        content = (shell.folder / written).read_bytes()
        assert content.startswith(head)
        assert len(content) > 1000


@pytest.mark.parametrize("name", ["no/such/folder.png", "energy.frobnicate", "."])
def test_a_picture_that_cannot_be_written_is_status_2(
    measured: tuple[Shell, Path], name: str
) -> None:
    shell, path = measured
    done = shell("plot", path, "--output", name)
    assert (done.returncode, done.stdout) == (2, "")
    assert "could not be written" in one_line(done.stderr)


# -- doctor and zone -----------------------------------------------------------------------


def test_doctor_says_what_is_seen_and_where_things_lie(shell: Shell) -> None:
    done = shell("doctor")
    assert (done.returncode, done.stderr) == (0, "")
    assert "estimated" in done.stdout
    assert f"Store: {shell.store} (works)" in done.stdout
    assert "Place: France" in done.stdout
    document = json.loads(shell("doctor", "--json").stdout)
    assert document["schema"] == 1
    store = document["store"]
    assert (store["path"], store["state"], store["mode"]) == (str(shell.store), "works", "0600")
    assert {line["state"] for line in document["sensors"]} >= {"estimated", "note"}
    for line in document["sensors"]:
        assert set(line) == {"family", "device", "state", "detail", "remedy"}


def test_doctor_tells_of_a_store_that_cannot_be_used_and_still_ends_well(shell: Shell) -> None:
    shell.store.parent.write_text("no folder")
    done = shell("doctor")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Store: {shell.store} (failed: " in done.stdout


def test_a_zone_that_was_set_counts_for_what_is_run_after(shell: Shell) -> None:
    assert "France (FR)" in shell("zone").stdout
    done = shell("zone", "Sweden")
    assert (done.returncode, done.stderr) == (0, "")
    path = notebook(shell.folder / "a.ipynb", [BUSY])
    assert shell.run_json(path)["totals"]["carbon_g"]["zone"] == "SE"
    assert shell("zone", "auto").returncode == 0
    assert json.loads(shell("zone", "--json").stdout)["zone"] == "FR"


def test_a_setting_that_cannot_be_is_told_in_one_line_and_left_out(shell: Shell) -> None:
    done = shell("zone", more={"JUPYTER_ENERGY_PUE": "many"})
    assert done.returncode == 0
    assert "JUPYTER_ENERGY_PUE" in one_line(done.stderr)
    assert "PUE     1" in done.stdout


# -- surroundings --------------------------------------------------------------------------


@pytest.mark.skipif(os.name == "nt", reason="POSIX pipes")
@pytest.mark.parametrize("words", [["--help"], ["--version"], ["doctor"], ["summary", "a.ipynb"]])
def test_a_reader_that_goes_away_is_no_failure(shell: Shell, words: list[str]) -> None:
    notebook(shell.folder / "a.ipynb", [BUSY])
    reading, writing = os.pipe()
    os.close(reading)  # as `| head -1` has done by the time we write
    try:
        done = subprocess.run(
            [*PROGRAM, *words],
            env=shell.environ,
            cwd=shell.folder,
            stdout=writing,
            stderr=subprocess.PIPE,
            timeout=LIMIT_S,
            check=False,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_an_output_that_knows_few_letters_still_gets_the_figures(
    measured: tuple[Shell, Path],
) -> None:
    shell, path = measured
    done = shell("summary", path, more={"PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, "")
    assert "2 runs of 2 cells" in done.stdout


def test_settings_that_cannot_be_written_are_told_in_one_line(shell: Shell) -> None:
    # A file where the folder should be stops root as well.
    Path(shell.environ["XDG_CONFIG_HOME"]).write_text("no folder")
    done = shell("zone", "FR")
    assert (done.returncode, done.stdout) == (1, "")
    assert "settings.json" in one_line(done.stderr)


def test_jupyter_finds_us_as_its_own_command(shell: Shell) -> None:
    if shutil.which("jupyter-energy") is None:
        pytest.skip("jupyter-energy is not installed here")
    done = shell.python("-m", "jupyter", "energy", "--help")
    assert (done.returncode, done.stdout) == (0, shell("--help").stdout)

"""Whether a command's status says that what was asked could not be answered, and where it says
why: a script goes by the one, and reads the other's output as figures."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from shell import PROGRAM, Shell

JOB = ("plan", "--hours", "3", "--kwh", "2")


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    made = Shell(tmp_path)
    made.environ["JUPYTER_ENERGY_ZONE"] = "DE"
    return made


def test_history_of_a_store_that_cannot_be_used_fails_and_says_why_on_stderr(
    shell: Shell, tmp_path: Path
) -> None:
    more = {"JUPYTER_ENERGY_STORE": str(tmp_path)}
    done = shell("history", more=more)
    assert (done.returncode, done.stdout) == (1, "")
    assert "cannot be used" in done.stderr
    asked = shell("history", "--json", more=more)
    assert asked.returncode == 1
    assert "cannot be used" in json.loads(asked.stdout)["totals"]["warnings"][0]
    assert shell("history").returncode == 0  # nothing was measured yet, which is an answer


def test_a_plan_over_a_trace_that_cannot_be_read_fails_though_places_are_told(
    shell: Shell, tmp_path: Path
) -> None:
    trace = tmp_path / "t.csv"
    trace.write_text("a,b\n1,2\n")
    done = shell(*JOB, "--trace", trace)
    assert done.returncode == 1
    assert "cleanest first" in done.stdout
    assert shell(*JOB).returncode == 0


def test_a_file_that_looks_like_kilograms_is_doubted_before_its_advice(
    shell: Shell, tmp_path: Path
) -> None:
    trace = tmp_path / "kg.csv"
    rows = [f"2025-03-01T{hour:02}:00Z,0.{1 + hour % 5}" for hour in range(24)]
    trace.write_text("\n".join(["datetime,g_per_kwh", *rows]) + "\n")
    start = ("--start", "2025-03-01T00:00Z", "--within", "9")
    done = shell(*JOB, "--trace", trace, *start)
    said = " ".join(done.stdout.split())
    doubt = "First check kg.csv: figures of 0.1 to 0.5 g/kWh are of no grid: are they kg/kWh?"
    assert said.index(doubt) < said.index("What would save most")
    assert said.count("are they kg/kWh?") == 1
    assert done.returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_an_output_that_cannot_be_written_is_told_in_a_line(shell: Shell) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, *PROGRAM[1:], *JOB, "--json"],
            env=shell.environ,
            cwd=shell.folder,
            text=True,
            check=False,
            stdout=full,
            stderr=subprocess.PIPE,
        )
    assert done.returncode == 1
    assert done.stderr == (
        "jupyter energy: the output could not be written: No space left on device\n"
    )


@pytest.mark.skipif(shutil.which("prlimit") is None, reason="needs prlimit (util-linux)")
def test_an_empty_store_that_was_made_where_nothing_fits_is_not_said_to_have_held_records(
    shell: Shell, tmp_path: Path
) -> None:
    script = tmp_path / "a.py"
    script.write_text(
        "import jupyter_energy as je\nwith je.measure('a') as m:\n    sum(range(9))\n"
    )
    shell.within = ["prlimit", "--fsize=0"]
    for _ in range(2):
        done = shell("run", script)
        assert "cannot be written" in done.stderr
        assert "was empty" not in done.stderr


def test_a_notebook_that_was_never_measured_says_what_to_type_in_a_shell(
    shell: Shell, tmp_path: Path
) -> None:
    notebook = tmp_path / "new.ipynb"
    notebook.write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
    said = shell("summary", notebook).stdout
    assert "jupyter energy run new.ipynb" in said
    assert "%energy" not in said

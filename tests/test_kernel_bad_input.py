"""A mistake on the line is one UsageError, and the body does not run; our faults never stop it."""

from __future__ import annotations

import json

import pytest
from conftest import StartKernel
from harness import LOAD, Kernel, stopped_by
from test_kernel_faults import run_alone

MISTAKES = {
    "an unknown option": ("--bogus", "--bogus"),
    "a word that is no option": ("fast", "fast"),
    "an option without its value": ("-n", "expected one argument"),
    "an unknown zone": ("--zone XX", "XX"),
    "a zone with a slip": ("--zone Frence", "France"),
    "an unknown device": ("--devices toaster", "gpu, gpu:0, cpu"),
    "a device that is not here": ("--devices gpu:7", "no such device"),
    "no device at all": ("--devices ''", "--devices names no device"),
    "no variable name": ("-v 'not a name'", "no variable name"),
    "a variable name that begins with a digit": ("-v 1st", "no variable name"),
    "an open quote": ("-n 'epoch", "close the quote"),
    "--help": ("--help", "%%energy?"),
}


@pytest.fixture(scope="module")
def loaded(python: str, tmp_path_factory: pytest.TempPathFactory) -> object:
    """One kernel for all: none of these may change anything in it."""
    from harness import running

    with running(python, tmp_path_factory.mktemp("home")) as kernel:
        assert kernel.run(LOAD).status == "ok"
        yield kernel


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_on_the_line_is_one_usage_error_and_the_body_does_not_run(
    loaded: Kernel, name: str
) -> None:
    line, hint = MISTAKES[name]
    result = run_alone(loaded, f"%%energy {line}\nprint('the body ran')")
    assert result.status == "error"
    assert result.stdout == ""
    assert result.energy == []
    (said,) = result.stderr.splitlines()
    assert said.startswith("UsageError: ")
    assert hint in said
    after = loaded.run("%%energy\nprint('goes on')")
    assert (after.status, after.stdout, after.stderr, len(after.energy)) == (
        *("ok", "goes on\n", ""),
        1,
    )


def test_a_mistake_stops_run_all(kernel: Kernel) -> None:
    stopped = stopped_by(kernel, "%%energy --bogus\npass")
    assert (stopped.status, stopped.stdout) == ("aborted", "")


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("nonsense", "'nonsense' is no command"),
        ("sumary", "did you mean summary?"),
        ("run notebook.ipynb", "jupyter energy run"),
        ("zone XX", "XX"),
        ("zone Frence", "France"),
        ("zone --pue 0.5", "0.5"),
        ("summary missing.ipynb", "there is no such file"),
        ("'open", "close the quote"),
    ],
)
def test_a_mistake_on_the_line_magic_is_one_clear_line(
    loaded: Kernel, line: str, hint: str
) -> None:
    result = run_alone(loaded, f"%energy {line}")
    assert (result.status, result.stdout) == ("error", "")
    (said,) = result.stderr.splitlines()
    assert said.startswith("UsageError: ")
    assert hint in said


def test_a_zone_that_was_refused_is_not_kept(loaded: Kernel) -> None:
    loaded.run("%energy zone DE")
    run_alone(loaded, "%energy zone XX")
    shown = loaded.run("%energy zone")
    assert shown.stdout.startswith("Germany (DE)")
    (cell,) = loaded.run("%%energy\n1").energy
    assert cell["carbon_g"]["zone"] == "DE"
    loaded.run("%energy zone auto")


def test_a_zone_that_is_wrong_where_it_was_set_before_stops_no_cell(
    start_kernel: StartKernel,
) -> None:
    """Only what is said on the line is the user's mistake of this moment."""
    kernel = start_kernel({"JUPYTER_ENERGY_ZONE": "XX"})
    told = kernel.run(LOAD).stderr + kernel.run("1").stderr
    assert "Energy.zone from JUPYTER_ENERGY_ZONE: no zone 'XX'" in told
    refused = kernel.run("%config Energy.zone = 'polnd'")
    assert "did you mean PL (country: Poland)?" in f"{refused.stderr}{refused.error}"
    result = kernel.run("%%energy\nprint('the body ran')")
    assert (result.status, result.stdout) == ("ok", "the body ran\n")
    (cell,) = result.energy
    assert cell["carbon_g"] is None
    assert "XX" in " ".join(cell["warnings"])


def test_a_magic_with_nothing_below_says_what_to_do(loaded: Kernel) -> None:
    result = run_alone(loaded, "%%energy\n")
    assert result.status == "error"
    assert "UsageError" in result.stderr


def test_what_the_line_magic_prints_as_json_is_json(loaded: Kernel) -> None:
    result = loaded.run("%energy summary --json")
    assert result.stderr == ""
    assert json.loads(result.stdout)["schema"] == 1

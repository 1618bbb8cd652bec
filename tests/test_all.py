"""`tests/all.py` must not say "passed" where it was not: what it does with a part's outcome."""

from __future__ import annotations

import importlib
import subprocess

import pytest

runner = importlib.import_module("all")  # `import all` would hide the builtin
OPTIONS = runner.Options(python="python", fast=False)


def part_that(outcome: BaseException | None, **more: tuple[str, ...]):
    """Return a part that raises this, or passes."""

    def check(_options):
        if outcome is not None:
            raise outcome

    return runner.Part("it", check, **more)


@pytest.mark.parametrize(
    ("outcome", "result", "why"),
    [
        (None, "passed", ""),
        (runner.LeftOutError("no compiler"), "left out", "no compiler"),
        (subprocess.CalledProcessError(3, ["mypy", "."]), "failed", "status 3: mypy ."),
        (FileNotFoundError("no such program"), "failed", "no such program"),
    ],
)
def test_a_part_is_reported_as_what_came_of_it(outcome, result, why):
    assert runner.check_part(part_that(outcome), OPTIONS, {}) == (result, why)


@pytest.mark.parametrize("before", ["failed", "left out"])
def test_a_part_is_left_out_when_one_it_needs_did_not_pass(before):
    part = part_that(AssertionError("it must not run"), needs=("venv",))
    assert runner.check_part(part, OPTIONS, {"venv": before}) == ("left out", "needs venv")


def test_a_part_that_was_chosen_alone_brings_what_it_builds_on_in_order():
    names = [part.name for part in runner.chosen_parts("pytest")]
    assert names == ["venv", "wheel", "kernels", "pytest"]


def test_every_part_needs_only_parts_that_come_before_it():
    before: set[str] = set()
    for part in runner.PARTS:
        assert {*part.needs, *part.refreshes} <= before
        before.add(part.name)


@pytest.mark.parametrize(("fails", "status"), [(True, 1), (False, 0)])
def test_the_exit_status_tells_whether_a_part_failed(monkeypatch, capsys, fails, status):
    outcome = OSError("broken") if fails else runner.LeftOutError("not here")
    monkeypatch.setattr(runner, "PARTS", (part_that(outcome),))
    monkeypatch.setattr("sys.argv", ["all.py"])
    assert runner.main() == status
    last_line = capsys.readouterr().out.splitlines()[-1]
    assert last_line.split()[0] == "it"
    assert last_line.endswith(str(outcome))

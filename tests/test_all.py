"""`tests/all.py` must not say "passed" where it was not: what it does with a part's outcome."""

from __future__ import annotations

import importlib
import subprocess
import sys
import threading
import time
from contextlib import suppress

import psutil
import pytest

runner = importlib.import_module("all")  # `import all` would hide the builtin
OPTIONS = runner.Options(python="python", fast=False)


def part_that(outcome: BaseException | None, **more: tuple[str, ...]):
    """Return a part that raises this, or passes."""

    def check(_options):
        if outcome is not None:
            raise outcome

    return runner.Part("it", check, 60, **more)


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


def test_the_frameworks_are_left_out_where_they_cannot_be_installed(monkeypatch, tmp_path):
    monkeypatch.setattr(runner, "WORK", tmp_path)
    (part,) = (part for part in runner.PARTS if part.name == "frameworks")
    results = dict.fromkeys(part.needs, "passed")
    options = runner.Options(python="false", fast=False)
    why = "the frameworks cannot be installed here"
    assert runner.check_part(part, options, results) == ("left out", why)


@pytest.mark.parametrize("before", ["failed", "left out"])
def test_a_part_is_left_out_when_one_it_needs_did_not_pass(before):
    part = part_that(AssertionError("it must not run"), needs=("venv",))
    assert runner.check_part(part, OPTIONS, {"venv": before}) == ("left out", "needs venv")


STARTS_ANOTHER = """
import subprocess, sys, time
from pathlib import Path
other = subprocess.Popen(["sleep", "600"], start_new_session=True)
Path(sys.argv[1] + ".new").write_text(str(other.pid))
Path(sys.argv[1] + ".new").rename(sys.argv[1])
time.sleep(600)
"""


@pytest.mark.parametrize("quiet", [True, False])
def test_a_part_that_hangs_has_failed_and_nothing_of_it_runs_on(tmp_path, quiet):
    file = tmp_path / "pid"
    command = [sys.executable, "-c", STARTS_ANOTHER, file]
    part = runner.Part("it", lambda _options: runner.run(command, quiet=quiet), 3600)
    for left_s in (1, 5, 20, 60):  # a busy machine may take longer to start it
        result, why = runner.check_part(part, OPTIONS, {}, left_s)
        assert (result, why.split(":")[0]) == ("failed", f"not over after {left_s} s")
        if file.exists():
            break
    with suppress(psutil.NoSuchProcess):
        other = psutil.Process(int(file.read_text()))
        deadline_s = time.monotonic() + 60
        while other.status() != psutil.STATUS_ZOMBIE:  # whoever took it over may not have looked
            assert time.monotonic() < deadline_s
            time.sleep(0.01)


def test_a_part_that_hangs_is_waited_for_where_others_use_the_machine_too(tmp_path):
    def check(_options):
        runner.run([sys.executable, "-c", "import time; time.sleep(0.1)"])

    patient = runner.Options(python="python", fast=False, patient=True)
    assert runner.check_part(runner.Part("it", check, 0), patient, {}) == ("passed", "")


def test_a_part_aside_runs_beside_the_next_and_is_over_before_one_that_builds_on_it():
    begun, goes_on = threading.Event(), threading.Event()
    order = []

    def beside(_options):
        begun.set()
        assert goes_on.wait(60)
        order.append("beside")

    def at_once(_options):
        assert begun.wait(60)
        order.append("next")
        goes_on.set()

    parts = [
        runner.Part("beside", beside, 60, aside=True),
        runner.Part("next", at_once, 60),
        runner.Part("last", lambda _options: order.append("last"), 60, refreshes=("beside",)),
    ]
    outcomes = runner.check_parts(parts, OPTIONS)
    assert order == ["next", "beside", "last"]
    assert {name: outcome.result for name, outcome in outcomes.items()} == dict.fromkeys(
        ("beside", "next", "last"), "passed"
    )


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

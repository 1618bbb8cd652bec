"""Whether locks keep writers apart is tried, not guessed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from standins.storage import build_storage, without_locks

from jupyter_energy.filesystem import locks_work

ASK = (
    "import sys; from pathlib import Path; from jupyter_energy.filesystem import locks_work; "
    "print(locks_work(Path(sys.argv[1])))"
)


def test_locks_work_here_and_trying_leaves_nothing_behind(tmp_path: Path) -> None:
    assert locks_work(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("locks", ["lying", "missing"])
def test_locks_that_keep_nobody_out_and_locks_that_fail_do_not_work(
    tmp_path: Path, locks: str
) -> None:
    environ = os.environ | without_locks(build_storage(tmp_path / "lib"), locks)
    done = subprocess.run(
        [sys.executable, "-c", ASK, str(tmp_path)],
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "False\n"
    assert [path.name for path in tmp_path.iterdir()] == ["lib"]


@pytest.mark.parametrize(
    ("kind", "options", "work"),
    [("nfs4", "rw,local_lock=none", True), ("nfs", "rw,nolock", False), ("cifs", "nobrl", False)],
)
def test_a_network_file_system_whose_locks_stay_on_one_machine_has_none_that_work(
    tmp_path: Path, kind: str, options: str, work: bool
) -> None:
    procfs = tmp_path / "proc"
    (procfs / "self").mkdir(parents=True)
    line = f"1 0 0:1 / / rw - {kind} server:/export {options}\n"
    (procfs / "self/mountinfo").write_text(line)
    assert locks_work(tmp_path, procfs) is work


def test_where_nothing_can_be_tried_locks_are_taken_to_work(tmp_path: Path) -> None:
    assert locks_work(tmp_path / "no such folder")

"""Whose journal it is, whether more will come, and what lies in the folder that is none of ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest
from left_journals import DEAD, HOST, about, head, kept, leave
from strategies import a_record

from jupyter_energy.journal import Entry
from jupyter_energy.journals import SILENT_S, VERSION, Process
from jupyter_energy.store import Store

ELSEWHERE = {"host": "there", "boot": "another"}
CONTAINED = {"namespace": "pid:[1]"}  # of this machine, in a container of its own


@pytest.fixture
def store(tmp_path: Path):
    store = Store(tmp_path / "data/energy.sqlite", host=HOST)
    yield store
    store.close()


def silent_for(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


def runs(store: Store) -> list[str]:
    """The runs that the database has, whatever their notebook."""
    found = store.read(lambda c: c.execute("SELECT run_id FROM record").fetchall(), [])
    return sorted(run_id for (run_id,) in found)


@pytest.mark.parametrize(
    ("whose", "silent_s", "taken"),
    [
        ({}, 1e6, False),  # this process's own
        (DEAD, 0, True),
        ({"pid": 2**22, "began": 7}, 0, True),  # no such process
        ({"boot": "another"}, 0, True),  # before the machine was started
        (CONTAINED, SILENT_S - 60, False),
        (CONTAINED, SILENT_S + 60, True),
        (ELSEWHERE, SILENT_S - 60, False),
        (ELSEWHERE, SILENT_S + 60, True),
        ({"began": None}, SILENT_S - 60, False),  # written where nothing tells when one began
        ({"began": None}, SILENT_S + 60, True),
    ],
)
def test_a_journal_is_taken_in_once_its_process_has_ended_or_is_long_silent(
    store: Store, whose: dict, silent_s: float, taken: bool
) -> None:
    path = leave(store.path, [head(**whose), about(), kept(a_record("a"))])
    silent_for(path, silent_s)
    store.absorb()
    assert (runs(store), path.exists()) == ((["a"], False) if taken else ([], True))


def test_the_journal_of_a_live_process_is_left_and_that_of_a_zombie_is_taken_in(
    store: Store,
) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        began = Path(f"/proc/{other.pid}/stat").read_text().rpartition(")")[2].split()[19]
        whose = {"pid": other.pid, "began": int(began)}
        path = leave(store.path, [head(**whose), about(), kept(a_record("a"))])
        store.absorb()
        assert path.exists()
        other.kill()
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and nobody waited
        store.absorb()
        assert (runs(store), path.exists()) == (["a"], False)


def test_a_journal_that_says_that_it_has_ended_is_taken_in_though_its_process_lives(
    store: Store,
) -> None:
    path = leave(store.path, [head(), about(), kept(a_record("a")), Entry("end", "{}")])
    store.absorb()
    assert (runs(store), path.exists()) == (["a"], False)


@pytest.mark.parametrize(
    "process",
    [None, 5, [], {}, {**asdict(Process(HOST, 1, 1, "", "")), "pid": "../self"}],
    ids=["no head", "a number", "a list", "nothing", "a path"],
)
def test_a_journal_that_does_not_say_whose_it_is_is_taken_in_once_it_is_silent(
    store: Store, process: object
) -> None:
    said = {"version": VERSION, "session_id": "s", "process": process}
    first = [] if process is None else [Entry("head", json.dumps(said))]
    path = leave(store.path, [*first, about(), kept(a_record("a"))], f"{os.getpid()}-0")
    store.absorb()
    assert path.exists()
    silent_for(path, SILENT_S + 60)
    store.absorb()
    assert (runs(store), path.exists()) == (["a"], False)


@pytest.mark.parametrize("content", [b"", head(**DEAD).line()[:50]], ids=["none", "cut short"])
def test_a_journal_whose_process_was_killed_in_its_first_line_is_gone_once_the_next_begins(
    store: Store, content: bytes
) -> None:
    dead = leave(store.path, [content], f"{2**22}-0123456789abcdef")
    alive = leave(store.path, [content], f"{os.getpid()}-0123456789abcdef")
    store.absorb()
    assert (dead.exists(), alive.exists()) == (False, True)


def test_a_journal_of_a_newer_version_is_left_to_that_one(store: Store) -> None:
    path = leave(store.path, [head(version=VERSION + 1, **DEAD), about(), kept(a_record("a"))])
    silent_for(path, 1e6)
    store.absorb()
    assert (runs(store), path.exists()) == ([], True)


def test_what_in_a_journal_is_no_entry_takes_nothing_else_with_it(store: Store) -> None:
    lost = kept(a_record("lost", outcome="lost"), "heartbeat")
    junk = [b"\0" * 100 + b"\n", b"\n", b"x" * 20_000_000 + b"\n", b"deadbeef {}\n"]
    lines = [head(**DEAD), junk[0], about(), junk[1], kept(a_record("a")), *junk[2:], lost]
    leave(store.path, [*lines, kept(a_record("torn")).line()[:-9]])
    leave(store.path, [], "empty")
    silent_for(leave(store.path, [], "silent"), SILENT_S + 60)
    assert store.absorb() == 1
    assert runs(store) == ["a", "lost"]
    assert store.journals.names() == ["empty.journal"]


def test_what_in_the_folder_is_no_journal_is_neither_read_nor_waited_for(
    store: Store, tmp_path: Path
) -> None:
    real = leave(tmp_path / "elsewhere", [head(**DEAD), about(), kept(a_record("b"))])
    leave(store.path, [head(**DEAD), about(), kept(a_record("a"))], "z")
    folder = store.journals.folder
    os.mkfifo(folder / "pipe.journal")
    (folder / "folder.journal").mkdir()
    (folder / "link.journal").symlink_to(real)
    (folder / "endless.journal").symlink_to("/dev/zero")
    store.absorb()
    assert runs(store) == ["a"]
    assert [record.run_id for record in store.loose()] == []
    assert real.exists()


def test_a_restored_machine_that_has_no_procfs_knows_processes_by_their_silence(
    tmp_path: Path,
) -> None:
    # A folder that is there and says nothing of any process: hidepid, or a container's.
    (tmp_path / "proc").mkdir()
    store = Store(tmp_path / "energy.sqlite", host=HOST, procfs=tmp_path / "proc")
    path = leave(store.path, [head(**ELSEWHERE), about(), kept(a_record("a"))])
    store.absorb()
    assert path.exists()
    silent_for(path, SILENT_S + 60)
    store.absorb()
    assert (runs(store), path.exists()) == (["a"], False)
    store.close()


def test_only_its_owner_may_look_into_the_folder_that_a_journal_makes(tmp_path: Path) -> None:
    store = Store(tmp_path / "data/energy.sqlite")
    store.begin_journal("s").close()
    assert [path.stat().st_mode & 0o777 for path in (store.path.parent, store.journals.folder)] == [
        0o700,
        0o700,
    ]

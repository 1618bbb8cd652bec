"""The store keeps every record, whoever else writes and whatever happened to its file."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import (
    NOBODY,
    append_many,
    fill_the_disk,
    read_where_no_file_may_grow,
    settle_when_told,
    use_what_may_only_be_read,
)
from strategies import a_record, in_zone, records

from jupyter_energy.documents import record_to_document, to_json, utc_text
from jupyter_energy.errors import StoreError
from jupyter_energy.filesystem import mount_of
from jupyter_energy.identity import NotebookRef, from_file
from jupyter_energy.migrations import STEPS, migrate
from jupyter_energy.model import Idle, Record
from jupyter_energy.store import Mark, Store, default_path
from jupyter_energy.uncertainty import Uncertain

CELLS = ("0123abcd", "4567cdef")
SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def store(tmp_path: Path):
    store = Store(tmp_path / "data/energy.sqlite", host="here")
    yield store
    store.close()


def rows(path: Path, sql: str) -> list[tuple]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def notebook(path: Path, *ids: str) -> Path:
    cells = [{"cell_type": "code", "id": cell_id, "source": ""} for cell_id in ids]
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "cells": cells}))
    return path


# --- records ---------------------------------------------------------------------------------


def test_a_record_comes_back_as_it_was(store: Store) -> None:
    record = a_record(energies={"gpu": Uncertain(3.5, 0.1, 0.2)}, emitted=in_zone("FR", 50, 3.5))
    store.append(record)
    assert store.records("n1") == [record]


@given(runs=st.lists(records(), min_size=1, max_size=5))
@settings(max_examples=20, deadline=None)
def test_any_records_come_back_in_the_order_they_began(runs: list[Record]) -> None:
    with TemporaryDirectory() as folder:
        store = Store(Path(folder) / "energy.sqlite")
        for record in runs:
            store.append(record)
        assert store.records("n") == sorted(runs, key=lambda r: r.start)
        store.close()


def test_the_same_run_twice_is_one_record_and_the_later_one_stands(store: Store) -> None:
    store.append(a_record("a", outcome="ok"))
    store.append(a_record("a", outcome="error"))
    assert [r.outcome for r in store.records("n1")] == ["error"]


def test_records_are_those_of_the_notebook_and_of_the_session_asked_for(store: Store) -> None:
    store.append(a_record("a", "n1", session_id="s1"))
    store.append(a_record("b", "n1", session_id="s2", after_s=1))
    store.append(a_record("c", "n2", session_id="s1"))
    assert [r.run_id for r in store.records("n1")] == ["a", "b"]
    assert [r.run_id for r in store.records("n1", "s2")] == ["b"]


def test_only_what_was_kept_since_is_read_whenever_it_began(store: Store) -> None:
    assert store.records_after(Mark(), "n1", "s1") == ([], Mark())
    store.append(a_record("a", after_s=5))
    found, last = store.records_after(Mark(), "n1", "s1")
    assert [r.run_id for r in found] == ["a"]
    store.append(a_record("b", after_s=9))
    store.append(a_record("c", after_s=1))
    store.append(a_record("d", "n2"))
    store.append(a_record("e", session_id="s2"))
    found, last = store.records_after(last, "n1", "s1")
    assert [r.run_id for r in found] == ["c", "b"]
    assert store.records_after(last, "n1", "s1") == ([], last)


def test_in_a_file_that_took_the_stores_place_every_record_is_new(store: Store) -> None:
    store.append(a_record("a"))
    store.append(a_record("b", after_s=1))
    _, last = store.records_after(Mark(), "n1")
    store.path.unlink()
    store.append(a_record("c"))
    found, last = store.records_after(last, "n1")
    assert [r.run_id for r in found] == ["c"]
    assert store.records_after(last, "n1") == ([], last)


def test_a_record_is_there_for_another_process_as_soon_as_it_is_appended(store: Store) -> None:
    store.append(a_record())
    other = Store(store.path)
    assert other.records("n1") == [a_record()]
    other.close()


def test_a_record_that_cannot_be_read_is_left_out_and_told_once(store: Store) -> None:
    store.append(a_record("a"))
    store.append(a_record("b", after_s=1))
    connection = sqlite3.connect(store.path)
    connection.execute("UPDATE record SET document = '{}' WHERE run_id = 'a'")
    connection.commit()
    connection.close()
    for _ in range(2):
        assert [r.run_id for r in store.records("n1")] == ["b"]
    assert store.warnings == [f"1 records in {store.path} cannot be read; totals leave them out"]


# --- the file --------------------------------------------------------------------------------


def test_making_a_store_and_reading_one_that_is_not_there_touch_no_file(store: Store) -> None:
    assert store.records("n1") == []
    assert store.find_notebook(NotebookRef("/a.ipynb", "a.ipynb")) is None
    assert not store.path.parent.exists()


def test_only_the_user_may_read_the_store(store: Store) -> None:
    before = os.umask(0)
    try:
        store.append(a_record())
    finally:
        os.umask(before)
    assert stat.S_IMODE(store.path.parent.stat().st_mode) == 0o700
    files = list(store.path.parent.iterdir())
    assert store.path in files
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_the_default_file_lies_in_the_users_data_folder() -> None:
    assert default_path().name == "energy.sqlite"
    assert default_path().parent.name == "jupyter-energy"
    assert default_path().is_absolute()


def test_a_store_that_was_closed_opens_again(store: Store) -> None:
    store.append(a_record("a"))
    store.close()
    store.close()
    store.append(a_record("b", after_s=1))
    assert len(store.records("n1")) == 2


def test_a_store_opened_in_one_thread_works_in_another(store: Store) -> None:
    store.open()
    thread = threading.Thread(target=store.append, args=(a_record(),))
    thread.start()
    thread.join()
    assert len(store.records("n1")) == 1


def test_a_place_where_nothing_can_be_made_is_told_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = Store(tmp_path / "file/energy.sqlite")
    for call in (store.open, lambda: store.append(a_record())):
        with pytest.raises(StoreError, match=r"file/energy.sqlite cannot be used: .*_STORE to an"):
            call()
    assert store.records("n1") == []  # journals may be read where the database is not
    (told,) = store.warnings
    assert told == store.trouble


def test_a_store_that_may_only_be_read_is_read_and_a_write_is_refused_in_words() -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "energy.sqlite"
        store = Store(path)
        store.append(a_record("a"))
        store.close()
        path.chmod(0o400)
        if os.geteuid() == 0:
            for place in (path, path.parent):
                os.chown(place, NOBODY, NOBODY)
        process = SPAWN.Process(target=use_what_may_only_be_read, args=(path,))
        process.start()
        process.join()
        assert process.exitcode == 0


def test_where_no_file_may_grow_a_store_is_read_as_it_is_and_the_cause_is_told(
    store: Store,
) -> None:
    store.append(a_record("a"))
    store.close()
    process = SPAWN.Process(target=read_where_no_file_may_grow, args=(store.path,))
    process.start()
    process.join()
    assert process.exitcode == 0


def test_on_a_full_disk_a_store_is_read_as_it_is_and_the_cause_is_told(tmp_path: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root, outside most containers, may mount a small disk")
    try:
        store = Store(tmp_path / "energy.sqlite")
        store.append(a_record("a"))
        store.check_writable()
        store.close()
        with suppress(OSError), (tmp_path / "fill").open("wb", buffering=0) as fill:
            while fill.write(bytes(4096)):
                pass
        again = Store(store.path)
        assert [r.run_id for r in again.records("n1")] == ["a"]
        full = f"the store {store.path} cannot grow: the disk is full; free some space"
        assert again.warnings == [full]
        with pytest.raises(StoreError, match=re.escape(full)):
            again.append(a_record("b"))
        (tmp_path / "fill").unlink()
        again.append(a_record("b", after_s=1))
        assert [r.run_id for r in again.records("n1")] == ["a", "b"]
        again.close()
    finally:
        subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


def test_while_another_program_writes_the_record_stays_with_the_caller(store: Store) -> None:
    store.open()
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="is being written by another program; try again"):
        store.append(a_record())
    assert store.records("n1") == []
    other.execute("ROLLBACK")
    other.close()
    store.append(a_record())
    assert store.records("n1") == [a_record()]


def test_a_file_that_is_no_database_is_set_aside_whole_and_told_once(store: Store) -> None:
    store.path.parent.mkdir()
    store.path.write_bytes(b"my shopping list" * 100)
    store.append(a_record())
    assert store.records("n1") == [a_record()]
    (aside,) = store.path.parent.glob("energy.sqlite.corrupt-*")
    assert aside.read_bytes() == b"my shopping list" * 100
    (told,) = store.warnings
    assert told == (
        f"the store {store.path} was damaged; it is kept as {aside.name}; none of its records were "
        "recovered; whether there were more is not known"
    )


def test_a_second_damaged_file_does_not_take_the_place_of_the_first(store: Store) -> None:
    store.path.parent.mkdir()
    for _ in range(2):
        store.path.write_bytes(b"no database at all" * 100)
        store.append(a_record())
        store.close()
    assert len(list(store.path.parent.glob("energy.sqlite.corrupt-*"))) == 2


def test_a_database_that_is_torn_while_it_is_open_is_set_aside(store: Store) -> None:
    for n in range(50):
        store.append(a_record(f"r{n}"))
    store.close()
    torn = bytearray(store.path.read_bytes())
    torn[4096:] = b"\xff" * (len(torn) - 4096)  # every page but the first
    store.path.write_bytes(torn)
    store.append(a_record("after"))
    assert [r.run_id for r in store.records("n1")] == ["after"]
    (aside,) = store.path.parent.glob("energy.sqlite.corrupt-*")
    assert aside.read_bytes() == bytes(torn)


def test_a_process_that_finds_the_new_file_does_not_set_it_aside_again(store: Store) -> None:
    store.path.parent.mkdir()
    store.path.write_bytes(b"no database at all" * 100)
    other = Store(store.path)
    store.append(a_record("a"))
    other.append(a_record("b", after_s=1))
    assert len(store.records("n1")) == 2
    assert other.warnings == []
    other.close()


def test_after_the_file_was_deleted_records_go_into_a_new_one(store: Store) -> None:
    store.append(a_record("a"))
    for file in store.path.parent.iterdir():
        file.unlink()
    store.append(a_record("b"))
    other = Store(store.path)
    assert [r.run_id for r in other.records("n1")] == ["b"]
    other.close()


def test_a_new_file_holds_the_cells_that_the_old_one_held(store: Store) -> None:
    store.append(a_record("a", cell_id=CELLS[0]))
    store.path.unlink()
    store.append(a_record("b", cell_id=CELLS[0]))
    assert rows(store.path, "SELECT notebook_id, cell_id FROM notebook_cell") == [("n1", CELLS[0])]


def test_a_store_of_a_newer_version_is_left_alone(store: Store) -> None:
    store.append(a_record())
    store.close()
    connection = sqlite3.connect(store.path)
    connection.execute("INSERT INTO energy_migration VALUES ('9999 later', '')")
    connection.commit()
    connection.close()
    for call in (store.open, lambda: store.append(a_record("b"))):
        with pytest.raises(StoreError, match=r"newer jupyter-energy \(9999 later\); .*update this"):
            call()
    assert rows(store.path, "SELECT run_id FROM record") == [("r1",)]


def test_the_database_of_another_program_is_left_alone(store: Store) -> None:
    store.path.parent.mkdir()
    connection = sqlite3.connect(store.path)
    connection.execute("CREATE TABLE bookmarks (url TEXT)")
    connection.close()
    with pytest.raises(StoreError, match="another program's database"):
        store.append(a_record())
    assert rows(store.path, "SELECT name FROM sqlite_master") == [("bookmarks",)]


def test_the_journal_is_wal_here_and_the_rollback_journal_on_a_network(
    store: Store, tmp_path: Path
) -> None:
    store.append(a_record())
    assert rows(store.path, "PRAGMA journal_mode") == [("wal",)]
    store.close()
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/mountinfo").write_text(
        "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        f"40 22 0:50 / {store.path.parent} rw,relatime shared:2 - nfs4 server:/home rw\n"
    )
    remote = Store(store.path, procfs=tmp_path / "proc")
    remote.append(a_record("b"))
    assert rows(store.path, "PRAGMA journal_mode") == [("delete",)]
    assert len(remote.records("n1")) == 2
    remote.close()


def test_the_file_system_is_that_of_the_innermost_latest_mount(tmp_path: Path) -> None:
    (tmp_path / "self").mkdir()
    (tmp_path / "self/mountinfo").write_text(
        "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"
        "2 1 8:2 / /home rw - xfs /dev/sdb1 rw\n"
        "3 1 8:2 / /home/a\\040b rw - nfs server:/x rw\n"
        "4 1 8:2 / /home rw shared:3 - btrfs /dev/sdc rw\n"
    )
    places = ("/", "/home", "/home/a b/c", "/homely")
    found = {p: mount_of(Path(p), tmp_path) for p in places}
    kinds = {p: mount.kind for p, mount in found.items() if mount is not None}
    assert kinds == {"/": "ext4", "/home": "btrfs", "/home/a b/c": "nfs", "/homely": "ext4"}
    assert mount_of(Path("/"), tmp_path / "none") is None


# --- several processes -----------------------------------------------------------------------


def test_processes_that_append_at_once_lose_nothing(store: Store) -> None:
    processes = [SPAWN.Process(target=append_many, args=(store.path, who, 200)) for who in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [p.exitcode for p in processes] == [0] * 4
    kept = {r.run_id for r in store.records("n1")}
    assert kept == {f"{who}-{n}" for who in range(4) for n in range(200)}


def test_what_was_appended_survives_a_kill(store: Store, tmp_path: Path) -> None:
    code = f"from processes import *; append_and_say(Path({str(store.path)!r}))"
    paths = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": paths},
    )
    with child, child.stdout:
        said = [int(child.stdout.readline()) for _ in range(20)]
        child.send_signal(signal.SIGKILL)
        said += [int(line) for line in child.stdout.read().split()]
    assert {f"r{n}" for n in said} <= {r.run_id for r in store.records("n1")}


def test_a_full_disk_loses_nothing_that_is_appended_again(store: Store) -> None:
    process = SPAWN.Process(target=fill_the_disk, args=(store.path,))
    process.start()
    process.join()
    assert process.exitcode == 0
    assert len(store.records("n1")) == 300


def test_kernels_that_start_at_once_for_one_notebook_agree_on_its_id(store: Store) -> None:
    start, ids = SPAWN.Barrier(3), SPAWN.Queue()
    arguments = (store.path, NotebookRef("/x/a.ipynb", "a.ipynb"), start, ids)
    processes = [SPAWN.Process(target=settle_when_told, args=arguments) for _ in range(3)]
    for process in processes:
        process.start()
    found = {ids.get(timeout=60) for _ in processes}
    for process in processes:
        process.join()
    assert len(found) == 1


# --- notebooks -------------------------------------------------------------------------------


def test_a_notebook_keeps_its_id(store: Store, tmp_path: Path) -> None:
    ref = from_file(notebook(tmp_path / "a.ipynb", *CELLS))
    first = store.notebook_for(ref)
    assert (first.path, first.name) == (str(tmp_path / "a.ipynb"), "a.ipynb")
    assert store.notebook_for(ref) == first
    assert store.find_notebook(ref) == first


def test_a_renamed_notebook_keeps_its_id_and_its_totals(store: Store, tmp_path: Path) -> None:
    path = notebook(tmp_path / "a.ipynb", *CELLS)
    before = store.notebook_for(from_file(path))
    store.append(a_record(notebook_id=before.id))
    ref = from_file(path.rename(tmp_path / "b.ipynb"))
    assert store.find_notebook(ref).id == before.id
    assert rows(store.path, "SELECT path FROM notebook") == [(str(path),)]  # looking writes nothing
    after = store.notebook_for(ref)
    assert (after.id, after.name) == (before.id, "b.ipynb")
    assert len(store.records(after.id)) == 1


def test_cells_seen_at_run_time_tell_a_rename_too(store: Store, tmp_path: Path) -> None:
    before = store.notebook_for(from_file(notebook(tmp_path / "a.ipynb")))
    for n, cell_id in enumerate((*CELLS, "#3", None)):
        store.append(a_record(f"r{n}", before.id, cell_id=cell_id))
    (tmp_path / "a.ipynb").unlink()
    ref = from_file(notebook(tmp_path / "b.ipynb", *CELLS))
    assert store.notebook_for(ref).id == before.id
    assert rows(store.path, "SELECT count(*) FROM notebook_cell") == [(2,)]


def test_a_copy_is_a_notebook_of_its_own_and_knows_where_it_comes_from(
    store: Store, tmp_path: Path
) -> None:
    original = store.notebook_for(from_file(notebook(tmp_path / "a.ipynb", *CELLS)))
    ref = from_file(notebook(tmp_path / "b.ipynb", *CELLS))
    assert store.find_notebook(ref) is None
    copy = store.notebook_for(ref)
    assert copy.id != original.id
    assert rows(store.path, f"SELECT copied_from FROM notebook WHERE id = '{copy.id}'") == [
        (original.id,)
    ]
    assert store.notebook_for(from_file(tmp_path / "a.ipynb")) == original


def test_a_new_untitled_notebook_starts_anew_and_the_moved_one_is_found_again(
    store: Store, tmp_path: Path
) -> None:
    path = notebook(tmp_path / "Untitled.ipynb", *CELLS)
    old = store.notebook_for(from_file(path))
    path.rename(tmp_path / "good.ipynb")
    new = store.notebook_for(from_file(notebook(path)))
    assert new.id != old.id
    found = store.notebook_for(from_file(tmp_path / "good.ipynb"))
    assert (found.id, found.name) == (old.id, "good.ipynb")


def test_an_unsaved_notebook_is_one_for_each_kernel(store: Store) -> None:
    one, other = (NotebookRef(None, f"unsaved ({k})", kernel_id=k) for k in ("one", "other"))
    first = store.notebook_for(one)
    assert (first.path, first.name) == (None, "unsaved (one)")
    assert store.notebook_for(one) == first
    assert store.notebook_for(other).id != first.id


def test_a_notebook_that_is_saved_later_keeps_its_id(store: Store, tmp_path: Path) -> None:
    unsaved = store.notebook_for(NotebookRef(None, "unsaved (one)", kernel_id="one"))
    path = str(tmp_path / "a.ipynb")
    saved = store.notebook_for(NotebookRef(path, "a.ipynb", kernel_id="one"))
    assert (saved.id, saved.path) == (unsaved.id, path)


def test_a_path_that_was_noted_is_the_notebooks_and_no_others(store: Store) -> None:
    one, two = (store.notebook_for(NotebookRef(f"/x/{n}.ipynb", n)) for n in ("one", "two"))
    store.note_path(one.id, "/x/two.ipynb")
    found = store.find_notebook(NotebookRef("/x/two.ipynb", "two.ipynb"))
    assert found.id == one.id
    assert rows(store.path, f"SELECT path FROM notebook WHERE id = '{two.id}'") == [(None,)]


def test_a_path_that_is_no_unicode_is_kept(store: Store) -> None:
    path = os.fsdecode(b"/x/caf\xe9.ipynb")
    first = store.notebook_for(NotebookRef(path, "caf"))
    assert first.path == path
    assert store.find_notebook(NotebookRef(path, "caf")).id == first.id


@pytest.mark.parametrize("name", ["results.csv", "analysis.ipynb", "notes"])
def test_a_file_of_the_users_own_that_was_named_by_mistake_stays_as_it_is(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    path.write_text("a,b\n" * 2000)
    store = Store(path)
    with pytest.raises(StoreError, match=f"{name} cannot be used"):
        store.open()
    store.close()
    assert path.read_text() == "a,b\n" * 2000
    assert [p.name for p in tmp_path.iterdir()] == [name]


# -- between cells, and beside other notebooks ------------------------------------------------


def an_idle(idle_id: str, notebook_id: str = "n1", session_id: str = "s1") -> Idle:
    measurement = a_record(energies={"package": Uncertain(40.0, 1.0)}, duration_s=20.0).measurement
    return Idle(idle_id, notebook_id, session_id, "here", measurement)


def test_idle_energy_comes_back_as_it_was_by_notebook_and_session(store: Store) -> None:
    for idle in (an_idle("a"), an_idle("b", session_id="s2"), an_idle("c", "n2"), an_idle("a")):
        store.book_idle(idle)
    assert store.idles("n1") == [an_idle("a"), an_idle("b", session_id="s2")]
    assert store.idles("n1", "s2") == [an_idle("b", session_id="s2")]
    assert store.records("n1") == []


def test_idle_energy_of_a_store_that_is_not_there_is_none(store: Store) -> None:
    assert store.idles("n1") == []
    assert store.others_at_once([a_record()]) == 0
    assert not store.path.exists()


def test_idle_energy_that_cannot_be_read_is_left_out(store: Store) -> None:
    store.book_idle(an_idle("a"))
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("INSERT INTO idle VALUES ('x', 'n1', 's1', '2025', '{}')")
    assert store.idles("n1") == [an_idle("a")]


def test_other_notebooks_at_the_same_time_on_the_same_device_are_counted(store: Store) -> None:
    mine = a_record("a", energies={"package": Uncertain(1.0)})
    at_once = replace(mine, run_id="b", notebook_id="n2", session_id="s2")
    store.append(mine)
    assert store.others_at_once([mine]) == 0
    store.append(at_once)
    store.append(replace(at_once, run_id="c", notebook_id="n3", session_id="s3", host="there"))
    later = a_record("d", "n4", session_id="s4", energies={"package": Uncertain(1.0)}, after_s=60)
    store.append(later)
    assert store.others_at_once([mine]) == 1
    assert store.others_at_once([at_once]) == 1
    assert store.others_at_once([mine, replace(later, notebook_id="n1", session_id="s1")]) == 2
    assert store.others_at_once([]) == 0


def test_a_store_of_the_version_before_keeps_its_records_and_takes_new_ones(store: Store) -> None:
    store.path.parent.mkdir(parents=True, exist_ok=True)
    old = a_record("old", energies={"package": Uncertain(1.0)})
    with closing(sqlite3.connect(store.path, isolation_level=None)) as before:
        migrate(before, STEPS[:1])
        before.execute(
            "INSERT INTO record VALUES (?, ?, ?, ?, ?)",
            ("old", "n1", "s1", utc_text(old.start), to_json(record_to_document(old))),
        )
    new = replace(old, run_id="new", notebook_id="n2", session_id="s2")
    store.append(new)
    assert store.records("n1") == [old]
    assert store.records("n2") == [new]
    assert store.others_at_once([new]) == 1  # when the old one ended stands in its document

"""Whatever befalls the store in a session, each record lies in the database, a journal or memory;
and when the trouble ends, in this kernel or the next, all of them come into the database once."""

from __future__ import annotations

import gc
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from faults import LOCKER
from left_journals import NOTEBOOK, PROCFS
from processes import NOBODY
from strategies import a_record

from jupyter_energy.errors import StoreError
from jupyter_energy.identity import NotebookRef
from jupyter_energy.model import Idle
from jupyter_energy.outbox import Outbox
from jupyter_energy.store import Store
from jupyter_energy.waiting import MOST_JOURNALED

LIMIT_S = 60.0  # bounds a hang, measures nothing
LATER = "INSERT INTO energy_migration VALUES ('9999 later', '')"


class Session:
    """A kernel's outbox, and what it told the user."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.told: dict[str, str] = {}
        self.outbox = Outbox(
            Store(path, host="here"), lambda _: NOTEBOOK, self.told.setdefault, "s1"
        )
        self.outbox.start()

    def put(self, *runs: int) -> None:
        for run in runs:
            self.outbox.put(a_record(f"{run}", "", after_s=run))

    def settle(self) -> None:
        """Wait until the store's thread has done what can be done."""
        with suppress(StoreError):
            self.outbox.flush(LIMIT_S)

    def wait_until(self, found: Callable[[], bool]) -> None:
        deadline = time.monotonic() + LIMIT_S
        while not found():
            assert time.monotonic() < deadline
            self.settle()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    return folder / "energy.sqlite"


@pytest.fixture
def start(path: Path) -> Iterator[Callable[[], Session]]:
    started: list[Session] = []

    def begin() -> Session:
        started.append(Session(path))
        return started[-1]

    yield begin
    for session in started:
        session.outbox.close()


def stored(path: Path) -> list[int]:
    """The runs that the database has, once there is one."""
    rows = []
    with suppress(sqlite3.OperationalError):
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        with closing(connection):
            rows = connection.execute("SELECT run_id FROM record").fetchall()
    return sorted(int(run) for (run,) in rows)


def journaled(path: Path) -> list[int]:
    """The runs that journals hold."""
    return sorted(int(record.run_id) for record in Store(path, host="here").loose())


def taken_in(path: Path) -> list[int]:
    """The runs that the database has once the next kernel has begun, which leaves no journal."""
    store = Store(path, host="here")
    store.absorb()
    assert store.journals.names() == []
    found = store.read(lambda c: c.execute("SELECT run_id FROM record").fetchall(), [])
    store.close()
    return sorted(int(run) for (run,) in found)


def in_a_kernel(work: Callable[[], None]) -> None:
    """Do something in a process that ends as a killed one does: nothing is closed."""
    gc.collect()  # closes what stores of this test were let go of: a fork may not write to them
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException:  # noqa: BLE001  it ends here, and says why
            traceback.print_exc()
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another program writes the database all the time."""
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", LOCKER, str(path)]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as locker:
        assert locker.stdin
        assert locker.stdout
        assert locker.stdout.readline() == "locked\n"
        yield
        locker.stdin.close()
        locker.wait()


def changed_by_a_newer_version(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute(LATER)
    connection.execute("ALTER TABLE running ADD COLUMN later TEXT")
    connection.commit()
    connection.close()


def test_a_record_is_in_the_journal_when_put_returns_whoever_holds_the_database(
    path: Path, start: Callable[[], Session]
) -> None:
    Store(path).open()
    with locked(path):
        session = start()
        for run in range(5):
            session.put(run)
            assert journaled(path) == list(range(run + 1))
        assert session.outbox.pending() == []
        session.wait_until(lambda: session.outbox.notebook() is not None)
        known = session.outbox.notebook()
        assert {record.notebook_id for record in Store(path, host="here").loose()} == {known.id}
    session.wait_until(lambda: stored(path) == list(range(5)))
    assert session.told == {}


def test_what_a_kernel_left_that_ended_while_the_database_was_locked_comes_with_the_next(
    path: Path,
) -> None:
    Store(path).open()

    def work() -> None:
        session = Session(path)
        session.put(*range(5))
        assert session.told == {}

    with locked(path):
        in_a_kernel(work)
        assert journaled(path) == list(range(5))
    assert taken_in(path) == list(range(5))


def test_more_records_than_memory_keeps_are_in_the_database_once_it_can_be_written(
    path: Path, start: Callable[[], Session]
) -> None:
    Store(path).open()
    runs = range(MOST_JOURNALED + 50)
    with locked(path):
        session = start()
        session.put(*runs)
        assert len(session.outbox._pending) <= MOST_JOURNALED
    session.put(len(runs))
    session.wait_until(lambda: stored(path) == list(range(len(runs) + 1)))
    session.outbox.close()
    assert journaled(path) == []


def test_when_the_folder_of_journals_is_deleted_what_waits_is_written_into_a_new_one(
    path: Path,
) -> None:
    Store(path).open()

    def work() -> None:
        session = Session(path)
        session.put(*range(3))
        shutil.rmtree(f"{path}.journals")
        session.put(*range(3, 6))
        session.wait_until(lambda: journaled(path) == list(range(6)))
        assert session.outbox.pending() == []

    with locked(path):
        in_a_kernel(work)
    assert taken_in(path) == list(range(6))


def test_a_newer_versions_store_is_told_of_once_and_left_alone_and_it_gets_all_of_it(
    path: Path, start: Callable[[], Session]
) -> None:
    Store(path).open()
    changed_by_a_newer_version(path)
    session = start()
    session.put(*range(3))
    session.settle()
    session.put(3)
    session.settle()
    (told,) = session.told.values()
    assert "newer jupyter-energy (9999 later)" in told
    assert (stored(path), journaled(path)) == ([], list(range(4)))
    reader = Store(path, host="here")
    known = reader.find_notebook(NOTEBOOK)
    assert known is not None
    assert [int(record.run_id) for record in reader.records(known.id)] == list(range(4))
    session.outbox.close()
    connection = sqlite3.connect(path)  # as the newer version would open it
    connection.execute("DELETE FROM energy_migration WHERE name = '9999 later'")
    connection.commit()
    connection.close()
    assert taken_in(path) == list(range(4))


@pytest.mark.parametrize("replaced", [False, True])
def test_a_store_that_a_newer_version_changes_in_mid_session_is_not_written_any_more(
    path: Path, start: Callable[[], Session], replaced: bool
) -> None:
    session = start()
    session.put(0)
    session.wait_until(lambda: stored(path) == [0])
    if replaced:
        with (
            closing(sqlite3.connect(path)) as one,
            closing(sqlite3.connect(path.with_name("copy"))) as other,
        ):
            one.backup(other)
        changed_by_a_newer_version(path.with_name("copy"))
        for beside in path.parent.glob("energy.sqlite-*"):
            beside.unlink()  # the old file's log is not the new one's
        path.with_name("copy").replace(path)
    else:
        changed_by_a_newer_version(path)
    before = stored(path)
    session.outbox.ended()
    session.put(1, 2)
    session.wait_until(lambda: bool(session.told))
    session.settle()
    (told,) = session.told.values()
    assert "newer jupyter-energy (9999 later)" in told
    assert stored(path) == before
    assert set(journaled(path)) >= {1, 2}
    assert [p.name for p in path.parent.iterdir() if "damaged" in p.name] == []


def test_what_a_file_had_that_was_spoilt_in_mid_session_comes_into_the_new_one_from_the_journal(
    path: Path, start: Callable[[], Session]
) -> None:
    session = start()
    session.put(*range(3))
    session.wait_until(lambda: stored(path) == [0, 1, 2])
    for beside in path.parent.glob("energy.sqlite-*"):
        beside.unlink()
    path.with_name("spoilt").write_bytes(b"no database at all\0" * 500)
    path.with_name("spoilt").replace(path)
    session.put(3)
    session.wait_until(lambda: path.read_bytes()[:6] == b"SQLite" and stored(path) == [0, 1, 2, 3])
    assert ["damaged" in text for text in session.told.values()] == [True]


def test_on_a_full_disk_records_wait_in_memory_and_are_told_of_once_until_there_is_room(
    path: Path, start: Callable[[], Session]
) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(path.parent)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root, outside most containers, may mount a small disk")
    try:
        session = start()
        session.put(0)
        session.wait_until(lambda: path.exists() and stored(path) == [0])
        filler = path.with_name("filler")
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(b"\0" * 4096)
        runs = range(1, 200)
        session.put(*runs)
        session.settle()
        waiting = [int(record.run_id) for record in session.outbox.pending()]
        assert waiting
        assert sorted({*stored(path), *journaled(path), *waiting}) == [0, *runs]
        # The record was not safe, and the database is full: that is all there is to tell.
        assert len(session.told) <= 2
        assert "records wait in memory" in session.told["store: journal"]
        filler.unlink()
        session.wait_until(lambda: stored(path) == [0, *runs])
        assert session.outbox.pending() == []
        session.outbox.close()
        assert taken_in(path) == [0, *runs]
    finally:
        subprocess.run(["umount", "--lazy", str(path.parent)], check=True)


def test_in_a_folder_that_may_only_be_read_records_wait_until_it_may_be_written() -> None:
    folder = TemporaryDirectory()  # the tests' own is in a folder that root alone may enter
    path = Path(folder.name) / "energy.sqlite"
    if os.geteuid() == 0:
        os.chown(path.parent, NOBODY, NOBODY)

    def work() -> None:
        if os.geteuid() == 0:
            os.setuid(NOBODY)  # root may write anywhere
        path.parent.chmod(0o500)
        session = Session(path)
        session.put(*range(3))
        session.settle()
        assert [record.run_id for record in session.outbox.pending()] == ["0", "1", "2"]
        # Monitor.tell leaves out the second, which says less.
        assert {"store: journal", "store"} >= session.told.keys() >= {"store: journal"}
        path.parent.chmod(0o700)
        session.put(3)
        session.wait_until(lambda: path.exists() and stored(path) == list(range(4)))
        path.parent.chmod(0o500)  # the journal is open: it is written still
        session.put(4)
        session.settle()
        path.parent.chmod(0o700)

    with folder:
        in_a_kernel(work)
        assert taken_in(path) == list(range(5))


def test_idle_times_too_are_kept_where_the_database_is_a_newer_versions(path: Path) -> None:
    Store(path).open()
    changed_by_a_newer_version(path)

    def work() -> None:
        session = Session(path)
        session.put(0)
        session.settle()
        between = a_record("0").measurement
        session.outbox.book(None, lambda owner: Idle("idle", owner, "s1", "here", between))
        session.put(1)
        session.settle()
        assert session.outbox.pending_idle() == []

    in_a_kernel(work)
    reader = Store(path, host="here")
    known = reader.find_notebook(NOTEBOOK)
    assert known is not None
    assert [idle.idle_id for idle in reader.idles(known.id)] == ["idle"]


@pytest.mark.parametrize("behind", ["add", "append", "submit"])
def test_a_record_that_an_interrupt_hits_on_its_way_is_written(
    path: Path, start: Callable[[], Session], behind: str
) -> None:
    """Ctrl-C on the executing thread, right after the record waits, after the journal has it, or
    after the store's thread has been told."""
    session = start()
    session.put(0)
    session.wait_until(lambda: stored(path) == [0])

    def interrupt(frame: object, event: str, _: object) -> None:
        if event == "return" and getattr(frame, "f_code").co_name == behind:  # noqa: B009
            sys.setprofile(None)
            raise KeyboardInterrupt

    sys.setprofile(interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            session.put(1)
    finally:
        sys.setprofile(None)
    deadline = time.monotonic() + LIMIT_S
    session.put(2)
    while stored(path) != [0, 1, 2]:  # nobody else asks the thread to write
        assert time.monotonic() < deadline
        time.sleep(0.01)  # its commit is no event that is handed out
    session.outbox.close()
    assert taken_in(path) == [0, 1, 2]


def test_a_journal_that_nobody_may_look_at_for_a_while_is_not_taken_for_deleted() -> None:
    folder = TemporaryDirectory()  # the tests' own is in a folder that root alone may enter
    path = Path(folder.name) / "energy.sqlite"
    journals = Path(f"{path}.journals")
    runs = range(MOST_JOURNALED + 50)  # the first are in the journal alone
    Store(path).open()
    changed_by_a_newer_version(path)  # so that only the journal is written
    if os.geteuid() == 0:
        for file in (path.parent, *path.parent.iterdir()):
            os.chown(file, NOBODY, NOBODY)

    def work() -> None:
        if os.geteuid() == 0:
            os.setuid(NOBODY)  # root may look anywhere
        session = Session(path)
        session.put(*runs)
        journals.chmod(0o000)
        session.put(len(runs))
        session.settle()
        journals.chmod(0o700)
        session.outbox.close()
        assert session.told.keys() <= {"store"}  # nothing is said to be gone

    with folder:
        in_a_kernel(work)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("DELETE FROM energy_migration WHERE name = '9999 later'")
            connection.commit()
        assert taken_in(path) == list(range(len(runs) + 1))


def test_a_notebook_that_was_named_while_the_database_was_locked_has_its_records(
    path: Path, start: Callable[[], Session]
) -> None:
    Store(path).open()
    with locked(path):
        session = start()
        session.put(0)
        session.wait_until(lambda: session.outbox.notebook() is not None)
    session.put(1)
    session.wait_until(lambda: stored(path) == [0, 1])
    session.outbox.close()
    reader = Store(path, host="here")
    known = reader.find_notebook(NOTEBOOK)
    assert known is not None
    assert {run.run_id for run in reader.records(known.id)} == {"0", "1"}
    reader.close()


def test_what_no_store_can_take_is_refused_and_keeps_nothing_else_out(
    path: Path, start: Callable[[], Session]
) -> None:
    session = start()
    session.put(0)
    with pytest.raises(TypeError):
        session.outbox.put(a_record("odd", "", name=object()))
    with pytest.raises(TypeError):
        session.outbox.put_and_ask(a_record("odd", "", name=object()))
    # JSON can hold it, and a column of a table cannot.
    session.outbox.put(a_record("\ud800", ""))
    session.put(1)
    session.wait_until(lambda: stored(path) == [0, 1])
    assert ["cannot be kept" in text for text in session.told.values()] == [True]


def test_while_it_is_asked_again_which_notebook_this_is_the_old_answer_does_not_hold(
    path: Path,
) -> None:
    other = NotebookRef("/elsewhere/b.ipynb", "b.ipynb", frozenset({"0123abcd"}))
    refs, may_answer = [NOTEBOOK, other], threading.Event()

    def find(_: str | None) -> NotebookRef:
        assert may_answer.wait(LIMIT_S)
        return refs[0]

    outbox = Outbox(Store(path, host="here"), find, lambda *_: None, "s1")
    outbox.start()
    may_answer.set()
    outbox.flush(LIMIT_S)
    before = outbox.notebook()
    may_answer.clear()
    refs.pop(0)
    outbox.look_again(None)
    assert (before is not None, outbox.notebook()) == (True, None)
    outbox.put(a_record("1", ""))
    may_answer.set()
    outbox.flush(LIMIT_S)
    after = outbox.notebook()
    assert after is not None
    assert after != before
    outbox.close()
    store = Store(path, host="here")
    assert [record.run_id for record in store.records(after.id)] == ["1"]
    store.close()


def test_the_journals_head_names_this_process(path: Path) -> None:
    store = Store(path, host="here", procfs=PROCFS)
    journal = store.begin_journal("s1")
    for _ in store.journals.read(journal.path.name):
        pass
    said = store.journals.described(journal.path.name)
    assert (said.process and said.process.pid, said.session_id) == (os.getpid(), "s1")
    journal.remove()

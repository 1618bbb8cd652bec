"""What this process does with the store's file drops no lock of SQLite's, nor does a fork of it."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from strategies import a_record

from jupyter_energy import aside
from jupyter_energy.store import Store

LOCKS = Path("/proc/locks")
DESCRIPTORS = Path("/proc/self/fd")
needs_procfs = pytest.mark.skipif(not LOCKS.exists(), reason="no procfs here")
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "energy.sqlite"


def posix_locks(path: Path) -> list[str]:
    """The POSIX locks that this process has on a file: proc_locks(5)."""
    own = [line.split() for line in LOCKS.read_text().splitlines() if " POSIX " in line]
    inode = str(path.stat().st_ino)
    return [
        " ".join(words[3:])
        for words in own
        if words[4] == str(os.getpid()) and words[5].rpartition(":")[2] == inode
    ]


def descriptors() -> int:
    return len(list(DESCRIPTORS.iterdir()))


def hold_for_oneself(path: Path) -> None:
    with aside.locked(path) as is_ours:
        assert is_ours


LOOKS = (
    aside.can_be_read,
    aside.may_be_ours,
    aside.names_our_tables,
    aside.says_read_only,
    hold_for_oneself,
)


@needs_procfs
@pytest.mark.parametrize("look", LOOKS)
def test_looking_at_the_file_drops_no_lock_that_sqlite_has_on_it(path: Path, look) -> None:
    before = descriptors()
    store = Store(path)
    store.append(a_record("a"))
    held = posix_locks(path)
    assert held  # in WAL mode a connection always has one
    for _ in range(3):
        look(path)
    assert posix_locks(path) == held
    assert descriptors() < before + 6  # what may not be closed yet is used again
    store.close()
    assert descriptors() == before


@needs_procfs
def test_what_was_kept_open_goes_with_the_last_connection_of_the_process(path: Path) -> None:
    before = descriptors()
    first, second = Store(path), Store(path)
    first.append(a_record("a"))
    second.append(a_record("b"))
    aside.can_be_read(path)
    first.close()
    assert posix_locks(path)
    second.close()
    assert descriptors() == before


def run(program: str, path: Path) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    begin = (
        "import gc, os, signal, sys, warnings; warnings.simplefilter('ignore')\n"
        "from pathlib import Path\n"
        "from jupyter_energy.errors import StoreError\n"
        "from jupyter_energy.store import Store\n"
        "from strategies import a_record\n"
        f"path = Path({str(path)!r})\n"
    )
    return subprocess.run(
        [sys.executable, "-c", begin + program],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@needs_fork
def test_a_forked_child_only_reads_a_store_that_its_parent_has_open(
    path: Path,
) -> None:
    """Its own locks would not keep others out: SQLite takes its parent's for them."""
    done = run(
        "store = Store(path); store.append(a_record('a')); store.close(); store.open()\n"
        "if os.fork() == 0:\n"
        "    for of in (store, Store(path)):\n"
        "        print([r.run_id for r in of.records('n1')], of.warnings)\n"
        "        try:\n"
        "            of.append(a_record('b'))\n"
        "        except StoreError as error:\n"
        "            print(error.kind, flush=True)\n"
        "    os._exit(0)\n"
        "os.wait()\n"
        "store.append(a_record('c', after_s=1))\n"
        "print([r.run_id for r in store.records('n1')])\n",
        path,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["['a'] []", "forked"] * 2 + ["['a', 'c']"]


@needs_fork
def test_a_forked_child_writes_a_store_that_its_parent_has_closed_or_let_go_of(path: Path) -> None:
    done = run(
        "store = Store(path); store.append(a_record('a')); store.close()\n"
        "other = Store(path); other.append(a_record('b', after_s=1)); del other; gc.collect()\n"
        "if os.fork() == 0:\n"
        "    store.append(a_record('c', after_s=2))\n"
        "    store.close()\n"
        "    sys.exit()\n"
        "os.wait()\n"
        "print([r.run_id for r in store.records('n1')])\n",
        path,
    )
    assert (done.stderr, done.stdout) == ("", "['a', 'b', 'c']\n")


@needs_fork
def test_the_end_of_a_forked_child_leaves_its_parents_wal_alone(path: Path) -> None:
    """Python closes what it lets go of; where the parent is dead, closing would delete the WAL."""
    done = run(
        "store = Store(path); store.append(a_record('a'))\n"
        "gone, there = os.pipe()\n"
        "if os.fork() == 0:\n"
        "    os.close(there)\n"
        "    os.read(gone, 1)  # until the parent is dead\n"
        "    store.close()\n"
        "    del store\n"
        "    sys.exit()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n",
        path,
    )
    assert done.returncode < 0
    assert done.stderr == ""
    assert Path(f"{path}-wal").stat().st_size
    assert [r.run_id for r in Store(path).records("n1")] == ["a"]


@needs_fork
def test_a_forked_childs_records_wait_in_a_journal_of_its_own_and_nothing_is_told(
    path: Path,
) -> None:
    done = run(
        "from jupyter_energy.identity import NotebookRef\n"
        "from jupyter_energy.outbox import Outbox\n"
        "def outbox():\n"
        "    ref = NotebookRef(None, 'train.py', kernel_id='k')\n"
        "    return Outbox(Store(path), lambda _: ref, lambda *said: print(said, flush=True))\n"
        "first = outbox(); first.start(); first.put(a_record('a', notebook_id=''))\n"
        "first.flush(60)\n"
        "if os.fork() == 0:\n"
        "    second = outbox(); second.start(); second.put(a_record('b', notebook_id=''))\n"
        "    try:\n"
        "        second.flush(60)\n"
        "    except StoreError as error:\n"
        "        print(error.kind)\n"
        "    names = Store(path).journals.names()\n"
        "    print(len([n for n in names if n.startswith(f'{os.getpid()}-')]), flush=True)\n"
        "    second.close()\n"
        "    sys.exit()\n"
        "os.wait(); first.close()\n",
        path,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["forked", "1"]
    store = Store(path)
    assert sorted(r.run_id for r in store.loose()) == ["b"]
    store.absorb()
    assert [r.run_id for r in store.records(the_notebook(path))] == ["a", "b"]
    assert store.journals.names() == []
    store.close()


def the_notebook(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        ((notebook_id,),) = connection.execute("SELECT id FROM notebook")
        return notebook_id

"""What tests run in processes of their own.

In a module that a spawned Python can import by its name: with --import-mode=importlib a test
module has none.
"""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from strategies import a_record

from jupyter_energy.errors import StoreError
from jupyter_energy.identity import NotebookRef
from jupyter_energy.migrations import Step, migrate
from jupyter_energy.store import Store
from jupyter_energy.uncertainty import Uncertain

NOBODY = 65534


def use_what_may_only_be_read(path: Path) -> None:
    if os.geteuid() == 0:
        os.setuid(NOBODY)  # root may write anywhere
    store = Store(path)
    assert len(store.records("n1")) == 1
    with pytest.raises(StoreError, match=r"energy.sqlite may not be written, only read; set"):
        store.append(a_record("b"))
    path.parent.chmod(0o500)
    assert len(Store(path).records("n1")) == 1
    with pytest.raises(StoreError, match=r"new.sqlite cannot be used: Permission denied; set"):
        Store(path.parent / "new.sqlite").append(a_record("b"))
    with pytest.raises(StoreError, match=r"energy.sqlite cannot be used: Permission denied; set"):
        Store(path.parent / "new/energy.sqlite").append(a_record("b"))
    path.parent.chmod(0o700)


def append_many(path: Path, who: int, count: int) -> None:
    store = Store(path)
    for n in range(count):
        while True:  # as a kernel does: what could not be kept is kept with the next cell
            try:
                store.append(a_record(f"{who}-{n}"))
                break
            except StoreError as error:
                assert "being written" in str(error)  # noqa: PT017 - in a process of its own
    store.close()


def append_and_say(path: Path) -> None:
    store = Store(path)
    n = 0
    while True:
        store.append(a_record(f"r{n}"))
        print(n, flush=True)
        n += 1


def fill_the_disk(path: Path) -> None:
    """Append under a limit of the file's size, then without it: what failed is appended again."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    store = Store(path)
    store.open()
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
    pending = []
    for n in range(300):
        record = a_record(f"r{n}", energies={"gpu": Uncertain(1.0)})
        try:
            store.append(record)
        except StoreError:
            pending.append(record)
    assert pending
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    for record in pending:
        store.append(record)
    store.close()


def read_where_no_file_may_grow(path: Path) -> None:
    """Under a limit that not even what SQLite puts beside a database is allowed by."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
    store = Store(path)
    assert [r.run_id for r in store.records("n1")] == ["a"]
    told = [f"the store {path} cannot grow: no file here may be larger than 8 kB; raise that limit"]
    assert [text.partition(" (")[0] for text in store.warnings] == told
    with pytest.raises(StoreError, match="no file here may be larger than 8 kB") as failed:
        store.append(a_record("b"))
    assert failed.value.kind == "full"
    with pytest.raises(StoreError, match="no file here may be larger than 8 kB"):
        Store(path).check_writable()


def settle_when_told(path: Path, ref: NotebookRef, start: Any, ids: Any) -> None:
    store = Store(path, host="here")
    start.wait()
    ids.put(store.notebook_for(ref).id)
    store.close()


def migrate_when_told(path: Path, steps: list[Step], start: Any, done: Any) -> None:
    connection = sqlite3.connect(path, isolation_level=None, timeout=60)
    start.wait()
    done.put(migrate(connection, steps))
    connection.close()


def append_when_told(path: Path, run_id: str, notebook_id: str, start: Any) -> None:
    store = Store(path, host="here")
    start.wait()
    while True:
        try:
            store.append(a_record(run_id, notebook_id))
            break
        except StoreError as error:
            assert error.kind == "busy"  # noqa: PT017 - in a process of its own
    store.close()


def absorb_when_told(path: Path, start: Any) -> None:
    store = Store(path, host="here")
    start.wait()
    while store.journals.names():
        with suppress(StoreError):  # another one writes: once more
            store.absorb()
    store.close()

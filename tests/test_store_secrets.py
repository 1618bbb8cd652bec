"""The store holds no code, output, token or exception, and nobody but its user may read it."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from shell import Shell, code, notebook

# Marks that no figure, date or id can hold by accident.
CODE, OUTPUT, TOKEN, NOTE, ERROR, SPOKEN = (
    f"{where}-secret-9f8e7d" for where in ("code", "output", "token", "note", "error", "spoken")
)
CELLS = [
    code(f"secret = '{CODE}'  # {CODE}", "cell-0001"),
    code(f"print('{OUTPUT}'); '{OUTPUT}'", "cell-0002"),
    code("import os, sys; sys.stderr.write(os.environ['MY_TOKEN'])", "cell-0003"),
    code(f"%%energy --trace\nx = 1  # {CODE}", "cell-0004"),
    code(f"def f():\n    raise ValueError('{ERROR}')\nf()", "cell-0005"),
]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A shell in which a notebook full of secrets has been run, and failed in its last cell."""
    shell = Shell(tmp_path_factory.mktemp("secrets"))
    path = notebook(shell.folder / "a.ipynb", CELLS, note=NOTE, authors=[{"name": SPOKEN}])
    done = shell("run", path, more={"MY_TOKEN": TOKEN, "WATTTIME_PASSWORD": TOKEN})
    assert done.returncode == 1, done.stderr
    return shell


def files_of(store: Path) -> Iterator[Path]:
    """Every file of the store, with what lies beside it for it."""
    return (p for p in store.parent.rglob("*") if p.is_file() and p.name.startswith("energy"))


def held(store: Path) -> bytes:
    """All bytes of the store, those of deleted rows and of its journals too."""
    found = [path.read_bytes() for path in store.parent.rglob("*") if path.is_file()]
    assert sum(map(len, found)) > 10_000
    return b"".join(found)


@pytest.mark.parametrize("secret", [CODE, OUTPUT, TOKEN, NOTE, ERROR, SPOKEN])
def test_nothing_of_the_users_is_in_any_file_of_the_store(measured: Shell, secret: str) -> None:
    everything = held(measured.store)
    assert secret.encode() not in everything
    assert secret.encode("utf-16-le") not in everything


def test_the_runs_themselves_are_there(measured: Shell) -> None:
    with closing(sqlite3.connect(measured.store)) as connection:
        documents = [d for (d,) in connection.execute("SELECT document FROM record")]
    assert len(documents) == len(CELLS)
    assert sum('"error"' in document for document in documents) == 1


def test_every_file_of_the_store_is_its_users_alone_also_while_it_is_used(measured: Shell) -> None:
    other = sqlite3.connect(measured.store)  # holds -wal and -shm open
    with closing(other):
        other.execute("SELECT count(*) FROM record").fetchone()
        for words in (("history",), ("history", "--prune", "1d", "--yes"), ("history",)):
            assert measured(*words).returncode == 0
            found = list(files_of(measured.store))
            assert len(found) >= 3
            for path in found:
                assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    assert stat.S_IMODE(measured.store.parent.stat().st_mode) == 0o700

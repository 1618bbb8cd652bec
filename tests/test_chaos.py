"""A seeded slice of what tests/chaos/run.py does as a whole: writers at once, sessions of many
cells. The kernels that are killed are in test_kernel_chaos.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from chaos.crowd import a_store, crowd, wrong_with, wrong_without_locks
from chaos.sessions import KINDS, growth, session
from standins.storage import build_storage, without_locks

WRITERS, CELLS = 5, 20


def test_of_many_writers_at_once_every_record_is_there_once(tmp_path: Path) -> None:
    store = a_store(tmp_path)
    assert len(crowd(store, WRITERS, CELLS, {})) == WRITERS * CELLS
    assert wrong_with(store, WRITERS, CELLS) == []


@pytest.mark.parametrize("locks", ["lying", "missing"])
def test_without_locks_that_work_the_database_is_left_alone_until_there_are_some(
    tmp_path: Path, locks: str
) -> None:
    more = without_locks(build_storage(tmp_path / "lib"), locks)
    store = a_store(tmp_path)
    before = store.read_bytes()
    crowd(store, WRITERS, CELLS, more)
    assert wrong_without_locks(store, WRITERS, CELLS, before, more) == []
    assert wrong_with(store, WRITERS, CELLS) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_session_takes_no_more_threads_descriptors_and_memory_the_longer_it_is(
    tmp_path: Path, kind: str
) -> None:
    assert growth(list(session(tmp_path, kind, 600, 200))) == []

"""Records wait in the order they came, one a run, and none is let go but by who wrote it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from strategies import a_record

from jupyter_energy.waiting import Waiting, Waitlist


def waiting(run: int) -> Waiting:
    return Waiting(a_record(f"r{run}"), None)


@given(st.lists(st.integers(0, 5), max_size=20))
def test_each_run_waits_once_where_it_came_first_as_it_was_put_last(runs: list[int]) -> None:
    found, put = Waitlist(), [waiting(run) for run in runs]
    for one in put:
        found.add(one)
    last = {one.record.run_id: one for one in put}
    assert found.all() == list(last.values())
    assert len(found) == len(last)


@given(st.lists(st.integers(0, 5), max_size=8), st.lists(st.integers(0, 5), max_size=8))
def test_what_was_put_again_while_it_was_written_stays(before: list[int], again: list[int]) -> None:
    found = Waitlist()
    for run in before:
        found.add(waiting(run))
    written = found.all()
    later = {run: waiting(run) for run in again}
    for one in later.values():
        found.add(one)
    found.let_go(written)
    assert {one.record.run_id: one for one in found.all()} == {
        f"r{run}": one for run, one in later.items()
    }

"""What lies in journals comes into the database once, whoever takes it in, and how often."""

from __future__ import annotations

import multiprocessing
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

import pytest
from damaged_stores import a_trace
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from left_journals import DEAD, HOST, NOTEBOOK, about, head, kept, leave
from processes import absorb_when_told
from strategies import a_record

from jupyter_energy.documents import to_json
from jupyter_energy.identity import NotebookRef
from jupyter_energy.journal import Entry
from jupyter_energy.model import Record
from jupyter_energy.store import Mark, Store
from jupyter_energy.uncertainty import Uncertain

SPAWN = multiprocessing.get_context("spawn")
FEW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture
def store(tmp_path: Path):
    store = Store(tmp_path / "data/energy.sqlite", host=HOST)
    yield store
    store.close()


def by_id(found: Iterable[Record]) -> dict[str, Record]:
    """Records by their run, of which none is there twice; their notebook is told elsewhere."""
    held = list(found)
    assert len({record.run_id for record in held}) == len(held)
    return {record.run_id: replace(record, notebook_id="") for record in held}


def everything(store: Store) -> list[Record]:
    """The database's records of all notebooks."""
    ids = store.read(lambda c: c.execute("SELECT id FROM notebook").fetchall(), [])
    return [record for (notebook_id,) in ids for record in store.records(notebook_id)]


def notebooks(store: Store) -> int:
    ((count,),) = store.read(lambda c: c.execute("SELECT count(*) FROM notebook").fetchall(), [])
    return int(count)


kinds = st.sampled_from(["record", "heartbeat"])


@given(order=st.lists(st.tuples(kinds, st.integers(0, 3)), max_size=8), ways=st.lists(kinds))
@FEW
def test_however_often_it_is_taken_in_each_run_is_there_once_and_as_it_was_last(
    order: list[tuple[str, int]], ways: list[str]
) -> None:
    """Of each run there may be heartbeats, a record and a better one, in any order; the journal is
    taken in while its kernel lives, or left and taken in again, in any order."""
    made = [
        kept(a_record(f"{run}", duration_s=1.0 + n, outcome=outcome_of(kind)), kind)
        for n, (kind, run) in enumerate(order)
    ]
    last = {entry.name: entry for kind in ("heartbeat", "record") for entry in of_kind(made, kind)}
    with TemporaryDirectory() as folder:
        store = Store(Path(folder) / "energy.sqlite", host=HOST)
        for way in [*ways, "heartbeat"]:
            whose = {} if way == "record" else DEAD
            path = leave(store.path, [head(**whose), about(), *made])
            if way == "record":
                store.take_in(path.name)
                assert set(by_id(everything(store))) >= {e.name for e in of_kind(made, "record")}
            else:
                store.absorb()
                assert not path.exists()
                found = by_id(everything(store)).items()
                assert {n: kept(r).document for n, r in found} == {
                    n: entry.document for n, entry in last.items()
                }
        assert not made or notebooks(store) == 1
        store.close()


def outcome_of(kind: str) -> str:
    return "lost" if kind == "heartbeat" else "ok"


def of_kind(made: Iterable[Entry], kind: str) -> list[Entry]:
    return [entry for entry in made if entry.kind == kind]


def test_a_lost_run_never_replaces_a_finished_one_and_a_finished_one_does(store: Store) -> None:
    store.append(a_record("a"))
    beats = [kept(a_record(name, outcome="lost"), "heartbeat") for name in "ab"]
    leave(store.path, [head(**DEAD), about(), *beats])
    assert store.absorb() == 2
    leave(store.path, [head(**DEAD), about(), kept(a_record("b"))])
    store.absorb()
    assert {name: run.outcome for name, run in by_id(everything(store)).items()} == {
        "b": "ok",
    }
    assert [record.outcome for record in store.records("n1")] == ["ok"]


def test_a_lost_run_has_the_figures_of_its_last_heartbeat(store: Store) -> None:
    beats = [
        kept(
            a_record("a", outcome="lost", duration_s=s, energies={"gpu": Uncertain(10 * s)}),
            "heartbeat",
        )
        for s in (1.0, 6.0, 11.0)
    ]
    leave(store.path, [head(**DEAD), about(), *beats])
    store.absorb()
    (run,) = everything(store)
    (domain,) = run.measurement.domains
    assert (run.outcome, run.duration_s, domain.energy) == ("lost", 11.0, Uncertain(110.0))


def test_two_processes_that_take_in_the_same_journals_double_nothing(tmp_path: Path) -> None:
    path = tmp_path / "energy.sqlite"
    for number in range(20):
        runs = [kept(a_record(f"{number}-{n}", after_s=n)) for n in range(30)]
        unknown = [] if number % 2 else [about()]
        leave(path, [head(**DEAD), *unknown, *runs], f"{number}")
    start = SPAWN.Event()
    others = [SPAWN.Process(target=absorb_when_told, args=(path, start)) for _ in range(3)]
    for other in others:
        other.start()
    start.set()
    for other in others:
        other.join()
        assert other.exitcode == 0
    store = Store(path, host=HOST)
    assert len(by_id(everything(store))) == 600
    assert store.journals.names() == []
    store.close()


def test_a_kernel_that_died_while_it_took_a_journal_in_leaves_no_notebook_behind(
    store: Store,
) -> None:
    lines = [head(**DEAD), *(kept(a_record(f"{n}", after_s=n)) for n in range(250))]
    for _ in range(2):  # it was taken in, but not deleted
        leave(store.path, lines)
        store.absorb()
    assert (len(by_id(everything(store))), notebooks(store)) == (250, 1)


def test_of_a_store_that_was_deleted_the_journals_records_find_their_notebook(
    store: Store,
) -> None:
    known = store.notebook_for(NOTEBOOK)
    store.close()
    store.path.unlink()
    said = [about(notebook_id=known.id), about(NotebookRef(None, "b"), "gone", "b")]
    runs = [kept(a_record("a")), kept(a_record("b"), key="b"), kept(a_record("c"), key="other")]
    leave(store.path, [head(**DEAD), *said, *runs])
    store.absorb()
    assert set(by_id(everything(store))) == {"a", "b", "c"}
    assert [r.run_id for r in store.records(store.notebook_for(NOTEBOOK).id)] == ["a"]


def test_a_notebook_that_only_journals_knew_keeps_its_runs_when_it_is_renamed_and_a_copy_has_none(
    store: Store, tmp_path: Path
) -> None:
    cells = frozenset({"0123abcd", "4567cdef"})
    old, new, copy = (str(tmp_path / f"{name}.ipynb") for name in ("old", "new", "copy"))
    Path(new).touch()
    leave(
        store.path, [head(**DEAD), about(NotebookRef(old, "old", cells), "n0"), kept(a_record("a"))]
    )
    renamed = store.notebook_for(NotebookRef(new, "new", cells))
    Path(copy).touch()
    copied = store.notebook_for(NotebookRef(copy, "copy", cells))
    store.absorb()
    assert [r.run_id for r in store.records(renamed.id)] == ["a"]
    assert store.records(copied.id) == []


def test_what_a_journal_that_is_no_sense_says_of_a_run_leaves_the_others(store: Store) -> None:
    good = kept(a_record("a"))
    documents = ["", "{}", "[]", "1e999", "nul", '{"run_id": 1}', "[" * 10_000]
    for old, new in (
        ('"duration_s": 2.0', '"duration_s": 1e300'),
        ('"duration_s": 2.0', '"duration_s": -1e308'),
        ("2025-03-01", "9999-12-31"),
        ('"host": "here"', '"host": "\\ud800"'),
        ('"run_id": "a"', '"run_id": "\\ud800"'),
        ('"session_id": "s1"', '"session_id": ["s"]'),
        ('"cell_id": "0123abcd"', '"cell_id": {}'),
    ):
        assert old in good.document
        changed = good.document.replace('"run_id": "a"', '"run_id": "x"').replace(old, new)
        documents.append(changed)
    bad = [Entry(kind, text, "x") for text in documents for kind in ("record", "idle", "power")]
    leave(store.path, [head(**DEAD), about(), *bad, good])
    path = leave(store.path, [head(**DEAD), about(), kept(a_record("b"))], "later")
    store.absorb()
    assert {"a", "b"} <= set(by_id(everything(store)))
    assert not path.exists()


Step = tuple[str, int]


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["append", "early", "tell", "store", "both", "read", "end"]),
            st.integers(0, 2),
        ),
        max_size=25,
    ),
    where=st.permutations(range(25)),
)
@example([("early", 0), ("read", 0), ("tell", 0), ("read", 0)], list(range(25)))
@FEW
def test_whoever_writes_where_each_record_is_given_exactly_once(
    steps: list[Step], where: list[int]
) -> None:
    """Three kernels append to their journals, say later which notebook that was of, write into the
    database and end, while one reads."""
    with TemporaryDirectory() as folder:
        store = Store(Path(folder) / "energy.sqlite", host=HOST)
        reader = Store(store.path, host=HOST)
        known = store.notebook_for(NOTEBOOK)
        journals = [store.begin_journal(f"s{n}") for n in range(3)]
        waiting: list[list[Record]] = [[], [], []]
        mark, given_ids, made = Mark(), Counter(), []
        early: list[list[Record]] = [[], [], []]
        told = [False] * 3
        for number, (act, who) in zip(where, steps, strict=False):
            record = a_record(f"{number}", known.id, after_s=number)
            if act in ("append", "both"):
                journals[who].append(kept_for(record))
                made.append(record)
                waiting[who].append(record)
            if act == "early":
                journals[who].append(kept(record))
                (made if told[who] else early[who]).append(record)
                waiting[who].append(record)
            if act in ("tell", "end", "store", "both"):
                journals[who].append(about(notebook_id=known.id))
                made += early[who]
                early[who].clear()
                told[who] = act != "end"
            if act in ("store", "both"):
                store.append(*waiting[who])
                waiting[who].clear()
            if act == "end":
                store.append(*waiting[who])
                waiting[who].clear()
                journals[who].remove()
                journals[who] = store.begin_journal(f"s{who}")
            if act == "read":
                found, mark = reader.records_after(mark, known.id)
                given_ids.update(record.run_id for record in found)
                assert set(given_ids) == {record.run_id for record in made}
        found, mark = reader.records_after(mark, known.id)
        given_ids.update(record.run_id for record in found)
        assert given_ids == Counter(record.run_id for record in made)
        assert reader.records_after(mark, known.id)[0] == []
        assert by_id(reader.records(known.id)) == by_id(made)
        for journal in journals:
            journal.close()
        for opened in (store, reader):
            opened.close()


def kept_for(record: Record) -> Entry:
    return replace(kept(record), notebook_id=record.notebook_id)


def test_a_store_that_took_in_journals_is_whole(store: Store) -> None:
    leave(store.path, [head(**DEAD), about(), *(kept(a_record(f"{n}")) for n in range(500))])
    store.absorb()
    store.close()
    connection = sqlite3.connect(store.path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


@pytest.mark.parametrize("moment", ["is_over", "remove"])
def test_what_is_appended_while_a_journal_is_taken_in_is_taken_in_too(
    store: Store, moment: str
) -> None:
    """Its kernel wrote once more before it ended, or was silent and awoke."""
    path = leave(store.path, [head(**DEAD), about(), kept(a_record("a"))])

    def append(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_name == moment:
            sys.setprofile(None)
            with path.open("ab") as file:
                file.write(kept(a_record("b")).line())

    sys.setprofile(append)
    try:
        store.absorb()
    finally:
        sys.setprofile(None)
    assert path.exists() is (moment == "remove")
    store.absorb()
    assert (set(by_id(everything(store))), path.exists()) == ({"a", "b"}, False)


READS: dict[str, Callable[[Store], set[str]]] = {
    "its records": lambda s: {r.run_id for r in s.records("n")},
    "what is new": lambda s: {r.run_id for r in s.records_after(Mark(), "n")[0]},
    "whose power is known": lambda s: set(s.traced("n")),
    "its power": lambda s: {"a"} if s.power("a") else set(),
    "where it lies": lambda s: {n.id for n in [s.find_notebook(NOTEBOOK)] if n is not None},
}
SEEN = {"its records": {"a", "cut"}, "where it lies": {"n"}}  # else {"a"}
LOOKS = {"execute", "open", "scandir", "listdir", "readline"}


@pytest.mark.parametrize("read", READS)
def test_what_is_taken_in_while_somebody_reads_is_seen_by_them(tmp_path: Path, read: str) -> None:
    """Whenever it is taken in: before each look at database or journal, one after the other."""
    trace = to_json(a_trace(10).to_document())
    left = [
        *(head(**DEAD), about(notebook_id="n"), kept_for(a_record("a", "n"))),
        *(Entry("power", trace, "a"), replace(kept(a_record("cut"), "heartbeat"), notebook_id="n")),
    ]
    turn, looks = 0, 0
    while turn <= looks:  # the last time nothing is taken in before the end
        store = Store(tmp_path / f"{turn}/energy.sqlite", host=HOST)
        reader = Store(store.path, host=HOST)
        store.open()
        reader.open()
        leave(store.path, left)
        found, looks = with_a_call_between(READS[read], reader, store.absorb, turn)
        assert found >= SEEN.get(read, {"a"}), turn
        reader.close()
        store.close()
        turn += 1
    assert turn > 4


def with_a_call_between(
    read: Callable[[Store], set[str]], store: Store, call: Callable[[], object], after: int
) -> tuple[set[str], int]:
    """What `read` gives where a call is made after so many of its looks; how many those were."""
    looks = 0

    def look(_: FrameType, event: str, called: object) -> None:
        nonlocal looks
        looks += event == "c_call" and getattr(called, "__name__", "") in LOOKS
        if looks > after:
            sys.setprofile(None)
            call()

    sys.setprofile(look)
    try:
        return read(store), looks
    finally:
        sys.setprofile(None)

"""A damaged store loses nothing that can be read, and invents nothing."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import re
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from conftest import WHOLE
from damaged_stores import (
    CELLS,
    ENERGIES,
    NEVER_RUN,
    PAGE,
    Sound,
    cells_in,
    damaged,
    damages,
    notebooks,
    sound_store,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from processes import append_when_told
from strategies import a_record

from jupyter_energy.aside import taken, unread
from jupyter_energy.documents import to_json
from jupyter_energy.errors import StoreError
from jupyter_energy.history import Wanted, history_json, load
from jupyter_energy.identity import NotebookRef
from jupyter_energy.model import Idle, Record
from jupyter_energy.power.document import PowerTrace
from jupyter_energy.recovery import rows
from jupyter_energy.retention import prune
from jupyter_energy.seal import MARK, sealed
from jupyter_energy.store import Store

SPAWN = multiprocessing.get_context("spawn")
ASIDE = "energy.sqlite.{}-20250301T093000Z"
SLICE = settings(
    max_examples=50 if WHOLE else 25,
    derandomize=not WHOLE,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


# No single test may take minutes (faulthandler_timeout), so the whole run has many.
in_parts = pytest.mark.parametrize("part", range(20 if WHOLE else 1))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "energy.sqlite"


def everything(store: Store, sound: Sound) -> tuple[dict, dict, dict]:
    """The records, the idle time and the traces that a store gives of these notebooks."""
    records: dict[str, Record] = {}
    idles: dict[str, Idle] = {}
    traces: dict[str, PowerTrace] = {}
    for notebook_id in sound.notebooks:
        own, between = store.records(notebook_id), store.idles(notebook_id)
        assert {found.notebook_id for found in (*own, *between)} <= {notebook_id}
        records |= {r.run_id: r for r in own}
        idles |= {i.idle_id: i for i in between}
        assert len(own) == len({r.run_id for r in own})
    for run_id in sound.traces:
        trace = store.power(run_id)
        traces |= {} if trace is None else {run_id: trace}
    return records, idles, traces


def asides(path: Path) -> list[Path]:
    """The damaged files that were set aside, without what belongs to them."""
    found = path.parent.glob(f"{path.name}.*-*Z*")
    return [p for p in found if not p.name.endswith(("-wal", "-shm", "-journal"))]


def after(sound: Sound, path: Path) -> tuple[Store, tuple[dict, dict, dict]]:
    """A store that has met a damaged file, and what it has of what was there."""
    store = Store(path, host="here")
    store.open()
    return store, everything(store, sound)


# --- any damage ------------------------------------------------------------------------------


def keeps_and_invents_nothing(sound: Sound, main: bytes, wal: bytes) -> None:
    """What must hold whatever happened to the files of a store."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "energy.sqlite"
        replace(sound, main=main, wal=wal).put(path)
        store, _ = after(sound, path)
        if not wal and asides(path):  # reading alone has changed nothing in it
            assert [p.read_bytes() for p in asides(path)] == [main]
        (notebook_id, *_) = sound.notebooks
        new = a_record("f" * 32, notebook_id, after_s=-5.0)
        store.append(new)
        records, idles, traces = everything(store, sound)
        assert records.pop(new.run_id) == new
        assert records.items() <= sound.records.items()
        assert idles.items() <= sound.idles.items()
        assert traces.items() <= sound.traces.items()
        store.close()
        assert all(p.name.startswith("energy.sqlite.corrupt-") for p in asides(path))
        if asides(path) and records:  # what was there can be found again
            assert {r.notebook_id for r in records.values()} <= notebooks(path).keys()


@in_parts
@given(data=st.data())
@SLICE
def test_after_any_damage_the_cell_is_kept_and_what_comes_back_is_as_it_was(
    part: int, data: st.DataObject
) -> None:
    sound = sound_store()
    what = data.draw(damages(len(sound.main)))
    keeps_and_invents_nothing(sound, damaged(sound.main, what), b"")


@in_parts
@given(data=st.data())
@SLICE
def test_the_same_holds_where_a_kill_has_left_the_latest_in_the_wal(
    part: int, data: st.DataObject
) -> None:
    sound = sound_store(checkpointed=False)
    assert len(sound.wal) > 20 * PAGE
    main = data.draw(st.just([]) | damages(len(sound.main)))
    wal = data.draw(st.just([]) | damages(len(sound.wal)))
    keeps_and_invents_nothing(sound, damaged(sound.main, main), damaged(sound.wal, wal))


# --- what comes back -------------------------------------------------------------------------


def test_without_its_header_a_store_gives_back_everything(path: Path) -> None:
    sound = sound_store()
    path.write_bytes(bytes(100) + sound.main[100:])
    store, found = after(sound, path)
    assert found == (sound.records, sound.idles, sound.traces)
    (told,) = store.warnings
    assert told == (
        f"the store {path} was damaged; it is kept as {asides(path)[0].name}; "
        "60 of its records were recovered"
    )
    store.close()
    assert notebooks(path) == sound.notebooks
    assert any(copied_from for *_, copied_from in sound.notebooks.values())
    assert cells_in(path) == sound.cells


def test_what_only_the_wal_has_comes_back_too(path: Path) -> None:
    sound = sound_store(checkpointed=False)
    torn = replace(sound, main=sound.main[: 2 * PAGE] + b"\xff" * (len(sound.main) - 2 * PAGE))
    torn.put(path)
    store, (records, _, _) = after(sound, path)
    store.close()
    latest = {n: r for n, r in sound.records.items() if int(n, 16) >= len(sound.records) // 2}
    assert latest.items() <= records.items()


@pytest.mark.parametrize("first_page", [bytes(PAGE), b"\xff" * PAGE])
def test_without_its_list_of_tables_every_document_comes_back_and_its_notebook_is_found_again(
    path: Path, first_page: bytes
) -> None:
    sound = sound_store()
    path.write_bytes(first_page + sound.main[PAGE:])
    store, found = after(sound, path)
    assert found == (sound.records, sound.idles, sound.traces)
    (told,) = store.warnings
    assert told.endswith("60 of its records were recovered; whether there were more is not known")
    moved = NotebookRef("/elsewhere/c.ipynb", "c.ipynb", frozenset({*CELLS, NEVER_RUN}))
    assert store.find_notebook(moved).id in sound.notebooks
    store.close()


def test_behind_damage_in_the_middle_the_rest_is_read_and_what_is_missing_is_counted(
    path: Path,
) -> None:
    sound = sound_store()
    victims = [f"{n:032x}" for n in (23, 41)]  # short documents: each lies in one page
    torn = bytearray(sound.main)
    for run_id in victims:
        page = torn.find(f'"run_id": "{run_id}", "notebook_id"'.encode()) // PAGE * PAGE
        torn[page : page + PAGE] = bytes(PAGE)
    path.write_bytes(torn)
    store, (records, _, _) = after(sound, path)
    lost = sound.records.keys() - records.keys()
    assert set(victims) <= lost
    assert len(lost) <= 8
    (told,) = store.warnings
    assert told.endswith(
        f"{60 - len(lost)} of its records were recovered, {len(lost)} could not be read"
    )
    store.close()
    assert notebooks(path) == sound.notebooks


def test_a_byte_that_changed_within_a_document_leaves_that_record_out_and_is_told(
    path: Path,
) -> None:
    sound = sound_store()
    run_id = f"{23:032x}"
    at = sound.main.find(f'"run_id": "{run_id}", "notebook_id"'.encode())
    at = sound.main.find(b"12.25", at)
    for byte in (b"7", b"\xff"):  # another figure; and no text at all
        path.write_bytes(sound.main[:at] + byte + sound.main[at + 1 :])
        store, (records, _, _) = after(sound, path)
        assert sound.records.keys() - records.keys() == {run_id}
        assert store.warnings == [f"1 records in {path} cannot be read; totals leave them out"]
        assert asides(path) == []
        store.close()


def test_a_record_that_a_damaged_index_gives_to_another_notebook_is_not_taken_for_its(
    path: Path,
) -> None:
    sound = sound_store()
    for entry in re.finditer(rb"[0-9a-f]{32}2025-03-01T09:30:00", sound.main):
        # What its columns are, and so which row it is of, is said right before them.
        for at in range(entry.start() - 8, entry.start()):
            for byte in (1, 8, 9):
                torn = bytearray(sound.main)
                torn[at] = byte
                path.write_bytes(torn)
                store, (records, idles, _) = after(sound, path)
                store.close()
                assert records.items() <= sound.records.items()
                assert idles.items() <= sound.idles.items()
                for left in path.parent.iterdir():
                    left.unlink()


def test_a_record_that_came_since_is_not_replaced_by_what_was_recovered(path: Path) -> None:
    sound = sound_store()
    store = Store(path, host="here")
    (one, two, *_) = sound.records.values()
    store.append(replace(one, outcome="error"))
    store.append(replace(two, outcome="lost"))  # its last sign before a kill
    store.close()
    path.with_name(ASIDE.format("unread")).write_bytes(sound.main)
    store, (records, _, _) = after(sound, path)
    assert records == sound.records | {one.run_id: replace(one, outcome="error")}
    store.close()


def test_a_table_is_read_around_everything_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE held (said TEXT)")
        texts = [f"<{n}>" + "." * 900 for n in range(400)]
        connection.executemany("INSERT INTO held VALUES (?)", [(t,) for t in texts])
        connection.commit()
    torn = bytearray(path.read_bytes())
    for n in (0, 90, 91, 200, 310, 399):
        page = torn.find(f"<{n}>".encode()) // PAGE * PAGE
        torn[page : page + PAGE] = bytes(PAGE)
    path.write_bytes(torn)
    with closing(sqlite3.connect(path)) as connection:
        found = [row[0] for row in rows(connection, "held", "said")]
    assert len(found) == len(set(found))
    assert set(found) == {t for t in texts if t.encode() in torn}
    assert 370 < len(found) < 390


@pytest.mark.parametrize("first_page", [bytes(100), bytes(PAGE)], ids=["header", "first page"])
def test_the_totals_of_days_that_were_pruned_come_back_and_their_records_do_not(
    path: Path, first_page: bytes
) -> None:
    store = Store(path, host="here")
    of_two_days = [
        a_record(f"{n:032x}", "a" * 32, energies=ENERGIES, after_s=8000.0 * n) for n in range(11)
    ]
    store.append(*of_two_days)
    assert prune(store, "2025-03-02") == 7
    by_day = Wanted("day")
    before = history_json(load(store, by_day, (), print), by_day, "1")
    assert sorted(row["runs"] for row in before["rows"]) == [4, 7]
    store.close()
    path.write_bytes(first_page + path.read_bytes()[len(first_page) :])
    store = Store(path, host="here")
    assert history_json(load(store, by_day, (), print), by_day, "1") == before
    assert store.records("a" * 32) == of_two_days[7:]
    assert len(asides(path)) == 1
    store.append(of_two_days[0])  # somebody's journal still has it
    assert store.records("a" * 32) == of_two_days[7:]
    store.close()


def test_a_document_that_no_table_takes_is_left_out_alone(path: Path) -> None:
    sound = sound_store()
    left = path.with_name(ASIDE.format("unread"))
    hostile = (
        {"closed_day": "2025-03-01", "host": "h", "pruned_before": "", "totals": [[1]],
         "devices": [], "grams": [], "overlaps": []},
        {"run_id": {"a": 1}, "notebook_id": 3},
        {"idle_id": None, "start": "2025-03-01T00:00:00Z", "duration_s": 1, "domains": []},
        {"run_id": [], "schema": 1, "devices": []},
    )  # fmt: skip
    left.write_bytes(sound.main + "\0".join(sealed(to_json(one)) for one in hostile).encode())
    store, found = after(sound, path)
    store.close()
    assert found == (sound.records, sound.idles, sound.traces)
    assert [p.name for p in asides(path)] == [ASIDE.format("corrupt")]


@pytest.mark.parametrize("column", ["host", "kernel_id", "copied_from", "first_seen", "name"])
def test_a_text_that_is_none_does_not_keep_the_store_from_opening(path: Path, column: str) -> None:
    """Bytes that Python decodes as half a character, which SQLite then cannot be given."""
    sound = sound_store()
    sound.put(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"UPDATE notebook SET {column} = CAST(x'EDA080' AS TEXT)")
        connection.execute("CREATE TRIGGER t AFTER INSERT ON record BEGIN SELECT 1; END")
        connection.commit()
    store, found = after(sound, path)
    assert found == (sound.records, sound.idles, sound.traces)
    assert notebooks(path).keys() == sound.notebooks.keys()
    store.close()
    assert [p.name.partition("-")[0] for p in asides(path)] == ["energy.sqlite.corrupt"]


# --- who reads it, and how often -------------------------------------------------------------


def test_what_a_killed_process_did_not_get_to_is_read_at_the_next_opening(path: Path) -> None:
    sound = sound_store()
    path.with_name(ASIDE.format("unread")).write_bytes(sound.main)
    store, found = after(sound, path)
    store.close()
    assert found == (sound.records, sound.idles, sound.traces)
    assert [p.name for p in asides(path)] == [ASIDE.format("corrupt")]


def test_a_file_whose_reading_ended_a_process_is_read_once_more_and_never_again(
    path: Path,
) -> None:
    sound = sound_store()
    path.with_name(ASIDE.format("reread")).write_bytes(sound.main)
    store, found = after(sound, path)
    assert found == (sound.records, sound.idles, sound.traces)
    store.close()
    for left in path.parent.glob("energy.sqlite*Z"):
        assert left.name == ASIDE.format("corrupt")
    path.unlink()
    store, found = after(sound, path)
    assert found == ({}, {}, {})
    store.close()


@pytest.mark.parametrize(
    ("is_passing", "names"),
    [(True, ["unread", "unread", "unread"]), (False, ["reread", "corrupt", "corrupt"])],
)
def test_what_ends_a_reading_is_tried_again_as_often_as_it_may_pass_and_else_once(
    path: Path, is_passing: bool, names: list[str]
) -> None:
    path.with_name(ASIDE.format("unread")).touch()
    seen = []
    for _ in names:
        for found in unread(path):
            with pytest.raises(ArithmeticError), taken(path, found, lambda _: is_passing):
                raise ArithmeticError
        seen += [found.name for found in asides(path)]
    assert seen == [ASIDE.format(name) for name in names]


def test_while_another_process_reads_it_a_store_opens_without_it(path: Path) -> None:
    sound = sound_store()
    left = path.with_name(ASIDE.format("unread"))
    left.write_bytes(sound.main)
    with left.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        store, found = after(sound, path)
        assert found == ({}, {}, {})
        store.close()
    store, found = after(sound, path)
    assert found[0] == sound.records
    store.close()


def test_processes_that_meet_a_damaged_file_at_once_set_it_aside_once_and_all_go_on(
    path: Path,
) -> None:
    sound = sound_store()
    torn = bytes(100) + sound.main[100:]
    path.write_bytes(torn)
    start = SPAWN.Barrier(4)
    (notebook_id, *_) = sound.notebooks
    processes = [
        SPAWN.Process(target=append_when_told, args=(path, f"{who:x}" * 32, notebook_id, start))
        for who in range(10, 14)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [p.exitcode for p in processes] == [0] * 4
    store, (records, _, _) = after(sound, path)
    assert {f"{who:x}" * 32 for who in range(10, 14)} == records.keys() - sound.records.keys()
    assert sound.records.items() <= records.items()
    store.close()
    assert [p.read_bytes() for p in asides(path)] == [torn]


# --- what is not damaged, and not ours -------------------------------------------------------


def test_an_empty_file_is_a_new_store(path: Path) -> None:
    path.touch()
    store, _ = after(sound_store(), path)
    store.append(a_record())
    assert store.warnings == []
    assert asides(path) == []
    store.close()


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["folder", "named pipe"])
def test_what_is_no_file_is_told_and_stays(path: Path, make) -> None:
    make(path)
    before = path.stat()
    store = Store(path)
    with pytest.raises(StoreError, match="cannot be used: it is no file; set JUPYTER_ENERGY_STOR"):
        store.append(a_record())
    store.close()
    assert path.stat() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_link_to_nowhere_makes_the_file_that_it_names_for_the_user_alone(
    path: Path, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    path.symlink_to(tmp_path / "elsewhere/real.sqlite")
    store = Store(path)
    store.append(a_record())
    store.close()
    assert (tmp_path / "elsewhere/real.sqlite").stat().st_mode & 0o777 == 0o600
    assert path.is_symlink()


def test_a_damaged_file_behind_a_link_is_set_aside_where_it_lies(
    path: Path, tmp_path: Path
) -> None:
    sound = sound_store()
    (tmp_path / "elsewhere").mkdir()
    real = tmp_path / "elsewhere/real.sqlite"
    real.write_bytes(bytes(100) + sound.main[100:])
    path.symlink_to(real)
    store, found = after(sound, path)
    store.close()
    assert found[0] == sound.records
    assert path.is_symlink()
    assert len(list(real.parent.glob("real.sqlite.corrupt-*"))) == 1


def test_another_programs_database_whose_header_is_sound_stays(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE record (run_id TEXT, document TEXT)")
    before = path.read_bytes()
    store = Store(path)
    with pytest.raises(StoreError, match="another program's database"):
        store.append(a_record())
    store.close()
    assert path.read_bytes() == before


# --- hostile files ---------------------------------------------------------------------------


def test_tables_that_are_queries_without_end_are_given_up(path: Path) -> None:
    left = path.with_name(ASIDE.format("unread"))
    with closing(sqlite3.connect(left)) as hostile:
        for table, columns in (
            ("record", "run_id, 1 AS rowid, '{}' AS document"),
            ("notebook_cell", "run_id AS notebook_id, run_id AS cell_id"),
        ):
            hostile.execute(
                f"CREATE VIEW {table} AS WITH RECURSIVE n(run_id) AS (SELECT 1 UNION ALL "
                f"SELECT run_id + 1 FROM n) SELECT {columns} FROM n"
            )
    store, found = after(sound_store(), path)
    store.close()
    assert found == ({}, {}, {})


def test_a_file_that_has_itself_read_over_and_over_is_given_up(path: Path) -> None:
    left = path.with_name(ASIDE.format("unread"))
    # 25 000 documents, each of which would be the rest of the file.
    left.write_bytes(f'{MARK}00000000", "bytes": 1000000, '.encode() * 25_000)
    store, found = after(sound_store(), path)
    store.close()
    assert found == ({}, {}, {})

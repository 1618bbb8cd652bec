"""A store that somebody else has written, and names that attack it: data, which stay data."""

from __future__ import annotations

import json
import os
import sqlite3
from dataclasses import replace
from pathlib import Path

import left_journals
import pytest
from fuzz import inputs, oracles
from left_journals import DEAD, NOTEBOOK, about, kept, leave
from strategies import a_record

from jupyter_energy.display import html, text
from jupyter_energy.identity import NotebookRef
from jupyter_energy.journal import Entry
from jupyter_energy.overlaps import spell_of
from jupyter_energy.store import Store
from jupyter_energy.summary import summarise
from jupyter_energy.uncertainty import Uncertain

NAMES = [
    "'; DROP TABLE record; --",
    '"); DELETE FROM record; --',
    "%' OR 1=1 --",
    "a\0b",
    inputs.HALF,
    inputs.STEERING,
    inputs.MARKUP,
    "x" * 10**6,
    "",
]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "energy.sqlite", host="here")


def columns(store: Store) -> list[tuple[str, str]]:
    """What the tables are."""
    with sqlite3.connect(store.path) as connection:
        found = connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name")
        return list(found)


def written(store: Store, sql: str, *parameters: object) -> None:
    """What an attacker writes into the file."""
    store.close()
    connection = sqlite3.connect(store.path)
    with connection:
        connection.execute(sql, parameters)
    connection.close()


def test_a_name_is_kept_to_the_letter_and_changes_no_table(store: Store) -> None:
    store.append(a_record("before", notebook_id="other"))
    tables = columns(store)
    for number, name in enumerate(NAMES):
        run = a_record(f"r{number}", name=name, warnings=(name,))
        store.append(run)
    assert [run.name for run in store.records("n1")] == NAMES
    assert len(store.records("other")) == 1
    assert columns(store) == tables


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_found_again_by_any_path(store: Store, name: str) -> None:
    path = f"/nowhere/{name[:1000]}.ipynb"
    found = store.notebook_for(NotebookRef(path, name))
    assert store.find_notebook(NotebookRef(path, name)) == found
    assert store.find_notebook(NotebookRef(path + "x", name)) is None


HOSTILE_DOCUMENTS = {
    "no JSON": "{",
    "nested 100 000 deep": "[" * 100_000,
    "a number of 100 000 digits": '{"duration_s": ' + "9" * 100_000 + "}",
    "a list": "[]",
    "a text": '"emissions"',
    "a blob": b"\xff\x00",
    "an integer": 7,
    "keys twice": '{"emissions": 1, "emissions": null}',
    "empty": "",
}


@pytest.mark.parametrize("name", HOSTILE_DOCUMENTS)
def test_a_document_that_is_none_is_passed_over_wherever_it_lies(store: Store, name: str) -> None:
    run = a_record("good", energies={"package": Uncertain(5.0)})
    store.append(run)
    document = HOSTILE_DOCUMENTS[name]
    written(
        store,
        "INSERT INTO record (run_id, notebook_id, session_id, started, host, ended, devices, "
        "document) VALUES ('bad', 'n1', 's1', ?, 'here', '2099', ?, ?)",
        "2025-03-01T09:30:00.000000Z",
        document,
        document,
    )
    written(store, "INSERT INTO idle VALUES ('i', 'n1', 's1', '2025', ?)", document)
    written(store, "INSERT INTO power_trace VALUES ('good', ?)", document)
    assert store.records("n1") == [run]
    assert store.idles("n1") == []
    assert store.power("good") is None
    assert store.others_at_once([run]) == 0


def test_each_field_of_a_record_is_of_its_type_or_the_record_is_passed_over(store: Store) -> None:
    store.append(a_record("r0"))
    for number in range(200):
        changed = bytes([0, 0, number, number % len(inputs.HOSTILE)])
        document = {**inputs.document_of(changed, "record"), "run_id": f"x{number}"}
        written(
            store,
            "INSERT INTO record (run_id, notebook_id, session_id, started, document) "
            "VALUES (?, 'n1', 's1', '2025-03-01T09:30:00.000000Z', ?)",
            f"x{number}",
            json.dumps(document),
        )
    runs = store.records("n1")
    assert 20 < len(runs) < 150  # some are refused, some are not
    made = summarise({"id": "n1", "path": None, "name": inputs.STEERING}, runs, "0")
    oracles.safe_text(text.summary(made))
    oracles.safe_html(html.summary(made))


@pytest.mark.parametrize("pid", ["../../../../tmp", "1/../self", "self", -1, 2**62, None, b"1"])
def test_a_process_number_leads_to_no_other_file(store: Store, tmp_path: Path, pid: object) -> None:
    run = a_record("mine", energies={"package": Uncertain(5.0)})
    store.append(run)
    spell = replace(spell_of(run), notebook_id="n2", session_id="s2")
    # What would hang whoever opened it.
    procfs = tmp_path / "proc"
    procfs.mkdir()
    os.mkfifo(tmp_path / "stat")
    values = (spell.session_id, "n2", "here", "2025-03-01T09:30:00Z", '["package:0"]')
    if pid is None:
        values, pid = ("s2", "n2", "here", "2025-03-01T09:30:00Z", "["), ".."
    written(store, "INSERT INTO running VALUES (?, ?, ?, ?, ?, ?, 1)", *values, pid)
    written(store, "INSERT OR REPLACE INTO running VALUES ('s3', 'n2', 'here', '', '', '..', 1)")
    assert Store(store.path, host="here", procfs=procfs).others_at_once([run]) == 0


FOR_EVER = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n"


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TRIGGER t AFTER INSERT ON record BEGIN DELETE FROM record; END",
        f"CREATE VIEW v AS {FOR_EVER}",
        "CREATE TRIGGER record_added2 BEFORE INSERT ON idle BEGIN SELECT RAISE(IGNORE); END",
    ],
)
def test_a_store_that_acts_by_itself_is_set_aside_and_its_records_are_read(
    store: Store, sql: str
) -> None:
    run = a_record("r1")
    store.append(run)
    written(store, sql)
    again = Store(store.path, host="here")
    again.append(a_record("r2"))
    assert {found.run_id for found in again.records("n1")} == {"r1", "r2"}
    (said,) = again.warnings
    assert "is kept as" in said
    oracles.safe_text(said, 400)
    assert sql not in {made for _, made in columns(again)}


def test_a_view_without_end_in_the_place_of_a_table_ends(store: Store) -> None:
    store.append(a_record("r1"))
    written(store, "DROP TABLE power_trace")
    written(store, f"CREATE VIEW power_trace AS {FOR_EVER}")
    again = Store(store.path, host="here")
    assert again.power("r1") is None
    assert [run.run_id for run in again.records("n1")] == ["r1"]


@pytest.mark.parametrize(
    "process",
    [
        {"host": "here", "pid": "../..", "began": 1, "boot": "b", "namespace": "n"},
        {"host": [], "pid": None, "began": {}, "boot": inputs.HALF, "namespace": 7},
        {"host": "here"},
        "[" * 100_000,
    ],
)
def test_a_journal_that_somebody_else_wrote_is_taken_for_what_it_is(
    store: Store, process: object
) -> None:
    run = a_record("r1")
    store.append(run)
    folder = Path(f"{store.path}.journals")
    folder.mkdir(exist_ok=True)
    head = (
        process if isinstance(process, str) else json.dumps({"session_id": 1, "process": process})
    )
    lines = [
        Entry("head", head).line(),
        Entry("record", "{}", "../../x").line(),
        Entry("record", "[" * 100_000, "x").line(),
        Entry("notebook", '{"path": 7, "name": [], "cell_ids": 3}', key="k").line(),
        b"00000000 " + b"[" * 100_000 + b"\n",
        b"\xff" * 1000,
    ]
    (folder / "1-a.journal").write_bytes(b"".join(lines))
    os.mkfifo(folder.parent / "stat")
    again = Store(store.path, host="here", procfs=Path("/proc"))
    assert [found.run_id for found in again.records("n1")] == ["r1"]
    again.absorb()
    assert [found.run_id for found in again.records("n1")] == ["r1"]


def a_head(version: str = "1", pid: str = "1") -> str:
    process = f'{{"host": "here", "pid": {pid}, "began": 1, "boot": "", "namespace": ""}}'
    return f'{{"version": {version}, "session_id": "x", "process": {process}}}'


HEADS = [
    *(a_head(version=said) for said in ("1e999", "-1e999", "NaN")),
    *(a_head(pid=said) for said in ("1e999", f"{10**99}", "-1")),
]


@pytest.mark.parametrize("head", HEADS, ids=range(len(HEADS)))
def test_a_journal_that_is_no_sense_keeps_no_other_from_being_read_and_taken_in(
    store: Store, head: str
) -> None:
    kept_id = store.notebook_for(NOTEBOOK).id
    leave(store.path, [Entry("head", head)], "1-a")
    ended = [
        left_journals.head(**DEAD),
        about(notebook_id=kept_id),
        kept(a_record("r1")),
        Entry("end", "{}"),
    ]
    leave(store.path, ended, "2-b")
    again = Store(store.path, host="here")
    assert [found.run_id for found in again.records(kept_id)] == ["r1"]
    assert again.find_notebook(NOTEBOOK) is not None
    again.absorb()
    assert "2-b.journal" not in again.journals.names()
    assert again.warnings == []
    assert [found.run_id for found in again.records(kept_id)] == ["r1"]

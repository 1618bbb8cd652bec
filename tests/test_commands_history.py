"""`history` as a user types it: what it shows, what it refuses; it deletes only when told to."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from display_examples import EVIL
from left_journals import about, head, kept, leave
from strategies import a_record, in_zone

from jupyter_energy.cli import main
from jupyter_energy.commands.history import day
from jupyter_energy.display.bundle import history_bundle
from jupyter_energy.errors import WrongUse
from jupyter_energy.identity import NotebookRef
from jupyter_energy.json_shapes import HistoryJson, HistoryRowJson, HistoryTotalsJson
from jupyter_energy.model import Record
from jupyter_energy.store import Store
from jupyter_energy.uncertainty import Range, Uncertain

TODAY = datetime.now(UTC).replace(hour=9, minute=0, second=0, microsecond=0)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """The store of a user with an empty home."""
    for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    path = tmp_path / "energy.sqlite"
    monkeypatch.setenv("JUPYTER_ENERGY_STORE", str(path))
    store = Store(path, host="here")
    yield store
    store.close()


def notebook(store: Store, name: str, folder: str = "a") -> str:
    path = f"/home/me/{folder}/{name}"
    return store.notebook_for(NotebookRef(path, name, kernel_id=f"kernel of {path}")).id


def a_run(run_id: str, notebook_id: str, days_ago: int, joules: float, **more: object) -> Record:
    run = a_record(
        run_id,
        notebook_id,
        energies={"gpu": Uncertain(joules, 1.0, 5.0), "dram": Range(1, 2, 4)},
        emitted=in_zone("FR", 50, joules),
        **more,  # type: ignore[arg-type]
    )
    start = TODAY - timedelta(days=days_ago)
    return replace(run, measurement=replace(run.measurement, start=start))


def shown(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> str:
    """What `jupyter energy history WORDS` prints."""
    capsys.readouterr()
    assert main(["history", *words]) == status
    told = capsys.readouterr()
    assert (told.err == "") == (status == 0), told
    return told.out if status == 0 else told.err


def test_notebooks_with_the_most_energy_come_first(store: Store, capsys) -> None:
    for number, (name, joules) in enumerate((("small.ipynb", 10.0), ("large.ipynb", 4000.0))):
        store.append(a_run(name, notebook(store, name), number, joules, session_id=name))
    lines = shown(capsys).splitlines()
    assert lines[0].startswith("1.1139 ± 0.0055 Wh measured and ≈ 4.0 J (2.0–8.0 J) estimated")
    assert lines[0].endswith("2 runs in 2 notebooks")
    names = [line.split()[0] for line in lines if ".ipynb" in line]
    assert names == ["large.ipynb", "small.ipynb"]


def test_days_come_newest_first_and_only_those_asked_for(store: Store, capsys) -> None:
    mine = notebook(store, "a.ipynb")
    for days_ago in (0, 3, 8, 40):
        store.append(a_run(f"r{days_ago}", mine, days_ago, 10.0, session_id=f"s{days_ago}"))
    found = json.loads(shown(capsys, "--by", "day", "--json", "--since", "2w", "--until", "1d"))
    three, eight = ((TODAY - timedelta(d)).date().isoformat() for d in (3, 8))
    assert [row["day"] for row in found["rows"]] == [three, eight]
    assert found["totals"]["runs"] == 2
    assert found["totals"]["measured_j"]["value"] == 20.0


def test_two_notebooks_at_once_are_told_so_and_count_once_together(store: Store, capsys) -> None:
    for name in ("one", "two"):
        store.append(a_run(name, notebook(store, f"{name}.ipynb"), 0, 500.0, session_id=name))
    found = json.loads(shown(capsys, "--json"))
    assert found["totals"]["measured_j"]["value"] == 500.0
    assert [row["measured_j"]["value"] for row in found["rows"]] == [500.0, 500.0]
    assert [row["overlaps"] for row in found["rows"]] == [1, 1]
    text = " ".join(shown(capsys).split())
    said = "measured at the same time as 1 other notebook; the total counts it once"
    assert text.endswith(f": {said}")
    names = text.rpartition("†")[2].partition(":")[0].split(", ")
    assert sorted(names) == ["one.ipynb (here)", "two.ipynb (here)"]
    assert text.count("same time") == 1
    assert " ".join(shown(capsys, "--by", "day").split()).count("same time") == 1
    (host,) = json.loads(shown(capsys, "--json", "--by", "host"))["rows"]
    assert (host["hosts"], host["measured_j"]["value"]) == (["here"], 500.0)


def test_sessions_without_a_file_are_one_row_a_name(store: Store, capsys) -> None:
    for number, name in enumerate(("in a terminal", "in a terminal", "elsewhere")):
        mine = store.notebook_for(NotebookRef(None, name, kernel_id=f"kernel {number}")).id
        store.append(a_run(f"r{number}", mine, number, 10.0, session_id=f"s{number}"))
    rows = json.loads(shown(capsys, "--json"))["rows"]
    found = [(row["notebook"]["name"], row["runs"]) for row in rows]
    assert sorted(found) == [("elsewhere", 1), ("in a terminal", 2)]
    assert {(row["notebook"]["id"], row["notebook"]["path"]) for row in rows} == {(None, None)}
    assert shown(capsys).count("in a terminal") == 1


def test_every_field_is_there_and_what_is_unknown_is_null(store: Store, capsys) -> None:
    unknown = a_record("r", notebook(store, "a.ipynb"), energies={"gpu": None})
    store.append(unknown)
    found = json.loads(shown(capsys, "--json"))
    assert found.keys() == HistoryJson.__annotations__.keys()
    assert found["totals"].keys() == HistoryTotalsJson.__annotations__.keys()
    (row,) = found["rows"]
    assert (
        row.keys() == {**HistoryTotalsJson.__annotations__, **HistoryRowJson.__annotations__}.keys()
    )
    assert [row[name] for name in ("measured_j", "estimated_j", "carbon_g", "day")] == [None] * 4
    table = shown(capsys).splitlines()
    assert table[0].startswith("energy not measured in 2.00 s, 1 run in 1 notebook")
    assert not any(" 0 J" in line for line in table)


def test_of_many_rows_the_first_twenty_are_shown_and_the_others_counted(
    store: Store, capsys
) -> None:
    for n in range(23):
        mine = notebook(store, f"n{n:02}.ipynb")
        store.append(a_run(f"r{n}", mine, n, 10.0 + n, session_id=f"s{n}"))
    text = shown(capsys)
    assert text.count(".ipynb") == 20
    assert text.splitlines()[-1] == "3 more notebooks: --all shows them"
    assert shown(capsys, "--all").count(".ipynb") == 23
    assert len(json.loads(shown(capsys, "--json"))["rows"]) == 23


def test_a_notebook_that_is_gone_is_known_by_its_last_name_and_of_two_alike_the_folder_is_told(
    store: Store, capsys
) -> None:
    for n, folder in enumerate("ab"):
        mine = notebook(store, "same.ipynb", folder)
        store.append(a_run(folder, mine, n, 10.0, session_id=folder))
    text = shown(capsys)
    assert "a/same.ipynb (here)" in text
    assert "b/same.ipynb (here)" in text


def test_nothing_is_said_to_be_nothing(store: Store, capsys) -> None:
    assert shown(capsys) == "Nothing was measured yet.\n"
    assert not store.path.exists()
    assert json.loads(shown(capsys, "--json"))["totals"]["runs"] == 0
    store.append(a_run("r", notebook(store, "a.ipynb"), 9, 10.0))
    assert shown(capsys, "--since", "2d").startswith("Nothing was measured since 20")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2026-11-01", "2026-11-01"),
        ("7d", "2026-11-16"),
        ("4w", "2026-10-26"),
        ("0d", "2026-11-23"),
    ],
)
def test_a_date_is_a_day_or_how_long_ago(text: str, found: str) -> None:
    assert day(text, date(2026, 11, 23)) == found


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "7", "-7d", "999999d", "1.5d"])
def test_what_is_no_date_is_wrong_use(text: str) -> None:
    with pytest.raises(WrongUse, match="is no date: write 2026-11-01, or 7d, or 4w"):
        day(text, date(2026, 11, 23))


def test_a_prune_says_what_it_would_delete_and_deletes_only_when_told(store: Store, capsys) -> None:
    mine = notebook(store, "a.ipynb")
    for days_ago in (100, 95, 1):
        store.append(a_run(f"r{days_ago}", mine, days_ago, 10.0, session_id=f"s{days_ago}"))
    text = shown(capsys, "--prune", "90d")
    assert text.startswith("This would delete 2 records of 1 notebook, from 20")
    assert "20 ± 20 J measured" in text
    assert len(store.records(mine)) == 3
    assert shown(capsys, "--prune", "90d", "--yes").startswith("Deleted 2 records of 1 notebook")
    assert [r.run_id for r in store.records(mine)] == ["r1"]
    assert json.loads(shown(capsys, "--json"))["totals"]["runs"] == 3
    assert shown(capsys, "--prune", "90d").startswith("There are no records from before 20")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("--prune", "2999-01-01", "--yes"),
            f"lies ahead: --prune DATE deletes what is from before a day; write {TODAY:%Y-%m-%d} ",
        ),
        (("--prune", "90d", "--by", "day"), "--prune takes no other option but --yes"),
        (("--yes",), "--yes is for --prune DATE"),
        (("--by", "cell"), "invalid choice: 'cell'"),
    ],
)
def test_wrong_use_is_told_and_changes_nothing(
    store: Store, capsys, words: tuple[str, ...], said: str
) -> None:
    store.append(a_run("r", notebook(store, "a.ipynb"), 200, 10.0))
    assert said in shown(capsys, *words, status=2)
    assert prune_marks(store) == []


def prune_marks(store: Store) -> list[tuple[str]]:
    with closing(sqlite3.connect(store.path)) as connection:
        return connection.execute("SELECT before FROM pruned").fetchall()


def test_a_summary_says_that_older_runs_were_pruned(store: Store, capsys, tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text("")
    mine = store.notebook_for(NotebookRef(str(script), script.name)).id
    for days_ago in (100, 1):
        store.append(a_run(f"r{days_ago}", mine, days_ago, 10.0, session_id=f"s{days_ago}"))
    shown(capsys, "--prune", "90d", "--yes")
    assert main(["summary", str(script)]) == 0
    assert "jupyter energy history has their totals" in " ".join(capsys.readouterr().out.split())
    # Of one that lost all its runs there is still that to say, also where its file has gone.
    lost = tmp_path / "gone.ipynb"
    its = store.notebook_for(NotebookRef(str(lost), lost.name)).id
    store.append(a_run("late", its, 40, 10.0, session_id="late"))
    store.append(a_run("last", mine, 0, 10.0, session_id="last"))
    shown(capsys, "--prune", "20d", "--yes")
    assert main(["summary", str(lost)]) == 0
    told = capsys.readouterr()
    assert told.out.startswith("gone.ipynb: runs from before ")
    assert told.out.endswith("were pruned; jupyter energy history has their totals\n")
    assert told.err == ""
    lost.write_text('{"cells": [{"id": "0123abcd"}]}')
    assert main(["plot", str(lost), "--output", str(tmp_path / "a.png")]) == 2
    assert "nothing to plot: runs from before 20" in capsys.readouterr().err


def test_while_another_program_writes_the_history_is_computed_and_not_kept(
    store: Store, capsys
) -> None:
    store.append(a_run("r", notebook(store, "a.ipynb"), 1, 10.0))
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert json.loads(shown(capsys, "--json"))["totals"]["runs"] == 1
        assert other.execute("SELECT count(*) FROM day_total").fetchall() == [(0,)]


def test_a_notebook_that_only_a_journal_tells_of_has_its_name(store: Store, capsys) -> None:
    store.path.write_bytes(b"")
    with closing(sqlite3.connect(store.path)) as other:
        other.execute("CREATE TABLE theirs (x)")
    told = about(NotebookRef("/home/me/a/mine.ipynb", "mine.ipynb"), "id-1")
    leave(store.path, [head(), told, kept(a_run("r", "", 0, 10.0))])
    assert main(["history"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("mine.ipynb ")]


def test_no_name_of_a_notebook_or_host_reaches_html_as_markup(store: Store, capsys) -> None:
    mine = store.notebook_for(NotebookRef("/a/evil.ipynb", EVIL)).id
    store.append(a_run("r", mine, 0, 10.0, host=EVIL))
    for by in ("notebook", "host", "day"):
        found = json.loads(shown(capsys, "--json", "--by", by))
        bundle = history_bundle(found)
        assert "<script" not in str(bundle["text/html"])
        assert "<img" not in str(bundle["text/html"])
        assert "\x1b" not in str(bundle["text/plain"])
        assert "\u202e" not in str(bundle["text/plain"])


def test_no_line_of_the_table_is_wider_than_a_terminal_of_a_hundred(store: Store, capsys) -> None:
    mine = notebook(store, f"{'very ' * 30}long.ipynb")
    store.append(a_run("r", mine, 0, 12345678.9, host="a-host-with-a-long-name.example.org"))
    for by in ("notebook", "host", "day"):
        assert max(map(len, shown(capsys, "--by", by).splitlines())) <= 100

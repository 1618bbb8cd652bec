"""The store's rows of runs and of the time between them.

Every function works within a transaction of the store's.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice
from pathlib import Path

from . import foreign
from .documents import (
    idle_from_document,
    idle_to_document,
    record_from_document,
    record_to_document,
    to_json,
    utc_text,
)
from .history_tables import SPAN
from .migrations import Connection
from .model import Idle, Record
from .overlaps import Spell, spell_of
from .process_tree import began_at
from .restating import carried_over
from .seal import opened, sealed
from .shared_devices import Stretches

# Runs with less than this between them are asked for together.
TOGETHER_S = 60.0
# In the document of a record whose grams were restated, or its saving; within a text its quotes are
# escaped.
RESTATED = ('"restated": "', '"shift_said": {')


def record_row(record: Record) -> tuple[str, ...]:
    """A record as the columns of its row. Raises ValueError where JSON cannot hold it."""
    spell = spell_of(record)
    return (
        record.run_id,
        record.notebook_id,
        record.session_id,
        utc_text(record.start),
        record.host,
        utc_text(record.start + timedelta(seconds=record.duration_s)),
        json.dumps(sorted(spell.devices)),
        sealed(to_json(record_to_document(record))),
    )


def add_record(connection: Connection, row: Sequence[str]) -> None:
    """Keep a record's row; the same run a second time takes the place of the first, whose grams it
    has where they were restated since: a journal may have the run as it was before."""
    row = _with_grams_of_before(connection, row)
    connection.execute(
        "INSERT INTO record (run_id, notebook_id, session_id, started, host, ended, devices, "
        "document) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (run_id) DO UPDATE "
        "SET ended = excluded.ended, devices = excluded.devices, document = excluded.document",
        row,
    )


def _with_grams_of_before(connection: Connection, row: Sequence[str]) -> Sequence[str]:
    found = connection.execute("SELECT document FROM record WHERE run_id = ?", (row[0],))
    for (document,) in found:
        if isinstance(document, str) and _is_restated(document) and not _is_restated(row[-1]):
            held, made_again = readable([document]), readable([row[-1]])
            if held and made_again:
                return record_row(carried_over(held[0], made_again[0]))
    return row


def _is_restated(document: str) -> bool:
    return any(mark in document for mark in RESTATED)


def restate(
    connection: Connection, notebook_id: str, change: Callable[[Record], Record]
) -> list[tuple[Record, Record]]:
    """Have `change` make all records of a notebook again; each as it was and as it is now.

    Only grams and what was saved may differ: the other columns stay. What is no record of ours is
    left alone.
    """
    rows = connection.execute(
        "SELECT run_id, document FROM record WHERE notebook_id = ? ORDER BY started, rowid",
        (notebook_id,),
    )
    pairs: list[tuple[Record, Record]] = []
    for run_id, document in list(rows):
        for before in readable([document]):
            if before.run_id != run_id or before.notebook_id != notebook_id:
                continue
            after, text = before, document
            with suppress(ValueError, ArithmeticError):  # of what somebody else has written
                changed = change(before)
                if changed != before:
                    text = sealed(to_json(_with_grams(opened(document), before, changed)))
                    after = changed
            pairs.append((before, after))
            if after != before:
                connection.execute(
                    "UPDATE record SET document = ? WHERE run_id = ?", (text, run_id)
                )
    if any(before != after for before, after in pairs):
        connection.execute(
            "INSERT INTO restated (notebook_id, restated) VALUES (?, ?)",
            (notebook_id, utc_text(datetime.now(UTC))),
        )
    return pairs


def _with_grams(document: Mapping[str, object], before: Record, after: Record) -> dict[str, object]:
    """The document of a record with the grams and the shift that it has now; all else in it stays,
    also what a newer version has written, and so do those that only change their place."""
    now = record_to_document(after)
    changed: dict[str, object] = {}
    for names in (("emissions", "said"), ("shift", "shift_said")):
        held = [(getattr(before, name), document.get(name)) for name in names]
        for name in names:
            of_now = getattr(after, name)
            changed[name] = next((was for of, was in held if of == of_now), now[name])
    return {**document, **changed}


def restatements(connection: Connection, notebook_id: str) -> int:
    """A number that another one follows each time that a notebook's grams are restated."""
    rows = connection.execute(
        "SELECT max(number) FROM restated WHERE notebook_id = ?", (notebook_id,)
    )
    return next((int(number) for (number,) in rows if number is not None), 0)


def held(connection: Connection, run_ids: Iterable[str]) -> frozenset[str]:
    """Those of the runs that have a row."""
    found: set[str] = set()
    rest = iter(run_ids)
    while part := list(islice(rest, 500)):  # SQLite takes up to 999 parameters (limits.html)
        marks = ",".join("?" * len(part))
        rows = connection.execute(f"SELECT run_id FROM record WHERE run_id IN ({marks})", part)
        found.update(run_id for (run_id,) in rows)
    return frozenset(found)


def notebook_of(connection: Connection, run_id: str) -> str | None:
    """The id of the notebook that a run was kept for; None of one that has no row."""
    rows = connection.execute("SELECT notebook_id FROM record WHERE run_id = ?", (run_id,))
    found: str | None = next((notebook_id for (notebook_id,) in rows), None)
    return found


def documents_after(
    connection: Connection, last: int, notebook_id: str, session_id: str | None
) -> list[tuple[int, str, str]]:
    """The rowids, ids and documents of a notebook's records that were kept since `last`."""
    # The last record is never deleted (retention.py), so that a later one has a higher rowid.
    rows = connection.execute(
        "SELECT rowid, run_id, document FROM record WHERE notebook_id = ?1 "
        "AND (?2 IS NULL OR session_id = ?2) "
        "AND (rowid > ?3 OR ?3 > (SELECT max(rowid) FROM record)) "
        "ORDER BY started, rowid",
        (notebook_id, session_id, last),
    )
    return list(rows)


def readable(documents: Sequence[str]) -> list[Record]:
    """The records of those documents that are ours."""
    records = []
    for document in documents:
        try:
            records.append(record_from_document(opened(document)))
        except (KeyError, TypeError, ValueError):
            continue
    return records


def ended_before(document: str, day: str) -> bool:
    """Whether a record's document is of a run that ended before a day (UTC, "2026-11-01")."""
    if not day:
        return False
    return any(
        utc_text(record.start + timedelta(seconds=record.duration_s)) < day
        for record in readable([document])
    )


def _ended(
    connection: Connection, host: str, session_id: str, start_s: float, end_s: float
) -> Iterator[Spell]:
    """When which runs of this host drew from which devices, of those of other sessions within a
    stretch of time."""
    start, end = utc_at(start_s), utc_at(end_s)
    columns = "notebook_id, session_id, started, ended, devices"
    rows = connection.execute(
        f"SELECT {columns} FROM record WHERE host = ?1 AND {SPAN} BETWEEN ?4 AND ?5 "
        "AND ended > ?2 AND started < ?3 AND session_id <> ?8 UNION ALL "
        f"SELECT {columns} FROM record WHERE host = ?1 AND {SPAN} IN (?6, ?7, '') "
        "AND ended > ?2 AND started < ?3 AND session_id <> ?8",
        (host, start, end, start[:13], end[:13], start[:10], start[:7], session_id),
    )
    for notebook_id, of_session, started, ended, devices in rows:
        spell = _spell((notebook_id, of_session, host), started, devices)
        last = foreign.moment(ended)
        if spell is not None and last is not None:
            yield replace(spell, end_s=last.timestamp())


def utc_at(moment_s: float) -> str:
    """A moment in s since the epoch as the store writes it."""
    return utc_text(datetime.fromtimestamp(moment_s, UTC))


def meanwhile(connection: Connection, records: Sequence[Record], procfs: Path) -> Iterator[Spell]:
    """When which runs of the hosts of these records drew from which devices, while those of another
    session ran: those that have ended, and those under way."""
    sessions: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        sessions.setdefault((record.host, record.session_id), []).append(record)
    for (host, session_id), runs in sorted(sessions.items()):
        starts = [(run.start.timestamp(), run.duration_s + TOGETHER_S) for run in runs]
        for start_s, end_s in Stretches((s, s + long_s) for s, long_s in starts):
            yield from _ended(connection, host, session_id, start_s, end_s)
    for host in sorted({host for host, _ in sessions}):
        yield from _under_way(connection, host, procfs)


def _under_way(connection: Connection, host: str, procfs: Path) -> Iterator[Spell]:
    """Those of the runs of a host that have not ended."""
    rows = connection.execute(
        "SELECT notebook_id, session_id, started, devices, pid, began FROM running WHERE host = ?",
        (host,),
    )
    for notebook_id, session_id, started, devices, pid, began in rows:
        if began is not None and began_at(pid, procfs) == began:
            spell = _spell((notebook_id, session_id, host), started, devices)
            if spell is not None:
                yield spell


def _spell(whose: tuple[str, str, str], started: object, devices: object) -> Spell | None:
    """A run that goes on, of what two columns hold; None where that is not ours."""
    start = foreign.moment(started)
    held = _devices(devices) if isinstance(devices, str) else None
    if start is None or held is None or not all(isinstance(text, str) for text in whose):
        return None
    return Spell(*whose, start.timestamp(), math.inf, held)


@lru_cache(8)
def _devices(text: str) -> frozenset[str] | None:
    """The devices that a column names, the same in most rows; None where it is not ours."""
    try:
        held = foreign.items(foreign.loads(text))
    except ValueError:
        return None
    return frozenset(held) if all(isinstance(device, str) for device in held) else None


def announce(connection: Connection, spell: Spell, pid: int, began: int) -> None:
    """Write down that a session has a cell that runs, in which process."""
    started = utc_at(spell.start_s)
    devices = json.dumps(sorted(spell.devices))
    connection.execute(
        "INSERT OR REPLACE INTO running VALUES (?, ?, ?, ?, ?, ?, ?)",
        (spell.session_id, spell.notebook_id, spell.host, started, devices, pid, began),
    )


def withdraw(connection: Connection, session_id: str) -> None:
    """Write down that a session has no cell that runs."""
    connection.execute("DELETE FROM running WHERE session_id = ?", (session_id,))


def add_idle(connection: Connection, idle: Idle) -> None:
    """Keep what was drawn between two cells; the same a second time changes nothing."""
    row = (
        *(idle.idle_id, idle.notebook_id, idle.session_id),
        *(utc_text(idle.measurement.start), sealed(to_json(idle_to_document(idle)))),
    )
    connection.execute("INSERT INTO idle VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", row)


def idles(connection: Connection, notebook_id: str, session_id: str | None) -> list[Idle]:
    """What was drawn between a notebook's cells, of one session or of all, oldest first."""
    rows = connection.execute(
        "SELECT document FROM idle WHERE notebook_id = ?1 AND (?2 IS NULL OR session_id = ?2) "
        "ORDER BY started, rowid",
        (notebook_id, session_id),
    )
    found: dict[str, Idle] = {}
    for (document,) in rows:
        with suppress(KeyError, TypeError, ValueError):
            idle = idle_from_document(opened(document))
            if idle.notebook_id == notebook_id:  # a damaged index names others', and some twice
                found[idle.idle_id] = idle
    return list(found.values())

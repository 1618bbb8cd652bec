"""Pruning: the records of a time go, and the totals of its days stay.

A day is closed when its records are pruned: its totals are kept as they were. A run that began
before and ended after is kept, and counts on the first day that was not pruned. Nothing that ended
before that day comes back, from whatever journal (the triggers of history_tables.py see to it).

The file is not made smaller (VACUUM): that copies all that is left while nobody else may write, and
may number the records anew, by which readers know what is new to them. What comes next fills it.
"""

from __future__ import annotations

from datetime import UTC, datetime

from .documents import utc_text
from .history import Access, Wanted, refresh
from .history_rows import Day, compute, keep, pruned_before, stale_days, write_down_closed
from .history_tables import SPAN
from .migrations import Connection
from .model import Record
from .run_rows import readable

# So many records are deleted in one transaction: others may write between two.
AT_ONCE = 2000
_ENDED = f"host IN (SELECT host FROM day) AND {SPAN} < ?1 AND started < ?1 AND ended < ?1"


def prunable(store: Access, before: str) -> int:
    """How many records a prune of all before a day ("2026-11-01") would delete."""

    def count(connection: Connection) -> int:
        rows = connection.execute(f"SELECT count(*) FROM record WHERE {_ENDED}", (before,))
        ((number,),) = rows
        return int(number)

    return store.read(count, 0)


def prune(store: Access, before: str) -> int:
    """Delete the records, idle times and power traces of all that ended before a day.

    How many records those were. Raises StoreError; what was deleted by then stays deleted, and
    what was not is deleted by the next prune.
    """
    refresh(store, Wanted(until=before), lambda _: None)
    store.write(lambda connection: _close(connection, before))
    deleted = 0
    while more := store.write(lambda connection: _delete(connection, before)):
        deleted += more
    store.write(_delete_rest)
    return deleted


def _close(connection: Connection, before: str) -> None:
    """Close the days before one, and write down that they are pruned."""
    if before <= pruned_before(connection):
        return
    across = _across(connection, before)
    days = {
        (day.host, day.day): day for day in stale_days(connection, "", before) if day.day < before
    }
    for record in across:
        for host, day, changes in connection.execute(
            "SELECT host, day, changes FROM day WHERE host = ? AND day >= ? AND day < ? "
            "AND state <> 'closed'",
            (record.host, utc_text(record.start)[:10], before),
        ):
            days[host, day] = Day(host, day, changes)
    for one in sorted(days.values()):
        keep(connection, one, compute(connection, one, stay=across), "closed")
    connection.execute("UPDATE day SET state = 'closed' WHERE day < ?", (before,))
    connection.execute("INSERT INTO pruned VALUES (?, ?)", (before, utc_text(datetime.now(UTC))))
    write_down_closed(connection)
    for host in sorted({record.host for record in across}):
        connection.execute(
            "INSERT INTO day (host, day, changes, state) SELECT ?1, ?2, 0, 'stale' "
            "WHERE NOT EXISTS (SELECT 1 FROM day WHERE host = ?1 AND day = ?2)",
            (host, before),
        )
        connection.execute(
            "UPDATE day SET changes = changes + 1, state = 'stale' WHERE host = ? AND day = ?",
            (host, before),
        )


def _across(connection: Connection, before: str) -> list[Record]:
    """The runs that began before a day and had not ended by then."""
    rows = connection.execute(
        f"SELECT document FROM record WHERE host IN (SELECT host FROM day) "
        f"AND {SPAN} IN (?1, '') AND started < ?2 AND ended >= ?2",
        (before[:7], before),
    )
    return readable([document for (document,) in rows])


def _delete(connection: Connection, before: str) -> int:
    """Delete some of the records that ended before a day; how many."""
    # Never the record that was written last: the next one would get its number again, and readers
    # that have seen that number would take the next record for seen (run_rows.documents_after).
    connection.execute(
        f"DELETE FROM record WHERE rowid IN (SELECT rowid FROM record WHERE {_ENDED} "
        "AND rowid < (SELECT max(rowid) FROM record) LIMIT ?2)",
        (before, AT_ONCE),
    )
    ((deleted,),) = connection.execute("SELECT changes()")
    return int(deleted)


def _delete_rest(connection: Connection) -> None:
    before = pruned_before(connection)
    connection.execute("DELETE FROM idle WHERE started < ?", (before,))
    connection.execute(
        "DELETE FROM power_trace WHERE NOT EXISTS "
        "(SELECT 1 FROM record WHERE record.run_id = power_trace.run_id)"
    )

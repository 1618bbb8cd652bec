"""The store's rows of day totals: which are stale, how they are computed again, what is kept.

Every function works within a transaction, or a read, of the store's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from .day_totals import MACHINE, DayTotals, Row, day_totals, with_all_words
from .documents import to_json, utc_text
from .history_tables import PRUNED, SPAN
from .migrations import Connection
from .model import Record
from .notebook_rows import text_of
from .run_rows import readable
from .seal import sealed

# A moment's text begins with its day and a "T": all moments of a day lie between it and this.
END = "U"
# The table of each part of DayTotals.
TABLES = {
    "totals": "day_total",
    "devices": "day_device",
    "grams": "day_grams",
    "overlaps": "day_overlap",
}
NOTHING = "''"
GROUPS = {"notebook": "notebook_id", "day": "day", "host": "host", "": NOTHING}
_FACTOR = (  # day_totals.FACTOR
    "kind, zone, place, source, year, pue, how, assumed, "
    "boundary, scope, resolution, quality, pue_source, g_per_kwh"
)
# How the rows of each part add up, and what they are grouped by beside what is asked for.
SUMS = {
    "totals": (
        """sum(runs), sum(interrupted), sum(known), sum(without_grams), sum(duration_s),
        sum(low_j), sum(mid_j), sum(high_j), min(first), max(last)""",
        "host",
    ),
    # The excess is of the row with the largest u (sqlite.org/lang_select.html, "bare columns"), as
    # in uncertainty.sum_over_time.
    "devices": (
        """device, sum(energy_j), sum(variance_j2), sum(fourth_j4), sum(u_systematic_j),
        excess_systematic, max(u_systematic_j)""",
        "device",
    ),
    "grams": (
        f"{_FACTOR}, sum(low_g), sum(mid_g), sum(high_g), sum(energy_j), sum(estimated_g)",
        _FACTOR,
    ),
    "overlaps": ("other", "other"),
}


@dataclass(frozen=True, slots=True, order=True)
class Day:
    """A day (UTC, "2026-11-01") of a host, and how often it had been marked when it was read."""

    host: str
    day: str
    changes: int = 0


@dataclass(frozen=True, slots=True)
class Named:
    """What a notebook is called, and where it was last seen."""

    name: str
    path: str | None


def pruned_before(connection: Connection) -> str:
    """The first day of which there are still all records; '' where nothing was pruned."""
    ((day,),) = connection.execute(f"SELECT {PRUNED}")
    return str(day)


def pruned_of(connection: Connection, notebook_id: str) -> str:
    """The day before which a notebook's records were pruned; '' where it lost none."""
    rows = connection.execute(
        f"SELECT {PRUNED} FROM day_total WHERE notebook_id = ? AND day < {PRUNED} LIMIT 1",
        (notebook_id,),
    )
    return str(next((day for (day,) in rows), ""))


def stale_days(connection: Connection, since: str, until: str) -> list[Day]:
    """The days from one to another that are to be computed, newest first."""
    rows = connection.execute(
        "SELECT host, day, changes FROM day WHERE state = 'stale' AND day BETWEEN ? AND ? "
        "ORDER BY day DESC, host",
        (since, until),
    )
    return [Day(*row) for row in rows]


def days_kept(connection: Connection) -> list[tuple[str, str]]:
    """The days (host, day) whose totals are kept and may still change."""
    return list(connection.execute("SELECT host, day FROM day WHERE state = 'kept'"))


def belongs(record: Record, first: str) -> str:
    """The day that a run counts on: when it began, or the `first` day that was not pruned."""
    return max(utc_text(record.start)[:10], first)


def last_moment(record: Record) -> str:
    """When a run ended, as the store writes it."""
    return utc_text(record.start + timedelta(seconds=record.duration_s))


def compute(
    connection: Connection | None,
    day: Day,
    more: Sequence[Record] = (),
    stay: Sequence[Record] = (),
) -> DayTotals:
    """A day's totals from its records, and from `more` records that the store does not have.

    What is in `stay` is left out, and so is the time that others share with it.
    """
    first, found = "", list(more)
    if connection is not None:
        first, found = pruned_before(connection), [*_meeting(connection, day), *more]
    others = {record.run_id for record in stay}
    found = [r for r in found if r.host == day.host and r.run_id not in others]
    began = [r for r in found if belongs(r, first) == day.day]
    earlier = [r for r in found if belongs(r, first) < day.day <= last_moment(r)]
    return day_totals(began, [*earlier, *(r for r in stay if r.host == day.host)])


def _meeting(connection: Connection, day: Day) -> list[Record]:
    """The records of a host that began on a day, or before and reach into it."""
    rows = connection.execute(
        f"SELECT document FROM record WHERE host = ?1 AND {SPAN} >= ?2 AND {SPAN} < ?3 "
        f"UNION ALL SELECT document FROM record WHERE host = ?1 AND {SPAN} IN (?4, '') "
        "AND started < ?3 AND ended >= ?2",
        (day.host, day.day, day.day + END, day.day[:7]),
    )
    return readable([document for (document,) in rows])


def keep(connection: Connection, day: Day, totals: DayTotals, state: str = "kept") -> None:
    """Keep a day's totals in place of those before, unless it has been marked since."""
    place = day.host, day.day
    now = list(connection.execute("SELECT changes FROM day WHERE host = ? AND day = ?", place))
    if now != [(day.changes,)]:
        return
    for part, table in TABLES.items():
        connection.execute(f"DELETE FROM {table} WHERE host = ? AND day = ?", place)
        rows: Sequence[Row] = getattr(totals, part)
        if rows:
            marks = ", ".join("?" * len((*place, *rows[0])))
            connection.executemany(
                f"INSERT INTO {table} VALUES ({marks})", [(*place, *row) for row in rows]
            )
    connection.execute("UPDATE day SET state = ? WHERE host = ? AND day = ?", (state, *place))


def write_down_closed(connection: Connection) -> None:
    """Keep the totals of closed days as documents too, those that are not yet."""
    before = pruned_before(connection)
    closed = connection.execute(
        "SELECT host, day FROM day WHERE state = 'closed' AND NOT EXISTS "
        "(SELECT 1 FROM closed_day WHERE closed_day.host = day.host AND closed_day.day = day.day)"
    )
    for place in list(closed):
        document: dict[str, object] = {
            "closed_day": place[1],
            "host": place[0],
            "pruned_before": before,
        }
        for part, table in TABLES.items():
            rows = connection.execute(f"SELECT * FROM {table} WHERE host = ? AND day = ?", place)
            document[part] = [row[len(place) :] for row in rows]
        connection.execute(
            "INSERT INTO closed_day VALUES (?, ?, ?)", (*place, sealed(to_json(document)))
        )


def restore_closed(connection: Connection, document: Mapping[str, Any]) -> None:
    """Write the totals of a closed day that another store had, unless it is closed here.

    Raises KeyError, TypeError, and what the connection raises, for no document of ours.
    """
    host, day, before = (document[k] for k in ("host", "closed_day", "pruned_before"))
    found = connection.execute("SELECT state FROM day WHERE host = ? AND day = ?", (host, day))
    if list(found) == [("closed",)]:
        return
    parts = {part: tuple(map(tuple, document[part])) for part in TABLES}
    parts["grams"] = tuple(map(with_all_words, parts["grams"]))
    totals = DayTotals(**parts)
    connection.execute("INSERT OR REPLACE INTO day VALUES (?, ?, 1, 'stale')", (host, day))
    keep(connection, Day(host, day, 1), totals, "closed")
    if before > pruned_before(connection):
        now = utc_text(datetime.now(UTC))
        connection.execute("INSERT INTO pruned VALUES (?, ?)", (before, now))
    write_down_closed(connection)


def absent(connection: Connection, records: Iterable[Record]) -> list[Record]:
    """Those of the records that the store neither has nor takes, each once."""
    first, found = pruned_before(connection), {}
    for record in records:
        has = connection.execute("SELECT 1 FROM record WHERE run_id = ?", (record.run_id,))
        if not list(has) and last_moment(record) >= first:
            found[record.run_id] = record
    return list(found.values())


def sums(
    connection: Connection, by: str, since: str, until: str, without: Sequence[tuple[str, str]]
) -> Iterator[tuple[str, str, str, Row]]:
    """The sums of what is kept from one day to another: part of DayTotals, group, host, figures.

    `by` is "notebook", "day", "host", or "" for one group of all. Days (host,
    day) that are stale, or in `without`, are left out. The host is told with the `totals` alone.
    """
    group = GROUPS[by]
    left_out, arguments = "SELECT host, day FROM day WHERE state = 'stale'", [since, until]
    if without:
        left_out += f" UNION ALL VALUES {', '.join(['(?, ?)'] * len(without))}"
        arguments += [text for day in without for text in day]
    days = f"day BETWEEN ? AND ? AND (host, day) NOT IN ({left_out})"
    for part, (figures, more) in SUMS.items():
        # Overlaps are the notebooks' own, whatever they are grouped by.
        machine = by != "notebook" and part != "overlaps"
        rows = connection.execute(
            f"SELECT {group}, {'host' if part == 'totals' else NOTHING}, {figures} "
            f"FROM {TABLES[part]} WHERE notebook_id {'=' if machine else '<>'} '{MACHINE}' "
            f"AND {days} GROUP BY 1, {more}",
            arguments,
        )
        yield from ((part, row[0], row[1], tuple(row[2:])) for row in rows)


def names(connection: Connection) -> dict[str, Named]:
    """What the notebooks are called, by id; also those that have been deleted since."""
    rows = connection.execute("SELECT id, name, path FROM notebook")
    return {
        notebook_id: Named(text_of(name), None if path is None else text_of(path))
        for notebook_id, name, path in rows
    }

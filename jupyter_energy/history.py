"""Totals over notebooks, days and hosts: what `history` shows.

The store keeps the totals of each host's day (history_rows.py); here stale ones are computed again,
and all are added up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from .carbon_sums import add_carbon
from .day_totals import FACTOR, MACHINE, DayTotals, Row
from .errors import StoreError
from .history_rows import (
    Day,
    Named,
    absent,
    belongs,
    compute,
    days_kept,
    keep,
    last_moment,
    names,
    pruned_before,
    stale_days,
    sums,
)
from .json_shapes import (
    CarbonJson,
    HistoryJson,
    HistoryRowJson,
    HistoryTotalsJson,
    NotebookJson,
)
from .migrations import Connection
from .model import Record
from .schema import SCHEMA, grams_of_a_part, range_json, value_json
from .uncertainty import Range, Spread, Uncertain, sum_over_devices

T = TypeVar("T")
# Sorts behind every day.
NEVER = "9999-12-31"
# Days that are computed in one go, before they are written: others may write between two goes.
AT_ONCE = 20
# Sessions that no file tells apart, those of a terminal say, are one row: this and their name.
WITHOUT_FILE = "without a file: "
TELL_AFTER_S = 1.0
COUNTED_ONCE = "what several notebooks measured at the same time is counted once"


class Access(Protocol):
    """The store's database."""

    def read(self, call: Callable[[Connection], T], nothing: T) -> T:
        """The answer of `call`, or `nothing` where there is no file."""

    def write(self, call: Callable[[Connection], T]) -> T:
        """The answer of `call`, made within a transaction."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which history: by "notebook", "day" or "host", from a day to another, both included."""

    by: str = "notebook"
    since: str | None = None
    until: str | None = None


@dataclass(slots=True)
class Sums:
    """Totals as they are added up from the rows of days."""

    counts: list[int] = field(default_factory=lambda: [0] * 4)
    duration_s: float = 0.0
    estimated: Range | None = None
    first: str | None = None
    last: str | None = None
    hosts: set[str] = field(default_factory=set)
    devices: dict[str, tuple[float, Spread, float, tuple[float, float]]] = field(
        default_factory=dict
    )
    grams: dict[tuple[Any, ...], list[float]] = field(default_factory=dict)
    others: set[str] = field(default_factory=set)

    def add(self, part: str, host: str, row: Sequence[Any]) -> None:
        """Add a row of one part of DayTotals, or of a sum of such rows."""
        if part == "totals":
            self._add_totals(host, row)
        elif part == "devices":
            self._add_device(*row)
        elif part == "grams":
            words, figures = tuple(row[: len(FACTOR)]), row[len(FACTOR) :]
            sums_g = self.grams.setdefault(words, [0.0] * 5)
            sums_g[:] = [one + other for one, other in zip(sums_g, figures, strict=True)]
        else:
            self.others.add(row[0])

    def _add_totals(self, host: str, row: Sequence[Any]) -> None:
        *counts, duration_s, low_j, mid_j, high_j, first, last = row
        self.counts = [one + other for one, other in zip(self.counts, counts, strict=True)]
        self.duration_s += duration_s
        if mid_j is not None:
            before = self.estimated or Range(0.0, 0.0, 0.0)
            self.estimated = Range(before.low + low_j, before.mid + mid_j, before.high + high_j)
        self.first = first if self.first is None else min(first, self.first)
        self.last = last if self.last is None else max(last, self.last)
        self.hosts.add(host)

    def _add_device(
        self,
        device: str,
        energy_j: float,
        variance_j2: float,
        fourth_j4: float,
        u_systematic_j: float,
        excess: float,
        widest_j: float | None = None,
    ) -> None:
        old = self.devices.get(device, (0.0, Spread(), 0.0, (-1.0, 0.0)))
        widest = u_systematic_j if widest_j is None else widest_j
        self.devices[device] = (
            old[0] + energy_j,
            old[1] + Spread(variance_j2, fourth_j4),
            old[2] + u_systematic_j,
            max(old[3], (widest, excess), key=lambda one: one[0]),
        )

    def measured(self) -> Uncertain | None:
        """The measured energy in J: gains add up over time, and not over devices."""
        return sum_over_devices(
            Uncertain(energy_j, random.u, u_systematic_j, random.excess, excess)
            for energy_j, random, u_systematic_j, (_, excess) in self.devices.values()
        )

    def carbon(self) -> CarbonJson | None:
        """The grams, with the factors that they were computed with."""
        items = []
        for words, (low, mid, high, energy_j, estimated_g) in sorted(
            self.grams.items(), key=lambda one: tuple(map(str, one[0]))
        ):
            of = dict(zip(FACTOR, words, strict=True))
            one: CarbonJson = {
                "low": low,
                "mid": mid,
                "high": high,
                "g_per_kwh": of["g_per_kwh"],
                "zone": of["zone"],
                "place": of["place"],
                "kind": of["kind"],
                "boundary": of["boundary"],
                "scope": of["scope"],
                "resolution": of["resolution"],
                "factor_quality": of["quality"],
                "source": of["source"],
                "year": of["year"],
                "pue": of["pue"],
                "pue_source": of["pue_source"] or None,
                "how": of["how"],
                # There may be another one for each run: summary and cells tell them.
                "note": None,
                "start": None,
                "end": None,
                "said_g": None,
                "assumed": bool(of["assumed"]),
                "estimated_share": min(1.0, estimated_g / mid) if mid > 0 else 0.0,
                "parts": None,
            }
            items.append((one, energy_j))
        return add_carbon(items)

    def to_json(self, warnings: Iterable[str]) -> HistoryTotalsJson:
        """The totals as JSON."""
        runs, interrupted, known, without_grams = self.counts
        return {
            "runs": runs,
            "duration_s": self.duration_s,
            "measured_j": value_json(self.measured()),
            "estimated_j": range_json(self.estimated),
            "carbon_g": self.carbon(),
            "first": self.first,
            "last": self.last,
            "interrupted": interrupted,
            "warnings": [
                *warnings,
                *_energy_of_a_part(known, runs),
                *grams_of_a_part(without_grams, known, "runs"),
            ],
        }


@dataclass(slots=True)
class Found:
    """The sums of each group, of all together, and what notebooks are called."""

    groups: dict[str, Sums] = field(default_factory=dict)
    whole: Sums = field(default_factory=Sums)
    names: Mapping[str, Named] = field(default_factory=dict)
    # By the id of a notebook without a file: under what it is added up with those of its name.
    nameless: Mapping[str, str] = field(default_factory=dict)

    def add(self, part: str, group: str, host: str, row: Sequence[Any], whole: bool) -> None:
        """Add a row to its group, or to the whole."""
        group = self.nameless.get(group, group)
        sums_of = self.whole if whole else self.groups.setdefault(group, Sums())
        sums_of.add(part, host, row)


def load(
    store: Access, wanted: Wanted, more: Sequence[Record], tell: Callable[[str], None]
) -> Found:
    """The history of all records in the store, and of `more` that may not be there yet.

    `tell` is called with a line where it takes a while. Raises StoreError where the store cannot be
    read; where it cannot be written, what is stale is computed each time.
    """
    with suppress(StoreError):
        refresh(store, wanted, tell)
    nothing = _found(None, wanted, more)
    return store.read(lambda connection: _found(connection, wanted, more), nothing)


def refresh(store: Access, wanted: Wanted, tell: Callable[[str], None]) -> None:
    """Compute the stale days again, and keep them. Raises StoreError where they cannot be kept."""
    since, until = wanted.since or "", wanted.until or NEVER
    started_s, told = time.monotonic(), False
    nothing: list[Day] = []
    todo = store.read(lambda c: stale_days(c, since, until), nothing)
    for at in range(0, len(todo), AT_ONCE):
        _compute_and_keep(store, todo[at : at + AT_ONCE])
        if not told and time.monotonic() - started_s > TELL_AFTER_S and at + AT_ONCE < len(todo):
            tell(f"adding up the records of {len(todo)} days, once; this takes a moment")
            told = True


def _compute_and_keep(store: Access, days: Sequence[Day]) -> None:
    # Not computed within the transaction: nobody else could write meanwhile.
    nothing: list[tuple[Day, DayTotals]] = []
    made = store.read(lambda c: [(day, compute(c, day)) for day in days], nothing)

    def write(connection: Connection) -> None:
        for day, totals in made:
            keep(connection, day, totals)

    store.write(write)


def _found(connection: Connection | None, wanted: Wanted, more: Sequence[Record]) -> Found:
    """The history: what is kept, and computed here what is stale or has more records."""
    since, until = wanted.since or "", wanted.until or NEVER
    first = "" if connection is None else pruned_before(connection)
    new = list(more) if connection is None else absent(connection, more)
    reach = [(r.host, belongs(r, first), max(last_moment(r)[:10], first)) for r in new]
    touched = {(host, day) for host, day, _ in reach}
    found = Found()
    if connection is not None:
        touched |= {
            (host, day)
            for host, day in (days_kept(connection) if new else ())
            if any(h == host and began <= day <= ended for h, began, ended in reach)
        }
    touched = {(host, day) for host, day in touched if since <= day <= until}
    todo = set(touched)
    if connection is not None:
        todo |= {(day.host, day.day) for day in stale_days(connection, since, until)}
        found.names = names(connection) if wanted.by == "notebook" else {}
        found.nameless = {
            notebook_id: f"{WITHOUT_FILE}{named.name}"
            for notebook_id, named in found.names.items()
            if named.path is None
        }
        for by in (wanted.by, ""):
            for part, group, host, row in sums(connection, by, since, until, sorted(touched)):
                found.add(part, group, host, row, whole=not by)
    for host, day in sorted(todo):
        _add_day(found, wanted.by, Day(host, day), compute(connection, Day(host, day), new))
    return found


def _add_day(found: Found, by: str, day: Day, totals: DayTotals) -> None:
    for part in ("totals", "devices", "grams", "overlaps"):
        rows: Sequence[Row] = getattr(totals, part)
        for notebook_id, *row in rows:
            group = {"notebook": str(notebook_id), "day": day.day, "host": day.host}[by]
            is_machine = notebook_id == MACHINE
            if part == "overlaps" or is_machine:
                found.add(part, "", day.host, row, whole=True)
            if part == "overlaps" or is_machine != (by == "notebook"):
                found.add(part, group, day.host, row, whole=False)


def history_json(found: Found, wanted: Wanted, version: str) -> HistoryJson:
    """The history as JSON: notebooks with the most energy first, days newest first."""
    rows = [_row(found, wanted.by, group, sums_of) for group, sums_of in found.groups.items()]
    rows.sort(key=lambda row: row["hosts"])
    if wanted.by == "day":
        rows.sort(key=lambda row: row["day"] or "", reverse=True)
    else:
        rows.sort(key=_cost_j, reverse=True)
    once = [COUNTED_ONCE] if found.whole.others else []
    return {
        "schema": SCHEMA,
        "version": version,
        "by": wanted.by,
        "since": wanted.since,
        "until": wanted.until,
        "totals": found.whole.to_json(once),
        "rows": rows,
    }


def _row(found: Found, by: str, group: str, sums_of: Sums) -> HistoryRowJson:
    notebook, told = None, []
    if by == "notebook":
        if group.startswith(WITHOUT_FILE):
            notebook = NotebookJson(id=None, path=None, name=group.removeprefix(WITHOUT_FILE))
        else:
            known = found.names.get(group, Named("a notebook that is not known", None))
            notebook = NotebookJson(id=group or None, path=known.path, name=known.name)
        told = overlap_flag(len(sums_of.others))
    elif sums_of.others:
        told = [COUNTED_ONCE]
    return HistoryRowJson(
        **sums_of.to_json(told),
        notebook=notebook,
        day=group if by == "day" else None,
        hosts=sorted(sums_of.hosts),
        overlaps=len(sums_of.others) if by == "notebook" else None,
    )


def overlap_flag(others: int) -> list[str]:
    """What to say of a notebook where so many others measured the same devices; nothing of none."""
    if not others:
        return []
    notebooks = "1 other notebook" if others == 1 else f"{others} other notebooks"
    return [f"measured at the same time as {notebooks}; the total counts it once"]


def _energy_of_a_part(known: int, runs: int) -> list[str]:
    """That some runs have no energy, where others have; what is not known is in no sum."""
    if not 0 < known < runs:
        return []
    have = "has" if runs - known == 1 else "have"
    return [f"{runs - known} of {runs} runs {have} no energy: the figures are of the others"]


def _cost_j(row: HistoryRowJson) -> float:
    """What rows are ordered by; never shown, because measured and estimated do not add."""
    measured, estimated = row["measured_j"], row["estimated_j"]
    if measured is None and estimated is None:
        return -1.0
    return (measured["value"] if measured else 0.0) + (estimated["mid"] if estimated else 0.0)

"""A file of yours: times and g CO2e/kWh as CSV, such as Electricity Maps' own downloads.

`Energy.csv_trace` names it. One column holds moments (UTC, or with their zone), one figures in
g/kWh; the first line names them. No network. Of Electricity Maps' columns the life cycle's is
taken, and the direct one's only where it is alone. Rows that cannot be are left out and counted,
with why; what the name of a column does not say is told with each figure.
"""

from __future__ import annotations

import csv
import io
import math
import re
import stat
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import chain, pairwise
from pathlib import Path
from typing import Literal, TypeVar

from .. import foreign
from ..errors import ProviderError
from ..plain_text import clean
from .answers import MOST_G_PER_KWH, MOST_INTERVALS, in_order, usual
from .base import Get, Interval, Provider, Quality, Query, Reply, Signal

T = TypeVar("T")
# The file is looked at so often, as it may grow.
_STEP_S = 3600.0
_KEPT = 2
# A year of Electricity Maps in steps of five minutes takes 16 MB.
MOST_BYTES = 32 * 2**20
_TIME = re.compile(
    r"date.?time|time.?stamp|(point|start)?.?time\b|^(from|start|date|utc)\b", re.ASCII
)
_G_PER_KWH = re.compile(r"(?<![a-z])g(ram)?s?[^a-z]?(co.{0,8})?[ _]*(/|per) ?_?kwh")
_VALUE = re.compile(rf"intensity|{_G_PER_KWH.pattern}|gco2|co2e? ?g|moer")
_NO_VALUE = re.compile(r"%|percent|index|source|method|version")
# Of these a figure is not in g/kWh, whatever else its column's name says.
_OTHER_UNIT = re.compile(
    r"(?<![a-z])[mµ]g|lbs?\b|lbs?[_ /]|kg|tonne|t ?/|(/|per[ _]) ?([mgt]?wh|[kmgt]?j)(?![a-z])"
)
# A mass by an energy: so it is said of a column that none of the above is found of.
_OTHER_SHARE = re.compile(
    r"(?<![a-z])([kmµ]?g(ram)?s?|lbs?|pounds?|tonnes?|tons?|t)([^a-z]?co.{0,8})?[ _]*(/|per) ?_?"
    r"([kmgt]?wh|[kmgt]?j)(?![a-z])"
)
_UTC = re.compile(r"(?<![a-z])utc(?![a-z0-9]|[ _]*([+\-\u2212\u2013±]|offset))")
_FORECAST = re.compile(r"forecast|predict|prognos")
_DIRECT = re.compile(r"(?<![a-z])direct|moer")  # of power stations as they run (WattTime's MOER)
_LIFE_CYCLE = re.compile(r"life.?cycle|(?<![a-z])lca(?![a-z])")  # not "nationalCarbon"
_PRODUCTION = re.compile(r"production|(?<![a-z])produced|moer")
_CONSUMPTION = re.compile(r"consumption|(?<![a-z])consumed")
# Seconds since 1970 have nine digits from 1973 on; 20260131 is a date.
_SECONDS = re.compile(r"[0-9]{9,11}")
# A longer file is read in parts, where these can be found (csv_part.py).
_LESS = "sort its rows by time, or leave years or zones out"
_YES = frozenset({"true", "1", "yes"})
_MOST_BAD = 0.5
# The least that any technology stands for over its life cycle: hydropower's (IPCC AR5, WG3,
# annex III). A file whose mean is below is in kg/kWh, if it is not of direct emissions.
_LEAST_G_PER_KWH = 1.0


def file_reader(file: str) -> Get:
    """Gives the content of a file where a service would be asked, and 304 (RFC 9110, 15.4.5)
    where it is as "if-none-match" says."""

    def get(_path: str, headers: Mapping[str, str]) -> Reply:
        if not file:
            raise _problem("no file is named: set Energy.csv_trace")
        path = Path(file).expanduser()
        why = None
        try:
            found = path.stat()
            if not stat.S_ISREG(found.st_mode):  # a named pipe would be waited for
                raise OSError("it is no file")
            etag = f"{found.st_ino}-{found.st_size}-{found.st_mtime_ns}"
            if etag in headers.get("if-none-match", "").split(", "):
                return Reply(304, {"etag": etag}, b"")
            with path.open("rb") as opened:
                body = opened.read(MOST_BYTES + 1)
        except OSError as error:
            why = error.strerror or str(error) or type(error).__name__
        if why is not None:
            name = path.absolute().name or str(path)  # "." has none, and "/" has none at all
            raise _problem(f"{name} cannot be read ({why})")
        if len(body) > MOST_BYTES:
            raise _problem(f"{path.name} is larger than {MOST_BYTES >> 20} MiB: {_LESS}")
        return Reply(200, {"x-name": path.name, "etag": etag}, body)

    return get


def moments_of(name: str, first: bytes) -> Callable[[bytes], datetime | None]:
    """Gives the moment of a line (UTC), or None, in a file with this first line.

    Raises ProviderError where it has no column of times or of figures, and the function where a
    line's time does not say its zone.
    """
    return _Table(name, first).moment


class CsvTrace:
    """A table in a file; `region` is the zone whose rows count, "" where the file has one only."""

    name = "csv_trace"
    title = "the file"
    step_s = _STEP_S
    url = ""
    secrets = ()

    def __init__(self) -> None:
        # What was read last, by region and by which file, or part of one, that was: the values
        # around now, and those of a plan.
        self._read: dict[tuple[str, str], Signal] = {}

    def region(self, zone: str) -> str:
        """The zone as it stands in the file."""
        return zone

    def fetch(self, query: Query, get: Get) -> Signal:
        """All of the file, or of a large one the part for that time and as much before it as is
        read of one. It is read anew where it has changed. Raises ProviderError."""
        days = f"{query.start:%Y-%m-%d}/{query.end + timedelta(days=1):%Y-%m-%d}"
        known = {etag: signal for (of, etag), signal in self._read.items() if of == query.region}
        reply = get(days, {"if-none-match": ", ".join(known)} if known else {})
        etag = reply.headers.get("etag", "")
        if reply.status == 304:
            return replace(known[etag], fetched=query.now)
        found = self._signal(query, reply)
        before = dict([*self._read.items()][1 - _KEPT :])
        self._read = {**before, (query.region, etag): found}
        return found

    def _signal(self, query: Query, reply: Reply) -> Signal:
        """What the file says."""
        table = _Table(clean(reply.headers["x-name"]), reply.body)
        points, bad = table.points(query.region)
        rows = bad.total() + len(points)
        if bad.total() > _MOST_BAD * rows:
            what = f"{bad.total()} of {rows} rows cannot be read: {_counted(bad)}"
            raise _problem(f"{table.name}: {what}")
        if len(points) < 2:
            raise _problem(f"{table.name} holds fewer than two values", "empty")
        starts = sorted(points)
        step_s = usual((b - a).total_seconds() for a, b in pairwise(starts))
        assert step_s is not None  # of two starts there is one
        step = timedelta(seconds=step_s)
        return Signal(
            zone=table.zone or query.region or table.name,
            place=table.place,  # a file that names none is of the place as it is set
            kind=table.kind,
            boundary=table.boundary,
            scope=table.scope,
            step_s=step_s,
            source=table.source(bad, [value for value, _ in points.values()]),
            url="https://www.electricitymaps.com" if table.is_electricity_maps else "",
            fetched=query.now,
            intervals=in_order(Interval(start, start + step, *points[start]) for start in starts),
        )


class _Table:
    """The file as rows, and what the names of its columns say. Raises ProviderError."""

    kind: Literal["average", "marginal"]
    boundary: Literal["consumption", "production"]
    scope: Literal["lifecycle", "direct"]

    def __init__(self, name: str, body: bytes) -> None:
        self.name = name
        self.zone = self.place = ""
        # Read as it is used: the whole of it as text would take four times its size.
        lines = io.TextIOWrapper(io.BytesIO(body), encoding="utf-8-sig", newline="")
        first = self._told(lines.readline)
        self._delimiter = max(",;\t", key=first.count)
        self._rows = csv.reader(chain([first], lines), delimiter=self._delimiter)
        names = [cell.strip() for cell in self._next() or []]
        self._names = [name.casefold() for name in names]
        self._time = self._column(_TIME, "times", "it 'time (UTC)'")
        self._value = self._value_column()
        said = self._said = self._names[self._value]
        self.is_electricity_maps = "zone id" in self._names and "gco₂eq/kwh" in said
        self.kind = "marginal" if re.search(r"marginal|moer", said) else "average"
        life_cycle = _LIFE_CYCLE.search(said)
        self.scope = "direct" if _DIRECT.search(said) and not life_cycle else "lifecycle"
        tells_scope = bool(life_cycle) or self.scope == "direct"
        produced, consumed = _PRODUCTION.search(said), _CONSUMPTION.search(said)
        self.boundary = "production" if produced and not consumed else "consumption"
        # Electricity Maps' figures are of what is used: its flow tracing counts imports.
        tells_boundary = bool(produced or consumed) or self.is_electricity_maps
        untold = {
            "g/kWh": bool(_G_PER_KWH.search(said)) or self.is_electricity_maps,
            self.kind: tells_scope or self.kind == "marginal",
            self.scope: tells_scope,
            f"{self.boundary} based": tells_boundary,
        }
        self._taken = ", ".join(word for word, is_told in untold.items() if not is_told)
        self._quality: Quality = "forecast" if _FORECAST.search(said) else "measured"
        self._is_utc = bool(_UTC.search(self._names[self._time]))

    def points(self, zone: str) -> tuple[dict[datetime, tuple[float, Quality]], Counter[str]]:
        """Value and quality by moment, and how many rows cannot be, by why. Raises
        ProviderError."""
        points: dict[datetime, tuple[float, Quality]] = {}
        bad: Counter[str] = Counter()
        ids, names = self._place_of("zone id"), self._place_of("zone name")
        estimated = self._place_of("data estimated")
        seen: set[str] = set()
        while (row := self._next()) is not None:
            where = _cell(row, ids) if ids is not None else ""
            if where and zone and where.casefold() != zone.casefold():
                seen.add(where)
                continue
            if not _cell(row, self._value):  # a gap, or an empty line
                continue
            start, value = self._moment(_cell(row, self._time)), self._number(row)
            why = "without a time" if start is None else _why_not(value)
            if why is not None or start is None:  # where it is None, so it says
                bad[str(why)] += 1
                continue
            if start in points and points[start][0] != value:
                bad["with another value in a later row"] += 1
            if where:
                seen.add(where)
                self.zone, self.place = clean(where), clean(_cell(row, names) or where)
            is_estimated = estimated is not None and _cell(row, estimated).casefold() in _YES
            points[start] = value, "estimated" if is_estimated else self._quality
        if len(seen) > 1 and not zone:
            several = ", ".join(sorted(seen)[:5])
            raise _problem(
                f"{self.name} holds several zones: set Energy.provider_zone to {several}"
            )
        if seen and not points and zone:
            raise ProviderError(
                f"{self.name} has no rows of {zone!r:.40}, but of {min(seen)!r:.40}",
                "garbage",
                remedy=f"if {min(seen)!r:.40} is your place, set Energy.provider_zone to it",
            )
        return points, bad

    def moment(self, line: bytes) -> datetime | None:
        """The moment of a line by itself."""
        row = next(csv.reader([line.decode("utf-8", "replace")], delimiter=self._delimiter), [])
        return self._moment(_cell(row, self._time))

    def source(self, bad: Counter[str], values: Sequence[float]) -> str:
        """Whose figures they are, and what is to be said of them."""
        name = f"Electricity Maps, {self.name}" if self.is_electricity_maps else self.name
        said = []
        if self._taken:
            said.append(f"taken as {self._taken}: its column does not say")
        if not any(values) and not _DIRECT.search(self._said):
            said.append("all its figures are 0, which are of no grid")
        elif sum(values) < _LEAST_G_PER_KWH * len(values) and not _DIRECT.search(self._said):
            span = f"{min(values):.2g} to {max(values):.2g}"
            said.append(f"figures of {span} g/kWh are of no grid: are they kg/kWh?")
        if bad:
            rows = bad.total() + len(values)
            said.append(f"{bad.total()} of {rows} rows left out: {_counted(bad)}")
        # In brackets: notes, among which a source may be quoted, are parted by semicolons.
        return f"{name} ({', '.join(said)})" if said else name

    def _next(self) -> list[str] | None:
        found = self._told(lambda: next(self._rows, None))
        if self._rows.line_num > 1 + MOST_INTERVALS:
            # A colon is what "since 19:24 UTC" is put before (known.py).
            raise _problem(
                f"{self.name} holds too many rows: {MOST_INTERVALS} are read at once; {_LESS}"
            )
        return found

    def _told(self, read: Callable[[], T]) -> T:
        """What reading gives. Raises ProviderError, out of reach of what the file holds."""
        try:
            return read()
        except csv.Error:
            problem = f"{self.name} is no CSV (line {self._rows.line_num})"
        except UnicodeDecodeError:
            problem = f"{self.name} is no UTF-8 text: save it as CSV in UTF-8"
        raise _problem(problem)

    def _column(self, pattern: re.Pattern[str], what: str, name: str) -> int:
        for number, name in enumerate(self._names):
            if pattern.search(name):
                return number
        raise self._lacks(what, name)

    def _lacks(self, what: str, name: str) -> ProviderError:
        return _problem(f"{self.name} has no column of {what}: name {name} in its first line")

    def _value_column(self) -> int:
        """The column of figures: of several that of the life cycle."""
        found = [
            number
            for number, name in enumerate(self._names)
            if number != self._time and _VALUE.search(name) and not _NO_VALUE.search(name)
        ]
        if not found:
            # Whoever were told to name such a column g/kWh would plan by wrong figures.
            other = next(
                (n for n in self._names if _OTHER_SHARE.search(n) and not _NO_VALUE.search(n)), None
            )
            if other is not None:
                raise _other(self.name, other)
            raise self._lacks("figures in g/kWh", "the one that is so 'g_per_kwh'")
        preferred = [n for n in found if _LIFE_CYCLE.search(self._names[n])]
        chosen = (preferred or found)[0]
        if len(found) > 1 and len(preferred) != 1:
            raise _problem(f"{self.name} has {len(found)} columns of figures: leave one")
        said = self._names[chosen]
        if _OTHER_UNIT.search(said):
            raise _other(self.name, said)
        if "moer" in said and not _G_PER_KWH.search(said):
            raise _problem(
                f"{self.name}: {said!r:.60} does not say its unit (WattTime's is lb/MWh): write "
                "figures in g/kWh, and that into its name"
            )
        return chosen

    def _place_of(self, name: str) -> int | None:
        return self._names.index(name) if name in self._names else None

    def _moment(self, text: str) -> datetime | None:
        """A moment in UTC, or None. Raises ProviderError for one whose zone nobody tells."""
        # Most in a column that says so do not: two tries of a year's take a fifth of its time.
        found = foreign.moment(f"{text}Z") if self._is_utc else None
        if found is None:
            found = foreign.moment(text)
        if found is None and _SECONDS.fullmatch(text):
            return datetime.fromtimestamp(int(text), UTC) if foreign.seconds(int(text)) else None
        if found is None and foreign.moment(f"{text}Z") is not None:
            raise _problem(
                f"{self.name}: its times do not say their zone: write 2026-01-31T12:00Z, or name "
                "the column 'time (UTC)'"
            )
        return found

    def _number(self, row: Sequence[str]) -> float:
        """The figure of a row; NaN where it has none."""
        text = _cell(row, self._value)
        if self._delimiter == ";":
            text = text.replace(",", ".")
        try:
            return float(text)
        except ValueError:
            return math.nan


def _why_not(g_per_kwh: float) -> str | None:
    """Why a figure cannot be a grid's, in words; None where it can."""
    if foreign.number(g_per_kwh) is None:
        return "without a number"
    if g_per_kwh < 0:
        return "below 0"
    return f"above {MOST_G_PER_KWH:g} g/kWh" if g_per_kwh > MOST_G_PER_KWH else None


def _counted(bad: Counter[str]) -> str:
    """How many rows are left out for which reason, in words."""
    return ", ".join(f"{times} {why}" for why, times in bad.most_common())


def _cell(row: Sequence[str], number: int | None) -> str:
    return row[number].strip() if number is not None and number < len(row) else ""


def _other(file: str, column: str) -> ProviderError:
    return _problem(f"{file}: {column!r:.60} is not in g/kWh: convert it")


def _problem(what: str, kind: str = "garbage") -> ProviderError:
    return ProviderError(what, kind)


def provider() -> Provider:
    """The file."""
    return CsvTrace()

"""A file of yours: times and g CO2e/kWh as CSV, such as Electricity Maps' own downloads.

`Energy.csv_trace` names it. One column holds moments (UTC, or with their zone), one figures in
g/kWh; the first line names them. No network. Of Electricity Maps' columns the life cycle's is
taken, and the direct one's only where it is alone. Rows that cannot be are left out and counted.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Literal

from .. import foreign
from ..errors import ProviderError
from ..plain_text import clean
from .answers import MOST_G_PER_KWH, after, in_order
from .base import Get, Interval, Provider, Quality, Query, Reply, Signal

# The file is read anew so often, as it may grow.
_STEP_S = 3600.0
_MOST_BYTES = 64 * 2**20
_TIME = re.compile(
    r"date.?time|time.?stamp|(point|start)?.?time\b|^(from|start|date|utc)\b", re.ASCII
)
_VALUE = re.compile(r"intensity|g ?/ ?kwh|g_per_kwh|gco2|co2e? ?g|moer")
_NO_VALUE = re.compile(r"%|percent|index|source|method")
# Of these a figure is not in g/kWh, whatever else its column's name says.
_OTHER_UNIT = re.compile(r"lbs?\b|lbs?[_ /]|kg|/ ?mwh|per_mwh|tonne|t ?/")
_YES = frozenset({"true", "1", "yes"})
_MOST_BAD = 0.5


def file_reader(file: str) -> Get:
    """Gives the content of a file where a service would be asked."""

    def get(_path: str, _headers: Mapping[str, str]) -> Reply:
        if not file:
            raise _problem("no file is named: set Energy.csv_trace")
        path = Path(file).expanduser()
        why = None
        try:
            with path.open("rb") as opened:
                body = opened.read(_MOST_BYTES + 1)
        except OSError as error:
            why = error.strerror or type(error).__name__
        if why is not None:
            raise _problem(f"{path.name} cannot be read ({why})")
        if len(body) > _MOST_BYTES:
            raise _problem(f"{path.name} is larger than {_MOST_BYTES >> 20} MiB: leave years out")
        return Reply(200, {"x-name": path.name}, body)

    return get


@dataclass(frozen=True)
class CsvTrace:
    """A table in a file; `region` is the zone whose rows count, "" where the file has one only."""

    name: str = "csv_trace"
    title: str = "the file"
    step_s: float = _STEP_S
    url: str = ""
    secrets: tuple[str, ...] = ()

    def region(self, zone: str) -> str:
        """The zone as it stands in the file."""
        return zone

    def fetch(self, query: Query, get: Get) -> Signal:
        """All of the file. Raises ProviderError."""
        reply = get("", {})
        table = _Table(clean(reply.headers["x-name"]), reply.body)
        points, bad = table.points(query.region)
        if len(points) < 2:
            raise _problem(f"{table.name} holds fewer than two values", "empty")
        if bad > _MOST_BAD * (bad + len(points)):
            raise _problem(f"{table.name}: {bad} of {bad + len(points)} rows cannot be read")
        starts = sorted(points)
        step_s = _usual((b - a).total_seconds() for a, b in pairwise(starts))
        return Signal(
            zone=table.zone or query.region or table.name,
            place=table.place,  # a file that names none is of the place as it is set
            kind=table.kind,
            boundary="consumption",
            scope=table.scope,
            step_s=step_s,
            source=table.source(bad, bad + len(points)),
            url="https://www.electricitymaps.com" if table.is_electricity_maps else "",
            fetched=query.now,
            intervals=in_order(
                Interval(start, after(start, step_s), *points[start], query.now) for start in starts
            ),
        )


class _Table:
    """The file as rows, and what the names of its columns say. Raises ProviderError."""

    kind: Literal["average", "marginal"]
    scope: Literal["lifecycle", "direct"]

    def __init__(self, name: str, body: bytes) -> None:
        self.name = name
        self.zone = self.place = ""
        text = None
        try:
            text = body.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            at = error.start
        if text is None:
            raise _problem(f"{name} is no UTF-8 text (byte {at})")
        first = text[: text.find("\n")] if "\n" in text else text
        self._delimiter = max(",;\t", key=first.count)
        self._rows = csv.reader(io.StringIO(text, newline=""), delimiter=self._delimiter)
        names = [cell.strip() for cell in self._next() or []]
        self._names = [name.casefold() for name in names]
        self._time = self._column(_TIME, "times", "time (UTC)")
        self._value = self._value_column()
        said = self._names[self._value]
        self.is_electricity_maps = "zone id" in self._names and "gco₂eq/kwh" in said
        self.kind = "marginal" if re.search(r"marginal|moer", said) else "average"
        self.scope = "direct" if "direct" in said else "lifecycle"
        self._tells = bool(re.search(r"direct|life.?cycle|lca|marginal|moer", said))
        self._is_utc = "utc" in self._names[self._time]

    def points(self, zone: str) -> tuple[dict[datetime, tuple[float, Quality]], int]:
        """Value and quality by moment, and how many rows cannot be. Raises ProviderError."""
        points: dict[datetime, tuple[float, Quality]] = {}
        bad = 0
        ids, names = self._place_of("zone id"), self._place_of("zone name")
        estimated = self._place_of("data estimated")
        seen: set[str] = set()
        while (row := self._next()) is not None:
            if not any(cell.strip() for cell in row):
                continue
            where = _cell(row, ids)
            if where and zone and where.casefold() != zone.casefold():
                seen.add(where)
                continue
            if not _cell(row, self._value):  # a gap
                continue
            start, value = self._moment(_cell(row, self._time)), self._number(row)
            if start is None or value is None:
                bad += 1
                continue
            if start in points and points[start][0] != value:
                bad += 1
            if where:
                seen.add(where)
                self.zone, self.place = clean(where), clean(_cell(row, names) or where)
            is_estimated = _cell(row, estimated).casefold() in _YES
            points[start] = value, "estimated" if is_estimated else "measured"
        if len(seen) > 1 and not zone:
            several = ", ".join(sorted(seen)[:5])
            raise _problem(
                f"{self.name} holds several zones: set Energy.provider_zone to {several}"
            )
        if seen and not points and zone:
            raise _problem(
                f"{self.name} has no rows of {zone!r:.40}, but of {min(seen)!r:.40}: if that is "
                "your place, set Energy.provider_zone to it"
            )
        return points, bad

    def source(self, bad: int, rows: int) -> str:
        """Whose figures they are, and what is to be said of them."""
        name = f"Electricity Maps, {self.name}" if self.is_electricity_maps else self.name
        said = []
        if not self._tells:
            said.append(f"taken as {self.kind}, {self.scope}: its column does not say")
        if bad:
            said.append(f"{bad} of {rows} rows left out")
        # In brackets: notes, among which a source may be quoted, are parted by semicolons.
        return f"{name} ({', '.join(said)})" if said else name

    def _next(self) -> list[str] | None:
        found = problem = None
        try:
            found = next(self._rows, None)
        except csv.Error:
            problem = f"{self.name} is no CSV (line {self._rows.line_num})"
        if problem is not None:
            raise _problem(problem)
        return found

    def _column(self, pattern: re.Pattern[str], what: str, example: str) -> int:
        for number, name in enumerate(self._names):
            if pattern.search(name):
                return number
        raise _problem(
            f"{self.name} has no column of {what}: name one {example!r} in its first line"
        )

    def _value_column(self) -> int:
        """The column of figures: of several that of the life cycle."""
        found = [
            number
            for number, name in enumerate(self._names)
            if number != self._time and _VALUE.search(name) and not _NO_VALUE.search(name)
        ]
        if not found:
            return self._column(_VALUE, "figures in g/kWh", "g_per_kwh")
        preferred = [n for n in found if re.search(r"life.?cycle|lca", self._names[n])]
        chosen = (preferred or found)[0]
        if len(found) > 1 and len(preferred) != 1:
            raise _problem(f"{self.name} has {len(found)} columns of figures: leave one")
        if _OTHER_UNIT.search(self._names[chosen]):
            raise _problem(f"{self.name}: {self._names[chosen]!r:.60} is not in g/kWh: convert it")
        return chosen

    def _place_of(self, name: str) -> int | None:
        return self._names.index(name) if name in self._names else None

    def _moment(self, text: str) -> datetime | None:
        """A moment in UTC, or None. Raises ProviderError for one whose zone nobody tells."""
        found = foreign.moment(text)
        if found is None and self._is_utc:
            found = foreign.moment(f"{text}Z")
        if found is None and text.isdecimal() and len(text) < 12:
            return datetime.fromtimestamp(int(text), UTC) if foreign.seconds(int(text)) else None
        if found is None and foreign.moment(f"{text}Z") is not None:
            raise _problem(
                f"{self.name}: its times do not say their zone: write 2026-01-31T12:00Z, or name "
                "the column 'time (UTC)'"
            )
        return found

    def _number(self, row: Sequence[str]) -> float | None:
        text = _cell(row, self._value)
        if self._delimiter == ";":
            text = text.replace(",", ".")
        try:
            found = foreign.number(float(text))
        except ValueError:
            return None
        return found if found is not None and 0 <= found <= MOST_G_PER_KWH else None


def _cell(row: Sequence[str], number: int | None) -> str:
    return row[number].strip() if number is not None and number < len(row) else ""


def _usual(steps_s: Iterable[float]) -> float:
    """The step that is seen most often, in s; of several the shortest."""
    counted = Counter(steps_s)
    most = max(counted.values())
    return min(step_s for step_s, times in counted.items() if times == most)


def _problem(what: str, kind: str = "garbage") -> ProviderError:
    return ProviderError(what, kind)


def provider() -> Provider:
    """The file."""
    return CsvTrace()

"""A recording played back in place of sensors: for demonstrations, tests and the tour.

The file has one row a domain and moment, as CSV with a header or as JSON lines (`.jsonl`):

    t_s,domain,watts                     {"t_s": 0, "domain": "gpu:0", "watts": 60}
    0,gpu:0,60                           {"t_s": 2.5, "domain": "gpu:0", "watts": 300}
    0,package:0,20
    2.5,gpu:0,300
    10,gpu:0,300
    10,package:0,35

`t_s` rises within a domain; two rows with the same `t_s` are a step. A domain gives either `watts`
(power changes in a straight line between two rows) or `joules` (energy since the first row; power
is constant between two rows). All domains begin and end together. Lines that begin with # say
where the recording comes from and are skipped.

`facility:0` is what a whole building draws, as a data centre's meter tells it: all else lies in it,
and no PUE is put on it.

The recording starts when it is discovered and begins again when it ends, for ever. Its domains
are named "replay of FILE", so that nothing shown can be taken for this machine's own.
"""

from __future__ import annotations

import re
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

from ..errors import SensorError
from ..foreign import file_text, loads, number
from ..model import APART, CONTAINED_IN, FACILITY, Domain
from .base import Absence, Accuracy, Discovery, Machine

ACCURACY = Accuracy(
    0.05, "our policy: what a board's own sensor has; the recording's true gain is unknown"
)
MOST_TRACED_ROWS = 500  # some 30 kB, which a pipe takes at once
KINDS = (
    frozenset(CONTAINED_IN)
    | {kind for outer in CONTAINED_IN.values() for kind in outer}
    | APART
    | {FACILITY}
)
# Nine digits hold any index, and int() refuses very long numbers.
_DOMAIN = re.compile(r"([a-z]+):([0-9]{1,9})")
LARGEST_BYTES = 64 * 2**20  # a year at one row every 20 s
_UNITS = ("watts", "joules")


@dataclass(frozen=True, slots=True)
class Curve:
    """Energy over time: `energy_j` at each of `t_s`, both from 0, and the power at both ends of
    each piece in W."""

    t_s: tuple[float, ...]
    energy_j: tuple[float, ...]
    pieces_w: tuple[tuple[float, float], ...]

    def at(self, t_s: float) -> float:
        """Energy in J, `t_s` after the start; the curve begins again after its end."""
        turns, within_s = divmod(t_s, self.t_s[-1])
        number = min(bisect_right(self.t_s, within_s) - 1, len(self.pieces_w) - 1)
        begins_s, ends_s = self.t_s[number], self.t_s[number + 1]
        first_w, last_w = self.pieces_w[number]
        dt_s = within_s - begins_s
        now_w = first_w + (last_w - first_w) * dt_s / (ends_s - begins_s)
        part_j = (first_w + now_w) / 2 * dt_s
        return turns * self.energy_j[-1] + self.energy_j[number] + part_j


@dataclass(slots=True, eq=False)
class Replay:
    """The energy of one recorded domain in J since the recording was started."""

    domain: Domain
    source: str
    max_w: float
    _curve: Curve
    _clock: Callable[[], float]
    _started_s: float
    kind: Literal["counter"] = "counter"
    provenance: Literal["measured"] = "measured"
    accuracy: Accuracy = ACCURACY
    wraps_at_j: None = None
    step_j: float = 1e-3  # as NVML counts; a recording has no step of its own
    period_s: float = 0.001
    averages_s: float = 0.0
    settles_s: None = None
    polls_s: None = None
    spread: None = None
    worker: None = None
    _height_j: float = 0.0
    _closed: bool = False

    def read(self) -> float:
        """Energy in J since the start. Raises SensorError after `close`."""
        if self._closed:
            raise SensorError(f"the {self.source} was closed")
        # A sum of floats may fall by its last digit, and a counter that falls is a reset.
        self._height_j = max(self._height_j, self._curve.at(self._clock() - self._started_s))
        return self._height_j

    def trace_source(self) -> dict[str, object] | None:
        """What `--trace` follows in a process of its own (power/sources.py), None where it would
        be too long to be handed over."""
        if len(self._curve.t_s) > MOST_TRACED_ROWS:
            return None
        curve = self._curve
        return {"curve": [self._started_s, curve.t_s, curve.energy_j, curve.pieces_w]}

    def close(self) -> None:
        """Stop giving readings."""
        self._closed = True


class _BadLineError(Exception):
    """A line of a recording that means nothing; the text says which and why."""


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    t_s: float
    key: str
    unit: str
    value: float


def discover(machine: Machine, clock: Callable[[], float] = time.monotonic) -> Discovery:
    """One sensor a domain of the file that `machine.replay` names; nothing where it names none."""
    path = machine.replay
    if path is None:
        return Discovery()
    source = f"replay:{path.name}"
    try:
        curves = _curves(path)
    except (OSError, ValueError, _BadLineError) as error:
        reason = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
        absence = Absence(
            Domain("machine", 0, f"replay of {path.name}"),
            source,
            f"{path}: {reason}",
            "Correct the file, or unset the setting `replay` to measure this machine.",
        )
        return Discovery(absences=(absence,))
    started_s = clock()
    return Discovery(
        sensors=tuple(
            Replay(
                Domain(kind, index, f"{kind} {index}, replay of {path.name}"),
                source,
                max(power_w for piece in curve.pieces_w for power_w in piece),
                curve,
                clock,
                started_s,
            )
            for (kind, index), curve in sorted(curves.items())
        ),
        notes=(f"All readings are a replay of {path}, none is this machine's.",),
    )


def _curves(path: Path) -> dict[tuple[str, int], Curve]:
    """The curve of each domain (kind, index). Raises OSError or _BadLineError."""
    by_key: dict[str, list[_Row]] = {}
    for row in _rows(path):
        by_key.setdefault(row.key, []).append(row)
    if not by_key:
        raise _BadLineError("it has no rows: the first line of a CSV names t_s, domain and watts")
    whole = next(iter(by_key.values()))
    begin_s, end_s = whole[0].t_s, whole[-1].t_s
    curves = {}
    for key, rows in by_key.items():
        for row, place, want_s in ((rows[0], "begins", begin_s), (rows[-1], "ends", end_s)):
            if row.t_s != want_s:
                raise _BadLineError(
                    f"line {row.line}: {key} {place} at {row.t_s:g} s, {whole[0].key} at "
                    f"{want_s:g} s; give each domain a row at both"
                )
        kind, _, index = key.partition(":")
        curves[kind, int(index)] = _curve(rows)
    return curves


def _curve(rows: list[_Row]) -> Curve:
    """The curve through the rows of one domain. Raises _BadLineError."""
    t_s, energy_j, pieces_w = [0.0], [0.0], []
    for before, after in pairwise(rows):
        dt_s, rise = after.t_s - before.t_s, after.value - before.value
        if after.unit != before.unit:
            raise _BadLineError(f"line {after.line}: {after.key} had {before.unit} before")
        if dt_s < 0:
            raise _BadLineError(
                f"line {after.line}: t_s falls from {before.t_s:g} to {after.t_s:g}"
            )
        if after.unit == "joules":
            if rise < 0 or (rise > 0 and dt_s == 0):
                raise _BadLineError(f"line {after.line}: joules must rise, and with the time")
            piece_w = (rise / dt_s, rise / dt_s) if dt_s else None
        else:
            piece_w = before.value, after.value
        if dt_s and piece_w:
            pieces_w.append(piece_w)
            t_s.append(after.t_s - rows[0].t_s)
            energy_j.append(energy_j[-1] + sum(piece_w) / 2 * dt_s)
    if not pieces_w:
        raise _BadLineError(
            f"line {rows[-1].line}: {rows[-1].key} needs rows at two moments at least"
        )
    return Curve(tuple(t_s), tuple(energy_j), tuple(pieces_w))


def _rows(path: Path) -> Iterator[_Row]:
    """The rows of a file, checked one by one. Raises OSError or _BadLineError."""
    json_lines = path.suffix in (".jsonl", ".ndjson")
    names: list[str] | None = None
    for line, text in enumerate(_text(path).splitlines(), start=1):
        if not text.strip() or text.startswith("#"):
            continue
        if json_lines:
            yield _row(line, _json(line, text))
            continue
        fields = [field.strip() for field in text.split(",")]
        if names is None:
            names = fields
            if not {"t_s", "domain"}.issubset(names) or not set(_UNITS).intersection(names):
                raise _BadLineError(
                    f"line {line}: the header needs t_s, domain and watts or joules"
                )
        elif len(fields) != len(names):
            raise _BadLineError(
                f"line {line}: {len(fields)} columns, where the header has {len(names)}"
            )
        else:
            yield _row(line, dict(zip(names, fields, strict=True)))


def _text(path: Path) -> str:
    """The text of a recording. Raises OSError, and ValueError for what is no UTF-8 file."""
    return file_text(path, LARGEST_BYTES).removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}")


def _json(line: int, text: str) -> Mapping[str, object]:
    try:
        found = loads(text)
    except ValueError as error:
        raise _BadLineError(f"line {line}: not JSON ({error})") from error
    if not isinstance(found, dict):
        raise _BadLineError(f'line {line}: not an object such as {{"t_s": 0, "domain": "gpu:0"}}')
    return found


def _row(line: int, fields: Mapping[str, object]) -> _Row:
    key = str(fields.get("domain"))
    match = _DOMAIN.fullmatch(key)
    if not match or match[1] not in KINDS:
        raise _BadLineError(
            f"line {line}: {key!r:.60} is no domain; write a kind ({', '.join(sorted(KINDS))}) "
            "and a number, such as gpu:0"
        )
    given = [unit for unit in _UNITS if fields.get(unit) not in (None, "")]
    if len(given) != 1:
        raise _BadLineError(f"line {line}: give either watts or joules")
    [unit] = given
    value = _number(line, unit, fields[unit])
    if value < 0:
        raise _BadLineError(f"line {line}: {unit} is {value:g}, below 0")
    return _Row(line, _number(line, "t_s", fields.get("t_s")), key, unit, value)


def _number(line: int, name: str, given: object) -> float:
    try:
        found = number(float(given) if isinstance(given, str) else given)
    except ValueError:
        found = None
    if found is None:
        raise _BadLineError(f"line {line}: {name} is {given!r:.60}, not a number")
    return found

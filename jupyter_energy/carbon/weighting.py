"""The mean factor of a run: what a live signal said while it ran, weighted by its energy then.

Pure functions. A run's energy is known at some moments; between two of them it is shared out by
time, which is exact where power was constant, and the moments are taken seconds apart. What the
signal leaves out has the yearly factor of the same place, where that is of the same kind.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from math import fsum
from operator import itemgetter
from typing import Literal

from ..model import CarbonIntensity, Measurement, Span
from ..uncertainty import Range
from ..units import percent
from .base import Interval, Signal

Quality = Literal["measured", "estimated", "assumed", "forecast"]
# A mean is no surer than the least sure of what it is made of.
QUALITIES: tuple[Quality, ...] = ("measured", "estimated", "forecast", "assumed")
# Of a run of days there are no more: neighbours are one then, with their mean.
MOST_SPANS = 100
# What a run had drawn is noted for so many moments: of a day at the shortest step, in s.
MOST_MOMENTS, STEP_S = 600, 300.0
# Less of a run than this is no part of it: what is left by rounding.
LEAST_SHARE = 1e-9
_STEPS = {300.0: "5min", 900.0: "15min", 1800.0: "30min", 3600.0: "hour", 86400.0: "day"}


@dataclass(frozen=True, slots=True)
class Drawn:
    """What each domain of a run, by its key, had drawn by a moment (UTC) since it began, in J."""

    at: datetime
    energy_j: Mapping[str, float]


def drawn(measurement: Measurement, at: datetime) -> Drawn:
    """What a run had drawn by a moment, of its measurement up to then."""
    found = {}
    for d in measurement.counted():
        if d.energy is not None:
            mid_j = d.energy.mid if isinstance(d.energy, Range) else d.energy.value
            found[d.domain.key] = max(0.0, mid_j)
    return Drawn(at, found)


def noted(course: list[Drawn], now: Drawn) -> None:
    """Add to what a run had drawn by when. Within one step of a signal only the first and the last
    moment matter; of a run of days the older half keeps every other moment."""
    if len(course) > 1 and _step(course[-2].at) == _step(now.at):
        course[-1] = now
        return
    course.append(now)
    if len(course) > MOST_MOMENTS:
        del course[1 : MOST_MOMENTS // 2 : 2]


def _step(moment: datetime) -> float:
    return moment.timestamp() // STEP_S


def energy_shares(course: Sequence[Drawn], edges: Sequence[datetime]) -> list[float]:
    """What share of a run's energy, 0 to 1, was drawn between each two of `edges`.

    `course` begins and ends with the run, and so do `edges`, which are in order. Domains are those
    known at the end; where one was not read at a moment, that moment says nothing of it. A run
    that drew nothing is shared out by time, and one of no duration lies before the first edge.
    """
    # As numbers: two dates are compared in twenty times the time.
    moments = sorted(((one.at.timestamp(), one.energy_j) for one in course), key=itemgetter(0))
    edges_s = [edge.timestamp() for edge in edges]
    parts: list[list[float]] = [[] for _ in pairwise(edges)]
    for key in moments[-1][1]:
        points = [(at_s, energy_j[key]) for at_s, energy_j in moments if key in energy_j]
        if points[0][0] > moments[0][0]:
            points.insert(0, (moments[0][0], 0.0))
        heights_j = [*map(_Curve(points).at, edges_s)]
        for part, (begin_j, end_j) in zip(parts, pairwise(heights_j), strict=True):
            part.append(end_j - begin_j)
    sums = [fsum(part) for part in parts]
    whole = fsum(sums)
    if whole <= 0:
        sums = [end_s - begin_s for begin_s, end_s in pairwise(edges_s)]
        whole = fsum(sums)
    if whole <= 0:
        return [float(number == 0) for number in range(len(sums))]
    return [one / whole for one in sums]


class _Curve:
    """An energy in J that only grows, in straight lines between its points (s, J)."""

    def __init__(self, points: Sequence[tuple[float, float]]) -> None:
        self._at_s = [at_s for at_s, _ in points]
        self._energy_j: list[float] = []
        end_j = points[-1][1]
        height_j = 0.0
        for _, energy_j in points:
            # A later reading may correct an earlier one downward: nothing is drawn back.
            height_j = min(max(height_j, energy_j), end_j)
            self._energy_j.append(height_j)

    def at(self, moment_s: float) -> float:
        """The energy by a moment, in J."""
        number = bisect_left(self._at_s, moment_s)
        if number == 0:
            return self._energy_j[0]
        if number == len(self._at_s):
            return self._energy_j[-1]
        begin_s, end_s = self._at_s[number - 1], self._at_s[number]
        begin_j, end_j = self._energy_j[number - 1], self._energy_j[number]
        return begin_j + (end_j - begin_j) * ((moment_s - begin_s) / (end_s - begin_s))


def weighted(
    course: Sequence[Drawn], signal: Signal, yearly: CarbonIntensity, said: str | None = None
) -> tuple[CarbonIntensity, tuple[Span, ...]]:
    """The mean factor of a run, and the spans that it is the mean of.

    Where the signal leaves out some of the run's energy, that has the `yearly` factor of its place
    if kind and scope are the signal's, and `note` says how much it is, and of what boundary. Else
    the whole run has the yearly factor, without spans: no figure mixes average and marginal, or
    lifecycle and direct. `said` is what is to be said of the signal, in words.
    """
    begin, end = course[0].at, course[-1].at
    pieces = _pieces(signal, begin, end)
    edges = [begin, *(until for _, until, _ in pieces)]
    shares = energy_shares(course, edges)
    parts = [
        (since, until, held, share)
        for (since, until, held), share in zip(pieces, shares, strict=True)
    ]
    missing = min(1.0, fsum(share for _, _, held, share in parts if held is None))
    service = signal.source.partition(",")[0]
    mixes = (signal.kind, signal.scope) != (yearly.kind, yearly.scope)
    if missing > LEAST_SHARE and (mixes or missing > 1 - LEAST_SHARE):
        lacks = (
            f"{service} has no value for this time"
            if missing > 1 - LEAST_SHARE
            else f"{service} has {signal.kind} {signal.scope} values for "
            f"{percent(1 - missing)} of it only, which are not mixed with this one"
        )
        return replace(yearly, note=_joined(yearly.note, f"{lacks}: the yearly factor")), ()
    spans = tuple(
        Span(since, until, yearly.g_per_kwh, yearly.quality, share)
        if held is None
        else Span(held.start, held.end, held.g_per_kwh, held.quality, share)
        for since, until, held, share in parts
        if share > 0
    )
    used = {span.quality for span in spans}
    note = said
    if missing > LEAST_SHARE:
        note = f"{percent(missing)} of it has the yearly factor of {yearly.source} {yearly.year}"
        if yearly.boundary != signal.boundary:
            note += f" ({yearly.boundary}, not {signal.boundary})"
        note += f": {said or f'{service} has no value for that time'}"
    return (
        replace(
            yearly,
            g_per_kwh=mean_factor(spans),
            place=_place(signal, yearly),
            kind=signal.kind,
            boundary=signal.boundary,
            scope=signal.scope,
            resolution=_STEPS.get(signal.step_s, f"{signal.step_s / 60:g}min"),
            quality=max(used, key=QUALITIES.index),
            source=signal.source,
            year=begin.astimezone(UTC).year,
            note=_joined(yearly.note, note),
        ),
        joined(spans),
    )


def _place(signal: Signal, yearly: CarbonIntensity) -> str:
    """What the service calls the place; a file, which is called by its name, is of the user's."""
    is_name_of_it = signal.place and signal.place not in signal.source
    return signal.place if is_name_of_it else yearly.place


def mean_factor(spans: Sequence[Span]) -> float:
    """The mean of the spans' factors in g/kWh, weighted by energy."""
    factors = [span.g_per_kwh for span in spans]
    mean = fsum(span.g_per_kwh * span.energy_share for span in spans)
    mean /= fsum(span.energy_share for span in spans)
    return min(max(mean, min(factors)), max(factors))


def joined(spans: Sequence[Span], most: int = MOST_SPANS) -> tuple[Span, ...]:
    """The spans, or where they are more than `most`, runs of neighbours as one, with their mean."""
    if len(spans) <= most:
        return tuple(spans)
    at_once = -(-len(spans) // most)
    found = []
    for first in range(0, len(spans), at_once):
        few = spans[first : first + at_once]
        quality = max((span.quality for span in few), key=QUALITIES.index)
        share = fsum(span.energy_share for span in few)
        found.append(Span(few[0].start, few[-1].end, mean_factor(few), quality, share))
    return tuple(found)


_Piece = tuple[datetime, datetime, Interval | None]


def _pieces(signal: Signal, begin: datetime, end: datetime) -> list[_Piece]:
    """A run's time cut at the ends of intervals: since, until, and the factor that held then."""
    found: list[_Piece] = []
    reached = begin
    for interval in signal.intervals:
        since, until = max(interval.start, begin), min(interval.end, end)
        is_in = interval.start <= begin < interval.end if begin == end else since < until
        if not is_in:
            continue
        if since > reached:
            found.append((reached, since, None))
        found.append((since, until, interval))
        reached = until
    if reached < end or not found:
        found.append((reached, end, None))
    return found


def _joined(*notes: str | None) -> str | None:
    return "; ".join(filter(None, notes)) or None

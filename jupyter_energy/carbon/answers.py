"""What services answer, read with suspicion: JSON, moments, grams a kWh, intervals in order.

A value that is not there is left out. One that cannot be makes the whole answer garbage: whoever
sends one absurd figure may have sent others that only look right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sized
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, get_args

from .. import foreign
from ..errors import ProviderError
from .base import Interval, Quality, Reply, Signal

# No grid comes near: coal is about 1000 g CO2e/kWh over its life cycle (IPCC AR5, WG3, annex III).
MOST_G_PER_KWH = 3000.0
# A month: what is longer is no live signal.
LONGEST_STEP_S = 31 * 24 * 3600.0
# A year in steps of five minutes.
MOST_INTERVALS = 366 * 24 * 12
_RANK = {"forecast": 0, "estimated": 1, "measured": 2}


def garbage(title: str, what: str) -> ProviderError:
    """The error of an answer that is none; `what` says in words of ours what is wrong."""
    return ProviderError(f"{title} gave an answer that cannot be read ({what})", "garbage")


def empty(title: str) -> ProviderError:
    """The error of an answer without a value."""
    return ProviderError(f"{title} has no value for this place now", "empty")


def raise_if_alone(problem: ProviderError, values: Sized) -> None:
    """Raises what kept a forecast from us, unless there are values of what was, which count without
    it, or the account is not for forecasts. It is asked for again in half an hour."""
    if not values and problem.kind not in ("denied", "forbidden", "refused", "empty"):
        raise problem


def document(reply: Reply, title: str) -> dict[str, Any]:
    """The JSON object that a service answered. Raises ProviderError."""
    if not reply.body.strip():
        raise empty(title)
    try:
        found = foreign.loads(reply.body)
    except ValueError:
        found = False  # what json says holds a part of the answer: it is not raised from that
    if found is None:
        raise empty(title)
    if not isinstance(found, dict):
        raise garbage(title, "no JSON object")
    return found


def rows(found: object, title: str) -> list[Any]:
    """The items of a list. Raises ProviderError."""
    if found is None:
        return []
    if not isinstance(found, list):
        raise garbage(title, "no list of values")
    return found[-MOST_INTERVALS:]


def row(found: object, title: str) -> dict[str, Any]:
    """One item of a list, which must be an object. Raises ProviderError."""
    if not isinstance(found, dict):
        raise garbage(title, "a value that is no object")
    return found


def grams(found: object, title: str, factor: float = 1.0) -> float | None:
    """A figure in g CO2e/kWh once it is multiplied by `factor`; None where there is none.

    Raises ProviderError for what is no number, below 0, or above 3000.
    """
    if found is None:
        return None
    number = foreign.number(found)
    if number is None:
        raise garbage(title, "a value that is no number")
    if not 0 <= number * factor <= MOST_G_PER_KWH:
        raise garbage(title, "a value that no grid has")
    return number * factor


def moment(found: object, title: str) -> datetime:
    """A moment in UTC, of a text that says its zone, or s since 1970. Raises ProviderError."""
    if isinstance(found, int | float) and not isinstance(found, bool):
        seconds = foreign.seconds(found)
        if seconds is not None:
            return datetime.fromtimestamp(seconds, UTC)
    read = foreign.moment(found)
    if read is None:
        raise garbage(title, "a time that is none, or does not say its zone")
    return read


def after(start: datetime, step_s: float) -> datetime:
    """The end of an interval of so many s."""
    return start + timedelta(seconds=step_s)


def usual(steps_s: Iterable[float]) -> float | None:
    """The step that is seen most often, in s; of several the shortest; None where there is none."""
    counted = Counter(steps_s)
    most = max(counted.values(), default=0)
    return min((step_s for step_s, times in counted.items() if times == most), default=None)


def in_order(intervals: Iterable[Interval], older: Iterable[Interval] = ()) -> tuple[Interval, ...]:
    """Intervals by their start, none overlapping, those that were known before included.

    Of two with one start the measured one stays, then the estimated one; of two alike the one
    that came last. One that reaches into the next ends where that begins.
    """
    by_start: dict[datetime, Interval] = {}
    for found in (*older, *intervals):
        known = by_start.get(found.start)
        if known is None or _RANK[found.quality] >= _RANK[known.quality]:
            by_start[found.start] = found
    ordered = sorted(by_start.values(), key=lambda interval: interval.start)
    for number, (one, following) in enumerate(pairwise(ordered)):
        if one.end > following.start:
            ordered[number] = replace(one, end=following.start)
    return tuple(ordered)


def checked(signal: Signal, title: str) -> Signal:
    """A signal as it was promised, its intervals in order; a third party may have made it.

    Raises ProviderError.
    """
    if not signal.intervals:
        raise empty(title)
    qualities = get_args(Quality)
    intervals = []
    for interval in signal.intervals:
        grams(interval.g_per_kwh, title)
        start, end = _utc(interval.start), _utc(interval.end)
        if start is None or end is None or end <= start:
            raise garbage(title, "an interval that is none")
        if interval.quality not in qualities:
            raise garbage(title, "a value of a kind that is not known")
        is_so = start is interval.start and end is interval.end  # of a year's values most are
        intervals.append(interval if is_so else replace(interval, start=start, end=end))
    if not 0 < signal.step_s <= LONGEST_STEP_S:  # false for NaN as well
        raise garbage(title, "a step that is none")
    return replace(signal, intervals=in_order(intervals))


def _utc(moment: datetime) -> datetime | None:
    """The same moment in UTC; None where its zone is not told, or no clock of ours gets there."""
    if moment.tzinfo is None or not foreign.FIRST_YEAR <= moment.year <= foreign.LAST_YEAR:
        return None
    return moment.astimezone(UTC)

"""What a kWh will stand for: a forecast, a file's values, or the typical day of past ones.

Pure functions from a provider's Signal to an Outlook in slots, from any moment on.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ..carbon.answers import in_order
from ..carbon.base import Interval, Signal
from .nouns import SLOT_S, Basis, Outlook

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

DAY = timedelta(days=1)
A_DAY = 288  # slots of SLOT_S
# Great Britain's half-hourly forecasts were off by 7.1 % in the mean, September 2017 to March 2023
# (Powell 2023, nickmp.com/posts/carbon-intensity-forecast-tracking). Few others are published.
FORECAST_ERROR = 0.07
FORECAST_ERROR_SOURCE = (
    "assumed: what forecasts for Great Britain were off by in the mean, 2017 to 2023 (Powell 2023)"
)
HINDSIGHT_SOURCE = (
    "as if planned by a forecast, assumed to be 7 % off, as those for Great Britain were in the "
    "mean, 2017 to 2023 (Powell 2023)"
)
# A typical day is made of no fewer past days, and each of its slots of no fewer values.
LEAST_DAYS, LEAST_VALUES = 7, 5
# What is older is another grid, and more days than memory has room for.
MOST_DAYS = 10 * 366
# A day of another season is another day: the profile that carbon.md 1.5 tested is a month's.
SEASON = timedelta(days=15)
# So many past days are planned again to see what the advice would have been worth.
MOST_REHEARSALS = 40
_YEAR_DAYS = 365.25


def from_signal(signal: Signal, begin: datetime, slots: int, basis: Basis) -> Outlook:
    """What a signal has for `slots` slots from `begin` on; cut where its values end.

    Raises ValueError, with plain words, where it has no value for any of that time.
    """
    import numpy as np

    values = slot_means(signal.intervals, begin, slots)
    known = np.flatnonzero(np.isfinite(values))
    if not len(known):
        raise ValueError(_not_of_this_time(signal, begin))
    values = values[: known[-1] + 1]
    notes = []
    if (missing := len(values) - len(known)) > 0:
        notes.append(f"no value for {_hours(missing)} of that time, which is not planned over")
    end = begin + len(values) * timedelta(seconds=SLOT_S)
    used = [one for one in signal.intervals if one.end > begin and one.start < end]
    forecast = all(one.quality == "forecast" for one in used)
    # What a file tells of what has not been when it is read is a forecast, whoever made it; a plan
    # that begins before that knows how its time began.
    is_past = begin + timedelta(seconds=SLOT_S) < signal.fetched
    hindsight = basis != "forecast" and not forecast and is_past
    if hindsight:
        notes.append("these values have happened: a saving over them is an upper bound")
        notes.append(f"the low end of a saving is {HINDSIGHT_SOURCE}")
    return Outlook(
        begin.astimezone(UTC),
        tuple(values.tolist()),
        basis,
        signal.zone,
        signal.place,
        signal.kind,
        signal.boundary,
        signal.scope,
        signal.source,
        FORECAST_ERROR,
        HINDSIGHT_SOURCE if hindsight else FORECAST_ERROR_SOURCE,
        tuple(notes),
        hindsight,
    )


def typical_day(signals: Sequence[Signal], begin: datetime, slots: int) -> Outlook:
    """The mean of past days, at the same time of day, for `slots` slots from `begin` on.

    Days from the time of the year around `begin` are taken, in whatever year, where there are
    enough of them; else all, and a note says so. Only signals of the first one's kind count.
    Raises ValueError, with plain words, where there are too few days.
    """
    import numpy as np

    if not signals:
        raise ValueError("no past values are kept here")
    first = signals[0]
    alike = [one for one in signals if _kind(one) == _kind(first)]
    intervals = in_order(
        i
        for one in alike
        for i in one.intervals
        if begin - MOST_DAYS * DAY <= i.start
        if i.end <= begin and i.quality != "forecast"
    )
    days = (begin - intervals[0].start) // DAY + 1 if intervals else 0
    values = slot_means(intervals, begin - days * DAY, days * A_DAY).reshape(days, A_DAY)
    full = np.isfinite(values).mean(axis=1) > 0.5
    back = np.arange(days, 0, -1)  # how many days ago each of them began
    in_season = np.abs((back + _YEAR_DAYS / 2) % _YEAR_DAYS - _YEAR_DAYS / 2) <= SEASON / DAY
    chosen = full & in_season
    notes = []
    if chosen.sum() < LEAST_DAYS <= full.sum():
        chosen = full
        notes.append("its days are of another time of the year")
    if chosen.sum() < LEAST_DAYS:
        raise ValueError(
            f"a typical day takes {LEAST_DAYS} past days with values: there are {chosen.sum()}"
        )
    sums, counts = _summed(values[chosen])
    profile = _mean(sums, counts)
    rehearsals = _rehearsals(values, np.flatnonzero(chosen), sums, counts, slots)
    off = [
        np.abs(np.asarray(told) - np.asarray(was)) / np.where(np.asarray(was) > 0, was, np.nan)
        for told, was in rehearsals
    ]
    error = float(np.nanmean(np.concatenate(off))) if off else FORECAST_ERROR
    dates = [begin - int(ago) * DAY for ago in (back[chosen][0], back[chosen][-1])]
    of = f"{chosen.sum()} days from {dates[0]:%Y-%m-%d} to {dates[1]:%Y-%m-%d}"
    return Outlook(
        begin.astimezone(UTC),
        tuple(np.resize(profile, slots).tolist()),
        "typical day",
        first.zone,
        first.place,
        first.kind,
        first.boundary,
        first.scope,
        first.source,
        min(error, 1.0) if error == error else FORECAST_ERROR,
        "what these days were off by from the mean of the others",
        (f"the mean of {of}: no forecast of this day", *notes),
        False,
        rehearsals,
    )


def slot_means(intervals: Sequence[Interval], begin: datetime, slots: int) -> Numbers:
    """The mean over time in each slot from `begin` on, in g/kWh; NaN where a part is unknown.

    `intervals` are in order and do not overlap. Shape (slots,).
    """
    import numpy as np

    if not intervals or slots < 1:
        return np.full(max(0, slots), np.nan)
    end = begin + slots * timedelta(seconds=SLOT_S)
    held = [one for one in intervals if one.end > begin and one.start < end]
    if not held:
        return np.full(slots, np.nan)
    # Piecewise: a value, or 0 where nothing is known, between each two of these moments in s.
    zero = begin.timestamp()
    starts = np.array([one.start.timestamp() for one in held]) - zero
    ends = np.array([one.end.timestamp() for one in held]) - zero
    grams = np.array([one.g_per_kwh for one in held])
    at = np.column_stack((starts, ends)).ravel()
    heights = np.cumsum(np.column_stack((np.zeros(len(held)), (ends - starts) * grams)).ravel())
    known = np.cumsum(np.column_stack((np.zeros(len(held)), ends - starts)).ravel())
    # A gap's two edges are as high; where there is none, both stand at one moment.
    edges = np.arange(slots + 1) * SLOT_S
    is_whole = np.diff(np.interp(edges, at, known)) > SLOT_S - 1e-3
    means = np.diff(np.interp(edges, at, heights)) / SLOT_S
    # A slot within one interval has its value to the last bit: what is equal stays so.
    number = np.searchsorted(starts, edges[:-1], side="right") - 1
    within = (number >= 0) & (ends[number] >= edges[1:])
    return np.asarray(np.where(within, grams[number], np.where(is_whole, means, np.nan)))


def reaches(intervals: Sequence[Interval]) -> tuple[datetime, datetime]:
    """From when to when values are known."""
    return intervals[0].start, intervals[-1].end


def _summed(days: Numbers) -> tuple[Numbers, Numbers]:
    """Sum and count of the known values of each time of day."""
    import numpy as np

    known = np.isfinite(days)
    return np.where(known, days, 0.0).sum(axis=0), known.sum(axis=0).astype(float)


def _mean(sums: Numbers, counts: Numbers) -> Numbers:
    """The mean of each time of day; NaN where it is of too few values."""
    import numpy as np

    enough = counts >= min(LEAST_VALUES, counts.max(initial=1.0))
    return np.where(enough, sums / np.maximum(counts, 1.0), np.nan)


def _rehearsals(
    days: Numbers, chosen: NDArray[np.intp], sums: Numbers, counts: Numbers, slots: int
) -> tuple[tuple[tuple[float, ...], tuple[float, ...]], ...]:
    """For some of the days, what the others would have told from there on, and what it was."""
    import numpy as np

    series, in_it = days.ravel(), {int(day) for day in chosen}
    whole = [int(day) for day in chosen if (day * A_DAY + slots) <= len(series)]
    step = max(1, -(-len(whole) // MOST_REHEARSALS))
    found = []
    for day in whole[::step]:
        was = series[day * A_DAY : day * A_DAY + slots]
        # All days that the job could reach into are left out, each of them if it is in the mean.
        out = [d for d in range(day, day + -(-slots // A_DAY)) if d in in_it]
        less, fewer = _summed(days[out])
        told = np.resize(_mean(sums - less, counts - fewer), slots)
        found.append((tuple(told.tolist()), tuple(was.tolist())))
    return tuple(found)


def _kind(signal: Signal) -> tuple[str, ...]:
    """What must be the same in two signals for their values to be put together."""
    return signal.zone, signal.kind, signal.boundary, signal.scope


def _hours(slots: int) -> str:
    from ..units import duration

    return duration(slots * SLOT_S)


def _not_of_this_time(signal: Signal, begin: datetime) -> str:
    start, end = reaches(signal.intervals)
    return (
        f"{signal.source.partition(' (')[0]} has values from {start:%Y-%m-%d %H:%M} to "
        f"{end:%Y-%m-%d %H:%M} UTC, none from {begin:%Y-%m-%d %H:%M} on"
    )

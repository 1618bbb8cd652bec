"""What is known of a live signal: its values so far, when it was asked, what went wrong.

Also as text, for the file that all kernels of this machine share. Pure: no clock, no file.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

from .. import foreign
from ..errors import ProviderError
from ..plain_text import clean
from .answers import in_order
from .base import Interval, Quality, Signal

# So long a later, better figure may still restate a run.
KEPT = timedelta(days=14)
FORECAST_EVERY = timedelta(minutes=30)
# A value that is no longer followed by a newer one holds for so many of its steps.
HELD_STEPS = 2
_FIRST_RETRY_S, _LAST_RETRY_S = 30.0, 3600.0
_LONGEST_RETRY = timedelta(days=1)
# These are about whoever asks, not about the service: other kernels may have other tokens.
PERSONAL = frozenset({"no token", "denied", "forbidden"})
_FORMAT = 1
_LONGEST_WORDS = 300


@dataclass(frozen=True, slots=True)
class Trouble:
    """A service gives nothing: why, since when, how often it was asked, when it is asked again;
    `tried` is when it was asked last."""

    text: str
    kind: str
    since: datetime
    failures: int
    again: datetime
    tried: datetime
    remedy: str | None = None

    def __str__(self) -> str:
        day = "" if self.since.date() == self.again.date() else f"{self.since:%Y-%m-%d} "
        what, colon, rest = self.text.rpartition(": ")  # what to do, or why, comes last
        since = f"since {day}{self.since:%H:%M} UTC"
        return f"{what} {since}{colon}{rest}" if colon else f"{rest} {since}"


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one region; `asked` and `forecast_asked` are of answers that came."""

    signal: Signal | None = None
    asked: datetime | None = None
    forecast_asked: datetime | None = None
    trouble: Trouble | None = None

    def due(self, every_s: float) -> datetime | None:
        """When the service is to be asked next; None: now."""
        if self.trouble is not None:
            return self.trouble.again
        return None if self.asked is None else self.asked + timedelta(seconds=every_s)

    def is_due(self, now: datetime, every_s: float) -> bool:
        """Whether the service is to be asked now.

        What was said later than now was so before the clock was set back, and does not count.
        """
        due = self.due(every_s)
        return due is None or due <= now or now < _heard(self)[0]

    def wants_forecast(self, now: datetime) -> bool:
        """Whether the last forecast is old enough for a new one."""
        asked = self.forecast_asked
        return asked is None or not timedelta(0) <= now - asked < FORECAST_EVERY

    def between(
        self, start: datetime, end: datetime, now: datetime, title: str, delay_s: float = 0.0
    ) -> tuple[Signal | None, str | None]:
        """The signal with what it has for a time, and what is to be said of it, as Feed.between
        has them; `delay_s` is how late the service is as a rule."""
        signal, trouble = self.signal, self.trouble
        if signal is None:
            why = f"{title} has not been asked yet" if trouble is None else str(trouble)
            return None, why
        end = max(end, start + timedelta.resolution)
        last = signal.intervals[-1]
        held = _held(last, HELD_STEPS * signal.step_s + delay_s)
        inside = (*_inside(signal.intervals, start, end), *_inside((held,), start, end))
        if not inside:
            why = f"{title} has no value for {start:%Y-%m-%d %H:%M} UTC"
            return None, why if trouble is None or end <= held.end else str(trouble)
        said = None
        made = _old_forecast(inside, now, signal.step_s)
        if inside[-1] is held:
            said = f"{title}'s value of {last.start:%H:%M} UTC, while there is no newer one"
            said += f": {trouble}" if trouble is not None else ""
        elif made is not None:
            said = f"{title}'s forecast of {made:%Y-%m-%d %H:%M} UTC, while there is no newer one"
            said += f": {trouble}" if trouble is not None else ""
        elif _gaps(inside, start, end):
            said = f"{title} has no value for a part of the time"
        return replace(signal, intervals=inside), said

    def answered(
        self, signal: Signal, now: datetime, with_forecast: bool, since: datetime
    ) -> Known:
        """What is known after an answer: new values, and older ones, those from `since` on."""
        older = (
            () if self.signal is None or not _alike(self.signal, signal) else self.signal.intervals
        )
        merged = in_order(signal.intervals, older)
        kept = tuple(interval for interval in merged if interval.end > since)
        asked = now if with_forecast else self.forecast_asked
        return Known(replace(signal, intervals=kept), now, asked, None)

    def failed(self, error: ProviderError, now: datetime) -> Known:
        """What is known after a failure: it is asked again after 30 s, then twice as long each time
        up to an hour, and not before the service wants it."""
        before = self.trouble
        failures = 1 if before is None else before.failures + 1
        wait_s = min(_FIRST_RETRY_S * 2.0 ** min(failures - 1, 20), _LAST_RETRY_S)
        wants_s = min(foreign.seconds(error.retry_after_s) or 0.0, _LONGEST_RETRY.total_seconds())
        again = now + timedelta(seconds=max(wait_s, wants_s))
        since = now if before is None else min(before.since, now)
        trouble = Trouble(str(error), error.kind, since, failures, again, now, error.remedy)
        return replace(self, trouble=trouble)


def newer(one: Known, other: Known) -> Known:
    """Of two states of one region that which heard of the service last."""
    return one if _heard(one) > _heard(other) else other


def _heard(known: Known) -> tuple[datetime, int]:
    never = datetime.min.replace(tzinfo=UTC)
    trouble = known.trouble
    asked = known.asked or never
    return (asked, 0) if trouble is None else (trouble.tried, trouble.failures)


def _held(last: Interval, hold_s: float) -> Interval:
    """The last value, held beyond its end."""
    until = last.end + timedelta(seconds=hold_s)
    return replace(last, start=last.end, end=until, quality="estimated")


def _inside(intervals: Sequence[Interval], start: datetime, end: datetime) -> Sequence[Interval]:
    """Those of intervals in order that a time touches: a few of up to a year's."""
    first = bisect_right(intervals, start, key=lambda interval: interval.end)
    return intervals[first : bisect_left(intervals, end, key=lambda interval: interval.start)]


def _gaps(intervals: Sequence[Interval], start: datetime, end: datetime) -> bool:
    """Whether intervals in order leave a part of a time out."""
    at = start
    for interval in intervals:
        if interval.start > at:
            return True
        at = interval.end
    return at < end


def _old_forecast(intervals: Sequence[Interval], now: datetime, step_s: float) -> datetime | None:
    """When the oldest forecast was made of those that a newer one should have followed."""
    usual = FORECAST_EVERY + timedelta(seconds=2 * step_s)
    made = [
        interval.fetched
        for interval in intervals
        if interval.quality == "forecast"
        and interval.fetched is not None
        and min(now, interval.end) - interval.fetched > usual
    ]
    return min(made, default=None)


def _alike(one: Signal, other: Signal) -> bool:
    """Whether two signals are of one thing, so that their values may stand side by side."""
    return (one.zone, one.kind, one.boundary, one.scope) == (
        *(other.zone, other.kind, other.boundary, other.scope),
    )


# -- as text ---------------------------------------------------------------------------------


def to_text(known: Known) -> str:
    """JSON for `from_text`. What is about whoever asked is left out."""
    trouble = known.trouble
    document: dict[str, Any] = {
        "format": _FORMAT,
        "asked": _text(known.asked),
        "forecast_asked": _text(known.forecast_asked),
        "trouble": None,
        "signal": None,
    }
    if trouble is not None and trouble.kind not in PERSONAL:
        document["trouble"] = {
            "text": trouble.text,
            "kind": trouble.kind,
            "since": _text(trouble.since),
            "failures": trouble.failures,
            "again": _text(trouble.again),
            "tried": _text(trouble.tried),
        }
    if (signal := known.signal) is not None:
        document["signal"] = {
            "zone": signal.zone,
            "place": signal.place,
            "kind": signal.kind,
            "boundary": signal.boundary,
            "scope": signal.scope,
            "step_s": signal.step_s,
            "source": signal.source,
            "url": signal.url,
            "fetched": _text(signal.fetched),
            "intervals": [
                [_s(i.start), _s(i.end), i.g_per_kwh, i.quality, i.fetched and _s(i.fetched)]
                for i in signal.intervals
            ],
        }
    return json.dumps(document, separators=(",", ":"))


def from_text(text: str) -> Known | None:
    """What `to_text` wrote; None for anything else: a damaged file is as none."""
    try:
        found = foreign.loads(text)
        if not isinstance(found, dict) or found.get("format") != _FORMAT:
            return None
        signal, trouble = found["signal"], found["trouble"]
        return Known(
            None if signal is None else _signal(signal),
            foreign.moment(found["asked"]),
            foreign.moment(found["forecast_asked"]),
            None if trouble is None else _trouble(trouble),
        )
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, ProviderError):
        return None


def _signal(found: Any) -> Signal:
    from .answers import checked

    words = {name: _words(found[name]) for name in ("zone", "place", "source", "url")}
    if found["kind"] not in ("average", "marginal"):
        raise ValueError
    if found["boundary"] not in ("consumption", "production"):
        raise ValueError
    if found["scope"] not in ("lifecycle", "direct"):
        raise ValueError
    intervals = tuple(
        Interval(_at(start), _at(end), float(g), _quality(q), None if at is None else _at(at))
        for start, end, g, q, at in found["intervals"]
    )
    made = Signal(
        **words,
        kind=found["kind"],
        boundary=found["boundary"],
        scope=found["scope"],
        step_s=float(found["step_s"]),
        fetched=_moment(found["fetched"]),
        intervals=intervals,
    )
    return checked(made, "the cache")


def _trouble(found: Any) -> Trouble:
    failures = foreign.whole(found["failures"])
    if failures is None or failures < 1:
        raise ValueError
    again, tried = _moment(found["again"]), _moment(found["tried"])
    if not tried <= again <= tried + _LONGEST_RETRY:
        raise ValueError
    words = _words(found["text"]), _words(found["kind"])
    return Trouble(*words, _moment(found["since"]), failures, again, tried)


def _words(found: object) -> str:
    return clean(str(found), _LONGEST_WORDS)


def _quality(found: object) -> Quality:
    for quality in get_args(Quality):
        if found == quality:
            return quality  # type: ignore[no-any-return]  # one of Quality's words
    raise ValueError


def _moment(found: object) -> datetime:
    read = foreign.moment(found)
    if read is None:
        raise ValueError
    return read


def _s(moment: datetime) -> float:
    """Seconds since 1970: thousands of moments are read and written with each answer."""
    return moment.timestamp()


def _at(found: object) -> datetime:
    read = foreign.seconds(found)
    if read is None:
        raise ValueError
    return datetime.fromtimestamp(read, UTC)


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()

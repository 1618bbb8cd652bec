"""What is known of a live signal: its values so far, when it was asked, what went wrong.

Also as text, for the file that all kernels of this machine share. Pure: no clock, no file.
"""

from __future__ import annotations

import json
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
    """A service gives nothing: why, since when, how often it was asked, when it is asked again."""

    text: str
    kind: str
    since: datetime
    failures: int
    again: datetime
    remedy: str | None = None

    def __str__(self) -> str:
        day = "" if self.since.date() == self.again.date() else f"{self.since:%Y-%m-%d} "
        return f"{self.text} since {day}{self.since:%H:%M} UTC"


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

        What lies too far ahead was written before the clock was set back, and does not count.
        """
        due = self.due(every_s)
        return due is None or due <= now or due > now + _longest(every_s, self.trouble)

    def wants_forecast(self, now: datetime) -> bool:
        """Whether the last forecast is old enough for a new one."""
        asked = self.forecast_asked
        return asked is None or not timedelta(0) <= now - asked < FORECAST_EVERY

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
        again = now + timedelta(seconds=max(wait_s, error.retry_after_s or 0.0))
        since = now if before is None else min(before.since, now)
        trouble = Trouble(str(error), error.kind, since, failures, again, error.remedy)
        return replace(self, trouble=trouble)


def newer(one: Known, other: Known) -> Known:
    """Of two states of one region that which heard of the service last."""
    return one if _heard(one) > _heard(other) else other


def _heard(known: Known) -> tuple[datetime, int]:
    never = datetime.min.replace(tzinfo=UTC)
    trouble = known.trouble
    asked = known.asked or never
    return (asked, 0) if trouble is None else (max(asked, trouble.since), trouble.failures)


def _longest(every_s: float, trouble: Trouble | None) -> timedelta:
    return timedelta(seconds=every_s) if trouble is None else _LONGEST_RETRY


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
    return Trouble(
        _words(found["text"]),
        _words(found["kind"]),
        _moment(found["since"]),
        failures,
        _moment(found["again"]),
    )


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

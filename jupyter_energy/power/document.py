"""A trace: the power of each device over the time of one run, as the store keeps it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

from .. import foreign
from ..model import Domain, Provenance, Scope
from ..sensors.base import Sensor

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Curve:
    """One device: its mean power in W over each stretch of time, None where nothing is known.

    `ends_s` are the ends of the stretches in s since the run began; the first one begins at 0.
    `spread` has the bounds of an estimate as multiples of `power_w`; None for a measurement.
    `reason` says why there are stretches without a reading.
    """

    domain: Domain
    provenance: Provenance
    source: str
    spread: tuple[float, float] | None
    ends_s: tuple[float, ...]
    power_w: tuple[float | None, ...]
    reason: str | None = None

    def stretches(self) -> Iterator[tuple[float, float, float | None]]:
        """Begin and end in s, and power in W, of each stretch."""
        begin_s = 0.0
        for end_s, power_w in zip(self.ends_s, self.power_w, strict=True):
            yield begin_s, end_s, power_w
            begin_s = end_s

    def known(self) -> list[tuple[float, float]]:
        """Length in s and power in W of each stretch that is known."""
        return [(end - begin, power) for begin, end, power in self.stretches() if power is not None]

    @property
    def mean_w(self) -> float | None:
        """The mean power in W over all that is known, None of nothing."""
        known = self.known()
        seconds = math.fsum(dt_s for dt_s, _ in known)
        return math.fsum(dt_s * w for dt_s, w in known) / seconds if seconds > 0 else None


@dataclass(frozen=True, slots=True)
class PowerTrace:
    """Power over time of one run that took `duration_s`, read every `interval_s` on average.

    `peak_w` is the highest power of all measured devices together, None where one of them was
    never seen; `longest_gap_s` the longest time between two readings of a device; `suspended_s`
    how long the machine slept, which the curves leave out.
    """

    duration_s: float
    interval_s: float
    longest_gap_s: float
    suspended_s: float
    peak_w: float | None
    curves: tuple[Curve, ...] = field(default=())

    def to_document(self) -> dict[str, object]:
        """The trace as a dictionary that JSON can hold."""
        return {
            "schema": SCHEMA,
            "duration_s": self.duration_s,
            "interval_s": self.interval_s,
            "longest_gap_s": self.longest_gap_s,
            "suspended_s": self.suspended_s,
            "peak_w": self.peak_w,
            "devices": [
                {
                    "kind": curve.domain.kind,
                    "index": curve.domain.index,
                    "name": curve.domain.name,
                    "uuid": curve.domain.uuid,
                    "scope": curve.domain.scope,
                    "provenance": curve.provenance,
                    "source": curve.source,
                    "spread": curve.spread,
                    "t_s": curve.ends_s,
                    "power_w": curve.power_w,
                    "reason": curve.reason,
                }
                for curve in self.curves
            ],
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> PowerTrace:
        """The trace that `to_document` wrote.

        Raises KeyError, TypeError or ValueError where the document is none of ours.
        """
        curves = [
            _curve(
                _domain(held),
                _one_of(Provenance, held["provenance"]),
                _text(held["source"]),
                _spread(held["spread"]),
                list(zip(held["t_s"], held["power_w"], strict=True)),
                None if held["reason"] is None else _text(held["reason"]),
            )
            for held in document["devices"]
        ]
        peak_w = document["peak_w"]
        return cls(
            _seconds(document["duration_s"]),
            _seconds(document["interval_s"]),
            _seconds(document["longest_gap_s"]),
            _seconds(document["suspended_s"]),
            None if peak_w is None else _finite(peak_w),
            tuple(curves),
        )


def of_window(
    seen: Mapping[str, Any],
    sensors: Sequence[tuple[Sensor, str]],
    start_s: float,
    stop_s: float,
    interval_s: float,
) -> PowerTrace:
    """What the process has seen, between the edges of the run (monotonic s).

    `sensors` are those of its plan, in that order, with the name of what was read of each.
    Raises KeyError, TypeError or ValueError where that is nothing that the process would say.
    """
    curves, gaps_s = [], [0.0]
    for (sensor, source), device in zip(sensors, seen["devices"], strict=True):
        stretches: list[tuple[float, float | None]] = []
        if device.get("readings"):
            stretches = list(_clipped(device, start_s, stop_s))
            late_s = max(0.0, device["begin_s"] - start_s)
            early_s = max(0.0, stop_s - max(device["ends_s"], default=start_s))
            gaps_s += [device["longest_gap_s"], late_s, early_s]
        curves.append(
            _curve(
                sensor.domain,
                sensor.provenance,
                source,
                sensor.spread,
                stretches,
                device["reason"],
            )
        )
    peak_w = seen["peak_w"]
    duration_s = max(0.0, stop_s - start_s)
    return PowerTrace(
        duration_s,
        interval_s,
        min(duration_s, _finite(max(gaps_s))),
        _finite(seen["suspended_s"]),
        None if peak_w is None else _finite(peak_w),
        tuple(curves),
    )


def _clipped(
    device: Mapping[str, Any], start_s: float, stop_s: float
) -> Iterator[tuple[float, float | None]]:
    """The stretches of a device that lie in the run, their ends in s since its start, to 1 ns.

    Energy is power times a stretch's length, and one stretch may be a few 100 µs long.
    """
    begin_s = float(device["begin_s"])
    if begin_s > start_s:
        yield round(min(begin_s, stop_s) - start_s, 9), None
    for end_s, power_w in zip(device["ends_s"], device["power_w"], strict=True):
        if end_s > start_s and begin_s < stop_s:
            yield round(min(end_s, stop_s) - start_s, 9), power_w
        begin_s = end_s
    if begin_s < stop_s:
        yield round(stop_s - start_s, 9), None


def _curve(
    domain: Domain,
    provenance: Provenance,
    source: str,
    spread: tuple[float, float] | None,
    stretches: Sequence[tuple[float, float | None]],
    reason: str | None,
) -> Curve:
    """A curve of stretches that go on. Raises TypeError or ValueError."""
    ends_s, power_w, last_s = [], [], 0.0
    for end_s, watts in stretches:
        if _finite(end_s) > last_s:
            ends_s.append(float(end_s))
            power_w.append(None if watts is None else round(_finite(watts), 3))
            last_s = end_s
    return Curve(domain, provenance, source, spread, tuple(ends_s), tuple(power_w), reason)


def _domain(held: Mapping[str, Any]) -> Domain:
    """The device of a curve. Raises KeyError, TypeError or ValueError."""
    index, uuid = foreign.whole(held["index"]), held["uuid"]
    if index is None:
        raise ValueError("the number of a device is none")
    scope = _one_of(Scope, held["scope"])
    return Domain(
        _text(held["kind"]),
        index,
        _text(held["name"]),
        None if uuid is None else _text(uuid),
        scope,
    )


def _spread(held: Any) -> tuple[float, float] | None:
    """The bounds of an estimate as multiples of its middle. Raises TypeError or ValueError."""
    if held is None:
        return None
    low, high = map(_finite, held)
    if not low <= 1 <= high:
        raise ValueError(f"{low} to {high} is no range around 1")
    return low, high


def _one_of(words: Any, found: object) -> Any:
    if not isinstance(found, str) or found not in get_args(words):
        raise ValueError(f"{found!r:.60} is none of ours")
    return found


def _text(found: object) -> str:
    if not isinstance(found, str):
        raise TypeError(f"{found!r:.60} is no text")
    return found


def _finite(found: object) -> float:
    """A number that is one, and not below 0. Raises ValueError."""
    number = foreign.number(found)
    if number is None or number < 0:
        raise ValueError(f"{found!r:.60} is no power and no time")
    return number


def _seconds(found: object) -> float:
    """A duration. Raises ValueError."""
    duration_s = foreign.seconds(found)
    if duration_s is None:
        raise ValueError(f"{found!r:.60} is no duration")
    return duration_s

"""Numbers that know how far they can be trusted: measured values and estimated ranges.

A measurement is an `Uncertain`, an estimate a `Range`. They are two types so that no
`±` can ever be printed beside an estimate, and no estimate can slip into a measured sum.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

# 95 % of a normal distribution lie within ±1.96 standard deviations.
COVERAGE_FACTOR_95 = 1.96


@dataclass(frozen=True, slots=True)
class Uncertain:
    """A measured value with two standard uncertainties, all in the value's own unit.

    `u_random` changes from run to run on this machine (when the counter was last updated,
    its step); it averages out. `u_systematic` is the sensor's own gain error: it is the same
    in every run on this machine, so it does not average out. Both follow the GUM (JCGM 100:2008).
    """

    value: float
    u_random: float = 0.0
    u_systematic: float = 0.0

    @property
    def u95_repeat(self) -> float:
        """Half-width of the 95 % interval for repeats on this machine, in the value's unit."""
        return COVERAGE_FACTOR_95 * self.u_random

    @property
    def u95(self) -> float:
        """Half-width of the 95 % interval for the true value, in the value's unit."""
        return COVERAGE_FACTOR_95 * math.hypot(self.u_random, self.u_systematic)

    def scaled(self, factor: float) -> Uncertain:
        """The value and both uncertainties times a constant that has no uncertainty."""
        return Uncertain(
            self.value * factor, self.u_random * abs(factor), self.u_systematic * abs(factor)
        )


@dataclass(frozen=True, slots=True)
class Range:
    """An estimate: a middle and the bounds that the truth is expected between, same unit.

    Raises ValueError where the three are out of order.
    """

    low: float
    mid: float
    high: float

    def __post_init__(self) -> None:
        if not self.low <= self.mid <= self.high:
            raise ValueError(f"a range must rise: {self.low}, {self.mid}, {self.high}")

    def scaled(self, factor: float) -> Range:
        """The range times a constant that is not negative."""
        return Range(self.low * factor, self.mid * factor, self.high * factor)


def sum_over_devices(values: Iterable[Uncertain]) -> Uncertain | None:
    """The sum of readings of different devices, or None of nothing.

    Gains of different boards are independent (Yang et al., arXiv 2312.02741), so both kinds
    of uncertainty add in quadrature.
    """
    items = list(values)
    if not items:
        return None
    return Uncertain(
        math.fsum(v.value for v in items),
        math.hypot(*(v.u_random for v in items)),
        math.hypot(*(v.u_systematic for v in items)),
    )


def sum_over_time(values: Iterable[Uncertain]) -> Uncertain | None:
    """The sum of readings of one device at different times, or None of nothing.

    The device's gain is the same each time, so the systematic part adds linearly.
    """
    items = list(values)
    if not items:
        return None
    return Uncertain(
        math.fsum(v.value for v in items),
        math.hypot(*(v.u_random for v in items)),
        math.fsum(v.u_systematic for v in items),
    )


def sum_of_ranges(ranges: Iterable[Range]) -> Range | None:
    """The sum of estimates, bound by bound, or None of nothing.

    Estimates on one machine are wrong together (same model, same machine), so their bounds
    add: a narrower sum would claim an independence that nobody has shown.
    """
    items = list(ranges)
    if not items:
        return None
    return Range(
        math.fsum(r.low for r in items),
        math.fsum(r.mid for r in items),
        math.fsum(r.high for r in items),
    )

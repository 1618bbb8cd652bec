"""Numbers that know how far they can be trusted: measured values and estimated ranges.

A measurement is an `Uncertain`, an estimate a `Range`. They are two types so that no
`±` can ever be printed beside an estimate, and no estimate can slip into a measured sum.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise

# 95 % of a normal distribution lie within ±1.96 standard deviations.
COVERAGE_FACTOR_95 = 1.96
# Excess kurtosis of a rectangular distribution; a triangular one has -0.6, a normal one 0.
RECTANGULAR = -1.2
# Half-width of the 95 % interval in standard deviations, by excess kurtosis: the quantiles of a
# rectangular distribution convolved with another or with a normal one. The two kinds differ by
# less than 1.5 % at the same kurtosis; the points lie between them.
_HALF_WIDTHS = (
    (RECTANGULAR, 0.95 * math.sqrt(3)),
    (-1.0, 1.745),
    (-0.8, 1.820),
    (-0.6, 1.885),
    (-0.4, 1.925),
    (-0.2, 1.943),
    (0.0, COVERAGE_FACTOR_95),
)


def half_width_95(u: float, excess: float) -> float:
    """Half-width of the 95 % interval of a symmetric distribution, in the unit of `u`.

    `u` is its standard deviation, `excess` its excess kurtosis. A factor of 2, as the GUM offers
    it, over-covers: two reads of a step in power lie within ±2u always (measuring.md 6.5).
    """
    excess = min(0.0, max(RECTANGULAR, excess))
    for (left, low), (right, high) in pairwise(_HALF_WIDTHS):
        if excess <= right:
            return u * (low + (high - low) * (excess - left) / (right - left))
    return u * _HALF_WIDTHS[-1][1]


@dataclass(frozen=True, slots=True)
class Spread:
    """A symmetric distribution around 0, as its first even cumulants: both add up when two
    independent ones are convolved. `variance` in the square of the unit, `fourth` in its fourth
    power."""

    variance: float = 0.0
    fourth: float = 0.0

    @classmethod
    def rectangular(cls, half_width: float) -> Spread:
        """Anything within ±half_width is as likely as anything else (GUM 4.3.7)."""
        return cls(half_width**2 / 3, -2 / 15 * half_width**4)

    @classmethod
    def normal(cls, u: float) -> Spread:
        """Of standard deviation `u`: what is itself the sum of many things."""
        return cls(u * u)

    @classmethod
    def of(cls, u: float, excess: float) -> Spread:
        """Of standard deviation `u` and an excess kurtosis."""
        return cls(u * u, excess * u**4)

    def __add__(self, other: Spread) -> Spread:
        return Spread(self.variance + other.variance, self.fourth + other.fourth)

    @property
    def u(self) -> float:
        """The standard deviation."""
        return math.sqrt(self.variance)

    @property
    def excess(self) -> float:
        """The excess kurtosis: -1.2 rectangular, 0 normal (also of nothing at all)."""
        # Far below 1e-150 the square is 0, and so is any difference that this could make.
        square = self.variance**2
        return min(0.0, max(RECTANGULAR, self.fourth / square)) if square > 0 else 0.0

    @property
    def u95(self) -> float:
        """Half-width of the 95 % interval."""
        return half_width_95(self.u, self.excess)


@dataclass(frozen=True, slots=True)
class Uncertain:
    """A measured value with two standard uncertainties, all in the value's own unit.

    `u_random` changes from run to run on this machine (when the counter was last renewed, its
    step); it averages out. `u_systematic` is the sensor's own gain error: it is the same in every
    run on this machine, so it does not average out. Both follow the GUM (JCGM 100:2008). The two
    `excess` are their excess kurtoses, which say how far their 95 % intervals reach.
    """

    value: float
    u_random: float = 0.0
    u_systematic: float = 0.0
    excess_random: float = 0.0
    excess_systematic: float = 0.0

    @classmethod
    def made(cls, value: float, random: Spread, systematic: Spread) -> Uncertain:
        """A value from the distributions of its errors."""
        return cls(value, random.u, systematic.u, random.excess, systematic.excess)

    @property
    def random(self) -> Spread:
        """The distribution of what changes from run to run."""
        return Spread.of(self.u_random, self.excess_random)

    @property
    def systematic(self) -> Spread:
        """The distribution of what is the same in every run."""
        return Spread.of(self.u_systematic, self.excess_systematic)

    @property
    def u95_repeat(self) -> float:
        """Half-width of the 95 % interval for repeats on this machine, in the value's unit."""
        return self.random.u95

    @property
    def u95(self) -> float:
        """Half-width of the 95 % interval for the true value, in the value's unit."""
        return (self.random + self.systematic).u95

    def scaled(self, factor: float) -> Uncertain:
        """The value and both uncertainties times a constant that has no uncertainty."""
        return replace(
            self,
            value=self.value * factor,
            u_random=self.u_random * abs(factor),
            u_systematic=self.u_systematic * abs(factor),
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
    of error are convolved.
    """
    items = list(values)
    if not items:
        return None
    random, systematic = Spread(), Spread()
    for item in items:
        random, systematic = random + item.random, systematic + item.systematic
    return Uncertain.made(math.fsum(v.value for v in items), random, systematic)


def sum_over_time(values: Iterable[Uncertain]) -> Uncertain | None:
    """The sum of readings of one device at different times, or None of nothing.

    The device's gain is the same each time, so the systematic part adds linearly and keeps its
    shape (the widest's, where they differ).
    """
    items = list(values)
    if not items:
        return None
    # As the sum of `random`, without two objects for each: a notebook may have thousands of runs.
    variance = fourth = 0.0
    for item in items:
        of_one = item.u_random * item.u_random
        variance += of_one
        fourth += item.excess_random * of_one * of_one
    random = Spread(variance, fourth)
    widest = max(items, key=lambda v: v.u_systematic)
    return Uncertain(
        math.fsum(v.value for v in items),
        random.u,
        math.fsum(v.u_systematic for v in items),
        random.excess,
        widest.excess_systematic,
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

"""A body that runs n times in one window: its blocks, and what one run draws. Pure functions.

The error of a window's edges falls as 1/n in the mean of n runs, where n windows of their own give
1/√n (measuring.md 6.6). The runs are split into blocks, whose spread tells how far the body itself
varies; the first block is warm-up and in no mean.
"""

from __future__ import annotations

import math
import statistics
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from . import units
from .model import Measurement, Record
from .repeats import Repeats
from .uncertainty import COVERAGE_FACTOR_95, Uncertain
from .window import Edge

# The mean of fewer says little about its own error, and with five `-r auto` covers 92.5 % where
# 95 % is promised, with three 90.4 % (measuring.md 6.6). More are of no use: each block has two
# edges of its own, whose error in the mean of all grows with the root of the number of blocks.
BLOCKS = 5
# `-r auto` goes on until the half-width of the 95 % interval is this part of the mean, …
AIM = 0.02
# … and no longer than this, in s.
LIMIT_S = 120.0
# A block lasts so long that its own two edges are off by less than AIM in 95 % of cases: 0.80·T/ε
# for a counter that is renewed every T (measuring.md 6.1). And long enough in any case for the
# reads between blocks (less than 1 ms) to be nothing.
EDGE_FACTOR = 0.80
LEAST_BLOCK_S = 0.1
# Energies of blocks that rise with their order by more than this (Spearman's coefficient) drift.
# Five blocks that do not drift pass it by chance in 1 of 24 cases, on either side.
DRIFT = 0.8

# 97.5 % points of Student's t by degrees of freedom, from 1: NIST/SEMATECH e-Handbook of
# Statistical Methods, 1.3.6.7.2.
_T_975 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
_Z_975 = 1.959964

Mark = tuple[int, Edge]
Between = Callable[[Edge, Edge], Measurement]


def t_975(degrees: int) -> float:
    """The 97.5 % point of Student's t, within 0.001. Raises ValueError below one degree."""
    if degrees < 1:
        raise ValueError("a spread needs two values")
    if degrees <= len(_T_975):
        return _T_975[degrees - 1]
    z, n = _Z_975, degrees
    # Its expansion about the normal distribution (Abramowitz and Stegun 26.7.5).
    return (
        z
        + (z**3 + z) / (4 * n)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
    )


def half_width_of_mean(values: Sequence[float]) -> float | None:
    """Half-width of the 95 % interval of the mean of `values`, in their unit: t·s/√k.

    None of fewer than two values, which have no spread.
    """
    k = len(values)
    if k < 2:
        return None
    mean = math.fsum(values) / k
    variance = math.fsum((v - mean) ** 2 for v in values) / (k - 1)
    return t_975(k - 1) * math.sqrt(variance / k)


def rank_correlation(values: Sequence[float]) -> float:
    """Spearman's coefficient of values with their order, -1 to 1; 0 where all are the same."""
    n = len(values)
    if n < 2:
        return 0.0
    ordered = sorted(values)
    # From 1; those that are equal share the mean of their places.
    ranks = [(bisect_left(ordered, v) + bisect_right(ordered, v) + 1) / 2 for v in values]
    middle = (n + 1) / 2
    spread = math.fsum((r - middle) ** 2 for r in ranks)
    if spread == 0:
        return 0.0
    along = math.fsum((i + 1 - middle) * (r - middle) for i, r in enumerate(ranks))
    return along / math.sqrt(spread * n * (n * n - 1) / 12)


def block_sizes(runs: int) -> list[int]:
    """How many runs each block has: one block of warm-up and five more, or blocks of one run.

    They differ by one run at most, and the first is the smallest.
    """
    blocks = min(runs, 1 + BLOCKS)
    return [runs // blocks + (i >= blocks - runs % blocks) for i in range(blocks)]


def block_s(period_s: float) -> float:
    """How long a block of `-r auto` lasts at least, in s, where the slowest sensor that counts is
    renewed every `period_s`."""
    return max(LEAST_BLOCK_S, EDGE_FACTOR * period_s / AIM)


@dataclass(slots=True)
class Repetition:
    """A body that is being repeated: `asked` runs (None: `-r auto`), as far as it has got.

    `marks` are the edges between blocks, each with the number of runs that had ended; `begun`
    counts runs. `narrow` where `-r auto` has reached its aim.
    """

    asked: int | None
    begun: int = 0
    narrow: bool = False
    marks: list[Mark] = field(default_factory=list)
    _figures: list[float] = field(default_factory=list)

    def mark(self, edge: Edge, start: Edge, between: Between) -> None:
        """Take the edge behind a block; `start` is where the window began."""
        before = self.marks[-1] if self.marks else (0, start)
        self.marks.append((self.begun, edge))
        if self.asked is None and len(self.marks) > 1:
            block = between(before[1], edge)
            energy = block.measured_j
            figure = block.duration_s if energy is None else energy.value
            self._figures.append(figure / (self.begun - before[0]))
            self.narrow = len(self._figures) >= BLOCKS and self.relative() < AIM

    def relative(self) -> float:
        """The half-width of the interval so far, as a part of the mean; inf while unknown."""
        half = half_width_of_mean(self._figures)
        mean = math.fsum(self._figures) / max(1, len(self._figures))
        return math.inf if half is None or mean <= 0 else half / mean


def with_repeats(
    record: Record, repetition: Repetition, start: Edge, stop: Edge, between: Between
) -> Record:
    """The record of a repeated body, with the figures of one run, and with what must be said."""
    marks, ended_well = [(0, start), *repetition.marks], record.outcome == "ok"
    said = []
    if ended_well and repetition.begun == 0:
        said.append("the body ran once: it cannot stand in a loop")
    elif ended_well:
        marks.append((repetition.begun, stop))
        # `-r auto` knows that a block was its last one only when the body has yet to run once
        # more: that run is part of it.
        if len(marks) > 3 and 2 * _runs(marks[-2:]) < _runs(marks[-3:-1]):
            del marks[-2]
    repeats = None
    if len(marks) > 2:
        repeats, more = _figures(marks, between, repetition, record.measurement)
        said += more
        if ended_well and repetition.asked is None and not repetition.narrow:
            blocks = f"the blocks agreed within ±{units.percent(AIM)}"
            said.append(f"stopped after {units.duration(LIMIT_S)}, before {blocks}")
        if not ended_well:
            said.append("the last run did not end: one run is told of the blocks before it")
    return replace(record, repeats=repeats, warnings=(*record.warnings, *said))


def _figures(
    marks: Sequence[Mark], between: Between, repetition: Repetition, record: Measurement
) -> tuple[Repeats, list[str]]:
    """The mean of all runs behind the first block, and what must be said of it."""
    whole = between(marks[1][1], marks[-1][1])
    runs, first_runs = _runs([marks[1], marks[-1]]), marks[1][0]
    first = between(marks[0][1], marks[1][1])
    blocks = [(between(a[1], b[1]), b[0] - a[0]) for a, b in pairwise(marks[1:])]
    devices, said = _measured(whole), []
    # A sensor that did not answer between two blocks is missing in both.
    energies = [_value_j(block) / n for block, n in blocks if _measured(block) == devices]
    if _measured(record) - devices:
        said.append("one run is told without a device whose sensor did not answer in between")
    measured, estimated = whole.measured_j, whole.estimated_j
    if measured is not None:
        measured = _mean(measured.scaled(1 / runs), energies)
        said += _remarks(energies, repetition)
    has_first = measured is not None and _measured(first) == devices
    found = Repeats(
        runs=runs,
        blocks=len(blocks),
        first_runs=first_runs,
        run_s=whole.duration_s / runs,
        first_run_s=first.duration_s / first_runs,
        measured_j=measured,
        median_j=statistics.median(energies) if energies and measured is not None else None,
        first_j=_value_j(first) / first_runs if has_first else None,
        estimated_j=None if estimated is None else estimated.scaled(1 / runs),
        auto=repetition.asked is None,
    )
    return found, said


def _mean(mean: Uncertain, energies: Sequence[float]) -> Uncertain:
    """The mean of one run, with the interval that the blocks' own energies a run allow.

    The wider of two: the error of the sensor over the whole window, over n, knows nothing of the
    body; the spread of the blocks knows both, since each block has edges of its own, and is the
    wider one unless the blocks happen to agree. They are not added: the second holds the first.
    """
    half = half_width_of_mean(energies)
    if half is None or half <= mean.u95_repeat:
        return mean
    return replace(mean, u_random=half / COVERAGE_FACTOR_95, excess_random=0.0)


def _remarks(energies: Sequence[float], repetition: Repetition) -> list[str]:
    """What must be said of the blocks' energies a run, in J."""
    n, asked = len(energies), repetition.asked
    if n < BLOCKS:
        blocks = "1 block" if n == 1 else f"{n} blocks"
        more = (
            f"; from -r {1 + BLOCKS} on there are {BLOCKS}"
            if asked is not None and asked <= BLOCKS
            else ""
        )
        return [f"the ± of one run rests on {blocks} only{more}"]
    drift = rank_correlation(energies)
    if abs(drift) <= DRIFT:
        return []
    first, last = (units.quantity(e, units.ENERGY_J) for e in (energies[0], energies[-1]))
    if drift > 0:
        return [f"a run drew more from block to block ({first} to {last}): heating up?"]
    return [f"a run drew less from block to block ({first} to {last}): a longer warm-up?"]


def _measured(measurement: Measurement) -> set[tuple[str, str | None]]:
    """The devices whose measured energies its total is made of."""
    return {
        (d.domain.key, d.domain.uuid)
        for d in measurement.counted()
        if isinstance(d.energy, Uncertain)
    }


def _value_j(measurement: Measurement) -> float:
    total = measurement.measured_j
    return 0.0 if total is None else total.value


def _runs(marks: Sequence[Mark]) -> int:
    """The runs between two marks."""
    return marks[-1][0] - marks[0][0]

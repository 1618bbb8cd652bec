"""Runs of all notebooks of a machine, as they enter its totals: what two of them measured at the
same time counts once.

Each of them measured the whole device, so that each has the joules of the time they share. A run's
energy within a part of its window is taken at its mean power, as in overlaps.py.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from .model import Record
from .overlaps import LEAST_S, LEAST_SHARE, device_key, middle_j, part_of
from .uncertainty import Range, Uncertain

DeviceKey = tuple[str, str]
# Of one device at one time, what was measured counts and what was estimated does not.
MEASURED_FIRST = (Uncertain, Range)


@dataclass(frozen=True, slots=True)
class Draw:
    """What one run drew from one device: from when to when (s since the epoch), and how much (J,
    the middle of an estimate)."""

    run_id: str
    start_s: float
    end_s: float
    energy_j: float


class Stretches:
    """A set of moments that grows by stretches of time, in s since the epoch."""

    def __init__(self, whole: Iterable[tuple[float, float]] = ()) -> None:
        self._starts: list[float] = []
        self._ends: list[float] = []
        for start_s, end_s in whole:
            self.add(start_s, end_s)

    def __iter__(self) -> Iterator[tuple[float, float]]:
        return iter(zip(self._starts, self._ends, strict=True))

    def add(self, start_s: float, end_s: float) -> None:
        """Add one; those that it touches become one with it."""
        left = right = bisect_left(self._ends, start_s)
        while right < len(self._starts) and self._starts[right] <= end_s:
            right += 1
        if left < right:
            start_s, end_s = min(start_s, self._starts[left]), max(end_s, self._ends[right - 1])
        self._starts[left:right], self._ends[left:right] = [start_s], [end_s]

    def own_share(self, draw: Draw) -> float:
        """The share of a draw's time that is not in the set, 0 to 1."""
        shared, at = [], bisect_left(self._ends, draw.start_s)
        while at < len(self._starts) and self._starts[at] < draw.end_s:
            shared.append(min(draw.end_s, self._ends[at]) - max(draw.start_s, self._starts[at]))
            at += 1
        duration_s, shared_s = draw.end_s - draw.start_s, math.fsum(shared)
        if shared_s <= max(LEAST_S, LEAST_SHARE * duration_s):
            return 1.0
        return max(0.0, 1.0 - shared_s / duration_s)


def shares_once(draws: Iterable[Draw], taken: Stretches) -> dict[str, float]:
    """The share, 0 to 1, that each draw from one device counts with, by its run; then all is taken.

    Time that is `taken`, or that an earlier draw has, counts no more. The sum over draws that
    overlap is never less than the largest of them: where one has more than the longer one that it
    lies in, the longer one did not see all, and the other counts in its place.
    """
    shares: dict[str, float] = {}
    seen = Stretches(taken)
    chain: list[tuple[Draw, float]] = []  # those that overlap, with what they would count alone
    reached_s = -math.inf

    def settle() -> None:
        counted_j = math.fsum(d.energy_j * shares[d.run_id] for d, _ in chain)
        largest, alone = max(chain, key=lambda one: one[0].energy_j * one[1])
        if largest.energy_j * alone > counted_j:
            shares.update({d.run_id: 0.0 for d, _ in chain})
            shares[largest.run_id] = alone
        chain.clear()

    for draw in sorted(draws, key=lambda d: (d.start_s, -d.end_s, d.run_id)):
        if chain and draw.start_s >= reached_s:
            settle()
        shares[draw.run_id] = seen.own_share(draw)
        chain.append((draw, taken.own_share(draw)))
        seen.add(draw.start_s, draw.end_s)
        reached_s = max(reached_s, draw.end_s)
    if chain:
        settle()
    for start_s, end_s in seen:
        taken.add(start_s, end_s)
    return shares


def machine_once(records: Iterable[Record], before: Iterable[Record] = ()) -> list[Record]:
    """The runs of one host in the order they began, each with the time (s), energy (J) and grams
    that it adds to the machine's.

    Runs `before` are counted elsewhere: what these share with them is left out. A device's energy
    is shared only by runs that have a figure for it; where one measured it and another estimated
    it, what was measured counts.
    """
    runs = sorted(records, key=lambda r: (r.start, -r.duration_s, r.run_id))
    past = list(before)
    if not _overlap(past, runs):
        return runs
    taken = Stretches(map(_stretch, past))
    times = shares_once((Draw(r.run_id, *_stretch(r), 0.0) for r in runs), taken)
    ours, theirs = _by_device(runs), _by_device(past)
    shares: dict[tuple[str, DeviceKey], float] = {}
    for device, kinds in ours.items():
        taken = Stretches()
        for kind in MEASURED_FIRST:
            for draw in theirs.get(device, {}).get(kind, {}).values():
                taken.add(draw.start_s, draw.end_s)
            counted = shares_once(kinds.get(kind, {}).values(), taken)
            shares |= {(run_id, device): share for run_id, share in counted.items()}
    return [_part(run, times[run.run_id], shares) for run in runs]


def _part(run: Record, time: float, shares: Mapping[tuple[str, DeviceKey], float]) -> Record:
    domains = [d.domain for d in run.measurement.counted()]
    of_run = {d: shares[run.run_id, device_key(run.host, d)] for d in domains}
    if time == 1 and all(share == 1 for share in of_run.values()):
        return run
    return part_of(run, time, of_run)


def _overlap(past: Iterable[Record], runs: Iterable[Record]) -> bool:
    """Whether any of the runs, in the order they began, overlaps another one."""
    reached_s = max((_stretch(r)[1] for r in past), default=-math.inf)
    for run in runs:
        start_s, end_s = _stretch(run)
        shared_s = min(reached_s - start_s, run.duration_s)
        if shared_s > max(LEAST_S, LEAST_SHARE * run.duration_s):
            return True
        reached_s = max(reached_s, end_s)
    return False


def _stretch(run: Record) -> tuple[float, float]:
    start_s = run.start.timestamp()
    return start_s, start_s + run.duration_s


def _by_device(runs: Iterable[Record]) -> dict[DeviceKey, dict[type, dict[str, Draw]]]:
    """What each run drew from each device, measured and estimated apart."""
    found: dict[DeviceKey, dict[type, dict[str, Draw]]] = {}
    for run in runs:
        start_s, end_s = _stretch(run)
        for d in run.measurement.counted():
            of_kind = found.setdefault(device_key(run.host, d.domain), {})
            draws = of_kind.setdefault(type(d.energy), {})
            more = draws.get(run.run_id)
            energy_j = middle_j(d) + (more.energy_j if more else 0.0)
            draws[run.run_id] = Draw(run.run_id, start_s, end_s, energy_j)
    return found

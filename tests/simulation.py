"""Sensors that are simulated down to when they are renewed, over a load whose energy is known.

The truth is a power that is constant piece by piece, so that its energy is a closed form. A
sensor here shows what a real one would show at a moment; everything behind `read()` is the
library's own: its trace, its windows, its intervals.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from jupyter_energy.errors import SensorError
from jupyter_energy.model import Domain, Provenance
from jupyter_energy.sensors.base import Accuracy, Reading

GPU = Domain("gpu", 0, "simulated")
MOST_W = 700.0
LONGEST_S = 20.0
Pieces = Sequence[tuple[float, float]]  # s, W


@dataclass(frozen=True)
class Load:
    """Power over time: `watts[i]` from `t_s[i]` on; the last goes on for ever."""

    t_s: tuple[float, ...]
    watts: tuple[float, ...]
    _energies_j: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, pieces: Sequence[tuple[float, float]]) -> Load:
        """From (s, W) pieces that follow each other from t = 0."""
        t_s, watts, now_s = [], [], 0.0
        for seconds, power_w in pieces:
            t_s.append(now_s)
            watts.append(power_w)
            now_s += seconds
        return cls(tuple(t_s), tuple(watts))

    def __post_init__(self) -> None:
        total_j = 0.0
        for number, start_s in enumerate(self.t_s):
            if number:
                total_j += self.watts[number - 1] * (start_s - self.t_s[number - 1])
            self._energies_j.append(total_j)

    def power_w(self, t_s: float) -> float:
        """Power at a moment, of the piece that begins there."""
        return self.watts[max(0, bisect_right(self.t_s, t_s) - 1)]

    def energy_j(self, t_s: float) -> float:
        """Energy from t = 0; before that, at the first power."""
        number = max(0, bisect_right(self.t_s, t_s) - 1)
        return self._energies_j[number] + self.watts[number] * (t_s - self.t_s[number])

    def mean_w(self, begin_s: float, end_s: float) -> float:
        """Mean power between two moments."""
        return (self.energy_j(end_s) - self.energy_j(begin_s)) / (end_s - begin_s)

    def jumps(self, begin_s: float, end_s: float) -> list[tuple[float, float]]:
        """When power jumps between two moments, and by how much."""
        return [
            (t_s, now_w - before_w)
            for t_s, before_w, now_w in zip(self.t_s[1:], self.watts, self.watts[1:], strict=False)
            if begin_s <= t_s <= end_s
        ]


@dataclass(eq=False)
class Simulated:
    """What all simulated sensors have: a load, a clock, a gain, when they are renewed."""

    load: Load
    period_s: float
    phase_s: float = 0.0
    gain: float = 1.0
    kind: Literal["counter", "gauge"] = "counter"
    provenance: Provenance = "measured"
    source: str = "simulated"
    averages_s: float = 0.0
    settles_s: float | None = None
    polls_s: float | None = None
    step_j: float = 0.0
    wraps_at_j: float | None = None
    max_w: float | None = 1000.0
    accuracy: Accuracy = field(default_factory=lambda: Accuracy(0.05, "a simulation"))
    spread: tuple[float, float] | None = None
    worker: str | None = None
    domain: Domain = GPU
    now_s: float = 0.0

    def renewed_s(self) -> float:
        """When the value that is shown now was renewed."""
        turns = math.floor((self.now_s - self.phase_s) / self.period_s)
        return self.phase_s + turns * self.period_s

    def read(self) -> float | Reading:
        """What the sensor shows at `now_s`."""
        raise NotImplementedError

    def close(self) -> None:
        """Nothing to close."""


class Counter(Simulated):
    """A counter of energy; where `tells_s` is set it also tells the mean power over so long a
    time before its last renewal, as NVML does in one call."""

    tells_s: float | None = None
    noise: random.Random | None = None  # of the power that it tells, 2 % (standard deviation)

    def read(self) -> float | Reading:
        renewed_s = self.renewed_s()
        height_j = self.gain * (self.load.energy_j(renewed_s) + 1e4)
        if self.step_j:
            height_j = math.floor(height_j / self.step_j) * self.step_j
        if self.tells_s is None:
            return height_j
        told_w = self.gain * self.load.mean_w(renewed_s - self.tells_s, renewed_s)
        if self.noise is not None:
            told_w *= self.noise.gauss(1.0, 0.02)
        return Reading(height_j, told_w)


class Gauge(Simulated):
    """The mean power over the last `averages_s` before each renewal."""

    def read(self) -> float | Reading:
        renewed_s = self.renewed_s()
        return self.gain * self.load.mean_w(renewed_s - self.averages_s, renewed_s)


class Ring(Simulated):
    """A gauge whose driver keeps its last `depth` readings."""

    depth = 119
    _told_s = -math.inf

    def read(self) -> float | Reading:
        last_s = self.renewed_s()
        stamps = [last_s - n * self.period_s for n in range(self.depth - 1, -1, -1)]
        past = tuple(
            (t_s, self.gain * self.load.mean_w(t_s - self.averages_s, t_s))
            for t_s in stamps
            if t_s > self._told_s
        )
        self._told_s = last_s
        return Reading(self.gain * self.load.mean_w(last_s - self.averages_s, last_s), None, past)


class Broken(Simulated):
    """A sensor that fails now and then: readings from `fails_from_s` for `fails_for_s` raise."""

    def read(self) -> float | Reading:
        raise SensorError("it failed")


@dataclass(frozen=True)
class Cell:
    """One random cell: its load, and when it began and ended."""

    load: Load
    begin_s: float
    end_s: float
    back_to_back: bool

    @property
    def truth_j(self) -> float:
        """What was drawn while it ran."""
        return self.load.energy_j(self.end_s) - self.load.energy_j(self.begin_s)


@dataclass(frozen=True)
class Result:
    """One cell: what was drawn and found in J, and whether the intervals hold the truth.

    `repeats` is of the interval for repeats on this machine, `holds` of the absolute one; `width`
    is the first one's beside the oracle's, None where the oracle has nothing to doubt; `relative`
    is half of it over the truth.
    """

    truth_j: float
    error_j: float
    repeats: bool
    holds: bool
    width: float | None
    relative: float


def random_cell(rng: random.Random, back_to_back: bool, longest_s: float = LONGEST_S) -> Cell:
    """A cell of the published family.

    Idle power 20 to 150 W; after the cell up to 30 % above it, since a context stays. The cell
    lasts 0.25 to 20 s (log-uniform), its power is constant for pieces whose mean length is 0.1 to
    3 s (log-uniform; each exponential) and 0.05 s at least, each uniform between idle and 700 W,
    or with a third of chance one of two levels in turns, as training steps do. Cells have idle
    time on both sides, or (`back_to_back`) a cell of the same family on both sides.
    """
    idle_w = rng.uniform(20, 150)
    duration_s = random_duration_s(rng, longest_s)
    around = (idle_w, idle_w * rng.uniform(1.0, 1.3))
    pieces = random_pieces(rng, duration_s, idle_w, MOST_W)
    if not back_to_back:
        return _cell(rng, around, (), pieces, ())
    others = [random_pieces(rng, 5.0, idle_w, MOST_W) for _ in range(2)]
    return _cell(rng, around, others[0], pieces, others[1])


def commensurate_cell(rng: random.Random, back_to_back: bool, period_s: float) -> Cell:
    """A cell whose power takes two levels in turns, `period_s` for both; the rest as above."""
    idle_w = rng.uniform(20, 150)
    levels = rng.uniform(idle_w, MOST_W), rng.uniform(idle_w, MOST_W)
    first_s = period_s * rng.uniform(0.2, 0.8)

    def pieces(seconds: float) -> Pieces:
        both = [(first_s, levels[0]), (period_s - first_s, levels[1])]
        return both * max(1, round(seconds / period_s))

    others = pieces(5.0) if back_to_back else ()
    return _cell(rng, (idle_w, idle_w), others, pieces(random_duration_s(rng, LONGEST_S)), others)


def random_duration_s(rng: random.Random, longest_s: float) -> float:
    """How long a cell lasts, in s: log-uniform."""
    return math.exp(rng.uniform(math.log(0.25), math.log(longest_s)))


def random_pieces(rng: random.Random, seconds: float, low: float, high: float) -> Pieces:
    """(s, level) pieces of running code, each level between two others; `random_cell` says how."""
    mean_s = math.exp(rng.uniform(math.log(0.1), math.log(3.0)))
    levels = None
    if rng.random() < 1 / 3:
        levels = rng.uniform(low, high), rng.uniform(low, high)
    found: list[tuple[float, float]] = []
    left_s = seconds
    while left_s > 1e-9:
        piece_s = min(left_s, max(0.05, rng.expovariate(1 / mean_s)))
        level = levels[len(found) % 2] if levels else rng.uniform(low, high)
        found.append((piece_s, level))
        left_s -= piece_s
    return found


def _cell(
    rng: random.Random,
    around_w: tuple[float, float],
    before: Pieces,
    within: Pieces,
    after: Pieces,
) -> Cell:
    """A cell between two others (or none), and those between two powers of an idle machine."""
    first = [(10.0 + rng.random(), around_w[0]), *before]
    begin_s = math.fsum(seconds for seconds, _ in first)
    end_s = begin_s + math.fsum(seconds for seconds, _ in within)
    whole = [*first, *within, *after, (math.inf, around_w[1])]
    return Cell(Load.of(whole), begin_s, end_s, bool(before))

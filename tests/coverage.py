"""How often the shown interval holds the truth, and how wide it is beside an oracle's.

`python tests/coverage.py [CELLS]` prints the table that tests/test_coverage.py guards. The
readings are made when the sampler makes them: at both edges, between them where a sensor is
polled, a settle read where nothing follows.
"""

from __future__ import annotations

import math
import random
import statistics
import sys
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

from simulation import Cell, Counter, Gauge, Ring, Simulated, random_cell

from jupyter_energy.model import Sample
from jupyter_energy.trace import Trace
from jupyter_energy.uncertainty import Spread, Uncertain
from jupyter_energy.window import between

CELLS = 2000
GAIN = 0.05
POLL_S = 0.1  # how often a gauge is read while a shown cell runs
IDLE_S = 5.0  # how long before a cell the one before had ended


@dataclass(frozen=True)
class Kind:
    """A kind of sensor: how one is made, and by whom it is read between the edges."""

    name: str
    make: Callable[[Cell, random.Random], Simulated]
    polls: bool = False
    misses: float = 0.0  # share of the polls that are missed, as under a held interpreter


def counter(period_s: float, tells_s: float | None, settles: bool, polls_s: float | None = None):
    """A counter that is renewed every `period_s`, out of step with the cell."""

    def make(cell: Cell, rng: random.Random) -> Simulated:
        made = Counter(
            cell.load,
            period_s * rng.uniform(0.98, 1.02),  # no driver keeps its period exactly
            rng.uniform(0, period_s),
            step_j=1e-3,
            settles_s=1.5 * period_s if settles else None,
            polls_s=polls_s,
        )
        made.tells_s, made.noise = tells_s, rng
        return made

    return make


def gauge(mean_s: float, period_s: float, make_of: type[Simulated] = Gauge):
    """A power that is the mean over `mean_s`, renewed every `period_s`."""

    def make(cell: Cell, rng: random.Random) -> Simulated:
        return make_of(
            cell.load,
            period_s,
            rng.uniform(0, period_s),
            kind="gauge",
            provenance="integrated",
            averages_s=mean_s,
            settles_s=mean_s + 1.25 * period_s if mean_s < 0.5 else None,
        )

    return make


KINDS = (
    Kind("counter, 1 ms", counter(0.001, None, settles=False)),
    Kind("counter, 20 ms", counter(0.02, 0.01, settles=True)),
    Kind("counter, 100 ms", counter(0.1, 0.025, settles=True)),
    Kind("counter, 100 ms, read around its edges", counter(0.1, 0.025, settles=True, polls_s=0.02)),
    Kind("boxcar, 25 of 100 ms, polled", gauge(0.025, 0.1), polls=True),
    Kind("mean of 1 s, polled", gauge(1.0, 0.1), polls=True),
    Kind("ring, 20 ms", gauge(0.01, 0.02, Ring), polls=True),
    Kind("boxcar, 100 of 100 ms, polls missed", gauge(0.1, 0.1), polls=True, misses=0.5),
)


@dataclass(frozen=True)
class Result:
    """One cell: errors in J, half-widths in J."""

    error_j: float  # without the gain
    repeat_j: float
    absolute_error_j: float
    absolute_j: float
    oracle_j: float
    truth_j: float


def measured(kind: Kind, cell: Cell, rng: random.Random) -> Result:
    """One cell by one sensor: with its gain and, from the same random numbers, without."""
    gain = rng.uniform(1 - GAIN, 1 + GAIN)
    seed = rng.random()
    found, oracle_j = _window(kind, cell, random.Random(seed), 1.0)
    scaled, _ = _window(kind, cell, random.Random(seed), gain)
    truth_j = cell.truth_j
    return Result(
        found.value - truth_j,
        found.u95_repeat,
        scaled.value - truth_j,
        scaled.u95,
        oracle_j,
        truth_j,
    )


def _window(kind: Kind, cell: Cell, rng: random.Random, gain: float) -> tuple[Uncertain, float]:
    sensor = kind.make(cell, rng)
    sensor.gain = gain
    trace = Trace(sensor)

    reads_s = []

    def read(t_s: float) -> Sample:
        sensor.now_s = t_s
        reads_s.append(t_s)
        return trace.add(t_s, sensor.read())

    def poll(begin_s: float, end_s: float, every_s: float, jitter: float = 0.5) -> None:
        t_s = begin_s
        while (t_s := t_s + every_s * rng.uniform(1 - jitter, 1 + jitter)) < end_s:
            if rng.random() >= kind.misses:
                read(t_s)

    begin_s, end_s = cell.begin_s, cell.end_s
    if cell.back_to_back:
        read(begin_s - 5.0)
        if kind.polls:
            poll(begin_s - 5.0, begin_s, POLL_S)
        read(begin_s - 1e-3)
    else:
        read(begin_s - IDLE_S - 0.2)
        read(begin_s - IDLE_S)
        if sensor.polls_s is not None:  # after the cells before
            for n in (3, 2, 1):
                poll(begin_s - n, begin_s - n + 0.15, sensor.polls_s, 0.2)
    start = read(begin_s)
    if kind.polls:
        poll(begin_s, end_s, POLL_S)
    elif sensor.polls_s is not None:
        poll(begin_s, min(end_s, begin_s + 1.3 * sensor.period_s), sensor.polls_s, 0.2)
    stop = read(end_s)
    settled = None
    if sensor.settles_s is not None and not cell.back_to_back:
        if sensor.polls_s is not None:
            poll(end_s, end_s + sensor.settles_s, sensor.polls_s, 0.2)
        settled = read(end_s + sensor.settles_s)
    quiet_s = 1e-3 if cell.back_to_back else IDLE_S
    energy = between(sensor, start, stop, begin_s, end_s, settled, quiet_s).energy
    assert isinstance(energy, Uncertain)
    return energy, _oracle_j(sensor, cell, start, stop, settled, reads_s)


def _oracle_j(
    sensor: Simulated,
    cell: Cell,
    start: Sample,
    stop: Sample,
    settled: Sample | None,
    reads_s: list[float],
) -> float:
    """Half-width of the interval of somebody who knows the powers at the edges."""
    before_w = cell.load.power_w(cell.begin_s - 1e-9)
    last = stop if settled is None else settled
    after_w = cell.load.power_w(cell.end_s + (1e-9 if settled is not None else -1e-9))
    if sensor.kind == "counter":
        ages = Spread.rectangular(before_w * start.age.half_s)
        ages += Spread.rectangular(after_w * last.age.half_s)
        ages += Spread.rectangular(sensor.step_j / 2) + Spread.rectangular(sensor.step_j / 2)
        return ages.u95
    mean_s, late_s = sensor.averages_s, 0.0 if isinstance(sensor, Ring) else sensor.period_s
    variance_j2 = 0.0
    for t_s, jump_w in cell.load.jumps(cell.begin_s, cell.end_s):
        after = bisect_right(reads_s, t_s)
        gap_s = reads_s[after] - reads_s[after - 1] if 0 < after < len(reads_s) else 0.0
        if isinstance(sensor, Ring):
            gap_s = sensor.period_s
        variance_j2 += jump_w**2 * max(0.0, gap_s**2 + late_s**2 - mean_s**2) / 12
        left_s = cell.end_s - t_s
        if settled is None and left_s < mean_s:
            # Of a jump within the last mean, at an unknown moment: (ΔP·W)²/120.
            variance_j2 += (jump_w * mean_s) ** 2 / 120
    return 1.96 * math.sqrt(variance_j2)


@dataclass(frozen=True)
class Row:
    """What came of one kind of sensor."""

    name: str
    repeat: float  # share of cells whose truth lies within the repeatability interval
    absolute: float
    width: float  # median of ours over the oracle's
    relative: float  # median half-width over the truth
    bias: float  # mean error over mean truth


def row(kind: Kind, back_to_back: bool, cells: int = CELLS, seed: int = 1) -> Row:
    """One line of the table."""
    rng = random.Random(f"{kind.name} {back_to_back} {seed}")
    results = [measured(kind, random_cell(rng, back_to_back), rng) for _ in range(cells)]
    return Row(
        f"{kind.name}{', back to back' if back_to_back else ''}",
        statistics.fmean(abs(r.error_j) <= r.repeat_j for r in results),
        statistics.fmean(abs(r.absolute_error_j) <= r.absolute_j for r in results),
        statistics.median(r.repeat_j / r.oracle_j for r in results if r.oracle_j > 0),
        statistics.median(r.repeat_j / r.truth_j for r in results),
        statistics.fmean(r.error_j for r in results) / statistics.fmean(r.truth_j for r in results),
    )


def table(cells: int = CELLS) -> list[Row]:
    """All lines."""
    return [row(kind, b, cells) for b in (False, True) for kind in KINDS]


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else CELLS
    print(f"{'kind of sensor':55} repeat  absolute  width  rel.   bias")
    for found in table(count):
        print(
            f"{found.name:55} {found.repeat:6.1%}  {found.absolute:8.1%}  {found.width:5.2f}"
            f"  {found.relative:5.2%}  {found.bias:+.2%}"
        )

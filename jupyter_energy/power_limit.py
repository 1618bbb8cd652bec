"""The power limit at which a step of the user's work takes the least energy, found by trying.

Below some limit a GPU becomes so slow that what it draws for longer costs more than the limit
saves: energy a step has a least, its knee.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .devices import Choice
from .errors import EnergyError
from .limiter import Gpu, Limiter
from .open_window import OpenWindow, Options
from .repeat import BLOCKS, Repetition
from .uncertainty import Range, Spread, Uncertain

if TYPE_CHECKING:
    from .monitor import Monitor

# Of the default limit (carbon.md 6: a few steps at each).
SHARES = (1.0, 0.9, 0.8, 0.7)
# A block of steps; a counter that is renewed every 0.1 s is then off by some 4 % at its edges, and
# the mean of five blocks by some 2 % (measuring.md 6.1, 6.6).
BLOCK_S = 2.0
# Longer steps would make minutes of each limit.
LONGEST_STEP_S = 10.0
# Limits nearer than this are one.
LEAST_APART_W = 1.0


@dataclass(frozen=True, slots=True)
class Point:
    """A step at one limit: the limits in W by GPU, and as a share of the default of the first; its
    energy in J, of all devices that are measured; how long it took, in s."""

    limits_w: Mapping[int, float]
    share: float
    energy_j: Uncertain
    step_s: float


@dataclass(frozen=True, slots=True)
class Knee:
    """The limit of the least energy a step: what it saves against the first point, as a share with
    its 95 % bounds, and how much longer a step takes, as a share. `is_last` where no lower limit
    was tried."""

    point: Point
    saved: Range
    slower: float
    is_last: bool


def knee(points: Sequence[Point]) -> Knee:
    """The point of the least energy a step; of equals the highest limit. The first is as it was.

    The sensors' gain is the same in both and cancels, so what varies from run to run is all that
    is unsure of the share. Raises ValueError of no points.
    """
    first, best = points[0], min(points, key=lambda p: p.energy_j.value)
    ratio, unsure = 1.0, 0.0
    if best is not first:
        ratio = best.energy_j.value / first.energy_j.value
        unsure = ratio * math.hypot(_relative(best.energy_j), _relative(first.energy_j))
    saved = Range(1 - ratio - unsure, 1 - ratio, 1 - ratio + unsure)
    return Knee(best, saved, best.step_s / first.step_s - 1, best is points[-1])


def _relative(energy: Uncertain) -> float:
    return energy.u95_repeat / energy.value


def shares(gpus: Sequence[Gpu]) -> list[float]:
    """The shares of the default limit to try: those that every GPU can be given, and that are lower
    than what is in force. 1 stands for what is in force."""
    found = [SHARES[0]]
    for share in SHARES[1:]:
        may_be = all(share * g.limits.default_w >= g.limits.least_w for g in gpus)
        lower = all(share * g.limits.default_w < g.limits.now_w - LEAST_APART_W for g in gpus)
        found += [share] if may_be and lower else []
    return found


def limits_at(gpus: Sequence[Gpu], share: float) -> dict[int, float]:
    """The limits in W that a share stands for, by the number of the GPU."""
    if share == SHARES[0]:
        return {g.index: g.limits.now_w for g in gpus}
    return {g.index: float(round(share * g.limits.default_w)) for g in gpus}


def swept(
    monitor: Monitor,
    gpus: Sequence[Gpu],
    limiter: Limiter,
    step: Callable[[], object],
    alone_s: float,
    block_s: float = BLOCK_S,
) -> list[Point]:
    """A point for each limit, the one in force first: it is measured again at the end.

    `alone_s` is what `timed` found. Raises what `step` raises, SensorError where a limit cannot be
    set, EnergyError where a step was not measured, or others came whom limits would slow.
    """
    steps = max(1, math.ceil(block_s / alone_s)) if alone_s > 0 else 1
    points: list[Point] = []
    with limiter.putting_back():
        for share in shares(gpus):
            watts = limits_at(gpus, share)
            if points:  # the first is what is in force
                limiter.put(watts)
            energy_j, step_s = _of_step(monitor, gpus, step, steps)
            of_default = watts[gpus[0].index] / gpus[0].limits.default_w
            points.append(Point(watts, of_default, energy_j, step_s))
        if len(points) > 1:  # a GPU that has warmed up draws more than at first
            limiter.put(points[0].limits_w)
            again_j, _ = _of_step(monitor, gpus, step, steps)
            points[0] = replace(points[0], energy_j=both(points[0].energy_j, again_j))
    return points


def both(first: Uncertain, again: Uncertain) -> Uncertain:
    """The mean of two measurements of one thing, in J, which lies anywhere between them: what
    drifted from one to the other is part of its uncertainty."""
    drift = Spread.rectangular((again.value - first.value) / 2)
    random = Spread.normal(math.hypot(first.u_random, again.u_random) / 2) + drift
    systematic = Spread.of(first.u_systematic, first.excess_systematic)
    return Uncertain.made((first.value + again.value) / 2, random, systematic)


def timed(monitor: Monitor, step: Callable[[], object]) -> float:
    """How long a step takes, in s, its queued GPU work included, once it has run before.

    Raises what `step` raises, and EnergyError where it is too long: before a limit is touched.
    """
    window = monitor.open_window(Options(sync=True))
    try:
        repetition = window.repetition = Repetition(2)
        _blocks(monitor, window, step, [1, 1])
        first, second = (edge.t_s for _, edge in repetition.marks)
    finally:
        monitor.drop_window(window)
    alone_s = second - first
    if alone_s > LONGEST_STEP_S:
        raise EnergyError(
            f"one step took {alone_s:.0f} s: give a piece of the work that takes "
            f"{LONGEST_STEP_S:g} s at most"
        )
    return alone_s


def _of_step(
    monitor: Monitor, gpus: Sequence[Gpu], step: Callable[[], object], steps: int
) -> tuple[Uncertain, float]:
    """Energy in J and time in s of one step, from blocks of steps; the first block is warm-up."""
    wanted = {(g.sensor.domain.kind, g.index) for g in gpus} | {("package", None), ("dram", None)}
    options = Options(choice=Choice(frozenset(wanted)), sync=True)
    window = monitor.open_window(options, shown=True)
    try:
        repetition = window.repetition = Repetition((1 + BLOCKS) * steps)
        _blocks(monitor, window, step, [steps] * (1 + BLOCKS))
        found = monitor.under_way(window, repetition.marks[-1][1]).repeats
    finally:
        monitor.drop_window(window)
    if found is None or found.measured_j is None or found.measured_j.value <= 0:
        raise EnergyError("a sensor gave no reading in between, so the sweep has no figures")
    return found.measured_j, found.run_s


def _blocks(
    monitor: Monitor, window: OpenWindow, step: Callable[[], object], sizes: Sequence[int]
) -> None:
    """Run blocks of so many steps each in a window that is repeated; their GPU work is theirs."""
    assert window.repetition is not None
    for size in sizes:
        for _ in range(size):
            step()
            window.repetition.begun += 1
        monitor.mark(window)

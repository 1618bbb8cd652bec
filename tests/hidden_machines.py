"""Machines whose power nobody measures, and what the estimate says of them.

A machine is drawn from the residuals that sensors/cpu_power.py publishes: what its processor draws
awake, and what work adds, deviate from the family's median log-normally and not independently.
The estimate sees its CPU time in ticks, as /proc/stat counts it, and nothing else.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

from simulation import LONGEST_S, Load, Result, random_duration_s, random_pieces

from jupyter_energy.model import Domain
from jupyter_energy.sensors.cpu_power import (
    CLIENTS,
    DEVIATIONS,
    FAMILIES,
    Processor,
    ThreadPower,
    thread_power,
)
from jupyter_energy.sensors.cpu_time import TICK_S
from jupyter_energy.sensors.estimate import Estimate
from jupyter_energy.trace import Trace
from jupyter_energy.uncertainty import COVERAGE_FACTOR_95, Range
from jupyter_energy.window import between

FAMILIES_KNOWN = sorted(set(FAMILIES) - CLIENTS)


@dataclass
class Machine:
    """A processor's threads at work: the sum of their loads over time, and its true watts."""

    power: ThreadPower
    threads: int
    busy: Load  # how many threads have work
    idle_error: float  # the true watts as multiples of those that are published
    busy_error: float
    is_virtual: bool
    now_s: float = 0.0
    sensor: Estimate = field(init=False)

    def __post_init__(self) -> None:
        idle_w, spread = self.power.idle_w, self.power.spread
        if self.is_virtual:  # it does not know what its host draws for others
            idle_w, spread = 0.0, self.power.busy_spread
        self.idle_w = idle_w * self.threads
        self.sensor = Estimate(
            Domain("package", 0, "simulated"),
            "estimate:cpu-time",
            spread,
            self.idle_w,
            self.power.busy_w,
            (idle_w + self.power.busy_w) * self.threads,
            clock=lambda: self.now_s,
            busy_s=lambda: math.floor(self.busy.energy_j(self.now_s) / TICK_S) * TICK_S,
            busy_step_s=TICK_S,
        )

    def parts_j(self, begin_s: float, end_s: float) -> tuple[float, float]:
        """By the published watts: what being awake costs, and what the work does."""
        busy_s = self.busy.energy_j(end_s) - self.busy.energy_j(begin_s)
        return self.idle_w * (end_s - begin_s), self.power.busy_w * busy_s


@dataclass(frozen=True)
class Estimated:
    """A kind of estimate, by the level of knowledge that `DEVIATIONS` has."""

    name: str
    level: str

    def machine(self, rng: random.Random, back_to_back: bool) -> tuple[Machine, float, float]:
        """A random machine, and when its random cell begins and ends.

        The cell keeps a share of the threads busy that is uniform between none and all, in pieces
        each up to twice that (and no more than all); what ran before it keeps others busy.
        """
        threads = rng.choice((4, 8, 16, 32, 64, 128))
        family = None if self.level == "unknown" else rng.choice(FAMILIES_KNOWN)
        is_virtual = self.level == "in_vm"
        power = thread_power(Processor("simulated", family, threads), is_virtual)
        idle_sigma, busy_sigma, correlation = DEVIATIONS[self.level]
        first, second = rng.gauss(), rng.gauss()
        both = correlation * first + math.sqrt(1 - correlation**2) * second
        before_s = 5.0 + rng.random()
        before = [(before_s, 0.0)]
        if back_to_back:
            before = [*random_pieces(rng, before_s, 0.0, threads)]
        most = 2 * threads * rng.random()
        within = random_pieces(rng, random_duration_s(rng, LONGEST_S), 0.0, most)
        within = [(seconds, min(threads, busy)) for seconds, busy in within]
        end_s = before_s + math.fsum(seconds for seconds, _ in within)
        machine = Machine(
            power,
            threads,
            Load.of([*before, *within, (math.inf, 0.0)]),
            math.exp(idle_sigma * first),
            math.exp(busy_sigma * both),
            is_virtual,
        )
        return machine, before_s, end_s

    def measured(self, back_to_back: bool, rng: random.Random) -> Result:
        """One random cell of one random machine, through the real sensor, trace and window."""
        machine, begin_s, end_s = self.machine(rng, back_to_back)
        trace, samples = Trace(machine.sensor), []
        for t_s in (0.0, begin_s, end_s):
            machine.now_s = t_s
            samples.append(trace.add(t_s, machine.sensor.read()))
        _, start, stop = samples
        energy = between(machine.sensor, start, stop, begin_s, end_s).energy
        assert isinstance(energy, Range)
        idle_j, busy_j = machine.parts_j(begin_s, end_s)
        truth_j = idle_j * machine.idle_error + busy_j * machine.busy_error
        holds = energy.low <= truth_j <= energy.high
        width_j = energy.high - energy.low
        return Result(
            truth_j,
            energy.mid - truth_j,
            holds,
            holds,
            width_j / self._oracle_j(idle_j, busy_j),
            width_j / 2 / truth_j,
        )

    def _oracle_j(self, idle_j: float, busy_j: float) -> float:
        """Width of the range of somebody who knows the work exactly, and how machines deviate: of
        the sum of two log-normal energies, to first order in their logarithms."""
        idle_sigma, busy_sigma, correlation = DEVIATIONS[self.level]
        middle_j = idle_j + busy_j
        idle, busy = idle_sigma * idle_j / middle_j, busy_sigma * busy_j / middle_j
        sigma = math.sqrt(idle**2 + busy**2 + 2 * correlation * idle * busy)
        return middle_j * 2 * math.sinh(COVERAGE_FACTOR_95 * sigma)


ESTIMATES = (
    Estimated("estimate, family and size of the processor known", "known"),
    Estimated("estimate of the work in a virtual machine", "in_vm"),
    Estimated("estimate, nothing known of the processor", "unknown"),
)

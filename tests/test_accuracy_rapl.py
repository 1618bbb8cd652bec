"""How near the truth a short cell's energy is by RAPL's counters, through the real sampler."""

from __future__ import annotations

import math
import random
import statistics
from datetime import UTC, datetime
from pathlib import Path

from simulation import Load
from standins.powercap import FakePowercap
from standins.rapl import machine
from standins.sensors import LIMIT_S, everything
from standins.stepped import SteppedClock

from jupyter_energy.sampler import Sampler
from jupyter_energy.sensors import rapl
from jupyter_energy.uncertainty import Uncertain
from jupyter_energy.window import measure

START = datetime(2026, 11, 22, tzinfo=UTC)
CELLS = 2000
STEP_S = 0.001
IDLE_W, BUSY_W, LASTS_S = 5.0, 60.0, 0.08


def test_a_cell_of_80_ms_by_a_counter_of_1_ms_is_within_1_percent(tmp_path: Path) -> None:
    rng = random.Random(1)
    random.seed(1)  # of the sampler's own jitter
    pieces, times_s, t_s = [(1000.0, IDLE_W)], [], 1000.0
    for _ in range(CELLS):
        idle_s, lasts_s = rng.uniform(1.0, 2.0), LASTS_S + rng.uniform(-STEP_S, STEP_S) / 2
        pieces += [(idle_s, IDLE_W), (lasts_s, BUSY_W)]
        times_s.append((t_s + idle_s, t_s + idle_s + lasts_s))
        t_s = times_s[-1][1]
    load = Load.of([*pieces, (math.inf, IDLE_W)])
    powercap = FakePowercap(tmp_path / "sys")
    powercap.zone("package-0")

    def moved(now_s: float) -> None:
        renewed_s = math.floor(now_s / STEP_S) * STEP_S
        powercap.set("intel-rapl:0", int(load.energy_j(renewed_s) * 1e6))

    clock = SteppedClock(moved, 1000.0)
    sampler = Sampler(machine(powercap.root), lambda: [rapl], 1.0, clock, clock.wait, lambda: 0.0)
    sampler.start()
    assert sampler.wait_until_found(LIMIT_S)
    errors, held = [], 0
    for begin_s, end_s in times_s:
        clock.go_to(begin_s)
        start = sampler.opening_edge(everything, shown=True)
        clock.go_to(end_s)
        stop = sampler.closing_edge(everything, shown=True)
        package = measure(START, start, stop).domains[0]
        assert isinstance(package.energy, Uncertain), package.reason
        truth_j = load.energy_j(end_s) - load.energy_j(begin_s)
        errors.append(abs(package.energy.value - truth_j) / truth_j)
        held += abs(package.energy.value - truth_j) <= package.energy.u95_repeat
    sampler.close()
    assert statistics.quantiles(errors, n=20)[-1] <= 0.01
    assert held >= 0.93 * CELLS

"""What the reads of a processor's counters take: at both edges of a window, package and memory.

Files under a moved sysfs, so without the driver's own part: the kernel's read of a register adds
about 1 µs where the register is of another processor. The perf events are the kernel's software
clocks, where it allows them: these are read on their own CPU, at the cost of an interrupt there,
while the power PMU is read from any CPU of its package (PERF_EV_CAP_READ_ACTIVE_PKG).
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

from common import ROOT, Row, percentiles

sys.path.insert(0, str(ROOT / "tests"))
sys.path.insert(0, str(ROOT))

from standins.perf_pmu import FakePowerPmu
from standins.powercap import FakePowercap
from standins.sensors import everything

from jupyter_energy.sampler import Sampler
from jupyter_energy.sensors import rapl
from jupyter_energy.sensors.base import Machine

NAME = "reads"
WINDOWS = 5000
AIM_US = 20.0


def timed(call: Callable[[], object]) -> dict[str, float]:
    """Median, 99th percentile and largest time of a call in µs."""
    for _ in range(100):
        call()
    taken_us = []
    for _ in range(WINDOWS):
        started_ns = time.perf_counter_ns()
        call()
        taken_us.append((time.perf_counter_ns() - started_ns) / 1e3)
    return percentiles(taken_us)


def rows_of(name: str, machine: Machine, aim_us: float | None = None) -> list[Row]:
    """The reads alone, and within the sampler's two edges with traces and locks."""
    found = rapl.discover(machine)
    sensors = found.sensors
    if len(sensors) != 2:
        print(f"  {name}: left out, {'; '.join(a.reason for a in found.absences)}")
        return []

    def reads() -> None:
        for _ in range(2):
            for sensor in sensors:
                sensor.read()

    alone = timed(reads)
    for sensor in sensors:
        sensor.close()
    family = SimpleNamespace(__name__="rapl", discover=rapl.discover)
    sampler = Sampler(machine, lambda: [family])
    sampler.start()
    assert sampler.wait_until_found(30)

    def edges() -> None:
        sampler.opening_edge(everything)
        sampler.closing_edge(everything)

    both = timed(edges)
    sampler.close()
    return [
        Row(f"{name}: reads at two edges", "us", alone, aim_us),
        Row(f"{name}: two edges of the sampler", "us", both),
    ]


def run() -> list[Row]:
    """Time in µs for package and memory at both edges, by powercap and by perf events."""
    with tempfile.TemporaryDirectory() as folder:
        powercap = FakePowercap(Path(folder) / "powercap")
        powercap.zone("package-0", energy_uj=123_456_789_012)
        powercap.zone("dram", "intel-rapl:0:0", energy_uj=12_345_678_901)
        pmu = FakePowerPmu(Path(folder) / "perf", {"energy-pkg": 50.0, "energy-ram": 5.0})
        return [
            *rows_of("powercap", Machine(sysfs=powercap.root), AIM_US),
            *rows_of("perf events", Machine(sysfs=pmu.root)),
        ]

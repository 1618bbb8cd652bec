"""What `--trace` costs: the processor time of its process, and the wait at both ends of a cell.

The process reads ten times a second: a RAPL tree in which nothing moves, the estimate's
/proc/stat, or one and eight GPUs of a simulated NVML.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import psutil
from common import ROOT, Row, percentiles

sys.path.insert(0, str(ROOT / "tests"))
sys.path.insert(0, str(ROOT))

from standins import FakeNvml, build_nvml
from standins.powercap import FakePowercap
from standins.sensors import FakeSensor

from jupyter_energy.model import Domain
from jupyter_energy.power.recorder import Recording
from jupyter_energy.sensors import estimate, rapl
from jupyter_energy.sensors.base import Machine

NAME = "power"
SECONDS = 20.0
CELLS = 40


class Gpu(FakeSensor):
    """A GPU as a sensor tells it to the process."""

    def trace_source(self) -> dict[str, object]:
        """By its UUID."""
        return {"nvml": self.domain.uuid, "name": "nvml-power"}


def machines(folder: Path) -> dict[str, tuple[FakeSensor, ...]]:
    """The sensors of each kind of machine."""
    tree = FakePowercap(folder / "sys")
    tree.zone("package-0")
    tree.zone("dram", "intel-rapl:0:0")
    driver = FakeNvml(build_nvml(folder / "lib"), folder)
    driver.set(*(f"gpu {n} uuid=GPU-{n} name=H100 power_mw=350000" for n in range(8)))
    os.environ |= {k: v for k, v in driver.environ.items() if k != "FAKE_NVML_LOG"}
    gpus = tuple(Gpu(Domain("gpu", n, "H100", f"GPU-{n}")) for n in range(8))
    counters = rapl.discover(Machine(sysfs=tree.root, procfs=folder)).sensors
    return {
        "estimate": estimate.discover(Machine()).sensors,
        "RAPL": counters,
        "RAPL and a GPU": (*counters, gpus[0]),
        "RAPL and eight GPUs": (*counters, *gpus),
    }


def share_percent(sensors: tuple[FakeSensor, ...]) -> float:
    """The process's share of a core while it reads, in percent; its start is not in it."""
    recording = Recording(sensors)
    process = psutil.Process(recording._process.pid)
    time.sleep(1.0)
    began_s, before = time.monotonic(), process.cpu_times()
    time.sleep(SECONDS)
    after, took_s = process.cpu_times(), time.monotonic() - began_s
    recording.drop()
    used_s = after.user + after.system - before.user - before.system
    return 100 * used_s / took_s


def run() -> list[Row]:
    """Shares of a core in %, and waits in ms."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for kind, sensors in machines(Path(folder)).items():
            share = {"share": share_percent(sensors)}
            rows.append(Row(f"{kind}: processor time", "%", share, aim=0.7))
            waits_ms: dict[str, list[float]] = {"begin": [], "end": []}
            for _ in range(CELLS):
                started_s = time.perf_counter()
                recording = Recording(sensors)
                waits_ms["begin"].append(1e3 * (time.perf_counter() - started_s))
                t_s = time.monotonic()
                time.sleep(0.05)
                started_s = time.perf_counter()
                recording.end(t_s, time.monotonic())
                waits_ms["end"].append(1e3 * (time.perf_counter() - started_s))
            rows += [
                Row(f"{kind}: wait before the cell", "ms", percentiles(waits_ms["begin"])),
                Row(f"{kind}: wait after it", "ms", percentiles(waits_ms["end"])),
            ]
    return rows

"""`python tests/device/measure.py OUT.json [SCALE]`: what a real NVIDIA GPU's readings are like.

Cost of each call, when counter and power are renewed, the sample ring's cadence, what polling does
to the counter, what a field's time stamp means, and whether the driver API's synchronisation waits
for all queued work. SCALE (1) shortens every part. OUT holds figures, and the readings themselves
in rows that tests/test_device_recordings.py plays back.

Run it on a machine with nothing else on the GPU; it takes about two minutes.
"""

from __future__ import annotations

import contextlib
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import pynvml
from load import Load

from jupyter_energy.gpu_sync import wait_for_gpu
from jupyter_energy.sensors.nvml_use import UTILIZATION_SAMPLES
from jupyter_energy.sensors.nvml_values import ENERGY, POWER_AVERAGE, POWER_INSTANT, member

# t_s (monotonic, from 0), counter J, instantaneous W, one-second mean W, the stamps of both fields
# (s since 1970 less the start's) and the driver's latency in µs; null is a field that failed.
COLUMNS = ["t_s", "energy_j", "instant_w", "average_w", "energy_stamp_s", "power_stamp_s", "us"]


class Gpu:
    """The first GPU, its calls and the moment that times are counted from."""

    def __init__(self) -> None:
        pynvml.nvmlInit()
        self.handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        self.begin_s, self.begin_utc_s = time.monotonic(), time.time()

    def row(self) -> list[float | None]:
        """One reading of all three fields, as COLUMNS says."""
        t_s = time.monotonic() - self.begin_s
        asked = [ENERGY, POWER_INSTANT, POWER_AVERAGE]
        fields = pynvml.nvmlDeviceGetFieldValues(self.handle, asked)
        values = [None if f.nvmlReturn else member(f.value, f.valueType) / 1000 for f in fields]
        stamps = [f.timestamp / 1e6 - self.begin_utc_s for f in fields[:2]]
        return [t_s, *values, *stamps, fields[0].latencyUsec]

    def watch(self, seconds: float, every_s: float) -> list[list[float | None]]:
        """Rows for so long; every_s 0: as fast as they come."""
        rows, end_s = [], time.monotonic() + seconds
        while time.monotonic() < end_s:
            rows.append(self.row())
            time.sleep(every_s)
        return rows

    def ring(self, last_us: int = 0) -> list[list[float]]:
        """The driver's power samples as (s since the start, W), oldest first; [] where none are."""
        with contextlib.suppress(pynvml.NVMLError):
            kind, samples = pynvml.nvmlDeviceGetSamples(self.handle, 0, last_us)
            return [
                [s.timeStamp / 1e6 - self.begin_utc_s, member(s.sampleValue, kind) / 1000]
                for s in samples
            ]
        return []


def utilisation(gpu: Gpu) -> list[list[float]]:
    """The driver's samples as (s since the start, percent), oldest first; [] where none are."""
    with contextlib.suppress(pynvml.NVMLError):
        kind, samples = pynvml.nvmlDeviceGetSamples(gpu.handle, UTILIZATION_SAMPLES, 0)
        return [[s.timeStamp / 1e6 - gpu.begin_utc_s, member(s.sampleValue, kind)] for s in samples]
    return []


def power_limits(gpu: Gpu) -> dict[str, Any]:
    """Power limits in mW, or the error of each call; read only, none is set."""
    n, found = pynvml, {}
    for name in ("Limit", "DefaultLimit", "LimitConstraints"):
        try:
            found[name] = getattr(n, f"nvmlDeviceGetPowerManagement{name}")(gpu.handle)
        except n.NVMLError as error:
            found[name] = str(error)
    return found


def spread(values: list[float]) -> dict[str, float]:
    """Count, smallest, median, 99th percentile, largest."""
    if len(values) < 2:
        return {"n": len(values)}
    p99 = statistics.quantiles(values, n=100)[98]
    middle = {"min": min(values), "median": statistics.median(values), "p99": p99}
    return {"n": len(values), **middle, "max": max(values)}


def costs(gpu: Gpu, repeats: int) -> dict[str, Any]:
    """µs of each call, or the error it gives."""
    h, n = gpu.handle, pynvml
    calls: dict[str, Callable[[], object]] = {
        "fields 83+186": lambda: n.nvmlDeviceGetFieldValues(h, [ENERGY, POWER_INSTANT]),
        "field 83": lambda: n.nvmlDeviceGetFieldValues(h, [ENERGY]),
        "fields 83+185+186": gpu.row,
        "nvmlDeviceGetTotalEnergyConsumption": lambda: n.nvmlDeviceGetTotalEnergyConsumption(h),
        "nvmlDeviceGetPowerUsage": lambda: n.nvmlDeviceGetPowerUsage(h),
        "nvmlDeviceGetSamples": lambda: n.nvmlDeviceGetSamples(h, 0, 0),
        "nvmlDeviceGetComputeRunningProcesses": lambda: n.nvmlDeviceGetComputeRunningProcesses(h),
        "utilisation samples": lambda: n.nvmlDeviceGetSamples(h, UTILIZATION_SAMPLES, 0),
        "nvmlDeviceGetMemoryInfo": lambda: n.nvmlDeviceGetMemoryInfo(h),
        "nvmlDeviceGetProcessUtilization": lambda: n.nvmlDeviceGetProcessUtilization(h, 0),
    }
    found: dict[str, Any] = {}
    for name, call in calls.items():
        taken_us = []
        try:
            for _ in range(repeats):
                started = time.perf_counter()
                call()
                taken_us.append(1e6 * (time.perf_counter() - started))
            found[name] = spread(taken_us)
        except n.NVMLError as error:
            found[name] = str(error)
    return found


def renewals(rows: list[list[float | None]], column: int) -> dict[str, float]:
    """How many s apart a value changes."""
    moments: list[float] = []
    for before, now in pairwise(rows):
        if now[column] != before[column] and now[0] is not None:
            moments.append(now[0])
    return spread([b - a for a, b in pairwise(moments)])


def polling(gpu: Gpu, seconds: float) -> dict[str, float]:
    """By s between two reads: the counter's energy over that of the instantaneous power."""
    found = {}
    for every_s in (1.0, 0.1, 0.02, 0.001, 0.0):
        rows = gpu.watch(seconds, every_s)
        first, last = rows[0], rows[-1]
        mean_w = statistics.fmean(row[2] or 0.0 for row in rows)
        elapsed_s = (last[0] or 0.0) - (first[0] or 0.0)
        if mean_w > 0 and elapsed_s > 0:
            gained_j = (last[1] or 0.0) - (first[1] or 0.0)
            found[f"{every_s:g}"] = gained_j / (mean_w * elapsed_s)
    return found


def synchronisation(load: Load) -> dict[str, float]:
    """s that our wait and then CUDA's own take after half a second of work was queued."""
    load.queue(0.5)
    ours = wait_for_gpu()
    return {"ours_s": ours.waited_s, "done": float(ours.done), "left_s": load.wait()}


@contextlib.contextmanager
def working(load: Load | None, seconds: float) -> Iterator[None]:
    """The GPU is busy inside, for so long at least."""
    if load is not None:
        for _ in range(max(1, round(seconds / 0.25))):
            load.queue(0.25)
    yield
    if load is not None:
        load.wait()


def main(out: Path, scale: float) -> None:
    """Measure and write."""
    gpu = Gpu()
    try:
        load: Load | None = Load()
        without = None
    except (OSError, RuntimeError) as error:
        load, without = None, str(error)
    name, driver = pynvml.nvmlDeviceGetName(gpu.handle), pynvml.nvmlSystemGetDriverVersion()
    document: dict[str, Any] = {
        "part": name,
        "driver": driver,
        "brand": pynvml.nvmlDeviceGetBrand(gpu.handle),
        "architecture": pynvml.nvmlDeviceGetArchitecture(gpu.handle),
        "kernel": platform.release(),
        "no_load_because": without,
        "cost_us": costs(gpu, max(5, round(300 * scale))),
        "power_limits_mw": power_limits(gpu),
        "utilisation": utilisation(gpu),
        "columns": COLUMNS,
        "readings": {},
        "ring": {},
    }
    if load is not None:
        document["cost_under_load_us"] = {}
        with working(load, 5 * scale):
            document["cost_under_load_us"] = costs(gpu, max(5, round(100 * scale)))
    document["readings"]["idle at 1 ms"] = gpu.watch(3 * scale, 0.001)
    document["ring"]["idle"] = gpu.ring()
    with working(load, 4 * scale):
        document["readings"]["busy at 1 ms"] = gpu.watch(3 * scale, 0.001)
        document["ring"]["busy"] = gpu.ring()
    # Three steps of power with nothing before and after, for windows of known work.
    rows = gpu.watch(2 * scale, 0.02)
    for _ in range(3):
        with working(load, scale):
            rows += gpu.watch(scale, 0.02)
        rows += gpu.watch(scale, 0.02)
    document["readings"]["steps at 20 ms"] = rows
    document["ring"]["steps"] = gpu.ring()
    with working(load, 15 * scale):
        document["readings"]["busy at 1 s"] = gpu.watch(12 * scale, scale)
    for kind in ("idle", "busy"):
        seen = document["readings"][f"{kind} at 1 ms"]
        document[f"counter_period_s_{kind}"] = renewals(seen, 1)
        document[f"instant_period_s_{kind}"] = renewals(seen, 2)
        document[f"average_period_s_{kind}"] = renewals(seen, 3)
        # A stamp that moves when the value does not is the query's, not the sensor's.
        document[f"power_stamp_period_s_{kind}"] = renewals(seen, 5)
        ring = document["ring"][kind]
        gaps_s = [b[0] - a[0] for a, b in pairwise(ring)]
        document[f"ring_spacing_s_{kind}"] = spread(gaps_s)
    document["counter_over_power_idle"] = polling(gpu, 8 * scale)
    if load is not None:
        with working(load, 45 * scale):
            document["counter_over_power_busy"] = polling(gpu, 8 * scale)
        document["synchronisation"] = synchronisation(load)
    out.write_text(json.dumps(document) + "\n")
    shown = {k: v for k, v in document.items() if k not in ("readings", "ring", "columns")}
    print(json.dumps(shown, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 1.0)

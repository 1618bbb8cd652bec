"""Estimates for where no sensor is: the processor by its CPU time, the memory by its size.

Both are ranges and never measurements. The processor's model is a straight line in its load,
because only a straight line gives the same energy from the sum of CPU time as from every moment
of it: for a load that alternates between 0 and 1, a cubic of the mean load gives 0.21 of the
full power where the truth is 0.55. On 78 points of published load tables no curve did better.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from ..errors import SensorError
from ..model import Domain
from .base import Absence, Accuracy, Discovery, Machine, Sensor
from .cgroup import Limits, limits

# Power of a processor as a share of its TDP: 0.25 while a cell runs, and 0.50 more at full load.
# Of the models that are not fitted to the machine itself, the one with the least error (33 % in
# the mean) on CodeCarbon's published load tables (4 machines, 78 points).
IDLE_SHARE = 0.25
BUSY_SHARE = 0.50
# W of TDP for each hardware thread, where the TDP is unknown. SPECpower_ssj2008, results of
# 2024-26 (n = 146): the median server draws 2.71 W at the wall for each thread at full load, and
# the median of wall power at full load over TDP is 1.09; 2.71 / 1.09 is 2.5.
TDP_PER_THREAD_W = 2.5
# Our own, wider than the data, whose machines are tuned and few: with the TDP known, 90 % of the
# points above lie between 0.57 and 1.64 of the model; by its year of sale alone, between 0.46 and
# 2.05 of the W a thread (SPECpower, 90 %).
SPREAD_TDP_KNOWN = (0.5, 2.0)
SPREAD_TDP_UNKNOWN = (0.4, 2.5)
# Of memory installed, used or not, since refresh does not ask: Boavizta has 0.284 W/GB, Crucial
# (whose figure Cloud Carbon Footprint uses) 0.375 to 0.392.
MEMORY_W_PER_GB = 0.35
SPREAD_MEMORY = (0.5, 2.0)
ACCURACY = Accuracy(0.0, "an estimate: its range says how far off it may be")
BYTES_PER_GB = 2**30  # as memory is sold
# /proc/stat counts in ticks of USER_HZ, which is 100 on every architecture of today.
TICK_S = 0.01
STAT_LINE = 256  # bytes that hold one of its lines: a name and ten counts
# Fields of a line of /proc/stat (proc(5)): user, nice, system, irq, softirq. Guests are in user
# already; idle and iowait are no work, and stolen time is somebody else's.
BUSY_FIELDS = (1, 2, 3, 6, 7)


@dataclass(slots=True, eq=False)
class Estimate:
    """Joules since discovery by a straight line: `idle_w` over time, `busy_w` over CPU time.

    `spread` gives the range as multiples of what `read` returns.
    """

    domain: Domain
    source: str
    spread: tuple[float, float] | None
    idle_w: float
    busy_w: float
    max_w: float
    clock: Callable[[], float]
    busy_s: Callable[[], float]
    busy_step_s: float = 0.0
    descriptor: int = -1
    kind: Literal["counter"] = "counter"
    provenance: Literal["estimated"] = "estimated"
    wraps_at_j: None = None
    period_s: float = TICK_S
    averages_s: float = 0.0
    settles_s: None = None
    polls_s: None = None
    accuracy: Accuracy = ACCURACY
    worker: None = None
    counts: Mapping[str, Any] | None = None  # where another process finds `busy_s`
    _start: tuple[float, float] = field(init=False)
    _last_j: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self._start = self.clock(), self.busy_s()

    @property
    def step_j(self) -> float:
        """What the CPU time may be behind by at one reading, in J."""
        return self.busy_w * self.busy_step_s

    def read(self) -> float:
        """The middle of the estimate in J since discovery; costs some µs of the calling thread.

        Raises SensorError where the CPU time cannot be read.
        """
        start_s, start_busy_s = self._start
        elapsed_s, busy_s = self.clock() - start_s, self.busy_s() - start_busy_s
        # CPU time can step back by a tick where a kernel corrects it; energy cannot.
        self._last_j = max(self._last_j, self.idle_w * elapsed_s + self.busy_w * busy_s)
        return self._last_j

    def trace_source(self) -> dict[str, object] | None:
        """What `--trace` reads in a process of its own (power/sources.py)."""
        if self.counts is None:
            return None
        j_per_unit = self.busy_w / self.counts.get("units_per_s", 1.0)
        return {**self.counts, "idle_w": self.idle_w, "j_per_unit": j_per_unit}

    def close(self) -> None:
        """Let go of the descriptor."""
        descriptor, self.descriptor = self.descriptor, -1
        self.busy_s = _closed
        if descriptor >= 0:
            os.close(descriptor)


def discover(machine: Machine, clock: Callable[[], float] = time.monotonic) -> Discovery:
    """An estimate of the processor and one of the memory, for what this process may use of them."""
    allowed = limits(machine)
    sensors: list[Sensor] = []
    absences: list[Absence] = []
    notes: list[str] = []
    try:
        sensor, whose = _cpu(machine, allowed, clock)
        sensors.append(sensor)
        notes.append(f"The estimate of the CPU counts the work of {whose}.")
    except SensorError as error:
        absences.append(Absence(Domain("package", 0, "CPU"), "estimate:cpu-time", str(error)))
    try:
        sensors.append(_memory(machine, allowed, clock))
    except SensorError as error:
        memory = Domain("dram", 0, "Memory")
        absences.append(Absence(memory, "estimate:memory-capacity", str(error)))
    return Discovery(tuple(sensors), tuple(absences), tuple(notes))


@dataclass(frozen=True, slots=True)
class _Work:
    """CPU time that can be read: of how many threads, by which call, and whose it is in words."""

    machine_threads: int
    threads: float
    busy_s: Callable[[], float]
    whose: str
    # Each thread's time is counted by ticks of its own, so all of them can be a tick behind.
    step_s: float
    descriptor: int = -1
    counts: Mapping[str, Any] | None = None


def _cpu(machine: Machine, allowed: Limits, clock: Callable[[], float]) -> tuple[Estimate, str]:
    """The processor's estimate, and whose work it counts. Raises SensorError."""
    work = _work(machine, allowed) if (machine.procfs / "stat").exists() else _psutil_work()
    tdp_w = machine.cpu_tdp_w
    thread_w = tdp_w / work.machine_threads if tdp_w else TDP_PER_THREAD_W
    count = "1 thread" if work.machine_threads == 1 else f"{work.machine_threads} threads"
    if work.threads < work.machine_threads:
        count = f"{work.threads:g} of {count}"
    try:
        sensor = Estimate(
            domain=Domain("package", 0, f"CPU ({count})"),
            source="estimate:cpu-time",
            spread=SPREAD_TDP_KNOWN if tdp_w else SPREAD_TDP_UNKNOWN,
            idle_w=thread_w * IDLE_SHARE * work.threads,
            busy_w=thread_w * BUSY_SHARE,
            max_w=thread_w * work.machine_threads,
            clock=clock,
            busy_s=work.busy_s,
            busy_step_s=work.step_s,
            descriptor=work.descriptor,
            counts=work.counts,
        )
    except SensorError:
        if work.descriptor >= 0:
            os.close(work.descriptor)
        raise
    return sensor, work.whose


def _work(machine: Machine, allowed: Limits) -> _Work:
    """The CPU time of the threads this process may use, from procfs or its own control group."""
    stat = machine.procfs / "stat"
    threads = _threads(stat)
    ours = _allowed_threads(machine) & threads or threads
    quota = allowed.cpus
    if quota is not None and quota < len(ours) and allowed.usage is not None:
        descriptor = _opened(allowed.usage)
        busy_s = partial(_group_busy_s, descriptor, allowed.usage_units_per_s)
        step_s = 1 / allowed.usage_units_per_s
        counts: dict[str, Any] = {
            "file": str(allowed.usage),
            "units_per_s": allowed.usage_units_per_s,
        }
        return _Work(len(threads), quota, busy_s, "this container", step_s, descriptor, counts)
    share = len(ours) if quota is None else min(quota, len(ours))
    descriptor, step_s = _opened(stat), TICK_S * len(ours)
    counts = {"file": str(stat), "units_per_s": 1 / TICK_S}
    if ours == threads:
        # The total is the first line, and no more of the file is read.
        busy_s = partial(_stat_busy_s, descriptor, frozenset({b"cpu"}), STAT_LINE)
        whose = "every process on this machine"
        counts |= {"cpus": ["cpu"], "bytes": STAT_LINE}
        return _Work(len(threads), share, busy_s, whose, step_s, descriptor, counts)
    busy_s = partial(_stat_busy_s, descriptor, ours, STAT_LINE * (len(threads) + 1))
    whose = f"every process on the {len(ours)} threads that this one may use"
    counts |= {"cpus": [name.decode() for name in ours], "bytes": STAT_LINE * (len(threads) + 1)}
    return _Work(len(threads), share, busy_s, whose, step_s, descriptor, counts)


def _psutil_work() -> _Work:
    """The CPU time of a system without /proc. Raises SensorError."""
    try:
        import psutil
    except ImportError as error:
        raise SensorError("this system's CPU time needs the package psutil") from error

    def busy_s() -> float:
        times = psutil.cpu_times()
        return float(times.user + times.system + getattr(times, "nice", 0.0))

    threads = psutil.cpu_count() or 1
    return _Work(threads, threads, busy_s, "every process on this machine", TICK_S * threads)


def _memory(machine: Machine, allowed: Limits, clock: Callable[[], float]) -> Estimate:
    """The memory's estimate. Raises SensorError."""
    total_bytes = _memory_bytes(machine)
    if allowed.memory_bytes is not None:
        total_bytes = min(total_bytes, allowed.memory_bytes)
    size_gb = total_bytes / BYTES_PER_GB
    power_w = MEMORY_W_PER_GB * size_gb
    return Estimate(
        domain=Domain("dram", 0, f"Memory ({size_gb:.{0 if size_gb >= 3 else 1}f} GB)"),
        source="estimate:memory-capacity",
        spread=SPREAD_MEMORY,
        idle_w=power_w,
        busy_w=0.0,
        max_w=power_w,
        clock=clock,
        busy_s=_never_busy,
        counts={},
    )


def _stat_busy_s(descriptor: int, labels: frozenset[bytes], size: int) -> float:
    """CPU time in s of some lines of /proc/stat. Raises SensorError."""
    ticks, seen = 0, 0
    try:
        for line in os.pread(descriptor, size, 0).split(b"\n"):
            fields = line.split(None, 8)
            if fields and fields[0] in labels:
                ticks += sum(int(fields[number]) for number in BUSY_FIELDS)
                seen += 1
    except (OSError, ValueError, IndexError) as error:
        raise SensorError(f"the CPU time could not be read ({error})") from error
    if seen != len(labels):
        raise SensorError("the CPU time of a thread is missing: it was taken offline")
    return ticks * TICK_S


def _group_busy_s(descriptor: int, units_per_s: float) -> float:
    """CPU time in s of a control group: "usage_usec N" or a bare count. Raises SensorError."""
    try:
        line = os.pread(descriptor, 64, 0).partition(b"\n")[0]
        return int(line.split()[-1]) / units_per_s
    except (OSError, ValueError, IndexError) as error:
        raise SensorError(f"the container's CPU time could not be read ({error})") from error


def _never_busy() -> float:
    return 0.0


def _closed() -> float:
    raise SensorError("the estimate was closed")


def _threads(stat: Path) -> frozenset[bytes]:
    """The hardware threads that /proc/stat lists. Raises SensorError."""
    try:
        lines = stat.read_bytes().splitlines()
    except OSError as error:
        raise SensorError(f"{stat} could not be read ({error.strerror})") from error
    names = (line.split(b" ", 1)[0] for line in lines if line.startswith(b"cpu"))
    threads = frozenset(name for name in names if name != b"cpu")
    if not threads:
        raise SensorError(f"{stat} lists no processor")
    return threads


def _allowed_threads(machine: Machine) -> frozenset[bytes]:
    """The threads this process may run on, such as {b"cpu0", b"cpu5"}; empty where unknown.

    From procfs and not from the scheduler's call, so that a moved root gives one picture.
    """
    try:
        status = (machine.procfs / "self/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return frozenset()
    for line in status.splitlines():
        name, _, value = line.partition(":")
        if name == "Cpus_allowed_list" and re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*", value.strip()):
            ranges = (part.partition("-") for part in value.strip().split(","))
            return frozenset(
                b"cpu%d" % number
                for first, _, last in ranges
                for number in range(int(first), int(last or first) + 1)
            )
    return frozenset()


def _memory_bytes(machine: Machine) -> int:
    """The memory of the machine in bytes. Raises SensorError."""
    path = machine.procfs / "meminfo"
    if not machine.procfs.joinpath("stat").exists():
        try:
            import psutil
        except ImportError as error:
            raise SensorError("the size of the memory needs the package psutil") from error
        return int(psutil.virtual_memory().total)
    try:
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name == "MemTotal":
                return int(value.split()[0]) * 1024
    except (OSError, ValueError, IndexError) as error:
        raise SensorError(f"{path} could not be read ({error})") from error
    raise SensorError(f"{path} does not give the size of the memory")


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise SensorError(f"{path} could not be read ({error.strerror})") from error

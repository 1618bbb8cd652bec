"""CPU time in seconds: of the machine, of the threads that may be used, or of a container."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import SensorError
from .base import Machine
from .cgroup import Limits
from .kernel_file import is_file
from .rapl_access import surroundings

# /proc/stat counts in ticks of USER_HZ, which is 100 on every architecture of today.
TICK_S = 0.01
STAT_LINE = 256  # bytes that hold one of its lines: a name and ten counts
# Fields of a line of /proc/stat (proc(5)): user, nice, system, irq, softirq. Guests are in user
# already; idle and iowait are no work, and stolen time is somebody else's.
# The kernel's list format; five digits hold every number that it gives (NR_CPUS is at most 8192).
_CPU_LIST = re.compile(r"[0-9]{1,5}(-[0-9]{1,5})?(,[0-9]{1,5}(-[0-9]{1,5})?)*")
BUSY_FIELDS = (1, 2, 3, 6, 7)


@dataclass(frozen=True, slots=True)
class Work:
    """CPU time that can be read: of how many threads, by which call, and whose it is in words."""

    machine_threads: int
    threads: float
    busy_s: Callable[[], float]
    whose: str
    # Each thread's time is counted by ticks of its own, so all of them can be a tick behind.
    step_s: float
    descriptor: int = -1
    counts: Mapping[str, Any] | None = None  # where another process finds `busy_s`


def work(machine: Machine, allowed: Limits) -> Work:
    """The CPU time of the threads this process may use. Raises SensorError."""
    if is_file(machine.procfs / "stat"):
        return _work(machine, allowed)
    return _psutil_work()


def _work(machine: Machine, allowed: Limits) -> Work:
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
        return Work(len(threads), quota, busy_s, "this container", step_s, descriptor, counts)
    share = len(ours) if quota is None else min(quota, len(ours))
    others = ", other containers' too" if "container" in surroundings(machine) else ""
    descriptor, step_s = _opened(stat), TICK_S * len(ours)
    counts = {"file": str(stat), "units_per_s": 1 / TICK_S}
    if ours == threads:
        # The total is the first line, and no more of the file is read.
        busy_s = partial(stat_busy_s, descriptor, frozenset({b"cpu"}), STAT_LINE)
        counts |= {"cpus": ["cpu"], "bytes": STAT_LINE}
        whose = f"every process on this machine{others}"
        return Work(len(threads), share, busy_s, whose, step_s, descriptor, counts)
    busy_s = partial(stat_busy_s, descriptor, ours, STAT_LINE * (len(threads) + 1))
    whose = f"every process on the {len(ours)} threads that this one may use"
    counts |= {"cpus": [name.decode() for name in ours], "bytes": STAT_LINE * (len(threads) + 1)}
    return Work(len(threads), share, busy_s, whose, step_s, descriptor, counts)


def machine_threads(machine: Machine) -> int:
    """How many hardware threads this machine has. Raises SensorError."""
    stat = machine.procfs / "stat"
    return len(_threads(stat)) if is_file(stat) else _psutil_work().machine_threads


def _psutil_work() -> Work:
    """The CPU time of a system without /proc. Raises SensorError."""
    try:
        import psutil
    except ImportError as error:
        raise SensorError("this system's CPU time needs the package psutil") from error

    def busy_s() -> float:
        times = psutil.cpu_times()
        return float(times.user + times.system + getattr(times, "nice", 0.0))

    threads = psutil.cpu_count() or 1
    return Work(threads, threads, busy_s, "every process on this machine", TICK_S * threads)


def stat_busy_s(descriptor: int, labels: frozenset[bytes], size: int) -> float:
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
        if name == "Cpus_allowed_list" and _CPU_LIST.fullmatch(value.strip()):
            ranges = (part.partition("-") for part in value.strip().split(","))
            return frozenset(
                b"cpu%d" % number
                for first, _, last in ranges
                for number in range(int(first), int(last or first) + 1)
            )
    return frozenset()


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise SensorError(f"{path} could not be read ({error.strerror})") from error

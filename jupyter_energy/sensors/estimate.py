"""Estimates for where no sensor is: the processor by its CPU time, the memory by its size.

Both are ranges and never measurements. The processor's model is a straight line in its load,
because only a straight line gives the same energy from the sum of CPU time as from every moment
of it: for a load that alternates between 0 and 1, a cubic of the mean load gives 0.21 of the
full power where the truth is 0.55. On 78 points of published load tables no curve did better.

Its watts come, best first, from a calibration of this machine (`%energy baseline`), from the TDP
that the user has set, or from what is published of servers with such a processor. A cell that
only waits lies at the lower end of the range: the line is that of a machine where something runs.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..calibration import Calibration, calibration
from ..errors import SensorError
from ..model import Domain
from .base import Absence, Accuracy, Discovery, Machine, Sensor
from .cgroup import Limits, limits
from .cpu_power import Processor, identity, line, processor, thread_power
from .cpu_time import TICK_S, Work, machine_threads, work
from .kernel_file import identity as identity_of_file
from .kernel_file import is_file, is_still
from .machine_kind import is_laptop, virtual_machine

# Power of a processor as a share of its TDP: 0.25 while a cell runs, and 0.50 more at full load.
# Of the models that are not fitted to the machine itself, the one with the least error (33 % in
# the mean) on CodeCarbon's published load tables (4 machines, 78 points).
IDLE_SHARE = 0.25
BUSY_SHARE = 0.50
# Our own, wider than the data, whose machines are few: 90 % of those points lie between 0.57 and
# 1.64 of the model.
SPREAD_TDP_KNOWN = (0.5, 2.0)
# Of memory installed, used or not, since refresh does not ask. The ends are published: within one
# processor model, SPECpower servers at rest draw 0.04 W more for each GB more (the median of 43
# models); Crucial's and Cloud Carbon Footprint's 0.38 to 0.39 W/GB are of small modules at work.
# The middle is their geometric mean. (The whole of a server sold since 2018 draws 0.42 W at rest
# for each GB that it has, in the median, so that no such figure can be the memory's alone.)
MEMORY_W_PER_GB = 0.125
SPREAD_MEMORY = (0.32, 3.2)
ACCURACY = Accuracy(0.0, "an estimate: its range says how far off it may be")
BYTES_PER_GB = 2**30  # as memory is sold
# By how much CPU time may be told late: a kernel whose processors take no ticks while they work
# (nohz_full) still makes one a second. Ours.
LATE_S = 1.0


@dataclass(slots=True, eq=False)
class Estimate:
    """Joules since discovery by a straight line: `idle_w` over time, `busy_w` over CPU time.

    `spread` gives the range as multiples of what `read` returns; `max_w` is what the middle can
    rise by in a second. `remark` says what a user should know beside the figure, or is None.
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
    remark: str | None = None
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
    threads: float = math.inf  # the most CPU time in s that can be spent in a second
    restarts: int = 0  # how often the CPU time was not to be believed: the trace leaves that out
    _last: tuple[float, float] = field(init=False)
    _energy_j: float = field(init=False, default=0.0)
    _identity: tuple[int, int] = field(init=False, default=(0, 0))

    def __post_init__(self) -> None:
        self._last = self.clock(), self.busy_s()
        if self.descriptor >= 0:
            self._identity = identity_of_file(self.descriptor)

    @property
    def step_j(self) -> float:
        """What the CPU time may be behind by at one reading, in J."""
        return self.busy_w * self.busy_step_s

    def read(self) -> float:
        """The middle of the estimate in J since discovery; costs some µs of the calling thread.

        Raises SensorError where the CPU time cannot be read, has fallen, or has risen by more than
        all threads together can work.
        """
        now_s, busy_s = self.clock(), self.busy_s()
        last_s, last_busy_s = self._last
        # CPU time can step back by a tick where a kernel corrects it; energy cannot. What comes
        # after is counted from the higher one, so that no tick counts twice.
        fell_s, passed_s = last_busy_s - busy_s, now_s - last_s
        most_s = self.threads * (passed_s + LATE_S) + self.busy_step_s
        if fell_s > max(self.busy_step_s, TICK_S) or -fell_s > most_s:
            self._last = now_s, busy_s
            self.restarts += 1
            changed = f"fell by {fell_s:.3g} s" if fell_s > 0 else f"rose by {-fell_s:.3g} s"
            raise SensorError(f"the CPU time {changed} in {passed_s:.3g} s, which cannot be")
        self._last = now_s, max(busy_s, last_busy_s)
        gained_busy_s = max(0.0, -fell_s)
        self._energy_j += self.idle_w * max(0.0, now_s - last_s) + self.busy_w * gained_busy_s
        return self._energy_j

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
        if descriptor >= 0 and is_still(descriptor, self._identity):
            os.close(descriptor)


def discover(machine: Machine, clock: Callable[[], float] = time.monotonic) -> Discovery:
    """An estimate of the processor and one of the memory, for what this process may use of them."""
    allowed = limits(machine)
    sensors: list[Sensor] = []
    absences: list[Absence] = []
    notes: tuple[str, ...] = ()
    try:
        sensor, notes = _cpu(machine, allowed, clock)
        sensors.append(sensor)
    except SensorError as error:
        absences.append(Absence(Domain("package", 0, "CPU"), "estimate:cpu-time", str(error)))
    try:
        sensors.append(_memory(machine, allowed, clock))
    except SensorError as error:
        memory = Domain("dram", 0, "Memory")
        absences.append(Absence(memory, "estimate:memory-capacity", str(error)))
    return Discovery(tuple(sensors), tuple(absences), notes)


@dataclass(frozen=True, slots=True)
class _Power:
    """W of each thread, awake and what work adds; `notes` say where they come from."""

    idle_w: float
    busy_w: float
    spread: tuple[float, float]
    source: str
    notes: tuple[str, ...]
    remark: str | None = None


def _cpu(
    machine: Machine, allowed: Limits, clock: Callable[[], float]
) -> tuple[Estimate, tuple[str, ...]]:
    """The processor's estimate, and what it counts in words. Raises SensorError."""
    counted = work(machine, allowed)
    power = _power(machine, counted)
    count = "1 thread" if counted.machine_threads == 1 else f"{counted.machine_threads} threads"
    if counted.threads < counted.machine_threads:
        count = f"{counted.threads:g} of {count}"
    try:
        sensor = Estimate(
            domain=Domain("package", 0, f"CPU ({count})"),
            source=power.source,
            spread=power.spread,
            idle_w=power.idle_w * counted.threads,
            busy_w=power.busy_w,
            max_w=(power.idle_w + power.busy_w) * counted.threads,
            clock=clock,
            busy_s=counted.busy_s,
            busy_step_s=counted.step_s,
            descriptor=counted.descriptor,
            remark=power.remark,
            counts=counted.counts,
            threads=counted.machine_threads,
        )
    except SensorError:
        if counted.descriptor >= 0:
            os.close(counted.descriptor)
        raise
    return sensor, (f"The estimate of the CPU counts the work of {counted.whose}.", *power.notes)


def _power(machine: Machine, counted: Work) -> _Power:
    """The W of each thread by the best that is known of this machine."""
    own = processor(machine)
    kept = None
    if machine.baselines is not None:
        kept = calibration(identity(machine, own, counted.machine_threads), machine.baselines)
    if kept is not None:
        return _calibrated(kept, counted.machine_threads)
    virtual = virtual_machine(machine)
    source = "estimate:cpu-time"
    if machine.cpu_tdp_w:
        thread_w = machine.cpu_tdp_w / counted.machine_threads
        idle_w, busy_w = thread_w * IDLE_SHARE, thread_w * BUSY_SHARE
        spread = busy_spread = SPREAD_TDP_KNOWN
        told = f"Its watts are those of a processor with a TDP of {machine.cpu_tdp_w:g} W."
    else:
        found = thread_power(own, virtual is not None, is_laptop(machine))
        idle_w, busy_w = found.idle_w, found.busy_w
        spread, busy_spread = found.spread, found.busy_spread
        told = f"Its watts a thread are those of {_published(own)} ({own.name})."
    if virtual is None:
        return _Power(idle_w, busy_w, spread, source, (told,))
    # Other machines of that host keep it awake as well, and nobody here knows how many. Its idle
    # power is drawn with or without this cell (measuring.md 4.3).
    threads = "1 thread" if counted.threads == 1 else f"{counted.threads:g} threads"
    note = (
        f"This is a virtual machine ({virtual}): the idle power of its host is shared with others "
        f"and not counted; the part of {threads} would be about {idle_w * counted.threads:.2g} W."
    )
    return _Power(0.0, busy_w, busy_spread, source, (told, note))


def _published(own: Processor) -> str:
    if own.family is None:
        return "the median of published servers, since its family is not among them"
    return f"published machines of the family {own.family}"


def _calibrated(kept: Calibration, threads: int) -> _Power:
    """The line of a calibration, which is of the whole machine and counts in a virtual one too."""
    awake_w, work_w = line(kept.rest_w, kept.full_w)
    with_what = "a plug" if kept.how == "plug" else kept.how
    remark = f"calibrated on {kept.date[:10]} with {with_what}"
    return _Power(
        awake_w / threads,
        work_w / threads,
        (kept.low, kept.high),
        "estimate:calibrated",
        (f"It was {remark}.",),
        remark,
    )


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


def _never_busy() -> float:
    return 0.0


def _closed() -> float:
    raise SensorError("the estimate was closed")


def _memory_bytes(machine: Machine) -> int:
    """The memory of the machine in bytes. Raises SensorError."""
    path = machine.procfs / "meminfo"
    if not is_file(machine.procfs / "stat"):
        try:
            import psutil
        except ImportError as error:
            raise SensorError("the size of the memory needs the package psutil") from error
        return int(psutil.virtual_memory().total)
    try:
        for row in path.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = row.partition(":")
            if name == "MemTotal":
                return int(value.split()[0]) * 1024
    except (OSError, ValueError, IndexError) as error:
        raise SensorError(f"{path} could not be read ({error})") from error
    raise SensorError(f"{path} does not give the size of the memory")


def identity_of(machine: Machine) -> str:
    """What a calibration of this machine's processor is kept under. Raises SensorError."""
    return identity(machine, processor(machine), machine_threads(machine))

"""The `power` PMU: the counters of RAPL by the kernel's perf events, where powercap is not to be
had.

Source: the kernel's arch/x86/events/rapl.c. Its counts have 64 bits, in units of 2⁻³² J, but it
adds to them what the processor's 32 bits have gained as a *signed* number. A stretch between two
updates in which a counter gains half its range or more is therefore one range short. The kernel
updates at every read and by a timer (every 655 s where the step is 2⁻¹⁴ J, 164 s at 2⁻¹⁶ J), which
alone holds up to a mean of 200 W. So a sensor here gives the count modulo the processor's range,
which is right whatever the kernel missed: a counter like powercap's, that wraps, that the guard
reads, and of which a stretch is left out in which it may have turned twice.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import re
import struct
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ..errors import SensorDenied, SensorError
from ..model import Domain, Provenance
from .base import Absence, Accuracy, Discovery, Machine, Sensor
from .kernel_file import identity, is_file, is_folder, is_still, number_of, text_of
from .powercap import STEPS_PER_RANGE, Tree, exact_step_j
from .rapl_accuracy import Processor

SOURCE = "perf"
PMU = "bus/event_source/devices/power"
# Events of the PMU by the kind of their domain. energy-cores and energy-gpu lie within a package.
EVENTS = {"package": "energy-pkg", "dram": "energy-ram", "psys": "energy-psys"}
# perf_event_open's number: arch/x86/entry/syscalls/syscall_64.tbl; asm-generic/unistd.h, which
# the other two share.
SYSCALLS = {"x86_64": 298, "aarch64": 241, "riscv64": 241}
# uapi/linux/perf_event.h: the first version of struct perf_event_attr, as every kernel takes it.
ATTR = "=IIQQQQQIIQ"
READ_FORMAT = 1 | 2  # the times that the event was enabled and running, behind its count
COUNT = "=qQQ"
COUNT_BYTES = 24
FLAG_CLOEXEC = 8
# Where no powercap zone tells the steps: the coarsest that rapl.c knows (psys on Sapphire Rapids
# counts whole joules, RAPL_UNIT_QUIRK_INTEL_SPR), so that no figure looks finer than it is.
COARSEST_STEP_J = {"package": 2**-14, "dram": 2**-14, "psys": 1.0}
# 2³² of the finest, 2⁻¹⁶ J; every longer range is a multiple of it.
LEAST_RANGE_J = 2.0**16
REMEDY = (
    "Ask an administrator for `sysctl kernel.perf_event_paranoid=0`; a file in /etc/sysctl.d "
    "keeps it across restarts."
)


@dataclass(slots=True, eq=False)
class PerfPower:
    """The energy of one domain in J since some start, by one event of the `power` PMU."""

    domain: Domain
    provenance: Provenance
    accuracy: Accuracy
    wraps_at_j: float
    step_j: float
    max_w: float | None
    scale_j: float
    _descriptor: int
    _running_ns: int = 0
    kind: Literal["counter"] = "counter"
    source: str = SOURCE
    # Intel's manual (SDM vol. 3B, "RAPL Interfaces") gives about 1 ms.
    period_s: float = 0.001
    averages_s: float = 0.0
    settles_s: None = None
    polls_s: None = None
    spread: None = None
    worker: None = None
    _identity: tuple[int, int] = field(init=False)

    def __post_init__(self) -> None:
        self._identity = identity(self._descriptor)

    def read(self) -> float:
        """The counter in J; about 1 µs, or 10 µs for another package.

        Raises SensorError where the kernel gives no count, or counts no longer.
        """
        if not is_still(self._descriptor, self._identity):
            raise SensorError(f"{self._name} could not be read: its file was closed")
        try:
            told = os.read(self._descriptor, COUNT_BYTES)
        except OSError as error:
            raise SensorError(f"{self._name} could not be read ({error.strerror})") from error
        if len(told) != COUNT_BYTES:
            raise SensorError(f"{self._name} gave {len(told)} bytes in place of {COUNT_BYTES}")
        count, _, running_ns = struct.unpack(COUNT, told)
        if running_ns == self._running_ns:
            # It would stand still for ever, which must not be taken for a part that draws nothing.
            raise SensorError(f"{self._name} is no longer counted: its processors went offline")
        self._running_ns = running_ns
        return float(count * self.scale_j % (self.wraps_at_j + self.step_j))

    def trace_source(self) -> dict[str, object] | None:
        """What `--trace` reads in a process of its own (power/sources.py): this same event, as
        that process is given its descriptor."""
        if self._descriptor < 0:
            return None
        return {"descriptor": self._descriptor, "j_per_unit": self.scale_j}

    def close(self) -> None:
        """Let go of the event."""
        descriptor, self._descriptor = self._descriptor, -1
        if is_still(descriptor, self._identity):
            os.close(descriptor)

    @property
    def _name(self) -> str:
        return f"the perf event of {self.domain.name}"


def discover(
    machine: Machine, kinds: Collection[str], tree: Tree, processor: Processor
) -> Discovery:
    """The sensors of those kinds ("package", "dram", "psys"), or why the PMU gives none.

    Empty where there is no such PMU, or it counts nothing of that kind.
    """
    pmu = machine.sysfs / PMU
    if not is_folder(pmu):
        return Discovery()
    sensors: list[Sensor] = []
    absences: list[Absence] = []
    for kind in sorted(kinds):
        if not is_file(pmu / "events" / EVENTS[kind]):
            continue
        opened: list[Sensor] = []
        try:
            for domain, cpu in _places(machine, kind, processor.dies_share_a_counter):
                opened.append(_open(machine, domain, cpu, tree, processor))
        except SensorError as error:
            # All or none: the other packages by another way would be hard to tell apart.
            for sensor in opened:
                sensor.close()
            remedy = REMEDY if isinstance(error, SensorDenied) else None
            absences.append(Absence(Domain(kind, 0, kind), SOURCE, str(error), remedy))
        else:
            sensors += opened
    return Discovery(tuple(sensors), tuple(absences))


def _places(machine: Machine, kind: str, dies_share_a_counter: bool) -> list[tuple[Domain, int]]:
    """The domains of a kind, each with the CPU that its event is opened on. Raises SensorError."""
    pmu = machine.sysfs / PMU
    first: dict[tuple[int, int], int] = {}
    for cpu in _cpus(_told(pmu / "cpumask")):
        topology = machine.sysfs / f"devices/system/cpu/cpu{cpu}/topology"
        package = number_of(topology / "physical_package_id") or 0
        die = 0 if dies_share_a_counter else number_of(topology / "die_id") or 0
        first.setdefault((package, die), cpu)
    by_die = len({package for package, _ in first}) < len(first)
    places = []
    for place, ((package, die), cpu) in enumerate(sorted(first.items())):
        name = f"package-{package}-die-{die}" if by_die else f"package-{package}"
        index = place if by_die else package
        if kind == "psys":
            name = f"psys-{index}" if index else "psys"
        places.append((Domain(kind, index, f"{name} dram" if kind == "dram" else name), cpu))
    return places


def _open(
    machine: Machine, domain: Domain, cpu: int, tree: Tree, processor: Processor
) -> PerfPower:
    """A sensor that has given a first reading. Raises SensorError."""
    pmu = machine.sysfs / PMU
    event = EVENTS[domain.kind]
    unit = _told(pmu / "events" / f"{event}.unit")
    if unit != "Joules":
        raise SensorError(f"{event} counts {unit}, not Joules")
    scale_j = _float(pmu / "events" / f"{event}.scale")
    kind = number_of(pmu / "type")
    if kind is None:
        raise SensorError(f"{pmu / 'type'} gives no number")
    # powercap shows how far and in which steps the same counter goes, often to everybody.
    zone = next(iter(tree.zones.get(domain, ())), None)
    known = zone is not None and zone.range_j is not None
    step_j = exact_step_j(zone.step_j) if zone and known else COARSEST_STEP_J[domain.kind]
    sensor = PerfPower(
        domain=domain,
        provenance=processor.provenance,
        accuracy=processor.accuracy(domain.kind),
        wraps_at_j=step_j * STEPS_PER_RANGE if known else LEAST_RANGE_J - step_j,
        step_j=step_j,
        max_w=zone.max_w if zone else None,
        scale_j=scale_j,
        _descriptor=_perf_event_open(machine, kind, _config(_told(pmu / "events" / event)), cpu),
    )
    try:
        sensor.read()
    except SensorError:
        sensor.close()
        raise
    return sensor


def _perf_event_open(machine: Machine, kind: int, config: int, cpu: int) -> int:
    """The descriptor of an event that counts on `cpu`. Raises SensorDenied, SensorError."""
    number = SYSCALLS.get(platform.machine())
    if number is None or sys.maxsize < 2**32:  # a Python of 32 bits has other numbers
        raise SensorError(f"perf events are not known to us on {platform.machine()}")
    attr = struct.pack(ATTR, kind, struct.calcsize(ATTR), config, 0, 0, READ_FORMAT, 0, 0, 0, 0)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    everyone, no_group = ctypes.c_long(-1), ctypes.c_long(-1)
    descriptor: int = libc.syscall(
        ctypes.c_long(number),
        ctypes.create_string_buffer(attr, len(attr)),
        everyone,
        ctypes.c_long(cpu),
        no_group,
        ctypes.c_ulong(FLAG_CLOEXEC),
    )
    if descriptor >= 0:
        return descriptor
    error = ctypes.get_errno()
    if error not in (errno.EACCES, errno.EPERM):
        raise SensorError(f"the kernel opens no perf event on CPU {cpu} ({os.strerror(error)})")
    level = _level(machine)
    if level is not None and level > 0:
        # perf_allow_cpu in include/linux/perf_event.h
        raise SensorDenied(
            f"perf events are denied: kernel.perf_event_paranoid is {level}, counting for a whole "
            "processor needs 0 or less, or CAP_PERFMON"
        )
    raise SensorDenied(f"perf events are denied ({os.strerror(error)}), as containers do it")


def _level(machine: Machine) -> int | None:
    """kernel.perf_event_paranoid, None where it is not told."""
    try:
        return int(text_of(machine.procfs / "sys/kernel/perf_event_paranoid"))
    except (OSError, ValueError):
        return None


def _config(text: str) -> int:
    """The event's number, such as 2 of "event=0x02". Raises SensorError."""
    name, _, value = text.partition("=")
    try:
        if name in ("event", "config"):
            return int(value, 0)
    except ValueError:
        pass
    raise SensorError(f"the power PMU describes an event as {text!r}, which is new to us")


def _cpus(text: str) -> Iterator[int]:
    """The numbers in a list such as "0,18-19" (the kernel's cpulist format). Raises SensorError."""
    for part in text.split(","):
        first, _, last = part.partition("-")
        # Five digits hold every number that the kernel gives (its NR_CPUS is at most 8192).
        if not all(re.fullmatch("[0-9]{1,5}", number) for number in (first, last or first)):
            raise SensorError(f"the power PMU names its CPUs as {text!r:.60}, which is no list")
        yield from range(int(first), int(last or first) + 1)


def _float(path: Path) -> float:
    text = _told(path)
    try:
        return float(text)
    except ValueError:
        raise SensorError(f"{path} holds {text!r}, not a number") from None


def _told(path: Path) -> str:
    """A short file's text. Raises SensorError."""
    try:
        return text_of(path)
    except OSError as error:
        raise SensorError(f"{path} could not be read ({error.strerror})") from error

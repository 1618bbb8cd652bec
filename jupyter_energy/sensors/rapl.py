"""RAPL: the energy counters of Intel and AMD processors, as Linux shows them under powercap.

Packages, and the memory beside them, are counted; `psys` is shown apart. The parts of a package
(core, uncore) are not read, because the package has them already. Layout and names: the kernel's
Documentation/power/powercap/powercap.rst and drivers/powercap/intel_rapl_common.c.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..errors import SensorAbsent, SensorDenied, SensorError
from ..model import Domain, Provenance
from ..units import UJ_PER_J
from .base import Absence, Accuracy, Discovery, Machine, Sensor
from .rapl_access import RECIPE, REMEDY, is_folder, lines_of, why_none

__all__ = ["RECIPE", "Rapl", "discover"]

SOURCE = "rapl"
# The MSR behind a zone holds 32 bits; the kernel's range is that many steps, as it rounded them.
STEPS_PER_RANGE = 2**32 - 1
# 2⁻¹⁴ J, the coarser of the two common steps, where the range cannot be read.
COMMON_STEP_J = 61.035e-6
# Peaks pass the power limits for some ms: measuring.md 2.2. A limit above any socket sold is a
# maker's way to write "none" (4095 W is common on desktop boards).
PEAK_OVER_LIMIT = 1.3
NO_LIMIT_W = 1000.0
# Sandy Bridge and Ivy Bridge computed their figures from activity; measured since Haswell
# (Hackenberg et al. 2015, doi 10.1109/IPDPSW.2015.70). Model numbers: asm/intel-family.h.
MODELLED_INTEL = frozenset({0x2A, 0x2D, 0x3A, 0x3E})

PACKAGE_ACCURACY = Accuracy(
    0.05,
    "our policy: no vendor tolerance is published; RAPL follows plug power closely "
    "(Khan et al. 2018, doi 10.1145/3177754)",
)
DRAM_ACCURACY = Accuracy(
    0.20,
    "our policy: good on servers, off by a constant on desktops (Weaver, RAPL validation)",
)
MODEL_ACCURACY = Accuracy(
    0.15,
    "our policy: the counter is computed, not measured (Schöne et al., arXiv 2108.00808)",
)
PSYS_ACCURACY = Accuracy(
    0.30,
    "our policy: wired by the maker of the machine; 12.2 W against 9.3 W at the battery was seen",
)

_ZONE_FOLDER = re.compile(r"intel-rapl(?:-[a-z]+)?(?::\d+)+")
_PACKAGE = re.compile(r"package-(\d+)(?:-die-(\d+))?")
# One name a package since Sapphire Rapids, where any package may be the one that knows (5.10).
_PSYS = re.compile(r"psys(?:-(\d+))?")


@dataclass(slots=True, eq=False)
class Rapl:
    """The energy of one RAPL domain in J since an arbitrary start, by one open descriptor."""

    domain: Domain
    provenance: Provenance
    accuracy: Accuracy
    wraps_at_j: float | None
    step_j: float
    max_w: float | None
    path: Path
    _descriptor: int
    kind: Literal["counter"] = "counter"
    source: str = SOURCE
    # Intel's manual (SDM vol. 3B, "RAPL Interfaces") gives about 1 ms.
    period_s: float = 0.001
    averages_s: float = 0.0
    settles_s: None = None
    polls_s: None = None
    spread: None = None
    worker: None = None

    def read(self) -> float:
        """The counter in J; costs about 1 µs of the calling thread.

        Raises SensorDenied, SensorAbsent or SensorError where the file gives no number.
        """
        try:
            text = os.pread(self._descriptor, 32, 0).strip()
        except OSError as error:
            raise _as_sensor_error(error, self.path) from error
        if not text.isdigit():
            raise SensorError(f"{self.path} holds {text.decode(errors='replace')!r}, not a number")
        return int(text) / UJ_PER_J  # powercap keeps µJ; from here on, J

    def trace_source(self) -> dict[str, object]:
        """What `--trace` reads in a process of its own (power/sources.py)."""
        return {"file": str(self.path), "j_per_unit": 1 / UJ_PER_J}

    def close(self) -> None:
        """Let go of the descriptor."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


@dataclass(frozen=True, slots=True)
class _Zone:
    """A powercap folder: `name` as the kernel gives it, `package` that of its outermost zone."""

    path: Path
    name: str
    package: str


def discover(machine: Machine) -> Discovery:
    """Every package, memory and platform counter of this machine, or why there is none."""
    root, zones, notes = _zones(machine)
    by_domain: dict[Domain, list[_Zone]] = {}
    indices = _package_indices(zones)
    for zone in zones:
        domain = _domain(zone, indices)
        if domain is not None:
            by_domain.setdefault(domain, []).append(zone)
        elif zone.name in ("core", "uncore"):
            notes.append(f"{zone.name} ({zone.path.name}) lies within its package and is not read")
        else:
            notes.append(f"{zone.path.name} has the unknown name {zone.name!r} and is not read")
    modelled = _is_modelled(machine)
    sensors: list[Sensor] = []
    absences: list[Absence] = []
    for domain in sorted(by_domain, key=lambda domain: (domain.kind, domain.index)):
        twins = by_domain[domain]
        # The same counter through the memory-mapped interface: read once, by MSR where it can be.
        twins.sort(key=lambda zone: zone.path.name.startswith("intel-rapl-mmio"))
        notes.extend(f"{z.path.name} shows {domain.name} again and is not read" for z in twins[1:])
        try:
            sensors.append(_open(domain, twins[0], modelled, notes))
        except SensorDenied as error:
            absences.append(Absence(domain, SOURCE, str(error), REMEDY))
        except SensorError as error:
            absences.append(Absence(domain, SOURCE, str(error)))
    if not zones and not notes:
        reason, remedy = why_none(machine, root)
        unseen = (Domain("package", 0, "CPU"), Domain("dram", 0, "memory"))
        absences += [Absence(domain, SOURCE, reason, remedy) for domain in unseen]
    return Discovery(tuple(sensors), tuple(absences), tuple(notes))


def _zones(machine: Machine) -> tuple[Path | None, list[_Zone], list[str]]:
    """The powercap folder, its zones, and notes on zones that cannot be told apart."""
    for folder in ("class/powercap", "devices/virtual/powercap", "powercap", "."):
        # The last two are for a powercap folder mounted elsewhere, as containers need it.
        root = machine.sysfs / folder
        found = {path.name: path for path in _folders(root)}
        if not found:
            continue
        zones, notes = [], []
        for name in sorted(found):
            top = found.get(":".join(name.split(":")[:2]), found[name])
            try:
                zones.append(_Zone(found[name], _text(found[name] / "name"), _text(top / "name")))
            except OSError as error:
                notes.append(f"{name} is not read: {_as_sensor_error(error, found[name])}")
        return root, zones, notes
    root = machine.sysfs / "class/powercap"
    return (root if is_folder(root) else None), [], []


def _folders(root: Path, depth: int = 0) -> Iterator[Path]:
    """Zone folders under `root`: sysfs lists all in one folder, a bare mount nests them."""
    try:
        entries = sorted(root.iterdir())
    except OSError:
        return
    for entry in entries:
        if not entry.name.startswith("intel-rapl") or not is_folder(entry):
            continue
        if _ZONE_FOLDER.fullmatch(entry.name):
            yield entry
        if depth < 4:  # control type, package, part: sysfs goes no deeper
            yield from _folders(entry, depth + 1)


def _package_indices(zones: list[_Zone]) -> dict[str, int]:
    """The index of each package by name: its socket, or its place where sockets have dies."""
    found = {
        zone.name: (int(match[1]), int(match[2] or 0), match[2] is not None)
        for zone in zones
        if (match := _PACKAGE.fullmatch(zone.name))
    }
    if any(has_die for _, _, has_die in found.values()):
        return {name: place for place, name in enumerate(sorted(found, key=found.__getitem__))}
    return {name: socket for name, (socket, _, _) in found.items()}


def _domain(zone: _Zone, indices: dict[str, int]) -> Domain | None:
    """What a zone's counter is of; None for a part of a package and for names we do not know."""
    if zone.name in indices:
        return Domain("package", indices[zone.name], zone.name)
    if zone.name == "dram" and zone.package in indices:
        return Domain("dram", indices[zone.package], f"{zone.package} dram")
    psys = _PSYS.fullmatch(zone.name)
    return Domain("psys", int(psys[1] or 0), zone.name) if psys else None


def _open(domain: Domain, zone: _Zone, modelled: bool, notes: list[str]) -> Rapl:
    """A sensor that has given a first reading. Raises SensorError where there is none."""
    path = zone.path / "energy_uj"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise _as_sensor_error(error, path) from error
    range_uj = _number(zone.path / "max_energy_range_uj")
    if not range_uj:
        notes.append(
            f"{zone.path.name}: max_energy_range_uj gives no number, so the stretch in which "
            f"{domain.name} wraps is left out"
        )
    wraps_at_j = range_uj / UJ_PER_J if range_uj else None
    accuracy = {"package": PACKAGE_ACCURACY, "dram": DRAM_ACCURACY, "psys": PSYS_ACCURACY}
    sensor = Rapl(
        domain=domain,
        provenance="vendor model" if modelled else "measured",
        accuracy=MODEL_ACCURACY if modelled and domain.kind == "package" else accuracy[domain.kind],
        wraps_at_j=wraps_at_j,
        step_j=wraps_at_j / STEPS_PER_RANGE if wraps_at_j else COMMON_STEP_J,
        max_w=_max_w(zone.path),
        path=path,
        _descriptor=descriptor,
    )
    try:
        sensor.read()
    except SensorError:
        sensor.close()
        raise
    return sensor


def _max_w(folder: Path) -> float | None:
    """The most power in W by the zone's own limits, or None where they say nothing.

    The highest of all counts: a package runs at its short-term limit or its peak limit for the
    few ms that a short window lasts.
    """
    limits_uw = [
        _number(folder / f"constraint_{number}_{what}_uw") or 0
        for number in range(3)
        for what in ("power_limit", "max_power")
    ]
    max_w = PEAK_OVER_LIMIT * max(limits_uw) / 1e6
    return max_w if 0 < max_w < NO_LIMIT_W else None


def _is_modelled(machine: Machine) -> bool:
    """Whether the counters are computed by the processor rather than measured."""
    cpu = {}
    for line in lines_of(machine.procfs / "cpuinfo"):
        name, _, value = line.partition(":")
        if not line.strip():
            break  # the first processor speaks for all
        cpu[name.strip()] = value.strip()
    if cpu.get("vendor_id") != "GenuineIntel":
        return True  # AMD, Hygon; and who does not say gets the wider interval
    model = cpu.get("model", "")
    return cpu.get("cpu family") == "6" and model.isdigit() and int(model) in MODELLED_INTEL


def _as_sensor_error(error: OSError, path: Path) -> SensorError:
    if error.errno in (errno.EACCES, errno.EPERM):
        return SensorDenied(f"permission denied: {path}")
    if error.errno in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        return SensorAbsent(f"{path} is gone ({error.strerror})")
    if error.errno == errno.EBADF:
        return SensorError(f"{path} was closed")
    return SensorError(f"{path} could not be read ({error.strerror})")


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace").strip()


def _number(path: Path) -> int | None:
    """The whole number in a file, or None where it has none or may not be read."""
    try:
        text = _text(path)
    except OSError:
        return None
    return int(text) if text.isdecimal() else None

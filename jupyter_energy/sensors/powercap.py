"""The powercap tree: which zone counts which domain, how far it counts, how much it can draw.

Layout and names: the kernel's Documentation/power/powercap/powercap.rst,
drivers/powercap/powercap_sys.c and intel_rapl_common.c.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import SensorAbsent
from ..model import Domain
from ..units import UJ_PER_J
from .base import Machine
from .kernel_file import as_sensor_error, is_folder, number_of, text_of

# The counter behind a zone holds 32 bits; the kernel's range is that many steps, as it rounded
# them.
STEPS_PER_RANGE = 2**32 - 1
# 2⁻¹⁴ J, the coarser of the two common steps, and the range of the finer one, 2⁻¹⁶ J, which no
# processor that we know of goes below: where the range cannot be read, no energy is mistaken
# then, for a counter with a longer range that wraps falls by more than this one can explain.
COARSE_STEP_J = 61.035e-6
LEAST_RANGE_J = 65_532.610987
# Peaks pass the power limits for some ms: measuring.md 2.2. A limit above any socket sold is a
# maker's way to write "none" (4095 W is common on desktop boards).
PEAK_OVER_LIMIT = 1.3
NO_LIMIT_W = 1000.0

# powercap_sys.c numbers zones in hexadecimal: the eleventh socket or die is intel-rapl:a.
_FOLDER = re.compile(r"intel-rapl(?:-[a-z]+)?(?::[0-9a-f]+)+")
_PACKAGE = re.compile(r"package-(\d+)(?:-die-(\d+))?")
# One name a package since Sapphire Rapids, where any package may be the one that knows (5.10).
_PSYS = re.compile(r"psys(?:-(\d+))?")


@dataclass(frozen=True, slots=True)
class Zone:
    """A powercap folder: `name` as the kernel gives it; `package` is the package zone that it is
    or lies in, as (folder, name), or None."""

    path: Path
    name: str
    package: tuple[Path, str] | None

    @property
    def step_j(self) -> float:
        """The counter's smallest step in J."""
        range_j = self.range_j
        return COARSE_STEP_J if range_j is None else range_j / STEPS_PER_RANGE

    @property
    def range_j(self) -> float | None:
        """The energy in J up to which the counter goes, None where the file gives none."""
        range_uj = number_of(self.path / "max_energy_range_uj")
        return range_uj / UJ_PER_J if range_uj else None

    @property
    def max_w(self) -> float | None:
        """The most power in W by the zone's own limits, or None where they say nothing.

        The highest of all counts: a package runs at its short-term limit or its peak limit for
        the few ms that a short window lasts. Limits that are not enforced bind nobody.
        """
        if number_of(self.path / "enabled") == 0:
            return None
        limits_uw = [
            number_of(self.path / f"constraint_{number}_{what}_uw") or 0
            for number in range(3)
            for what in ("power_limit", "max_power")
        ]
        max_w = PEAK_OVER_LIMIT * max(limits_uw) / 1e6
        return max_w if 0 < max_w < NO_LIMIT_W else None

    def check(self) -> None:
        """Raises SensorAbsent where the folder is another zone's now, as after a socket went and
        came back in another place."""
        for folder, name in ((self.path, self.name), *([self.package] if self.package else [])):
            try:
                found = text_of(folder / "name")
            except OSError as error:
                raise as_sensor_error(error, folder) from error
            if found != name:
                raise SensorAbsent(f"{folder} is {found!r} now, no longer {name}")


@dataclass(frozen=True, slots=True)
class Tree:
    """What was found: the zones of each domain (several where they show the same counter, the
    best first), the folder they lie in, and notes on what is not read."""

    root: Path | None
    zones: dict[Domain, list[Zone]]
    notes: tuple[str, ...]


def tree(machine: Machine, dies_share_a_counter: bool = False) -> Tree:
    """The powercap tree of this machine. `dies_share_a_counter`: see rapl_accuracy.Processor."""
    root, found = _found(machine)
    zones, notes = _named(found)
    if root is not None and found and not root.is_relative_to(machine.sysfs):
        notes.append(f"the counters are read from {root}")
    packages = _packages(zones, dies_share_a_counter)
    by_domain: dict[Domain, list[Zone]] = {}
    for zone in zones:
        domain = _domain(zone, packages)
        if domain is not None:
            by_domain.setdefault(domain, []).append(zone)
        elif zone.name in ("core", "uncore"):
            notes.append(f"{zone.name} ({zone.path.name}) lies within its package and is not read")
        else:
            notes.append(f"{zone.path.name} ({zone.name!r}) is no domain we know and is not read")
    for twins in by_domain.values():
        # The same counter through the memory-mapped interface: read once, by MSR where it can be.
        twins.sort(key=lambda zone: zone.path.name.startswith("intel-rapl-mmio"))
    domains = sorted(by_domain, key=lambda domain: (domain.kind, domain.index))
    return Tree(root, {domain: by_domain[domain] for domain in domains}, tuple(notes))


def _found(machine: Machine) -> tuple[Path | None, dict[str, Path]]:
    """The folder with zones, and the zones' own by name; an empty folder where there are none."""
    # The last two are for a powercap folder mounted elsewhere, as containers need it.
    roots = [machine.sysfs / name for name in ("class/powercap", "devices/virtual/powercap")]
    roots += [machine.sysfs / "powercap", machine.sysfs]
    # Where Zeus has its containers mount it, beside /sys (zeus.device.cpu.rapl).
    roots.append(machine.sysfs.parent / "zeus_sys/class/powercap")
    for root in roots:
        found = {path.name: path for path in _folders(root)}
        if found:
            return root, found
    return (roots[0] if is_folder(roots[0]) else None), {}


def _folders(root: Path, depth: int = 0) -> Iterator[Path]:
    """Zone folders under `root`: sysfs lists all in one folder, a bare mount nests them."""
    try:
        entries = sorted(root.iterdir())
    except OSError:
        return
    for entry in entries:
        if not entry.name.startswith("intel-rapl") or not is_folder(entry):
            continue
        if _FOLDER.fullmatch(entry.name):
            yield entry
        if depth < 4:  # control type, package, part: sysfs goes no deeper
            yield from _folders(entry, depth + 1)


def _named(found: dict[str, Path]) -> tuple[list[Zone], list[str]]:
    """The zones, and notes on those whose name cannot be read."""
    names, notes = {}, []
    for folder, path in sorted(found.items()):
        try:
            names[folder] = text_of(path / "name")
        except OSError as error:
            notes.append(f"{folder} is not read: {as_sensor_error(error, path)}")

    def package_of(folder: str) -> tuple[Path, str] | None:
        while ":" in folder:
            if _PACKAGE.fullmatch(names.get(folder, "")):
                return found[folder], names[folder]
            folder = folder.rpartition(":")[0]
        return None

    return [Zone(found[folder], name, package_of(folder)) for folder, name in names.items()], notes


def _packages(zones: list[Zone], dies_share_a_counter: bool) -> dict[str, Domain]:
    """The domain of each package by the name of its zone: its index is its socket, or its place
    where sockets have dies that count by themselves."""
    found = {
        zone.name: (int(match[1]), int(match[2] or 0), match[2] is not None)
        for zone in zones
        if (match := _PACKAGE.fullmatch(zone.name))
    }
    if dies_share_a_counter:
        return {
            n: Domain("package", socket, f"package-{socket}") for n, (socket, *_) in found.items()
        }
    by_die = any(has_die for *_, has_die in found.values())
    places = {name: place for place, name in enumerate(sorted(found, key=found.__getitem__))}
    return {
        name: Domain("package", places[name] if by_die else socket, name)
        for name, (socket, *_) in found.items()
    }


def _domain(zone: Zone, packages: dict[str, Domain]) -> Domain | None:
    """What a zone's counter is of; None for a part of a package and for names we do not know."""
    if zone.name in packages:
        return packages[zone.name]
    if zone.name == "dram" and zone.package is not None:
        package = packages[zone.package[1]]
        return Domain("dram", package.index, f"{package.name} dram")
    psys = _PSYS.fullmatch(zone.name)
    return Domain("psys", int(psys[1] or 0), zone.name) if psys else None


def exact_step_j(step_j: float) -> float:
    """The power of two that the kernel rounded to a whole number of nJ (or pJ) for powercap."""
    return math.ldexp(1.0, round(math.log2(step_j)))

"""What a container may use of its machine: the kernel's control groups, version 1, 2 or both.

Files and their units: the kernel's Documentation/admin-guide/cgroup-v2.rst and
Documentation/scheduler/sched-bwc.rst (version 1).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .base import Machine
from .kernel_file import is_file


@dataclass(frozen=True, slots=True)
class Limits:
    """The tightest limits on this process; None where there is no limit.

    `cpus` is a quota in CPUs (1.5 is one and a half), `usage` the file with the CPU time of the
    group that has it, `usage_units_per_s` how that file counts.
    """

    cpus: float | None = None
    usage: Path | None = None
    usage_units_per_s: float = 1e6
    memory_bytes: int | None = None


def limits(machine: Machine) -> Limits:
    """The tightest quota and memory limit of the groups that this process is in."""
    cpus: float | None = None
    usage, units_per_s = None, 1e6
    memory: list[int] = []
    for controllers, group in _memberships(machine):
        for folder in _upwards(machine.sysfs / "fs/cgroup", controllers, group):
            quota = _quota(folder)
            if quota is not None and (cpus is None or quota < cpus):
                cpus = quota
                usage, units_per_s = _usage(machine, folder)
            for name in ("memory.max", "memory.limit_in_bytes"):
                limit = _first(folder / name)
                if limit.isdecimal():
                    memory.append(int(limit))
    return Limits(cpus, usage, units_per_s, min(memory, default=None))


def _memberships(machine: Machine) -> Iterator[tuple[str, str]]:
    """The lines of /proc/self/cgroup as (controllers, group); no controllers in version 2."""
    try:
        text = (machine.procfs / "self/cgroup").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = "0::/"  # a moved procfs may not know this process: the root is the container's own
    for line in text.splitlines():
        fields = line.split(":", 2)
        if len(fields) == 3:
            yield fields[1], fields[2]


def _upwards(root: Path, controllers: str, group: str) -> Iterator[Path]:
    """Where the group's folders may be, from the innermost up: each of them limits the process.

    A container may be told its group by the name that the host has for it, while only its own
    part is mounted: then the folder of that name is not there and the root is its own.
    """
    names = [controllers, *controllers.split(",")] if controllers else ["", "unified"]
    parts = [part for part in group.split("/") if part not in ("", "..")]
    for mount in dict.fromkeys(root / name for name in names):
        for length in range(len(parts), -1, -1):
            yield mount.joinpath(*parts[:length])


def _quota(folder: Path) -> float | None:
    """The quota of a group in CPUs, or None."""
    quota, _, period = _first(folder / "cpu.max").partition(" ")
    if not quota:
        quota = _first(folder / "cpu.cfs_quota_us")
        period = _first(folder / "cpu.cfs_period_us")
    if quota.isdecimal() and period.isdecimal() and int(period) > 0:  # not "max" and not "-1"
        return int(quota) / int(period)
    return None


def _usage(machine: Machine, folder: Path) -> tuple[Path | None, float]:
    """The file with the CPU time of a group, and its units in a second."""
    if _first(folder / "cpu.stat").startswith("usage_usec "):
        return folder / "cpu.stat", 1e6
    # Version 1 may mount the accounting on its own, beside the quotas, with the same groups.
    root = machine.sysfs / "fs/cgroup"
    own = folder.relative_to(root).parts[1:]
    for mount in (folder, root.joinpath("cpuacct", *own)):
        if _first(mount / "cpuacct.usage").isdecimal():
            return mount / "cpuacct.usage", 1e9
    return None, 1e6


def _first(path: Path) -> str:
    """The first line of a file, empty where there is none."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").partition("\n")[0].strip()
    except OSError:
        return ""


def own_group(machine: Machine) -> Path | None:
    """The folder of the version 2 group that this process is in; None where there is none."""
    for controllers, group in _memberships(machine):
        if not controllers:
            for folder in _upwards(machine.sysfs / "fs/cgroup", "", group):
                if is_file(folder / "cgroup.procs"):
                    return folder
    return None

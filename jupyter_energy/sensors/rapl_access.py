"""Why the counters of a processor cannot be read, and what an administrator can do about it."""

from __future__ import annotations

from pathlib import Path

from .base import Machine
from .kernel_file import is_file, is_folder, lines_of

REMEDY = (
    "Ask an administrator to let a group read the counters for good: `jupyter energy doctor` "
    "prints how."
)
RECIPE = """\
Linux lets only root read the energy counters of the processor, because fine-grained power can
give away what other programs compute (PLATYPUS, CVE-2020-8694). On a machine whose users trust
each other, an administrator can let one group read them. This lasts across restarts:

    groupadd --system --force energy
    usermod --append --groups energy NAME        # then log in again

    # /etc/udev/rules.d/70-jupyter-energy.rules (one line)
    SUBSYSTEM=="powercap", KERNEL=="intel-rapl*:*", ACTION=="add|change", \
RUN+="/bin/chgrp energy /sys%p/energy_uj /sys%p/max_energy_range_uj", \
RUN+="/bin/chmod 0440 /sys%p/energy_uj /sys%p/max_energy_range_uj"

    # /etc/tmpfiles.d/jupyter-energy.conf (for zones that are there before udev)
    z /sys/class/powercap/intel-rapl*:*/energy_uj            0440 root energy
    z /sys/class/powercap/intel-rapl*:*/max_energy_range_uj  0440 root energy

    # and once, without a restart
    systemd-tmpfiles --create /etc/tmpfiles.d/jupyter-energy.conf

In a container, mount the counters and name the mounted folder:

    docker run -v /sys/devices/virtual/powercap:/host/powercap:ro \
-e JUPYTER_ENERGY_SYSFS=/host/powercap ...

Without any right to those files:

- where kernel.perf_event_paranoid is 0 or less, the same counters are read through perf events
  (`sysctl kernel.perf_event_paranoid` shows it; Linux sets 2). An administrator who lowers it
  opens all other counters of the processor to every user as well.
- else cells get an estimated range in place of a measurement.
"""


# What those who make containers leave to be seen (systemd.io/CONTAINER_INTERFACE, podman-run(1),
# the Kubernetes and Apptainer documentation); Docker's own file is not documented, but old.
CONTAINER_FILES = (".dockerenv", "run/.containerenv")
CONTAINER_VARIABLES = (
    *("container", "KUBERNETES_SERVICE_HOST"),
    *("APPTAINER_CONTAINER", "SINGULARITY_CONTAINER"),
)
CONTAINER_GROUPS = ("docker", "kubepods", "containerd", "libpod", "lxc")
MOUNT = "Mount /sys/devices/virtual/powercap from the host and set JUPYTER_ENERGY_SYSFS to it."


def surroundings(machine: Machine) -> tuple[str, ...]:
    """What lies between this process and the machine: of "container", "virtual machine", "WSL"."""
    found = []
    root = machine.procfs.parent
    if (
        any(is_file(root / name) for name in CONTAINER_FILES)
        or any(machine.environ.get(name) for name in CONTAINER_VARIABLES)
        or any(
            name in line
            for line in lines_of(machine.procfs / "1/cgroup")
            for name in CONTAINER_GROUPS
        )
    ):
        found.append("container")
    if any("microsoft" in line.lower() for line in lines_of(machine.procfs / "version")):
        found.append("WSL")
    elif any(
        line.startswith("flags") and "hypervisor" in line.split()
        for line in lines_of(machine.procfs / "cpuinfo")
    ):
        found.append("virtual machine")
    return tuple(found)


def why_none(machine: Machine, root: Path | None) -> tuple[str, str | None]:
    """Why no counter is here, in a few words, and the one thing that would help, if any."""
    links = [] if root is None else [p for p in root.glob("intel-rapl*") if p.is_symlink()]
    if any(not is_folder(link) for link in links):
        return "the container hides the energy counters", MOUNT
    around = surroundings(machine)
    if "WSL" in around:
        return "WSL shows no energy counters", None
    if "virtual machine" in around:
        return "virtual machine without energy counters", None
    if "container" in around:
        return "container without energy counters", MOUNT
    if root is None and not is_folder(machine.sysfs):
        return f"no {machine.sysfs} here: the powercap counters are a part of Linux", None
    return (
        f"no energy counters in {root or machine.sysfs / 'class/powercap'}",
        "If the processor has them, load their driver: modprobe intel_rapl_msr",
    )

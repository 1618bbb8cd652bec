"""What the tests of RAPL share: processors by their /proc/cpuinfo, and a user without rights."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jupyter_energy.sensors.base import Discovery, Machine

NOBODY = 65534
INTEL = "vendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 85\nflags\t\t: fpu tsc\n\n"
AMD = "vendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 1\n\n"
HYGON = "vendor_id\t: HygonGenuine\ncpu family\t: 24\nmodel\t\t: 0\n\n"
SANDY_BRIDGE = "vendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 42\n\n"
VIRTUAL = "vendor_id\t: GenuineIntel\ncpu family\t: 6\nflags\t\t: fpu hypervisor\n\n"


def machine(sysfs: Path, cpuinfo: str = INTEL, version: str = "") -> Machine:
    """A machine with that sysfs, and beside it a procfs that tells of its processor."""
    procfs = sysfs.parent / "proc"
    procfs.mkdir(exist_ok=True)
    (procfs / "cpuinfo").write_text(cpuinfo)
    (procfs / "version").write_text(version)
    return Machine(sysfs=sysfs, procfs=procfs)


def keys(found: Discovery) -> list[str]:
    """The domains that have a sensor."""
    return [sensor.domain.key for sensor in found.sensors]


DENIED = """
import os, sys
from pathlib import Path
sys.path[:0] = {paths!r}
from jupyter_energy.sensors import rapl
from jupyter_energy.sensors.base import Machine
machine = Machine(sysfs=Path({sysfs!r}), procfs=Path({procfs!r}))
if os.getuid() == 0:
    rapl.discover(machine)  # whatever it imports: nobody may not be allowed to read root's Python
    os.setgid(65534)
    os.setuid(65534)
found = rapl.discover(machine)
for sensor in found.sensors:
    print("sensor", sensor.domain.key, sensor.read(), sensor.wraps_at_j)
for absence in found.absences:
    print("absence", absence.domain.key, "|", absence.reason, "|", absence.remedy)
for note in found.notes:
    print("note", note)
"""


def let_others_in(folder: Path) -> None:
    """Let every user pass through a test's own folder, and those above it."""
    for above in (folder, *folder.parents):
        ours = above.stat().st_uid == os.getuid()
        if ours and above.is_relative_to(Path(tempfile.gettempdir())):
            above.chmod(above.stat().st_mode | 0o011)


@contextmanager
def modes_count() -> Iterator[None]:
    """Let this thread be refused what the modes of files refuse, as everybody but root is.

    setfsuid(2) is of a thread, and takes from it what lets root pass over modes.
    """
    libc = ctypes.CDLL(None)
    before = libc.setfsuid(NOBODY if os.getuid() == 0 else os.getuid())
    try:
        yield
    finally:
        libc.setfsuid(before)


def as_nobody(machine: Machine) -> str:
    """What discovery says to a user without privileges."""
    let_others_in(machine.sysfs)
    code = DENIED.format(
        paths=[path for path in sys.path if path],
        sysfs=str(machine.sysfs),
        procfs=str(machine.procfs),
    )
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout

"""Child processes that meet the stand-in for NVIDIA's library through the real pynvml.

The dynamic loader reads LD_LIBRARY_PATH when a process starts, so each case is a child process
that prints what it saw as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from . import HERE, FakeNvml

ROOT = HERE.parent.parent
H100 = 'gpu 0 uuid=GPU-0a name="NVIDIA H100" pci=00000000:0A:00.0 limit_mw=700000 '
NO_COUNTER = " fault=NotSupported@field83 fault=NotSupported@nvmlDeviceGetTotalEnergyConsumption"
NO_INSTANT = " fault=NotSupported@field186"
NO_AVERAGE = " fault=NotSupported@field185 fault=NotSupported@nvmlDeviceGetPowerUsage"

PRELUDE = """
import json, sys
from pathlib import Path
from standins import FakeNvml, NvmlClock
from jupyter_energy.errors import SensorError
from jupyter_energy.sensors.base import Machine
from jupyter_energy.sensors.nvml import discover, has_woken
from jupyter_energy.sensors.nvml_sensor import Clocks
folder, library, first = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
fake = FakeNvml(library, folder)
fake.set(*first)
machine = Machine(sysfs=folder / "sys", procfs=folder / "proc")
def virtual(t_s=100.0):
    # the clock of the stand-in, at a moment, and the same for the sensors
    clock = NvmlClock(library)
    clock.set(t_s)
    return clock, Clocks(clock, clock.realtime)
def raw(sensor):
    return sensor.read().raw
def told(found):
    return {
        "sensors": [
            {name: getattr(s, name) for name in
             ("kind", "provenance", "source", "max_w", "step_j", "period_s", "averages_s",
              "settles_s", "polls_s", "wraps_at_j", "worker", "remark", "verdict")}
            | {"domain": s.domain.kind, "index": s.domain.index, "name": s.domain.name,
               "uuid": s.domain.uuid, "scope": s.domain.scope}
            for s in found.sensors
        ],
        "absences": [[a.domain.index, a.reason, a.remedy] for a in found.absences],
        "notes": list(found.notes),
    }
def refusal(sensor):
    try:
        return sensor.read().raw
    except SensorError as error:
        return [type(error).__name__, str(error)]
"""
DISCOVER = "print(json.dumps(told(discover(machine))))"


class NvmlChild:
    """Runs a program in a process that meets the stand-in, and gives what it printed."""

    def __init__(self, library: Path, folder: Path) -> None:
        self.library = library
        self.folder = folder
        self.fake = FakeNvml(library, folder)
        self.first: list[str] = []
        self.path: list[Path] = []  # before everything else on the module path
        self.options: list[str] = []
        self.environ: dict[str, str] = {}
        (folder / "sys").mkdir()
        (folder / "proc/self/ns").mkdir(parents=True)
        self.namespace("pid:[4026531836]")

    def namespace(self, name: str) -> None:
        """The PID namespace that the process finds itself in."""
        link = self.folder / "proc/self/ns/pid"
        link.unlink(missing_ok=True)
        link.symlink_to(name)

    def card(
        self,
        name: str,
        status: str = "active",
        vendor: str = "0x10de",
        kind: str = "0x030200",
        control: str = "on",
    ) -> Path:
        """A device in sysfs, by default a 3D controller; the path of its power state."""
        device = self.folder / "sys/bus/pci/devices" / name
        (device / "power").mkdir(parents=True)
        (device / "vendor").write_text(f"{vendor}\n")
        (device / "class").write_text(f"{kind}\n")
        (device / "power/control").write_text(f"{control}\n")
        state = device / "power/runtime_status"
        state.write_text(f"{status}\n")
        return state

    def run(self, program: str = DISCOVER) -> dict:
        path = [*self.path, ROOT, HERE.parent]
        home = {"HOME": str(self.folder), "XDG_CACHE_HOME": str(self.folder / "cache")}
        found = {"PYTHONPATH": os.pathsep.join(map(str, path))}
        without = {k: v for k, v in os.environ.items() if not k.startswith("CUDA_")}
        environ = {**without, **self.fake.environ, **home, **found, **self.environ}
        done = subprocess.run(
            [
                *(sys.executable, *self.options, "-W", "error", "-c", PRELUDE + program),
                *(str(self.folder), str(self.library), json.dumps(self.first)),
            ],
            env=environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr == "", "the user would see this"
        return json.loads(done.stdout)

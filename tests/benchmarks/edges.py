"""What silent measuring adds to a cell: IPython's run_cell with our hooks and without, in turns.

One process, one shell. Before every second cell the hooks are taken off the shell's events (by
IPython's own `unregister`), so both kinds of cell meet the same machine at the same moment. A
run starts with the first record written, so no figure holds what happens once.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from common import ROOT, Row, clean_environment, percentiles

sys.path.insert(0, str(ROOT / "tests"))

from standins import FakeNvml, build_nvml
from standins.powercap import FakePowercap

NAME = "edges"
CELLS = 2000

CHILD = """
import json, sys, time
import ipykernel.ipkernel
from ipykernel.zmqshell import ZMQInteractiveShell
shell = ZMQInteractiveShell.instance()
shell.extension_manager.load_extension("jupyter_energy")
from jupyter_energy.magics import loaded_in
energy = loaded_in(shell)
assert energy.monitor.sampler.wait_until_found(30)
for _ in range(50):
    shell.run_cell("x = 0", store_history=False)
inside_us = []

def timed(hook):
    def call(argument):
        started = time.perf_counter()
        hook(argument)
        inside_us.append(1e6 * (time.perf_counter() - started))
    return call

hooks = {"pre_run_cell": (energy.before, timed(energy.before)),
         "post_run_cell": (energy.after, timed(energy.after))}
for event, (hook, _) in hooks.items():
    shell.events.unregister(event, hook)
cells_us = {"with": [], "without": []}
for number in range(2 * int(sys.argv[1])):
    kind = "with" if number % 2 else "without"
    for event, (_, hook) in hooks.items():
        if kind == "with":
            shell.events.register(event, hook)
    started = time.perf_counter()
    shell.run_cell("x = 0", store_history=False)
    cells_us[kind].append(1e6 * (time.perf_counter() - started))
    for event, (_, hook) in hooks.items():
        if kind == "with":
            shell.events.unregister(event, hook)
before, after = inside_us[0::2], inside_us[1::2]
extra = [a - b for a, b in zip(cells_us["with"], cells_us["without"])]
sources = sorted({s.source for s in energy.monitor.sampler.sensors()})
pending = len(energy.monitor.pending())
print(json.dumps({"before": before, "after": after, "extra": extra, "sources": sources,
                  "pending": pending}))
"""


def machine(kind: str, folder: Path) -> dict[str, str]:
    """The environment in which a kernel sees that kind of sensor."""
    sysfs = FakePowercap(folder / "sys")
    environ = {"JUPYTER_ENERGY_SYSFS": str(sysfs.root)}
    if kind == "RAPL":
        sysfs.zone("package-0")
        sysfs.zone("dram", "intel-rapl:0:0")
    if kind == "NVML":
        driver = FakeNvml(build_nvml(folder / "lib"), folder)
        driver.set('gpu 0 uuid=GPU-1 name="NVIDIA H100" mode=clock power_mw=350000')
        environ |= driver.environ
    return environ


def run() -> list[Row]:
    """Median, 99th percentile and largest time in µs that a silent cell spends in our hooks."""
    rows = []
    for kind, source in (("estimate only", "estimate"), ("RAPL", "rapl"), ("NVML", "nvml")):
        with clean_environment() as environ, tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [sys.executable, "-c", CHILD, str(CELLS)],
                env=environ | machine(kind, Path(folder)),
                capture_output=True,
                text=True,
                check=True,
            )
        seen = json.loads(done.stdout.splitlines()[-1])
        assert any(source in found for found in seen["sources"]), (kind, seen["sources"])
        both = [a + b for a, b in zip(seen["before"], seen["after"], strict=True)]
        rows += [
            Row(f"{kind}: hook before the cell", "us", percentiles(seen["before"])),
            Row(f"{kind}: hook after it (with its record)", "us", percentiles(seen["after"])),
            Row(f"{kind}: both hooks", "us", percentiles(both)),
            Row(f"{kind}: cell with minus cell without", "us", percentiles(seen["extra"])),
        ]
    return rows

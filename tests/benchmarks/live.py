"""What the live display costs a kernel: processor time of our threads while a cell runs, and idle.

A real kernel runs a cell that sleeps; the clocks of our threads are read before and after it. The
share is of one core, and the processor time does not depend on what else the machine does.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from common import ROOT, Row
from edges import machine

sys.path.insert(0, str(ROOT / "tests"))

from harness import running

NAME = "live"
RUNNING_S, IDLE_S = 30.0, 30.0

CLOCKS = (
    "{t.name: __import__('time').clock_gettime(__import__('time').pthread_getcpuclockid(t.ident))"
    " for t in __import__('threading').enumerate() if t.name.startswith('jupyter-energy')}"
)


def run() -> list[Row]:
    """The shares of a core, in percent, by sensor."""
    rows = []
    for kind in ("none", "RAPL", "NVML"):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            environ = {**machine(kind, folder), "PYTHONPATH": str(ROOT)}
            with running(sys.executable, folder / "home", environ) as kernel:
                kernel.run("%load_ext jupyter_energy")
                kernel.run("import time; time.sleep(2)")
                began = kernel.value(CLOCKS)
                kernel.run(f"time.sleep({RUNNING_S})")
                ended = kernel.value(CLOCKS)
                kernel.run(f"%energy off\n__import__('time').sleep({IDLE_S})")
                start = kernel.value(CLOCKS)
                kernel.run(f"time.sleep({IDLE_S})")
                stop = kernel.value(CLOCKS)
        busy = {t: 100 * (ended[t] - began[t]) / RUNNING_S for t in ended}
        idle = 100 * (sum(stop.values()) - sum(start.values())) / IDLE_S
        of_live = {"live": busy["jupyter-energy-live"], "all": sum(busy.values())}
        rows.append(Row(f"a cell that runs, {kind}", "%", of_live, aim=0.2))
        rows.append(Row(f"no measured cell runs, {kind}", "%", {"all": idle}))
    return rows

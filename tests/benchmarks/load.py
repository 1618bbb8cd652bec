"""What `import jupyter_energy` and `%load_ext jupyter_energy` cost in a fresh kernel.

Every figure comes from processes of its own. A process with the extension and one without take
turns, so that a machine that grows busy or warm is busy or warm for both. The process imports
what a Jupyter kernel imports and makes its shell before the clock starts: what is timed is what
comes on top of IPython.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys

from common import Row, clean_environment, quartiles

NAME = "load"
AIM_MS = 30.0
PROCESSES = 21

CHILD = """
import json, sys, time
import ipykernel.ipkernel, ipykernel.kernelapp
from ipykernel.zmqshell import ZMQInteractiveShell
shell = ZMQInteractiveShell.instance()
shell.run_cell("0;", store_history=True)  # what IPython itself does once
now, times_ms = time.perf_counter, {}
if sys.argv[1] == "with":
    started = now()
    import jupyter_energy
    times_ms["import"] = 1e3 * (now() - started)
    started = now()
    shell.extension_manager.load_extension("jupyter_energy")
    times_ms["load_ext"] = 1e3 * (now() - started)
for cell in ("first cell", "second cell"):
    started = now()
    shell.run_cell("0;", store_history=True)
    times_ms[cell] = 1e3 * (now() - started)
print(json.dumps(times_ms))
"""


def run() -> list[Row]:
    """Medians in ms over fresh processes, beyond IPython alone."""
    seen: dict[str, list[dict[str, float]]] = {"with": [], "without": []}
    with clean_environment() as environ:
        for number in range(PROCESSES + 1):
            # Taking turns at being first, so that neither kind always inherits a warm cache.
            for kind in ("with", "without") if number % 2 else ("without", "with"):
                done = subprocess.run(
                    [sys.executable, "-c", CHILD, kind],
                    env=environ,
                    capture_output=True,
                    text=True,
                    check=True,
                )
                if number:  # the first pair writes the byte code
                    seen[kind].append(json.loads(done.stdout.splitlines()[-1]))
    ours = seen["with"]
    both_ms = [one["import"] + one["load_ext"] for one in ours]
    rows = [
        Row("import jupyter_energy", "ms", *quartiles([one["import"] for one in ours])),
        Row("%load_ext jupyter_energy", "ms", *quartiles([one["load_ext"] for one in ours])),
        Row("both together", "ms", *quartiles(both_ms), aim=AIM_MS),
    ]
    for cell in ("first cell", "second cell"):
        extra_ms = [a[cell] - b[cell] for a, b in zip(ours, seen["without"], strict=True)]
        rows.append(Row(f"{cell} after it, beyond IPython", "ms", *quartiles(extra_ms)))
    total_ms = [
        sum(a.values()) - sum(b.values()) for a, b in zip(ours, seen["without"], strict=True)
    ]
    assert statistics.median(total_ms) > 0, "the extension was not there"
    rows.append(Row("all of these, beyond IPython", "ms", *quartiles(total_ms)))
    return rows

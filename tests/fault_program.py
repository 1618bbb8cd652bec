"""The program of cells that is run with us and without, and what a front end sees of it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from fault_matrix import Case
from harness import Kernel, Result

CELL_FILE = re.compile(r"ipykernel_\d+[/\\]\d+\.py|<ipython-input-\d+-\w+>")
OURS = re.compile(r"^jupyter-energy: .*\n", re.MULTILINE)

# Each begins by `rig.begun()`, where a fault may strike. Under a "# %%energy" line the kernel with
# us has the magic; the one without has the comment, and so has the traceback of either.
PROGRAM = {
    "prints": "import sys\nprint('out', flush=True)\nprint('err', file=sys.stderr)\nprint('more')",
    "shows": (
        "from IPython.display import HTML, display\ndisplay(HTML('<b>x</b>'))\n"
        "display({'text/plain': 'raw', 'image/svg+xml': '<svg/>'}, raw=True)\n"
        "class Rich:\n    def _repr_html_(self):\n        return '<i>rich</i>'\n"
        "    def __repr__(self):\n        return 'rich'\nRich()"
    ),
    "raises": (
        "def inner(n):\n    return 1 / n\ntry:\n    inner(0)\n"
        "except ZeroDivisionError as error:\n    raise ValueError('of the user') from error"
    ),
    "awaits": "import asyncio\nawait asyncio.sleep(0.01)\n'awaited'",
    "last": "(_, __, sorted(Out))",
    "subprocess": (
        "import subprocess\nprint(subprocess.run(['echo', 'child'], capture_output=True).stdout)\n"
        "!echo from the shell"
    ),
    "forks": (
        "import os\npid = os.fork()\nif pid == 0:\n    os._exit(3)\n"
        "os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])"
    ),
    "threads": (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "with ThreadPoolExecutor(4) as pool:\n    value = list(pool.map(abs, range(-4, 4)))\nvalue"
    ),
    "recurses": (
        "def depth(n):\n    try:\n        return depth(n + 1)\n"
        "    except RecursionError:\n        return n\ndepth(0)"
    ),
    "signals": (
        "import signal, time\nclass Alarm(Exception): pass\n"
        "def on_alarm(*_):\n    raise Alarm('of the user')\n"
        "kept = signal.signal(signal.SIGVTALRM, on_alarm)\n"
        "try:\n    signal.raise_signal(signal.SIGVTALRM)\n    time.sleep(60)\n"
        "except Alarm as alarm:\n    print(repr(alarm))\nsignal.signal(signal.SIGVTALRM, kept)"
    ),
    "syntax": "x = = 1",
    "interrupted": "import signal\nsignal.raise_signal(signal.SIGINT)",
    "rests": "import time\ntime.sleep(0.7)\n'rested'",
    "out": "print(sorted((n, repr(value)) for n, value in Out.items()), len(In))",
    "exits": "import sys\nsys.exit(3)",
}
SHOWN = ("shows", "raises", "awaits", "forks", "recurses", "rests", "exits")
NOT_MEASURED = ("syntax",)  # no code of it has run
LAST = "last-of-all"


@dataclass(frozen=True)
class Seen:
    """What a kernel gave: what a front end shows of each cell, and what is ours."""

    cells: dict[str, Any]
    told: list[str]
    shown: dict[str, list[dict[str, Any]]]


def run_program(kernel: Kernel, case: Case | None, load: str) -> Seen:
    """Run all cells; `load` is the line that loads us, or "pass"."""
    part, fault, way, moment = ("none",) * 4
    if case is not None:
        part, fault, way, moment = case.part, case.fault, case.way, case.moment
    # Of the test's own, so that it runs neither before nor after anything else of ours.
    cells = {
        "makes-the-rig": (
            "import os, pathlib, fault_kernel\n"
            "rig = fault_kernel.Rig(get_ipython(), pathlib.Path(os.environ['FAULTS_PAGE']).parent)"
        ),
        "sets-up": f"rig.set_up({part!r}, {fault!r}, {way!r}, {moment!r})",
        "loads": load,
        "first": "# %%energy -n first\nfirst = 1",  # shown, so that it waits for sensors
        "is-loaded": "rig.loaded()",
        **{name: source(name) for name in PROGRAM},
        "ends-the-fault": "rig.finish()",
        LAST: f"# %%energy -n '{LAST}'\nsum(range(10**5))",
    }
    results = {}
    for name, code in cells.items():
        with_us = code.removeprefix("# ") if load != "pass" else code
        results[name] = kernel.run(with_us, cell_id=f"{name}-0001")
    return Seen(
        cells={name: visible(result) for name, result in results.items()},
        told=[line for result in results.values() for line in OURS.findall(result.stderr)],
        shown={name: result.energy for name, result in results.items() if result.energy},
    )


def source(name: str) -> str:
    """A cell of the program."""
    magic = f"# %%energy -n {name}\n" if name in SHOWN else ""
    first = "" if name in NOT_MEASURED else "rig.begun()\n"
    return magic + first + PROGRAM[name]


def visible(result: Result) -> dict[str, Any]:
    """What a front end shows of a cell, our own block and line left out."""
    seen = result.seen() | {"execution_count": result.execution_count}
    seen["stderr"] = OURS.sub("", result.stderr)
    return seen


# -- comparing -------------------------------------------------------------------------------

Place = tuple[Any, ...]


def texts(seen: Any, at: Place = ()) -> Iterable[tuple[Place, str]]:
    """All that is in it, as words by where they stand."""
    if isinstance(seen, dict):
        for key, value in seen.items():
            yield from texts(value, (*at, key))
    elif isinstance(seen, list | tuple):
        for number, value in enumerate(seen):
            yield from texts(value, (*at, number))
        yield (*at, "length"), str(len(seen))
    else:
        # IPython 8 and older name a cell's file after its text, which with us has one line more.
        said = CELL_FILE.sub("a cell's file", str(seen))
        for number, word in enumerate(re.findall(r"\w+|\W", said)):
            yield (*at, number), word


def differences(one: dict[str, Any], other: dict[str, Any]) -> dict[Place, tuple[str, str]]:
    """Where two runs differ, word by word."""
    first, second = dict(texts(one)), dict(texts(other))
    return {
        at: (first.get(at, ""), second.get(at, ""))
        for at in first.keys() | second.keys()
        if first.get(at) != second.get(at)
    }

"""What the user's own code does to its process costs the user nothing more with us than without
(promise 5.1)."""

from __future__ import annotations

import pytest
from conftest import StartKernel
from harness import LOAD, Kernel
from test_kernel_faults import OURS, run_alone, seen

# Each is a list of cells, run in a kernel without us, silently measured, and under %%energy.
CODE = {
    "a fork": [
        (
            "import os, sys\nprint('before', flush=True)\npid = os.fork()\n"
            "if pid == 0:\n    os.write(1, b'')\n    os._exit(7)\n"
            "os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])"
        ),
        "'goes on'",
    ],
    "processes that are forked": [
        (
            "import multiprocessing\nqueue = multiprocessing.get_context('fork').SimpleQueue()\n"
            "def work(n):\n    queue.put(n * n)\n"
            "p = multiprocessing.get_context('fork').Process(target=work, args=(7,))\n"
            "p.start(); p.join(); queue.get(), p.exitcode"
        ),
    ],
    "processes that are spawned": [
        (
            "import multiprocessing, operator\n"
            "with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
            "    value = pool.map(operator.neg, [1, 2])\nvalue"
        ),
    ],
    "too deep a recursion": [
        "def f(n):\n    return f(n + 1)\ntry:\n    f(0)\nexcept RecursionError as e:\n    print(e)",
        "'goes on'",
    ],
    "get_ipython deleted": ["del get_ipython", "6 * 7"],
    "get_ipython shadowed": ["get_ipython = None", "6 * 7", "raise ValueError('mine')"],
    # ipykernel itself does not get over a stream without flush(): a hook that runs after ours puts
    # it back before that.
    "stderr None": [
        (
            "import sys\nkept, sys.stderr = sys.stderr, None\n"
            "def restore(*_):\n    sys.stderr = kept\n"
            "get_ipython().events.register('post_run_cell', restore)"
        ),
        "6 * 7",
    ],
    "stdout None": [
        (
            "import sys\nkept, sys.stdout = sys.stdout, None\n"
            "def restore(*_):\n    sys.stdout = kept\n"
            "get_ipython().events.register('post_run_cell', restore)"
        ),
        "6 * 7",
    ],
    "stderr closed": [
        "import sys, io\nkept, sys.stderr = sys.stderr, io.StringIO()\nsys.stderr.close()",
        "6 * 7",
        "sys.stderr = kept\nprint('back', file=sys.stderr)",
    ],
    "a clock that stands": [
        "import time\ntime.time = time.monotonic = time.perf_counter = lambda: 1.0",
        "6 * 7",
        "'goes on'",
    ],
    "dates that are frozen": [
        (
            "import datetime\nclass Frozen(datetime.datetime):\n"
            "    @classmethod\n    def now(cls, tz=None):\n"
            "        return cls(1970, 1, 1, tzinfo=tz)\n"
            "kept, datetime.datetime = datetime.datetime, Frozen"
        ),
        "6 * 7",
        "datetime.datetime = kept",
    ],
    "no threads": [
        (
            "import threading\nkept = threading.Thread.start\n"
            'def refuse(self):\n    raise RuntimeError("can\'t start new thread")\n'
            "threading.Thread.start = refuse"
        ),
        "6 * 7",
        "threading.Thread.start = kept",
    ],
    "a folder that is gone": [
        "import os, tempfile\ngone = tempfile.mkdtemp()\nos.chdir(gone)\nos.rmdir(gone)",
        "6 * 7",
        "os.chdir('/')",
    ],
    "a reset": ["x = 1", "%reset -f", "'x' in globals()", "6 * 7"],
    "descriptors closed": [
        (
            "import os\nfor fd in range(3, 1024):\n    try:\n"
            "        if os.readlink(f'/proc/self/fd/{fd}').endswith(('/stat', '/energy.sqlite')):\n"
            "            os.close(fd)\n    except OSError:\n        pass"
        ),
        "6 * 7",
        "'goes on'",
    ],
    "the environment emptied": [
        "import os\nkept = dict(os.environ)\nos.environ.clear()",
        "6 * 7",
        "os.environ.update(kept)",
    ],
    "a module of the name of one of ours": [
        "import sys\nkept = sys.modules.pop('sqlite3', None)\nsys.modules['json'] = None",
        "6 * 7",
        "del sys.modules['json']\nimport json\nimport sqlite3",
    ],
    "print and open shadowed": ["print = open = str = len = None", "6 * 7", "del print, open"],
    "builtins shadowed": [
        "import builtins\nkept = builtins.print\nbuiltins.print = None",
        "6 * 7",
        "builtins.print = kept",
    ],
}


def run(kernel: Kernel, first: str, cells: list[str], line: str = "") -> list[dict[str, object]]:
    """What counts of each cell; under a line, those that are not a magic themselves."""
    results = [kernel.run(first)]
    sources = [cell if cell.startswith("%") else line + cell for cell in cells]
    results += [run_alone(kernel, source) for source in sources]
    told = OURS.findall("".join(result.stderr for result in results))
    # One line for a cause: a result that cannot be shown is another one than a store.
    assert len(told) == len({line.split(" ")[2] for line in told}), told
    assert OURS.sub("", results[0].stderr) == ""
    return [seen(result, same_source=not line) for result in results]


@pytest.mark.parametrize("name", CODE)
def test_what_the_users_code_does_to_its_process_is_no_worse_with_us(
    start_kernel: StartKernel, name: str
) -> None:
    cells = CODE[name]
    plain = start_kernel(home="plain")
    # Where it is about stderr, a store that fails gives us a line to tell.
    more = {"JUPYTER_ENERGY_STORE": "/dev/null/energy.sqlite"} if name.startswith("stderr") else {}
    silent = start_kernel(more, home="silent")
    assert run(silent, LOAD, cells) == run(plain, "pass", cells)
    commented, shown = start_kernel(home="commented"), start_kernel(more, home="shown")
    without = run(commented, "pass", cells, "# nothing\n")
    assert run(shown, LOAD, cells, "%%energy\n") == without

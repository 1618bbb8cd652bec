"""Loading and unloading over and over leaves a kernel as it was (promise 5.3)."""

from __future__ import annotations

import sys

import pytest
from conftest import StartKernel
from harness import LOAD

TIMES = 20
# All that a process and a shell hold on to, by what tells one from another. Left out: a file that
# IPython writes its history to, and ipykernel's pipes of threads, which it closes now and then.
STATE = """
import gc, os, signal, sys, threading, weakref
references = []
def remember():
    from jupyter_energy.magics import loaded_in
    found = loaded_in(get_ipython())
    references.extend(map(weakref.ref, (found, found.monitor, found.monitor.sampler, found.live)))
def held():
    gc.collect()
    return [repr(reference()) for reference in references if reference() is not None]
def left_out(target):
    return "history.sqlite" in target or target.endswith("profile_default") or "eventfd" in target
def state():
    ip = get_ipython()
    manager = ip.kernel.comm_manager
    links = {n: os.readlink(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd")
             if os.path.islink(f"/proc/self/fd/{n}")}
    return {
        "threads": sorted((t.name, t.ident) for t in threading.enumerate()),
        "native threads": len(os.listdir("/proc/self/task")),
        "files": sorted(target for target in links.values() if not left_out(target)),
        "hooks": {name: [repr(c) for c in found] for name, found in ip.events.callbacks.items()},
        "cleanup": [repr(t) for t in ip.input_transformers_cleanup],
        "post": [repr(t) for t in ip.input_transformers_post],
        "trees": [repr(t) for t in ip.ast_transformers],
        "configurables": [type(c).__name__ for c in ip.configurables],
        "magics": {kind: sorted(found) for kind, found in ip.magics_manager.magics.items()},
        "comms": [sorted(manager.targets), sorted(manager.comms)],
        "signals": {int(n): repr(signal.getsignal(n)) for n in signal.valid_signals()},
        "trace": [repr(sys.gettrace()), repr(sys.getprofile()), repr(threading.excepthook)],
        "streams": [repr(sys.stdout), repr(sys.stderr), repr(sys.excepthook)],
        "paths": [list(sys.path), [repr(f) for f in sys.meta_path]],
        "warnings": repr(__import__("warnings").filters),
        "loggers": [repr(h) for h in __import__("logging").getLogger().handlers],
        "names": sorted(name for name in ip.user_ns if not name.startswith("_")),
        "environment": dict(os.environ),
        "limit": [sys.getrecursionlimit(), sys.getswitchinterval()],
    }
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_after_each_of_many_unloadings_all_is_as_it_was_before(start_kernel: StartKernel) -> None:
    kernel = start_kernel()
    kernel.run(STATE)
    # What is imported stays, and IPython and ipykernel make a few things at their first use.
    kernel.run(LOAD)
    kernel.run("%%energy\n1")
    kernel.run("%unload_ext jupyter_energy")
    kernel.run("%load_ext autoreload\n%unload_ext autoreload")
    before = kernel.value("state()")
    modules = set(kernel.value("sorted(__import__('sys').modules)"))
    for number in range(TIMES):
        assert kernel.run(LOAD if number % 2 else "%reload_ext jupyter_energy").status == "ok"
        kernel.run("%%energy\nsum(range(1000))")
        if number % 3 == 0:
            assert kernel.run("%reload_ext jupyter_energy").status == "ok"
            assert len(kernel.run("%%energy\n1").energy) == 1
        assert kernel.value("state()") != before
        kernel.run("remember()")
        assert kernel.run("%unload_ext jupyter_energy").stderr == ""
        after = kernel.value("state()")
        assert {key: after[key] for key in after if after[key] != before[key]} == {}
    assert kernel.value("held()") == [], "something still holds what was unloaded, such as atexit"
    grown = set(kernel.value("sorted(__import__('sys').modules)")) - modules
    assert [name for name in grown if name.startswith("jupyter_energy")] == []

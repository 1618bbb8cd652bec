"""How a fault of the matrix is made, at its moment, by cells in the kernel under test.

Imported by the kernel with us and by the one without, so it names nothing of ours but threads and
files. A user's own hooks around a cell, registered before ours and after them, strike and lift.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from standins.faults import EVERY_CALL, FAIL, FILE_FAULTS, HOUR_NS, Page

OURS = "jupyter-energy"
MIME_TYPE = "application/vnd.jupyter-energy+json"
THREADS = {
    "sensor": lambda name: name == OURS or name.endswith("-nvml"),
    "store": lambda name: name.startswith(OURS) and name.endswith(("store", "journal")),
    "live channel": lambda name: name == f"{OURS}-live",
}
GPU = 'gpu 0 uuid=GPU-1 name="NVIDIA H100" mode=clock power_mw=350000 limit_mw=700000'
DRIVER_FAULTS = {
    "raises": f"{GPU} fault=Unknown@*",
    "hangs": f"{GPU} hang=100000@*",
    "garbage": f"{GPU} energy_mj=18446744073709551615 mode=manual",
    "disappears": f"{GPU} fault=GpuIsLost@*",
    "permission denied": f"{GPU} fault=NoPermission@*",
}
Act = Callable[[], object]


def nothing() -> None:
    """What need not be done."""


class Rig:
    """One case in this kernel. `folder` holds the page of the preloaded library and nvml.txt."""

    def __init__(self, shell: Any, folder: Path) -> None:
        self.shell = shell
        self.folder = folder
        self.page = Page(folder / "page")
        self.main = os.getpid()
        self.on = False
        self.moment = ""
        self.is_loaded = False
        self.count = 0
        self._strike, self._lift = nothing, nothing

    def set_up(self, part: str, fault: str, way: str, moment: str) -> None:
        """Make ready for a case, before the extension is loaded; the first line of the program."""
        self.moment = moment
        self._strike, self._lift = MAKERS[part](self, fault, way)
        self.shell.events.register("pre_run_cell", self.before_ours)
        self.shell.events.register("post_run_cell", self.after_cell)
        if moment == "load":
            self.strike()

    def loaded(self) -> None:
        """The extension has been loaded: its hooks are registered by now."""
        self.shell.events.register("post_run_cell", self.after_ours)
        self.is_loaded = True

    def strike(self) -> None:
        """From now on it fails."""
        if not self.on and os.getpid() == self.main:
            self.on = True
            self._strike()

    def lift(self) -> None:
        """All is well again."""
        if self.on and os.getpid() == self.main:
            self.on = False
            self._lift()

    # -- moments ---------------------------------------------------------------------------

    def before_ours(self, *_: object) -> None:
        """A cell is to run; our hook has not been called."""
        if self.moment == "between":
            self.lift()
        if self.moment == "start" and self.is_loaded:
            self.strike()

    def begun(self) -> None:
        """The first line of a cell of the program."""
        if self.moment in ("start", "load"):
            self.lift()
        if self.moment == "cell":
            self.strike()

    def after_cell(self, *_: object) -> None:
        """A cell has ended; our hook has not been called."""
        if self.moment in ("start", "cell"):
            self.lift()
        if self.moment == "end" and self.is_loaded:
            self.strike()

    def after_ours(self, *_: object) -> None:
        """Our hook after a cell has returned."""
        if self.moment == "end":
            self.lift()
        if self.moment == "between":
            self.strike()

    def finish(self) -> None:
        """The program is over: nothing fails any more."""
        self.moment = ""
        self.lift()

    # -- ways ------------------------------------------------------------------------------

    def tell_driver(self, line: str) -> None:
        """What the stand-in of NVIDIA's driver answers from now on."""
        new = self.folder / "nvml.new"
        new.write_text(line + "\n")
        new.replace(self.folder / "nvml.txt")

    def kill(self, part: str, error: type[BaseException]) -> None:
        """Throw an exception into our threads of a part, as any code of the process can."""
        throw = ctypes.pythonapi.PyThreadState_SetAsyncExc
        for thread in threading.enumerate():
            if THREADS[part](thread.name):
                throw(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(error))


def sensor(rig: Rig, fault: str, way: str) -> tuple[Act, Act]:
    """A counter of the kernel's, and NVIDIA's driver."""
    if fault == "thread dies":
        return lambda: rig.kill("sensor", WAYS_TO_DIE[way]), nothing
    counters = [str(rig.folder / "sys")]

    def strike() -> None:
        rig.tell_driver(DRIVER_FAULTS[fault])
        if fault == "disappears":  # a file of the kernel's own, one that is open too
            rig.page.strike(counters, FAIL, errno.ENODEV, EVERY_CALL)
        elif fault != "hangs":  # which such a file does not
            rig.page.strike(counters, *FILE_FAULTS[fault])

    def lift() -> None:
        rig.tell_driver(GPU)
        rig.page.lift()

    return strike, lift


def store(rig: Rig, fault: str, way: str) -> tuple[Act, Act]:
    """The folder that the store's file lies in, and all beside it."""
    if fault == "thread dies" and way in WAYS_TO_DIE:
        return lambda: rig.kill("store", WAYS_TO_DIE[way]), nothing
    folder = [str(rig.folder / "home" / "data" / "jupyter-energy")]
    return lambda: rig.page.strike(folder, *FILE_FAULTS[fault]), rig.page.lift


def live(rig: Rig, fault: str, way: str) -> tuple[Act, Act]:
    """The kernel's session, by which messages are sent, and its comms; only ours fail."""
    if fault == "thread dies":
        return lambda: rig.kill("live channel", WAYS_TO_DIE[way]), nothing
    comms, session = rig.shell.kernel.comm_manager, rig.shell.kernel.session
    if fault == "garbage":
        return lambda: hello_garbage(comms), nothing
    send, over = session.send, threading.Event()
    gone: dict[str, Any] = {}

    def failing(stream: object, kind: Any, content: Any = None, *rest: Any, **more: Any) -> object:
        if rig.on and kind == "comm_msg" and (content or {}).get("comm_id") == OURS:
            if fault == "hangs":
                over.wait()
            else:
                raise OSError("the socket is closed")
        return send(stream, kind, content, *rest, **more)

    def strike() -> None:
        over.clear()
        if fault == "disappears" and OURS in comms.comms:
            gone[OURS] = comms.comms.pop(OURS)

    def lift() -> None:
        over.set()
        comms.comms.update(gone)
        gone.clear()

    session.send = failing
    return strike, lift


def hello_garbage(comms: Any) -> None:
    """What a page may send, handed to whom it is for as the kernel does."""
    if OURS not in comms.comms:  # asked about one that is not there, it says so on stderr
        return
    for data in GARBAGE_HELLOS:
        comms.comm_msg(None, b"", {"content": {"comm_id": OURS, "data": data}, "header": {}})


GARBAGE_HELLOS: tuple[Any, ...] = (
    *(None, 7, "hello", [], {}, {"op": None}, {"op": "hello"}, {"op": "hello", "path": 3}),
    {"op": "hello", "v": "x", "path": "\udcff\0/../<script>", "cells": 4},
    {"op": "hello", "v": 10**400, "path": "a" * 10**6, "cells": [None] * 1000},
    json.loads("[" * 500 + "]" * 500),
)


class Gone:
    """An import hook by which our modules that show results cannot be imported."""

    def find_spec(self, name: str, *_: object) -> None:
        """None leaves it to others."""
        if name.startswith("jupyter_energy.display"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


class Closed:
    """A stream that somebody has closed, or that takes ASCII only."""

    def write(self, text: str) -> int:
        """As a closed file does."""
        raise ValueError("I/O operation on closed file")

    def flush(self) -> None:
        """As write."""
        raise ValueError("I/O operation on closed file")


def renderer(rig: Rig, fault: str, way: str) -> tuple[Act, Act]:
    """What results and warnings are shown by; the user's own output goes on."""
    made: tuple[Act, Act] = RENDERER_FAULTS[fault](rig)
    return made


def publisher_raises(rig: Rig) -> tuple[Act, Act]:
    publisher = rig.shell.display_pub
    publish = publisher.publish

    def failing(data: Any, *rest: Any, **more: Any) -> object:
        if rig.on and MIME_TYPE in data:
            raise RuntimeError("the publisher is broken")
        return publish(data, *rest, **more)

    publisher.publish = failing
    return nothing, nothing


def update_hangs(rig: Rig) -> tuple[Act, Act]:
    """The better result that the sampler's thread sends after a cell."""
    session, over = rig.shell.kernel.session, threading.Event()
    send = session.send

    def hanging(stream: object, kind: Any, *rest: Any, **more: Any) -> object:
        main = threading.current_thread() is threading.main_thread()
        if rig.on and kind == "update_display_data" and not main:
            over.wait()
        return send(stream, kind, *rest, **more)

    session.send = hanging
    return over.clear, over.set


def streams_are(stream: object, rig: Rig) -> tuple[Act, Act]:
    """stdout and stderr are something else while only hooks run."""
    kept = sys.stdout, sys.stderr

    def strike() -> None:
        if rig.moment in ("start", "end"):
            sys.stdout = sys.stderr = stream  # type: ignore[assignment]

    def lift() -> None:
        sys.stdout, sys.stderr = kept

    return strike, lift


def modules_are_gone(rig: Rig) -> tuple[Act, Act]:
    """Uninstalled in a kernel that runs; and there are no streams."""
    without_streams, with_streams = streams_are(None, rig)
    gone, kept = Gone(), {}

    def strike() -> None:
        without_streams()
        sys.meta_path.insert(0, gone)  # type: ignore[arg-type]
        for name in [n for n in sys.modules if n.startswith("jupyter_energy.display")]:
            kept[name] = sys.modules.pop(name)

    def lift() -> None:
        with_streams()
        sys.meta_path.remove(gone)  # type: ignore[arg-type]
        sys.modules.update(kept)
        kept.clear()

    return strike, lift


RENDERER_FAULTS: dict[str, Any] = {
    "raises": publisher_raises,
    "hangs": update_hangs,
    "garbage": partial(streams_are, Closed()),
    "disappears": modules_are_gone,
}


# -- what strikes the whole process ----------------------------------------------------------


def whole_process(rig: Rig, fault: str, way: str) -> tuple[Act, Act]:
    """What strikes all parts at once, the user's code too."""
    made: tuple[Act, Act] = PROCESS_FAULTS[fault](rig, way)
    return made


def clock_jumps(rig: Rig, way: str) -> tuple[Act, Act]:
    by_ns = HOUR_NS if way.endswith("forwards") else -HOUR_NS
    clock = {f"{way.split(maxsplit=1)[0]}_ns": by_ns}
    return lambda: rig.page.jump(**clock), rig.page.lift


def home_is_read_only(rig: Rig, way: str) -> tuple[Act, Act]:
    names = ("data", "config", ".cache", ".config")
    folders = [str(rig.folder / "home" / name) for name in names]
    return lambda: rig.page.strike(folders, *FILE_FAULTS["read-only home"]), rig.page.lift


def home_is_gone(rig: Rig, way: str) -> tuple[Act, Act]:
    names = ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")
    kept = {name: os.environ[name] for name in names}
    gone = dict.fromkeys(names, "/proc/no-such-home")
    return lambda: os.environ.update(gone), lambda: os.environ.update(kept)


def forks(rig: Rig, way: str) -> tuple[Act, Act]:
    def strike() -> None:
        begins, ends = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                signal.alarm(60)  # a child that hangs is an error of ours
                if way == "child runs cells":
                    rig.shell.run_cell("x_of_child = sum(range(10))", store_history=False)
                if way == "child outlives":
                    os.close(ends)
                    os.read(begins, 1)  # until the parent is over
            finally:
                os._exit(7)
        os.close(begins)
        if way == "child outlives":
            children.append(ends)
        else:
            os.close(ends)
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            if code != 7:
                print(f"the child ended by {code}")

    children: list[int] = []
    return strike, nothing


def spawns(rig: Rig, way: str) -> tuple[Act, Act]:
    def strike() -> None:
        if way == "subprocess":
            subprocess.run([sys.executable, "-c", "print(1)"], check=True, capture_output=True)
            return
        import multiprocessing

        process = multiprocessing.get_context("spawn").Process(target=time.monotonic)
        process.start()
        process.join()
        if process.exitcode:
            print(f"the child ended by {process.exitcode}")

    return strike, nothing


def recursion_is_limited(rig: Rig, way: str) -> tuple[Act, Act]:
    usual = sys.getrecursionlimit()

    def strike() -> None:
        depth, frame = 0, sys._getframe()
        while frame is not None:
            depth, frame = depth + 1, frame.f_back  # type: ignore[assignment]
        rig.count += 1
        # In a cell IPython itself needs room, to show what the cell raises, and Python does to
        # import us: where it has none, that is what the cell that loads us raises.
        roomy = way == "some room" or rig.moment in ("cell", "load")
        sys.setrecursionlimit(depth + (ROOM if roomy else LITTLE[rig.count % 16]))

    return strike, lambda: sys.setrecursionlimit(usual)


# Frames that are left: IPython runs a cell, and shows an exception, in so many.
ROOM = 200
LITTLE = range(18, 50, 2)


def signals_come(rig: Rig, way: str) -> tuple[Act, Act]:
    def count(*_: object) -> None:
        rig.count += 1

    signal.signal(signal.SIGUSR1, count)
    signal.signal(signal.SIGALRM, count)
    if way == "handled":
        return lambda: [os.kill(os.getpid(), signal.SIGUSR1) for _ in range(20)], nothing
    if way == "storm of alarms":
        every_s = 0.001
        return (
            lambda: signal.setitimer(signal.ITIMER_REAL, every_s, every_s),
            lambda: signal.setitimer(signal.ITIMER_REAL, 0),
        )
    script = "kill -STOP $PPID; sleep 0.05; kill -CONT $PPID"
    return lambda: subprocess.run(["sh", "-c", script], check=True), nothing


WAYS_TO_DIE: dict[str, type[BaseException]] = {"exits": SystemExit, "raises": ZeroDivisionError}
PROCESS_FAULTS: dict[str, Any] = {
    "clock jumps": clock_jumps,
    "read-only home": home_is_read_only,
    "no home": home_is_gone,
    "fork": forks,
    "spawn": spawns,
    "recursion limit": recursion_is_limited,
    "signals": signals_come,
}
MAKERS: dict[str, Any] = {
    "sensor": sensor,
    "store": store,
    "live channel": live,
    "renderer": renderer,
    "all": whole_process,
    "none": lambda *_: (nothing, nothing),
}

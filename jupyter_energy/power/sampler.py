"""The process that reads power over time; `recorder` starts it in the kernel and ends it.

A cell that holds the interpreter stops every thread of its kernel: in a call of 1.7 s a thread at
10 Hz missed 95 % of its readings, and a process none (measuring.md 7). So `--trace` reads from
outside, in a bare interpreter that is ready within some 30 ms.

On its standard input it gets the plan, one line of JSON, and later a byte that says "end". On its
standard output it writes "ready", and after the end what it saw, one line of JSON. It ends without
a word where its input ends first, or where its parent has gone: then nobody wants to know.
It writes no file, and its memory is bounded however long the cell is (see `Line`).
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

from .nvidia import Gpu, Nvml
from .sources import Affine, Curve, Event, NoReadingError, Source, slept_s

# The sum over devices is told only while all of them have a reading that is not older.
FRESH_S = 2.0
# A driver is given no more than this share of the time (measuring.md 1.5). Windows does not tell
# whether a laptop's GPU sleeps, but a call that wakes it is slow, and is not repeated soon (1.8).
DRIVER_SHARE = 0.05
SLOW_CALL_S, BACK_OFF_S = 0.05, 60.0
# A driver that hangs as the cell ends is waited for no longer.
LAST_READING_S = 0.25


class Recorder:
    """Reads the sources of a plan until its end, the driver's on a thread of their own: a driver
    that hangs holds up nothing else."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self._interval_s, self._parent = plan["interval_s"], plan["parent"]
        self._lock = threading.Lock()
        self._slept_s = slept_s()
        self._stop = threading.Event()
        self._peak_w: float | None = None
        self._sources = [_made(source, plan["most"]) for source in plan["sources"]]
        self._found = [source for source in self._sources if isinstance(source, Source)]
        self._gpus = [source for source in self._found if isinstance(source, Gpu)]
        self._others = [source for source in self._found if not isinstance(source, Gpu)]
        self._threads = [
            threading.Thread(target=loop, daemon=True)
            for loop, sources in ((self._read_files, self._others), (self._read_gpus, self._gpus))
            if sources
        ]

    def start(self) -> None:
        """Begin to read; what no driver can hold up has been read once when this returns."""
        self._read(self._others)
        for thread in self._threads:
            thread.start()

    def end(self) -> dict[str, Any]:
        """Read once more and stop; what was seen."""
        self._stop.set()
        for thread in self._threads:
            thread.join(LAST_READING_S)
        with self._lock:
            return {
                "peak_w": self._peak_w,
                "suspended_s": max(0.0, slept_s() - self._slept_s),
                "devices": [
                    {"reason": source} if isinstance(source, str) else source.document()
                    for source in self._sources
                ],
            }

    def _read_files(self) -> None:
        ended = False
        while not ended:
            ended = self._stop.wait(self._pause_s())
            self._read(self._others, ended)

    def _read_gpus(self) -> None:
        nvml: Nvml | None = None
        ended = False
        while not ended:
            # Not opened before one is awake: an open NVML keeps a GPU from sleeping.
            if nvml is None and not all(gpu.asleep() for gpu in self._gpus):
                try:
                    nvml = Nvml()
                except NoReadingError as error:
                    self._lose(self._gpus, str(error))
                    return
                for gpu in self._gpus:
                    gpu.nvml = nvml
            began_s = time.monotonic()
            self._read(self._gpus)
            took_s = time.monotonic() - began_s
            pause_s = max(self._pause_s(), took_s / DRIVER_SHARE)
            if sys.platform == "win32" and took_s > SLOW_CALL_S:
                pause_s = BACK_OFF_S
            ended = self._stop.wait(pause_s)
        self._read(self._gpus)

    def _read(self, sources: Sequence[Source], is_last: bool = False) -> None:
        if os.getppid() != self._parent:
            os._exit(0)  # a process that the cell has forked may still hold our input open
        slept = slept_s()
        for source in sources:
            try:
                reading = source.read()
            except NoReadingError as error:
                self._lose([source], str(error))
                continue
            if reading is not None:
                with self._lock:
                    source.add(*reading, slept, is_last)
        with self._lock:
            self._note_peak(time.monotonic())

    def _lose(self, sources: Sequence[Source], reason: str) -> None:
        with self._lock:
            for source in sources:
                source.lose(time.monotonic(), reason)

    def _note_peak(self, now_s: float) -> None:
        """The highest sum of all devices that count, of the moments in which all are known."""
        latest = [source.latest for source in self._found if source.counted]
        known = [power_w for t_s, power_w in filter(None, latest) if now_s - t_s < FRESH_S]
        if latest and len(known) == len(latest):
            self._peak_w = max(self._peak_w or 0.0, sum(known))

    def _pause_s(self) -> float:
        """A regular grid can lock to a periodic load (measuring.md 6.4), so it is jittered by
        half; by the system's random bytes, since the module `random` is slow to import."""
        return float(self._interval_s * (0.5 + os.urandom(1)[0] / 255))


def _made(plan: dict[str, Any], most: int) -> Source | str:
    """The source that a plan speaks of, or why there is none."""
    kinds = {"nvml": Gpu, "curve": Curve, "descriptor": Event}
    make = next((kind for name, kind in kinds.items() if name in plan), Affine)
    try:
        return make(plan, most)
    except OSError as error:
        return error.strerror or "the file cannot be opened"


def main() -> None:
    """Read the plan, say "ready", read power until the end, tell what was seen."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the cell's
    recorder = Recorder(json.loads(sys.stdin.buffer.readline()))
    recorder.start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    if sys.stdin.buffer.read(1):
        sys.stdout.write(json.dumps(recorder.end()) + "\n")
        sys.stdout.flush()
    os._exit(0)  # without waiting for a driver that hangs

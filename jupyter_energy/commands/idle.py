"""What `baseline` measures: each device's power while nothing runs, and under full load."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ..calibration import IdlePower, now
from ..errors import EnergyError
from ..sensors.cgroup import Limits
from ..sensors.cpu_time import machine_threads, work
from ..uncertainty import Uncertain
from ..window import measure

if TYPE_CHECKING:
    from ..monitor import Monitor
    from ..sensors.base import Machine, Sensor
    from ..window import Edge

# A GPU that has just worked draws more for a while (measuring.md 5.3).
SETTLE_S = 2.0
# Once a second is what gauges need and counters bear (measuring.md 1.3, 6.4).
LOOK_S = 1.0
TELL_S = 15.0
# Idle power drifts with the machine's warmth (measuring.md 5.3).
DRIFT = 0.02
# One thread's work: arithmetic in a thread of its own, while the main one waits for the end of
# its input, which comes as well when the parent is killed.
LOAD = """
import sys, threading
def work():
    while True:
        sum(range(10000))
threading.Thread(target=work, daemon=True).start()
sys.stdin.read()
"""


@dataclass(frozen=True, slots=True)
class Found:
    """The power of each measured device, its 95 % interval in W by its key, and how busy the
    processor was meanwhile (0 to 1, None: unknown)."""

    devices: tuple[IdlePower, ...]
    u95_w: dict[str, float]
    busy: float | None

    def package_w(self) -> float | None:
        """The power of all processor packages together in W, or None where none was measured."""
        found = [one.idle_w for one in self.devices if one.device.startswith("package:")]
        return math.fsum(found) if found else None


def is_measured(sensor: Sensor) -> bool:
    """Whether a sensor is none: an estimate has no idle power of its own to measure."""
    return sensor.spread is None


def power(monitor: Monitor, machine: Machine, seconds: float, tell: Callable[[str], None]) -> Found:
    """What every device with a sensor draws over some seconds from now; `tell` shows progress."""
    started = datetime.now(UTC)
    time.sleep(min(SETTLE_S, seconds / 5))
    with _busy_share(machine) as busy:
        first, last = _looks(monitor, seconds, tell)
        share = busy()
    window_s = last.t_s - first.t_s
    date = now()
    devices, u95_w = [], {}
    for one in measure(started, first, last).domains:
        if isinstance(one.energy, Uncertain):
            u_w = math.hypot(one.energy.u_random, DRIFT * one.energy.value) / window_s
            devices.append(
                IdlePower(
                    device=one.domain.key,
                    name=one.domain.name,
                    uuid=one.domain.uuid,
                    source=one.source,
                    idle_w=one.energy.value / window_s,
                    u_w=u_w,
                    measured_s=window_s,
                    date=date,
                )
            )
            u95_w[one.domain.key] = one.energy.u95 / window_s
    return Found(tuple(devices), u95_w, share)


def _looks(monitor: Monitor, seconds: float, tell: Callable[[str], None]) -> tuple[Edge, Edge]:
    """What the sensors say now and some seconds from now; they are read each second meanwhile."""
    first = last = monitor.sampler.look(is_measured)
    begun_s = told_s = time.monotonic()
    while (left_s := seconds - (time.monotonic() - begun_s)) > 0:
        if time.monotonic() - told_s >= TELL_S:
            told_s = time.monotonic()
            tell(f"{left_s:.0f} s left")
        time.sleep(min(LOOK_S, left_s))
        last = monitor.sampler.look(is_measured)
    return first, last


@contextmanager
def _busy_share(machine: Machine) -> Iterator[Callable[[], float | None]]:
    """Says how busy the processor has been since the block began, 0 to 1; None: unknown."""
    try:
        counted = work(machine, Limits())
    except EnergyError:
        yield lambda: None
        return

    def busy_s() -> float:
        with suppress(EnergyError):
            return counted.busy_s()
        return math.nan

    begun_s, begun_busy_s = time.monotonic(), busy_s()

    def share() -> float | None:
        threads_s = (time.monotonic() - begun_s) * counted.threads
        found = (busy_s() - begun_busy_s) / threads_s if threads_s > 0 else math.nan
        return None if math.isnan(found) else max(0.0, found)

    try:
        yield share
    finally:
        if counted.descriptor >= 0:
            os.close(counted.descriptor)


@contextmanager
def all_threads_busy(machine: Machine) -> Iterator[None]:
    """Keeps every hardware thread at work within the block. Raises EnergyError."""
    started: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(machine_threads(machine)):
            command = [sys.executable, "-S", "-E", "-c", LOAD]
            # A session of its own, so that Ctrl-C reaches us alone and we end it.
            started.append(subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True))
        yield
    except OSError as error:
        raise EnergyError(f"a load could not be started ({error})") from error
    finally:
        for process in started:
            process.kill()
        for process in started:
            process.wait()
            if process.stdin is not None:
                process.stdin.close()

"""What some sensors want of those who read them, beyond being read.

All of it is asked for by attributes that a sensor or a family may have and need not (base.Sensor
is what all have): a check of its counter (`checking`, `verdict`, `replacement()`), letting go of a
driver that keeps a device awake (`rest()`), GPUs that slept when they were looked for
(`has_woken(machine, found)`), other users of a device (`shared_with()`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from functools import partial
from typing import Any

from .readers import DRIVER_DEADLINE_S, Readers
from .sensors.base import Sensor
from .worker import Worker

AGREES = "agrees"


def is_checked(sensor: Sensor) -> bool:
    """Whether a counter is still compared with its power: it is then read about once a second."""
    return bool(getattr(sensor, "checking", False))


def replace_condemned(readers: Readers, workers: Mapping[str, Worker]) -> None:
    """Begin to read another way each device whose counter was found not to be believed."""
    for sensor in readers.sensors():
        if getattr(sensor, "verdict", None) in (None, AGREES) or sensor.worker is None:
            continue
        if not getattr(sensor, "replaced", False):
            workers[sensor.worker].submit(partial(_replace, readers, sensor))


def _replace(readers: Readers, sensor: Any) -> None:
    """On the sensor's own worker."""
    new = sensor.replacement()
    if new is not None:
        readers.replace(sensor, new)


def rest(sensors: Sequence[Sensor], workers: Mapping[str, Worker]) -> None:
    """Let go of drivers that would keep a device awake, until the next reading."""
    for sensor in sensors:
        call = getattr(sensor, "rest", None)
        if call is not None and sensor.worker is not None:
            workers[sensor.worker].submit(call)


def shared(
    sensors: Sequence[Sensor], workers: Mapping[str, Worker], deadline_s: float = DRIVER_DEADLINE_S
) -> dict[Sensor, str]:
    """Which devices others use as well, in words. Slow calls: not waited for beyond a deadline."""
    asked: dict[Sensor, Future[Any]] = {}
    for sensor in sensors:
        call: Callable[[], object] | None = getattr(sensor, "shared_with", None)
        if call is not None and sensor.worker is not None:
            asked[sensor] = workers[sensor.worker].submit(call)
    found = {}
    for sensor, future in asked.items():
        with suppress(FutureTimeout, TimeoutError, Exception):  # it is only told beside the figures
            if text := future.result(deadline_s):
                found[sensor] = str(text)
    return found

"""What some sensors want of those who read them, beyond being read.

All of it is asked for by attributes that a sensor or a family may have and need not (base.Sensor
is what all have): a check of its counter (`checking`, `verdict`, `replacement()`), letting go of a
driver that keeps a device awake (`rest()`), GPUs that slept when they were looked for
(`has_woken(machine, found)`), other users of a device (`shared_with()`).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from .answer import Answer
from .readers import DRIVER_DEADLINE_S, Readers
from .sensors.base import Sensor
from .window import Edge

AGREES = "agrees"


def is_checked(sensor: Sensor) -> bool:
    """Whether a counter is still compared with its power: it is then read about once a second."""
    return bool(getattr(sensor, "checking", False))


def replace_condemned(readers: Readers) -> None:
    """Begin to read another way each device whose counter was found not to be believed."""
    for sensor in readers.sensors():
        if getattr(sensor, "verdict", None) in (None, AGREES) or getattr(sensor, "replaced", False):
            continue
        readers.hand_over(sensor, partial(_replace, readers, sensor))


def _replace(readers: Readers, sensor: Any) -> None:
    """On the sensor's own worker."""
    new = sensor.replacement()
    if new is not None:
        readers.replace(sensor, new)


def rest(readers: Readers) -> None:
    """Let go of drivers that would keep a device awake, until the next reading."""
    for sensor in readers.sensors():
        call = getattr(sensor, "rest", None)
        if call is not None:
            readers.hand_over(sensor, call)


def shared(
    readers: Readers,
    stop: Edge,
    clock: Callable[[], float],
    deadline_s: float = DRIVER_DEADLINE_S,
) -> dict[Sensor, str]:
    """Which devices others use as well, in words, of those that an edge has read.

    Slow calls: not waited for beyond a deadline, all of them together.
    """
    until_s = clock() + deadline_s
    asked: dict[Sensor, Answer[object]] = {}
    for sensor, seen in stop.readings.items():
        call: Callable[[], object] | None = getattr(sensor, "shared_with", None)
        if call is not None and not isinstance(seen, str):
            answer = readers.hand_over(sensor, call)
            asked |= {} if answer is None else {sensor: answer}
    found = {}
    for sensor, answer in asked.items():
        if not answer.wait(until_s - clock()):
            continue
        with suppress(Exception):  # it is only told beside the figures
            if text := answer.result():
                found[sensor] = str(text)
    return found

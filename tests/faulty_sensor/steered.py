"""A family whose sensors do what a test in the same process tells them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial

from jupyter_energy.sensors.base import Discovery

from .readings import Reading

clock: Callable[[], float] = time.monotonic
acts: dict[int, Callable[[float], object]] = {}
go_on = threading.Event()


class Counter:
    """One that began at 0 at a moment and counts 250 W."""

    def __init__(self, from_s: float) -> None:
        self._from_s = from_s

    def __call__(self, t_s: float) -> float:
        return 250.0 * (t_s - self._from_s)


class Steered(Reading):
    """A counter of a GPU."""

    def __init__(self, index: int) -> None:
        super().__init__(index, f"steered {index}", partial(_act, index))
        self.domain = type(self.domain)("gpu", index, f"steered {index}")
        self.source, self.max_w = "steered", 1000.0


def _act(index: int) -> object:
    return acts[index](clock())


def hang(t_s: float) -> object:
    """What a sensor does that blocks, until a test lets it go."""
    go_on.wait()
    return acts[1](clock())


def discover(machine: object) -> Discovery:
    """Two, of which a test steers the second; what it does at a read it does here as well."""
    found = Discovery((Steered(0), Steered(1)))
    _act(1)
    return found

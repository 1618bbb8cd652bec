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

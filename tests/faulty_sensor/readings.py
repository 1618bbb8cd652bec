"""Sensors that are found and then give what is no reading, and one that works."""

from __future__ import annotations

import time
from collections.abc import Callable

from jupyter_energy.model import Domain
from jupyter_energy.sensors.base import Accuracy, Discovery


class Broken(BaseException):
    """What `except Exception` does not catch."""


class Reading:
    """A counter in J whose `read` does what it was made with."""

    kind, provenance, source = "counter", "measured", "faulty"
    wraps_at_j = max_w = spread = worker = None
    step_j, period_s, accuracy = 0.0, 0.001, Accuracy(0.0, "a test")
    averages_s, settles_s, polls_s = 0.0, None, None

    def __init__(self, index: int, name: str, act: Callable[[], object]) -> None:
        self.domain = Domain("module", index, name)
        self.read = act

    def close(self) -> None:
        raise RuntimeError("a driver that cannot even let go")


def _raise(error: BaseException) -> Callable[[], object]:
    def act() -> object:
        raise error

    return act


READINGS: dict[str, Callable[[], object]] = {
    "works": lambda: 100.0 * time.perf_counter(),
    "raises": _raise(OSError("the bus is stuck")),
    "exits": _raise(SystemExit(3)),
    "breaks": _raise(Broken("not an Exception")),
    "recurses": _raise(RecursionError("too deep")),
    "none": lambda: None,
    "text": lambda: "12",
    "complex": lambda: 1j,
    "nan": lambda: float("nan"),
    "inf": lambda: float("inf"),
    "negative": lambda: -1.0,
    "huge": lambda: 10**400,
}


def discover(machine: object) -> Discovery:
    """All of them."""
    found = [Reading(i, name, act) for i, (name, act) in enumerate(READINGS.items())]
    return Discovery(tuple(found))

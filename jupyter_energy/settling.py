"""What is still to be read after a window, and to whom it is told.

A counter that is renewed every 100 ms cannot say at the end of a window what was drawn in its last
moment; read once more a moment later it can (measuring.md 6.3).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .sensors.base import Sensor
from .window import Edge

Told = Callable[[Edge | None], None]


@dataclass(slots=True)
class Settling:
    """A window that has ended: which sensors are to be read again, and at what moment.

    `told` is called once, with what was read, or None where another window began too soon.
    """

    due_s: float
    sensors: frozenset[Sensor]
    told: Told
    edge: Edge | None = None
    is_over: bool = False


def due_s(end_s: float, sensors: frozenset[Sensor]) -> float | None:
    """When sensors are to be read after a window that ended at `end_s`; None for none of them."""
    waits = [s.settles_s for s in sensors if s.settles_s is not None]
    return end_s + max(waits) if waits else None

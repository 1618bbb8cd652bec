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

    `told` is called once, with what was read, or None where another window began before
    `known_from_s`, when each of them has been renewed since the end.
    """

    due_s: float
    known_from_s: float
    sensors: frozenset[Sensor]
    told: Told
    edge: Edge | None = None
    is_over: bool = False

    def interrupt(self, edge: Edge | None) -> None:
        """Another window has begun with `edge`, or code that is not measured."""
        if not self.is_over:
            is_known = edge is not None and edge.t_s >= self.known_from_s
            self.edge, self.is_over = edge if is_known else None, True


def settling(stop: Edge, told: Told) -> Settling | None:
    """What is still to be read after a window that ended with `stop`, if anything is."""
    sensors, waits_s = [], [0.0]
    for sensor, seen in stop.readings.items():
        if sensor.settles_s is not None and not isinstance(seen, str):
            sensors.append(sensor)
            waits_s.append(sensor.settles_s)
    if not sensors:
        return None
    renewed_s = max(s.period_s + s.averages_s for s in sensors)
    return Settling(stop.t_s + max(waits_s), stop.t_s + renewed_s, frozenset(sensors), told)

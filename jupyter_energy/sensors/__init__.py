"""The sensors: one file a family, found by themselves.

A third party adds a family by an entry point in the group `jupyter_energy.sensors` that names a
module of the same shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import entry_points
from types import ModuleType

from .base import Machine

# One line a family, in the order in which doctor lists them.
SENSORS = ("nvml", "rapl", "estimate", "replay")
ENTRY_POINTS = "jupyter_energy.sensors"


def families(machine: Machine) -> Sequence[ModuleType]:
    """The modules of all families, third parties' included.

    Where a recording is replayed, it stands in for every real sensor.
    """
    names = ("replay", "estimate") if machine.replay is not None else SENSORS
    modules = [import_module(f".{name}", __name__) for name in names]
    if machine.replay is None:
        modules += [point.load() for point in entry_points(group=ENTRY_POINTS)]
    return modules

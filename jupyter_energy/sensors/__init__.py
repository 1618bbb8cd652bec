"""The sensors: one file a family, found by themselves.

A third party adds a family by an entry point in the group `jupyter_energy.sensors` that names a
module of the same shape.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

from .base import Discovery, Family, Machine, as_declared

# One line a family, in the order in which doctor lists them.
SENSORS = ("nvml", "rapl", "estimate", "replay")
ENTRY_POINTS = "jupyter_energy.sensors"


def families(machine: Machine) -> Iterator[Family]:
    """The modules of all families, ours first; third parties' are loaded when they are asked.

    Where a recording is replayed, it stands in for every real sensor.
    """
    names = ("replay", "estimate") if machine.replay is not None else SENSORS
    for name in names:
        yield import_module(f".{name}", __name__)
    if machine.replay is None:
        for point in entry_points(group=ENTRY_POINTS):
            yield PlugIn(point)


@dataclass
class PlugIn:
    """A third party's family. It is loaded, asked and read on a worker of its own.

    Nobody has seen its code: what hangs there is to hold up neither a cell nor our own sensors.
    """

    point: EntryPoint
    WORKER: str = field(init=False)
    __name__: str = field(init=False)

    def __post_init__(self) -> None:
        self.WORKER = f"plug-in {self.point.name}, {self.point.value}"
        self.__name__ = self.point.value.replace(":", ".")

    def discover(self, machine: Machine) -> Discovery:
        """What it finds; a note where it cannot be imported. Raises whatever it raises."""
        try:
            family: Family = self.point.load()
        except BaseException as error:  # noqa: BLE001  what others wrote may even call sys.exit
            return Discovery(notes=(f"cannot be imported: {type(error).__name__}: {error}",))
        return as_declared(family.discover(machine))

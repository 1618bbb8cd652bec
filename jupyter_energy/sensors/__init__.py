"""The sensors: one file a family, found by themselves.

A third party adds a family by an entry point in the group `jupyter_energy.sensors` that names a
module of the same shape.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from types import SimpleNamespace

from .base import Discovery, Family, Machine

# One line a family, in the order in which doctor lists them.
SENSORS = ("nvml", "rapl", "estimate", "replay")
ENTRY_POINTS = "jupyter_energy.sensors"


def families(machine: Machine) -> Iterator[Family]:
    """The modules of all families, ours first; third parties' are loaded as they are reached.

    Where a recording is replayed, it stands in for every real sensor.
    """
    names = ("replay", "estimate") if machine.replay is not None else SENSORS
    for name in names:
        yield import_module(f".{name}", __name__)
    if machine.replay is None:
        for point in entry_points(group=ENTRY_POINTS):
            yield _loaded(point)


def _loaded(point: EntryPoint) -> Family:
    """A third party's family; one that cannot be imported is told as a note, and no more."""
    try:
        family: Family = point.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  what others wrote may even call sys.exit
        note = f"cannot be imported: {type(error).__name__}: {error}"
        return SimpleNamespace(
            __name__=point.name, discover=lambda machine: Discovery(notes=(note,))
        )
    return family

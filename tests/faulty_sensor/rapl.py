"""A family that has the short name of one of ours."""

from jupyter_energy.sensors.base import Discovery


def discover(machine: object) -> Discovery:
    """Nothing."""
    return Discovery(notes=("the other rapl",))

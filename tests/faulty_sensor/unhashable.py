"""A family whose sensor cannot be a key."""

from jupyter_energy.sensors.base import Discovery

from .readings import Reading


class Unhashable(Reading):  # noqa: PLW1641  that is its fault
    """Equal by value, and so without a hash."""

    def __eq__(self, other: object) -> bool:
        return True


def discover(machine: object) -> Discovery:
    """One such sensor."""
    return Discovery((Unhashable(90, "unhashable", lambda: 1.0),))

"""A family whose sensor hangs from the first read on."""

import time

from jupyter_energy.sensors.base import Discovery

from .readings import Reading


def discover(machine: object) -> Discovery:
    """One such sensor, which says that it is safe on any thread."""
    return Discovery((Reading(70, "hangs", lambda: time.sleep(600)),))

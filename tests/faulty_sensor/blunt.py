"""A family whose sensor is right when it is found and fails when its readings are worked up."""

import time

from jupyter_energy.sensors.base import Accuracy, Discovery

from .readings import Reading


class Blunt(Reading):
    """One whose accuracy can be asked for once."""

    asked = False

    @property
    def accuracy(self) -> Accuracy:  # type: ignore[override]  # that is the fault
        """Known the first time."""
        if self.asked:
            raise RuntimeError("no accuracy today")
        self.asked = True
        return Accuracy(0.0, "a test")


def discover(machine: object) -> Discovery:
    """One such sensor."""
    return Discovery((Blunt(80, "blunt", time.perf_counter),))

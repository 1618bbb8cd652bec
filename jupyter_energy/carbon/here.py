"""What a kWh stands for on this machine: found once a setting, never waiting for an answer.

A cell's end asks this. Where the user said `zone auto` on a cloud's machine, a thread of 0.3 s at
most asks the cloud; until it has answered, the next rung of the ladder counts, and says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import at_place
from .metadata import LIMIT_S, Told, is_asked, region
from .place import AUTO, find
from .platforms import CLOUD_NAMES

if TYPE_CHECKING:
    import threading

    from ..model import CarbonIntensity
    from ..sensors.base import Machine

# A thread that is to end at its limit has ended this much later, on a machine that is not stuck.
_PATIENCE_S = 0.2


class Here:
    """This machine's place and its intensity; one object a kernel."""

    def __init__(self, machine: Machine, limit_s: float = LIMIT_S) -> None:
        """`limit_s` is how long a cloud may take to answer, in s."""
        self._machine = machine
        self._limit_s = limit_s
        self._found: dict[tuple[str | None, str], CarbonIntensity] = {}
        self._asking: threading.Thread | None = None
        self._told: Told | None = None
        self.asked: str | None = None  # the cloud that has been asked ("aws")

    def intensity(self, setting: str | None, origin: str) -> CarbonIntensity:
        """The intensity in g CO2e/kWh where `setting` holds, which `origin` says the words for.

        Never blocks. Raises UnknownZone for a place that was set and that no table knows.
        """
        asked = (setting, origin)
        if asked not in self._found:
            environ = self._machine.environ
            place = find(setting, origin, environ, machine=self._machine, ask=self._ask)
            found = at_place(place)
            if not place.final:
                return found
            self._found[asked] = found
        return self._found[asked]

    def begin(self, setting: str | None, origin: str) -> None:
        """Have the cloud asked already now, where `setting` lets it be, before a cell ends."""
        if (setting or "").strip().lower() == AUTO:
            self.intensity(setting, origin)

    def wait(self) -> None:
        """Wait for the cloud's answer where one is under way, little longer than its limit."""
        if self._asking is not None:
            self._asking.join(self._limit_s + _PATIENCE_S)

    def _ask(self, cloud: str) -> Told:
        self.asked = cloud if is_asked(cloud, self._machine.environ) else None
        if self._told is not None:
            return self._told
        if self._asking is None:
            import threading

            asking = threading.Thread(
                target=self._fetch, args=(cloud,), name="jupyter-energy-place", daemon=True
            )
            try:
                asking.start()
            except RuntimeError as error:  # no thread can be had (any more)
                self._told = Told(None, f"{CLOUD_NAMES[cloud]} could not be asked: {error}")
                return self._told
            self._asking = asking
        return Told(None, f"{CLOUD_NAMES[cloud]} is being asked for its region", final=False)

    def _fetch(self, cloud: str) -> None:
        self._told = region(cloud, self._machine.environ, self._limit_s)

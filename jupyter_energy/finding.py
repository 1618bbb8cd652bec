"""Finding the sensors of a machine: every family is asked, a driver's on its own worker."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from .answer import Answer
from .sensors.base import Absence, Discovery, Family, Machine, Sensor, usable
from .sensors.nvidia_pci import ASLEEP
from .worker import Worker


class Finder:
    """Asks all families what they have, one by one, as they come.

    `found` is told the sensors of a family and which worker is to read them, on that thread,
    before the family counts as one that has answered. `workers` are the threads of the driver
    libraries, by name.
    """

    def __init__(
        self,
        machine: Machine,
        families: Callable[[], Iterable[Family]],
        found: Callable[[tuple[Sensor, ...], str | None], None],
    ) -> None:
        self._machine = machine
        self._families = families
        self._found_sensors = found
        self._lock = threading.RLock()  # what the garbage collector runs may ask in here
        self._found: dict[str, Discovery] = {}
        self._looking = 1  # families that have not said yet what they have, and the asking itself
        self._families_by_name: dict[str, Family] = {}
        self._closing = False
        self.ready: Answer[None] = Answer()
        self.workers: dict[str, Worker] = {}

    def discoveries(self) -> dict[str, Discovery]:
        """What each family found, by its name; a family that still looks is not in it."""
        with self._lock:
            return dict(self._found)

    def absences(self) -> tuple[Absence, ...]:
        """The domains that cannot be read here, with their reasons."""
        return tuple(a for found in self.discoveries().values() for a in found.absences)

    def has_sleepers(self) -> bool:
        """Whether a family found devices asleep, which may wake."""
        return any(
            hasattr(self._families_by_name.get(name), "has_woken")
            and any(a.reason == ASLEEP for a in found.absences)
            for name, found in self.discoveries().items()
        )

    def look_for_woken(self) -> None:
        """Ask those families again whose devices have woken; that they have, no driver is asked."""
        for name, found in self.discoveries().items():
            family: Any = self._families_by_name.get(name)
            has_woken = getattr(family, "has_woken", None)
            worker = _worker_of(family)
            if has_woken is None or worker is None or not has_woken(self._machine, found):
                continue
            self.workers[worker].submit(partial(self._look_again, name, family))

    def _look_again(self, name: str, family: Family) -> None:
        """Take up the devices of a family that were not there before, on its worker."""
        before = self.discoveries()[name]
        try:
            now = usable(family.discover(self._machine), _worker_of(family))
        except Exception:  # noqa: BLE001  what was found before stands
            return
        known = {sensor.domain.key for sensor in before.sensors}
        new = tuple(s for s in now.sensors if s.domain.key not in known)
        for sensor in now.sensors:
            if sensor not in new or self._closing:
                with suppress(Exception):
                    sensor.close()
        if self._closing:
            return
        self._found_sensors(new, _worker_of(family))
        with self._lock:
            self._found[name] = replace(now, sensors=(*before.sensors, *new))

    def close(self) -> None:
        """Ask no more; what a driver finds from now on is let go of."""
        self._closing = True

    def look(self) -> None:
        """Ask every family; a driver is asked on its worker, so that a hang stays there.

        One by one: a plug-in that hangs when it is loaded hides no sensor before it.
        """
        try:
            for family in self._families():
                if self._closing:
                    return
                self._ask(family)
        except BaseException as error:  # noqa: BLE001  broken metadata of some package: cells run on
            with self._lock:
                self._found["sensors"] = Discovery(notes=(failed(error),))
        self._begun(-1)

    def _ask(self, family: Family) -> None:
        whole = str(getattr(family, "__name__", type(family).__name__))
        name = whole.rpartition(".")[2]
        while name in self._families_by_name:
            name = whole if whole not in self._families_by_name else f"{name} again"
        self._families_by_name[name] = family
        self._begun(1)
        worker = _worker_of(family)
        if worker is None:
            self._look_at(name, family)
            return
        if worker not in self.workers:
            # Replaced as a whole: the edges walk through it on other threads.
            self.workers = {**self.workers, worker: Worker(f"jupyter-energy-{worker}")}
        self.workers[worker].submit(partial(self._look_at, name, family))

    def _begun(self, families: int) -> None:
        """Count a family that begins to look (1), or one that has, or the asking itself (-1)."""
        with self._lock:
            self._looking += families
            complete = self._looking == 0
        if complete:
            self.ready.set_result(None)

    def _look_at(self, name: str, family: Family) -> None:
        """Ask one family, on the thread that may ask it."""
        try:
            found = usable(family.discover(self._machine), _worker_of(family))
        except BaseException as error:  # noqa: BLE001  one family's fault must not hide the others
            found = Discovery(notes=(failed(error),))
        if self._closing:  # a driver that answered after all: nobody will read it
            for sensor in found.sensors:
                with suppress(Exception):
                    sensor.close()
        else:
            self._found_sensors(found.sensors, _worker_of(family))
        with self._lock:
            self._found[name] = found
        self._begun(-1)


def failed(error: BaseException) -> str:
    """A failure of ours or of a plug-in, in words."""
    return f"failed: {type(error).__name__}: {error}"


def _worker_of(family: Family) -> str | None:
    """The worker on which a family must be asked; None for one that only reads files."""
    name: str | None = getattr(family, "WORKER", None)
    return name

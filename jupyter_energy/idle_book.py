"""Books what is drawn between cells, off the user's thread, and has settled devices read."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime

from .accounts import SETTLED_AFTER_S, Accounts
from .model import Idle, Record, Sample
from .outbox import Outbox
from .overlaps import Spell, device_name, overlap_notes
from .process_tree import CpuTimes
from .sensors.base import Sensor
from .signals import raise_if_users
from .window import Edge

# Shorter cells are in the store before anyone could ask; each would be two more writes.
ANNOUNCED_AFTER_S = 1.0
# Of a kernel that dies in a cell, what the cell drew in its last seconds is not known.
HEARTBEAT_S = 5.0


class IdleBook:
    """Idle time on its way to the store, beside the records of the cells that it lies between.

    `look` reads the sensors that it is asked for; `under_way` gives the records that the cells
    that run would have, with the keys of their notebooks; `session_id` and `host` are the kernel's.
    `next_step_s` is how long until the carbon intensity may change, in s: it is looked then too.
    """

    def __init__(
        self,
        accounts: Accounts,
        outbox: Outbox,
        look: Callable[[Callable[[Sensor], bool]], Edge],
        under_way: Callable[[], Iterable[tuple[Record, str | None]]],
        session_id: str,
        host: str,
        settled_after_s: float = SETTLED_AFTER_S,
        announced_after_s: float = ANNOUNCED_AFTER_S,
        next_step_s: Callable[[], float] = lambda: math.inf,
    ) -> None:
        self._accounts = accounts
        self._outbox = outbox
        self._look = look
        self._under_way = under_way
        self._session_id = session_id
        self._host = host
        self._next_step_s = next_step_s
        self._settled_after_s = settled_after_s
        self._announced_after_s = announced_after_s
        # The window that began when none was open, when (s since the epoch), its notebook's key.
        self._running: tuple[Edge, float, str | None] | None = None

    def begins(self, edge: Edge, times: CpuTimes, notebook: str | None) -> None:
        """A window begins and none was open: what lay before it is written with the next record.

        Once it has run for a while other kernels are told, which may measure the same devices.
        """
        self._running = edge, datetime.now(UTC).timestamp(), notebook
        self._outbox.later(self._announced_after_s, self._still_runs)
        self._outbox.wake()
        try:
            between = self._accounts.begins(edge, times)
        except Exception as error:  # noqa: BLE001  what came before a cell must not keep it from running
            raise_if_users(error)
            return
        if between is None:
            return
        found, idle_id = between, uuid.uuid4().hex

        def idle(notebook_id: str) -> Idle:
            measurement = found.measurement()
            return Idle(idle_id, notebook_id, self._session_id, self._host, measurement)

        self._outbox.book(found.notebook, idle)

    def keep(self, record: Record, notebook: str | None, shown: bool) -> Record:
        """Hand a record to the store; the record as it is to be shown, with what the store knows
        of other notebooks at the same time."""
        if self._accounts.rests_now:
            self._running = None
            self._outbox.ended()
            self._outbox.later(self._settled_after_s, self._settle)
        if not shown:
            self._outbox.put(record, notebook)
            return record
        notes = overlap_notes(self._outbox.put_and_ask(record, notebook))
        return replace(record, warnings=(*record.warnings, *notes))

    def pending(self, notebook: str | None) -> list[Idle]:
        """A notebook's idle time that is not in the store yet."""
        return self._outbox.pending_idle(notebook)

    def _still_runs(self) -> None:
        """A cell has run for a while: other kernels are told, and what it has drawn is kept."""
        running = self._running
        if running is None or self._accounts.rests_now:
            return
        self._outbox.later(min(HEARTBEAT_S, self._next_step_s()), self._still_runs)
        for record, notebook in self._under_way():
            self._outbox.beat(record, notebook)
        self._announce(*running)

    def _announce(self, edge: Edge, start_s: float, notebook: str | None) -> None:
        read = (s.domain for s, seen in edge.readings.items() if isinstance(seen, Sample))
        devices = frozenset(map(device_name, read))

        def spell(notebook_id: str) -> Spell:
            return Spell(notebook_id, self._session_id, self._host, start_s, math.inf, devices)

        self._outbox.announce(notebook, spell)

    def _settle(self) -> None:
        """Read the counters that are files, where nothing runs: no driver is called then."""
        if self._accounts.rests_now:
            self._accounts.settled(self._look(lambda sensor: sensor.worker is None).readings)

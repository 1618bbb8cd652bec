"""Books what is drawn between cells, off the user's thread, and has settled devices read."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace

from .accounts import SETTLED_AFTER_S, Accounts
from .model import Idle, Record
from .outbox import Outbox
from .overlaps import overlap_notes
from .process_tree import CpuTimes
from .sensors.base import Sensor
from .window import Edge


class IdleBook:
    """Idle time on its way to the store, beside the records of the cells that it lies between.

    `look` reads the sensors that it is asked for; `session_id` and `host` are the kernel's.
    """

    def __init__(
        self,
        accounts: Accounts,
        outbox: Outbox,
        look: Callable[[Callable[[Sensor], bool]], Edge],
        session_id: str,
        host: str,
        settled_after_s: float = SETTLED_AFTER_S,
    ) -> None:
        self._accounts = accounts
        self._outbox = outbox
        self._look = look
        self._session_id = session_id
        self._host = host
        self._settled_after_s = settled_after_s

    def begins(self, edge: Edge, times: CpuTimes) -> None:
        """A window begins and none was open: what lay before it is written with the next record."""
        try:
            between = self._accounts.begins(edge, times)
        except Exception:  # noqa: BLE001  what came before a cell must not keep it from running
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
        self._outbox.at_rest(self._settled_after_s, self._settle)
        if not shown:
            self._outbox.put(record, notebook)
            return record
        notes = overlap_notes(self._outbox.put_and_ask(record, notebook))
        return replace(record, warnings=(*record.warnings, *notes))

    def pending(self, notebook: str | None) -> list[Idle]:
        """A notebook's idle time that is not in the store yet."""
        return self._outbox.pending_idle(notebook)

    def _settle(self) -> None:
        """Read the counters that are files, where nothing runs: no driver is called then."""
        if self._accounts.rests_now:
            self._accounts.settled(self._look(lambda sensor: sensor.worker is None).readings)

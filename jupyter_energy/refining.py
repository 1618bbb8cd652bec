"""Records that are made again with what is read a moment after their windows."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import replace

from .accounts import Accounts
from .answer import Answer
from .model import Record
from .open_window import Ending, OpenWindow
from .outbox import Outbox
from .records import Records
from .sampler import Sampler
from .window import Edge

# Runs of which it is remembered that their record was made again: more than end between two looks.
MOST_REMEMBERED = 1000


class Refining:
    """The better record takes the first one's place in the store, and is `window.refined`."""

    def __init__(
        self, sampler: Sampler, accounts: Accounts, records: Records, outbox: Outbox
    ) -> None:
        self._sampler, self._accounts = sampler, accounts
        self._records, self._outbox = records, outbox
        self._waiting: dict[str, Answer[Record]] = {}
        # The runs whose first record was replaced, for who may have added that one up (figures.py).
        self.replaced: deque[str] = deque(maxlen=MOST_REMEMBERED)

    def begin(self, window: OpenWindow, ending: Ending, first: Record) -> None:
        """Have the record of a window made again, where a sensor can tell more a moment later."""
        refined: Answer[Record] = Answer()

        def told(edge: Edge | None) -> None:
            record = first
            try:
                if edge is not None:
                    made = self._records.made(window, ending, edge)
                    if made.measurement != first.measurement:
                        record = replace(made, warnings=first.warnings)
                        self._outbox.put(record, window.notebook)
                        self.replaced.append(window.run_id)
                    self._accounts.settled(edge.readings)
            finally:
                self._waiting.pop(window.run_id, None)
                refined.set_result(record)

        self._waiting[window.run_id] = refined
        if self._sampler.settle(ending.stop, told, window.shown):
            window.refined = refined
        else:
            del self._waiting[window.run_id]

    def restate(self, record: Record, notebook: str | None) -> None:
        """Keep a record in the place of that of the same run, of which more is known now."""
        self._outbox.put(record, notebook)

    def wait(self, timeout_s: float) -> frozenset[str]:
        """Wait until the records kept so far are as they will stay, but no longer; the runs whose
        records are not."""
        until_s = time.monotonic() + timeout_s
        waiting = list(self._waiting.items())
        return frozenset(
            run_id
            for run_id, refined in waiting
            if not refined.wait(max(0.0, until_s - time.monotonic()))
        )

    def interrupt(self) -> None:
        """Code runs that is not measured: what is read from here on says nothing of before."""
        if self._waiting:
            self._sampler.interrupt_settling()

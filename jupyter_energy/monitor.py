"""The one object a user holds: makes sensors, carbon and store from the settings, and ends them.

A window is opened and closed on the thread that runs the measured code; everything slow happens
on other threads. Nothing here raises into that code but the user's own wrong use.
"""

from __future__ import annotations

import os
import socket
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from . import devices
from .accounts import Accounts
from .config import Energy
from .factors import Factors
from .idle_book import IdleBook
from .model import CarbonIntensity, Measurement, Outcome, Record
from .open_window import Ending, OpenWindow, OpenWindows, Options, edge_or_why, own
from .outbox import Outbox
from .power.document import PowerTrace
from .power.recorder import Recorders
from .process_tree import CpuTimes
from .records import Records
from .refining import Refining
from .sampler import FORKED, Sampler
from .sensors import families
from .sensors.base import Sensor
from .signals import signal_of
from .store import Store
from .window import Edge
from .worker import on_its_own_stack

if TYPE_CHECKING:
    from .identity import Notebook, NotebookRef

# A shown measurement waits this long for sensors that are still being looked for.
FIND_DEADLINE_S = 2.0
# And the first silent cell this long, since people run all cells right after %load_ext. Files are
# found within it, drivers mostly later: their GPU then counts from the moment it is found.
FIRST_CELL_DEADLINE_S = 0.5
# What stops the user's code, at the end of a window, this often at most: then it has no record.
MOST_STOPS = 3
LOST = "its kernel ended while it ran: time and energy are those up to its last sign of life"


class Monitor:
    """Measures windows and keeps their records. `start()` once, `close()` once.

    `notebook` tells of a notebook by its key, when that is first needed (see pages.py).
    """

    def __init__(
        self,
        settings: Energy,
        notebook: Callable[[str | None], NotebookRef],
        environ: Mapping[str, str] = os.environ,
        session_id: str | None = None,
    ) -> None:
        self.settings = settings
        named = session_id or environ.get("JUPYTER_ENERGY_SESSION") or uuid.uuid4().hex
        self.session_id = named.encode(errors="replace").decode()  # as text that can be stored
        self._environ = environ
        self._find_notebook = notebook
        self._told: dict[str, str] = {}  # by topic
        self._to_tell: deque[str] = deque()
        self.host = socket.gethostname()
        machine = settings.machine(environ)
        self.sampler = Sampler(machine, lambda: families(machine), settings.interval_s)
        self.store_path = settings.store_path()
        self._outbox = Outbox(Store(self.store_path), notebook, self.tell, self.session_id)
        self.accounts = Accounts(machine)
        self.windows = OpenWindows()
        self.factors = Factors(settings, environ, lambda: bool(self.windows.outermost()))
        self.idle = IdleBook(
            self.accounts,
            self._outbox,
            self.sampler.look,
            self._under_way,
            self.session_id,
            self.host,
            next_step_s=self.factors.to_next_step_s,
        )
        self._records = Records(
            self.factors,
            lambda: self.sampler.absences(),  # noqa: PLW0108  a test gives us another sampler
            self.accounts,
            self._outbox,
            (self.session_id, self.host),
            environ,
        )
        self.refining = Refining(self.sampler, self.accounts, self._records, self._outbox)
        self._recorders = Recorders()
        self._pid = os.getpid()
        self._waited_s = 0.0

    # -- life ------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to look for sensors and to open the store, off this thread."""
        self.sampler.start()
        self._outbox.start()
        if self.factors.is_live():
            self._outbox.later(0.0, self.factors.prepare)
        if self.settings.complaints:
            self.tell("settings", "; ".join(self.settings.complaints))

    def close(self) -> None:
        """Write what is pending, stop the threads, let go of sensors and store."""
        if os.getpid() != self._pid:
            return
        self._recorders.close()
        self._outbox.close()
        self.sampler.close()
        self.accounts.close()
        self.factors.close()
        self.windows.let_go()

    def tell(self, topic: str, text: str) -> None:
        """Keep a plain line for the user, one for each topic; `to_tell` hands it out. One of topic
        "store" says what keeps the store from being used, while nothing is lost: it is told only
        where no other topic that begins so has been."""
        if topic in self._told:
            return
        if topic == "store" and any(told.startswith("store") for told in list(self._told)):
            return
        self._told[topic] = text
        self._to_tell.append(text)

    def has_told(self, text: str) -> bool:
        """Whether the user has been told this, alone or as part of a line."""
        return any(text in line for line in list(self._told.values()))

    def to_tell(self) -> list[str]:
        """The lines not shown yet. Asked for on the user's thread only: what a background
        thread prints is attributed to whatever cell runs then (jupyter.md 2c)."""
        lines = []
        while self._to_tell:
            lines.append(self._to_tell.popleft())
        return lines

    # -- windows ---------------------------------------------------------------------------

    def check(self, options: Options) -> None:
        """Raises WrongUse for an unknown zone or a device that is not here."""
        if options.zone is not None:
            self.intensity(options.zone)
        if options.choice.wanted:
            self._wait_for_sensors(FIND_DEADLINE_S)
            seen = [s.domain for s in self.sampler.sensors()]
            devices.check(options.choice, [*seen, *(a.domain for a in self.sampler.absences())])

    def open_window(
        self, options: Options, shown: bool = False, notebook: str | None = None
    ) -> OpenWindow:
        """Begin a window now. The first ones wait for sensors that are still being looked for."""
        warnings: list[str] = []
        self._wait_for_sensors(FIND_DEADLINE_S if shown else FIRST_CELL_DEADLINE_S)
        if options.sync:
            warnings += self._wait_for_gpu()[0]
        counts = devices.selector(
            options.choice, self.sampler.sensors, self.sampler.absences, self._environ
        )
        estimate = self.settings.estimate

        def reads(sensor: Sensor) -> bool:
            return counts(sensor.domain) and (estimate or sensor.spread is None)

        outer = self.windows.around()
        times = self.accounts.times(walk=shown)
        run_id = uuid.uuid4().hex
        window = None
        try:
            if options.trace:
                warnings += self._recorders.begin(run_id, filter(reads, self.sampler.sensors()))
            start_utc = datetime.now(UTC)
            start = edge_or_why(lambda: self.sampler.opening_edge(reads, shown), warnings)
            window = OpenWindow(
                options=options,
                run_id=run_id,
                outer=outer,
                start_utc=start_utc,
                start=start,
                counts=counts,
                reads=reads,
                notebook=notebook if outer is None else outer.notebook,
                warnings=warnings,
                shown=shown,
                times=times,
            )
            self.factors.runs(options.zone)
            if self.windows.add(window):
                self.idle.begins(window.start, times, window.notebook)
        except BaseException:  # Ctrl-C: whoever asked for it gets no window, so there is none
            if window is not None:
                self.drop_window(window)
            self._recorders.drop(run_id)
            self.sampler.drop_edge(reads, shown)
            raise
        return window

    def drop_window(self, window: OpenWindow) -> None:
        """End a window without a record."""
        self._recorders.drop(window.run_id)
        self.sampler.drop_edge(window.reads, window.shown)
        # It was no cell: its time is between cells.
        self._forget(window, window.start, window.times)

    def keep_failed(self, window: OpenWindow, ending: Ending) -> Record:
        """The record of a window that could not be opened (`never_opened`), which is kept."""
        record = self._records.made(window, ending)
        self._outbox.put(record, window.notebook)
        return record

    def close_window(
        self,
        window: OpenWindow,
        outcome: Outcome,
        cell_id: str | None = None,
        execution_count: int | None = None,
        may_settle: bool = False,
    ) -> Record:
        """End a window now; its record, which is in the store or waits to be written.

        Where nothing of the user's runs on (`may_settle`) and a sensor can tell more a moment
        later, `window.refined` is the future of the better record, which takes this one's place.
        What stops the user's code comes too late meanwhile, and costs no record: it is
        `window.stopped_by`, which is for the caller to raise where more of that code runs on.
        """
        stops, close = 0, self._closed
        while True:
            try:
                return close(window, outcome, cell_id, execution_count, may_settle)
            except BaseException as error:
                if isinstance(error, RecursionError) and close == self._closed:
                    close = on_its_own_stack(close)  # no frame is left to do it on this one
                    continue
                ours = isinstance(error, Exception) and signal_of(error) is None
                if ours or stops == MOST_STOPS:
                    if not window.ended:
                        self.drop_window(window)
                    raise
                stops += 1
                window.stopped_by = error

    def _closed(
        self,
        window: OpenWindow,
        outcome: Outcome,
        cell_id: str | None,
        execution_count: int | None,
        may_settle: bool,
    ) -> Record:
        """`close_window`; called again where it was stopped, it goes on with what is left."""
        if window.stop is None:
            if window.options.sync and window.waited_s is None:
                try:
                    notes, window.waited_s = self._wait_for_gpu()
                except BaseException:
                    window.waited_s = 0.0  # the record is wanted more than the end of the queue
                    window.warnings.append("interrupted: queued GPU work was not waited for")
                    raise
                window.warnings += notes
            stop = edge_or_why(
                lambda: self.sampler.closing_edge(window.reads, window.shown), window.warnings
            )
            times = self.accounts.times(window.shown, window.times)
            window.stop, window.end_times = stop, times
        stop, times = window.stop, window.end_times
        self._forget(window, stop, times)
        try:
            power, told = self._recorders.end(window.run_id, window.start.t_s, stop.t_s)
        except BaseException:
            window.warnings.append("interrupted: the power trace was not waited for")
            raise
        window.warnings += told
        if window.shown:
            window.warnings += self._shared(stop)
            seen = [s.domain for s in self.sampler.sensors()]
            window.warnings += devices.doubts(seen, self._environ)
        if not self.sampler.wait_until_found(0):
            window.warnings.append("some sensors have not answered yet")
        peak_w = None if power is None else power.peak_w
        ending = Ending(stop, outcome, cell_id, execution_count, times, peak_w)
        record = self._records.made(window, ending)
        if os.getpid() != self._pid:  # the thread that writes has stayed with the parent
            return replace(record, warnings=(*record.warnings, FORKED))
        if power is not None:
            self._outbox.put_power(window.run_id, power)
        record = self.idle.keep(record, window.notebook, window.shown)
        if may_settle:
            self.refining.begin(window, ending, record)
        return record

    def _shared(self, stop: Edge) -> list[str]:
        """Which devices were shared with others at the end of a window, in words."""
        notes = []
        for sensor, text in self.sampler.shared(stop).items():
            self.accounts.in_use(sensor.domain)
            notes.append(f"{sensor.domain.kind.upper()} {sensor.domain.index} is {text}")
        return notes

    def mark(self, window: OpenWindow) -> None:
        """The end of a block of a body that is repeated: its queued GPU work belongs to it."""
        if window.repetition is None:
            return
        if window.options.sync:
            self._wait_for_gpu()  # what keeps us from it is told at the end, where it is the same
        edge = self.sampler.look(window.reads)
        window.repetition.mark(edge, window.start, lambda a, b: self.so_far(window, a, b))

    def outermost(self) -> list[OpenWindow]:
        """The open windows that lie in no other one, oldest first."""
        return self.windows.outermost()

    def so_far(self, window: OpenWindow, since: Edge, now: Edge) -> Measurement:
        """What has been drawn from one edge to another within an open window."""
        return self._records.measured(window, since, now)

    def under_way(self, window: OpenWindow, now: Edge) -> Record:
        """The record that an open window would have if its kernel died now; it is not kept."""
        return self._records.made(
            window, Ending(now, "lost", window.cell_id, window.execution_count)
        )

    def _under_way(self) -> list[tuple[Record, str | None]]:
        """What the windows that lie in no other would leave if the kernel died now."""
        windows = self.outermost()
        if not windows:
            return []
        now = self.sampler.look(lambda sensor: any(w.reads(sensor) for w in windows))
        if self.factors.is_live():
            self._records.note_course(self.windows.under_way(), now)
        found = [(self.under_way(w, own(w, now)), w.notebook) for w in windows if not w.ended]
        return [(replace(r, warnings=(*r.warnings, LOST)), notebook) for r, notebook in found]

    def _wait_for_sensors(self, limit_s: float) -> None:
        """Wait until all sensors are found, all in all no longer than `limit_s`: a driver that
        hangs for ever must not cost every cell its deadline."""
        left_s = limit_s - self._waited_s
        if left_s > 0 and not self.sampler.wait_until_found(0):
            self._waited_s = limit_s
            self.sampler.wait_until_found(left_s)

    def _wait_for_gpu(self) -> tuple[list[str], float]:
        """Wait for queued GPU work; what kept us from it, in words, and how long it took in s."""
        from .gpu_sync import wait_for_gpu  # most sessions show no measurement, and wait for none

        waited = wait_for_gpu(self._pid)
        return [waited.note] if waited.note else [], waited.waited_s

    def _forget(self, window: OpenWindow, edge: Edge | None, times: CpuTimes) -> None:
        """A window has ended; from `edge` on nothing runs, if it was the last one."""
        window.ended = True
        if edge is not None and self.windows.outermost() == [window]:
            self.accounts.rests(edge, window.notebook, times)
        self.windows.remove(window)

    # -- carbon ----------------------------------------------------------------------------

    def zone(self, option: str | None = None) -> tuple[str | None, str]:
        """The zone that counts, and where it was said."""
        return self.factors.zone(option)

    def intensity(self, option: str | None = None) -> CarbonIntensity:
        """The yearly carbon intensity of the place that counts. Raises UnknownZone."""
        return self.factors.yearly(option)

    # -- keeping ---------------------------------------------------------------------------

    def pending(self, notebook: str | None = None) -> list[Record]:
        """A notebook's records of this session that the store could not take yet."""
        return self._outbox.pending(notebook)

    def pending_power(self) -> dict[str, PowerTrace]:
        """This session's power traces that the store could not take yet, by the id of their run."""
        return self._outbox.pending_power()

    def notebook(self, key: str | None = None) -> NotebookRef:
        """Which notebook this is, as far as the kernel can tell."""
        return self._find_notebook(key)

    def known_notebook(self, key: str | None = None) -> Notebook | None:
        """A notebook that this kernel's records go to; None before the store has been asked."""
        return self._outbox.notebook(key)

    def notebook_moved(self, key: str | None) -> None:
        """A notebook lies elsewhere now, or a second one has come: the store is asked for it."""
        self._outbox.look_again(key)

    def flush(self, timeout_s: float = 1.0) -> None:
        """Try to write what is pending. Raises StoreError when it cannot be written."""
        self._outbox.flush(timeout_s)

"""Records on their way to the store, which is written on a thread of its own.

A cell's reply waits a moment for its record; what the store cannot take now waits in memory.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from dataclasses import replace

from .errors import StoreError
from .identity import Notebook, NotebookRef
from .model import Idle, Record
from .overlaps import Spell
from .power.document import PowerTrace
from .store import Store
from .worker import Worker

# A cell's reply waits this long for its record to be written, and no longer.
DEADLINE_S = 0.25
# What waits in memory takes about 1 kB a record.
MOST_PENDING = 10_000
# A power trace takes up to 100 kB a device.
MOST_PENDING_TRACES = 100


class Outbox:
    """Takes records, writes them in order, keeps what cannot be written; `close()` once.

    `find_notebook` tells of a notebook by its key (None: the kernel's own) when it is first
    needed, off the cell's thread. `tell` takes a topic and a plain line for the user.
    """

    def __init__(
        self,
        store: Store,
        find_notebook: Callable[[str | None], NotebookRef],
        tell: Callable[[str, str], None],
    ) -> None:
        self._store = store
        self._find_notebook = find_notebook
        self._tell = tell
        self._worker = Worker("jupyter-energy-store")
        self._lock = threading.Lock()  # what waits: a thread writes while another drops the oldest
        self._pending: deque[tuple[Record, str | None]] = deque()  # with its notebook's key
        # Idle time: its notebook's key, and what makes it once that notebook is known.
        self._idle: deque[tuple[str | None, Callable[[str], Idle]]] = deque(maxlen=MOST_PENDING)
        self._announced: str | None = None  # the session that the store has as running
        self._ended = False  # whether that is over
        self._asked: dict[str, int | None] = {}  # runs whose neighbours are looked for
        self._traces: deque[tuple[str, PowerTrace]] = deque(maxlen=MOST_PENDING_TRACES)
        self._generation = 0
        self._notebooks: dict[str | None, Notebook] = {}  # those that the store has been asked for
        self._late: Future[None] | None = None  # a call that was waited for in vain
        self._closed = False

    def notebook(self, key: str | None = None) -> Notebook | None:
        """A notebook as the store knows it; None before the store has been asked."""
        return self._notebooks.get(key)

    def look_again(self, key: str | None) -> None:
        """Ask the store again which notebook this is, since it has moved."""
        self._worker.submit(lambda: self._write(key, again=True))

    def start(self) -> None:
        """Begin to open the store."""
        self._worker.submit(self._write)

    def close(self) -> None:
        """Write what waits, as far as the store lets us, and let go of it."""
        self._ended = True
        self._worker.submit(self._write)
        self._worker.submit(self._store.close)
        self._worker.close()
        self._closed = True

    def pending(self, key: str | None = None) -> list[Record]:
        """A notebook's records that the store could not take yet."""
        return [record for record, of in list(self._pending) if of == key]

    def pending_power(self) -> dict[str, PowerTrace]:
        """The power traces that the store could not take yet, by the id of their run."""
        return dict(list(self._traces))

    def put_power(self, run_id: str, trace: PowerTrace) -> None:
        """Hand a run's power trace to the store, which is written with the next record; where
        many wait the oldest are lost, but no record is."""
        if not self._closed:
            self._traces.append((run_id, trace))

    def put(self, record: Record, key: str | None = None, again: bool = False) -> None:
        """Hand a record to the store; what it cannot take waits here and is tried again.

        One that is made `again` takes the place of the first, wherever that is by now.
        """
        if self._closed:
            text = "jupyter-energy has been unloaded: a record that came since is lost"
            self._tell("closed", text)
            return
        with self._lock:
            waiting = enumerate(self._pending) if again else ()
            same = [n for n, (r, _) in waiting if r.run_id == record.run_id]
            if same:
                self._pending[same[0]] = record, key
            else:
                self._pending.append((record, key))
            full = len(self._pending) > MOST_PENDING
            if full:
                self._pending.popleft()
        if full:
            self._tell(
                "dropped",
                f"more than {MOST_PENDING} records wait for the store {self._store.path}; "
                "from here on the oldest are lost",
            )
        if self._late is not None and not self._late.done():
            return  # it still hangs; once it goes on it writes this record too, or the next does
        try:
            self.flush(DEADLINE_S)
        except Exception as error:  # noqa: BLE001  ours must not reach the user's cell
            kind = error.kind if isinstance(error, StoreError) else type(error).__name__
            self._tell(f"store:{kind}", f"{error}. The cell is not affected.")

    def put_and_ask(self, record: Record, key: str | None = None) -> int:
        """`put` a record; how many other notebooks drew from its devices meanwhile, as far as the
        store knows and says in time."""
        self._asked[record.run_id] = None
        self.put(record, key)
        return self._asked.pop(record.run_id, None) or 0

    def book(self, key: str | None, make: Callable[[str], Idle]) -> None:
        """Take what was drawn between two cells, to be written with the next record. `make` is
        called with the notebook's id then, off this thread."""
        self._idle.append((key, make))

    def pending_idle(self, key: str | None = None) -> list[Idle]:
        """A notebook's idle time that waits for the next record."""
        known = self._notebooks.get(key)
        return [] if known is None else [m(known.id) for of, m in list(self._idle) if of == key]

    def announce(self, key: str | None, make: Callable[[str], Spell]) -> None:
        """Let other kernels know of a cell that runs. Called on the store's thread, by `at_rest`;
        `make` is given the notebook's id."""
        if self._announced is None:
            spell = make(self._known(key).id)
            self._store.announce(spell)
            self._announced, self._ended = spell.session_id, False

    def ended(self) -> None:
        """The cell that was announced, if one was, has ended: told with its record."""
        self._ended = True

    def wake(self) -> None:
        """Have the store's thread look what is to be done, and by when."""
        self._worker.submit(lambda: None)

    def at_rest(self, seconds: float, call: Callable[[], object]) -> None:
        """Make a call on the store's thread, once nothing has come for `seconds` after the next
        record."""
        self._worker.at_rest(seconds, call)

    def flush(self, timeout_s: float) -> None:
        """Try to write what waits. Raises StoreError when it cannot be written."""
        future = self._worker.submit(self._write)
        try:
            future.result(timeout_s)
        except (FutureTimeout, TimeoutError):
            self._late = future
            raise StoreError(
                f"the store {self._store.path} did not answer within {timeout_s:g} s; "
                "the records wait in memory",
                "busy",
            ) from None

    def _write(self, key: str | None = None, again: bool = False) -> None:
        """Write the records in order; runs on the worker's thread. The notebook of `key` is known
        then, be there a record of it or not."""
        try:
            self._store.open()  # anew, where somebody has deleted the file since
            self._known(key, again)
            while self._pending:
                record, of = self._pending[0]
                self._store.append(replace(record, notebook_id=self._known(of).id))
                with self._lock:
                    if self._pending and self._pending[0][0] is record:
                        self._pending.popleft()
                if record.run_id in self._asked:
                    stored = replace(record, notebook_id=self._known(of).id)
                    with suppress(StoreError):  # the record is kept; this is only told
                        self._asked[record.run_id] = self._store.others_at_once([stored])
            if self._ended and self._announced is not None:
                self._store.withdraw(self._announced)
                self._announced = None
            while self._idle:
                self._write_idle(*self._idle.popleft())
            while self._traces:
                run_id, trace = kept = self._traces[0]
                self._store.keep_power(run_id, trace)
                if self._traces and self._traces[0] is kept:
                    self._traces.popleft()
        finally:
            for text in self._store.warnings:
                self._tell(f"store:{text}", text)

    def _write_idle(self, key: str | None, make: Callable[[str], Idle]) -> None:
        try:
            self._store.book_idle(make(self._known(key).id))
        except StoreError:
            self._idle.appendleft((key, make))
            raise

    def _known(self, key: str | None, again: bool = False) -> Notebook:
        if self._generation != self._store.generation:
            self._notebooks = {}
            self._generation = self._store.generation
        if again or key not in self._notebooks:
            self._notebooks[key] = self._store.notebook_for(self._find_notebook(key))
        return self._notebooks[key]

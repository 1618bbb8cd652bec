"""Records on their way to the store: into this process's journal at once, then into the database.

The thread that ends a cell makes one append to a file that nobody else writes, and is done: from
then on the record survives whatever happens. The database is written on a thread of its own.
"""

from __future__ import annotations

import math
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Literal

from .answer import Answer
from .documents import idle_to_document, record_to_document, to_json
from .errors import StoreError, topic_of
from .identity import Notebook, NotebookRef
from .journal import Entry
from .logbook import Logbook
from .model import Idle, Record
from .overlaps import Spell
from .owners import Owners
from .power.document import PowerTrace
from .signals import raise_if_users
from .store import Store
from .waiting import MOST_JOURNALED, MOST_PENDING, Waiting, Waitlist
from .worker import Worker

AT_ONCE = 100  # records of one transaction
MOST_PENDING_TRACES = 100  # of up to 100 kB a device
# Who was told to write longer ago, and has not begun, is told again: it may have been killed.
ASKED_S = 5.0
# How long the end of a process waits for the database.
CLOSING_S = 0.5


class Outbox:
    """Takes records, writes them in order, keeps what cannot be written; `close()` once.

    `find_notebook` tells of a notebook by its key (None: the kernel's own) when it is first
    needed, off the cell's thread. `tell` takes a topic and a plain line for the user.
    """

    asking_s = 0.05  # a shown cell waits this long for what the store knows of other notebooks

    def __init__(
        self,
        store: Store,
        find_notebook: Callable[[str | None], NotebookRef],
        tell: Callable[[str, str], None],
        session_id: str = "",
    ) -> None:
        self._store = store
        self._tell = tell
        self._pid = os.getpid()
        self._worker = Worker("jupyter-energy-store")
        self._logbook = Logbook(store.path, lambda: store.begin_journal(session_id), tell)
        self._pending = Waitlist()
        self._owners = Owners(store, find_notebook, self._logbook)
        self._asked_s = -math.inf  # when the thread was told to write, and has not begun
        self._is_behind = False  # whether the journal has records that wait nowhere else
        # Idle time: its notebook's key, and what makes it once that notebook is known.
        self._idle: deque[tuple[str | None, Callable[[str], Idle]]] = deque(maxlen=MOST_PENDING)
        self._announced: str | None = None  # the session that the store has as running
        self._ended = False  # whether that is over
        self._asked: dict[str, int | None] = {}  # runs whose neighbours are looked for
        self._traces: deque[tuple[str, PowerTrace]] = deque(maxlen=MOST_PENDING_TRACES)
        self._generation = 0
        self._late: Answer[None] | None = None  # a call that was waited for in vain
        self._look: Answer[None] | None = None  # the last time that a notebook was asked for again
        self._answers = True  # the database, when it was last asked
        self._closed = False

    # --- for the thread of the cell -----------------------------------------------------------

    def start(self) -> None:
        """Begin to open journal and database, and take in what dead kernels have left."""
        self._logbook.start(self._worker.submit)
        self._worker.submit(self._write)
        self._worker.submit(self._absorb)

    def put(self, record: Record, key: str | None = None) -> None:
        """Hand a record to the store: it is in the journal when this returns, or else waits in
        memory. One of the same run takes the place of the first.

        Raises ValueError or TypeError for a record that JSON cannot hold.
        """
        if os.getpid() != self._pid:
            return  # a forked child has no thread that writes
        if self._refuses():
            return
        if (known := self.notebook(key)) is not None:
            record = replace(record, notebook_id=known.id)
        waiting = Waiting(record, key)
        entry = _entry("record", record, key)  # what cannot be written is refused before it waits
        # It waits first: an interrupt between the two leaves a record that will be written.
        self._pending.add(waiting)
        waiting.is_safe = self._logbook.append(entry)
        if self._make_room():
            self._tell(
                "dropped",
                f"more than {MOST_PENDING} records wait for the store {self._store.path}; "
                "from here on the oldest are lost",
            )
        if (waiting.is_safe or not self._refuses()) and time.monotonic() - self._asked_s > ASKED_S:
            self._asked_s = time.monotonic()
            self._worker.submit(self._write_and_tell)

    def put_and_ask(self, record: Record, key: str | None = None) -> int:
        """`put` a record; how many other notebooks drew from its devices meanwhile, as far as the
        store knows and says in time."""
        self._asked[record.run_id] = None
        try:
            self.put(record, key)
            is_late = self._late is not None and not self._late.done()
            if self._answers and not self._closed and not is_late:
                try:
                    self.flush(self.asking_s)
                except Exception as error:  # noqa: BLE001  the record is kept, the result shown
                    raise_if_users(error)
        finally:
            found = self._asked.pop(record.run_id, None)
        return found or 0

    def notebook(self, key: str | None = None) -> Notebook | None:
        """A notebook as the store knows it; None before it was asked, and while it is again."""
        is_asked = self._look is None or self._look.done()
        return self._owners.get(key) if is_asked else None

    def look_again(self, key: str | None) -> None:
        """Ask the store again which notebook this is, since it has moved."""
        if os.getpid() == self._pid:
            self._look = self._worker.submit(lambda: self._write(key, again=True))

    def close(self) -> None:
        """Write what waits, as far as the store lets us, and let go of it. What it does not take
        stays in the journal for the next kernel."""
        self._ended = self._closed = True
        if os.getpid() != self._pid:
            return
        self._worker.submit(self._write)
        self._worker.submit(self._end)
        self._worker.close(CLOSING_S)

    def pending(self, key: str | None = None) -> list[Record]:
        """A notebook's records that are in memory alone: neither database nor journal has them."""
        return [w.record for w in self._pending.all() if w.key == key and not w.is_safe]

    def pending_power(self) -> dict[str, PowerTrace]:
        """The power traces that the database could not take yet, by the id of their run."""
        return dict(list(self._traces))

    def put_power(self, run_id: str, trace: PowerTrace) -> None:
        """Hand a run's power trace to the store, which is written with the next record; where
        many wait the oldest are lost, but no record is."""
        if not self._closed:
            self._traces.append((run_id, trace))

    def book(self, key: str | None, make: Callable[[str], Idle]) -> None:
        """Take what was drawn between two cells, to be written with the next record. `make` is
        called with the notebook's id then, off this thread."""
        self._idle.append((key, make))

    def pending_idle(self, key: str | None = None) -> list[Idle]:
        """A notebook's idle time that waits for the next record."""
        known = self._owners.get(key)
        return [] if known is None else [m(known.id) for of, m in list(self._idle) if of == key]

    def ended(self) -> None:
        """The cell that was announced, if one was, has ended: told with its record."""
        self._ended = True

    def wake(self) -> None:
        """Have the store's thread look what is to be done, and by when."""
        if os.getpid() == self._pid:
            self._worker.submit(lambda: None)

    def later(self, seconds: float, call: Callable[[], object]) -> None:
        """Make a call on the store's thread in so many seconds; see `Worker.later`."""
        self._worker.later(seconds, call)

    def flush(self, timeout_s: float) -> None:
        """Try to write what waits. Raises StoreError when it cannot be written."""
        if os.getpid() != self._pid:
            raise StoreError("a forked process keeps none of its parent's records", "busy")
        answer = self._worker.submit(self._write)
        if not answer.wait(timeout_s):
            self._late = answer
            raise StoreError(
                f"the store {self._store.path} did not answer within {timeout_s:g} s; "
                "the records wait in its journal",
                "busy",
            )
        answer.result()

    def _make_room(self) -> bool:
        """Let go of what is safe elsewhere, and of the oldest where too many wait; whether a record
        was lost."""
        if len(self._pending) <= MOST_JOURNALED:
            return False
        waiting = self._pending.all()
        if all(w.is_safe for w in waiting):
            self._is_behind = True
            self._pending.let_go(waiting)
        elif len(waiting) > MOST_PENDING:
            self._pending.let_go(waiting[:1])
            return not waiting[0].is_safe
        return False

    def _refuses(self) -> bool:
        """Whether it is too late for more; then the user is told."""
        if self._closed:
            self._tell("closed", "jupyter-energy has been unloaded: a record since then is lost")
        return self._closed

    # --- the store's thread -------------------------------------------------------------------

    def announce(self, key: str | None, make: Callable[[str], Spell]) -> None:
        """Let other kernels know of a cell that runs; `make` is given the notebook's id."""
        if self._announced is None:
            spell = make(self._known(key).id)
            self._store.announce(spell)
            self._announced, self._ended = spell.session_id, False

    def beat(self, record: Record, key: str | None) -> None:
        """Keep the record that a cell would have if it had ended now, in case that its kernel
        does not live to its end."""
        if (known := self.notebook(key)) is not None:
            record = replace(record, notebook_id=known.id)
        with suppress(OSError):
            self._tend(key)  # somebody may have deleted the journal
        if self._logbook.write(_entry("heartbeat", record, key)):
            self._logbook.sync()

    def _write_and_tell(self) -> None:
        """`_write`, and what is to be told where it fails but records are safe in the journal."""
        self._asked_s = -math.inf
        try:
            self._write()
        except StoreError as error:
            # By now it is in the journal, which tells where it cannot be.
            if error.kind not in ("busy", "full", "forked"):
                self._tell("store", f"{error}. What runs is not affected.")
            raise

    def _absorb(self) -> None:
        self._store.absorb()
        self._tell_warnings()

    def _write(self, key: str | None = None, again: bool = False) -> None:
        """Write the records in order; runs on the worker's thread. The notebook of `key` is known
        then, be there a record of it or not."""
        try:
            self._tend(key)
            self._store.open()  # anew, where somebody has deleted the file since
            self._known(key, again)
            self._write_records()
            if self._ended and self._announced is not None:
                self._store.withdraw(self._announced)
                self._announced = None
            while self._idle:
                of, make = self._idle[0]
                try:
                    self._store.book_idle(make(self._known(of).id))
                except (ValueError, TypeError) as error:
                    self._tell_unkept(error)
                self._idle.popleft()
            while self._traces:
                run_id, trace = kept = self._traces[0]
                try:
                    self._store.keep_power(run_id, trace)
                except (ValueError, TypeError) as error:
                    self._tell_unkept(error)
                if self._traces and self._traces[0] is kept:
                    self._traces.popleft()
            self._answers = True
        except StoreError as error:
            self._answers = False
            self._know_without_database(key, again)
            if error.kind != "busy":
                self._spill()
            raise
        finally:
            self._tell_warnings()

    def _tend(self, key: str | None) -> None:
        """Have a journal that says which notebooks its records belong to, before the database is
        asked: that may take long, and a kernel can be killed meanwhile."""
        had_journal = self._logbook.journal is not None
        if not self._logbook.tend(self._waits, self._put_down_again):
            for waiting in self._pending.all():
                waiting.is_safe = False  # what it was safe in has gone
            was_behind, self._is_behind = self._is_behind, False
            if was_behind and had_journal:
                self._tell(
                    "journal gone",
                    f"a journal of the store {self._store.path} has been deleted: what the "
                    "database lacked is lost, unless another kernel has taken it over",
                )
        for of in {key, *(waiting.key for waiting in self._pending.all())}:
            self._owners.describe(of)
        for waiting in self._pending.all():
            if not waiting.is_safe:
                self._put_down(waiting)

    def _put_down(self, waiting: Waiting) -> None:
        waiting.is_safe = self._logbook.write(_entry("record", waiting.record, waiting.key))

    def _put_down_again(self) -> bool:
        """Write what waits into the journal that is open now; whether that is all."""
        for waiting in self._pending.all():
            self._put_down(waiting)
        return not self._is_behind and all(waiting.is_safe for waiting in self._pending.all())

    def _waits(self) -> bool:
        """Whether the database lacks something."""
        return bool(self._pending or self._is_behind or self._idle or self._traces)

    def _write_records(self) -> None:
        if self._is_behind and self._logbook.journal is not None:
            self._is_behind = False  # from here on more may come to lie in the journal alone
            try:
                self._store.take_in(self._logbook.journal.path.name)
            except BaseException:
                self._is_behind = True
                raise
        while part := self._pending.all()[:AT_ONCE]:
            records = [replace(w.record, notebook_id=self._known(w.key).id) for w in part]
            self._append(records)
            self._pending.let_go(part)
            for record in records:
                if record.run_id in self._asked:
                    with suppress(StoreError):  # the record is kept; this is only told
                        others = self._store.others_at_once([record])
                        if record.run_id in self._asked:  # still waited for
                            self._asked[record.run_id] = others

    def _append(self, records: Sequence[Record]) -> None:
        try:
            self._store.append(*records)
        except (ValueError, TypeError) as error:  # one of them is none that a database can hold
            if len(records) == 1:
                self._tell_unkept(error)
                return
            for record in records:
                self._append([record])

    def _tell_unkept(self, error: Exception) -> None:
        self._tell("unkept", f"something that was measured cannot be kept: {error!r:.200}")

    def _know_without_database(self, key: str | None, again: bool) -> None:
        """Which notebook the records belong to, where only journals can say."""
        for of in {key, *(waiting.key for waiting in self._pending.all())}:
            self._owners.beside(of, again)

    def _known(self, key: str | None, again: bool = False) -> Notebook:
        if self._generation != self._store.generation:
            self._owners.forget()
            # Another file, perhaps, which lacks what the last one had of this session.
            self._is_behind = self._is_behind or self._generation > 0
            self._generation = self._store.generation
        return self._owners.known(key, again)

    def _tell_warnings(self) -> None:
        for text in self._store.warnings:
            if text != self._store.trouble:  # told by who meets it when writing
                self._tell(topic_of(text), text)

    def _spill(self) -> None:
        """Idle times and power traces go into the journal too, where no database takes them."""
        while self._idle and (known := self._owners.get(self._idle[0][0])) is not None:
            key, make = self._idle[0]
            idle = make(known.id)
            document = to_json(idle_to_document(idle))
            if not self._logbook.write(Entry("idle", document, idle.idle_id, key, known.id)):
                return
            self._idle.popleft()
            self._is_behind = True
        while self._traces:
            run_id, trace = kept = self._traces[0]
            if not self._logbook.write(Entry("power", to_json(trace.to_document()), run_id)):
                return
            self._is_behind = True
            if self._traces and self._traces[0] is kept:
                self._traces.popleft()

    def _end(self) -> None:
        """What the database could not take stays in the journal."""
        self._spill()
        self._logbook.end(self._waits)
        self._store.close()


def _entry(kind: Literal["record", "heartbeat"], record: Record, key: str | None) -> Entry:
    document = to_json(record_to_document(record))
    return Entry(kind, document, record.run_id, key, record.notebook_id)

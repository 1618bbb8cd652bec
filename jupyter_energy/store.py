"""The store: one database in the user's data folder, one row a run, and the journals beside it.

It never holds source code, outputs or tokens. A write that cannot be done now raises StoreError
at once, and the caller keeps the record or its journal does: the store never makes a cell wait.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from . import loose, notebook_rows, power_rows, run_rows
from .database import Database
from .documents import idle_from_document, utc_text
from .errors import Loss, StoreError
from .foreign import loads
from .history_rows import pruned_before
from .identity import Known, Notebook, NotebookRef, is_cell_id, match
from .journal import Entry, Journal
from .journals import Journals
from .merging import take_in
from .migrations import Connection
from .model import Idle, Record
from .overlaps import Spell, others_at_once, spell_of
from .power.document import PowerTrace
from .process_tree import began_at

T = TypeVar("T")


def default_path() -> Path:
    """The store's file in the user's data folder."""
    from platformdirs import user_data_dir

    return Path(user_data_dir("jupyter-energy", appauthor=False)) / "energy.sqlite"


@dataclass(frozen=True, slots=True)
class Mark:
    """How far records have been read: to which row of the database, to which byte of each journal,
    and which runs were read from a journal before the database had them."""

    row: int = 0
    offsets: Mapping[str, int] = field(default_factory=dict)
    loose: frozenset[str] = frozenset()


class Store:
    """What is kept between kernels. Opened by the first call that needs it; one thread at a time.

    `warnings` holds what the user should be told, each once. Every method raises StoreError
    where the file cannot be used; a record that was not appended can be appended again later.
    `host` is this machine's name; `procfs` is moved in tests.
    """

    def __init__(self, path: Path, host: str | None = None, procfs: Path = Path("/proc")) -> None:
        self.path = Path(path)
        self._host = host if host is not None else platform.node()
        self._procfs = procfs
        self._database = Database(self.path, procfs)
        self.journals = Journals(self.path, self._host, procfs)
        self._cells: set[tuple[str, str]] = set()  # (notebook, cell) known to be in the open file
        self._cells_of = 0  # the generation of the file that they are in
        self.trouble: str | None = None  # why only the journals can be read

    @property
    def warnings(self) -> list[str]:
        """What the user should be told, each once."""
        return self._database.warnings

    @property
    def generation(self) -> int:
        """How often the file was opened: after a new one, it may be another."""
        return self._database.generation

    def open(self) -> None:
        """Make the file and its tables, or bring them up to date."""
        self._database.run(lambda _connection: None)

    def check_writable(self) -> None:
        """Raises StoreError where nothing could be kept: a file that opens may be read-only.

        Nothing is changed. Another program's write is waited out as when opening.
        """
        self._database.check_writable()

    def check(self, within_s: float) -> bool:
        """Whether every page of the file was found sound within this time; a damaged file is set
        aside, and what can be read is taken over."""
        return self._database.check(within_s)

    def close(self) -> None:
        """Let go of the file. A later call opens it again."""
        self._database.close()

    def read(self, call: Callable[[Connection], T], nothing: T) -> T:
        """The answer of `call`, or `nothing` where there is no file (reading makes none) or none
        that can be used: what journals hold can still be read, and `trouble` says why."""
        try:
            answer = self._database.read(call, nothing)
        except StoreError as error:
            if error.kind not in ("newer", "unusable", "foreign"):
                raise
            self.trouble = str(error)
            self._warn(self.trouble)
            return nothing
        self.trouble = None
        return answer

    def write(self, call: Callable[[Connection], T]) -> T:
        """The answer of `call`, made within a transaction: all or nothing."""
        return self._database.write(call)

    # --- runs -------------------------------------------------------------------------------

    def append(self, *records: Record) -> None:
        """Keep records; the same `run_id` a second time takes the place of the first."""
        rows = [run_rows.record_row(record) for record in records]
        cells = {
            (record.notebook_id, record.cell_id)
            for record in records
            if record.cell_id is not None and is_cell_id(record.cell_id)
        }
        self.open()
        if self._cells_of != self.generation:
            self._cells.clear()
            self._cells_of = self.generation

        def write(connection: Connection) -> None:
            for row in rows:
                run_rows.add_record(connection, row)
            for notebook_id, cell_id in sorted(cells - self._cells):
                notebook_rows.add_cells(connection, notebook_id, [cell_id])

        self._database.write(write)
        self._cells |= cells

    def records(self, notebook_id: str, session_id: str | None = None) -> list[Record]:
        """A notebook's records in the order they began, of one session or of all."""
        # The journals first: what is taken from them into the database meanwhile is found there.
        cut = loose.lost(self.journals, notebook_id, session_id)
        records = self.records_after(Mark(), notebook_id, session_id)[0]
        known = {record.run_id for record in records}
        lost = [r for r in cut if r.run_id not in known]
        return sorted(records + lost, key=lambda r: r.start) if lost else records

    def records_after(
        self, since: Mark, notebook_id: str, session_id: str | None = None
    ) -> tuple[list[Record], Mark]:
        """The records that were kept since the call that gave `since`, and what to give next time.

        `Mark()` stands for all. Where another file has taken the store's place, all are new.
        """
        # As in `records`.
        beside, offsets = loose.of_notebook(self.journals, since.offsets, notebook_id, session_id)
        unseen = beside.keys() - since.loose

        def look(connection: Connection) -> tuple[frozenset[str], list[tuple[int, str, str]]]:
            # What it holds before what is new in it: each of these reads the file as it is then,
            # and a record that comes between the two is found by the second.
            held = run_rows.held(connection, unseen)
            return held, run_rows.documents_after(connection, since.row, notebook_id, session_id)

        nothing: tuple[frozenset[str], list[tuple[int, str, str]]] = frozenset(), []
        held, found = self.read(look, nothing)
        stored = {run_id for _, run_id, _ in found}
        fresh = {n: e for n, e in beside.items() if n in unseen and n not in held | stored}
        if fresh:
            first = self._pruned_before()
            fresh = {
                name: entry
                for name, entry in fresh.items()
                if not run_rows.ended_before(entry.document, first)
            }
        documents = [text for _, run_id, text in found if run_id not in since.loose]
        # What a damaged index names twice, or of another notebook, is none of this one's.
        own = {r.run_id: r for r in run_rows.readable(documents) if r.notebook_id == notebook_id}
        beside_it = run_rows.readable([entry.document for entry in fresh.values()])
        records = [*own.values(), *(replace(r, notebook_id=notebook_id) for r in beside_it)]
        if unread := len(documents) + len(fresh) - len(records):
            said = f"{unread} records in {self.path} cannot be read; totals leave them out"
            self._warn(Loss(said))
        row = max((row for row, _, _ in found), default=since.row)
        mark = Mark(row, offsets, (since.loose - stored) | fresh.keys())
        return (sorted(records, key=lambda r: r.start) if fresh else records), mark

    def restate(
        self, notebook_id: str, change: Callable[[Record], Record]
    ) -> list[tuple[Record, Record]]:
        """Have `change` make the grams of all records of a notebook again, all or none of them;
        each record as it was and as it is now."""
        return self._database.write(lambda c: run_rows.restate(c, notebook_id, change))

    def restatements(self, notebook_id: str) -> int:
        """A number that another one follows each time that a notebook's grams are restated."""
        return self.read(lambda c: run_rows.restatements(c, notebook_id), 0)

    def book_idle(self, *idles: Idle) -> None:
        """Keep what was drawn between two cells; the same again changes nothing."""

        def write(connection: Connection) -> None:
            for idle in idles:
                run_rows.add_idle(connection, idle)

        self._database.write(write)

    def idles(self, notebook_id: str, session_id: str | None = None) -> list[Idle]:
        """What was drawn between a notebook's cells, of one session or of all."""
        beside, _ = loose.of_notebook(self.journals, {}, notebook_id, session_id, "idle")
        found: list[Idle] = self.read(lambda c: run_rows.idles(c, notebook_id, session_id), [])
        known = {idle.idle_id for idle in found}
        first = self._pruned_before() if beside else ""
        for name, entry in beside.items():
            with suppress(KeyError, TypeError, ValueError):
                idle = idle_from_document(loads(entry.document))
                gone = name in known or utc_text(idle.measurement.start) < first
                found += [] if gone else [replace(idle, notebook_id=notebook_id)]
        return found

    def keep_power(self, run_id: str, trace: PowerTrace) -> None:
        """Keep the power trace of a run."""
        self._database.run(lambda connection: power_rows.keep(connection, run_id, trace))

    def power(self, run_id: str) -> PowerTrace | None:
        """The power trace of a run, or None where it has none."""

        def stored() -> PowerTrace | None:
            return self.read(lambda c: power_rows.find(c, run_id), None)

        documents = loose.traces(self.journals, run_id)
        beside = (power_rows.readable(document, run_id) for document in documents)
        # Asked again, since it may have gone from a journal into the database meanwhile.
        return stored() or next(filter(None, beside), None) or stored()

    def traced(self, notebook_id: str) -> frozenset[str]:
        """The ids of a notebook's runs that have a power trace."""
        beside = loose.of_notebook(self.journals, {}, notebook_id, None, "power")[0].keys()
        stored: frozenset[str] = self.read(lambda c: power_rows.traced(c, notebook_id), frozenset())
        return stored | beside

    # --- at the same time -------------------------------------------------------------------

    def others_at_once(self, records: Sequence[Record]) -> int:
        """How many other notebooks drew from the same devices of a host while these records ran.

        Only those that keep their records in this file can be known.
        """
        others: list[Spell] = self.read(
            lambda connection: list(run_rows.meanwhile(connection, records, self._procfs)), []
        )
        return others_at_once(map(spell_of, records), others)

    def announce(self, spell: Spell) -> None:
        """Let other kernels know that this process has a cell that runs. Where the system does not
        tell one process from the next, they are not told."""
        pid = os.getpid()
        began = began_at(pid, self._procfs)
        if began is not None:
            self._database.run(lambda c: run_rows.announce(c, spell, pid, began))

    def withdraw(self, session_id: str) -> None:
        """Let them know that it has ended."""
        self._database.run(lambda connection: run_rows.withdraw(connection, session_id))

    # --- notebooks --------------------------------------------------------------------------

    def notebook_for(self, ref: NotebookRef) -> Notebook:
        """The notebook that `ref` is, by the rule of `identity.match`; made where it is new.

        A renamed notebook keeps its id and takes the new path; a copy gets an id of its own.
        """
        beside = self.journals.known()
        return self._database.write(lambda c: self._settled(c, ref, beside, self._host))

    def notebook_beside(self, ref: NotebookRef) -> Notebook:
        """The same where the database cannot be written: what is found or made here is written
        nowhere, but for the caller's journal."""
        known = self.journals.known()
        with suppress(StoreError):  # nor be read
            known = self._candidates(ref)
        found = match(ref, known, self._host)
        if found.known is not None and found.verdict in ("same", "renamed"):
            return Notebook(found.known.id, ref.path or found.known.path, ref.name)
        return Notebook(notebook_rows.new_id(), ref.path, ref.name)

    def find_notebook(self, ref: NotebookRef) -> Notebook | None:
        """The notebook that `ref` is, or None where the store knows none. Writes nothing."""
        found = match(ref, self._candidates(ref), self._host)
        if found.known is None or found.verdict == "copied":
            return None
        return Notebook(found.known.id, ref.path, ref.name)

    def note_path(self, notebook_id: str, path: str) -> None:
        """The notebook now lies at `path`; one that the store knew there no longer does."""
        name = Path(path).name
        self._database.write(lambda c: notebook_rows.place(c, notebook_id, path, name, self._host))

    def _candidates(self, ref: NotebookRef) -> list[Known]:
        beside = self.journals.known()
        found: list[Known] = self.read(lambda c: notebook_rows.candidates(c, ref), [])
        ids = {known.id for known in found}
        return found + [known for known in beside if known.id not in ids]

    def _settled(
        self, connection: Connection, ref: NotebookRef, beside: Iterable[Known], host: str
    ) -> Notebook:
        found = notebook_rows.candidates(connection, ref)
        ids = {known.id for known in found}
        found += [known for known in beside if known.id not in ids]
        return notebook_rows.settle(connection, ref, match(ref, found, host), host)

    # --- journals ---------------------------------------------------------------------------

    def begin_journal(self, session_id: str) -> Journal:
        """A new journal of this process. Raises OSError."""
        return self.journals.begin(session_id)

    def absorb(self) -> int:
        """Take what processes that have ended left in their journals into the database; how many
        of their runs were cut short.

        A journal is deleted once the database has all of it. One that cannot be taken in keeps no
        other out.
        """
        lost = 0
        for name in self.journals.names():
            try:
                lost += self._absorb(name)
            except StoreError:
                raise
            except Exception as error:  # noqa: BLE001  whatever somebody else has written there
                why = f"{type(error).__name__}: {error}"
                self._warn(
                    f"the journal {name} of the store {self.path} cannot be read: {why:.200}"
                )
        return lost

    def _absorb(self, name: str) -> int:
        for _ in self.journals.read(name):
            pass  # whose it is, it says itself
        if not self.journals.is_over(name):
            return 0
        # Read once more: its process may have written between the first time and its end.
        size_bytes = self.journals.size_bytes(name)
        lost = self._take_in(name, over=True)
        self.journals.remove(name, size_bytes)
        return lost

    def take_in(self, name: str) -> None:
        """Take what lies in a journal that goes on into the database."""
        self._take_in(name, over=False)

    def _take_in(self, name: str, over: bool) -> int:
        said, beside = self.journals.described(name), self.journals.known()
        host = said.process.host if said.process is not None else self._host

        def settled(connection: Connection, ref: NotebookRef) -> str:
            return self._settled(connection, ref, beside, host).id

        def entries() -> Iterator[Entry]:
            return (entry for entry, _, _ in self.journals.read(name))

        return take_in(self._database.write, entries, said, settled, over)

    def loose(self) -> list[Record]:
        """The records of all notebooks that lie in journals, finished or cut short; the database
        may have them too."""
        return loose.records(self.journals)

    def _pruned_before(self) -> str:
        """The first day that was not pruned: what ended before it is not looked at in journals."""
        nothing = ""
        return self.read(pruned_before, nothing)

    # --- small things -----------------------------------------------------------------------

    def _warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)

"""One run from the shell: where its records go, and the rows printed so far."""

from __future__ import annotations

import os
import tempfile
import uuid
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ..aside import kept
from ..errors import StoreError
from ..identity import NotebookRef
from ..model import Idle, Record
from ..schema import NotebookJson, SummaryJson, cell_from_records
from ..store import Mark, Store
from ..summary import summarise
from ..version import version
from .base import Context
from .unwritable import explained

# What begins the lines that we write on a kernel's stderr.
OURS = "jupyter-energy: "


class Session:
    """One run: where its records go, and the rows printed so far.

    What runs writes journals beside the store, so that nobody waits for a database that is locked;
    where not even those can be written, all of it goes into a store in a temporary folder, and
    `keep` asks once more. `keep()` once, when it has ended.
    """

    def __init__(self, context: Context, ref: NotebookRef, quiet: bool) -> None:
        self.context, self.ref, self.quiet = context, ref, quiet
        self.session_id = uuid.uuid4().hex
        self._last = Mark()  # up to where records have been printed
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self.wanted_path = self.store_path = context.settings.store_path()
        self._answers = True  # the database, when it was last asked
        self._told = False  # that the database has not taken all
        self._relayed: list[str] = []  # what kernels have said of records that are lost
        self._aside = set(kept(self.wanted_path))  # damaged files of before
        try:
            Store(self.wanted_path).begin_journal(self.session_id).remove()
        except OSError as error:
            context.tell(
                f"{explained(self.wanted_path, error)}. "
                "This run is measured, and kept if it can be when it ends."
            )
            with suppress(OSError):  # what runs keeps its records in memory then
                self._folder = tempfile.TemporaryDirectory(prefix="jupyter-energy-")
                self.store_path = Path(self._folder.name) / "energy.sqlite"

    def environment(self) -> dict[str, str]:
        """The environment of the kernel or script that is run.

        A notebook's kernel works in another folder, so paths are those from the root.
        """
        replay = self.context.settings.machine(os.environ).replay
        return {
            **os.environ,
            **({} if replay is None else {"JUPYTER_ENERGY_REPLAY": str(replay.absolute())}),
            "JUPYTER_ENERGY_SESSION": self.session_id,
            "JUPYTER_ENERGY_STORE": str(self.store_path.absolute()),
            "JUPYTER_ENERGY_NOTEBOOK": str(self.ref.path),
        }

    def records(self) -> list[Record]:
        """What the store holds of this run."""
        return self._records_after(Mark())[0]

    def print_new_rows(self) -> None:
        """Print a row for each record that has come since the last call."""
        from ..display.text import run_row

        # Not all of the run's: after each cell of a long notebook that would be read again.
        records, self._last = self._records_after(self._last)
        for record in records:
            if not self.quiet and (record.within is None or record.name):
                self.context.out(run_row(cell_from_records([record])))

    def keep(self) -> None:
        """Have the store take what it could not take before; tell where it still does not."""
        store = Store(self.wanted_path)
        try:
            if self._folder is not None:
                self._hand_over(store)
            elif not self._told:  # else it has just been waited for
                store.absorb()
                self._answers = True
        except StoreError as error:
            self.tell_not_taken(error)
        finally:
            store.close()
        for text in store.warnings:
            self.context.tell(text)
        told = [*self._relayed, *store.warnings]
        for path in sorted(set(kept(self.wanted_path)) - self._aside):
            if not any(path.name in line for line in told):
                self.context.tell(
                    f"the store {self.wanted_path} was damaged; it is kept as {path.name}, and "
                    "what could be read is taken over"
                )

    def relay(self, text: str) -> None:
        """Tell what a kernel has said on stderr of records that are lost, or may be, each line
        once: the output of its cell, where it says so, may be shown to nobody. What keeps the
        database from being written, while nothing is lost, `keep` finds itself."""
        for line in text.splitlines():
            ours = line.startswith(OURS) and str(self.store_path) in line
            if ours and "lost" in line and line not in self._relayed:
                self._relayed.append(line)
                self.context.err(line)

    def tell_not_taken(self, error: StoreError) -> None:
        """Say where this run's records are, since the database did not take them."""
        if self._told:
            return
        self._told = True
        if self._folder is not None:
            self.context.tell(f"{error}. This run was measured but not kept.")
        else:
            folder = Store(self.wanted_path).journals.folder
            what = "could be kept of this run" if self._relayed else "this run has measured"
            self.context.tell(f"{error}. What {what} is safe in {folder}.")

    def _hand_over(self, store: Store) -> None:
        """Write into the store what lies in the temporary one. Raises StoreError."""
        records = self.records()
        store.check_writable()
        if records:
            old = Store(self.store_path)
            try:
                notebook_id = store.notebook_for(self.ref).id
                store.append(*(replace(r, notebook_id=notebook_id) for r in records))
                idles = old.idles(records[0].notebook_id, self.session_id)
                store.book_idle(*(replace(i, notebook_id=notebook_id) for i in idles))
                for run_id in old.traced(records[0].notebook_id):
                    if (trace := old.power(run_id)) is not None:
                        store.keep_power(run_id, trace)
            finally:
                old.close()
        self.store_path = self.wanted_path

    def _records_after(self, last: Mark) -> tuple[list[Record], Mark]:
        store = Store(self.store_path)
        try:
            found: list[Record] = []
            notebook_id, mark = "", last
            # Before the database, which takes them in: what comes to lie there is found there.
            beside = store.loose() if last == Mark() else []
            if self._answers:
                try:
                    if (notebook := store.find_notebook(self.ref)) is not None:
                        notebook_id = notebook.id
                        found, mark = store.records_after(last, notebook_id, self.session_id)
                except StoreError:
                    self._answers = False  # not even to readers: nobody is to wait for it again
            if not self._answers or last == Mark():
                # Some process may have ended before it knew which notebook its records are of.
                told = mark.loose.union(r.run_id for r in found)
                beside = beside if self._answers else store.loose()
                more = [r for r in beside if self._is_own(r) and r.run_id not in told]
                found += [replace(r, notebook_id=r.notebook_id or notebook_id) for r in more]
                mark = replace(mark, loose=mark.loose.union(r.run_id for r in more))
            return sorted(found, key=lambda r: r.start), mark
        finally:
            store.close()

    def _is_own(self, record: Record) -> bool:
        """Whether a record is of this run, and found by no notebook's id."""
        return record.session_id == self.session_id and not (self._answers and record.notebook_id)

    def summary(self) -> SummaryJson:
        """The summary of this run."""
        records = self.records()
        idles: list[Idle] = []
        others = 0
        if records and self._answers:
            store = Store(self.store_path)
            with suppress(StoreError):  # those are told beside the figures
                idles = store.idles(records[0].notebook_id, self.session_id)
                others = store.others_at_once([r for r in records if r.within is None])
            store.close()
        named = NotebookJson(
            id=records[0].notebook_id or None if records else None,
            path=self.ref.path,
            name=self.ref.name,
        )
        return summarise(named, records, version(), idles, others)

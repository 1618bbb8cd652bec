"""One run from the shell: where its records go, and the rows printed so far."""

from __future__ import annotations

import os
import tempfile
import uuid
from pathlib import Path

from ..errors import StoreError
from ..identity import NotebookRef
from ..model import Idle, Record
from ..schema import NotebookJson, SummaryJson, cell_from_records
from ..store import Mark, Store
from ..summary import summarise
from ..version import version
from .base import Context


class Session:
    """One run: where its records go, and the rows printed so far."""

    def __init__(self, context: Context, ref: NotebookRef, quiet: bool) -> None:
        self.context, self.ref, self.quiet = context, ref, quiet
        self.session_id = uuid.uuid4().hex
        self._last = Mark()  # up to where records have been printed
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self.store_path = context.settings.store_path()
        try:
            store = Store(self.store_path)
            store.check_writable()
            store.close()
            for text in store.warnings:
                context.err(f"jupyter-energy: {text}")
        except StoreError as error:
            # The run goes on and its figures are printed; they only cannot be kept.
            self._folder = tempfile.TemporaryDirectory(prefix="jupyter-energy-")
            self.store_path = Path(self._folder.name) / "energy.sqlite"
            context.err(f"jupyter-energy: {error}. This run is measured but not kept.")

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

    def _records_after(self, last: Mark) -> tuple[list[Record], Mark]:
        store = Store(self.store_path)
        try:
            notebook = store.find_notebook(self.ref)
            if notebook is None:
                return [], last
            return store.records_after(last, notebook.id, self.session_id)
        finally:
            store.close()

    def summary(self) -> SummaryJson:
        """The summary of this run."""
        records = self.records()
        idles: list[Idle] = []
        others = 0
        if records:
            store = Store(self.store_path)
            try:
                idles = store.idles(records[0].notebook_id, self.session_id)
                others = store.others_at_once([r for r in records if r.within is None])
            finally:
                store.close()
        named = NotebookJson(
            id=records[0].notebook_id if records else None, path=self.ref.path, name=self.ref.name
        )
        return summarise(named, records, version(), idles, others)

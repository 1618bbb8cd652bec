"""The result of a shown cell: in its output, in its variable, and made better a moment later."""

from __future__ import annotations

import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from .answer import Answer
from .magic_line import Shown
from .model import Record

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


class Result:
    """A record as a cell shows it: under a display id, so that a better one can take its place.

    `bar` is the display id of a progress bar whose place it takes, or None.
    """

    def __init__(
        self, shell: InteractiveShell, asked: Shown, record: Record, bar: str | None
    ) -> None:
        self._shell = shell
        self._asked = asked
        self._record = record
        self._display_id = bar or uuid.uuid4().hex
        self._updates = bar is not None
        self._parent = getattr(shell, "parent_header", None)

    def show(self) -> None:
        """Show it in the output of the cell that runs, unless nothing is to be shown."""
        if self._asked.quiet:
            return
        from .display.bundle import show

        show(self._bundle(self._record), self._display_id, update=self._updates)

    def refine(self, refined: Answer[Record]) -> None:
        """Put a better record in its place; called on another thread, after the cell."""
        with suppress(Exception):  # what is shown stands, and the store has the better one
            record = refined.result()
            if record.measurement == self._record.measurement:
                return
            self._put_in_variable(record)
            if not self._asked.quiet:
                self._replace(record)

    def _put_in_variable(self, record: Record) -> None:
        name, namespace = self._asked.variable, self._shell.user_ns
        if name is not None and namespace.get(name) is self._record:
            namespace[name] = record

    def _replace(self, record: Record) -> None:
        """Send the better one with the cell's own parent: what a thread displays would be taken
        for output of the cell that runs now (jupyter.md 2c)."""
        kernel: Any = getattr(self._shell, "kernel", None)
        if kernel is None or self._parent is None:
            return
        content = {
            "data": self._bundle(record),
            "metadata": {},
            "transient": {"display_id": self._display_id},
        }
        kernel.session.send(
            kernel.iopub_socket,
            "update_display_data",
            content,
            parent=self._parent,
            ident=b"update_display_data",
        )

    def _bundle(self, record: Record) -> dict[str, object]:
        from .display.bundle import cell_bundle
        from .schema import cell_from_records

        return cell_bundle(cell_from_records([record]))

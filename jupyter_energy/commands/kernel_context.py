"""Commands given in a notebook: output goes to the cell, the monitor is the kernel's."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from ..config import Energy
from ..errors import StoreError, WrongUse
from ..identity import Notebook, NotebookRef
from ..model import Idle, Record
from ..monitor import Monitor
from ..plain_text import printable


class KernelContext:
    """A command's surroundings in a kernel that has the extension loaded."""

    in_notebook = True
    command = "%energy"

    def __init__(self, monitor: Monitor, key: str | None = None) -> None:
        self.environ: Mapping[str, str] = os.environ
        self.settings: Energy = monitor.settings
        self._monitor = monitor
        self._key = key  # which of the kernel's notebooks the command was given in (pages.py)

    def out(self, text: str) -> None:
        """Show text in the cell's output."""
        print(printable(text))

    def err(self, text: str) -> None:
        """Show a message in the cell's output, on stderr."""
        print(printable(text), file=sys.stderr)

    def tell(self, text: str) -> None:
        """Tell something that happened, once a kernel, behind the cell's output."""
        if not self._monitor.has_told(text):
            self._monitor.tell(f"asked: {text}", text)

    def show(self, bundle: Mapping[str, object], alt: str | None = None) -> None:
        """Show a MIME bundle in the cell's output."""
        from ..display.bundle import show

        show(bundle, alt=alt)

    def monitor(self) -> Monitor:
        """The kernel's monitor."""
        return self._monitor

    def monitor_for(self, ref: NotebookRef, session_id: str) -> Monitor:
        """The kernel's monitor measures its own notebook only."""
        raise WrongUse(f"{ref.name}: run it from a shell")

    def notebook(self) -> NotebookRef:
        """This notebook."""
        return self._monitor.notebook(self._key)

    def known_notebook(self) -> Notebook | None:
        """This notebook, once the store has taken what waits, as far as it answers."""
        with suppress(StoreError):
            self._monitor.flush()
        return self._monitor.known_notebook(self._key)

    def pending(self) -> list[Record]:
        """Records that the store could not take yet."""
        return self._monitor.pending(self._key)

    def pending_idle(self) -> list[Idle]:
        """What was drawn between cells and is written with the next record."""
        return self._monitor.idle.pending(self._key)

    def session_id(self) -> str:
        """This kernel's session."""
        return self._monitor.session_id

    def zone(self) -> tuple[str | None, str]:
        """The zone that counts and where it was said."""
        return self._monitor.zone()

    def pue(self) -> float:
        """The power usage effectiveness that counts."""
        return self.settings.pue

    def remember(self, key: str, value: object) -> Path:
        """Keep a setting, and set it in this kernel at once. Raises EnergyError."""
        from ..settings import write

        file = write(key, value)  # first: where it fails, the kernel stays as it was
        self.settings.remember(key, value)
        return file

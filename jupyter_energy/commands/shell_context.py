"""Commands given in a shell: text to stdout, messages to stderr, a monitor only when needed."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from ..config import Energy
from ..errors import EnergyError
from ..identity import Notebook, NotebookRef, from_script
from ..model import Idle, Record
from ..monitor import Monitor
from ..plain_text import printable
from ..settings import read, write


class ShellContext:
    """A command's surroundings in a shell."""

    in_notebook = False
    command = "jupyter energy"

    def __init__(self) -> None:
        self.environ: Mapping[str, str] = os.environ
        remembered = read()
        self.settings = Energy(environ=self.environ, file=remembered.values)
        self._monitor: Monitor | None = None
        for text in filter(None, (remembered.warning, *self.settings.complaints)):
            self.err(f"jupyter-energy: {text}")
        self.settings.complaints.clear()

    def out(self, text: str) -> None:
        """Print text; nothing in it can steer the terminal, whatever file it is of."""
        try:
            print(printable(text), flush=True)
        except BrokenPipeError:
            # The reader went away (`| head`): nobody is left to be told, not even by the
            # interpreter's flush at exit. What we do, and the exit status, are the same.
            sys.stdout = None
        except OSError as error:
            # A full disk behind `>`. Nor can the interpreter's flush at exit write it.
            sys.stdout = None
            why = error.strerror or str(error)
            raise EnergyError(f"the output could not be written: {why}") from error

    def err(self, text: str) -> None:
        """Print a message on stderr."""
        print(printable(text), file=sys.stderr, flush=True)

    def tell(self, text: str) -> None:
        """Tell something that happened, on stderr."""
        self.err(f"jupyter-energy: {text}")

    def show(self, bundle: Mapping[str, object], alt: str | None = None) -> None:
        """Print a bundle's plain text."""
        self.out(str(bundle["text/plain"]))

    def monitor(self) -> Monitor:
        """A monitor of this process, started at the first call."""
        return self.monitor_for(from_script(self.environ, []), None)

    def monitor_for(self, ref: NotebookRef, session_id: str | None) -> Monitor:
        """A monitor of this process, whose records belong to `ref`."""
        if self._monitor is None:
            self._monitor = Monitor(self.settings, lambda _: ref, self.environ, session_id)
            self._monitor.start()
        return self._monitor

    def close(self) -> None:
        """End the monitor, if there is one."""
        if self._monitor is not None:
            self._monitor.close()

    def notebook(self) -> NotebookRef | None:
        """A shell is in no notebook."""
        return None

    def known_notebook(self) -> Notebook | None:
        """A shell is in no notebook."""
        return None

    def pending(self) -> list[Record]:
        """Nothing waits in a shell."""
        return []

    def pending_idle(self) -> list[Idle]:
        """Nothing waits in a shell."""
        return []

    def session_id(self) -> None:
        """A shell has no session."""

    def zone(self) -> tuple[str | None, str]:
        """The zone that counts and where it was said."""
        return self.settings.zone, self.settings.origin("zone")

    def pue(self) -> float:
        """The power usage effectiveness that counts."""
        return self.settings.pue

    def remember(self, key: str, value: object) -> Path:
        """Keep a setting. Raises EnergyError."""
        file = write(key, value)
        # Asked for anew, since the environment may say something stronger.
        self.settings = Energy(environ=self.environ, file=read().values)
        return file

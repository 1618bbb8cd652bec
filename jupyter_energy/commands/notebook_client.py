"""Runs a notebook in a kernel of its own, with every cell measured there.

Built on nbclient, which this module imports; so `run` imports it only when it is needed.
"""

from __future__ import annotations

import asyncio
import atexit
import re
import signal
import sys
import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import zmq
from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.session import Session as MessageSession
from nbclient import NotebookClient
from nbclient.exceptions import CellControlSignal, CellExecutionError, DeadKernelError
from traitlets import default

from ..errors import EnergyError, NoSuchNotebook, WrongUse
from . import ending

if TYPE_CHECKING:
    from .session import Session

# Loaded without IPython's extension manager, so that a notebook's own `%load_ext` finds nothing
# loaded and prints nothing that it would not print without us. Sensors are looked for on another
# thread: nobody waits for a first cell here, so it begins when they are found and misses none.
LOAD = (
    "__import__('jupyter_energy').load_ipython_extension(get_ipython())\n"
    "__import__('jupyter_energy.magics', fromlist=['loaded_in'])"
    ".loaded_in(get_ipython()).monitor.sampler.wait_until_found({limit_s})"
)
# Kernels colour their tracebacks (ECMA-48, "select graphic rendition").
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
NOT_THERE = (
    "the kernel {name!r} cannot load jupyter-energy ({error}); install jupyter-energy in that "
    "kernel's environment"
)
NOT_STARTED = "the kernel {name!r} could not be started: {error}"

FIND_S = 5.0
# A cell that is to end has this long before its kernel is killed: batch systems and containers
# kill a process that does not end within 10 s or more of SIGTERM.
GRACE_S = 5.0


class CellSession(MessageSession):
    """Tells the kernel the id of the cell that a request runs, as JupyterLab does."""

    cell_id: str | None = None

    def msg(self, msg_type: str, *args: Any, **keywords: Any) -> dict[str, Any]:
        """A message; requests to execute carry the cell's id in their metadata."""
        message = super().msg(msg_type, *args, **keywords)
        if msg_type == "execute_request" and self.cell_id is not None:
            message["metadata"]["cellId"] = self.cell_id
        return message


class CellKernelManager(AsyncKernelManager):
    """Starts kernels whose messages carry cell ids."""

    @default("session")
    def _cell_session(self) -> CellSession:
        return CellSession(parent=self)

    @default("transport_encryption")
    def _encrypted_if_possible(self) -> str:
        # ipykernel 7.3 and newer warn on stderr of a kernel that is not (older clients have no
        # such trait, and their kernels no such warning).
        return "auto" if zmq.has("curve") else "disabled"


class InterruptedRun(Exception):
    """The user pressed Ctrl-C, and the cell that ran then has ended."""


class Client(NotebookClient):
    """Leaves the handling of signals to us: nbclient's own ends the kernel under the cell.

    The first Ctrl-C interrupts the cell that runs, so that it ends and its record is kept; the
    second kills the kernel. What is to end us does both, with some time in between. Where a loop
    takes no signal handlers (Windows), the default stays.
    """

    cell_runs = False
    interrupts = 0
    ended_by = 0  # the signal that is to end us, if one came

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._heard: list[signal.Signals] = []
        self._tasks: list[asyncio.Task[None]] = []  # a loop keeps no hold of its tasks
        self._loop: asyncio.AbstractEventLoop | None = None

    async def async_start_new_kernel(self, **kwargs: Any) -> None:
        """Start the kernel, with Ctrl-C in our hands from here on."""
        self._loop = loop = asyncio.get_running_loop()
        run = asyncio.current_task()
        with suppress(NotImplementedError):
            loop.remove_signal_handler(signal.SIGTERM)  # nbclient's
            self._heard = [signal.SIGINT, *ending.that_end()]
            for number in self._heard:
                loop.add_signal_handler(number, self._hear, number, run)
        await super().async_start_new_kernel(**kwargs)

    def end(self) -> None:
        """Let go of whatever a run that did not end by itself has left; safe at any time."""
        # At exit it would fail on a kernel that has gone since.
        atexit.unregister(self._cleanup_kernel)
        if self.km is not None:
            self._cleanup_kernel()
        if self._loop is not None and not self._loop.is_closed():
            with suppress(NotImplementedError):
                for number in self._heard:
                    self._loop.remove_signal_handler(number)

    def _hear(self, number: signal.Signals, run: asyncio.Task[Any] | None) -> None:
        assert self._loop is not None
        self._tasks.append(self._loop.create_task(self._interrupt(run)))
        if number != signal.SIGINT and not self.ended_by:
            self.ended_by = number
            self._loop.call_later(GRACE_S, self._hear, number, run)

    def stopped(self) -> str:
        """How the user has stopped the run, in words."""
        by = f" by {signal.Signals(self.ended_by).name}" if self.ended_by else ""
        return f"interrupted{by}"

    async def _interrupt(self, run: asyncio.Task[Any] | None) -> None:
        manager: Any = self.km
        self.interrupts += 1
        if self.interrupts == 1:
            if self.cell_runs:  # else there is nothing to interrupt, and no next cell begins
                await manager.interrupt_kernel()
        elif self.interrupts == 2 and run is not None:
            if manager is not None and await manager.is_alive():
                await manager.signal_kernel(signal.SIGKILL)
            run.cancel()


class Execution:
    """One run of a notebook: what happens before the first cell, and around each."""

    def __init__(self, notebook: Any, kernel_name: str, session: Session) -> None:
        self._session = session
        self._kernel_name = kernel_name
        self.client = Client(
            notebook,
            timeout=None,
            kernel_name=kernel_name,
            kernel_manager_class=CellKernelManager,
            on_notebook_start=self._load,
            on_cell_execute=self._begin_cell,
            on_cell_executed=self._cell_ended,
            # Its times would be written into the metadata of every cell of the executed copy.
            record_timing=False,
        )

    async def _load(self, **_: Any) -> None:
        """Load the extension in the kernel, silently."""
        self._end_if_interrupted()
        client: Any = self.client.kc
        load = LOAD.format(limit_s=FIND_S)
        message_id = client.execute(load, silent=True, store_history=False)
        reply = await self.client.async_wait_for_reply(message_id)
        self._end_if_interrupted()
        content = {} if reply is None else reply["content"]
        if content.get("status") != "ok":
            error = f"{content.get('ename', 'no answer')}: {content.get('evalue', '')}"
            raise WrongUse(NOT_THERE.format(name=self._kernel_name, error=error))

    def _begin_cell(self, cell: Any, **_: Any) -> None:
        self._end_if_interrupted()
        # The client has a clone of the manager's session, and it is the client that asks.
        client: Any = self.client.kc
        # nbformat makes up the ids that a file lacks, others at each reading: they tell no cell.
        found = cell.get("id")
        client.session.cell_id = found if found in self._session.ref.cell_ids else None
        self.client.cell_runs = True

    def _cell_ended(self, cell: Any, **_: Any) -> None:
        self.client.cell_runs = False
        for output in cell.get("outputs", ()):
            if output.get("name") == "stderr":
                self._session.relay(str(output.get("text", "")))
        self.print_rows()
        self._end_if_interrupted()  # also where the cell caught it, or may fail

    def _end_if_interrupted(self) -> None:
        if self.client.interrupts:
            raise InterruptedRun

    def print_rows(self) -> None:
        """Print the rows of the records that have come."""
        try:
            self._session.print_new_rows()
        except EnergyError as error:
            self._session.context.err(f"jupyter-energy: {error}")

    def run(self, folder: Path) -> str | None:
        """Run every cell in `folder`; what went wrong in the user's code, or None."""
        # With --json our stdout is one document; what the kernel's own subprocesses print goes
        # there past the messages that carry a cell's output.
        streams = {"stdout": sys.stderr} if self._session.quiet else {}
        try:
            self.client.execute(cwd=str(folder), env=self._session.environment(), **streams)
        except (InterruptedRun, KeyboardInterrupt, asyncio.CancelledError):
            return self.client.stopped()
        except DeadKernelError:
            return self.client.stopped() if self.client.interrupts else self._death()
        except (CellExecutionError, CellControlSignal) as error:
            text = str(error).strip()
            return COLOURS.sub("", text)
        except (RuntimeError, OSError) as error:
            if self.client.interrupts:
                return self.client.stopped()
            if self.client.code_cells_executed:
                raise
            raise WrongUse(NOT_STARTED.format(name=self._kernel_name, error=error)) from None
        finally:
            self.client.end()
            self.print_rows()
        return self.client.stopped() if self.client.interrupts else None

    def _death(self) -> str:
        """What a kernel that died leaves to say."""
        if not self.client.cell_runs:
            return "the kernel died before the first cell"
        number = self.client.code_cells_executed
        return f"the kernel died in [{number}]: what that cell drew is not known"


def execute(path: Path, session: Session, output: str | None) -> int:
    """Run every cell of a notebook, printing a row after each; 1 when one failed, or below 0 the
    signal that ended the run.

    1 as well where the executed copy could not be written; both are said.

    Raises NoSuchNotebook for a file that is none, WrongUse where its kernel is not here or has
    no jupyter-energy.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of ids that are missing: the notebook runs without
            notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]  # nbformat has no types
    except (nbformat.reader.NotJSONError, nbformat.ValidationError, ValueError, KeyError) as error:
        raise NoSuchNotebook(f"{path} is no notebook: {str(error).splitlines()[0]}") from None
    execution = Execution(notebook, _kernel_for(notebook, session), session)
    failure = execution.run(path.resolve().parent)
    unwritten = None if output is None else _write(notebook, output)
    for text in (failure and f"{path}: {failure}", unwritten):
        if text is not None:
            session.context.err(text)
    if execution.client.ended_by:
        return -execution.client.ended_by
    return int(failure is not None or unwritten is not None)


def _kernel_for(notebook: Any, session: Session) -> str:
    """The kernel that a notebook asks for, where it is here; else this environment's Python."""
    spec = notebook.metadata.get("kernelspec", {})
    language = spec.get("language") or notebook.metadata.get("language_info", {}).get("name")
    if language not in (None, "python"):
        raise WrongUse(f"{session.ref.path} is in {language}; only Python notebooks are measured")
    name = str(spec.get("name") or "python3")
    try:
        KernelSpecManager().get_kernel_spec(name)
    except NoSuchKernel:
        session.context.err(f"there is no kernel {name!r} here; python3 runs the notebook instead")
        return "python3"
    return name


def _write(notebook: Any, output: str) -> str | None:
    """Write the executed copy; why it could not be, or None."""
    try:
        nbformat.write(notebook, output)  # type: ignore[no-untyped-call]  # nbformat has no types
    except (OSError, ValueError) as error:  # the latter for text that no file can hold
        return f"{output} could not be written: {getattr(error, 'strerror', None) or error}"
    return None

"""The hooks around every cell: its window is opened before it, closed and shown after it.

No arithmetic happens here, and no code of the user's is run. What fails here stays here: the cell
runs as it would without us.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, TypeVar

from .cells import cell_id_of, kernel_id_of, outcome_of, request_of
from .config import Energy
from .live import Live
from .magic_line import Shown
from .model import Outcome
from .monitor import Monitor
from .open_window import Ending, OpenWindow, Options, never_opened
from .pages import Key, Pages
from .plain_text import message
from .repeat import Repetition, block_s
from .results import Result
from .runs import runs
from .settings import read as read_settings
from .signals import raise_if_users, signal_of
from .window import Edge

if TYPE_CHECKING:
    from IPython.core.interactiveshell import ExecutionInfo, ExecutionResult, InteractiveShell

    from .identity import NotebookRef

T = TypeVar("T")
# An interrupt that hits our hook is handed on after this long, when the user's code runs.
HAND_ON_S = 0.05
# Where no page listens, a shown cell waits this long for what is read a moment after it.
SETTLED_S = 0.25


@dataclass(slots=True)
class Frame:
    """A cell that runs: its request, its notebook, its window, and whether it is shown."""

    request: str
    cell_id: str | None
    notebook: Key
    is_counted: bool
    window: OpenWindow | None = None
    shown: Shown | None = None
    is_told: bool = False  # whether the live channel knows that it runs
    bar: str | None = None  # the display id of a progress bar, which the result replaces
    failed: OpenWindow | None = None  # why it has no window
    count: int | None = None  # the execution count that it will have


class CellHooks:
    """The cells of one shell: `before` and `after` each of them, and what lies in between."""

    def __init__(self, shell: InteractiveShell) -> None:
        remembered = read_settings()
        self.settings = Energy(shell.config, os.environ, remembered.values)
        self.settings.complaints += filter(
            None, [remembered.warning, self.settings.zone_complaint()]
        )
        self.shell = shell
        self.kernel_id = kernel_id_of(shell)
        self.pages = Pages(self._notebook)
        self.monitor = Monitor(self.settings, self.pages.ref)
        kernel = getattr(shell, "kernel", None)
        self.silent = True
        # IPython 9 counts up before pre_run_cell, 7 and 8 after the cell; between cells all agree.
        self._next_count: int | None = shell.execution_count
        self._frames: dict[int, list[Frame]] = {}
        self._untold: list[str] = []  # lines that stderr did not take
        self._errors: list[RecursionError] = []  # failures that no line has been made of
        self.live: Live | None = None
        if kernel is not None:  # a shell in a terminal has no front end
            self.live = Live(
                kernel, self.monitor, self.pages, lambda: self.silent, self._is_running
            )

    # -- hooks -----------------------------------------------------------------------------

    def before(self, info: ExecutionInfo) -> None:
        """A cell begins: open its window, unless measuring is off."""
        try:
            self._before(info)
        except RecursionError as error:  # no frame is left to do more than to remember it
            self._errors.append(error)
        except BaseException as error:  # noqa: BLE001  ours must not reach the user's cell
            self._handed_on(error)

    def _before(self, info: ExecutionInfo) -> None:
        frames = self._frames.setdefault(threading.get_ident(), [])
        request = request_of(self.shell)
        while frames and frames[-1].request != request:
            # Its post_run_cell never came (an interrupted async cell): it ends here.
            self._end_last(frames, "interrupted")
            self._next_count = None  # nobody looked when that cell had ended
        nested = bool(frames)
        frame = Frame(
            request=request,
            cell_id=None if nested else cell_id_of(self.shell, info),
            notebook=frames[-1].notebook if nested else None,
            is_counted=not nested and info.store_history and not info.silent,
        )
        if not nested:
            frame.notebook = self.pages.of(frame.cell_id)
        frame.count = self._next_count if frame.is_counted else None
        frames.append(frame)
        if self.silent:
            self._try_to_open(frame, Options())
        else:
            self.monitor.refining.interrupt()

    def _try_to_open(self, frame: Frame, options: Options, shown: Shown | None = None) -> None:
        """`_open`; where that fails, the frame knows why, and its record will say so."""
        try:
            self._open(frame, options, shown)
        except BaseException as error:
            # Ctrl-C in the first line of a cell ends it: there is nothing to keep.
            if shown is None or signal_of(error) is None:
                frame.failed = never_opened(options, error, frame.notebook)
            raise

    def _open(self, frame: Frame, options: Options, shown: Shown | None = None) -> None:
        """Begin a cell's window, and tell the pages so."""
        frame.shown = shown
        frame.window = self.monitor.open_window(options, shown is not None, frame.notebook)
        frame.window.cell_id, frame.window.execution_count = frame.cell_id, frame.count
        if self.live is not None and not frame.is_told:
            frame.is_told = True
            self.live.begin(frame.notebook)

    def after(self, result: ExecutionResult | None) -> None:
        """A cell has ended: close its window, keep its record, show it where that was asked."""
        try:
            frames = self._frames.get(threading.get_ident())
            if frames:  # an empty cell has no pre_run_cell
                self._end_last(frames, outcome_of(result), result)
        except RecursionError as error:
            self._errors.append(error)
        except BaseException as error:  # noqa: BLE001  ours must not reach the user's cell
            if signal_of(error) is None:  # else the cell has ended: there is nothing to interrupt
                self._failed(error)
        finally:
            with suppress(RecursionError):
                self._next_count = self.shell.execution_count
                self._tell()

    def _end_last(
        self, frames: list[Frame], outcome: Outcome, result: ExecutionResult | None = None
    ) -> None:
        """End the innermost cell, also where the user stops what has ended already."""
        frame = frames[-1]
        try:
            self._end(frame, outcome, result)
        except BaseException as error:
            if signal_of(error) is not None:
                self._end(frame, outcome, result)
            raise
        finally:
            frames.pop()

    def _end(self, frame: Frame, outcome: Outcome, result: ExecutionResult | None = None) -> None:
        try:
            if frame.window is None or not frame.window.ended:
                self._keep(frame, outcome, result)
        finally:
            if self.live is not None and frame.is_told:
                self.live.end(frame.notebook)
                frame.is_told = False

    def _keep(self, frame: Frame, outcome: Outcome, result: ExecutionResult | None) -> None:
        """Close a cell's window, keep its record, show it where that was asked."""
        broken = result is not None and result.error_before_exec is not None
        # Asked for at the end: IPython 9 counts up before pre_run_cell, 7 and 8 after the cell.
        count = result.execution_count if result is not None and frame.is_counted else None
        if frame.window is None:
            if frame.failed is not None and not broken:
                ending = Ending(Edge(time.monotonic(), {}), outcome, frame.cell_id, count)
                self.monitor.keep_failed(frame.failed, ending)
            return
        if broken:
            self.monitor.drop_window(frame.window)  # a SyntaxError: no code of the cell ran
            return
        record = self.monitor.close_window(
            frame.window, outcome, frame.cell_id, count, may_settle=True
        )
        if frame.shown is None:
            return
        refined = frame.window.refined
        # What runs notebooks without a page, as nbclient does, takes nothing that comes after the
        # cell: so it is waited for (jupyter.md 2c).
        has_no_page = refined is not None and self.pages.said(frame.notebook) is None
        if refined is not None and has_no_page and refined.wait(SETTLED_S):
            record, refined = refined.result(), None
        if frame.shown.variable is not None:
            self.shell.user_ns[frame.shown.variable] = record
        shown = Result(self.shell, frame.shown, record, frame.bar)
        try:
            shown.show()
        except Exception as error:  # noqa: BLE001  ours must not reach the user's cell
            raise_if_users(error)
            why = f"{type(error).__name__}: {error}"
            self.monitor.tell("show", f"a result could not be shown ({why}). It is kept.")
        if refined is not None:
            refined.add_done_callback(shown.refine)

    def _here(self) -> Key:
        """The notebook of the cell that runs on this thread."""
        frames = self._frames.get(threading.get_ident())
        return frames[-1].notebook if frames else None

    def _is_running(self) -> bool:
        """Whether a measured cell runs; asked on another thread."""
        return any(frame.is_told for frames in list(self._frames.values()) for frame in frames)

    def close(self, say: bool = False) -> None:
        """Stop all that runs; where `say`, the pages are told."""
        if self.live is not None:
            self.live.close(say)
        self.monitor.close()

    # -- small things ----------------------------------------------------------------------

    def _guarded(self, call: Callable[[], T]) -> T | None:
        """What `call` gives, or None where it failed: our failures stay ours."""
        try:
            return call()
        except Exception as error:  # noqa: BLE001  ours must not reach the user's cell
            raise_if_users(error)
            self._failed(error)
            return None

    def _handed_on(self, error: BaseException) -> None:
        """What was raised before the user's code runs is told, or the user's own: then they meant
        the cell and not us, and its signal is sent again once the cell runs."""
        number = signal_of(error)
        if number is None:
            self._failed(error)
            return
        timer = threading.Timer(HAND_ON_S, _send, (number,))
        timer.daemon = True
        timer.start()

    def _failed(self, error: BaseException) -> None:
        self.monitor.tell(
            "failed",
            f"a cell was not measured ({type(error).__name__}: {error}). "
            "The cell itself is not affected. See %energy doctor.",
        )

    def _tell(self) -> None:
        """Show what there is to tell, on stderr; where that is closed, when it is open again."""
        try:
            while self._errors:
                self._failed(self._errors.pop())
            self._untold += self.monitor.to_tell()
            while self._untold and sys.stderr is not None:  # print would then take stdout
                text = self._untold.pop(0)
                try:
                    print(f"jupyter-energy: {message(text)}", file=sys.stderr)
                except Exception:
                    self._untold.insert(0, text)
                    raise
        except (Exception, KeyboardInterrupt):  # noqa: BLE001  there is no way left to tell
            return

    # -- repeated bodies -------------------------------------------------------------------

    def _runs(self, frame: Frame) -> Iterator[tuple[()]]:
        """The runs of a cell's body but the last; where they cannot be measured, just as many."""
        from .display.bundle import show
        from .display.progress import Progress

        asked = 1 if frame.shown is None else frame.shown.runs
        window = frame.window
        if window is None or asked == 1:
            return repeat((), (asked or 1) - 1)
        repetition = window.repetition = Repetition(asked)
        periods_s = (s.period_s for s in self.monitor.sampler.sensors() if window.reads(s))
        is_shown = self.live is not None and frame.shown is not None and not frame.shown.quiet
        progress = Progress(repetition) if is_shown else None

        def tick(after_s: float) -> None:
            due = None if progress is None else progress.due(after_s)
            if due is not None:
                bar, frame.bar = frame.bar, frame.bar or uuid.uuid4().hex
                show(due, frame.bar, update=bar is not None)

        def mark() -> None:
            self.monitor.mark(window)

        return runs(repetition, mark, tick, block_s(max(periods_s, default=0.0)))

    def _notebook(self) -> NotebookRef:
        from .identity import from_kernel, from_terminal

        if getattr(self.shell, "kernel", None) is None:
            started_with = getattr(self.shell.parent, "file_to_run", "")
            return from_terminal(os.environ, str(started_with or ""), self.kernel_id)
        return from_kernel(os.environ, self.shell.user_ns, self.kernel_id)


def _send(number: int) -> None:
    """Sends the main thread the signal that hit us; ipykernel ignores Ctrl-C once a cell ended."""
    if hasattr(signal, "pthread_kill"):
        # A real signal, because only that wakes a sleep or another system call.
        signal.pthread_kill(threading.main_thread().ident or 0, number)
    else:
        _thread.interrupt_main()

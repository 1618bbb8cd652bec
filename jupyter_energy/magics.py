"""`%energy`, `%%energy` and the hooks around every cell. No arithmetic happens here.

`%%energy` runs no code of its own: an input transformer replaces its line by a call that marks
the running cell, IPython runs the body as it always does, and the measurement ends in
`post_run_cell`. So errors, `Out`, `;`, `await` and tracebacks are IPython's own.
"""

from __future__ import annotations

import _thread
import ast
import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from IPython.core.error import UsageError

from .cells import cell_id_of, kernel_id_of, outcome_of, quote, request_of
from .config import Energy
from .errors import EnergyError, WrongUse
from .live import Live
from .magic_line import BEGIN, MAGIC, Shown, parse, split
from .model import Outcome, Record
from .monitor import Monitor, OpenWindow, Options
from .pages import Key, Pages
from .settings import read as read_settings

if TYPE_CHECKING:
    from IPython.core.interactiveshell import ExecutionInfo, ExecutionResult, InteractiveShell

    from .identity import NotebookRef

T = TypeVar("T")
# An interrupt that hits our hook is handed on after this long, when the user's code runs.
HAND_ON_S = 0.05


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


class EnergyExtension:
    """The extension in one shell: its monitor, its hooks, its magics."""

    def __init__(self, shell: InteractiveShell) -> None:
        remembered = read_settings()
        self.settings = Energy(shell.config, os.environ, remembered.values)
        self.settings.complaints += filter(None, [remembered.warning])
        self.shell = shell
        self.kernel_id = kernel_id_of(shell)
        self.pages = Pages(self._notebook)
        self.monitor = Monitor(self.settings, self.pages.ref)
        kernel = getattr(shell, "kernel", None)
        self.silent = True
        self._frames: dict[int, list[Frame]] = {}
        self.live: Live | None = None
        if kernel is not None:  # a shell in a terminal has no front end
            self.live = Live(
                kernel, self.monitor, self.pages, lambda: self.silent, self._is_running
            )

    # -- the input transformer -------------------------------------------------------------

    def transform(self, lines: list[str]) -> list[str]:
        """The cell with its `%%energy` line replaced by the call that marks it; same line count.

        A cell with nothing below the line is left alone: IPython then says what is wrong.
        """
        if not lines or not _is_ours(lines[0]) or not any(line.strip() for line in lines[1:]):
            return lines
        asked = lines[0][len(MAGIC) :].strip()
        # Not by the user's own name for it, which may be deleted or stand for something else.
        call = f"__import__('builtins').get_ipython().run_line_magic({BEGIN!r}, {asked!r})\n"
        blank = next(i for i, line in enumerate(lines[1:], 1) if line.strip())
        if lines[blank].startswith("%%"):
            # Another cell magic below: it is transformed here, since IPython looks for one in
            # the first line only.
            from IPython.core import inputtransformer2

            below: Any = inputtransformer2  # has no types
            return [call, *below.cell_magic(self.transform(lines[blank:]))]
        return [call, *lines[1:]]

    # -- hooks -----------------------------------------------------------------------------

    def before(self, info: ExecutionInfo) -> None:
        """A cell begins: open its window, unless measuring is off."""
        try:
            self._before(info)
        except KeyboardInterrupt:
            # The user meant the cell, not us: hand the interrupt on once the cell runs.
            timer = threading.Timer(HAND_ON_S, _interrupt)
            timer.daemon = True
            timer.start()
        except Exception as error:  # noqa: BLE001  ours must not reach the user's cell
            self._failed(error)

    def _before(self, info: ExecutionInfo) -> None:
        frames = self._frames.setdefault(threading.get_ident(), [])
        request = request_of(self.shell)
        while frames and frames[-1].request != request:
            # Its post_run_cell never came (an interrupted async cell): it ends here.
            self._end(frames.pop(), "interrupted")
        nested = bool(frames)
        frame = Frame(
            request=request,
            cell_id=None if nested else cell_id_of(self.shell, info),
            notebook=frames[-1].notebook if nested else None,
            is_counted=not nested and info.store_history and not info.silent,
        )
        if not nested:
            frame.notebook = self.pages.of(frame.cell_id)
        frames.append(frame)
        if self.silent:
            self._open(frame, Options())

    def _open(self, frame: Frame, options: Options, shown: Shown | None = None) -> None:
        """Begin a cell's window, and tell the pages so."""
        frame.shown = shown
        frame.window = self.monitor.open_window(options, shown is not None, frame.notebook)
        if self.live is not None and not frame.is_told:
            frame.is_told = True
            self.live.begin(frame.notebook)

    def after(self, result: ExecutionResult | None) -> None:
        """A cell has ended: close its window, keep its record, show it where that was asked."""
        try:
            frames = self._frames.get(threading.get_ident())
            if frames:  # an empty cell has no pre_run_cell
                self._end(frames.pop(), outcome_of(result), result)
        except KeyboardInterrupt:
            return  # the cell has ended: there is nothing left to interrupt
        except Exception as error:  # noqa: BLE001  ours must not reach the user's cell
            self._failed(error)
        finally:
            self._tell()

    def _end(self, frame: Frame, outcome: Outcome, result: ExecutionResult | None = None) -> None:
        try:
            self._keep(frame, outcome, result)
        finally:
            if self.live is not None and frame.is_told:
                self.live.end(frame.notebook)

    def _keep(self, frame: Frame, outcome: Outcome, result: ExecutionResult | None) -> None:
        """Close a cell's window, keep its record, show it where that was asked."""
        if frame.window is None:
            return
        if result is not None and result.error_before_exec is not None:
            self.monitor.drop_window(frame.window)  # a SyntaxError: no code of the cell ran
            return
        # Asked for at the end: IPython 9 counts up before pre_run_cell, 7 and 8 after the cell.
        count = result.execution_count if result is not None and frame.is_counted else None
        record = self.monitor.close_window(frame.window, outcome, frame.cell_id, count)
        if frame.shown is None:
            return
        if frame.shown.variable is not None:
            self.shell.user_ns[frame.shown.variable] = record
        if not frame.shown.quiet:
            try:
                self._show(record)
            except Exception as error:  # noqa: BLE001  ours must not reach the user's cell
                why = f"{type(error).__name__}: {error}"
                self.monitor.tell("show", f"a result could not be shown ({why}). It is kept.")

    # -- magics ----------------------------------------------------------------------------

    def begin(self, line: str) -> None:
        """Marks the running cell as one that `%%energy` shows. Not called by hand."""
        try:
            options, shown = self._parse(line)
        except WrongUse as error:
            raise UsageError(str(error)) from None
        try:
            frames = self._frames.get(threading.get_ident())
            if not frames:
                return
            frame = frames[-1]
            silent, frame.window = frame.window, None
            if silent is not None:
                self.monitor.drop_window(silent)
            quote(line)
            self._open(frame, options, shown)
        except Exception as error:  # noqa: BLE001  ours must not reach the user's cell
            self._failed(error)

    def _parse(self, line: str) -> tuple[Options, Shown]:
        options, shown = parse(line, self.settings.sync)
        self.monitor.check(options)
        return options, shown

    def cell_magic(self, line: str, cell: str) -> object:
        """Measure this cell and show what it drew: energy by device, mean power, CO2e, sources.

        %%energy [-n NAME] [-v VAR] [-q] [--trace] [--zone ZONE] [--devices LIST] [--no-sync]

        -n NAME         name of the measurement
        -v VAR          keep the result object in VAR
        -q              show nothing, still keep the record
        --trace         keep power over time, for %energy plot CELL (up to 0.7 % of a core)
        --zone ZONE     place that CO2e is computed for, such as FR
        --devices LIST  what counts, such as gpu:0,cpu,memory
        --no-sync       do not wait for queued GPU work at the edges

        The line must be the first of the cell. The result is also kept in the store:
        see %energy summary.
        """
        # Reached only by run_cell_magic, by lazy loading, or with nothing below the line: the
        # transformer has handled every other cell.
        if not cell.strip():
            raise UsageError(f"{MAGIC} has no code below it. For the totals so far: %energy")
        try:
            options, shown = self._parse(line)
        except WrongUse as error:
            raise UsageError(str(error)) from None
        frame = Frame(request_of(self.shell), None, self._here(), False)
        self._guarded(lambda: self._open(frame, options, shown))
        outcome: Outcome = "error"
        try:
            value = self._execute(cell)
            outcome = "ok"
            return value
        except KeyboardInterrupt:
            outcome = "interrupted"
            raise
        finally:
            self._guarded(lambda: self._end(frame, outcome))

    def line_magic(self, line: str) -> None:
        """Energy and CO2e of this notebook: `%energy` alone gives the totals so far.

        %energy on | off    measure every cell silently, or stop
        %energy COMMAND     summary, zone, doctor, plot; `%energy COMMAND --help` explains one
        """
        try:
            words = split(line)
            if words[:1] in (["on"], ["off"]):
                if len(words) > 1:
                    raise WrongUse(f"%energy {words[0]} takes nothing behind it")
                self.silent = words == ["on"]
                if self.live is not None:
                    self.live.tell(self._here())
                return
            from .commands import dispatch
            from .commands.kernel_context import KernelContext

            dispatch(words or ["summary"], KernelContext(self.monitor, self._here()))
        except EnergyError as error:
            raise UsageError(str(error)) from None

    def _execute(self, cell: str) -> object:
        """Runs a cell's code in the user's namespace; the value of its last expression."""
        shell: Any = self.shell  # much of IPython has no types
        tree = shell.transform_ast(shell.compile.ast_parse(shell.transform_cell(cell)))
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(shell.compile(tree, "<energy>", "exec"), shell.user_ns)  # noqa: S102  the user's cell
        if last is None:
            return None
        value = shell.compile(ast.Expression(last.value), "<energy>", "eval")
        return eval(value, shell.user_ns)  # noqa: S307  the user's cell

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
            self._failed(error)
            return None

    def _failed(self, error: Exception) -> None:
        self.monitor.tell(
            "failed",
            f"a cell was not measured ({type(error).__name__}: {error}). "
            "The cell itself is not affected. See %energy doctor.",
        )

    def _tell(self) -> None:
        """Show what there is to tell, on stderr; a closed stderr is no reason to fail."""
        try:
            for text in self.monitor.to_tell():
                if sys.stderr is not None:  # print would then take stdout
                    print(f"jupyter-energy: {text}", file=sys.stderr)
        except (Exception, KeyboardInterrupt):  # noqa: BLE001  there is no way left to tell
            return

    def _show(self, record: Record) -> None:
        from .display.bundle import cell_bundle, show
        from .schema import cell_from_records

        show(cell_bundle(cell_from_records([record])))

    def _notebook(self) -> NotebookRef:
        from .identity import from_kernel

        return from_kernel(os.environ, self.shell.user_ns, self.kernel_id)


def _interrupt() -> None:
    """Sends the main thread the interrupt that hit us; ipykernel ignores it once the cell ended."""
    if hasattr(signal, "pthread_kill"):
        # A real signal, because only that wakes a sleep or another system call.
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    else:
        _thread.interrupt_main()


def _is_ours(line: str) -> bool:
    return line.startswith(MAGIC) and line[len(MAGIC) : len(MAGIC) + 1].strip() == ""


# -- loading -------------------------------------------------------------------------------


def loaded_in(shell: InteractiveShell) -> EnergyExtension | None:
    """The extension of a shell, or None where it is not loaded."""
    magic = shell.magics_manager.magics["line"].get("energy")
    owner = getattr(magic, "__self__", None)
    # Compared by name: after %reload_ext the class is another object.
    return owner if type(owner).__name__ == EnergyExtension.__name__ else None


def load(shell: InteractiveShell) -> None:
    """Give a shell the magics and the hooks; nothing where it has them."""
    if loaded_in(shell) is not None:
        return
    extension = EnergyExtension(shell)
    untyped: Any = shell  # IPython's own annotations of these are missing or wrong
    untyped.input_transformers_cleanup.append(extension.transform)
    untyped.register_magic_function(extension.begin, "line", BEGIN)
    untyped.register_magic_function(extension.line_magic, "line", "energy")
    untyped.register_magic_function(extension.cell_magic, "cell", "energy")
    untyped.configurables.append(extension.settings)
    untyped.events.register("pre_run_cell", extension.before)
    untyped.events.register("post_run_cell", extension.after)
    atexit.register(extension.close)
    extension.monitor.start()
    if extension.live is not None:
        extension.live.open()
        if (getattr(shell, "parent_header", None) or {}).get("header"):
            extension.live.tell()  # by a cell: a page that looks on has asked before, in vain


def unload(shell: InteractiveShell) -> None:
    """Take back all that `load` gave."""
    extension = loaded_in(shell)
    if extension is None:
        return
    untyped: Any = shell
    untyped.events.unregister("pre_run_cell", extension.before)
    untyped.events.unregister("post_run_cell", extension.after)
    if extension.transform in untyped.input_transformers_cleanup:
        untyped.input_transformers_cleanup.remove(extension.transform)
    for kind, name in (("line", BEGIN), ("line", "energy"), ("cell", "energy")):
        untyped.magics_manager.magics[kind].pop(name, None)
    if extension.settings in untyped.configurables:
        untyped.configurables.remove(extension.settings)
    atexit.unregister(extension.close)
    extension.close(say=True)

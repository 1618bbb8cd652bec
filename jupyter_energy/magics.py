"""`%energy`, `%%energy` and how a shell gets them. No arithmetic happens here.

`%%energy` runs no code of its own: an input transformer replaces its line by a call that marks
the running cell, IPython runs the body as it always does, and the measurement ends in
`post_run_cell`. So errors, `Out`, `;`, `await` and tracebacks are IPython's own.
"""

from __future__ import annotations

import ast
import atexit
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from .cells import quote, request_of
from .errors import EnergyError, WrongUse
from .hooks import CellHooks, Frame
from .magic_line import BEGIN, MAGIC, RUNS, Shown, parse, split
from .model import Outcome
from .open_window import Options
from .plain_text import message
from .repeated_code import RepeatedCode, repeated
from .signals import signal_of

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


class EnergyExtension(CellHooks):
    """The extension in one shell: the hooks around its cells, and its magics."""

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        compiler: Any = shell.compile  # has no types
        self.repeated_code = RepeatedCode(lambda: compiler.flags)

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

    # -- magics ----------------------------------------------------------------------------

    def begin(self, line: str) -> None:
        """Marks the running cell as one that `%%energy` shows. Not called by hand."""
        try:
            options, shown = self._parse(line)
        except WrongUse as error:
            raise UsageError(message(error)) from None
        try:
            frames = self._frames.get(threading.get_ident())
            if not frames:
                return
            frame = frames[-1]
            silent, frame.window = frame.window, None
            if silent is not None:
                self.monitor.drop_window(silent)
            quote(line)
            self._try_to_open(frame, options, shown)
        except Exception as error:  # ours must not reach the user's cell
            if signal_of(error) is not None:
                raise  # the user's own, and this is the first line of their cell
            self._failed(error)

    def runs(self, line: str) -> Iterator[tuple[()]]:
        """What the loop around a repeated body iterates over. Not called by hand."""
        frames = self._frames.get(threading.get_ident())
        found = self._guarded(lambda: self._runs(frames[-1])) if frames else None
        return iter(()) if found is None else found

    def _parse(self, line: str) -> tuple[Options, Shown]:
        options, shown = parse(line, self.settings.sync)
        self.monitor.check(options)
        return options, shown

    def cell_magic(self, line: str, cell: str) -> object:
        """Measure this cell and show what it drew: energy by device, mean power, CO2e, sources.

        %%energy [-n NAME] [-v VAR] [-q] [-r N] [--trace] [--zone ZONE] [--devices LIST] [--no-sync]

        -n NAME         name of the measurement
        -v VAR          keep the result object in VAR
        -q              show nothing, still keep the record
        -r N            run the body N times and tell what one run draws; it prints what it
                        prints N times, other cell magics below the line included
        -r auto         as often as it takes for ±2 %, for two minutes at most
        --trace         keep power over time, for %energy plot CELL (up to 0.7 % of a core)
        --zone ZONE     place that CO2e is computed for, such as FR or aws:eu-west-3
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
            raise UsageError(message(error)) from None
        frame = Frame(request_of(self.shell), None, self._here(), False)
        self._guarded(lambda: self._open(frame, options, shown))
        frames = self._frames.setdefault(threading.get_ident(), [])
        frames.append(frame)  # where a repeated body looks for its runs
        outcome: Outcome = "error"
        try:
            value = self._execute(cell, shown.runs != 1)
            outcome = "ok"
            return value
        except KeyboardInterrupt:
            outcome = "interrupted"
            raise
        finally:
            while frames and frames.pop() is not frame:
                pass
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
            if self.live is not None and words and words[0] in ("recompute", "zone"):
                self.live.tell(self._here())  # the figures or the place that pages show are others
        except EnergyError as error:
            raise UsageError(message(error)) from None

    def _execute(self, cell: str, is_repeated: bool) -> object:
        """Runs a cell's code in the user's namespace; the value of its last expression."""
        shell: Any = self.shell  # much of IPython has no types
        tree = shell.compile.ast_parse(shell.transform_cell(cell))
        if is_repeated:
            tree.body = repeated(tree.body, shell.compile.flags)
        tree = shell.transform_ast(tree)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(shell.compile(tree, "<energy>", "exec"), shell.user_ns)  # noqa: S102  the user's cell
        if last is None:
            return None
        value = shell.compile(ast.Expression(last.value), "<energy>", "eval")
        return eval(value, shell.user_ns)  # noqa: S307  the user's cell


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
    untyped.ast_transformers.append(extension.repeated_code)
    untyped.register_magic_function(extension.begin, "line", BEGIN)
    untyped.register_magic_function(extension.runs, "line", RUNS)
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
    if extension.repeated_code in untyped.ast_transformers:
        untyped.ast_transformers.remove(extension.repeated_code)
    for kind, name in (("line", BEGIN), ("line", RUNS), ("line", "energy"), ("cell", "energy")):
        untyped.magics_manager.magics[kind].pop(name, None)
        with suppress(AttributeError):  # IPython keeps a second reference there
            delattr(untyped.magics_manager.user_magics, name)
    if extension.settings in untyped.configurables:
        untyped.configurables.remove(extension.settings)
    atexit.unregister(extension.close)
    extension.close(say=True)

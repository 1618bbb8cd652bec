"""`je.measure` and `@je.measured`: the same measurement in plain Python, nested as one likes."""

from __future__ import annotations

import atexit
import functools
import inspect
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar
from weakref import ref

from .signals import raise_if_users, signal_of

if TYPE_CHECKING:
    from .model import Outcome, Record
    from .monitor import Monitor
    from .open_window import OpenWindow

P = ParamSpec("P")
R = TypeVar("R")


class measure:  # noqa: N801  it is used as a function, like contextlib's suppress
    """A block that is measured: `with je.measure("epoch 3") as m: ...`, then `m.result`.

    `name` is a text, or a number as of an epoch. `m.result` is a Record (energy_j, estimated_j,
    carbon_g, average_w, duration_s, domains, outcome, to_dict()); None while the block runs.
    Keywords as in `%%energy`: `devices` ("gpu:0,cpu"), `zone` ("FR"), `sync` (False: do not wait
    for queued GPU work), `trace` (True: keep power over time).
    Raises WrongUse for an unknown zone or device before the block begins; what fails later is a
    warning in the result, never an exception.
    """

    def __init__(
        self,
        name: object = None,
        *,
        devices: str | None = None,
        zone: str | None = None,
        sync: bool | None = None,
        trace: bool = False,
    ) -> None:
        self._asked = (name, devices, zone, sync, trace)
        self._monitor: Monitor | None = None
        self._window: OpenWindow | None = None
        self._pid = 0
        self.result: Record | None = None

    @property
    def window(self) -> tuple[Monitor, OpenWindow] | None:
        """What measures it, and its window, for the parts of this package; None where it is not
        measured."""
        monitor, window = self._monitor, self._window
        return None if monitor is None or window is None else (monitor, window)

    def __enter__(self) -> Self:
        """Begin the window."""
        from .devices import parse
        from .errors import UnknownZone, WrongUse
        from .open_window import Options, as_name

        name, devices, zone, sync, trace = self._asked
        self.result = None
        self._window = None
        self._pid = os.getpid()
        try:
            monitor = self._monitor = current()
            sync = monitor.settings.sync if sync is None else sync
            options = Options(as_name(name), parse(devices), zone, sync, trace)
            monitor.check(options)
            self._window = window = monitor.open_window(options, shown=True)
            window.holder = ref(self, functools.partial(_left, monitor, window, self._pid))
        except UnknownZone as error:
            from .restating import BY_CELL

            # A line of %%energy says it so; here it is an argument.
            raise UnknownZone(str(error).removesuffix(f" ({BY_CELL})")) from None
        except WrongUse:
            raise
        except BaseException as error:
            if self._window is not None:  # what stops the user's code came just after
                monitor.drop_window(self._window)
                self._window = None
            if not isinstance(error, Exception):
                raise
            raise_if_users(error)  # else ours: the block runs unmeasured
            _say(f"this block is not measured: {type(error).__name__}: {error}")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the window; the block's exception, if any, goes on."""
        window = self._window
        try:
            self._end(kind)
        except BaseException as failure:
            if isinstance(failure, Exception) and signal_of(failure) is None:
                # ours, not the user's; of one that the interpreter's end leaves nothing is said
                if sys.is_finalizing():
                    return
                _say(f"this block is not measured: {type(failure).__name__}: {failure}")
                return
            if window is not None and not window.ended:
                self._end(kind)  # theirs, a moment before its record was begun
            raise
        if window is not None and window.stopped_by is not None:
            raise window.stopped_by  # it was too late for the block, and not for what comes next

    def _end(self, kind: type[BaseException] | None) -> None:
        """Keep the record of the window."""
        if self._monitor is None or self._window is None or os.getpid() != self._pid:
            return  # a forked child has left the block too: it is its parent's to measure
        self.result = self._monitor.close_window(self._window, _outcome(kind))
        self._window.holder = None
        for line in self._monitor.to_tell():
            _say(line)


def measured(function: Callable[P, R] | str | None = None, /, **keywords: object) -> object:
    """Measures every call of a function: `@je.measured`, `@je.measured("fit", zone="FR")`.

    The function's result is returned as it is; the record is named after the function, and the
    last one is `function.result`. Raises WrongUse for what is no function.
    """
    if isinstance(function, str):
        return measured(None, **{"name": function, **keywords})

    def decorate(body: Callable[P, R]) -> Callable[P, R]:
        name = getattr(body, "__qualname__", "call")
        given: object = body
        if not callable(given) or inspect.isclass(given):
            from .errors import WrongUse

            raise WrongUse(
                f"je.measured measures functions, and {body!r} is none; "
                "in a class it stands below @classmethod and @staticmethod"
            )
        if inspect.isgeneratorfunction(body) or inspect.isasyncgenfunction(body):
            from .errors import WrongUse

            raise WrongUse(
                f"{name} is a generator, which runs a piece at a time: "
                "measure the loop that uses it, or write `with je.measure(...)` in its body"
            )

        @functools.wraps(body)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            block = measure(**{"name": name, **keywords})  # type: ignore[arg-type]  # checked by measure itself
            try:
                with block:
                    return body(*args, **kwargs)
            finally:
                call.result = block.result  # type: ignore[attr-defined]  # an attribute of ours on a function

        if inspect.iscoroutinefunction(body):
            # Calling it only makes a coroutine: what is to be measured is the awaiting.
            call = _awaited(body, name, keywords)
        call.result = None  # type: ignore[attr-defined]  # as above
        return call

    return decorate if function is None else decorate(function)


def _awaited(body: Callable[..., Any], name: str, keywords: dict[str, object]) -> Any:
    """The coroutine function `body`, measured from its first step to its last."""

    @functools.wraps(body)
    async def call(*args: object, **kwargs: object) -> object:
        block = measure(**{"name": name, **keywords})  # type: ignore[arg-type]  # checked by measure itself
        try:
            with block:
                return await body(*args, **kwargs)
        finally:
            call.result = block.result  # type: ignore[attr-defined]  # an attribute of ours on a function

    return call


def _left(monitor: Monitor, window: OpenWindow, pid: int, _: object) -> None:
    """A block has gone without its end, as where Ctrl-C hits the first step of `__exit__`: all
    that is measured later would lie in it. Not by `__del__`, which would run after each block, and
    what a handler of the user's raises in that is lost."""
    if not window.ended and os.getpid() == pid and not sys.is_finalizing():
        with suppress(Exception):
            monitor.close_window(window, "interrupted")


def current() -> Monitor:
    """The Monitor of this process: the notebook's where there is one, else a script's."""
    if "IPython" in sys.modules:
        from IPython import get_ipython

        from .magics import loaded_in

        shell = get_ipython()
        energy = None if shell is None else loaded_in(shell)
        if energy is not None:
            return energy.monitor
    return _script_monitor(os.getpid())


@functools.cache
def _script_monitor(pid: int) -> Monitor:
    """The Monitor of a script; one for each process, so that a forked child gets its own."""
    from .config import Energy
    from .identity import from_script
    from .monitor import Monitor
    from .settings import read

    remembered = read()
    settings = Energy(environ=os.environ, file=remembered.values)
    settings.complaints += filter(None, [remembered.warning, settings.zone_complaint()])
    monitor = Monitor(settings, lambda _: from_script(os.environ, sys.argv[:1]))
    monitor.start()
    atexit.register(monitor.close)
    return monitor


def rest_of_script(monitor: Monitor, name: str) -> OpenWindow | None:
    """A window from here to the end of a script that `jupyter energy run` measures from outside;
    None in any other process, which nobody has asked to measure all of."""
    if "JUPYTER_ENERGY_WITHIN" not in os.environ:
        return None
    from .open_window import Options

    window, pid = monitor.open_window(Options(name)), os.getpid()

    def end() -> None:
        if not window.ended and os.getpid() == pid:
            # What was raised and not caught; an exit with a status is none of it.
            monitor.close_window(window, _outcome(getattr(sys, "last_type", None)))

    atexit.register(end)  # after the monitor's own, so before it
    return window


def _outcome(raised: type[BaseException] | None) -> Outcome:
    """How a window ended that this was raised in."""
    if raised is None:
        return "ok"
    return "interrupted" if issubclass(raised, KeyboardInterrupt) else "error"


def _say(text: str) -> None:
    """One plain line on stderr; a closed stderr is no reason to fail."""
    from .plain_text import message

    try:
        print(f"jupyter-energy: {message(text)}", file=sys.stderr)
    except (OSError, ValueError, AttributeError):
        return

"""A window that has begun: what was asked for, where it lies, and what was read at its start."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from weakref import ref

from . import devices
from .answer import Answer
from .finding import failed
from .model import Domain, Outcome, Record
from .process_tree import CpuTimes
from .repeat import Repetition
from .sensors.base import Sensor
from .shift import Shift
from .signals import raise_if_users
from .window import Edge

if TYPE_CHECKING:
    from .carbon.weighting import Drawn

# Longer than any name that can be shown; a record is read as a whole.
LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Options:
    """What `%%energy` and `je.measure` were asked for; see `as_name` for their names."""

    name: str | None = None
    choice: devices.Choice = devices.EVERYTHING
    zone: str | None = None
    sync: bool = False
    trace: bool = False


def as_name(given: object) -> str | None:
    """The name of a measurement as it can be kept, of whatever was given: an epoch's number, a
    text of any length. Raises what a third party's `__str__` raises."""
    if given is None:
        return None
    text = str(given)
    if len(text) > LONGEST_NAME:
        text = text[: LONGEST_NAME - 1] + "…"
    return text.encode(errors="replace").decode()  # half of a surrogate pair is no text


@dataclass(slots=True, weakref_slot=True, eq=False)
class OpenWindow:
    """A window that has begun. `run_id` is its record's id; it was opened inside of `outer`, and
    `notebook` is the key of the notebook that it belongs to (see pages.py)."""

    options: Options
    run_id: str
    outer: OpenWindow | None
    start_utc: datetime
    start: Edge
    counts: Callable[[Domain], bool]
    reads: Callable[[Sensor], bool]
    notebook: str | None = None
    cell_id: str | None = None  # of the cell that it is the window of
    execution_count: int | None = None  # that this cell will have
    warnings: list[str] = field(default_factory=list)
    ended: bool = False
    repetition: Repetition | None = None  # the body that runs several times in it
    shown: bool = False
    times: CpuTimes = field(default_factory=CpuTimes)
    waited_s: float | None = None  # for queued GPU work at its end, once that is over
    stop: Edge | None = None  # what was read at its end,
    end_times: CpuTimes = field(default_factory=CpuTimes)  # and the CPU times there
    # What a handler of the user's has raised while the window was closed: too late to end it.
    stopped_by: BaseException | None = None
    refined: Answer[Record] | None = None  # its record once the read after it has been made

    course: list[Drawn] = field(default_factory=list)  # what it had drawn by when

    holder: ref[object] | None = None  # the block that it is the window of
    # What became of its waits and pauses for cleaner power, by what is read at its end.
    shifted: Callable[[Edge], Shift | None] | None = None

    def let_go(self) -> None:
        """Hold no sensor any more: a context that outlives us may hold this window."""
        self.outer, self.start, self.stop = None, Edge(self.start.t_s, {}), None
        self.counts, self.reads, self.shifted = _nothing, _nothing, None


@dataclass(frozen=True, slots=True)
class Ending:
    """How a window ended: what was read then, and what the cell was."""

    stop: Edge
    outcome: Outcome = "ok"
    cell_id: str | None = None
    execution_count: int | None = None
    times: CpuTimes = field(default_factory=CpuTimes)
    peak_w: float | None = None


def utc_of(window: OpenWindow, edge: Edge) -> datetime:
    """When an edge of a window was (UTC), by the clock that was read at its start: the time that
    the machine was suspended is part of it."""
    since_s = edge.t_s - window.start.t_s + edge.asleep_s - window.start.asleep_s
    return window.start_utc + timedelta(seconds=max(0.0, since_s))


def own(window: OpenWindow, edge: Edge) -> Edge:
    """An edge with the sensors of a window alone: another one's would count from their start."""
    readings = {s: r for s, r in edge.readings.items() if window.reads(s)}
    return replace(edge, readings=readings)


def still_open(window: OpenWindow | None) -> OpenWindow | None:
    """The innermost of a window and those around it that is open, and all around it too.

    A window whose outer one has ended was left behind, as by a generator that nobody finished.
    """
    found = window
    while window is not None:
        if window.ended:
            found = window.outer
        window = window.outer
    return found


class OpenWindows:
    """Which windows are open, and what begins in which."""

    def __init__(self) -> None:
        # A context and not a thread: two tasks of one thread are not inside of one another, and
        # a task is inside of the block that made it.
        self._innermost: ContextVar[OpenWindow | None] = ContextVar("innermost", default=None)
        self._main: OpenWindow | None = None  # the outermost window of the main thread
        self._outermost: dict[str, OpenWindow] = {}
        # All that anything still holds. No WeakSet: it runs Python code as a window goes, and what
        # a handler of the user's raises in that is lost.
        self._held: list[ref[OpenWindow]] = []

    def around(self) -> OpenWindow | None:
        """What a window would lie in that begins now, and here."""
        outer = still_open(self._innermost.get())
        # Of a thread that the measured code has started, in that code's.
        return self._main if outer is None and not _on_main_thread() else outer

    def add(self, window: OpenWindow) -> bool:
        """A window has begun; whether none was open before it."""
        self._innermost.set(window)
        self._held = [*(held for held in self._held if held() is not None), ref(window)]
        if window.outer is not None:
            return False
        is_first = not self._outermost
        self._outermost[window.run_id] = window
        if _on_main_thread():
            self._main = window
        return is_first

    def remove(self, window: OpenWindow) -> None:
        """A window has ended, or was none; twice does no harm."""
        self._outermost.pop(window.run_id, None)
        if self._main is window:
            self._main = None

    def outermost(self) -> list[OpenWindow]:
        """Those that lie in no other one, oldest first."""
        return list(self._outermost.values())

    def under_way(self) -> list[OpenWindow]:
        """All that are open, those within others too."""
        windows = [held() for held in list(self._held)]
        return [w for w in windows if w is not None and not w.ended]

    def let_go(self) -> None:
        """Hold no sensor any more, whatever still holds a window."""
        for held in self._held:
            if (window := held()) is not None:
                window.let_go()


def _on_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def never_opened(options: Options, error: BaseException, notebook: str | None) -> OpenWindow:
    """A window that could not be opened, and could have been now: its record says so, and has no
    figure."""
    return OpenWindow(
        options=options,
        run_id=uuid.uuid4().hex,
        outer=None,
        start_utc=datetime.now(UTC),
        start=Edge(time.monotonic(), {}),
        counts=_nothing,
        reads=_nothing,
        notebook=notebook,
        warnings=[failed(error)],
    )


def _nothing(_: object) -> bool:
    return False


def edge_or_why(read: Callable[[], Edge], warnings: list[str]) -> Edge:
    """An edge; an empty one, with a warning, where it could not be read."""
    try:
        return read()
    except Exception as error:  # noqa: BLE001  ours or a third party's, but not what stops the user's code
        raise_if_users(error)
        warnings.append(failed(error))
        return Edge(time.monotonic(), {})

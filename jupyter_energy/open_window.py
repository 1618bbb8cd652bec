"""A window that has begun: what was asked for, where it lies, and what was read at its start."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime

from . import devices
from .finding import failed
from .model import Domain, Outcome, Record
from .process_tree import CpuTimes
from .repeat import Repetition
from .sensors.base import Sensor
from .signals import signal_of
from .window import Edge


@dataclass(frozen=True, slots=True)
class Options:
    """What `%%energy` and `je.measure` were asked for."""

    name: str | None = None
    choice: devices.Choice = devices.EVERYTHING
    zone: str | None = None
    sync: bool = False
    trace: bool = False


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
    waited_s: float = 0.0  # for queued GPU work at its end
    refined: Future[Record] | None = None  # its record once the read after it has been made

    def let_go(self) -> None:
        """Hold no sensor any more: a context that outlives us may hold this window."""
        self.outer, self.start = None, Edge(self.start.t_s, {})
        self.counts, self.reads = _nothing, _nothing


@dataclass(frozen=True, slots=True)
class Ending:
    """How a window ended: what was read then, and what the cell was."""

    stop: Edge
    outcome: Outcome = "ok"
    cell_id: str | None = None
    execution_count: int | None = None
    times: CpuTimes = field(default_factory=CpuTimes)
    peak_w: float | None = None


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


def edge_or_why(
    read: Callable[[], Edge], warnings: list[str], caught: type[BaseException] = Exception
) -> Edge:
    """An edge; an empty one, with a warning, where it could not be read."""
    try:
        return read()
    except caught as error:  # ours or a third party's, but not what stops the user's code
        if caught is Exception and signal_of(error) is not None:
            raise
        warnings.append(failed(error))
        return Edge(time.monotonic(), {})

"""A window that has begun: what was asked for, where it lies, and what was read at its start."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime

from . import devices
from .model import Domain, Outcome, Record
from .process_tree import CpuTimes
from .repeat import Repetition
from .sensors.base import Sensor
from .window import Edge


@dataclass(frozen=True, slots=True)
class Options:
    """What `%%energy` and `je.measure` were asked for."""

    name: str | None = None
    choice: devices.Choice = devices.EVERYTHING
    zone: str | None = None
    sync: bool = False
    trace: bool = False


@dataclass(slots=True)
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
    warnings: list[str] = field(default_factory=list)
    ended: bool = False
    repetition: Repetition | None = None  # the body that runs several times in it
    shown: bool = False
    times: CpuTimes = field(default_factory=CpuTimes)
    waited_s: float = 0.0  # for queued GPU work at its end
    refined: Future[Record] | None = None  # its record once the read after it has been made


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

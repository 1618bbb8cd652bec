"""The feed: asked in the background, remembered, shared by all kernels, never waited for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jupyter_energy.carbon.base import Get, Interval, Query, Signal
from jupyter_energy.carbon.cache import Cache
from jupyter_energy.carbon.feed import Feed
from jupyter_energy.errors import UnknownZone

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
STEP = timedelta(minutes=15)


@dataclass
class Clock:
    """A wall clock that moves when it is told to."""

    now: datetime = NOON + timedelta(minutes=5)

    def __call__(self) -> datetime:
        return self.now

    def go(self, **how: float) -> None:
        self.now += timedelta(**how)


@dataclass
class Grid:
    """A provider of the shape that third parties write: steps of 15 minutes, 100 g at noon."""

    name: str = "grid"
    title: str = "The grid"
    step_s: float = 900.0
    url: str = "http://nowhere.invalid"
    secrets: tuple[str, ...] = ()
    queries: list[Query] = field(default_factory=list)
    problem: Exception | None = None
    asked: threading.Event = field(default_factory=threading.Event)
    gate: threading.Event | None = None

    def region(self, zone: str) -> str:
        if zone == "nowhere":
            raise UnknownZone("The grid has no figures for 'nowhere': write FR")
        return zone.lower()

    def fetch(self, query: Query, get: Get) -> Signal:
        self.queries.append(query)
        self.asked.set()
        if self.gate is not None:
            self.gate.wait()
        if self.problem is not None:
            raise self.problem
        start = query.now.replace(minute=query.now.minute // 15 * 15, second=0)
        measured = [Interval(start, start + STEP, g_at(start), "measured", query.now)]
        ahead = [
            Interval(start + STEP * n, start + STEP * (n + 1), 500.0, "forecast", query.now)
            for n in range(1, 5)
            if query.end > query.now
        ]
        return Signal(
            *(query.region, "Somewhere", "average", "consumption", "lifecycle", 900.0),
            *("The grid", "http://nowhere.invalid", query.now, (*measured, *ahead)),
        )


def g_at(moment: datetime) -> float:
    return 100.0 + (moment - NOON) / STEP


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def grid() -> Grid:
    return Grid()


def never(_path: str, _headers: object) -> None:
    raise AssertionError("the stand-in asks nobody")


@pytest.fixture
def feed(grid: Grid, clock: Clock, tmp_path: Path) -> Iterator[Feed]:
    made = Feed(grid, never, Cache(tmp_path / "cache", "grid"), now=clock, linger_s=0.2)
    yield made
    made.close()


def test_a_cell_that_runs_has_the_service_asked_on_another_thread_which_then_ends(
    feed: Feed, grid: Grid
) -> None:
    assert feed.between("FR", NOON, NOON + STEP) == (None, "The grid has not been asked yet")
    feed.wanted("FR")
    (thread,) = [t for t in threading.enumerate() if t.name == "jupyter-energy-carbon"]
    thread.join(10)
    assert not thread.is_alive()
    signal, said = feed.between("FR", NOON, NOON + STEP)
    assert signal is not None
    assert [(i.start, i.g_per_kwh, i.quality) for i in signal.intervals] == [
        (NOON, 100, "measured")
    ]
    assert said is None
    assert len(grid.queries) == 1

"""What the feed makes of a service's values: held, late, out of date; and of a plug-in that ends
threads, a clock that is set back, an address that is another."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from standins.carbon_services import feed_of
from standins.web_server import Service, Told

from jupyter_energy.carbon.base import Get, Interval, Query, Signal
from jupyter_energy.carbon.cache import Cache
from jupyter_energy.carbon.feed import Feed
from jupyter_energy.config import Energy
from jupyter_energy.errors import ProviderError, UnknownZone

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@dataclass
class Clock:
    """A wall clock that moves when it is told to."""

    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Grid:
    """A provider of hours: `values` by hours from noon, as a third party may write it."""

    values: dict[int, str]
    name: str = "grid"
    title: str = "The grid"
    step_s: float = 3600.0
    url: str = "http://nowhere.invalid"
    secrets: tuple[str, ...] = ()
    problem: BaseException | None = None
    no_zone: BaseException | None = None
    queries: list[Query] = field(default_factory=list)
    asked: threading.Event = field(default_factory=threading.Event)

    def region(self, zone: str) -> str:
        if self.no_zone is not None:
            raise self.no_zone
        return zone.lower()

    def fetch(self, query: Query, get: Get) -> Signal:
        self.queries.append(query)
        self.asked.set()
        if self.problem is not None:
            raise self.problem
        made = [
            Interval(NOON + HOUR * n, NOON + HOUR * (n + 1), 100.0 + n, quality, query.now)
            for n, quality in self.values.items()
        ]
        return Signal(
            *(query.region, "Somewhere", "average", "consumption", "lifecycle", 3600.0),
            *("The grid", "http://nowhere.invalid", query.now, tuple(made)),
        )


@dataclass
class Late(Grid):
    """One whose values come two hours late, and which says so."""

    delay_s: object = 7200.0


def never(_path: str, _headers: object) -> None:
    raise AssertionError("the stand-in asks nobody")


def at(feed: Feed, hours: float) -> tuple[list[tuple[float, str]], str | None]:
    """Figures and qualities of a minute so many hours from noon, and what is said."""
    moment = NOON + HOUR * hours
    signal, said = feed.between("FR", moment, moment + timedelta(minutes=1))
    return [(i.g_per_kwh, i.quality) for i in signal.intervals] if signal else [], said


# -- forecasts -------------------------------------------------------------------------------


def test_a_forecast_that_no_newer_one_followed_says_how_old_it_is_and_why(tmp_path: Path) -> None:
    grid, clock = Grid(dict.fromkeys(range(48), "forecast")), Clock()
    feed = Feed(grid, never, Cache(tmp_path, "grid"), now=clock)
    feed.refresh("FR")
    assert at(feed, 30) == ([(130.0, "forecast")], None)  # of what is to come: nothing newer can be
    assert at(feed, 2) == ([(102.0, "forecast")], None)
    grid.problem = ProviderError("The grid cannot be reached", "unreachable")
    clock.now = NOON + 30 * HOUR
    feed.refresh("FR")
    values, said = at(feed, 30)
    assert values == [(130.0, "forecast")]
    assert said == (
        "The grid's forecast of 2026-11-23 12:00 UTC, while there is no newer one: "
        "The grid cannot be reached since 18:00 UTC"
    )
    grid.problem = None
    clock.now += timedelta(minutes=1)
    feed.refresh("FR")
    assert at(feed, 30) == ([(130.0, "forecast")], None)


# -- values that come late -------------------------------------------------------------------


def test_a_value_holds_longer_where_the_service_is_late_by_its_own_word(tmp_path: Path) -> None:
    late = Feed(Late({-3: "measured"}), never, Cache(tmp_path, "late"), now=Clock())
    late.refresh("FR")
    assert at(late, 1.9)[0] == [(97.0, "estimated")]
    assert at(late, 2.1)[0] == []
    usual = Feed(Grid({-3: "measured"}), never, Cache(tmp_path, "usual"), now=Clock())
    usual.refresh("FR")
    assert at(usual, -0.1)[0] == [(97.0, "estimated")]
    assert at(usual, 0.1)[0] == []


@pytest.mark.parametrize("delay_s", [None, "soon", -1.0, float("nan"), float("inf"), 1e300])
def test_a_delay_that_cannot_be_is_none(tmp_path: Path, delay_s: object) -> None:
    feed = Feed(Late({-3: "measured"}, delay_s=delay_s), never, Cache(tmp_path, "x"), now=Clock())
    feed.refresh("FR")
    assert at(feed, 0.1)[0] == []


# -- plug-ins that end threads ---------------------------------------------------------------


@pytest.mark.parametrize("problem", [SystemExit("geheim"), KeyboardInterrupt()])
def test_a_plug_in_that_ends_the_thread_is_a_failure_as_any_other(
    tmp_path: Path, problem: BaseException
) -> None:
    grid = Grid({0: "measured"}, problem=problem)
    feed = Feed(grid, never, Cache(tmp_path, "grid"), now=Clock(), linger_s=0.2)
    feed.wanted("FR")
    (thread,) = [t for t in threading.enumerate() if t.name == "jupyter-energy-carbon"]
    thread.join(60)
    feed.close()
    assert not thread.is_alive()
    assert len(grid.queries) == 1
    _, said = at(feed, 0)
    assert said == f"The grid cannot be read ({type(problem).__name__}) since 12:00 UTC"


def test_a_plug_in_that_ends_the_thread_at_a_place_is_told_by_its_kind(tmp_path: Path) -> None:
    feed = Feed(Grid({}, no_zone=SystemExit("geheim")), never, Cache(tmp_path, "grid"), now=Clock())
    assert at(feed, 0) == ([], "The grid cannot tell what FR is (SystemExit)")
    with pytest.raises(UnknownZone):
        feed.refresh("FR")


# -- a clock that is set back ----------------------------------------------------------------


def test_a_clock_that_is_set_back_while_a_service_failed_leads_to_one_more_question(
    tmp_path: Path,
) -> None:
    grid, clock = Grid({0: "measured"}), Clock()
    grid.problem = ProviderError("The grid cannot be reached", "unreachable")
    Feed(grid, never, Cache(tmp_path, "grid"), now=clock).refresh("FR")
    clock.now -= 20 * HOUR
    # Another kernel, which knows of the failure by the file alone.
    other = Feed(grid, never, Cache(tmp_path, "grid"), now=clock)
    other.refresh("FR")
    other.refresh("FR")
    assert len(grid.queries) == 2


@pytest.mark.parametrize("after_s", [1e300, float("inf"), float("nan"), -5.0])
def test_no_service_can_have_itself_left_alone_for_more_than_a_day(
    tmp_path: Path, after_s: float
) -> None:
    grid, clock = Grid({0: "measured"}), Clock()
    grid.problem = ProviderError("The grid wants to be left alone", "limited", after_s)
    feed = Feed(grid, never, Cache(tmp_path, "grid"), now=clock)
    feed.refresh("FR")
    feed.refresh("FR")
    assert len(grid.queries) == 1
    clock.now += 25 * HOUR
    feed.refresh("FR")
    assert len(grid.queries) == 2


# -- another address -------------------------------------------------------------------------


def test_what_one_address_answered_is_not_taken_for_anothers(tmp_path: Path) -> None:
    start = datetime.now(UTC).replace(microsecond=0)

    def figures(g_per_kwh: float) -> Service:
        body = {"unix_seconds": [int(start.timestamp())], "co2eq": [g_per_kwh]}
        return Service(lambda _asked: Told(200, body))

    def told(url: str) -> float:
        said = {"CACHE": str(tmp_path), "PROVIDER": "energy_charts", "PROVIDER_URL": url}
        feed = feed_of(Energy(environ={f"JUPYTER_ENERGY_{n}": v for n, v in said.items()}))
        assert feed is not None
        feed.refresh("FR")
        signal, _ = feed.between("FR", start, start)
        assert signal is not None
        return signal.intervals[0].g_per_kwh

    with figures(1).running() as one, figures(50).running() as other:
        assert [told(one.url), told(other.url), told(f"{one.url}/")] == [1, 50, 1]
        assert (len(one.asked), len(other.asked)) == (1, 1)

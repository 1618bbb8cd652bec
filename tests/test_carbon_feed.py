"""The feed: asked in the background, remembered, shared by all kernels, never waited for."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from standins.carbon_services import feed_of
from standins.web_server import Asked, Service, Told

from jupyter_energy.carbon.base import Get, Interval, Query, Signal
from jupyter_energy.carbon.cache import Cache
from jupyter_energy.carbon.feed import Feed, feed_for
from jupyter_energy.config import Energy
from jupyter_energy.errors import ProviderError, UnknownZone

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
    return 100.0 + (moment - NOON) / STEP % 100


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
    thread.join(60)
    assert not thread.is_alive()
    signal, said = feed.between("FR", NOON, NOON + STEP)
    assert signal is not None
    assert [(i.start, i.g_per_kwh, i.quality) for i in signal.intervals] == [
        (NOON, 100, "measured")
    ]
    assert said is None
    assert len(grid.queries) == 1


@pytest.mark.parametrize(("runs", "asked"), [(True, ["fr", "fr", "de"]), (False, ["fr", "de"])])
def test_what_a_cell_wanted_is_asked_once_though_it_is_over_and_again_only_while_one_runs(
    grid: Grid, clock: Clock, runs: bool, asked: list[str]
) -> None:
    feed = Feed(grid, never, now=clock, linger_s=5.0, is_running=lambda: runs)
    feed.wanted("FR")
    assert grid.asked.wait(60)
    grid.asked.clear()
    clock.go(hours=1)  # the value is old, and the place was wanted a moment ago
    feed.wanted("DE")
    while len(grid.queries) < len(asked):
        assert grid.asked.wait(60)
        grid.asked.clear()
    feed.close()
    assert sorted(query.region for query in grid.queries) == sorted(asked)


def test_what_is_younger_than_a_step_is_not_asked_again_and_what_is_older_is(
    feed: Feed, grid: Grid, clock: Clock
) -> None:
    feed.refresh("FR")
    clock.go(minutes=14)
    feed.refresh("FR")
    assert len(grid.queries) == 1
    clock.go(minutes=3)
    feed.refresh("FR")
    assert len(grid.queries) == 2
    signal, _ = feed.between("FR", NOON, NOON + 2 * STEP)
    assert signal is not None
    assert [i.g_per_kwh for i in signal.intervals] == [100, 101]


def test_a_forecast_is_asked_for_once_in_half_an_hour_and_gives_way_to_what_was(
    feed: Feed, grid: Grid, clock: Clock
) -> None:
    for _ in range(3):
        feed.refresh("FR")
        clock.go(minutes=17)
    assert [query.end > query.now for query in grid.queries] == [True, False, True]
    signal, said = feed.between("FR", NOON, NOON + 4 * STEP)
    assert signal is not None
    assert [i.quality for i in signal.intervals] == ["measured"] * 3 + ["forecast"]
    assert said is None


def test_a_second_kernel_reads_what_the_first_was_answered_and_asks_nobody(
    feed: Feed, grid: Grid, clock: Clock, tmp_path: Path
) -> None:
    feed.refresh("FR")
    other = Grid()
    second = Feed(other, never, Cache(tmp_path / "cache", "grid"), now=clock)
    second.refresh("FR")
    assert other.queries == []
    assert second.between("FR", NOON, NOON + STEP) == feed.between("FR", NOON, NOON + STEP)
    (file,) = (tmp_path / "cache").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_while_one_kernel_asks_another_neither_asks_nor_waits(
    feed: Feed, grid: Grid, clock: Clock, tmp_path: Path
) -> None:
    grid.gate = threading.Event()
    asking = threading.Thread(target=feed.refresh, args=("FR",))
    asking.start()
    assert grid.asked.wait(60)
    other = Grid()
    second = Feed(other, never, Cache(tmp_path / "cache", "grid"), now=clock)
    second.refresh("FR")
    assert other.queries == []
    # Whoever holds the lock for longer than any question takes is not waited for any more.
    clock.go(seconds=31)
    second.refresh("FR")
    assert len(other.queries) == 1
    grid.gate.set()
    asking.join(60)


# Asks once all processes are ready; the answer comes when all have looked whose turn it is.
ONE_OF_MANY = """
import sys
from jupyter_energy.carbon.feed import feed_for
from jupyter_energy.config import Energy
from jupyter_energy.factors import Factors
names = ("PROVIDER", "energy_charts"), ("PROVIDER_URL", sys.argv[1]), ("CACHE", sys.argv[2])
chosen = Energy(environ={f"JUPYTER_ENERGY_{name}": value for name, value in names})
feed = feed_for(chosen, {}, Factors(chosen, {}).is_home)
print("ready", flush=True)
sys.stdin.readline()
feed.refresh("FR")
print("done", flush=True)
"""


def test_of_many_processes_that_want_a_place_at_once_one_asks(tmp_path: Path) -> None:
    looked = threading.Event()

    def answer(_asked: Asked) -> Told:
        looked.wait(60)
        return Told(503)

    with Service(answer).running() as service:
        code = [sys.executable, "-c", ONE_OF_MANY, service.url, str(tmp_path)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        many = [subprocess.Popen(code, text=True, **pipes) for _ in range(4)]  # type: ignore[call-overload]
        assert [one.stdout.readline() for one in many] == ["ready\n"] * 4
        for one in many:
            one.stdin.write("\n")
            one.stdin.flush()
        assert service.came.wait(60)
        # All but the one that waits for its answer are done; then that one gets it.
        done = threading.Semaphore(0)
        for one in many:
            threading.Thread(target=lambda p=one: (p.wait(), done.release())).start()
        for _ in range(3):
            assert done.acquire(timeout=60)
        looked.set()
        assert done.acquire(timeout=60)
        assert [one.returncode for one in many] == [0] * 4
        assert len(service.asked) == 1
        for one in many:
            one.communicate()


def test_a_child_that_was_forked_while_its_parent_asked_keeps_nobody_out(
    feed: Feed, grid: Grid, clock: Clock, tmp_path: Path
) -> None:
    cache = Cache(tmp_path / "cache", "grid")
    with cache.turn("fr") as ours:
        assert ours
        ready, go_on = os.pipe(), os.pipe()
        child = os.fork()
        if child == 0:
            os.write(ready[1], b"x")
            os.read(go_on[0], 1)
            os._exit(0)
        os.read(ready[0], 1)
    try:
        with cache.turn("fr") as ours_again:
            assert ours_again
    finally:
        os.write(go_on[1], b"x")
        os.waitpid(child, 0)
        for end in (*ready, *go_on):
            os.close(end)


def test_a_forked_child_starts_no_thread_and_still_tells_what_was_known(
    feed: Feed, grid: Grid
) -> None:
    feed.refresh("FR")
    child = os.fork()
    if child == 0:
        feed.wanted("FR")
        signal, _ = feed.between("FR", NOON, NOON + STEP)
        os._exit(0 if signal is not None and threading.active_count() == 1 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def failing(
    text: str = "The grid did not answer (HTTP 503)", kind: str = "failed"
) -> ProviderError:
    return ProviderError(text, kind)


def test_after_a_failure_the_last_value_holds_for_two_steps_then_nothing_is_known_and_it_says_why(
    feed: Feed, grid: Grid, clock: Clock
) -> None:
    feed.refresh("FR")
    grid.queries.clear()
    clock.go(minutes=90)  # the forecast of an hour has ended half an hour ago
    grid.problem = failing()
    feed.refresh("FR")
    assert len(grid.queries) == 1
    end_of_forecast = NOON + 5 * STEP
    signal, said = feed.between("FR", end_of_forecast, end_of_forecast + 2 * STEP)
    assert signal is not None
    (held,) = signal.intervals
    assert (held.g_per_kwh, held.quality) == (500.0, "estimated")
    assert said is not None
    assert said.endswith(
        "while there is no newer one: The grid did not answer (HTTP 503) since 13:35 UTC"
    )
    later = end_of_forecast + 2 * STEP
    assert feed.between("FR", later, later + STEP) == (
        None,
        "The grid did not answer (HTTP 503) since 13:35 UTC",
    )


def test_a_service_that_fails_is_asked_after_half_a_minute_then_twice_as_long_up_to_an_hour(
    feed: Feed, grid: Grid, clock: Clock
) -> None:
    grid.problem = failing()
    waits = []
    for _ in range(9):
        asked = len(grid.queries)
        feed.refresh("FR")
        assert len(grid.queries) == asked + 1
        again = feed.known("FR").trouble.again  # type: ignore[union-attr]
        waits.append((again - clock.now).total_seconds())
        clock.now = again - timedelta(seconds=1)
        feed.refresh("FR")
        assert len(grid.queries) == asked + 1
        clock.now = again
    assert waits == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]


def test_no_kernel_asks_before_the_service_wants_it(
    feed: Feed, grid: Grid, clock: Clock, tmp_path: Path
) -> None:
    grid.problem = ProviderError(
        "The grid wants to be asked less often (HTTP 429)", "limited", 7200
    )
    feed.refresh("FR")
    clock.go(minutes=119)
    other = Grid()
    second = Feed(other, never, Cache(tmp_path / "cache", "grid"), now=clock)
    second.refresh("FR")
    assert other.queries == []
    assert "HTTP 429" in str(second.between("FR", NOON, NOON + STEP)[1])
    clock.go(minutes=1)
    second.refresh("FR")
    assert len(other.queries) == 1


def test_a_refused_token_keeps_no_other_kernel_from_asking_with_its_own(
    feed: Feed, grid: Grid, clock: Clock, tmp_path: Path
) -> None:
    grid.problem = ProviderError("The grid does not know this token (HTTP 401)", "denied")
    feed.refresh("FR")
    other = Grid()
    Feed(other, never, Cache(tmp_path / "cache", "grid"), now=clock).refresh("FR")
    assert len(other.queries) == 1


def test_a_place_that_the_provider_does_not_know_is_never_answered_with_another(
    feed: Feed, grid: Grid
) -> None:
    feed.refresh("FR")
    assert feed.between("nowhere", NOON, NOON + STEP) == (
        None,
        "The grid has no figures for 'nowhere': write FR",
    )
    with pytest.raises(UnknownZone):
        feed.refresh("nowhere")
    feed.wanted("nowhere")
    assert len(grid.queries) == 1


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'{"format": 2}',
        b'{"format": 1, "signal": {}, "trouble": null, "asked": null, "forecast_asked": null}',
        b'{"format": 1, "signal": null, "trouble": {"text": 1}, "asked": 3, "forecast_asked": 0}',
    ],
)
def test_a_damaged_cache_is_as_none(
    feed: Feed, grid: Grid, clock: Clock, tmp_path: Path, damage: bytes
) -> None:
    cache = Cache(tmp_path / "cache", "grid")
    cache.file("fr").parent.mkdir()
    cache.file("fr").write_bytes(damage)
    feed.recall("FR")
    feed.refresh("FR")
    assert len(grid.queries) == 1
    assert feed.between("FR", NOON, NOON + STEP)[0] is not None


def test_a_cache_that_is_cut_off_anywhere_is_as_none_or_as_whole(
    feed: Feed, grid: Grid, clock: Clock, tmp_path: Path
) -> None:
    feed.refresh("FR")
    cache = Cache(tmp_path / "cache", "grid")
    whole = cache.file("fr").read_bytes()
    for length in range(0, len(whole), 7):
        cache.file("fr").write_bytes(whole[:length])
        second = Feed(Grid(), never, cache, now=clock)
        second.recall("FR")
        assert second.between("FR", NOON, NOON + STEP)[0] is None


def test_a_folder_that_cannot_be_made_costs_the_sharing_and_no_more(
    grid: Grid, clock: Clock, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    feed = Feed(grid, never, Cache(tmp_path / "file" / "cache", "grid"), now=clock)
    feed.refresh("FR")
    assert feed.between("FR", NOON, NOON + STEP)[0] is not None


def test_a_clock_that_jumps_back_or_far_ahead_leads_to_one_more_question(
    feed: Feed, grid: Grid, clock: Clock
) -> None:
    for jump_h in (-5, 50, -100):
        asked = len(grid.queries)
        feed.refresh("FR")
        clock.go(hours=jump_h)
        feed.refresh("FR")
        feed.refresh("FR")
        assert len(grid.queries) <= asked + 2
        assert feed.known("FR").asked == clock.now


def test_values_are_kept_for_14_days_so_that_a_run_can_be_told_anew(
    feed: Feed, grid: Grid, clock: Clock, tmp_path: Path
) -> None:
    feed.refresh("FR")
    clock.go(days=13)
    feed.refresh("FR")
    later = Feed(Grid(), never, Cache(tmp_path / "cache", "grid"), now=clock)
    later.recall("FR")
    signal, _ = later.between("FR", NOON, NOON + STEP)
    assert signal is not None
    (interval,) = signal.intervals
    assert interval == Interval(NOON, NOON + STEP, 100, "measured", NOON + timedelta(minutes=5))
    clock.go(days=2)
    feed.refresh("FR")
    assert feed.between("FR", NOON, NOON + STEP)[0] is None


def test_an_exception_of_a_third_party_is_told_by_its_kind_alone(feed: Feed, grid: Grid) -> None:
    grid.problem = RuntimeError("token=geheim")
    feed.refresh("FR")
    _, said = feed.between("FR", NOON, NOON + STEP)
    assert said is not None
    assert said.startswith("The grid cannot be read (RuntimeError)")
    assert "geheim" not in said


def test_after_the_end_nothing_is_asked(feed: Feed, grid: Grid) -> None:
    feed.close()
    feed.wanted("FR")
    assert "jupyter-energy-carbon" not in {thread.name for thread in threading.enumerate()}
    assert grid.queries == []


def test_a_question_that_the_end_comes_before_is_not_sent_and_no_failure_for_other_kernels(
    tmp_path: Path,
) -> None:
    with Service(lambda _: Told(503)).running() as service:
        chosen = settings(tmp_path, PROVIDER="energy_charts", PROVIDER_URL=service.url)
        feed, other = feed_of(chosen), feed_of(chosen)
        assert feed is not None
        assert other is not None
        feed.close()
        feed.refresh("FR")  # as the thread does that is on its way to it
        assert service.asked == []
        other.recall("FR")
        assert other.between("FR", NOON, NOON) == (None, "Energy-Charts has not been asked yet")


def test_the_end_waits_for_no_service_that_hangs(feed: Feed, grid: Grid) -> None:
    grid.gate = threading.Event()
    feed.wanted("FR")
    assert grid.asked.wait(60)
    feed.close()
    grid.gate.set()


def test_without_a_provider_there_is_no_feed() -> None:
    assert feed_for(Energy(), {}, lambda _: True) is None


def settings(tmp_path: Path, **more: str) -> Energy:
    said = {"CACHE": str(tmp_path / "cache"), **more}
    made = Energy(environ={f"JUPYTER_ENERGY_{name}": value for name, value in said.items()})
    assert made.complaints == []
    return made


def test_a_word_of_the_users_for_their_place_answers_for_no_other_place(tmp_path: Path) -> None:
    feed = feed_of(settings(tmp_path, ZONE="GB", PROVIDER="uk_grid", PROVIDER_ZONE="RG10"))
    assert feed is not None
    assert str(feed.between("GB", NOON, NOON + STEP)[1]).endswith("has not been asked yet")
    assert "no figures for 'FR'" in str(feed.between("FR", NOON, NOON + STEP)[1])


@pytest.mark.parametrize(
    ("zone", "country"), [("aws:eu-west-3", "fr"), ("gcp:europe-west1", "be"), ("EM:FR", "fr")]
)
def test_a_cloud_region_is_asked_as_its_grid(zone: str, country: str, tmp_path: Path) -> None:
    def answer(_asked: Asked) -> Told:
        return Told(503)

    with Service(answer).running() as service:
        chosen = settings(tmp_path, PROVIDER="energy_charts", PROVIDER_URL=service.url)
        feed = feed_of(chosen)
        assert feed is not None
        feed.refresh(zone)
        assert [asked.parameters["country"] for asked in service.asked] == [country]


class OfGrids(Grid):
    """A provider that knows grid zones, and no region of a cloud."""

    def region(self, zone: str) -> str:
        if not zone.startswith("EM:"):
            raise UnknownZone(f"The grid has no figures for {zone}")
        return zone


@pytest.mark.parametrize(
    ("zone", "regions"), [("aws:eu-north-1", ["EM:SE-SE3"]), ("aws:us-west-2", [])]
)
def test_a_region_that_two_grids_may_feed_is_asked_as_neither(
    zone: str, regions: list[str], clock: Clock
) -> None:
    grids = OfGrids()
    feed = Feed(grids, never, now=clock)
    with suppress(UnknownZone):
        feed.refresh(zone)
    assert [query.region for query in grids.queries] == regions


def test_a_third_partys_region_that_fails_is_told_without_its_text(clock: Clock) -> None:
    class Broken(Grid):
        def region(self, zone: str) -> str:
            raise RuntimeError("geheim")

    feed = Feed(Broken(), never, now=clock)
    said = feed.between("FR", NOON, NOON + STEP)
    assert said == (None, "The grid cannot tell what FR is (RuntimeError)")


def test_a_region_whose_grid_is_not_sure_is_not_asked_for(tmp_path: Path) -> None:
    feed = feed_of(settings(tmp_path, PROVIDER="energy_charts"))
    assert feed is not None
    for zone in ("aws:us-west-2", "aws:eu-north-1", "US-CA"):
        assert "Energy-Charts has no figures for" in str(feed.between(zone, NOON, NOON + STEP)[1])

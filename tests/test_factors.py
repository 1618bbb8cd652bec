"""A live signal while cells run: grams by the energy in each interval, from memory, never late."""

from __future__ import annotations

import csv
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import pytest
from standins.sensors import LIMIT_S, FakeSensor, family
from standins.web_server import Service, Told

from jupyter_energy.carbon import factor
from jupyter_energy.carbon.emissions import SEEN
from jupyter_energy.commands import dispatch
from jupyter_energy.commands.kernel_context import KernelContext
from jupyter_energy.config import Energy
from jupyter_energy.devices import parse
from jupyter_energy.figures import Figures
from jupyter_energy.identity import NotebookRef
from jupyter_energy.idle_book import HEARTBEAT_S
from jupyter_energy.live_message import LiveJson
from jupyter_energy.model import Domain, Record
from jupyter_energy.monitor import Monitor
from jupyter_energy.open_window import OpenWindow, Options
from jupyter_energy.pages import Pages
from jupyter_energy.sampler import Sampler

KWH = 3.6e6
HOUR = timedelta(hours=1)
# A full hour of this week, since older values are let go of.
NOON = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - 12 * HOUR
GERMANY = factor("DE")


def at(minutes: float) -> datetime:
    """So many minutes after the full hour."""
    return NOON + timedelta(minutes=minutes)


class Desk:
    """A monitor with a sensor and clocks that a test moves, and a file of g/kWh."""

    def __init__(self, folder: Path, *sensors: FakeSensor, **environ: str) -> None:
        self.minutes = self.asleep_minutes = 0.0
        self.trace = folder / "grid.csv"
        environ = {
            "JUPYTER_ENERGY_STORE": str(folder / "energy.sqlite"),
            "JUPYTER_ENERGY_PROVIDER": "csv_trace",
            "JUPYTER_ENERGY_CSV_TRACE": str(self.trace),
            "JUPYTER_ENERGY_CACHE": str(folder / "cache"),
            "JUPYTER_ENERGY_ZONE": "DE",
            **environ,
        }
        pages = Pages(lambda: NotebookRef(str(folder / "a.ipynb"), "a.ipynb"))
        self.settings = Energy(environ=environ)
        assert not self.settings.complaints
        self.monitor = Monitor(self.settings, pages.ref, environ)
        self.monitor.sampler = Sampler(
            self.settings.machine(environ),
            lambda: [family(*sensors)],
            clock=lambda: 1000.0 + 60 * self.minutes,
            asleep=lambda: 60 * self.asleep_minutes,
        )
        self.figures = Figures(self.monitor, pages)

    def start(self) -> None:
        self.monitor.start()
        assert self.monitor.sampler.wait_until_found(LIMIT_S)

    def says(self, *rows: tuple[float, float], name: str = "carbon intensity g/kWh") -> None:
        """The file: minutes after the full hour, g/kWh."""
        with self.trace.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["datetime (UTC)", name])
            writer.writerows((at(minutes).isoformat(), g) for minutes, g in rows)
        # Another feed, which does not wait because there was no file when it looked.
        self.settings.cache += "1"
        self.monitor.factors.ask()

    def open(self, options: Options | None = None) -> OpenWindow:
        window = self.monitor.open_window(options or Options())
        window.start_utc = at(self.minutes + self.asleep_minutes)
        return window

    def look(self) -> None:
        """What happens every few seconds while a cell runs."""
        self.monitor._under_way()

    def close(self) -> None:
        self.figures.close()
        self.monitor.close()


MakeDesk = Callable[..., Desk]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[MakeDesk]:
    with ExitStack() as stack:

        def make(*sensors: FakeSensor, **environ: str) -> Desk:
            made = Desk(tmp_path, *sensors, **environ)
            stack.callback(made.close)
            made.start()
            return made

        yield make


def gpu() -> FakeSensor:
    return FakeSensor(Domain("gpu", 0, "NVIDIA H100", "GPU-0"))


def grams(record: Record) -> float:
    assert record.carbon_g is not None
    return record.carbon_g.mid


def test_a_cell_across_a_changing_signal_has_the_grams_that_one_computes_by_hand(
    desk: MakeDesk,
) -> None:
    """0.5 kWh in the first half of an hour at 100 g/kWh, 1.5 kWh in the second one at 500."""
    sensor = gpu()
    here = desk(sensor)
    here.says((0, 100), (30, 500), (60, 700), (90, 900))
    window = here.open()
    here.minutes, sensor.value = 30, 0.5 * KWH
    here.look()
    here.minutes, sensor.value = 60, 2 * KWH
    record = here.monitor.close_window(window, "ok")
    assert grams(record) == pytest.approx(0.5 * 100 + 1.5 * 500)
    assert record.emissions is not None
    assert record.emissions.intensity.g_per_kwh == pytest.approx(400)
    assert [s.energy_share for s in record.emissions.spans] == pytest.approx([0.25, 0.75])
    assert [s.start for s in record.emissions.spans] == [at(0), at(30)]
    assert record.emissions.intensity.zone == "DE"
    assert not record.emissions.intensity.assumed


def test_a_window_within_another_has_the_factor_of_its_own_time(desk: MakeDesk) -> None:
    sensor = gpu()
    here = desk(sensor)
    here.says((0, 100), (30, 500), (60, 700), (90, 900))
    outer = here.open()
    here.minutes, sensor.value = 15, 0.25 * KWH
    inner = here.open()
    here.minutes, sensor.value = 30, 0.5 * KWH
    here.look()
    here.minutes, sensor.value = 45, 2.5 * KWH
    within = here.monitor.close_window(inner, "ok")
    here.minutes, sensor.value = 60, 4.5 * KWH
    whole = here.monitor.close_window(outer, "ok")
    assert within.within == whole.run_id
    assert grams(within) == pytest.approx(0.25 * 100 + 2 * 500)
    assert grams(whole) == pytest.approx(0.5 * 100 + 4 * 500)


def test_estimates_alone_are_weighted_too_and_keep_their_range(desk: MakeDesk) -> None:
    sensor = FakeSensor(Domain("package", 0, "CPU"), spread=(0.5, 2.0))
    sensor.provenance = "estimated"
    here = desk(sensor)
    here.says((0, 100), (30, 500), (60, 700))
    window = here.open()
    here.minutes, sensor.value = 30, 0.5 * KWH
    here.look()
    here.minutes, sensor.value = 60, 2 * KWH
    record = here.monitor.close_window(window, "ok")
    assert record.carbon_g is not None
    assert (record.carbon_g.low, record.carbon_g.mid, record.carbon_g.high) == pytest.approx(
        (400, 800, 1600)
    )


def test_what_a_machine_draws_before_and_after_it_was_suspended_counts_at_its_own_time(
    desk: MakeDesk,
) -> None:
    sensor = gpu()
    here = desk(sensor)
    here.says((0, 100), (60, 300), (120, 500), (180, 700))
    window = here.open()
    here.minutes, sensor.value = 10, 1.0 * KWH
    here.look()
    here.asleep_minutes = 120
    here.look()
    here.minutes, sensor.value = 20, 4.0 * KWH
    record = here.monitor.close_window(window, "ok")
    assert grams(record) == pytest.approx(1 * 100 + 3 * 500)
    assert any("slept" in text for text in record.warnings)


def test_a_gap_in_the_signal_has_the_yearly_factor_and_says_so(desk: MakeDesk) -> None:
    sensor = gpu()
    here = desk(sensor)
    here.says((-60, 90), (-30, 80), (0, 100), (90, 500), (120, 500))
    window = here.open()
    here.minutes, sensor.value = 120, 4.0 * KWH
    record = here.monitor.close_window(window, "ok")
    assert grams(record) == pytest.approx(1 * 100 + 2 * GERMANY.g_per_kwh + 1 * 500)
    assert record.emissions is not None
    assert "50 % of it has the yearly factor" in str(record.emissions.intensity.note)


def test_without_a_value_the_yearly_factor_of_the_same_place_counts_and_the_record_says_why(
    desk: MakeDesk,
) -> None:
    sensor = gpu()
    here = desk(sensor)
    window = here.open()
    here.minutes, sensor.value = 1, KWH
    record = here.monitor.close_window(window, "ok")
    assert record.emissions is not None
    assert replace(record.emissions.intensity, note=None, how="") == replace(GERMANY, how="")
    assert str(record.emissions.intensity.note).endswith(": the yearly factor")
    assert record.emissions.spans == ()


def test_marginal_values_are_never_filled_up_with_average_ones(desk: MakeDesk) -> None:
    sensor = gpu()
    here = desk(sensor)
    here.says((0, 100), (30, 500), name="marginal g/kWh")
    inside = here.open()
    here.minutes, sensor.value = 30, KWH
    record = here.monitor.close_window(inside, "ok")
    assert record.emissions is not None
    assert record.emissions.intensity.kind == "marginal"
    beyond = here.open()
    here.minutes, sensor.value = 600, 2 * KWH
    record = here.monitor.close_window(beyond, "ok")
    assert record.emissions is not None
    assert record.emissions.intensity.kind == "average"
    assert record.emissions.spans == ()


def test_the_zone_of_one_cell_is_its_own(desk: MakeDesk) -> None:
    sensor = gpu()
    here = desk(sensor)
    here.says((0, 100), (30, 500), (60, 700))
    window = here.open(Options(zone="FR"))
    here.minutes, sensor.value = 30, KWH
    record = here.monitor.close_window(window, "ok")
    assert record.emissions is not None
    assert record.emissions.intensity.zone == "FR"
    assert "not of FR" in str(record.emissions.intensity.note)


def test_a_live_message_has_the_place_of_the_cell_that_runs_and_else_the_one_that_is_set(
    desk: MakeDesk,
) -> None:
    here = desk(gpu())
    window = here.open(Options(zone="FR"))
    running = message(here, "running")["place"]
    here.monitor.close_window(window, "ok")
    idle = message(here, "idle")["place"]
    assert running is not None
    assert idle is not None
    assert (running["zone"], idle["zone"]) == ("FR", "DE")


def test_what_is_set_counts_from_the_next_cell_on(desk: MakeDesk) -> None:
    sensor = gpu()
    here = desk(sensor)
    here.says((0, 100), (30, 100), (60, 100))
    here.settings.provider = ""
    window = here.open()
    here.minutes, sensor.value = 1, KWH
    off = here.monitor.close_window(window, "ok")
    assert off.emissions is not None
    assert off.emissions.intensity.note is None
    here.settings.provider = "csv_trace"
    here.monitor.factors.ask()
    window = here.open()
    here.minutes, sensor.value = 2, 2 * KWH
    assert grams(here.monitor.close_window(window, "ok")) == pytest.approx(100)


def test_where_no_provider_is_chosen_there_is_no_thread_and_nothing_is_noted(
    desk: MakeDesk,
) -> None:
    sensor = gpu()
    here = desk(sensor, JUPYTER_ENERGY_PROVIDER="")
    window = here.open()
    here.minutes, sensor.value = 30, KWH
    here.look()
    assert window.course == []
    here.monitor.close_window(window, "ok")
    assert not any("carbon" in thread.name for thread in threading.enumerate())
    assert here.monitor.factors.to_next_step_s() == float("inf")


class Nameless(FakeSensor):
    """A third party's sensor that comes to fail where nobody expects it."""

    fails = False

    @property
    def source(self) -> str:
        """What it is, until it fails."""
        if self.fails:
            raise RuntimeError("a driver's fault")
        return "fake"

    @source.setter
    def source(self, _: str) -> None:
        """It stays as it is."""


def test_a_measurement_that_fails_costs_no_sign_of_life_with_a_provider_either(
    desk: MakeDesk,
) -> None:
    sensor = Nameless(Domain("gpu", 0, "NVIDIA H100", "GPU-0"))
    here = desk(sensor)
    here.says((0, 100), (30, 500), (60, 700))
    window = here.open()
    here.minutes, sensor.fails = 30, True
    ((record, _),) = here.monitor._under_way()
    assert record.run_id == window.run_id
    assert any("a driver's fault" in text for text in record.warnings)
    sensor.fails, here.minutes, sensor.value = False, 60, 1.0 * KWH
    assert grams(here.monitor.close_window(window, "ok")) == pytest.approx(300)


def test_a_look_is_taken_where_the_signal_may_change(desk: MakeDesk) -> None:
    here = desk(gpu())
    next_s = here.monitor.factors.to_next_step_s()
    then = datetime.now(UTC) + timedelta(seconds=next_s)
    assert 0 < next_s <= 300
    assert abs((then.timestamp() + 150) % 300 - 150) < LIMIT_S
    assert HEARTBEAT_S < 300


def test_a_service_that_hangs_keeps_no_cell_waiting(desk: MakeDesk) -> None:
    service = Service(lambda _: Told())
    service.never()
    sensor = gpu()
    with service.running():
        here = desk(
            sensor,
            JUPYTER_ENERGY_PROVIDER="energy_charts",
            JUPYTER_ENERGY_PROVIDER_URL=service.url,
        )
        window = here.open()
        assert service.came.wait(LIMIT_S)  # and it will not answer
        here.minutes, sensor.value = 1, KWH
        record = here.monitor.close_window(window, "ok")
        assert record.emissions is not None
        assert record.emissions.intensity.zone == "DE"
        assert "has not been asked yet: the yearly factor" in str(record.emissions.intensity.note)
        here.monitor.close()


def test_no_pue_is_put_on_a_facilitys_own_meter(tmp_path: Path) -> None:
    replay = tmp_path / "meter.csv"
    rows = "t_s,domain,watts\n0,facility:0,5000\n0,gpu:0,700\n9,facility:0,5000\n9,gpu:0,700\n"
    replay.write_text(rows)
    environ = {
        "JUPYTER_ENERGY_STORE": str(tmp_path / "energy.sqlite"),
        "JUPYTER_ENERGY_REPLAY": str(replay),
        "JUPYTER_ENERGY_ZONE": "DE",
        "JUPYTER_ENERGY_PUE": "1.4",
    }
    monitor = Monitor(Energy(environ=environ), lambda _: NotebookRef(None, "a"), environ)
    monitor.start()
    try:
        window = monitor.open_window(Options(), shown=True)
        threading.Event().wait(0.05)
        record = monitor.close_window(window, "ok")
    finally:
        monitor.close()
    assert [d.domain.kind for d in record.measurement.counted()] == ["facility"]
    assert record.emissions is not None
    assert (record.emissions.pue, record.emissions.pue_source) == (1.0, SEEN)
    gpu_alone = Options(choice=parse("gpu"))
    monitor = Monitor(Energy(environ=environ), lambda _: NotebookRef(None, "a"), environ)
    monitor.start()
    try:
        window = monitor.open_window(gpu_alone, shown=True)
        threading.Event().wait(0.05)
        record = monitor.close_window(window, "ok")
    finally:
        monitor.close()
    assert record.emissions is not None
    assert record.emissions.pue == 1.4
    assert "JUPYTER_ENERGY_PUE" in record.emissions.pue_source


def until_a_live_value_is_known(here: Desk) -> None:
    deadline_s = time.monotonic() + LIMIT_S
    while here.monitor.factors.now()[1] is None:
        assert time.monotonic() < deadline_s
        time.sleep(0.005)


def test_the_first_cell_knows_what_the_file_says_already_before_it_begins(
    tmp_path: Path, desk: MakeDesk
) -> None:
    """An average figure in it would leave a notebook of marginal ones without a total."""
    rows = ("datetime (UTC),marginal g/kWh", f"{at(0)},700", f"{at(1440)},700", f"{at(2880)},700")
    (tmp_path / "grid.csv").write_text("\n".join(rows))
    here = desk(gpu())
    until_a_live_value_is_known(here)
    assert here.monitor.factors.now()[0].kind == "marginal"


def test_the_first_cell_knows_what_this_machine_has_kept_and_nobody_is_asked_for_it(
    tmp_path: Path, desk: MakeDesk
) -> None:
    def quarter_hours(_: object) -> Told:
        start = int(time.time()) // 900 * 900
        times = [start - 900, start, start + 900]
        nothing = [None] * 3
        of_now = {"unix_seconds": times, "co2eq": [41.0, 43.0, 43.0], "co2eq_forecast": nothing}
        return Told(200, {"license_info": "CC BY 4.0", **of_now})

    service = Service(quarter_hours)
    with service.running():
        chosen = {
            "JUPYTER_ENERGY_PROVIDER": "energy_charts",
            "JUPYTER_ENERGY_PROVIDER_URL": service.url,
        }
        before = desk(gpu(), **chosen)
        before.monitor.factors.runs()
        until_a_live_value_is_known(before)
        before.close()
        asked = len(service.asked)
        until_a_live_value_is_known(desk(gpu(), **chosen))
        assert len(service.asked) == asked


def message(here: Desk, state: Literal["running", "idle"]) -> LiveJson:
    (found,) = here.figures.messages(state, [None], 1.0, True)
    return found


def test_the_live_message_tells_the_live_value_and_since_when_it_holds(desk: MakeDesk) -> None:
    here = desk(gpu())
    yearly = message(here, "idle")["place"]
    assert yearly is not None
    assert "held" not in yearly
    assert yearly["note"].endswith(": the yearly factor")
    minutes = (datetime.now(UTC) - NOON).total_seconds() // 60
    here.says((minutes - 60, 90), (minutes - 10, 123), (minutes + 60, 90))
    window = here.open()
    live = message(here, "running")["place"]
    assert live is not None
    assert (live["g_per_kwh"], live["zone"]) == (123, "DE")
    assert live["held"] == f"live, since {at(minutes - 10):%H:%M} UTC"
    assert live["source"].endswith("consumption based: its column does not say)")
    here.monitor.close_window(window, "ok")


def test_in_a_notebook_recompute_takes_the_values_that_have_come_since(
    desk: MakeDesk, capsys: pytest.CaptureFixture[str]
) -> None:
    sensor = gpu()
    here = desk(sensor)
    window = here.open()
    here.minutes, sensor.value = 60, KWH
    first = here.monitor.close_window(window, "ok")
    assert grams(first) == pytest.approx(GERMANY.g_per_kwh)
    here.says((0, 100), (30, 500), (60, 700))
    assert dispatch(["recompute"], KernelContext(here.monitor)) == 0
    assert "≈ 300 g (300 g/kWh" in capsys.readouterr().out
    idle = message(here, "idle")
    assert idle["notebook"]["carbon_g"] == pytest.approx((300, 300, 300))
    assert dispatch(["recompute", "--undo"], KernelContext(here.monitor)) == 0
    idle = message(here, "idle")
    assert idle["notebook"]["carbon_g"] == pytest.approx([round(GERMANY.g_per_kwh)] * 3)


def test_in_the_background_the_values_come_by_themselves(desk: MakeDesk) -> None:
    sensor = gpu()
    here = desk(sensor)
    here.says((0, 100), (720, 250), (1440, 300))
    here.settings.cache = str(here.trace.parent)  # another feed, which knows nothing
    window = here.monitor.open_window(Options())
    until_a_live_value_is_known(here)
    here.minutes, sensor.value = 1, KWH
    assert grams(here.monitor.close_window(window, "ok")) == pytest.approx(250)


def test_a_service_is_told_whether_a_cell_runs_so_that_it_is_not_asked_while_none_does(
    desk: MakeDesk,
) -> None:
    here = desk(gpu())
    window = here.open()
    inner = here.open()
    feed = here.monitor.factors._live()
    assert feed is not None
    seen = [feed.is_running()]
    here.monitor.close_window(inner, "ok")
    seen.append(feed.is_running())
    here.monitor.close_window(window, "ok")
    seen.append(feed.is_running())
    dropped = here.open()
    here.monitor.drop_window(dropped)
    seen.append(feed.is_running())
    assert seen == [True, True, False, False]

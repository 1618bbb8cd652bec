"""What the live figures say of a window that is open, from sensors that a test sets."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from standins.sensors import LIMIT_S, FakeSensor, family

from jupyter_energy import figures as module
from jupyter_energy.config import Energy
from jupyter_energy.devices import parse
from jupyter_energy.figures import Figures, devices
from jupyter_energy.identity import NotebookRef
from jupyter_energy.live_message import MOST_BYTES, LiveJson
from jupyter_energy.model import Domain, DomainEnergy, Measurement, Provenance, Record
from jupyter_energy.monitor import Monitor
from jupyter_energy.open_window import OpenWindow, OpenWindows, Options
from jupyter_energy.pages import Pages
from jupyter_energy.sampler import Sampler
from jupyter_energy.schema import totals_from_records
from jupyter_energy.sensors.base import Absence
from jupyter_energy.sensors.nvidia_pci import ASLEEP
from jupyter_energy.store import Store
from jupyter_energy.uncertainty import Range, Uncertain

START = datetime(2025, 3, 1, tzinfo=UTC)
ANY = Options()


class Now:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.s = 100.0

    def __call__(self) -> float:
        return self.s


class Desk:
    """A monitor with sensors and a clock of the test's own, and the figures of its windows."""

    def __init__(self, folder: Path, *sensors: FakeSensor, absent: tuple[Absence, ...] = ()):
        environ = {"JUPYTER_ENERGY_STORE": str(folder / "energy.sqlite"), "TZ": "Europe/Paris"}
        self.pages = Pages(lambda: NotebookRef(str(folder / "a.ipynb"), "a.ipynb"))
        self.monitor = Monitor(Energy(environ=environ), self.pages.ref, environ)
        self.now = Now()
        self.monitor.sampler = Sampler(
            self.monitor.settings.machine(environ),
            lambda: [family(*sensors, absences=absent)],
            clock=self.now,
        )
        self.monitor.refining._sampler = self.monitor.sampler
        self.monitor.start()
        assert self.monitor.sampler.wait_until_found(LIMIT_S)
        self.figures = Figures(self.monitor, self.pages)

    def open(self, options: Options = ANY) -> OpenWindow:
        """A window that begins by the test's clock, also in UTC."""
        window = self.monitor.open_window(options)
        window.start_utc = START + timedelta(seconds=self.now.s)
        return window

    def running(self) -> LiveJson:
        (message,) = self.figures.messages("running", [None], 1.0, True)
        return message

    def idle(self) -> LiveJson:
        (message,) = self.figures.messages("idle", [None], 1.0, True)
        return message

    def close(self) -> None:
        self.figures.close()
        self.monitor.close()


def own_notebook(at: Desk) -> str:
    known = at.monitor.known_notebook()
    assert known is not None
    return known.id


MakeDesk = Callable[..., Desk]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[MakeDesk]:
    with ExitStack() as stack:

        def make(*sensors: FakeSensor, absent: tuple[Absence, ...] = ()) -> Desk:
            made = Desk(tmp_path, *sensors, absent=absent)
            stack.callback(made.close)
            return made

        yield make


def gpu(index: int = 0) -> FakeSensor:
    return FakeSensor(Domain("gpu", index, "NVIDIA H100", f"GPU-{index}"))


def cpu_estimated() -> FakeSensor:
    sensor = FakeSensor(Domain("package", 0, "CPU (8 threads)"), spread=(0.4, 2.5))
    sensor.provenance = "estimated"
    return sensor


def test_power_is_the_mean_since_the_message_before(desk: MakeDesk) -> None:
    sensor = gpu()
    at = desk(sensor)
    window = at.open()
    sensor.value, at.now.s = 300.0, 101.0
    first = at.running()
    assert (first["measured_w"], first["over_s"], first["running_s"]) == (300.0, 1.0, 1.0)
    sensor.value, at.now.s = 1300.0, 103.0
    second = at.running()
    assert (second["measured_w"], second["over_s"], second["running_s"]) == (500.0, 2.0, 3.0)
    assert second["notebook"]["measured_j"] == (1300.0, pytest.approx(0, abs=5))
    at.monitor.close_window(window, "ok")


def test_the_totals_so_far_lead_to_those_at_the_end(desk: MakeDesk) -> None:
    sensor = gpu()
    at = desk(sensor)
    for run in (1, 2):
        window = at.open()
        sensor.value += 500.0
        at.now.s += 2.0
        message = at.running()
        assert message["notebook"]["runs"] == run
        assert message["notebook"]["measured_j"] is not None
        assert message["notebook"]["measured_j"][0] == 500.0 * run
        at.monitor.close_window(window, "ok")
        at.monitor.flush()
        assert at.idle()["notebook"]["measured_j"] == message["notebook"]["measured_j"]
    assert at.idle()["session"]["runs"] == 2


def test_totals_tell_what_they_were_made_with_after_the_place_is_another(
    desk: MakeDesk, tmp_path: Path
) -> None:
    """Cells at a guessed place stay doubtful once it is set, and two kinds are named as two."""
    sensor = gpu()
    at = desk(sensor)

    def cell() -> None:
        window = at.open()
        sensor.value, at.now.s = sensor.value + 300.0, at.now.s + 1.0
        at.monitor.close_window(window, "ok")

    cell()
    at.monitor.settings.zone = "FR"
    at.monitor.factors.ask()
    first = at.idle()
    assert first["place"] is not None
    assert first["place"]["how"] == "set"
    assert first["session"]["carbon_g"] is not None
    assert first["session"]["doubtful"]
    assert "kind" not in first["session"]  # it is that of the place
    trace = tmp_path / "moer.csv"
    trace.write_text(
        "datetime,MOER g_per_kwh\n2025-03-01T00:00Z,700\n2025-03-01T01:00Z,700\n", encoding="utf-8"
    )
    at.monitor.settings.csv_trace = str(trace)
    at.monitor.settings.provider = "csv_trace"
    at.monitor.factors.ask()
    cell()
    both = at.idle()
    assert both["session"]["carbon_g"] is None
    assert both["session"]["kind"] == "average, marginal"


def test_an_estimate_is_a_range_and_is_never_added_to_what_is_measured(desk: MakeDesk) -> None:
    measured, estimated = gpu(), cpu_estimated()
    at = desk(measured, estimated)
    at.open()
    measured.value, estimated.value, at.now.s = 300.0, 20.0, 101.0
    message = at.running()
    assert message["measured_w"] == 300.0
    assert message["estimated_w"] == (8.0, 20.0, 50.0)
    assert [d["w"] for d in message["devices"]] == [300.0, (8.0, 20.0, 50.0)]
    assert message["notebook"]["estimated_j"] == (8.0, 20.0, 50.0)


def test_a_counter_that_has_not_moved_is_unknown_and_not_0_w(desk: MakeDesk) -> None:
    sensor = gpu()
    at = desk(sensor)
    at.open()

    def told() -> tuple[object, object]:
        message = at.running()
        assert message["measured_w"] is None
        (device,) = message["devices"]
        return device["w"], device["reason"]

    at.now.s += 0.25
    assert told() == (None, "the counter has not moved since it was first read")
    sensor.value, at.now.s = 75.0, at.now.s + 0.25
    assert at.running()["measured_w"] == 300.0  # it works
    at.now.s += 0.25
    assert told() == (None, "below what the sensor can tell")


def test_power_of_a_cell_that_has_just_begun_is_not_told(desk: MakeDesk) -> None:
    sensor = gpu()
    at = desk(sensor)
    at.open()
    sensor.value, at.now.s = 30.0, at.now.s + 0.1
    message = at.running()
    assert (message["measured_w"], message["devices"]) == (None, [])


def test_power_in_a_row_of_short_cells_is_the_mean_over_all_of_them(desk: MakeDesk) -> None:
    sensor = gpu()
    at = desk(sensor)
    for number in range(20):
        window = at.open()
        sensor.value += 10.0
        at.now.s += 0.1
        message = at.running() if number in (9, 19) else None
        at.monitor.close_window(window, "ok")
    assert message is not None
    assert message["measured_w"] == 100.0


def test_a_sensor_that_fails_in_mid_cell_has_a_reason_and_no_figure(desk: MakeDesk) -> None:
    sensor = gpu()
    at = desk(sensor)
    at.open()
    sensor.fault, at.now.s = OSError("gone"), 101.0
    message = at.running()
    assert message["measured_w"] is None
    assert "gone" in str(message["devices"][0]["reason"])
    assert message["notebook"]["measured_j"] is None


def test_a_gpu_that_sleeps_is_told_also_while_no_cell_runs(desk: MakeDesk) -> None:
    at = desk(absent=(Absence(Domain("gpu", 0, "NVIDIA GPU"), "nvml-counter", ASLEEP),))
    assert at.idle()["gpu_asleep"] is True
    at.open()
    at.now.s += 1
    message = at.running()
    assert message["gpu_asleep"] is True
    assert message["devices"][0]["reason"] == ASLEEP


def test_no_sensor_is_read_while_no_cell_runs(desk: MakeDesk) -> None:
    sensor = gpu()
    at = desk(sensor)
    before = len(sensor.readers)
    at.idle()
    assert len(sensor.readers) == before


def test_a_window_that_chose_its_devices_is_not_told_about_others(desk: MakeDesk) -> None:
    first, second = gpu(0), gpu(1)
    at = desk(first, second)
    at.open()
    first.value = second.value = 100.0
    at.now.s += 1
    at.running()
    # A second one beside it, as a thread opens: each counts what it chose.
    at.open(Options(choice=parse("gpu:1")))
    first.value = second.value = 200.0
    at.now.s += 1
    assert at.running()["measured_w"] == 200.0


def test_many_devices_of_a_kind_are_told_as_one() -> None:
    def of(index: int, joules: float, kind: str = "gpu") -> DomainEnergy:
        how: Provenance = "measured"
        domain = Domain(kind, index, "NVIDIA H100", f"{kind}-{index}")
        return DomainEnergy(domain, Uncertain(joules, 1.0), how, "nvml-counter", 1.0)

    told = devices(
        Measurement(START, 2.0, (*(of(n, 600.0) for n in range(8)), of(0, 10.0, "dram")))
    )
    assert [(d["label"], d["w"]) for d in told] == [("GPU ×8", 2400.0), ("memory", 5.0)]


def test_what_is_apart_from_all_totals_is_told_as_a_device() -> None:
    psys = DomainEnergy(Domain("psys", 0, "psys"), Uncertain(20.0, 1.0), "measured", "rapl", 1.0)
    assert devices(Measurement(START, 2.0, (psys,)))[0]["w"] == 10.0


def test_a_machine_full_of_devices_with_long_names_fits_into_a_message(desk: MakeDesk) -> None:
    many = [FakeSensor(Domain(f"kind {n}", n, "a very long name " * 9)) for n in range(60)]
    at = desk(*many)
    at.open()
    for sensor in many:
        sensor.value = 123.456789
    at.now.s += 1
    message = at.running()
    assert message["devices"]
    assert len(json.dumps(message, ensure_ascii=False).encode()) <= MOST_BYTES


def test_a_store_that_cannot_be_used_is_told_and_the_session_still_adds_up(
    desk: MakeDesk, tmp_path: Path
) -> None:
    (tmp_path / "energy.sqlite").mkdir()
    sensor = gpu()
    at = desk(sensor)
    for _ in range(2):
        window = at.open()
        sensor.value += 100.0
        at.now.s += 1
        at.monitor.close_window(window, "ok")
    message = at.idle()
    assert message["note"]
    assert message["session"]["measured_j"] == (200.0, pytest.approx(0, abs=5))


def settling(at: Desk, sensor: FakeSensor, watts: float) -> Record:
    """A cell of a second that ended at this power, of which a reading a moment later tells more."""
    window = at.open()
    sensor.value, at.now.s = watts, at.now.s + 1.0
    return at.monitor.close_window(window, "ok", may_settle=True)


def settled(at: Desk, sensor: FakeSensor, watts: float) -> None:
    """Have that moment pass, and this power be read; the cell's record is made again with it."""
    sensor.value, at.now.s = watts, at.now.s + 0.2
    assert at.monitor.refining.wait(LIMIT_S) == frozenset()


def measured_of(message: LiveJson) -> float:
    assert message["notebook"]["measured_j"] is not None
    return message["notebook"]["measured_j"][0]


def measured_in(record: Record) -> object:
    """A record's measured energy in J, as exact as a message tells it."""
    assert record.measurement.measured_j is not None
    return pytest.approx(record.measurement.measured_j.value, rel=1e-4)


def test_a_record_that_is_made_again_after_it_was_added_up_takes_its_own_place(
    desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SETTLED_S", 0.01)
    sensor = FakeSensor(Domain("gpu", 0, "NVIDIA H100", "GPU-0"), "gauge")
    sensor.value, sensor.period_s, sensor.settles_s = 100.0, 0.1, 0.2
    at = desk(sensor)
    run = settling(at, sensor, 300.0)
    at.monitor.flush()
    first = at.idle()
    assert (measured_of(first), at.figures.lacking) == (measured_in(run), [None])
    settled(at, sensor, 50.0)
    monkeypatch.setattr(module, "SETTLED_S", LIMIT_S)
    assert measured_of(at.idle()) != measured_of(first)
    (stored,) = at.figures._store.records(own_notebook(at))
    last = at.idle()
    assert (measured_of(last), at.figures.lacking) == (measured_in(stored), [])
    assert (last["notebook"]["runs"], last["session"]["runs"]) == (1, 1)


def test_a_record_that_the_database_has_as_it_was_before_is_told_again(
    desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SETTLED_S", 0.01)
    sensor = FakeSensor(Domain("gpu", 0, "NVIDIA H100", "GPU-0"), "gauge")
    sensor.value, sensor.period_s, sensor.settles_s = 100.0, 0.1, 0.2
    at = desk(sensor)
    run = settling(at, sensor, 300.0)
    at.monitor.flush()
    others = sqlite3.connect(at.monitor.store_path, isolation_level=None)
    others.execute("BEGIN IMMEDIATE")
    with closing(others):
        settled(at, sensor, 50.0)
        first = at.idle()
        assert (measured_of(first), at.figures.lacking) == (measured_in(run), [None])
        others.execute("ROLLBACK")
    monkeypatch.setattr(module, "SETTLED_S", LIMIT_S)
    last = at.idle()
    (stored,) = at.figures._store.records(own_notebook(at))
    assert (measured_of(last), at.figures.lacking) == (measured_in(stored), [])
    assert measured_of(last) != measured_of(first)


def test_a_cell_that_ends_while_its_message_is_made_counts_once(desk: MakeDesk) -> None:
    sensor = gpu()
    at = desk(sensor)
    window = at.open()
    sensor.value, at.now.s = 100.0, at.now.s + 1.0
    # The message sees the window as open, and then its record in the store.
    outermost = at.monitor.outermost()
    at.monitor.close_window(window, "ok")
    at.monitor.windows = SimpleNamespace(outermost=lambda: outermost)  # type: ignore[assignment]
    message = at.running()
    at.monitor.windows = OpenWindows()
    assert (message["notebook"]["runs"], message["session"]["runs"]) == (1, 1)


def test_records_of_another_kernel_enter_the_notebook_but_not_the_session(
    desk: MakeDesk,
) -> None:
    sensor = gpu()
    at = desk(sensor)
    window = at.open()
    sensor.value += 100.0
    at.now.s += 1
    own = at.monitor.close_window(window, "ok")
    at.monitor.flush()
    other = Store(at.monitor.store_path)
    (stored,) = other.records(own_notebook(at))
    other.append(replace(stored, run_id="other", session_id="another"))
    other.close()
    assert own.run_id == stored.run_id
    message = at.idle()
    assert (message["notebook"]["runs"], message["session"]["runs"]) == (2, 1)


def test_a_cell_of_another_kernel_that_ended_later_than_ours_counts_with_its_own_time_alone(
    desk: MakeDesk,
) -> None:
    sensor = gpu()
    at = desk(sensor)
    for _ in range(3):
        window = at.open()
        sensor.value += 100.0
        at.now.s += 1
        own = at.monitor.close_window(window, "ok")
        at.now.s += 5
        at.idle()
    at.monitor.flush()
    other = Store(at.monitor.store_path)
    stored = other.records(own_notebook(at))
    first = stored[0].measurement
    longer = replace(first, duration_s=3.0, domains=_tripled(first.domains))
    theirs = replace(own, run_id="other", session_id="another", measurement=longer)
    other.append(replace(theirs, notebook_id=own_notebook(at)))
    expected = totals_from_records(other.records(own_notebook(at)))
    other.close()
    told = at.idle()["notebook"]
    assert (told["runs"], told["duration_s"]) == (4, pytest.approx(expected["duration_s"]))
    assert told["duration_s"] == pytest.approx(5.0)
    assert told["measured_j"][0] == pytest.approx(500.0)


def _tripled(domains: Iterable[DomainEnergy]) -> tuple[DomainEnergy, ...]:
    return tuple(replace(d, energy=d.energy.scaled(3.0)) for d in domains if d.energy is not None)


def test_a_store_that_was_deleted_is_added_up_anew(desk: MakeDesk, tmp_path: Path) -> None:
    sensor = gpu()
    at = desk(sensor)

    def run() -> None:
        window = at.open()
        sensor.value += 100.0
        at.now.s += 1
        at.monitor.close_window(window, "ok")
        at.monitor.flush()

    run()
    assert at.idle()["notebook"]["runs"] == 1
    for file in tmp_path.glob("energy.sqlite*"):
        if file.is_dir():
            shutil.rmtree(file)
        else:
            file.unlink()
    run()
    assert at.idle()["notebook"]["runs"] == 1


def test_a_range_is_sent_with_the_digits_that_are_shown() -> None:
    assert module._range(Range(1.23456, 2.34567, 123456.7)) == (1.23, 2.35, 123000.0)

"""What lies between two windows is booked as idle, and tells idle power where all was quiet."""

from __future__ import annotations

import math
import queue
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standins.procfs import INIT, ROOT, FakeProcfs
from standins.sensors import LIMIT_S, FakeSensor
from strategies import a_record

from jupyter_energy.accounts import Accounts
from jupyter_energy.attribution import Baseline
from jupyter_energy.calibration import Baselines, IdlePower, save
from jupyter_energy.errors import StoreError
from jupyter_energy.identity import NotebookRef
from jupyter_energy.idle_book import IdleBook
from jupyter_energy.model import Domain, DomainEnergy, Idle, Measurement, Record, Sample
from jupyter_energy.outbox import Outbox
from jupyter_energy.overlaps import Spell
from jupyter_energy.process_tree import CpuTimes
from jupyter_energy.readers import asleep_s
from jupyter_energy.schema import idle_json
from jupyter_energy.sensors.base import Accuracy, Machine
from jupyter_energy.store import Store
from jupyter_energy.uncertainty import Range, Uncertain
from jupyter_energy.window import Edge

CPU = Domain("package", 0, "package-0")
GPU = Domain("gpu", 0, "GPU", "GPU-1")


class Scene:
    """One machine with a CPU and a GPU, whose energies, load and sleep a test sets."""

    def __init__(self, folder: Path) -> None:
        self.procfs = FakeProcfs(folder / "proc")
        self.sysfs = folder / "sys"
        self.slept_s = 0.0
        self.cpu, self.gpu = FakeSensor(CPU), FakeSensor(GPU, worker="nvml")
        machine = Machine(procfs=self.procfs.root, sysfs=self.sysfs)
        self.accounts = Accounts(machine, lambda: self.slept_s)
        self.t_s = 1000.0
        self.joules = {self.cpu: 0.0, self.gpu: 0.0}
        self.unseen_s = 0.0

    def run(
        self, seconds: float, cpu_w: float = 20.0, gpu_w: float = 50.0, busy: float = 0
    ) -> None:
        """Let time pass."""
        self.t_s += seconds
        self.joules[self.cpu] += cpu_w * seconds
        self.joules[self.gpu] += gpu_w * seconds
        self.procfs.burn(INIT, round(busy * seconds * 100))
        self.procfs.write()

    def edge(self, *sensors: FakeSensor) -> Edge:
        """All sensors, or some, read now."""
        read = {
            s: Sample(self.t_s, self.joules[s], self.t_s - 1000.0 - self.unseen_s)
            for s in sensors or (self.cpu, self.gpu)
        }
        return Edge(self.t_s, read)

    def rest(self, notebook: str | None = None) -> None:
        """The last window ends."""
        self.accounts.rests(self.edge(), notebook, self.accounts.times(walk=False))

    def settle(self) -> None:
        """The sampler reads what it may, two seconds after."""
        self.accounts.settled(self.edge(self.cpu).readings)

    def begin(self) -> Measurement | None:
        """A window begins; what lay before it."""
        between = self.accounts.begins(self.edge(), self.accounts.times(walk=False))
        return None if between is None else between.measurement()

    def idle_w(self, domain: Domain) -> float | None:
        found = self.accounts.baseline(domain, self.t_s)
        return None if found is None else found.watts

    def gap(self, seconds: float, **more: float) -> None:
        """A gap whose first two seconds draw more, as a GPU does that has just worked."""
        self.rest()
        self.run(2, cpu_w=90, gpu_w=300)
        self.settle()
        self.run(seconds - 2, **more)
        self.begin()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    made.accounts.close()


# -- booked ----------------------------------------------------------------------------------


def test_a_gap_holds_what_the_counters_rose_by_and_nothing_else(scene: Scene) -> None:
    scene.run(10, cpu_w=200)
    scene.rest("a notebook")
    scene.run(60)
    between = scene.accounts.begins(scene.edge(), CpuTimes())
    assert between is not None
    assert between.notebook == "a notebook"
    found = between.measurement()
    assert found.duration_s == 60.0
    assert {d.domain: d.energy.value for d in found.domains if d.energy} == {CPU: 1200, GPU: 3000}
    assert all(d.coverage == 1.0 for d in found.domains)


def test_the_first_window_and_one_right_after_another_have_no_gap_before_them(
    scene: Scene,
) -> None:
    assert scene.begin() is None
    scene.rest()
    scene.run(0.9)
    assert scene.begin() is None
    scene.run(100)
    assert scene.begin() is None  # nothing has ended since


def test_of_a_gap_only_the_time_that_a_trace_covers_is_booked(scene: Scene) -> None:
    scene.rest()
    scene.run(600)
    scene.unseen_s += 450  # the guard had stopped: a counter may have wrapped
    scene.joules[scene.cpu] -= 450 * 20
    found = scene.begin()
    assert found is not None
    cpu = next(d for d in found.domains if d.domain == CPU)
    assert cpu.energy is not None
    assert (cpu.energy.value, cpu.coverage) == (3000.0, 0.25)
    assert scene.idle_w(CPU) is None


def test_a_device_that_has_no_reading_at_one_of_the_ends_has_no_figure_and_is_missed(
    scene: Scene,
) -> None:
    scene.rest()
    scene.run(60)
    edge = Edge(scene.t_s, {**scene.edge().readings, scene.gpu: "the driver did not answer"})
    between = scene.accounts.begins(edge, CpuTimes())
    assert between is not None
    found = between.measurement()
    assert [d.domain for d in found.domains if d.energy is not None] == [CPU]
    (gpu,) = (d for d in found.domains if d.energy is None)
    assert gpu.reason == "the driver did not answer"
    told = idle_json([Idle("i", "n", "s", "h", found)])
    assert told is not None
    assert told["coverage"] == 0.0


def test_an_estimate_is_booked_as_an_estimate_and_not_beside_a_measurement(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    estimate = FakeSensor(Domain("package", 0, "CPU (2 threads)"), spread=(0.5, 2.0))
    scene.joules[estimate] = 0.0
    for others, kept in (((), 1), ((scene.cpu,), 0)):
        scene.accounts.rests(scene.edge(estimate, *others), None, CpuTimes())
        scene.run(10)
        scene.joules[estimate] += 30.0
        between = scene.accounts.begins(scene.edge(estimate, *others), CpuTimes())
        assert between is not None
        energies = [d.energy for d in between.measurement().domains]
        assert energies.count(Range(15.0, 30.0, 60.0)) == kept
        assert len(energies) == 1


@given(st.lists(st.tuples(st.floats(1, 1e4), st.floats(0, 500), st.floats(0, 500)), max_size=6))
def test_cells_and_gaps_together_are_all_that_the_counter_counted(
    tmp_path_factory: pytest.TempPathFactory, stretches: list[tuple[float, float, float]]
) -> None:
    scene = Scene(tmp_path_factory.mktemp("scene"))
    idle_j = cells_j = 0.0
    for seconds, gap_w, cell_w in stretches:
        scene.rest()
        before_j = scene.joules[scene.cpu]
        scene.run(seconds, cpu_w=gap_w)
        found = scene.begin()
        assert found is not None
        counted = next(d.energy for d in found.domains if d.domain == CPU)
        assert (counted is None) == (scene.joules[scene.cpu] == before_j)  # it stood still
        idle_j += 0.0 if counted is None else counted.value  # type: ignore[union-attr]
        scene.run(seconds, cpu_w=cell_w)
        cells_j += cell_w * seconds
    assert idle_j + cells_j == pytest.approx(scene.joules[scene.cpu])


def test_booked_energy_has_the_error_of_two_readings_and_of_the_gain(scene: Scene) -> None:
    scene.cpu.period_s, scene.cpu.step_j = 0.1, 0.0  # type: ignore[misc]
    scene.cpu.accuracy = Accuracy(0.05, "a test")  # type: ignore[misc]
    scene.rest()
    scene.run(10, cpu_w=100)
    found = scene.begin()
    assert found is not None
    energy = next(d.energy for d in found.domains if d.domain == CPU)
    assert isinstance(energy, Uncertain)
    assert energy.u_random == pytest.approx(100 * 0.1 / 6**0.5)  # measuring.md V1: 4.08 J
    assert energy.u_systematic == pytest.approx(0.05 * 1000 / 3**0.5)


# -- idle power ------------------------------------------------------------------------------


def test_a_quiet_gap_tells_idle_power_without_its_first_two_seconds(scene: Scene) -> None:
    scene.gap(12, cpu_w=21)
    found = scene.accounts.baseline(CPU, scene.t_s)
    assert found is not None
    assert found.watts == pytest.approx(21.0)
    assert found.seconds == pytest.approx(10.0)


def test_a_device_that_was_not_read_after_two_seconds_needs_a_gap_of_a_minute(scene: Scene) -> None:
    scene.gap(59)
    assert scene.idle_w(GPU) is None
    scene.gap(600)
    assert scene.idle_w(GPU) == pytest.approx(50, rel=0.02)


def test_a_settle_read_of_the_gpu_is_where_its_gap_begins(scene: Scene) -> None:
    scene.rest()
    scene.run(0.15, gpu_w=300)
    scene.accounts.settled(scene.edge(scene.gpu).readings)
    scene.run(1.85)
    scene.accounts.settled(scene.edge().readings)  # a later one does not move it
    scene.run(4)
    scene.begin()
    found = scene.accounts.baseline(GPU, scene.t_s)
    assert found is not None
    assert (found.watts, found.seconds) == (pytest.approx(50.0), pytest.approx(5.85))


def busy(scene: Scene) -> None:
    scene.gap(12, busy=0.05)


def asleep(scene: Scene) -> None:
    scene.rest()
    scene.settle()
    scene.slept_s += 100
    scene.run(12)
    scene.begin()


def short(scene: Scene) -> None:
    scene.gap(6.9)


def unplugged(scene: Scene) -> None:
    supply = scene.sysfs / "class/power_supply/AC"
    supply.mkdir(parents=True)
    (supply / "type").write_text("Mains\n")
    (supply / "online").write_text("1\n")
    scene.gap(12)
    assert scene.idle_w(CPU) is not None
    (supply / "online").write_text("0\n")
    scene.rest()
    scene.settle()


def long_ago(scene: Scene) -> None:
    scene.gap(12)
    scene.run(1801)


def used_by_others(scene: Scene) -> None:
    scene.accounts.in_use(CPU)  # nothing rests yet
    scene.rest()
    scene.settle()
    scene.accounts.in_use(CPU)
    scene.run(12)
    scene.begin()


@pytest.mark.parametrize("spoil", [busy, asleep, short, unplugged, long_ago, used_by_others])
def test_a_gap_that_was_not_quiet_or_is_old_tells_no_idle_power(
    scene: Scene, spoil: Callable[[Scene], None]
) -> None:
    spoil(scene)
    assert scene.idle_w(CPU) is None


def test_where_the_machines_load_cannot_be_read_no_idle_power_is_known(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    (scene.procfs.root / "stat").write_text("")
    scene.rest()
    scene.run(2)
    scene.settle()
    scene.t_s += 60
    scene.begin()
    assert scene.idle_w(CPU) is None


def test_what_was_asked_for_counts_until_a_newer_gap_is_found(scene: Scene) -> None:
    asked = Baseline(33.0, 1.0, datetime.now(UTC) + timedelta(hours=1), 15.0, "%energy baseline")
    scene.accounts.asked = {"package:0": asked}
    scene.gap(12)
    assert scene.accounts.baseline(CPU, scene.t_s) is asked
    scene.accounts.asked = {"package:0": replace(asked, taken=asked.taken - timedelta(hours=9))}
    assert scene.idle_w(CPU) == pytest.approx(20.0)
    scene.accounts.asked = {"GPU-1": asked}
    assert scene.idle_w(GPU) == 33.0


# -- whose -----------------------------------------------------------------------------------


def measured(**joules: float) -> Measurement:
    domains = {"cpu": CPU, "gpu": GPU}
    return Measurement(
        datetime.now(UTC),
        10.0,
        tuple(
            DomainEnergy(domains[name], Uncertain(j, 1.0), "measured", "fake", 1.0)
            for name, j in joules.items()
        ),
    )


def test_a_window_gets_what_lies_above_the_idle_power_of_each_device(scene: Scene) -> None:
    scene.gap(12, cpu_w=20)
    found = scene.accounts.whose(measured(cpu=500.0, gpu=900.0), CpuTimes(), CpuTimes(), scene.t_s)
    above = {d.domain: d.above_idle and d.above_idle.value for d in found.measurement.domains}
    assert above == {CPU: pytest.approx(300.0), GPU: None}
    assert found.measurement.above_idle_j is None
    assert found.baseline is not None
    assert found.baseline.watts == pytest.approx(20.0)
    assert (found.kernel_cpu_s, found.machine_cpu_s) == (None, None)


def test_idle_power_is_taken_off_for_the_time_alone_that_was_seen(scene: Scene) -> None:
    scene.gap(12, cpu_w=20)
    whole = measured(cpu=250.0)
    half = replace(whole, domains=(replace(whole.domains[0], coverage=0.5),))
    found = scene.accounts.whose(half, CpuTimes(), CpuTimes(), scene.t_s)
    assert found.measurement.above_idle_j is not None
    assert found.measurement.above_idle_j.value == pytest.approx(150.0)


def test_the_cpu_times_are_kept_where_they_tell_a_share(scene: Scene) -> None:
    start = scene.accounts.times(walk=True)
    scene.procfs.burn(ROOT, 300)
    scene.procfs.burn(INIT, 100)
    scene.procfs.write()
    stop = scene.accounts.times(walk=True, since=start)
    found = scene.accounts.whose(measured(), start, stop, scene.t_s)
    assert (found.kernel_cpu_s, found.machine_cpu_s) == (pytest.approx(3.0), pytest.approx(4.0))
    short = replace(measured(), duration_s=0.4)
    found = scene.accounts.whose(short, start, stop, scene.t_s)
    assert (found.kernel_cpu_s, found.machine_cpu_s) == (None, None)


def test_the_time_that_a_machine_was_suspended_never_falls() -> None:
    assert asleep_s() + 0.001 >= 0
    assert asleep_s() <= asleep_s() + 0.001


# -- to the store ----------------------------------------------------------------------------


class Desk:
    """An idle book with its outbox and store."""

    def __init__(self, folder: Path, scene: Scene) -> None:
        self.told: list[str] = []
        self.scene = scene
        self.store = Store(folder / "data/energy.sqlite", host="here")
        self.asked = threading.Event()  # which notebook this is
        self.outbox = Outbox(self.store, self.ref, lambda _, text: self.told.append(text))
        self.outbox.asking_s = LIMIT_S
        self.looks: queue.Queue[Edge] = queue.Queue()
        self.running: list[tuple[Record, str | None]] = []
        self.book = IdleBook(
            scene.accounts,
            self.outbox,
            self.look,
            lambda: self.running,
            "s1",
            "here",
            settled_after_s=0.01,
            announced_after_s=0.01,
        )

    def ref(self, key: str | None) -> NotebookRef:
        self.asked.set()
        return NotebookRef(None, "tested", kernel_id="kernel")

    def look(self, wanted: Callable[[FakeSensor], bool]) -> Edge:
        edge = self.scene.edge(*filter(wanted, (self.scene.cpu, self.scene.gpu)))
        self.looks.put(edge)
        return edge

    def keep(self, run_id: str = "r1", shown: bool = False):
        return self.book.keep(
            a_record(run_id, energies={"package": Uncertain(1.0)}, cell_id=None), None, shown
        )


@pytest.fixture
def desk(tmp_path: Path, scene: Scene) -> Iterator[Desk]:
    made = Desk(tmp_path, scene)
    yield made
    made.outbox.close()


def test_files_alone_are_read_once_when_nothing_has_come_for_a_while(desk: Desk) -> None:
    desk.keep("r0")  # a window is open: nothing is read, and the queue stays empty
    desk.scene.rest()
    desk.keep("r1")
    assert set(desk.looks.get(timeout=LIMIT_S).readings) == {desk.scene.cpu}
    desk.outbox.flush(LIMIT_S)
    assert desk.looks.empty()
    desk.scene.run(10)
    desk.scene.begin()
    assert desk.scene.idle_w(CPU) == pytest.approx(20.0)


def test_idle_energy_reaches_the_store_with_the_next_record_and_is_in_no_cell(desk: Desk) -> None:
    desk.keep("r1")
    desk.scene.rest()
    desk.scene.run(60)
    desk.outbox.flush(LIMIT_S)
    desk.book.begins(desk.scene.edge(), CpuTimes(), None)
    (waiting,) = desk.book.pending(None)
    notebook = desk.outbox.notebook()
    assert notebook is not None
    assert desk.store.idles(notebook.id) == []
    desk.keep("r2")
    desk.outbox.flush(LIMIT_S)
    assert desk.book.pending(None) == []
    assert desk.store.idles(notebook.id) == [waiting]
    assert (waiting.session_id, waiting.host) == ("s1", "here")
    assert [r.energy_j for r in desk.store.records(notebook.id)] == [1.0, 1.0]
    assert not desk.told


def test_idle_energy_that_the_store_cannot_take_waits_and_is_kept_once(
    desk: Desk, tmp_path: Path
) -> None:
    desk.keep("r1")
    desk.scene.rest()
    desk.scene.run(60)
    desk.book.begins(desk.scene.edge(), CpuTimes(), None)
    desk.outbox.flush(LIMIT_S)
    desk.store.close()
    folder = tmp_path / "data"
    folder.rename(tmp_path / "away")
    folder.write_text("in the way")
    with pytest.raises(StoreError):
        desk.outbox.flush(LIMIT_S)
    folder.unlink()
    (tmp_path / "away").rename(folder)
    desk.outbox.flush(LIMIT_S)
    desk.outbox.flush(LIMIT_S)
    notebook = desk.outbox.notebook()
    assert notebook is not None
    assert len(desk.store.idles(notebook.id)) == 1


def test_a_shown_record_is_told_of_other_notebooks_and_a_silent_one_is_not(desk: Desk) -> None:
    other = a_record("o", "n9", session_id="s9", energies={"package": Uncertain(1.0)})
    desk.store.append(other)
    assert desk.keep("r1").warnings == ()
    note = "overlaps with 1 other notebook on this machine; do not add these totals"
    assert desk.keep("r2", shown=True).warnings == (note,)
    notebook = desk.outbox.notebook()
    assert notebook is not None
    assert [r.warnings for r in desk.store.records(notebook.id)] == [(), ()]


def test_what_baseline_kept_of_this_host_is_known_from_the_start_by_uuid_or_key(
    tmp_path: Path,
) -> None:
    file, host = tmp_path / "baselines.json", socket.gethostname()
    date = "2026-11-23T10:00:00+00:00"
    gpu = IdlePower("gpu:0", "a GPU", "GPU-1", "nvml-counter", 9.0, 0.2, 15.0, date)
    cpu = IdlePower("package:0", "package-0", None, "rapl", 12.0, 0.3, 15.0, date)
    undated = IdlePower("dram:0", "dram", None, "rapl", 2.0, 0.1, 15.0, "yesterday")
    save(Baselines(host, (gpu, cpu, undated)), file)
    save(Baselines(f"not-{host}", (cpu,)), file)
    accounts = Accounts(Machine(tmp_path, tmp_path, baselines=file))
    assert sorted(accounts.asked) == ["GPU-1", "package:0"]
    kept = accounts.asked["GPU-1"]
    assert (kept.watts, kept.u_w, kept.seconds) == (9.0, 0.2, 15.0)
    assert kept.taken == datetime(2026, 11, 23, 10, tzinfo=UTC)
    accounts.close()


def now_and_for(seconds: float, **fields: object):
    """A record of another notebook that began just now."""
    made = a_record("o", "n9", session_id="s9", energies={"package": Uncertain(1.0)}, **fields)  # type: ignore[arg-type]
    measurement = replace(made.measurement, start=datetime.now(UTC), duration_s=seconds)
    return replace(made, measurement=measurement)


def test_a_cell_that_still_runs_is_told_to_others_until_it_ends(desk: Desk) -> None:
    desk.scene.begin()
    desk.book.begins(desk.scene.edge(), CpuTimes(), None)
    assert desk.asked.wait(LIMIT_S)  # the row is being written
    desk.outbox.flush(LIMIT_S)
    other = Store(desk.store.path, host="here")
    assert other.others_at_once([now_and_for(5.0)]) == 1
    assert other.others_at_once([now_and_for(5.0, host="there")]) == 0
    desk.keep("inner")  # a block within the cell has ended: the cell runs on
    assert other.others_at_once([now_and_for(5.0)]) == 1
    desk.scene.rest()
    desk.keep("outer")
    desk.outbox.flush(LIMIT_S)
    assert other.others_at_once([now_and_for(5.0)]) == 0
    other.close()


def test_a_kernel_that_died_in_a_cell_is_not_taken_for_one_that_runs(desk: Desk) -> None:
    spell = Spell(
        "n1", "s1", "here", datetime.now(UTC).timestamp(), math.inf, frozenset({"package:0"})
    )
    desk.store.announce(spell)
    assert desk.store.others_at_once([now_and_for(5.0)]) == 1
    with closing(sqlite3.connect(desk.store.path, isolation_level=None)) as other:
        other.execute("UPDATE running SET began = began + 1")  # its number is another's by now
    assert desk.store.others_at_once([now_and_for(5.0)]) == 0
    with closing(sqlite3.connect(desk.store.path, isolation_level=None)) as other:
        other.execute("UPDATE running SET pid = 99999999")
    assert desk.store.others_at_once([now_and_for(5.0)]) == 0


def test_where_processes_cannot_be_told_apart_nobody_is_said_to_run(tmp_path: Path) -> None:
    store = Store(tmp_path / "energy.sqlite", host="here", procfs=tmp_path)
    store.announce(Spell("n1", "s1", "here", 0.0, math.inf, frozenset({"package:0"})))
    assert store.others_at_once([now_and_for(5.0)]) == 0
    store.close()

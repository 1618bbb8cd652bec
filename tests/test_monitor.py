"""Windows become records, records reach the store, and a store that fails costs no cell."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from standins.powercap import FakePowercap
from standins.procfs import INIT, ROOT, FakeProcfs
from standins.sensors import LIMIT_S
from strategies import a_record

from jupyter_energy.attribution import Baseline
from jupyter_energy.commands.kernel_context import KernelContext
from jupyter_energy.commands.summary import load
from jupyter_energy.config import Energy
from jupyter_energy.devices import parse
from jupyter_energy.errors import WrongUse
from jupyter_energy.identity import NotebookRef
from jupyter_energy.json_shapes import IdleJson
from jupyter_energy.model import Record
from jupyter_energy.monitor import Monitor
from jupyter_energy.open_window import Options
from jupyter_energy.outbox import Outbox
from jupyter_energy.repeat import Repetition
from jupyter_energy.store import Store
from jupyter_energy.waiting import MOST_PENDING

NOTEBOOK = NotebookRef(None, "tested", kernel_id="kernel")
Start = Callable[..., Monitor]


@pytest.fixture
def cpu(tmp_path: Path) -> FakePowercap:
    """A CPU package and its memory, whose counters a test sets."""
    fake = FakePowercap(tmp_path / "sys")
    fake.zone("package-0")
    fake.zone("dram", "intel-rapl:0:0")
    return fake


@pytest.fixture
def start(tmp_path: Path, cpu: FakePowercap) -> Iterator[Start]:
    """Starts a monitor that sees that CPU alone and keeps its records in the test's folder."""
    with ExitStack() as stack:

        def started(**environ: str) -> Monitor:
            environ = {
                "JUPYTER_ENERGY_STORE": str(tmp_path / "data/energy.sqlite"),
                "JUPYTER_ENERGY_SYSFS": str(cpu.root),
                "JUPYTER_ENERGY_PROCFS": str(tmp_path / "proc"),
                "JUPYTER_ENERGY_ZONE": "FR",
                **environ,
            }
            monitor = Monitor(Energy(environ=environ), lambda _: NOTEBOOK, environ)
            stack.callback(monitor.close)
            monitor.start()
            assert monitor.sampler.wait_until_found(LIMIT_S)
            if cpu.file("intel-rapl:0:0").exists():
                cpu.set("intel-rapl:0:0", 61)  # it works, though most tests let it rest
            return monitor

        yield started


def stored(tmp_path: Path) -> list[Record]:
    """What another process would find in the store."""
    store = Store(tmp_path / "data/energy.sqlite")
    try:
        found = store.find_notebook(NOTEBOOK)
        return [] if found is None else store.records(found.id)
    finally:
        store.close()


def run(monitor: Monitor, name: str) -> Record:
    """One measured block."""
    return monitor.close_window(monitor.open_window(Options(name)), "ok")


def draw(cpu: FakePowercap, zone: str, energy_uj: int) -> None:
    """Let a counter rise in a time in which a processor could draw so much."""
    threading.Event().wait(0.05)
    cpu.set(zone, energy_uj)


def nearly(record: Record, energy_j: float) -> bool:
    """Whether the interval holds it: these windows are hardly longer than the counter's period."""
    measured = record.measurement.measured_j
    return measured is not None and abs(measured.value - energy_j) <= measured.u95_repeat


def test_a_window_holds_what_the_counters_rose_by(start: Start, cpu: FakePowercap) -> None:
    monitor = start()
    window = monitor.open_window(Options("fit"), shown=True)
    draw(cpu, "intel-rapl:0", 3_000_000)
    cpu.set("intel-rapl:0:0", 500_000)
    record = monitor.close_window(window, "ok", "cell-id", 7)
    assert nearly(record, 3.5)
    assert [d.domain.kind for d in record.domains if d.energy is not None] == ["package", "dram"]
    assert (record.name, record.cell_id, record.execution_count) == ("fit", "cell-id", 7)
    assert record.emissions is not None
    assert record.emissions.intensity.zone == "FR"


def test_the_blocks_of_a_repeated_body_are_read_in_the_midst_of_its_window(
    start: Start, cpu: FakePowercap, tmp_path: Path
) -> None:
    monitor = start()
    window = monitor.open_window(Options("fit"), shown=True)
    window.repetition = Repetition(asked=3)
    for begun, so_far_uj in ((1, 5_000_000), (2, 7_000_000)):
        window.repetition.begun = begun
        draw(cpu, "intel-rapl:0", so_far_uj)
        monitor.mark(window)
    window.repetition.begun = 3
    draw(cpu, "intel-rapl:0", 10_000_000)
    record = monitor.close_window(window, "ok")
    assert nearly(record, 10.0)
    assert record.repeats is not None
    assert record.repeats.measured_j is not None
    assert record.repeats.measured_j.value == pytest.approx(2.5, abs=1.0)
    assert record.repeats.first_j == pytest.approx(5.0, abs=2.0)
    monitor.flush()
    assert [kept.repeats for kept in stored(tmp_path)] == [record.repeats]


def test_only_the_devices_that_were_asked_for_count(start: Start, cpu: FakePowercap) -> None:
    monitor = start()
    window = monitor.open_window(Options(choice=parse("memory")))
    draw(cpu, "intel-rapl:0", 3_000_000)
    cpu.set("intel-rapl:0:0", 500_000)
    record = monitor.close_window(window, "ok")
    assert [d.domain.kind for d in record.domains] == ["dram"]
    assert nearly(record, 0.5)


def test_a_window_knows_which_one_it_lies_in(start: Start) -> None:
    monitor = start()
    outer = monitor.open_window(Options("outer"))
    first = run(monitor, "first")
    middle = monitor.open_window(Options("middle"))
    inmost = run(monitor, "inmost")
    middle_record = monitor.close_window(middle, "ok")
    second = run(monitor, "second")
    outer_record = monitor.close_window(outer, "ok")
    assert outer_record.within is None
    assert {first.within, second.within, middle_record.within} == {outer.run_id}
    assert inmost.within == middle.run_id
    assert run(monitor, "after").within is None


def test_a_run_from_the_shell_is_around_all_windows_of_its_kernel(start: Start) -> None:
    assert run(start(JUPYTER_ENERGY_WITHIN="the-run"), "cell").within == "the-run"


def test_an_inner_window_that_was_never_closed_does_not_take_in_what_follows(
    start: Start,
) -> None:
    monitor = start()
    outer = monitor.open_window(Options("outer"))
    monitor.open_window(Options("forgotten"))
    monitor.close_window(outer, "ok")
    assert run(monitor, "next").within is None


def test_a_dropped_window_leaves_no_record_and_is_around_nothing(
    start: Start, tmp_path: Path
) -> None:
    monitor = start()
    monitor.drop_window(monitor.open_window(Options("dropped")))
    assert run(monitor, "kept").within is None
    monitor.flush(LIMIT_S)
    assert [record.name for record in stored(tmp_path)] == ["kept"]


def test_a_record_is_stored_when_its_window_is_closed(start: Start, tmp_path: Path) -> None:
    monitor = start()
    record = run(monitor, "one")
    monitor.flush(LIMIT_S)
    (found,) = stored(tmp_path)
    assert found.run_id == record.run_id


def test_records_wait_while_the_store_fails_and_are_written_in_order_once_it_works(
    start: Start, tmp_path: Path
) -> None:
    obstacle = tmp_path / "data"
    obstacle.write_text("a file where the folder should be")
    monitor = start()
    names = ["first", "second", "third"]
    for name in names:
        assert run(monitor, name).outcome == "ok"
    assert [record.name for record in monitor.pending()] == names
    obstacle.unlink()
    run(monitor, "fourth")
    monitor.flush(LIMIT_S)
    assert monitor.pending() == []
    assert [record.name for record in stored(tmp_path)] == [*names, "fourth"]


@pytest.mark.parametrize("room", range(14, 60, 2))
def test_a_record_is_kept_however_few_frames_the_user_leaves(
    start: Start, tmp_path: Path, room: int
) -> None:
    monitor = start()
    window = monitor.open_window(Options("deep"))
    depth, frame = 0, sys._getframe()
    while frame is not None:
        depth, frame = depth + 1, frame.f_back  # type: ignore[assignment]
    usual = sys.getrecursionlimit()
    try:
        sys.setrecursionlimit(depth + room)
        record = monitor.close_window(window, "ok")
    finally:
        sys.setrecursionlimit(usual)
    monitor.flush(LIMIT_S)
    assert [run.run_id for run in stored(tmp_path)] == [record.run_id]


def test_one_line_of_the_store_is_enough_while_nothing_is_lost(start: Start) -> None:
    monitor = start()
    monitor.to_tell()
    monitor.tell("store", "it cannot be read")
    monitor.tell("store: journal", "records wait in memory")
    monitor.tell("store", "it cannot be written")
    monitor.tell("store: it was damaged", "it was damaged")
    assert monitor.to_tell() == [
        "it cannot be read",
        "records wait in memory",
        "it was damaged",
    ]
    other = start()
    other.to_tell()
    other.tell("store: journal", "records wait in memory")
    other.tell("store", "it cannot be written")
    assert other.to_tell() == ["records wait in memory"]


def test_the_end_writes_what_still_waits(start: Start, tmp_path: Path) -> None:
    obstacle = tmp_path / "data"
    obstacle.write_text("a file where the folder should be")
    monitor = start()
    run(monitor, "waiting")
    obstacle.unlink()
    monitor.close()
    assert [record.name for record in stored(tmp_path)] == ["waiting"]


def test_a_store_that_fails_is_told_once(start: Start, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    monitor = start()
    run(monitor, "first")
    (text,) = monitor.to_tell()
    assert str(tmp_path / "data") in text
    assert "what it runs is not affected." in text
    run(monitor, "second")
    assert monitor.to_tell() == []


class Hanging:
    """A notebook that cannot be named for now, as on a network file system that does not answer.

    It is asked for on the thread that writes the store.
    """

    def __init__(self, fails: bool) -> None:
        self.asked = 0
        self.fails = fails
        self.gate = threading.Event()

    def __call__(self, _: object) -> NotebookRef:
        self.asked += 1
        assert self.gate.wait(LIMIT_S)
        if self.fails:
            raise OSError("stale file handle")
        return NOTEBOOK


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Start]:
    """Starts a monitor that sees no file of a sensor, with a notebook of the test's own."""
    with ExitStack() as stack:

        def started(notebook: Callable[[str | None], NotebookRef], **more: str) -> Monitor:
            environ = {
                "JUPYTER_ENERGY_STORE": str(tmp_path / "data/energy.sqlite"),
                "JUPYTER_ENERGY_SYSFS": str(tmp_path / "sys"),
                "JUPYTER_ENERGY_PROCFS": str(tmp_path / "proc"),
                **more,
            }
            monitor = Monitor(Energy(environ=environ), notebook, environ)
            stack.callback(monitor.close)
            monitor.start()
            return monitor

        yield started


def test_a_store_that_hangs_delays_no_cell_and_loses_none_and_no_call_piles_up(
    bare: Start, tmp_path: Path
) -> None:
    notebook = Hanging(fails=True)  # so that each call asks for it again
    monitor = bare(notebook)
    for number in range(20):
        run(monitor, str(number))
    assert monitor.to_tell() == []
    assert monitor.pending() == []  # the journal has them all
    assert len(Store(tmp_path / "data/energy.sqlite").loose()) == 20
    notebook.gate.set()
    with pytest.raises(OSError, match="stale"):
        monitor.flush(LIMIT_S)
    assert notebook.asked == 3  # at the start, for the first record, and now
    notebook.fails = False
    run(monitor, "last")
    monitor.flush(LIMIT_S)
    assert [record.name for record in stored(tmp_path)] == [*map(str, range(20)), "last"]
    monitor.close()


def test_what_was_done_to_a_damaged_store_is_told_also_when_it_did_not_answer_at_first(
    bare: Start, tmp_path: Path
) -> None:
    notebook = Hanging(fails=False)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/energy.sqlite").write_bytes(b"no database at all\0" * 500)
    monitor = bare(notebook)
    run(monitor, "one")
    notebook.gate.set()
    monitor.flush(LIMIT_S)
    monitor.flush(LIMIT_S)
    (damaged,) = monitor.to_tell()
    assert "was damaged" in damaged
    monitor.close()


def test_of_records_without_a_store_the_newest_wait_and_the_loss_is_told_once(
    tmp_path: Path,
) -> None:
    told: list[tuple[str, str]] = []
    (tmp_path / "data").write_text("a file where the folder should be")
    store = Store(tmp_path / "data/energy.sqlite")
    outbox = Outbox(store, lambda _: NOTEBOOK, lambda topic, text: told.append((topic, text)))
    record = a_record()
    for number in range(MOST_PENDING + 2):
        outbox.put(replace(record, run_id=str(number)))
    waiting = outbox.pending()
    assert len(waiting) == MOST_PENDING
    assert (waiting[0].run_id, waiting[-1].run_id) == ("2", str(MOST_PENDING + 1))
    dropped = {text for topic, text in told if topic == "dropped"}
    assert len(dropped) == 1
    assert str(MOST_PENDING) in dropped.pop()
    outbox.close()


def test_a_block_that_ends_after_the_monitor_starts_no_thread_and_says_so(
    start: Start, tmp_path: Path
) -> None:
    before = set(threading.enumerate())
    monitor = start()
    window = monitor.open_window(Options("late"))
    monitor.close()
    monitor.close_window(window, "ok")
    assert set(threading.enumerate()) <= before
    (text,) = monitor.to_tell()
    assert "is lost" in text
    assert stored(tmp_path) == []


def test_each_topic_is_told_once_and_in_the_order_it_came_up(start: Start) -> None:
    monitor = start()
    monitor.tell("one", "first")
    monitor.tell("two", "second")
    monitor.tell("one", "first again")
    assert monitor.to_tell() == ["first", "second"]
    monitor.tell("two", "second again")
    assert monitor.to_tell() == []


def test_a_setting_that_cannot_be_is_told(start: Start) -> None:
    monitor = start(JUPYTER_ENERGY_PUE="0.5")
    (text,) = monitor.to_tell()
    assert "Energy.pue" in text
    assert "JUPYTER_ENERGY_PUE" in text


def test_all_settings_that_cannot_be_are_told_in_one_line(start: Start) -> None:
    (text,) = start(JUPYTER_ENERGY_PUE="0.5", JUPYTER_ENERGY_INTERVAL_S="never").to_tell()
    assert "Energy.pue" in text
    assert "Energy.interval_s" in text


def test_a_zone_of_no_table_is_the_users_mistake_before_and_a_warning_after(start: Start) -> None:
    monitor = start(JUPYTER_ENERGY_ZONE="XX")
    with pytest.raises(WrongUse, match="XX"):
        monitor.check(Options(zone="XX"))
    record = run(monitor, "cell")
    assert record.emissions is None
    assert record.warnings
    assert record.warnings[0].startswith("CO2e is not known")


def test_a_device_that_is_not_here_is_the_users_mistake(start: Start) -> None:
    with pytest.raises(WrongUse, match="gpu:3"):
        start().check(Options(choice=parse("gpu:3")))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")  # it is the point
def test_a_forked_child_gets_a_record_without_figures_that_says_why(
    start: Start, tmp_path: Path
) -> None:
    monitor = start()
    run(monitor, "parent")
    child = os.fork()
    if child == 0:
        status = 9  # an exception
        try:
            record = run(monitor, "child")
            monitor.close()
            told = monitor.to_tell()
            known = record.energy_j is not None or record.estimated_j is not None
            said = "not measured in a forked process" in record.warnings
            status = (1 if known else 0) + (0 if said else 2) + (4 if told else 0)
        finally:
            os._exit(status)
    _, ended = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(ended) == 0
    run(monitor, "parent again")
    monitor.flush(LIMIT_S)
    assert [record.name for record in stored(tmp_path)] == ["parent", "parent again"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")  # it is the point
def test_a_forked_child_needs_no_lock_that_a_thread_of_its_parent_held(start: Start) -> None:
    monitor = start()
    held, forked = threading.Event(), threading.Event()

    def hold() -> None:
        # The lock that every edge takes for a moment, here for a longer one.
        with monitor.sampler._lock:
            held.set()
            forked.wait(LIMIT_S)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(LIMIT_S)
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(60)  # it would wait for ever
        try:
            record = monitor.close_window(monitor.open_window(Options(), shown=True), "ok")
            os._exit(0 if record.energy_j is None else 1)
        finally:
            os._exit(9)  # an exception
    forked.set()
    thread.join()
    _, ended = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(ended) == 0


LATE_GPU = """
import threading
from types import SimpleNamespace
from standins.sensors import LIMIT_S, FakeSensor
from jupyter_energy.model import Domain
from jupyter_energy.sensors.base import Discovery

WORKER = "late"
gate, gpu, asked = threading.Event(), FakeSensor(Domain("gpu", 0, "a GPU"), worker="late"), []

def discover(machine):
    asked.append(1)
    assert gate.wait(LIMIT_S)
    return Discovery((gpu,))
"""


def late_gpu(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An installed package whose GPU is found when the test opens its gate."""
    site = tmp_path / "site"
    (site / f"{name}-1.0.dist-info").mkdir(parents=True)
    (site / f"{name}-1.0.dist-info/METADATA").write_text(f"Name: {name}\nVersion: 1.0\n")
    points = f"[jupyter_energy.sensors]\n{name} = {name}\n"
    (site / f"{name}-1.0.dist-info/entry_points.txt").write_text(points)
    (site / f"{name}.py").write_text(LATE_GPU)
    monkeypatch.syspath_prepend(site)
    return import_module(name)


@pytest.mark.parametrize(("visible", "energy_j"), [(None, 30), ("0", 30), ("1", None)])
def test_a_gpu_that_is_found_while_a_silent_cell_runs_counts(
    bare: Start,
    visible: str | None,
    energy_j: float | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    late = late_gpu(f"late_gpu_{visible}", tmp_path, monkeypatch)
    more = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    monitor = bare(lambda _: NOTEBOOK, **more)
    began_s = time.monotonic()
    window = monitor.open_window(Options())
    late.gate.set()
    assert monitor.sampler.wait_until_found(LIMIT_S)
    # There is a figure where the sensor saw most of the window.
    time.sleep(3 * (time.monotonic() - began_s))
    late.gpu.value = 30.0
    record = monitor.close_window(window, "ok")
    monitor.close()
    found = [d.energy.value for d in record.domains if d.domain.kind == "gpu" and d.energy]
    assert found == ([] if energy_j is None else [pytest.approx(energy_j, rel=0.05)])


def test_checked_devices_wait_for_a_driver_that_hangs_once(
    bare: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = late_gpu("late_gpu_asked", tmp_path, monkeypatch)
    monitor = bare(lambda _: NOTEBOOK)

    def check_often() -> None:
        for _ in range(100):
            with pytest.raises(WrongUse):
                monitor.check(Options(choice=parse("gpu:0")))

    checks = threading.Thread(target=check_often, daemon=True)
    checks.start()
    checks.join(LIMIT_S)  # enough to wait for it once, and far from enough for a hundred times
    assert not checks.is_alive()
    late.gate.set()
    assert monitor.sampler.wait_until_found(LIMIT_S)
    monitor.check(Options(choice=parse("gpu:0")))
    monitor.close()


# -- whose energy ------------------------------------------------------------------------------


def test_a_shown_window_has_the_kernels_share_of_the_machines_cpu_time_and_a_silent_one_none(
    start: Start, cpu: FakePowercap, tmp_path: Path
) -> None:
    procfs = FakeProcfs(tmp_path / "proc")
    monitor = start()
    monitor.accounts.asked = {"package:0": Baseline(1.0, 0.1, datetime.now(UTC), 15.0, "asked")}
    shares = []
    for shown in (True, False):
        window = monitor.open_window(Options(), shown)
        assert (window.times.processes is None) is not shown  # what it costs is for shown ones
        threading.Event().wait(0.51)  # no share is told of less (measuring.md 5.2)
        procfs.burn(procfs.fork(ROOT), 60)
        procfs.burn(INIT, 20)
        procfs.write()
        cpu.set("intel-rapl:0", 40_000_000 if shown else 80_000_000)
        record = monitor.close_window(window, "ok")
        shares.append(record.kernel_share)
    assert shares == [pytest.approx(0.75), None]
    above = record.domains[0].above_idle
    assert above is not None
    assert above.value == pytest.approx(40.0 - record.duration_s, rel=0.01)
    assert record.baseline is not None
    assert record.baseline.how == "asked"


def idle_of(monitor: Monitor, session_id: str | None = None) -> IdleJson | None:
    """The idle energy that a summary tells."""
    context = KernelContext(monitor)
    return load(context, context.notebook(), session_id, own=session_id is None)["totals"]["idle"]


def test_what_is_drawn_between_two_cells_is_booked_as_idle_and_in_no_cell(
    start: Start, cpu: FakePowercap, tmp_path: Path
) -> None:
    monitor = start()
    window = monitor.open_window(Options("first"))
    cpu.set("intel-rapl:0", 1_000_000)
    monitor.close_window(window, "ok")
    threading.Event().wait(1.01)  # shorter gaps are not booked
    cpu.set("intel-rapl:0", 8_000_000)
    cpu.set("intel-rapl:0:0", 122)  # memory's works too: one that rests so long is taken for dead
    syntax_error = monitor.open_window(Options("dropped"))
    cpu.set("intel-rapl:0", 10_000_000)
    monitor.drop_window(syntax_error)
    assert len(monitor.idle.pending(None)) == 1
    before = idle_of(monitor)  # as a cell that asks for the summary would see it
    window = monitor.open_window(Options("second"))
    outer_j = 13_000_000
    inner = monitor.open_window(Options("inner"))
    draw(cpu, "intel-rapl:0", outer_j)
    assert nearly(monitor.close_window(inner, "ok"), 3.0)
    assert nearly(monitor.close_window(window, "ok"), 3.0)
    monitor.flush(LIMIT_S)
    store = Store(tmp_path / "data/energy.sqlite")
    found = store.find_notebook(NOTEBOOK)
    assert found is not None
    (idle,) = store.idles(found.id)
    store.close()
    assert idle.measurement.measured_j is not None
    assert idle.measurement.measured_j.value == pytest.approx(7.0, abs=0.1)
    assert idle.session_id == monitor.session_id
    assert before is not None
    assert before["measured_j"] is not None
    assert before["measured_j"]["value"] == pytest.approx(7.0, abs=0.1)
    assert idle_of(monitor) == before
    assert idle_of(monitor, "another session") is None
    assert idle.measurement.duration_s >= 1.0


def test_of_kernels_that_measure_one_device_at_once_the_one_that_ends_later_is_told(
    start: Start, cpu: FakePowercap
) -> None:
    one = start()
    two = Monitor(one.settings, lambda _: NotebookRef(None, "other", kernel_id="another"), {})
    two.start()
    assert two.sampler.wait_until_found(LIMIT_S)
    window, other = one.open_window(Options(), shown=True), two.open_window(Options(), shown=True)
    cpu.set("intel-rapl:0", 1_000_000)
    threading.Event().wait(0.01)  # less is taken for the clocks' own differences
    two.close_window(other, "ok")
    two.flush(LIMIT_S)
    one._outbox.asking_s = LIMIT_S
    (note,) = one.close_window(window, "ok").warnings
    two.close()
    assert note == "overlaps with 1 other notebook on this machine; do not add these totals"


def test_a_result_on_a_machine_with_several_ranks_says_so(start: Start) -> None:
    (note,) = run(start(SLURM_NTASKS_PER_NODE="4"), "rank").warnings
    assert note.startswith("node-level; 4 ranks")


def test_a_suspend_within_a_cell_is_told_and_is_no_part_of_its_duration(start: Start) -> None:
    monitor = start()
    window = monitor.open_window(Options("slept"))
    window.start = replace(window.start, asleep_s=window.start.asleep_s - 240)
    record = monitor.close_window(window, "ok")
    assert record.warnings == ("the machine slept for 4 min 00 s within it, which is not counted",)
    assert record.duration_s < LIMIT_S

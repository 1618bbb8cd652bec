"""`baseline` as a user types it: idle power of this machine, and a calibrated CPU estimate."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from conftest import StartKernel
from shell import LIMIT_S, PROGRAM, Shell, one_line
from standins.powercap import FakePowercap

from jupyter_energy import calibration
from jupyter_energy.calibration import Calibration
from jupyter_energy.sensors import estimate
from jupyter_energy.sensors.base import Discovery, Machine

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs sysfs and procfs")
THREADS = 2


class Idle(Shell):
    """A shell on a machine of files: two threads that do nothing until told, and powercap."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        super().__init__(folder)
        self.proc = folder / "proc"
        (self.proc / "self").mkdir(parents=True)
        self.proc.joinpath("meminfo").write_text("MemTotal: 8388608 kB\n")
        self.work(0)
        self.environ["JUPYTER_ENERGY_PROCFS"] = str(self.proc)
        self.environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
        self.file = folder / "home/data/jupyter-energy/baselines.json"

    def work(self, ticks: int) -> None:
        """What each thread has worked so far, in ticks of 10 ms."""
        total = f"cpu  {ticks * THREADS:09} 0 0 0 0 0 0\n"
        rows = "".join(f"cpu{number} {ticks:09} 0 0 0 0 0 0\n" for number in range(THREADS))
        # In place and as long as before, so that a reader never sees half of it.
        (self.proc / "stat").touch()
        with (self.proc / "stat").open("r+b", buffering=0) as file:
            file.write((total + rows).encode())

    def machine(self) -> Machine:
        return Machine(self.sysfs, self.proc, baselines=self.file, environ={})

    def estimates(self) -> Discovery:
        return estimate.discover(self.machine())


@pytest.fixture
def shell(tmp_path: Path) -> Idle:
    return Idle(tmp_path)


@contextmanager
def every_20_ms(do: Callable[[], None]) -> Iterator[None]:
    """Do something again and again while the block runs."""
    over = threading.Event()

    def again() -> None:
        while not over.wait(0.02):
            do()

    thread = threading.Thread(target=again)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


# A busy machine feeds the counter late, by which the figure is off: not each time.
TRIES = range(5)


def is_20_w(watts: float) -> bool:
    return watts == pytest.approx(20.0, rel=0.1)


# -- idle power ------------------------------------------------------------------------------


def test_idle_power_is_measured_shown_and_kept_for_this_host(shell: Idle) -> None:
    fake = FakePowercap(shell.sysfs)
    fake.zone("package-0")
    for _ in TRIES:
        with fake.run({"intel-rapl:0": 20.0}):
            done = shell("baseline", "1")
        assert done.returncode == 0, done.stderr
        [kept] = calibration.load(socket.gethostname(), shell.file).idle
        if is_20_w(kept.idle_w):
            break
    assert one_line(done.stderr) == "Measuring idle power for 1 s: leave the machine alone."
    assert "±" in done.stdout
    assert "W (rapl)" in done.stdout
    assert f"Kept in {shell.file}." in done.stdout
    assert (kept.device, kept.source) == ("package:0", "rapl")
    assert is_20_w(kept.idle_w)
    assert kept.u_w >= 0.02 * kept.idle_w  # it drifts with the machine's warmth
    assert kept.measured_s >= 1


def test_as_json_it_is_one_document(shell: Idle) -> None:
    fake = FakePowercap(shell.sysfs)
    fake.zone("package-0")
    for _ in TRIES:
        with fake.run({"intel-rapl:0": 20.0}):
            done = shell("baseline", "1", "--json")
        document = json.loads(done.stdout)
        [device] = document["devices"]
        if is_20_w(device["idle_w"]):
            break
    assert document["host"] == socket.gethostname()
    assert is_20_w(device["idle_w"])
    assert device["u95_w"] > 0


def test_a_machine_at_work_has_no_idle_power_and_nothing_is_kept(shell: Idle) -> None:
    fake = FakePowercap(shell.sysfs)
    fake.zone("package-0")
    ticks = iter(range(0, 10**9, 2))
    with fake.run({"intel-rapl:0": 20.0}), every_20_ms(lambda: shell.work(next(ticks))):
        done = shell("baseline", "1")
    assert done.returncode == 1
    assert "% busy, so this was no idle power and is not kept" in done.stderr
    assert not shell.file.exists()


def test_without_a_sensor_it_says_so_and_names_the_way_by_a_plug(shell: Idle) -> None:
    done = shell("baseline", "1")
    assert (done.returncode, done.stdout) == (1, "")
    assert "no sensor can be read here" in one_line(done.stderr)
    assert "jupyter energy baseline --plug IDLE_W BUSY_W" in done.stderr


@pytest.mark.parametrize("seconds", ["0", "0.9", "3601", "nan", "inf", "-1"])
def test_seconds_that_cannot_be_are_refused(shell: Idle, seconds: str) -> None:
    done = shell("baseline", seconds)
    assert done.returncode == 2
    assert "give 1 to 3600" in done.stderr


def test_an_interrupted_measurement_keeps_nothing(shell: Idle) -> None:
    fake = FakePowercap(shell.sysfs)
    fake.zone("package-0")
    with (
        fake.run({"intel-rapl:0": 20.0}),
        subprocess.Popen(
            [sys.executable, *PROGRAM[1:], "baseline", "600"],
            env=shell.environ,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        assert process.stderr is not None
        assert "Measuring" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == "jupyter energy: interrupted\n"
        assert process.wait(LIMIT_S) == 1
    assert not shell.file.exists()


# -- calibration -----------------------------------------------------------------------------


def test_a_plugs_readings_narrow_the_estimate_of_this_machine_and_no_other(shell: Idle) -> None:
    before = shell.estimates().sensors[0]
    done = shell("baseline", "--plug", "40", "120")
    assert done.returncode == 0, done.stderr
    assert "69 % of what the plug shows, 27.5 W at rest and 82.6 W with all threads busy" in (
        done.stdout
    )
    found = shell.estimates()
    cpu = found.sensors[0]
    assert isinstance(cpu, estimate.Estimate)
    assert cpu.source == "estimate:calibrated"
    assert cpu.remark is not None
    assert cpu.remark.startswith("calibrated on 2")
    assert cpu.remark.endswith(" with a plug")
    assert cpu.spread == (0.7, 1.3)
    assert before.spread is not None
    assert cpu.spread[1] / cpu.spread[0] < before.spread[1] / before.spread[0]
    assert any("calibrated on" in note for note in found.notes)
    # awake, and with both threads busy: the line of cpu_power.line
    share = 0.75 / 1.09
    assert cpu.idle_w == pytest.approx(share * (40 + 80 / 6))
    assert cpu.max_w == pytest.approx(share * 120)
    assert "calibrated on" in shell("doctor").stdout
    (shell.proc / "cpuinfo").write_text("processor\t: 0\nmodel name\t: another\n")
    assert shell.estimates().sensors[0].source == "estimate:cpu-time"


def test_a_calibrated_figure_says_what_it_was_calibrated_with_and_when(shell: Idle) -> None:
    shell("baseline", "--plug", "40", "120")
    script = shell.folder / "script.py"
    script.write_text("print(1)\n")
    [cell] = shell.run_json(script)["cells"]
    cpu = next(d for d in cell["domains"] if d["kind"] == "package")
    assert (cpu["source"], cpu["provenance"]) == ("estimate:calibrated", "estimated")
    assert "calibrated on 2" in cpu["reason"]
    assert "with a plug" in cpu["reason"]
    assert cpu["u95_j"] is None  # an estimate has a range and never a ±
    assert cpu["low_j"] < cpu["mid_j"] < cpu["high_j"]


def test_a_machine_that_rests_far_below_its_line_has_a_range_that_reaches_there(
    shell: Idle,
) -> None:
    assert shell("baseline", "--plug", "6", "60").returncode == 0
    cpu = shell.estimates().sensors[0]
    assert isinstance(cpu, estimate.Estimate)
    assert cpu.spread is not None
    assert cpu.spread[0] * cpu.idle_w == pytest.approx(0.75 / 1.09 * 6)


def test_a_calibration_can_be_forgotten(shell: Idle) -> None:
    shell("baseline", "--set", "10", "50")
    cpu = shell.estimates().sensors[0]
    assert cpu.source == "estimate:calibrated"
    assert cpu.spread is not None
    assert cpu.spread[1] == 1.2
    assert shell("baseline", "--forget").returncode == 0
    assert shell.estimates().sensors[0].source == "estimate:cpu-time"


def test_as_json_a_calibration_says_what_was_kept_and_where(shell: Idle) -> None:
    document = json.loads(shell("baseline", "--set", "20", "80", "--json").stdout)
    assert document["file"] == str(shell.file)
    assert document["calibration"]["how"] == "RAPL"
    assert document["calibration"]["full_w"] == 80.0


@pytest.mark.parametrize(
    "words",
    [
        ("--plug", "120", "40"),
        ("--plug", "0", "40"),
        ("--plug", "nan", "40"),
        ("--plug", "40", "inf"),
        ("--plug", "40"),
        ("--plug", "10", "20", "--set", "1", "2"),
        ("15", "--plug", "10", "20"),
    ],
    ids=" ".join,
)
def test_readings_that_cannot_be_are_refused_and_nothing_is_kept(
    shell: Idle, words: tuple[str, ...]
) -> None:
    done = shell("baseline", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert not shell.file.exists()


def test_a_broken_file_is_told_and_left_as_it_is(shell: Idle) -> None:
    shell.file.parent.mkdir(parents=True)
    shell.file.write_text("[")
    assert shell.estimates().sensors[0].source == "estimate:cpu-time"
    done = shell("baseline", "--plug", "10", "20")
    assert done.returncode == 2
    assert "mend or delete it" in one_line(done.stderr)
    assert shell.file.read_text() == "["


def test_rapl_under_a_load_of_its_own_gives_the_command_that_keeps_it(shell: Idle) -> None:
    fake = FakePowercap(shell.sysfs)
    fake.zone("package-0")
    state = SimpleNamespace(energy_uj=0, most=0)

    def count() -> None:
        # 10 W, and 40 W more for each process that our command keeps at work
        loads = len(psutil.Process().children(recursive=True)) - 1
        state.most = max(state.most, loads)
        state.energy_uj += round(0.02 * (10 + 40 * max(0, loads)) * 1e6)
        fake.set("intel-rapl:0", state.energy_uj)

    with every_20_ms(count):
        done = shell("baseline", "1", "--calibrate")
    assert done.returncode == 0, done.stderr
    assert state.most == THREADS  # every thread of this machine had its load
    words = done.stdout.splitlines()[-1].split()
    assert words[:4] == ["jupyter", "energy", "baseline", "--set"]
    rest_w, full_w = map(float, words[4:])
    assert 0 < rest_w < full_w / 3
    assert not shell.file.exists()  # as root it would be root's
    assert psutil.Process().children(recursive=True) == []


def test_without_rapl_the_calibration_says_who_can_read_it(shell: Idle) -> None:
    done = shell("baseline", "--calibrate")
    assert done.returncode == 1
    assert "sudo jupyter energy baseline --calibrate" in one_line(done.stderr)


def test_another_machine_with_the_same_home_does_not_take_a_calibration(shell: Idle) -> None:
    shell("baseline", "--plug", "40", "120")
    machine_id = shell.proc / "self/root/etc/machine-id"
    machine_id.parent.mkdir(parents=True)
    machine_id.write_text("0123456789abcdef\n")
    assert shell.estimates().sensors[0].source == "estimate:cpu-time"
    shell("baseline", "--plug", "40", "120")
    assert shell.estimates().sensors[0].source == "estimate:calibrated"
    assert "0123456789abcdef" not in shell.file.read_text()


def test_the_date_of_a_calibration_is_utc(shell: Idle) -> None:
    shell("baseline", "--plug", "40", "120")
    [(_, kept)] = json.loads(shell.file.read_text())["calibrations"].items()
    assert Calibration(**kept).date.endswith("+00:00")


# -- in a notebook ---------------------------------------------------------------------------


def test_in_a_notebook_it_measures_with_the_kernels_own_sensors(
    start_kernel: StartKernel, tmp_path: Path
) -> None:
    machine = Idle(tmp_path / "machine")
    fake = FakePowercap(machine.sysfs)
    fake.zone("package-0")
    roots = ("JUPYTER_ENERGY_SYSFS", "JUPYTER_ENERGY_PROCFS", "PYTHONPATH")
    kernel = start_kernel({name: machine.environ[name] for name in roots})
    kernel.run("%load_ext jupyter_energy")
    file = tmp_path / "home/data/jupyter-energy/baselines.json"
    for _ in TRIES:
        with fake.run({"intel-rapl:0": 20.0}):
            done = kernel.run("%energy baseline 1")
        assert "W (rapl)" in done.stdout
        assert "leave the machine alone" in done.stderr
        [kept] = calibration.load(socket.gethostname(), file).idle
        if is_20_w(kept.idle_w):
            break
    assert is_20_w(kept.idle_w)
    # From here on cells in this kernel, and later in others, have an energy above idle.
    result = "get_ipython().user_ns['m'].to_dict()['above_idle_j']"
    for _ in TRIES:
        fake.set("intel-rapl:0", 0)
        with fake.run({"intel-rapl:0": 60.0}):
            (cell,) = kernel.run("%%energy -v m\nimport time\ntime.sleep(0.5)").energy
        above = kernel.value(result)
        assert above is not None
        is_right = above["value"] == pytest.approx(cell["duration_s"] * (60 - 20), rel=0.25)
        if is_right:
            break
    assert is_right
    refused = kernel.run("%energy baseline --plug 9 3")
    assert refused.status == "error" or "cannot be" in refused.stderr
    assert kernel.run("6 * 7").value == {"text/plain": "42"}

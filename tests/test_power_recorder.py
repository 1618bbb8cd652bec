"""The process that reads power over time: what it sees, and that it ends with its cell.

It is the real process, on a moved powercap tree and with a stand-in for NVIDIA's library.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from standins import HERE, FakeNvml, build_nvml
from standins.perf_pmu import FakePowerPmu
from standins.powercap import INTEL_RANGE_UJ, FakePowercap
from standins.sensors import FakeSensor

from jupyter_energy.errors import EnergyError
from jupyter_energy.model import Domain
from jupyter_energy.power.document import Curve, PowerTrace
from jupyter_energy.power.recorder import NoTraceError, Recorders, Recording
from jupyter_energy.sensors import estimate, rapl, replay
from jupyter_energy.sensors.base import Machine, Sensor

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="RAPL's files are Linux's")

ROOT = HERE.parent.parent
LIMIT_S = 60.0  # bounds a hang, measures nothing
GPU = 'gpu 0 uuid=GPU-0a name="NVIDIA H100" pci=00000000:0A:00.0 power_mw=350000 '


class Traced(FakeSensor):
    """A sensor that says where another process reads its power."""

    def __init__(self, source: dict[str, object], **fields: Any) -> None:
        super().__init__(**fields)
        self._source = source

    def trace_source(self) -> dict[str, object]:
        return self._source


def gpu(status: Path | None = None) -> Traced:
    path = None if status is None else str(status)
    source: dict[str, object] = {"nvml": "GPU-0a", "runtime_status": path, "name": "nvml-power"}
    return Traced(source, domain=Domain("gpu", 0, "NVIDIA H100", "GPU-0a"), max_w=None)


@pytest.fixture
def cpu(tmp_path: Path) -> FakePowercap:
    """A package and its memory, whose counters a test sets."""
    fake = FakePowercap(tmp_path / "sys")
    fake.zone("package-0", energy_uj=5_000_000)
    fake.zone("dram", "intel-rapl:0:0")
    return fake


@pytest.fixture
def nvml(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> FakeNvml:
    """NVIDIA's library as the process will meet it: the loader looks when a process begins."""
    fake = FakeNvml(build_nvml(tmp_path_factory.mktemp("nvml")), tmp_path)
    fake.set(GPU)
    for name, value in fake.environ.items():
        monkeypatch.setenv(name, value)
    return fake


def sensors(cpu: FakePowercap) -> tuple[Sensor, ...]:
    return rapl.discover(Machine(sysfs=cpu.root, procfs=cpu.root / "no proc")).sensors


def begin(*of: Any) -> Recording:
    return Recording(of, ready_s=LIMIT_S)


def wait_until(true: Callable[[], bool]) -> None:
    """Until another process has done something that can only be looked at."""
    deadline_s = time.monotonic() + LIMIT_S
    while not true():
        assert time.monotonic() < deadline_s
        time.sleep(0.005)


def energy_j(curve: Curve) -> float:
    return math.fsum(dt_s * power_w for dt_s, power_w in curve.known())


def seen(recording: Recording, start_s: float) -> dict[str, Curve]:
    # To a moment that is still to come, so that nothing of the last reading is cut off.
    trace = recording.end(start_s, time.monotonic() + LIMIT_S)
    return {curve.domain.kind: curve for curve in trace.curves}


def test_the_curve_of_a_counter_holds_the_energy_that_it_rose_by(cpu: FakePowercap) -> None:
    start_s = time.monotonic()
    recording = begin(*sensors(cpu))
    cpu.set("intel-rapl:0", 35_000_000)
    cpu.set("intel-rapl:0:0", 2_000_000)
    curves = seen(recording, start_s)
    assert energy_j(curves["package"]) == pytest.approx(30.0, rel=1e-3)
    assert energy_j(curves["dram"]) == pytest.approx(2.0, rel=1e-3)
    assert (curves["package"].provenance, curves["package"].source) == ("vendor model", "rapl")


def test_counters_that_run_are_followed_as_they_run(cpu: FakePowercap) -> None:
    """The bounds are what the counters really rose by, so that no clock is trusted."""
    file = cpu.file("intel-rapl:0")
    command = [sys.executable, str(HERE / "powercap.py"), str(cpu.root), "intel-rapl:0=65"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as counters:
        assert counters.stdout is not None
        counters.stdout.readline()
        before_s, before_uj = time.monotonic(), int(file.read_text())
        recording = begin(*sensors(cpu))
        start_uj = int(file.read_text())
        wait_until(lambda: int(file.read_text()) > start_uj + 65_000_000)
        stop_uj = int(file.read_text())
        curve = seen(recording, before_s)["package"]
        after_uj = int(file.read_text())
        counters.communicate(timeout=LIMIT_S)
    assert (stop_uj - start_uj) / 1e6 * 0.999 <= energy_j(curve)
    assert energy_j(curve) <= (after_uj - before_uj) / 1e6 * 1.001
    assert len(curve.known()) >= 3


def test_a_perf_event_is_read_by_the_descriptor_that_the_kernel_opened(tmp_path: Path) -> None:
    FakePowerPmu(tmp_path / "pmu", {"energy-pkg": 50.0})
    found = rapl.discover(Machine(sysfs=tmp_path / "pmu")).sensors
    if not found:
        pytest.skip("the kernel here opens no perf event for a whole CPU")
    start_s = time.monotonic()
    recording = begin(*found)
    wait_until(lambda: time.monotonic() > start_s + 0.3)
    stop_s = time.monotonic()
    (curve,) = recording.end(start_s, stop_s).curves
    assert 0 < energy_j(curve) <= 50.0 * (stop_s - start_s) * 1.01
    assert (curve.source, len(curve.known()) >= 1) == ("perf", True)
    for sensor in found:
        sensor.close()
    again = Recorders().begin("run", found)
    assert again == ["no power trace: no sensor here tells its power to a second process"]


def test_a_counter_that_wraps_loses_nothing_and_one_that_falls_invents_nothing(
    cpu: FakePowercap,
) -> None:
    cpu.set("intel-rapl:0", INTEL_RANGE_UJ - 10_000_000)
    cpu.zone("package-1", "intel-rapl:1", energy_uj=80_000_000, max_range_uj=None)
    start_s = time.monotonic()
    recording = begin(*sensors(cpu))
    cpu.set("intel-rapl:0", 20_000_000)
    cpu.set("intel-rapl:1", 10_000_000)
    trace = recording.end(start_s, time.monotonic() + LIMIT_S)
    wrapped, fallen = (c for c in trace.curves if c.domain.kind == "package")
    assert energy_j(wrapped) == pytest.approx(30.0, rel=1e-3)
    assert energy_j(fallen) == 0.0
    assert fallen.known() == [] or {w for _, w in fallen.known()} == {0.0}


def test_the_peak_is_of_all_measured_devices_at_one_time(cpu: FakePowercap) -> None:
    recording = begin(*sensors(cpu))
    start_s = time.monotonic()
    for step in range(1, 4):
        cpu.set("intel-rapl:0", 5_000_000 + step * 1_000_000)
        cpu.set("intel-rapl:0:0", step * 100_000)
    trace = recording.end(start_s, time.monotonic())
    highest_w = [max(w for _, w in curve.known()) for curve in trace.curves]
    assert trace.peak_w is not None
    assert max(highest_w) <= trace.peak_w + 1e-3
    assert trace.peak_w <= sum(highest_w) + 1e-3


def test_a_measured_device_that_cannot_be_read_from_outside_leaves_the_peak_unknown(
    cpu: FakePowercap,
) -> None:
    other = FakeSensor(Domain("machine", 0, "a plug"))
    recording = begin(*sensors(cpu), other)
    cpu.set("intel-rapl:0", 6_000_000)
    trace = recording.end(0.0, time.monotonic())
    assert {curve.domain.kind for curve in trace.curves} == {"package", "dram"}
    assert trace.peak_w is None


def test_an_estimate_is_traced_where_nothing_is_measured_and_never_in_the_peak() -> None:
    found = estimate.discover(Machine()).sensors
    start_s = time.monotonic()
    trace = begin(*found).end(start_s, time.monotonic())
    assert [curve.domain.kind for curve in trace.curves] == ["package", "dram"]
    assert all(curve.spread is not None for curve in trace.curves)
    [memory_w] = {power_w for _, power_w in trace.curves[1].known()}
    assert memory_w == pytest.approx(found[1].idle_w, abs=1e-3)  # type: ignore[attr-defined]
    assert trace.peak_w is None


def test_an_estimate_beside_a_measurement_of_its_kind_is_left_out(cpu: FakePowercap) -> None:
    trace = begin(*estimate.discover(Machine()).sensors, *sensors(cpu)).end(0.0, time.monotonic())
    assert [curve.spread for curve in trace.curves] == [None, None]


def test_a_replay_is_followed_along_its_recording(tmp_path: Path) -> None:
    file = tmp_path / "power.csv"
    file.write_text("t_s,domain,watts\n0,gpu:0,60\n1000,gpu:0,60\n1000,gpu:0,300\n2000,gpu:0,300\n")
    for began_s, power_w in ((0.0, 60.0), (-1500.0, 300.0), (-2500.0, 60.0)):
        began = time.monotonic() + began_s
        found = replay.discover(Machine(replay=file), clock=lambda at=began: at).sensors
        trace = begin(*found).end(0.0, time.monotonic())
        assert {round(w, 2) for _, w in trace.curves[0].known()} == {power_w}


# -- NVIDIA ----------------------------------------------------------------------------------


def test_a_gpu_is_asked_for_its_power_and_never_for_its_counter(nvml: FakeNvml) -> None:
    recording = begin(gpu())
    start_s = time.monotonic()
    wait_until(lambda: nvml.calls.count("nvmlDeviceGetFieldValues") >= 4)
    curve = seen(recording, start_s)["gpu"]
    assert {power_w for _, power_w in curve.known()} == {350.0}
    assert set(nvml.calls) == {
        *("nvmlInit_v2", "nvmlDeviceGetHandleByUUID", "nvmlDeviceGetFieldValues"),
    }
    assert nvml.calls.count("nvmlDeviceGetHandleByUUID") == 1


@pytest.mark.parametrize("kind", [0, 1, 3])
def test_the_driver_may_give_its_value_in_any_type(nvml: FakeNvml, kind: int) -> None:
    nvml.set(GPU + f"value_type={kind}")
    recording = begin(gpu())
    start_s = time.monotonic()
    wait_until(lambda: nvml.calls.count("nvmlDeviceGetFieldValues") >= 3)
    assert {w for _, w in seen(recording, start_s)["gpu"].known()} == {350.0}


def test_a_gpu_without_instantaneous_power_gives_its_mean_power(nvml: FakeNvml) -> None:
    nvml.set(GPU + "fault=NotSupported@field186")
    recording = begin(gpu())
    start_s = time.monotonic()
    wait_until(lambda: nvml.calls.count("nvmlDeviceGetPowerUsage") >= 3)
    assert {w for _, w in seen(recording, start_s)["gpu"].known()} == {350.0}


def test_a_sleeping_gpu_is_not_woken_and_its_power_not_known(
    nvml: FakeNvml, tmp_path: Path
) -> None:
    status = tmp_path / "runtime_status"
    status.write_text("suspended\n")
    start_s = time.monotonic()
    curve = seen(begin(gpu(status)), start_s)["gpu"]
    assert (curve.known(), curve.reason) == ([], "GPU asleep")
    assert nvml.calls == []


def test_of_two_gpus_the_one_that_sleeps_is_not_asked(nvml: FakeNvml, tmp_path: Path) -> None:
    nvml.set(GPU, GPU.replace("gpu 0", "gpu 1").replace("GPU-0a", "GPU-0b"))
    status = tmp_path / "runtime_status"
    status.write_text("suspended\n")
    other = Traced(
        {"nvml": "GPU-0b", "runtime_status": str(status)}, domain=Domain("gpu", 1, "NVIDIA H100")
    )
    recording = begin(gpu(), other)
    wait_until(lambda: nvml.calls.count("nvmlDeviceGetFieldValues") >= 3)
    awake, asleep = recording.end(0.0, time.monotonic()).curves
    assert {w for _, w in awake.known()} == {350.0}
    assert (asleep.known(), asleep.reason) == ([], "GPU asleep")
    assert nvml.calls.count("nvmlDeviceGetHandleByUUID") == 1


def test_a_gpu_that_wakes_is_read_from_then_on(nvml: FakeNvml, tmp_path: Path) -> None:
    status = tmp_path / "runtime_status"
    status.write_text("suspended\n")
    recording = begin(gpu(status))
    start_s = time.monotonic()
    status.write_text("active\n")
    wait_until(lambda: nvml.calls.count("nvmlDeviceGetFieldValues") >= 3)
    assert {w for _, w in seen(recording, start_s)["gpu"].known()} == {350.0}


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("library fault=DriverNotLoaded@nvmlInit_v2", "refuses nvmlInit_v2 (code 9)"),
        ("gpu 1 uuid=GPU-other", "refuses nvmlDeviceGetHandleByUUID (code 6)"),
        (GPU + "fault=GpuIsLost@*", "refuses nvmlDeviceGetPowerUsage (code 15)"),
    ],
)
def test_a_driver_that_refuses_gives_its_reason_and_no_power(
    nvml: FakeNvml, fault: str, reason: str
) -> None:
    nvml.set(fault)
    start_s = time.monotonic()
    recording = begin(gpu())
    wait_until(lambda: bool(nvml.calls))
    curve = seen(recording, start_s)["gpu"]
    assert curve.known() == []
    assert reason in str(curve.reason)


def test_a_driver_that_hangs_holds_up_no_other_device(nvml: FakeNvml, cpu: FakePowercap) -> None:
    nvml.set(GPU + "hang=600000@nvmlDeviceGetFieldValues")
    start_s = time.monotonic()
    recording = begin(gpu(), *sensors(cpu))
    wait_until(lambda: "nvmlDeviceGetFieldValues" in nvml.calls)
    cpu.set("intel-rapl:0", 35_000_000)
    curves = seen(recording, start_s)
    assert curves["gpu"].known() == []
    assert energy_j(curves["package"]) == pytest.approx(30.0, rel=1e-3)


def test_without_the_library_the_reason_is_told(cpu: FakePowercap) -> None:
    if "LD_LIBRARY_PATH" in os.environ:
        pytest.skip("a library may be found there")
    start_s = time.monotonic()
    curve = seen(begin(gpu()), start_s)["gpu"]
    assert curve.known() == []


# -- the process -----------------------------------------------------------------------------


def child_of(recording: Recording) -> psutil.Process:
    return psutil.Process(recording._process.pid)


def test_the_process_imports_nothing_but_the_standard_library_and_its_own_four_files() -> None:
    code = (
        "import sys, json; sys.path.append(sys.argv[1]); before = set(sys.modules); "
        "import jupyter_energy.power.nvidia, jupyter_energy.power.sampler; "
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    words = [sys.executable, "-S", "-E", "-P", "-c", code, str(ROOT)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in json.loads(done.stdout)}
    assert loaded - {"jupyter_energy"} <= sys.stdlib_module_names
    ours = {n for n in json.loads(done.stdout) if n.startswith("jupyter_energy")}
    assert ours == {
        *("jupyter_energy", "jupyter_energy.power", "jupyter_energy.power.line"),
        *(f"jupyter_energy.power.{name}" for name in ("nvidia", "sampler", "sources")),
    }


def test_the_process_ends_with_its_recording(cpu: FakePowercap) -> None:
    for end in (Recording.drop, lambda recording: recording.end(0.0, 1.0)):
        recording = begin(*sensors(cpu))
        child = child_of(recording)
        end(recording)
        assert not child.is_running()


def test_the_process_is_in_a_session_of_its_own_and_passes_over_ctrl_c(cpu: FakePowercap) -> None:
    recording = begin(*sensors(cpu))
    pid = recording._process.pid
    assert os.getsid(pid) == pid
    os.kill(pid, signal.SIGINT)
    assert recording.end(0.0, time.monotonic()).curves


KERNEL = """
import os, sys, time
from pathlib import Path
from jupyter_energy.power.recorder import Recording
from jupyter_energy.sensors import rapl
from jupyter_energy.sensors.base import Machine
root = Path(sys.argv[1])
found = rapl.discover(Machine(sysfs=root, procfs=root / "no proc")).sensors
recording = Recording(found, ready_s=60.0)
forked = os.fork() if sys.argv[2] == "forks" else 0
if sys.argv[2] == "forks" and forked == 0:
    time.sleep(600)
print(recording._process.pid, forked, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("it", ["is alone", "forks"])
def test_a_kernel_that_is_killed_leaves_no_process_behind(cpu: FakePowercap, it: str) -> None:
    """Also where a process that the cell has forked holds the other end of the pipe open."""
    command = [sys.executable, "-c", KERNEL, str(cpu.root), it]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    kernel = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE)
    assert kernel.stdout is not None
    with kernel.stdout:
        pid, forked = map(int, kernel.stdout.readline().split())
        child = psutil.Process(pid)
        kernel.kill()
        kernel.wait()
    try:
        wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
    finally:
        if forked:
            os.kill(forked, signal.SIGKILL)


def stands_in_for_python(folder: Path, script: str) -> str:
    path = folder / "python-stand-in"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo no such luck >&2; exit 3", "the process that reads it ended (no such luck)"),
        ("exec sleep 600", "the process that reads it did not answer"),
        ("echo ready; read plan; read end; echo '{}'", "told nothing"),
        ("echo ready; read plan; read end; echo 'nonsense'; echo oh >&2", "told nothing (oh)"),
        ("echo ready; read plan; read end; echo '{\"devices\": 7}'", "told nothing"),
    ],
)
def test_a_process_that_fails_costs_the_trace_and_nothing_else(
    cpu: FakePowercap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    monkeypatch.setattr(sys, "executable", stands_in_for_python(tmp_path, script))
    recording = Recording(sensors(cpu), ready_s=0.0)
    if "exit" in script:
        recording._process.wait(LIMIT_S)
    with pytest.raises(NoTraceError) as told:
        recording.end(0.0, 1.0)
    assert said in str(told.value)
    assert recording._process.returncode is not None


@pytest.mark.parametrize(
    ("executable", "said"),
    [
        ("/no/such/python", "did not start"),
        ("/usr/bin/some-program", "no Python interpreter"),
        ("", "no Python interpreter"),
    ],
)
def test_where_there_is_no_interpreter_to_run_there_is_a_warning(
    cpu: FakePowercap, monkeypatch: pytest.MonkeyPatch, executable: str, said: str
) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    recorders = Recorders()
    (told,) = recorders.begin("run", sensors(cpu))
    assert told.startswith("no power trace: ")
    assert said in told
    assert recorders.end("run", 0.0, 1.0) == (None, [])


def test_a_sensor_of_a_third_party_that_fails_costs_the_trace_and_nothing_else() -> None:
    class Broken(FakeSensor):
        def trace_source(self) -> dict[str, object]:
            raise RuntimeError("broken")

    assert Recorders().begin("run", [Broken()]) == ["no power trace: RuntimeError: broken"]
    (told,) = Recorders().begin("run", [FakeSensor()])
    assert told == "no power trace: no sensor here tells its power to a second process"


def test_a_file_that_goes_or_holds_no_number_is_a_gap_with_its_reason(tmp_path: Path) -> None:
    file = tmp_path / "count"
    file.write_text("none")
    trace = begin(Traced({"file": str(file), "j_per_unit": 1.0})).end(0.0, time.monotonic())
    assert (trace.curves[0].known(), trace.curves[0].reason) == ([], "the file holds no number")
    absent = Traced({"file": str(tmp_path / "absent"), "j_per_unit": 1.0})
    trace = begin(absent).end(0.0, time.monotonic())
    assert (trace.curves[0].known(), trace.curves[0].reason) == ([], "No such file or directory")
    assert trace.peak_w is None


def test_no_trace_is_an_error_of_ours() -> None:
    assert issubclass(NoTraceError, EnergyError)


def test_a_trace_speaks_of_its_run_alone(cpu: FakePowercap) -> None:
    before_s = time.monotonic()
    recording = begin(*sensors(cpu))
    wait_until(lambda: time.monotonic() > before_s + 0.3)
    start_s = time.monotonic()
    wait_until(lambda: time.monotonic() > start_s + 0.3)
    stop_s = time.monotonic()
    wait_until(lambda: time.monotonic() > stop_s + 0.3)
    trace: PowerTrace = recording.end(start_s, stop_s)
    curve = trace.curves[0]
    assert trace.duration_s == pytest.approx(stop_s - start_s)
    assert curve.ends_s[-1] == pytest.approx(stop_s - start_s, abs=1e-3)
    assert None not in curve.power_w

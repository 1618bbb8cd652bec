"""The stand-in for NVIDIA's library shows what it is told to show of a power that is known."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from standins import HERE, FakeNvml, build_nvml

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the stand-in is an ELF library")

PRELUDE = """
import json, sys
from pathlib import Path
import pynvml as n
from standins import NvmlClock
clock = NvmlClock(Path(sys.argv[1]))
clock.set(0.0)
n.nvmlInit()
gpu = n.nvmlDeviceGetHandleByIndex(0)
def counter_j():
    return n.nvmlDeviceGetTotalEnergyConsumption(gpu) / 1000
def field_w(field, scope=0):
    (value,) = n.nvmlDeviceGetFieldValues(gpu, [(field, scope)])
    assert value.nvmlReturn == 0, value.nvmlReturn
    return value.value.uiVal / 1000
"""
Run = Callable[[str, str], object]


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_nvml(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def run(library: Path, tmp_path: Path) -> Run:
    """Runs a program beside a GPU of these settings, and gives what it printed."""

    def ran(settings: str, program: str) -> object:
        fake = FakeNvml(library, tmp_path)
        fake.set(f"gpu 0 uuid=GPU-1 {settings}")
        environ = os.environ | fake.environ | {"PYTHONPATH": str(HERE.parent)}
        environ.pop("LD_LIBRARY_PATH")  # the soname of what is loaded already is enough
        done = subprocess.run(
            [sys.executable, "-c", PRELUDE + program, str(library)],
            env=environ, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return ran


STEP = "profile=0:100,10.25:700,11.25:150"


def test_the_counter_is_the_energy_at_the_last_renewal(run: Run) -> None:
    seen = run(
        STEP + " period_ms=100 phase_ms=30",
        """
def at(t):
    clock.set(t)
    return counter_j()
print(json.dumps([at(t) for t in (5.0, 10.22, 10.23, 10.32, 10.33, 20.0)]))
""",
    )
    late = 1025 + 700 + 150 * (19.93 - 11.25)
    assert seen == pytest.approx([493, 1013, 1023, 1023, 1025 + 0.08 * 700, late], abs=2e-3)


def test_a_counter_errs_by_its_gain_and_the_truth_does_not(run: Run) -> None:
    seen = run(
        STEP + " gain=0.57",
        "clock.set(10)\nprint(json.dumps([counter_j(), clock.true_j(0, 9.25, 11.25)]))",
    )
    assert seen == pytest.approx([570, 800])


def test_instantaneous_power_is_the_mean_of_the_boxcar_before_its_renewal(run: Run) -> None:
    seen = run(
        STEP + " boxcar_ms=25 power_phase_ms=60",
        """
def at(t):
    clock.set(t)
    return [field_w(186), field_w(185)]
print(json.dumps([at(t) for t in (10.2, 10.30, 10.36, 11.2)]))
""",
    )
    # At 10.26 the boxcar reaches back over the step: 10 of 25 ms at 700 W.
    assert seen == [
        [100, 100],
        [pytest.approx(0.4 * 700 + 0.6 * 100), pytest.approx(106)],
        [700, pytest.approx(166)],
        [700, pytest.approx(100 + 600 * 0.91)],
    ]


def test_a_profile_repeats(run: Run) -> None:
    seen = run(
        "profile=0:100,0.25:300 repeats_s=0.5 period_ms=0",
        "clock.set(100.3)\nprint(json.dumps([counter_j(), clock.true_j(0, 7.0, 8.0)]))",
    )
    assert seen == pytest.approx([200 * 100 + 25 + 15, 200])


def test_the_ring_holds_the_newest_samples_with_their_own_stamps(run: Run) -> None:
    seen = run(
        STEP + " ring_ms=20 ring_samples=119",
        """
clock.set_epoch(1_000_000)
clock.set(10.305)
kind, ring = n.nvmlDeviceGetSamples(gpu, 0, 0)
_, newer = n.nvmlDeviceGetSamples(gpu, 0, ring[-2].timeStamp)
print(json.dumps([len(ring), [[s.timeStamp, s.sampleValue.uiVal] for s in ring[-4:]], len(newer)]))
""",
    )
    stamps = [1_000_010_240_000 + 20_000 * i for i in range(4)]
    powers = [100_000, 400_000, 700_000, 700_000]
    assert seen == [119, [list(pair) for pair in zip(stamps, powers, strict=True)], 1]


def test_a_reload_begins_the_counter_again_and_voids_every_handle(run: Run) -> None:
    seen = run(
        "profile=0:100 module_mw=250000",
        """
import os
config = Path(os.environ["FAKE_NVML_CONFIG"])
def failure():
    try:
        counter_j()
    except n.NVMLError as error:
        return error.value
clock.set(10.0)
first = [counter_j(), field_w(186, 1)]
new = config.with_suffix(".new")
new.write_text("library reload=1\\n" + config.read_text())
new.replace(config)
lost = failure()
n.nvmlInit()
void = failure()
gpu = n.nvmlDeviceGetHandleByIndex(0)
clock.set(12.0)
print(json.dumps([first, lost, void, counter_j()]))
""",
    )
    assert seen == [[1000, 350], 1, 2, 200]


WORK = "limit_mw=700000 min_mw=200000 work=100:600:0.02:0.08 period_ms=0"


def test_a_power_limit_slows_the_work_and_stays_until_another_is_set(run: Run) -> None:
    seen = run(
        WORK,
        """
def step():
    begin_s, begin_j = clock(), counter_j()
    clock.step()
    return [clock() - begin_s, counter_j() - begin_j]
first = step()
n.nvmlDeviceSetPowerManagementLimit(gpu, 400000)
found = [
    first, step(), n.nvmlDeviceGetPowerManagementLimit(gpu),
    n.nvmlDeviceGetPowerManagementDefaultLimit(gpu),
    n.nvmlDeviceGetPowerManagementLimitConstraints(gpu),
]
print(json.dumps(found))
""",
    )
    slow_s = 0.02 + 0.08 / 0.5 ** (1 / 3)
    limits = [400_000, 700_000, [200_000, 700_000]]
    assert seen == [
        pytest.approx([0.1, 70], rel=1e-4),
        pytest.approx([slow_s, 400 * slow_s], rel=1e-4),
        *limits,
    ]


def test_no_limit_outside_of_the_constraints_is_taken(run: Run) -> None:
    seen = run(
        WORK,
        """
def refused(mw):
    try:
        n.nvmlDeviceSetPowerManagementLimit(gpu, mw)
    except n.NVMLError as error:
        return error.value
print(json.dumps([refused(mw) for mw in (199_999, 200_000, 700_001)]))
""",
    )
    assert seen == [2, None, 2]


def test_utilisation_is_the_mean_since_the_sample_before_and_memory_is_as_told(run: Run) -> None:
    seen = run(
        "busy=0:20,10.1:100 busy_ms=200 memory_mib=20480/81920",
        """
clock.set_epoch(1000)
clock.set(10.45)
kind, samples = n.nvmlDeviceGetSamples(gpu, 1, 1009_900_000)
memory = n.nvmlDeviceGetMemoryInfo(gpu)
told = [[s.timeStamp, s.sampleValue.uiVal] for s in samples]
print(json.dumps([told, memory.used, memory.total]))
""",
    )
    samples = [[1010_000_000, 20], [1010_200_000, 60], [1010_400_000, 100]]
    assert seen == [samples, 20 * 2**30, 80 * 2**30]

"""A notebook that fits a real model, from `jupyter energy run` to figures that add up.

Without sensors every figure is an estimate; with NVIDIA's driver and powercap stood in for at
their lowest level, whose power is known, every figure is what that power comes to.
"""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from shell import LIMIT_S, Shell, by_id, domains, notebook
from standins import HERE, FakeNvml, build_nvml
from standins.powercap import INTEL_RANGE_UJ, FakePowercap

pytestmark = pytest.mark.slow

# One thread: on a shared machine more of them measure the scheduler.
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
# Each cell fits for at least this long. Over a second or more even two readings that are as old
# as the sensors' periods allow lie within the stated uncertainty, so no run of luck is needed.
FIT = """
began = time.monotonic()
while time.monotonic() - began < 1.2:
    model = {model}.fit(X, y)
model.score(X, y)
"""
CELLS = [
    (
        "import time\n"
        "from sklearn.datasets import load_digits\n"
        "from sklearn.linear_model import LogisticRegression\n"
        "from sklearn.svm import SVC\n"
        "from sklearn.tree import DecisionTreeClassifier\n"
        "X, y = load_digits(return_X_y=True)\n"
        "time.sleep(1.2)"
    ),
    FIT.format(model="DecisionTreeClassifier()"),
    FIT.format(model="SVC()"),
    FIT.format(model="LogisticRegression(max_iter=20, tol=1)"),
]
GPU_W, OTHER_GPU_W, PACKAGE_W, DRAM_W = 312.0, 95.0, 65.0, 4.0
GPU = f'gpu 0 uuid=GPU-a name="NVIDIA H100" pci=00000000:01:00.0 mode=clock power_mw={GPU_W:.0f}000'
OTHER_GPU = (
    f"gpu 1 uuid=GPU-b name=Tesla pci=00000000:02:00.0 mode=clock power_mw={OTHER_GPU_W:.0f}000"
)
ENERGY_CALL = "nvmlDeviceGetFieldValues"
EXACT = 1e-9


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_nvml(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    made = Shell(tmp_path)
    made.environ |= ENVIRONMENT
    return made


@pytest.fixture
def nvml(library: Path, shell: Shell) -> FakeNvml:
    fake = FakeNvml(library, shell.folder)
    fake.set(GPU, OTHER_GPU)
    shell.environ |= fake.environ
    return fake


@contextmanager
def running_powercap(shell: Shell) -> Iterator[None]:
    """A package and its memory whose counters rise in real time, in a process of their own."""
    fake = FakePowercap(shell.sysfs)
    fake.zone("package-0", "intel-rapl:0", energy_uj=INTEL_RANGE_UJ - 10**6)  # wraps soon
    fake.zone("dram", "intel-rapl:0:0")
    zones = [f"intel-rapl:0={PACKAGE_W}", f"intel-rapl:0:0={DRAM_W}"]
    counters = subprocess.Popen(
        [sys.executable, str(HERE / "powercap.py"), str(shell.sysfs), *zones],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert counters.stdout is not None
        assert counters.stdout.readline() == "running\n"
        yield
    finally:
        counters.communicate(timeout=LIMIT_S)


def digits(shell: Shell) -> Path:
    return notebook(shell.folder / "digits.ipynb", CELLS)


def assert_adds_up(summary: Any) -> None:
    """Cells to totals, devices to cells, watts × seconds to joules, grams to joules × factor."""
    totals, cells = summary["totals"], summary["cells"]
    assert totals["runs"] == totals["cells"] == len(cells) > 0
    assert totals["duration_s"] == pytest.approx(sum(c["duration_s"] for c in cells), rel=EXACT)
    for kind, part in itertools.product(("measured_j", "estimated_j"), ("value", "mid")):
        if totals[kind] is not None and part in totals[kind]:
            whole = math.fsum(c[kind][part] for c in cells if c[kind] is not None)
            assert totals[kind][part] == pytest.approx(whole, rel=EXACT)
    for cell in cells:
        found = cell["domains"]
        measured = [d["energy_j"] for d in found if d["energy_j"] is not None]
        estimated = [d["mid_j"] for d in found if d["mid_j"] is not None]
        assert (cell["measured_j"] is None) == (not measured)
        assert (cell["estimated_j"] is None) == (not estimated)
        if measured:
            assert cell["measured_j"]["value"] == pytest.approx(math.fsum(measured), rel=EXACT)
        if estimated:
            assert cell["estimated_j"]["mid"] == pytest.approx(math.fsum(estimated), rel=EXACT)
        shown_j = cell["measured_j"]["value"] if measured else cell["estimated_j"]["mid"]
        assert cell["average_w"] * cell["duration_s"] == pytest.approx(shown_j, rel=EXACT)
    for figures in (totals, *cells):
        carbon = figures["carbon_g"]
        assert (carbon["zone"], carbon["pue"]) == ("FR", 1.0)  # the time zone of the tests
        measured_j = 0.0 if figures["measured_j"] is None else figures["measured_j"]["value"]
        estimated_j = 0.0 if figures["estimated_j"] is None else figures["estimated_j"]["mid"]
        energy_kwh = (measured_j + estimated_j) / 3.6e6
        assert carbon["mid"] == pytest.approx(energy_kwh * carbon["g_per_kwh"], rel=EXACT)
        share = estimated_j / (measured_j + estimated_j)
        assert carbon["estimated_share"] == pytest.approx(share, rel=EXACT, abs=EXACT)


def assert_is(domain: Any, watts: float, duration_s: float) -> None:
    """A device drew a known power for as long as the cell took, within what is stated (95 %)."""
    assert domain["coverage"] == pytest.approx(1.0, abs=1e-3), domain
    true_j = watts * duration_s
    assert abs(domain["energy_j"] - true_j) <= domain["u95_j"], (domain, true_j)
    assert domain["u95_j"] < 0.25 * true_j, domain  # so wide that all would pass, it says nothing


def test_without_sensors_every_figure_is_an_estimate_and_labelled_so(shell: Shell) -> None:
    path = digits(shell)
    done = shell("run", path)
    assert done.returncode == 0, done.stderr
    rows, _, shown = done.stdout.partition("\n\n")
    assert len(rows.splitlines()) == len(CELLS)
    assert all(
        row.count("≈") >= 1 and "estimated" in row and "±" not in row for row in rows.split("\n")
    )
    table = shown.split("\n\n")[1].splitlines()
    at = table[0].index("measured")
    assert len(table) == 1 + len(CELLS)
    assert {row[at : at + len("measured")].strip() for row in table[1:]} == {"–"}
    assert "±" not in shown
    summary = shell.summary(path)
    assert_adds_up(summary)
    assert summary["totals"]["measured_j"] is None
    for cell in summary["cells"]:
        assert cell["measured_j"] is None
        assert cell["carbon_g"]["estimated_share"] == 1.0
        estimate = cell["estimated_j"]
        assert 0 < estimate["low"] < estimate["mid"] < estimate["high"]
        for domain in cell["domains"]:
            assert domain["energy_j"] is domain["u95_j"] is None
            assert domain["provenance"] in ("estimated", "none")


def test_with_nvml_and_rapl_each_figure_is_the_known_power_times_the_time(
    shell: Shell, nvml: FakeNvml
) -> None:
    path = digits(shell)
    with running_powercap(shell):
        summary = shell.run_json(path)
    assert_adds_up(summary)
    assert len(summary["cells"]) == len(CELLS)
    for cell in summary["cells"]:
        found = domains(cell)
        assert set(found) == {("gpu", 0), ("gpu", 1), ("package", 0), ("dram", 0)}
        for key, watts in {
            ("gpu", 0): GPU_W,
            ("gpu", 1): OTHER_GPU_W,
            ("package", 0): PACKAGE_W,
            ("dram", 0): DRAM_W,
        }.items():
            assert_is(found[key], watts, cell["duration_s"])
            assert found[key]["provenance"] in ("measured", "vendor model")
            assert found[key]["source"] == ("nvml-counter" if key[0] == "gpu" else "rapl")
        assert cell["estimated_j"] is None
    whole = summary["totals"]["measured_j"]
    true_j = (GPU_W + OTHER_GPU_W + PACKAGE_W + DRAM_W) * summary["totals"]["duration_s"]
    assert abs(whole["value"] - true_j) <= whole["u95"]
    done = shell("summary", path)
    assert "±" in done.stdout
    assert "estimated" not in done.stdout.splitlines()[0]


def test_with_nvml_alone_measured_and_estimated_stand_apart(shell: Shell, nvml: FakeNvml) -> None:
    path = digits(shell)
    summary = shell.run_json(path)
    assert_adds_up(summary)
    for cell in summary["cells"]:
        found = domains(cell)
        assert_is(found["gpu", 0], GPU_W, cell["duration_s"])
        assert found["package", 0]["provenance"] == "estimated"
        assert found["package", 0]["energy_j"] is None
        gpus_j = found["gpu", 0]["energy_j"] + found["gpu", 1]["energy_j"]
        assert cell["measured_j"]["value"] == pytest.approx(gpus_j, rel=EXACT)
        assert 0 < cell["carbon_g"]["estimated_share"] < 1
    head = shell("summary", path).stdout.splitlines()[0]
    assert "±" in head
    assert " and ≈ " in head


def test_the_first_cell_waits_for_a_driver_that_is_slow_to_start(
    shell: Shell, nvml: FakeNvml
) -> None:
    nvml.set("library hang=700@nvmlInitWithFlags", GPU)
    path = notebook(shell.folder / "a.ipynb", ["import time; time.sleep(0.5)"])
    (cell,) = shell.run_json(path)["cells"]
    assert domains(cell)["gpu", 0]["provenance"] == "measured", cell


def gpus_measured(cell: Any) -> set[int]:
    return {d["index"] for d in cell["domains"] if d["kind"] == "gpu" and d["energy_j"] is not None}


def test_what_counts_is_chosen_by_the_variable_and_by_the_option(
    shell: Shell, nvml: FakeNvml
) -> None:
    some_time = "import time; time.sleep(0.5)"
    path = notebook(
        shell.folder / "a.ipynb",
        [
            some_time,
            "import os; os.environ['CUDA_VISIBLE_DEVICES'] = '0'",
            some_time,
            f"%%energy -q --devices gpu:1\n{some_time}",
            f"%%energy -q --devices cpu\n{some_time}",
            "os.environ['CUDA_VISIBLE_DEVICES'] = ''",
            some_time,
        ],
    )
    cells = by_id(shell.run_json(path, more={"CUDA_VISIBLE_DEVICES": "GPU-b"}))
    assert gpus_measured(cells["cell-0001"]) == {1}
    assert gpus_measured(cells["cell-0003"]) == {0}
    assert gpus_measured(cells["cell-0004"]) == {1}
    assert {d["kind"] for d in cells["cell-0004"]["domains"]} == {"gpu"}
    assert {d["kind"] for d in cells["cell-0005"]["domains"]} == {"package"}
    assert gpus_measured(cells["cell-0007"]) == set()
    assert cells["cell-0007"]["measured_j"] is None


def test_a_device_that_is_not_there_is_wrong_use_and_the_cells_body_does_not_run(
    shell: Shell, nvml: FakeNvml
) -> None:
    ran = shell.folder / "ran"
    body = f"%%energy --devices gpu:7\nopen({str(ran)!r}, 'w')"
    done = shell("run", notebook(shell.folder / "a.ipynb", [body]))
    assert done.returncode == 1
    assert "--devices gpu:7: there is no such device here" in done.stderr
    assert not ran.exists()


def card(shell: Shell, address: str, status: str) -> None:
    """An NVIDIA card on the PCI bus."""
    folder = shell.sysfs / "bus/pci/devices" / address
    (folder / "power").mkdir(parents=True)
    (folder / "vendor").write_text("0x10de\n")
    (folder / "class").write_text("0x030000\n")
    (folder / "power" / "runtime_status").write_text(f"{status}\n")


def test_a_sleeping_gpu_is_not_woken_and_its_joules_are_unknown(
    shell: Shell, nvml: FakeNvml
) -> None:
    card(shell, "0000:01:00.0", "active")
    card(shell, "0000:02:00.0", "suspended")
    path = notebook(shell.folder / "a.ipynb", ["import time; time.sleep(0.5)"] * 2)
    summary = shell.run_json(path)
    for cell in summary["cells"]:
        sleeping = domains(cell)["gpu", 1]
        assert (sleeping["energy_j"], sleeping["reason"]) == (None, "GPU asleep")
        assert gpus_measured(cell) == {0}
    log = (shell.folder / "nvml.log").read_text().splitlines()
    called = {line.split()[0] for line in log if line.split()[1] == "1"}
    # NVML must be asked which of its GPUs lies at which address; that reads no register.
    assert called <= {"nvmlDeviceGetHandleByIndex_v2", "nvmlDeviceGetPciInfo_v3"}
    assert f"{ENERGY_CALL} 0" in {" ".join(line.split()[:2]) for line in log}


def test_where_all_gpus_sleep_the_driver_is_never_called(shell: Shell, nvml: FakeNvml) -> None:
    card(shell, "0000:01:00.0", "suspended")
    card(shell, "0000:02:00.0", "suspended")
    path = notebook(shell.folder / "a.ipynb", ["1"])
    (cell,) = shell.run_json(path)["cells"]
    assert cell["measured_j"] is None
    assert [d["reason"] for d in cell["domains"] if d["kind"] == "gpu"] == ["GPU asleep"] * 2
    assert nvml.calls == []


# The counter stands still but while the cell lets it run, so what it was fed is what the cell
# drew, to the step: nothing here depends on when it was read.
WRAPPING = """
import json, sys, time
sys.path[:0] = {paths!r}
from pathlib import Path
from standins.powercap import FakePowercap
fake = FakePowercap(Path({sysfs!r}))
before = int(fake.file("intel-rapl:0").read_text())
with fake.run({{"intel-rapl:0": 50.0}}) as counters:
    while int(fake.file("intel-rapl:0").read_text()) >= before:
        time.sleep(0.01)
    time.sleep(0.2)
Path({told!r}).write_text(json.dumps(counters.energy_j["intel-rapl:0"]))
"""


def test_a_counter_that_wraps_in_mid_cell_is_counted_in_full(shell: Shell) -> None:
    fake = FakePowercap(shell.sysfs)
    fake.zone("package-0", energy_uj=INTEL_RANGE_UJ - 10_000_000)  # 0.2 s before it wraps
    told = shell.folder / "told.json"
    body = WRAPPING.format(paths=[str(HERE.parent)], sysfs=str(shell.sysfs), told=str(told))
    path = notebook(shell.folder / "a.ipynb", [body])
    (cell,) = shell.run_json(path)["cells"]
    package = domains(cell)["package", 0]
    assert int(fake.file("intel-rapl:0").read_text()) < 10_000_000_000  # it did wrap
    assert package["energy_j"] == pytest.approx(float(told.read_text()), abs=0.1)
    assert package["energy_j"] > 10

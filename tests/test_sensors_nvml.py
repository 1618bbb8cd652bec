"""NVIDIA GPUs, read through the real pynvml from a stand-in for NVIDIA's library.

How a GPU is found, which of its readings is taken, and what its faults become.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standins import FakeNvml, build_nvml
from standins.nvml_child import H100, NO_AVERAGE, NO_COUNTER, NO_INSTANT, NvmlChild

from jupyter_energy.model import Domain
from jupyter_energy.sensors.cuda_devices import cuda_order, numbers_are_sure, paired, visible
from jupyter_energy.sensors.nvidia_pci import address

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the stand-in is an ELF library")


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_nvml(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def child(library: Path, tmp_path: Path) -> NvmlChild:
    return NvmlChild(library, tmp_path)


def test_a_gpu_with_a_counter_gives_the_energy_that_the_driver_knows(child: NvmlChild) -> None:
    child.first = [H100 + "energy_mj=18446744073709551614 power_mw=350000"]
    seen = child.run(
        """
found = discover(machine)
(sensor,) = found.sensors
first = raw(sensor)
fake.set('gpu 0 energy_mj=123456789')
print(json.dumps(told(found) | {"read": [first, raw(sensor)]}))
"""
    )
    assert seen["read"] == [18446744073709551614 / 1000, 123456.789]
    assert seen["absences"] == []
    assert seen["notes"] == []
    (sensor,) = seen["sensors"]
    assert sensor == {
        "kind": "counter",
        "provenance": "measured",
        "source": "nvml-counter",
        "max_w": pytest.approx(910.0),
        "step_j": 0.001,
        "period_s": 0.1,
        "averages_s": 0.0,
        "settles_s": 0.15,
        "polls_s": 0.02,
        "wraps_at_j": None,
        "worker": "nvml",
        "remark": None,
        "verdict": None,
        "domain": "gpu",
        "index": 0,
        "name": "NVIDIA H100",
        "uuid": "GPU-0a",
        "scope": "device",
    }


def test_a_trace_of_the_counter_is_the_power_times_the_time(child: NvmlChild) -> None:
    child.first = [H100 + "mode=clock energy_mj=5000 power_mw=300000"]
    seen = child.run(
        """
import time
from jupyter_energy.trace import Trace
(sensor,) = discover(machine).sensors
def next_step():
    before = now = raw(sensor)
    while now == before:
        now = raw(sensor)
    return now
trace = Trace(sensor)
begin = trace.add(time.monotonic(), next_step())
for _ in range(3):
    end = trace.add(time.monotonic(), next_step())
print(json.dumps({"drawn_j": end.energy_j - begin.energy_j, "covered": end.covered_s}))
"""
    )
    # A loaded machine may miss a step of the counter, but it never sees part of one.
    steps = seen["drawn_j"] / 30
    assert steps == pytest.approx(round(steps), abs=1e-3)
    assert round(steps) >= 3
    assert seen["covered"] > 0


def test_a_gpu_without_a_counter_gives_its_instantaneous_power(child: NvmlChild) -> None:
    child.first = [H100 + "power_mw=350250" + NO_COUNTER]
    seen = child.run(
        """
found = discover(machine)
(sensor,) = found.sensors
whole = raw(sensor)
fake.set('gpu 0 value_type=0 power_mw=99000')
print(json.dumps(told(found) | {"read": [whole, raw(sensor)], "calls": fake.calls}))
"""
    )
    assert seen["read"] == [350.25, 99.0]
    (sensor,) = seen["sensors"]
    assert (sensor["kind"], sensor["provenance"]) == ("gauge", "integrated")
    assert sensor["source"] == "nvml-power-integrated"
    assert sensor["max_w"] == 700.0
    assert sensor["step_j"] == 0
    assert sensor["period_s"] == 0.1
    assert "nvmlDeviceGetPowerUsage" not in seen["calls"]


def test_power_above_twice_the_limit_is_no_energy(child: NvmlChild) -> None:
    child.first = [H100 + "power_mw=1400000" + NO_COUNTER]
    seen = child.run(
        """
from jupyter_energy.trace import Trace
(sensor,) = discover(machine).sensors
trace = Trace(sensor)
samples = [trace.add(0.0, raw(sensor)), trace.add(1.0, raw(sensor))]
fake.set('gpu 0 power_mw=1400001')
samples.append(trace.add(2.0, raw(sensor)))
print(json.dumps([[s.energy_j, s.covered_s] for s in samples]))
"""
    )
    assert seen == [[0, 0], [1400, 1], [1400, 1]]


def test_power_that_is_a_mean_of_the_last_second_is_said_to_be(child: NvmlChild) -> None:
    child.first = [H100 + "power_mw=350000" + NO_COUNTER + NO_INSTANT]
    seen = child.run()
    (sensor,) = seen["sensors"]
    assert (sensor["kind"], sensor["averages_s"], sensor["period_s"]) == ("gauge", 1.0, 0.1)
    assert "last second" in seen["notes"][0]


def test_each_gpu_is_judged_by_itself(child: NvmlChild) -> None:
    child.first = [
        H100 + NO_COUNTER + NO_INSTANT + NO_AVERAGE,
        'gpu 1 uuid=GPU-1 name="NVIDIA NVIDIA A100" mig=1 pci=00000000:0B:00.0 energy_mj=7',
        "gpu 2 uuid=GPU-2 name=Tesla fault=GpuIsLost@nvmlDeviceGetHandleByIndex_v2",
        "gpu 3 uuid=GPU-3 name=Tesla fault=NoPermission@nvmlDeviceGetFieldValues",
        "gpu 4 uuid=GPU-4 name=Tesla energy_mj=0xffffffffffffffff power_mw=0xffffffff",
        "gpu 5 value_type=77 power_mw=50000" + NO_COUNTER + " fault=NotSupported@field185",
    ]
    seen = child.run()
    assert [reason for _, reason, _ in seen["absences"]] == [
        "the GPU reports neither energy nor power",
        "GPU is lost",
        "the NVIDIA driver refuses this user",
        "the GPU reports neither energy nor power",
    ]
    sliced, averaged = seen["sensors"]
    assert (sliced["index"], sliced["name"], sliced["scope"]) == (1, "NVIDIA A100", "board")
    assert sliced["max_w"] is None
    assert (averaged["index"], averaged["averages_s"]) == (5, 1.0)


def test_a_gpu_that_is_lost_while_it_is_watched_gives_a_reason(child: NvmlChild) -> None:
    child.first = [H100 + "energy_mj=1000"]
    faults = {
        "GpuIsLost": ["SensorError", "GPU is lost"],
        "NoPermission": ["SensorDenied", "the NVIDIA driver refuses this user"],
        "Timeout": ["SensorTimeout", "the NVIDIA driver did not answer in time"],
        "Unknown": ["SensorError", "the NVIDIA driver says: Unknown Error"],
    }
    seen = child.run(
        f"""
(sensor,) = discover(machine).sensors
seen = {{}}
for fault in {list(faults)}:
    fake.set(f"{{first[0]}} fault={{fault}}@nvmlDeviceGetFieldValues")
    seen[fault] = refusal(sensor)
fake.set(f"{{first[0]}} energy_mj=0xffffffffffffffff")
seen["garbage"] = refusal(sensor)
fake.set(f"{{first[0]}} energy_mj=2000")
seen["again"] = refusal(sensor)
print(json.dumps(seen))
"""
    )
    assert seen.pop("again") == 2.0
    assert seen.pop("garbage")[0] == "SensorError"
    assert seen == faults


def test_a_driver_that_hangs_holds_up_nobody_but_its_worker(child: NvmlChild) -> None:
    child.first = [H100 + "energy_mj=1000"]
    seen = child.run(
        """
import threading
from jupyter_energy.worker import Worker
worker = Worker("nvml")
(sensor,) = worker.submit(lambda: discover(machine)).result().sensors
fake.set("gpu 0 energy_mj=4000 hang=2000@nvmlDeviceGetFieldValues")
reading = worker.submit(lambda: raw(sensor))
try:
    reading.result(0.05)
    late = False
except TimeoutError:
    late = True
print(json.dumps({"late": late, "then": reading.result(60), "threads": len(fake.threads),
    "mine": str(threading.get_native_id()) in fake.threads}))
"""
    )
    assert seen == {"late": True, "then": 4.0, "threads": 1, "mine": False}


def test_the_last_gpu_to_close_shuts_nvml_down_and_only_once(child: NvmlChild) -> None:
    child.first = [H100 + "energy_mj=1", "gpu 1 uuid=GPU-1 name=Tesla energy_mj=1"]
    seen = child.run(
        """
one, two = discover(machine).sensors
one.close(); one.close()
between = fake.calls.count("nvmlShutdown")
still = raw(two)
two.close(); two.close()
print(json.dumps([between, still, fake.calls.count("nvmlShutdown"), refusal(two)]))
"""
    )
    assert seen == [0, 0.001, 1, ["SensorError", "the sensor is closed"]]


def test_a_machine_with_no_gpu_to_read_leaves_nvml_shut(child: NvmlChild) -> None:
    seen = child.run("print(json.dumps(told(discover(machine)) | {'calls': fake.calls}))")
    assert seen["sensors"] == seen["absences"] == []
    assert seen["notes"] == ["NVIDIA GPU: the NVIDIA driver shows no GPU to this process"]
    assert seen["calls"].count("nvmlShutdown") == 1


def test_no_call_lists_the_processes_on_a_gpu(child: NvmlChild) -> None:
    child.first = [H100 + "energy_mj=1"]
    child.run("raw(discover(machine).sensors[0]); print('{}')")
    assert child.fake.calls[0] == "nvmlInitWithFlags"
    assert not [call for call in child.fake.calls if "Process" in call]


@pytest.mark.parametrize("has_card", [True, False])
def test_without_a_driver_only_a_machine_with_an_nvidia_card_misses_it(
    child: NvmlChild, has_card: bool, tmp_path: Path
) -> None:
    child.library = tmp_path / "none" / "libnvidia-ml.so.1"
    child.fake = FakeNvml(child.library, tmp_path)
    child.card("0000:00:02.0", vendor="0x8086")
    if has_card:
        child.card("0000:01:00.0")
    seen = child.run()
    absent = [0, "no NVIDIA driver found", "install NVIDIA's driver"]
    assert seen["sensors"] == []
    assert seen["absences"] == ([absent] if has_card else [])
    assert seen["notes"] == ([] if has_card else ["NVIDIA GPU: no NVIDIA driver found"])


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("LibRmVersionMismatch", "the NVIDIA driver and its library differ in version"),
        ("NoPermission", "the NVIDIA driver refuses this user"),
    ],
)
def test_a_driver_that_refuses_to_start_is_a_gpu_that_is_absent(
    child: NvmlChild, fault: str, reason: str
) -> None:
    child.first = [f"library fault={fault}@nvmlInitWithFlags"]
    ((_, said, remedy),) = child.run()["absences"]
    assert said == reason
    assert remedy


def test_a_driver_that_is_not_loaded_proves_no_gpu(child: NvmlChild) -> None:
    child.first = ["library fault=DriverNotLoaded@nvmlInitWithFlags"]
    assert child.run()["absences"] == []
    child.card("0000:01:00.0")
    ((_, reason, remedy),) = child.run()["absences"]
    assert reason == "the NVIDIA driver is not loaded"
    assert remedy


def test_a_driver_library_without_our_functions_is_too_old(
    child: NvmlChild, tmp_path: Path
) -> None:
    child.library = build_nvml(tmp_path / "empty", empty=True)
    child.fake = FakeNvml(child.library, tmp_path)
    child.card("0000:01:00.0")
    ((_, reason, remedy),) = child.run()["absences"]
    assert (reason, remedy) == ("the NVIDIA driver is too old", "update NVIDIA's driver")


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        ("def nvmlInit(): pass\nclass NVMLError(Exception): pass", "too old or another one"),
        ("import no_such_thing_at_all", "cannot be imported (No module named"),
        ("import warnings; warnings.warn('use another', FutureWarning)", "cannot be imported"),
    ],
)
def test_another_module_named_pynvml_is_refused_with_a_remedy(
    child: NvmlChild, module: str, reason: str
) -> None:
    child.path = [child.folder / "shadow"]
    child.path[0].mkdir()
    (child.path[0] / "pynvml.py").write_text(module)
    child.card("0000:01:00.0")
    ((_, said, remedy),) = child.run()["absences"]
    assert reason in said
    assert "nvidia-ml-py" in remedy


def test_without_the_package_a_card_is_absent_with_the_way_to_install_it(child: NvmlChild) -> None:
    child.options = ["-S"]  # no site-packages
    child.card("0000:01:00.0")
    ((_, reason, remedy),) = child.run()["absences"]
    assert reason == "the Python package nvidia-ml-py is not installed"
    assert remedy == "pip install nvidia-ml-py"


def test_sleeping_gpus_are_never_asked(child: NvmlChild) -> None:
    child.first = [H100 + "energy_mj=1"]
    child.card("0000:0a:00.0", status="suspended")
    child.card("0000:02:00.0", status="suspended")
    child.card("0000:0a:00.1", kind="0x040300")  # its audio function, which is awake
    child.card("0000:00:02.0", vendor="0x8086", kind="0x030000")
    seen = child.run()
    assert [reason for _, reason, _ in seen["absences"]] == ["GPU asleep", "GPU asleep"]
    assert child.fake.calls == []


def test_a_gpu_that_fell_asleep_is_not_woken_by_a_read(child: NvmlChild) -> None:
    child.first = [H100 + "energy_mj=1000"]
    state = child.card("0000:0a:00.0")
    seen = child.run(
        f"""
(sensor,) = discover(machine).sensors
state = Path({str(state)!r})
before = len(fake.calls)
state.write_text("suspended\\n")
asleep = refusal(sensor)
calls = len(fake.calls) - before
state.write_text("active\\n")
print(json.dumps([asleep, calls, refusal(sensor)]))
"""
    )
    assert seen == [["SensorError", "GPU asleep"], 0, 1.0]


def test_beside_a_waking_gpu_the_sleeping_one_is_absent(child: NvmlChild) -> None:
    child.first = [H100 + "energy_mj=1", "gpu 1 uuid=GPU-1 name=Quadro pci=00000000:0B:00.0"]
    child.card("0000:0a:00.0")
    child.card("0000:0b:00.0", status="suspended")
    seen = child.run()
    assert [s["index"] for s in seen["sensors"]] == [0]
    assert seen["absences"] == [[1, "GPU asleep", None]]


def test_importing_the_sensor_imports_no_binding(child: NvmlChild) -> None:
    seen = child.run("print(json.dumps([m for m in ('pynvml', 'ctypes') if m in sys.modules]))")
    assert seen == []
    assert child.fake.calls == []


# --- which GPUs CUDA sees ----------------------------------------------------------------------

GPUS = [
    Domain("gpu", 0, "A", "GPU-aaaa1111-0000"),
    Domain("gpu", 1, "B", "GPU-aaaa2222-0000"),
    Domain("gpu", 2, "C", "GPU-cccc3333-0000", "board"),
    Domain("gpu", 3, "D", "GPU-dddd4444-0000", "board"),
]


@pytest.mark.parametrize(
    ("value", "order"),
    [
        (None, (0, 1, 2, 3)),
        ("2", (2,)),
        ("1,3", (1, 3)),
        ("3,1", (3, 1)),
        (" 3 , 1 ", (3, 1)),
        ("GPU-aaaa2", (1,)),
        ("GPU-dddd,GPU-aaaa1111-0000", (3, 0)),
        ("GPU-aaaa", ()),  # two GPUs begin so
        ("GPU-eeee", ()),
        ("GPU-dddd,1", (3,)),  # the first entry says what kind of list it is
        ("1,GPU-dddd", (1,)),
        ("MIG-known", (3,)),
        ("MIG-known,MIG-other", (3,)),  # CUDA enumerates one slice
        ("MIG-unknown", (2, 3)),
        ("MIG-GPU-cccc3333-0000/1/0", (2,)),
        ("MIG-GPU-eeee/1/0", ()),
        ("", ()),
        (" ", ()),
        (",", ()),
        ("-1", ()),
        ("NoDevFiles", ()),
        ("none", ()),
        ("all", ()),
        ("7", ()),
        ("0,7,1", (0,)),
        ("0,2,-1,1", (0, 2)),  # NVIDIA's own example
        ("0,0", ()),
        ("GPU-dddd,GPU-dddd", ()),
        ("9" * 5000, ()),
    ],
)
def test_cuda_sees_the_gpus_that_the_variable_names(
    value: str | None, order: tuple[int, ...]
) -> None:
    assert cuda_order(GPUS, value, {"MIG-known": 3}) == order
    assert visible(GPUS, value, {"MIG-known": 3}) == frozenset(order)


HEX = ["aaaa11110000", "aaaa22220000", "cccc33330000", "dddd44440000"]


@pytest.mark.parametrize(
    ("uuids", "order"),
    [
        ([HEX[3], HEX[0]], (3, 0)),
        (["beef", HEX[1]], (2, 1)),  # a slice stands for its board
        ([HEX[2], "beef"], (2,)),
        ([], ()),
        (["0123"], None),
    ],
)
def test_cudas_own_uuids_give_its_order(uuids: list[str], order: tuple[int, ...] | None) -> None:
    assert paired(GPUS, uuids, {"MIG-BE-EF": 2}) == order


@pytest.mark.parametrize(
    ("value", "order", "names", "sure"),
    [
        ("1", None, ["T4", "A100"], False),
        ("1", "FASTEST_FIRST", ["T4", "A100"], False),
        ("1", "PCI_BUS_ID", ["T4", "A100"], True),
        ("1", None, ["T4", "T4"], True),
        ("GPU-1", None, ["T4", "A100"], True),
        (None, None, ["T4", "A100"], True),
    ],
)
def test_numbers_of_unlike_gpus_are_cudas_own_affair(
    value: str | None, order: str | None, names: list[str], sure: bool
) -> None:
    gpus = [Domain("gpu", i, name) for i, name in enumerate(names)]
    assert numbers_are_sure(gpus, value, order) is sure


@given(
    st.lists(st.sampled_from(["0", "3", "-1", "GPU-", "GPU-a", "MIG-", "MIG-GPU-", ",", " ", "/"]))
    .map("".join)
    .flatmap(lambda text: st.just(text) | st.text())
)
def test_no_text_makes_it_fail_or_name_a_gpu_that_is_not_there(value: str) -> None:
    order = cuda_order(GPUS, value)
    assert set(order) <= {0, 1, 2, 3}
    assert len(set(order)) == len(order)


@given(*[st.integers(0, 0xFFFFF), st.integers(0, 255), st.integers(0, 31), st.integers(0, 7)])
def test_a_pci_address_is_the_same_in_every_spelling(
    domain: int, bus: int, device: int, function: int
) -> None:
    wide = f"{domain:08X}:{bus:02X}:{device:02X}.{function}"
    narrow = f"{domain:04x}:{bus:02x}:{device:02x}.{function:x}\n"
    assert address(wide) == address(narrow) == (domain, bus, device, function)


@pytest.mark.parametrize("text", ["", "0000:01:00", "virtual", "g:1:2.3", "1:2:3:4.5"])
def test_text_that_is_no_pci_address_is_none(text: str) -> None:
    assert address(text) is None

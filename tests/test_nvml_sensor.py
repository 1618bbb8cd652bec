"""What an NVIDIA sensor reads, when it rests, mends itself and who shares its GPU; real pynvml,
a stand-in for NVIDIA's library with a clock and a power profile."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from standins import build_nvml
from standins.nvml_child import H100, NO_AVERAGE, NO_COUNTER, NO_INSTANT, NvmlChild

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the stand-in is an ELF library")

STEP = "profile=0:100,10.25:700,11.25:150 "
PASCAL = "brand=5 architecture=4 usage=instant boxcar_ms=0 "
NO_FIELDS = " fault=FunctionNotFound@nvmlDeviceGetFieldValues"


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_nvml(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def child(library: Path, tmp_path: Path) -> NvmlChild:
    return NvmlChild(library, tmp_path)


ONE = """
clock, clocks = virtual(5.0)
found = discover(machine, clocks)
(sensor,) = found.sensors
"""

# --- one call an edge ------------------------------------------------------------------------


def test_an_edge_is_one_call_that_gives_energy_and_the_power_of_the_moment(
    child: NvmlChild,
) -> None:
    child.first = [H100 + STEP + "boxcar_ms=25"]
    seen = child.run(
        ONE
        + """
before = len(fake.calls)
clock.set(11.0)
reading = sensor.read()
print(json.dumps([reading.raw, reading.power_w, fake.calls[before:]]))
"""
    )
    assert seen == [pytest.approx(1025 + 0.75 * 700), 700, ["nvmlDeviceGetFieldValues"]]


@pytest.mark.parametrize(
    ("part", "power_w"), [(PASCAL, 100), ("architecture=9 ", None), ("architecture=7 ", None)]
)
def test_a_driver_without_field_values_is_asked_by_the_single_calls(
    child: NvmlChild, part: str, power_w: float | None
) -> None:
    child.first = [H100 + part + STEP + NO_FIELDS]
    seen = child.run(ONE + "r = sensor.read()\nprint(json.dumps([r.raw, r.power_w]))")
    assert seen == [500, power_w]  # a mean of the last second is no power of the moment


def test_a_counter_whose_power_fails_is_still_a_reading(child: NvmlChild) -> None:
    child.first = [H100 + STEP + NO_INSTANT]
    seen = child.run(ONE + "r = sensor.read()\nprint(json.dumps([r.raw, r.power_w]))")
    assert seen == [500, None]


@pytest.mark.parametrize(
    ("name", "brand", "polls_s"),
    [
        ("NVIDIA H100 80GB HBM3", 14, 0.02),
        ("NVIDIA A100-SXM4-40GB", 14, 0.02),
        ("Tesla V100-SXM2-16GB", 2, 0.02),
        ("NVIDIA L40S", 14, 0.02),
        ("NVIDIA GH200 480GB", 14, 0.02),
        ("NVIDIA GeForce RTX 4090", 5, None),
        ("NVIDIA RTX A6000", 13, None),
        ("NVIDIA RTX 6000 Ada Generation", 14, None),
        ("Quadro RTX 8000", 12, None),
        ("NVIDIA GeForce MX150", 5, None),
        ("NVIDIA T400 4GB", 14, None),
        ("NVIDIA GB10", 14, None),
        ("NVIDIA GB200", 14, 0.02),
        ("NVIDIA A100-SXM4-40GB", 0, None),
        ("GRID V100DX-16Q", 10, None),
        ("Graphics Device", 14, None),
    ],
)
def test_only_parts_known_to_be_for_data_centres_are_polled(
    child: NvmlChild, name: str, brand: int, polls_s: float | None
) -> None:
    child.first = [f'gpu 0 uuid=GPU-0 name="{name}" brand={brand} energy_mj=1 power_mw=1']
    (sensor,) = child.run()["sensors"]
    assert (sensor["polls_s"], sensor["settles_s"]) == (polls_s, 0.15)


# --- parts without a counter -----------------------------------------------------------------


def test_without_a_counter_the_drivers_ring_gives_all_that_was_since_the_last_call(
    child: NvmlChild,
) -> None:
    child.first = [H100 + PASCAL + STEP + "ring_ms=20" + NO_COUNTER]
    seen = child.run(
        ONE
        + """
clock.set(10.0)
sensor.read()
clock.set(10.305)
reading = sensor.read()
again = sensor.read()
print(json.dumps(told(found) | {"past": reading.past, "raw": reading.raw,
    "again": [again.raw, again.past]}))
"""
    )
    (sensor,) = seen["sensors"]
    assert (sensor["kind"], sensor["averages_s"]) == ("gauge", 0)
    assert sensor["period_s"] == pytest.approx(0.02, abs=1e-5)
    times = [t for t, _ in seen["past"]]
    assert times == pytest.approx([10.02 + 0.02 * i for i in range(15)], abs=1e-5)
    assert [w for _, w in seen["past"]] == [100] * 12 + [400, 700, 700]
    assert seen["raw"] == 700
    assert seen["again"] == [700, []]  # nothing new: the plain power, once


def test_the_ring_is_deaf_after_the_clock_was_stepped_and_hears_again(child: NvmlChild) -> None:
    child.first = [H100 + PASCAL + STEP + "ring_ms=20" + NO_COUNTER]
    seen = child.run(
        ONE
        + """
def stepped(epoch_s, *at):
    clock.set_epoch(epoch_s)
    lengths = []
    for t in at:
        clock.set(t)
        past = sensor.read().past
        assert all(t - 1.0 < s <= t + 1e-3 for s, _ in past), (t, past)
        lengths.append(len(past))
    return lengths
epoch = clock.realtime() - clock()
print(json.dumps([stepped(epoch, 6.0), stepped(epoch + 3600, 6.5, 7.0),
    stepped(epoch + 3599.5, 7.25, 7.5, 8.25), stepped(epoch + 3599.504, 8.5)]))
"""
    )
    # Set back by 0.5 s, stamps until 7.75 s could be of either time.
    assert seen == [
        [pytest.approx(50, abs=1)],
        [0, 25],
        [0, 0, pytest.approx(24, abs=2)],
        [pytest.approx(12, abs=1)],
    ]


def test_a_sample_above_twice_the_limit_is_left_out_and_counted(child: NvmlChild) -> None:
    child.first = [
        H100 + PASCAL + "profile=0:100,6.01:1500,6.03:100 ring_ms=20 period_ms=0" + NO_COUNTER
    ]
    seen = child.run(
        ONE
        + """
clock.set(5.9)
sensor.read()
clock.set(6.1)
past = sensor.read().past
print(json.dumps([[w for _, w in past], sensor.refused]))
"""
    )
    assert seen == [[100] * 5 + [800] * 2 + [100] * 3, 0]
    child.first = [child.first[0].replace("1500", "4000")]
    seen = child.run(
        ONE
        + """
clock.set(5.9)
sensor.read()
clock.set(6.1)
past = sensor.read().past
print(json.dumps([[w for _, w in past], sensor.refused]))
"""
    )
    assert seen == [[100] * 8, 2]


def test_a_ring_that_fails_leaves_the_plain_power(child: NvmlChild) -> None:
    child.first = [H100 + PASCAL + STEP + NO_COUNTER + NO_INSTANT]
    seen = child.run(ONE + "print(json.dumps(told(found) | {'read': raw(sensor)}))")
    (sensor,) = seen["sensors"]
    assert (sensor["averages_s"], seen["read"], seen["notes"]) == (0, 100, [])


# --- what is no GPU of its own ---------------------------------------------------------------


def test_where_the_gpus_own_power_fails_the_module_is_read_and_named_so(child: NvmlChild) -> None:
    child.first = [H100 + STEP + "module_mw=250000" + NO_COUNTER + NO_INSTANT + NO_AVERAGE]
    seen = child.run(ONE + "print(json.dumps(told(found) | {'read': raw(sensor)}))")
    (sensor,) = seen["sensors"]
    assert (sensor["domain"], sensor["index"], sensor["kind"]) == ("module", 0, "gauge")
    assert sensor["max_w"] is None  # the limit that the driver tells is the GPU's
    assert seen["read"] == 350


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ("virtualization=2", "a virtual GPU shows no power to its guest"),
        ("virtualization=1", "the GPU reports neither energy nor power"),
    ],
)
def test_a_gpu_without_power_says_why(child: NvmlChild, settings: str, reason: str) -> None:
    child.first = [H100 + settings + NO_COUNTER + NO_INSTANT + NO_AVERAGE]
    assert child.run()["absences"] == [[0, reason, None]]


def test_a_jetson_says_that_its_power_is_elsewhere(child: NvmlChild) -> None:
    child.first = ['gpu 0 name="Orin (nvgpu)"' + NO_COUNTER + NO_INSTANT + NO_AVERAGE]
    assert child.run()["absences"] == [[0, "a Jetson's GPU tells no power through NVML", None]]


def test_in_wsl_the_remedy_and_the_note_are_windows(child: NvmlChild) -> None:
    (child.folder / "proc/sys/kernel").mkdir(parents=True)
    (child.folder / "proc/sys/kernel/osrelease").write_text("6.6.87-microsoft-standard-WSL2\n")
    child.first = [H100 + "energy_mj=1"]
    assert "WSL" in child.run()["notes"][0]
    child.first = ["library fault=LibRmVersionMismatch@nvmlInitWithFlags"]
    ((_, _, remedy),) = child.run()["absences"]
    assert "Windows" in remedy


def test_where_sleep_cannot_be_seen_a_slow_gpu_is_left_alone(child: NvmlChild) -> None:
    (child.folder / "proc/sys/kernel").mkdir(parents=True)
    (child.folder / "proc/sys/kernel/osrelease").write_text("6.6.87-microsoft-standard-WSL2\n")
    child.first = [H100 + "profile=0:100"]
    seen = child.run(
        """
class Ticking:
    def __init__(self): self.now_s = 5.0; self.step_s = 0.0
    def __call__(self): self.now_s += self.step_s; return self.now_s
ticking = Ticking()
(sensor,) = discover(machine, Clocks(ticking)).sensors
ticking.step_s = 0.06  # each look at the clock is so much later
first = isinstance(refusal(sensor), float)
before = len(fake.calls)
again = refusal(sensor)
calls = len(fake.calls) - before
ticking.now_s += 60
print(json.dumps([first, again, calls, isinstance(refusal(sensor), float)]))
"""
    )
    text = "the GPU was slow to answer, as one that sleeps: it is left alone"
    assert seen == [True, ["SensorError", text], 0, True]


SLICED = H100 + "mig=1 slices=MIG-aa,MIG-bb,MIG-cc energy_mj=7 power_mw=100000"


@pytest.mark.parametrize(
    ("visible", "words"),
    [
        ("MIG-bb", "whole GPU, MIG slice 2 of 3"),
        ("MIG-zz", "whole GPU, shared by 3 MIG slices"),
        ("0", "whole GPU, shared by 3 MIG slices"),
    ],
)
def test_a_slice_is_told_that_the_energy_is_the_whole_boards(
    child: NvmlChild, visible: str, words: str
) -> None:
    child.first = [SLICED]
    child.environ = {"CUDA_VISIBLE_DEVICES": visible}
    (sensor,) = child.run()["sensors"]
    assert (sensor["scope"], sensor["remark"]) == ("board", words)


def test_a_slice_that_the_list_hides_is_found_by_its_uuid(child: NvmlChild) -> None:
    child.first = [SLICED + " fault=NotSupported@nvmlDeviceGetMaxMigDeviceCount"]
    child.environ = {"CUDA_VISIBLE_DEVICES": "MIG-cc"}
    (sensor,) = child.run()["sensors"]
    assert sensor["remark"] == "whole GPU, which is one MIG slice"


# --- a driver that goes and comes ------------------------------------------------------------


def test_after_a_reload_of_the_driver_the_counter_is_read_anew_and_its_fall_is_a_gap(
    child: NvmlChild,
) -> None:
    child.first = [H100 + "profile=0:100"]
    seen = child.run(
        ONE
        + """
from jupyter_energy.trace import Trace
trace = Trace(sensor)
samples = []
def at(t):
    clock.set(t)
    said = refusal(sensor)
    if not isinstance(said, list):
        samples.append(trace.add(t, said))
    return said
first = [at(10), at(12)]
fake.set("library reload=1", first_line := sys.argv[3] and json.loads(sys.argv[3])[0])
lost = at(13)
then = [at(14), at(16)]
print(json.dumps([first, lost, then, [[s.energy_j, s.covered_s] for s in samples], trace.gaps,
    fake.calls.count("nvmlInitWithFlags"), sensor.restarts]))
"""
    )
    first, lost, then, samples, gaps, inits, restarts = seen
    assert first == [1000, 1200]
    assert lost == ["SensorError", "the NVIDIA driver was loaded again"]
    assert then == [100, 300]
    assert samples == [[0, 0], [200, 2], [200, 2], [400, 4]]
    assert (gaps, inits, restarts) == (1, 2, 1)


def test_a_gpu_that_stays_lost_does_not_open_the_library_at_each_read(child: NvmlChild) -> None:
    child.first = [H100 + "profile=0:100", "gpu 1 uuid=GPU-1 name=T4 pci=00000000:0B:00.0"]
    seen = child.run(
        """
clock, clocks = virtual(5.0)
lost, other = discover(machine, clocks).sensors
fake.set(first[0] + " fault=GpuIsLost@*", first[1])
said, others = [], []
for second in range(8):
    clock.set(10.0 + second)
    said.append(refusal(lost))
    others.append(refusal(other))
print(json.dumps([said, others, fake.calls.count("nvmlInitWithFlags")]))
"""
    )
    said, others, inits = seen
    assert {tuple(one) for one in said} == {("SensorError", "GPU is lost")}
    assert others == [0.0] * 8
    assert inits <= 3  # at the beginning, and once in five seconds


def test_a_driver_that_refuses_to_start_again_is_not_asked_at_each_read(child: NvmlChild) -> None:
    child.first = [H100 + "profile=0:100"]
    seen = child.run(
        ONE
        + """
fake.set("library reload=1 fault=DriverNotLoaded@nvmlInitWithFlags", first[0])
said = []
for second in range(6):
    clock.set(10.0 + second)
    said.append(refusal(sensor))
fake.set("library reload=1", first[0])
clock.set(30.0)
print(json.dumps([said, fake.calls.count("nvmlInitWithFlags"), raw(sensor)]))
"""
    )
    said, inits, again = seen
    assert [one[1] for one in said[1:]] == ["the NVIDIA driver is not loaded"] * 5
    assert inits == 2  # at the beginning, and once in five seconds
    assert again == 2000


def test_a_gpu_that_another_has_replaced_is_refused(child: NvmlChild) -> None:
    child.first = [H100 + "profile=0:100"]
    seen = child.run(
        ONE
        + """
fake.set("library reload=1", first[0].replace("GPU-0a", "GPU-other"))
clock.set(10.0)
refusal(sensor)
print(json.dumps(refusal(sensor)))
"""
    )
    assert seen == ["SensorError", "another GPU has taken this one's place"]


# --- a laptop's GPU --------------------------------------------------------------------------


def test_an_idle_gpu_that_can_sleep_is_let_go_and_read_again_when_awake(child: NvmlChild) -> None:
    child.first = [H100 + "profile=0:100"]
    state = child.card("0000:0a:00.0", control="auto")
    seen = child.run(
        ONE
        + f"""
state = Path({str(state)!r})
rested = sensor.rest()
shut = fake.calls.count("nvmlShutdown")
state.write_text("suspended\\n")
calls = len(fake.calls)
asleep = refusal(sensor)
untouched = len(fake.calls) == calls
state.write_text("active\\n")
print(json.dumps([rested, shut, asleep, untouched, raw(sensor), sensor.restarts]))
"""
    )
    assert seen == [True, 1, ["SensorError", "GPU asleep"], True, 500, 0]


def test_a_gpu_that_never_sleeps_keeps_its_library(child: NvmlChild) -> None:
    child.first = [H100 + "profile=0:100"]
    child.card("0000:0a:00.0", control="on")
    seen = child.run(ONE + "print(json.dumps([sensor.rest(), fake.calls.count('nvmlShutdown')]))")
    assert seen == [False, 0]


def test_finding_a_gpu_again_asks_no_other_one(child: NvmlChild) -> None:
    child.first = [
        H100 + "profile=0:100",
        "gpu 1 uuid=GPU-1 name=Quadro pci=00000000:0B:00.0 profile=0:10",
    ]
    child.card("0000:0a:00.0", control="auto")
    other = child.card("0000:0b:00.0", control="auto")
    seen = child.run(
        f"""
clock, clocks = virtual(5.0)
sensor, _ = discover(machine, clocks).sensors
sensor.rest()
Path({str(other)!r}).write_text("suspended\\n")
before = len(fake._lines())
raw(sensor)
print(json.dumps([line.split()[:2] for line in fake._lines()[before:]]))
"""
    )
    assert seen[0] == ["nvmlInitWithFlags", "-"]
    assert {device for _, device in seen[1:]} == {"0"}


def test_a_gpu_that_slept_at_first_is_found_once_it_is_awake(child: NvmlChild) -> None:
    child.first = [H100 + "profile=0:100", "gpu 1 uuid=GPU-1 name=Quadro pci=00000000:0B:00.0"]
    child.card("0000:0a:00.0", status="active")
    state = child.card("0000:0b:00.0", status="suspended")
    seen = child.run(
        f"""
found = discover(machine)
before = len(fake.calls)
still = has_woken(machine, found)
Path({str(state)!r}).write_text("active\\n")
woken = has_woken(machine, found)
calls = len(fake.calls) - before
again = discover(machine)
print(json.dumps([still, woken, calls, len(again.sensors), has_woken(machine, again)]))
"""
    )
    assert seen == [False, True, 0, 2, False]


# --- who shares it ---------------------------------------------------------------------------

SHARED = H100 + "profile=0:100 pids=11,12,13 utilization=11:60,12:20,99:0"


@pytest.mark.parametrize(
    ("ours", "words"),
    [
        ("{11, 12, 13, 14}", None),
        ("{11, 12}", "shared with 1 other process"),
        ("{11}", "shared with 2 other processes"),
        ("None", "shared with 3 other processes"),
    ],
)
def test_other_processes_on_the_gpu_are_counted(
    child: NvmlChild, ours: str, words: str | None
) -> None:
    child.first = [SHARED]
    assert child.run(ONE + f"print(json.dumps([sensor.shared_with({ours})]))") == [words]


def test_in_a_container_that_hides_our_numbers_nothing_is_claimed(child: NvmlChild) -> None:
    child.first = [SHARED]
    child.namespace("pid:[4026532281]")
    seen = child.run(
        ONE
        + """
print(json.dumps([sensor.shared_with({1, 2}), sensor.gpu_share({1, 2}, 4.0),
    sensor.shared_with({11}), sensor.gpu_share({11}, 4.0)]))
"""
    )
    assert "container" in seen[0]
    assert seen[1:] == [None, "shared with 2 other processes", 0.75]


@pytest.mark.parametrize(
    ("settings", "ours", "since_s", "share"),
    [
        ("", "{11}", 4.0, 0.75),
        ("", "{11, 12}", 4.0, 1.0),
        ("", "{77}", 4.0, 0.0),
        ("", "{11}", 5.5, None),  # nothing since then
        ("mig=1", "{11}", 4.0, None),
        ("fault=NotSupported@nvmlDeviceGetProcessUtilization", "{11}", 4.0, None),
    ],
)
def test_our_share_of_the_multiprocessors(
    child: NvmlChild, settings: str, ours: str, since_s: float, share: float | None
) -> None:
    child.first = [f"{SHARED} {settings}"]
    seen = child.run(ONE + f"print(json.dumps([sensor.gpu_share({ours}, {since_s})]))")
    assert seen == [share]


def test_who_shares_a_gpu_that_fails_is_not_known(child: NvmlChild) -> None:
    child.first = [SHARED]
    seen = child.run(
        ONE
        + """
fake.set(first[0] + " fault=GpuIsLost@*")
lost = [sensor.shared_with(), sensor.gpu_share({11}, 4.0)]
sensor.close()
print(json.dumps(lost + [sensor.shared_with()]))
"""
    )
    assert seen == [None, None, None]


# --- a counter that is not to be believed ----------------------------------------------------

POLL = """
def poll(sensor, seconds):
    begin = clock()
    while clock() < begin + seconds and sensor.verdict is None:
        clock.set(clock() + 1.0)
        sensor.read()
"""


def test_a_counter_that_counts_too_little_is_replaced_and_remembered(child: NvmlChild) -> None:
    child.first = [H100 + "profile=0:300 gain=0.57"]
    seen = child.run(
        ONE
        + POLL
        + """
was_checking = sensor.checking
poll(sensor, 60)
gauge = sensor.replacement()
sensor.close()
reading = raw(gauge)
later = told(discover(machine, clocks))
fake.set("library driver=600.1", first[0])
print(json.dumps([was_checking, sensor.checking, sensor.remark, gauge.source, gauge.remark, reading,
    gauge.kind, gauge.max_w, later, told(discover(machine, clocks))]))
"""
    )
    checking, after, remark, source, same, reading, kind, max_w, later, updated = seen
    text = "energy counter unreliable: it gave 0.57 of the integrated power"
    assert (checking, after) == (True, False)
    assert (remark, same) == (text, text)
    assert (source, kind, reading, max_w) == ("nvml-power-integrated", "gauge", 300, 700)
    assert [later["sensors"][0][k] for k in ("kind", "source", "remark", "verdict")] == [
        "gauge", "nvml-power-integrated", text, text,
    ]  # fmt: skip
    assert later["notes"] == [f"gpu:0: {text}"]
    # Another driver may count better.
    assert updated["sensors"][0]["kind"] == "counter"


def test_a_good_counter_is_remembered_and_not_looked_at_again(child: NvmlChild) -> None:
    child.first = [H100 + "profile=0:300,12.3:500,30:80 boxcar_ms=0"]
    seen = child.run(
        ONE
        + POLL
        + """
poll(sensor, 60)
verdict = sensor.verdict
sensor.close()
(later,) = discover(machine, clocks).sensors
print(json.dumps([verdict, later.verdict, later.checking, later.replacement(), later.remark]))
"""
    )
    assert seen == ["agrees", "agrees", False, None, None]


@pytest.mark.parametrize("cache", ["/proc/no-such-home", "/dev/null"])
def test_a_cache_that_cannot_be_written_costs_only_the_memory(child: NvmlChild, cache: str) -> None:
    child.first = [H100 + "profile=0:300 gain=2"]
    child.environ = {"XDG_CACHE_HOME": cache}
    seen = child.run(
        ONE
        + POLL
        + """
poll(sensor, 60)
gauge = sensor.replacement()
(later,) = discover(machine, clocks).sensors
print(json.dumps([gauge.kind, later.kind, later.verdict]))
"""
    )
    assert seen == ["gauge", "counter", None]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"GPU-0a 580.65.06": 3}', "\udcff"])
def test_a_damaged_memory_of_verdicts_is_none(child: NvmlChild, content: str) -> None:
    folder = child.folder / "cache/jupyter-energy"
    folder.mkdir(parents=True)
    written = content.encode(errors="surrogateescape")
    (folder / "nvml-counters.json").write_bytes(written)
    child.first = [H100 + "energy_mj=1 power_mw=1"]
    (sensor,) = child.run()["sensors"]
    assert sensor["verdict"] is None


# --- what CUDA numbers it --------------------------------------------------------------------


def test_a_gpu_that_cuda_numbers_otherwise_says_so(child: NvmlChild, tmp_path: Path) -> None:
    from standins import build_cuda

    cuda = build_cuda(tmp_path / "cuda")
    first, second = "0a" * 16, "0b" * 16
    child.first = [
        f"gpu 0 uuid=GPU-{first} name=T4 pci=00000000:0A:00.0 energy_mj=1",
        f"gpu 1 uuid=GPU-{second} name=A100 pci=00000000:0B:00.0 energy_mj=1",
    ]
    seen = child.run(
        f"""
import ctypes
sensors = discover(machine).sensors
before = [s.remark for s in sensors]
cuda = ctypes.CDLL({str(cuda)!r})
cuda.fake_devices(2)
cuda.fake_uuid(0, {second.encode()!r})
cuda.fake_uuid(1, {first.encode()!r})
loaded = [s.remark for s in sensors]
cuda.cuInit(0)
print(json.dumps([before, loaded, [s.remark for s in sensors]]))
"""
    )
    assert seen == [
        [None, None],
        [None, None],
        ["cuda:1 in this kernel", "cuda:0 in this kernel"],
    ]

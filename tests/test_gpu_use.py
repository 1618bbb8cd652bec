"""How busy a GPU was in a window: from the driver's own samples, at edges and signs of life."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standins import build_nvml
from standins.nvml_child import H100, NvmlChild

from jupyter_energy.gpu_use import LEAST_KNOWN_S, UseSoFar, within

elf = pytest.mark.skipif(sys.platform != "linux", reason="the stand-in is an ELF library")
GPU = H100 + "profile=0:100 busy=0:100,100:20,112:90 memory_mib=20480/81920 "
# What the sampler sees of a window, when it is looked at as a long cell is, every few seconds.
PROGRAM = """
from datetime import UTC, datetime
from types import SimpleNamespace
from jupyter_energy.documents import idle_to_document
from jupyter_energy.sampler import Sampler
from jupyter_energy.sensors import nvml
from jupyter_energy.window import measure
from standins.sensors import LIMIT_S, everything
from standins.stepped import SteppedClock
own = NvmlClock(library)
clock = SteppedClock(own.set, 90.0)
family = SimpleNamespace(
    __name__="nvml", WORKER=nvml.WORKER,
    discover=lambda machine: discover(machine, Clocks(clock, own.realtime)),
)
sampler = Sampler(machine, lambda: [family], 1.0, clock, clock.wait, lambda: 0.0, 60.0)
sampler.start()
assert sampler.wait_until_found(LIMIT_S)
(sensor,) = sampler.sensors()
clock.at_rest = lambda: sampler.ask(sensor, sensor.read, 60.0)
def window(begin_s, *looks, end_s):
    clock.go_to(begin_s)
    start = sampler.opening_edge(everything)
    for t_s in looks:
        clock.go_to(t_s)
        sampler.look(everything)
    clock.go_to(end_s)
    stop = sampler.closing_edge(everything)
    (domain,) = measure(datetime(2026, 11, 22, tzinfo=UTC), start, stop).domains
    use = domain.use
    if use is None:
        return None
    return [use.busy, use.known_s, use.memory_bytes, use.memory_total_bytes]
def calls(name):
    return fake.calls.count(name)
"""


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_nvml(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def child(library: Path, tmp_path: Path) -> NvmlChild:
    return NvmlChild(library, tmp_path)


@elf
def test_a_window_has_the_mean_of_the_samples_since_it_began(child: NvmlChild) -> None:
    child.first = [GPU]
    seen: Any = child.run(
        PROGRAM + "print(json.dumps(window(100.0, 105.0, 110.0, end_s=120.0)))\nsampler.close()"
    )
    busy = (12 * 0.2 + 8 * 0.9) / 20
    assert seen == [
        pytest.approx(busy, abs=0.01),
        pytest.approx(20, abs=0.5),
        20 * 2**30,
        80 * 2**30,
    ]


@elf
def test_what_the_ring_has_lost_is_not_known(child: NvmlChild) -> None:
    # 100 samples of 0.2 s reach back 20 s; nobody looked for 40 s.
    child.first = [GPU]
    seen: Any = child.run(
        ONE
        + """
first = sensor.use()
clock.set(140.0)
last = sensor.use()
print(json.dumps([last.busy_s - first.busy_s, last.known_s - first.known_s]))
"""
    )
    assert seen == [pytest.approx(0.9 * 19.8), pytest.approx(19.8)]


@elf
def test_a_short_window_has_no_use_and_looks_are_a_second_apart(child: NvmlChild) -> None:
    child.first = [GPU]
    seen: Any = child.run(
        PROGRAM
        + """
first = window(100.0, end_s=104.0)
before = calls("nvmlDeviceGetMemoryInfo")
for i in range(20):
    window(105 + i / 20, end_s=105.04 + i / 20)
print(json.dumps([first, calls("nvmlDeviceGetMemoryInfo") - before]))
sampler.close()
"""
    )
    assert seen == [None, 1]


@elf
@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("nvmlDeviceGetSamples", None),
        ("nvmlDeviceGetMemoryInfo", pytest.approx([0.48, 20.0, None, None], abs=0.01)),
    ],
)
def test_a_driver_that_does_not_tell_costs_no_energy_and_is_asked_once(
    child: NvmlChild, fault: str, told: object
) -> None:
    child.first = [GPU + f"fault=NotSupported@{fault}"]
    seen: Any = child.run(
        PROGRAM
        + f"""
seen = [window(100.0, 105.0, 110.0, end_s=120.0), raw(sensor) > 0]
asked = calls({fault!r})
window(130.0, 135.0, end_s=140.0)
print(json.dumps([*seen, calls({fault!r}) - asked]))
sampler.close()
"""
    )
    assert seen == [told, True, 0]


@elf
def test_a_gpu_that_sleeps_is_not_asked_how_busy_it_is(child: NvmlChild) -> None:
    state = child.card("0000:0a:00.0", control="auto")
    child.first = [GPU]
    seen: Any = child.run(
        ONE
        + f"""
sensor.read()
sensor.use()
before = len(fake.calls)
Path({str(state)!r}).write_text("suspended\\n")
clock.set(130.0)
print(json.dumps([sensor.use(), len(fake.calls) - before]))
"""
    )
    assert seen == [None, 0]


@elf
def test_a_driver_that_is_slow_to_tell_is_asked_a_thousandth_of_the_time(child: NvmlChild) -> None:
    child.first = [GPU]
    seen: Any = child.run(
        """
import pynvml
from jupyter_energy.sensors.nvml_use import Use
pynvml.nvmlInit()
own = NvmlClock(library)
own.set(100.0)
class Slow:
    now_s = 100.0
    def __call__(self):
        self.now_s += 0.02  # between any two looks at it
        return self.now_s
slow = Slow()
use = Use(pynvml, slow, own.realtime)
handle = pynvml.nvmlDeviceGetHandleByIndex(0)
found = []
for t_s in (100.0, 110.0, 119.0, 121.0):
    slow.now_s = t_s
    before = len(fake.calls)
    use.look(lambda: handle)
    found.append(len(fake.calls) > before)
print(json.dumps(found))
"""
    )
    assert seen == [True, False, False, True]


ONE = """
clock, clocks = virtual(100.0)
(sensor,) = discover(machine, clocks).sensors
"""

steps = st.lists(st.tuples(st.floats(0, 1), st.floats(0.01, 100)), max_size=8)


@given(steps, steps)
def test_the_use_in_a_window_is_a_share_of_what_was_known_in_it(
    before: list[tuple[float, float]], inside: list[tuple[float, float]]
) -> None:
    def so_far(parts: list[tuple[float, float]]) -> UseSoFar:
        return UseSoFar(sum(b * s for b, s in parts), sum(s for _, s in parts))

    first, last = so_far(before), so_far(before + inside)
    found = within(first, last)
    if last.known_s - first.known_s < LEAST_KNOWN_S:
        assert found is None
        return
    assert found is not None
    shares = [b for b, _ in inside]
    assert min(shares) - 1e-9 <= found.busy <= max(shares) + 1e-9
    assert found.known_s == last.known_s - first.known_s


def test_without_a_look_at_both_edges_nothing_is_known() -> None:
    assert within(None, UseSoFar(5.0, 10.0)) is None
    assert within(UseSoFar(), None) is None

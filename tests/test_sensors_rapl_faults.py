"""RAPL over time: wraps, counters that fail and come back, what a window then says.

The real sensor, trace and sampler; files under a moved sysfs, and a clock that moves when told.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from standins.powercap import AMD_RANGE_UJ, INTEL_RANGE_UJ, FakePowercap
from standins.rapl import let_others_in, machine, modes_count
from standins.sensors import LIMIT_S, Clock

from jupyter_energy.errors import SensorDenied, SensorError
from jupyter_energy.model import Domain, DomainEnergy, Measurement
from jupyter_energy.sampler import GUARD_PERIOD_S, Sampler
from jupyter_energy.sensors import perf_power, rapl
from jupyter_energy.sensors.base import Sensor
from jupyter_energy.sensors.rapl_accuracy import PACKAGE
from jupyter_energy.trace import PLAUSIBLE_W, Trace
from jupyter_energy.uncertainty import Uncertain
from jupyter_energy.window import Edge, measure

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="names of zones have colons, which Windows forbids in files"
)
PERIOD_S = 0.001  # a value of the counter may be so old
linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's /proc")
# What one example leaves behind, the next writes over.
same_tree = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200
)


@pytest.fixture
def powercap(tmp_path: Path) -> FakePowercap:
    return FakePowercap(tmp_path / "sys")


def only_sensor(powercap: FakePowercap) -> rapl.Rapl:
    [sensor] = rapl.discover(machine(powercap.root)).sensors
    assert isinstance(sensor, rapl.Rapl)
    return sensor


def everything(sensor: Sensor) -> bool:
    return True


# -- wraps -----------------------------------------------------------------------------------


@same_tree
@given(
    st.sampled_from([INTEL_RANGE_UJ, AMD_RANGE_UJ]),
    st.integers(-1, 1),
    st.integers(0, 2**32 - 1),
    st.booleans(),
)
def test_a_wrap_at_the_edge_of_the_range_neither_adds_nor_loses_a_step(
    powercap: FakePowercap, range_uj: int, beside: int, gained: int, from_top: bool
) -> None:
    """From the top of the range ±1 step, or to where it began ±1: 2³² steps make one turn."""
    steps = 2**32
    unit_uj = range_uj / (steps - 1)
    start = (steps - 1 + beside) % steps if from_top else gained
    gained = gained if from_top else max(0, steps - 1 + beside)
    if not powercap.root.joinpath("class/powercap/intel-rapl:0").exists():
        powercap.zone("package-0")
    (powercap.folder("intel-rapl:0") / "max_energy_range_uj").write_text(f"{range_uj}\n")
    powercap.set("intel-rapl:0", int(start * unit_uj))
    sensor = only_sensor(powercap)
    trace = Trace(sensor)
    first = trace.add(0.0, sensor.read())
    powercap.set("intel-rapl:0", int(((start + gained) % steps) * unit_uj))
    # As long as the part needs for it at the most that it can draw, and not longer.
    seconds = min(max(gained * unit_uj / 1e6, 1.0) / PLAUSIBLE_W, range_uj / 1e6 / PLAUSIBLE_W)
    last = trace.add(seconds, sensor.read())
    sensor.close()
    if gained == steps:  # a whole turn looks like none: nothing may be invented
        assert last.energy_j - first.energy_j == pytest.approx(0, abs=1e-4)
    else:
        assert last.energy_j - first.energy_j == pytest.approx(gained * unit_uj / 1e6, abs=1e-4)
        assert trace.gaps == 0


@same_tree
@given(
    st.sampled_from([2**-14, 2**-16]),
    st.booleans(),
    st.integers(0, 2**32 - 1),
    st.lists(st.floats(0, 0.999), min_size=1, max_size=6),
    st.lists(st.floats(0, 1), max_size=4),
)
def test_perf_counts_that_the_kernel_adds_up_as_signed_are_put_right(
    step_j: float, range_is_known: bool, start: int, reads: list[float], timers: list[float]
) -> None:
    """rapl_event_update: what 32 bits gained since the last update, as a signed number."""
    steps = 2**32
    reader, writer = os.pipe()
    sensor = perf_power.PerfPower(
        domain=Domain("package", 0, "package-0"),
        provenance="measured",
        accuracy=PACKAGE,
        wraps_at_j=(step_j * steps if range_is_known else perf_power.LEAST_RANGE_J) - step_j,
        step_j=step_j,
        max_w=None,
        scale_j=2.0**-32,
        _descriptor=reader,
    )
    trace = Trace(sensor)
    previous, count, raw, t_s = start, 0, start, 0.0

    def update() -> None:
        nonlocal previous, count
        delta = (raw - previous) % steps
        count += (delta - steps if delta >= steps // 2 else delta) * int(step_j * 2**32)
        previous = raw

    def read() -> Any:
        update()
        os.write(writer, struct.pack("=qQQ", count, int(1e9 * t_s) + 1, int(1e9 * t_s) + 1))
        return trace.add(t_s, sensor.read())

    try:
        first = read()
        for share in reads:
            # Between two reads the part draws up to all that a trace lets lie there, and the
            # kernel's timer updates where it happens to.
            begun, whole = raw, int(share * sensor.wraps_at_j / step_j)
            for part in sorted(timers):
                raw = begun + int(whole * part)
                update()
            raw = begun + whole
            t_s += max(whole * step_j / PLAUSIBLE_W, 1e-6)
            last = read()
    finally:
        os.close(writer)
        sensor.close()
    assert last.energy_j - first.energy_j == pytest.approx((raw - start) * step_j, rel=1e-9)
    assert trace.gaps == 0


def test_a_wrap_of_unreadable_range_is_put_right_where_it_is_the_least_one(
    powercap: FakePowercap,
) -> None:
    powercap.zone("package-0", energy_uj=AMD_RANGE_UJ - 10_000_000, max_range_uj=None)
    sensor = only_sensor(powercap)
    trace = Trace(sensor)
    trace.add(0.0, sensor.read())
    powercap.set("intel-rapl:0", 20_000_000)
    assert trace.add(1.0, sensor.read()).energy_j == pytest.approx(30, abs=1e-3)


def test_a_wrap_of_unreadable_range_is_left_out_where_the_range_is_longer(
    powercap: FakePowercap,
) -> None:
    powercap.zone("package-0", energy_uj=INTEL_RANGE_UJ - 10_000_000, max_range_uj=None)
    sensor = only_sensor(powercap)
    trace = Trace(sensor)
    trace.add(0.0, sensor.read())
    powercap.set("intel-rapl:0", 20_000_000)
    last = trace.add(1.0, sensor.read())
    assert (last.energy_j, last.covered_s) == (0.0, 0.0)
    assert trace.last_gap is not None
    assert "fell" in trace.last_gap


# -- through the sampler ---------------------------------------------------------------------


PACKAGE_W, MEMORY_W = 50.0, 4.0


class Rig:
    """A sampler over a moved sysfs whose counters run by the clock: package and memory.

    `file` is what stands in for the package's counter at first.
    """

    def __init__(self, powercap: FakePowercap, range_uj: int = INTEL_RANGE_UJ) -> None:
        self.powercap, self.range_uj = powercap, range_uj
        self.clock = Clock()
        self.package_w, self.package_uj, self.memory_uj = PACKAGE_W, 0, 0
        powercap.zone("package-0", max_range_uj=range_uj)
        powercap.zone("dram", "intel-rapl:0:0")

    @contextmanager
    def running(self) -> Iterator[Sampler]:
        """A sampler that has found both."""
        families = SimpleNamespace(__name__="rapl", discover=rapl.discover)
        where = machine(self.powercap.root)
        sampler = Sampler(where, lambda: [families], 1.0, self.clock, self.clock.wait)
        sampler.start()
        try:
            assert sampler.wait_until_found(LIMIT_S)
            assert self.clock.next_pause() is None
            yield sampler
        finally:
            sampler.close()

    def opened(self, sampler: Sampler) -> Edge:
        """A window's first edge; the guard then sleeps."""
        edge = sampler.opening_edge(everything)
        assert self.clock.next_pause() == GUARD_PERIOD_S
        return edge

    def draw(self, seconds: float) -> None:
        """Let the counters rise by what is drawn in so long; the clock stands."""
        self.package_uj += round(self.package_w * seconds * 1e6)
        self.memory_uj += round(MEMORY_W * seconds * 1e6)
        self.powercap.set("intel-rapl:0:0", self.memory_uj)

    def show(self) -> None:
        """Let the package's file say what it has counted."""
        self.powercap.set("intel-rapl:0", self.package_uj % (self.range_uj + 1))


def between(start: Edge, stop: Edge) -> dict[str, DomainEnergy]:
    measurement: Measurement = measure(datetime(2026, 1, 1, tzinfo=UTC), start, stop)
    return {d.domain.kind: d for d in measurement.domains}


def joules(found: DomainEnergy) -> float:
    assert isinstance(found.energy, Uncertain), found
    return found.energy.value


def test_guard_reads_count_every_wrap_of_a_long_cell(powercap: FakePowercap) -> None:
    rig = Rig(powercap, AMD_RANGE_UJ)
    rig.package_uj, rig.package_w = AMD_RANGE_UJ - 5_000_000, 400.0
    rig.show()
    with rig.running() as sampler:
        start = rig.opened(sampler)
        for _ in range(20):  # ten minutes: 240 kJ, nearly four turns
            rig.draw(GUARD_PERIOD_S)
            rig.show()
            rig.clock.advance(GUARD_PERIOD_S)
            assert rig.clock.next_pause() == GUARD_PERIOD_S  # it has read
        found = between(start, sampler.closing_edge(everything))
    assert joules(found["package"]) == pytest.approx(240_000, abs=0.2)
    assert found["package"].coverage == 1.0


def test_a_stretch_in_which_a_second_wrap_could_hide_is_left_out(powercap: FakePowercap) -> None:
    rig = Rig(powercap, AMD_RANGE_UJ)
    rig.package_w = 400.0
    with rig.running() as sampler:
        start = rig.opened(sampler)
        rig.draw(600)
        rig.show()
        rig.clock.now_s += 600  # the interpreter is held: the guard does not get to read
        found = between(start, sampler.closing_edge(everything))
    assert found["package"].energy is None
    assert found["package"].coverage == 0.0


# -- faults ----------------------------------------------------------------------------------


@contextmanager
def dying_file() -> Iterator[tuple[Path, Callable[[], None]]]:
    """A file of the kernel's that says 0, and what makes it fail while it is open: the end of the
    process that it tells of."""
    with subprocess.Popen(
        [
            sys.executable,
            "-c",
            "open('/proc/self/oom_score_adj', 'w').write('0'); import sys; sys.stdin.read()",
        ],
        stdin=subprocess.PIPE,
    ) as process:

        def end() -> None:
            assert process.stdin is not None
            if not process.stdin.closed:
                process.stdin.close()
            process.wait()

        yield Path(f"/proc/{process.pid}/oom_score_adj"), end
        end()


def gone(powercap: FakePowercap) -> None:
    """A socket that went offline: nothing is there."""


def gives_eio(powercap: FakePowercap) -> None:
    """Nothing is mapped at address 0, so this file opens and then gives EIO."""
    powercap.file("intel-rapl:0").symlink_to("/proc/self/mem")


def denied(powercap: FakePowercap) -> None:
    """It came back as the kernel makes it: for root alone."""
    powercap.set("intel-rapl:0", 0)
    powercap.file("intel-rapl:0").chmod(0)


def anothers(powercap: FakePowercap) -> None:
    """In its place came another socket."""
    powercap.set("intel-rapl:0", 777)
    (powercap.folder("intel-rapl:0") / "name").write_text("package-1\n")


@dataclass(frozen=True)
class Broken:
    """A fault of the package's counter and what is said of it; `begin` after its file has died,
    or `text` written into the file as it is."""

    said: str
    begin: Callable[[FakePowercap], None] | None = None
    text: str = ""


FAULTS = {
    "it goes": Broken("is gone", gone),
    "EIO": Broken("could not be read (Input/output error)", gives_eio),
    "EACCES": Broken("permission denied", denied),
    "another's counter": Broken("no longer package-0", anothers),
    "garbage": Broken("not a number", text="-12 µJ?\n"),
    "nothing": Broken("not a number", text=""),
    "a falling counter": Broken("saw 0% of the window", text="10\n"),
    "a counter beyond belief": Broken("saw 0% of the window", text="9" * 40),
    "a jump": Broken("saw 0% of the window", text=f"{INTEL_RANGE_UJ - 5}\n"),
}


@linux
@pytest.mark.parametrize("comes_back", [False, True], ids=["stays", "comes back"])
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_hurts_no_other_domain_and_invents_nothing(
    powercap: FakePowercap, name: str, comes_back: bool
) -> None:
    fault = FAULTS[name]
    rig = Rig(powercap)
    rig.package_uj = 0 if fault.begin else 1_000_000_000
    rig.show()
    file = powercap.file("intel-rapl:0")
    let_others_in(powercap.root)
    with ExitStack() as stack:
        if fault.begin:
            kernels, end = stack.enter_context(dying_file())
            file.unlink()
            file.symlink_to(kernels)
        sampler = stack.enter_context(rig.running())
        start = rig.opened(sampler)
        rig.draw(5)
        rig.clock.now_s += 5
        if fault.begin:
            end()
            file.unlink()
            fault.begin(powercap)
        else:
            file.write_text(fault.text)
        with modes_count() if fault.begin is denied else nullcontext():
            midst = between(start, sampler.look(everything))
        if comes_back:
            file.unlink(missing_ok=True)
            (powercap.folder("intel-rapl:0") / "name").write_text("package-0\n")
            rig.draw(5)
            rig.show()
        else:
            rig.draw(5)
        rig.clock.now_s += 5
        with modes_count() if fault.begin is denied else nullcontext():
            done = between(start, sampler.closing_edge(everything))
    for found, seconds in ((midst, 5), (done, 10)):
        assert joules(found["dram"]) == pytest.approx(MEMORY_W * seconds, abs=MEMORY_W * PERIOD_S)
        assert found["dram"].coverage == 1.0
    assert midst["package"].energy is None
    assert fault.said in str(midst["package"].reason)
    package = done["package"]
    if not comes_back:
        assert package.energy is None or 0 <= joules(package) <= 500 + 1e-3
        assert package.coverage < 1
    elif fault.text.strip().isdigit():
        # What was counted across a reset cannot be known.
        assert package.energy is None or 0 <= joules(package) <= 500 + 1e-3
        assert package.coverage < 1
        assert package.reason
    else:  # the counter itself went on while its file was away
        assert joules(package) == pytest.approx(500, abs=0.1)
        assert package.coverage == 1.0


def open_files() -> int:
    """How many files this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


@linux
def test_a_counter_that_comes_back_is_opened_once_for_each_read_that_fails(
    powercap: FakePowercap,
) -> None:
    powercap.zone("package-0")
    file = powercap.file("intel-rapl:0")
    with dying_file() as (kernels, end):
        file.unlink()
        file.symlink_to(kernels)
        sensor = only_sensor(powercap)
        assert sensor.read() == 0
        end()
        before = open_files()
        for _ in range(3):
            with pytest.raises(SensorError, match="is gone"):
                sensor.read()
        file.unlink()
        powercap.set("intel-rapl:0", 9_000_000)
        assert sensor.read() == 9.0
        file.unlink()  # the new descriptor stays
        assert sensor.read() == 9.0
        assert open_files() == before
    sensor.close()
    assert open_files() == before - 1


@linux
def test_a_counter_that_came_back_for_root_alone_says_so(powercap: FakePowercap) -> None:
    powercap.zone("package-0")
    let_others_in(powercap.root)
    file = powercap.file("intel-rapl:0")
    with dying_file() as (kernels, end):
        file.unlink()
        file.symlink_to(kernels)
        sensor = only_sensor(powercap)
        end()
        file.unlink()
        denied(powercap)
        with modes_count(), pytest.raises(SensorDenied, match="permission denied"):
            sensor.read()


def test_memory_of_another_socket_is_not_taken_for_that_of_this_one(
    powercap: FakePowercap,
) -> None:
    folder = powercap.zone("package-1")
    powercap.zone("dram", "intel-rapl:0:0", energy_uj=4_000_000)
    dram, _ = rapl.discover(machine(powercap.root)).sensors
    assert dram.domain.name == "package-1 dram"
    powercap.file("intel-rapl:0:0").write_text("n/a\n")
    (folder / "name").write_text("package-0\n")
    with pytest.raises(SensorError, match="no longer package-1"):
        dram.read()


def test_a_descriptor_that_the_users_code_closed_is_opened_again(powercap: FakePowercap) -> None:
    powercap.zone("package-0", energy_uj=2_000_000)
    sensor = only_sensor(powercap)
    number = sensor._file._descriptor
    os.close(number)
    assert sensor.read() == 2.0
    sensor.close()


@pytest.mark.parametrize("read", [True, False], ids=["after a read", "at once"])
def test_a_file_of_the_users_that_got_our_number_is_left_alone(
    powercap: FakePowercap, tmp_path: Path, read: bool
) -> None:
    powercap.zone("package-0", energy_uj=2_000_000)
    sensor = only_sensor(powercap)
    number = sensor._file._descriptor
    os.close(number)
    (tmp_path / "theirs").write_text("the user's own\n")
    theirs = os.open(tmp_path / "theirs", os.O_RDONLY)
    if theirs != number:
        os.dup2(theirs, number)
    if read:
        assert sensor.read() == 2.0
    sensor.close()
    assert os.pread(number, 32, 0) == b"the user's own\n"
    os.close(number)
    if theirs != number:
        os.close(theirs)

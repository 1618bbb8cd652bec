"""The second way to RAPL: real perf events of the kernel, described by a moved sysfs."""

from __future__ import annotations

import fcntl
import os
import sys
import time
from pathlib import Path

import pytest
from standins.perf_pmu import FakePowerPmu
from standins.powercap import AMD_RANGE_UJ, INTEL_RANGE_UJ, FakePowercap
from standins.rapl import AMD, INTEL, as_nobody, keys, machine

from jupyter_energy.errors import SensorError
from jupyter_energy.sensors import perf_power, rapl
from jupyter_energy.sensors.base import Discovery, Machine
from jupyter_energy.trace import Trace

DISABLE = 0x2401  # uapi/linux/perf_event.h: PERF_EVENT_IOC_DISABLE
LIMIT_S = 60.0


def why_no_events(folder: Path) -> str | None:
    """Why this machine gives no perf events to a test, or None."""
    if sys.platform != "linux":
        return "perf events are Linux's"
    FakePowerPmu(folder, {"energy-pkg": 1.0})
    found = rapl.discover(Machine(sysfs=folder))
    for sensor in found.sensors:
        sensor.close()
    return None if found.sensors else found.absences[0].reason


@pytest.fixture(autouse=True)
def _needs_events(tmp_path_factory: pytest.TempPathFactory) -> None:
    if why := why_no_events(tmp_path_factory.mktemp("probe") / "sys"):
        pytest.skip(f"the kernel here opens no perf event for a whole CPU: {why}")


def pmu(tmp_path: Path, **watts: float) -> FakePowerPmu:
    named = {f"energy-{name}": power_w for name, power_w in watts.items()}
    return FakePowerPmu(tmp_path / "sys", named)


def discovered(tmp_path: Path, cpuinfo: str = INTEL) -> Discovery:
    return rapl.discover(machine(tmp_path / "sys", cpuinfo))


def two_cpus() -> list[int]:
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        pytest.skip("this needs two CPUs")
    return cpus[:2]


def test_a_pmu_alone_gives_package_memory_and_platform(tmp_path: Path) -> None:
    pmu(tmp_path, pkg=50.0, ram=5.0, psys=80.0, cores=20.0)
    found = discovered(tmp_path)
    assert (found.absences, found.notes) == ((), ())
    assert keys(found) == ["dram:0", "package:0", "psys:0"]
    for sensor in found.sensors:
        assert sensor.source == "perf"
        assert sensor.provenance == "measured"
        assert "our policy" in sensor.accuracy.source


def test_a_real_event_counts_the_energy_of_the_time_that_passes(tmp_path: Path) -> None:
    pmu(tmp_path, pkg=50.0)
    [sensor] = discovered(tmp_path).sensors
    trace = Trace(sensor)
    deadline_s = time.monotonic() + LIMIT_S
    began_s = time.monotonic()
    first = trace.add(time.monotonic(), sensor.read())
    while (last := trace.add(time.monotonic(), sensor.read())).energy_j < 1.0:
        assert time.monotonic() < deadline_s
    # The clock counts 50 W for as long as the CPU is there, so no more than since it began.
    assert last.energy_j - first.energy_j <= 50.0 * (time.monotonic() - began_s)
    assert last.covered_s == pytest.approx(last.t_s - first.t_s)
    assert trace.gaps == 0


def test_each_package_has_its_own_event(tmp_path: Path) -> None:
    first, second = two_cpus()
    FakePowerPmu(tmp_path / "sys", {"energy-pkg": 1.0}, {first: (0, 0), second: (1, 0)})
    found = discovered(tmp_path)
    assert keys(found) == ["package:0", "package:1"]


@pytest.mark.parametrize(
    ("cpuinfo", "names"),
    [(INTEL, ["package-0-die-0", "package-0-die-1"]), (AMD, ["package-0"])],
    ids=["Intel", "AMD"],
)
def test_dies_count_by_themselves_but_on_amd_where_they_show_their_package(
    tmp_path: Path, cpuinfo: str, names: list[str]
) -> None:
    first, second = two_cpus()
    FakePowerPmu(tmp_path / "sys", {"energy-pkg": 1.0}, {first: (0, 0), second: (0, 1)})
    found = discovered(tmp_path, cpuinfo)
    assert [sensor.domain.name for sensor in found.sensors] == names


def test_powercap_comes_first_where_it_can_be_read(tmp_path: Path) -> None:
    FakePowercap(tmp_path / "sys").zone("package-0")
    pmu(tmp_path, pkg=50.0)
    found = discovered(tmp_path)
    assert [(s.domain.key, s.source) for s in found.sensors] == [("package:0", "rapl")]


def test_what_powercap_lacks_is_read_by_the_pmu(tmp_path: Path) -> None:
    powercap = FakePowercap(tmp_path / "sys")
    powercap.zone("package-0")
    powercap.zone("dram", "intel-rapl:0:0")
    powercap.file("intel-rapl:0:0").write_text("not allowed\n")
    pmu(tmp_path, pkg=50.0, ram=5.0)
    found = discovered(tmp_path)
    assert {s.domain.key: s.source for s in found.sensors} == {
        "package:0": "rapl",
        "dram:0": "perf",
    }
    assert found.absences == ()
    [note] = found.notes
    assert "not a number" in note
    assert "read through perf events instead" in note


def test_a_kind_is_read_wholly_one_way(tmp_path: Path) -> None:
    first, second = two_cpus()
    powercap = FakePowercap(tmp_path / "sys")
    powercap.zone("package-0")
    powercap.zone("package-1", "intel-rapl:1")
    powercap.file("intel-rapl:1").write_text("broken\n")
    FakePowerPmu(tmp_path / "sys", {"energy-pkg": 1.0}, {first: (0, 0), second: (1, 0)})
    found = discovered(tmp_path)
    assert [(s.domain.key, s.source) for s in found.sensors] == [
        ("package:0", "perf"),
        ("package:1", "perf"),
    ]


@pytest.mark.parametrize(("range_uj", "step_j"), [(INTEL_RANGE_UJ, 2**-14), (AMD_RANGE_UJ, 2**-16)])
def test_steps_and_range_come_from_powercap_where_it_tells_them(
    tmp_path: Path, range_uj: int, step_j: float
) -> None:
    powercap = FakePowercap(tmp_path / "sys")
    powercap.zone("package-0", max_range_uj=range_uj, constraint_0_power_limit_uw=100_000_000)
    powercap.file("intel-rapl:0").write_text("denied\n")
    pmu(tmp_path, pkg=50.0)
    [sensor] = discovered(tmp_path).sensors
    assert sensor.source == "perf"
    assert sensor.step_j == step_j
    assert sensor.wraps_at_j is not None
    assert sensor.wraps_at_j + sensor.step_j == 2**32 * step_j
    assert sensor.max_w == pytest.approx(130)


def test_without_powercap_the_least_range_and_the_coarsest_step_are_taken(tmp_path: Path) -> None:
    pmu(tmp_path, pkg=50.0, psys=50.0)
    package, psys = discovered(tmp_path).sensors
    assert package.wraps_at_j is not None
    assert psys.wraps_at_j is not None
    assert (package.step_j, package.wraps_at_j + package.step_j) == (2**-14, 2**16)
    assert (psys.step_j, psys.wraps_at_j + psys.step_j) == (1.0, 2**16)


def test_an_event_that_stands_still_is_an_error_and_no_part_that_draws_nothing(
    tmp_path: Path,
) -> None:
    pmu(tmp_path, pkg=50.0)
    [sensor] = discovered(tmp_path).sensors
    assert isinstance(sensor, perf_power.PerfPower)
    sensor.read()
    fcntl.ioctl(sensor._descriptor, DISABLE, 0)  # as the kernel does when the last CPU goes
    sensor.read()  # what it counted until then
    with pytest.raises(SensorError, match="no longer counted"):
        sensor.read()


def test_a_closed_event_is_an_error(tmp_path: Path) -> None:
    pmu(tmp_path, pkg=50.0)
    [sensor] = discovered(tmp_path).sensors
    sensor.close()
    sensor.close()
    with pytest.raises(SensorError, match="could not be read"):
        sensor.read()


@pytest.mark.parametrize(
    ("file", "text", "why"),
    [
        ("events/energy-pkg", "event=two", "new to us"),
        ("events/energy-pkg", "umask=0x02", "new to us"),
        ("events/energy-pkg", "event=0x7777", "opens no perf event"),
        ("events/energy-pkg.unit", "Calories", "not Joules"),
        ("events/energy-pkg.scale", "a lot", "not a number"),
        ("cpumask", "", "no list"),
        ("cpumask", "0-x", "no list"),
        ("cpumask", "4095", "opens no perf event"),
        ("type", "power", "no number"),
    ],
)
def test_a_pmu_that_describes_itself_otherwise_is_a_reason(
    tmp_path: Path, file: str, text: str, why: str
) -> None:
    fake = pmu(tmp_path, pkg=50.0)
    (fake.folder / file).write_text(f"{text}\n")
    found = discovered(tmp_path)
    assert found.sensors == ()
    assert [absence.domain.kind for absence in found.absences] == ["package", "dram"]
    assert why in found.absences[0].reason


def test_a_pmu_file_that_is_missing_is_a_reason(tmp_path: Path) -> None:
    fake = pmu(tmp_path, pkg=50.0)
    (fake.folder / "events/energy-pkg.scale").unlink()
    found = discovered(tmp_path)
    assert found.sensors == ()
    assert "could not be read (No such file" in found.absences[0].reason


def test_a_pmu_that_is_denied_names_the_kernels_switch_and_the_remedy(tmp_path: Path) -> None:
    if (level := int(Path("/proc/sys/kernel/perf_event_paranoid").read_text())) <= 0:
        pytest.skip("perf events are allowed to everybody here")
    pmu(tmp_path, pkg=50.0)
    here = machine(tmp_path / "sys")
    said = as_nobody(Machine(sysfs=here.sysfs))  # its own /proc, which tells the switch
    assert "absence package:0" in said
    assert f"kernel.perf_event_paranoid is {level}" in said
    assert "sysctl kernel.perf_event_paranoid=0" in said


def test_where_both_are_denied_the_reason_is_powercaps_and_perfs_a_note(tmp_path: Path) -> None:
    if int(Path("/proc/sys/kernel/perf_event_paranoid").read_text()) <= 0:
        pytest.skip("perf events are allowed to everybody here")
    powercap = FakePowercap(tmp_path / "sys")
    powercap.zone("package-0")
    powercap.file("intel-rapl:0").chmod(0o400 if os.getuid() == 0 else 0)
    pmu(tmp_path, pkg=50.0)
    machine(tmp_path / "sys")
    said = as_nobody(Machine(sysfs=tmp_path / "sys"))
    assert "absence package:0 | permission denied" in said
    assert "note perf events are denied" in said


def test_a_denied_counter_is_read_through_a_pmu_that_is_allowed(tmp_path: Path) -> None:
    if int(Path("/proc/sys/kernel/perf_event_paranoid").read_text()) > 0:
        pytest.skip("perf events are denied to whom powercap is denied, here")
    powercap = FakePowercap(tmp_path / "sys")
    powercap.zone("package-0")
    powercap.file("intel-rapl:0").chmod(0o400 if os.getuid() == 0 else 0)
    pmu(tmp_path, pkg=50.0)
    assert "sensor package:0" in as_nobody(machine(tmp_path / "sys"))

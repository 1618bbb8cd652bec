"""RAPL against trees that look like the kernel's, under a moved sysfs root."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from standins.powercap import AMD_RANGE_UJ, INTEL_RANGE_UJ, SERVER_DRAM_RANGE_UJ, FakePowercap
from standins.rapl import AMD, HYGON, INTEL, SANDY_BRIDGE, VIRTUAL, as_nobody, keys
from standins.rapl import machine as machine_at

from jupyter_energy.errors import SensorError
from jupyter_energy.model import DomainEnergy, Measurement
from jupyter_energy.sensors import rapl, rapl_access
from jupyter_energy.sensors.base import Discovery, Machine
from jupyter_energy.uncertainty import Uncertain

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="names of zones have colons, which Windows forbids in files"
)


@pytest.fixture
def powercap(tmp_path: Path) -> FakePowercap:
    return FakePowercap(tmp_path / "sys")


def machine(powercap: FakePowercap, cpuinfo: str = INTEL, version: str = "") -> Machine:
    return machine_at(powercap.root, cpuinfo, version)


def after(found: Discovery, powercap: FakePowercap, gained_j: dict[str, float]) -> Measurement:
    """A measurement of a window in which each zone's counter rose by so many J."""
    before = [sensor.read() for sensor in found.sensors]
    for zone, joules in gained_j.items():
        powercap.set(zone, int(powercap.file(zone).read_text()) + round(joules * 1e6))
    domains = tuple(
        DomainEnergy(
            sensor.domain,
            Uncertain(sensor.read() - start),
            sensor.provenance,
            sensor.source,
            coverage=1.0,
        )
        for sensor, start in zip(found.sensors, before, strict=True)
    )
    return Measurement(datetime(2026, 1, 1, tzinfo=UTC), 1.0, domains)


# Each tree: its zones as (folder, name, joules it gains), and the total by hand: packages and
# memory once each, without their parts, their second views and the platform.
TREES = {
    "package": ([("intel-rapl:0", "package-0", 10.0)], 10.0),
    "package, core, uncore": (
        [
            ("intel-rapl:0", "package-0", 10.0),
            ("intel-rapl:0:0", "core", 6.0),
            ("intel-rapl:0:1", "uncore", 1.0),
        ],
        10.0,
    ),
    "package, dram": (
        [("intel-rapl:0", "package-0", 10.0), ("intel-rapl:0:0", "dram", 3.0)],
        13.0,
    ),
    "psys, package, dram": (
        [
            ("intel-rapl:0", "package-0", 10.0),
            ("intel-rapl:0:0", "core", 6.0),
            ("intel-rapl:0:1", "dram", 3.0),
            ("intel-rapl:1", "psys", 18.0),
        ],
        13.0,
    ),
    "MSR and memory-mapped": (
        [
            ("intel-rapl-mmio:0", "package-0", 10.0),
            ("intel-rapl-mmio:0:0", "dram", 3.0),
            ("intel-rapl:0", "package-0", 10.0),
            ("intel-rapl:0:0", "dram", 3.0),
        ],
        13.0,
    ),
    "memory-mapped alone": ([("intel-rapl-mmio:0", "package-0", 10.0)], 10.0),
    "two sockets": (
        [
            ("intel-rapl:0", "package-0", 10.0),
            ("intel-rapl:0:0", "dram", 3.0),
            ("intel-rapl:1", "package-1", 20.0),
            ("intel-rapl:1:0", "dram", 4.0),
        ],
        37.0,
    ),
    "two dies": (
        [
            ("intel-rapl:0", "package-0-die-0", 10.0),
            ("intel-rapl:1", "package-0-die-1", 20.0),
            ("intel-rapl:0:0", "core", 6.0),
        ],
        30.0,
    ),
    # powercap_sys.c numbers them in hexadecimal
    "more than ten sockets": (
        [
            ("intel-rapl:9", "package-9", 10.0),
            ("intel-rapl:a", "package-10", 20.0),
            ("intel-rapl:a:0", "dram", 2.0),
            ("intel-rapl:10", "package-16", 40.0),
        ],
        72.0,
    ),
    "two sockets of two dies": (
        [
            ("intel-rapl:0", "package-0-die-0", 10.0),
            ("intel-rapl:0:0", "dram", 1.0),
            ("intel-rapl:1", "package-0-die-1", 20.0),
            ("intel-rapl:1:0", "dram", 2.0),
            ("intel-rapl:2", "package-1-die-0", 30.0),
            ("intel-rapl:2:0", "dram", 3.0),
            ("intel-rapl:3", "package-1-die-1", 40.0),
            ("intel-rapl:3:0", "dram", 4.0),
        ],
        110.0,
    ),
    "TPMI": (
        [
            ("intel-rapl:0", "package-0", 10.0),
            ("intel-rapl:0:0", "dram", 1.0),
            ("intel-rapl:1", "psys", 70.0),
            ("intel-rapl:2", "package-1", 20.0),
            ("intel-rapl:2:0", "dram", 2.0),
            ("intel-rapl:3", "psys-1", 0.0),
        ],
        33.0,
    ),
    "packages within the platform": (
        [
            ("intel-rapl:0", "psys", 40.0),
            ("intel-rapl:0:0", "package-0", 10.0),
            ("intel-rapl:0:0:0", "dram", 3.0),
            ("intel-rapl:0:0:1", "core", 6.0),
        ],
        13.0,
    ),
    "names of tomorrow": (
        [
            ("intel-rapl:0", "package-0", 10.0),
            ("intel-rapl:0:0", "hbm", 3.0),
            ("intel-rapl:1", "io-die", 5.0),
        ],
        10.0,
    ),
}


@pytest.mark.parametrize("linked", [True, False], ids=["class folder", "bare mount"])
@pytest.mark.parametrize("tree", TREES)
def test_a_total_counts_each_package_and_memory_once(
    tmp_path: Path, tree: str, linked: bool
) -> None:
    powercap = FakePowercap(tmp_path / "sys", linked)
    zones, total_j = TREES[tree]
    for folder, name, _ in zones:
        powercap.zone(name, folder)
    found = rapl.discover(machine(powercap))
    measurement = after(found, powercap, {folder: joules for folder, _, joules in zones})
    assert measurement.measured_j is not None
    assert measurement.measured_j.value == pytest.approx(total_j, abs=1e-5)
    assert len({sensor.domain.key for sensor in found.sensors}) == len(found.sensors)


@pytest.mark.parametrize("cpuinfo", [AMD, HYGON], ids=["AMD", "Hygon"])
def test_dies_that_show_the_counter_of_their_package_are_counted_once(
    powercap: FakePowercap, cpuinfo: str
) -> None:
    """Kernels before 6.12: two sockets of eight dies, with a core zone in each."""
    zones = [f"intel-rapl:{number:x}" for number in range(16)]
    for number, zone in enumerate(zones):
        powercap.zone(f"package-{number // 8}-die-{number % 8}", zone, max_range_uj=AMD_RANGE_UJ)
        powercap.zone("core", f"{zone}:0", max_range_uj=AMD_RANGE_UJ)
    found = rapl.discover(machine(powercap, cpuinfo))
    assert [sensor.domain.name for sensor in found.sensors] == ["package-0", "package-1"]
    gained = {zone: 10.0 if number < 8 else 20.0 for number, zone in enumerate(zones)}
    measured = after(found, powercap, gained).measured_j
    assert measured is not None
    assert measured.value == pytest.approx(30.0, abs=1e-5)
    assert "intel-rapl:f shows package-1 again and is not read" in found.notes


def test_a_counter_that_fails_is_read_through_its_memory_mapped_twin(
    powercap: FakePowercap,
) -> None:
    powercap.zone("package-0")
    powercap.zone("package-0", "intel-rapl-mmio:0", energy_uj=3_000_000)
    powercap.file("intel-rapl:0").write_text("n/a\n")
    found = rapl.discover(machine(powercap))
    assert found.absences == ()
    assert [sensor.read() for sensor in found.sensors] == [3.0]


def test_counters_are_found_where_zeus_has_containers_mount_them(tmp_path: Path) -> None:
    (tmp_path / "sys").mkdir()
    mounted = FakePowercap(tmp_path / "zeus_sys")
    mounted.zone("package-0", energy_uj=5_000_000)
    found = rapl.discover(machine_at(tmp_path / "sys"))
    assert [sensor.read() for sensor in found.sensors] == [5.0]
    assert found.notes == (f"the counters are read from {tmp_path / 'zeus_sys/class/powercap'}",)


def test_the_machines_own_counters_come_before_those_that_zeus_mounts(tmp_path: Path) -> None:
    FakePowercap(tmp_path / "zeus_sys").zone("package-0", energy_uj=5_000_000)
    FakePowercap(tmp_path / "sys").zone("package-0", energy_uj=7_000_000)
    [sensor] = rapl.discover(machine_at(tmp_path / "sys")).sensors
    assert sensor.read() == 7.0


def test_memory_is_a_domain_of_its_own_beside_its_package(powercap: FakePowercap) -> None:
    for socket in (0, 1):
        powercap.zone(f"package-{socket}", f"intel-rapl:{socket}")
        powercap.zone("dram", f"intel-rapl:{socket}:0")
    found = rapl.discover(machine(powercap))
    assert keys(found) == ["dram:0", "dram:1", "package:0", "package:1"]
    assert [sensor.domain.name for sensor in found.sensors[:2]] == [
        "package-0 dram",
        "package-1 dram",
    ]


def test_sockets_keep_their_numbers_and_come_in_their_order(powercap: FakePowercap) -> None:
    for socket in (10, 9, 0):
        powercap.zone(f"package-{socket}", f"intel-rapl:{socket:x}")
    found = rapl.discover(machine(powercap))
    assert keys(found) == ["package:0", "package:9", "package:10"]


def test_the_platform_is_apart_and_one_a_package_where_there_are_two(
    powercap: FakePowercap,
) -> None:
    powercap.zone("package-0")
    powercap.zone("psys", "intel-rapl:1")
    powercap.zone("psys-1", "intel-rapl:2")
    assert keys(rapl.discover(machine(powercap))) == ["package:0", "psys:0", "psys:1"]


def test_dies_of_several_sockets_have_indices_in_order(powercap: FakePowercap) -> None:
    names = ["package-1-die-0", "package-0-die-1", "package-1-die-1", "package-0-die-0"]
    for number, name in enumerate(names):
        powercap.zone(name, f"intel-rapl:{number}")
    found = rapl.discover(machine(powercap))
    assert [sensor.domain.name for sensor in found.sensors] == sorted(names)
    assert [sensor.domain.index for sensor in found.sensors] == [0, 1, 2, 3]


def test_parts_twins_and_unknown_names_are_noted_and_never_raise(powercap: FakePowercap) -> None:
    powercap.zone("package-0")
    powercap.zone("core", "intel-rapl:0:0")
    powercap.zone("warp-core", "intel-rapl:1")
    powercap.zone("package-0", "intel-rapl-mmio:0")
    nameless = powercap.zone("", "intel-rapl:2")
    (nameless / "name").unlink()
    found = rapl.discover(machine(powercap))
    assert keys(found) == ["package:0"]
    assert found.absences == ()
    said = "\n".join(found.notes)
    for part in ("core (intel-rapl:0:0)", "'warp-core'", "intel-rapl-mmio:0", "intel-rapl:2"):
        assert part in said
    # the duplicate that is dropped is the memory-mapped one
    powercap.set("intel-rapl:0", 7_000_000)
    assert found.sensors[0].read() == 7.0


@pytest.mark.parametrize(
    ("range_uj", "step_j"),
    [
        (INTEL_RANGE_UJ, 61.035e-6),
        (AMD_RANGE_UJ, 15.258e-6),
        (SERVER_DRAM_RANGE_UJ, 15.3e-6),
        (4_294_967_295_000_000, 1.0),  # psys of Sapphire Rapids counts whole joules
    ],
)
def test_range_and_step_come_from_the_kernel(
    powercap: FakePowercap, range_uj: int, step_j: float
) -> None:
    powercap.zone("package-0", max_range_uj=range_uj)
    [sensor] = rapl.discover(machine(powercap)).sensors
    assert sensor.wraps_at_j == range_uj / 1e6
    assert sensor.step_j == pytest.approx(step_j, rel=1e-6)


@pytest.mark.parametrize("range_text", [None, "", "0", "many"])
def test_an_unreadable_range_is_taken_as_the_least_that_is_known_and_noted(
    powercap: FakePowercap, range_text: str | None
) -> None:
    folder = powercap.zone("package-0", max_range_uj=None)
    if range_text is not None:
        (folder / "max_energy_range_uj").write_text(range_text)
    found = rapl.discover(machine(powercap))
    [sensor] = found.sensors
    assert sensor.wraps_at_j == pytest.approx(AMD_RANGE_UJ / 1e6)  # so the guard reads it
    assert sensor.step_j > 0
    assert any("max_energy_range_uj" in note for note in found.notes)


@pytest.mark.parametrize(
    ("limits_uw", "max_w"),
    [
        ({}, None),
        ({"constraint_0_max_power_uw": 65_000_000}, 84.5),
        (
            {"constraint_0_power_limit_uw": 28_000_000, "constraint_1_power_limit_uw": 64_000_000},
            83.2,
        ),
        ({"constraint_1_power_limit_uw": 4_095_000_000}, None),
        ({"constraint_0_power_limit_uw": 0}, None),
        ({"constraint_0_power_limit_uw": 65_000_000, "enabled": 1}, 84.5),
        ({"constraint_0_power_limit_uw": 65_000_000, "enabled": 0}, None),  # not enforced
    ],
)
def test_the_most_power_is_1_3_times_the_highest_limit(
    powercap: FakePowercap, limits_uw: dict[str, int], max_w: float | None
) -> None:
    powercap.zone("package-0", **limits_uw)
    [sensor] = rapl.discover(machine(powercap)).sensors
    assert sensor.max_w == (None if max_w is None else pytest.approx(max_w))


@pytest.mark.parametrize(
    ("cpuinfo", "provenance", "gain"),
    [
        (INTEL, "measured", 0.05),
        (SANDY_BRIDGE, "vendor model", 0.15),
        (AMD, "vendor model", 0.15),
        ("", "vendor model", 0.15),
    ],
    ids=["Intel", "Sandy Bridge", "AMD", "unknown"],
)
def test_provenance_and_gain_follow_the_processor(
    powercap: FakePowercap, cpuinfo: str, provenance: str, gain: float
) -> None:
    powercap.zone("package-0")
    [sensor] = rapl.discover(machine(powercap, cpuinfo)).sensors
    assert sensor.provenance == provenance
    assert sensor.accuracy.gain == gain
    assert "our policy" in sensor.accuracy.source


def test_old_intel_and_amd_cite_different_sources_for_their_models(powercap: FakePowercap) -> None:
    powercap.zone("package-0")
    old, amd = (rapl.discover(machine(powercap, c)).sensors[0] for c in (SANDY_BRIDGE, AMD))
    assert "Haswell" in old.accuracy.source
    assert "Schöne" in amd.accuracy.source


def test_memory_of_an_intel_package_has_a_wider_gain(powercap: FakePowercap) -> None:
    powercap.zone("package-0")
    powercap.zone("dram", "intel-rapl:0:0")
    dram, _ = rapl.discover(machine(powercap)).sensors
    assert (dram.domain.kind, dram.accuracy.gain) == ("dram", 0.20)


@pytest.mark.parametrize("text", [b"", b"\n", b"n/a\n", b"-5\n", b"1e9\n", b"12 34\n"])
def test_text_that_is_no_count_is_an_error_and_never_a_number(
    powercap: FakePowercap, text: bytes
) -> None:
    folder = powercap.zone("package-0")
    [sensor] = rapl.discover(machine(powercap)).sensors
    (folder / "energy_uj").write_bytes(text)
    with pytest.raises(SensorError, match="not a number"):
        sensor.read()
    # The same text at discovery is an absence with that reason, and no remedy that would not help.
    found = rapl.discover(machine(powercap))
    assert found.sensors == ()
    [absence] = found.absences
    assert "not a number" in absence.reason
    assert absence.remedy is None


def test_one_descriptor_serves_all_reads_and_close_ends_them(powercap: FakePowercap) -> None:
    folder = powercap.zone("package-0", energy_uj=1_500_000)
    [sensor] = rapl.discover(machine(powercap)).sensors
    assert sensor.read() == 1.5
    powercap.set("intel-rapl:0", 2_500_000)
    (folder / "energy_uj").unlink()  # only an open descriptor still reaches it
    assert sensor.read() == 2.5
    sensor.close()
    sensor.close()
    with pytest.raises(SensorError, match="closed"):
        sensor.read()


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs Linux's /proc")
def test_a_driver_that_fails_is_a_reason(powercap: FakePowercap) -> None:
    folder = powercap.zone("package-0")
    (folder / "energy_uj").unlink()
    # Nothing is mapped at address 0, so this file opens and then gives EIO, as a driver would.
    (folder / "energy_uj").symlink_to("/proc/self/mem")
    found = rapl.discover(machine(powercap))
    assert found.sensors == ()
    [absence] = found.absences
    assert "could not be read (Input/output error)" in absence.reason


def test_a_missing_counter_is_an_absence(powercap: FakePowercap) -> None:
    (powercap.zone("package-0") / "energy_uj").unlink()
    [absence] = rapl.discover(machine(powercap)).absences
    assert "is gone" in absence.reason


def test_a_denied_counter_is_an_absence_with_a_remedy_and_the_others_still_read(
    powercap: FakePowercap,
) -> None:
    powercap.zone("package-0", energy_uj=1_000_000)
    powercap.zone("dram", "intel-rapl:0:0", energy_uj=2_000_000)
    powercap.file("intel-rapl:0").chmod(0o400 if os.getuid() == 0 else 0)
    said = as_nobody(machine(powercap))
    assert "absence package:0 | permission denied" in said
    assert "jupyter energy doctor" in said
    assert "sensor dram:0 2.0" in said
    assert "sensor package" not in said


def test_a_denied_range_leaves_the_counter_readable(
    powercap: FakePowercap,
) -> None:
    folder = powercap.zone("package-0", energy_uj=1_000_000)
    (folder / "max_energy_range_uj").chmod(0o400 if os.getuid() == 0 else 0)
    said = as_nobody(machine(powercap))
    assert "sensor package:0 1.0 65532.610987" in said
    assert "note intel-rapl:0: max_energy_range_uj" in said


def test_a_folder_that_may_not_be_entered_is_a_reason_and_never_an_exception(
    powercap: FakePowercap,
) -> None:
    powercap.zone("package-0")
    (powercap.root / "devices").chmod(0o700 if os.getuid() == 0 else 0)
    try:
        said = as_nobody(machine(powercap))
    finally:
        (powercap.root / "devices").chmod(0o700)
    assert "the container hides" in said


def test_zones_without_names_are_not_called_a_missing_driver(powercap: FakePowercap) -> None:
    (powercap.zone("package-0") / "name").unlink()
    [note] = rapl.discover(machine(powercap)).notes
    assert note.startswith("intel-rapl:0 is not read")


def test_the_recipe_names_only_zones_and_both_files() -> None:
    assert 'KERNEL=="intel-rapl*:*"' in rapl.RECIPE
    assert "kernel.perf_event_paranoid" in rapl.RECIPE
    for file in ("energy_uj", "max_energy_range_uj", "70-jupyter-energy.rules", "tmpfiles.d"):
        assert file in rapl.RECIPE


@pytest.mark.parametrize(
    ("cpuinfo", "version", "why"),
    [
        (VIRTUAL, "", "virtual machine"),
        (VIRTUAL, "Linux version 5.15 (Microsoft WSL2)", "WSL"),
        (INTEL, "Linux version 6.1", "modprobe intel_rapl_msr"),
    ],
)
def test_an_empty_powercap_says_why_for_processor_and_memory(
    powercap: FakePowercap, cpuinfo: str, version: str, why: str
) -> None:
    found = rapl.discover(machine(powercap, cpuinfo, version))
    assert (found.sensors, found.notes) == ((), ())
    assert [absence.domain.kind for absence in found.absences] == ["package", "dram"]
    for absence in found.absences:
        assert why in f"{absence.reason} {absence.remedy}"


CONTAINERS = {
    "Docker": (".dockerenv", {}),
    "Podman": ("run/.containerenv", {}),
    "Kubernetes": ("proc/1/cgroup", {}),
    "Apptainer": (None, {"APPTAINER_CONTAINER": "/images/a.sif"}),
}


@pytest.mark.parametrize("engine", CONTAINERS)
def test_a_container_without_powercap_is_told_what_to_mount(
    powercap: FakePowercap, engine: str
) -> None:
    file, environ = CONTAINERS[engine]
    if file:
        path = powercap.root.parent / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("12:cpu:/kubepods/besteffort/pod1\n")
    here = replace(machine(powercap), environ=environ)
    found = rapl.discover(here)
    assert rapl_access.surroundings(here) == ("container",)
    for absence in found.absences:
        assert absence.reason == "container without energy counters"
        assert "JUPYTER_ENERGY_SYSFS" in str(absence.remedy)


def test_a_container_in_a_virtual_machine_is_both(powercap: FakePowercap) -> None:
    (powercap.root.parent / ".dockerenv").touch()
    here = replace(machine(powercap, VIRTUAL), environ={})
    assert rapl_access.surroundings(here) == ("container", "virtual machine")
    assert "virtual machine" in rapl.discover(here).absences[0].reason


def test_nothing_lies_between_a_process_and_bare_metal(powercap: FakePowercap) -> None:
    assert rapl_access.surroundings(replace(machine(powercap), environ={})) == ()


def test_counters_that_a_container_masks_are_said_to_be_hidden(powercap: FakePowercap) -> None:
    folder = powercap.zone("package-0")
    # As container engines do it: an empty folder over the devices, and the links lead nowhere.
    folder.parent.rename(powercap.root / "masked")
    found = rapl.discover(machine(powercap, VIRTUAL))
    assert found.sensors == ()
    for absence in found.absences:
        assert "container" in absence.reason
        assert "JUPYTER_ENERGY_SYSFS" in str(absence.remedy)


def test_a_system_without_sysfs_has_no_sensor_and_says_so(tmp_path: Path) -> None:
    found = rapl.discover(Machine(sysfs=tmp_path / "no", procfs=tmp_path / "neither"))
    assert found.sensors == ()
    assert all("part of Linux" in absence.reason for absence in found.absences)


def test_a_running_counter_gives_the_energy_it_was_fed_across_a_wrap(
    powercap: FakePowercap,
) -> None:
    powercap.zone("package-0", energy_uj=INTEL_RANGE_UJ - 1_000_000)
    [sensor] = rapl.discover(machine(powercap)).sensors
    before_j = sensor.read()
    with powercap.run({"intel-rapl:0": 200.0}) as counters:
        deadline_s = time.monotonic() + 60
        while counters.energy_j["intel-rapl:0"] < 2.0:  # it has wrapped after 1 J
            assert time.monotonic() < deadline_s
    assert sensor.wraps_at_j is not None
    gained_j = sensor.read() - before_j + sensor.wraps_at_j + 1e-6
    assert gained_j == pytest.approx(counters.energy_j["intel-rapl:0"], abs=1e-5)


def test_counters_run_in_a_process_of_their_own(powercap: FakePowercap) -> None:
    powercap.zone("package-0")
    [sensor] = rapl.discover(machine(powercap)).sensors
    script = Path(__file__).parent / "standins/powercap.py"
    with subprocess.Popen(
        [sys.executable, str(script), str(powercap.root), "intel-rapl:0=50"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        deadline_s = time.monotonic() + 60
        while sensor.read() < 0.5:
            assert time.monotonic() < deadline_s
        process.communicate()
    assert process.returncode == 0

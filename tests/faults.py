"""Ways in which a machine can fail us, each made at the lowest level, for tests in real kernels.

A fault is a generator function: it gives the environment of a kernel that will meet it, is
resumed to strike once the sensors are found, and once more to be taken back. A fault that is
there from the start just gives its environment.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from faulty_sensor import HANGING, install
from standins import FakeNvml
from standins.nvml_child import NO_COUNTER
from standins.perf_pmu import FakePowerPmu
from standins.powercap import FakePowercap

GPU = 'gpu 0 uuid=GPU-1 name="NVIDIA H100" mode=clock power_mw=350000 limit_mw=700000'
ENERGY = "nvmlDeviceGetFieldValues"
# So that a reason stands alone and no range hides it.
NO_ESTIMATE = {"JUPYTER_ENERGY_ESTIMATE": "0"}
STOP_EVENTS = "stop the events"
Steps = Iterator[dict[str, str]]


@dataclass(frozen=True)
class Place:
    """Where a fault may be made: a folder of the test's own, and the library that is a driver."""

    folder: Path
    nvml: Path

    @property
    def store(self) -> Path:
        """The store's file."""
        return self.folder / "store" / "energy.sqlite"

    @property
    def environ(self) -> dict[str, str]:
        """What names the store."""
        return {"JUPYTER_ENERGY_STORE": str(self.store)}


@dataclass(frozen=True)
class Fault:
    """`told` is in the one line on stderr ("" where there is none).

    `reasons`: by the kind of a domain, what its record says in place of a figure.
    `warns` is in the warnings of every record. `kept`: whether all records are in the store once
    the fault is taken back.
    """

    make: Callable[[Place], Steps]
    told: str = ""
    reasons: tuple[tuple[str, str], ...] = ()
    warns: str = ""
    kept: bool = True


# -- the store -----------------------------------------------------------------------------


def store_is_a_folder(at: Place) -> Steps:
    at.store.mkdir(parents=True)
    yield at.environ


def store_is_corrupt(at: Place) -> Steps:
    at.store.parent.mkdir()
    at.store.write_bytes(b"SQLite format 3\0" + bytes(range(256)) * 64)
    yield at.environ


def store_is_another_programs(at: Place) -> Steps:
    at.store.parent.mkdir()
    with sqlite3.connect(at.store) as connection:
        connection.execute("CREATE TABLE record (mine TEXT)")
        connection.execute("INSERT INTO record VALUES ('precious')")
        connection.execute("PRAGMA user_version = 7")
    connection.close()
    before = at.store.read_bytes()
    yield at.environ
    yield {}
    assert at.store.read_bytes() == before


def store_folder_is_unwritable(at: Place) -> Steps:
    at.store.parent.mkdir(mode=0o555)
    yield at.environ
    yield {}
    at.store.parent.chmod(0o755)


def disk_is_full(at: Place) -> Steps:
    at.store.parent.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(at.store.parent)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root, outside most containers, may mount a small disk")
    try:
        yield at.environ
        filler = at.store.parent / "filler"
        with filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"\0" * 4096)
            except OSError:
                pass  # now it is full
        yield {}
        filler.unlink()
        yield {}
    finally:
        subprocess.run(["umount", "--lazy", str(at.store.parent)], check=True)


# A file that stays without a byte is told of after some seconds, as what a crash may leave.
LOCKER = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
if not os.path.getsize(sys.argv[1]):
    connection.executescript("CREATE TABLE made (it); DROP TABLE made")
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""


def store_is_locked(at: Place) -> Steps:
    at.store.parent.mkdir()
    command = [sys.executable, "-c", LOCKER, str(at.store)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as locker:
        assert locker.stdin
        assert locker.stdout
        assert locker.stdout.readline() == "locked\n"
        yield at.environ
        yield {}
        locker.stdin.close()
        locker.wait()
        yield {}


def home_is_missing(at: Place) -> Steps:
    yield {"HOME": "/proc/no-such-home", "XDG_DATA_HOME": "", "XDG_CONFIG_HOME": ""}


def home_is_read_only(at: Place) -> Steps:
    home = at.folder / "sealed"
    home.mkdir(mode=0o555)
    yield {"HOME": str(home), "XDG_DATA_HOME": "", "XDG_CONFIG_HOME": ""}


# -- NVIDIA's driver -------------------------------------------------------------------------


def _driver(at: Place, *lines: str) -> tuple[FakeNvml, dict[str, str]]:
    driver = FakeNvml(at.nvml, at.folder)
    driver.set(*lines)
    return driver, {**driver.environ, **at.environ}


def driver_hangs_at_init(at: Place) -> Steps:
    yield _driver(at, "library hang=10000@nvmlInitWithFlags hang=10000@nvmlInit_v2", GPU)[1]


def driver_hangs_at_reads(at: Place) -> Steps:
    driver, environ = _driver(at, GPU)
    yield environ
    driver.set(f"{GPU} hang=10000@{ENERGY}")


def driver_is_lost(at: Place) -> Steps:
    driver, environ = _driver(at, GPU)
    yield environ
    driver.set(f"{GPU} fault=GpuIsLost@*")


def driver_gives_garbage(at: Place) -> Steps:
    driver, environ = _driver(at, GPU)
    yield environ
    driver.set(f"{GPU} mode=manual energy_mj=18446744073709551615")


def driver_counts_backwards(at: Place) -> Steps:
    driver, environ = _driver(at, GPU.replace("mode=clock", "mode=manual energy_mj=9000000"))
    yield environ
    driver.set(GPU.replace("mode=clock", "mode=manual energy_mj=10"))


def driver_is_reloaded(at: Place) -> Steps:
    driver, environ = _driver(at, GPU)
    yield environ
    driver.set("library reload=1", GPU)


def ring_goes_backwards(at: Place) -> Steps:
    ring = f"{GPU} ring_ms=20{NO_COUNTER}"
    driver, environ = _driver(at, ring)
    yield environ
    driver.set("library stamps_s=-1000", ring)


def driver_has_no_symbol(at: Place) -> Steps:
    yield {**FakeNvml(at.nvml.parent / "empty" / at.nvml.name, at.folder).environ, **at.environ}


# -- powercap and procfs -----------------------------------------------------------------------


def _powercap(at: Place) -> tuple[FakePowercap, dict[str, str]]:
    tree = FakePowercap(at.folder / "sys")
    tree.zone("package-0")
    return tree, {"JUPYTER_ENERGY_SYSFS": str(tree.root), **NO_ESTIMATE, **at.environ}


def powercap_is_denied(at: Place) -> Steps:
    tree, environ = _powercap(at)
    tree.file("intel-rapl:0").chmod(0)
    yield environ


def powercap_gives_garbage(at: Place) -> Steps:
    tree, environ = _powercap(at)
    yield environ
    tree.file("intel-rapl:0").write_text("-12 µJ?\n")


def powercap_goes_away(at: Place) -> Steps:
    # A file in /proc whose process ends is a kernel's file that goes away while it is open.
    tree, environ = _powercap(at)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        tree.file("intel-rapl:0").unlink()
        tree.file("intel-rapl:0").symlink_to(f"/proc/{process.pid}/oom_score_adj")
        yield environ
        assert process.stdin
        process.stdin.close()
        process.wait()
        yield {}


def event_is_stopped(at: Place) -> Steps:
    # Only the process that has the event can stop it: the cell does, when it finds this file.
    FakePowerPmu(at.folder / "sys", {"energy-pkg": 50.0})
    yield {"JUPYTER_ENERGY_SYSFS": str(at.folder / "sys"), **NO_ESTIMATE, **at.environ}
    (at.folder / "home" / STOP_EVENTS).touch()


def procfs_is_garbage(at: Place) -> Steps:
    procfs = at.folder / "proc"
    procfs.mkdir()
    for name in ("stat", "meminfo", "cpuinfo", "self"):
        (procfs / name).write_bytes(b"cpu  x y z\ncpu0 \xff\xfe\n\0MemTotal: many kB\n")
    yield {"JUPYTER_ENERGY_PROCFS": str(procfs), **at.environ}


# -- third parties, settings, surroundings -----------------------------------------------------


def third_party_sensors(at: Place) -> Steps:
    yield {**install(at.folder / "site"), **at.environ}


def third_party_sensors_hang(at: Place) -> Steps:
    yield {**install(at.folder / "site", (*HANGING, "readings")), **at.environ}


def sensor_fails_when_it_counts(at: Place) -> Steps:
    yield {**install(at.folder / "site", ("blunt",)), **at.environ}


def settings_file_is_broken(at: Place) -> Steps:
    config = at.folder / "config" / "jupyter-energy"
    config.mkdir(parents=True)
    (config / "settings.json").write_text('{"Energy": {"zone": "FR"')
    yield {"XDG_CONFIG_HOME": str(at.folder / "config"), **at.environ}


def settings_file_is_a_folder(at: Place) -> Steps:
    (at.folder / "config" / "jupyter-energy" / "settings.json").mkdir(parents=True)
    yield {"XDG_CONFIG_HOME": str(at.folder / "config"), **at.environ}


GARBAGE = "\udcff~\t{none"  # the first is a byte that is no UTF-8
SETTINGS = ("ESTIMATE", "SYNC", "PUE", "CPU_TDP_W", "INTERVAL_S", "SYSFS", "SHOW", "SESSION")


def environment_is_garbage(at: Place) -> Steps:
    yield {f"JUPYTER_ENERGY_{name}": GARBAGE for name in SETTINGS} | at.environ


def pause_has_no_end(at: Place) -> Steps:
    # Power is polled, so the pause between two readings is waited for.
    environ = _driver(at, GPU + NO_COUNTER)[1]
    yield environ | {"JUPYTER_ENERGY_INTERVAL_S": "1e300"}


def power_has_no_end(at: Place) -> Steps:
    yield {"JUPYTER_ENERGY_CPU_TDP_W": "inf", **at.environ}


def zone_is_unknown(at: Place) -> Steps:
    yield {"JUPYTER_ENERGY_ZONE": "Atlantis", **at.environ}


def store_of_nobody(at: Place) -> Steps:
    yield {"JUPYTER_ENERGY_STORE": "~no-such-user/energy.sqlite"}


def recording_of_nobody(at: Place) -> Steps:
    yield {"JUPYTER_ENERGY_REPLAY": "~no-such-user/power.csv", **at.environ}


def notebooks_name_is_garbage(at: Place) -> Steps:
    yield {"JPY_SESSION_NAME": str(at.folder / "caf\udce9.ipynb"), **at.environ}


def time_zone_is_bad(at: Place) -> Steps:
    yield {"TZ": "Mars/Olympus\udcff", **at.environ}


FAULTS = {
    "the store is a folder": Fault(store_is_a_folder, "cannot be used", kept=False),
    "the store is corrupt": Fault(store_is_corrupt, "was damaged"),
    "the store is another program's": Fault(store_is_another_programs, "cannot be", kept=False),
    "the store's folder is unwritable": Fault(store_folder_is_unwritable, "cannot be written"),
    "the disk is full": Fault(disk_is_full, "No space left"),
    "the store is locked": Fault(store_is_locked),
    "there is no home": Fault(home_is_missing, "cannot be written", kept=False),
    "the home is read-only": Fault(home_is_read_only, "cannot be written", kept=False),
    "the driver hangs at init": Fault(driver_hangs_at_init, warns="have not answered"),
    "the driver hangs at reads": Fault(
        driver_hangs_at_reads, reasons=(("gpu", "did not answer in time"),)
    ),
    "the driver loses its GPU": Fault(driver_is_lost, reasons=(("gpu", "lost"),)),
    "the driver gives garbage": Fault(driver_gives_garbage, reasons=(("gpu", "cannot be"),)),
    "the driver counts backwards": Fault(driver_counts_backwards),
    "the driver has no symbol": Fault(driver_has_no_symbol),
    "powercap is denied": Fault(powercap_is_denied, reasons=(("package", "permission denied"),)),
    "powercap gives garbage": Fault(powercap_gives_garbage, reasons=(("package", "not a number"),)),
    "powercap goes away": Fault(powercap_goes_away, reasons=(("package", "is gone"),)),
    "procfs is garbage": Fault(
        procfs_is_garbage, reasons=(("package", "CPU time"), ("dram", "size of the memory"))
    ),
    "third parties' sensors": Fault(third_party_sensors),
    "a sensor fails when it counts": Fault(sensor_fails_when_it_counts),
    "third parties' sensors hang": Fault(
        third_party_sensors_hang, warns="some sensors have not answered yet"
    ),
    "the settings file is broken": Fault(settings_file_is_broken, "no settings were read"),
    "the settings file is a folder": Fault(settings_file_is_a_folder, "no settings were read"),
    "the environment is garbage": Fault(environment_is_garbage, "left out"),
    "the pause has no end": Fault(pause_has_no_end, "INTERVAL_S is left out"),
    "the power has no end": Fault(power_has_no_end, "CPU_TDP_W is left out"),
    "the zone is unknown": Fault(zone_is_unknown, "no zone 'Atlantis'", warns="Atlantis"),
    "the store is in nobody's home": Fault(store_of_nobody, "left out", kept=False),
    "the recording is in nobody's home": Fault(recording_of_nobody, "left out"),
    "the notebook's name is garbage": Fault(notebooks_name_is_garbage),
    "the time zone is bad": Fault(time_zone_is_bad),
}

# Those that strike while a cell runs; `reasons` as above, "" where the figure may stand.
IN_MID_CELL = {
    "the driver loses its GPU": Fault(driver_is_lost, reasons=(("gpu", "lost"),)),
    "the driver hangs": Fault(driver_hangs_at_reads, reasons=(("gpu", "did not answer"),)),
    "the driver is loaded again": Fault(driver_is_reloaded, reasons=(("gpu", ""),)),
    "the ring goes backwards": Fault(ring_goes_backwards),
    "powercap goes away": Fault(powercap_goes_away, reasons=(("package", "is gone"),)),
    "the event is stopped": Fault(event_is_stopped),
}

"""`doctor`: what it says of each sensor, and what it never does."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from left_journals import about, head, kept, leave
from shell import OBEYING_MODES, Shell
from standins.powercap import FakePowercap
from strategies import a_record

from jupyter_energy.store import Store

linux = pytest.mark.skipif(sys.platform != "linux", reason="powercap is Linux's")


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    made = Shell(tmp_path)
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text("vendor_id\t: GenuineIntel\ncpu family\t: 6\n\n")
    (tmp_path / "proc/stat").write_text("cpu  1 2 3 4 5 6 7 8\ncpu0 1 2 3 4 5 6 7 8\n")
    made.environ["JUPYTER_ENERGY_PROCFS"] = str(tmp_path / "proc")
    return made


def lines(shell: Shell) -> dict[str, Any]:
    """Doctor's findings by device."""
    document = json.loads(shell("doctor", "--json").stdout)
    return {line["device"]: line for line in document["sensors"] if line["state"] != "note"}


@linux
def test_a_sensor_that_works_tells_its_accuracy_who_says_so_and_how_often_it_is_renewed(
    shell: Shell,
) -> None:
    powercap = FakePowercap(shell.sysfs)
    powercap.zone("package-0")
    powercap.zone("dram", "intel-rapl:0:0")
    with powercap.run({"intel-rapl:0": 20.0, "intel-rapl:0:0": 3.0}):
        found = lines(shell)
    assert found["package-0"]["state"] == "works"
    detail = found["package-0"]["detail"]
    assert detail.startswith("rapl, measured, ±5% (our policy")
    assert "Khan et al. 2018" in detail
    assert detail.endswith("; a new value every 1 ms")
    assert "±20%" in found["package-0 dram"]["detail"]


def refusing(shell: Shell) -> FakePowercap:
    """Counters that only root may read, and a shell that is not root."""
    powercap = FakePowercap(shell.sysfs)
    powercap.zone("package-0")
    powercap.zone("dram", "intel-rapl:0:0")
    powercap.file("intel-rapl:0").chmod(0)
    if os.getuid() == 0:
        if subprocess.run([*OBEYING_MODES, "true"], capture_output=True, check=False).returncode:
            pytest.skip("root passes over modes here, and setpriv cannot take that away")
        shell.within = OBEYING_MODES
    return powercap


@linux
def test_a_denied_counter_has_its_path_the_reason_and_one_recipe(shell: Shell) -> None:
    path = refusing(shell).file("intel-rapl:0")
    said = shell("doctor").stdout
    assert f"permission denied: {shell.sysfs / 'class/powercap/intel-rapl:0/energy_uj'}" in said
    assert path.name in said
    assert said.count("70-jupyter-energy.rules") == 1
    for word in ("udev", "tmpfiles.d", "CVE-2020-8694", "perf_event_paranoid", "estimated range"):
        assert word in said
    assert "package-0 dram           rapl reads, but stands still" in said


@linux
def test_a_counter_that_reads_but_stands_still_is_not_said_to_work(shell: Shell) -> None:
    powercap = FakePowercap(shell.sysfs)
    powercap.zone("package-0")
    powercap.zone("psys", "intel-rapl:1")
    powercap.zone("dram", "intel-rapl:0:0")
    with powercap.run({"intel-rapl:0": 20.0}):
        found = lines(shell)
    assert found["package-0"]["state"] == "works"
    for device, helps in (("psys", "no total needs it"), ("package-0 dram", "estimated")):
        assert found[device]["state"] == "failed"
        assert found[device]["detail"] == "rapl reads, but stands still: it measures nothing"
        assert helps in found[device]["remedy"]


@linux
def test_nothing_of_ours_asks_for_more_rights(shell: Shell, tmp_path: Path) -> None:
    refusing(shell)
    called = tmp_path / "called"
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("sudo", "su", "pkexec", "doas", "run0", "setcap", "sysctl", "modprobe"):
        program = programs / name
        program.write_text(f"#!/bin/sh\necho {name} >>{called}\nexit 1\n")
        program.chmod(0o755)
    shell.environ["PATH"] = f"{programs}:{shell.environ['PATH']}"
    assert shell.python("-c", "import subprocess; subprocess.run('sudo')").returncode == 0
    assert called.read_text() == "sudo\n"  # they are what is found
    called.unlink()
    script = tmp_path / "a.py"
    script.write_text(
        "import jupyter_energy as je\nwith je.measure('a') as m:\n    sum(range(9))\n"
    )
    for words in (["doctor"], ["doctor", "--json"], ["run", script], ["summary", script]):
        assert shell(*words).returncode == 0
    assert not called.exists()


def test_doctor_tells_what_lies_between_it_and_the_machine(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / ".dockerenv").touch()
    assert "Within a container: " in shell("doctor").stdout
    document = json.loads(shell("doctor", "--json").stdout)
    assert document["within"] == ["container"]


def test_doctor_tells_how_the_store_is(shell: Shell) -> None:
    notebook_id, store = "n" * 32, Store(shell.store)
    store.append(a_record("a", notebook_id), a_record("b", notebook_id, after_s=9.0))
    store.close()
    found = json.loads(shell("doctor", "--json").stdout)["store"]
    assert (found["state"], found["records"], found["checked"]) == ("works", 2, True)
    assert found["size_bytes"] >= shell.store.stat().st_size
    assert (found["journal_mode"], found["damaged"], found["warnings"]) == ("wal", [], [])
    shell.store.chmod(0o644)
    said = shell("doctor").stdout
    assert f"Store: {shell.store} (works)\n  2 records, 0." in said
    assert "MB, no damage found" in said
    assert f"other users may open it; to keep them out: chmod 600 '{shell.store}'" in said


def test_doctor_advises_only_what_the_user_can_and_should_do(shell: Shell) -> None:
    (shell.folder / "dir.sqlite").mkdir(mode=0o755)
    with closing(sqlite3.connect(shell.folder / "foreign.sqlite")) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    for name in ("dir.sqlite", "foreign.sqlite"):
        (shell.folder / name).chmod(0o755)
        shell.environ["JUPYTER_ENERGY_STORE"] = str(shell.folder / name)
        said = shell("doctor").stdout
        assert "(failed: " in said
        assert "chmod" not in said


def test_a_journal_in_which_nothing_is_yet_is_not_counted(shell: Shell) -> None:
    said = shell("doctor").stdout
    assert "(works)" in said
    assert "journals beside it" not in said
    leave(shell.store, [head(), about(), kept(a_record("r1"))])  # of a process that runs: this one
    assert "journals beside it: 1 " in shell("doctor").stdout


def test_doctor_finds_damage_that_nobody_has_met_and_tells_of_what_was_set_aside(
    shell: Shell,
) -> None:
    store = Store(shell.store)
    store.append(*(a_record(f"{n:032x}", "n1", after_s=9.0 * n) for n in range(40)))
    store.close()
    torn = bytearray(shell.store.read_bytes())
    # A notebook's name in an index: its records would not be found, and nobody would know.
    at = torn.rfind(b"n12025-03-01")
    torn[at : at + 2] = b"n2"
    shell.store.write_bytes(torn)
    said = shell("doctor").stdout
    (aside,) = shell.store.parent.glob("*.corrupt-*Z")
    assert aside.read_bytes() == torn
    assert f"was damaged; it is kept as {aside.name}; 40 of its records were recovered" in said
    assert f"    {aside}\n" in said
    assert "40 records" in said
    assert json.loads(shell("doctor", "--json").stdout)["store"]["damaged"] == [str(aside)]

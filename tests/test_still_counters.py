"""Counters that stand still, wake up, or are merely slow, in a sysfs of our own: whatever never
moved has measured nothing, in no place and however short the cell."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from standins.powercap import FakePowercap

from jupyter_energy.config import Energy
from jupyter_energy.display import text
from jupyter_energy.identity import NotebookRef
from jupyter_energy.model import DomainEnergy, Record
from jupyter_energy.monitor import Monitor
from jupyter_energy.open_window import Options
from jupyter_energy.schema import cell_from_records, totals_from_records
from jupyter_energy.uncertainty import Uncertain

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="powercap is Linux's")
NEVER = "the counter has not moved since it was first read"


@pytest.fixture
def cpu(tmp_path: Path) -> FakePowercap:
    made = FakePowercap(tmp_path / "sys")
    made.zone("package-0")
    made.zone("psys", "intel-rapl:1")
    return made


@pytest.fixture
def monitor(tmp_path: Path, cpu: FakePowercap) -> Iterator[Monitor]:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text("vendor_id\t: GenuineIntel\n\n")
    environ = {
        "JUPYTER_ENERGY_STORE": str(tmp_path / "data/energy.sqlite"),
        "JUPYTER_ENERGY_SYSFS": str(cpu.root),
        "JUPYTER_ENERGY_PROCFS": str(tmp_path / "proc"),
        "JUPYTER_ENERGY_ZONE": "FR",
    }
    notebook = NotebookRef(None, "tested", kernel_id="kernel")
    made = Monitor(Energy(environ=environ), lambda _: notebook, environ)
    made.start()
    assert made.sampler.wait_until_found(10)
    yield made
    made.close()


def cell(monitor: Monitor, cpu: FakePowercap, psys_uj: int | None = None) -> Record:
    """A cell of some ms in which the package draws, and the platform's counter rises or not."""
    window = monitor.open_window(Options("a"))
    threading.Event().wait(0.01)
    height_uj = int(cpu.file("intel-rapl:0").read_text())
    cpu.set("intel-rapl:0", height_uj + 200_000)
    if psys_uj is not None:
        cpu.set("intel-rapl:1", psys_uj)
    return monitor.close_window(window, "ok")


def platform(record: Record) -> DomainEnergy:
    (found,) = (d for d in record.domains if d.domain.kind == "psys")
    return found


def test_a_counter_that_never_moved_is_not_measured_in_short_cells_and_in_no_gap_between(
    monitor: Monitor, cpu: FakePowercap
) -> None:
    record = cell(monitor, cpu)
    assert (platform(record).energy, platform(record).reason) == (None, NEVER)
    assert record.measurement.measured_j is not None  # the package's
    assert f"not measured: {NEVER}" in text.cell(cell_from_records([record]))
    threading.Event().wait(1.01)  # shorter gaps are not booked
    cpu.set("intel-rapl:0", 9_000_000)
    second = cell(monitor, cpu)
    (idle,) = monitor.idle.pending(None)
    known = {d.domain.kind: d.energy is not None for d in idle.measurement.domains}
    assert (known["package"], known["psys"]) == (True, False)
    # It is in no total anyway, so the totals lack nothing.
    assert totals_from_records([record, second])["warnings"] == []


def test_a_counter_that_wakes_up_is_measured_from_then_on_and_bounded_where_it_rests(
    monitor: Monitor, cpu: FakePowercap
) -> None:
    assert platform(cell(monitor, cpu)).energy is None
    woken = platform(cell(monitor, cpu, psys_uj=300_000)).energy
    assert isinstance(woken, Uncertain)
    assert woken.value > 0
    # One that is merely slow: it has moved before, and not in these few ms.
    slow = platform(cell(monitor, cpu)).energy
    assert isinstance(slow, Uncertain)
    assert slow.value <= slow.u95


def test_a_counter_that_died_is_not_measured_in_the_short_cells_after(
    monitor: Monitor, cpu: FakePowercap
) -> None:
    assert platform(cell(monitor, cpu, psys_uj=300_000)).energy is not None
    threading.Event().wait(1.1)  # longer than a counter of its kind stands still
    found = platform(cell(monitor, cpu))
    assert (found.energy, found.reason) == (None, "the counter stood still for 1 s")

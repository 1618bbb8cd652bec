"""What totals do not hold is told beside them."""

from __future__ import annotations

from dataclasses import replace

from strategies import a_record

from jupyter_energy.display import text
from jupyter_energy.missing import without
from jupyter_energy.model import Record
from jupyter_energy.schema import cell_from_records, totals_from_records
from jupyter_energy.sensors.nvidia_pci import ASLEEP
from jupyter_energy.uncertainty import Range, Uncertain

Energies = dict[str, Uncertain | Range | None]
GOOD: Energies = {"gpu": Uncertain(600.0), "package": Uncertain(130.0)}
LOST: Energies = {"gpu": None, "package": Uncertain(130.0)}


def because(record: Record, reason: str) -> Record:
    """The record with a reason for each device that has no figure."""
    domains = tuple(d if d.energy else replace(d, reason=reason) for d in record.domains)
    return replace(record, measurement=replace(record.measurement, domains=domains))


def test_totals_tell_how_long_a_gpu_was_not_measured() -> None:
    runs = [a_record("a", energies=GOOD, duration_s=2), a_record("b", energies=LOST, duration_s=2)]
    found = totals_from_records([runs[0], replace_start(runs[1])])["warnings"]
    assert found == ["GPU 0 was not measured in 2.00 s of 4.00 s: that is in no figure here"]
    assert totals_from_records(runs[:1])["warnings"] == []


def replace_start(record: Record) -> Record:
    """The same run, begun after the other had ended."""
    later = a_record(record.run_id, energies=LOST, duration_s=2, after_s=9)
    return replace(later, measurement=replace(later.measurement, domains=record.domains))


def test_a_gpu_that_sleeps_and_a_memory_that_no_such_machine_measures_are_not_missed() -> None:
    asleep = because(a_record("a", energies=LOST), ASLEEP)
    assert without([asleep]) == []
    no_dram = a_record("b", energies={"package": Uncertain(5.0), "dram": None})
    assert without([no_dram]) == []
    assert without([no_dram, a_record("c", energies={"dram": Uncertain(1.0)})]) != []


def test_a_cells_headline_and_its_row_say_that_a_device_is_missing() -> None:
    lost = because(a_record("b", name="lost", energies=LOST, duration_s=2), "GPU is lost")
    cell = cell_from_records([lost])
    assert "GPU 0 not measured" in text.cell(cell).splitlines()[0]
    summary = {
        "schema": 1,
        "version": "1",
        "notebook": {"id": "n", "path": None, "name": "a"},
        "totals": totals_from_records([lost]),
        "cells": [cell],
    }
    shown = text.summary(summary)  # type: ignore[arg-type]  # a summary, as a plain dictionary
    assert "*" in next(line for line in shown.splitlines() if line.startswith("lost"))
    assert "a device was not measured then" in shown
    assert "GPU 0 was not measured" in shown

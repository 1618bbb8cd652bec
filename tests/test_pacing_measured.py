"""What was saved, measured: in the record of a real monitor, against figures made by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from standins.moved_clock import Ahead, Told, outlook
from standins.sensors import LIMIT_S
from test_factors import KWH, Desk, MakeDesk, at, desk, gpu

from jupyter_energy.documents import record_from_document, record_to_document
from jupyter_energy.model import Record
from jupyter_energy.pacing.meter import WindowMeter
from jupyter_energy.pacing.surroundings import Surroundings
from jupyter_energy.pacing.waits import Wait
from jupyter_energy.reckoning import Promise
from jupyter_energy.store import Store

__all__ = ["desk"]  # a fixture
PROMISE = Promise(0.18, "forecast", "a file")


def shifted(here: Desk, promise: Promise | None = PROMISE) -> Record:
    """An hour that draws 1 kWh, an hour's pause that draws 0.1 kWh, an hour that draws 1 kWh."""
    (sensor,) = here.monitor.sampler.sensors()
    window = here.open()
    meter = WindowMeter(here.monitor, window)
    meter.promise = promise
    here.minutes, sensor.value = 60, KWH  # type: ignore[attr-defined]  # a stand-in
    if promise is not None:
        meter.mark("save")
        here.minutes, sensor.value = 65, 1.01 * KWH  # type: ignore[attr-defined]  # the same
        meter.mark("pause")
        here.minutes, sensor.value = 120, 1.1 * KWH  # type: ignore[attr-defined]  # the same
        meter.mark("run")
        (under_way,) = here.monitor._under_way()
        assert under_way[0].shift is not None  # what a kernel that is killed now leaves behind
    here.minutes, sensor.value = 180, 2.1 * KWH  # type: ignore[attr-defined]  # the same
    return here.monitor.close_window(window, "ok")


def test_what_was_saved_is_what_one_computes_by_hand(desk: MakeDesk) -> None:
    """As run 1 kWh · 500 + 0.1 · 500 + 1 · 100 = 650 g; at once 2 kWh · 500 = 1000 g."""
    here = desk(gpu())
    here.says((0, 500), (120, 100), (240, 100))
    record = shifted(here)
    shift = record.shift
    assert shift is not None
    assert shift.carbon_g is not None
    assert shift.at_once_g is not None
    assert shift.carbon_g.mid == pytest.approx(650, rel=1e-3)
    assert shift.at_once_g.mid == pytest.approx(1000, rel=1e-3)
    assert shift.realised_fraction == pytest.approx(0.35, rel=1e-3)
    assert (shift.planned_fraction, shift.basis, shift.kind) == (0.18, "forecast", "average")
    assert [(s.start, s.end) for s in shift.runs] == [(at(0), at(60)), (at(120), at(180))]
    (pause,) = shift.pauses
    assert (pause.start, pause.end) == (at(60), at(120))
    assert pause.energy_j is not None
    assert pause.energy_j.mid == pytest.approx(0.1 * KWH, rel=1e-3)
    assert record.carbon_g is not None
    assert record.carbon_g.mid == pytest.approx(650, rel=1e-2)  # as its own grams are
    assert "planned 18 %, got 35 % of the emissions attributed to this run" in str(record)
    assert "the pause drew ≈ 100 Wh" in str(record)


def test_the_record_is_kept_with_it_and_one_of_before_is_read_without(desk: MakeDesk) -> None:
    here = desk(gpu())
    here.says((0, 500), (120, 100), (240, 100))
    record = shifted(here)
    document = record_to_document(record)
    assert record_from_document(document) == record
    shift = document["shift"]
    assert isinstance(shift, dict)
    del shift["waits"], shift["waits_g"]
    assert record_from_document(document) == record
    del document["shift"]
    assert record_from_document(document).shift is None
    here.monitor.flush(LIMIT_S)
    notebook = here.monitor.known_notebook()
    assert notebook is not None
    (kept,) = Store(here.monitor.store_path).records(notebook.id)
    assert kept.shift == record.shift
    cell = record.to_dict()
    assert cell["shift"] is not None
    assert cell["shift"]["realised_fraction"] == pytest.approx(0.35, rel=1e-3)


def test_what_nobody_knows_is_not_known(desk: MakeDesk, tmp_path: Path) -> None:
    here = desk(gpu())
    here.says((-600, 500), (-540, 500))  # an old file
    shift = shifted(here).shift
    assert shift is not None
    assert shift.realised_fraction is None
    assert shift.carbon_g is None
    assert shift.note


def test_a_run_that_nobody_shifted_has_no_shift(desk: MakeDesk) -> None:
    here = desk(gpu())
    here.says((0, 500), (240, 100))
    assert shifted(here, None).shift is None


def test_a_wait_in_a_cell_is_reckoned_at_its_end(desk: MakeDesk) -> None:
    """As run 1 kWh · 100 g; at once 1 kWh · 400: 75 % less, as planned. Beside it, what the machine
    drew in two hours: 0.2 kWh · 400 = 80 g."""
    here = desk(gpu())
    here.says((0, 400), (120, 100), (480, 100))
    (sensor,) = here.monitor.sampler.sensors()
    ahead = [400.0] * 24 + [100.0] * 72

    def wait(seconds: float) -> None:
        here.minutes += seconds / 60
        sensor.value = here.minutes / 120 * 0.2 * KWH  # type: ignore[attr-defined]  # a stand-in

    seen = Surroundings(
        utc=lambda: at(here.minutes),
        monotonic_s=lambda: 1000 + 60 * here.minutes,
        wait=wait,
        find=Ahead(lambda *_: (outlook(ahead, at(0)), [])).find,
        line=Told(),
        close=lambda: None,
    )
    window = here.open()
    waited = Wait(seen, WindowMeter(here.monitor, window)).held(3600.0, 6 * 3600.0)
    # Two hours at 400 g/kWh by 30 % of its power are 60 % of the run at once.
    assert waited.saved_fraction == pytest.approx(0.75 - 0.6)
    assert here.minutes == pytest.approx(120)
    here.minutes, sensor.value = 180, 1.2 * KWH  # type: ignore[attr-defined]  # the same
    shift = here.monitor.close_window(window, "ok").shift
    assert shift is not None
    assert shift.planned_fraction == pytest.approx(0.75)
    assert shift.realised_fraction == pytest.approx(0.75, rel=1e-2)
    assert [(s.start, s.end) for s in shift.waits] == [(at(0), at(120))]
    assert shift.pauses == ()
    assert shift.waits_g is not None
    assert shift.waits_g.mid == pytest.approx(80, rel=1e-2)

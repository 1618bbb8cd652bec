"""What a wait is told to draw is what was seen here, where something was."""

from __future__ import annotations

import pytest
from standins.moved_clock import ClockMeter, MovedClock, Told, around, series
from standins.sensors import LIMIT_S, FakeSensor
from test_factors import KWH, Desk, MakeDesk, desk

from jupyter_energy.model import Domain
from jupyter_energy.open_window import Options
from jupyter_energy.pacing import known
from jupyter_energy.pacing.waits import Wait
from jupyter_energy.plan.pausing import Powers, assumed

__all__ = ["desk"]  # a fixture


def ran(here: Desk, kwh: float, minutes: float = 60.0) -> None:
    """A cell of an hour that draws so much, by all sensors together."""
    window = here.monitor.open_window(Options())
    drew(here, kwh, minutes)
    here.monitor.close_window(window, "ok")


def drew(here: Desk, kwh: float, minutes: float) -> None:
    """So much is drawn in so many minutes."""
    here.minutes += minutes
    for sensor in here.monitor.sampler.sensors():
        sensor.value += kwh * KWH  # type: ignore[attr-defined]  # a stand-in


def first_line(here: Desk) -> str:
    """What a wait of two hours tells first, for one of an hour at 75 % less."""
    clock, told = MovedClock(), Told()
    ahead = series([400.0] * 24 + [100.0] * 480)
    wait = Wait(
        around(clock, ahead, told), ClockMeter(clock), lambda: known.powers(here.monitor, None)
    )
    wait.held(3600.0, 6 * 3600.0)
    return told.lines[0]


def test_memory_draws_on_while_a_run_waits(desk: MakeDesk) -> None:
    here = desk(FakeSensor(Domain("dram", 0, "memory")))
    assert known.powers(here.monitor, None) == Powers()
    ran(here, 1.0)
    assert known.powers(here.monitor, None) == assumed(1.0)
    line = first_line(here)
    assert "begins at once: " in line
    assert "would save 75 % of the emissions attributed to this run" in line
    assert "and a kernel that waits for it adds 200 %" in line
    assert "assumed to draw 100 % of the run's power (taken to be that of earlier runs; " in line


def test_a_store_that_cannot_be_read_leaves_the_wait_as_assumed(desk: MakeDesk) -> None:
    here = desk(FakeSensor(Domain("dram", 0, "memory")))
    ran(here, 1.0)
    here.monitor.flush(LIMIT_S)
    here.monitor.store_path = here.monitor.store_path.parent  # a folder is no database
    line = first_line(here)
    assert "assumed to draw 30 % of the run's power), " in line, line


@pytest.mark.parametrize(("idle_kwh", "adds"), [(0.05, "10 %"), (0.9, "180 %")])
def test_what_was_measured_between_cells_is_what_a_wait_draws(
    desk: MakeDesk, idle_kwh: float, adds: str
) -> None:
    here = desk(FakeSensor(Domain("package", 0, "a processor")))
    ran(here, 1.0)
    drew(here, idle_kwh, 60.0)
    ran(here, 1.0)
    found = known.powers(here.monitor, None)
    assert found.is_measured
    assert found.idle == pytest.approx(idle_kwh, rel=1e-3)
    line = first_line(here)
    assert "drawing" in line
    assert "as measured between cells" in line
    said = {"10 %": "(75 %, less 10 % for the wait", "180 %": "begins at once: "}
    assert said[adds] in line
    assert adds in line


def test_what_was_estimated_between_cells_is_told_as_an_estimate(desk: MakeDesk) -> None:
    here = desk(FakeSensor(Domain("package", 0, "a processor"), spread=(0.5, 2.0)))
    ran(here, 1.0)
    drew(here, 0.05, 60.0)
    ran(here, 1.0)
    found = known.powers(here.monitor, None)
    assert (found.is_measured, found.idle) == (False, pytest.approx(0.05, rel=1e-3))
    assert found.bounds == pytest.approx((0.0125, 0.2), rel=1e-3)
    line = first_line(here)
    assert "drawing 5 % of the run's power (taken to be that of earlier runs), as estimated" in line

"""What memory draws does not fall in a pause: counted against the first one already."""

from __future__ import annotations

import pytest
from standins.moved_clock import ClockMeter, MovedClock, Told, around, series
from standins.sensors import FakeSensor
from test_factors import KWH, MakeDesk, desk

from jupyter_energy.model import Domain
from jupyter_energy.pacing.meter import WindowMeter
from jupyter_energy.pacing.pacer import Pacer
from jupyter_energy.plan.pausing import assumed

__all__ = ["desk"]  # a fixture
DIRTY_FIRST = [400.0] * 2 * 12 + [200.0] * 40 * 12


def paced(memory_w: float, hours: float | None) -> tuple[float, list[str]]:
    """The s that a loop of four hours at 4 W took, of which memory draws some, and what was told;
    a pause draws that and nothing else."""
    clock, told = MovedClock(), Told()
    meter = ClockMeter(clock, 4.0, memory_w, memory_w=memory_w)
    pacer = Pacer("2h", hours, around=around(clock, series(DIRTY_FIRST), told), meter=meter)
    pacer.begin(None if hours else 240)
    for step in range(240):
        if pacer.due(step):
            pacer.pause()
        clock.run(60.0)
    pacer.end()
    return clock.passed_s, told.lines


@pytest.mark.parametrize("hours", [None, 4.0])
def test_a_loop_whose_power_is_next_to_all_memorys_is_never_paused(hours: float | None) -> None:
    took_s, told = paced(3.8, hours)
    assert took_s == 240 * 60
    assert told[0].startswith("runs on without a pause: no pauses would save 2 % or more")
    said = "pauses assumed to draw 96 % of the loop's power (memory's whole, 30 % of the rest))"
    assert told[0].endswith(said)  # which is why


@pytest.mark.parametrize("hours", [None, 4.0])
def test_one_whose_memory_draws_little_is_and_is_told_what_is_assumed(hours: float | None) -> None:
    took_s, told = paced(0.4, hours)
    assert took_s > 240 * 60 + 3600
    said = "pauses assumed to draw 37 % of the loop's power (memory's whole, 30 % of the rest)"
    assert any(said in line for line in told)


def test_the_bounds_of_what_a_pause_draws_have_memory_whole() -> None:
    assert assumed(0.5).idle == pytest.approx(0.65)
    assert assumed(0.5).bounds == pytest.approx((0.5, 0.75))
    assert assumed(0.0).bounds == pytest.approx((0.0, 0.5))


@pytest.mark.parametrize(("kind", "part"), [("dram", KWH), ("package", 0.0)])
def test_what_memory_drew_is_read_from_its_own_domain(
    desk: MakeDesk, kind: str, part: float
) -> None:
    here = desk(FakeSensor(Domain(kind, 0, "a device")))
    (sensor,) = here.monitor.sampler.sensors()
    window = here.open()
    meter = WindowMeter(here.monitor, window)
    here.minutes, sensor.value = 60, KWH  # type: ignore[attr-defined]  # a stand-in
    (segment,) = meter.segments()
    assert segment.constant_j == pytest.approx(part, rel=1e-3)
    here.monitor.close_window(window, "ok")

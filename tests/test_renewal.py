"""When a counter is renewed: what readings tell of it, and what they do not."""

from __future__ import annotations

import random

from simulation import Counter, random_cell

from jupyter_energy.model import Sample
from jupyter_energy.renewal import Renewal
from jupyter_energy.trace import Trace
from jupyter_energy.uncertainty import Uncertain
from jupyter_energy.window import between


class Quicker(Counter):
    """A counter that is renewed five times as often as it declares."""

    def renewed_s(self) -> float:
        declared_s, self.period_s = self.period_s, self.period_s / 5
        found = super().renewed_s()
        self.period_s = declared_s
        return found


def first_cell(rng: random.Random) -> tuple[float, Uncertain]:
    """The truth and the figure of the first cell of a kernel, read around its edges."""
    cell = random_cell(rng, back_to_back=False, longest_s=2.0)
    sensor = Quicker(cell.load, 0.1, rng.uniform(0, 0.02))
    sensor.tells_s = 0.01
    trace = Trace(sensor)

    def read(t_s: float) -> Sample:
        sensor.now_s = t_s
        return trace.add(t_s, sensor.read())

    read(cell.begin_s - 5.0)
    start = read(cell.begin_s)
    for n in range(1, 7):
        read(cell.begin_s + 0.02 * n)
    stop = read(cell.end_s)
    for n in range(1, 7):
        read(cell.end_s + 0.02 * n)
    settled = read(cell.end_s + 0.15)
    energy = between(sensor, start, stop, cell.begin_s, cell.end_s, settled).energy
    assert isinstance(energy, Uncertain)
    return cell.truth_j, energy


def test_the_first_cell_holds_where_the_counter_is_renewed_more_often_than_it_declares() -> None:
    rng = random.Random(1)
    found = [first_cell(rng) for _ in range(300)]
    held = [abs(energy.value - truth_j) <= energy.u95_repeat for truth_j, energy in found]
    assert sum(held) >= 0.9 * len(held)


def test_one_renewal_tells_nothing_of_the_one_before_until_the_period_has_been_seen() -> None:
    renewal = Renewal(0.1)
    renewal.saw(0.0, 1.0)
    age = renewal.age(0.0)
    renewal.saw(0.02, 1.0)
    renewal.saw(0.04, 2.0)  # the next one came between 20 and 40 ms after the reading
    assert age.low_s == 0.0
    for step in range(3, 8):
        renewal.saw(0.02 * step, 2.0 if step < 7 else 3.0)
    # Renewals 100 ms apart have been seen: so the one before was 60 to 80 ms before the reading.
    assert 0.055 < age.low_s < 0.065
    assert 0.075 < age.high_s < 0.085

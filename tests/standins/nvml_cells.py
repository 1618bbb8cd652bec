"""Cells on a GPU of known power, through the real bindings, the real sampler and its threads."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from jupyter_energy.sampler import Sampler
from jupyter_energy.sensors import nvml
from jupyter_energy.sensors.base import Machine
from jupyter_energy.sensors.nvml_sensor import Clocks
from jupyter_energy.uncertainty import Uncertain
from jupyter_energy.window import Edge, measure

from . import FakeNvml, NvmlClock
from .sensors import LIMIT_S, everything
from .stepped import SteppedClock

BEFORE_W, WITHIN_W, AFTER_W = 100, 700, 150
FIRST_S, PERIOD_S = 1000.0, 0.1
START = datetime(2026, 11, 22, tzinfo=UTC)


def cells(
    fake: FakeNvml, library: Path, machine: Machine, settings: str, lasts_s: float, number: int
) -> list[dict[str, Any]]:
    """What came of each cell that ran at `WITHIN_W`: truth, value and half-widths in J, or why
    there is none. Cells begin and end at random moments of the counter's period, and last as long
    as was asked to within half of it: after 0.25 s and the 0.15 s until the settle read it would
    else be as old as at the start, and what is not known of the two would nearly cancel."""
    rng = random.Random(f"{settings} {lasts_s}")
    random.seed(1)  # of the sampler's own jitter
    times_s, t_s = [], FIRST_S
    profile = [f"0:{BEFORE_W}"]
    for _ in range(number):
        t_s += rng.uniform(3.0, 4.0)
        end_s = t_s + lasts_s + rng.uniform(-PERIOD_S, PERIOD_S) / 2
        times_s.append((t_s, end_s))
        profile += [f"{t_s!r}:{WITHIN_W}", f"{end_s!r}:{AFTER_W}"]
        t_s = end_s + 1.0
        profile.append(f"{t_s!r}:{BEFORE_W}")
    fake.set(f"{settings} profile={','.join(profile)}")
    own = NvmlClock(library)
    clock = SteppedClock(own.set, FIRST_S)
    family: Any = SimpleNamespace(
        __name__="nvml",
        WORKER=nvml.WORKER,
        discover=lambda machine: nvml.discover(machine, Clocks(clock, own.realtime)),
    )
    sampler = Sampler(machine, lambda: [family], 1.0, clock, clock.wait, lambda: 0.0, 60.0)
    sampler.start()
    assert sampler.wait_until_found(LIMIT_S)
    (sensor,) = sampler.sensors()
    # Behind all that its worker is still to do.
    clock.at_rest = lambda: sampler.ask(sensor, sensor.read, 60.0)
    found = [_cell(sampler, clock, *times) for times in times_s]
    for one, times in zip(found, times_s, strict=True):
        one["truth_j"] = own.true_j(0, *times)
    sampler.close()
    return found


def _cell(sampler: Sampler, clock: SteppedClock, begin_s: float, end_s: float) -> dict[str, Any]:
    clock.go_to(begin_s)
    start = sampler.opening_edge(everything, shown=True)
    clock.go_to(end_s)
    stop = sampler.closing_edge(everything, shown=True)
    told: list[Edge | None] = []
    settles = sampler.settle(stop, told.append, shown=True)
    clock.go_to(end_s + 0.5)
    (settled,) = told if settles else [None]
    (domain,) = measure(START, start, stop, (), settled).domains
    if not isinstance(domain.energy, Uncertain):
        return {"reason": domain.reason}
    energy = domain.energy
    return {
        "value_j": energy.value,
        "u95_repeat_j": energy.u95_repeat,
        "u95_j": energy.u95,
        "is_settled": settled is not None,
    }

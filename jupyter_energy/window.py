"""Energy between two edges, with its uncertainty and coverage: pure functions.

An edge holds one trace sample (or the reason that there is none) for each sensor that was asked.
Whatever the sensor, a window is E(stop) - E(start).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from .model import DomainEnergy, Measurement, Sample
from .sensors.base import Absence, Sensor
from .trace import PLAUSIBLE_W
from .uncertainty import Range, Uncertain

# A window that a sensor saw less than this of has no figure, only a reason.
LEAST_COVERAGE = 0.5
# Gauges are read about this often while a window is open (config.py's interval_s).
GAUGE_STEP_S = 1.0


@dataclass(frozen=True, slots=True)
class Edge:
    """One edge of a window: `t_s` is monotonic; a reading is a sample, or why there is none."""

    t_s: float
    readings: Mapping[Sensor, Sample | str]


def boundary_u_j(begin_w: float, end_w: float, period_s: float) -> float:
    """Standard uncertainty in J of two reads of a counter that is renewed every `period_s`.

    T·sqrt((Pb² + Pe²)/12): the ages of the two values are uniform in (0, T)
    (measuring.md 6.1; GUM F.2.3.3 for the rectangular distribution).
    """
    return period_s * math.sqrt((begin_w**2 + end_w**2) / 12)


def between(sensor: Sensor, start: Sample, stop: Sample, duration_s: float) -> DomainEnergy:
    """What one sensor's domain drew between two samples of its trace, over `duration_s`."""

    def none(reason: str, coverage: float = 0.0) -> DomainEnergy:
        return DomainEnergy(sensor.domain, None, "none", sensor.source, coverage, reason)

    read_s = stop.t_s - start.t_s
    if read_s <= 0 or duration_s <= 0:
        return none("the cell was shorter than the clock can tell")
    energy_j = stop.energy_j - start.energy_j
    coverage = min(1.0, (stop.covered_s - start.covered_s) / read_s)
    if coverage < LEAST_COVERAGE:
        return none(f"the sensor saw {coverage:.0%} of the window", coverage)
    energy: Uncertain | Range
    if sensor.spread is not None:
        low, high = sensor.spread
        # The counter behind the estimate has a step too (CPU time comes in ticks of 10 ms), and a
        # short cell can fall between two of them.
        least_j, most_j = max(0.0, energy_j - sensor.step_j), energy_j + sensor.step_j
        energy = Range(least_j * low, energy_j, most_j * high)
    else:
        energy = Uncertain(
            energy_j,
            _u_random_j(sensor, energy_j, read_s, duration_s, read_s * (1 - coverage)),
            sensor.accuracy.gain * energy_j / math.sqrt(3),  # rectangular: half-width/sqrt(3)
        )
    partial = None if coverage > 0.995 else f"the sensor saw {coverage:.0%} of the window"
    if sensor.provenance == "integrated" and duration_s < 2 <= 2 * sensor.period_s:
        partial = f"its power is a mean over {sensor.period_s:g} s, longer than half of this"
    return DomainEnergy(
        sensor.domain, energy, sensor.provenance, sensor.source, coverage, reason=partial
    )


def _u_random_j(
    sensor: Sensor, energy_j: float, read_s: float, duration_s: float, gap_s: float
) -> float:
    """Standard uncertainty in J between repeats: age of the values, step, moment of the reads.

    measuring.md 6.5. Where the counter did not move at all, the power is unknown: then the most
    that the part can draw bounds what may have been missed.
    """
    power_w = energy_j / read_s if energy_j > 0 else (sensor.max_w or PLAUSIBLE_W)
    boundary_j = boundary_u_j(power_w, power_w, min(sensor.period_s, read_s))
    step_j = sensor.step_j / math.sqrt(6)
    jitter_j = power_w * abs(read_s - duration_s) / math.sqrt(3)
    # What was drawn while nobody looked lies between nothing and the most that the part can draw.
    most_w = max(power_w, sensor.max_w or PLAUSIBLE_W)
    gap_j = gap_s * most_w / math.sqrt(3)
    sampling_j = 0.0
    if sensor.kind == "gauge":
        # Power that jumps between two readings: ΔP·h·sqrt(edges/12), here for one jump up and one
        # down by all that the part can draw (measuring.md 6.4).
        sampling_j = most_w * min(read_s, GAUGE_STEP_S) * math.sqrt(2 / 12)
    return math.hypot(boundary_j, step_j, jitter_j, gap_j, sampling_j)


def measure(
    start_utc: datetime, start: Edge, stop: Edge, absences: Sequence[Absence] = ()
) -> Measurement:
    """The measurement of a window: every domain that was asked for, found or absent.

    An estimate is kept only where no sensor gave a figure for that kind of domain, so that the
    same joules are not told twice; the reason of the absence then stands beside the estimate.
    """
    duration_s = max(0.0, stop.t_s - start.t_s)
    found: list[DomainEnergy] = []
    for sensor in dict.fromkeys((*start.readings, *stop.readings)):
        # A sensor that was found since then has a trace that began at 0 within this window.
        first = start.readings.get(sensor, Sample(start.t_s, 0.0, 0.0))
        last = stop.readings.get(sensor, "the sensor went away")
        if isinstance(first, Sample) and isinstance(last, Sample):
            found.append(between(sensor, first, last, duration_s))
        else:
            reason = first if isinstance(first, str) else str(last)
            found.append(DomainEnergy(sensor.domain, None, "none", sensor.source, 0.0, reason))
    found += [DomainEnergy(a.domain, None, "none", a.source, 0.0, a.reason) for a in absences]
    return Measurement(start_utc, duration_s, _one_figure_a_domain(found))


def _one_figure_a_domain(found: Sequence[DomainEnergy]) -> tuple[DomainEnergy, ...]:
    """Measured figures, else estimates with the reason why nothing was measured."""
    measured_kinds = {d.domain.kind for d in found if isinstance(d.energy, Uncertain)}
    estimated_kinds = {d.domain.kind for d in found if isinstance(d.energy, Range)}
    reasons: dict[str, str] = {}
    for d in found:
        if d.energy is None and d.reason is not None:
            reasons.setdefault(d.domain.kind, d.reason)
    kept = []
    for d in found:
        kind = d.domain.kind
        if isinstance(d.energy, Range):
            if kind in measured_kinds:
                continue
            reason = "; ".join(filter(None, (reasons.get(kind, "no sensor"), d.reason)))
            kept.append(
                DomainEnergy(d.domain, d.energy, d.provenance, d.source, d.coverage, reason)
            )
        elif d.energy is not None or kind not in estimated_kinds or kind in measured_kinds:
            kept.append(d)
    return tuple(sorted(kept, key=_order))


_KINDS = ("gpu", "module", "package", "dram", "psys")


def _order(d: DomainEnergy) -> tuple[int, int]:
    """GPU, CPU, memory, the rest: the order in which people ask."""
    kind = d.domain.kind
    return (_KINDS.index(kind) if kind in _KINDS else len(_KINDS), d.domain.index)

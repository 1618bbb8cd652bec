"""Energy between two edges, with its uncertainty and coverage: pure functions.

An edge holds one trace sample (or the reason that there is none) for each sensor that was asked.
Whatever the sensor, a window is E(stop) - E(start), where a value that was read is that of a
moment before: what was drawn since then is added at the power of that moment, and the moment not
being known is what makes the interval (measuring.md 6.1 to 6.5).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from .gpu_use import within
from .model import DomainEnergy, Measurement, Sample
from .sensors.base import Absence, Sensor
from .signals import raise_if_users
from .trace import PLAUSIBLE_W
from .uncertainty import Range, Spread, Uncertain

# A window that a sensor saw less than this of has no figure, only a reason.
LEAST_COVERAGE = 0.5
# Standard uncertainties of a power near an edge, as shares of it. All ours, found with
# tests/coverage.py; the sensor's gain is not in them. On an idle machine, as the device told it:
U_IDLE = 0.025
# as reckoned from the counter over an idle stretch, in which something happens now and then:
U_RECKONED = 0.10
# as the device told it while code ran, up to 0.1 s before (of changes that come now and then, the
# mean square grows with the time since):
U_RUNNING = 0.20
# at the end of running code, by a mean over the second before (nothing was seen of its shape):
U_LONG_MEAN = 0.13
# in a moment of which only the mean over some time around it is known: so much after a long time,
# and less where power had less time to change than MEAN_S:
U_MEAN, MEAN_S = 0.43, 1.2
# A counter that has not moved for so long, and for so many of its periods, is broken.
STILL_S, STILL_PERIODS = 1.0, 10
NEVER_MOVED = "the counter has not moved since it was first read"
# From so long a mean on, a power says little of a moment.
LONG_MEAN_S = 0.5


@dataclass(frozen=True, slots=True)
class Edge:
    """One edge of a window: `t_s` is monotonic; a reading is a sample, or why there is none.

    `asleep_s` is how long the machine has been suspended since it was started, `quiet_s` how long
    no window had been open before this edge, in s.
    """

    t_s: float
    readings: Mapping[Sensor, Sample | str]
    asleep_s: float = 0.0
    quiet_s: float = math.inf


@dataclass(frozen=True, slots=True)
class Power:
    """A power in W near an edge, with its standard uncertainty in W."""

    watts: float
    u_w: float


@dataclass(frozen=True, slots=True)
class Span:
    """One sensor's samples around a window: at its start, at its end, and where there is one, the
    settle read after it. `begin_s` and `end_s` are the window's own moments, `quiet_s` is how
    long no window was open before it."""

    sensor: Sensor
    start: Sample
    stop: Sample
    begin_s: float
    end_s: float
    settled: Sample | None = None
    quiet_s: float = math.inf

    @property
    def last(self) -> Sample:
        """The sample that tells the end best."""
        return self.stop if self.settled is None else self.settled

    @property
    def read_s(self) -> float:
        """The time between the two reads at the edges, in s."""
        return self.stop.t_s - self.start.t_s

    @property
    def mean_w(self) -> float:
        """Mean power in W between the two reads, before any correction; in a window hardly longer
        than the counter's period no more than can be drawn."""
        mean_w = (self.stop.energy_j - self.start.energy_j) / self.read_s
        return min(mean_w, self.most_w)

    @property
    def most_w(self) -> float:
        """The most power in W that the domain can draw, as far as is known."""
        return self.sensor.max_w or PLAUSIBLE_W


def between(
    sensor: Sensor,
    start: Sample,
    stop: Sample,
    begin_s: float,
    end_s: float,
    settled: Sample | None = None,
    quiet_s: float = math.inf,
) -> DomainEnergy:
    """What one sensor's domain drew from `begin_s` to `end_s`, by samples of its trace."""

    def none(reason: str, coverage: float = 0.0) -> DomainEnergy:
        return DomainEnergy(sensor.domain, None, "none", sensor.source, coverage, reason)

    span = Span(
        sensor, start, stop, begin_s, end_s, _holding(sensor, stop, end_s, settled), quiet_s
    )
    duration_s = end_s - begin_s
    if span.read_s <= 0 or duration_s <= 0:
        return none("the cell was shorter than the clock can tell")
    coverage = min(1.0, (stop.covered_s - start.covered_s) / span.read_s)
    if coverage < LEAST_COVERAGE:
        return none(f"the sensor saw {coverage:.0%} of the window", coverage)
    if (still := why_still(sensor, start, span.last, span.read_s)) is not None:
        return none(still, coverage)
    energy: Uncertain | Range
    if sensor.spread is not None:
        energy_j = stop.energy_j - start.energy_j
        low, high = sensor.spread
        # The counter behind the estimate has a step too (CPU time comes in ticks of 10 ms), and a
        # short cell can fall between two of them.
        least_j, most_j = max(0.0, energy_j - sensor.step_j), energy_j + sensor.step_j
        energy = Range(least_j * low, energy_j, most_j * high)
    else:
        energy = _measured(span, coverage)
    # Only some have one: a calibration and its date, a slice of a GPU, a counter not believed.
    partial: str | None = getattr(sensor, "remark", None)
    if coverage <= 0.995:
        partial = f"the sensor saw {coverage:.0%} of the window"
    if sensor.provenance == "integrated" and duration_s < 2 <= 2 * sensor.averages_s:
        partial = f"its power is a mean over {sensor.averages_s:g} s, longer than half of this"
    return DomainEnergy(
        *(sensor.domain, energy, sensor.provenance, sensor.source, coverage, partial),
        use=within(start.use, stop.use),
    )


def why_still(sensor: Sensor, start: Sample, last: Sample, read_s: float) -> str | None:
    """Why a counter that has not moved between two samples tells nothing of that time, or None.

    One that never has may not be wired at all, so that no bound is known, however short the window.
    One that has moved may be between two renewals, unless it has stood still for too long: whatever
    is switched on draws something, and 0 J would be a figure that nobody measured.
    """
    counts = sensor.kind == "counter" and sensor.spread is None
    if not counts or last.energy_j > start.energy_j:
        return None
    if math.isinf(last.still_s):
        return NEVER_MOVED
    still_s = max(read_s, last.still_s)
    if still_s < longest_still_s(sensor):
        return None
    return f"the counter stood still for {still_s:.0f} s"


def longest_still_s(sensor: Sensor) -> float:
    """For how long a counter that works may stand still, in s."""
    return max(STILL_S, STILL_PERIODS * sensor.period_s)


def _holding(sensor: Sensor, stop: Sample, end_s: float, settled: Sample | None) -> Sample | None:
    """The settle read, if it holds: its value was renewed after the end, at a power that is known,
    and the trace has no gap since then."""
    if settled is None or settled.power_w is None:
        return None
    is_late_enough = settled.t_s - settled.age.high_s >= end_s
    told_since = settled.power_since_s >= end_s
    whole = math.isclose(settled.covered_s - stop.covered_s, settled.t_s - stop.t_s, abs_tol=1e-9)
    return settled if is_late_enough and told_since and whole else None


def _measured(span: Span, coverage: float) -> Uncertain:
    """The energy of a window in J, with the distributions of what is not known of it."""
    sensor, start, last = span.sensor, span.start, span.last
    before, after = _before(span), _after(span)
    # How long before the edge the value is from, in the mean; after the edge where it is negative.
    begin_lag_s = span.begin_s - start.t_s + start.age.mean_s
    end_lag_s = span.end_s - last.t_s + last.age.mean_s
    energy_j = last.energy_j - start.energy_j
    energy_j += after.watts * end_lag_s - before.watts * begin_lag_s
    random = (
        _boundary(span, before, after)
        # Of the product of a power and an age, neither of which is known.
        + Spread.normal(before.u_w * math.hypot(begin_lag_s, start.age.half_s / math.sqrt(3)))
        + Spread.normal(after.u_w * math.hypot(end_lag_s, last.age.half_s / math.sqrt(3)))
        + Spread.rectangular(before.watts * start.took_s / 2)
        + Spread.rectangular(after.watts * last.took_s / 2)
        + Spread.normal(math.sqrt(_missed_j2(span)))
        # What was drawn while nobody looked lies between nothing and the most that can be drawn.
        + Spread.rectangular((1 - coverage) * span.read_s * span.most_w)
    )
    energy_j = max(0.0, energy_j)
    # No more can have been drawn than can be drawn in this time: in a window far shorter than the
    # counter's period that says more than its two values do.
    most_j = span.most_w * (span.end_s - span.begin_s)
    if random.u95 > most_j:
        energy_j = min(energy_j, most_j)
        random = Spread.rectangular(max(energy_j, most_j - energy_j))
    systematic = Spread.rectangular(sensor.accuracy.gain * energy_j)
    return Uncertain.made(energy_j, random, systematic)


def _boundary(span: Span, before: Power, after: Power) -> Spread:
    """The ages of the two values, and the step of the counter."""
    sensor, start, last = span.sensor, span.start, span.last
    step = Spread()
    if sensor.step_j:
        step = Spread.rectangular(sensor.step_j / 2) + Spread.rectangular(sensor.step_j / 2)
    if sensor.kind == "gauge":
        return _unseen(span)
    ages = boundary(before.watts, after.watts, start.age.half_s, last.age.half_s)
    if span.settled is None and span.mean_w <= 0:
        # Not moved at all: the power within is unknown, and all of it may have been missed.
        unseen_s = min(span.read_s, 2 * last.age.half_s)
        ages += Spread.rectangular(unseen_s * span.most_w)
    return ages + step


def _missed_j2(span: Span) -> float:
    """Variance in J² of what a gauge missed. That power fell at the end of the window is known:
    of the fall only the sensor's own lateness is left, and not the time between two readings."""
    missed_j2 = span.stop.missed_j2 - span.start.missed_j2
    if span.settled is None:
        return missed_j2
    tail_s2 = (span.settled.t_s - span.stop.t_s) ** 2
    late_s2 = span.sensor.period_s**2
    tail_j2 = span.settled.missed_j2 - span.stop.missed_j2
    return missed_j2 + tail_j2 * late_s2 / (tail_s2 + late_s2)


def boundary(begin_w: float, end_w: float, begin_half_s: float, end_half_s: float) -> Spread:
    """The error in J of two values whose ages are only known to within ±half_s.

    For ages uniform in (0, T) its standard deviation is T·sqrt((Pb² + Pe²)/12) (measuring.md 6.1;
    GUM F.2.3.3 for the rectangular distribution).
    """
    return Spread.rectangular(begin_w * begin_half_s) + Spread.rectangular(end_w * end_half_s)


def _unseen(span: Span) -> Spread:
    """What a gauge may have missed is in its jumps; but two readings at the edges are no knowledge
    of what lay between them."""
    if span.stop.number - span.start.number > 1:
        return Spread()
    return Spread.rectangular(span.read_s * span.most_w)


def _before(span: Span) -> Power:
    """Power in the moment before the window began."""
    start, sensor = span.start, span.sensor
    if start.power_w is None:
        # Nobody knows: anything up to what was drawn then.
        return Power(span.mean_w / 2, span.mean_w / math.sqrt(12))
    told = start.t_s - start.power_since_s <= _moment_s(sensor)
    if span.quiet_s >= _moment_s(sensor):
        return Power(start.power_w, start.power_w * (U_IDLE if told else U_RECKONED))
    u = _u_running(sensor) if told else _u_mean(start.t_s - start.power_since_s)
    return Power(start.power_w, start.power_w * u)


def _after(span: Span) -> Power:
    """Power in the moment of the last reading: after the window where that is the settle read,
    else in the window's last moment."""
    last = span.last
    if last.power_w is None:
        return Power(span.mean_w, span.mean_w * _u_mean(span.read_s))
    if span.read_s < span.sensor.averages_s:
        return _after_less_than_a_mean(span, last.power_w)
    if last.power_since_s < span.begin_s and span.sensor.averages_s < LONG_MEAN_S:
        return Power(span.mean_w, span.mean_w * _u_mean(span.read_s))
    told = last.t_s - last.power_since_s <= _moment_s(span.sensor)
    if span.settled is not None:
        return Power(last.power_w, last.power_w * (U_IDLE if told else U_RECKONED))
    u = _u_running(span.sensor) if told else _u_mean(last.t_s - last.power_since_s)
    return Power(last.power_w, last.power_w * u)


def _after_less_than_a_mean(span: Span, last_w: float) -> Power:
    """The power at the end that makes the whole right where the window is shorter than what the
    sensor takes the mean over: that mean then holds all of the window and of the time before it
    the rest, at a power that is known."""
    sensor, before = span.sensor, _before(span)
    late_s = sensor.period_s / 2
    seen_s = max(span.read_s - late_s, late_s)
    within_w = max(0.0, before.watts + sensor.averages_s * (last_w - before.watts) / seen_s)
    lag_s = span.last.age.mean_s
    missing_j = within_w * span.read_s - (span.stop.energy_j - span.start.energy_j)
    watts = (missing_j + before.watts * lag_s) / lag_s
    return Power(watts, within_w * late_s / lag_s)


def _u_mean(seconds: float) -> float:
    """Standard uncertainty of a power in a moment, as a share of its mean over so many seconds.

    Of a short time the mean itself is not known well, since its ends are not.
    """
    return max(U_RUNNING, U_MEAN * math.sqrt(seconds / (seconds + MEAN_S)))


def _u_running(sensor: Sensor) -> float:
    """Standard uncertainty of a power that was told while code ran, as a share of it."""
    if sensor.averages_s >= LONG_MEAN_S:
        return U_LONG_MEAN
    return U_RUNNING * math.sqrt(min(1.0, (sensor.period_s + sensor.averages_s) / 0.1))


def _moment_s(sensor: Sensor) -> float:
    """What a power that the device tells for a moment is the mean over, at most, in s."""
    return 2 * max(sensor.period_s, sensor.averages_s)


def measure(
    start_utc: datetime,
    start: Edge,
    stop: Edge,
    absences: Sequence[Absence] = (),
    settled: Edge | None = None,
) -> Measurement:
    """The measurement of a window: every domain that was asked for, found or absent.

    `settled` is what was read a moment after the window, where something was.

    An estimate is kept only where no sensor gave a figure for that kind of domain, so that the
    same joules are not told twice; the reason of the absence then stands beside the estimate.
    """
    duration_s = max(0.0, stop.t_s - start.t_s)
    found: list[DomainEnergy] = []
    for sensor in dict.fromkeys((*start.readings, *stop.readings)):
        # A sensor that was found since then has a trace that began at 0 within this window.
        first = start.readings.get(sensor, Sample(start.t_s, 0.0, 0.0))
        last = stop.readings.get(sensor, "the sensor went away")
        reason = first if isinstance(first, str) else str(last)
        if isinstance(first, Sample) and isinstance(last, Sample):
            later = None if settled is None else settled.readings.get(sensor)
            after = later if isinstance(later, Sample) else None
            span = first, last, start.t_s, stop.t_s, after, start.quiet_s
            try:
                found.append(between(sensor, *span))
                continue
            except Exception as error:  # noqa: BLE001  one that declares nonsense is alone in it
                raise_if_users(error)
                reason = f"failed: {type(error).__name__}: {error}"
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

"""One sensor's readings as energy that only grows: unwrapped, integrated, gaps left out.

A trace keeps two sums: the energy that is known, and the seconds over which it is known. Every
window is then a difference between two samples of the trace, for counters and gauges alike, and
a stretch that nobody saw lowers the coverage instead of inventing joules.
"""

from __future__ import annotations

import math
import threading

from .gauges import Gauge
from .model import Age, Sample
from .renewal import Renewal
from .sensors.base import Reading, Sensor

# A gauge read less often than this leaves too much to guess between two readings: measuring.md
# 6.4 (a trapezoid over a stall is off by up to the stall times the power's swing).
LONGEST_GAUGE_STEP_S = 2.5
# Where a sensor does not say how much its domain can draw: above any socket sold today
# (500 W parts exist, short peaks are 1.2 times that), so that a real reading is never refused.
PLAUSIBLE_W = 1000.0
# A thread can lose the processor between stamping a reading and making it, for tens of ms on a
# busy machine; a short window then holds more than its own seconds of energy. A real reset is
# off by the counter's whole height, so this much slack lets none through.
STAMP_SLACK_S = 0.1
# Mean power over fewer periods of the sensor says more about when it was last renewed than about
# the load: over n of them its standard deviation is 1/(n·√6) (measuring.md 6.1), 8 % at 5.
POWER_PERIODS = 5


class Trace:
    """The energy of one sensor in J since the trace began, over the seconds it covers.

    `gaps` counts the stretches left out, `last_gap` says why the latest was. Whoever adds a
    reading holds `lock` from before it is made: two threads that read one counter would else add
    the older value behind the newer one, which looks like a wrap. They also say whether before it
    the machine `slept` or the driver was `restarted`.
    """

    def __init__(self, sensor: Sensor) -> None:
        self._sensor = sensor
        self.lock = threading.RLock()
        self.is_read = False  # by the thread that holds the lock
        self._t_s: float | None = None
        self._raw: float | None = None  # None after a reading that cannot be built on
        self._energy_j = 0.0
        self._covered_s = 0.0
        self._power: tuple[float, float] | None = None  # W, since when
        self._power_from: tuple[float, float] | None = None  # t_s, energy_j
        self._renewal = Renewal(sensor.period_s)
        self._gauge = Gauge(sensor) if sensor.kind == "gauge" else None
        self._moved_s = -math.inf  # the last reading of a counter that was not as the one before
        self._number = 0
        self._missed_j2 = 0.0  # by the gauges before a gap
        self.slept = self.restarted = False
        self.gaps = 0
        self.last_gap: str | None = None

    def add(self, t_s: float, told: Reading | float, took_s: float = 0.0) -> Sample:
        """The trace after a reading: `t_s` monotonic, in J (counter) or W (gauge).

        `took_s` is how long it took. A reading that is not later than the last one changes
        nothing: what it would add is in the next difference anyway.
        """
        reading = told if isinstance(told, Reading) else Reading(told)
        if self._gauge is not None and reading.past:
            self._gauge.is_stamped = True
        for past_s, watts in reading.past:
            if (self._t_s is None or past_s > self._t_s) and past_s < t_s:
                self._step(past_s, watts)
        if self._t_s is None or t_s > self._t_s:
            self._step(t_s, reading.raw)
            if reading.power_w is not None and self._is_power(reading.power_w):
                self._power = reading.power_w, t_s - self._sensor.period_s
        return self._sample(took_s)

    def _sample(self, took_s: float) -> Sample:
        assert self._t_s is not None
        power_w, since_s = self._power or (None, 0.0)
        missed_j2 = self._missed_j2
        if self._gauge is None:
            age = self._renewal.age(self._t_s)
        else:
            # By how much a gauge was late at a jump is among what it missed; here is the mean.
            age = Age(self._gauge.lag_s, self._gauge.lag_s)
            missed_j2 += self._gauge.missed_j2
        return Sample(
            self._t_s,
            self._energy_j,
            self._covered_s,
            power_w,
            since_s,
            age,
            took_s,
            missed_j2,
            self._number,
            still_s=0.0 if self._gauge is not None else self._t_s - self._moved_s,
        )

    def _step(self, t_s: float, raw: float) -> None:
        """Take in one reading."""
        self._number += 1
        refused = self._refusal(raw)
        if self._raw is not None and raw != self._raw and not refused:
            self._moved_s = t_s
        if self._t_s is not None or refused:
            gap = refused or self._gap_before(t_s)
            gained_j = gap or self._gained_j(t_s, raw)
            if isinstance(gained_j, str):
                self._gap(gained_j)
            elif self._t_s is not None:
                # In one, with no call in between at which Ctrl-C could come: the next reading
                # would else find this stretch counted and count it again.
                self._covered_s += t_s - self._t_s
                self._energy_j += gained_j
                self._t_s, self._raw = t_s, raw
                self._renew_power(t_s)
        self.slept = self.restarted = False
        self._t_s, self._raw = t_s, None if refused else raw
        if refused:
            return
        if self._gauge is not None:
            self._gauge.saw(t_s, raw)  # changes nothing where it has seen it already
            self._power = self._gauge.power
            return
        self._renewal.saw(t_s, raw)
        if self._power_from is None:
            self._power_from = t_s, self._energy_j

    def _is_power(self, watts: float) -> bool:
        return math.isfinite(watts) and 0 <= watts <= 2 * self._limit_w()

    def _refusal(self, raw: float) -> str | None:
        """Why a reading cannot be believed whatever came before it, or None."""
        if not math.isfinite(raw) or raw < 0:
            return f"the sensor gave {raw:g}, which is no reading"
        # Twice the limit, because peaks of some ms do pass it (AC-3.5b).
        if self._sensor.kind == "gauge" and not self._is_power(raw):
            limit_w = self._limit_w()
            return f"the sensor gave {raw:.0f} W, more than twice the {limit_w:.0f} W it can draw"
        return None

    def _gap_before(self, t_s: float) -> str | None:
        """Why nothing can be known of the time before a reading, whatever it is; or None."""
        if self._t_s is None or self._raw is None:
            return self.last_gap or "no reading to start from"
        if self._gauge is not None and t_s - self._t_s > LONGEST_GAUGE_STEP_S:
            return f"no reading for {t_s - self._t_s:.1f} s"
        if self.restarted:
            return "the driver was loaded again"
        return "the machine slept" if self._gauge is not None and self.slept else None

    def _gained_j(self, t_s: float, raw: float) -> float | str:
        """Energy in J since the reading before, or why it cannot be known."""
        if self._gauge is not None:
            return self._gauge.saw(t_s, raw)
        assert self._t_s is not None
        assert self._raw is not None
        return self._risen_j(t_s - self._t_s, self._raw, raw)

    def _risen_j(self, dt_s: float, before: float, now: float) -> float | str:
        sensor = self._sensor
        limit_w, wraps_at_j = self._limit_w(), sensor.wraps_at_j
        if wraps_at_j is not None and dt_s * limit_w > wraps_at_j:
            # measuring.md 2.2: a second turn of the counter could hide in so long a time
            return f"no reading for {dt_s:.0f} s, in which the counter may have wrapped unseen"
        gained_j = now - before
        if gained_j < 0:
            if self.slept:  # a counter that starts again at 0 looks like one that wrapped
                return "the counter fell while the machine slept"
            if wraps_at_j is None:
                return "the counter fell: its driver was reset, or it wrapped at an unknown height"
            # The counter holds values 0..range, so a wrap spans one step more than the range.
            gained_j += wraps_at_j + sensor.step_j
            if gained_j < 0:
                return "the counter fell from above its own range"
        # A reading is up to one period old; two allow for a period that is not kept exactly
        # (1.2 ms was seen where RAPL promises 1 ms). An estimate is our own arithmetic: it has
        # no driver that could be reset.
        late_s = max(2 * sensor.period_s, STAMP_SLACK_S)
        most_j = limit_w * (dt_s + late_s) + sensor.step_j
        if sensor.provenance != "estimated" and gained_j > most_j:
            return (
                f"the counter rose by {gained_j:.0f} J in {dt_s:.2f} s, more than can be drawn: "
                "a reset, or a machine that slept"
            )
        return gained_j

    def _limit_w(self) -> float:
        return self._sensor.max_w or PLAUSIBLE_W

    def _gap(self, reason: str) -> None:
        self.gaps += 1
        self.last_gap = reason
        self._power = self._power_from = None
        self._renewal = Renewal(self._sensor.period_s)
        if self._gauge is not None:
            self._missed_j2 += self._gauge.missed_j2
            self._gauge = Gauge(self._sensor, self._gauge.is_stamped)

    def _renew_power(self, t_s: float) -> None:
        """The counter's mean power since the last time that it was reckoned."""
        if self._power_from is None or self._gauge is not None:
            return
        from_s, from_j = self._power_from
        if t_s - from_s >= POWER_PERIODS * self._sensor.period_s:
            self._power = (self._energy_j - from_j) / (t_s - from_s), from_s
            self._power_from = t_s, self._energy_j

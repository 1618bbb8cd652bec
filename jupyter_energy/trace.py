"""One sensor's readings as energy that only grows: unwrapped, integrated, gaps left out.

A trace keeps two sums: the energy that is known, and the seconds over which it is known. Every
window is then a difference between two samples of the trace, for counters and gauges alike, and
a stretch that nobody saw lowers the coverage instead of inventing joules.
"""

from __future__ import annotations

import math
import threading

from .model import Sample
from .sensors.base import Sensor

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

    `last_w` is the mean power in W over at least the last five periods of the sensor, None while
    it is unknown. `gaps` counts the stretches left out, `last_gap` says why the latest was.
    Whoever adds a reading holds `lock` from before it is made: two threads that read one counter
    would else add the older value behind the newer one, which looks like a wrap.
    """

    def __init__(self, sensor: Sensor) -> None:
        self._sensor = sensor
        self.lock = threading.Lock()
        self._t_s: float | None = None
        self._raw: float | None = None  # None after a reading that cannot be built on
        self._energy_j = 0.0
        self._covered_s = 0.0
        self._power_from: tuple[float, float] | None = None  # covered_s, energy_j
        self.last_w: float | None = None
        self.gaps = 0
        self.last_gap: str | None = None

    def add(self, t_s: float, raw: float) -> Sample:
        """The trace after a reading: `t_s` monotonic, `raw` in J (counter) or W (gauge).

        A reading that is not later than the last one changes nothing: what it would add is in
        the next difference anyway.
        """
        if self._t_s is not None and t_s <= self._t_s:
            return Sample(self._t_s, self._energy_j, self._covered_s)
        refused = self._refusal(raw)
        if self._t_s is None:
            if refused:
                self._gap(refused)
        elif self._raw is None or refused:
            self._gap(refused or self.last_gap or "no reading to start from")
        else:
            dt_s = t_s - self._t_s
            gained_j = self._gain_j(dt_s, self._raw, raw)
            if isinstance(gained_j, str):
                self._gap(gained_j)
            else:
                self._energy_j += gained_j
                self._covered_s += dt_s
                self._renew_power()
        self._t_s, self._raw = t_s, None if refused else raw
        if self._power_from is None:
            self._power_from = self._covered_s, self._energy_j
        return Sample(t_s, self._energy_j, self._covered_s)

    def _refusal(self, raw: float) -> str | None:
        """Why a reading cannot be believed whatever came before it, or None."""
        if not math.isfinite(raw) or raw < 0:
            return f"the sensor gave {raw:g}, which is no reading"
        limit_w = self._limit_w()
        # Twice the limit, because peaks of some ms do pass it (AC-3.5b).
        if self._sensor.kind == "gauge" and raw > 2 * limit_w:
            return f"the sensor gave {raw:.0f} W, more than twice the {limit_w:.0f} W it can draw"
        return None

    def _gain_j(self, dt_s: float, before: float, now: float) -> float | str:
        """Energy in J between two readings, or why it cannot be known."""
        sensor = self._sensor
        if sensor.kind == "gauge":
            if dt_s > LONGEST_GAUGE_STEP_S:
                return f"no reading for {dt_s:.1f} s"
            return (before + now) / 2 * dt_s
        limit_w, wraps_at_j = self._limit_w(), sensor.wraps_at_j
        if wraps_at_j is not None and dt_s * limit_w > wraps_at_j:
            # measuring.md 2.2: a second turn of the counter could hide in so long a time
            return f"no reading for {dt_s:.0f} s, in which the counter may have wrapped unseen"
        gained_j = now - before
        if gained_j < 0:
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
        self.last_w = self._power_from = None

    def _renew_power(self) -> None:
        if self._power_from is None:
            return
        from_s, from_j = self._power_from
        seconds = self._covered_s - from_s
        if seconds > 0 and seconds >= POWER_PERIODS * self._sensor.period_s:
            self.last_w = (self._energy_j - from_j) / seconds
            self._power_from = self._covered_s, self._energy_j

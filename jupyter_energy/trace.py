"""One sensor's readings as energy that only grows: unwrapped, integrated, gaps left out.

A trace keeps two sums: the energy that is known, and the seconds over which it is known. Every
window is then a difference between two samples of the trace, for counters and gauges alike, and
a stretch that nobody saw lowers the coverage instead of inventing joules.
"""

from __future__ import annotations

from .model import Sample
from .sensors.base import Sensor

# A gauge read less often than this leaves too much to guess between two readings: measuring.md
# 6.4 (a trapezoid over a stall is off by up to the stall times the power's swing).
LONGEST_GAUGE_STEP_S = 2.5
# Where a sensor does not say how much its domain can draw: above any socket sold today
# (500 W parts exist, short peaks are 1.2 times that), so that a real reading is never refused.
PLAUSIBLE_W = 1000.0


class Trace:
    """The energy of one sensor in J since the trace began, over the seconds it covers.

    Not thread-safe: the sampler, who owns all traces, holds its lock.
    """

    def __init__(self, sensor: Sensor) -> None:
        self._sensor = sensor
        self._t_s: float | None = None
        self._raw = 0.0
        self._energy_j = 0.0
        self._covered_s = 0.0
        self.last_w: float | None = None

    def add(self, t_s: float, raw: float) -> Sample:
        """The trace after a reading: `t_s` monotonic, `raw` in J (counter) or W (gauge)."""
        if self._t_s is not None and t_s > self._t_s:
            dt_s = t_s - self._t_s
            gained_j = self._gain_j(dt_s, raw)
            if gained_j is not None:
                self._energy_j += gained_j
                self._covered_s += dt_s
                self.last_w = gained_j / dt_s
        if self._t_s is None or t_s >= self._t_s:
            self._t_s, self._raw = t_s, raw
        return Sample(t_s, self._energy_j, self._covered_s)

    def _gain_j(self, dt_s: float, raw: float) -> float | None:
        """Energy in J since the last reading, or None where it cannot be known."""
        sensor = self._sensor
        limit_w = sensor.max_w or PLAUSIBLE_W
        if sensor.kind == "gauge":
            if dt_s > LONGEST_GAUGE_STEP_S or not 0 <= raw <= 2 * limit_w:
                return None
            return (raw + self._raw) / 2 * dt_s
        wraps_at_j = sensor.wraps_at_j
        if wraps_at_j is not None and dt_s * limit_w > wraps_at_j:
            return None  # it may have wrapped more often than can be told (measuring.md 2.2)
        gained_j = raw - self._raw
        if gained_j < 0:
            if wraps_at_j is None:
                return None  # a counter that falls was reset: driver reload, restored machine
            # The counter holds values 0..range, so a wrap spans one step more than the range.
            gained_j += wraps_at_j + sensor.step_j
        if gained_j > limit_w * dt_s + sensor.step_j + limit_w * sensor.period_s:
            return None  # more than the part can draw: a reset that looks like a wrap
        return gained_j

"""Power readings as energy, and how much may have been missed between them."""

from __future__ import annotations

from .sensors.base import Sensor

# Between readings further apart than this, power is taken to have jumped more than once. Ours,
# found with tests/coverage.py where half of the readings are missed.
ONE_JUMP_S = 0.14
# Readings of the driver's own are one period apart, but for what its clock is off. Ours.
LEAST_WHOLE = 0.98


class Gauge:
    """One power sensor's energy, by straight lines between its readings.

    `power` is the last power in W with the moment since when it is the mean. `missed_j2` is the
    variance in J² of what was missed between the readings; it only grows.
    """

    def __init__(self, sensor: Sensor, is_stamped: bool = False) -> None:
        self._period_s, self._mean_s = sensor.period_s, sensor.averages_s
        self._last: tuple[float, float] | None = None  # t_s, W
        # Whether the driver says when it was renewed: then no value is older than its stamp.
        self.is_stamped = is_stamped
        self.power: tuple[float, float] | None = None
        self.missed_j2 = 0.0

    @property
    def lag_s(self) -> float:
        """How far a reading is behind in the mean, in s: it is the mean over some time, renewed
        some time ago."""
        return self._mean_s / 2 if self.is_stamped else (self._period_s + self._mean_s) / 2

    def saw(self, t_s: float, watts: float) -> float:
        """Energy in J since the reading before; 0 for the first one, and for one seen already."""
        if self._last is not None and t_s <= self._last[0]:
            return 0.0
        last, self._last = self._last, (t_s, watts)
        self.power = watts, t_s - self._period_s - self._mean_s
        if last is None:
            return 0.0
        last_s, last_w = last
        dt_s = t_s - last_s
        self.missed_j2 += (watts - last_w) ** 2 * self._unsure_s2(dt_s) / 12
        return (last_w + watts) / 2 * dt_s

    def _unsure_s2(self, dt_s: float) -> float:
        """Twelve times the variance, in s², of the moment of a jump between two readings.

        It is anywhere in the time between them, of which the mean shows a part (measuring.md 6.4
        has it for a power of the moment); and a reading is late by up to one period.
        """
        unseen_s, late_s2 = dt_s - self._mean_s, 0.0
        if not self.is_stamped:
            # A mean over many readings is late by the mean of their ages.
            averages = max(1.0, self._mean_s / dt_s)
            late_s2 = self._period_s**2 / averages
        elif dt_s < LEAST_WHOLE * self._period_s:
            # One of the two was read between two of the driver's, and shows the older of these.
            unseen_s = self._period_s
        # In a long time it may have jumped more than once.
        return (max(0.0, unseen_s) ** 2 + late_s2) * max(1.0, dt_s / ONE_JUMP_S)

"""Power readings as energy, and how much may have been missed between them."""

from __future__ import annotations

from .sensors.base import Sensor

# Between readings further apart than this, power is taken to have jumped more than once. Ours,
# found with tests/coverage.py where half of the readings are missed.
ONE_JUMP_S = 0.14


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
        # A jump at an unknown moment between two readings leaves (ΔP·h)²/12 (measuring.md 6.4).
        # A sensor that is renewed every T and sees the last W of it is late by up to T more, and
        # smooths over W. In a long time it may have jumped more than once.
        late_s = 0.0 if self.is_stamped else self._period_s
        unsure_s2 = max(0.0, dt_s**2 * max(1.0, dt_s / ONE_JUMP_S) + late_s**2 - self._mean_s**2)
        self.missed_j2 += (watts - last_w) ** 2 * unsure_s2 / 12
        return (last_w + watts) / 2 * dt_s

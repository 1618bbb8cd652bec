"""When a counter is renewed: how old the value of a reading is, as far as readings can tell.

A counter that is renewed every T shows a value that is up to T old. Reading it again around an
edge of a window tells more: it was renewed between the last reading with the old value and the
first one with the new, and one T before that as well (measuring.md 6.7).
"""

from __future__ import annotations

import math

from .model import Age

# How far a period may be from what the sensor declares, until it has been seen. Ours.
TOLERANCE = 0.02
# A counter that stands still would else gather ages for ever.
MOST_OPEN = 32


class Renewal:
    """The renewals of one counter, which declares one every `period_s`."""

    def __init__(self, period_s: float) -> None:
        # What T is known to lie between.
        self._low_s, self._high_s = (1 - TOLERANCE) * period_s, (1 + TOLERANCE) * period_s
        self._last: tuple[float, float] | None = None  # t_s, value
        self._renewed: tuple[float, float] | None = None  # the last renewal lies between these
        self._open: list[tuple[float, Age]] = []  # ages that the next renewal makes narrower
        # Until two renewals have been seen one after the other, the period is only declared: then
        # nothing is concluded from one renewal on the one before. What is to be, once it is known:
        # ages with the moments, seen from their readings, that the next renewal lies between.
        self._is_known = False
        self._undecided: list[tuple[Age, float, float]] = []

    def saw(self, t_s: float, value: float) -> None:
        """Take in a reading, not earlier than the one before."""
        if self._last is None:
            self._last = t_s, value
            return
        last_s, last_value = self._last
        if value != last_value:
            self._was_renewed(last_s, t_s)
        for read_s, age in self._open:
            if value == last_value:
                # It has not been renewed since, so it was not that old.
                _narrow(age, 0.0, self._high_s - (t_s - read_s))
            elif t_s - last_s <= self._low_s:  # else there may have been several
                self._undecided.append((age, last_s - read_s, t_s - read_s))
        if value != last_value:
            self._open = []
        if self._is_known:
            self._decide()
        self._last = t_s, value

    def _decide(self) -> None:
        """Conclude from renewals on those before them, one period earlier."""
        for age, after_s, by_s in self._undecided:
            if by_s - after_s > self._low_s:  # there may have been several
                continue
            # When it came and how long T is are independent: their sum is as wide as this.
            half_s = math.hypot(by_s - after_s, self._high_s - self._low_s) / 2
            mean_s = (self._low_s + self._high_s - after_s - by_s) / 2
            age.high_s = min(age.high_s, self._high_s)
            _narrow(age, mean_s - half_s, mean_s + half_s)
        self._undecided = []

    def age(self, t_s: float) -> Age:
        """The age of the value that was read at `t_s`, the last reading; it may become narrower
        with the readings to come."""
        age = Age(0.0, (self._low_s + self._high_s) / 2)
        if self._renewed is not None:
            after_s, by_s = self._renewed
            # Where no reading was made for some periods, it has been renewed unseen.
            if t_s - by_s <= self._low_s:
                _narrow(age, t_s - by_s if self._is_known else 0.0, t_s - after_s)
        self._open = [*self._open[1 - MOST_OPEN :], (t_s, age)]
        self._undecided = self._undecided[-MOST_OPEN:]
        return age

    def _was_renewed(self, after_s: float, by_s: float) -> None:
        """It was renewed, perhaps more than once, after one moment and not later than another."""
        if self._renewed is not None:
            first_after_s, first_by_s = self._renewed
            low_s, high_s = after_s - first_by_s, by_s - first_after_s
            self._is_known |= high_s - low_s <= 2 * self._low_s
            if low_s <= self._high_s and high_s >= self._low_s:
                self._low_s = max(self._low_s, low_s)
                self._high_s = min(self._high_s, high_s)
            elif high_s < self._low_s:
                # It is renewed more often than it declares.
                self._low_s, self._high_s = low_s, high_s
        self._renewed = after_s, by_s


def _narrow(age: Age, low_s: float, high_s: float) -> None:
    """Leave of an age what lies within bounds; nothing changes where nothing would be left."""
    low_s, high_s = max(age.low_s, low_s), min(age.high_s, high_s)
    if low_s <= high_s:
        age.low_s, age.high_s = low_s, high_s

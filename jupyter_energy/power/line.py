"""Power over time as steps that take a bounded memory."""

from __future__ import annotations

import math


class Line:
    """Power over time as steps: W over each stretch that ends at `ends_s`, None where unknown.

    The first stretch begins at `begin_s`. There are never more than `most`: when they have become
    so many, neighbours are put together, as their mean, and from then on a stretch is twice as
    long. So a cell of 24 h takes the memory of one of 3 min, and the mean is never touched.
    """

    def __init__(self, begin_s: float, most: int, least_s: float = 0.0) -> None:
        self.begin_s = begin_s
        self.least_s = least_s  # a shorter stretch takes in the next one
        self.ends_s: list[float] = []
        self.power_w: list[float | None] = []
        self._most = most

    def add(self, end_s: float, power_w: float | None) -> None:
        """Go on to `end_s` at a power in W, or not knowing it."""
        self._put(end_s, power_w)
        while len(self.ends_s) >= self._most:
            span_s = self.ends_s[-1] - self.begin_s
            self.least_s = max(2 * self.least_s, 2 * span_s / self._most)
            stretches = zip(self.ends_s, self.power_w, strict=True)
            self.ends_s, self.power_w = [], []
            for stretch in stretches:
                self._put(*stretch)

    def join(self, end_s: float, power_w: float) -> bool:
        """Go on to `end_s` as a part of the last stretch; False where its power is unknown."""
        if not self.power_w or self.power_w[-1] is None:
            return False
        least_s, self.least_s = self.least_s, math.inf
        self._put(end_s, power_w)
        self.least_s = least_s
        return True

    def _put(self, end_s: float, power_w: float | None) -> None:
        if self.ends_s:
            last_s = self.ends_s[-2] if len(self.ends_s) > 1 else self.begin_s
            before_s, now_s = self.ends_s[-1] - last_s, end_s - self.ends_s[-1]
            before_w = self.power_w[-1]
            alike = (before_w is None) == (power_w is None)
            # What is known and what is not go together only where one of them is too short to see.
            tiny = 10 * min(before_s, now_s) < self.least_s
            if before_s < self.least_s and (alike or tiny):
                self.ends_s[-1] = end_s
                if before_w is not None and power_w is not None and before_s + now_s > 0:
                    mean_w = (before_s * before_w + now_s * power_w) / (before_s + now_s)
                    self.power_w[-1] = mean_w
                elif now_s > before_s:
                    self.power_w[-1] = power_w
                return
        self.ends_s.append(end_s)
        self.power_w.append(power_w)

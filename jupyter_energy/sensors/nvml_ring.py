"""The ring of power samples that NVIDIA's driver keeps: what happened since the last call.

For parts without an energy counter. Depth and spacing differ by part, from 119 samples 17 ms apart
to as many 1 s apart (measuring.md 1.4), so both are taken from the samples' own stamps.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from ..errors import SensorError
from ..units import MW_PER_W
from .base import Reading
from .nvml_errors import NOT_FOUND, code
from .nvml_values import ALL_ONES_32, Call, member, plausible

# NVML_TOTAL_POWER_SAMPLES of nvml.h.
POWER_SAMPLES = 0
US_PER_S = 1e6
# Stamps are µs since 1970, our seconds monotonic. The two move apart only where the system's clock
# is stepped; by more than this, a stamp can no longer be told (measuring.md section 8).
CLOCK_STEP_S = 0.005
# A sample above twice what the board may draw is no sample (AC-3.5b).
REFUSED_ABOVE = 2.0


class Ring:
    """Power in W with the samples since the last call. `plain` gives it where none has come.

    `period_s` is the spacing of the samples in s, None until three have come at once; `refused`
    counts samples that could not be.
    """

    def __init__(
        self,
        pynvml: Any,
        plain: Call,
        limit_w: float | None,
        clock: Callable[[], float],
        realtime: Callable[[], float],
    ) -> None:
        self._pynvml = pynvml
        self._plain = plain
        self._most_w = float("inf") if limit_w is None else REFUSED_ABOVE * limit_w
        self._clock, self._realtime = clock, realtime
        self._offset_s: float | None = None
        self._last_us = 0
        self._last_t_s = float("-inf")
        self.period_s: float | None = None
        self.refused = 0

    def __call__(self, handle: Any) -> Reading:
        """Raises NVMLError, SensorError."""
        try:
            kind, samples = self._pynvml.nvmlDeviceGetSamples(handle, POWER_SAMPLES, self._last_us)
        except self._pynvml.NVMLError as error:
            if code(error) != NOT_FOUND:
                raise
            kind, samples = 1, []
        now_s, realtime_s = self._clock(), self._realtime()
        offset_s = realtime_s - now_s
        step_s = 0.0 if self._offset_s is None else offset_s - self._offset_s
        self._offset_s = offset_s
        if abs(step_s) > CLOCK_STEP_S:
            # Stamps from before the step mean other moments than stamps after it. Where the clock
            # was set back, they look as if made until then: so long the ring tells nothing.
            set_back_s = max(0.0, -step_s)
            self._last_us = int((realtime_s + set_back_s) * US_PER_S)
            self._last_t_s = now_s + set_back_s
            return self._plain(handle)
        past = tuple(self._told(kind, samples, offset_s, now_s))
        if len(past) >= 3:
            gaps_s = sorted(b - a for (a, _), (b, _) in pairwise(past))
            self.period_s = gaps_s[len(gaps_s) // 2]
        if not past:
            return self._plain(handle)
        self._last_t_s = past[-1][0]
        self._last_us = int((self._last_t_s + offset_s) * US_PER_S)
        return Reading(past[-1][1], past=past)

    def _told(
        self, kind: int, samples: list[Any], offset_s: float, now_s: float
    ) -> list[tuple[float, float]]:
        """The samples that are new and can be, as (monotonic s, W), oldest first."""
        found = []
        for sample in samples:
            t_s = sample.timeStamp / US_PER_S - offset_s
            # The stamp comes in whole µs, so that of the last sample can look a hair younger.
            if not self._last_t_s + 2 / US_PER_S < t_s <= now_s + CLOCK_STEP_S:
                continue
            try:
                power_w = plausible(member(sample.sampleValue, kind), ALL_ONES_32) / MW_PER_W
            except SensorError:
                power_w = float("inf")
            if power_w > self._most_w or power_w == float("inf"):
                self.refused += 1
            else:
                found.append((t_s, power_w))
        return sorted(found)

"""How busy a GPU is and how much of its memory is taken, from what NVIDIA's driver keeps of it.

The driver keeps a ring of utilisation samples, each the percent of the time since the sample before
in which a kernel ran (nvml.h, nvmlDeviceGetSamples). Read every few seconds it has no gap, and a
call costs some µs (measuring.md 1.5: utilisation 2.5 µs, memory 12 µs on a laptop's GPU).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import SensorError
from ..gpu_use import UseSoFar
from .nvml_errors import NOT_FOUND, code
from .nvml_ring import US_PER_S
from .nvml_values import ALL_ONES_64, member, plausible

# NVML_GPU_UTILIZATION_SAMPLES of nvml.h.
UTILIZATION_SAMPLES = 1
# More often nothing is gained: advice rests on runs of many seconds.
LOOKS_EVERY_S = 1.0
# And no more of the time than this is spent on looks: a slow driver is asked less often, because
# what waits behind it is the reading of the next GPU.
MOST_SHARE = 0.001
# Samples are 1/6 to 1 s apart (nvml.h, nvmlUtilization_t); a longer gap is one that nobody saw.
LONGEST_STEP_S = 2.0


class Use:
    """The use of one GPU so far. A driver that keeps no samples is asked once, and no more."""

    def __init__(
        self, pynvml: Any, clock: Callable[[], float], realtime: Callable[[], float]
    ) -> None:
        self._pynvml, self._clock, self._realtime = pynvml, clock, realtime
        self._next_s = float("-inf")
        self._last_us: int | None = None  # of the last sample; before the first: when we began
        self._begun = False  # whether a sample has come
        self._tells_memory = True
        self._so_far: UseSoFar | None = UseSoFar()

    def look(self, handle: Callable[[], Any]) -> UseSoFar | None:
        """The use so far, renewed where the last look was long enough ago; None where untold."""
        begin_s = self._clock()
        if self._so_far is None or begin_s < self._next_s:
            return self._so_far
        try:
            self._so_far = self._renewed(self._so_far, handle())
        except (self._pynvml.NVMLError, SensorError):
            # Slices, WSL and old parts tell none: a call that fails is not made at every edge.
            if not self._begun:
                self._so_far = None
        took_s = self._clock() - begin_s
        self._next_s = begin_s + max(LOOKS_EVERY_S, took_s / MOST_SHARE)
        return self._so_far

    def _renewed(self, before: UseSoFar, device: Any) -> UseSoFar:
        """The use up to now. Raises NVMLError, SensorError."""
        busy_s, known_s = self._since(device)
        return UseSoFar(before.busy_s + busy_s, before.known_s + known_s, *self._memory(device))

    def _memory(self, device: Any) -> tuple[int | None, int | None]:
        """Taken and whole memory in bytes; None where it is not told, or is the CPU's too."""
        if not self._tells_memory:
            return None, None
        try:
            memory = self._pynvml.nvmlDeviceGetMemoryInfo(device)
        except self._pynvml.NVMLError:
            self._tells_memory = False
            return None, None
        used, total = int(memory.used), int(memory.total)
        return (used, total) if 0 <= used <= total < ALL_ONES_64 and total else (None, None)

    def _since(self, device: Any) -> tuple[float, float]:
        """Busy and known time in s since the last look. Raises NVMLError, SensorError."""
        if self._last_us is None:
            self._last_us = int(self._realtime() * US_PER_S)
        try:
            kind, samples = self._pynvml.nvmlDeviceGetSamples(
                device, UTILIZATION_SAMPLES, self._last_us
            )
        except self._pynvml.NVMLError as error:
            if code(error) != NOT_FOUND:  # none since then
                raise
            return 0.0, 0.0
        busy_s = known_s = 0.0
        for sample in sorted(samples, key=lambda s: s.timeStamp):
            step_s = (sample.timeStamp - self._last_us) / US_PER_S
            if step_s <= 0:
                continue
            percent = plausible(member(sample.sampleValue, kind), 101)
            if step_s <= LONGEST_STEP_S:
                busy_s += percent / 100 * step_s
                known_s += step_s
            self._last_us, self._begun = sample.timeStamp, True
        return busy_s, known_s

"""What power over time is read from: files with a count, and a recording that is replayed."""

from __future__ import annotations

import os
import struct
import sys
import time
from bisect import bisect_right
from typing import Any

from .line import Line

# Where a source does not say how much it can draw, as in trace.py.
PLAUSIBLE_W = 1000.0
# How late a counter may be behind its time stamp; a real reset is off by far more.
SLACK_S = 0.1
# A file that took longer to read was read by a process that had lost the processor: the moment of
# its value is not known, and over the 0.1 s to the next reading that is an error of 5 %.
SLOW_READ_S = 0.005
# A counter is renewed every ms (RAPL), so that power over less than this is off by some per cent
# by chance alone.
SHORTEST_S = 0.03
# The clock that runs on in suspend has run ahead by more than this: the machine has slept.
SLEPT_S = 0.2
PERF_COUNT = "=qQQ"  # count, ns enabled, ns running: uapi/linux/perf_event.h
BUSY_FIELDS = (1, 2, 3, 6, 7)  # user, nice, system, irq, softirq of /proc/stat: proc(5)


class NoReadingError(Exception):
    """A source gave nothing; the text says why."""


class Source:
    """One device: its readings, in J of a counter or in W of a gauge, and what comes of them."""

    is_gauge = False

    def __init__(self, plan: dict[str, Any], most: int) -> None:
        self._last_s = time.monotonic()
        self._last: tuple[float, float] | None = None  # t_s and reading
        self._slept_s = slept_s()
        self._step_j, self._wraps_at_j = plan["step_j"], plan["wraps_at_j"]
        self._limit_w = plan["max_w"] or PLAUSIBLE_W
        self.counted = plan["counted"]
        self.line = Line(self._last_s, most, plan.get("least_s", 0.0))
        self.latest: tuple[float, float] | None = None  # t_s and W of a stretch that just ended
        self.readings = 0
        self.longest_gap_s = 0.0
        self.reason: str | None = None

    def read(self) -> tuple[float, float] | None:
        """When (monotonic s), and the reading; None for one that is not to be used.

        Raises NoReadingError.
        """
        raise NotImplementedError

    def add(self, t_s: float, raw: float, now_slept_s: float, is_last: bool = False) -> None:
        """Go on to `t_s` with a reading; `now_slept_s` is how long the machine has slept."""
        slept = now_slept_s - self._slept_s > SLEPT_S
        last, self._last = self._last, (t_s, raw)
        self._slept_s = now_slept_s
        self.readings += 1
        self.longest_gap_s = max(self.longest_gap_s, t_s - self._last_s)
        self._last_s = t_s
        # After a sleep a counter may have begun again at 0, and a gauge speaks of another time.
        power_w = None if last is None or slept else self._power_w(t_s, raw, *last)
        short = last is not None and t_s - last[0] < SHORTEST_S and not self.is_gauge
        if short and power_w is not None:
            if self.line.join(t_s, power_w):
                return
            if not is_last:
                self._last = last  # the next reading counts from there
                return
        self._go_on(t_s, power_w)

    def lose(self, t_s: float, reason: str) -> None:
        """Go on to `t_s` without a reading."""
        self.reason = reason
        self._last = None
        self._go_on(t_s, None)

    def _go_on(self, t_s: float, power_w: float | None) -> None:
        self.line.add(t_s, power_w)
        self.latest = None if power_w is None else (t_s, power_w)

    def _power_w(self, t_s: float, now: float, before_s: float, before: float) -> float | None:
        """Mean power in W between two readings; None where it cannot be known (see trace.py)."""
        if self.is_gauge:
            return (before + now) / 2 if max(before, now) <= 2 * self._limit_w else None
        gained_j, dt_s = now - before, t_s - before_s
        if gained_j < 0 and self._wraps_at_j is not None:
            gained_j += self._wraps_at_j + self._step_j
        most_j = self._limit_w * (dt_s + SLACK_S) + self._step_j
        return float(gained_j / dt_s) if dt_s > 0 and 0 <= gained_j <= most_j else None

    def document(self) -> dict[str, Any]:
        """What is told of the device in the end."""
        return {
            "begin_s": self.line.begin_s,
            "ends_s": self.line.ends_s,
            "power_w": self.line.power_w,
            "least_s": self.line.least_s,
            "readings": self.readings,
            "longest_gap_s": self.longest_gap_s,
            "reason": self.reason,
        }


class Affine(Source):
    """J = j_per_unit × count + idle_w × s, where the count stands in a file.

    RAPL's counter (idle_w 0), the estimate from CPU time (a count of ticks or of µs), and that of
    the memory, which has no file.
    """

    def __init__(self, plan: dict[str, Any], most: int) -> None:
        super().__init__(plan, most)
        self._j_per_unit, self._idle_w = plan["j_per_unit"], plan["idle_w"]
        self._cpus = frozenset(name.encode() for name in plan.get("cpus", ()))
        self._bytes = plan.get("bytes", 64)
        file = plan.get("file")
        self._descriptor = None if file is None else os.open(file, os.O_RDONLY)

    def read(self) -> tuple[float, float] | None:
        """When, and the energy in J since some moment."""
        before_s = after_s = time.monotonic()
        count = 0
        try:
            if self._descriptor is not None:
                text = os.pread(self._descriptor, self._bytes, 0)
                after_s = time.monotonic()
                count = self._ticks(text) if self._cpus else int(text.split(b"\n")[0].split()[-1])
        except OSError as error:
            raise NoReadingError(error.strerror or "the file cannot be read") from None
        except (ValueError, IndexError):
            raise NoReadingError("the file holds no number") from None
        if after_s - before_s > SLOW_READ_S:
            return None
        return after_s, self._j_per_unit * count + self._idle_w * after_s

    def _ticks(self, text: bytes) -> int:
        """The ticks in which some processors were busy, from their lines of /proc/stat."""
        lines = [line.split(None, 8) for line in text.split(b"\n")]
        ours = [fields for fields in lines if fields and fields[0] in self._cpus]
        return sum(int(fields[number]) for fields in ours for number in BUSY_FIELDS)


class Event(Source):
    """A perf event of the kernel, whose descriptor this process was started with: only the kernel
    that opened it may have been allowed to. As `PerfPower` in sensors/perf_power.py."""

    def __init__(self, plan: dict[str, Any], most: int) -> None:
        super().__init__(plan, most)
        self._descriptor, self._j_per_unit = plan["descriptor"], plan["j_per_unit"]
        self._running_ns = 0

    def read(self) -> tuple[float, float]:
        """When, and the counter in J, which wraps."""
        try:
            count, _, running_ns = struct.unpack(PERF_COUNT, os.read(self._descriptor, 24))
        except (OSError, struct.error):
            raise NoReadingError("the perf event gives no count") from None
        now_s = time.monotonic()
        if running_ns == self._running_ns:
            raise NoReadingError("the perf event is no longer counted")
        self._running_ns = running_ns
        return now_s, count * self._j_per_unit % (self._wraps_at_j + self._step_j)


class Curve(Source):
    """The energy of a recording that is replayed, in J; as `Curve` in sensors/replay.py."""

    def __init__(self, plan: dict[str, Any], most: int) -> None:
        super().__init__(plan, most)
        self._started_s, *self._curve = plan["curve"]

    def read(self) -> tuple[float, float]:
        """When, and the energy in J since the recording was started."""
        t_s, energy_j, pieces_w = self._curve
        now_s = time.monotonic()
        turns, within_s = divmod(now_s - self._started_s, t_s[-1])
        number = min(bisect_right(t_s, within_s) - 1, len(pieces_w) - 1)
        first_w, last_w = pieces_w[number]
        dt_s = within_s - t_s[number]
        slope = (last_w - first_w) / (t_s[number + 1] - t_s[number])
        part_j = (first_w + slope * dt_s / 2) * dt_s
        return now_s, turns * energy_j[-1] + energy_j[number] + part_j


def slept_s() -> float:
    """Seconds that the machine has slept since it was started, plus a constant; 0 where only the
    clocks of another system would tell."""
    if sys.platform != "linux":
        return 0.0
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)

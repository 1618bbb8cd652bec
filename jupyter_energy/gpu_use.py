"""How busy a GPU was, and how much of its memory was taken: what advice on its use rests on.

Busy is NVML's word for it: the share of time in which at least one kernel ran. A GPU on which one
of its many multiprocessors works is 100 % busy, so a low figure proves that it waits, and a high
one does not prove that it is used well.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

# Of less time, what was seen at a window's edges may belong to what ran before it (ours).
LEAST_KNOWN_S = 5.0


@dataclass(frozen=True, slots=True)
class GpuUse:
    """A GPU's use in a window, by all processes: `busy` (0 to 1) over the `known_s` that the driver
    told of, and the memory taken at the window's end, in bytes; None where it was not told."""

    busy: float
    known_s: float
    memory_bytes: int | None
    memory_total_bytes: int | None


@dataclass(frozen=True, slots=True)
class UseSoFar:
    """The same since the sensor was opened: `busy_s` of `known_s`, which only grow; memory now."""

    busy_s: float = 0.0
    known_s: float = 0.0
    memory_bytes: int | None = None
    memory_total_bytes: int | None = None


def within(first: UseSoFar | None, last: UseSoFar | None) -> GpuUse | None:
    """The use between two looks; None where too little of that time is known."""
    if first is None or last is None:
        return None
    known_s = last.known_s - first.known_s
    if known_s < LEAST_KNOWN_S:
        return None
    busy = min(1.0, max(0.0, (last.busy_s - first.busy_s) / known_s))
    return GpuUse(busy, known_s, last.memory_bytes, last.memory_total_bytes)


def over(uses: Iterable[GpuUse]) -> GpuUse | None:
    """The use in several windows: the mean of the time that is known of them, and the memory of the
    window at whose end the largest share was taken. None where nothing is known."""
    known = list(uses)
    known_s = math.fsum(use.known_s for use in known)
    if known_s <= 0:
        return None
    busy_s = math.fsum(min(1.0, max(0.0, use.busy)) * use.known_s for use in known)
    most = max(known, key=_memory_share)
    return GpuUse(min(1.0, busy_s / known_s), known_s, most.memory_bytes, most.memory_total_bytes)


def _memory_share(use: GpuUse) -> float:
    if use.memory_bytes is None or not use.memory_total_bytes:
        return -1.0
    return use.memory_bytes / use.memory_total_bytes

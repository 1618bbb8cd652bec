"""Energy above idle, this kernel's share, and idle energy between cells, summed over runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from .attribution import share_of
from .json_shapes import BaselineJson
from .missing import missing
from .model import Idle, Record
from .overlaps import device_key
from .uncertainty import Range, Uncertain, sum_of_ranges, sum_over_devices, sum_over_time


def above_idle_from_records(runs: Iterable[Record]) -> Uncertain | None:
    """What of the measured energy of several runs lies above idle, in J.

    None where a run's idle power is unknown: a part would be taken for the whole.
    """
    by_device: dict[tuple[str, str], list[Uncertain]] = {}
    for run in runs:
        for d in run.measurement.counted():
            if isinstance(d.energy, Uncertain):
                if d.above_idle is None:
                    return None
                by_device.setdefault(device_key(run.host, d.domain), []).append(d.above_idle)
    return _over_devices(by_device.values())


def kernel_share_from_records(runs: Iterable[Record]) -> float | None:
    """The share, 0 to 1, of the machine's CPU time, over the runs of which it is known.

    Weighted by CPU time: the sum of the kernel's over the sum of the machine's.
    """
    known = [
        (r.kernel_cpu_s, r.machine_cpu_s)
        for r in runs
        if r.kernel_cpu_s is not None and r.machine_cpu_s is not None
    ]
    if not known:
        return None
    return share_of(math.fsum(k for k, _ in known), math.fsum(m for _, m in known))


def kernel_j_from_records(runs: Sequence[Record]) -> Range | None:
    """What of processor and memory above idle was this kernel's, in J; None where a run's is
    unknown."""
    parts = [part for run in runs if (part := run.kernel_j) is not None]
    return sum_of_ranges(parts) if len(parts) == len(runs) else None


def baseline_json(runs: Sequence[Record]) -> BaselineJson | None:
    """The idle power that the last run was computed with, which knows one."""
    for run in reversed(runs):
        if (found := run.baseline) is not None:
            return {
                "power_w": found.watts,
                "u95_w": found.u95_w,
                "age_s": max(0.0, (run.start - found.taken).total_seconds()),
                "seconds": found.seconds,
                "how": found.how,
            }
    return None


def idle_energies(
    idles: Iterable[Idle],
) -> tuple[float, Uncertain | None, Range | None, float] | None:
    """Idle time in s, its measured and its estimated energy in J, and the share of the time that
    the device seen least was seen for; None of nothing."""
    spans = list(idles)
    if not spans:
        return None
    by_device: dict[tuple[str, str], list[Uncertain]] = {}
    seen_s: dict[tuple[str, str], float] = {}
    estimates: list[Range] = []
    for idle in spans:
        known = frozenset(d.domain.kind for d in idle.measurement.counted())
        for domain in missing(idle.measurement.domains, known):
            seen_s.setdefault(device_key(idle.host, domain), 0.0)
        for d in idle.measurement.counted():
            key = device_key(idle.host, d.domain)
            known_s = d.coverage * idle.measurement.duration_s
            seen_s[key] = seen_s.get(key, 0.0) + known_s
            if isinstance(d.energy, Uncertain):
                by_device.setdefault(key, []).append(d.energy)
            elif isinstance(d.energy, Range):
                estimates.append(d.energy)
    duration_s = math.fsum(idle.measurement.duration_s for idle in spans)
    coverage = min(1.0, min(seen_s.values(), default=0.0) / duration_s) if duration_s > 0 else 0.0
    return duration_s, _over_devices(by_device.values()), sum_of_ranges(estimates), coverage


def _over_devices(by_device: Iterable[Sequence[Uncertain]]) -> Uncertain | None:
    """A device's gain is the same each time; different devices' are independent."""
    sums = (sum_over_time(energies) for energies in by_device)
    return sum_over_devices(s for s in sums if s is not None)

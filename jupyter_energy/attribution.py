"""Whose energy a window's was: idle power, what lies above it, and this kernel's share. All pure.

Three figures that are never merged (measuring.md 5.2): what the devices drew; what of it lies
above this machine's idle power; and, by CPU time, what of that was this kernel's.
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from .uncertainty import Range, Spread, Uncertain, half_width_95

# CPU time comes in ticks of 10 ms, of each thread on its own (measuring.md 5.2).
LEAST_SHARED_S = 0.5
# Nor where hardly anything ran: of ten ticks, one more or less is a tenth.
LEAST_BUSY_S = 0.1
# From here on the machine was this kernel's alone.
ALONE = 0.95
# How far joules for each busy second differ between processes: hyper-threads, slow and fast
# cores, wide vectors and the clock. Our own figure (measuring.md 5.2).
SHARE_BAND = 0.30
# What CPU time says something about. A GPU's share needs the GPU's own count of work.
BY_CPU_TIME = frozenset({"package", "core", "uncore", "dram"})

# Which gaps between cells tell idle power (measuring.md 5.3).
LEAST_GAP_S = 5.0
MOST_BUSY = 0.03
# Where nobody read the device once it had settled, the two seconds after a cell are in the gap; of
# a minute they are 3 %, which at twice the idle power is about the drift that is allowed below.
LEAST_UNSETTLED_GAP_S = 60.0
MOST_GAPS = 20
GAPS_EXPIRE_S = 1800.0
DRIFT = 0.02
# Two gaps say nothing yet about how far gaps scatter. Our own figure.
DRIFT_OF_FEW, FEW = 0.05, 3
MAD_TO_U = 1.48  # of a normal distribution (1/0.6745)

BETWEEN_CELLS = "between cells"


@dataclass(frozen=True, slots=True)
class Baseline:
    """Idle power: `watts` with its standard uncertainty, when it was `taken` (UTC), over how many
    `seconds`, and `how`: found between cells, or measured when the user asked for it."""

    watts: float
    u_w: float
    taken: datetime
    seconds: float
    how: str = BETWEEN_CELLS

    @property
    def u95_w(self) -> float:
        """Half-width of the 95 % interval in W."""
        return half_width_95(self.u_w, 0.0)


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch between two cells: one device's mean power over `seconds`, which ended at `end_s`
    (monotonic) and `end` (UTC).

    `busy` is the share of the machine's CPU time that was used, 0 to 1 (None: unknown). `settled`
    where the stretch began two seconds after the cell, or with its settle read. `disturbed` where
    the machine slept, or somebody else was seen to use the device.
    """

    watts: float
    seconds: float
    end_s: float
    end: datetime
    busy: float | None
    settled: bool = True
    disturbed: bool = False

    @property
    def is_idle(self) -> bool:
        """Whether the power is idle power, by the rule of measuring.md 5.3."""
        least_s = LEAST_GAP_S if self.settled else LEAST_UNSETTLED_GAP_S
        quiet = self.busy is not None and self.busy < MOST_BUSY
        return quiet and not self.disturbed and self.seconds >= least_s


def idle_power(gaps: Iterable[Gap], now_s: float) -> Baseline | None:
    """One device's idle power from the gaps between cells; None without a fit and recent one.

    The median of the lowest quarter of the last 20, none older than 30 minutes: whatever else ran
    in a gap can only have raised its power. Uncertainty: the gaps' scatter, and drift.
    """
    fit = [gap for gap in gaps if gap.is_idle][-MOST_GAPS:]
    fit = [gap for gap in fit if now_s - gap.end_s <= GAPS_EXPIRE_S]
    if not fit:
        return None
    powers = sorted(gap.watts for gap in fit)
    watts = statistics.median(powers[: math.ceil(len(powers) / 4)])
    middle = statistics.median(powers)
    mad = statistics.median(abs(power - middle) for power in powers)
    drift = DRIFT if len(fit) >= FEW else DRIFT_OF_FEW
    u_w = math.hypot(MAD_TO_U * mad / math.sqrt(len(fit)), drift * watts)
    return Baseline(watts, u_w, fit[-1].end, math.fsum(gap.seconds for gap in fit))


def newer(first: Baseline | None, second: Baseline | None) -> Baseline | None:
    """Of two baselines of one device the newer, wherever it came from."""
    if first is None or second is None:
        return first or second
    return first if first.taken >= second.taken else second


def all_devices(baselines: Sequence[Baseline]) -> Baseline | None:
    """The idle power of several devices together, as old as the oldest; None of nothing."""
    if not baselines:
        return None
    return Baseline(
        math.fsum(b.watts for b in baselines),
        math.hypot(*(b.u_w for b in baselines)),
        min(b.taken for b in baselines),
        min(b.seconds for b in baselines),
        ", ".join(dict.fromkeys(b.how for b in baselines)),
    )


def above_idle(energy: Uncertain, baseline: Baseline, duration_s: float) -> Uncertain:
    """What a device drew above its idle power, in J; below 0 where the baseline was too high.

    The sensor's gain error is common to both terms, so that it is of the difference alone
    (measuring.md 6.5). The baseline's error is the same in all runs that used it: like the gain it
    adds up linearly over them, and is no part of what differs between repeats.
    """
    value = energy.value - baseline.watts * duration_s
    # No gain is off by more than the whole; next to no energy, a quotient says nothing.
    u_gain = min(1.0, energy.u_systematic / energy.value) if energy.value > 0 else 0.0
    gain = Spread.of(u_gain * abs(value), energy.excess_systematic)
    return Uncertain.made(value, energy.random, gain + Spread.normal(baseline.u_w * duration_s))


def cpu_share(kernel_s: float | None, machine_s: float | None, duration_s: float) -> float | None:
    """This kernel's share, 0 to 1, of the machine's CPU time in a window; None where unknown.

    The kernel's time and the machine's are counted by two clocks of the system's: where the
    part is more than the whole, by a tick, it is the whole.
    """
    if kernel_s is None or machine_s is None or machine_s < LEAST_BUSY_S:
        return None
    if duration_s < LEAST_SHARED_S:
        return None
    return share_of(kernel_s, machine_s)


def share_of(kernel_s: float, machine_s: float) -> float | None:
    """A share, 0 to 1, from two sums of CPU time in s; None where nothing ran."""
    if kernel_s < 0 or machine_s <= 0:
        return None
    return min(1.0, kernel_s / machine_s)


def of_kernel(above: Uncertain, share: float) -> Range:
    """What of an energy above idle was this kernel's, in J, by its share of the CPU time.

    The middles of all users' parts never add up to more than the whole.
    """
    low_share, high_share = share, share
    if share < ALONE:
        low_share, high_share = share * (1 - SHARE_BAND), min(1.0, share * (1 + SHARE_BAND))
    middle_j = max(0.0, above.value)
    low_j, high_j = max(0.0, middle_j - above.u95), max(0.0, middle_j + above.u95)
    return Range(low_j * low_share, middle_j * share, max(high_j * high_share, middle_j * share))


def ranks_on_this_node(environ: Mapping[str, str]) -> str | None:
    """What to say where several ranks of one job run on this machine, each counting all of it.

    From what Slurm, torchrun and Open MPI set; nothing is asked of a scheduler.
    """
    size = next(
        (
            int(found.group())
            for name in ("SLURM_NTASKS_PER_NODE", "LOCAL_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE")
            if (found := re.match(r"\d{1,9}", environ.get(name, "").strip()))
        ),
        None,
    )
    if size is None and not environ.get("LOCAL_RANK", "").strip():
        return None
    if size is not None and size < 2:
        return None
    ranks = "several ranks" if size is None else f"{size} ranks"
    return f"node-level; {ranks}: each counts this whole machine, so do not add their figures"

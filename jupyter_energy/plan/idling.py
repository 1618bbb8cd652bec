"""What a notebook's kernel cost while no cell ran: on GPUs that it held, and on the machine.

Two savings, which are told apart: shutting the kernel down gives back what its context holds; the
rest of the idle power goes on until the machine is switched off, or the instance stopped.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean

from .. import units
from ..model import DomainEnergy, Idle, Record
from ..overlaps import device_key
from ..uncertainty import Range, Uncertain
from .gpus import STARVES, UNUSED
from .nouns import Job
from .pausing import Powers, assumed
from .savings import Whole, energy_of, energy_range, sum_ranges, words_of
from .shapes import ItemJson

# A gap is worth a word from here on: shutting down pays off after 1 to 5 min (arXiv 2605.23918).
LEAST_GAP_S = 600.0
# What was drawn in less time between cells tells no power of a pause (ours).
LEAST_PAUSED_S = 60.0
# W that a CUDA context holds above a GPU without one, of the parts that it was measured on (arXiv
# 2605.23918; the memory taken makes no difference, below 0.02 W/GB).
CONTEXT_W = {"H100": (26.0, 50.0), "A100": (26.0, 50.0), "L40S": (66.0, 66.0)}
PARKING = "CUDA contexts draw 26-50 W on H100 and A100, 66 W on L40S (arXiv 2605.23918)"
# A GPU that draws as much between cells as in those that used it is at work there, and so is one
# that draws so much more than where nothing ran on it (ours).
AT_WORK = 0.8
# What is known of less of a gap says nothing of its rest (ours).
LEAST_WATCHED = 0.5
GPUS = ("gpu", "module")


@dataclass(frozen=True, slots=True)
class Drew:
    """The most mean power in W that a GPU drew in a run that used it, and in one that did not; None
    where there was none such. Of runs whose use nobody told it is taken that they used it."""

    used_w: float | None
    unused_w: float | None


@dataclass(frozen=True, slots=True)
class Held:
    """A GPU in the gaps in which it was held idle: how long in all, how much of that was measured
    (s), its energy in that time (J), and what of it the notebook's context drew; None where nobody
    measured that for such a part."""

    gpu: DomainEnergy
    gaps: int
    held_s: float
    known_s: float
    energy_j: Range
    context_j: Range | None


@dataclass(frozen=True, slots=True)
class Paused:
    """What devices drew between cells, in W; whether all of it was measured, and whether none."""

    power_w: Range
    is_measured: bool
    is_estimated: bool = False


def held(whole: Whole, idles: Iterable[Idle]) -> list[Held]:
    """The GPUs that the notebook held idle, each with all of its long gaps among these."""
    drew = _drew(whole.runs)
    gaps: dict[tuple[str, str], list[tuple[float, DomainEnergy]]] = defaultdict(list)
    for idle in filter(_is_long, idles):
        for d in idle.measurement.domains:
            key = device_key(idle.host, d.domain)
            is_ours = key in drew and drew[key].used_w is not None
            if is_ours and isinstance(d.energy, Uncertain) and not _is_at_work(idle, d, drew):
                gaps[key].append((idle.measurement.duration_s, d))
    return [_held(found) for found in gaps.values()]


def paused(runs: Iterable[Record], idles: Iterable[Idle]) -> Paused | None:
    """What the devices of these runs drew between them: what a pause draws. None where that is not
    known of all of them, or for less than a minute."""
    wanted = {
        device_key(run.host, d.domain)
        for run in runs
        for d in run.measurement.counted()
        if d.energy is not None
    }
    known_s, drawn = [], []
    for idle in idles:
        of = [
            d
            for d in idle.measurement.counted()
            if d.energy is not None and device_key(idle.host, d.domain) in wanted
        ]
        if len(of) == len(wanted) and all(d.coverage > 0.99 for d in of):
            known_s.append(idle.measurement.duration_s)
            drawn += of
    in_all_s = math.fsum(known_s)
    if not wanted or in_all_s < LEAST_PAUSED_S:
        return None
    power_w = sum_ranges(map(energy_range, drawn)).scaled(1 / in_all_s)
    measured = [isinstance(d.energy, Uncertain) for d in drawn]
    return Paused(power_w, all(measured), not any(measured))


def powers(job: Job, drew: Paused | None) -> Powers:
    """What a pause of a job is taken to draw and cost: as measured where that is known, else by
    estimates, else assumed."""
    energy_j = job.energy_j
    if drew is None or energy_j is None or energy_j.mid <= 0:
        return assumed(job.constant)
    # Between cells it is W that were seen, and a pause is of the same machine: of a job whose
    # energy is given, W are divided by its own W, never a share of the cells' taken over. What
    # sensors measured is all that their devices draw, so it holds for any job here, and so do
    # memory's W (job.constant), which nothing that runs changes. Where nothing was measured it does
    # not: an estimate tells what work draws, and next to nothing of a machine at rest. Beside the
    # cells' own estimate their ratio holds, as both leave out the same; beside W that somebody
    # knows it would make pauses free. So the rest of these is assumed.
    if job.is_given and drew.is_estimated:
        return assumed(job.constant)
    idle_j = drew.power_w.scaled(job.duration_s)
    idle = min(1.0, idle_j.mid / energy_j.mid)
    if drew.is_measured and (job.estimated is None or job.is_given):
        return Powers(idle, is_measured=True)
    # The most of one over the least of the other: how far their errors are one is not known.
    most = min(1.0, idle_j.high / energy_j.low) if energy_j.low > 0 else 1.0
    least = min(idle, max(job.constant, idle_j.low / energy_j.high))
    return Powers(idle, estimated=(least, most))


def shut_down(whole: Whole) -> ItemJson | None:
    """Advice to shut the kernel down where that is known to save something."""
    all_held = held(whole, whole.idles)
    contexts = [h.context_j for h in all_held if h.context_j is not None]
    if not contexts:
        return None
    return whole.item(
        "idle",
        sum_ranges(contexts),
        f"Restart or shut down the kernel when you leave: {_told(all_held)}; "
        "its context is a part of that, the rest goes on until the machine is off",
        "what the kernel holds in memory has to be computed or loaded again",
        f"{PARKING}; estimated from that, for the idle time measured here",
        "medium",
    )


def switch_off(whole: Whole, cloud: bool) -> ItemJson | None:
    """Advice to stop the instance, or to switch the machine off, in long gaps in which no GPU was
    at work: there somebody needs it."""
    drew = _drew(whole.runs)
    gaps = [idle for idle in whole.idles if _is_long(idle)]
    long = [i for i in gaps if not any(_is_at_work(i, d, drew) for d in i.measurement.domains)]
    if not long:
        return None
    # Nobody leaves the moment that a cell ends: the low end has the wait until it is noticed.
    saved = []
    for idle in long:
        energy_j = energy_of(idle.measurement)
        later = 1 - LEAST_GAP_S / idle.measurement.duration_s
        saved.append(Range(energy_j.low * later, energy_j.mid, energy_j.high))
    all_held = held(whole, long)
    idle_s = math.fsum(idle.measurement.duration_s for idle in long)
    what = _told(all_held) if all_held else f"no cell ran for {units.duration(idle_s)} in all"
    if needed := len(gaps) - len(long):
        gaps_more = "one more gap" if needed == 1 else f"{needed} more gaps"
        what += f" ({gaps_more} left out, in which a GPU was at work)"
    is_sure = not needed and all(_is_known(idle) for idle in long)
    verb = "Stop the instance" if cloud else "Switch the machine off, if nobody else uses it,"
    return whole.item(
        "idle",
        sum_ranges(saved),
        f"{verb} while nobody works: {what}. What shutting "
        "the kernel down would save is a part of this",
        "starting it again, and all that lies in memory; a stopped instance keeps its disk"
        if cloud
        else "starting it again, and all that lies in memory",
        "measured here between cells; reserved hardware counts (ISO/IEC 21031)",
        "high" if is_sure else "medium",
    )


def _held(gaps: list[tuple[float, DomainEnergy]]) -> Held:
    gpu = gaps[-1][1]
    held_s = math.fsum(duration_s for duration_s, _ in gaps)
    known_s = math.fsum(duration_s * d.coverage for duration_s, d in gaps)
    energy_j = sum_ranges(energy_range(d) for _, d in gaps)
    return Held(gpu, len(gaps), held_s, known_s, energy_j, _context_j(gpu, known_s, energy_j))


def _context_j(gpu: DomainEnergy, known_s: float, energy_j: Range) -> Range | None:
    """What a context drew in the time that was measured, in J; no more than was drawn in all."""
    words = words_of(gpu)
    found = next((watts for part, watts in CONTEXT_W.items() if part in words), None)
    if found is None:
        return None
    low, high = (min(watts * known_s, energy_j.mid) for watts in found)
    return Range(low, fmean((low, high)), high)


def _told(all_held: list[Held]) -> str:
    """Which GPUs were held, how long, and what that cost, in words."""
    parts = []
    for one in all_held:
        gaps = "one gap" if one.gaps == 1 else f"{one.gaps} gaps"
        text = (
            f"{one.gpu.domain.name} was held idle for {units.duration(one.held_s)} in {gaps} "
            f"and drew {units.quantity(one.energy_j.mid, units.ENERGY_J, 2)}"
        )
        unknown_s = one.held_s - one.known_s
        if unknown_s > 0.01 * one.held_s:
            text += f" in the {units.duration(one.known_s)} that were measured"
        parts.append(text)
    return "; ".join(parts)


def _is_long(idle: Idle) -> bool:
    return idle.measurement.duration_s >= LEAST_GAP_S


def _is_known(idle: Idle) -> bool:
    return all(d.coverage > 0.99 for d in idle.measurement.counted())


def _is_at_work(idle: Idle, d: DomainEnergy, drew: Mapping[tuple[str, str], Drew]) -> bool:
    """Whether a GPU was seen to be at work in a gap, be it for another's kernel."""
    gap_s = idle.measurement.duration_s
    if d.domain.kind not in GPUS:
        return False
    # The driver keeps some seconds of the use alone, and nobody reads it in a long gap.
    if d.use is not None and d.use.known_s >= LEAST_WATCHED * gap_s:
        return d.use.busy >= STARVES
    known_s = gap_s * d.coverage
    in_runs = drew.get(device_key(idle.host, d.domain))
    if not isinstance(d.energy, Uncertain) or known_s <= 0 or in_runs is None:
        return False
    power_w = d.energy.value / known_s
    if in_runs.used_w is not None:
        return power_w >= AT_WORK * in_runs.used_w
    return in_runs.unused_w is not None and power_w * AT_WORK > in_runs.unused_w


def _drew(runs: Iterable[Record]) -> dict[tuple[str, str], Drew]:
    """What each GPU drew in runs. Where its use was told in any, the others do not speak of it: it
    is told of runs that are long enough."""
    told: dict[tuple[str, str], dict[bool | None, float]] = defaultdict(dict)
    for run in runs:
        for d in run.domains:
            known_s = run.duration_s * d.coverage
            if d.domain.kind in GPUS and isinstance(d.energy, Uncertain) and known_s >= 1:
                most_w = told[device_key(run.host, d.domain)]
                is_used = None if d.use is None else d.use.busy >= UNUSED
                most_w[is_used] = max(most_w.get(is_used, 0.0), d.energy.value / known_s)
    return {
        key: Drew(
            most_w.get(True, None if False in most_w else most_w.get(None)), most_w.get(False)
        )
        for key, most_w in told.items()
    }

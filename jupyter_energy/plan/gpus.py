"""What the use of the GPUs says: which did nothing, which waited, and which a power limit suits.

A low share of busy time proves that a GPU waits; a high one does not prove that it is used well,
so nothing is concluded from it but that it does not starve.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .. import units
from ..gpu_use import over
from ..model import DomainEnergy, Record
from ..overlaps import device_key
from ..uncertainty import Range, Uncertain
from .savings import Whole, energy_range, sum_ranges
from .shapes import Confidence, ItemJson

# Less than this was watched, and the use of a GPU is not known (ours).
LEAST_WATCHED_S = 60.0
# Below this share of busy time a GPU starves, or is too large (carbon.md 6).
STARVES = 0.30
UNUSED = 0.01
# With as much of its memory taken a larger batch may not fit (half), or a part of a quarter the
# size would do (a quarter); ours.
ROOM_FOR_BATCHES, FITS_A_QUARTER = 0.5, 0.25
# Zeus (NSDI '23): the power limit alone saved 3.0 to 31.5 % of the GPU's energy; McDonald 2022
# ("Great Power, Great Responsibility"): 13.7 % at 60 % of a V100's limit, for 6.8 % more time.
# As shares of the energy: low, middle, high.
LIMIT_SAVES = (0.03, 0.12, 0.315)
LIMIT_SLOWS = (0.03, 0.07)
MCDONALD = (
    "McDonald 2022: V100 at 150 of 250 W, 13.7 % less energy in 6.8 % more time; "
    "Zeus (NSDI '23): 3.0-31.5 % by the limit alone"
)
BATCHES = (
    "Latif 2024: ResNet on 8 H100, 512 to 4096 images a batch, a quarter of the energy; "
    "Zeus (NSDI '23): batch and power limit together 15.3-75.8 %"
)
# The same of larger batches: what waiting costs is known where idle power is, else by Zeus.
BATCH_SAVES = (0.0, 0.153, 0.758)
SMALLER_SAVES = (0.0, 0.25, 0.5)
PATTERSON = "Patterson 2022: the machine makes a factor of 2-5; only a run there says how much here"


@dataclass(frozen=True, slots=True)
class Used:
    """A GPU in the runs in which its use was told: `busy` (0 to 1) over `watched_s`, the most of
    its memory that was taken (0 to 1; None: untold), its energy in them in J, and what of that was
    idle power; None where that is not known. `run_s` is how long those runs took."""

    gpu: DomainEnergy
    busy: float
    watched_s: float
    memory: float | None
    energy_j: Range
    idle_j: float | None
    run_s: float

    @property
    def label(self) -> str:
        """What a user calls it."""
        return f"{self.gpu.domain.kind.upper()} {self.gpu.domain.index} ({self.gpu.domain.name})"


def used(runs: Sequence[Record]) -> list[Used]:
    """The GPUs whose use was told for `LEAST_WATCHED_S` or more, in the order of their numbers."""
    told: dict[tuple[str, str], list[tuple[Record, DomainEnergy]]] = defaultdict(list)
    for run in runs:
        for d in run.measurement.counted():
            if d.use is not None and isinstance(d.energy, Uncertain):
                told[device_key(run.host, d.domain)].append((run, d))
    found = map(_used, told.values())
    known = (one for one in found if one.watched_s >= LEAST_WATCHED_S)
    return sorted(known, key=lambda one: one.gpu.domain.index)


def items(whole: Whole, sweep: str) -> list[ItemJson | None]:
    """Advice on the GPUs of a notebook; `sweep` is the command that finds a power limit."""
    known = used(whole.runs)
    unused = [one for one in known if one.busy < UNUSED]
    starved = [one for one in known if UNUSED <= one.busy < STARVES]
    seen = {device_key("", one.gpu.domain) for one in (*unused, *starved)}
    return [
        _give_back(whole, unused),
        _batches(whole, [one for one in starved if _below(one, ROOM_FOR_BATCHES)]),
        _smaller(whole, [one for one in starved if _below(one, FITS_A_QUARTER)]),
        _limit(whole, _limitable(whole.runs, seen), sweep),
    ]


def _give_back(whole: Whole, unused: Sequence[Used]) -> ItemJson | None:
    if not unused:
        return None
    which = ", ".join(one.label for one in unused)
    it = "them" if len(unused) > 1 else "it"
    return whole.item(
        "right_size",
        sum_ranges(one.energy_j for one in unused),
        f"Run without {which}: nothing ran there in {_watched(unused)} of cells",
        f"a machine or an instance without {it}; one that stays in the machine draws on",
        "measured here: what was drawn while nothing ran on it",
        "high",
    )


def _batches(whole: Whole, starved: Sequence[Used]) -> ItemJson | None:
    if not starved:
        return None
    return whole.item(
        "batch_size",
        sum_ranges(_waiting_j(one, BATCH_SAVES) for one in starved),
        f"Feed the GPU faster, or in larger batches: {_starved(starved)}. Double the batch until "
        "memory or accuracy says stop, and load data on more threads",
        "a few short runs to try; accuracy may change, and larger is not always better (Zeus)",
        BATCHES + _basis(starved),
        _how_sure(starved),
    )


def _smaller(whole: Whole, starved: Sequence[Used]) -> ItemJson | None:
    if not starved:
        return None
    return whole.item(
        "right_size",
        sum_ranges(_waiting_j(one, SMALLER_SAVES) for one in starved),
        f"Or run it on a smaller GPU, or a slice of one (MIG): {_starved(starved)}. "
        "Instead of larger batches, not beside them",
        "another instance or machine, and perhaps a longer run",
        PATTERSON + _basis(starved),
        "low",
    )


def _limit(
    whole: Whole, gpus: dict[tuple[str, str], list[DomainEnergy]], sweep: str
) -> ItemJson | None:
    if not gpus:
        return None
    energy_j = sum_ranges(energy_range(d) for found in gpus.values() for d in found)
    last = [found[-1].domain for found in gpus.values()]
    names = ", ".join(dict.fromkeys(d.name for d in last))
    numbers = ",".join(str(index) for index in sorted({d.index for d in last}))
    low_s, high_s = (math.fsum(r.duration_s for r in whole.runs) * share for share in LIMIT_SLOWS)
    low, mid, high = LIMIT_SAVES
    saved_j = Range(energy_j.low * low, energy_j.mid * mid, energy_j.high * high)
    return whole.item(
        "power_limit",
        saved_j,
        f"Lower the power limit of {names}, to where a step takes the least energy: the sweep "
        f"finds W, and an administrator sets it (nvidia-smi -i {numbers} -pl W)",
        f"{' to '.join(map(units.percent, LIMIT_SLOWS))} more time "
        f"({units.duration(low_s)} to {units.duration(high_s)} on these runs); administrator's "
        "rights; too low a limit costs energy; not on a machine that others use, unless they agree",
        MCDONALD,
        "medium",
        sweep,
    )


def _used(told: list[tuple[Record, DomainEnergy]]) -> Used:
    use = over(d.use for _, d in told if d.use is not None)
    busy, watched_s = (use.busy, use.known_s) if use is not None else (0.0, 0.0)
    memory = None
    if use is not None and use.memory_bytes is not None and use.memory_total_bytes:
        memory = use.memory_bytes / use.memory_total_bytes
    above = [d.above_idle for _, d in told if d.above_idle is not None]
    energy_j = sum_ranges(energy_range(d) for _, d in told)
    idle_j = None
    if len(above) == len(told):
        idle_j = max(0.0, energy_j.mid - math.fsum(a.value for a in above))
    run_s = math.fsum(run.duration_s for run, _ in told)
    return Used(told[-1][1], busy, watched_s, memory, energy_j, idle_j, run_s)


def _waiting_j(one: Used, otherwise: tuple[float, float, float]) -> Range:
    """What a GPU draws while it waits, in J, of which more work at once may save anything up to
    all; by others' findings where its idle power is not known."""
    if one.idle_j is None:
        return Range(*(one.energy_j.mid * share for share in otherwise))
    most_j = (1 - one.busy) * one.idle_j
    return Range(0.0, most_j / 2, most_j)


def _below(one: Used, share: float) -> bool:
    return one.memory is not None and one.memory < share


def _how_sure(starved: Sequence[Used]) -> Confidence:
    return "low" if any(one.idle_j is None for one in starved) else "medium"


def _basis(starved: Sequence[Used]) -> str:
    """What the range rests on, in words."""
    if any(one.idle_j is None for one in starved):
        return "; the range is theirs, since the GPU's idle power is not known (baseline tells it)"
    return "; the range is what the GPU drew here while it waited, none of it to all of it"


def _starved(starved: Sequence[Used]) -> str:
    texts = []
    for one in starved:
        text = f"{one.label} was busy {units.percent(one.busy)} of {units.duration(one.watched_s)}"
        if one.memory is not None:
            text += f", with {units.percent(one.memory)} of its memory taken"
        texts.append(text)
    return "; ".join(texts)


def _watched(found: Iterable[Used]) -> str:
    return units.duration(max(one.watched_s for one in found))


def _limitable(
    runs: Sequence[Record], without: set[tuple[str, str]]
) -> dict[tuple[str, str], list[DomainEnergy]]:
    """What each NVIDIA GPU drew in runs, of those that do not starve: a limit does not bite there.

    The limit of a board that is cut into slices is not one user's to set.
    """
    found: dict[tuple[str, str], list[DomainEnergy]] = defaultdict(list)
    for run in runs:
        for d in run.measurement.counted():
            nvidia = d.domain.kind == "gpu" and d.source.startswith("nvml")
            whole = d.domain.scope == "device" and device_key("", d.domain) not in without
            if nvidia and whole and isinstance(d.energy, Uncertain):
                found[device_key(run.host, d.domain)].append(d)
    return found

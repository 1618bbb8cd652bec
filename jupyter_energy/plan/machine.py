"""How to run: what idle kernels, starved GPUs, power limits and repeated cells cost here. Pure.

What each item rests on is carbon.md 6 with its sources, applied to what was measured of this
notebook; where a figure is somebody else's and not this machine's, the item says so.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping

from .. import units
from ..model import CarbonIntensity, DomainEnergy, Idle, Record
from ..schema import cell_key
from ..uncertainty import Range
from . import gpus, idling
from .nouns import Job
from .savings import Whole, energy_of, energy_range, sum_ranges, words_of
from .shapes import ItemJson

SWEEP = '%energy plan --sweep-power-limit "train_step()"'
CLOUDS = ("aws:", "gcp:", "azure:")
# From so many runs of one cell on, the question is worth asking (ours).
LEAST_RUNS = 3
# GPUs that multiply float32 matrices in TF32, of compute capability 8.0 and higher (CUDA C++
# Programming Guide; NVIDIA's list "CUDA GPU Compute Capability"): records know a GPU by its name.
TF32 = frozenset(
    "A2 A10 A10G A16 A30 A40 A100 A800 H20 H100 H200 H800 L2 L4 L20 L40 L40S "
    "B100 B200 B300 GB200 GB300 GH200".split()
)
# Of RTX: those for workstations (A6000, 6000 Ada, PRO 6000 Blackwell), and GeForce from 30 on and
# the 2050. Turing's (2080 Ti, Quadro RTX, TITAN RTX) have tensor cores without TF32.
TF32_RTX = re.compile(r"RTX (A\d|\d+ (SFF )?Ada\b|PRO\b)|GeForce RTX (2050|[3-5]0\d\d)\b")


def items(
    records: Iterable[Record],
    idles: Iterable[Idle],
    job: Job | None,
    here: CarbonIntensity | None,
    pue: tuple[float, str],
    float32: str | None = None,
) -> list[ItemJson]:
    """Advice on how to run, from a notebook's records; the largest saving first.

    Shares are of what the cells drew, those of idle time of that and what was drawn between them;
    what saves less than 2 % is left out. Grams are by the yearly factor `here` and the `pue`.
    `float32` is how torch multiplies float32 matrices in this kernel ("highest": without tensor
    cores), where that can be seen. `job` may be None: what was recorded is what is judged.
    """
    whole = Whole.of(records, idles, here, pue[0])
    cloud = here is not None and here.zone.startswith(CLOUDS)
    found = [
        idling.shut_down(whole),
        idling.switch_off(whole, cloud),
        *gpus.items(whole, SWEEP),
        _precision(whole, float32),
        _repeats(whole),
    ]
    told = [item for item in found if item is not None]
    return sorted(told, key=lambda item: -item["saved_fraction"]["mid"])


def _precision(whole: Whole, float32: str | None) -> ItemJson | None:
    """Advice on TF32 or mixed precision, where torch was seen to use neither in this kernel."""
    if float32 != "highest":
        return None
    energies = [
        energy_range(d)
        for run in whole.runs
        for d in run.measurement.counted()
        if d.domain.kind == "gpu" and _has_tf32(d)
    ]
    if not energies:
        return None
    energy_j = sum_ranges(energies)
    # A student replication, a CNN in mixed precision: more than 12 % less energy. The upper end is
    # ours: the guide of TensorFlow has three times the speed, at whatever power that takes.
    saved_j = Range(0.0, 0.12 * energy_j.mid, 0.5 * energy_j.mid)
    return whole.item(
        "precision",
        saved_j,
        "Let float32 products use the tensor cores, or train in mixed precision (torch.autocast): "
        "in this kernel they are computed in full float32, where autocast does not say otherwise",
        "one line; results change in the last digits, so compare the loss",
        "weak: a replication by students, more than 12 % less energy for one CNN; the upper end is "
        "our guess; measure a step",
        "low",
        'torch.set_float32_matmul_precision("high")',
    )


def _has_tf32(gpu: DomainEnergy) -> bool:
    return bool(words_of(gpu) & TF32 or TF32_RTX.search(gpu.domain.name))


def _repeats(whole: Whole) -> ItemJson | None:
    """Advice to keep the result of cells that ran again and again."""
    runs: Mapping[tuple[str, ...], list[Record]] = _by_cell(whole.runs)
    again = {key: found for key, found in runs.items() if len(found) >= LEAST_RUNS}
    if not again:
        return None
    saved = {key: _all_but_the_last(found) for key, found in again.items()}
    largest = max(saved, key=lambda key: saved[key].mid)
    # Whether each of the repeats was needed, nobody can tell from here.
    whole_j = sum_ranges(saved.values())
    last = again[largest][-1]
    more = f" and {len(again) - 1} more" if len(again) > 1 else ""
    energy_j = units.quantity(saved[largest].mid, units.ENERGY_J, 2)
    return whole.item(
        "repeats",
        Range(0.0, whole_j.mid / 2, whole_j.high),
        f"Keep the result of {_name(last)}{more}, or use a smaller sample while you debug: "
        f"it ran {len(again[largest])} times, and all runs but the last drew {energy_j}",
        "a file or a cache to keep; which runs were needed only you know",
        "measured here: runs of the same cell, whatever it held by then",
        "low",
    )


def _by_cell(runs: Iterable[Record]) -> dict[tuple[str, ...], list[Record]]:
    found: dict[tuple[str, ...], list[Record]] = defaultdict(list)
    for run in runs:
        if run.cell_id is not None or run.name is not None:
            found[cell_key(run)].append(run)
    return found


def _name(run: Record) -> str:
    if run.name is not None:
        return run.name
    return "a cell" if run.execution_count is None else f"cell [{run.execution_count}]"


def _all_but_the_last(runs: list[Record]) -> Range:
    """The energy in J of all runs but the last one, which had to be."""
    return sum_ranges(energy_of(run.measurement) for run in runs[:-1])

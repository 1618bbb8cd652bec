"""What a notebook has drawn in all, and what of that a change would save: an item with its ranges.

A saving in the cells is told as a share of what the cells drew; one in the time between them as a
share of the notebook's whole, cells and that time.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from .. import units
from ..json_shapes import RangeJson
from ..model import CarbonIntensity, DomainEnergy, Idle, Measurement, Record
from ..overlaps import counted_once
from ..uncertainty import Range
from . import LEAST_SAVING
from .shapes import Change, Confidence, ItemJson


@dataclass(frozen=True, slots=True)
class Whole:
    """A notebook's runs, each moment counted once, what lay between them, and what the runs drew
    and both together in J. `here` and `pue` make grams of it; None where the place is not known."""

    runs: tuple[Record, ...]
    idles: tuple[Idle, ...]
    runs_j: float
    energy_j: float
    here: CarbonIntensity | None
    pue: float

    @classmethod
    def of(
        cls,
        records: Iterable[Record],
        idles: Iterable[Idle],
        here: CarbonIntensity | None,
        pue: float,
    ) -> Whole:
        """All that is known of a notebook. Runs inside of others are a part of those."""
        runs, _ = counted_once([r for r in records if r.within is None])
        between = tuple(idles)
        runs_j, between_j = (
            math.fsum(energy_of(one.measurement).mid for one in of) for of in (runs, between)
        )
        return cls(tuple(runs), between, runs_j, runs_j + between_j, here, pue)

    def item(
        self,
        what: Change,
        saved_j: Range,
        change: str,
        cost: str,
        evidence: str,
        confidence: Confidence,
        command: str | None = None,
    ) -> ItemJson | None:
        """The item that saves so many J; None where that is less than `LEAST_SAVING` of what it is
        a share of, or where nothing is known of that: of the cells, if it is not the time between
        them that is saved."""
        whole_j = self.energy_j if what == "idle" else self.runs_j
        if whole_j <= 0 or saved_j.mid < LEAST_SAVING * whole_j:
            return None
        share = saved_j.scaled(1 / whole_j)
        share = Range(max(0.0, share.low), min(1.0, share.mid), min(1.0, share.high))
        of = "the cells and what was drawn between them" if what == "idle" else "all cells"
        grams = None
        if self.here is not None:
            grams = saved_j.scaled(units.carbon_g(1.0, self.here.g_per_kwh, self.pue))
        return {
            "what": what,
            "change": change,
            "setup": None,
            "command": command,
            "saved_fraction": _json(share),
            "saved_g": None if grams is None else _json(grams),
            "saved_j": _json(saved_j),
            "cost": cost,
            "evidence": f"{evidence}; a share of {of}",
            "confidence": confidence,
        }


def energy_of(measurement: Measurement) -> Range:
    """The measured and estimated energy of a window in J, within both their bounds; 0 of none."""
    return sum_ranges(map(energy_range, measurement.counted()))


def energy_range(found: DomainEnergy) -> Range:
    """The energy of a device in J: a measurement with its ± as a range; 0 where it is unknown."""
    if found.energy is None or isinstance(found.energy, Range):
        return found.energy or Range(0.0, 0.0, 0.0)
    value_j, u95_j = max(0.0, found.energy.value), found.energy.u95
    return Range(max(0.0, value_j - u95_j), value_j, value_j + u95_j)


def sum_ranges(ranges: Iterable[Range]) -> Range:
    """The sum of ranges, bound by bound: errors that may all be one gain do not cancel."""
    all_of_them = list(ranges)
    low, mid, high = (math.fsum(getattr(r, n) for r in all_of_them) for n in ("low", "mid", "high"))
    return Range(low, mid, high)


def words_of(gpu: DomainEnergy) -> frozenset[str]:
    """The words in a GPU's name: "NVIDIA H100-SXM5-80GB" is NVIDIA, H100, SXM5 and 80GB."""
    return frozenset(gpu.domain.name.replace("-", " ").split())


def _json(found: Range) -> RangeJson:
    return {"low": found.low, "mid": found.mid, "high": found.high}

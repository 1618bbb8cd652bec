"""The JSON of this package, schema 1: what `--json` prints, what the MIME bundle holds.

Times are RFC 3339 in UTC, energies J, powers W, carbon g CO2e. An unknown field is null, never 0
and never left out. Every renderer takes these dictionaries, so a summary read back from a saved
notebook looks like one that comes from the store.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from .attribution_sums import (
    above_idle_from_records,
    baseline_json,
    idle_energies,
    kernel_j_from_records,
    kernel_share_from_records,
)
from .carbon_sums import carbon_from_records
from .documents import record_from_document, record_to_document, sound, to_json, utc_text
from .gpu_use import GpuUse, over
from .json_shapes import (
    CarbonJson,
    CellJson,
    DomainJson,
    IdleJson,
    NotebookJson,
    RangeJson,
    RepeatsJson,
    ShiftJson,
    StretchJson,
    SummaryJson,
    TotalsJson,
    UseJson,
    ValueJson,
)
from .missing import without
from .model import DomainEnergy, Idle, Provenance, Record
from .overlaps import counted_once, device_key
from .repeats import Repeats
from .shift import Shift, Stretch
from .uncertainty import Range, Uncertain, sum_of_ranges, sum_over_devices, sum_over_time

__all__ = [
    "MIME_TYPE",
    "SCHEMA",
    "CarbonJson",
    "CellJson",
    "DomainJson",
    "IdleJson",
    "NotebookJson",
    "RangeJson",
    "RepeatsJson",
    "ShiftJson",
    "SummaryJson",
    "TotalsJson",
    "ValueJson",
    "carbon_from_records",
    "cell_from_records",
    "cell_key",
    "estimated_from_records",
    "grams_of_a_part",
    "idle_json",
    "is_of_a_part",
    "measured_from_records",
    "range_json",
    "record_from_document",
    "record_to_document",
    "shift_json",
    "to_json",
    "totals_from_records",
    "utc_text",
    "value_json",
]

SCHEMA = 1
MIME_TYPE = "application/vnd.jupyter-energy+json"
OVERLAPPED = "{} runs overlapped; the time they share is counted once, at mean power"
OF_A_PART = "energy but no CO2e: the grams are of the others"


def cell_key(record: Record) -> tuple[str, str]:
    """What makes two runs runs of one cell: its id, else its name, else its execution count."""
    if record.cell_id is not None:
        return "id", record.cell_id
    if record.name is not None:
        return "name", record.name
    if record.execution_count is not None:
        return "count", f"#{record.execution_count}"
    return "run", record.run_id


def cell_from_records(records: Sequence[Record]) -> CellJson:
    """One cell from its runs: energies (J), durations (s) and grams summed, outcome of the last.

    Raises ValueError without any run.
    """
    if not records:
        raise ValueError("a cell has at least one run")
    runs = sorted(map(sound, records), key=lambda r: r.start)
    last = runs[-1]
    duration_s = math.fsum(r.duration_s for r in runs)
    measured, estimated = measured_from_records(runs), estimated_from_records(runs)
    shown_j = measured.value if measured else estimated.mid if estimated else None
    # Mean power is over the runs that have the figure, which differs from interface.md's formula
    # only where a sensor was there for some of the runs: 150 W for one second of four is 150 W.
    has_it = [r for r in runs if (r.energy_j if measured else r.estimated_j) is not None]
    known_s = math.fsum(r.duration_s for r in has_it)
    names = [r.name for r in runs if r.name is not None]
    return {
        "cell_id": last.cell_id,
        "name": names[-1] if names else None,
        "inside": all(r.within is not None for r in runs),
        "runs": len(runs),
        "execution_count": last.execution_count,
        "started": utc_text(runs[0].start),
        "duration_s": duration_s,
        "outcome": last.outcome,
        "measured_j": value_json(measured),
        "estimated_j": range_json(estimated),
        "above_idle_j": value_json(_not_below_0(above_idle_from_records(runs))),
        "kernel_share": kernel_share_from_records(runs),
        "kernel_j": range_json(kernel_j_from_records(runs)),
        "baseline": baseline_json(runs),
        "average_w": _average_w(shown_j, known_s),
        "waited_s": _sum([r.waited_s for r in runs if r.waited_s is not None]),
        "peak_w": max((r.peak_w for r in runs if r.peak_w is not None), default=None),
        "domains": _domains_from_records(runs),
        "carbon_g": carbon_from_records(runs),
        "warnings": list(dict.fromkeys(_warnings(runs))),
        "repeats": _repeats_json(last.repeats),
        "shift": None if last.shift is None else shift_json(last.shift),
    }


def _repeats_json(repeats: Repeats | None) -> RepeatsJson | None:
    if repeats is None:
        return None
    return {
        "runs": repeats.runs,
        "blocks": repeats.blocks,
        "first_runs": repeats.first_runs,
        "run_s": repeats.run_s,
        "first_run_s": repeats.first_run_s,
        "measured_j": value_json(repeats.measured_j),
        "median_j": repeats.median_j,
        "first_j": repeats.first_j,
        "estimated_j": range_json(repeats.estimated_j),
        "auto": repeats.auto,
    }


def shift_json(shift: Shift) -> ShiftJson:
    """What became of a run that was shifted, as JSON."""
    return {
        "begun": utc_text(shift.begun),
        "planned_fraction": shift.planned_fraction,
        "basis": shift.basis,
        "source": shift.source,
        "runs": [*map(_stretch_json, shift.runs)],
        "pauses": [*map(_stretch_json, shift.pauses)],
        "carbon_g": range_json(shift.carbon_g),
        "at_once_g": range_json(shift.at_once_g),
        "realised_fraction": shift.realised_fraction,
        "kind": shift.kind,
        "note": shift.note,
        "waits": [*map(_stretch_json, shift.waits)],
        "waits_g": range_json(shift.waits_g),
        "on_anyway": shift.on_anyway,
    }


def _stretch_json(stretch: Stretch) -> StretchJson:
    start, end = utc_text(stretch.start), utc_text(stretch.end)
    return {"start": start, "end": end, "energy_j": range_json(stretch.energy_j)}


def _not_below_0(value: Uncertain | None) -> Uncertain | None:
    """What is shown of a difference; records keep it as it is, so that sums are not pushed up."""
    return None if value is None else replace(value, value=max(0.0, value.value))


def _sum(numbers: Sequence[float]) -> float | None:
    return math.fsum(numbers) if numbers else None


def _average_w(energy_j: float | None, duration_s: float) -> float | None:
    if energy_j is None or duration_s <= 0:
        return None
    average_w = energy_j / duration_s
    return average_w if math.isfinite(average_w) else None  # a duration next to nothing


def _warnings(runs: Sequence[Record]) -> Iterator[str]:
    for run in runs:
        yield from run.warnings
    yield from _without_grams(runs)


def _without_grams(runs: Sequence[Record]) -> list[str]:
    known = [r for r in runs if r.measurement.counted()]
    return grams_of_a_part(sum(r.emissions is None for r in known), len(known), "runs")


def grams_of_a_part(without: int, known: int, noun: str) -> list[str]:
    """The warning where `without` of `known` runs or cells with energy have no grams, else none."""
    if not 0 < without < known:
        return []
    have = "has" if without == 1 else "have"
    return [f"{without} of {known} {noun} {have} {OF_A_PART}"]


def is_of_a_part(warnings: Iterable[str]) -> bool:
    """Whether they tell that grams are of a part of the energy alone."""
    return any(warning.endswith(OF_A_PART) for warning in warnings)


def totals_from_records(records: Iterable[Record], idles: Iterable[Idle] = ()) -> TotalsJson:
    """A notebook's totals in J, s and g, of the runs that lie in no other: nothing counts twice.

    All of these runs are counted in `runs`, `cells` and `interrupted` (cut short by the user or
    with their kernel; `lost` has the latter alone); of those that overlap in time, the shared time
    and its energy count once.
    `first` and `last` are the starts of the first and the last run. What was drawn between cells
    (`idles`) enters none of the sums.
    """
    runs = [sound(r) for r in records if r.within is None]
    starts = [r.start for r in runs]
    once, overlapped = counted_once(runs)
    told = [OVERLAPPED.format(overlapped)] if overlapped else []
    return {
        "runs": len(runs),
        "cells": len({cell_key(r) for r in runs}),
        "duration_s": math.fsum(r.duration_s for r in once),
        "measured_j": value_json(measured_from_records(once)),
        "estimated_j": range_json(estimated_from_records(once)),
        "carbon_g": carbon_from_records(once),
        "first": utc_text(min(starts)) if starts else None,
        "last": utc_text(max(starts)) if starts else None,
        "interrupted": sum(r.outcome in ("interrupted", "lost") for r in runs),
        "lost": sum(r.outcome == "lost" for r in runs),
        "idle": idle_json(idles),
        "warnings": [*told, *without(runs), *_without_grams(runs)],
    }


def idle_json(idles: Iterable[Idle]) -> IdleJson | None:
    """What was drawn between cells as JSON, in J; None where nothing is booked."""
    found = idle_energies(idles)
    if found is None:
        return None
    duration_s, measured, estimated, coverage = found
    return {
        "duration_s": duration_s,
        "measured_j": value_json(measured),
        "estimated_j": range_json(estimated),
        "coverage": coverage,
    }


def measured_from_records(records: Iterable[Record]) -> Uncertain | None:
    """Measured energy of several runs in J; None where nothing was measured.

    A device's gain error is the same in all its runs, so it adds up linearly; different devices,
    and the same device number on another host, are independent.
    """
    by_device: dict[tuple[str, str], list[Uncertain]] = {}
    for record in records:
        for d in record.measurement.counted():
            if isinstance(d.energy, Uncertain):
                by_device.setdefault(device_key(record.host, d.domain), []).append(d.energy)
    sums = (sum_over_time(energies) for energies in by_device.values())
    return sum_over_devices(s for s in sums if s is not None)


def estimated_from_records(records: Iterable[Record]) -> Range | None:
    """Estimated energy of several runs in J; None where nothing was estimated."""
    return sum_of_ranges(
        d.energy for r in records for d in r.measurement.counted() if isinstance(d.energy, Range)
    )


def _domains_from_records(runs: Sequence[Record]) -> list[DomainJson]:
    """One entry a device, summed over runs; two where some runs measured it and some estimated."""
    held: dict[tuple[str, int, str | None, str], list[tuple[Record, DomainEnergy]]] = {}
    for run in runs:
        for d in run.domains:
            key = (d.domain.kind, d.domain.index, d.domain.uuid, d.domain.scope)
            held.setdefault(key, []).append((run, d))
    entries = []
    for found in held.values():
        measured = [(r, d) for r, d in found if isinstance(d.energy, Uncertain)]
        estimated = [(r, d) for r, d in found if isinstance(d.energy, Range)]
        absent = [(r, d) for r, d in found if d.energy is None]
        if measured:
            entries.append(_domain_entry(measured, absent, runs))
        if estimated:
            entries.append(_domain_entry(estimated, [] if measured else absent, runs))
        if not measured and not estimated:
            entries.append(_domain_entry(absent, [], runs))
    return entries


def _domain_entry(
    part: Sequence[tuple[Record, DomainEnergy]],
    missed: Sequence[tuple[Record, DomainEnergy]],
    runs: Sequence[Record],
) -> DomainJson:
    """One device: `part` has its figures of one kind, `missed` the runs that have none."""
    last = part[-1][1]
    by_device: dict[tuple[str, str], list[Uncertain]] = {}
    for run, d in part:
        if isinstance(d.energy, Uncertain):
            by_device.setdefault(device_key(run.host, d.domain), []).append(d.energy)
    sums = (sum_over_time(energies) for energies in by_device.values())
    measured = sum_over_devices(s for s in sums if s is not None)
    estimated = sum_of_ranges(d.energy for _, d in part if isinstance(d.energy, Range))
    reasons = [d.reason for _, d in part if d.reason]
    reason = reasons[-1] if reasons else None
    if missed:
        reason = f"no reading in {len(missed)} of {len(runs)} runs: {missed[-1][1].reason}"
    return {
        "kind": last.domain.kind,
        "index": last.domain.index,
        "name": last.domain.name,
        "uuid": last.domain.uuid,
        "energy_j": measured.value if measured else None,
        "u95_j": measured.u95 if measured else None,
        "low_j": estimated.low if estimated else None,
        "mid_j": estimated.mid if estimated else None,
        "high_j": estimated.high if estimated else None,
        "provenance": _weakest([d.provenance for _, d in part]),
        "source": ", ".join(dict.fromkeys(d.source for _, d in part)),
        "coverage": _coverage(part, runs),
        "scope": last.domain.scope,
        "reason": reason,
        "use": _use_json(over(d.use for _, d in part if d.use is not None)),
    }


def _use_json(use: GpuUse | None) -> UseJson | None:
    if use is None:
        return None
    return {
        "busy": use.busy,
        "known_s": use.known_s,
        "memory_bytes": use.memory_bytes,
        "memory_total_bytes": use.memory_total_bytes,
    }


def _weakest(kinds: Sequence[Provenance]) -> Provenance:
    """What a sum of differently won figures may call itself: the least direct of them."""
    order: tuple[Provenance, ...] = ("measured", "vendor model", "integrated", "estimated", "none")
    return max(kinds, key=order.index)


def _coverage(part: Sequence[tuple[Record, DomainEnergy]], runs: Sequence[Record]) -> float:
    """The share, 0 to 1, of the runs' whole duration that the figures of `part` cover."""
    if len(runs) == 1:
        return part[0][1].coverage
    whole_s = math.fsum(r.duration_s for r in runs)
    if whole_s <= 0:
        return min(1.0, math.fsum(d.coverage for _, d in part) / len(runs))
    return min(1.0, math.fsum(d.coverage * r.duration_s for r, d in part) / whole_s)


def value_json(value: Uncertain | None) -> ValueJson | None:
    """A measurement as JSON, in its own unit."""
    if value is None:
        return None
    return {"value": value.value, "u95_repeat": value.u95_repeat, "u95": value.u95}


def range_json(estimate: Range | None) -> RangeJson | None:
    """An estimate as JSON, in its own unit."""
    if estimate is None:
        return None
    return {"low": estimate.low, "mid": estimate.mid, "high": estimate.high}

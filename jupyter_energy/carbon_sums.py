"""Grams of CO2e added up, with the factors they were made with kept in sight.

Grams of one kind of intensity add up. Average and marginal answer different questions (what
the grid emits, what one more kWh makes it emit), so their grams never meet in one figure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

from .documents import utc_text
from .model import Emissions, Record
from .uncertainty import Range
from .units import J_PER_KWH

if TYPE_CHECKING:
    from .schema import CarbonJson

# g/kWh: below this a factor is no grid's, and dividing by it tells nothing.
LEAST_FACTOR = 1e-6
Text = Literal["place", "source", "how", "pue_source"]
# Codes, which hold no comma.
Code = Literal["zone", "boundary", "scope", "resolution", "factor_quality"]
# How the note of restated grams begins (restating.py).
RESTATED = "restated on"
# Of several notes so many are told, and that there are more.
MOST_NOTES, MORE, BETWEEN = 3, "…", "; "
# A figure and the energy in J that it was made of, which is its weight in a mean.
Weighed = tuple["CarbonJson", float]


def carbon_from_records(records: Iterable[Record]) -> CarbonJson | None:
    """The grams of CO2e of several runs; None where no run has any.

    `g_per_kwh` is the mean weighted by energy, `pue` the mean weighted by grams before it, so that
    energy times both gives the grams. `parts` has one entry a kind where kinds differ.
    """
    return add_carbon(
        [
            (carbon_json(r.emissions, r.said), _energy_j(r))
            for r in records
            if r.emissions is not None
        ]
    )


def carbon_json(emissions: Emissions, said: Emissions | None = None) -> CarbonJson:
    """One run's grams as JSON; `said` are those that were told at the time."""
    intensity, spans = emissions.intensity, emissions.spans
    return {
        "low": emissions.carbon_g.low,
        "mid": emissions.carbon_g.mid,
        "high": emissions.carbon_g.high,
        "g_per_kwh": intensity.g_per_kwh,
        "zone": intensity.zone,
        "place": intensity.place,
        "kind": intensity.kind,
        "boundary": intensity.boundary,
        "scope": intensity.scope,
        "resolution": intensity.resolution,
        "factor_quality": intensity.quality,
        "source": intensity.source,
        "year": intensity.year,
        "pue": emissions.pue,
        "pue_source": emissions.pue_source or None,
        "how": intensity.how,
        "note": intensity.note,
        "start": utc_text(min(s.start for s in spans)) if spans else None,
        "end": utc_text(max(s.end for s in spans)) if spans else None,
        "said_g": _said_of_run_g(emissions, said),
        "assumed": intensity.assumed,
        "estimated_share": emissions.estimated_share,
        "parts": None,
    }


def _said_of_run_g(now: Emissions, said: Emissions | None) -> float | None:
    """The grams of one run as they were told before they were restated; None where there were none
    or of the other kind, which enter no sum with these."""
    if now.restated is None or said is None or said.intensity.kind != now.intensity.kind:
        return None
    return said.carbon_g.mid


def add_carbon(items: Sequence[Weighed]) -> CarbonJson | None:
    """The sum of several figures, each with the energy in J behind it; None of nothing."""
    by_kind: dict[str | None, list[Weighed]] = {}
    for carbon, energy_j in items:
        parts = carbon["parts"]
        whole = [(carbon, energy_j)] if not parts else [(part, weight_j(part)) for part in parts]
        for part, part_j in whole:
            by_kind.setdefault(part["kind"], []).append((part, part_j))
    sums = [_sum(by_kind[kind]) for kind in sorted(by_kind, key=str)]
    if len(sums) < 2:
        return sums[0] if sums else None
    return {
        "low": None,
        "mid": None,
        "high": None,
        "g_per_kwh": None,
        "zone": None,
        "place": None,
        "kind": None,
        "boundary": None,
        "scope": None,
        "resolution": None,
        "factor_quality": None,
        "source": None,
        "year": None,
        "pue": None,
        "pue_source": None,
        "how": None,
        "note": None,
        "start": None,
        "end": None,
        "said_g": None,
        "assumed": any(s["assumed"] for s in sums),
        "estimated_share": None,
        "parts": sums,
    }


def doubts(note: str | None) -> list[str]:
    """The notes that tell of a fall-back, and not those of `recompute`, which are no doubt."""
    found = (note or "").split(BETWEEN)
    # What is behind MORE is as the notes before it: doubts come first.
    return [one for one in found if one not in ("", MORE) and not one.startswith(RESTATED)]


def weight_j(carbon: CarbonJson) -> float:
    """The energy in J that a figure was made of, worked back from its grams; 0 where unknown."""
    factor = (carbon["g_per_kwh"] or 0.0) * (carbon["pue"] or 0.0)
    return (carbon["mid"] or 0.0) / factor * J_PER_KWH if factor > LEAST_FACTOR else 0.0


def _sum(items: Sequence[Weighed]) -> CarbonJson:
    """The sum of figures of one kind."""
    if len(items) == 1:
        return items[0][0]
    parts = [carbon for carbon, _ in items]
    years = {c["year"] for c in parts}
    return {
        "low": _total(c["low"] for c in parts),
        "mid": _total(c["mid"] for c in parts),
        "high": _total(c["high"] for c in parts),
        "g_per_kwh": mean((c["g_per_kwh"], energy_j) for c, energy_j in items),
        "zone": _codes(parts, "zone"),
        "place": _listed(parts, "place"),
        "kind": parts[0]["kind"],
        "boundary": _codes(parts, "boundary"),
        "scope": _codes(parts, "scope"),
        "resolution": _codes(parts, "resolution"),
        "factor_quality": _codes(parts, "factor_quality"),
        "source": _listed(parts, "source"),
        "year": years.pop() if len(years) == 1 else None,
        "pue": mean((c["pue"], energy_j * (c["g_per_kwh"] or 0.0)) for c, energy_j in items),
        "pue_source": _listed(parts, "pue_source"),
        "how": _listed(parts, "how"),
        "note": _notes(parts),
        "start": min((c["start"] for c in parts if c["start"]), default=None),
        "end": max((c["end"] for c in parts if c["end"]), default=None),
        "said_g": _said_g(parts),
        "assumed": any(c["assumed"] for c in parts),
        "estimated_share": mean((c["estimated_share"], c["mid"] or 0.0) for c in parts),
        "parts": None,
    }


def _energy_j(record: Record) -> float:
    counted = [d.energy for d in record.measurement.counted()]
    return math.fsum(e.mid if isinstance(e, Range) else e.value for e in counted if e is not None)


def _total(figures: Iterable[float | None]) -> float | None:
    """The sum, or None where one is unknown: a part is never passed off as the whole."""
    known: list[float] = []
    for figure in figures:
        if figure is None:
            return None
        known.append(figure)
    return math.fsum(known)


def mean(weighed: Iterable[tuple[float | None, float]]) -> float | None:
    """The weighted mean; None where a figure is unknown, or nothing says how they weigh."""
    known: list[tuple[float, float]] = []
    for figure, weight in weighed:
        if figure is None:
            return None
        known.append((figure, weight))
    figures = [figure for figure, _ in known]
    if min(figures) == max(figures):
        return figures[0]
    total = math.fsum(weight for _, weight in known)
    if total <= 0:
        return None
    mean = math.fsum(figure * weight for figure, weight in known) / total
    return min(max(mean, min(figures)), max(figures))


def _codes(parts: Sequence[CarbonJson], field: Code) -> str | None:
    """Every code that occurs, each once, also where a part is a sum: "FR, DE"."""
    words = (word for c in parts for word in (c[field] or "").split(", ") if word)
    return ", ".join(dict.fromkeys(words)) or None


def _said_g(parts: Sequence[CarbonJson]) -> float | None:
    """What was told at the time of all parts together, where some of them have been restated; None
    also where nothing was told then of one, or grams of the other kind."""
    if all(c["said_g"] is None for c in parts):
        return None
    if any(c["said_g"] is None and RESTATED in (c["note"] or "") for c in parts):
        return None
    return _total(c["mid"] if c["said_g"] is None else c["said_g"] for c in parts)


def _notes(parts: Sequence[CarbonJson]) -> str | None:
    """The notes that occur, each once, doubts before those of `recompute`; of many the first few
    in this order of words, however the parts were added up before. That some of it was restated is
    always among them."""
    notes = {note for c in parts for note in (c["note"] or "").split(BETWEEN) if note}
    found = sorted(notes - {MORE}, key=lambda note: (note.startswith(RESTATED), note))
    told = found[:MOST_NOTES]
    of_restating = [note for note in found if note.startswith(RESTATED)]
    if of_restating and of_restating[0] not in told:
        told[-1] = of_restating[0]
    cut = len(found) > MOST_NOTES or MORE in notes
    return BETWEEN.join([*told, *([MORE] if cut else ())]) or None


def _listed(parts: Sequence[CarbonJson], field: Text) -> str | None:
    """Every word that occurs, each once: "FR, DE"."""
    return ", ".join(dict.fromkeys(word for c in parts if (word := c[field]))) or None

"""Grams made again from stored joules, with what was said at the time kept beside them. Pure.

A record that was restated has `Emissions.restated`, and in `Record.said` the grams as they were
told first, None where no place was known then. One of a run whose saving came to be known after its
end has in `Record.shift_said` what was told at its end.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from datetime import datetime, timedelta

from .carbon.emissions import emissions
from .carbon.weighting import Drawn
from .carbon_sums import RESTATED
from .model import CarbonIntensity, Emissions, Record, Span
from .units import intensity, plain

# How a place was found that was said in the cell itself (place.py, factors.py).
BY_CELL = "set by --zone"
# How to make grams: the factor, the PUE and whose figure that is, and the spans of the factor.
Basis = tuple[CarbonIntensity, float, str, tuple[Span, ...]]


def is_restated(record: Record) -> bool:
    """Whether the grams of a record are others than were told at the time."""
    return record.emissions is not None and record.emissions.restated is not None


def first_said(record: Record) -> Emissions | None:
    """The grams as they were told at the time; None where none were."""
    return record.said if is_restated(record) else record.emissions


def zone_of_the_cell(record: Record) -> str | None:
    """The zone that was said in the cell itself (`--zone`), None where it was not."""
    first = first_said(record)
    return first.intensity.zone if first is not None and first.intensity.how == BY_CELL else None


def taken_back(record: Record) -> Record:
    """The record as it was before its grams were restated, or its saving was."""
    if record.shift_said is not None:
        record = replace(record, shift=record.shift_said, shift_said=None)
    return _with_first_grams(record)


def _with_first_grams(record: Record) -> Record:
    return replace(record, emissions=record.said, said=None) if is_restated(record) else record


def restated(record: Record, basis: Basis, when: datetime) -> Record:
    """The record with grams by another factor, restated at a moment (UTC).

    It stays as it is where its energy is unknown, or its grams are made so already; where they are
    the same as were told at the time, it is the record of that time again.
    """
    factor, pue, pue_source, spans = basis
    made = emissions(record.measurement, factor, pue, pue_source, spans)
    first = first_said(record)
    if made is None or not math.isfinite(made.carbon_g.high):
        return record
    if record.emissions is not None and _same(made, record.emissions):
        return record
    if first is not None and _same(made, first):
        return _with_first_grams(record)
    note = f"{RESTATED} {when:%Y-%m-%d} from {_in_words(first)}"
    noted = replace(factor, note="; ".join(filter(None, (note, factor.note))))
    return replace(record, emissions=replace(made, intensity=noted, restated=when), said=first)


def carried_over(held: Record, made_again: Record) -> Record:
    """A record that takes the place of one of the same run whose grams were restated: they are its
    own, by the same factor, and what it says of grams itself is what was said at the time. So with
    what it saved, where that came to be known of the very same energy."""
    if held.shift_said is not None and held.shift_said == made_again.shift:
        made_again = replace(made_again, shift=held.shift, shift_said=held.shift_said)
    if held.emissions is None or not is_restated(held) or is_restated(made_again):
        return made_again
    of = held.emissions
    again = emissions(made_again.measurement, of.intensity, of.pue, of.pue_source, of.spans)
    if again is None:
        return made_again
    restated_then = replace(again, restated=of.restated)
    return replace(made_again, emissions=restated_then, said=made_again.emissions)


def course_of(record: Record) -> list[Drawn]:
    """What share of its energy a run had drawn by when, as far as its record knows: at the edges of
    the spans of a live signal; else at its two ends alone."""
    found = [Drawn(record.start, {})]
    of = next((e for e in (record.said, record.emissions) if e is not None and e.spans), None)
    share = 0.0
    for span in () if of is None else of.spans[:-1]:
        share += span.energy_share
        found.append(Drawn(span.end, {"run": share}))
    ends = record.start + timedelta(seconds=record.duration_s)
    if of is not None and ends <= found[-1].at:
        ends = of.spans[-1].end  # the machine was suspended within it
    return [*found, Drawn(ends, {"run": 1.0})]


def _same(one: Emissions, other: Emissions) -> bool:
    """Whether two are the same grams by the same factor, whatever is noted beside them."""

    def bare(emitted: Emissions) -> Emissions:
        of = replace(emitted.intensity, note=None, how="")
        return replace(emitted, intensity=of, restated=None, pue_source="")

    return bare(one) == bare(other)


def _in_words(said: Emissions | None) -> str:
    if said is None:
        return "no figure"
    of = said.intensity
    pue = "" if said.pue == 1 else f", PUE {plain(said.pue)}"
    source = re.split("[;,(]", of.source)[0].strip()
    year = "" if said.spans else f" {of.year}"
    return f"{intensity(of.g_per_kwh)} {of.kind} of {of.place} ({source}{year}){pue}"

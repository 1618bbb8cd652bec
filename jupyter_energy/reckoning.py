"""What a shifted run drew and stands for, against the same run begun at once. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import groupby
from typing import Literal

from .carbon.weighting import Drawn
from .model import CarbonIntensity, Measurement, Span
from .plan.nouns import Basis
from .shift import STOPPED, Awaited, Kind, Segment, Shift, Stretch
from .uncertainty import Range, sum_of_ranges
from .units import carbon_g, percent

# The factor of a course of energy, and the spans that it is the mean of (Factors.of_run).
OfRun = Callable[[Sequence[Drawn]], tuple[CarbonIntensity, tuple[Span, ...]]]
MEMORY = "dram"  # the kind of its domains (model.py)
_RUN = "run"  # the one domain of a course of sums
# Of less than this share of what was planned there is nothing to be told against the plan (ours).
LEAST_RUN = 0.01
# What is known by a forecast alone has not come true; so much of it, a share of a run's energy, is
# told beside a figure and not in its place (ours): services publish what was some minutes late.
MOST_FORECAST = 0.1
ASKS_AGAIN = "a later plan asks again"


@dataclass(frozen=True, slots=True)
class Promise:
    """What was planned: the share of emissions that it saves, over what, and whose that is; and of
    a run of how many s, None: unknown. `is_stopped`: the wait for it was ended by an exception.
    `on_anyway`: by the user's word the machine runs anyway."""

    saved_fraction: float
    basis: Basis
    source: str
    run_s: float | None = None
    is_stopped: bool = False
    on_anyway: bool = False


def energy_of(measurement: Measurement) -> Range | None:
    """Measured energy within its 95 % interval and estimated energy within its range, together, in
    J; None where nothing is known."""
    measured, estimated = measurement.measured_j, measurement.estimated_j
    found = [] if estimated is None else [estimated]
    if measured is not None:
        bounds = (measured.value - measured.u95, measured.value, measured.value + measured.u95)
        found.append(Range(*(max(0.0, bound) for bound in bounds)))
    return sum_of_ranges(found)


def constant_of(measurement: Measurement) -> float:
    """What of that memory drew, in J: its power does not fall in a pause, as its refresh goes on,
    and where it is estimated it is a constant of its size."""
    memory = [d.energy for d in measurement.counted() if d.domain.kind == MEMORY]
    return math.fsum(e.mid if isinstance(e, Range) else e.value for e in memory if e is not None)


def reckoned(
    segments: Sequence[Segment],
    promise: Promise | None,
    of_run: OfRun,
    pue: float,
    signal: tuple[str, str] | None = None,
) -> Shift | None:
    """What became of a run of these segments, in order; None where it was neither to be shifted
    nor was. `signal` is whose values these are, and of which zone (Awaited), where they may come
    late.

    The same run at once draws the energy of its runs alone, each piece of it so much earlier as
    there were pauses before it. Both have the values that the signal has now, with the same PUE.
    Power is taken to be constant within a segment. A wait's energy is the run's in neither: what is
    realised is what Flexible Start promises, which begins a machine later too. Nor is a pause's,
    where the machine runs anyway.
    """
    runs = _stretches(segments, lambda kind: kind == "run")
    pauses = _stretches(segments, lambda kind: kind in ("save", "pause"))
    waits = _stretches(segments, lambda kind: kind == "wait")
    if not segments or (promise is None and not (pauses or waits)):
        return None
    shift = Shift(
        begun=segments[0].stretch.start,
        planned_fraction=None if promise is None else promise.saved_fraction,
        basis=None if promise is None else promise.basis,
        source=None if promise is None else promise.source,
        runs=runs,
        pauses=pauses,
        carbon_g=None,
        at_once_g=None,
        realised_fraction=None,
        kind=None,
        note=None,
        waits=waits,
        on_anyway=promise is not None and promise.on_anyway,
    )
    told = _told(shift, segments, of_run, pue, signal)
    if (why := _not_run(segments, promise)) is None:
        return told
    unknown = replace(told, carbon_g=None, at_once_g=None, realised_fraction=None)
    return replace(unknown, note=why, awaited=None)


def reckoned_again(shift: Shift, of_run: OfRun) -> Shift:
    """What became of a run whose outcome is awaited, by the values that are known now: the same as
    had they been known at its end."""
    of = shift.awaited
    return shift if of is None else _told(shift, of.segments, of_run, of.pue, (of.asked, of.zone))


def _told(
    shift: Shift,
    segments: Sequence[Segment],
    of_run: OfRun,
    pue: float,
    signal: tuple[str, str] | None,
) -> Shift:
    """The shift with the figures of its segments by the values that are known now; or what it takes
    to tell them later, where they may come to be known."""
    grams, kind, note, may_come = _grams(segments, of_run, pue, shift.on_anyway)
    carbon, at_once = grams or (None, None)
    realised = None
    if carbon is not None and at_once is not None and at_once.mid > 0:
        realised = 1 - carbon.mid / at_once.mid
    awaited = None
    if may_come and signal is not None:
        awaited = Awaited(*signal, pue, tuple(segments))
        note = f"{note}; {ASKS_AGAIN}"
    return replace(
        shift,
        carbon_g=carbon,
        at_once_g=at_once,
        realised_fraction=realised,
        kind=kind,
        note=note,
        waits_g=_waits_g(segments, of_run, pue, kind) if shift.waits else None,
        awaited=awaited,
    )


def _not_run(segments: Sequence[Segment], promise: Promise | None) -> str | None:
    """Why there is nothing to be told against the plan; None where there is."""
    if promise is None or promise.run_s is None:
        return None
    least_s = LEAST_RUN * promise.run_s
    waits = [n for n, segment in enumerate(segments) if segment.kind == "wait"]
    # What its cell ran before a wait is not what was held.
    if _ran_s(segments[waits[-1] :] if waits else segments) >= least_s:
        paused = [n for n, segment in enumerate(segments) if segment.kind in ("save", "pause")]
        if paused and _ran_s(segments[paused[-1] :]) < least_s:
            # As of one that is stopped in a pause: what that was for has not come.
            return "next to nothing ran after its last pause, so what that saves is not known"
        return None
    if waits and promise.is_stopped:
        return STOPPED
    if waits:
        return "no run followed the wait; in a notebook put it below, in the same cell"
    return f"less than {100 * LEAST_RUN:g} % of the planned run has run"


def _ran_s(segments: Sequence[Segment]) -> float:
    spans = [s.stretch.end - s.stretch.start for s in segments if s.kind == "run"]
    return sum(spans, timedelta(0)).total_seconds()


def _stretches(segments: Sequence[Segment], wanted: Callable[[Kind], bool]) -> tuple[Stretch, ...]:
    """The stretches of some kinds; neighbours are one, with what they drew together."""
    found = []
    for is_wanted, group in groupby(segments, lambda segment: wanted(segment.kind)):
        if is_wanted:
            held = [segment.stretch for segment in group]
            known = [stretch.energy_j for stretch in held if stretch.energy_j is not None]
            energy_j = sum_of_ranges(known) if len(known) == len(held) else None
            found.append(Stretch(held[0].start, held[-1].end, energy_j))
    return tuple(found)


def _grams(
    segments: Sequence[Segment], of_run: OfRun, pue: float, on_anyway: bool
) -> tuple[tuple[Range, Range] | None, Literal["average", "marginal"] | None, str | None, bool]:
    """The grams as it ran and as if at once, of what kind, and what is doubtful about them; or why
    they are not known, and whether values that come later may tell them."""
    # What a machine draws that runs anyway while its run is paused is not the run's.
    others: tuple[Kind, ...] = ("wait", "pause") if on_anyway else ("wait",)
    as_run, drawn = _course(segments, lambda kind: kind not in others)
    at_once, of_runs = _course(segments, lambda kind: kind == "run", is_at_once=True)
    if len(drawn) < sum(segment.kind not in others for segment in segments):
        return None, None, "not all that it drew is known", False
    whole, work = sum_of_ranges(drawn), sum_of_ranges(of_runs)
    if whole is None or work is None:
        return None, None, "it has not run", False
    factor, spans = of_run(as_run)
    factor_at_once, spans_at_once = of_run(at_once)
    if not spans or not spans_at_once or factor.kind != factor_at_once.kind:
        lacks = factor if not spans else factor_at_once
        return None, None, lacks.note or "the values of its time are not known", True
    ahead = max(map(_forecast_share, (spans, spans_at_once)))
    by_forecast = f"{percent(ahead)} of it is known by a forecast alone"
    if ahead > MOST_FORECAST:
        why = f"its provider has told a forecast alone for {percent(ahead)} of it"
        return None, None, why, True
    notes = dict.fromkeys((factor.note, factor_at_once.note, by_forecast if ahead else None))
    grams = (_times(whole, factor.g_per_kwh, pue), _times(work, factor_at_once.g_per_kwh, pue))
    return grams, factor.kind, "; ".join(filter(None, notes)) or None, False


def _course(
    segments: Sequence[Segment], wanted: Callable[[Kind], bool], is_at_once: bool = False
) -> tuple[list[Drawn], list[Range]]:
    """What segments of some kinds drew by when, those of the others nothing; as if there were none
    of these where `is_at_once`. And what each of them drew that is known."""
    reached, energy_j = segments[0].stretch.start, 0.0
    course, drawn = [Drawn(reached, {_RUN: 0.0})], []
    for segment in segments:
        stretch, is_wanted = segment.stretch, wanted(segment.kind)
        if is_wanted and stretch.energy_j is not None:
            drawn.append(stretch.energy_j)
            energy_j += stretch.energy_j.mid
        if is_wanted or not is_at_once:
            reached += max(timedelta(0), stretch.end - stretch.start)
            course.append(Drawn(reached, {_RUN: energy_j}))
    return course, drawn


def _waits_g(
    segments: Sequence[Segment],
    of_run: OfRun,
    pue: float,
    kind: Literal["average", "marginal"] | None,
) -> Range | None:
    """The grams of what was drawn in waits; None where that is unknown, or of another kind."""
    course, drawn = _course(segments, lambda of: of == "wait")
    whole = sum_of_ranges(drawn)
    if whole is None or len(drawn) < sum(segment.kind == "wait" for segment in segments):
        return None
    factor, spans = of_run(course)
    if not spans or (kind is not None and factor.kind != kind):
        return None
    return _times(whole, factor.g_per_kwh, pue)


def _forecast_share(spans: Sequence[Span]) -> float:
    """The share of the energy of spans that was drawn while only a forecast is known."""
    whole = math.fsum(span.energy_share for span in spans)
    ahead = math.fsum(span.energy_share for span in spans if span.quality == "forecast")
    return ahead / whole if whole > 0 else 0.0


def _times(energy_j: Range, g_per_kwh: float, pue: float) -> Range:
    bounds = (energy_j.low, energy_j.mid, energy_j.high)
    return Range(*(carbon_g(bound, g_per_kwh, pue) for bound in bounds))

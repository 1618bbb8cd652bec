"""What is told of a shifted run once it is over: only what is known, and of the run alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import a_record

from jupyter_energy.carbon.base import Interval, Signal
from jupyter_energy.carbon.weighting import Drawn, weighted
from jupyter_energy.documents import record_from_document, record_to_document, to_json
from jupyter_energy.model import CarbonIntensity, Span
from jupyter_energy.reckoning import OfRun, Promise, reckoned, reckoned_again
from jupyter_energy.shift import Kind, Segment, Shift, Stretch
from jupyter_energy.uncertainty import Range

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
KWH = 3.6e6
YEARLY = CarbonIntensity(
    *(50.0, "FR", "France", "average", "consumption", "lifecycle"),
    *("year", "estimated", "Ember", 2024, "said", False),
)
PROMISE = Promise(0.6, "forecast", "a service", 3600.0)
SIGNAL = "a_service FR", "FR"
Hour = tuple[float, Literal["measured", "forecast"]]


def segment(kind: Kind, since: float, until: float, kwh: float | None) -> Segment:
    """From one hour after noon to another."""
    energy_j = None if kwh is None else Range(kwh * KWH, kwh * KWH, kwh * KWH)
    return Segment(kind, Stretch(NOON + since * HOUR, NOON + until * HOUR, energy_j))


def by(hours: Sequence[Hour]) -> OfRun:
    """The factors of a service that has told these g/kWh in each hour from noon on."""
    intervals = tuple(
        Interval(NOON + n * HOUR, NOON + (n + 1) * HOUR, g, quality)
        for n, (g, quality) in enumerate(hours)
    )
    names = ("FR", "France", "average", "consumption", "lifecycle", 3600.0, "a service", "u")
    signal = Signal(*names, NOON, intervals)  # type: ignore[arg-type]  # as its fields follow

    def of_run(course: Sequence[Drawn]) -> tuple[CarbonIntensity, tuple[Span, ...]]:
        return weighted(course, signal, YEARLY)

    return of_run


def told(segments: Sequence[Segment], hours: Sequence[Hour]) -> Shift:
    """By these g/kWh in each hour from noon on."""
    shift = reckoned(segments, PROMISE, by(hours), 1.0, SIGNAL)
    assert shift is not None
    return shift


WAITED = (segment("wait", 0, 3, 0.3), segment("run", 3, 4, 1.0))


def test_what_a_wait_got_is_what_was_promised_where_the_forecast_came_true() -> None:
    shift = told(WAITED, [(300.0, "measured")] * 3 + [(120.0, "measured")])
    assert shift.realised_fraction == pytest.approx(0.6)
    assert shift.waits_g is not None
    assert shift.waits_g.mid == pytest.approx(90.0)
    assert shift.note is None


@given(kwh=st.floats(0, 100))
def test_what_a_wait_draws_is_told_and_changes_no_other_figure(kwh: float) -> None:
    hours: list[Hour] = [(300.0, "measured")] * 3 + [(120.0, "measured")]
    shift = told((segment("wait", 0, 3, kwh), WAITED[1]), hours)
    assert shift.realised_fraction == pytest.approx(0.6)
    assert shift.carbon_g is not None
    assert shift.carbon_g.mid == pytest.approx(120.0)
    assert shift.waits_g is not None
    assert shift.waits_g.mid == pytest.approx(300.0 * kwh)


def test_what_pauses_draw_is_counted() -> None:
    segments = (segment("pause", 0, 3, 0.1), segment("run", 3, 4, 1.0))
    shift = told(segments, [(300.0, "measured")] * 3 + [(120.0, "measured")])
    assert shift.realised_fraction == pytest.approx(1 - 150 / 300)


def test_what_pauses_draw_is_not_counted_where_the_machine_runs_anyway_but_checkpoints_are() -> (
    None
):
    segments = (
        *(segment("save", 0, 1, 0.1), segment("pause", 1, 3, 0.5), segment("run", 3, 4, 1.0)),
    )
    hours: list[Hour] = [(300.0, "measured")] * 3 + [(120.0, "measured")]
    promise = replace(PROMISE, on_anyway=True)
    shift = reckoned(segments, promise, by(hours), 1.0, SIGNAL)
    assert shift is not None
    assert shift.on_anyway
    assert shift.realised_fraction == pytest.approx(1 - (120 + 0.1 * 300) / 300)
    late = reckoned(segments, promise, by([(300.0, "forecast")] * 4), 1.0, SIGNAL)
    assert late is not None
    assert reckoned_again(late, by(hours)) == shift


def test_a_forecast_has_not_come_true() -> None:
    shift = told(WAITED, [(300.0, "measured")] * 3 + [(120.0, "forecast")])
    assert (shift.realised_fraction, shift.carbon_g) == (None, None)
    assert shift.note == (
        "its provider has told a forecast alone for 100 % of it; a later plan asks again"
    )


def test_a_little_of_a_forecast_is_told_beside_the_figure() -> None:
    segments = (segment("wait", 0, 1, 0.1), segment("run", 1, 2, 0.95), segment("run", 2, 3, 0.05))
    shift = told(segments, [(300.0, "measured"), (100.0, "measured"), (100.0, "forecast")])
    assert shift.realised_fraction is not None
    assert shift.note == "5 % of it is known by a forecast alone"


def test_a_run_that_has_the_yearly_factor_in_part_says_so_beside_its_figure() -> None:
    both = (*WAITED, segment("run", 4, 5, 1.0))
    shift = told(both, [(300.0, "measured")] * 4)
    assert shift.realised_fraction is not None
    assert shift.note is not None
    assert "yearly factor" in shift.note


SAVED = (segment("run", 0, 0.5, 0.5), segment("save", 0.5, 0.6, 0.1))


@pytest.mark.parametrize(
    ("segments", "note"),
    [
        (
            (segment("wait", 0, 3, 0.3), segment("run", 3, 3.001, 1e-6)),
            "no run followed the wait; in a notebook put it below, in the same cell",
        ),
        (
            (segment("run", 0, 0.5, 0.5), segment("wait", 0.5, 3, 0.3)),
            "no run followed the wait; in a notebook put it below, in the same cell",
        ),
        (
            (segment("run", 0, 0.001, 1e-6), segment("pause", 0.001, 3, 0.3)),
            "less than 1 % of the planned run has run",
        ),
        (
            (segment("run", 0, 0.5, 0.5), segment("pause", 0.5, 3, 0.3)),
            "next to nothing ran after its last pause, so what that saves is not known",
        ),
        (
            (*SAVED, segment("pause", 0.6, 3, 0.3), segment("run", 3, 3.001, 1e-3)),
            "next to nothing ran after its last pause, so what that saves is not known",
        ),
    ],
)
def test_where_next_to_nothing_has_run_there_is_no_figure(
    segments: tuple[Segment, ...], note: str
) -> None:
    shift = told(segments, [(300.0, "measured")] * 4)
    assert (shift.realised_fraction, shift.carbon_g, shift.note) == (None, None, note)
    assert shift.planned_fraction == 0.6
    late = told(segments, [(300.0, "forecast")] * 4)
    assert (late.note, late.awaited) == (note, None)  # no value that comes later would tell it


@st.composite
def runs(draw: st.DrawFn) -> list[Segment]:
    """What went on within six hours, piece by piece; of some the energy is not known."""
    minutes = sorted(draw(st.sets(st.integers(0, 360), min_size=2, max_size=8)))
    kinds = st.sampled_from(["wait", "run", "save", "pause"])
    energies = st.floats(0, 100) | st.sampled_from([0.0, 1.0, None])
    return [
        segment(draw(kinds), since / 60, until / 60, draw(energies))
        for since, until in pairwise(minutes)
    ]


values = st.lists(st.floats(0, 1000), min_size=6, max_size=6)


@given(
    segments=runs(),
    promise=st.sampled_from([PROMISE, replace(PROMISE, run_s=None), None]),
    expected=values,
    true=values,
    known=st.lists(st.booleans(), min_size=6, max_size=6),
    reached=st.integers(0, 6),
    pue=st.floats(1, 2),
)
def test_what_is_told_later_is_what_would_have_been_told_at_the_end_had_the_values_been_there(
    segments: list[Segment],
    promise: Promise | None,
    expected: list[float],
    true: list[float],
    known: list[bool],
    reached: int,
    pue: float,
) -> None:
    """At the end some hours are a forecast, and those from one on are not told at all."""
    in_time = by([(g, "measured") for g in true])
    late = by(
        [
            (g, "measured") if is_known else (foreseen, "forecast")
            for g, foreseen, is_known in zip(true, expected, known, strict=True)
        ][:reached]
        or [(0.0, "forecast")]
    )
    at_once = reckoned(segments, promise, in_time, pue, SIGNAL)
    at_end = reckoned(segments, promise, late, pue, SIGNAL)
    if at_once is None or at_end is None:
        assert at_once is at_end
        return
    assert reckoned_again(at_end, late) == at_end  # nothing has come
    if at_end.awaited is not None:
        # What is kept between the two loses nothing.
        record = replace(a_record(), shift=at_end)
        kept = record_from_document(json.loads(to_json(record_to_document(record)))).shift
        assert kept == at_end
        assert reckoned_again(kept, in_time) == at_once


def test_where_nobody_can_be_asked_again_nothing_is_awaited() -> None:
    shift = reckoned(WAITED, PROMISE, by([(120.0, "forecast")] * 4), 1.0)
    assert shift is not None
    assert shift.awaited is None
    assert shift.note == "its provider has told a forecast alone for 100 % of it"

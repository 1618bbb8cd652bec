"""Grams added up: sums of parts equal wholes by kind, in any order and by any grouping."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import a_record, in_zone, one_after_another, records

from jupyter_energy.carbon_sums import (
    MOST_NOTES,
    add_carbon,
    carbon_from_records,
    carbon_json,
    weight_j,
)
from jupyter_energy.json_shapes import CarbonJson
from jupyter_energy.model import Emissions, Record, Span
from jupyter_energy.restating import restated
from jupyter_energy.schema import totals_from_records
from jupyter_energy.uncertainty import Uncertain
from jupyter_energy.units import J_PER_KWH

WHEN = datetime(2026, 11, 23, 12, tzinfo=UTC)
FIGURES = ("low", "mid", "high", "g_per_kwh", "pue", "estimated_share", "said_g")
CODES = ("zone", "boundary", "scope", "resolution", "factor_quality")
# Grams of less than that are lost in the last digits of others.
LEAST_G = 1e-9


def energy_j(record: Record) -> float:
    """The energy that is behind a record's grams."""
    measured, estimated = record.measurement.measured_j, record.measurement.estimated_j
    return (0 if measured is None else measured.value) + (0 if estimated is None else estimated.mid)


@st.composite
def emitted(draw: st.DrawFn) -> Record:
    """A run whose grams are those of its energy, as all that we make; some restated since."""
    energy = draw(st.floats(1e-3, 1e9))
    g_per_kwh = draw(st.floats(1, 2000))
    pue = draw(st.floats(1, 3))
    made = in_zone(
        draw(st.sampled_from(["FR", "DE"])),
        g_per_kwh,
        energy,
        draw(st.sampled_from(["average", "marginal"])),
    )
    grams = made.carbon_g.scaled(pue)
    words = {
        "scope": draw(st.sampled_from(["lifecycle", "direct"])),
        "quality": draw(st.sampled_from(["measured", "forecast"])),
        "note": draw(st.none() | st.sampled_from("ABCDEF")),
    }
    intensity = replace(made.intensity, **words)
    of = replace(made, carbon_g=grams, pue=pue, intensity=intensity)
    run = a_record(draw(st.uuids()).hex, energies={"gpu": Uncertain(energy)}, emitted=of)
    if draw(st.booleans()):
        kind = draw(st.sampled_from(["average", "marginal"]))
        place = replace(intensity, zone="PL", g_per_kwh=g_per_kwh / 2, note=None, kind=kind)
        run = restated(run, (place, 1.0, "--pue", ()), WHEN)
    return run


def parts(carbon: CarbonJson | None) -> dict[str | None, CarbonJson]:
    if carbon is None:
        return {}
    return {part["kind"]: part for part in carbon["parts"] or [carbon]}


def alike(one: CarbonJson | None, other: CarbonJson | None) -> bool:
    """Whether two sums say the same but for the last digits, and the order of words."""
    mine, yours = parts(one), parts(other)
    if mine.keys() != yours.keys():
        return False
    for kind, part in mine.items():
        for name in FIGURES:
            a, b = part[name], yours[kind][name]
            if (a is None) != (b is None):
                return False
            if a is not None and not math.isclose(a, b, rel_tol=1e-6, abs_tol=LEAST_G):
                return False
        for name in CODES:
            if {*str(part[name]).split(", ")} != {*str(yours[kind][name]).split(", ")}:
                return False
        if part["note"] != yours[kind]["note"]:
            return False
    return True


@given(st.lists(emitted(), min_size=1, max_size=8), st.data())
def test_any_order_and_any_grouping_of_runs_gives_the_same_sum(
    runs: list[Record], data: st.DataObject
) -> None:
    whole = carbon_from_records(runs)
    shuffled = data.draw(st.permutations(runs))
    assert alike(carbon_from_records(shuffled), whole)
    cuts = sorted({0, len(runs), *data.draw(st.lists(st.integers(0, len(runs)), max_size=3))})
    groups = [shuffled[a:b] for a, b in pairwise(cuts)]
    sums = [(carbon_from_records(group), math.fsum(map(energy_j, group))) for group in groups]
    assert alike(add_carbon([(c, j) for c, j in sums if c is not None]), whole)


@given(st.lists(emitted(), min_size=1, max_size=8))
def test_sums_of_parts_equal_wholes_by_kind_and_kinds_never_meet(runs: list[Record]) -> None:
    whole = carbon_from_records(runs)
    assert whole is not None
    for kind, part in parts(whole).items():
        mine = [r for r in runs if r.emissions is not None and r.emissions.intensity.kind == kind]
        for bound in ("low", "mid", "high"):
            grams = math.fsum(getattr(r.carbon_g, bound) for r in mine)
            assert part[bound] == pytest.approx(grams, rel=1e-9)
    if len(parts(whole)) > 1:
        assert (whole["kind"], whole["mid"], whole["scope"]) == (None, None, None)


@given(st.lists(emitted(), min_size=1, max_size=8))
def test_grams_are_energy_times_mean_factor_times_pue(runs: list[Record]) -> None:
    for kind, part in parts(carbon_from_records(runs)).items():
        mine = [r for r in runs if r.emissions is not None and r.emissions.intensity.kind == kind]
        behind_j = math.fsum(map(energy_j, mine))
        assert weight_j(part) == pytest.approx(behind_j, rel=1e-6)
        assert part["mid"] is not None
        assert part["g_per_kwh"] is not None
        assert part["pue"] is not None
        assert part["mid"] == pytest.approx(
            behind_j / J_PER_KWH * part["g_per_kwh"] * part["pue"], rel=1e-6
        )


@settings(max_examples=30)
@given(st.lists(records(), max_size=5))
def test_cells_add_up_to_the_notebook(runs: list[Record]) -> None:
    runs = one_after_another(runs)
    by_cell: dict[object, list[Record]] = {}
    for run in runs:
        by_cell.setdefault(run.cell_id, []).append(run)
    cells = [(carbon_from_records(own), math.fsum(map(energy_j, own))) for own in by_cell.values()]
    whole = parts(totals_from_records(runs)["carbon_g"])
    added = parts(add_carbon([(c, j) for c, j in cells if c is not None]))
    assert whole.keys() == added.keys()
    for kind, part in whole.items():
        assert part["mid"] == pytest.approx(added[kind]["mid"], rel=1e-9)


def test_lifecycle_and_direct_figures_in_one_sum_are_both_named() -> None:
    one = in_zone("FR", 50, 3.6e6)
    other = replace(one, intensity=replace(one.intensity, scope="direct", boundary="production"))
    made = add_carbon([(carbon_json(one), 3.6e6), (carbon_json(other), 3.6e6)])
    assert made is not None
    assert (made["scope"], made["boundary"]) == ("lifecycle, direct", "consumption, production")
    assert made["mid"] == pytest.approx(100)


def with_note(note: str) -> Emissions:
    one = in_zone("FR", 50, 3.6e6)
    return replace(one, intensity=replace(one.intensity, note=note))


def test_of_many_notes_a_few_are_told_and_that_there_are_more() -> None:
    made = add_carbon([(carbon_json(with_note(f"note {n}")), 1.0) for n in range(MOST_NOTES + 2)])
    assert made is not None
    assert made["note"] == "note 0; note 1; note 2; …"


def test_the_time_of_live_values_is_from_the_first_to_the_last() -> None:
    def live(hour: int) -> Emissions:
        start = WHEN + timedelta(hours=hour)
        span = Span(start, start + timedelta(minutes=15), 50.0, "measured", 1.0)
        return replace(in_zone("FR", 50, 3.6e6), spans=(span,))

    made = add_carbon([(carbon_json(live(hour)), 1.0) for hour in (3, 0, 1)])
    assert made is not None
    assert made["start"] == "2026-11-23T12:00:00.000000Z"
    assert made["end"] == "2026-11-23T15:15:00.000000Z"


def test_what_was_said_of_a_sum_is_unknown_where_nothing_was_said_of_a_part() -> None:
    place = replace(in_zone("DE", 100, 1).intensity)
    told = a_record("a", energies={"gpu": Uncertain(3.6e6)}, emitted=in_zone("FR", 50, 3.6e6))
    not_told = replace(told, run_id="b", emissions=None)
    both = [restated(run, (place, 1.0, "", ()), WHEN) for run in (told, not_told)]
    one, other = (carbon_from_records([run]) for run in both)
    assert one is not None
    assert other is not None
    assert (one["said_g"], other["said_g"]) == (pytest.approx(50), None)
    assert parts(carbon_from_records(both))["average"]["said_g"] is None
    still = replace(told, run_id="c")
    assert parts(carbon_from_records([both[0], still]))["average"]["said_g"] == pytest.approx(100)


def test_what_was_said_of_another_kind_is_in_no_sum() -> None:
    """1 kWh told as 50 g average, and 1 kWh as 50 g marginal: their 100 g are nobody's figure."""
    place = in_zone("DE", 100, 1).intensity
    energies = {"gpu": Uncertain(3.6e6)}
    told = [
        a_record(kind, energies=energies, emitted=in_zone("FR", 50, 3.6e6, kind))
        for kind in ("average", "marginal")
    ]
    average, marginal = (restated(run, (place, 1.0, "", ()), WHEN) for run in told)
    of_average, of_marginal = (carbon_from_records([run]) for run in (average, marginal))
    assert of_average is not None
    assert of_marginal is not None
    assert (of_average["said_g"], of_marginal["said_g"]) == (pytest.approx(50), None)
    both = carbon_from_records([average, marginal])
    assert both is not None
    assert (both["mid"], both["said_g"]) == (pytest.approx(200), None)


def test_what_was_said_of_runs_that_overlap_counts_once_as_their_grams_do() -> None:
    """Two runs of an hour and 1 kWh, the second half an hour after the first: 1.5 kWh."""
    energies = {"gpu": Uncertain(3.6e6)}
    place = in_zone("DE", 100, 1).intensity
    runs = [
        a_record(
            name,
            energies=energies,
            duration_s=3600,
            after_s=after_s,
            emitted=in_zone("FR", 50, 3.6e6),
        )
        for name, after_s in (("a", 0.0), ("b", 1800.0))
    ]
    now = totals_from_records([restated(run, (place, 1.0, "", ()), WHEN) for run in runs])
    assert now["carbon_g"] is not None
    assert now["carbon_g"]["mid"] == pytest.approx(150)
    assert now["carbon_g"]["said_g"] == pytest.approx(75)


def test_that_grams_were_restated_is_told_however_many_notes_there_are() -> None:
    energies = {"gpu": Uncertain(3.6e6)}
    run = a_record("a", energies=energies, emitted=in_zone("FR", 50, 3.6e6))
    again = restated(run, (in_zone("DE", 100, 1).intensity, 1.0, "", ()), WHEN)
    assert again.emissions is not None
    noted = [with_note(f"note {n}") for n in range(MOST_NOTES)]
    made = add_carbon([(carbon_json(e), 1.0) for e in (*noted, again.emissions)])
    assert made is not None
    assert "restated on" in str(made["note"])
    assert str(made["note"]).count("; ") == MOST_NOTES

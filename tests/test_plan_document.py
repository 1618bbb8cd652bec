"""The document of a plan from its parts: what is sorted, hidden, kept apart, and not known."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_energy.carbon import factor
from jupyter_energy.plan.document import Parts, advice, plan_json, power_w
from jupyter_energy.plan.job import given_j, job_of
from jupyter_energy.plan.nouns import SLOT_S, Job, Outlook
from jupyter_energy.plan.regions import rankings
from jupyter_energy.plan.shapes import ItemJson, PlanJson
from jupyter_energy.uncertainty import Range, Uncertain

MADE = datetime(2026, 11, 23, 14, 3, tzinfo=UTC)
HERE = replace(factor("aws:us-east-1"), how="set by you")
PUE = (1.15, "AWS's for us-east-1, 2024")


def an_outlook(*g_per_kwh: float, kind: str = "average") -> Outlook:
    return Outlook(
        MADE.replace(minute=5), g_per_kwh, "forecast", "DE", "Germany", kind,  # type: ignore[arg-type]
        "production", "lifecycle", "a service (CC BY 4.0)", 0.05, "its own word",
    )  # fmt: skip


def an_item(saved: float, what: str = "start") -> ItemJson:
    return {
        "what": what,  # type: ignore[typeddict-item]
        "change": f"{what} {saved}",
        "setup": None,
        "command": None,
        "saved_fraction": {"low": saved - 0.1, "mid": saved, "high": saved + 0.1},
        "saved_g": None,
        "saved_j": None,
        "cost": "nothing",
        "evidence": "none",
        "confidence": "low",
    }


def made(**parts: object) -> PlanJson:
    found = plan_json(Parts(here=HERE, pue=PUE, **parts), MADE, "1.0")  # type: ignore[arg-type]
    json.dumps(found, allow_nan=False)
    return found


@given(st.lists(st.floats(-1, 1)))
def test_advice_falls_and_nothing_below_2_percent_is_in_it(saved: list[float]) -> None:
    found = [item["saved_fraction"]["mid"] for item in advice(map(an_item, saved))]
    assert found == sorted((s for s in saved if s >= 0.02), reverse=True)


def test_of_equal_savings_the_one_that_came_first_comes_first() -> None:
    items = [an_item(0.5, "region"), an_item(0.5, "start"), an_item(0.7, "pause")]
    assert [item["what"] for item in advice(items)] == ["pause", "region", "start"]


def test_nothing_known_is_null_and_nothing_is_left_out() -> None:
    found = made()
    assert found.keys() == PlanJson.__annotations__.keys()
    assert (
        found["job"] is found["flexible_start"] is found["pause_resume"] is found["slots"] is None
    )
    assert found["run_now"] == {"carbon_g": None, "yearly_g": None}
    assert found["basis"]["kind"] == "none"
    assert (found["advice"], found["regions"], found["kept"]) == ([], [], [])


def test_the_regions_are_those_of_the_first_ranking() -> None:
    ranked = rankings(None, HERE, PUE, "aws")
    assert made(rankings=ranked)["regions"] == ranked[0]["rows"]


def test_values_that_nobody_knows_are_null_and_power_is_told_slot_by_slot() -> None:
    job = replace(job_of(0.125, 1.0), shares=(0.25, 0.75))  # 7.5 min
    found = made(job=job, outlook=an_outlook(100.0, math.nan, 50.0))["slots"]
    assert found is not None
    assert found["g_per_kwh"] == [100.0, None, 50.0]
    assert found["begin"] == "2026-11-23T14:05:00.000000Z"
    assert found["job_w"] == pytest.approx([0.25 * 3.6e6 / 300, 0.75 * 3.6e6 / 150])


@given(st.floats(0.01, 100), st.floats(1e-3, 1e3))
def test_power_times_time_is_the_energy(hours: float, kwh: float) -> None:
    job = job_of(hours, kwh)
    watts = power_w(job)
    assert watts is not None
    lengths_s = [SLOT_S] * (len(watts) - 1) + [job.duration_s - SLOT_S * (len(watts) - 1)]
    drawn_j = math.fsum(w * s for w, s in zip(watts, lengths_s, strict=True))
    assert drawn_j == pytest.approx(kwh * 3.6e6, rel=1e-6)


def test_grams_here_are_energy_times_factor_times_pue_and_say_what_is_estimated() -> None:
    job = Job(3600.0, (1.0,), Uncertain(3.6e6, 0.0, 1.8e5), Range(1.8e6, 3.6e6, 7.2e6), "cells")
    found = made(job=job)["run_now"]["yearly_g"]
    assert found is not None
    assert found["mid"] == pytest.approx(2 * HERE.g_per_kwh * 1.15)
    assert found["estimated_share"] == 0.5
    assert found["low"] == pytest.approx((1 - 1.96 * 0.05 + 0.5) * HERE.g_per_kwh * 1.15)
    assert (found["zone"], found["pue"]) == ("aws:us-east-1", 1.15)


def test_of_a_given_energy_nobody_says_how_much_is_estimated() -> None:
    for parts in ({"job": job_of(1.0, 2.0)}, {"energy_j": given_j(2.0)}):
        found = made(**parts)
        yearly = found["run_now"]["yearly_g"]
        assert yearly is not None
        assert yearly["low"] == yearly["mid"] == yearly["high"]
        assert yearly["estimated_share"] is None
        assert found["job"] is not None
        assert found["job"]["measured_j"] is None


def test_an_outlook_is_named_as_what_it_is_with_all_that_is_to_be_said() -> None:
    outlook = replace(an_outlook(*[100.0] * 12), notes=("a gap", "old"))
    basis = made(outlook=outlook, outlook_notes=["old", "late"])["basis"]
    assert (basis["kind"], basis["forecast"], basis["signal"]) == ("forecast", True, "average")
    assert (basis["from"], basis["to"]) == (
        "2026-11-23T14:05:00.000000Z",
        "2026-11-23T15:05:00.000000Z",
    )
    assert basis["notes"] == ["a gap", "old", "late"]


def test_a_marginal_outlook_beside_average_places_is_said_to_be_of_another_kind() -> None:
    ranked = rankings(None, HERE, PUE, "aws")
    marginal = made(rankings=ranked, outlook=an_outlook(1.0, kind="marginal"))
    assert any("not comparable" in note for note in marginal["notes"])
    assert made(rankings=ranked, outlook=an_outlook(1.0))["notes"] == []


def test_direct_figures_beside_lifecycle_places_are_said_to_be_of_another_kind() -> None:
    ranked = rankings(None, HERE, PUE, "aws")
    direct = replace(an_outlook(1.0), scope="direct")
    (note,) = made(rankings=ranked, outlook=direct)["notes"]
    assert "direct emissions" in note
    assert "lifecycle emissions" in note
    assert "not comparable" in note


def test_what_a_reader_says_of_a_file_is_a_note_and_not_lost_in_its_name() -> None:
    figures = "figures of 0.1 to 0.5 g/kWh are of no grid: are they kg/kWh?"
    rows = "60 of 120 rows left out: 40 without a number, 20 below 0"
    said = f"taken as g/kWh, average: its column does not say, {figures}, {rows}"
    found = made(outlook=replace(an_outlook(1.0), source=f"my (own) t.csv ({said})"))["basis"]
    assert found["source"] == f"my (own) t.csv ({said})"
    assert found["notes"] == [
        "my (own) t.csv: taken as g/kWh, average: its column does not say",
        f"my (own) t.csv: {figures}",
        f"my (own) t.csv: {rows}",
    ]
    only = made(outlook=replace(an_outlook(1.0), source="t.csv (2 of 3 rows left out)"))["basis"]
    assert only["notes"] == ["t.csv: 2 of 3 rows left out"]
    assert made(outlook=an_outlook(1.0))["basis"]["notes"] == []


def test_where_no_place_is_known_a_file_is_of_none() -> None:
    for zone in ("WORLD", "t.csv"):
        outlook = replace(an_outlook(1.0), zone=zone, place=zone, source="t.csv")
        found = made(outlook=outlook)["basis"]
        assert found["zone"] is found["place"] is None


def test_the_present_place_is_told_with_how_it_was_found() -> None:
    here = made()["here"]
    assert here is not None
    assert (here["zone"], here["how"], here["assumed"]) == ("aws:us-east-1", "set by you", False)


def test_values_that_have_happened_are_marked() -> None:
    assert made(outlook=replace(an_outlook(1.0), hindsight=True))["basis"]["hindsight"] is True
    assert made(outlook=an_outlook(1.0))["basis"]["hindsight"] is made()["basis"]["hindsight"]


def test_values_that_have_happened_have_no_error_of_a_forecast() -> None:
    outlook = an_outlook(300.0, 100.0)
    assert made(outlook=outlook)["basis"]["error"] == 0.05
    basis = made(outlook=replace(outlook, hindsight=True, basis="trace"))["basis"]
    assert (basis["error"], basis["error_source"]) == (None, None)

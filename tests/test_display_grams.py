"""The words of a line of CO2e: everything that a figure was made with, and every doubt, in it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import display_examples as examples
import pytest
from hypothesis import given
from hypothesis import strategies as st
from standins.carbon_services import ENERGY_CHARTS_LICENCE
from strategies import a_record, in_zone

from jupyter_energy.display import grams
from jupyter_energy.restating import restated
from jupyter_energy.schema import totals_from_records
from jupyter_energy.uncertainty import Uncertain


def line(**fields: object) -> grams.CarbonLine:
    (one,) = grams.carbon_lines(examples.carbon(12.0, **fields), energy_known=True)
    return one


def live(**fields: object) -> grams.CarbonLine:
    held = {
        "resolution": "30min",
        "factor_quality": "measured",
        "source": "NESO Carbon Intensity API (CC BY 4.0)",
        "year": 2026,
        "start": "2026-11-22T14:00:00Z",
        "end": "2026-11-22T14:30:00Z",
    }
    return line(**(held | fields))


def test_a_yearly_factor_is_told_with_place_kind_source_licence_and_year() -> None:
    one = line(source="Ember (CC BY 4.0)", boundary="production", scope="lifecycle")
    assert one.basis == "France (FR), 44.3 g/kWh average, Ember (CC BY 4.0) 2024"
    assert one.figure.look == "computed"
    assert "production based, lifecycle" in one.figure.detail


def test_the_attributions_of_several_sources_are_told_to_their_end() -> None:
    sources = (
        f"Energy-Charts ({ENERGY_CHARTS_LICENCE}), Ember (CC BY 4.0), Electricity Maps (ODbL 1.0), "
        "NESO Carbon Intensity API (CC BY 4.0), US EPA eGRID2023 (public domain)"
    )
    assert f", {sources}" in line(source=sources).basis


def test_a_live_value_is_told_with_its_time_and_without_a_year_of_its_own() -> None:
    assert live().basis == (
        "France (FR), 44.3 g/kWh average, 2026-11-22 14:00–14:30 UTC, live, "
        "NESO Carbon Intensity API (CC BY 4.0)"
    )
    assert live().figure.look == "computed"


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("2026-11-22T14:00:03Z", "2026-11-22 14:00 UTC, live"),
        ("2026-11-23T01:30:00Z", "2026-11-22 14:00–2026-11-23 01:30 UTC, live"),
        (None, "average, live, NESO"),
        ("soon", "average, live, NESO"),
    ],
)
def test_the_time_of_a_live_value_is_as_long_as_it_needs_to_be(end: object, said: str) -> None:
    assert said in live(end=end).basis


def test_a_forecast_says_forecast_and_looks_estimated() -> None:
    one = live(factor_quality="forecast")
    assert "UTC, forecast," in one.basis
    assert "live" not in one.basis
    assert one.figure.look == "estimated"
    assert "live and forecast" in live(factor_quality="measured, forecast").basis


def test_a_total_of_live_and_yearly_says_that_it_is_both() -> None:
    assert "partly live, partly yearly" in live(resolution="30min, year").basis


def test_a_fall_back_stands_with_its_reason_in_the_line_and_looks_estimated() -> None:
    one = line(note="Energy-Charts did not answer: the yearly factor")
    assert one.basis.endswith("2024, Energy-Charts did not answer: the yearly factor")
    assert one.figure.look == "estimated"


def test_a_pue_says_whose_it_is_and_is_left_out_where_it_is_1() -> None:
    assert "PUE 1.15 (AWS's over all sites, 2023)" in line(
        pue=1.15, pue_source="AWS's over all sites, 2023"
    ).basis  # fmt: skip
    assert "PUE" not in line(pue=1.0, pue_source="assumed: a machine of one's own").basis


def test_direct_emissions_are_named_since_most_sources_count_more() -> None:
    assert "44.3 g/kWh average, direct emissions only" in line(scope="direct").basis


def test_a_sum_of_direct_and_lifecycle_figures_says_that_they_do_not_compare() -> None:
    one = line(scope="lifecycle, direct", boundary="production, consumption")
    said = "partly of direct emissions only, partly lifecycle (not comparable)"
    assert f"44.3 g/kWh average, {said}, " in one.basis
    assert "production and consumption based, lifecycle and direct" in one.figure.detail
    assert said in line(scope="direct, lifecycle").basis


def test_an_assumed_place_says_so_with_the_one_command() -> None:
    one = line(assumed=True, how="assumed: no place is set")
    assert one.basis.startswith("place assumed (set yours: %energy zone FR): ")
    assert one.figure.look == "estimated"


@pytest.mark.parametrize(
    "why",
    [
        "on Colab, whose region is not told",
        "on Amazon EC2, which `zone auto` asks for its region",
        "Google Compute Engine did not tell its region within 0.3 s",
    ],
)
def test_an_assumed_place_says_why_where_more_is_known_than_that_none_was_set(why: str) -> None:
    one = line(assumed=True, how=f"assumed: {why}")
    assert one.basis.startswith(f"place assumed ({why}; set yours: %energy zone FR): ")


def test_a_guess_on_a_clouds_machine_says_what_asks_it() -> None:
    how = (
        "guessed from the time zone Europe/Paris (on Azure, which `zone auto` asks for its region)"
    )
    one = line(assumed=True, how=how)
    assert one.basis.startswith(f"place {how} (pin it: %energy zone FR): ")


def test_a_restated_figure_says_what_was_said_at_the_time() -> None:
    assert line(said_g=12.4).basis.endswith("restated; 12 g were said at the time")


@pytest.mark.parametrize("why", [None, "the grid does not answer: the yearly factor"])
def test_many_restated_runs_are_no_estimate_and_hide_no_doubt(why: str | None) -> None:
    runs = []
    for n in range(5):
        run = a_record(f"r{n}", energies={"gpu": Uncertain(3.6e6)}, after_s=9.0 * n)
        factor = in_zone("DE", 300.0, 3.6e6).intensity
        factor = replace(factor, note=why if n == 4 else None)
        run = replace(run, emissions=in_zone("FR", 50.0 + n, 3.6e6))
        runs.append(restated(run, (factor, 1.0, "", ()), datetime(2026, 11, 23, tzinfo=UTC)))
    (one,) = grams.carbon_lines(totals_from_records(runs)["carbon_g"], energy_known=True)
    assert one.figure.look == ("computed" if why is None else "estimated")
    assert why is None or why in one.basis
    assert one.basis.endswith(", 260 g were said at the time")


def test_two_kinds_are_two_lines_and_each_names_its_own() -> None:
    parts = [examples.carbon(12.0), examples.carbon(99.0, kind="marginal")]
    lines = grams.carbon_lines(examples.carbon(None, parts=parts), energy_known=True)
    assert [one.title for one in lines] == ["CO2e (average)", "CO2e (marginal)"]
    assert "marginal" not in lines[0].basis
    assert "average" not in lines[1].basis


ANY = st.none() | st.text(max_size=8) | st.sampled_from(["year", "30min", "year, hour", "forecast"])


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(
    ("resolution", "factor_quality", "start", "end", "note", "scope", "boundary", "pue_source"), ANY
)))  # fmt: skip
def test_whatever_an_output_holds_there_is_one_line_that_names_the_kind(
    fields: dict[str, object],
) -> None:
    one = line(**fields)
    assert "\n" not in one.basis
    assert "44.3 g/kWh average" in one.basis
    assert not one.basis.startswith(",")

"""Places ranked within one table, against all rows of the files by independent code."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jupyter_energy
from jupyter_energy.carbon import factor
from jupyter_energy.carbon.emissions import SEEN
from jupyter_energy.carbon.tables import Tables
from jupyter_energy.errors import WrongUse
from jupyter_energy.model import CarbonIntensity
from jupyter_energy.plan.job import job_of
from jupyter_energy.plan.places import saving, spot_of
from jupyter_energy.plan.regions import checked_cloud, item, rankings
from jupyter_energy.plan.shapes import RankingJson, RegionJson
from jupyter_energy.uncertainty import Range

DATA = Path(jupyter_energy.__file__).parent / "carbon" / "data"
OWN = (1.0, "assumed: a machine of one's own")
FLEET = {"aws": 1.15, "gcp": 1.1, "azure": 1.18}
YEARS = range(2021, 2026)
KWH = 3.6e6


def at(zone: str, how: str = "set by you", assumed: bool = False) -> CarbonIntensity:
    return replace(factor(zone), how=how, assumed=assumed)


def rows(name: str) -> Iterator[dict[str, str]]:
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


GRID = {r["zone"]: r for r in rows("electricity_maps/grid_zones_electricity_maps.csv")}


def of_regions(found: list[RankingJson]) -> RankingJson:
    return next(one for one in found if one["of"].startswith("regions of"))


def of_zones(found: list[RankingJson]) -> RankingJson:
    return next(one for one in found if not one["of"].startswith("regions of"))


def by_zone(ranking: RankingJson) -> dict[str, RegionJson]:
    return {row["zone"]: row for row in ranking["rows"]}


# -- brute force ---------------------------------------------------------------------------------


@pytest.mark.parametrize("cloud", ["aws", "gcp", "azure"])
def test_every_region_of_a_provider_is_ranked_by_its_grid_times_its_pue(cloud: str) -> None:
    ranking = of_regions(rankings(job_of(1.0, 2.0), at("DE"), OWN, cloud))
    here = float(GRID["DE"]["g_per_kwh_2025"])
    expected = {}
    for row in rows("cloud/cloud_regions.csv"):
        if row["provider"] == cloud and row["region"] != "asiapacific":
            pue = float(row["pue"]) if row["pue"] else FLEET[cloud]
            expected[f"{cloud}:{row['region']}"] = float(GRID[row["zone"]]["g_per_kwh_2025"]) * pue
    found = by_zone(ranking)
    assert found.keys() == expected.keys()
    for zone, cost_g in expected.items():
        assert found[zone]["saved_fraction"] == pytest.approx(1 - cost_g / here)
        assert found[zone]["g_per_kwh"] * found[zone]["pue"] == pytest.approx(cost_g)
        carbon = found[zone]["carbon_g"]
        assert carbon is not None
        assert carbon["mid"] == pytest.approx(2 * cost_g)
    assert [row["zone"] for row in ranking["rows"]] == sorted(
        expected, key=lambda zone: (expected[zone], zone)
    )


def test_every_grid_zone_is_ranked_with_the_range_of_its_years() -> None:
    ranking = of_zones(rankings(None, at("EM:PL"), (1.3, "set by you"), None))
    found, here = by_zone(ranking), GRID["PL"]
    assert len(found) == len(GRID)
    for zone, row in GRID.items():
        saved = found[f"EM:{zone}"]["saved_range"]
        years = [1 - float(row[f"g_per_kwh_{y}"]) / float(here[f"g_per_kwh_{y}"]) for y in YEARS]
        assert saved is not None
        assert saved["mid"] == pytest.approx(years[-1])
        assert (saved["low"], saved["high"]) == pytest.approx((min(years), max(years)))
        assert found[f"EM:{zone}"]["pue"] == 1.3  # it goes along
    assert ranking["rows"] == sorted(ranking["rows"], key=lambda r: (r["g_per_kwh"], r["zone"]))


def test_every_country_and_every_state_is_ranked_by_its_own_table_alone() -> None:
    files = {
        "FR": ("ember/grid_countries_ember.csv", lambda r: r["iso2"] or r["iso3"]),
        "US-CA": ("egrid/grid_us_states_egrid2023.csv", lambda r: r["code"]),
    }
    no_place = {"G20", "WOR", "US-usa"}
    for zone, (name, code) in files.items():
        table = {code(r): float(r["g_per_kwh"]) for r in rows(name) if code(r) not in no_place}
        found = by_zone(of_zones(rankings(None, at(zone), OWN, None)))
        assert found.keys() == {place for place, g_per_kwh in table.items() if g_per_kwh > 0}
        for place, row in found.items():
            expected = 1 - table[place] / table[zone]
            saved = row["saved_range"]
            assert saved is not None
            assert saved == pytest.approx({"low": expected, "mid": expected, "high": expected})


# -- properties ----------------------------------------------------------------------------------

PLACES = st.sampled_from(["FR", "US-CA", "WORLD", "EM:DK-DK1", "aws:us-west-2", "gcp:us-east4"])


@settings(max_examples=25)
@given(PLACES, st.sampled_from([None, "aws", "gcp", "azure"]), st.floats(0.1, 1e4))
def test_rankings_rise_the_place_here_saves_nothing_and_energy_changes_no_share(
    zone: str, cloud: str | None, kwh: float
) -> None:
    shares = rankings(None, at(zone), OWN, cloud)
    grams = rankings(job_of(1.0, kwh), at(zone), OWN, cloud)
    for without, ranking in zip(shares, grams, strict=True):
        costs = [row["g_per_kwh"] * row["pue"] for row in ranking["rows"]]
        assert costs == sorted(costs)
        for row, other in zip(ranking["rows"], without["rows"], strict=True):
            assert row["saved_range"] == other["saved_range"]
            assert other["carbon_g"] is None
            assert (row["saved_fraction"] is None) is (ranking["reference"] is None)
            if row["saved_range"] is not None:
                Range(**row["saved_range"])  # in order
        reference = ranking["reference"]
        if reference is not None:
            assert reference["saved_range"] == {"low": 0.0, "mid": 0.0, "high": 0.0}
            here = by_zone(ranking).get(reference["zone"])
            assert here is None or here == reference


@given(st.sampled_from(sorted(GRID)), st.sampled_from(sorted(GRID)), st.floats(1, 5))
def test_a_common_pue_changes_no_saving(one: str, other: str, pue: float) -> None:
    grid = Tables().grid_zones
    plain = saving(spot_of(grid[one], OWN), spot_of(grid[other], OWN))
    within = saving(spot_of(grid[one], (pue, "")), spot_of(grid[other], (pue, "")))
    assert (within.low, within.mid, within.high) == pytest.approx(
        (plain.low, plain.mid, plain.high)
    )


# -- the reference -------------------------------------------------------------------------------


def test_a_cloud_region_is_compared_with_its_own_row() -> None:
    ranking = of_regions(rankings(None, at("aws:us-east-1"), OWN, "aws"))
    assert ranking["reference"] == by_zone(ranking)["aws:us-east-1"]


def test_a_country_that_is_a_grid_zone_too_is_compared_as_that_and_it_is_said() -> None:
    ranking = of_regions(rankings(None, at("FR"), OWN, "aws"))
    assert ranking["reference"] is not None
    assert ranking["reference"]["zone"] == "EM:FR"
    assert ranking["reference"]["g_per_kwh"] == float(GRID["FR"]["g_per_kwh_2025"])
    assert "by this table the country is the grid zone EM:FR" in ranking["notes"]


def test_advice_by_another_table_than_the_line_above_it_says_both_figures() -> None:
    here = at("FR")
    advice = item(rankings(job_of(1.0, 1.0), here, OWN, None), here, None)
    assert advice is not None
    own, listed = here.g_per_kwh, float(GRID["FR"]["g_per_kwh_2025"])
    said = f"instead of EM:FR ({listed:.0f} g/kWh by the table of grid zones, not {own:.0f})"
    assert said in advice["change"]
    there = at("EM:FR")
    # Of Germany the two tables have one figure, once it is rounded.
    equal = item(rankings(job_of(1.0, 1.0), at("DE"), OWN, None), at("DE"), None)
    assert equal is not None
    assert equal["change"].endswith("instead of EM:DE")
    same = item(rankings(job_of(1.0, 1.0), there, OWN, None), there, None)
    assert same is not None
    assert "by the table" not in same["change"]


@pytest.mark.parametrize(
    ("state", "grid"), [("US-CA", "EM:US-CAL-CISO"), ("US-TX", "EM:US-TEX-ERCO"), ("US-NE", None)]
)
def test_a_state_is_told_the_grid_zone_to_set_and_no_other_countrys(
    state: str, grid: str | None
) -> None:
    (note,) = of_regions(rankings(None, at(state), OWN, "aws"))["notes"][:1]
    assert "is not in the table of grid zones: no saving is told, only grams" in note
    assert note.endswith(f"such as {grid}") if grid else "such as" not in note


@pytest.mark.parametrize("zone", ["WORLD", "US-CA"])
def test_a_place_of_another_table_is_compared_with_nothing_and_grams_are_still_told(
    zone: str,
) -> None:
    ranking = of_regions(rankings(job_of(1.0, 1.0), at(zone), OWN, "aws"))
    assert ranking["reference"] is None
    assert all(row["saved_fraction"] is row["saved_range"] is None for row in ranking["rows"])
    assert all(row["carbon_g"] is not None for row in ranking["rows"])
    assert any("no saving is told" in note for note in ranking["notes"])


def test_on_a_cloud_its_regions_come_first_and_elsewhere_all_clouds_come_last() -> None:
    assert [one["of"] for one in rankings(None, at("gcp:us-east4"), OWN, "gcp")] == [
        "regions of Google Cloud",
        "grid zones",
    ]
    of_none = rankings(None, at("FR"), OWN, None)
    assert [one["of"] for one in of_none] == [
        "countries",
        "regions of AWS, Google Cloud and Azure",
    ]


@pytest.mark.parametrize("pue", [(1.7, "set by %config Energy.pue"), (1.0, SEEN)])
def test_a_pue_that_the_user_set_or_a_meter_saw_counts_in_every_region(
    pue: tuple[float, str],
) -> None:
    ranking = of_regions(rankings(None, at("aws:us-east-1"), pue, "aws"))
    assert {row["pue"] for row in ranking["rows"]} == {pue[0]}


# -- ranges and doubts ---------------------------------------------------------------------------


def test_where_two_grids_may_feed_a_region_the_range_has_both() -> None:
    kwh = job_of(1.0, 1.0)
    oregon = by_zone(of_regions(rankings(kwh, at("aws:us-east-1"), OWN, "aws")))["aws:us-west-2"]
    both = [float(GRID[z]["g_per_kwh_2025"]) * 1.12 for z in ("US-NW-PACW", "US-NW-BPAT")]
    carbon, saved = oregon["carbon_g"], oregon["saved_range"]
    assert carbon is not None
    assert saved is not None
    assert (carbon["low"], carbon["high"]) == pytest.approx((min(both), max(both)))
    here = float(GRID["US-MIDA-PJM"]["g_per_kwh_2025"]) * 1.15
    assert saved["high"] >= 1 - min(both) / here - 1e-9
    assert saved["low"] <= 1 - max(both) / here + 1e-9
    assert "Bonneville" in (oregon["note"] or "")


def test_a_doubtful_grid_here_widens_what_is_saved_elsewhere() -> None:
    found = rankings(None, at("aws:us-west-2"), OWN, "aws")
    paris = by_zone(of_regions(found))["aws:eu-west-3"]["saved_range"]
    assert paris is not None
    assert paris["high"] - paris["low"] > 0.3


@pytest.mark.parametrize(
    ("zone", "figure"),
    [
        ("aws:eu-north-1", "791 marginal in Stockholm"),
        ("gcp:europe-west6", "915 marginal in Zurich"),
        ("gcp:northamerica-northeast1", "458 marginal in Montreal"),
        ("azure:eastus", "557 marginal in Virginia"),
    ],
)
def test_average_and_marginal_that_disagree_are_told_where_that_is_known(
    zone: str, figure: str
) -> None:
    found = by_zone(of_regions(rankings(None, at("DE"), OWN, zone.partition(":")[0])))
    assert figure in (found[zone]["note"] or "")
    assert "WattTime" in (found[zone]["note"] or "")
    paris = by_zone(of_regions(rankings(None, at("DE"), OWN, "aws")))["aws:eu-west-3"]
    assert "marginal" not in (paris["note"] or "")


# -- advice --------------------------------------------------------------------------------------


def advice(zone: str, cloud: str | None, **how: bool) -> tuple[object, str, str, str]:
    here = at(zone, "guessed from the time zone X" if how else "set by you", **how)
    found = item(rankings(job_of(1.0, 1.0), here, OWN, cloud), here, cloud)
    assert found is not None
    return found["saved_fraction"], found["change"], found["confidence"], found["evidence"]


def test_on_a_cloud_the_best_region_of_its_provider_is_advised() -> None:
    saved, change, confidence, evidence = advice("aws:us-east-1", "aws")
    assert change == "Run it in aws:eu-north-1, Europe (Stockholm), instead of aws:us-east-1"
    assert (
        saved
        == by_zone(of_regions(rankings(None, at("aws:us-east-1"), OWN, "aws")))["aws:eu-north-1"][
            "saved_range"
        ]
    )
    assert "791 marginal" in evidence
    assert confidence == "medium"  # by marginal figures it is not so
    # 791 · 1.10 / (557 · 1.15) - 1 (carbon.md 5.3)
    assert "by marginal figures the move emits 36 % more" in evidence
    assert "by marginal figures" not in advice("aws:eu-west-2", "aws")[3]
    assert "Dodge" in evidence
    assert "Sukprasert" in evidence


def test_without_a_cloud_the_advice_is_weaker_because_no_laptop_moves() -> None:
    _, change, confidence, _ = advice("PL", None)
    assert change.startswith("If it can run elsewhere: in ")
    assert confidence == "low"


def test_a_guessed_place_is_told_in_the_same_line() -> None:
    _, change, confidence, _ = advice("DE", "gcp", assumed=True)
    assert "(guessed from the time zone X)" in change
    assert confidence == "low"


def test_of_the_world_average_a_country_is_advised_in_which_a_machine_can_be_rented() -> None:
    _, change, _, _ = advice("WORLD", None, assumed=True)
    assert change.startswith("If it can run elsewhere: in NO, Norway, instead of WORLD")


def test_no_region_that_few_may_use_is_advised() -> None:
    here = at("aws:us-east-1")
    ranking = of_regions(rankings(None, here, OWN, "aws"))
    few = [row for row in ranking["rows"] if "us-gov" in row["zone"] or "cn-" in row["zone"]]
    assert few
    assert all(row["note"] for row in few)
    assert item([{**ranking, "rows": few}], here, "aws") is None


def test_in_the_cleanest_region_there_is_no_gain() -> None:
    here = at("aws:eu-north-1")
    assert item(rankings(None, here, OWN, "aws"), here, "aws") is None


def test_an_unknown_cloud_is_refused_with_those_that_there_are() -> None:
    assert checked_cloud("AWS") == "aws"
    assert checked_cloud(None) is None
    with pytest.raises(WrongUse, match="aws, gcp, azure"):
        checked_cloud("ibm")

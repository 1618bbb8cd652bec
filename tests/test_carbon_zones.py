"""The country table: what it understands, what it answers, what it refuses."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_energy.carbon import PROVIDERS, provider
from jupyter_energy.carbon.static import Table
from jupyter_energy.errors import UnknownZone, WrongUse

WHEN = datetime(2026, 11, 22, tzinfo=UTC)
SHIPPED = Table()
SMALL = """iso2,iso3,name,g_per_kwh,year
FR,FRA,France,40,2024
CG,COG,Congo,700,2023
CD,COD,Congo (DRC),27,2023
CF,CAF,Central African Republic,0,2022
,WOR,World,470,2024
"""


@pytest.mark.parametrize("spelling", ["FR", "fr", "FRA", "fra", " fr ", "France", "FRANCE"])
def test_a_country_is_known_by_both_codes_and_its_name_in_any_case(spelling: str) -> None:
    found = SHIPPED.at(spelling, WHEN)
    assert (found.zone, found.place, found.g_per_kwh, found.year) == ("FR", "France", 44.18, 2024)


def test_a_figure_carries_all_that_is_needed_to_defend_it() -> None:
    found = SHIPPED.at("DE", WHEN)
    assert (found.kind, found.boundary, found.scope) == ("average", "production", "lifecycle")
    assert (found.resolution, found.quality) == ("year", "measured")
    assert found.source == "Ember (CC BY 4.0)"


@pytest.mark.parametrize("spelling", ["WORLD", "world", "WOR", "World average"])
def test_the_world_average_is_a_zone_of_its_own(spelling: str) -> None:
    found = SHIPPED.at(spelling, WHEN)
    assert (found.zone, found.g_per_kwh, found.year) == ("WORLD", 472.94, 2024)


@pytest.mark.parametrize(
    ("spelling", "code"),
    [
        ("Türkiye", "TR"),
        ("turkey", "TR"),
        ("Côte d'Ivoire", "CI"),
        ("Vietnam", "VN"),
        ("UK", "GB"),
        ("Falkland Islands", "FK"),
        ("Kosovo", "XKX"),
        ("xk", "XKX"),
        ("NA", "NA"),  # Namibia, which a spreadsheet reads as "not available"
        ("Congo", "CG"),
        ("Congo (DRC)", "CD"),
        ("Georgia", "GE"),
    ],
)
def test_everyday_spellings_mean_the_country_that_people_mean(spelling: str, code: str) -> None:
    assert SHIPPED.at(spelling, WHEN).zone == code


def test_every_row_is_found_by_each_of_its_codes_and_its_name() -> None:
    assert len(SHIPPED.countries) == 210  # 211 rows without the group G20
    for row in SHIPPED.countries:
        assert SHIPPED.country(row.code) is row
        assert SHIPPED.country(row.iso3.lower()) is row
        assert SHIPPED.country(row.name) is row


@pytest.mark.parametrize(
    ("zone", "fits"),
    [("US-CA", "US"), ("EM:FR", "FR"), ("em:DK-DK1", "DK"), ("us_tx", "US"), ("ES-T", "ES")],
)
def test_a_code_of_another_table_is_answered_with_its_country(zone: str, fits: str) -> None:
    with pytest.raises(UnknownZone) as caught:
        SHIPPED.at(zone, WHEN)
    assert repr(zone) in str(caught.value)
    assert str(caught.value).endswith(f"only country codes are known in this version; write {fits}")


def test_a_cloud_region_is_answered_with_the_advice_to_write_its_country() -> None:
    with pytest.raises(UnknownZone, match="country that the region is in"):
        SHIPPED.at("aws:eu-west-3", WHEN)


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [("Frnace", "FR (France)"), ("GER", "DE (Germany)"), ("Swizerland", "CH (Switzerland)")],
)
def test_a_misspelt_country_is_answered_with_the_nearest(misspelt: str, meant: str) -> None:
    with pytest.raises(UnknownZone) as caught:
        SHIPPED.at(misspelt, WHEN)
    assert str(caught.value).endswith(f"did you mean {meant}?")


@pytest.mark.parametrize("zone", ["XX", "qqqqqq", "", "日本", "EM:", "G20", "a:b:c", "-"])
def test_what_is_like_no_country_is_answered_with_what_a_zone_looks_like(zone: str) -> None:
    with pytest.raises(UnknownZone, match="write a country code such as FR"):
        SHIPPED.at(zone, WHEN)


@given(st.text(max_size=12))
def test_any_text_is_either_a_country_or_an_unknown_zone(zone: str) -> None:
    try:
        found = SHIPPED.at(zone, WHEN)
    except UnknownZone:
        return
    assert found.g_per_kwh > 0


def test_a_factor_of_zero_is_no_figure() -> None:
    for table in (SHIPPED, Table(SMALL)):
        with pytest.raises(UnknownZone, match="no usable figure for Central African Republic"):
            table.at("CF", WHEN)


def test_a_table_answers_from_its_own_rows_only() -> None:
    table = Table(SMALL)
    assert table.at("congo", WHEN).zone == "CG"
    with pytest.raises(UnknownZone):
        table.at("uk", WHEN)


def test_every_registered_provider_can_be_made_and_knows_its_name() -> None:
    for name in PROVIDERS:
        assert provider(name).name == name


def test_a_provider_that_does_not_exist_is_wrong_use_and_names_those_that_do() -> None:
    with pytest.raises(WrongUse, match="no provider 'os': write one of"):
        provider("os")

"""Places by code and by name: every row of every table, and what is no place at all."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_energy.carbon import PROVIDERS, factor, provider
from jupyter_energy.carbon.tables import TABLES, Tables, shipped
from jupyter_energy.carbon.zones import Zones
from jupyter_energy.errors import UnknownZone, WrongUse

DATA = Path(__file__).parents[1] / "jupyter_energy" / "carbon" / "data"
COUNTRIES = "ember/grid_countries_ember.csv"
STATES = "egrid/grid_us_states_egrid2023.csv"
GRID_ZONES = "electricity_maps/grid_zones_electricity_maps.csv"
REGIONS = "cloud/cloud_regions.csv"
HEADS = {
    COUNTRIES: "iso2,iso3,name,g_per_kwh,year",
    STATES: "code,name,g_per_kwh,lb_per_mwh,year",
    GRID_ZONES: "zone,name,country,g_per_kwh_2025",
    REGIONS: "provider,region,place,country_iso2,zone,google_grid_g_per_kwh_2024,pue,pue_year",
}


def rows(name: str) -> list[dict[str, str]]:
    """The rows of a shipped file, read without our own code."""
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def made(**tables: str) -> Zones:
    """Places of tables made here: countries=, states=, grid_zones=, regions= as lines of CSV."""
    names = {
        "countries": COUNTRIES,
        "states": STATES,
        "grid_zones": GRID_ZONES,
        "regions": REGIONS,
    }
    texts = dict(HEADS)
    for name, lines in tables.items():
        texts[names[name]] += f"\n{lines}"
    return Zones(Tables(texts.__getitem__))


def spellings(code: str) -> Iterator[str]:
    """A code as people write it."""
    yield from (code, code.lower(), f" {code} ")


# -- every row of every table ----------------------------------------------------------------


@pytest.mark.parametrize("row", rows(COUNTRIES), ids=lambda row: row["iso3"])
def test_every_country_is_found_by_each_code_and_by_its_name(row: dict[str, str]) -> None:
    codes = {row["iso2"] or row["iso3"], row["iso3"]}
    found = [factor(text) for code in codes for text in spellings(code)]
    if row["name"] not in ("Georgia", "Congo"):  # others are called so too
        found.append(factor(row["name"]))
    assert len({repr(one) for one in found}) == 1
    one = found[0]
    if row["g_per_kwh"] == "0":
        assert (one.zone, one.year, one.source) == ("EM:CF", 2025, "Electricity Maps (ODbL 1.0)")
        assert one.note == "the country table has no usable figure for CF: this is the grid zone's"
        return
    assert (one.g_per_kwh, one.year) == (float(row["g_per_kwh"]), int(row["year"]))
    assert (one.source, one.kind) == ("Ember (CC BY 4.0)", "average")
    assert (one.boundary, one.scope, one.note) == ("production", "lifecycle", None)


@pytest.mark.parametrize("row", rows(STATES), ids=lambda row: row["code"])
def test_every_us_state_is_found_by_its_code_and_by_its_name(row: dict[str, str]) -> None:
    for text in spellings(row["code"]):
        one = factor(text)
        assert (one.g_per_kwh, one.year) == (float(row["g_per_kwh"]), 2023)
        assert (one.source, one.kind) == ("US EPA eGRID (public domain)", "average")
        assert (one.boundary, one.scope, one.note) == ("production", "direct", None)
    # The published rate is in lb/MWh; both columns have rounded figures.
    assert one.g_per_kwh == pytest.approx(float(row["lb_per_mwh"]) * 0.45359237, abs=0.006)
    if row["name"] not in ("georgia", "usa"):
        assert factor(row["name"]) == one


@pytest.mark.parametrize("row", rows(GRID_ZONES), ids=lambda row: row["zone"])
def test_every_grid_zone_is_found_by_its_id(row: dict[str, str]) -> None:
    for text in spellings(f"EM:{row['zone']}"):
        one = factor(text)
        assert one.zone == f"EM:{row['zone']}"
        assert (one.g_per_kwh, one.year) == (float(row["g_per_kwh_2025"]), 2025)
        assert (one.source, one.kind) == ("Electricity Maps (ODbL 1.0)", "average")
        assert (one.boundary, one.scope, one.note) == ("consumption", "lifecycle", None)


@pytest.mark.parametrize("row", rows(GRID_ZONES), ids=lambda row: row["zone"])
def test_a_bare_grid_zone_id_is_the_country_or_the_state_of_that_code_before_the_zone(
    row: dict[str, str],
) -> None:
    countries = {code for one in rows(COUNTRIES) for code in (one["iso2"], one["iso3"]) if code}
    states = {one["code"].upper() for one in rows(STATES)}
    bare, whole = factor(row["zone"]), factor(f"EM:{row['zone']}")
    if row["zone"] == "CF":  # the country's own figure is 0, which no grid's is
        assert bare.zone == "EM:CF"
    elif row["zone"] in countries:
        assert bare.source.startswith("Ember")
    elif row["zone"] in states:
        assert bare.source.startswith("US EPA")
    elif row["zone"] == "XK":
        assert (bare.zone, bare.source) == ("XKX", "Ember (CC BY 4.0)")
    else:
        assert bare == whole


@pytest.mark.parametrize("row", rows(REGIONS), ids=lambda row: f"{row['provider']}-{row['region']}")
def test_every_cloud_region_gives_the_factor_of_its_grid_zone_and_names_it(
    row: dict[str, str],
) -> None:
    code = f"{row['provider']}:{row['region']}"
    grid = factor(f"EM:{row['zone']}")
    for text in spellings(code):
        one = factor(text)
        assert (one.zone, one.g_per_kwh, one.year) == (code, grid.g_per_kwh, 2025)
        assert (one.source, one.kind) == (grid.source, "average")
        assert (one.boundary, one.scope) == ("consumption", "lifecycle")
        assert one.place.endswith(f", grid EM:{row['zone']}")


def test_the_tables_hold_what_their_readmes_say() -> None:
    lengths = [len(rows(name)) for name in (COUNTRIES, STATES, GRID_ZONES, REGIONS)]
    assert lengths == [211, 52, 352, 144]


def every_code() -> list[str]:
    tables = Tables()
    own = [row.code for table in (tables.countries, tables.states) for row in table.values()]
    return [*own, *(row.code for row in tables.grid_zones.values()), *tables.regions]


@given(st.sampled_from(every_code()))
def test_the_zone_of_an_answer_means_the_same_answer_when_it_is_typed(code: str) -> None:
    once = factor(code)
    again = factor(once.zone)
    assert (again.g_per_kwh, again.year, again.source) == (once.g_per_kwh, once.year, once.source)


@pytest.mark.parametrize("name", TABLES)
def test_every_table_says_whose_it_is_and_lies_beside_its_licence(name: str) -> None:
    folder = {"country": "ember", "US state": "egrid", "grid zone": "electricity_maps"}[name]
    text = (DATA / folder / "LICENSE.md").read_text(encoding="utf-8")
    table = TABLES[name]
    for said in (table.url, table.licence, table.licence_url):
        assert said in text
    assert f"({table.licence})" in table.source


def test_every_data_file_is_named_by_the_licence_beside_it() -> None:
    for file in DATA.glob("*/*.csv"):
        beside = [one.read_text(encoding="utf-8") for one in file.parent.glob("*.md")]
        assert any(file.name in text for text in beside), file


# -- codes and names -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("FR", "FR"),
        ("EM:FR", "EM:FR"),
        ("em:dk-dk1", "EM:DK-DK1"),
        ("DK-DK1", "EM:DK-DK1"),
        ("US-AK", "US-AK"),  # a grid zone is called so too
        ("EM:US-AK", "EM:US-AK"),
        ("AX", "EM:AX"),  # a grid zone that the country table does not have
        ("CA", "CA"),  # Canada, not California
        ("GA", "GA"),  # Gabon, not Georgia
        ("NA", "NA"),  # Namibia, which a spreadsheet reads as "not available"
        ("AWS:EU-West-3", "aws:eu-west-3"),
        ("WORLD", "WORLD"),
        ("wor", "WORLD"),
        ("World average", "WORLD"),
        ("xk", "XKX"),
        ("uk", "GB"),
    ],
)
def test_a_code_means_the_table_that_it_is_of(text: str, zone: str) -> None:
    assert factor(text).zone == zone


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("Türkiye", "TR"),
        ("turkey", "TR"),
        ("Côte d'Ivoire", "CI"),
        ("Ivory Coast", "CI"),
        ("Vietnam", "VN"),
        ("Laos", "LA"),
        ("Falkland Islands", "FK"),
        ("Kosovo", "XKX"),
        ("Congo (DRC)", "CD"),
        ("Congo-Kinshasa", "CD"),
        ("Republic of the Congo", "CG"),
        ("South Korea", "KR"),
        ("california", "US-CA"),
        ("District of Columbia", "US-DC"),
        ("Ontario", "EM:CA-ON"),
        ("kyushu", "EM:JP-KY"),
        ("West Denmark, Denmark", "EM:DK-DK1"),
        ("East, Russia", "EM:RU-AS"),
        ("Eemshaven", "gcp:europe-west4"),
        ("Europe (Paris)", "aws:eu-west-3"),
        ("South Central US", "azure:southcentralus"),
        ("Singapore", "SG"),  # the country, not one of the clouds' regions in it
        ("Oregon", "US-OR"),  # the state, not Google's region in it
    ],
)
def test_an_english_name_means_the_one_place_that_goes_by_it(text: str, zone: str) -> None:
    assert factor(text).zone == zone


@pytest.mark.parametrize(
    ("text", "candidates"),
    [
        ("Georgia", ["GE (country: Georgia)", "US-GA (US state: Georgia)"]),
        ("Paris", ["aws:eu-west-3 (AWS: Europe (Paris))", "gcp:europe-west9 (Google Cloud"]),
        ("Tokyo", ["EM:JP-TK (grid zone", "aws:ap-northeast-1 (AWS", "gcp:asia-northeast1 ("]),
        ("Virgin Islands", ["VG (country", "VI (country"]),
        # By a factor of 26 apart.
        ("Congo", ["CG (country: Congo)", "CD (country: Congo (DRC))"]),
    ],
)
def test_a_name_of_several_places_is_refused_with_what_may_be_meant(
    text: str, candidates: list[str]
) -> None:
    with pytest.raises(UnknownZone, match="is the name of several places: write one of") as caught:
        factor(text)
    assert all(one in str(caught.value) for one in candidates)


@pytest.mark.parametrize("text", ["East", "Peninsula", "South Island", "Douglas County"])
def test_a_grid_zones_name_that_says_little_does_not_stand_for_it_alone(text: str) -> None:
    with pytest.raises(UnknownZone):
        factor(text)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("Frnace", "FR (country: France)"),
        ("GER", "DE (country: Germany)"),
        ("Swizerland", "CH (country: Switzerland)"),
        ("Califronia", "US-CA (US state: California)"),
        ("us_tx", "US-TX (US state: Texas)"),
        ("US-PR", "PR (country: Puerto Rico)"),
        ("DE-BY", "DE (country: Germany)"),
        ("ES-T", "ES (country: Spain)"),
        ("JP-TKO", "JP-TK (grid zone: Tōkyō, Japan)"),
        ("EM:DK_DK1", "EM:DK-DK1 (grid zone: West Denmark, Denmark)"),
        ("EM:Germany", "EM:DE (grid zone: Germany)"),
        ("PJM", "EM:US-MIDA-PJM (grid zone: PJM Interconnection, USA)"),
        ("eu-west-3", "aws:eu-west-3 (AWS: Europe (Paris))"),
        ("gcp:us-west-1", "gcp:us-west1 (Google Cloud: Oregon)"),
        ("azure:eastus9", "azure:eastus"),
    ],
)
def test_a_misspelt_zone_is_answered_with_the_nearest_of_all_tables(text: str, meant: str) -> None:
    with pytest.raises(UnknownZone) as caught:
        factor(text)
    assert f"no zone {text!r}: did you mean {meant}" in str(caught.value)


@pytest.mark.parametrize("text", ["aws:mars-1", "AWS: mars-1"])
def test_a_region_that_a_cloud_does_not_have_is_answered_with_those_that_it_has(text: str) -> None:
    with pytest.raises(UnknownZone) as caught:
        factor(text)
    said = str(caught.value)
    assert said.startswith("AWS has no region 'mars-1': it has af-south-1, ap-east-1, ")
    assert "westeurope" not in said


@pytest.mark.parametrize("text", ["XX", "qqqqqq", "", "日本", "EM:", "a:b:c", "-", "aws:", "AD"])
def test_what_is_like_no_place_is_answered_with_what_a_zone_looks_like(text: str) -> None:
    with pytest.raises(UnknownZone, match="write a country code such as FR, a US state such as"):
        factor(text)


@given(
    st.one_of(
        st.text(max_size=12),
        st.builds(
            str.__add__, st.sampled_from(["EM:", "US-", "aws:", "gcp:"]), st.text(max_size=8)
        ),
        # A code with one letter changed, left out or added.
        st.builds(
            lambda code, at, put: code[: at % len(code)] + put + code[at % len(code) + 1 :],
            st.sampled_from(every_code()),
            st.integers(0, 40),
            st.text("ABCXYZ-_:19", max_size=2),
        ),
    )
)
def test_any_text_is_either_a_place_or_refused_with_a_code_that_is_one(text: str) -> None:
    try:
        found = factor(text)
    except UnknownZone as error:
        if meant := re.search(r"did you mean (\S+) \(", str(error)):
            assert factor(meant[1]).g_per_kwh > 0
        return
    assert found.g_per_kwh > 0


# -- what the tables cannot know ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "chosen", "other"),
    [
        (
            "aws:us-west-2",
            204,
            "129 g/kWh if that of Bonneville Power Administration (EM:US-NW-BPAT)",
        ),
        (
            "gcp:us-west1",
            204,
            "129 g/kWh if that of Bonneville Power Administration (EM:US-NW-BPAT)",
        ),
        ("aws:us-gov-west-1", 129, "204 g/kWh if that of Pacificorp West (EM:US-NW-PACW)"),
        ("gcp:us-central1", 477, "501 g/kWh if that of Midcontinent ISO (EM:US-MIDW-MISO)"),
        (
            "gcp:us-east1",
            466,
            "654 g/kWh if that of South Carolina Public Service Authority (EM:US-",
        ),
    ],
)
def test_a_region_that_two_grids_may_feed_says_which_was_chosen_and_what_the_other_gives(
    code: str, chosen: float, other: str
) -> None:
    found = factor(code)
    assert found.g_per_kwh == chosen
    assert found.note is not None
    assert found.note.startswith("by the grid of ")
    assert other in found.note
    assert "; " not in found.note  # sums part notes there, and order the parts


def test_a_geography_that_is_no_region_says_so() -> None:
    assert "no region" in str(factor("azure:asiapacific").note)


def test_a_place_that_the_file_has_wrong_is_named_as_it_is() -> None:
    assert factor("azure:westus").place == "California: West US, grid EM:US-CAL-CISO"
    assert factor("aws:mx-central-1").place == "Mexico (Central), grid EM:MX"


def test_a_region_whose_grid_no_table_knows_has_its_countrys_figure_and_says_so() -> None:
    zones = made(countries="FR,FRA,France,40,2024", regions="aws,eu-x-1,Here,FR,FR-NEW,,,")
    found = zones.at("aws:eu-x-1")
    assert (found.g_per_kwh, found.source) == (40, "Ember (CC BY 4.0)")
    assert found.note == "no figure for its grid zone FR-NEW: this is the country's"
    assert found.place == "Here, country FR"


def test_a_region_of_which_no_table_knows_anything_is_refused() -> None:
    zones = made(regions="aws,eu-x-1,Here,XX,XX-NEW,,,")
    with pytest.raises(UnknownZone, match="no table has a figure for aws:eu-x-1"):
        zones.at("aws:eu-x-1")


def test_a_country_without_a_usable_figure_is_refused_where_no_grid_zone_has_one() -> None:
    zones = made(countries="CF,CAF,Central African Republic,0,2022")
    with pytest.raises(UnknownZone, match="no usable figure for Central African Republic"):
        zones.at("CF")


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("FR", {COUNTRIES}),
        ("EM:FR", {GRID_ZONES}),
        ("aws:eu-west-3", {GRID_ZONES, REGIONS}),
    ],
)
def test_a_code_reads_no_table_but_its_own(text: str, asked: set[str]) -> None:
    read: list[str] = []

    def reading(then: Callable[[str], str]) -> Callable[[str], str]:
        return lambda name: (read.append(name), then(name))[1]

    Zones(Tables(reading(shipped))).at(text)
    assert set(read) == asked
    assert len(read) == len(asked)


def test_every_registered_provider_can_be_made_and_knows_its_name() -> None:
    for name in PROVIDERS:
        assert provider(name).name == name


def test_a_provider_that_does_not_exist_is_wrong_use_and_names_those_that_do() -> None:
    with pytest.raises(WrongUse, match="no provider 'os': write one of"):
        provider("os")

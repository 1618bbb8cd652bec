"""The shipped tables of yearly carbon intensity as rows: countries, US states, grid zones, regions.

One file and one licence each (data/*/LICENSE.md), joined here when they are first asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from .place import DATA, WORLD

TableName = Literal["country", "US state", "grid zone"]


@dataclass(frozen=True, slots=True)
class Table:
    """What one table's figures mean, who published them, and what their licence asks for.

    `source` is what its licence wants beside each figure; `url` is the publisher's page.
    """

    source: str
    url: str
    licence: str
    licence_url: str
    boundary: Literal["consumption", "production"]
    scope: Literal["lifecycle", "direct"]
    quality: Literal["measured", "estimated"]


TABLES: Mapping[TableName, Table] = {
    "country": Table(
        source="Ember (CC BY 4.0)",
        url="https://ember-energy.org/data/yearly-electricity-data/",
        licence="CC BY 4.0",
        licence_url="https://creativecommons.org/licenses/by/4.0/",
        boundary="production",
        scope="lifecycle",
        quality="measured",
    ),
    "US state": Table(
        source="US EPA eGRID (public domain)",
        url="https://www.epa.gov/egrid",
        licence="public domain",
        licence_url="",
        boundary="production",
        scope="direct",
        quality="measured",
    ),
    # Flow tracing is a model, and the file does not tell which hours of a zone were estimated.
    "grid zone": Table(
        source="Electricity Maps (ODbL 1.0)",
        url="https://www.electricitymaps.com",
        licence="ODbL 1.0",
        licence_url="https://opendatacommons.org/licenses/odbl/1.0/",
        boundary="consumption",
        scope="lifecycle",
        quality="estimated",
    ),
}
# Of the years in the grid zones' file; all 352 zones have it.
GRID_YEAR = 2025
GRID_YEARS = (2021, 2022, 2023, 2024, GRID_YEAR)
_SMALL_WORDS = frozenset({"of"})


@dataclass(frozen=True, slots=True)
class Row:
    """One place of one table, in g CO2e/kWh; `code` is what one types to mean just this row.

    `name` is the table's, `place` the same with its country, where it says little without.
    `iso3` is a country's other code. `by_year` has the figures of all years that the table has of a
    grid zone, the last one of which is `g_per_kwh`; empty where it has only one.
    """

    table: TableName
    code: str
    name: str
    place: str
    g_per_kwh: float
    year: int
    iso3: str = ""
    by_year: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Region:
    """One cloud region: `code` ("aws:eu-west-3"), where it stands, and the grid zone's id.

    `google_g_per_kwh` is Google's own direct figure of 2024; `pue` the disclosed one of `pue_year`.
    Each is None where the provider tells none.
    """

    provider: str
    name: str
    place: str
    country: str
    zone: str
    google_g_per_kwh: float | None
    pue: float | None
    pue_year: int | None

    @property
    def code(self) -> str:
        """What one types to mean this region."""
        return f"{self.provider}:{self.name}"


@dataclass(frozen=True, slots=True)
class FleetPue:
    """The PUE of a provider's sites together; `kind` and `source` in the file's words."""

    pue: float
    year: int
    kind: str
    source: str


def shipped(name: str) -> str:
    """The text of a file below data/, such as "ember/grid_countries_ember.csv"."""
    return (DATA / name).read_text(encoding="utf-8")


class Tables:
    """All tables by code, each read once, when it is first asked."""

    def __init__(self, text_of: Callable[[str], str] = shipped) -> None:
        """`text_of` gives a file's text by its name below data/."""
        self._text_of = text_of

    @cached_property
    def countries(self) -> dict[str, Row]:
        """Countries by ISO 3166 code of two letters ("FR"; "XKX" has none), G20 and WORLD."""
        return {row.code: row for row in map(_country, self._rows("ember/grid_countries_ember"))}

    @cached_property
    def states(self) -> dict[str, Row]:
        """US states by "US-CA", and "US-USA": all of them by the same method."""
        return {row.code: row for row in map(_state, self._rows("egrid/grid_us_states_egrid2023"))}

    @cached_property
    def grid_zones(self) -> Mapping[str, Row]:
        """Grid zones by Electricity Maps' id ("FR", "DK-DK1"); a row's own code is "EM:DK-DK1"."""
        rows = self._rows("electricity_maps/grid_zones_electricity_maps")
        return {row["zone"]: _grid_zone(row) for row in rows}

    @cached_property
    def regions(self) -> Mapping[str, Region]:
        """Cloud regions by "aws:eu-west-3"."""
        return {one.code: one for one in map(_region, self._rows("cloud/cloud_regions"))}

    @cached_property
    def fleet_pue(self) -> Mapping[str, FleetPue]:
        """A provider's PUE over all its sites, by "aws", "gcp" and "azure"."""
        return {
            row["provider"]: FleetPue(
                float(row["pue"]), int(row["year"]), row["kind"], row["source"]
            )
            for row in self._rows("cloud/pue_fleet_defaults")
            if row["year"]
        }

    def _rows(self, name: str) -> Iterable[dict[str, str]]:
        import csv

        return csv.DictReader(self._text_of(f"{name}.csv").splitlines())


def _country(row: Mapping[str, str]) -> Row:
    code, name = row["iso2"] or row["iso3"], row["name"]
    if code == "WOR":
        code, name = WORLD, "World average"
    return Row("country", code, name, name, float(row["g_per_kwh"]), int(row["year"]), row["iso3"])


def _state(row: Mapping[str, str]) -> Row:
    """The file has its names in small letters, and one for all states."""
    words = row["name"].split()
    name = " ".join(word if word in _SMALL_WORDS else word.capitalize() for word in words)
    if row["name"] == "usa":
        name = "United States by eGRID"
    g_per_kwh, year = float(row["g_per_kwh"]), int(row["year"])
    return Row("US state", row["code"].upper(), name, name, g_per_kwh, year)


def _grid_zone(row: Mapping[str, str]) -> Row:
    name, country = row["name"], row["country"]
    place = f"{name}, {country}" if country else name  # "East" could be anywhere
    by_year = tuple((year, float(row[f"g_per_kwh_{year}"])) for year in GRID_YEARS)
    code = f"EM:{row['zone']}"
    return Row("grid zone", code, name, place, by_year[-1][1], GRID_YEAR, by_year=by_year)


def _region(row: Mapping[str, str]) -> Region:
    google, pue, year = row["google_grid_g_per_kwh_2024"], row["pue"], row["pue_year"]
    return Region(
        provider=row["provider"],
        name=row["region"],
        place=row["place"],
        country=row["country_iso2"],
        zone=row["zone"],
        google_g_per_kwh=float(google) if google else None,
        pue=float(pue) if pue else None,
        pue_year=int(year) if year else None,
    )

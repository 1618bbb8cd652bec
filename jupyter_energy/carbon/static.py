"""Yearly average intensity by country, from the table in this package: no network, no key.

The figures are Ember's (CC BY 4.0; data/ember/LICENSE.md): production based, lifecycle.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache, cached_property
from unicodedata import normalize

from ..errors import UnknownZone
from ..model import CarbonIntensity
from .place import WORLD

SOURCE = "Ember (CC BY 4.0)"
# The source's licence asks for its name wherever its figures are shown; the address is for `zone`.
SOURCE_URL = "https://ember-energy.org/data/yearly-electricity-data/"
_WORLD_ROW = "WOR"
# A group of countries is a sum over places, and no place that a machine can stand in.
_GROUPS = frozenset({"G20"})
# What people write and the table does not: everyday names by ISO 3166 code.
_EVERYDAY_NAMES = {
    "america": "US",
    "britain": "GB",
    "czechrepublic": "CZ",
    "drc": "CD",
    "england": "GB",
    "greatbritain": "GB",
    "holland": "NL",
    "ivorycoast": "CI",
    "korea": "KR",
    "scotland": "GB",
    "turkey": "TR",
    "uae": "AE",
    "uk": "GB",
    "usa": "US",
    "wales": "GB",
    "xk": "XKX",
}
_LONGEST = 100
# Every two letters are nearly another code, and like no name.
_SHORTEST_MISSPELT = 3
_WHAT_IS_RIGHT = "write a country code such as FR or US, or WORLD for the world average"
_CLOUDS = frozenset({"aws", "gcp", "azure"})


@dataclass(frozen=True, slots=True)
class Country:
    """One row of the table: `code` is ISO 3166 (two letters where there are two), or "WORLD"."""

    code: str
    iso3: str
    name: str
    g_per_kwh: float
    year: int


class Table:
    """Countries and their yearly average in g CO2e/kWh; read once, when first asked."""

    def __init__(self, text: str | None = None) -> None:
        """The table in this package, or one of the same columns given as CSV `text`."""
        self._text = text

    def at(self, zone: str, when: datetime) -> CarbonIntensity:
        """The intensity of a country: "FR", "fra", "France", or "WORLD".

        `when` changes nothing: a table of years has one figure, and `year` says whose it is.
        Raises UnknownZone.
        """
        country = self.country(zone)
        if country.g_per_kwh <= 0:
            raise UnknownZone(
                f"the country table has no usable figure for {country.name} ({country.code}): "
                "write WORLD for the world average"
            )
        return CarbonIntensity(
            g_per_kwh=country.g_per_kwh,
            zone=country.code,
            place=country.name,
            kind="average",
            boundary="production",
            scope="lifecycle",
            resolution="year",
            quality="measured",
            source=SOURCE,
            year=country.year,
            how="",
            assumed=False,
        )

    def country(self, zone: str) -> Country:
        """The row that a code or an English name means, in any case. Raises UnknownZone."""
        wanted = zone.strip()
        if len(wanted) > _LONGEST:  # to bring a text into one spelling can take very long
            raise UnknownZone(f"no zone {wanted!r:.60}…: {_WHAT_IS_RIGHT}")
        # Only a name may be spelt freely: "ES-T" is Tarragona, and "EST" Estonia.
        found = self._by_code.get(wanted.upper()) or self._by_name.get(_key(wanted))
        if found is None:
            raise UnknownZone(f"no zone {wanted!r}: {self._what_would_be_right(wanted)}")
        return found

    @cached_property
    def countries(self) -> tuple[Country, ...]:
        """All rows, the world's included, in the table's order."""
        return tuple(_rows(self._text if self._text is not None else _shipped_csv()))

    @cached_property
    def _by_code(self) -> Mapping[str, Country]:
        """Rows by two-letter and by three-letter code."""
        return {code: row for row in self.countries for code in (row.iso3, row.code)}

    @cached_property
    def _by_name(self) -> Mapping[str, Country]:
        """Rows by spelling: full name, then everyday name, then the name without its brackets."""
        names = {_key(country.name): country for country in self.countries}
        for name, code in _EVERYDAY_NAMES.items():
            if code in self._by_code:
                names.setdefault(name, self._by_code[code])
        short: dict[str, list[Country]] = {}
        for country in self.countries:
            short.setdefault(_key(_without_brackets(country.name)), []).append(country)
        for name, those in short.items():
            if len(those) == 1:  # "Virgin Islands" alone could be either
                names.setdefault(name, those[0])
        return names

    def _what_would_be_right(self, wanted: str) -> str:
        """The rest of the message about a zone that is not in the table."""
        table, colon, rest = wanted.partition(":")
        if colon and table.lower() in _CLOUDS:
            return (
                "only country codes are known in this version; "
                "write the code of the country that the region is in, such as FR"
            )
        # "EM:DK-DK1" and "US-CA" both begin with the country that they are a part of.
        part_of = self._by_code.get(re.split(r"[-_]", rest if colon else wanted)[0].upper())
        if part_of and re.search(r"[-_:]", wanted):
            return f"only country codes are known in this version; write {part_of.code}"
        near = self._nearest(wanted)
        return f"did you mean {near.code} ({near.name})?" if near else _WHAT_IS_RIGHT

    def _nearest(self, wanted: str) -> Country | None:
        """The country whose name is most like `wanted`, or None where none is like it."""
        from difflib import get_close_matches

        key = _key(wanted)
        if len(key) < _SHORTEST_MISSPELT:
            return None
        begins = [name for name in self._by_name if name.startswith(key)]
        if begins:
            return self._by_name[min(begins, key=len)]
        like = get_close_matches(key, self._by_name, n=1, cutoff=0.7)
        return self._by_name[like[0]] if like else None


def _key(text: str) -> str:
    """A spelling without case, accents, spaces and signs: "Côte d'Ivoire" is "cotedivoire"."""
    return "".join(c for c in normalize("NFKD", text).casefold() if c.isascii() and c.isalnum())


def _without_brackets(name: str) -> str:
    """A name without what stands in brackets: "Falkland Islands [Malvinas]" as people say it."""
    return re.sub(r"\s*[(\[].*?[)\]]", "", name)


def _shipped_csv() -> str:
    """The text of the table in this package."""
    from importlib.resources import files

    return (
        files("jupyter_energy.carbon")
        .joinpath("data", "ember", "grid_countries_ember.csv")
        .read_text(encoding="utf-8")
    )


def _rows(text: str) -> Iterable[Country]:
    """The rows of a CSV with the columns iso2, iso3, name, g_per_kwh and year."""
    import csv

    for row in csv.DictReader(text.splitlines()):
        if row["iso3"] in _GROUPS:
            continue
        code, name = row["iso2"] or row["iso3"], row["name"]
        if code == _WORLD_ROW:
            code, name = WORLD, "World average"
        yield Country(code, row["iso3"], name, float(row["g_per_kwh"]), int(row["year"]))


@cache
def table() -> Table:
    """The table in this package; one object, so that it is parsed once."""
    return Table()

"""What a place is called, and what a kWh stands for there, from the tables in this package.

A bare country code is the country table, "US-CA" the state table, "EM:FR" or any other grid
zone's id the grid-zone table, "aws:eu-west-3" a cloud region; an English name is whichever of them
it means alone. The answer names its table; no place is ever answered with a neighbour.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, cached_property
from unicodedata import normalize

from ..errors import UnknownZone
from ..model import CarbonIntensity
from . import regions
from .tables import TABLES, Region, Row, Tables

GRID = "EM"
CLOUDS = tuple(regions.PROVIDER_NAMES)
# What people write and the tables do not: everyday names by ISO 3166 code.
_EVERYDAY_NAMES = {
    "america": "US",
    "britain": "GB",
    "congobrazzaville": "CG",
    "congokinshasa": "CD",
    "czechrepublic": "CZ",
    "drc": "CD",
    "england": "GB",
    "greatbritain": "GB",
    "holland": "NL",
    "ivorycoast": "CI",
    "korea": "KR",
    "republicofthecongo": "CG",
    "scotland": "GB",
    "turkey": "TR",
    "uae": "AE",
    "uk": "GB",
    "usa": "US",
    "wales": "GB",
    "xk": "XKX",
}
# Names of grid zones that mean other places too: they need their country beside them.
_SAY_LITTLE = frozenset(
    {"borneo", "douglascounty", "east", "grantcounty", "mainislands", "peninsula", "southisland"}
)
# US territories that are countries in the country table; ISO 3166 knows them as both.
_TERRITORIES = frozenset({"AS", "GU", "MP", "PR", "VI"})
_LONGEST = 100
# Every two letters are nearly another code, and like no name.
_SHORTEST_MISSPELT = 3
_WHAT_IS_RIGHT = (
    "write a country code such as FR, a US state such as US-CA, a grid zone such as EM:DK-DK1, a "
    "cloud region such as aws:eu-west-3, or WORLD for the world average"
)
Place = Row | Region


class Zones:
    """Every place that a table of ours knows, by code and by English name."""

    def __init__(self, tables: Tables | None = None) -> None:
        """The tables in this package, unless others of the same shape are given."""
        self.tables = Tables() if tables is None else tables

    def at(self, text: str) -> CarbonIntensity:
        """The yearly factor in g CO2e/kWh of a code or a name, in any case. Raises UnknownZone."""
        place = self.place(text)
        if isinstance(place, Region):
            return self._of_region(place)
        if place.g_per_kwh > 0:
            return _factor(place)
        # Ember's figures of very small grids are ratios of rounded numbers, and one comes out as 0.
        grid = self.tables.grid_zones.get(place.code)
        if grid is None or grid.g_per_kwh <= 0:
            raise UnknownZone(
                f"the {place.table} table has no usable figure for {place.name} ({place.code}): "
                "write WORLD for the world average"
            )
        why = f"the {place.table} table has no usable figure for {place.code}"
        return _factor(grid, note=f"{why}: this is the grid zone's")

    def place(self, text: str) -> Place:
        """The row or region that a code or an English name means. Raises UnknownZone."""
        wanted = text.strip()
        if len(wanted) > _LONGEST:  # to bring a text into one spelling can take very long
            raise UnknownZone(f"no zone {wanted!r:.60}…: {_WHAT_IS_RIGHT}")
        # Only a name may be spelt freely: "ES-T" is Tarragona, and "EST" Estonia.
        found = self._by_code(wanted)
        return found if found is not None else self._by_name(wanted)

    def _by_code(self, wanted: str) -> Place | None:
        table, colon, rest = wanted.partition(":")
        if colon:
            if table.upper() == GRID:
                return self.tables.grid_zones.get(rest.strip().upper())
            return self.tables.regions.get(f"{table.lower()}:{rest.strip().lower()}")
        code = wanted.upper()
        return (
            self.tables.countries.get(code)
            or self._by_iso3.get(code)
            or (self.tables.states.get(code) if code.startswith("US-") else None)
            # A country's everyday code goes before the grid zone of that id.
            or (self.tables.grid_zones.get(code) if code.lower() not in _EVERYDAY_NAMES else None)
        )

    def _by_name(self, wanted: str) -> Place:
        """The place of a name. Raises UnknownZone where it means none, or several."""
        key = _key(wanted)
        for names in self._names:
            if codes := names.get(key):
                if len(codes) == 1:
                    return self._known(codes[0])
                those = ", ".join(f"{code} ({self._described(code)})" for code in codes)
                raise UnknownZone(f"{wanted!r} is the name of several places: write one of {those}")
        raise self._refusal(wanted)

    def _of_region(self, region: Region) -> CarbonIntensity:
        """The factor of a region's grid zone, or of its country where no table knows the zone."""
        region = regions.named(region)
        grid = self.tables.grid_zones.get(region.zone)
        if grid is not None and grid.g_per_kwh > 0:
            place = f"{region.place}, grid {grid.code}"
            return _factor(grid, region.code, place, regions.note(region, grid, self.tables))
        country = self.tables.countries.get(region.country)
        if country is None or country.g_per_kwh <= 0:
            raise UnknownZone(
                f"no table has a figure for {region.code} in {region.country}: "
                "write WORLD for the world average"
            )
        why = f"no figure for its grid zone {region.zone}: this is the country's"
        return _factor(country, region.code, f"{region.place}, country {country.code}", why)

    def _known(self, code: str) -> Place:
        found = self._by_code(code)
        assert found is not None, code  # every name in the index is of a row that was read
        return found

    def _described(self, code: str) -> str:
        """What kind of place a code is of, in words."""
        place = self._known(code)
        if isinstance(place, Region):
            return f"{regions.PROVIDER_NAMES[place.provider]}: {regions.named(place).place}"
        return f"{place.table}: {place.place}"

    @cached_property
    def _by_iso3(self) -> Mapping[str, Row]:
        return {row.iso3: row for row in self.tables.countries.values()}

    @cached_property
    def _names(self) -> tuple[Mapping[str, list[str]], ...]:
        """Codes by spelling: what goes by the first of these is not looked for in the next.

        Whole names of countries and states; then a country's everyday names; then grid zones and
        cloud regions: "Singapore" is the country, though clouds have regions called so.
        """
        tables = self.tables
        whole = [(row.name, code) for code, row in (tables.countries | tables.states).items()]
        # "Congo" is all of one country's name, and of another's without its brackets.
        taken = {_key(name) for name, _ in whole}
        bare = ((_without_brackets(row.name), code) for code, row in tables.countries.items())
        whole += [(name, code) for name, code in bare if _key(name) in taken]
        return _index(whole), _index(self._everyday_names()), _index(self._other_names())

    def _everyday_names(self) -> Iterator[tuple[str, str]]:
        """Each name of a country that is not its whole name, with its code."""
        countries = self.tables.countries
        for code, row in countries.items():
            yield _without_brackets(row.name), code
        yield from ((name, code) for name, code in _EVERYDAY_NAMES.items() if code in countries)
        for zone, row in self.tables.grid_zones.items():
            if zone in countries:
                yield row.name, zone  # as its other table calls the country: Laos

    def _other_names(self) -> Iterator[tuple[str, str]]:
        """Each name of a grid zone or a cloud region with its code."""
        for row in self.tables.grid_zones.values():
            yield row.place, row.code
            if _key(row.name) not in _SAY_LITTLE:
                yield row.name, row.code
        for code, names in regions.places(self.tables.regions).items():
            yield from ((name, code) for name in names)

    def _refusal(self, wanted: str) -> UnknownZone:
        """That no table knows this, and what would be right."""
        near = self._near(wanted)
        cloud, _, region = (part.strip() for part in wanted.partition(":"))
        name = regions.PROVIDER_NAMES.get(cloud.lower())
        if near is None and name is not None and region:
            known = (r.name for r in self.tables.regions.values() if r.provider == cloud.lower())
            return UnknownZone(f"{name} has no region {region!r}: it has {', '.join(known)}")
        if near is None:
            return UnknownZone(f"no zone {wanted!r}: {_WHAT_IS_RIGHT}")
        return UnknownZone(f"no zone {wanted!r}: did you mean {near} ({self._described(near)})?")

    def _near(self, wanted: str) -> str | None:
        """The code that is most like a code or a name that no table has, or None."""
        table, colon, rest = wanted.partition(":")
        if colon:
            return self._near_code(table.strip(), rest.strip())
        code = wanted.upper().replace("_", "-")
        if code in self.tables.states or code in self.tables.grid_zones:
            return code
        for cloud in CLOUDS:
            if f"{cloud}:{wanted.lower()}" in self.tables.regions:
                return f"{cloud}:{wanted.lower()}"
        country, dash, part = code.partition("-")
        if dash and country == "US" and part in _TERRITORIES & self.tables.countries.keys():
            return part
        if dash and (country in self.tables.countries or country in self.tables.grid_zones):
            like = _most_like(code, [*self.tables.states, *self.tables.grid_zones], 0.75)
            # A part that no table has lies in a country that one has.
            return like if like is not None and like.startswith(f"{country}-") else country
        like = (
            _most_like(wanted.lower(), self._regions_by_name, 0.85)
            if re.search(r"\d", code)
            else None
        )
        return self._regions_by_name[like] if like is not None else self._near_name(wanted)

    def _near_code(self, table: str, rest: str) -> str | None:
        """The code of the table that is named before a colon which is most like what follows."""
        if table.upper() == GRID:
            zone = _most_like(rest.upper(), self.tables.grid_zones, 0.6)
            by_name = {_key(row.name): zone for zone, row in self.tables.grid_zones.items()}
            named = by_name.get(_key(rest)) or by_name.get(
                _most_like(_key(rest), by_name, 0.7) or ""
            )
            found = named or zone
            return f"{GRID}:{found}" if found is not None else None
        if table.lower() not in CLOUDS:
            return None
        of_cloud = [code for code in self.tables.regions if code.startswith(f"{table.lower()}:")]
        return _most_like(f"{table}:{rest}".lower(), of_cloud, 0.8)

    def _near_name(self, wanted: str) -> str | None:
        """The code of the place whose name is most like `wanted`."""
        key = _key(wanted)
        if len(key) < _SHORTEST_MISSPELT:
            return None
        for names in self._names:
            if begins := [name for name in names if name.startswith(key)]:
                return names[min(begins, key=len)][0]
        every = {name: codes[0] for names in reversed(self._names) for name, codes in names.items()}
        like = _most_like(key, every, 0.7)
        return None if like is None else every[like]

    @cached_property
    def _regions_by_name(self) -> Mapping[str, str]:
        return {region.name: code for code, region in self.tables.regions.items()}


def _factor(
    row: Row, zone: str | None = None, place: str | None = None, note: str | None = None
) -> CarbonIntensity:
    """The figure of a row, with what its table says of all its figures."""
    table = TABLES[row.table]
    return CarbonIntensity(
        g_per_kwh=row.g_per_kwh,
        zone=zone or row.code,
        place=place or row.place,
        kind="average",
        boundary=table.boundary,
        scope=table.scope,
        resolution="year",
        quality=table.quality,
        source=table.source,
        year=row.year,
        how="",
        assumed=False,
        note=note,
    )


def _most_like(text: str, those: Mapping[str, object] | list[str], cutoff: float) -> str | None:
    """The one of `those` that is spelt most like `text`, or None."""
    from difflib import get_close_matches

    like = get_close_matches(text, those, n=1, cutoff=cutoff)
    return like[0] if like else None


def _index(names: Iterable[tuple[str, str]]) -> Mapping[str, list[str]]:
    """The codes that go by each spelling, each code once."""
    found: dict[str, list[str]] = {}
    for name, code in names:
        codes = found.setdefault(_key(name), [])
        if code not in codes:
            codes.append(code)
    return found


def _key(text: str) -> str:
    """A spelling without case, accents, spaces and signs: "Côte d'Ivoire" is "cotedivoire"."""
    return "".join(c for c in normalize("NFKD", text).casefold() if c.isascii() and c.isalnum())


def _without_brackets(name: str) -> str:
    """A name without what stands in brackets: "Falkland Islands [Malvinas]" as people say it."""
    return re.sub(r"\s*[(\[].*?[)\]]", "", name)


@cache
def zones() -> Zones:
    """The places of the tables in this package; one object, so that each is parsed once."""
    return Zones()

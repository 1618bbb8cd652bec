"""The places that a job could run in, each with the grids that may feed it and its PUE."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..carbon import regions as clouds
from ..carbon.emissions import SEEN
from ..carbon.place import WORLD
from ..carbon.tables import TABLES, Region, Row, TableName, Tables
from ..model import CarbonIntensity
from ..uncertainty import Range

# Rows that are no place: all of the world, the G20, and all states by eGRID.
_NO_PLACE = frozenset({WORLD, "G20", "US-USA"})
# A name in a provider's list where no machine stands.
_NO_REGION = frozenset({"azure:asiapacific"})
# Not anybody may rent a machine there.
_FOR_FEW = (
    ("aws:us-gov-", "for the US government's customers only"),
    ("aws:cn-", "run by another company, with accounts of its own"),
    ("azure:china", "run by another company, with accounts of its own"),
)
# Average and marginal figures can disagree entirely. Known to this package of these grids alone:
# WattTime's yearly mean marginal rates, as the Green Software Foundation's real-time cloud data
# quote them (carbon.md 5.3).
_MARGINAL_G_PER_KWH = {
    "EM:CA-QC": ("Montreal", 458.0),
    "EM:CH": ("Zurich", 915.0),
    "EM:SE-SE3": ("Stockholm", 791.0),
    "EM:US-MIDA-PJM": ("Virginia", 557.0),
}
MARGINAL = "average and marginal disagree"
_MARGINAL_SOURCE = "WattTime 2023, quoted by the Green Software Foundation"


@dataclass(frozen=True, slots=True)
class Spot:
    """A place: what one types to mean it, its name and more of where that is.

    `grids` are those of one table that may feed it, the first of which is taken. `pue_source` says
    whose figure `pue` is; `note` what one must know of it.
    """

    zone: str
    name: str
    place: str
    grids: tuple[Row, ...]
    pue: float
    pue_source: str
    note: str | None = None

    @property
    def g_per_kwh(self) -> float:
        """Grams of CO2e a kWh of its grid stands for."""
        return self.grids[0].g_per_kwh

    @property
    def cost_g(self) -> float:
        """Grams of CO2e a kWh of the computers stands for there: the grid's times the PUE."""
        return self.g_per_kwh * self.pue

    @property
    def factors_g(self) -> tuple[float, ...]:
        """The same by every grid that may feed it."""
        return tuple(grid.g_per_kwh * self.pue for grid in self.grids)


def saving(here: Spot, there: Spot) -> Range:
    """The least, the likely and the most that running `there` saves, as shares of `here`.

    Below 0 where it emits more. Between which: every year that both have in the table, and every
    grid that may feed them; where the table has one year and the grids are clear, all are one.
    """
    if here.zone == there.zone:
        return Range(0.0, 0.0, 0.0)
    mid = 1 - there.cost_g / here.cost_g
    found = [mid]
    for mine in here.grids:
        for other in there.grids:
            theirs = dict(other.by_year) or {other.year: other.g_per_kwh}
            for year, g_per_kwh in dict(mine.by_year or ((mine.year, mine.g_per_kwh),)).items():
                if year in theirs and g_per_kwh > 0:
                    found.append(1 - theirs[year] * there.pue / (g_per_kwh * here.pue))
            found.append(1 - other.g_per_kwh * there.pue / (mine.g_per_kwh * here.pue))
    return Range(min(found), mid, max(found))


def table_of(here: CarbonIntensity) -> TableName | None:
    """The table that a yearly figure is of; None of a figure of another source."""
    return next((name for name, table in TABLES.items() if table.source == here.source), None)


def rows_of(table: TableName, tables: Tables) -> Iterator[Row]:
    """All rows of a table that are places with a usable figure."""
    of = {"country": tables.countries, "US state": tables.states, "grid zone": tables.grid_zones}
    for row in of[table].values():
        if row.code not in _NO_PLACE and row.g_per_kwh > 0:
            yield row


def row_here(here: CarbonIntensity, table: TableName, tables: Tables) -> tuple[Row | None, str]:
    """The row of `table` that the present place has, and in words why it is that one, where it
    goes by another name there."""
    code = here.zone.removeprefix("EM:")
    region = tables.regions.get(here.zone)
    if table == "grid zone":
        row = tables.grid_zones.get(region.zone if region is not None else code)
        if row is None:
            return None, ""
        if region is None and here.zone == code and code in tables.countries:
            return row, f"by this table the country is the grid zone {row.code}"
        return row, ""
    of = tables.countries if table == "country" else tables.states
    return of.get(region.country if region is not None else code), ""


def grids_in_state(code: str, tables: Tables) -> list[str]:
    """The grid zones that a US state is named in, such as EM:US-CAL-CISO for US-CA, those with
    cloud regions first; none where a grid spans several states."""
    state = tables.states.get(code)
    if state is None:
        return []
    # Not by the state's code: US-NE is Nebraska, and EM:US-NE-ISNE New England.
    named = f"EM:US-{state.name[:3].upper()}-"
    rented = {f"EM:{region.zone.removeprefix('EM:')}" for region in tables.regions.values()}
    found = [row.code for row in tables.grid_zones.values() if row.code.startswith(named)]
    return sorted(found, key=lambda zone: (zone not in rented, zone))


def spot_of(row: Row, pue: tuple[float, str]) -> Spot:
    """A row of a table as a place, with the PUE that goes along."""
    return Spot(row.code, row.name, row.place, (row,), *pue, note=marginal_note(row))


def region_spot(region: Region, pue: tuple[float, str], tables: Tables) -> Spot | None:
    """A cloud region as a place; None where its grid is not in the table.

    Its PUE is the one that is disclosed, or its provider's over all sites, unless the user set one
    or a sensor sees the whole facility: then that counts everywhere.
    """
    grid = tables.grid_zones.get(region.zone)
    if grid is None or grid.g_per_kwh <= 0:
        return None
    if not counts_everywhere(pue):
        pue = clouds.pue_of(region.code, 1.0, clouds.NOT_SET, tables)
    other = clouds.other_grid_zone(region, tables)
    grids = (grid,) if other is None or other.g_per_kwh <= 0 else (grid, other)
    notes = [_for_few(region), clouds.note(region, grid, tables), marginal_note(grid)]
    said = "; ".join(note for note in notes if note) or None
    place = f"grid {grid.code}, {grid.place}"
    return Spot(region.code, clouds.named(region).place, place, grids, *pue, note=said)


def is_open(region: Region) -> bool:
    """Whether anybody may rent a machine in a region."""
    return _for_few(region) is None


def _for_few(region: Region) -> str | None:
    """Who alone may use a region; None where anybody may."""
    return next((why for start, why in _FOR_FEW if region.code.startswith(start)), None)


def regions_of(cloud: str | None, tables: Tables) -> Sequence[Region]:
    """The regions of a provider, or of all of them."""
    every = (r for r in tables.regions.values() if r.code not in _NO_REGION)
    return [r for r in every if cloud in (None, r.provider)]


def counts_everywhere(pue: tuple[float, str]) -> bool:
    """Whether a PUE is the user's word, or a sensor's, which no place replaces."""
    return pue[1] == SEEN or pue[1].startswith("set by ")


def marginal_g_per_kwh(zone: str, tables: Tables) -> float | None:
    """What is known of a place's marginal g/kWh in the mean of a year; None of nearly all."""
    region = tables.regions.get(zone)
    found = _MARGINAL_G_PER_KWH.get(zone if region is None else f"EM:{region.zone}")
    return None if found is None else found[1]


def marginal_note(row: Row) -> str | None:
    """That marginal figures say otherwise of a grid, where that is known; None of all others."""
    found = _MARGINAL_G_PER_KWH.get(row.code)
    if found is None:
        return None
    place, g_per_kwh = found
    return (
        f"{MARGINAL}: {row.g_per_kwh:.0f} g/kWh on average, "
        f"{g_per_kwh:.0f} marginal in {place} ({_MARGINAL_SOURCE})"
    )

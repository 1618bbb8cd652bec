"""What the same job would emit elsewhere: the places of one table, and the regions of clouds.

The saving of a place b against the present one a is 1 - (I_b PUE_b) / (I_a PUE_a), by the yearly
average of one table (carbon.md 6): figures of two tables are never compared, and neither are
average and marginal ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ..carbon.place import WORLD
from ..carbon.regions import PROVIDER_NAMES
from ..carbon.tables import GRID_YEARS, TABLES, TableName, Tables
from ..carbon.zones import zones
from ..errors import WrongUse
from ..model import CarbonIntensity
from ..schema import range_json
from ..uncertainty import Range
from ..units import carbon_g, percent
from . import LEAST_SAVING, places
from .nouns import Job
from .places import MARGINAL, Spot
from .shapes import Confidence, ItemJson, RankingJson, RegionJson

EVIDENCE = (
    "Dodge et al. 2022: the region matters most; Sukprasert et al. 2024: one move to the cleanest "
    "is nearly all that can be had"
)
_COST = "moving data there, perhaps another price; law may bind the data to a place"
COMPARED = "compared with"  # begins the note on a place that is only assumed
# Nearly as clean: within so many of the present place's emissions; so many are named.
_NEARLY, _MOST_NEAR = 0.05, 2
_WORDS: dict[TableName, str] = {
    "country": "countries",
    "US state": "US states",
    "grid zone": "grid zones",
}


def checked_cloud(text: str | None) -> str | None:
    """A provider as its short name: "aws", "gcp", "azure". Raises WrongUse for any other word."""
    if text is None or text.lower() in PROVIDER_NAMES:
        return text and text.lower()
    raise WrongUse(f"no cloud {text!r:.40}: write one of {', '.join(PROVIDER_NAMES)}")


def rankings(
    job: Job | None,
    here: CarbonIntensity,
    pue: tuple[float, str],
    cloud: str | None,
    energy_j: Range | None = None,
) -> list[RankingJson]:
    """The places that the job could run in, cleanest first, each ranking within one table.

    First the regions of the user's provider `cloud` ("aws"), by their grids and their PUE; then the
    places of the table that `here` is a yearly figure of, all with the PUE of here. Without a
    provider the regions of all three come last. `energy_j` counts where there is no job.
    """
    energy = energy_j if job is None else job.energy_j
    tables = zones().tables
    found = [_regions(energy, here, pue, cloud, tables)]
    table = places.table_of(here)
    if table is not None:
        of_zones = _zones(energy, here, pue, table, tables)
        found.insert(len(found) if cloud else 0, of_zones)
    return found


def _zones(
    energy: Range | None,
    here: CarbonIntensity,
    pue: tuple[float, str],
    table: TableName,
    tables: Tables,
) -> RankingJson:
    row, why = places.row_here(here, table, tables)
    reference = None if row is None else places.spot_of(row, pue)
    spots = [places.spot_of(one, pue) for one in places.rows_of(table, tables)]
    notes = [*_about(here, reference, why, table)]
    if pue[0] != 1:
        notes.append(f"all by the PUE of here, {pue[0]:g} ({pue[1]}): it goes along")
    return _ranking(_WORDS[table], energy, reference, spots, table, notes)


def _regions(
    energy: Range | None,
    here: CarbonIntensity,
    pue: tuple[float, str],
    cloud: str | None,
    tables: Tables,
) -> RankingJson:
    every = places.regions_of(cloud, tables)
    found = [places.region_spot(region, pue, tables) for region in every]
    spots = [spot for spot in found if spot is not None]
    row, why = places.row_here(here, "grid zone", tables)
    region = tables.regions.get(here.zone)
    reference = None if row is None else places.spot_of(row, pue)
    if region is not None:
        reference = places.region_spot(region, pue, tables) or reference
    notes = [*_about(here, reference, why, "grid zone")]
    if missing := [r.code for r, spot in zip(every, found, strict=True) if spot is None]:
        notes.append(f"left out, as no table has their grids: {', '.join(missing)}")
    if places.counts_everywhere(pue):
        notes.append(f"all by the PUE of here, {pue[0]:g} ({pue[1]})")
    whose = PROVIDER_NAMES[cloud] if cloud else "AWS, Google Cloud and Azure"
    of = f"regions of {whose}"
    return _ranking(of, energy, reference, spots, "grid zone", notes)


def _ranking(
    of: str,
    energy: Range | None,
    reference: Spot | None,
    spots: Iterable[Spot],
    table: TableName,
    notes: Sequence[str],
) -> RankingJson:
    ranked = sorted(spots, key=lambda spot: (spot.cost_g, spot.zone))
    meant = TABLES[table]
    years = sorted({grid.year for spot in ranked for grid in spot.grids})
    when = f"{years[0]}" if len(years) == 1 else f"{years[0]} to {years[-1]}"
    return {
        "of": of,
        "reference": None if reference is None else _row(energy, reference, reference),
        "rows": [_row(energy, reference, spot) for spot in ranked],
        "said": (
            f"yearly averages of {when}, {meant.scope}, by {meant.boundary}: {meant.source}; "
            f"{_years(table)}"
        ),
        "kind": "average",
        "scope": meant.scope,
        "notes": list(notes),
    }


def _row(energy: Range | None, reference: Spot | None, spot: Spot) -> RegionJson:
    saved = None if reference is None else places.saving(reference, spot)
    grams = None
    if energy is not None:
        least, *_, most = sorted((*spot.factors_g, spot.cost_g))
        grams = Range(
            carbon_g(energy.low, least),
            carbon_g(energy.mid, spot.cost_g),
            carbon_g(energy.high, most),
        )
    return {
        "zone": spot.zone,
        "name": spot.name,
        "place": spot.place,
        "g_per_kwh": spot.g_per_kwh,
        "pue": spot.pue,
        "pue_source": spot.pue_source,
        "carbon_g": range_json(grams),
        "saved_fraction": None if saved is None else saved.mid,
        "saved_range": range_json(saved),
        "note": spot.note,
    }


def item(found: Sequence[RankingJson], here: CarbonIntensity, cloud: str | None) -> ItemJson | None:
    """Where to run, by these rankings; None where no place is known to save 2 % or more.

    `cloud` is the one that the job runs on and the regions are of: then the best of these that
    anybody may rent. Else (None) nobody can move the machine, and the advice, the best region of a
    cloud, is weaker; where the present place is in no grid zone it is the best country that has
    one.
    """
    of_regions = next((one for one in found if _is_of_regions(one)), None)
    of_zones = next((one for one in found if not _is_of_regions(one)), None)
    ranking = of_regions
    if ranking is None or ranking["reference"] is None:
        ranking = of_zones
    if ranking is None or (reference := ranking["reference"]) is None:
        return None
    best = next((row for row in ranking["rows"] if _is_open(row, ranking)), None)
    saved = None if best is None else best["saved_range"]
    if best is None or saved is None or saved["mid"] < LEAST_SAVING:
        return None
    name = best["name"] if _is_of_regions(ranking) else best["place"]
    where = f"{best['zone']}, {name}"
    change = f"Run it in {where}"
    notes = [row["note"] for row in (best, reference)]
    doubts = [note for note in notes if note is not None and MARGINAL in note][:1]
    sure = saved["low"] >= LEAST_SAVING and not doubts
    confidence: Confidence = "high" if sure else "medium"
    cost = _COST
    if cloud is None:
        change = f"If it can run elsewhere: in {where}"
        cost = f"a machine there, which may draw another power than this one; {_COST}"
        confidence = "low"
    elif here.assumed or reference["zone"] != here.zone:
        confidence = "medium" if confidence == "high" else "low"
    change += f", instead of {reference['zone']}{_by_table(reference, here)}"
    if here.assumed:
        change += f" ({here.how})"
    change += _why_not_the_first(ranking, best)
    if _is_of_regions(ranking):
        cost += _also(ranking, best)
    carbon = reference["carbon_g"]
    saved_g = None
    if carbon is not None:
        # bound by bound: a share below 0 costs most where the energy is highest
        of_low = carbon["low"] if saved["low"] > 0 else carbon["high"]
        saved_g = Range(
            of_low * saved["low"], carbon["mid"] * saved["mid"], carbon["high"] * saved["high"]
        )
    return {
        "what": "region",
        "change": change,
        "setup": None,
        "command": None,
        "saved_fraction": saved,
        "saved_g": range_json(saved_g),
        "saved_j": None,
        "cost": cost,
        "evidence": "; ".join(
            [ranking["said"].partition(";")[0], EVIDENCE, *doubts, *_by_marginal(reference, best)]
        ),
        "confidence": confidence,
    }


def _why_not_the_first(ranking: RankingJson, best: RegionJson) -> str:
    """Why the advice is not the first row of a table that says nothing of who may run there."""
    if _is_of_regions(ranking) or best is ranking["rows"][0]:
        return ""
    return ", as the cleanest in which a cloud has a region"


def _by_table(reference: RegionJson, here: CarbonIntensity) -> str:
    """That the present place has another figure by this table than before all advice, if it has."""
    listed, told = f"{reference['g_per_kwh']:.0f}", f"{here.g_per_kwh:.0f}"
    if reference["zone"] == here.zone or listed == told:
        return ""
    return f" ({listed} g/kWh by the table of grid zones, not {told})"


def _by_marginal(here: RegionJson, there: RegionJson) -> Iterator[str]:
    """What the move comes to by marginal figures, where both places' are known: marginal against
    marginal, and of no total."""
    mine, other = (places.marginal_g_per_kwh(row["zone"], zones().tables) for row in (here, there))
    if mine is not None and other is not None:
        change = other * there["pue"] / (mine * here["pue"]) - 1
        word = "more" if change > 0 else "less"
        yield f"by marginal figures the move emits {percent(abs(change))} {word}"


def _also(ranking: RankingJson, best: RegionJson) -> str:
    """The next best regions that save nearly as much: one of them may be nearer."""
    most = best["saved_fraction"] or 0.0
    near = [
        row["zone"]
        for row in ranking["rows"]
        if row is not best
        and _is_open(row, ranking)
        and (row["saved_fraction"] or 0.0) > max(LEAST_SAVING, most - _NEARLY)
    ]
    return f"; nearly as clean: {', '.join(near[:_MOST_NEAR])}" if near else ""


def _is_open(row: RegionJson, ranking: RankingJson) -> bool:
    """Whether anybody may rent a machine there; of countries, whether a cloud has a region."""
    tables = zones().tables
    if _is_of_regions(ranking):
        region = tables.regions.get(row["zone"])
        return region is not None and places.is_open(region)
    countries = {region.country for region in tables.regions.values()}
    return row["zone"] in countries or row["zone"] in tables.states


def _is_of_regions(ranking: RankingJson) -> bool:
    """Whether its rows are cloud regions, and not the places of a table."""
    return any(row["zone"] in zones().tables.regions for row in ranking["rows"])


def _years(table: TableName) -> str:
    """What the range of a saving is over."""
    if table == "grid zone":
        return f"savings range over {GRID_YEARS[0]} to {GRID_YEARS[-1]}"
    return "one year of each place, so that no range of savings is known"


def _about(
    here: CarbonIntensity, reference: Spot | None, why: str, table: TableName
) -> Sequence[str]:
    """What must be said of the place that all others are compared with."""
    if reference is None:
        if here.assumed and here.zone == WORLD:
            return ["no saving is told, only grams, as no place is set"]
        who = f"{here.place} ({here.zone}; {here.how})"
        what = "no saving is told, only grams"
        own = places.grids_in_state(here.zone, zones().tables)
        if own:
            what += f"; set your own grid zone instead, such as {own[0]}"
        return [f"{who} is not in the table of {_WORDS[table]}: {what}"]
    said = []
    if here.assumed:
        said.append(f"{COMPARED} {reference.name} ({reference.zone}): {here.how}")
    return [*said, why] if why else said

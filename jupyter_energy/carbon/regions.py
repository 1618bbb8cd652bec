"""What is known of a cloud region beside its row: mended names, which grid is meant, whose PUE.

The power usage effectiveness (PUE) is what a data centre draws over what its computers draw.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from .tables import Region, Row, Tables

PROVIDER_NAMES = {"aws": "AWS", "gcp": "Google Cloud", "azure": "Azure"}
# Names in the file that would mislead (data/cloud/LICENSE.md).
_PLACES = {
    "aws:mx-central-1": "Mexico (Central)",
    "aws:us-gov-east-1": "GovCloud (US East, Ohio)",
    "aws:us-gov-west-1": "GovCloud (US West, Oregon)",
    "azure:asiapacific": "Asia Pacific, as Indonesia",
    "azure:westus": "California: West US",
}
# Two balancing areas may feed these, and who looked came to different answers; the file has one of
# each pair. Oregon: PacifiCorp West or Bonneville; Iowa: SPP or MISO; South Carolina: SCEG or
# Santee Cooper.
_ALSO = {
    "aws:us-gov-west-1": "US-NW-PACW",
    "aws:us-west-2": "US-NW-BPAT",
    "gcp:us-central1": "US-MIDW-MISO",
    "gcp:us-east1": "US-CAR-SC",
    "gcp:us-west1": "US-NW-BPAT",
}
# A geography that Azure's lists name beside its regions: no machine stands in "asiapacific".
_NO_REGION = frozenset({"azure:asiapacific"})
# Microsoft's figures of that year are those of the plans, for regions that were not built yet.
_DESIGN_YEAR = 2022
# What Energy.origin says of a setting that nobody made.
NOT_SET = "the default"
OWN_MACHINE = "assumed: a machine of one's own"


def named(region: Region) -> Region:
    """The region with a name of its place that does not mislead."""
    return replace(region, place=_PLACES.get(region.code, region.place))


def other_grid_zone(region: Region, tables: Tables) -> Row | None:
    """The other grid zone that may be meant; None where it is clear."""
    other = _ALSO.get(region.code)
    return None if other is None else tables.grid_zones.get(other)


def note(region: Region, chosen: Row, tables: Tables) -> str | None:
    """What one must know of the factor of a region: another grid may be meant. None: nothing."""
    notes = []
    if region.code in _NO_REGION:
        notes.append(
            f"{region.name} is a geography of {PROVIDER_NAMES[region.provider]}'s, and "
            "no region: write the region's name"
        )
    if (other := other_grid_zone(region, tables)) is not None:
        notes.append(
            # Without a semicolon: sums part notes there and order the parts.
            f"by the grid of {chosen.name}, though {other.g_per_kwh:g} g/kWh if that of "
            f"{other.name} ({other.code}) feeds it"
        )
    return "; ".join(notes) or None


def pue_of(
    zone: str, setting: float, origin: str, tables: Tables, provider: str | None = None
) -> tuple[float, str]:
    """The PUE that counts in `zone`, and in words whose figure it is.

    The user's `setting`, where `origin` says that it was set; else the cloud region's disclosed
    one; else that of the provider's sites together, `provider` being the one that this machine is
    of where the zone names none; else 1.0, as of a machine of one's own.
    """
    if origin != NOT_SET:
        return setting, f"set by {origin}"
    region = tables.regions.get(zone)
    if region is not None and region.pue is not None:
        of = PROVIDER_NAMES[region.provider]
        plan = ", in part a design value" if _planned(region) else ""
        return region.pue, f"{of}'s for {region.name}, {region.pue_year}{plan}"
    provider = region.provider if region is not None else provider
    fleet = tables.fleet_pue.get(provider or "")
    if fleet is None or provider is None:
        return 1.0, OWN_MACHINE
    where = "the region's is not told" if region is not None else "the region is not known"
    return fleet.pue, f"{PROVIDER_NAMES[provider]}'s over all sites, {fleet.year}: {where}"


def _planned(region: Region) -> bool:
    return region.provider == "azure" and region.pue_year == _DESIGN_YEAR


def places(regions: Mapping[str, Region]) -> Mapping[str, tuple[str, ...]]:
    """By code, the English names that mean a region: all of it, and each of its parts.

    "Europe (Paris)" is also Paris, and "Texas: South Central US" also South Central US.
    """
    import re

    found = {}
    for code, region in regions.items():
        place = named(region).place
        parts = re.findall(r"[(]([^)]+)[)]", place) + place.split(": ")[1:]
        found[code] = (place, *parts)
    return found

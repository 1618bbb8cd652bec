"""What a zone of ours is asked as: the user's word for their place, a cloud region's grid zone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import UnknownZone
from .base import Named
from .place import WORLD

if TYPE_CHECKING:
    from ..config import Energy


# Of no one grid, so no service has live values of them; G20 is also a postcode in Glasgow.
_MANY_GRIDS = frozenset({WORLD, "G20"})
# Whether a zone is the user's own place: what the settings say of that holds for no other one.
IsHome = Callable[[str], bool]


def asked_as(settings: Energy, is_home: IsHome) -> Callable[[str], str]:
    """What a zone is asked as: the user's word for the place in the settings, else itself."""

    def place(zone: str) -> str:
        named = settings.provider_zone
        if named and is_home(zone):
            return Named(named)
        if zone.upper() in _MANY_GRIDS:
            raise UnknownZone(f"no service has live values of {zone}: set Energy.zone to a place")
        return zone

    return place


def of_file(settings: Energy, is_home: IsHome) -> Callable[[str], str]:
    """The zone that rows of a file must be of, where they name one: a file is of the user's own
    place, and of no other."""

    def place(zone: str) -> str:
        if not is_home(zone):
            raise UnknownZone(
                f"the file of Energy.csv_trace is not of {zone}, but of your own zone"
            )
        named = settings.provider_zone or grid_of(zone) or zone
        return named.removeprefix("EM:")

    return place


def grid_of(zone: str) -> str | None:
    """The grid zone of a cloud region; None where there is none, or another one may be meant."""
    from .regions import other_grid_zone
    from .zones import zones

    region = zones().tables.regions.get(zone.strip().lower())
    if region is None or not region.zone or other_grid_zone(region, zones().tables) is not None:
        return None
    return f"EM:{region.zone.removeprefix('EM:')}"

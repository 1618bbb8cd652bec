"""What a zone of ours is asked as: the user's word for their place, a cloud region's grid zone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from ..errors import UnknownZone

if TYPE_CHECKING:
    from ..config import Energy


def asked_as(settings: Energy, environ: Mapping[str, str]) -> Callable[[str], str]:
    """What a zone is asked as: the user's word for the place in the settings, else itself."""
    is_home = _home(settings, environ)

    def place(zone: str) -> str:
        named = settings.provider_zone
        return named if named and is_home(zone) else zone

    return place


def of_file(settings: Energy, environ: Mapping[str, str]) -> Callable[[str], str]:
    """The same of a file, which is of the place in the settings and of no other."""
    is_home = _home(settings, environ)

    def place(zone: str) -> str:
        if not is_home(zone):
            raise UnknownZone(
                f"the file of Energy.csv_trace is not of {zone}, but of your own zone"
            )
        return settings.provider_zone

    return place


def _home(settings: Energy, environ: Mapping[str, str]) -> Callable[[str], bool]:
    """Whether a zone is the one that the settings or the time zone name: what they say of it holds
    for no other, such as one by `--zone`."""
    from . import intensity

    homes: dict[str | None, str | None] = {}  # by what the settings say

    def is_home(zone: str) -> bool:
        said = settings.zone
        if said not in homes:
            homes[said] = None
            with suppress(UnknownZone):
                homes[said] = intensity(
                    said, settings.origin("zone"), environ, machine=settings.machine(environ)
                ).zone
        return zone in (said, homes[said])

    return is_home


def grid_of(zone: str) -> str | None:
    """The grid zone of a cloud region; None where there is none, or another one may be meant."""
    from .regions import other_grid_zone
    from .zones import zones

    region = zones().tables.regions.get(zone.strip().lower())
    if region is None or not region.zone or other_grid_zone(region, zones().tables) is not None:
        return None
    return f"EM:{region.zone.removeprefix('EM:')}"

"""Carbon intensity: where this machine is, and what a kWh stands for there.

Without a setting nothing leaves this machine: the tables and the time zones lie in this package.
A live provider is asked only where the user chose it. A third party adds one by an entry point in
the group `jupyter_energy.carbon` that names a module of the same shape as those in PROVIDERS.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UnknownZone, WrongUse
from .place import LOCALTIME, TIMEZONE_FILE, WORLD, Place, find

if TYPE_CHECKING:
    from ..model import CarbonIntensity
    from .base import Provider
    from .static import Table

# Modules of this package with `provider() -> Provider`.
PROVIDERS = ("energy_charts", "uk_grid", "eco2mix", "electricity_maps", "watttime", "csv_trace")
ENTRY_POINTS = "jupyter_energy.carbon"


def provider(name: str) -> Provider:
    """The provider of that name, ours or a third party's. Raises WrongUse where there is none."""
    from importlib import import_module

    if name in PROVIDERS:
        made: Provider = import_module(f".{name}", __name__).provider()
        return made
    check_provider(name)
    from importlib.metadata import entry_points

    (point, *_) = entry_points(group=ENTRY_POINTS, name=name)
    try:
        made = point.load().provider()
    except Exception as error:  # noqa: BLE001  nobody has seen a third party's code
        what = f"{point.value} cannot be used ({type(error).__name__})"
        raise WrongUse(f"the provider {name}, {what}: update or remove it") from None
    return made


def check_provider(name: str) -> None:
    """Nothing, for "" and the name of a provider. Raises WrongUse, with the nearest name."""
    if not name or name in PROVIDERS:
        return
    from difflib import get_close_matches
    from importlib.metadata import entry_points

    names = (*PROVIDERS, *sorted({point.name for point in entry_points(group=ENTRY_POINTS)}))
    if name not in names:
        near = get_close_matches(name, names, 1)
        hint = f"did you mean {near[0]}?" if near else f"write one of {', '.join(names)}"
        raise WrongUse(f"no provider {name!r:.60}: {hint}")


def intensity(
    setting: str | None,
    origin: str,
    environ: Mapping[str, str],
    *,
    when: datetime | None = None,
    table: Table | None = None,
    localtime: Path = LOCALTIME,
    timezone_file: Path = TIMEZONE_FILE,
) -> CarbonIntensity:
    """The intensity in g CO2e/kWh for this machine, and in words how its place was found.

    A place that the user set is never replaced: if no table knows it, UnknownZone is raised. A
    guess that no table knows gives way to the world average, and `how` says so. `when` (UTC) is
    now unless given.
    """
    from .static import table as shipped

    place = find(setting, origin, environ, localtime, timezone_file)
    return at_place(place, when or datetime.now(UTC), table or shipped())


def at_place(place: Place, when: datetime, table: Table) -> CarbonIntensity:
    """The intensity in g CO2e/kWh of a place that was found. Raises UnknownZone for a set one."""
    how = place.how
    try:
        found = table.at(place.zone, when)
    except UnknownZone as error:
        if not place.assumed:
            raise UnknownZone(f"{error} ({place.how})") from None
        how = f"assumed: no figure for {place.zone} ({place.how})"
        found = table.at(WORLD, when)
    quality = "assumed" if place.assumed else found.quality
    return replace(found, how=how, assumed=place.assumed, quality=quality)

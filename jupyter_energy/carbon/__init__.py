"""Carbon intensity: where this machine is, and what a kWh stands for there.

Without a setting nothing leaves this machine: the tables and the time zones lie in this package.
A live provider is asked only where the user chose it. A third party adds one by an entry point in
the group `jupyter_energy.carbon` that names a module of the same shape as those in PROVIDERS.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from .. import foreign
from ..errors import UnknownZone, WrongUse
from ..signals import raise_if_users
from .place import LOCALTIME, TIMEZONE_FILE, WORLD, Ask, Place, find

if TYPE_CHECKING:
    from ..model import CarbonIntensity
    from ..sensors.base import Machine
    from .base import Provider
    from .zones import Zones

# Modules of this package with `provider() -> Provider`.
PROVIDERS = ("energy_charts", "uk_grid", "eco2mix", "electricity_maps", "watttime", "csv_trace")
ENTRY_POINTS = "jupyter_energy.carbon"
_OF_A_PROVIDER = ("name", "title", "step_s", "url", "secrets", "region", "fetch")


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
        lacks = [word for word in _OF_A_PROVIDER if not hasattr(made, word)]
        why = f"it lacks {', '.join(lacks)}" if lacks else _wrong(made)
    except BaseException as error:  # noqa: BLE001  nobody has seen it: it may also exit
        raise_if_users(error)
        why = type(error).__name__
    if why is not None:
        what = f"{point.value} cannot be used ({why})"
        raise WrongUse(f"the provider {name}, {what}: update or remove it")
    return made


def _wrong(made: object) -> str | None:
    """What of a provider's plain facts is of the wrong kind, in words."""
    if not all(isinstance(getattr(made, word), str) for word in ("name", "title", "url")):
        return "its name, title and url are texts"
    getattr(made, "delay_s", None)  # what raises here would raise later
    step_s = foreign.seconds(getattr(made, "step_s", None))
    return None if step_s else "its step_s is a number of seconds above 0"


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


def factor(zone: str) -> CarbonIntensity:
    """The yearly factor in g CO2e/kWh of a code or an English name, whatever its table.

    "FR" is the country, "US-CA" the state, "EM:FR" the grid zone, "aws:eu-west-3" the cloud region.
    Raises UnknownZone, with the nearest that would be right.
    """
    from .zones import zones

    return zones().at(zone)


def pue_of(
    zone: str, setting: float, origin: str, machine: Machine | None = None
) -> tuple[float, str]:
    """The power usage effectiveness that counts in `zone`, and in words whose figure it is.

    The user's `setting`, where `origin` (of Energy.origin) is not "the default"; else the cloud
    region's disclosed one; else the provider's over all its sites, `machine` telling the provider
    where the zone does not; else 1.0, "assumed: a machine of one's own".
    """
    from .regions import pue_of as found
    from .zones import zones

    provider = None
    if machine is not None:
        from .platforms import cloud_of

        provider = cloud_of(machine)
    return found(zone, setting, origin, zones().tables, provider)


def intensity(
    setting: str | None,
    origin: str,
    environ: Mapping[str, str],
    *,
    machine: Machine | None = None,
    ask: Ask | None = None,
    zones: Zones | None = None,
    localtime: Path = LOCALTIME,
    timezone_file: Path = TIMEZONE_FILE,
) -> CarbonIntensity:
    """The intensity in g CO2e/kWh for this machine, and in words how its place was found.

    A place that the user set is never replaced: if no table knows it, UnknownZone is raised. One
    that was found and that no table knows gives way to the world average, and `how` says so.
    Without a `machine` neither platform nor firmware is looked at; without `ask` no metadata
    service is asked (place.py).
    """
    found = find(setting, origin, environ, localtime, timezone_file, machine=machine, ask=ask)
    return at_place(found, zones)


def at_place(place: Place, zones: Zones | None = None) -> CarbonIntensity:
    """The intensity in g CO2e/kWh of a place. Raises UnknownZone for one that was chosen."""
    from .zones import zones as shipped

    known = shipped() if zones is None else zones
    how, assumed = place.how, place.assumed
    try:
        found = known.at(place.zone)
    except UnknownZone as error:
        if place.chosen:
            raise UnknownZone(f"{error} ({place.how})") from None
        how, assumed = f"assumed: no figure for {place.zone} ({place.how})", True
        found = known.at(WORLD)
    quality = "assumed" if assumed else found.quality
    return replace(found, how=how, assumed=assumed, quality=quality)

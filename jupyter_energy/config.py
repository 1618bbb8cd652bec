"""Every setting: its default, its help, and where its value came from.

One traitlets Configurable named `Energy`. Strength, strongest first: an option of the magic,
`%config Energy.x = ...`, the environment (`JUPYTER_ENERGY_X`), an IPython profile (`c.Energy.x`),
the settings file that `jupyter energy zone` writes, the default.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from traitlets import All, Bool, Float, TraitError, Unicode, validate
from traitlets.config import Config, Configurable

from .calibration import default_file as baselines_file
from .errors import UnknownZone, WrongUse
from .sensors.base import Machine
from .signals import raise_if_users

ENVIRONMENT_PREFIX = "JUPYTER_ENERGY_"
# Jittered by half, this is the 2.4 s that a trace lets lie between two readings of a gauge.
LONGEST_INTERVAL_S = 1.6
YES, NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
_OF_THE_ZONE = "Energy.zone from"
DEFAULT, FILE, PROFILE, SAID = "the default", "the settings file", "the profile", "%config Energy"


class Energy(Configurable):
    """What is measured, where it is kept and which place CO2e is computed for."""

    zone = Unicode(
        None,
        allow_none=True,
        help="Place that CO2e is computed for, such as FR, US-CA or aws:eu-west-3; unset: guessed "
        "from the time zone; auto: a cloud's machine may also be asked for its region.",
    ).tag(config=True)
    provider = Unicode(
        "",
        help="Live carbon intensity: the name of a provider, such as energy_charts; empty: none, "
        "and nothing is asked of any network.",
    ).tag(config=True)
    provider_zone = Unicode(
        "",
        help="What the provider calls your place, where `zone` does not tell it: the first half of "
        "a postcode for uk_grid, a region such as CAISO_NORTH for watttime.",
    ).tag(config=True)
    provider_url = Unicode(
        "", help="Another address to ask the provider at, such as a proxy's; empty: its own."
    ).tag(config=True)
    csv_trace = Unicode(
        "", help="The file of the provider csv_trace: times and g CO2e/kWh, also as downloaded."
    ).tag(config=True)
    cache = Unicode(
        "", help="Folder for what a provider has answered; empty: in your cache folder."
    ).tag(config=True)
    pue = Float(
        1.0,
        help="Power usage effectiveness: what the building draws for each watt of the machine. "
        "1 for a laptop; a data centre tells its own. Unset: that of the cloud's region.",
    ).tag(config=True)
    estimate = Bool(
        True, help="Estimate, as a range, what no sensor covers. Never added to measured figures."
    ).tag(config=True)
    sync = Bool(
        True, help="Wait for queued GPU work at both edges of %%energy and je.measure."
    ).tag(config=True)
    store = Unicode("", help="File of the store; empty: energy.sqlite in your data folder.").tag(
        config=True
    )
    sysfs = Unicode("/sys", help="Where sysfs is mounted (in a container it may be moved).").tag(
        config=True
    )
    procfs = Unicode("/proc", help="Where procfs is mounted.").tag(config=True)
    replay = Unicode("", help="Read power from this file instead of from sensors.").tag(config=True)
    cpu_tdp_w = Float(
        None,
        allow_none=True,
        help="Thermal design power in W of all processors that this machine sees (of a virtual "
        "machine: its share of them), for the CPU estimate; `baseline`'s calibration is stronger.",
    ).tag(config=True)
    interval_s = Float(
        1.0, help="Seconds between two readings of a power sensor while a cell runs."
    ).tag(config=True)

    @validate("pue")
    def _at_least_one(self, proposal: Mapping[str, float]) -> float:
        """A facility draws at least what its machines draw."""
        from .carbon.emissions import checked_pue

        try:
            return checked_pue(proposal["value"])
        except WrongUse as error:
            raise TraitError(str(error)) from None

    @validate("zone")
    def _a_place(self, proposal: Mapping[str, str | None]) -> str | None:
        """One that a table knows, where the user says it now; what was said before is kept, since
        a place that was set is never replaced: CO2e is then not known (`zone_complaint`)."""
        if self._is_read and (why := _no_place(proposal["value"])) is not None:
            raise TraitError(why)
        return proposal["value"]

    @validate("interval_s")
    def _not_too_often(self, proposal: Mapping[str, float]) -> float:
        """Polling faster than 0.1 s costs more than it tells (measuring.md 1.3, 1.5)."""
        if not 0.1 <= proposal["value"] <= LONGEST_INTERVAL_S:  # false for NaN as well
            raise TraitError(
                f"interval_s is {proposal['value']}: it is 0.1 to {LONGEST_INTERVAL_S:g}"
            )
        return proposal["value"]

    @validate("cpu_tdp_w")
    def _a_power(self, proposal: Mapping[str, float | None]) -> float | None:
        """No processor draws nothing, less, or without end."""
        value = proposal["value"]
        if value is not None and not 0 < value < math.inf:
            raise TraitError(f"cpu_tdp_w is {value}: it is a number of W above 0")
        return value

    @validate("provider")
    def _a_provider(self, proposal: Mapping[str, str]) -> str:
        """One of ours, or of a third party's."""
        from .carbon import check_provider

        try:
            check_provider(proposal["value"])
        except WrongUse as error:
            raise TraitError(str(error)) from None
        return proposal["value"]

    @validate("provider_url")
    def _an_address(self, proposal: Mapping[str, str]) -> str:
        """It may hold no token: it is shown."""
        from .carbon.address import checked_address

        try:
            return checked_address(proposal["value"]) if proposal["value"] else ""
        except WrongUse as error:
            raise TraitError(str(error)) from None

    @validate("store", "replay", "csv_trace", "cache")
    def _a_path(self, proposal: Mapping[str, str]) -> str:
        """`~name` needs a user of that name, and no path holds a NUL."""
        value = proposal["value"]
        try:
            if "\0" in str(Path(value).expanduser()):
                raise TraitError(f"{value!r} is no path")
        except RuntimeError as error:  # pathlib's for a home that it cannot find
            raise TraitError(f"{value!r}: {error}") from None
        return value

    def __init__(
        self,
        profile: Config | None = None,
        environ: Mapping[str, str] | None = None,
        file: Mapping[str, object] | None = None,
    ) -> None:
        """The settings of a profile, the environment and the settings file, in that strength.

        A value that cannot be is left out and told in `complaints`.
        """
        self._is_read = False
        super().__init__()
        self._origins: dict[str, str] = {}
        self.complaints: list[str] = []
        profile_values = dict(profile["Energy"]) if profile and "Energy" in profile else {}
        for values, origin in ((file or {}, FILE), (profile_values, PROFILE)):
            for name, value in values.items():
                self._take(name, value, origin)
        for name in self.trait_names(config=True):
            variable = ENVIRONMENT_PREFIX + name.upper()
            if environ and (text := environ.get(variable)):
                self._take(name, text, variable, parse=True)
        self.observe(self._said, All)
        self._is_read = True

    def _take(self, name: str, value: object, origin: str, parse: bool = False) -> None:
        if name not in self.trait_names(config=True):
            self.complaints.append(f"Energy.{name} from {origin}: there is no such setting")
            return
        try:
            if parse:
                value = self._parsed(name, str(value))
            setattr(self, name, value)
            self._origins[name] = origin
        except (TraitError, ValueError, OverflowError) as error:
            self.complaints.append(f"Energy.{name} from {origin} is left out: {error}")

    def _parsed(self, name: str, text: str) -> object:
        """What a variable's text means for a setting. Raises ValueError, TraitError."""
        trait = self.traits()[name]
        if not isinstance(trait, Bool):
            return trait.from_string(text)
        if (word := text.strip().lower()) not in YES + NO:
            raise TraitError(f"{text!r} is neither yes nor no")
        return word in YES

    def _said(self, change: Mapping[str, str]) -> None:
        self._origins[change["name"]] = SAID

    def remember(self, name: str, value: object) -> None:
        """Take a value that the settings file now holds (None: the default), at once.

        In a kernel it counts from here on, whatever was set before: the user has just said so.
        """
        setattr(self, name, self.traits()[name].default_value if value is None else value)
        self._origins[name] = DEFAULT if value is None else FILE

    def elsewhere(self, zone: str) -> Energy:
        """These settings at another place, which is said by `--zone`; what the provider calls the
        user's own place is not taken there. Raises UnknownZone."""
        from .carbon import factor

        factor(zone)
        made = Energy()
        others = {"zone": zone, **({} if zone == self.zone else {"provider_zone": ""})}
        for name in self.trait_names(config=True):
            setattr(made, name, others.get(name, getattr(self, name)))
        made._origins = {**self._origins, "zone": "--zone"}
        return made

    def zone_complaint(self) -> str | None:
        """Why no table knows the zone that is set, with the nearest; None where one does."""
        why = _no_place(self.zone)
        return None if why is None else f"{_OF_THE_ZONE} {self.origin('zone')}: {why}"

    def complaints_now(self) -> list[str]:
        """The complaints, with that of the zone as it is set now."""
        others = (text for text in self.complaints if not text.startswith(_OF_THE_ZONE))
        return [*others, *filter(None, [self.zone_complaint()])]

    def origin(self, name: str) -> str:
        """Where a setting's value came from, in words."""
        return self._origins.get(name, DEFAULT)

    def store_path(self) -> Path:
        """The file of the store."""
        from .store import default_path

        return Path(self.store).expanduser() if self.store else default_path()

    def cache_folder(self) -> Path:
        """Where answers of a live provider lie."""
        from .carbon.cache import default_folder

        return Path(self.cache).expanduser() if self.cache else default_folder()

    def machine(self, environ: Mapping[str, str]) -> Machine:
        """Where the sensors are to look, by these settings."""
        return Machine(
            sysfs=Path(self.sysfs),
            procfs=Path(self.procfs),
            replay=Path(self.replay).expanduser() if self.replay else None,
            cpu_tdp_w=self.cpu_tdp_w,
            baselines=baselines_file(),
            environ=environ,
        )


def _no_place(zone: str | None) -> str | None:
    """Why a zone is of no use, in words; None for one of a table, for none, and for `auto`."""
    from .carbon import factor
    from .carbon.place import AUTO

    try:
        if (wanted := (zone or "").strip()) and wanted.lower() != AUTO:
            factor(wanted)
    except UnknownZone as error:
        return str(error)
    except Exception as error:  # noqa: BLE001  tables that cannot be read: each record will say so
        raise_if_users(error)
    return None

"""Where this machine draws its electricity, found without network and without geolocation.

The ladder: a setting; else what the platform tells (SageMaker, Azure ML and their like); else, of
a cloud's machine and only where the user said "auto", what its own metadata service tells; else
the country of the time zone, marked as a guess; else the world average, marked as assumed. A hub
in one country and a user's browser in another do not meet here: only this machine is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..sensors.base import Machine
    from .metadata import Told
    from .platforms import Platform

DATA = Path(__file__).parent / "data"
WORLD = "WORLD"
AUTO = "auto"
NO_PLACE = "assumed: no place is set"
# On Debian a plain copy of a zone's file may stand at localtime; its name is then in timezone.
LOCALTIME = Path("/etc/localtime")
TIMEZONE_FILE = Path("/etc/timezone")
_MOST_LINKS = 8
# Asks a cloud ("aws") for this machine's region.
Ask = Callable[[str], "Told"]


@dataclass(frozen=True, slots=True)
class Place:
    """A zone as a table knows it, `how` it was found in words, and whether it is only assumed.

    `chosen` where the user set it, which nothing may replace; `final` is False where a better
    answer is under way.
    """

    zone: str
    how: str
    assumed: bool
    chosen: bool = False
    final: bool = True


def find(
    setting: str | None,
    origin: str,
    environ: Mapping[str, str],
    localtime: Path = LOCALTIME,
    timezone_file: Path = TIMEZONE_FILE,
    *,
    machine: Machine | None = None,
    ask: Ask | None = None,
) -> Place:
    """The place that carbon is computed for.

    `setting` is what the user chose, as it was written (None, "" or "auto": nothing), and `origin`
    the words for where: "%config Energy.zone", "JUPYTER_ENERGY_ZONE", "the settings file".
    It is not looked up here, so a wrong one is reported by the table. Without a `machine` no file
    but the time zone's is read; without `ask` no metadata service is asked.
    """
    chosen = (setting or "").strip()
    if chosen and chosen.lower() != AUTO:
        return Place(chosen, f"set by {origin}", assumed=False, chosen=True)
    if machine is None:
        return _by_clock(timezone_name(environ, localtime, timezone_file))
    from .platforms import CLOUD_NAMES, cloud, platform

    on, of_cloud = platform(machine), cloud(machine)
    if on is not None and on.zone is not None and not on.guessed:
        return Place(on.zone, on.how or "", assumed=False)
    told = ask(of_cloud) if ask is not None and chosen and of_cloud is not None else None
    if of_cloud is not None and told is not None and told.zone is not None:
        how = f"told by {CLOUD_NAMES[of_cloud]}'s metadata service"
        return Place(told.zone, how, assumed=False)
    final = told is None or told.final
    if on is not None and on.zone is not None:
        return Place(on.zone, on.how or "", assumed=True, final=final)
    why = _why_not(on, of_cloud, told)
    # What hosts notebooks for others sets their clocks to UTC, and who changes it to his own.
    hosted = on is not None and on.hosted
    timezone = None if hosted else timezone_name(environ, localtime, timezone_file)
    return _by_clock(timezone, why, final)


def _by_clock(timezone: str | None, why: str | None = None, final: bool = True) -> Place:
    """The country of a time zone, as a guess, or the world; `why` nothing better is known."""
    country = None if timezone is None else timezone_countries().get(timezone)
    if country is None:
        return Place(WORLD, f"assumed: {why}" if why else NO_PLACE, assumed=True, final=final)
    because = f" ({why})" if why else ""
    return Place(
        country, f"guessed from the time zone {timezone}{because}", assumed=True, final=final
    )


def _why_not(on: Platform | None, of_cloud: str | None, told: Told | None) -> str | None:
    """Why the machine's own word for its region is not known, where it may have one."""
    from .platforms import CLOUD_NAMES

    if told is not None:
        return told.why
    if on is not None and (of_cloud is None or on.hosted):
        return f"on {on.name}, whose region is not told"
    if of_cloud is not None:
        return f"on {CLOUD_NAMES[of_cloud]}, which `zone auto` asks for its region"
    return None


def timezone_name(
    environ: Mapping[str, str],
    localtime: Path = LOCALTIME,
    timezone_file: Path = TIMEZONE_FILE,
) -> str | None:
    """This machine's time zone as the tz database names it ("Europe/Paris"), or None.

    The first that names one: TZ, the link at `localtime`, the text in `timezone_file`. Windows
    has none of them and uses names of its own, so there the answer is None.
    """
    named = environ.get("TZ", "").removeprefix(":")
    if named and not Path(named).is_absolute():
        return named
    if named:
        return _name_by_link(Path(named))
    return _name_by_link(localtime) or _name_in_file(timezone_file)


def _name_by_link(path: Path) -> str | None:
    """What follows "zoneinfo/" in a path or in what it links to; None for a plain copy.

    One link is followed at a time: on some systems (NixOS, macOS) the folder with the zones is
    itself a link, and its target has another name.
    """
    for _ in range(_MOST_LINKS):
        parts = path.parts
        if "zoneinfo" in parts:
            below = parts[len(parts) - parts[::-1].index("zoneinfo") :]
            # posix/ and right/ hold the same zones without and with leap seconds.
            return "/".join(below[1:] if below[:1] in {("posix",), ("right",)} else below) or None
        try:
            path = path.parent / path.readlink()
        except OSError:
            return None
    return None


def _name_in_file(path: Path) -> str | None:
    """The first line of a file with a time zone's name, or None."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    return lines[0].strip() or None if lines else None


@cache
def timezone_countries() -> Mapping[str, str]:
    """ISO 3166 code of the country by time zone name (tz database, data/timezones/README.md)."""
    import csv

    text = (DATA / "timezones" / "timezone_countries.csv").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if not line.startswith("#")]
    return {row["timezone"]: row["country"] for row in csv.DictReader(rows)}

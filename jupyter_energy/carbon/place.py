"""Where this machine draws its electricity, found without network and without geolocation.

The ladder: a setting; else the country of the time zone, marked as a guess; else the world
average, marked as assumed. A hub in one country and a user's browser in another do not meet
here: only this machine is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

WORLD = "WORLD"
AUTO = "auto"
NO_PLACE = "assumed: no place is set"
# On Debian a plain copy of a zone's file may stand at localtime; its name is then in timezone.
LOCALTIME = Path("/etc/localtime")
TIMEZONE_FILE = Path("/etc/timezone")
_MOST_LINKS = 8


@dataclass(frozen=True, slots=True)
class Place:
    """A zone as a table knows it, `how` it was found in words, and whether it is only assumed."""

    zone: str
    how: str
    assumed: bool


def find(
    setting: str | None,
    origin: str,
    environ: Mapping[str, str],
    localtime: Path = LOCALTIME,
    timezone_file: Path = TIMEZONE_FILE,
) -> Place:
    """The place that carbon is computed for.

    `setting` is what the user chose, as it was written (None, "" or "auto": nothing), and `origin`
    the words for where: "%config Energy.zone", "JUPYTER_ENERGY_ZONE", "the settings file".
    It is not looked up here, so a wrong one is reported by the table.
    """
    chosen = (setting or "").strip()
    if chosen and chosen.lower() != AUTO:
        return Place(chosen, f"set by {origin}", assumed=False)
    timezone = timezone_name(environ, localtime, timezone_file)
    country = None if timezone is None else timezone_countries().get(timezone)
    if country is None:
        return Place(WORLD, NO_PLACE, assumed=True)
    return Place(country, f"guessed from the time zone {timezone}", assumed=True)


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
    from importlib.resources import files

    text = (
        files("jupyter_energy.carbon")
        .joinpath("data", "timezones", "timezone_countries.csv")
        .read_text(encoding="utf-8")
    )
    rows = [line for line in text.splitlines() if not line.startswith("#")]
    return {row["timezone"]: row["country"] for row in csv.DictReader(rows)}

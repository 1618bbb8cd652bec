"""Makes timezone_countries.csv: `python from_tzdb.py /usr/share/zoneinfo > timezone_countries.csv`.

Not used at run time. Reads zone.tab (public domain) and the links of tzdata.zi.
"""

from __future__ import annotations

import sys
from pathlib import Path

# Since 2013 the tz database links zones whose clocks agree since 1970 even across borders
# (its "backward" file, lines with "#="), so for these old names the target's country is wrong.
OLD_NAMES_ACROSS_A_BORDER = {
    "Africa/Asmera": "ER",
    "Africa/Timbuktu": "ML",
    "America/Coral_Harbour": "CA",
    "America/Virgin": "VI",
    "Antarctica/South_Pole": "AQ",
    "Atlantic/Jan_Mayen": "SJ",
    "Iceland": "IS",
    "Pacific/Johnston": "UM",
    "Pacific/Ponape": "FM",
    "Pacific/Truk": "FM",
    "Pacific/Yap": "FM",
}
# Clocks, not places: since 2024b "EST" is a link to America/Panama.
CLOCKS = frozenset("CET CST6CDT EET EST EST5EDT HST MET MST MST7MDT PST8PDT WET".split())


def countries(zoneinfo: Path) -> dict[str, str]:
    """Country code by time zone name, sorted by name; old names included."""
    rows = (zoneinfo / "zone.tab").read_text(encoding="ascii").splitlines()
    fields = [row.split("\t") for row in rows if not row.startswith("#")]
    found = {name: code for code, _place, name, *_comment in fields}
    for line in (zoneinfo / "tzdata.zi").read_text(encoding="ascii").splitlines():
        if line.startswith("L "):
            _, target, old_name = line.split()
            if target in found and old_name not in found and old_name not in CLOCKS:
                found[old_name] = found[target]
    return dict(sorted((found | OLD_NAMES_ACROSS_A_BORDER).items()))


def version(zoneinfo: Path) -> str:
    """The tz database's version, such as "2025b": the first line of tzdata.zi."""
    with (zoneinfo / "tzdata.zi").open(encoding="ascii") as lines:
        return next(lines).split()[-1]


def main(zoneinfo: Path) -> str:
    """The CSV as text."""
    head = f"# tz database {version(zoneinfo)}, zone.tab and links; public domain\n"
    body = "".join(f"{name},{code}\n" for name, code in countries(zoneinfo).items())
    return f"{head}timezone,country\n{body}"


if __name__ == "__main__":
    sys.stdout.write(main(Path(sys.argv[1])))

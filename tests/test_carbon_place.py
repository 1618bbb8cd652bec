"""Where the machine is: the ladder from a setting to the world average."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from jupyter_energy.carbon import intensity
from jupyter_energy.carbon.place import find, timezone_countries, timezone_name
from jupyter_energy.errors import UnknownZone

NOWHERE = Path("/no/such/file")
ZONEINFO = Path("/usr/share/zoneinfo")
DATA = Path(__file__).parents[1] / "jupyter_energy" / "carbon" / "data"


def localtime(folder: Path, target: str) -> Path:
    """A link as /etc/localtime is one, in `folder`."""
    link = folder / "localtime"
    link.symlink_to(target)
    return link


def test_a_setting_wins_over_the_time_zone_and_names_where_it_was_made() -> None:
    place = find("de", "%config Energy.zone", {"TZ": "Europe/Paris"}, NOWHERE, NOWHERE)
    assert (place.zone, place.how, place.assumed) == ("de", "set by %config Energy.zone", False)


@pytest.mark.parametrize("setting", [None, "", "  ", "auto", "AUTO"])
def test_without_a_setting_the_time_zone_gives_a_guess_marked_as_one(setting: str | None) -> None:
    place = find(setting, "", {"TZ": "Europe/Paris"}, NOWHERE, NOWHERE)
    assert place.zone == "FR"
    assert place.how == "guessed from the time zone Europe/Paris"
    assert place.assumed


@pytest.mark.parametrize("tz", ["UTC", "Etc/UTC", "Etc/GMT+5", "EST5EDT", "CET-1CEST", "Mars/Base"])
def test_a_clock_that_is_no_place_gives_the_world_average_marked_as_assumed(tz: str) -> None:
    place = find(None, "", {"TZ": tz}, NOWHERE, NOWHERE)
    assert (place.zone, place.how, place.assumed) == ("WORLD", "assumed: no place is set", True)


def test_a_machine_that_names_no_time_zone_gives_the_world_average() -> None:
    assert find(None, "", {}, NOWHERE, NOWHERE).zone == "WORLD"


@pytest.mark.parametrize(
    "target",
    [
        "/usr/share/zoneinfo/Asia/Tokyo",
        "../usr/share/zoneinfo/Asia/Tokyo",
        "/var/db/timezone/zoneinfo/Asia/Tokyo",  # macOS
        "/etc/zoneinfo/Asia/Tokyo",  # NixOS
        "/usr/share/zoneinfo/posix/Asia/Tokyo",
        "/usr/share/zoneinfo/right/Asia/Tokyo",
    ],
)
def test_the_link_at_localtime_names_the_time_zone(tmp_path: Path, target: str) -> None:
    place = find(None, "", {}, localtime(tmp_path, target), NOWHERE)
    assert (place.zone, place.how) == ("JP", "guessed from the time zone Asia/Tokyo")


def test_a_link_to_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "localtime").symlink_to("/usr/share/zoneinfo/Africa/Nairobi")
    assert find(None, "", {}, localtime(tmp_path, "static/localtime"), NOWHERE).zone == "KE"


def test_links_in_a_circle_end_in_the_world_average(tmp_path: Path) -> None:
    assert find(None, "", {}, localtime(tmp_path, "localtime"), NOWHERE).zone == "WORLD"


def test_a_copy_at_localtime_leaves_the_name_to_the_timezone_file(tmp_path: Path) -> None:
    copy, named = tmp_path / "localtime", tmp_path / "timezone"
    copy.write_bytes(b"TZif2")
    named.write_text("America/Sao_Paulo\n")
    assert find(None, "", {}, copy, named).zone == "BR"


@pytest.mark.parametrize("content", ["", "\n", "\xff\xfe"])
def test_an_empty_or_broken_timezone_file_names_nothing(tmp_path: Path, content: str) -> None:
    named = tmp_path / "timezone"
    named.write_text(content, encoding="latin-1")
    assert find(None, "", {}, NOWHERE, named).zone == "WORLD"


def test_tz_decides_alone_when_it_is_set(tmp_path: Path) -> None:
    link = localtime(tmp_path, "/usr/share/zoneinfo/Asia/Tokyo")
    assert find(None, "", {"TZ": "UTC"}, link, NOWHERE).zone == "WORLD"
    assert find(None, "", {"TZ": ""}, link, NOWHERE).zone == "JP"
    assert find(None, "", {"TZ": ":Europe/Rome"}, link, NOWHERE).zone == "IT"
    assert find(None, "", {"TZ": f":{link}"}, NOWHERE, NOWHERE).zone == "JP"
    assert timezone_name({"TZ": "/usr/share/zoneinfo/Europe/Oslo"}) == "Europe/Oslo"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("Europe/Kyiv", "UA"),
        ("Europe/Kiev", "UA"),
        ("Asia/Calcutta", "IN"),
        ("US/Pacific", "US"),
        ("Iceland", "IS"),  # in the database a link to Africa/Abidjan
        ("America/Virgin", "VI"),
    ],
)
def test_old_names_of_time_zones_lie_in_their_own_country(name: str, code: str) -> None:
    assert timezone_countries()[name] == code


def test_the_time_zones_are_what_the_script_beside_them_derives(tmp_path: Path) -> None:
    shipped = (DATA / "timezones" / "timezone_countries.csv").read_text(encoding="ascii")
    zi = ZONEINFO / "tzdata.zi"
    version = shipped.splitlines()[0].split()[3].rstrip(",")
    if not zi.exists() or zi.read_text(encoding="ascii").split("\n", 1)[0].split()[-1] != version:
        pytest.skip(f"needs tz database {version} in {ZONEINFO}")
    import subprocess

    script = DATA / "timezones" / "from_tzdb.py"
    made = subprocess.run(
        [sys.executable, str(script), str(ZONEINFO)], capture_output=True, text=True, check=True
    )
    assert made.stdout == shipped


def test_the_intensity_says_factor_place_year_source_and_how() -> None:
    found = intensity("FR", "JUPYTER_ENERGY_ZONE", {})
    assert (found.g_per_kwh, found.place, found.year) == (44.18, "France", 2024)
    assert found.source == "Ember (CC BY 4.0)"
    assert (found.how, found.assumed) == ("set by JUPYTER_ENERGY_ZONE", False)
    assert found.quality == "measured"


def test_a_guessed_place_makes_the_quality_assumed() -> None:
    found = intensity(None, "", {"TZ": "Europe/Paris"})
    assert (found.zone, found.assumed, found.quality) == ("FR", True, "assumed")


def test_a_guessed_country_without_a_figure_gives_way_to_the_world_and_says_so() -> None:
    found = intensity(None, "", {"TZ": "Antarctica/Troll"})
    assert (found.zone, found.assumed) == ("WORLD", True)
    assert found.how == ("assumed: no figure for AQ (guessed from the time zone Antarctica/Troll)")


def test_a_place_that_was_set_never_gives_way() -> None:
    for zone in ("XX", "nowhere", "US-CX"):
        with pytest.raises(UnknownZone, match=r"\(set by %%energy --zone\)$"):
            intensity(zone, "%%energy --zone", {"TZ": "Europe/Paris"})


def test_the_world_may_be_chosen_and_is_then_not_assumed() -> None:
    found = intensity("world", "the settings file", {"TZ": "Europe/Paris"})
    assert (found.zone, found.assumed, found.quality) == ("WORLD", False, "measured")


def test_finding_a_place_opens_no_socket_and_starts_no_thread() -> None:
    import subprocess

    code = (
        "import sys, threading\n"
        "def hook(event, _):\n"
        "    assert not event.startswith('socket.'), event\n"
        "sys.addaudithook(hook)\n"
        "from jupyter_energy.carbon import intensity\n"
        "loaded = {'csv', 'difflib', 'importlib.resources', 'socket'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
        "intensity('FR', 'x', {}); intensity(None, '', {})\n"
        "assert threading.active_count() == 1\n"
    )
    root = Path(__file__).parents[1]
    ran = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=root, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr

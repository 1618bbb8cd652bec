"""`doctor` on the live provider: its last value, or why there is none and the one remedy."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from shell import Shell
from standins.carbon_services import TOKEN
from standins.metadata import aws, standing
from standins.web_server import Asked, Service, Told

from jupyter_energy.carbon.metadata import ADDRESS_VARIABLE


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    made = Shell(tmp_path)
    made.environ["JUPYTER_ENERGY_ZONE"] = "FR"
    for name in [name for name in made.environ if name.lower().endswith("_proxy")]:
        del made.environ[name]
    return made


def quarter_hours(_asked: Asked) -> Told:
    """Energy-Charts, now: 43 g CO2e/kWh."""
    start = int(time.time()) // 900 * 900
    lists = {"unix_seconds": [start - 900, start], "co2eq": [41.0, 43.0]}
    return Told(200, {"license_info": "CC BY 4.0", **lists, "co2eq_forecast": [None, None]})


def choose(shell: Shell, provider: str, url: str) -> None:
    shell.environ |= {"JUPYTER_ENERGY_PROVIDER": provider, "JUPYTER_ENERGY_PROVIDER_URL": url}


def seen(shell: Shell) -> dict[str, Any]:
    """The provider in doctor's JSON; null where none is chosen."""
    done = shell("doctor", "--json")
    assert (done.returncode, done.stderr) == (0, ""), done
    found: dict[str, Any] = json.loads(done.stdout)["provider"]
    return found


def test_a_provider_that_works_tells_its_last_value_what_it_means_and_its_age(shell: Shell) -> None:
    with Service(quarter_hours).running() as served:
        choose(shell, "energy_charts", served.url)
        text, found = shell("doctor").stdout, seen(shell)
        assert len(served.asked) == 1  # the second one read what the first was answered
    (row,) = [line for line in text.splitlines() if "energy_charts" in line]
    assert row.split()[:2] == ["works", "energy_charts"]
    for word in ("43 g CO2e/kWh", "measured", "average, production based", "CC BY 4.0", "ago"):
        assert word in row
    who = f"Energy-Charts ({served.url})"
    when = "while cells run, and by doctor and recompute"
    assert f"Network: {who} is asked {when}; nothing else" in text
    assert (found["state"], found["g_per_kwh"], found["kind"]) == ("works", 43.0, "average")
    assert (found["asked_as"], found["remedy"]) == ("fr", None)
    assert "asked as fr " in row


def test_a_provider_that_fails_tells_why_and_the_one_thing_to_do(shell: Shell) -> None:
    with Service(lambda _: Told(401, TOKEN.encode())).running() as served:
        choose(shell, "electricity_maps", served.url)
        without = seen(shell)
        assert without["asked_as"] == "FR"
        assert served.asked == []
        shell.environ["JUPYTER_ENERGY_ELECTRICITY_MAPS_TOKEN"] = TOKEN
        refused = seen(shell)
    assert (without["state"], without["detail"].split(" since")[0]) == (
        "failed",
        "asked as FR: Electricity Maps wants a token",
    )
    assert "JUPYTER_ENERGY_ELECTRICITY_MAPS_TOKEN" in without["remedy"]
    assert "does not know this token (HTTP 401)" in refused["detail"]
    assert refused["remedy"] == "check JUPYTER_ENERGY_ELECTRICITY_MAPS_TOKEN"
    assert refused["g_per_kwh"] is None
    assert TOKEN not in str(refused)


def test_a_place_that_the_provider_does_not_know_is_told_with_what_would_be_right(
    shell: Shell,
) -> None:
    choose(shell, "uk_grid", "http://127.0.0.1:9")
    found = seen(shell)
    assert found["state"] == "failed"
    assert "no figures for 'FR': it knows GB" in found["detail"]


def test_a_provider_that_there_is_not_is_a_complaint_and_not_a_failure(shell: Shell) -> None:
    choose(shell, "energy_chart", "https://user:geheim@x.example")
    done = shell("doctor")
    text = done.stdout + done.stderr
    assert "did you mean energy_charts?" in text
    assert "provider_url holds more than a host and a path" in text
    assert "geheim" not in text
    assert "Network: not used" in text


def network(shell: Shell) -> str:
    """Who is asked over a network, as text."""
    lines = shell("doctor").stdout.splitlines()
    (line,) = [line for line in lines if line.startswith("Network: ")]
    return line


def test_a_cloud_that_is_asked_for_the_region_is_told_and_where_it_is(shell: Shell) -> None:
    vendor = shell.sysfs / "class/dmi/id/sys_vendor"
    vendor.parent.mkdir(parents=True)
    vendor.write_text("Amazon EC2\n")
    with standing(aws()) as stands:
        shell.environ[ADDRESS_VARIABLE] = stands.address
        assert network(shell) == "Network: not used"  # the place is set
        assert stands.asked == []
        shell.environ["JUPYTER_ENERGY_ZONE"] = "auto"
        (listed,) = json.loads(shell("doctor", "--json").stdout)["network"]
        assert stands.asked
        who = "Amazon EC2's metadata service"
        assert listed == {"who": who, "address": stands.address, "when": "for the region, once"}
        before = len(stands.asked)
        shell.environ["AWS_EC2_METADATA_DISABLED"] = "true"
        assert network(shell) == "Network: not used"
        assert len(stands.asked) == before


def test_a_file_is_read_without_a_network_and_told_with_the_zone_of_its_rows(
    shell: Shell, tmp_path: Path
) -> None:
    hour = int(time.time()) // 3600 * 3600
    trace = tmp_path / "grid.csv"
    trace.write_text(f"time (UTC),g/kWh\n{hour - 3600},50\n{hour},60\n")
    more = {"PROVIDER": "csv_trace", "CSV_TRACE": str(trace)}
    shell.environ |= {f"JUPYTER_ENERGY_{name}": value for name, value in more.items()}
    assert network(shell) == f"Network: not used; carbon intensity from {trace}"
    found = seen(shell)
    assert (found["state"], found["g_per_kwh"], found["asked_as"]) == ("works", 60.0, "FR")
    assert found["detail"].startswith("FR: 60 g CO2e/kWh")  # no column names another place

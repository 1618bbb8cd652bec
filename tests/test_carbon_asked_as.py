"""What a zone is asked as: the user's own word holds for the user's own place, however found."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from standins.carbon_services import feed_of
from standins.metadata import aws, standing

from jupyter_energy.carbon.metadata import ADDRESS_VARIABLE
from jupyter_energy.carbon.weighting import Drawn
from jupyter_energy.config import Energy
from jupyter_energy.factors import Factors

NOW = datetime.now(UTC)
# A loaded machine may take long to answer itself.
LONG_S = 60.0
HOUR = NOW.replace(minute=0, second=0, microsecond=0)


def why_not(zone: str, **said: str) -> str:
    """Why a provider that has not been asked yet has no value of a place."""
    feed = feed_of(Energy(environ={f"JUPYTER_ENERGY_{k}": v for k, v in said.items()}))
    assert feed is not None
    return str(feed.between(zone, NOW, NOW)[1])


@pytest.mark.parametrize("zone", ["G20", "WORLD"])
@pytest.mark.parametrize("provider", ["uk_grid", "energy_charts", "watttime"])
def test_a_place_of_many_grids_is_asked_as_none_though_it_may_spell_a_postcode(
    zone: str, provider: str
) -> None:
    assert why_not(zone, ZONE=zone, PROVIDER=provider) == (
        f"no service has live values of {zone}: set Energy.zone to a place"
    )


def test_a_postcode_that_the_user_wrote_is_asked_as_such() -> None:
    said = why_not("GB", ZONE="GB", PROVIDER="uk_grid", PROVIDER_ZONE="G20")
    assert said.endswith("has not been asked yet")


@pytest.mark.parametrize("region", ["TVA", "BPA", "BANC", "FR", "caiso_north"])
def test_a_region_of_watttime_that_the_user_wrote_is_asked_as_such(region: str) -> None:
    said = why_not("US-TN", ZONE="US-TN", PROVIDER="watttime", PROVIDER_ZONE=region)
    assert said == "WattTime has not been asked yet"


def test_a_zone_of_ours_is_no_region_of_watttime_though_one_may_be_spelt_so() -> None:
    assert "set Energy.provider_zone" in why_not("SC", ZONE="SC", PROVIDER="watttime")
    # The user's word is of their own place alone.
    other = why_not("FR", ZONE="US-TN", PROVIDER="watttime", PROVIDER_ZONE="TVA")
    assert "none is called 'FR'" in other


def test_a_place_that_a_cloud_told_is_the_users_own(tmp_path: Path) -> None:
    """Their file counts there, as it does where they have set that place."""
    vendor = tmp_path / "sys/class/dmi/id/sys_vendor"
    vendor.parent.mkdir(parents=True)
    vendor.write_text("Amazon EC2\n")
    trace = tmp_path / "grid.csv"
    rows = (f"{HOUR + timedelta(hours=n):%Y-%m-%dT%H:%MZ},321" for n in range(-2, 3))
    trace.write_text("\n".join(["time (UTC),g/kWh", *rows]))
    with standing(aws("us-west-1")) as stands:
        environ = {
            "TZ": "UTC",
            ADDRESS_VARIABLE: stands.address,
            "JUPYTER_ENERGY_SYSFS": str(tmp_path / "sys"),
            "JUPYTER_ENERGY_PROCFS": str(tmp_path / "proc"),
            "JUPYTER_ENERGY_ZONE": "auto",
            "JUPYTER_ENERGY_PROVIDER": "csv_trace",
            "JUPYTER_ENERGY_CSV_TRACE": str(trace),
        }
        factors = Factors(Energy(environ=environ), environ, cloud_limit_s=LONG_S)
        factors.wait()
        factors.ask()
        found, spans = factors.of_run([Drawn(NOW - timedelta(seconds=2), {}), Drawn(NOW, {})])
        factors.close()
    assert (found.zone, found.g_per_kwh) == ("aws:us-west-1", 321)
    assert len(spans) == 1

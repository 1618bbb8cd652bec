"""Settings: the stronger source wins, and each value knows where it came from."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from traitlets import TraitError
from traitlets.config import Config

from jupyter_energy.config import Energy


def test_environment_beats_profile_beats_file_beats_default() -> None:
    profile = Config({"Energy": {"zone": "DE", "pue": 1.2}})
    settings = Energy(profile, {"JUPYTER_ENERGY_ZONE": "FR"}, {"zone": "PL", "estimate": False})
    assert (settings.zone, settings.origin("zone")) == ("FR", "JUPYTER_ENERGY_ZONE")
    assert (settings.pue, settings.origin("pue")) == (1.2, "the profile")
    assert (settings.estimate, settings.origin("estimate")) == (False, "the settings file")
    assert (settings.sync, settings.origin("sync")) == (True, "the default")
    settings.zone = "SE"
    assert settings.origin("zone") == "%config Energy"
    assert settings.complaints == []


@pytest.mark.parametrize(
    ("variable", "text", "name", "value"),
    [
        ("JUPYTER_ENERGY_PUE", "1.15", "pue", 1.15),
        ("JUPYTER_ENERGY_ESTIMATE", "false", "estimate", False),
        ("JUPYTER_ENERGY_ESTIMATE", "no", "estimate", False),
        ("JUPYTER_ENERGY_SYNC", "Off", "sync", False),
        ("JUPYTER_ENERGY_STORE", "/tmp/x.sqlite", "store", "/tmp/x.sqlite"),
        ("JUPYTER_ENERGY_CPU_TDP_W", "45", "cpu_tdp_w", 45.0),
        ("JUPYTER_ENERGY_PROVIDER", "uk_grid", "provider", "uk_grid"),
        ("JUPYTER_ENERGY_PROVIDER_ZONE", "RG10", "provider_zone", "RG10"),
        (
            "JUPYTER_ENERGY_PROVIDER_URL",
            "https://x.example/a/",
            "provider_url",
            "https://x.example/a",
        ),
        ("JUPYTER_ENERGY_CACHE", "/tmp/answers", "cache", "/tmp/answers"),
    ],
)
def test_each_setting_has_a_variable(variable: str, text: str, name: str, value: object) -> None:
    assert getattr(Energy(environ={variable: text}), name) == value


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("JUPYTER_ENERGY_PUE", "0.8"),
        ("JUPYTER_ENERGY_PUE", "high"),
        ("JUPYTER_ENERGY_INTERVAL_S", "0.001"),
        ("JUPYTER_ENERGY_INTERVAL_S", "5"),
        ("JUPYTER_ENERGY_ESTIMATE", "perhaps"),
        ("JUPYTER_ENERGY_PROVIDER", "ukgrid"),
        ("JUPYTER_ENERGY_PROVIDER_URL", "ftp://x.example"),
    ],
)
def test_a_value_that_cannot_be_is_left_out_and_told(variable: str, text: str) -> None:
    settings = Energy(environ={variable: text})
    (complaint,) = settings.complaints
    assert variable in complaint
    assert "%" not in complaint
    assert settings.pue == 1.0
    assert settings.interval_s == 1.0
    assert settings.estimate is True


def test_a_setting_that_does_not_exist_is_told() -> None:
    settings = Energy(file={"colour": "green"})
    assert settings.complaints == ["Energy.colour from the settings file: there is no such setting"]


def test_a_user_who_sets_nonsense_is_told_at_once() -> None:
    with pytest.raises(TraitError, match="is no PUE: write 1 for a machine of your own"):
        Energy().pue = 0.5


def test_a_misspelt_zone_is_refused_with_the_nearest_and_the_one_before_it_stays() -> None:
    settings = Energy(file={"zone": "DE"})
    with pytest.raises(TraitError, match=r"no zone 'polnd': did you mean PL \(country: Poland\)"):
        settings.zone = "polnd"
    assert (settings.zone, settings.origin("zone")) == ("DE", "the settings file")
    for zone in ("poland", "aws:eu-west-3", "Auto", "", None):
        settings.zone = zone
        assert settings.zone_complaint() is None


@pytest.mark.parametrize("origin", ["JUPYTER_ENERGY_ZONE", "the profile", "the settings file"])
def test_a_misspelt_zone_that_was_said_before_is_complained_of_and_never_replaced(
    origin: str,
) -> None:
    made = {
        "JUPYTER_ENERGY_ZONE": lambda: Energy(environ={"JUPYTER_ENERGY_ZONE": "polnd"}),
        "the profile": lambda: Energy(Config({"Energy": {"zone": "polnd"}})),
        "the settings file": lambda: Energy(file={"zone": "polnd"}),
    }[origin]()
    assert made.zone == "polnd"
    told = f"Energy.zone from {origin}: no zone 'polnd': did you mean PL (country: Poland)?"
    assert made.zone_complaint() == told


def test_every_setting_has_a_help_text() -> None:
    for name, trait in Energy().traits(config=True).items():
        assert len(trait.help) > 20, name


UNREADABLE = """
import sys
def hook(event, arguments):
    if event == "open" and "grid_countries" in str(arguments[0]):
        raise PermissionError(13, "Permission denied")
sys.addaudithook(hook)
from jupyter_energy.config import Energy
settings = Energy(environ={"JUPYTER_ENERGY_ZONE": "FR"})
print(settings.zone, settings.zone_complaint())
settings.zone = "DE"
print(settings.zone)
import jupyter_energy as je
with je.measure("block") as m:
    pass
print(m.result.carbon_g, "Permission denied" in " ".join(m.result.warnings))
"""


def test_tables_that_cannot_be_read_cost_the_grams_alone(tmp_path: Path) -> None:
    own = {"JUPYTER_ENERGY_STORE": str(tmp_path / "energy.sqlite"), "JUPYTER_ENERGY_ZONE": "FR"}
    ran = subprocess.run(
        [sys.executable, "-c", UNREADABLE],
        env={**os.environ, **own},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.split() == ["FR", "None", "DE", "None", "True"], ran.stderr

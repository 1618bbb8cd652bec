"""`zone`: shows the place with its source, sets it, forgets it."""

from __future__ import annotations

import argparse
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from standins.metadata import aws, standing

from jupyter_energy import settings
from jupyter_energy.commands import zone
from jupyter_energy.config import Energy
from jupyter_energy.errors import UnknownZone, WrongUse


@dataclass
class Session:
    """A user's session: an environment, a settings file, and what was printed."""

    file: Path
    environ: Mapping[str, str] = field(default_factory=lambda: {"TZ": "UTC"})
    in_notebook: bool = False
    printed: list[str] = field(default_factory=list)
    warned: list[str] = field(default_factory=list)

    @property
    def command(self) -> str:
        return "%energy" if self.in_notebook else "jupyter energy"

    def out(self, text: str) -> None:
        self.printed.append(text)

    def err(self, text: str) -> None:
        self.warned.append(text)

    @property
    def settings(self) -> Energy:
        moved = {"sysfs": str(self.file.parent / "sys"), "procfs": str(self.file.parent / "proc")}
        return Energy(environ=self.environ, file={**settings.read(self.file).values, **moved})

    def zone(self) -> tuple[str | None, str]:
        return self.settings.zone, self.settings.origin("zone")

    def pue(self) -> float:
        return self.settings.pue

    def remember(self, key: str, value: object) -> Path:
        return settings.write(key, value, self.file)

    def run(self, *words: str) -> str:
        parser = argparse.ArgumentParser()
        zone.add_arguments(parser)
        self.printed.clear()
        assert zone.run(parser.parse_args(words), self) == 0
        return "\n".join(self.printed)


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session(tmp_path / "settings.json")


def test_without_a_setting_the_world_average_is_shown_as_assumed_with_the_remedy(
    session: Session,
) -> None:
    shown = session.run()
    assert shown.splitlines()[0] == "World average (WORLD): 473 g CO2e/kWh, assumed"
    assert "assumed: no place is set" in shown
    assert "To set the place: jupyter energy zone CODE, such as FR, US-CA or aws:eu-west-3" in shown
    assert not session.file.exists()


def test_a_guess_is_shown_with_the_command_that_pins_it(tmp_path: Path) -> None:
    session = Session(tmp_path / "s.json", {"TZ": "Europe/Paris"}, in_notebook=True)
    shown = session.run()
    assert shown.splitlines()[0] == "France (FR): 44.2 g CO2e/kWh, guessed"
    assert "guessed from the time zone Europe/Paris" in shown
    assert "To set the place: %energy zone FR" in shown


def test_setting_a_place_remembers_it_and_says_where(session: Session) -> None:
    shown = session.run("fr", "--pue", "1.2")
    assert settings.read(session.file).values == {"zone": "FR", "pue": 1.2}
    assert shown.splitlines()[0] == "France (FR): 44.2 g CO2e/kWh"
    assert "2024, average of the year, production based, lifecycle" in shown
    assert "Ember (CC BY 4.0)" in shown
    assert "set by the settings file" in shown
    assert "  table   country\n" in shown
    assert "  licence CC BY 4.0, https://creativecommons.org/licenses/by/4.0/\n" in shown
    assert "  PUE     1.2 (set by the settings file)\n" in shown
    assert f"Settings are kept in {session.file}." in shown
    assert session.warned == []


def test_a_name_of_two_words_needs_no_quotes(session: Session) -> None:
    session.run("South", "Korea")
    assert settings.read(session.file).values == {"zone": "KR"}


def test_auto_forgets_the_place_keeps_the_pue_and_is_remembered_as_leave_to_ask(
    session: Session,
) -> None:
    session.run("DE", "--pue", "1.1")
    shown = session.run("auto")
    assert settings.read(session.file).values == {"zone": "auto", "pue": 1.1}
    assert shown.startswith("World average")
    assert shown.endswith(
        "To set the place: jupyter energy zone CODE, such as FR, US-CA or aws:eu-west-3\n"
        "The PUE that you set counts at every place. For this one's own, 1 (assumed: a machine of "
        "one's own): jupyter energy zone --pue auto"
    )


def test_json_is_one_document_and_nothing_else(session: Session) -> None:
    document = json.loads(session.run("FR", "--json"))
    assert (document["schema"], document["zone"], document["g_per_kwh"]) == (1, "FR", 44.18)
    assert (document["year"], document["assumed"], document["pue"]) == (2024, False, 1.0)
    assert document["how"] == "set by the settings file"
    assert document["factor_quality"] == "measured"
    assert "quality" not in document


@pytest.mark.parametrize("words", [["Frnace"], ["US-CX"], ["Georgia"], ["FR", "--pue", "0.5"]])
def test_what_is_wrong_is_refused_before_anything_is_remembered(
    session: Session, words: list[str]
) -> None:
    with pytest.raises(WrongUse):
        session.run(*words)
    assert not session.file.exists()


def test_a_stronger_setting_is_named_when_it_hides_what_was_remembered(tmp_path: Path) -> None:
    session = Session(
        tmp_path / "s.json", {"JUPYTER_ENERGY_ZONE": "DE", "JUPYTER_ENERGY_PUE": "1.5"}
    )
    shown = session.run("FR", "--pue", "1.2")
    assert settings.read(session.file).values == {"zone": "FR", "pue": 1.2}
    assert shown.startswith("Germany (DE)")
    assert session.warned == [
        "JUPYTER_ENERGY_ZONE is stronger than what is remembered, and says DE",
        "JUPYTER_ENERGY_PUE is stronger than what is remembered, and says PUE 1.5",
    ]


def test_pue_auto_brings_the_places_own_pue_back(session: Session) -> None:
    session.run("--pue", "1.5")
    shown = session.run("gcp:us-west1")
    assert "  PUE     1.5 (set by the settings file)\n" in shown
    assert shown.splitlines()[-1] == (
        "The PUE that you set counts at every place. For this one's own, 1.07 (Google Cloud's for "
        "us-west1, 2024): jupyter energy zone --pue auto"
    )
    shown = session.run("--pue", "auto")
    assert settings.read(session.file).values == {"zone": "gcp:us-west1"}
    assert "  PUE     1.07 (Google Cloud's for us-west1, 2024)\n" in shown
    assert "--pue auto" not in shown


def test_pue_auto_tells_of_a_stronger_setting_that_it_cannot_forget(tmp_path: Path) -> None:
    session = Session(tmp_path / "s.json", {"TZ": "UTC", "JUPYTER_ENERGY_PUE": "1.5"})
    assert "--pue auto" not in session.run("gcp:us-west1", "--pue", "auto")
    assert session.warned == [
        "JUPYTER_ENERGY_PUE is stronger than what is remembered, and says PUE 1.5"
    ]


def test_a_wrong_place_that_was_set_elsewhere_is_reported_with_where(tmp_path: Path) -> None:
    session = Session(tmp_path / "s.json", {"JUPYTER_ENERGY_ZONE": "Frnace"})
    with pytest.raises(
        UnknownZone, match=r"FR \(country: France\)\? \(set by JUPYTER_ENERGY_ZONE\)"
    ):
        session.run()


def on_ec2(session: Session) -> Session:
    """The session on a machine whose firmware names Amazon EC2."""
    dmi = session.file.parent / "sys/class/dmi/id"
    dmi.mkdir(parents=True)
    (dmi / "sys_vendor").write_text("Amazon EC2\n")
    return session


def test_a_cloud_region_is_shown_with_its_grid_its_pue_and_googles_own_figure_beside_it(
    session: Session,
) -> None:
    shown = session.run("GCP:us-west1")
    assert settings.read(session.file).values == {"zone": "gcp:us-west1"}
    assert shown.splitlines()[0] == ("Oregon, grid EM:US-NW-PACW (gcp:us-west1): 204 g CO2e/kWh")
    assert "2025, average of the year, consumption based, lifecycle" in shown
    assert "  table   cloud region, by the figure of its grid zone\n" in shown
    assert "Electricity Maps (ODbL 1.0), https://www.electricitymaps.com" in shown
    assert "https://opendatacommons.org/licenses/odbl/1.0/" in shown
    assert "  PUE     1.07 (Google Cloud's for us-west1, 2024)\n" in shown
    assert "129 g/kWh if that of Bonneville Power Administration (EM:US-NW-BPAT) feeds it" in shown
    assert "Google's own figure is 79.2 g CO2e/kWh: 2024, direct emissions, not compar" in shown


def test_a_state_says_that_its_figure_is_of_what_leaves_the_stacks(session: Session) -> None:
    shown = session.run("California")
    assert settings.read(session.file).values == {"zone": "US-CA"}
    assert "production based, direct (not comparable with lifecycle figures)" in shown
    assert "  table   US state\n" in shown
    assert "licence" not in shown  # none is asked for: it is in the public domain


def test_json_of_a_region_holds_pue_table_licence_and_side_note(session: Session) -> None:
    document = json.loads(session.run("gcp:us-west1", "--json"))
    assert (document["pue"], document["pue_source"]) == (1.07, "Google Cloud's for us-west1, 2024")
    assert (document["table"], document["licence"]) == ("grid zone", "ODbL 1.0")
    assert document["google_g_per_kwh"] == 79.23
    assert "129 g" in document["note"]
    document = json.loads(session.run("US-CA", "--json"))
    assert (document["licence_url"], document["google_g_per_kwh"]) == (None, None)


def test_a_region_is_told_with_the_command_that_pins_it_once_the_machine_may_be_asked(
    session: Session,
) -> None:
    on_ec2(session)
    with standing(aws()) as stands:
        session.environ = {"TZ": "UTC", "JUPYTER_ENERGY_METADATA": stands.address}
        shown = session.run()
        assert stands.asked == []
        assert shown.splitlines()[0].endswith("assumed")
        assert "on Amazon EC2, which `zone auto` asks for its region" in shown
        assert shown.endswith("To have the machine asked for its region: jupyter energy zone auto")
        for _ in range(50):  # a loaded machine may take longer to answer itself than the limit
            shown = session.run("auto")
            if "told by" in shown:
                break
    assert shown.startswith("Europe (Paris), grid EM:FR (aws:eu-west-3): 31.0 g CO2e/kWh\n")
    assert "told by Amazon EC2's metadata service" in shown
    assert shown.endswith("To pin it: jupyter energy zone aws:eu-west-3")
    assert settings.read(session.file).values == {"zone": "auto"}


def test_a_live_provider_that_is_chosen_is_named_beside_the_yearly_figure(tmp_path: Path) -> None:
    session = Session(tmp_path / "s.json", {"JUPYTER_ENERGY_PROVIDER": "uk_grid", "TZ": "UTC"})
    shown = session.run("GB")
    assert "  live    by uk_grid; this figure counts where that tells none\n" in shown
    assert json.loads(session.run("--json"))["provider"] == "uk_grid"
    session.environ = {"TZ": "UTC"}
    assert "live" not in session.run()


def test_a_machine_that_does_not_tell_is_shown_as_assumed_with_the_reason(session: Session) -> None:
    on_ec2(session)
    session.environ = {"TZ": "UTC", "AWS_EC2_METADATA_DISABLED": "true"}
    shown = session.run("auto")
    assert shown.startswith("World average (WORLD): 473 g CO2e/kWh, assumed\n")
    assert "assumed: Amazon EC2 is not asked: AWS_EC2_METADATA_DISABLED is set" in shown
    assert "PUE     1.15 (AWS's over all sites, 2023: the region is not known)" in shown


def test_a_machine_that_is_silent_is_waited_for_and_the_reason_shown(session: Session) -> None:
    on_ec2(session)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes a connection, and says nothing
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        session.environ = {"TZ": "UTC", "JUPYTER_ENERGY_METADATA": address}
        shown = session.run("auto")
    assert "  place   assumed: Amazon EC2 did not tell its region within 0.3 s\n" in shown


def test_on_colab_the_region_is_said_to_be_hidden_with_what_to_type(tmp_path: Path) -> None:
    session = Session(tmp_path / "s.json", {"COLAB_GPU": "1", "TZ": "Asia/Tokyo"}, in_notebook=True)
    shown = session.run()
    assert "  place   assumed: on Colab, whose region is not told\n" in shown
    assert shown.endswith("To set the place: %energy zone CODE, such as FR, US-CA or aws:eu-west-3")

"""`sci` and `cite` as a user calls them: from the store, from saved outputs, and with nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
import pytest
import yaml
from shell import notebook
from standins.sensors import LIMIT_S, FakeSensor, family
from strategies import a_record, in_zone

from jupyter_energy.commands import dispatch
from jupyter_energy.commands.kernel_context import KernelContext
from jupyter_energy.commands.shell_context import ShellContext
from jupyter_energy.config import Energy
from jupyter_energy.display.bundle import cell_bundle
from jupyter_energy.errors import WrongUse
from jupyter_energy.identity import NotebookRef, from_file
from jupyter_energy.model import Domain, Emissions, Record
from jupyter_energy.monitor import Monitor
from jupyter_energy.open_window import Options
from jupyter_energy.sampler import Sampler
from jupyter_energy.store import Store
from jupyter_energy.uncertainty import Range, Uncertain

KWH = 3.6e6


class Person:
    """Somebody in a shell, with a store of their own and one notebook."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.path = notebook(folder / "train.ipynb", ["1 + 1"])
        self.store = folder / "store" / "energy.sqlite"
        self._capsys = capsys

    def measured(self, *runs: Record) -> None:
        store = Store(self.store)
        found = store.notebook_for(from_file(self.path))
        store.append(*(replace(run, notebook_id=found.id) for run in runs))
        store.close()

    def says(self, *words: str | Path) -> str:
        assert dispatch([str(word) for word in words], ShellContext()) == 0
        return self._capsys.readouterr().out

    def document(self, *words: str | Path) -> Any:
        return json.loads(self.says(*words, "--json"))


@pytest.fixture
def person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Person:
    made = Person(tmp_path, capsys)
    monkeypatch.setenv("JUPYTER_ENERGY_STORE", str(made.store))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return made


def a_run(run_id: str, session: str, kwh: float = 1.0, **how: Any) -> Record:
    emitted: Emissions = how.pop("emitted", None) or in_zone("FR", 50.0, kwh * KWH)
    energies = {"gpu": Uncertain(kwh * KWH, 0.0, kwh * KWH / 40), "dram": Range(1e3, 2e3, 4e3)}
    return a_record(run_id, session_id=session, energies=energies, emitted=emitted, **how)


def flat(text: str) -> str:
    return " ".join(text.split())


def test_sci_tells_the_runs_of_a_notebook_from_the_store(person: Person) -> None:
    person.measured(a_run("a", "s1"), a_run("b", "s2", 3.0, after_s=60))
    told = flat(person.says("sci", person.path))
    assert told.startswith("SCI O ≈ 100 g (90–110 g) CO2e a run + M, which is not known")
    assert "mean of 2 runs, whose O went from 50 g to 150 g" in told
    made = person.document("sci", person.path)
    keys = "R E_kwh pue I I_kind I_source O_g M_g boundary method version schema"
    assert set(keys.split()) <= set(made)
    assert made["runs"] == 2
    assert made["M_g"] is None


def test_cite_is_a_paragraph_with_sensors_factor_uncertainty_and_limits(person: Person) -> None:
    person.measured(a_run("a", "s1"), a_run("b", "s2", 3.0, after_s=60))
    told = flat(person.says("cite", person.path))
    for part in (
        "The energy of train.ipynb was recorded with jupyter-energy",
        "2 executions of 1 cell",
        "in 2 runs of the notebook on 2025-03-01 (UTC)",
        "4.00 ± 0.20 kWh (95 % interval",
        "(test; measured)",
        "Estimated without a sensor, as a range:",
        "attributed to this electricity: ≈ 200 g (180–220 g) CO2e",
        "FR, 50.0 g/kWh average, a table 2024, consumption based, lifecycle, PUE 1",
        "what was drawn between cells",
        "@software{jupyter_energy,",
    ):
        assert part in told, part


def test_a_model_card_has_the_keys_that_the_hub_documents_in_grams(person: Person) -> None:
    person.measured(a_run("a", "s1"), a_run("b", "s2", 3.0, after_s=60))
    block = yaml.safe_load(person.says("cite", person.path, "--model-card"))
    assert list(block) == ["co2_eq_emissions"]
    made = block["co2_eq_emissions"]
    assert list(made) == ["emissions", "source", "geographical_location", "hardware_used"]
    assert made["emissions"] == 200.0
    assert made["geographical_location"] == "FR"
    assert "50.0 g/kWh average" in made["source"]
    assert "gpu" in made["hardware_used"].casefold()
    assert person.document("cite", person.path)["co2_eq_emissions"] == made


@pytest.mark.parametrize("kwh", [1e-9, 1e-5, 1.0, 1e6])
def test_a_model_cards_number_is_a_number_in_yaml_however_small_or_large(
    person: Person, kwh: float
) -> None:
    person.measured(a_run("a", "s1", kwh))
    made = yaml.safe_load(person.says("cite", person.path, "--model-card"))["co2_eq_emissions"]
    assert made["emissions"] == pytest.approx(kwh * 50.0)


def test_a_model_card_says_that_a_place_was_assumed(person: Person) -> None:
    emitted = in_zone("WORLD", 473.0, KWH)
    assumed = replace(emitted.intensity, assumed=True, how="assumed: no place is set")
    person.measured(a_run("a", "s1", emitted=replace(emitted, intensity=assumed)))
    made = person.document("cite", person.path)
    place = made["co2_eq_emissions"]["geographical_location"]
    assert place == "not known; assumed: no place is set: WORLD"
    assert "assumed" in made["methods"]


def test_two_kinds_of_intensity_make_no_one_number_for_a_model_card(person: Person) -> None:
    marginal = in_zone("FR", 500.0, KWH, "marginal")
    person.measured(a_run("a", "s1"), a_run("b", "s2", emitted=marginal, after_s=60))
    with pytest.raises(WrongUse, match="average and with marginal"):
        person.says("cite", person.path, "--model-card")
    made = person.document("cite", person.path)
    assert made["co2_eq_emissions"] is None
    assert "(average, of a part of the cells)" in made["methods"]
    assert "that one more such use adds" in made["methods"]


@pytest.mark.parametrize("command", ["sci", "cite"])
def test_a_notebook_that_was_never_measured_is_told_what_to_run_first(
    person: Person, command: str
) -> None:
    with pytest.raises(WrongUse, match=r"measure it: jupyter energy run train\.ipynb"):
        person.says(command, person.path)


@pytest.mark.parametrize("command", ["sci", "cite"])
def test_a_shell_has_to_name_a_notebook(person: Person, command: str) -> None:
    with pytest.raises(WrongUse, match=f"which notebook\\? jupyter energy {command} NOTEBOOK"):
        person.says(command)


def with_saved_output(path: Path, runs: Sequence[Record]) -> None:
    """The notebook with what `%%energy` showed of a cell, as JupyterLab saves it."""
    content = nbformat.read(path, 4)
    cell = runs[0].to_dict()
    output = nbformat.v4.new_output("display_data", data=cell_bundle(cell))
    content.cells[0].outputs = [output]
    nbformat.write(content, path)


def test_outputs_saved_in_a_notebook_do_where_the_store_knows_nothing(person: Person) -> None:
    with_saved_output(person.path, [a_run("a", "s1")])
    made = person.document("sci", person.path)
    assert made["runs"] == 1
    assert "saved notebook" in made["R_means"]
    assert made["O_g"]["mid"] == pytest.approx(50.0)
    told = flat(person.says("cite", person.path))
    assert "1.000 ± 0.049 kWh" in told
    assert "runs of the notebook" not in told


def test_a_hostile_record_steers_neither_terminal_nor_yaml(person: Person) -> None:
    evil = 'x"\n---\n# ok: \x1b[31m\u202e'
    emitted = in_zone("FR", 50.0, KWH)
    named = replace(emitted.intensity, place=evil, source=evil)
    person.measured(a_run("a", "s1", emitted=replace(emitted, intensity=named)))
    for words in (("sci",), ("cite",), ("cite", "--model-card")):
        told = person.says(words[0], person.path, *words[1:])
        assert "\x1b" not in told
        assert "\u202e" not in told
    block = yaml.safe_load(person.says("cite", person.path, "--model-card"))
    assert list(block) == ["co2_eq_emissions"]


@pytest.mark.parametrize("command", ["sci", "cite"])
def test_in_a_notebook_the_cells_that_have_run_so_far_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    ref = NotebookRef(str(tmp_path / "a.ipynb"), "a.ipynb")
    environ = {"JUPYTER_ENERGY_STORE": str(tmp_path / "energy.sqlite"), "JUPYTER_ENERGY_ZONE": "FR"}
    sensor = FakeSensor(Domain("gpu", 0, "NVIDIA H100 80GB HBM3", "GPU-0"))
    monitor = Monitor(Energy(environ=environ), lambda _: ref, environ)
    monitor.sampler = Sampler(monitor.settings.machine(environ), lambda: [family(sensor)])
    monitor.start()
    try:
        assert monitor.sampler.wait_until_found(LIMIT_S)
        with pytest.raises(WrongUse, match="run a cell first"):
            dispatch([command], KernelContext(monitor))
        window = monitor.open_window(Options())
        sensor.value += 100.0
        monitor.close_window(window, "ok")
        assert dispatch([command], KernelContext(monitor)) == 0
    finally:
        monitor.close()
    told = flat(capsys.readouterr().out)
    assert "a.ipynb" in told
    assert re.search(r"Measured: [\d.]+ ± [\d.]+ J|E [\d.]+ ± [\d.]+ J measured", told), told
    assert "44.2 g/kWh average, Ember (CC BY 4.0) 2024" in told
    assert "NVIDIA H100 80GB HBM3" in told

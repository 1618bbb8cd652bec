"""The methods paragraph and the model card of whatever records hold."""

from __future__ import annotations

import display_examples as examples
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from strategies import records

from jupyter_energy.display import methods
from jupyter_energy.errors import WrongUse
from jupyter_energy.model import Record
from jupyter_energy.schema import NotebookJson
from jupyter_energy.sensors import perf_power, rapl
from jupyter_energy.sensors.nvml_sensor import COUNTER, POWER
from jupyter_energy.summary import summarise

NOTEBOOK: NotebookJson = {"id": "n1", "path": "/a/b.ipynb", "name": "b.ipynb"}


@given(st.lists(records(), min_size=1, max_size=4))
def test_whatever_was_recorded_the_paragraph_is_one_and_the_card_is_yaml(
    runs: list[Record],
) -> None:
    summary = summarise(NOTEBOOK, runs, "1.0")
    told = methods.paragraph(summary, len({run.session_id for run in runs}))
    assert told.isprintable()
    assert told.startswith("The energy of b.ipynb was recorded with jupyter-energy 1.0: ")
    carbon = summary["totals"]["carbon_g"]
    try:
        made = methods.card(summary)
    except WrongUse:
        assert carbon is None or carbon["mid"] is None
        return
    assert carbon is not None
    read = yaml.safe_load(methods.card_yaml(made, carbon))
    assert read == {"co2_eq_emissions": made}
    assert made["emissions"] == pytest.approx(carbon["mid"], rel=0.006)


def test_what_is_measured_and_what_is_estimated_are_two_sentences_that_say_so() -> None:
    told = methods.paragraph(examples.SUMMARIES["summary_mixed"], 3)
    assert "Measured: 1.655 ± 0.083 kJ (95 % interval, the sensors' gain errors included)" in told
    assert "energy counter of NVIDIA's driver; measured" in told
    assert "Estimated without a sensor, as a range: ≈ 24 J (12–48 J)" in told
    assert "it is not added to what was measured" in told


def test_a_device_that_was_read_in_two_ways_names_both() -> None:
    gpu = examples.gpu() | {"source": "nvml-counter, nvml-power-integrated"}
    made = examples.cell(measured_j=examples.value(1e3, 50), domains=[gpu])
    told = methods.paragraph(examples.summary([made], measured_j=examples.value(1e3, 50)), 1)
    assert "energy counter of NVIDIA's driver, power told by NVIDIA's driver, integrated" in told


@pytest.mark.parametrize("name", [COUNTER, POWER, rapl.SOURCE, perf_power.SOURCE])
def test_every_sensor_has_its_words(name: str) -> None:
    gpu = examples.gpu() | {"source": name}
    made = examples.cell(measured_j=examples.value(1e3, 50), domains=[gpu])
    told = methods.paragraph(examples.summary([made], measured_j=examples.value(1e3, 50)), 1)
    assert f"({name};" not in told


def test_a_device_without_a_figure_is_named_with_its_reason() -> None:
    told = methods.paragraph(examples.SUMMARIES["summary_mixed"], None)
    assert "Not known: " in told
    assert "GPU NVIDIA RTX 3050 (the GPU is asleep and was left so)" in told


def test_several_gpus_of_a_name_are_counted_in_a_model_card() -> None:
    summary = examples.summary(
        [examples.RUNS], measured_j=examples.value(1e3, 50), carbon_g=examples.carbon(1.0)
    )
    assert methods.card(summary)["hardware_used"] == "2 x NVIDIA H100 80GB HBM3"


def test_a_citation_has_an_address_only_where_the_project_names_one() -> None:
    assert methods.citation("1.0", None).endswith("BSD-3-Clause licence.")
    assert "url" not in methods.bibtex("1.0", None)
    assert methods.citation("1.0", "https://a.org").endswith(", https://a.org.")
    assert "  url = {https://a.org}," in methods.bibtex("1.0", "https://a.org").splitlines()

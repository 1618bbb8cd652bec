"""The methods paragraph and the model card of whatever records hold."""

from __future__ import annotations

import display_examples as examples
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from strategies import a_record, in_zone, records

from jupyter_energy.display import methods
from jupyter_energy.errors import WrongUse
from jupyter_energy.model import Record
from jupyter_energy.schema import NotebookJson
from jupyter_energy.sensors import perf_power, rapl
from jupyter_energy.sensors.nvml_sensor import COUNTER, POWER
from jupyter_energy.summary import summarise
from jupyter_energy.uncertainty import Uncertain

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


def test_a_model_cards_bounds_are_in_the_unit_of_its_number() -> None:
    carbon = examples.carbon(0.000102, spread=2.0)
    summary = examples.summary([examples.RUNS], measured_j=examples.value(1e3, 50), carbon_g=carbon)
    told = methods.card_yaml(methods.card(summary), carbon)
    assert "  emissions: 0.000102  # g CO2e, within 0.000051 to 0.00020 g\n" in told


def test_a_model_card_of_two_kinds_is_refused_with_the_command_that_makes_them_one() -> None:
    parts = [examples.carbon(1.0), examples.carbon(2.0, kind="marginal")]
    summary = examples.summary([examples.RUNS], carbon_g=examples.carbon(None, parts=parts))
    with pytest.raises(WrongUse, match=r": jupyter energy recompute --zone FR$"):
        methods.card(summary, "jupyter energy")


def test_several_gpus_of_a_name_are_counted_in_a_model_card() -> None:
    summary = examples.summary(
        [examples.RUNS], measured_j=examples.value(1e3, 50), carbon_g=examples.carbon(1.0)
    )
    assert methods.card(summary)["hardware_used"] == "2 x NVIDIA H100 80GB HBM3"


def test_a_model_card_tells_that_its_number_leaves_runs_out() -> None:
    known, unknown = (
        a_record(
            name,
            energies={"gpu": Uncertain(3.6e6)},
            emitted=emitted,
            after_s=after_s,
        )
        for name, emitted, after_s in (("a", in_zone("FR", 50.0, 3.6e6), 0), ("b", None, 60))
    )
    summary = summarise(NOTEBOOK, [known, unknown], "1.0")
    told = "1 of 2 runs has energy but no CO2e: the grams are of the others"
    assert told in methods.card(summary)["source"]
    assert told not in methods.card(summarise(NOTEBOOK, [known], "1.0"))["source"]


def test_a_citation_has_an_address_only_where_the_project_names_one() -> None:
    assert methods.citation("1.0", None).endswith("BSD-3-Clause licence.")
    assert "url" not in methods.bibtex("1.0", None)
    assert methods.citation("1.0", "https://a.org").endswith(", https://a.org.")
    assert "  url = {https://a.org}," in methods.bibtex("1.0", "https://a.org").splitlines()

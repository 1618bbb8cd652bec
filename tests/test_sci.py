"""The Software Carbon Intensity: hand-computed terms, what is not known, kinds kept apart."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import a_record, in_zone, one_after_another, records

from jupyter_energy.carbon.embodied import LIFE_S
from jupyter_energy.display import sci as words
from jupyter_energy.model import Domain, DomainEnergy, Idle, Measurement, Record
from jupyter_energy.schema import NotebookJson, SummaryJson, to_json
from jupyter_energy.sci import SciJson, report
from jupyter_energy.summary import summarise
from jupyter_energy.uncertainty import Uncertain

NOTEBOOK: NotebookJson = {"id": "n1", "path": "/a/b.ipynb", "name": "b.ipynb"}
KWH = 3.6e6


def sessions_of(runs: list[Record]) -> list[SummaryJson]:
    names = dict.fromkeys(run.session_id for run in runs)
    return [summarise(NOTEBOOK, [r for r in runs if r.session_id == n], "1.0") for n in names]


def report_of(*runs: Record, idles: tuple[Idle, ...] = ()) -> SciJson:
    return report(summarise(NOTEBOOK, runs, "1.0", idles), sessions_of(list(runs)))


def on_gpu(record: Record, name: str) -> Record:
    """The run, with a GPU of that name."""
    gpus = tuple(
        replace(d, domain=replace(d.domain, name=name)) if d.domain.kind == "gpu" else d
        for d in record.domains
    )
    return replace(record, measurement=replace(record.measurement, domains=gpus))


def a_run(run_id: str, session: str, kwh: float, kind: str = "average", **how: object) -> Record:
    made = a_record(
        run_id,
        session_id=session,
        energies={"gpu": Uncertain(kwh * KWH)},
        emitted=in_zone("FR", 50.0, kwh * KWH, kind),
        duration_s=3600.0,
        **how,  # type: ignore[arg-type]
    )
    return on_gpu(made, "NVIDIA H100 80GB HBM3")


def said(made: SciJson, *runs: Record) -> str:
    return words.text(made, summarise(NOTEBOOK, runs, "1.0")["totals"]["carbon_g"])


def test_the_terms_of_two_runs_are_their_mean_as_computed_by_hand() -> None:
    made = report_of(a_run("a", "s1", 1.0), a_run("b", "s2", 3.0, after_s=9000))
    assert made["runs"] == 2
    assert made["E_kwh"]["measured"] is not None
    assert made["E_kwh"]["measured"]["value"] == pytest.approx(2.0)
    assert made["E_kwh"]["estimated"] is None
    assert made["O_g"]["mid"] == pytest.approx(100.0)  # 2 kWh at 50 g
    assert (made["I"], made["I_kind"], made["pue"]) == (50.0, "average", 1.0)
    assert made["M_g"]["low"] == pytest.approx(164e3 * 3600 / LIFE_S)
    assert made["M_g"]["high"] == pytest.approx(575.1e3 * 3600 / LIFE_S)
    assert made["SCI_g"]["low"] == pytest.approx(90.0 + made["M_g"]["low"])
    assert made["SCI_g"]["high"] == pytest.approx(110.0 + made["M_g"]["high"])
    assert [run["O_g"]["mid"] for run in made["each"]] == pytest.approx([50.0, 150.0])


def test_the_text_has_the_score_each_term_the_spread_and_what_a_run_is() -> None:
    runs = a_run("a", "s1", 1.0), a_run("b", "s2", 3.0, after_s=9000)
    told = said(report_of(*runs), *runs)
    assert told.splitlines()[0].startswith(
        "SCI       ≈ 95–130 g CO2e a run = O + what is known of M"
    )
    for part in (
        "a run is one session",
        "mean of 2 runs, whose O went from 50 g to 150 g",
        "2.00 kWh measured",
        "50.0 g/kWh average",
        "≈ 4.7–16 g estimated for NVIDIA H100 80GB HBM3",
        "market-based measures excluded",
        "ISO/IEC 21031:2024",
    ):
        assert part in " ".join(told.split()), part
    assert max(map(len, told.splitlines())) <= 100


def test_hardware_without_a_figure_leaves_m_not_known_and_no_score() -> None:
    run = on_gpu(a_run("a", "s1", 1.0), "NVIDIA GeForce RTX 3050")
    made = report_of(run)
    assert made["M_g"] is None
    assert made["SCI_g"] is None
    assert made["O_g"]["mid"] == pytest.approx(50.0)
    told = said(made, run)
    assert told.splitlines()[0] == "SCI       O ≈ 50 g (45–55 g) CO2e a run + M, which is not known"
    assert "NVIDIA GeForce RTX 3050: no figure" in told


def test_a_machine_without_a_gpu_says_of_what_m_is_not_known() -> None:
    made = report_of(a_record(energies={"package": Uncertain(KWH)}))
    assert made["M_g"] is None
    assert made["M_devices"] == []
    assert any("CPU, memory" in device for device in made["M_not_known"])


def test_average_and_marginal_are_two_figures_and_no_figure_is_of_both() -> None:
    runs = a_run("a", "s1", 1.0), a_run("b", "s2", 3.0, "marginal", after_s=9000)
    made = report_of(*runs)
    assert made["O_g"] is made["I"] is made["SCI_g"] is None
    both = {kind["I_kind"]: kind for kind in made["dual"]}
    assert both["average"]["O_g"]["mid"] == pytest.approx(50.0)
    assert both["marginal"]["O_g"]["mid"] == pytest.approx(150.0)
    assert both["marginal"]["E_share"] == pytest.approx(0.75)
    assert both["marginal"]["runs"] == 1
    told = said(made, *runs)
    assert "which do not add" in told
    assert "g/kWh average" in told
    assert "g/kWh marginal" in told


def test_without_an_intensity_o_is_not_known() -> None:
    made = report_of(a_record(energies={"gpu": Uncertain(KWH)}))
    assert made["O_g"] is made["SCI_g"] is None
    assert "O, which is not known" in said(made, a_record())


def test_what_was_drawn_between_cells_is_told_apart_with_its_energy_and_in_no_term() -> None:
    run = a_run("a", "s1", 1.0)
    gpu = DomainEnergy(Domain("gpu", 0, "gpu"), Uncertain(KWH / 2), "measured", "test", 1.0)
    idle = Idle("i1", "n1", "s1", "here", Measurement(run.start, 7200.0, (gpu,)))
    without, made = report_of(run), report_of(run, idles=(idle,))
    assert made["idle"]["E_kwh"]["measured"]["value"] == pytest.approx(0.5)
    assert made["idle"]["O_g"]["mid"] == pytest.approx(25.0)
    assert made["idle"]["M_g"]["low"] == pytest.approx(2 * made["M_g"]["low"])
    for name in ("E_kwh", "O_g", "M_g", "SCI_g"):
        assert made[name] == without[name]
    assert "in no figure above" in " ".join(said(made, run).split())


def test_a_session_of_which_no_energy_is_known_is_no_run() -> None:
    nothing = a_record("b", session_id="s2", energies={"gpu": None}, after_s=9000)
    made = report_of(a_run("a", "s1", 1.0), nothing)
    assert made["runs"] == 1
    assert made["O_g"]["mid"] == pytest.approx(50.0)


def test_nothing_known_at_all_is_no_report() -> None:
    with pytest.raises(ValueError, match="no energy is known"):
        report_of(a_record(energies={"gpu": None}))


def test_outputs_saved_in_a_notebook_are_one_run_that_says_so() -> None:
    made = report(summarise(NOTEBOOK, [a_run("a", "s1", 1.0)], "1.0"), ())
    assert made["runs"] == 1
    assert "saved notebook" in made["R_means"]


def test_cells_that_overlap_reserve_a_gpu_once() -> None:
    made = report_of(a_run("a", "s1", 1.0), a_run("b", "s1", 1.0, cell_id="4567cdef"))
    assert made["M_g"]["low"] == pytest.approx(164e3 * 3600 / LIFE_S)


@given(st.lists(records(), min_size=1, max_size=5))
def test_the_means_of_a_run_times_the_runs_are_the_totals(runs: list[Record]) -> None:
    runs = one_after_another(runs)
    totals = summarise(NOTEBOOK, runs, "1.0")["totals"]
    if totals["measured_j"] is None and totals["estimated_j"] is None:
        return
    made = report_of(*runs)
    many = made["runs"]
    assert 1 <= many <= len({r.session_id for r in runs})
    for kind, whole in (("measured", "value"), ("estimated", "mid")):
        total = totals[f"{kind}_j"]
        found = made["E_kwh"][kind]
        assert (found is None) == (total is None)
        if found is not None:
            assert found[whole] * many * KWH == pytest.approx(total[whole])
    carbon = totals["carbon_g"]
    if made["O_g"] is not None:
        assert made["O_g"]["mid"] * many == pytest.approx(carbon["mid"])
    if made["SCI_g"] is not None:
        assert made["SCI_g"]["low"] <= made["SCI_g"]["high"]
        assert made["SCI_g"]["low"] >= made["O_g"]["low"]
    assert (made["dual"] is not None) == bool(carbon and carbon["parts"])
    assert json.loads(to_json(made)) == made
    assert words.text(made, carbon)


@given(st.floats(1e-6, 1e6), st.floats(1, 1e3))
def test_o_is_linear_in_the_energy(kwh: float, times: float) -> None:
    one, more = (report_of(a_run("a", "s1", size)) for size in (kwh, kwh * times))
    assert more["O_g"]["mid"] == pytest.approx(one["O_g"]["mid"] * times)
    assert more["M_g"] == one["M_g"]  # hardware does not know what it draws
    assert math.isfinite(more["SCI_g"]["high"])

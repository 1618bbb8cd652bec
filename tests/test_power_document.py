"""A trace as it is kept, as it is found again, and as it is shown."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import display_examples as examples
import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from standins.sensors import FakeSensor
from strategies import a_record

from jupyter_energy.commands.traced import matching
from jupyter_energy.display import bundle, plots, power
from jupyter_energy.documents import record_from_document, record_to_document
from jupyter_energy.errors import WrongUse
from jupyter_energy.identity import NotebookRef
from jupyter_energy.model import Domain, Record
from jupyter_energy.power.document import Curve, PowerTrace, of_window
from jupyter_energy.schema import cell_from_records
from jupyter_energy.store import Store

GPU = Curve(
    Domain("gpu", 0, "NVIDIA H100", "GPU-0a"),
    "measured",
    "nvml-power",
    None,
    (1.0, 2.0, 2.5, 3.0, 4.0),
    (100.0, 700.0, None, 150.0, 150.0),
    "GPU asleep",
)
CPU = Curve(
    Domain("package", 0, "CPU (8 threads)"),
    "estimated",
    "estimate:cpu-time",
    (0.5, 2.0),
    (2.0, 4.0),
    (10.0, 20.0),
)
DARK = Curve(Domain("gpu", 1, "T4"), "measured", "nvml-power", None, (4.0,), (None,), "it is lost")
TRACE = PowerTrace(4.0, 0.1, 0.25, 0.0, 700.0, (GPU, CPU, DARK))
NOTEBOOK = NotebookRef(None, "tested", kernel_id="kernel")

SECONDS = st.floats(0, 1e6)
CURVES = st.builds(
    lambda domain, spread, steps, reason: Curve(
        domain,
        "measured" if spread is None else "estimated",
        "a source",
        spread,
        tuple(float(n + 1) for n in range(len(steps))),
        tuple(None if w is None else round(w, 3) for w in steps),
        reason,
    ),
    st.builds(Domain, st.sampled_from(["gpu", "package"]), st.integers(0, 9), st.text(max_size=9)),
    st.none() | st.just((0.5, 2.0)),
    st.lists(st.none() | st.floats(0, 1e4), max_size=9),
    st.none() | st.text(max_size=9),
)
TRACES = st.builds(
    PowerTrace,
    SECONDS,
    SECONDS,
    SECONDS,
    SECONDS,
    st.none() | st.floats(0, 1e4),
    st.lists(CURVES, max_size=3).map(tuple),
)


@given(TRACES)
def test_a_trace_comes_back_from_its_document_as_it_was(trace: PowerTrace) -> None:
    text = json.dumps(trace.to_document(), allow_nan=False)
    assert PowerTrace.from_document(json.loads(text)) == trace


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"devices": None},
        {"peak_w": math.nan},
        {"peak_w": -1.0},
        {"duration_s": "long"},
        {"devices": [{**TRACE.to_document()["devices"][0], "t_s": [1.0]}]},  # type: ignore[index]
        {"devices": [{**TRACE.to_document()["devices"][0], "power_w": ["x"] * 5}]},  # type: ignore[index]
    ],
)
def test_what_is_no_document_of_ours_is_refused(broken: dict[str, Any]) -> None:
    document = {**TRACE.to_document(), **broken} if broken else {}
    with pytest.raises((KeyError, TypeError, ValueError)):
        PowerTrace.from_document(document)


@given(st.floats(50e-6, 1.0), st.floats(0.01, 1e3), st.floats(0.0, 1e6))
def test_a_stretch_keeps_its_energy_however_short_it_is(
    length_s: float, energy_j: float, start_s: float
) -> None:
    stop_s = start_s + length_s
    power_w = energy_j / (stop_s - start_s)
    device = {"readings": 2, "begin_s": start_s, "ends_s": [stop_s], "power_w": [power_w]}
    seen = {
        "devices": [{**device, "longest_gap_s": 0.0, "reason": None}],
        "peak_w": None,
        "suspended_s": 0.0,
    }
    (curve,) = of_window(seen, [(FakeSensor(), "fake")], start_s, stop_s, 0.1).curves
    ((kept_s, kept_w),) = curve.known()
    assert kept_s * kept_w == pytest.approx(energy_j, rel=1e-4, abs=1e-3 * length_s)


def test_mean_power_is_over_what_is_known() -> None:
    assert GPU.mean_w == pytest.approx((100 + 700 + 75 + 150) / 3.5)
    assert DARK.mean_w is None


# -- the store -----------------------------------------------------------------------------


def test_the_store_gives_a_trace_back_and_says_which_runs_have_one(tmp_path: Path) -> None:
    store = Store(tmp_path / "energy.sqlite")
    notebook = store.notebook_for(NOTEBOOK)
    assert store.traced(notebook.id) == frozenset()
    for run_id in ("a", "b"):
        store.append(replace(a_record(run_id), notebook_id=notebook.id))
    store.keep_power("b", TRACE)
    store.keep_power("b", replace(TRACE, peak_w=None))  # as when a write is tried again
    assert store.traced(notebook.id) == {"b"}
    assert (store.power("a"), store.power("b")) == (None, TRACE)
    store.close()


def test_reading_traces_makes_no_file(tmp_path: Path) -> None:
    store = Store(tmp_path / "none.sqlite")
    assert (store.power("a"), store.traced("n")) == (None, frozenset())
    assert not (tmp_path / "none.sqlite").exists()


def test_the_peak_of_a_record_comes_back_and_reaches_the_json() -> None:
    record = replace(a_record("a"), peak_w=312.5)
    document = json.loads(json.dumps(record_to_document(record)))
    assert record_from_document(document).peak_w == 312.5
    del document["peak_w"]  # as an older version wrote it
    assert record_from_document(document).peak_w is None
    runs = [a_record("x"), record, replace(a_record("b"), peak_w=99.0)]
    assert cell_from_records(runs)["peak_w"] == 312.5
    assert cell_from_records(runs[:1])["peak_w"] is None


# -- which cell ----------------------------------------------------------------------------


def runs() -> list[Record]:
    return [
        replace(a_record("1"), name=None, execution_count=3, cell_id="abcd-1"),
        replace(a_record("2"), name="train", execution_count=4, cell_id="abce-2"),
        replace(a_record("3"), name="3", execution_count=5, cell_id="f00d-3"),
        replace(a_record("4"), name="train", execution_count=6, cell_id="abce-2"),
    ]


@pytest.mark.parametrize(
    ("cell", "found"),
    [
        ("train", ["2", "4"]),
        ("3", ["3"]),  # a name is what the user chose
        ("[3]", ["1"]),
        ("4", ["2"]),
        ("[4]", ["2"]),
        ("abcd", ["1"]),
        ("abce", ["2", "4"]),
        ("f", ["3"]),
        ("99", []),
        ("", []),
    ],
)
def test_a_cell_is_meant_by_its_name_its_count_or_its_id(cell: str, found: list[str]) -> None:
    assert [run.run_id for run in matching(runs(), cell)] == found


def test_the_beginning_of_two_ids_is_not_enough() -> None:
    with pytest.raises(WrongUse, match="'abc' may be the cell abcd-1 or abce-2"):
        matching(runs(), "abc")


# -- showing -------------------------------------------------------------------------------

CELL = examples.cell("train", duration_s=4.0)


def test_the_text_has_a_line_a_device_with_its_mean_and_its_bounds() -> None:
    head, peak, gpu, cpu, dark, *rest = power.text(CELL, TRACE).splitlines()
    assert head.startswith("train: power over 4.00 s, a reading every 100 ms, a point every 800 ms")
    assert head.endswith("longest gap 250 ms")
    assert peak == "  peak 700 W, all measured devices together"
    assert "mean 293 W, 100 W to 700 W (nvml-power)" in gpu
    assert "█" in gpu
    assert "≈ 15 W (7.5–30 W) estimated (cpu-time)" in cpu
    assert "±" not in cpu
    assert dark.split() == "GPU 1 T4 no power is known (it is lost)".split()
    assert all(line.endswith(": not in the trace") for line in rest)


def test_a_measured_device_without_a_curve_is_named() -> None:
    cell = examples.cell(domains=[examples.gpu(), examples.gpu(index=3)])
    lines = power.text(cell, TRACE).splitlines()
    assert [line for line in lines if "not in the trace" in line] == [
        "  GPU 3 NVIDIA H100 80GB HBM3: not in the trace"
    ]


def test_a_machine_that_slept_is_told() -> None:
    assert "without the 4 min 12 s that the machine slept" in power.text(
        CELL, replace(TRACE, suspended_s=252.0)
    )


def test_the_alternative_text_is_one_sentence_that_names_every_device() -> None:
    said = power.alt(CELL, TRACE)
    assert "\n" not in said
    assert said.startswith("Power over time of train, 4.00 s. GPU 0 NVIDIA H100: mean 293 W")
    assert "CPU (8 threads): mean ≈ 15 W" in said


def test_measured_power_is_a_line_with_a_break_and_estimated_power_a_band() -> None:
    figure = power.power_over_time(CELL, TRACE)
    (axes,) = figure.axes
    solid, dashed = axes.lines
    xs, ys = ([float(v) for v in part] for part in (solid.get_xdata(), solid.get_ydata()))
    assert xs == [0, 1, 1, 2, 2, 2.5, 2.5, 3, 3, 4]
    assert [y for y in ys if not math.isnan(y)] == [100, 100, 700, 700, 150, 150, 150, 150]
    assert [math.isnan(y) for y in ys[4:6]] == [True, True]
    assert (solid.get_linestyle(), dashed.get_linestyle()) == ("-", "--")
    (band,) = axes.collections
    assert band.get_hatch()
    heights = {float(y) for path in band.get_paths() for _, y in path.vertices}
    assert {5.0, 20.0, 10.0, 40.0} <= heights
    assert [entry.get_text() for entry in figure.legends[0].get_texts()] == [
        "GPU 0 NVIDIA H100, measured",
        "CPU (8 threads), estimated range",
    ]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("time (s)", "power (W)")


def test_the_figure_is_ink_on_paper_whatever_the_users_style() -> None:
    import matplotlib as mpl

    with mpl.rc_context({"figure.facecolor": (1, 1, 1, 0), "axes.facecolor": "black",
                         "text.color": "white", "axes.labelcolor": "white"}):  # fmt: skip
        figure = power.power_over_time(CELL, TRACE)
    (axes,) = figure.axes
    assert figure.get_facecolor() == axes.get_facecolor() == (1.0, 1.0, 1.0, 1.0)
    texts = [axes.title, axes.xaxis.label, axes.yaxis.label, *figure.legends[0].get_texts()]
    texts.append(axes._left_title)
    assert {text.get_color() for text in texts[1:]} == {"#222222"}


def test_a_trace_of_nothing_is_drawn_and_says_so() -> None:
    nothing = replace(TRACE, curves=(DARK,), peak_w=None)
    figure = power.power_over_time(CELL, nothing)
    assert "no power is known" in [text.get_text() for text in figure.axes[0].texts]
    assert plots.png(figure).startswith(b"\x89PNG")
    assert plots.png(power.power_over_time(CELL, replace(nothing, duration_s=0.0, curves=())))


@pytest.mark.parametrize("hostile", [examples.HOSTILE, "$\\frac{"])
def test_a_hostile_name_breaks_neither_the_figure_nor_the_text(hostile: str) -> None:
    cell = examples.cell(hostile)
    evil = replace(TRACE, curves=(replace(GPU, domain=Domain("gpu", 0, hostile)),))
    assert plots.png(power.power_over_time(cell, evil)).startswith(b"\x89PNG")
    assert "\x1b" not in power.text(cell, evil)
    assert all(len(line) < 200 for line in power.text(cell, evil).splitlines())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_notebook_with_the_bundle_as_output_is_valid() -> None:
    made = bundle.power_bundle(CELL, TRACE)
    assert set(made) == {"text/plain", "image/png"}
    output = nbformat.v4.new_output("display_data", made)
    cell = nbformat.v4.new_code_cell("pass", outputs=[output])
    nbformat.validate(nbformat.v4.new_notebook(cells=[cell]))

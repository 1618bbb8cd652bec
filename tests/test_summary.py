"""A notebook's summary: from the store's records, and from the outputs saved in its file."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import a_record, in_zone, measurements, one_after_another, records

from jupyter_energy.display import text
from jupyter_energy.display.shares import LEGEND_LOST, LEGEND_OVERLAP, legend, of_rows
from jupyter_energy.errors import NoSuchNotebook
from jupyter_energy.model import Emissions, Record
from jupyter_energy.schema import MIME_TYPE, NotebookJson, SummaryJson, cell_from_records, to_json
from jupyter_energy.summary import from_notebook_file, summarise
from jupyter_energy.uncertainty import Range, Uncertain

NOTEBOOK: NotebookJson = {"id": "n1", "path": "/a/b.ipynb", "name": "b.ipynb"}


def summary_of(*runs: Record) -> SummaryJson:
    return summarise(NOTEBOOK, runs, "1.0")


@given(st.lists(records(), max_size=6))
def test_cells_add_up_to_the_totals_with_measured_and_estimated_kept_apart(
    runs: list[Record],
) -> None:
    runs = one_after_another(runs)
    summary = summary_of(*runs)
    cells, totals = summary["cells"], summary["totals"]
    assert totals["cells"] == len(cells)
    assert totals["runs"] == sum(c["runs"] for c in cells) == len(runs)
    assert totals["duration_s"] == pytest.approx(math.fsum(c["duration_s"] for c in cells))
    measured = [c["measured_j"] for c in cells if c["measured_j"] is not None]
    assert (totals["measured_j"] is None) == (not measured)
    if measured:
        assert totals["measured_j"]["value"] == pytest.approx(
            math.fsum(v["value"] for v in measured)
        )
        # No sum is surer than independent parts, nor less sure than parts wrong together.
        most = math.fsum(v["u95"] for v in measured)
        least = math.hypot(*(v["u95"] for v in measured))
        assert least * (1 - 1e-9) <= totals["measured_j"]["u95"] <= most * (1 + 1e-9) + 1e-9
    estimated = [c["estimated_j"] for c in cells if c["estimated_j"] is not None]
    assert (totals["estimated_j"] is None) == (not estimated)
    for bound in ("low", "mid", "high") if estimated else ():
        whole = math.fsum(r[bound] for r in estimated)
        assert totals["estimated_j"][bound] == pytest.approx(whole)
    assert json.loads(to_json(summary)) == summary


side_by_side = measurements(("gpu", "package", "dram"))


@given(st.lists(records(side_by_side), min_size=1, max_size=4))
def test_domains_that_lie_side_by_side_add_up_to_their_cell(runs: list[Record]) -> None:
    for cell in summary_of(*runs)["cells"]:
        measured = [d["energy_j"] for d in cell["domains"] if d["energy_j"] is not None]
        if measured:
            assert cell["measured_j"]["value"] == pytest.approx(math.fsum(measured))
        middles = [d["mid_j"] for d in cell["domains"] if d["mid_j"] is not None]
        if middles:
            assert cell["estimated_j"]["mid"] == pytest.approx(math.fsum(middles))


@given(st.lists(records(), max_size=5), st.lists(records(within=st.just("outer")), max_size=4))
def test_runs_inside_others_change_no_total(outer: list[Record], inner: list[Record]) -> None:
    assert summary_of(*outer, *inner)["totals"] == summary_of(*outer)["totals"]


@given(st.lists(records(), max_size=5), st.randoms(use_true_random=False))
def test_the_order_in_which_records_come_changes_nothing_that_counts(runs, random) -> None:
    shuffled = list(runs)
    random.shuffle(shuffled)
    one, other = summary_of(*runs)["totals"], summary_of(*shuffled)["totals"]
    for field in ("runs", "cells", "first", "last", "interrupted"):
        assert one[field] == other[field]
    assert one["measured_j"] == (
        None if other["measured_j"] is None else pytest.approx(other["measured_j"])
    )


def test_the_most_expensive_cell_comes_first_and_an_unknown_one_last() -> None:
    summary = summary_of(
        a_record("a", cell_id="unknown0", energies={"gpu": None}),
        a_record("b", cell_id="small000", energies={"gpu": Uncertain(1.0)}, after_s=9),
        a_record("c", cell_id="estimate", energies={"dram": Range(1, 50, 90)}, after_s=5),
        a_record("d", cell_id="smalltoo", energies={"gpu": Uncertain(1.0)}, after_s=3),
    )
    order = [c["cell_id"] for c in summary["cells"]]
    assert order == ["estimate", "smalltoo", "small000", "unknown0"]


def test_runs_of_a_cell_are_told_by_id_then_name_then_execution_count() -> None:
    summary = summary_of(
        a_record("a", cell_id="0123abcd", name="x"),
        a_record("b", cell_id="0123abcd", name="y"),
        a_record("c", cell_id=None, name="x"),
        a_record("d", cell_id=None, name="x", count=7),
        a_record("e", cell_id=None, count=7),
        a_record("f", cell_id=None, count=8),
        a_record("g", cell_id=None, count=None),
        a_record("h", cell_id=None, count=None),
    )
    assert sorted(c["runs"] for c in summary["cells"]) == [1, 1, 1, 1, 2, 2]


def test_a_block_inside_a_cell_has_a_row_only_where_it_has_a_name() -> None:
    gpu = {"gpu": Uncertain(1.0)}
    summary = summary_of(
        a_record("a", energies={"gpu": Uncertain(5.0)}),
        a_record("b", within="a", name="epoch", energies=gpu),
        a_record("c", within="a", name="epoch", energies=gpu),
        a_record("d", within="a", energies=gpu),
    )
    rows = [(c["name"], c["runs"], c["inside"]) for c in summary["cells"]]
    assert rows == [(None, 1, False), ("epoch", 2, True)]


def test_a_measured_function_that_calls_itself_counts_its_inner_calls_once() -> None:
    gpu = {"gpu": Uncertain(5.0)}
    summary = summary_of(
        a_record("a", energies=gpu),
        a_record("b", within="a", name="f", energies=gpu),
        a_record("c", within="b", energies=gpu),
        a_record("d", within="c", name="f", energies=gpu),
        a_record("e", within="e", name="own tail", energies=gpu),
    )
    rows = {c["name"]: c["measured_j"]["value"] for c in summary["cells"]}
    assert rows == {None: 5.0, "f": 5.0, "own tail": 5.0}


# --- without the store -----------------------------------------------------------------------


def saved(path: Path, *outputs_of_cells: list[object]) -> Path:
    cells = [
        {
            "cell_type": "code",
            "id": f"cell{n:04}",
            "outputs": [
                {"output_type": "display_data", "data": {MIME_TYPE: found}} for found in outputs
            ],
        }
        for n, outputs in enumerate(outputs_of_cells)
    ]
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "cells": cells}))
    return path


def test_without_the_store_the_last_output_of_each_cell_counts(tmp_path: Path) -> None:
    old = cell_from_records([a_record(cell_id=None, energies={"gpu": Uncertain(1.0)})])
    new = cell_from_records([a_record(cell_id=None, energies={"gpu": Uncertain(2.0, 1.0, 3.0)})])
    other = cell_from_records(
        [a_record("b", energies={"gpu": Uncertain(5.0, 0.0, 4.0)}, emitted=in_zone("FR", 50, 5))]
    )
    path = saved(tmp_path / "a.ipynb", [old, new], [], [other])
    summary = from_notebook_file(path)
    assert summary["notebook"] == {"id": None, "path": str(path), "name": "a.ipynb"}
    assert [c["cell_id"] for c in summary["cells"]] == ["0123abcd", "cell0000"]
    totals = summary["totals"]
    assert totals["measured_j"]["value"] == 7.0
    assert totals["measured_j"]["u95"] == pytest.approx(1.96 * math.hypot(1.0, 7.0))
    assert totals["carbon_g"] == other["carbon_g"]
    assert (totals["cells"], totals["runs"], totals["duration_s"]) == (2, 2, 4.0)


@given(runs=st.lists(records(), min_size=1, max_size=4))
@settings(deadline=None)
def test_the_saved_outputs_tell_the_same_energies_as_the_store(tmp_path_factory, runs) -> None:
    path = tmp_path_factory.getbasetemp() / "same.ipynb"
    from_store = summary_of(*one_after_another(runs))
    path = saved(path, *([json.loads(to_json(c))] for c in from_store["cells"]))
    from_file = from_notebook_file(path)
    # A cell without an id of its own takes the one that it has in the file.
    expected = [
        {**c, "cell_id": c["cell_id"] or f"cell{n:04}"} for n, c in enumerate(from_store["cells"])
    ]
    assert sorted(map(to_json, from_file["cells"])) == sorted(map(to_json, expected))
    one, other = from_file["totals"], from_store["totals"]
    for field in ("runs", "cells", "first"):
        assert one[field] == other[field]
    assert (one["measured_j"] is None) == (other["measured_j"] is None)
    if other["measured_j"] is not None:
        assert one["measured_j"]["value"] == pytest.approx(other["measured_j"]["value"])
        assert one["measured_j"]["u95"] >= other["measured_j"]["u95"] * (1 - 1e-6) - 1e-6


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["low", "mid", "high", "value", "u95", "parts"]), inner)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(sorted(cell_from_records([a_record()]))), json_values))
@settings(deadline=None)
def test_a_saved_output_of_any_shape_raises_nothing_and_writes_no_nan(
    tmp_path_factory, changed
) -> None:
    whole = cell_from_records([a_record(energies={"gpu": Uncertain(2.0)})])
    path = tmp_path_factory.getbasetemp() / "any.ipynb"
    summary = from_notebook_file(saved(path, [{**whole, **changed}], [changed], [[changed]], ["x"]))
    assert json.loads(to_json(summary)) == summary


@pytest.mark.parametrize("huge", [1e308, 10**400, -1e308, 1e31])
def test_figures_that_nothing_can_have_drawn_are_unknown(tmp_path: Path, huge: float) -> None:
    whole = cell_from_records([a_record(energies={"gpu": Uncertain(2.0)})])
    claimed = {**whole, "measured_j": {"value": huge, "u95_repeat": 0, "u95": 0}}
    summary = from_notebook_file(saved(tmp_path / "a.ipynb", [claimed], [claimed], [whole]))
    assert summary["totals"]["measured_j"]["value"] == 2.0


def test_a_saved_factor_next_to_nothing_weighs_nothing(tmp_path: Path) -> None:
    one, other = (
        cell_from_records([a_record(r, energies={"gpu": Uncertain(9.0)}, emitted=in_zone(z, g, 9))])
        for r, z, g in (("a", "FR", 50), ("b", "DE", 350))
    )
    one["carbon_g"]["g_per_kwh"] = 1e-320
    summary = from_notebook_file(saved(tmp_path / "a.ipynb", [one], [other]))
    assert summary["totals"]["carbon_g"]["g_per_kwh"] == 350


@pytest.mark.parametrize(("inside", "total_j"), [(True, 9.0), (False, 14.0), ("yes", 14.0)])
def test_a_saved_block_that_lies_inside_a_cell_is_not_counted_again(
    tmp_path: Path, inside: object, total_j: float
) -> None:
    outer = cell_from_records([a_record("a", energies={"gpu": Uncertain(9.0)})])
    block = cell_from_records([a_record("b", name="epoch", energies={"gpu": Uncertain(5.0)})])
    block["inside"] = inside
    summary = from_notebook_file(saved(tmp_path / "a.ipynb", [outer], [block]))
    assert summary["totals"]["measured_j"]["value"] == total_j
    assert [c["inside"] for c in summary["cells"]] == [False, inside is True]


def test_a_saved_cell_of_a_version_that_did_not_say_lies_in_no_other(tmp_path: Path) -> None:
    cell = cell_from_records([a_record(energies={"gpu": Uncertain(9.0)})])
    del cell["inside"]
    summary = from_notebook_file(saved(tmp_path / "a.ipynb", [cell]))
    assert (summary["totals"]["runs"], summary["cells"][0]["inside"]) == (1, False)


def test_saved_cells_without_grams_beside_others_with_grams_are_told(tmp_path: Path) -> None:
    gpu = {"gpu": Uncertain(9.0)}
    made = [a_record("a", energies=gpu, emitted=in_zone("FR", 50, 9)), a_record("b", energies=gpu)]
    cells = [[cell_from_records([record])] for record in made]
    (told,) = from_notebook_file(saved(tmp_path / "a.ipynb", *cells))["totals"]["warnings"]
    assert told == "1 of 2 cells has energy but no CO2e: the grams are of the others"


def test_a_notebook_that_was_never_measured_has_no_totals(tmp_path: Path) -> None:
    totals = from_notebook_file(saved(tmp_path / "a.ipynb"))["totals"]
    assert totals["runs"] == 0
    assert totals["measured_j"] is totals["carbon_g"] is totals["first"] is None


def test_a_script_has_no_saved_outputs(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("1 + 1")
    assert from_notebook_file(tmp_path / "a.py")["cells"] == []


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NoSuchNotebook, match=r"gone\.ipynb: there is no such file"):
        from_notebook_file(tmp_path / "gone.ipynb")


def test_a_run_without_grams_is_told_though_another_has_all_of_its_time() -> None:
    def run(number: int, duration_s: float, emitted: Emissions | None) -> Record:
        energies: dict[str, Uncertain | Range | None] = {"gpu": Uncertain(5.0)}
        return a_record(f"r{number}", energies=energies, duration_s=duration_s, emitted=emitted)

    totals = summary_of(run(1, 9.0, in_zone("FR", 50.0, 5.0)), run(2, 4.0, None))["totals"]
    assert "1 of 2 runs has energy but no CO2e: the grams are of the others" in totals["warnings"]


def test_what_was_lost_with_its_kernel_is_told_apart_from_what_was_interrupted() -> None:
    outcomes = ("ok", "interrupted", "lost")
    cells = {n: f"cell-{n}" for n in range(3)}
    energies: dict[str, Uncertain | Range | None] = {"gpu": Uncertain(5.0)}
    runs = [
        a_record(f"r{n}", cell_id=cells[n], count=n, outcome=o, energies=energies, after_s=9.0 * n)
        for n, o in enumerate(outcomes)
    ]
    shown = text.summary(summary_of(*runs))
    assert "3 runs of 3 cells, 1 run interrupted, 1 run lost with its kernel" in shown
    assert "[2] (lost)" in shown
    assert LEGEND_LOST in " ".join(shown.split())
    assert "lost" not in text.summary(summary_of(*runs[:2]))


def test_no_row_has_more_than_the_whole_where_runs_overlapped_and_the_legend_says_of_what() -> None:
    def run(n: int, after_s: float, energy_j: float, **more: str) -> Record:
        energies: dict[str, Uncertain | Range | None] = {
            "gpu": Uncertain(energy_j),
            "package": Range(energy_j / 2, energy_j, 2 * energy_j),
        }
        return a_record(f"r{n}", energies=energies, duration_s=10.0, after_s=after_s, **more)

    alone = [run(1, 0.0, 30.0, cell_id="c1"), run(2, 20.0, 10.0, cell_id="c2")]
    two_kernels = [*alone, run(3, 1.0, 60.0, cell_id="c1", session_id="s2")]
    # Two threads of one cell with a block of one name: together they have more than their cell.
    blocks = [run(n, 0.0, 30.0, cell_id="c1", within="r1", name="block") for n in (4, 5)]
    for runs, shown in ((alone, ["75 %", "25 %"]), (two_kernels, ["90 %", "10 %"])):
        summary = summary_of(*runs)
        parts = of_rows(summary["cells"])
        assert [part and part.text for part in parts] == shown
        assert (LEGEND_OVERLAP in legend(summary)) == (runs is two_kernels)
    summary = summary_of(*alone, *blocks)
    assert [part and part.text for part in of_rows(summary["cells"])] == [*(None, "75 %", "25 %")]

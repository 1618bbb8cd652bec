"""What one must know to read a plan: said once, in few words, before or below the advice."""

from __future__ import annotations

from copy import deepcopy

import plan_examples as examples
import pytest

from jupyter_energy.display import plan_notes, plan_words
from jupyter_energy.display.plan import text
from jupyter_energy.display.plan_html import html
from jupyter_energy.plan.shapes import HereJson, PlanJson

BOTH = pytest.mark.parametrize("shown", [text, html], ids=["text", "html"])


def one_line(shown: str) -> str:
    return " ".join(shown.split())


def at(how: str, zone: str, place: str) -> PlanJson:
    made = deepcopy(examples.PLANS["cloud"])
    made["here"] = HereJson(zone=zone, place=place, how=how, assumed=True)
    return made


@BOTH
@pytest.mark.parametrize(
    ("how", "zone", "command"),
    [
        ("assumed: no place is set", "WORLD", "%energy zone FR"),
        ("guessed from the time zone Europe/Oslo", "NO", "%energy zone NO"),
    ],
)
def test_a_place_that_nobody_set_is_the_first_thing_to_set(
    shown: object, how: str, zone: str, command: str
) -> None:
    assert callable(shown)
    said = one_line(shown(at(how, zone, "a place")))
    first = said.index("First set the place")
    assert command in said[first:]
    assert how.removeprefix("assumed: ") in said[first:]
    assert first < said.index("saves")
    assert "First set the place" not in shown(examples.PLANS["cloud"])


def test_a_small_job_beside_a_night_of_an_idle_gpu_is_not_called_small() -> None:
    made = deepcopy(examples.PLANS["idle_gpu"])
    yearly = made["run_now"]["yearly_g"]
    assert yearly is not None
    yearly["low"] = yearly["mid"] = yearly["high"] = 1e-3
    assert not plan_notes.is_small(made)
    made["advice"] = []
    assert plan_notes.is_small(made)


@BOTH
def test_of_a_small_job_nothing_is_told_but_that_and_by_which_figure(shown: object) -> None:
    assert callable(shown)
    made = deepcopy(examples.PLANS["cloud"])
    now, yearly = made["run_now"]["carbon_g"], made["run_now"]["yearly_g"]
    assert now is not None
    assert yearly is not None
    for one in (now, yearly, *(item["saved_g"] or {} for item in made["advice"])):
        one.update(dict.fromkeys(("low", "mid", "high"), 1e-3))  # type: ignore[attr-defined]
    told = one_line(shown(made))
    assert "too small for any change to matter: its whole CO2e is ≈ 1.0 mg." in told
    assert "By the yearly average: " in told
    for left_out in ("save", "best start", "against here", "note:", "<details>", "1. "):
        assert left_out not in told


@BOTH
def test_the_place_that_is_advised_stands_in_the_table_below(shown: object) -> None:
    assert callable(shown)
    made = deepcopy(examples.PLANS["cloud"])
    row = made["rankings"][0]["rows"][10]
    item = next(item for item in made["advice"] if item["what"] == "region")
    table = one_line(shown(made)).partition("against here")[2].partition("<details>")[0]
    assert row["zone"] not in table
    item["change"] = f"Run it in {row['zone']}, {row['name']}, instead of here"
    table = one_line(shown(made)).partition("against here")[2].partition("<details>")[0]
    assert row["zone"] in table


def test_what_nobody_knows_is_not_called_small() -> None:
    assert not plan_notes.is_small(examples.PLANS["hours_only"])
    assert not plan_notes.is_small(examples.PLANS["nothing"])


@BOTH
def test_two_figures_of_one_job_are_explained_and_one_is_not(shown: object) -> None:
    assert callable(shown)
    why = "the yearly average is of 2025, for choosing a place"
    assert why in one_line(shown(examples.PLANS["cloud"]))
    assert why not in one_line(shown(examples.PLANS["sweep"]))


def test_the_figure_by_the_hours_is_found_where_it_is_said_to_be() -> None:
    told = html(examples.PLANS["cloud"])
    figure, table = told.index("the table below is by these very hours"), told.index("at once")
    assert figure < table
    told = text(examples.PLANS["cloud"])
    assert told.index("at once: CO2e") < told.index("the first is by these very hours")


def test_where_average_and_marginal_disagree_is_told_once_for_each_place() -> None:
    made = deepcopy(examples.PLANS["cloud"])
    stockholm = (
        "average and marginal disagree: 20 g/kWh on average, 791 marginal in Stockholm "
        "(WattTime 2023, quoted by somebody)"
    )
    rows = made["rankings"][0]["rows"]
    for row in rows:
        row["note"] = None
    rows[0]["note"], rows[1]["note"] = stockholm, f"for few only; {stockholm}"
    found = [note for note in plan_notes.notes(made) if "marginal" in note and "*" in note]
    assert len(found) == 1
    assert found[0].count("Stockholm") == 1
    assert f"* {rows[1]['zone']}: for few only" in plan_notes.notes(made)


@BOTH
def test_the_line_of_an_advice_says_what_kind_of_figures_it_is_by(shown: object) -> None:
    assert callable(shown)
    made = deepcopy(examples.PLANS["cloud"])
    assert "by yearly averages)" in one_line(shown(made))
    assert "by the forecast, average)" in one_line(shown(made))
    made["basis"]["signal"], made["basis"]["scope"] = "marginal", "direct"
    assert "by the forecast, marginal, direct emissions only)" in one_line(shown(made))
    assert "(marginal, direct emissions only)" in one_line(shown(made))
    made["basis"]["hindsight"] = True
    assert "by hindsight, an upper bound, marginal" in one_line(shown(made))
    typical = one_line(shown(examples.PLANS["typical_day"]))
    assert "by a typical day, no forecast, average)" in typical


@BOTH
def test_values_that_have_happened_are_not_called_right_to_some_percent(shown: object) -> None:
    assert callable(shown)
    made = deepcopy(examples.PLANS["cloud"])
    assert "taken as right to" in one_line(shown(made))
    made["basis"]["hindsight"] = True
    assert "taken as right to" not in one_line(shown(made))
    assert "as of a forecast right to ± 5 % (assumed)" in one_line(shown(made))


def test_an_assumed_error_says_so_beside_it_and_where_it_can_be_opened_whose_it_is() -> None:
    made = deepcopy(examples.PLANS["cloud"])
    made["basis"]["error_source"] = "assumed: what others were off by (Powell 2023)"
    assert "right to ± 5 % (assumed)" in one_line(text(made))
    assert "right to ± 5 % (assumed)" in one_line(html(made))
    assert "what others were off by (Powell 2023)" in html(made)


def test_a_long_name_of_a_file_is_cut_without_what_was_taken_of_it() -> None:
    made = deepcopy(examples.PLANS["hours_only"])
    made["basis"]["source"] = "t.csv (taken as g/kWh, average: its column does not say)"
    assert plan_words.outlook(made["basis"]) == "Trace for California ISO, t.csv (average)"


def test_a_source_is_named_in_the_text_and_told_in_full_where_it_can_be_opened() -> None:
    made = deepcopy(examples.PLANS["sweep"])
    made["advice"][0]["evidence"] = "McDonald 2022: 13.7 % less at 150 W; Zeus (NSDI '23): 3-31 %"
    assert "Confidence high: McDonald 2022; Zeus (NSDI '23)." in one_line(text(made))
    assert "13.7 % less at 150 W" in html(made)


def test_a_column_that_says_nothing_is_left_out() -> None:
    table = text(examples.PLANS["hours_only"]).partition("Where:")[2]
    assert "CO2e" not in table.partition("When:")[0]
    assert " PUE " not in table
    assert " PUE " in text(examples.PLANS["cloud"]).partition("Where:")[2]

"""The HTML of a plan: what to do first, safe, readable without a script or a style."""

from __future__ import annotations

import base64
import json
import re
from copy import deepcopy
from datetime import UTC, datetime, timedelta, timezone

import nbformat
import plan_examples as examples
import pytest
from html_reader import Reader

from jupyter_energy.display import bundle, plan, plan_html, plan_notes
from jupyter_energy.display import plan_words as words

CET = timezone(timedelta(hours=1), "CET")
BLOCKS = {name: plan_html.html(made, zone=CET) for name, made in examples.PLANS.items()}
TEXTS = {name: plan.text(made, zone=CET) for name, made in examples.PLANS.items()}
TAGS = {"div", "table", "tr", "td", "b", "span", "details", "summary"}


def test_a_start_that_was_asked_for_is_never_now() -> None:
    made = deepcopy(examples.PLANS["no_gain"])
    assert "at once" in plan_html.html(made, zone=UTC)
    later = datetime.fromisoformat(made["made"]) + timedelta(days=1)
    made["basis"]["from"] = later.isoformat()
    told = Reader(plan_html.html(made, zone=UTC)).words
    assert "at once" not in told
    assert f"as asked{words.at(later.isoformat(), words.local(made['made'], UTC), UTC)}" in told
    assert "now: up to" not in told


def squeezed(text: str) -> str:
    return "".join(text.split())


@pytest.mark.parametrize("name", BLOCKS)
def test_only_plain_tags_with_style_and_title_are_used_and_all_are_closed(name: str) -> None:
    found = Reader(BLOCKS[name])
    assert found.tags <= TAGS
    assert {k for k, _ in found.attributes} <= {"style", "title"}
    assert found.open == []


@pytest.mark.parametrize("name", BLOCKS)
def test_nothing_outside_is_asked_for_and_every_colour_of_the_page_has_a_fallback(
    name: str,
) -> None:
    styles = " ".join(v for k, v in Reader(BLOCKS[name]).attributes if k == "style")
    assert not re.search(r"url\(|expression|@import|javascript:|http", styles)
    for variable in re.findall(r"var\([^)]*\)", BLOCKS[name]):
        assert "," in variable, variable


def test_hostile_texts_are_shown_as_they_were_written_and_cut_short() -> None:
    block = BLOCKS["hostile"]
    assert '<script>alert(1)</script>"><img src=x o' in Reader(block).words
    assert "<script" not in block
    assert "<img" not in block
    assert "\u202e" not in block
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", block)
    assert len(block) < 40_000


@pytest.mark.parametrize("name", [n for n, made in examples.PLANS.items() if made["advice"]])
def test_the_decision_stands_before_all_else_and_says_what_it_saves(name: str) -> None:
    first = examples.PLANS[name]["advice"][0]
    said = Reader(BLOCKS[name]).words
    change = said.index(words.change(first, examples.PLANS[name], CET))
    saves = said.index(words.share(first["saved_fraction"]))
    rest = [said.find(title) for title in ("When:", "best start", "against here", "Run here:")]
    assert change < saves < min(at for at in rest if at >= 0)


@pytest.mark.parametrize("name", BLOCKS)
def test_the_html_gives_each_advice_and_each_note_as_the_text_does(name: str) -> None:
    made = examples.PLANS[name]
    in_html, in_text = squeezed(Reader(BLOCKS[name]).words), squeezed(TEXTS[name])
    said = [f"note: {note}" for note in plan_notes.notes(made)]
    for item in made["advice"]:  # what others found is told where it can be opened
        evidence = squeezed(words.clean(item["evidence"], words.CHANGE_LIMIT).rstrip(".…"))
        assert evidence in in_html
    for item in made["advice"]:
        said += [words.change(item, made, CET), words.share(item["saved_fraction"])]
        said += [words.by_what(item, made), words.sources(item, made).rstrip("…")]
        said += [words.clean(item["cost"], words.TEXT_LIMIT).rstrip(".")]
    for one in map(squeezed, said):
        assert one in in_html
        assert one in in_text


def test_without_a_gain_the_answer_is_that_there_is_none() -> None:
    assert words.NO_GAIN in Reader(BLOCKS["no_gain"]).words
    assert "there is no gain" in Reader(BLOCKS["no_gain"]).words
    assert words.NO_GAIN in TEXTS["no_gain"]


def test_where_nothing_is_known_no_gain_is_claimed_or_denied() -> None:
    said = Reader(BLOCKS["nothing"]).words
    assert "nothing has been measured yet" in said
    assert words.NO_GAIN not in said + TEXTS["nothing"]


@pytest.mark.parametrize("name", BLOCKS)
def test_what_is_predicted_has_the_look_of_an_estimate(name: str) -> None:
    for style, said in Reader(BLOCKS[name]).spans:
        if said.startswith("≈"):
            assert "italic" in style, said
        if "±" in said and "measured" in said:
            assert "italic" not in style, said


def test_every_place_of_every_ranking_can_be_opened() -> None:
    rankings = examples.PLANS["cloud"]["rankings"]
    opened = BLOCKS["cloud"].partition("<details>")[2]
    for ranking in rankings:
        assert f"All {len(ranking['rows'])}: {ranking['of']}" in opened
        for row in ranking["rows"]:
            assert f", {row['zone']}</td>" in opened


def test_a_place_that_none_of_the_ranked_ones_is_does_not_count_as_one() -> None:
    made = deepcopy(examples.PLANS["cloud"])
    (ranking, *_), count = made["rankings"], len(made["rankings"][0]["rows"])
    assert ranking["reference"] is not None
    ranking["reference"] = {**ranking["reference"], "zone": "EM:ELSEWHERE"}
    assert f"All {count}: {ranking['of']}, and here<" in plan_html.html(made)


def test_times_are_those_of_the_reader_and_named() -> None:
    made = examples.PLANS["cloud"]
    assert "18:05 CET" in Reader(plan_html.html(made, zone=CET)).words
    assert "17:05 UTC" in Reader(plan_html.html(made, zone=UTC)).words
    assert "CET" not in Reader(plan_html.html(made, zone=UTC)).words


def test_a_start_of_another_year_names_the_year() -> None:
    made = deepcopy(examples.PLANS["cloud"])
    assert made["flexible_start"] is not None
    made["flexible_start"]["start"] = "2022-04-26T16:00:00Z"
    for said in (Reader(plan_html.html(made, zone=UTC)).words, plan.text(made, zone=UTC)):
        assert "Start at Tue 26 Apr 2022, 16:00 UTC" in said


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", ["kwh_only", "hostile"])
def test_nbconvert_keeps_every_word_and_cell_when_it_sanitises(name: str) -> None:
    nbconvert = pytest.importorskip("nbconvert")
    output = nbformat.v4.new_output("display_data", {"text/html": BLOCKS[name]})
    cell = nbformat.v4.new_code_cell("pass", outputs=[output])
    exporter = nbconvert.HTMLExporter(sanitize_html=True, template_name="basic")
    page, _ = exporter.from_notebook_node(nbformat.v4.new_notebook(cells=[cell]))
    shown = squeezed(Reader(page, whole_page=True).words)
    # Tags that it does not know it shows as text.
    shown = re.sub(r"</?(tbody|details|summary)>", "", shown)
    assert squeezed(Reader(BLOCKS[name]).words) in shown
    assert page.count("<td") == BLOCKS[name].count("<td")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", ["cloud", "nothing"])
def test_the_bundle_is_text_and_html_that_a_notebook_may_hold(name: str) -> None:
    made = bundle.plan_bundle(examples.PLANS[name], zone=CET)
    assert made == {"text/plain": TEXTS[name], "text/html": BLOCKS[name]}
    output = nbformat.v4.new_output("display_data", made)
    cell = nbformat.v4.new_code_cell("pass", outputs=[output])
    nbformat.validate(nbformat.v4.new_notebook(cells=[cell]))


def test_the_picture_is_a_display_of_its_own_with_what_it_shows_in_words() -> None:
    found = bundle.plan_figure_bundle(examples.PLANS["hours_only"], CET)
    assert found is not None
    made, alt = found
    assert base64.b64decode(str(made["image/png"])).startswith(b"\x89PNG\r\n\x1a\n")
    assert made["text/plain"] == alt
    assert "best start: 18:05" in alt
    assert '"state"' not in json.dumps(made)


def test_without_anything_to_draw_there_is_no_picture() -> None:
    assert bundle.plan_figure_bundle(examples.PLANS["nothing"]) is None

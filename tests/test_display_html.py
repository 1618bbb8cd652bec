"""The HTML under a cell: safe, readable without styles, and with the words of the text."""

from __future__ import annotations

import re

import display_examples as examples
import nbformat
import pytest
from html_reader import Reader

from jupyter_energy.display import html, text

TAGS = {"div", "table", "tr", "td", "b", "span"}
BLOCKS = {name: html.cell(made) for name, made in examples.CELLS.items()} | {
    name: html.summary(made) for name, made in examples.SUMMARIES.items()
}


@pytest.mark.parametrize("name", BLOCKS)
def test_only_plain_tags_with_style_and_title_are_used_and_all_are_closed(name: str) -> None:
    found = Reader(BLOCKS[name])
    assert found.tags <= TAGS
    assert {k for k, _ in found.attributes} <= {"style", "title"}
    assert found.open == []


@pytest.mark.parametrize("name", BLOCKS)
def test_nothing_outside_is_asked_for_and_nothing_can_run(name: str) -> None:
    styles = " ".join(v for k, v in Reader(BLOCKS[name]).attributes if k == "style")
    assert not re.search(r"url\(|expression|@import|javascript:|http", styles)
    assert "<script" not in BLOCKS[name]
    assert "<img" not in BLOCKS[name]


@pytest.mark.parametrize("name", ["hostile", "summary_hostile"])
def test_hostile_texts_are_shown_as_they_were_written_and_cut_short(name: str) -> None:
    found = Reader(BLOCKS[name])
    assert '<script>alert(1)</script>"><img src=x o' in found.words
    assert "\u202e" not in BLOCKS[name]
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", BLOCKS[name])
    assert len(BLOCKS[name]) < 12_000


@pytest.mark.parametrize("name", examples.CELLS)
def test_the_html_of_a_cell_says_what_its_text_says(name: str) -> None:
    said = _squeezed(Reader(BLOCKS[name]).words)
    for line in text.cell(examples.CELLS[name]).splitlines():
        for words in re.split(r"\s{2,}", line.strip()):
            assert _squeezed(words) in said, words


@pytest.mark.parametrize("show", [html.summary, text.summary])
def test_a_summary_shows_what_must_be_known_to_read_its_totals(show) -> None:
    made = examples.SUMMARIES["summary_mixed"]
    said = _squeezed(Reader(show(made)).words)
    assert made["totals"]["warnings"]
    for warning in made["totals"]["warnings"]:
        assert _squeezed(f"note: {warning}") in said


@pytest.mark.parametrize("name", BLOCKS)
def test_every_estimate_has_a_look_that_no_measurement_has(name: str) -> None:
    for style, words in Reader(BLOCKS[name]).spans:
        if "±" in words and "≈" not in words:
            assert "italic" not in style, words
        if words.startswith("≈") and words.endswith("estimated"):
            assert "italic" in style, words
            assert "background" in style, words


def test_an_estimate_differs_from_a_measurement_without_any_style() -> None:
    words = Reader(re.sub(r' style="[^"]*"', ' style=""', BLOCKS["mixed"])).words
    assert "412 ± 21 J measured" in words
    assert "≈ 12 J (6.0–24 J) estimated" in words


def test_grams_of_an_assumed_place_do_not_look_like_a_figure_one_can_defend() -> None:
    looks = {words: style for style, words in Reader(BLOCKS["assumed_place"]).spans}
    assert "italic" in looks["≈ 54 mg (49–60 mg)"]


@pytest.mark.parametrize("name", BLOCKS)
def test_every_colour_variable_of_the_page_has_a_fallback(name: str) -> None:
    for variable in re.findall(r"var\([^)]*\)", BLOCKS[name]):
        assert "," in variable, variable


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", BLOCKS)
def test_nbconvert_keeps_every_word_and_cell_when_it_sanitises(name: str) -> None:
    nbconvert = pytest.importorskip("nbconvert")
    output = nbformat.v4.new_output("display_data", {"text/html": BLOCKS[name]})
    cell = nbformat.v4.new_code_cell("pass", outputs=[output])
    exporter = nbconvert.HTMLExporter(sanitize_html=True, template_name="basic")
    page, _ = exporter.from_notebook_node(nbformat.v4.new_notebook(cells=[cell]))
    plain = Reader(BLOCKS[name]).words
    # Its parser puts a tbody into every table and its filter then shows it as text: that one word
    # is the price of a real table, which GitHub and screen readers need.
    shown = Shown(page).words.replace("<tbody>", "").replace("</tbody>", "")
    assert _squeezed(plain) in _squeezed(shown)
    assert page.count("<td") == BLOCKS[name].count("<td")


class Shown(Reader):
    """A whole page: its text only, as it may leave tags open."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        pass


def _squeezed(words: str) -> str:
    return "".join(words.split())

"""What the user chose to see, and where."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import pytest
from playwright.sync_api import expect

from browser.documents import Gate
from browser.page import CARBON, ENERGY, LOAD, PLUGIN, POWER, Page

Choose = Callable[[Mapping[str, object]], None]


@pytest.fixture
def choose(lab: Page) -> Iterator[Choose]:
    """Stores settings of ours on the server; at the end they are the defaults again."""
    yield lambda settings: lab.server.set_settings(PLUGIN, settings)
    lab.server.set_settings(PLUGIN, {})


def run_one(lab: Page, slug: str, gate: Gate) -> None:
    """Open a notebook in which a cell is running and has been shown."""
    opened = lab.open(lab.server.notebook(f"{slug}.ipynb", [LOAD, gate.cell]))
    opened.run(0)
    opened.start(1)
    lab.frames.wait_for_ours(1, "running")


def test_one_figure_alone_can_be_shown(lab: Page, slug: str, gate: Gate, choose: Choose) -> None:
    choose({"showPower": False, "showEnergy": False})
    run_one(lab, slug, gate)
    expect(lab.item).to_contain_text(CARBON)
    assert not POWER.search(lab.item.inner_text())
    assert not ENERGY.search(lab.item.inner_text())
    gate.open()


def test_it_can_be_in_the_toolbar_of_the_notebook(
    lab: Page, slug: str, gate: Gate, choose: Choose
) -> None:
    choose({"where": "toolbar"})
    run_one(lab, slug, gate)
    expect(lab.toolbar_item).to_contain_text(POWER)
    expect(lab.item).to_be_hidden()
    gate.open()


def test_it_can_be_nowhere_and_then_asks_nothing(
    lab: Page, slug: str, gate: Gate, choose: Choose
) -> None:
    choose({"where": "nowhere"})
    run_one(lab, slug, gate)
    expect(lab.item).to_be_hidden()
    expect(lab.toolbar_item).to_be_hidden()
    gate.open()


def test_a_change_shows_at_once(lab: Page, slug: str, gate: Gate, choose: Choose) -> None:
    run_one(lab, slug, gate)
    expect(lab.item).to_contain_text(POWER)
    lab.change_setting("showPower", False)
    expect(lab.item).not_to_contain_text(POWER)
    expect(lab.item).to_contain_text(CARBON)
    lab.change_setting("where", "nowhere")
    expect(lab.item).to_be_hidden()
    gate.open()

"""Reachable by keyboard, readable by a screen reader, in both themes."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from browser.page import ENERGY, LOAD, Page

pytestmark = pytest.mark.slow

AXE = Path(__file__).resolve().parents[2] / "labextension/node_modules/axe-core/axe.min.js"
TABS = 100  # more than JupyterLab has places to tab to


def test_the_keyboard_reaches_the_item_opens_its_details_and_comes_back(
    lab: Page, slug: str
) -> None:
    opened = lab.open(lab.server.notebook(f"{slug}.ipynb", [LOAD]))
    opened.run(0)
    lab.wait_for_state("idle")
    keyboard = lab.tab.keyboard
    for _ in range(TABS):
        if lab.has_focus():
            break
        keyboard.press("Tab")
    assert lab.has_focus()
    keyboard.press("Enter")
    expect(lab.popup).to_be_visible()
    keyboard.press("Escape")
    expect(lab.popup).to_be_hidden()
    assert lab.has_focus()
    keyboard.press("Enter")
    expect(lab.popup).to_be_visible()
    keyboard.press("Tab")  # goes on behind the item, and leaves nothing open
    expect(lab.popup).to_be_hidden()
    assert not lab.has_focus()
    keyboard.press("Shift+Tab")
    assert lab.has_focus()


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_axe_finds_no_serious_fault_in_what_we_add(lab: Page, slug: str, theme: str) -> None:
    if not AXE.exists():
        pytest.skip("no axe-core: `jlpm install` in labextension/ brings it")
    opened = lab.open(lab.server.notebook(f"{slug}.ipynb", [LOAD, "1"]))
    lab.use_theme(theme)
    lab.tab.add_script_tag(path=AXE)
    faults = lab.axe()
    opened.run(0, 1)
    expect(lab.item).to_contain_text(ENERGY)
    faults += lab.axe()
    lab.item_button.click()
    expect(lab.popup).to_be_visible()
    faults += lab.axe()
    assert faults == []

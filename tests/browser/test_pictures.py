"""Screenshots of each state in both themes, for people to look at, and README's picture."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import expect

from browser.conftest import RESULTS
from browser.page import ENERGY, LOAD, POWER, Gate, Page

PICTURE = os.environ.get("JUPYTER_ENERGY_TEST_PICTURE")
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
HOG = "import ctypes\nctypes.PyDLL(None).sleep(7)"


@pytest.mark.parametrize("theme", THEMES)
def test_pictures_of_every_state(
    lab: Page, measured: str, theme: str, slug: str, gate: Gate, tmp_path: Path
) -> None:
    stuck, second = Gate(tmp_path / "stuck"), Gate(tmp_path / "second")
    folder = RESULTS / "pictures"
    folder.mkdir(parents=True, exist_ok=True)

    def keep(state: str) -> None:
        lab.tab.screenshot(path=folder / f"{state}-{theme}.png")
        lab.item.screenshot(path=folder / f"{state}-{theme}-item.png")

    estimating = lab.open(
        lab.server.notebook(f"{slug}-e.ipynb", [LOAD, gate.cell, f"{stuck.cell}\n{HOG}"])
    )
    lab.use_theme(THEMES[theme])
    lab.wait_for_state("absent")
    keep("not-loaded")
    estimating.run(0)
    estimating.start(1)
    expect(lab.figure("power")).to_have_text(POWER)
    keep("estimated")
    gate.open()
    estimating.wait_until_done(1)
    lab.wait_for_state("idle")
    keep("idle")
    estimating.start(2)
    lab.wait_for_state("running")
    stuck.open()
    lab.wait_for_state("running", stale=True)
    keep("stale")
    estimating.wait_until_done(2)
    measuring = lab.open_beside(
        lab.server.notebook(f"{slug}-m.ipynb", [LOAD, second.cell], measured)
    )
    measuring.run(0)
    measuring.start(1)
    expect(lab.item).to_contain_text(POWER)
    keep("running")
    lab.item_button.click()
    expect(lab.popup).to_be_visible()
    keep("details")
    second.open()
    measuring.wait_until_done(1)


@pytest.mark.skipif(PICTURE is None, reason="JUPYTER_ENERGY_TEST_PICTURE names no file")
def test_the_picture_of_the_readme(lab: Page, measured: str, gate: Gate) -> None:
    cells = [
        LOAD,
        f'%%energy -n "train"\n{gate.cell}',
    ]
    opened = lab.open(lab.server.notebook("digits.ipynb", cells, measured))
    opened.run(0)
    opened.start(1)
    expect(lab.item).to_contain_text(ENERGY)
    lab.tab.screenshot(path=str(PICTURE))
    gate.open()
    opened.wait_until_done(1)

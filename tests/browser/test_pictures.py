"""Screenshots of each state in both themes, for people to look at, and README's picture."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import expect

from browser.conftest import RESULTS
from browser.documents import Gate, Hog
from browser.page import LOAD, POWER, Page

pytestmark = pytest.mark.slow

PICTURE = os.environ.get("JUPYTER_ENERGY_TEST_PICTURE")
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}


@pytest.mark.parametrize("theme", THEMES)
def test_pictures_of_every_state(
    lab: Page, measured: str, theme: str, slug: str, gate: Gate, tmp_path: Path
) -> None:
    stuck, second, hog = Gate(tmp_path / "stuck"), Gate(tmp_path / "second"), Hog(tmp_path / "hog")
    folder = RESULTS / "pictures"
    folder.mkdir(parents=True, exist_ok=True)

    def keep(state: str) -> None:
        lab.tab.screenshot(path=folder / f"{state}-{theme}.png")
        lab.item.screenshot(path=folder / f"{state}-{theme}-item.png")

    estimating = lab.open(
        lab.server.notebook(f"{slug}-e.ipynb", [LOAD, gate.cell, f"{stuck.cell}\n{hog.cell}"])
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
    hog.let_go()
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
def test_the_picture_of_the_readme(lab: Page) -> None:
    imports = """\
%load_ext jupyter_energy
from sklearn.datasets import load_digits
from sklearn.svm import SVC
X, y = load_digits(return_X_y=True)"""
    cells = [
        imports,
        '%%energy -n "one fit"\nSVC(kernel="linear").fit(X, y).score(X, y)',
        '%%energy -n "many fits"\nfor c in range(1, 100):\n    SVC(C=c).fit(X, y).score(X, y)',
    ]
    lab.tab.set_viewport_size({"width": 1000, "height": 580})
    opened = lab.open(lab.server.notebook("digits.ipynb", cells, "python3"))
    lab.use_theme(THEMES["light"])
    lab.command("application:toggle-left-area")
    opened.run(0)
    opened.run(1)
    opened.start(2)
    lab.frames.wait_for(lambda f: f.tells("running") and f.ours["running_s"] > 2)
    expect(lab.figure("power")).to_have_text(POWER)
    lab.tab.screenshot(path=str(PICTURE))
    opened.interrupt()
    opened.wait_until_done(2)

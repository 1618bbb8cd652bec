"""A figure that changes while a cell runs, totals after it, and how each kind of figure looks."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import expect

from browser.conftest import OpenPage
from browser.documents import Gate, Hog
from browser.page import CARBON, ENERGY, LOAD, POWER, Page
from browser.server import LIMIT_S, Server


def test_figures_change_while_a_cell_runs_and_the_totals_stay_after_it(
    everywhere: Server, open_page: OpenPage, slug: str, gate: Gate
) -> None:
    page = open_page(everywhere)
    path = page.server.notebook(f"{slug}.ipynb", [LOAD, gate.cell], "python3")
    opened = page.open(path)
    opened.run(0)
    opened.start(1)
    expect(page.figure("power")).to_have_text(POWER)
    first = page.item.inner_text()
    expect(page.item).not_to_have_text(first)
    assert opened.is_running(1)
    gate.open()
    opened.wait_until_done(1)
    page.wait_for_state("idle")
    expect(page.figure("power")).not_to_have_text(POWER)
    expect(page.figure("energy")).to_have_text(ENERGY)
    expect(page.figure("carbon")).to_have_text(CARBON)


def test_an_estimate_says_so_and_looks_otherwise_than_a_measurement(
    lab: Page, measured: str, slug: str, gate: Gate, tmp_path: Path
) -> None:
    second = Gate(tmp_path / "second")
    estimating = lab.open(lab.server.notebook(f"{slug}-e.ipynb", [LOAD, gate.cell]))
    estimating.run(0)
    estimating.start(1)
    expect(lab.item).to_contain_text(POWER)
    expect(lab.item).to_contain_text("≈")
    estimated_look = lab.look()
    gate.open()
    estimating.wait_until_done(1)
    measuring = lab.open_beside(
        lab.server.notebook(f"{slug}-m.ipynb", [LOAD, second.cell], measured)
    )
    measuring.run(0)
    measuring.start(1)
    expect(lab.figure("power")).to_have_text(re.compile(r"3[78]\d W"))  # the stand-ins: 381 W
    expect(lab.figure("energy")).not_to_contain_text("≈")
    assert lab.look() != estimated_look
    second.open()
    measuring.wait_until_done(1)


def test_what_is_stale_turns_grey_while_a_cell_holds_the_interpreter_and_recovers(
    lab: Page, slug: str, gate: Gate, tmp_path: Path
) -> None:
    then = Gate(tmp_path / "then")
    hog = Hog(tmp_path / "hog")
    held = f"{gate.cell}\n{hog.cell}\n{then.cell}"
    opened = lab.open(lab.server.notebook(f"{slug}.ipynb", [LOAD, held]))
    opened.run(0)
    opened.start(1)
    lab.wait_for_state("running")
    fresh_look = lab.look()
    gate.open()
    lab.wait_for_state("running", stale=True)
    assert opened.is_running(1)
    assert lab.look() != fresh_look
    hog.let_go()
    lab.wait_for_state("running")
    assert opened.is_running(1)
    then.open()
    opened.wait_until_done(1)
    lab.wait_for_state("idle")
    expect(lab.figure("energy")).to_have_text(ENERGY)


def test_a_cell_that_holds_the_interpreter_from_its_first_moment_is_not_called_idle(
    lab: Page, slug: str, tmp_path: Path
) -> None:
    hog = Hog(tmp_path / "hog")
    # That the kernel is busy is told by a thread of ipykernel's, which needs the interpreter, too.
    held = f"import sys; sys.stdout.flush()\n{hog.cell}"
    opened = lab.open(lab.server.notebook(f"{slug}.ipynb", [LOAD, held]))
    opened.run(0)
    lab.wait_until_told()
    opened.start(1)
    lab.wait_for_state("running", stale=True)
    assert opened.is_running(1)
    hog.let_go()
    opened.wait_until_done(1)
    lab.wait_for_state("idle")


def test_a_gpu_that_sleeps_is_said_to_be_asleep(
    lab_server: Server, open_page: OpenPage, asleep: str, slug: str, gate: Gate
) -> None:
    page = open_page(lab_server)
    opened = page.open(lab_server.notebook(f"{slug}.ipynb", [LOAD, gate.cell], asleep))
    opened.run(0)
    opened.start(1)
    expect(page.item).to_contain_text(POWER)
    expect(page.item).to_contain_text("GPU asleep")
    gate.open()
    opened.wait_until_done(1)


# Notes every text of the item, and where it and what lies right of it are drawn.
WATCH_LAYOUT = """
item => {
  const seen = window.seen = {texts: new Set(), boxes: new Set()};
  const next = item.nextElementSibling;
  const note = () => {
    seen.texts.add(item.textContent);
    const [a, b] = [item, next].map(node => node.getBoundingClientRect());
    seen.boxes.add([a.left, a.width, a.height, b.left].join(' '));
  };
  note();
  new MutationObserver(note).observe(item, {subtree: true, childList: true, characterData: true});
}
"""


def test_digits_change_without_the_layout_moving(
    lab: Page, measured: str, slug: str, gate: Gate
) -> None:
    opened = lab.open(lab.server.notebook(f"{slug}.ipynb", [LOAD, gate.cell], measured))
    opened.run(0)
    opened.start(1)
    lab.wait_for_state("running")
    lab.item.evaluate(WATCH_LAYOUT)
    lab.tab.wait_for_function("window.seen.texts.size >= 4", timeout=1000 * LIMIT_S)
    gate.open()
    opened.wait_until_done(1)
    lab.wait_for_state("idle")
    seen = lab.evaluate("({texts: [...seen.texts], boxes: [...seen.boxes]})")
    assert len(seen["boxes"]) == 1, seen

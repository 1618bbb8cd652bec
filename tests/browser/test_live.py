"""The main situation: a figure that changes while a cell runs, and totals after it."""

from __future__ import annotations

from playwright.sync_api import expect

from browser.page import LOAD, Page


def test_the_harness_runs_a_cell_and_finds_the_item(lab: Page, slug: str) -> None:
    path = lab.server.notebook(f"{slug}.ipynb", [LOAD, "print('out')"])
    opened = lab.open(path)
    opened.run(0, 1)
    expect(opened.output(1)).to_have_text("out\n")
    expect(lab.item).to_be_attached()
    print(lab.statuses, [(f.way, f.kind) for f in lab.frames.all])

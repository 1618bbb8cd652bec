"""Whose figures they are: the notebook or console in front, whatever it is called."""

from __future__ import annotations

from playwright.sync_api import expect
from shell import code

from browser.conftest import OpenPage
from browser.documents import Gate
from browser.page import ENERGY, LOAD, POWER, Page
from browser.server import PLAIN, Server

WORK = "import time\ntime.sleep(0.3)"


def test_the_item_follows_the_notebook_in_front(lab: Page, slug: str) -> None:
    first = lab.open(lab.server.notebook(f"{slug}-a.ipynb", [LOAD, WORK]))
    first.run(0, 1)
    expect(lab.item).to_contain_text(ENERGY)
    shown = lab.settled_text(runs=1)
    lab.open_beside(lab.server.notebook(f"{slug}-b.ipynb", ["1"]))
    lab.wait_for_state("absent")
    first.activate()
    expect(lab.item).to_have_text(shown)


def test_the_item_follows_a_console(lab: Page, slug: str) -> None:
    first = lab.open(lab.server.notebook(f"{slug}.ipynb", [LOAD]))
    first.run(0)
    lab.wait_for_state("idle")
    console = lab.open_console(PLAIN)
    lab.wait_for_state("absent")
    console.inject(LOAD)
    console.inject(WORK)
    expect(lab.item).to_contain_text(ENERGY)


def test_a_renamed_notebook_keeps_its_totals_and_they_go_on(lab: Page, slug: str) -> None:
    path = lab.server.notebook("old-name.ipynb", [LOAD, WORK, "%energy", "%energy"])
    opened = lab.open(path)
    opened.run(0, 1, 2)
    expect(opened.output(2)).to_contain_text("1 run of")
    before = lab.settled_text(runs=2)
    renamed = opened.rename("new-name.ipynb")
    expect(lab.item).to_have_text(before)
    lab.frames.wait_for(lambda frame: (frame.ours or {}).get("path") == renamed.path)
    renamed.run(1)
    renamed.run(3)
    expect(renamed.output(3)).to_contain_text("new-name.ipynb")
    expect(renamed.output(3)).to_contain_text("3 runs")


def test_a_rename_in_mid_cell_is_told_when_the_cell_has_ended(
    lab: Page, slug: str, gate: Gate
) -> None:
    opened = lab.open(lab.server.notebook("while-running.ipynb", [LOAD, gate.cell]))
    opened.run(0)
    lab.wait_until_told()
    lab.forget()
    opened.start(1)
    lab.frames.wait_for_ours(1, "running")
    renamed = opened.rename("renamed-while-running.ipynb", busy=True)
    lab.frames.wait_for_ours(3, "running")
    assert lab.frames.asked() == []
    assert lab.statuses == ["busy"]
    gate.open()
    renamed.wait_until_done(1)
    lab.frames.wait_for(lambda f: f.tells("idle") and f.ours.get("path") == renamed.path)
    lab.wait_for_state("idle")


def test_two_notebooks_on_one_kernel_have_each_its_own_totals(lab: Page, slug: str) -> None:
    cells = [code("pass", "other-1"), code("pass", "other-2")]
    first = lab.open(lab.server.notebook(f"{slug}-a.ipynb", [LOAD, WORK]))
    first.run(0)
    lab.wait_until_told()
    first.run(1)
    of_first = lab.settled_text(runs=1)
    second = lab.open_beside(lab.server.notebook(f"{slug}-b.ipynb", cells))
    second.session("await s.changeKernel({id: x})", first.kernel_id)
    lab.wait_for(second.path)
    lab.frames.wait_for(lambda f: f.tells("idle") and f.ours.get("path") == second.path)
    second.run(0, 1)
    of_second = lab.settled_text(runs=2)
    assert of_second != of_first
    first.activate()
    expect(lab.item).to_have_text(of_first)
    first.run(1)
    expect(lab.item).not_to_have_text(of_first)
    expect(lab.item).not_to_have_text(of_second)
    second.activate()
    expect(lab.item).to_have_text(of_second)


def test_a_second_tab_shows_the_same(lab_server: Server, open_page: OpenPage, slug: str) -> None:
    path = lab_server.notebook(f"{slug}.ipynb", [LOAD, WORK])
    first, second = open_page(lab_server), open_page(lab_server)
    opened = first.open(path)
    opened.run(0, 1)
    second.open(path)
    expect(second.item).to_have_text(first.settled_text(runs=1))
    opened.run(1)
    expect(second.item).to_have_text(first.settled_text(runs=2))


def test_a_page_that_is_opened_in_mid_cell_is_live(
    lab_server: Server, open_page: OpenPage, slug: str, gate: Gate
) -> None:
    path = lab_server.notebook(f"{slug}.ipynb", [LOAD, gate.cell])
    first, late = open_page(lab_server), open_page(lab_server)
    opened = first.open(path)
    opened.run(0)
    opened.start(1)
    late.open(path, busy=True)
    late.wait_for_state("running")
    expect(late.figure("power")).to_have_text(POWER)
    assert opened.is_running(1)
    assert late.frames.asked() == []
    gate.open()
    opened.wait_until_done(1)
    late.wait_for_state("idle")
    late.frames.wait_for(lambda frame: frame.way == "sent" and frame.ours is not None)
    expect(late.figure("energy")).to_have_text(ENERGY)

"""Kernels that restart, crash and are left: what the item shows, and that output is whole."""

from __future__ import annotations

from playwright.sync_api import expect

from browser.conftest import OpenPage
from browser.page import ENERGY, LOAD, Gate, Page
from browser.server import Server

WORK = "import time\ntime.sleep(0.3)"
CRASH = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"


def test_after_a_reload_the_totals_are_there_again(lab: Page, slug: str) -> None:
    path = lab.server.notebook(f"{slug}.ipynb", [LOAD, WORK])
    opened = lab.open(path)
    opened.run(0, 1)
    shown = lab.settled_text(runs=1)
    lab.reload(path)
    expect(lab.item).to_have_text(shown)


def test_after_a_reload_in_mid_cell_the_item_is_live_again(
    lab: Page, slug: str, gate: Gate
) -> None:
    path = lab.server.notebook(f"{slug}.ipynb", [LOAD, gate.cell])
    opened = lab.open(path)
    opened.run(0)
    opened.start(1)
    lab.wait_for_state("running")
    lab.reload(path, busy=True)
    lab.wait_for_state("running")
    gate.open()
    lab.wait_for_state("idle")
    expect(lab.figure("energy")).to_have_text(ENERGY)


def test_a_restarted_kernel_starts_anew_in_every_tab_and_the_notebooks_totals_go_on(
    lab_server: Server, open_page: OpenPage, slug: str
) -> None:
    path = lab_server.notebook(f"{slug}.ipynb", [LOAD, WORK])
    lab, other = open_page(lab_server), open_page(lab_server)
    opened = lab.open(path)
    opened.run(0, 1)
    lab.settled_text(runs=1)
    other.open(path)
    expect(other.item).to_contain_text(ENERGY)
    opened.session("await s.session.kernel.restart()")
    lab.wait_for_state("absent")
    other.wait_for_state("absent")
    opened.run(0, 1)
    lab.settled_text(runs=2)
    lab.wait_for_state("idle")
    other.wait_for_state("idle")
    assert lab.frames.ours()[-1]["session"]["runs"] == 1


def test_after_a_crash_and_its_automatic_restart_one_loads_it_again(lab: Page, slug: str) -> None:
    opened = lab.open(lab.server.notebook(f"{slug}.ipynb", [LOAD, CRASH, WORK]))
    opened.run(0)
    lab.wait_for_state("idle")
    opened.start(1)
    dialog = lab.tab.locator(".jp-Dialog")
    dialog.get_by_text("died").wait_for()
    dialog.locator(".jp-mod-accept").click()
    lab.wait_for_state("absent")
    lab.item_button.click()
    lab.wait_for_state("idle")
    opened.run(2)
    expect(lab.figure("energy")).to_have_text(ENERGY)


# Prints while nobody listens, then goes on until the test lets it end.
LINES = 200
PRINT = """
import time
for number in range({lines}):
    print(number, flush=True)
    time.sleep(0.025)
{gate}
print("end")
"""


def test_a_page_that_was_away_in_mid_cell_has_all_output_and_few_messages_of_ours(
    lab: Page, slug: str, gate: Gate
) -> None:
    cell = PRINT.format(lines=LINES, gate=gate.cell)
    opened = lab.open(lab.server.notebook(f"{slug}.ipynb", [LOAD, cell]))
    opened.run(0)
    opened.start(1)
    expect(opened.output(1)).to_contain_text("3\n")
    lab.tab.context.set_offline(True)
    opened.session(CLOSE_SOCKET)
    seen = lab.frames.ours()[-1]
    while not file.exists():
        ...
    lab.frames.clear()
    lab.tab.context.set_offline(False)
    gate.open()
    opened.wait_until_done(1)
    whole = "".join(f"{number}\n" for number in range(LINES)) + "end\n"
    expect(opened.output(1)).to_have_text(whole)
    assert len(lab.frames.ours()) <= 10
    expect(lab.item).to_contain_text(ENERGY)

"""Kernels that restart, crash and are left: what the item shows, and that output is whole."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from browser.cable import Cable, cable_to
from browser.conftest import OpenPage
from browser.documents import Gate
from browser.page import ENERGY, FIND, LOAD, Page
from browser.server import Server

pytestmark = pytest.mark.slow

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


def test_a_kernel_that_is_restarted_in_mid_cell_leaves_nothing_of_its_last_words(
    lab: Page, slug: str, tmp_path: Path
) -> None:
    path = lab.server.notebook(f"{slug}.ipynb", [LOAD, Gate(tmp_path / "never").cell])
    opened = lab.open(path)
    for _ in range(4):  # its last words come before or after the page says that it restarts
        opened.run(0)
        opened.start(1)
        lab.wait_for_state("running")
        opened.session("await s.session.kernel.restart(); await s.session.kernel.info")
        lab.wait_for_state("absent")


def test_after_a_crash_and_its_automatic_restart_one_loads_it_again(lab: Page, slug: str) -> None:
    opened = lab.open(lab.server.notebook(f"{slug}.ipynb", [LOAD, CRASH, WORK]))
    opened.run(0)
    lab.wait_for_state("idle")
    opened.begin(1)  # its kernel, and with it its prompt, may be gone before one looks
    dialog = lab.tab.locator(".jp-Dialog")
    dialog.get_by_text("died").wait_for()
    dialog.locator(".jp-mod-accept").click()
    lab.wait_for_state("absent")
    lab.frames.clear()
    lab.item_button.click()
    lab.wait_until_told()
    opened.execute(FIND, silent=True)
    opened.run(2)
    expect(lab.figure("energy")).to_have_text(ENERGY)


# Prints when the test says so, tells when it has, then goes on until the test lets it end.
LINES = 200
PRINT = """
print("start")
{away}
for number in range({lines}):
    print(number, flush=True)
    time.sleep(0.02)
pathlib.Path({printed!r}).touch()
{gate}
print("end")
"""


@pytest.fixture
def cable(lab_server: Server) -> Iterator[Cable]:
    with cable_to(lab_server) as plugged:
        yield plugged


def test_a_page_that_was_away_in_mid_cell_has_all_output_and_few_messages_of_ours(
    lab_server: Server, cable: Cable, open_page: OpenPage, slug: str, gate: Gate, tmp_path: Path
) -> None:
    away, printed = Gate(tmp_path / "away"), tmp_path / "printed"
    cell = PRINT.format(away=away.cell, lines=LINES, printed=str(printed), gate=gate.cell)
    lab = open_page(cable.server)
    opened = lab.open(lab.server.notebook(f"{slug}.ipynb", [LOAD, cell]))
    opened.run(0)
    lab.wait_until_told()
    opened.start(1)
    expect(opened.output(1)).to_have_text("start\n")
    left_s = time.monotonic()
    cable.pull()
    # before a server has seen that a page is gone, what it sends there is lost
    lab.wait_until(lambda: lab_server.connections(opened.kernel_id) == 0)
    lab.frames.clear()
    away.open()
    lab.wait_until(printed.exists)
    expect(opened.output(1)).to_have_text("start\n")
    assert lab.frames.all == []
    cable.plug()
    lab.command("notebook:reconnect-to-kernel")  # JupyterLab would by itself, some seconds later
    opened.wait_for_connection("connected")
    gate.open()
    opened.wait_until_done(1)
    whole = "".join(f"{number}\n" for number in range(LINES))
    expect(opened.output(1)).to_have_text(f"start\n{whole}end\n")
    lab.settled_text(runs=1)
    assert len(lab.frames.ours()) <= time.monotonic() - left_s + 5
    lab.forgive("net::ERR_", "WebSocket")  # what the browser says of a cable that is pulled

"""What is not sent: nothing while no cell runs, no status that flips, no flood."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from browser.documents import Gate
from browser.page import ENERGY, LOAD, POWER, Page
from jupyter_energy.live import BURST, QUIET_S

pytestmark = pytest.mark.slow

# Longer than any pause of ours between two messages: 1 s, in a cell's first ten minutes.
QUIET_MS = 5000
MANY = 1000


def test_an_idle_kernel_says_nothing_is_asked_nothing_and_stays_idle_to_its_culler(
    lab: Page, slug: str
) -> None:
    opened = lab.open(lab.server.notebook(f"{slug}.ipynb", [LOAD, "1 + 1"]))
    opened.run(0)
    lab.wait_until_told()
    opened.run(1)
    lab.settled_text(runs=1)
    expect(lab.figure("energy")).to_have_text(ENERGY)
    lab.frames.wait_until_done()
    active = lab.server.last_activity(opened.kernel_id)
    lab.frames.clear()
    lab.tab.wait_for_timeout(QUIET_MS)
    assert lab.frames.all == []
    assert lab.server.last_activity(opened.kernel_id) == active
    opened.run(1)
    assert lab.server.last_activity(opened.kernel_id) > active


def test_the_kernels_indicator_does_not_flip_while_a_cell_runs(
    lab: Page, slug: str, gate: Gate
) -> None:
    opened = lab.open(lab.server.notebook(f"{slug}.ipynb", [LOAD, gate.cell]))
    opened.run(0)
    lab.wait_until_told()
    lab.forget()
    opened.start(1)
    lab.frames.wait_for_ours(4, "running")
    expect(lab.figure("power")).to_have_text(POWER)
    assert lab.statuses == ["busy"]
    gate.open()
    opened.wait_until_done(1)
    lab.settled_text(runs=1)
    lab.frames.wait_until_done()
    assert lab.statuses == ["busy", "idle"]
    assert lab.frames.sent() == ["execute_request"]


def test_a_thousand_cells_in_a_row_make_no_flood_and_lose_no_output(lab: Page, slug: str) -> None:
    opened = lab.open(lab.server.notebook(f"{slug}.ipynb", [LOAD]))
    opened.run(0)
    lab.wait_until_told()
    lab.frames.clear()
    told = opened.session(RUN_MANY, MANY)
    assert told["text"] == "".join(f"{number}\n" for number in range(MANY))
    lab.settled_text(runs=MANY)
    ours = lab.frames.ours()
    # What the pace allows where cells come with gaps, as on a busy machine (tests/test_live.py).
    assert len(ours) <= BURST + 1 + 1.5 * (told["took_s"] + QUIET_S)


# Cells as fast as a page can send them; what they print, in order, and how long it took.
RUN_MANY = """
const kernel = s.session.kernel;
const began_ms = performance.now();
let text = '';
const futures = Array.from({length: x}, (_, number) => {
  const future = kernel.requestExecute({code: `print(${number})`});
  future.onIOPub = message => { text += message.content.text ?? ''; };
  return future.done;
});
await Promise.all(futures);
return {text, took_s: (performance.now() - began_ms) / 1000};
"""

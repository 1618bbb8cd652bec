"""What the page costs: from the kernel's sending to the figure on screen, code, time when idle.

In Chromium with JupyterLab of the environment that runs this, driven as the browser tests drive
it. The idle page is measured with the extension and without (disabled as users disable it), in
turns, so both meet the same machine.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common import ROOT, Row

sys.path.insert(0, str(ROOT / "tests"))

from browser.documents import Gate
from browser.page import LOAD, Page
from browser.server import Server, chromium, serving
from playwright.sync_api import Browser, sync_playwright

NAME = "page"
MESSAGES = 60
IDLE_S = 10
TURNS = 4
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]

# From each message's own date to the frame in which the item has changed, in ms.
WATCH = """
const kernel = s.session.kernel;
const took = window.took_ms = [];
let sent_ms = null;
kernel.iopubMessage.connect((_, message) => {
  if (message.content.comm_id === 'jupyter-energy' && message.content.data.state === 'running') {
    sent_ms = new Date(message.header.date).getTime();
  }
});
new MutationObserver(() => {
  const began_ms = sent_ms;
  sent_ms = null;
  if (began_ms !== null) {
    requestAnimationFrame(() => took.push(Date.now() - began_ms));
  }
}).observe(document.querySelector('#jp-main-statusbar .jp-EnergyItem'), {
  subtree: true, childList: true, characterData: true, attributes: true
});
"""
EAGER = """
performance.getEntriesByType('resource')
  .filter(entry => entry.name.includes('/extensions/jupyter-energy/'))
  .filter(entry => entry.name.includes('.js'))
  .map(entry => entry.decodedBodySize)
"""


def run() -> list[Row]:
    """The rows of the table."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=OPTIONS)
        with serving(sys.executable, Path(folder) / "server") as server:
            rows = [
                *_running(browser, server, Gate(Path(folder) / "open")),
                *_idle(browser, server),
            ]
        browser.close()
    return rows


@contextmanager
def _page(browser: Browser, server: Server, workspace: str) -> Iterator[Page]:
    with browser.new_context(viewport={"width": 1280, "height": 720}) as context:
        yield Page(context.new_page(), server, workspace)
    server.end_kernels()


def _running(browser: Browser, server: Server, gate: Gate) -> Iterator[Row]:
    with _page(browser, server, "running") as page:
        opened = page.open(server.notebook("running.ipynb", [LOAD, gate.cell]))
        eager = page.tab.evaluate(EAGER)
        opened.run(0)
        page.wait_until_told()
        opened.session(WATCH)
        opened.start(1)
        count = f"window.took_ms.length >= {MESSAGES}"
        page.tab.wait_for_function(count, timeout=3000 * MESSAGES)
        took_ms: list[float] = page.tab.evaluate("window.took_ms")
        gate.open()
        opened.wait_until_done(1)
    cuts = statistics.quantiles(took_ms, n=20, method="inclusive")
    figures = {"p50": statistics.median(took_ms), "p95": cuts[18], "max": max(took_ms)}
    yield Row("sent by the kernel, then on screen (aim: p95)", "ms", figures, 150)
    yield Row("JavaScript that a page loads of ours", "kB", {"size": sum(eager) / 1000}, 60)


def _idle(browser: Browser, server: Server) -> Iterator[Row]:
    path = server.notebook("idle.ipynb", [LOAD, "1"])
    spent: dict[str, list[dict[str, float]]] = {"with": [], "without": []}
    for turn in range(TURNS):
        for kind, found in spent.items():
            _enable(server, kind == "with")
            with _page(browser, server, f"{kind}-{turn}") as page:
                opened = page.open(path)
                opened.run(0, 1)
                page.tab.wait_for_timeout(5000)  # until JupyterLab itself has come to rest
                found.append(_spent_ms(page))
    _enable(server, True)
    for name in ("TaskDuration", "ScriptDuration"):
        took = {kind: [one[name] for one in found] for kind, found in spent.items()}
        medians = {kind: statistics.median(values) for kind, values in took.items()}
        # between pages that are the same: a difference below it is none that one could measure
        spread = max(took["without"]) - min(took["without"])
        ratio = medians["with"] / medians["without"]
        figures = {**medians, "spread": spread, "ratio": ratio}
        yield Row(f"{name} of an idle page in {IDLE_S} s", "ms", figures)


def _enable(server: Server, enabled: bool) -> None:
    """Switch the extension on or off for pages opened from now on."""
    file = server.folder / "home" / "jupyter" / "labconfig" / "page_config.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"disabledExtensions": {"jupyter-energy": not enabled}}))


def _spent_ms(page: Page) -> dict[str, float]:
    """What the page's main thread spent within some idle seconds, in ms."""
    session = page.tab.context.new_cdp_session(page.tab)
    session.send("Performance.enable")

    def now_ms() -> dict[str, float]:
        metrics: list[dict[str, Any]] = session.send("Performance.getMetrics")["metrics"]
        return {metric["name"]: 1000 * metric["value"] for metric in metrics}

    before_ms = now_ms()
    page.tab.wait_for_timeout(1000 * IDLE_S)
    after_ms = now_ms()
    return {name: after_ms[name] - before_ms[name] for name in ("TaskDuration", "ScriptDuration")}

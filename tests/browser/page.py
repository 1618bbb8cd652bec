"""A page of JupyterLab or Notebook 7: its notebooks, driven by commands, and our item on it.

Commands instead of clicks and keys, except where a click or a key is what is tested; waiting for
events, never for time.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, expect
from playwright.sync_api import Page as BrowserPage

from browser.frames import Frames
from browser.server import LIMIT_S, Server

LIMIT_MS = 1000 * LIMIT_S
LOAD = "%load_ext jupyter_energy"
RUNNING = "[*]:"
_DONE = re.compile(r"\[\d+\]:")

# In every page before its own code: what the tests call there, and a log of kernel statuses.
_HELPERS = """
window.harness = {
  statuses: [],
  widgets: () => [...(window.jupyterapp?.shell?.widgets('main') ?? [])],
  panel(path) {
    return this.widgets().find(w => (w.context?.path ?? w.sessionContext?.path) === path);
  },
  async ready(path, busy) {
    await window.jupyterapp.restored;
    const panel = this.panel(path);
    await panel.context?.ready;
    await panel.sessionContext.ready;
    if (!busy) {
      // a kernel answers this only when it is idle
      await panel.sessionContext.session?.kernel?.info;
    }
    if (!panel.harnessed) {
      panel.harnessed = true;
      panel.sessionContext.statusChanged.connect((_, status) => this.statuses.push(status));
    }
  },
  async run(path, index) {
    const panel = this.panel(path);
    window.jupyterapp.shell.activateById(panel.id);
    panel.content.activeCellIndex = index;
    panel.content.deselectAll();
    await panel.content.activeCell.ready;
    void window.jupyterapp.commands.execute('notebook:run-cell');
  },
};
"""


class Gate:
    """A cell that runs until `open` is called."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.cell = (
            "import pathlib, time\n"
            f"while not pathlib.Path({str(file)!r}).exists():\n"
            "    time.sleep(0.02)"
        )

    def open(self) -> None:
        """Let the cell end."""
        self._file.touch()


class Page:
    """One tab of the browser with JupyterLab or Notebook 7 in it.

    `frames` is all that passes between it and its kernels; `errors` all that went wrong in it.
    """

    def __init__(self, tab: BrowserPage, server: Server, workspace: str) -> None:
        self.tab, self.server, self.workspace = tab, server, workspace
        tab.set_default_timeout(LIMIT_MS)
        self.errors: list[str] = []
        tab.on("pageerror", lambda error: self.errors.append(f"{error.name}: {error.message}"))
        tab.on("console", self._note)
        self.frames = Frames(tab)
        tab.add_init_script(_HELPERS)

    def open(self, path: str, *, busy: bool = False) -> Notebook:
        """Load the page with this notebook; it is ready, and so is its kernel if it has one.

        `busy`: its kernel runs a cell, so it cannot tell that it is ready.
        """
        self.tab.goto(self.server.page_url(path, self.workspace))
        return self.wait_for(path, busy=busy)

    def open_beside(self, path: str, **how: Any) -> Notebook:
        """Open another notebook in the same page, in front."""
        self.command("docmanager:open", {"path": path, "factory": "Notebook", **how})
        return self.wait_for(path)

    def reload(self, path: str, *, busy: bool = False) -> Notebook:
        """Load the page again; the notebook in it is ready."""
        self.tab.reload()
        return self.wait_for(path, busy=busy)

    def wait_for(self, path: str, *, busy: bool = False) -> Notebook:
        """The notebook or console of this path, once it and its kernel are ready."""
        self.tab.wait_for_function("path => window.harness.panel(path)?.sessionContext", arg=path)
        self.tab.evaluate("([path, busy]) => window.harness.ready(path, busy)", [path, busy])
        return Notebook(self, path)

    def command(self, name: str, arguments: object = None) -> None:
        """Execute one of the application's commands and wait for its end."""
        self.tab.evaluate(
            "([name, args]) => window.jupyterapp.commands.execute(name, args).then(() => null)",
            [name, arguments or {}],
        )

    @property
    def item(self) -> Locator:
        """Our item: in the status bar of JupyterLab, in the toolbar of Notebook 7."""
        place = "#jp-main-statusbar" if self.server.app == "lab" else ".jp-NotebookPanel-toolbar"
        return self.tab.locator(f"{place} .jp-EnergyItem")

    @property
    def statuses(self) -> list[str]:
        """The kernel statuses that JupyterLab saw since the notebook was ready, in order."""
        found: list[str] = self.tab.evaluate("window.harness.statuses")
        return found

    def forget(self) -> None:
        """Start the frames and the statuses anew."""
        self.tab.evaluate("window.harness.statuses.length = 0")
        self.frames.clear()

    def _note(self, message: Any) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text} ({message.location.get('url', '')})")


class Notebook:
    """A notebook that is open in a page."""

    def __init__(self, page: Page, path: str) -> None:
        self.page, self.path = page, path

    def start(self, index: int) -> None:
        """Run a cell; it runs when this returns, or has already ended."""
        before = self.prompt(index).inner_text()
        self.page.tab.evaluate("([path, i]) => window.harness.run(path, i)", [self.path, index])
        expect(self.prompt(index)).not_to_have_text(before, timeout=LIMIT_MS)

    def run(self, *indices: int) -> None:
        """Run cells one after the other, each to its end."""
        for index in indices:
            self.start(index)
            self.wait_until_done(index)

    def wait_until_done(self, index: int) -> None:
        """Wait until the prompt shows the number of the run."""
        expect(self.prompt(index)).to_have_text(_DONE, timeout=LIMIT_MS)

    def is_running(self, index: int) -> bool:
        """Whether the prompt shows the star of a cell that runs."""
        return self.prompt(index).inner_text() == RUNNING

    def prompt(self, index: int) -> Locator:
        """The prompt of a cell."""
        return self._cells.nth(index).locator(".jp-InputPrompt")

    def output(self, index: int) -> Locator:
        """The output of a cell."""
        return self._cells.nth(index).locator(".jp-OutputArea-output")

    def activate(self) -> None:
        """Bring it to the front, as a click on its tab does."""
        self.page.tab.evaluate(
            "path => jupyterapp.shell.activateById(window.harness.panel(path).id)", self.path
        )

    def session(self, code: str, argument: object = None) -> Any:
        """What JavaScript makes of the notebook's session context, `s` in the code; awaited."""
        return self.page.tab.evaluate(
            f"async ([path, x]) => {{ const s = harness.panel(path).sessionContext; {code} }}",
            [self.path, argument],
        )

    @property
    def kernel_id(self) -> str:
        """The id of its kernel."""
        found: str = self.session("return s.session.kernel.id")
        return found

    def execute(self, code: str, *, silent: bool = False) -> None:
        """Run code in its kernel, not as a cell; wait for its end."""
        self.session(
            "await s.session.kernel.requestExecute({code: x.code, silent: x.silent}).done",
            {"code": code, "silent": silent},
        )

    @property
    def _cells(self) -> Locator:
        # the id of the panel, because a page may hold several notebooks
        panel = self.page.tab.evaluate("path => window.harness.panel(path).id", self.path)
        return self.page.tab.locator(f"[id='{panel}'] .jp-Notebook .jp-CodeCell")

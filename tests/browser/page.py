"""A page of JupyterLab or Notebook 7: its notebooks, driven by commands, and our item on it.

Commands instead of clicks and keys, except where a click or a key is what is tested; waiting for
events, never for time.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Error, Locator, expect
from playwright.sync_api import Page as BrowserPage

from browser.documents import Console, Notebook
from browser.frames import Frames
from browser.server import LIMIT_S, Server

LIMIT_MS = round(1000 * LIMIT_S)
# A cell is kept waiting for sensors that are still being looked for, but not for long: on a busy
# machine the first one would be without figures.
FIND = f"""
from jupyter_energy.magics import loaded_in
assert loaded_in(get_ipython()).monitor.sampler.wait_until_found({LIMIT_S})"""
LOAD = f"%load_ext jupyter_energy{FIND}"
PLUGIN = "jupyter-energy:plugin"
# A power, an energy, grams: numbers with their units. An idle kernel has no power.
POWER = re.compile(r"\d\s(m|k)?W(?!h)")
ENERGY = re.compile(r"\d\s((µ|m|k)?J|k?Wh)")
CARBON = re.compile(r"\d\s(µ|m|k)?g")
expect.set_options(timeout=LIMIT_MS)

# In every page before its own code: what the tests call there, and a log of kernel statuses.
_HELPERS = """
const ASK_AGAIN_MS = 10000;
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
      await this.answered(panel.sessionContext);
    }
    if (!panel.harnessed) {
      panel.harnessed = true;
      panel.sessionContext.statusChanged.connect((_, status) => this.statuses.push(status));
    }
  },
  // A kernel answers what it is only when it is idle. JupyterLab asks once on each connection, and
  // never again where the question or the answer is lost, or the kernel's restart drops both. Of
  // several questions the last counts: what comes of the others has come before.
  async answered(context) {
    const kernel = () => context.session?.kernel;
    for (let asked = kernel()?.info; asked; asked = kernel()?.requestKernelInfo()) {
      const later = new Promise(done => setTimeout(done, ASK_AGAIN_MS));
      if (await Promise.race([asked.then(told => told ?? later, () => later), later])) {
        return;
      }
    }
  },
  // What a test asks of the page; Playwright itself would wait for its answer for ever.
  async within(limitMs, answer) {
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no answer in ${limitMs} ms`)), limitMs);
    });
    return Promise.race([answer, late]).finally(() => clearTimeout(timer));
  },
  async run(path, index) {
    const panel = this.panel(path);
    window.jupyterapp.shell.activateById(panel.id);
    panel.content.activeCellIndex = index;
    panel.content.deselectAll();
    const cell = panel.content.activeCell;
    await cell.ready;
    // The number of a run before may be that of this one, as after a restart.
    cell.model.executionCount = null;
    void window.jupyterapp.commands.execute('notebook:run-cell');
  },
};
"""


# As the settings editor does it: by the registry, which no token of a test's own reaches.
_CHANGE_SETTING = """
async ([plugin, name, value]) => {
  const services = (jupyterapp.pluginRegistry ?? jupyterapp)._services;
  const token = [...services.keys()].find(t => t.name.endsWith(':ISettingRegistry'));
  const registry = await jupyterapp.resolveRequiredService(token);
  await registry.set(plugin, name, value);
}
"""
_LOOK = """
button => {
  const {fontStyle, textDecorationLine} =
    getComputedStyle(button.querySelector('[data-figure="power"] .jp-EnergyItem-text'));
  return {opacity: getComputedStyle(button).opacity, fontStyle, textDecorationLine};
}
"""
_AXE = """
async () => {
  const parts = ['.jp-EnergyItem', '.jp-EnergyPanel'].filter(p => document.querySelector(p));
  const {violations} = await axe.run({include: parts});
  return violations
    .filter(v => ['serious', 'critical'].includes(v.impact))
    .map(v => `${v.id}: ${v.help}: ${v.nodes.map(n => n.html).join(' ')}`);
}
"""


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

    def evaluate(self, code: str, argument: object = None) -> Any:
        """What an expression in the page gives, or a function that gets `argument`; awaited.

        Raises Playwright's Error with "no answer" where that takes longer than LIMIT_S.
        """
        bounded = f"""async argument => {{
            const asked = ({code});
            const answer = typeof asked === 'function' ? asked(argument) : asked;
            return await window.harness.within({LIMIT_MS}, answer);
        }}"""
        return self.tab.evaluate(bounded, argument)

    def open(self, path: str, *, busy: bool = False) -> Notebook:
        """Load the page with this notebook; it is ready, and so is its kernel if it has one.

        `busy`: its kernel runs a cell, so it cannot tell that it is ready.
        """
        address = self.server.page_url(path, self.workspace)
        try:
            self.tab.goto(address)
        except Error as error:
            # Seen once in some hundred runs, of a server that had said where it listens.
            if "ERR_CONNECTION_REFUSED" not in error.message:
                raise
            self.tab.wait_for_timeout(1000)
            self.tab.goto(address)
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
        self.evaluate("([path, busy]) => window.harness.ready(path, busy)", [path, busy])
        return Notebook(self, path)

    def command(self, name: str, arguments: object = None) -> None:
        """Execute one of the application's commands and wait for its end."""
        self.evaluate(
            "([name, args]) => window.jupyterapp.commands.execute(name, args).then(() => null)",
            [name, arguments or {}],
        )

    @property
    def item(self) -> Locator:
        """Our item: in the status bar of JupyterLab, in the toolbar of Notebook 7."""
        place = "#jp-main-statusbar" if self.server.app == "lab" else ".jp-NotebookPanel-toolbar"
        return self.tab.locator(f"{place} .jp-EnergyItem")

    @property
    def toolbar_item(self) -> Locator:
        """Our item in the toolbar of the notebook."""
        return self.tab.locator(".jp-NotebookPanel-toolbar .jp-EnergyItem")

    @property
    def item_button(self) -> Locator:
        """What of the item takes a click and the focus."""
        return self.item.locator(".jp-EnergyItem-button")

    def figure(self, name: str) -> Locator:
        """One figure of the item: "power", "energy" or "carbon"."""
        return self.item.locator(f"[data-figure='{name}']")

    def wait_for_state(self, state: str, *, stale: bool = False) -> None:
        """Wait until the item is in a state: "running", "idle", "absent", … (see item.tsx)."""
        expect(self.item_button).to_have_attribute("data-state", state)
        expect(self.item_button).to_have_attribute("data-stale", "true" if stale else "false")

    @property
    def popup(self) -> Locator:
        """What a click on the item opens."""
        return self.tab.locator(".jp-EnergyPanel")

    def has_focus(self) -> bool:
        """Whether the keyboard's focus is on our item."""
        found: bool = self.item_button.evaluate("button => button === document.activeElement")
        return found

    def hint(self) -> str:
        """The item's tooltip."""
        return self.item_button.get_attribute("title") or ""

    def wait_for_hint(self, text: str) -> None:
        """Wait until the item's tooltip says this."""
        expect(self.item_button).to_have_attribute(
            "title", re.compile(re.escape(text), re.IGNORECASE)
        )

    def look(self) -> dict[str, str]:
        """How the item's power is drawn, apart from what it says."""
        found: dict[str, str] = self.item_button.evaluate(_LOOK)
        return found

    def settled_text(self, runs: int) -> str:
        """What the item says once the kernel has told of so many runs in all and is idle."""
        self.frames.wait_for(lambda f: f.tells("idle") and f.ours["notebook"]["runs"] == runs)
        told = re.compile(rf"All recorded time, {runs} runs? in")
        expect(self.item_button).to_have_attribute("title", told)
        self.wait_for_state("idle")
        return self.item.text_content() or ""

    def wait_until_told(self) -> None:
        """Wait until the kernel, which has just loaded the extension, has answered our hello."""
        self.wait_for_state("idle")
        self.frames.wait_for(lambda f: f.tells("idle") and f.ours.get("path") is not None)
        self.frames.wait_until_done()

    def open_console(self, kernel: str) -> Console:
        """A new console in front, with a kernel of its own."""
        self.command("console:create", {"kernelPreference": {"name": kernel}, "activate": True})
        path = self.evaluate("harness.widgets().find(w => w.console).sessionContext.path")
        self.wait_for(path)
        return Console(self, path)

    def use_theme(self, theme: str) -> None:
        """Change the theme, and wait until it is drawn."""
        self.command("apputils:change-theme", {"theme": theme})
        light = "true" if theme.endswith("Light") else "false"
        expect(self.tab.locator("body")).to_have_attribute("data-jp-theme-light", light)
        expect(self.tab.locator("#jupyterlab-splash")).to_have_count(0)  # it covers the change

    def change_setting(self, name: str, value: object) -> None:
        """Change a setting of ours while the page is open, as the settings editor does."""
        self.evaluate(_CHANGE_SETTING, [PLUGIN, name, value])

    def axe(self) -> list[str]:
        """The serious and critical faults that axe-core finds in what we add."""
        found: list[str] = self.evaluate(_AXE)
        return found

    @property
    def statuses(self) -> list[str]:
        """The kernel statuses that JupyterLab saw since the notebook was ready, in order."""
        found: list[str] = self.evaluate("window.harness.statuses")
        return found

    def forget(self) -> None:
        """Start the frames and the statuses anew."""
        self.evaluate("window.harness.statuses.length = 0")
        self.frames.clear()

    def forgive(self, *parts: str) -> None:
        """Forget errors that the test itself brought about: those with one of these texts."""
        self.errors = [e for e in self.errors if not any(part in e for part in parts)]

    def wait_until(self, holds: Callable[[], bool]) -> None:
        """Wait for something that happens outside of the page and tells nobody."""
        deadline_s = time.monotonic() + LIMIT_S
        while not holds():
            assert time.monotonic() < deadline_s
            self.tab.wait_for_timeout(20)

    def _note(self, message: Any) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text} ({message.location.get('url', '')})")

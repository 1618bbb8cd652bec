"""What is open in a page: notebooks, consoles, and a cell that runs until it is let go."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playwright.sync_api import Locator, expect

if TYPE_CHECKING:
    from browser.page import Page

RUNNING, NEVER_RUN = "[*]:", "[ ]:"
_DONE = re.compile(r"\[\d+\]:")


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


class Hog:
    """A cell that holds the interpreter until `let_go` is called: no thread in the kernel runs.

    So does C code that never lets go of it; this waits for somebody to write to a named pipe.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        os.mkfifo(file)
        self.cell = f"import ctypes\nctypes.PyDLL(None).open({str(file)!r}.encode(), {os.O_RDONLY})"

    def let_go(self) -> None:
        """Let the cell end. The pipe stays open: the cell may be so slow that it only comes now."""
        os.open(self._file, os.O_RDWR)  # for writing alone, it would wait for a reader


class Notebook:
    """A notebook that is open in a page."""

    def __init__(self, page: Page, path: str) -> None:
        self.page, self.path = page, path

    def start(self, index: int) -> None:
        """Run a cell; it runs when this returns, or has already ended."""
        self.begin(index)
        expect(self.prompt(index)).not_to_have_text(NEVER_RUN)

    def begin(self, index: int) -> None:
        """Have a cell run, as `start`, and wait for nothing."""
        self.page.evaluate("([path, i]) => window.harness.run(path, i)", [self.path, index])

    def run(self, *indices: int) -> None:
        """Run cells one after the other, each to its end."""
        for index in indices:
            self.start(index)
            self.wait_until_done(index)

    def wait_until_done(self, index: int) -> None:
        """Wait until the prompt shows the number of the run."""
        expect(self.prompt(index)).to_have_text(_DONE)

    def interrupt(self) -> None:
        """Press the button that interrupts the kernel."""
        self.session("await s.session.kernel.interrupt()")

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
        self.page.evaluate(
            "path => jupyterapp.shell.activateById(window.harness.panel(path).id)", self.path
        )

    def session(self, code: str, argument: object = None) -> Any:
        """What JavaScript makes of the notebook's session context, `s` in the code; awaited."""
        return self.page.evaluate(
            f"async ([path, x]) => {{ const s = harness.panel(path).sessionContext; {code} }}",
            [self.path, argument],
        )

    def rename(self, path: str, *, busy: bool = False) -> Notebook:
        """Give the file another name, as the file browser does; the notebook follows."""
        self.page.evaluate(
            "([a, b]) => jupyterapp.serviceManager.contents.rename(a, b).then(() => null)",
            [self.path, path],
        )
        return self.page.wait_for(path, busy=busy)

    def wait_for_connection(self, status: str) -> None:
        """Wait until JupyterLab says that of its connection to the kernel."""
        self.page.tab.wait_for_function(
            "([path, status]) =>"
            " harness.panel(path).sessionContext.session.kernel.connectionStatus === status",
            arg=[self.path, status],
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
        panel = self.page.evaluate("path => window.harness.panel(path).id", self.path)
        return self.page.tab.locator(f"[id='{panel}'] .jp-Notebook .jp-CodeCell")


class Console:
    """A console that is open in a page."""

    def __init__(self, page: Page, path: str) -> None:
        self.page, self.path = page, path

    def inject(self, code: str) -> None:
        """Run code in it, to its end."""
        self.page.evaluate(
            "([path, code]) => harness.panel(path).console.inject(code)", [self.path, code]
        )

"""Servers shared by all browser tests, and a page of its own for each."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from kernels import lab_pythons
from playwright.sync_api import Browser, Error, sync_playwright
from standins import FakeNvml, build_nvml
from standins.powercap import FakePowercap

from browser.documents import Gate
from browser.page import Page
from browser.server import LIMIT_S, Server, chromium, serving

ROOT = Path(__file__).resolve().parents[2]
# Screenshots that are asked for, and what is left of a test that failed; git ignores it.
RESULTS = ROOT / "test-results"
OPTIONS = [
    "--no-sandbox",  # which root, as in most containers, cannot have
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
OpenPage = Callable[..., Page]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests here, and skip them where there is no browser. What they wait for, and not
    the limit of all tests, tells what hangs."""
    here = [item for item in items if Path(__file__).parent in item.path.parents]
    for item in here:
        item.add_marker(pytest.mark.browser)
        item.add_marker(pytest.mark.timeout(4 * LIMIT_S))
        if chromium() is None:
            item.add_marker(pytest.mark.skip(reason="no chromium on this machine"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Let fixtures know, when they end, whether their test failed."""
    report = yield
    if report.failed:
        item.stash[FAILED] = True
    return report


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test that takes `everywhere` runs once in each application."""
    if "everywhere" in metafunc.fixturenames:
        names = ["lab", "notebook", *lab_pythons()]
        metafunc.parametrize("everywhere", names, indirect=True, scope="package")


FAILED = pytest.StashKey[bool]()


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Debian's Chromium. Ends with these tests: Playwright keeps an event loop running in the
    main thread, and others have their own."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium(), args=OPTIONS)
        yield started
        started.close()


@pytest.fixture(scope="package")
def lab_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """JupyterLab of the environment that runs the tests; no sensors."""
    with serving(sys.executable, tmp_path_factory.mktemp("lab") / "server") as server:
        yield server


@pytest.fixture(scope="package")
def notebook_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Notebook 7 of the environment that runs the tests; no sensors."""
    folder = tmp_path_factory.mktemp("notebook") / "server"
    with serving(sys.executable, folder, "notebook") as server:
        yield server


@pytest.fixture(scope="package")
def everywhere(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Each application in turn: the newest JupyterLab, Notebook 7, older JupyterLabs."""
    if request.param in ("lab", "notebook"):
        yield request.getfixturevalue(f"{request.param}_server")
        return
    python = str(lab_pythons()[request.param])
    with serving(python, tmp_path_factory.mktemp(request.param) / "server") as server:
        yield server


@pytest.fixture(scope="package")
def measured(lab_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A kernel on a machine with sensors for all: NVIDIA's driver, counters of CPU and memory."""
    folder = tmp_path_factory.mktemp("measured")
    nvml = FakeNvml(build_nvml(folder), folder)
    nvml.set('gpu 0 uuid=GPU-a name="NVIDIA H100 80GB HBM3" mode=clock power_mw=312000')
    powercap = FakePowercap(folder / "sys")
    powercap.zone("package-0", "intel-rapl:0")
    powercap.zone("dram", "intel-rapl:0:0")
    with powercap.run({"intel-rapl:0": 65.0, "intel-rapl:0:0": 4.0}):
        environ = {**nvml.environ, "JUPYTER_ENERGY_SYSFS": str(folder / "sys")}
        yield lab_server.add_kernel("measured", environ)


@pytest.fixture
def asleep(lab_server: Server, tmp_path: Path) -> str:
    """A kernel on a machine whose NVIDIA card sleeps."""
    card = tmp_path / "sys" / "bus/pci/devices/0000:01:00.0"
    (card / "power").mkdir(parents=True)
    (card / "vendor").write_text("0x10de\n")
    (card / "class").write_text("0x030000\n")
    (card / "power" / "runtime_status").write_text("suspended\n")
    return lab_server.add_kernel("asleep", {"JUPYTER_ENERGY_SYSFS": str(tmp_path / "sys")})


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    """A cell that runs until the test lets it end."""
    return Gate(tmp_path / "open")


@pytest.fixture
def slug(request: pytest.FixtureRequest) -> str:
    """The name of the test as files and addresses take it."""
    return re.sub(r"\W+", "-", request.node.name).strip("-")


@pytest.fixture
def open_page(request: pytest.FixtureRequest, browser: Browser, slug: str) -> Iterator[OpenPage]:
    """Opens tabs on a server; at the end they are closed and the server's kernels ended.

    Whatever goes wrong in a page fails its test. Of a failed test the screenshots and the
    server's log stay under `test-results/`.
    """
    pages: list[Page] = []
    with ExitStack() as stack:

        def new(server: Server, **how: object) -> Page:
            if server not in [page.server for page in pages]:
                stack.callback(server.end_kernels)
            context = browser.new_context(viewport={"width": 1280, "height": 720}, **how)
            stack.callback(context.close)
            pages.append(Page(context.new_page(), server, f"{slug}-{len(pages)}"))
            return pages[-1]

        yield new
        if FAILED in request.node.stash:
            keep(pages, RESULTS / "failed" / slug)
        else:
            assert [error for page in pages for error in page.errors if not _is_known(error)] == []


# Errors that others log: part of the text, and whose it is.
OTHERS = {
    # ours is neither opened nor closed
    "Comm not found for comm id": "JupyterLab, where a comm is closed that another tab opened",
    "reading 'schema'": "Notebook's shortcuts, where another plugin's settings come first",
}


def _is_known(error: str) -> bool:
    return any(part in error for part in OTHERS)


def keep(pages: list[Page], folder: Path) -> None:
    """Keep what tells why a test failed."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, page in enumerate(pages):
        with suppress(Error):  # a page that hangs shows nothing
            page.tab.screenshot(path=folder / f"page-{number}.png", timeout=5000)
        (folder / f"errors-{number}.txt").write_text("\n".join(page.errors))
        (folder / f"frames-{number}.txt").write_text("\n".join(page.frames.log))
        shutil.copy(page.server.log, folder / f"server-{number}.log")


@pytest.fixture
def lab(open_page: OpenPage, lab_server: Server) -> Page:
    """A tab for the newest JupyterLab."""
    return open_page(lab_server)


@pytest.fixture(scope="session", autouse=True)
def _no_results_of_earlier_runs() -> None:
    shutil.rmtree(RESULTS / "failed", ignore_errors=True)
    os.umask(0o022)

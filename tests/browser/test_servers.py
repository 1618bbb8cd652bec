"""Wherever the server lies: behind a base URL, and with its kernels on a gateway."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from browser.conftest import OpenPage
from browser.documents import Gate
from browser.page import ENERGY, LOAD, POWER, Page
from browser.server import Server, serving

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def gateway_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """JupyterLab whose kernels run on another server."""
    folder = tmp_path_factory.mktemp("gateway")
    with (
        serving(sys.executable, folder / "gateway") as gateway,
        serving(sys.executable, folder / "lab", gateway=gateway) as lab,
    ):
        yield lab


@pytest.fixture(scope="module")
def hub_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """JupyterLab where a hub puts it."""
    folder = tmp_path_factory.mktemp("hub") / "server"
    with serving(sys.executable, folder, base_url="/user/x/") as lab:
        yield lab


# The first opens a comm in each new kernel, and JupyterLab knows by it that the kernel is idle; the
# second needs the first. Most people have neither.
WIDGETS = ("@jupyter-widgets/jupyterlab-manager", "anywidget")


@pytest.fixture(scope="module")
def bare_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """JupyterLab where nothing but ours speaks to a kernel that runs no cell."""
    folder = tmp_path_factory.mktemp("bare") / "server"
    config = folder / "home" / "jupyter" / "labconfig" / "page_config.json"
    config.parent.mkdir(parents=True)
    config.write_text(json.dumps({"disabledExtensions": dict.fromkeys(WIDGETS, True)}))
    with serving(sys.executable, folder) as lab:
        yield lab


# JupyterLab asks for a protocol on a kernel's websocket, and a server with a gateway names none:
# the browser gives that socket up and JupyterLab opens a second one. The server connects both to
# the gateway, under one identity: where the first is the last to come to a kernel that still
# starts, the kernel answers into it for ever, and JupyterLab gets no reply to anything.
# (jupyter_server 2.21: gateway/connections.py, `disconnect`, cannot end a connection that is being
# made; services/kernels/connection/channels.py, `create_stream`.) So none is asked for here.
ASK_FOR_NO_PROTOCOL = """
window.WebSocket = class extends WebSocket {
  constructor(url) {
    super(url);
  }
};
"""


def assert_it_is_live(page: Page, slug: str, gate: Gate) -> None:
    opened = page.open(page.server.notebook(f"{slug}.ipynb", [LOAD, gate.cell]))
    opened.run(0)
    page.wait_until_told()
    assert page.frames.ours()[-1]["path"] == f"{slug}.ipynb"
    opened.start(1)
    expect(page.figure("power")).to_have_text(POWER)
    assert opened.is_running(1)
    gate.open()
    opened.wait_until_done(1)
    page.wait_for_state("idle")
    expect(page.figure("energy")).to_have_text(ENERGY)


def test_it_is_live_behind_a_base_url(
    hub_lab: Server, open_page: OpenPage, slug: str, gate: Gate
) -> None:
    assert hub_lab.url.endswith("/user/x/")
    assert_it_is_live(open_page(hub_lab), slug, gate)


def test_it_is_live_where_kernels_run_behind_a_gateway(
    gateway_lab: Server, open_page: OpenPage, slug: str, gate: Gate
) -> None:
    page = open_page(gateway_lab)
    page.tab.add_init_script(ASK_FOR_NO_PROTOCOL)
    assert_it_is_live(page, slug, gate)


def test_a_restart_is_seen_in_every_tab_where_jupyterlab_takes_the_kernel_to_be_starting(
    bare_lab: Server, open_page: OpenPage, slug: str
) -> None:
    path = bare_lab.notebook(f"{slug}.ipynb", [LOAD, "1"])
    lab, other = open_page(bare_lab), open_page(bare_lab)
    opened = lab.open(path)
    opened.run(0, 1)
    lab.settled_text(runs=1)
    other.open(path)
    other.settled_text(runs=1)
    opened.session("await s.session.kernel.restart()")
    lab.wait_for_state("absent")
    other.wait_for_state("absent")

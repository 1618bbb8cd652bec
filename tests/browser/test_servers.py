"""Wherever the server lies: behind a base URL, and with its kernels on a gateway."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from browser.conftest import OpenPage
from browser.page import LOAD, Gate
from browser.server import Server, serving


@pytest.fixture(scope="module")
def gateway_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """JupyterLab whose kernels run on another server."""
    folder = tmp_path_factory.mktemp("gateway")
    with (
        serving(sys.executable, folder / "gateway") as gateway,
        serving(sys.executable, folder / "lab", gateway=gateway) as lab,
    ):
        yield lab


def test_x(everywhere: Server, open_page: OpenPage, slug: str, gate: Gate) -> None:
    page = open_page(everywhere)
    path = page.server.notebook(f"{slug}.ipynb", [LOAD, gate.cell, "print('x')"], "python3")
    opened = page.open(path)
    opened.run(0)
    opened.start(1)
    assert opened.is_running(1)
    gate.open()
    opened.wait_until_done(1)


def test_gateway(gateway_lab: Server, open_page: OpenPage, slug: str) -> None:
    page = open_page(gateway_lab)
    opened = page.open(page.server.notebook(f"{slug}.ipynb", [LOAD, "print('out')"]))
    opened.run(0, 1)
    expect(opened.output(1)).to_have_text("out\n")
    print(page.frames.all[-5:])

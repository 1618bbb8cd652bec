"""Kernels that do not talk to us: what the item says then, and the one click that helps."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from browser.conftest import OpenPage
from browser.page import ENERGY, FIND, LOAD, Page
from browser.server import Server

# A kernel in whose environment jupyter-energy is not installed, as the import system says it.
ABSENT = "raise ModuleNotFoundError(\"No module named 'jupyter_energy'\", name='jupyter_energy')\n"
# Another language: what a kernel is in, it says itself.
FOREIGN = """
from ipykernel.kernelapp import IPKernelApp
from ipykernel.kernelbase import Kernel


class Foreign(Kernel):
    implementation = implementation_version = banner = "foreign"
    language_info = {"name": "foreign", "mimetype": "text/plain", "file_extension": ".txt"}

    async def do_execute(self, code, silent, store_history=True, *args, **more):
        return {
            "status": "ok",
            "execution_count": self.execution_count,
            "payload": [],
            "user_expressions": {},
        }


IPKernelApp.launch_instance(kernel_class=Foreign)
"""


@pytest.fixture
def without_module(lab_server: Server, tmp_path: Path) -> str:
    (tmp_path / "jupyter_energy.py").write_text(ABSENT)
    return lab_server.add_kernel("without-module", {"PYTHONPATH": str(tmp_path)})


@pytest.fixture
def foreign(lab_server: Server, tmp_path: Path) -> str:
    program = tmp_path / "foreign.py"
    program.write_text(FOREIGN)
    launch = (str(program), "-f", "{connection_file}")
    return lab_server.add_kernel("foreign", launch=launch, language="foreign")


def test_where_the_extension_is_not_loaded_the_item_says_how_and_a_click_does_it(
    lab: Page, slug: str
) -> None:
    opened = lab.open(lab.server.notebook(f"{slug}.ipynb", ["1 + 1", "print(2)"]))
    lab.wait_for_state("absent")
    expect(lab.item).to_have_text("–")
    assert "%load_ext jupyter_energy" in lab.hint()
    lab.item_button.click()
    lab.wait_for_state("idle")
    opened.execute(FIND, silent=True)
    opened.run(0, 1)
    expect(lab.item).to_contain_text(ENERGY)
    # the click was no cell: it is not counted and not in the user's history
    expect(opened.prompt(1)).to_have_text("[2]:")
    opened.execute("assert 'load_ext' not in ''.join(In)")


def test_where_the_module_is_missing_the_item_says_what_to_install(
    lab_server: Server, without_module: str, open_page: OpenPage, slug: str
) -> None:
    page = open_page(lab_server)
    opened = page.open(lab_server.notebook(f"{slug}.ipynb", ["print(1)"], without_module))
    page.wait_for_state("absent")
    page.item_button.click()
    page.wait_for_state("missing")
    assert "%pip install jupyter-energy" in page.hint()
    opened.run(0)
    expect(opened.output(0)).to_have_text("1\n")
    assert "%pip install jupyter-energy" in page.hint()


def test_where_no_kernel_is_there_is_nothing(lab: Page, slug: str) -> None:
    opened = lab.open(lab.server.notebook(f"{slug}.ipynb", ["1"]))
    expect(lab.item).to_be_visible()
    opened.session("await s.shutdown()")
    expect(lab.item).to_be_hidden()


def test_a_kernel_of_another_language_shows_nothing_and_is_asked_nothing(
    lab_server: Server, foreign: str, open_page: OpenPage, slug: str
) -> None:
    page = open_page(lab_server)
    opened = page.open(lab_server.notebook(f"{slug}.ipynb", ["hello"], foreign))
    page.forget()
    opened.run(0)
    expect(page.item).to_be_hidden()
    assert page.frames.sent() == ["execute_request"]


def test_an_extension_that_is_unloaded_is_said_not_to_be_loaded(lab: Page, slug: str) -> None:
    cells = [LOAD, "%unload_ext jupyter_energy"]
    opened = lab.open(lab.server.notebook(f"{slug}.ipynb", cells))
    opened.run(0)
    lab.wait_for_state("idle")
    opened.run(1)
    lab.wait_for_state("absent")
    assert "%load_ext jupyter_energy" in lab.hint()

"""The other half of another version, or out of its mind: the item says so and nothing breaks."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import expect

from browser.page import LOAD, Page

pytestmark = pytest.mark.slow

SAY = """
import json
kernel = get_ipython().kernel
content = {{"comm_id": "jupyter-energy", "data": json.loads({data!r})}}
kernel.session.send(kernel.iopub_socket, "comm_msg", content, parent={{}})
"""
NEWER = {"v": 2, "state": "running", "power": {"w": 12.0}}
ODD: list[object] = [
    {},
    {"v": "1"},
    {"v": 1},
    {"v": 1, "state": ["idle"], "notebook": None},
    {"v": 1, "state": "running", "notebook": {"runs": "<img src=x onerror=alert(1)>"}},
    [1, 2, 3],
    "hello",
    None,
]
ANOTHER_VERSION = "another version of jupyter-energy runs in the kernel"


def test_a_newer_kernel_half_is_said_to_be_of_another_version(lab: Page, slug: str) -> None:
    cells = [SAY.format(data=json.dumps(NEWER)), "print(1)"]
    opened = lab.open(lab.server.notebook(f"{slug}.ipynb", cells))
    opened.run(0)
    lab.wait_for_hint(ANOTHER_VERSION)
    opened.run(1)
    expect(opened.output(1)).to_have_text("1\n")


def test_odd_messages_are_never_guessed_at_and_a_good_one_is_understood_again(
    lab: Page, slug: str
) -> None:
    cells = [*(SAY.format(data=json.dumps(data)) for data in ODD), LOAD]
    opened = lab.open(lab.server.notebook(f"{slug}.ipynb", cells))
    lab.wait_for_state("absent")
    for number in range(len(ODD)):
        opened.run(number)
        lab.wait_for_hint(ANOTHER_VERSION)
        assert not any(digit in lab.item.inner_text() for digit in "0123456789")
    opened.run(len(ODD))
    lab.wait_for_state("idle")

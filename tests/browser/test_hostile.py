"""A notebook that attacks the page by everything it can say: nothing of it runs."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import expect
from shell import code

from browser.page import LOAD, Page
from jupyter_energy.display import html
from jupyter_energy.saved import cell_from_output
from jupyter_energy.schema import MIME_TYPE

pytestmark = pytest.mark.slow

ATTACK = '"><img src=x onerror="window.owned=1"><script>window.owned=2</script>'
# What a file's name can hold.
IN_A_NAME = "<img src=x onerror=window.owned=3>"
NAMED = f"%%energy -n '{ATTACK}'\nimport time\ntime.sleep(0.3)"
GOLDEN = Path(__file__).parents[1] / "golden"
SAY = """
kernel = get_ipython().kernel
data = {data!r}
kernel.session.send(
    kernel.iopub_socket, "comm_msg", {{"comm_id": "jupyter-energy", "data": data}},
    parent={{}}, ident=b"comm-jupyter-energy",
)
"""


def _attacking(found: object, path: str) -> object:
    """A document of ours in which every text is the attack."""
    if isinstance(found, dict):
        plain = ("state", "outcome", "started")
        rest = {k: v if k in plain else _attacking(v, path) for k, v in found.items()}
        return rest | ({"path": path} if "path" in found else {})
    if isinstance(found, list):
        return [_attacking(inside, path) for inside in found]
    return ATTACK if isinstance(found, str) else found


def test_nothing_that_a_notebook_or_its_kernel_says_runs_in_the_page(lab: Page, slug: str) -> None:
    path = f"{slug}{IN_A_NAME}.ipynb"
    saved = cell_from_output(
        _attacking(json.loads((GOLDEN / "mixed.json").read_text(encoding="utf-8")), path)
    )
    assert saved is not None
    before = code("pass", "saved-before")
    before.outputs = [
        nbformat.v4.new_output(
            "display_data", {MIME_TYPE: saved, "text/html": html.cell(saved), "text/plain": ATTACK}
        )
    ]
    live = json.loads((GOLDEN / "live" / "running_mixed.json").read_text(encoding="utf-8"))
    said = SAY.format(data=_attacking(live, path))
    dialogs: list[str] = []
    lab.tab.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    opened = lab.open(lab.server.notebook(path, [LOAD, NAMED, "%energy", said, before]))
    # As it was written by somebody else, and as JupyterLab's sanitiser leaves it.
    expect(opened.output(4)).to_contain_text("<img src=x onerror=")
    opened.run(0, 1, 2)
    expect(opened.output(1)).to_contain_text("<img src=x onerror=")
    expect(opened.output(2)).to_contain_text("<img src=x onerror=")
    opened.start(3)
    lab.item_button.click()
    expect(lab.popup).to_contain_text("<img src=x onerror=")
    opened.wait_until_done(3)
    assert lab.evaluate("window.owned ?? null") is None
    assert lab.tab.locator("img[src=x], .jp-EnergyPanel script, .jp-OutputArea script").count() == 0
    assert dialogs == []

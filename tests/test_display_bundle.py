"""The MIME bundles that notebooks keep."""

from __future__ import annotations

import base64
import json
import subprocess
import sys

import display_examples as examples
import nbformat
import pytest

from jupyter_energy.display import bundle
from jupyter_energy.schema import MIME_TYPE

BUNDLES = {name: bundle.cell_bundle(made) for name, made in examples.CELLS.items()} | {
    name: bundle.summary_bundle(made) for name, made in examples.SUMMARIES.items()
}


@pytest.mark.parametrize("name", BUNDLES)
def test_a_bundle_has_text_html_and_the_json_it_was_made_from(name: str) -> None:
    made = BUNDLES[name]
    assert set(made) == {"text/plain", "text/html", MIME_TYPE}
    source = examples.CELLS.get(name) or examples.SUMMARIES[name]
    assert json.loads(json.dumps(made[MIME_TYPE], allow_nan=False)) == source


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", BUNDLES)
def test_a_notebook_with_the_bundle_as_output_is_valid(name: str) -> None:
    output = nbformat.v4.new_output("display_data", BUNDLES[name])
    cell = nbformat.v4.new_code_cell("pass", outputs=[output])
    nbformat.validate(nbformat.v4.new_notebook(cells=[cell]))


@pytest.mark.parametrize("name", BUNDLES)
def test_no_bundle_has_a_key_that_nbclient_takes_for_widget_state(name: str) -> None:
    assert '"state"' not in json.dumps(BUNDLES[name])


def test_the_plot_is_a_png_with_the_summary_as_its_text() -> None:
    made = bundle.plot_bundle(examples.SUMMARIES["summary_mixed"])
    assert base64.b64decode(str(made["image/png"])).startswith(b"\x89PNG\r\n\x1a\n")
    assert "digits.ipynb" in str(made["text/plain"])


def test_showing_a_cell_imports_nothing_heavy() -> None:
    code = (
        "import sys; import jupyter_energy.display.bundle, jupyter_energy.display.plots; "
        "print([m for m in ('matplotlib', 'numpy', 'IPython', 'sqlite3') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

"""MIME bundles: the same figures as text, as HTML, and as the JSON of schema 1.

A front end without our extension shows the HTML or the text (promise AC-12.4); `summary` reads the
JSON back out of a saved notebook.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import tzinfo
from typing import Any

from ..json_shapes import HistoryJson
from ..plan.shapes import PlanJson
from ..power.document import PowerTrace
from ..schema import MIME_TYPE, CellJson, SummaryJson
from . import html, power, text
from .words import COMMAND


def cell_bundle(cell: CellJson) -> dict[str, object]:
    """What `%%energy` displays under a cell."""
    return {"text/plain": text.cell(cell), "text/html": html.cell(cell), MIME_TYPE: dict(cell)}


def summary_bundle(summary: SummaryJson, command: str = COMMAND) -> dict[str, object]:
    """What `%energy summary` displays; `command` is how the reader calls us, for the hints."""
    return {
        "text/plain": text.summary(summary, command),
        "text/html": html.summary(summary, command),
        MIME_TYPE: dict(summary),
    }


def history_bundle(
    history: HistoryJson, command: str = COMMAND, most: int | None = None
) -> dict[str, object]:
    """What `%energy history` displays: its first `most` rows."""
    return {
        "text/plain": text.history(history, command, most),
        "text/html": html.history(history, command, most),
    }


def plot_bundle(summary: SummaryJson) -> dict[str, object]:
    """What `%energy plot` displays: the energy of each cell as a PNG, and as text.

    The picture is drawn here, since a front end shows a bare Figure only after
    `%matplotlib inline`.
    """
    from base64 import b64encode

    from . import plots

    png = plots.png(plots.energy_by_cell(summary))
    return {"text/plain": text.summary(summary), "image/png": b64encode(png).decode("ascii")}


def power_bundle(cell: CellJson, trace: PowerTrace) -> dict[str, object]:
    """What `%energy plot CELL` displays: power over time as a PNG, and as text."""
    from base64 import b64encode

    from . import plots

    png = plots.png(power.power_over_time(cell, trace))
    return {"text/plain": power.text(cell, trace), "image/png": b64encode(png).decode("ascii")}


def plan_bundle(
    plan: PlanJson, command: str = COMMAND, zone: tzinfo | None = None, width: int | None = None
) -> dict[str, object]:
    """What `plan` displays: the plan in words; times are those of `zone`, else the reader's. The
    text is no wider than `width`."""
    from . import plan as in_text
    from . import plan_html

    return {
        "text/plain": in_text.text(plan, command, zone, width),
        "text/html": plan_html.html(plan, command, zone),
    }


def plan_figure_bundle(
    plan: PlanJson, zone: tzinfo | None = None
) -> tuple[dict[str, object], str] | None:
    """The picture of a plan and what it shows, in words; None where there is nothing to draw.

    A display of its own, below the words: of one with both, JupyterLab, Notebook 7 and VS Code show
    the HTML alone, nbconvert's LaTeX the picture alone. Not inside the HTML, either: nbconvert
    shows an <img>, and so all of its data, as text when it sanitises.
    """
    from base64 import b64encode

    from . import plan_marks, plan_plots, plots

    drawn = plan_plots.figure(plan, zone, plan_plots.ON_PAGE)
    if drawn is None:
        return None
    alt = plan_marks.alt(plan, zone)
    return {"text/plain": alt, "image/png": b64encode(plots.png(drawn)).decode("ascii")}, alt


def show(
    bundle: Mapping[str, object],
    display_id: str | None = None,
    update: bool = False,
    alt: str | None = None,
) -> None:
    """Display a bundle in the output of the cell that runs.

    With a `display_id` it can be replaced later, by another bundle shown under the same one with
    `update`. `alt` tells what its picture shows, where nbconvert looks for it.
    """
    from IPython import display

    untyped: Any = display  # IPython's function has no types
    metadata = {} if alt is None else {"image/png": {"alt": alt}}
    call = untyped.update_display if update else untyped.display
    call(dict(bundle), raw=True, display_id=display_id, metadata=metadata)

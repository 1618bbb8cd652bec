"""Beside the figures of a summary's table: each row's share of all, and what the signs mean."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .. import units
from ..schema import CellJson, SummaryJson
from .words import Figure, unmeasured

_WHOLE = 1 + 1e-6  # sums of many figures differ by their rounding
LEGEND_MEASURED = "± is the 95 % interval."
LEGEND_ESTIMATED = (
    "≈ is estimated without a sensor; the truth is expected within the range. "
    "est.: share of what is estimated."
)
LEGEND_STAR = "* a device was not measured then, and is not in the figure."
LEGEND_LOST = "lost: its kernel stopped while it ran; figures are up to its last sign of life."
LEGEND_OVERLAP = (
    "Each row has what its runs drew, also while others ran: a share is of the sum of the rows."
)
LEGEND_INSIDE = "↳ lies inside another row and is part of its figures."


def of_rows(cells: Sequence[CellJson]) -> tuple[Figure | None, ...]:
    """Each row's share of what all rows have measured, else of their estimates and saying so.

    Of the rows' own sum and not of the total, which counts the time that runs share once: no row
    is more than the whole.
    """
    measured_j, estimated_j = _sums_j(cells)
    return tuple(_share(c, measured_j, estimated_j) for c in cells)


def _sums_j(cells: Sequence[CellJson]) -> tuple[float, float]:
    """What the rows that lie in no other have measured, and the middle of what was estimated."""
    outer = [c for c in cells if not c["inside"]]
    measured_j = math.fsum(c["measured_j"]["value"] for c in outer if c["measured_j"] is not None)
    return measured_j, math.fsum(
        c["estimated_j"]["mid"] for c in outer if c["estimated_j"] is not None
    )


def _share(cell: CellJson, measured_j: float, estimated_j: float) -> Figure | None:
    measured, estimated = cell["measured_j"], cell["estimated_j"]
    if measured is not None and measured_j > 0:
        if measured["value"] < measured["u95"]:
            return None  # below what the sensor can tell
        part = measured["value"] / measured_j
        found = Figure(units.percent(part), "measured")
    elif estimated is not None and estimated_j > 0:
        part = estimated["mid"] / estimated_j
        found = Figure(f"{units.percent(part)} est.", "estimated")
    else:
        return None
    # Blocks in threads of one cell have its time each, and together may have more than all of it.
    return found if part <= _WHOLE else None


def _overlap(summary: SummaryJson) -> bool:
    """Whether the rows have more than the total, since runs of several shared their time."""
    measured, estimated = summary["totals"]["measured_j"], summary["totals"]["estimated_j"]
    measured_j, estimated_j = _sums_j(summary["cells"])
    return (measured is not None and measured_j > _WHOLE * measured["value"]) or (
        estimated is not None and estimated_j > _WHOLE * estimated["mid"]
    )


def legend(summary: SummaryJson) -> str:
    """What the signs in a summary mean; only those that occur."""
    totals = summary["totals"]
    said = [LEGEND_MEASURED] if totals["measured_j"] is not None else []
    if totals["estimated_j"] is not None:
        said.append(LEGEND_ESTIMATED)
    if any(cell["measured_j"] is not None and unmeasured(cell) for cell in summary["cells"]):
        said.append(LEGEND_STAR)
    if any(cell["inside"] for cell in summary["cells"]):
        said.append(LEGEND_INSIDE)
    if any(cell["outcome"] == "lost" for cell in summary["cells"]):
        said.append(LEGEND_LOST)
    if _overlap(summary):
        said.append(LEGEND_OVERLAP)
    return " ".join(said)

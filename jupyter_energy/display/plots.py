"""Figures: energy by cell, and any figure as a PNG.

matplotlib is imported when one is drawn, and never pyplot: no global state is touched.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import fsum
from typing import TYPE_CHECKING

from .. import units
from ..plain_text import clean
from ..schema import CellJson, SummaryJson
from ..uncertainty import COVERAGE_FACTOR_95, Range, Uncertain, sum_of_ranges, sum_over_time
from . import words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_BARS = 20
_NAME_LIMIT = 24
# Okabe and Ito's palette, which colour-blind people can tell apart (jfly.uni-koeln.de/color).
_MEASURED_COLOUR = "#009E73"
_ESTIMATED_COLOUR = "#E69F00"


@dataclass(frozen=True, slots=True)
class _Bar:
    name: str
    inside: bool
    measured_j: Uncertain | None
    estimated_j: Range | None


def energy_by_cell(summary: SummaryJson) -> Figure:
    """Energy by cell as horizontal bars, the most expensive on top.

    Measured energy is solid with its 95 % interval, estimated energy hatched with its range; a
    cell that has both has two bars, as they are never added. Beyond 20 cells the rest is one bar; a
    block inside a cell is marked, and is no part of that bar.
    """
    from matplotlib.figure import Figure

    bars = _bars(summary["cells"])
    figure = Figure(figsize=(7.5, 1.3 + 0.36 * max(len(bars), 2)), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(
        f"Energy by cell: {clean(summary['notebook']['name'])}", parse_math=False, loc="left"
    )
    if not bars:
        axes.text(0.5, 0.5, "no energy is known yet", ha="center", va="center")
        axes.set_axis_off()
        return figure
    size, symbol = units.scale_for(max(_top(b) for b in bars), units.ENERGY_J)
    both = any(b.measured_j for b in bars) and any(b.estimated_j for b in bars)
    height = 0.38 if both else 0.7
    measured = [(i - both * height / 2, b.measured_j) for i, b in enumerate(bars) if b.measured_j]
    estimated = [
        (i + both * height / 2, b.estimated_j) for i, b in enumerate(bars) if b.estimated_j
    ]
    if measured:
        axes.barh(
            [y for y, _ in measured],
            [value.value / size for _, value in measured],
            height,
            xerr=[value.u95 / size for _, value in measured],
            color=_MEASURED_COLOUR,
            capsize=2,
            label="measured, 95 % interval",
        )
    if estimated:
        lows = [(value.mid - value.low) / size for _, value in estimated]
        highs = [(value.high - value.mid) / size for _, value in estimated]
        axes.barh(
            [y for y, _ in estimated],
            [value.mid / size for _, value in estimated],
            height,
            xerr=[lows, highs],
            facecolor="none",
            edgecolor=_ESTIMATED_COLOUR,
            hatch="////",
            capsize=2,
            label="estimated, range",
        )
    axes.set_yticks(range(len(bars)))
    # A name may hold a $, which would start a formula.
    axes.set_yticklabels([b.name for b in bars], parse_math=False)
    axes.set_ylim(len(bars) - 0.5, -0.5)
    axes.set_xlim(left=0)
    inside = f"; {words.INSIDE}is part of another bar" if any(b.inside for b in bars) else ""
    axes.set_xlabel(f"energy ({symbol}){inside}")
    figure.legend(loc="outside lower right", ncols=2, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def png(figure: Figure, dots_per_inch: float = 110) -> bytes:
    """The figure as a PNG."""
    from io import BytesIO

    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    file = BytesIO()
    figure.savefig(file, format="png", dpi=dots_per_inch)
    return file.getvalue()


def _bars(cells: list[CellJson]) -> list[_Bar]:
    known = [_bar(c) for c in cells if c["measured_j"] is not None or c["estimated_j"] is not None]
    if len(known) <= MOST_BARS:
        return known
    # One that lies inside another is part of a bar already, or of the others.
    rest = [bar for bar in known[MOST_BARS:] if not bar.inside]
    if not rest:
        return known[:MOST_BARS]
    others = _Bar(
        f"{len(rest)} others",
        False,
        sum_over_time(b.measured_j for b in rest if b.measured_j is not None),
        sum_of_ranges(b.estimated_j for b in rest if b.estimated_j is not None),
    )
    return [*known[:MOST_BARS], others]


def _bar(cell: CellJson) -> _Bar:
    measured, estimated = cell["measured_j"], cell["estimated_j"]
    value = None
    if measured is not None:
        # Between the cells of one machine the sensor's gain is shared: that part adds linearly.
        random = measured["u95_repeat"] / COVERAGE_FACTOR_95
        in_all = measured["u95"] / COVERAGE_FACTOR_95
        value = Uncertain(measured["value"], random, max(0.0, in_all**2 - random**2) ** 0.5)
    return _Bar(
        words.cell_name(cell, _NAME_LIMIT),
        cell["inside"],
        value,
        None if estimated is None else words.range_of(estimated),
    )


def _top(bar: _Bar) -> float:
    """The end of the longest of a bar's two lengths, in J."""
    measured = 0.0 if bar.measured_j is None else fsum((bar.measured_j.value, bar.measured_j.u95))
    return max(measured, 0.0 if bar.estimated_j is None else bar.estimated_j.high)

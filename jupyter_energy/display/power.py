"""Power over time of one traced cell: as a figure, as lines of text, and as a sentence.

matplotlib is imported when a figure is drawn. Every colour in it is set here: a user's style, or
the transparent figures of a dark notebook, must not make it unreadable.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from .. import units
from ..model import Domain
from ..plain_text import clean
from ..power.document import Curve, PowerTrace
from ..schema import CellJson
from ..uncertainty import Range
from . import words
from .devices import device_label

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SPARKS = "▁▂▃▄▅▆▇█"
SPARK_COLUMNS = 24
_UNKNOWN = " "
# Okabe and Ito's palette (jfly.uni-koeln.de/color) without its orange, which is the estimates',
# and its yellow, which one does not see on white.
_MEASURED = ("#009E73", "#0072B2", "#CC79A7", "#D55E00", "#56B4E9")
_DASHES = ("-", "--", "-.")
_ESTIMATED = "#E69F00"
_HATCHES = ("////", "\\\\\\\\", "....")
_INK, _PAPER = "#222222", "white"


def text(cell: CellJson, trace: PowerTrace) -> str:
    """The trace in lines: how it was read, then mean, lowest and highest power of each device."""
    head = f"{words.cell_name(cell)}: power over {units.duration(trace.duration_s)}"
    lines = [f"{head}, {_how(trace)}"]
    if trace.peak_w is not None:
        peak = units.quantity(trace.peak_w, units.POWER_W)
        lines.append(f"  peak {peak}, all measured devices together")
    labels = _labels(trace)
    width = max(map(len, labels), default=0)
    for label, curve in zip(labels, trace.curves, strict=True):
        figures = _figures(curve)
        spark = f"{_spark(curve, trace.duration_s)}  " if curve.known() else ""
        lines.append(f"  {label:<{width}}  {spark}{figures}".rstrip())
    lines += [f"  {label}: not in the trace" for label in _left_out(cell, trace)]
    return "\n".join(lines)


def alt(cell: CellJson, trace: PowerTrace) -> str:
    """The figure in a sentence, for those who do not see it."""
    devices = zip(_labels(trace), trace.curves, strict=True)
    said = "; ".join(f"{label}: {_figures(curve)}" for label, curve in devices)
    duration = units.duration(trace.duration_s)
    return f"Power over time of {words.cell_name(cell)}, {duration}. {said}."


def power_over_time(cell: CellJson, trace: PowerTrace) -> Figure:
    """Power by device over the time of a cell: measured power as lines, estimated power as the
    hatched band of its range with its middle dashed; a break where nothing is known."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 3.6), layout="constrained", facecolor=_PAPER)
    axes = figure.add_subplot(facecolor=_PAPER)
    title = f"Power over time: {words.cell_name(cell)}"
    axes.set_title(title, parse_math=False, loc="left", color=_INK)
    span_s, time_symbol = _time_scale(trace.duration_s)
    highs = [
        (curve.spread or (1.0, 1.0))[1] * w for curve in trace.curves for _, w in curve.known()
    ]
    size, symbol = units.scale_for(max(highs, default=1.0), units.POWER_W)
    drawn = Counter[bool]()
    for label, curve in zip(_labels(trace), trace.curves, strict=True):
        if curve.known():
            is_estimate = curve.spread is not None
            _draw(axes, curve, label, drawn[is_estimate], (span_s, size))
            drawn[is_estimate] += 1
    if not highs:
        axes.text(0.5, 0.5, "no power is known", ha="center", transform=axes.transAxes, color=_INK)
    axes.set_xlim(0, max(trace.duration_s, 1e-9) / span_s)
    axes.set_ylim(bottom=0)
    axes.set_xlabel(f"time ({time_symbol})", color=_INK)
    axes.set_ylabel(f"power ({symbol})", color=_INK)
    axes.tick_params(colors=_INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_INK)
    if drawn:
        legend = figure.legend(loc="outside lower center", ncols=2, frameon=False)
        for entry in legend.get_texts():
            entry.set_color(_INK)
            entry.set_parse_math(False)
    return figure


def _draw(axes: Any, curve: Curve, label: str, number: int, scales: tuple[float, float]) -> None:
    """One device, the `number`th of its look; `scales` are the units of time (s) and power (W)."""
    span_s, size = scales
    t, power = [], []
    for begin_s, end_s, power_w in curve.stretches():
        t += [begin_s / span_s, end_s / span_s]
        power += [math.nan if power_w is None else power_w / size] * 2
    if curve.spread is None:
        colour = _MEASURED[number % len(_MEASURED)]
        dashes = _DASHES[number // len(_MEASURED) % len(_DASHES)]
        axes.plot(t, power, dashes, color=colour, linewidth=1.4, label=f"{label}, measured")
        return
    low, high = curve.spread
    axes.fill_between(
        t,
        [low * value for value in power],
        [high * value for value in power],
        facecolor="none",
        edgecolor=_ESTIMATED,
        linewidth=0.6,
        hatch=_HATCHES[number % len(_HATCHES)],
        label=f"{label}, estimated range",
    )
    axes.plot(t, power, "--", color=_ESTIMATED, linewidth=1.2)


def _figures(curve: Curve) -> str:
    """Mean, lowest and highest power of a device, and what they are of."""
    mean_w = curve.mean_w
    if mean_w is None:
        return f"no power is known ({clean(curve.reason or 'no reading', words.REASON_LIMIT)})"
    source = clean(curve.source.removeprefix("estimate:"))
    if curve.spread is not None:
        low, high = curve.spread
        mean = units.estimated(Range(low * mean_w, mean_w, high * mean_w), units.POWER_W)
        return f"mean {mean} estimated ({source})"
    power_w = [w for _, w in curve.known()]
    low_w, high_w = (units.quantity(w, units.POWER_W) for w in (min(power_w), max(power_w)))
    return f"mean {units.quantity(mean_w, units.POWER_W)}, {low_w} to {high_w} ({source})"


def _how(trace: PowerTrace) -> str:
    """How closely it was read, and what it does not show."""
    most = max((len(curve.ends_s) for curve in trace.curves), default=0)
    step_s = trace.duration_s / most if most else 0.0
    said = [f"a reading every {units.duration(trace.interval_s)}"]
    if step_s > 2 * trace.interval_s:
        said.append(f"a point every {units.duration(step_s)}")
    said.append(f"longest gap {units.duration(trace.longest_gap_s)}")
    if trace.suspended_s >= 1:
        said.append(f"without the {units.duration(trace.suspended_s)} that the machine slept")
    return ", ".join(said)


def _spark(curve: Curve, duration_s: float) -> str:
    """The curve in a row of blocks from 0 to its highest power; a blank where nothing is known."""
    top_w = max(power_w for _, power_w in curve.known())
    width_s = duration_s / SPARK_COLUMNS
    signs = []
    for column in range(SPARK_COLUMNS):
        begin_s, end_s = column * width_s, (column + 1) * width_s
        parts = [
            (min(stop, end_s) - max(start, begin_s), power_w)
            for start, stop, power_w in curve.stretches()
            if power_w is not None and start < end_s and stop > begin_s
        ]
        seconds = sum(dt_s for dt_s, _ in parts)
        if seconds <= 0:
            signs.append(_UNKNOWN)
            continue
        mean_w = sum(dt_s * w for dt_s, w in parts) / seconds
        level = round(mean_w / top_w * (len(SPARKS) - 1)) if top_w > 0 else 0
        signs.append(SPARKS[level])
    return "".join(signs)


def _labels(trace: PowerTrace) -> list[str]:
    """What each device is called."""
    many = Counter(curve.domain.kind for curve in trace.curves)
    return [_label(curve.domain, many[curve.domain.kind] > 1) for curve in trace.curves]


def _label(domain: Domain, several: bool) -> str:
    return " ".join(device_label(domain.kind, domain.index, domain.name, several)).strip()


def _left_out(cell: CellJson, trace: PowerTrace) -> list[str]:
    """The devices that have a figure in the cell and no curve."""
    shown = {(curve.domain.kind, curve.domain.index) for curve in trace.curves}
    return [
        _label(Domain(d["kind"], d["index"], d["name"]), several=True)
        for d in cell["domains"]
        if d["provenance"] != "none" and (d["kind"], d["index"]) not in shown
    ]


def _time_scale(duration_s: float) -> tuple[float, str]:
    """The unit that suits the axis: its size in s, and its symbol."""
    if duration_s < 600:
        return 1.0, "s"
    return (60.0, "min") if duration_s < 2 * 3600 else (3600.0, "h")

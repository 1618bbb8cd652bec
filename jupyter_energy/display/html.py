"""HTML that is read everywhere a notebook is: div, table, tr, td, b, i and span, inline styles.

No <th> and no <tbody>, which nbconvert shows as text when it sanitises (a tbody that its parser
adds to any table it still shows; a table it stays, as GitHub keeps tables and no styles); no
script, no class, no outside resource. Colours come from JupyterLab's variables where there are
any and else from the page, so both themes read well. Every text is escaped. Without the styles
the words still say what is measured and what is estimated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from html import escape

from .. import units
from ..json_shapes import HistoryJson
from ..plain_text import clean
from ..schema import CellJson, SummaryJson
from . import devices, grams, shares, words
from . import history as past

_NONE = "–"
_FAINT = "var(--jp-content-font-color2, inherit)"
_LINE = "1px solid var(--jp-border-color2, rgba(128,128,128,.35))"
_BOX = (
    "font-family:var(--jp-ui-font-family, system-ui, sans-serif);font-size:13px;line-height:1.5;"
    "padding:4px 0 4px 10px;border-left:3px solid "
)
_MEASURED_EDGE = "var(--jp-success-color1, #388e3c)"
_ESTIMATED_EDGE = "var(--jp-warn-color1, #f57c00)"
_UNKNOWN_EDGE = "var(--jp-border-color1, #8888)"
_TABLE = "border-collapse:collapse;margin:4px 0;font-size:13px;font-variant-numeric:tabular-nums"
_ROW = "background:none"
_CELL = f"padding:2px 14px 2px 0;vertical-align:baseline;border-bottom:{_LINE};text-align:"
_RIGHT, _LEFT, _NAME = "right", "left", "left;white-space:nowrap"
# An estimate is set apart by slant and tint, not by a text colour: no one colour reads well on
# both white and black.
_LOOKS = {
    "measured": "font-weight:600;white-space:nowrap",
    "estimated": (
        "font-style:italic;white-space:nowrap;padding:0 4px;border-radius:3px;"
        "background:rgba(245,140,0,.16);border-bottom:1px dashed rgba(245,140,0,.8)"
    ),
    "computed": "white-space:nowrap",
    "unknown": f"color:{_FAINT}",
}


def cell(cell: CellJson, command: str = words.COMMAND) -> str:
    """The block under a measured cell: energy, a row a device, CO2e with its factor."""
    power = words.mean_words(cell)
    energies = words.energies(cell["measured_j"], cell["estimated_j"], power)
    name = f"<b>{_text(clean(cell['name']))}</b>: " if cell["name"] else ""
    parts = [f"{name}{_and(energies)}{_text(words.ending(cell))}"]
    if (run := words.one_run(cell)) is not None:
        parts.append(f"{_and(run[0])}{_span(run[1], _LOOKS['unknown'])}")
    table = [_device(r) for r in devices.rows(cell, command)]
    if table:
        parts.append(_table(table))
    parts += [_faint(r) for r in words.remarks(cell)]
    known = cell["measured_j"] is not None or cell["estimated_j"] is not None
    parts += [_carbon(line) for line in grams.carbon_lines(cell["carbon_g"], known, command)]
    return _box(parts, energies)


def summary(summary: SummaryJson, command: str = words.COMMAND) -> str:
    """A notebook's totals and a row a cell; measured and estimated in columns of their own."""
    totals, cells = summary["totals"], summary["cells"]
    name = f"<b>{_text(clean(summary['notebook']['name'], 60))}</b>: "
    if not totals["runs"]:
        return _box([name + _text(words.without_runs(totals))], ())
    energies = words.energies(totals["measured_j"], totals["estimated_j"])
    parts = [f"{name}{_and(energies)}{_text(words.span(totals))}"]
    known = totals["measured_j"] is not None or totals["estimated_j"] is not None
    lines = grams.carbon_lines(totals["carbon_g"], known, command)
    like = grams.equivalent(totals["carbon_g"])
    parts += [_carbon(line, like) for line in lines]
    said = (*words.idle(totals), *words.notes(totals["warnings"]))
    parts += [_faint(note) for note in said]
    heading = [_td(f"<b>{title}</b>", _NAME if title == "cell" else _RIGHT) for title in _TITLES]
    found = shares.of_rows(cells)
    rows = ["".join(heading)]
    rows += [_cell_row(c, share) for c, share in zip(cells, found, strict=True)]
    parts.append(_table(rows))
    legend = shares.legend(summary)
    if legend:
        parts.append(_faint(legend))
    return _box(parts, energies)


def history(history: HistoryJson, command: str = words.COMMAND, most: int | None = None) -> str:
    """The totals over notebooks, days or hosts, then the first `most` rows."""
    totals, rows = history["totals"], history["rows"][:most]
    if not totals["runs"]:
        return _box([_text(past.nothing(history))], ())
    energies, over = past.headline(history)
    parts = [f"{_and(energies)}{_text(over)}"]
    known = totals["measured_j"] is not None or totals["estimated_j"] is not None
    parts += [_carbon(line) for line in grams.carbon_lines(totals["carbon_g"], known, command)]
    columns = past.columns(history, rows)
    name = history["by"]
    heading = [_td(f"<b>{title}</b>", _NAME if title == name else _RIGHT) for title in columns]
    lines = ["".join(heading)]
    for i in range(len(rows)):
        cells = (_td(_figure(c[i]), _NAME if t == name else _RIGHT) for t, c in columns.items())
        lines.append("".join(cells))
    parts.append(_table(lines))
    parts += [_faint(note) for note in past.notes(history, rows)]
    return _box(parts, energies)


_TITLES = ("cell", "runs", "time", "measured", "estimated", "mean W", "share", "CO2e")


def _cell_row(cell: CellJson, share: words.Figure | None) -> str:
    name = _text(words.cell_name(cell))
    if cell["outcome"] != "ok":
        name += f" {_span(clean(cell['outcome'], 12), _LOOKS['unknown'])}"
    estimated = cell["estimated_j"]
    figures = (
        words.measured_cell(cell),
        None if estimated is None else words.estimated_figure(estimated),
        words.mean_power(cell),
        share,
        grams.carbon_short(cell["carbon_g"]),
    )
    before = (_td(name, _NAME), _td(str(cell["runs"])), _td(units.duration(cell["duration_s"])))
    return "".join(before) + "".join(_td(_figure(f)) for f in figures)


def _device(row: devices.Row) -> str:
    label = _text(row.label) + (f" {_span(row.name, _LOOKS['unknown'])}" if row.name else "")
    # No colspan for a reason: nbconvert removes that attribute when it sanitises.
    mean = "" if row.mean is None else _figure(row.mean)
    note = _span(row.note, _LOOKS["unknown"])
    if row.energy.look == "unknown":
        return _td(label, _NAME) + _td("") + _td("") + _td(_figure(row.energy), _LEFT)
    return _td(label, _NAME) + _td(_figure(row.energy)) + _td(mean) + _td(note, _LEFT)


def _carbon(line: grams.CarbonLine, like: str | None = None) -> str:
    """A line of CO2e; what it is like is told to a pointer that rests on the grams."""
    if like is not None:
        detail = "; ".join(filter(None, (like, line.figure.detail)))
        line = replace(line, figure=replace(line.figure, detail=detail))
    return f"{_text(line.title)} {_figure(line.figure)}: {_span(line.basis, _LOOKS['unknown'])}"


def _and(figures: Sequence[words.Figure]) -> str:
    return " and ".join(_figure(f) for f in figures)


def _figure(figure: words.Figure | None) -> str:
    if figure is None:
        return _span(_NONE, _LOOKS["unknown"])
    return _span(figure.text, _LOOKS[figure.look], figure.detail)


def _faint(text: str) -> str:
    return _span(text, _LOOKS["unknown"])


def _span(text: str, style: str, detail: str = "") -> str:
    title = f' title="{_text(detail)}"' if detail else ""
    return f'<span style="{style}"{title}>{_text(text)}</span>'


def _td(content: str, align: str = _RIGHT) -> str:
    return f'<td style="{_CELL}{align}">{content}</td>'


def _table(rows: Sequence[str]) -> str:
    lines = "".join(f'<tr style="{_ROW}">{row}</tr>' for row in rows)
    return f'<table style="{_TABLE}">{lines}</table>'


def _box(parts: Sequence[str], energies: Sequence[words.Figure]) -> str:
    """The block, its edge in the colour of what its headline holds."""
    looks = {f.look for f in energies}
    edge = _UNKNOWN_EDGE
    if "measured" in looks:
        edge = _MEASURED_EDGE
    elif "estimated" in looks:
        edge = _ESTIMATED_EDGE
    inner = "".join(p if p.startswith("<table") else f"<div>{p}</div>" for p in parts)
    return f'<div style="{_BOX}{edge}">{inner}</div>'


def _text(text: str) -> str:
    return escape(text, quote=True)

"""HTML that is read everywhere a notebook is: div, table, tr, td, b, i and span, inline styles.

No <th> and no <tbody>, which nbconvert shows as text when it sanitises (a tbody that its parser
adds to any table it still shows; a table it stays, as GitHub keeps tables and no styles); no
script, no class, no outside resource. Colours come from JupyterLab's variables where there are
any and else from the page, so both themes read well. Every text is escaped. Without the styles
the words still say what is measured and what is estimated.
"""

from __future__ import annotations

from dataclasses import replace

from .. import units
from ..json_shapes import HistoryJson
from ..plain_text import clean
from ..schema import CellJson, SummaryJson
from . import devices, grams, markup, shares, words
from . import history as past


def cell(cell: CellJson, command: str = words.COMMAND) -> str:
    """The block under a measured cell: energy, a row a device, CO2e with its factor."""
    power = words.mean_words(cell)
    energies = words.energies(cell["measured_j"], cell["estimated_j"], power)
    name = f"<b>{markup.text(clean(cell['name']))}</b>: " if cell["name"] else ""
    parts = [f"{name}{markup.joined(energies)}{markup.text(words.ending(cell))}"]
    if (run := words.one_run(cell)) is not None:
        parts.append(f"{markup.joined(run[0])}{markup.span(run[1], markup.LOOKS['unknown'])}")
    table = [_device(r) for r in devices.rows(cell, command)]
    if table:
        parts.append(markup.table(table))
    parts += [markup.faint(r) for r in words.remarks(cell)]
    known = cell["measured_j"] is not None or cell["estimated_j"] is not None
    parts += [_carbon(line) for line in grams.carbon_lines(cell["carbon_g"], known, command)]
    return markup.box(parts, energies)


def summary(summary: SummaryJson, command: str = words.COMMAND) -> str:
    """A notebook's totals and a row a cell; measured and estimated in columns of their own."""
    totals, cells = summary["totals"], summary["cells"]
    name = f"<b>{markup.text(clean(summary['notebook']['name'], 60))}</b>: "
    if not totals["runs"]:
        return markup.box([name + markup.text(words.without_runs(summary, command))], ())
    energies = words.energies(totals["measured_j"], totals["estimated_j"])
    parts = [f"{name}{markup.joined(energies)}{markup.text(words.span(totals))}"]
    known = totals["measured_j"] is not None or totals["estimated_j"] is not None
    lines = grams.carbon_lines(totals["carbon_g"], known, command)
    like = grams.equivalent(totals["carbon_g"])
    parts += [_carbon(line, like) for line in lines]
    said = (*words.idle(totals), *words.shifted(cells), *words.notes(totals["warnings"]))
    parts += [markup.faint(note) for note in said]
    heading = [
        markup.td(f"<b>{title}</b>", markup.NAME if title == "cell" else markup.RIGHT)
        for title in _TITLES
    ]
    found = shares.of_rows(cells)
    rows = ["".join(heading)]
    rows += [_cell_row(c, share) for c, share in zip(cells, found, strict=True)]
    parts.append(markup.table(rows))
    legend = shares.legend(summary)
    if legend:
        parts.append(markup.faint(legend))
    return markup.box(parts, energies)


def history(history: HistoryJson, command: str = words.COMMAND, most: int | None = None) -> str:
    """The totals over notebooks, days or hosts, then the first `most` rows."""
    totals, rows = history["totals"], history["rows"][:most]
    if not totals["runs"]:
        return markup.box([markup.text(past.nothing(history))], ())
    energies, over = past.headline(history)
    parts = [f"{markup.joined(energies)}{markup.text(over)}"]
    known = totals["measured_j"] is not None or totals["estimated_j"] is not None
    parts += [_carbon(line) for line in grams.carbon_lines(totals["carbon_g"], known, command)]
    columns = past.columns(history, rows)
    name = history["by"]
    heading = [
        markup.td(f"<b>{title}</b>", markup.NAME if title == name else markup.RIGHT)
        for title in columns
    ]
    lines = ["".join(heading)]
    for i in range(len(rows)):
        cells = (
            markup.td(markup.figure(c[i]), markup.NAME if t == name else markup.RIGHT)
            for t, c in columns.items()
        )
        lines.append("".join(cells))
    parts.append(markup.table(lines))
    parts += [markup.faint(note) for note in past.notes(history, rows)]
    return markup.box(parts, energies)


_TITLES = ("cell", "runs", "time", "measured", "estimated", "mean W", "share", "CO2e")


def _cell_row(cell: CellJson, share: words.Figure | None) -> str:
    name = markup.text(words.cell_name(cell))
    if cell["outcome"] != "ok":
        name += f" {markup.span(clean(cell['outcome'], 12), markup.LOOKS['unknown'])}"
    estimated = cell["estimated_j"]
    figures = (
        words.measured_cell(cell),
        None if estimated is None else words.estimated_figure(estimated),
        words.mean_power(cell),
        share,
        grams.carbon_short(cell["carbon_g"]),
    )
    before = (
        markup.td(name, markup.NAME),
        markup.td(str(cell["runs"])),
        markup.td(units.duration(cell["duration_s"])),
    )
    return "".join(before) + "".join(markup.td(markup.figure(f)) for f in figures)


def _device(row: devices.Row) -> str:
    label = markup.text(row.label) + (
        f" {markup.span(row.name, markup.LOOKS['unknown'])}" if row.name else ""
    )
    # No colspan for a reason: nbconvert removes that attribute when it sanitises.
    mean = "" if row.mean is None else markup.figure(row.mean)
    note = markup.span(row.note, markup.LOOKS["unknown"])
    if row.energy.look == "unknown":
        return (
            markup.td(label, markup.NAME)
            + markup.td("")
            + markup.td("")
            + markup.td(markup.figure(row.energy), markup.LEFT)
        )
    return (
        markup.td(label, markup.NAME)
        + markup.td(markup.figure(row.energy))
        + markup.td(mean)
        + markup.td(note, markup.LEFT)
    )


def _carbon(line: grams.CarbonLine, like: str | None = None) -> str:
    """A line of CO2e; what it is like is told to a pointer that rests on the grams."""
    if like is not None:
        detail = "; ".join(filter(None, (like, line.figure.detail)))
        line = replace(line, figure=replace(line.figure, detail=detail))
    said = f"{markup.text(line.title)} {markup.figure(line.figure)}"
    return f"{said}: {markup.faint(line.basis)}"

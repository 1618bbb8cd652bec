"""Plain text: the block under a cell, the summary's table, one row a cell for a shell."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from .. import units
from ..json_shapes import HistoryJson
from ..plain_text import clean
from ..schema import CellJson, SummaryJson
from . import devices, grams, shares, words
from . import history as past

WIDTH = 100  # no line of a summary is wider
_GAP = "  "
_NONE = "–"
_BAD = " !"
_BAD_LEGEND = "! ended by an error, or was stopped."
_CELL_COLUMN = 24
# Left out in this order where a summary would be wider than WIDTH.
_LEAST_NEEDED = ("mean W", "CO2e", "runs")


def cell(cell: CellJson, command: str = words.COMMAND) -> str:
    """The block under a measured cell: its energy, a row a device, CO2e with its factor.

    `command` is how our commands are written where the text is read.
    """
    power = words.mean_words(cell)
    energies = words.energies(cell["measured_j"], cell["estimated_j"], power)
    name = f"{clean(cell['name'])}: " if cell["name"] else ""
    lines = [f"{name}{' and '.join(f.text for f in energies)}{words.ending(cell)}"]
    if (run := words.one_run(cell)) is not None:
        lines.append(f"  {' and '.join(f.text for f in run[0])}{run[1]}")
    lines += _devices(devices.rows(cell, command))
    lines += [f"  {line}" for line in words.remarks(cell)]
    known = cell["measured_j"] is not None or cell["estimated_j"] is not None
    lines += _carbon(grams.carbon_lines(cell["carbon_g"], known, command))
    return "\n".join(lines)


def summary(summary: SummaryJson, command: str = words.COMMAND) -> str:
    """A notebook's totals, then a row a cell, most expensive first; at most 100 wide.

    Measured and estimated energies stand in columns of their own and are never added.
    """
    totals = summary["totals"]
    name = clean(summary["notebook"]["name"], 60)
    if not totals["runs"]:
        return f"{name}: {words.without_runs(summary, command)}"
    energies = words.energies(totals["measured_j"], totals["estimated_j"])
    known = totals["measured_j"] is not None or totals["estimated_j"] is not None
    head = " and ".join(f.text for f in energies)
    lines = [*_wrapped(f"{name}: {head}{words.span(totals)}")]
    for line in _carbon(grams.carbon_lines(totals["carbon_g"], known, command)):
        lines += _wrapped(line)
    shifted = words.shifted(summary["cells"])
    for note in (*words.idle(totals), *shifted, *words.notes(totals["warnings"])):
        lines += _wrapped(note)
    table = _table(summary)
    lines += ["", *table]
    legend = shares.legend(summary)
    if any(_BAD in row[:_CELL_COLUMN] for row in table):
        legend = f"{legend} {_BAD_LEGEND}".strip()
    if legend:
        lines += ["", *_wrapped(legend)]
    if (like := grams.equivalent(totals["carbon_g"])) is not None:
        lines += ["", *_wrapped(f"CO2e: {like}")]
    return "\n".join(lines)


def history(history: HistoryJson, command: str = words.COMMAND, most: int | None = None) -> str:
    """The totals over notebooks, days or hosts, then the first `most` rows."""
    totals, rows = history["totals"], history["rows"][:most]
    if not totals["runs"]:
        return past.nothing(history)
    energies, over = past.headline(history)
    lines = _wrapped(" and ".join(f.text for f in energies) + over)
    known = totals["measured_j"] is not None or totals["estimated_j"] is not None
    for line in _carbon(grams.carbon_lines(totals["carbon_g"], known, command)):
        lines += _wrapped(line)
    columns = {t: [_text(f) for f in c] for t, c in past.columns(history, rows).items()}
    widths = {title: max(map(_width, (title, *column))) for title, column in columns.items()}
    for unneeded in past.LEAST_NEEDED:
        if sum(widths.values()) + len(_GAP) * (len(widths) - 1) > WIDTH:
            widths.pop(unneeded, None)
    lines.append("")
    for row in (list(columns), *zip(*columns.values(), strict=True)):
        name, *figures = ((t, c) for t, c in zip(columns, row, strict=True) if t in widths)
        cells = [_left(name[1], widths[name[0]]), *(_right(c, widths[t]) for t, c in figures)]
        lines.append(_GAP.join(cells).rstrip())
    for note in past.notes(history, rows):
        lines += _wrapped(note)
    return "\n".join(lines)


def run_row(cell: CellJson) -> str:
    """The line that `jupyter energy run` prints as a cell ends: name, time, energies, CO2e."""
    mark = words.INSIDE if cell["inside"] else ""
    count = "" if cell["execution_count"] is None else f"[{cell['execution_count']}]"
    name = clean(cell["name"], _CELL_COLUMN - 6 - len(mark)) if cell["name"] else ""
    label = f"{mark}{f'{count} {name}'.strip()}"
    if label == mark:
        label = words.cell_name(cell, _CELL_COLUMN)
    energy = " and ".join(f.text for f in words.energies(cell["measured_j"], cell["estimated_j"]))
    carbon = grams.carbon_short(cell["carbon_g"])
    time = units.duration(cell["duration_s"])
    row = f"{_left(label, _CELL_COLUMN)}{_GAP}{_right(time, 11)}{_GAP}{energy}"
    if carbon is not None:
        row += f"{_GAP}{carbon.text} CO2e"
    outcome = "" if cell["outcome"] == "ok" else f"{_GAP}{clean(cell['outcome'], 12)}"
    return row + outcome


def _devices(rows: Sequence[devices.Row]) -> list[str]:
    """A line a device, in columns; a reason is as long as it needs to be."""
    labels = [f"{r.label} {r.name}".strip() for r in rows]
    known = [r for r in rows if r.energy.look != "unknown"]
    first = max(map(_width, labels), default=0)
    second = max((_width(r.energy.text) for r in known), default=0)
    third = max((_width(_text(r.mean)) for r in known), default=0)
    lines = []
    for label, row in zip(labels, rows, strict=True):
        line = f"  {_left(label, first)}{_GAP}"
        if row.energy.look == "unknown":
            lines.append(line + row.energy.text)
            continue
        energy, mean = _left(row.energy.text, second), _right(_text(row.mean), third)
        lines.append(f"{line}{energy}{_GAP}{mean}{_GAP}{row.note}")
    return lines


def _carbon(lines: Sequence[grams.CarbonLine]) -> list[str]:
    return [f"{line.title} {line.figure.text}: {line.basis}" for line in lines]


def _table(summary: SummaryJson) -> list[str]:
    """The rows of the cells under their headings, without the columns that do not fit."""
    cells = summary["cells"]
    found = shares.of_rows(cells)
    columns: dict[str, list[str]] = {
        "runs": [str(c["runs"]) for c in cells],
        "time": [units.duration(c["duration_s"]) for c in cells],
        "measured": [_text(words.measured_cell(c)) for c in cells],
        "estimated": [
            _NONE if c["estimated_j"] is None else words.estimated_figure(c["estimated_j"]).text
            for c in cells
        ],
        "mean W": [_text(words.mean_power(c)) for c in cells],
        "share": [_text(s) for s in found],
        "CO2e": [_text(grams.carbon_short(c["carbon_g"])) for c in cells],
    }
    for unneeded in _LEAST_NEEDED:
        if _room(columns) >= _CELL_COLUMN // 2:
            break
        del columns[unneeded]
    # Whatever is left over is the name's, and a name is never pushed below a few letters.
    room = max(6, min(_CELL_COLUMN, _room(columns)))
    names = [_name(c, room) for c in cells]
    room = max(map(_width, ("cell", *names)))
    widths = {title: max(map(_width, (title, *column))) for title, column in columns.items()}
    heading = [_left("cell", room), *(_right(t, widths[t]) for t in columns)]
    lines = [_GAP.join(heading)]
    for i, name in enumerate(names):
        figures = (_right(columns[t][i], widths[t]) for t in columns)
        lines.append(_GAP.join([_left(name, room), *figures]))
    return lines


def _name(cell: CellJson, room: int) -> str:
    """The cell's name in `room` columns, with how its last run ended if not well."""
    name = words.cell_name(cell, room)
    if cell["outcome"] == "ok":
        return _clipped(name, room)
    spelled = f"{name} ({clean(cell['outcome'], 11)})"
    return spelled if _width(spelled) <= room else _clipped(name, room - len(_BAD)) + _BAD


def _clipped(name: str, room: int) -> str:
    """The name shortened to `room` columns; a wide character takes two of them."""
    while _width(name) > room:
        name = f"{name.rstrip('…')[:-1]}…"
    return name


def _room(columns: dict[str, list[str]]) -> int:
    """How many characters the other columns leave for the name."""
    taken = sum(len(_GAP) + max(map(_width, (t, *column))) for t, column in columns.items())
    return WIDTH - taken


def _wrapped(line: str) -> list[str]:
    """A line broken at spaces so that nothing is wider than WIDTH."""
    from textwrap import wrap

    return wrap(line, WIDTH, subsequent_indent="  ", break_on_hyphens=False)


def _text(figure: words.Figure | None) -> str:
    return _NONE if figure is None else figure.text


def _width(text: str) -> int:
    """How many columns a terminal gives the text: wide characters take two, marks none."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def _left(text: str, width: int) -> str:
    return text + " " * (width - _width(text))


def _right(text: str, width: int) -> str:
    return " " * (width - _width(text)) + text

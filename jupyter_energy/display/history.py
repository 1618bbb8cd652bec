"""The words of `history`, chosen once for plain text and for HTML: its columns, and what is said
about them."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath

from .. import units
from ..history import COUNTED_ONCE
from ..json_shapes import HistoryJson, HistoryRowJson
from ..plain_text import clean
from . import grams, words
from .words import WHY_LIMIT, Figure

FIRST_ROWS = 20
MOST_NAMED = 2  # of the rows of which the same is said
NOTHING = "Nothing was measured {}."
_NAME = 34
# Columns that text leaves out where it would be too wide, in this order.
LEAST_NEEDED = ("first", "last", "runs", "CO2e")
# Behind the name of a row that says something of its own below the table.
MARK = " †"


def headline(history: HistoryJson) -> tuple[tuple[Figure, ...], str]:
    """The energies of all rows together, and over what: " in 3 h 12 min, 214 runs, …"."""
    totals = history["totals"]
    runs = words.counted(totals["runs"], "run")
    many = words.counted(len(history["rows"]), history["by"])
    stopped = totals["interrupted"]
    ended = f", {words.counted(stopped, 'run')} interrupted or lost" if stopped else ""
    over = f" in {units.duration(totals['duration_s'])}, {runs} in {many}{ended}{when(history)}"
    return words.energies(totals["measured_j"], totals["estimated_j"]), over


def nothing(history: HistoryJson) -> str:
    """What stands in the place of the figures where there are none: why, where that is known."""
    why = (clean(w, WHY_LIMIT) for w in history["totals"]["warnings"])
    return "; ".join(why) or NOTHING.format(when(history).lstrip(", ") or "yet")


def when(history: HistoryJson) -> str:
    """From when to when was asked for: ", since 2026-11-01 (UTC)"; nothing where all was."""
    since, until = history["since"], history["until"]
    if since is None and until is None:
        return ""
    parts = (f"since {since}" if since else "", f"until {until}" if until else "")
    return f", {' '.join(filter(None, parts))} (UTC)"


def columns(history: HistoryJson, rows: Sequence[HistoryRowJson]) -> dict[str, list[Figure | None]]:
    """The table's columns by their titles; None stands for what is not known."""
    names = _names(history["by"], rows)
    found: dict[str, list[Figure | None]] = {
        history["by"]: [
            _plain(f"{name}{MARK if row['warnings'] else ''}")
            for name, row in zip(names, rows, strict=True)
        ],
        "runs": [_plain(str(row["runs"])) for row in rows],
        "time": [_plain(units.duration(row["duration_s"])) for row in rows],
        "measured": [
            None if row["measured_j"] is None else words.measured_figure(row["measured_j"])
            for row in rows
        ],
        "estimated": [
            None if row["estimated_j"] is None else words.estimated_figure(row["estimated_j"])
            for row in rows
        ],
        "CO2e": [grams.carbon_short(row["carbon_g"]) for row in rows],
    }
    if history["by"] != "day":
        found["first"] = [_plain(row["first"][:10]) if row["first"] else None for row in rows]
        found["last"] = [_plain(row["last"][:10]) if row["last"] else None for row in rows]
    return found


def _plain(text: str) -> Figure:
    return Figure(text, "computed")


def _names(by: str, rows: Sequence[HistoryRowJson]) -> list[str]:
    if by == "day":
        return [row["day"] or "?" for row in rows]
    if by == "host":
        return [clean(", ".join(row["hosts"]) or "?", _NAME) for row in rows]
    how_often = Counter(_name(row) for row in rows)
    return [clean(_where(row, how_often[_name(row)] > 1), _NAME) for row in rows]


def _name(row: HistoryRowJson) -> str:
    return "?" if row["notebook"] is None else row["notebook"]["name"]


def _where(row: HistoryRowJson, is_ambiguous: bool) -> str:
    """A notebook's name, with its folder where another one has the same name, and with the host
    where it ran on others than this one."""
    name, notebook = _name(row), row["notebook"]
    if is_ambiguous and notebook is not None and notebook["path"] is not None:
        name = "/".join(PurePath(notebook["path"]).parts[-2:])
    if row["hosts"] != [platform.node()]:
        name = f"{name} ({', '.join(row['hosts'])})"
    return name


def notes(history: HistoryJson, rows: Sequence[HistoryRowJson]) -> list[str]:
    """What is said below the table."""
    told: dict[str, list[str]] = {}  # by what is said, of which rows
    for name, row in zip(_names(history["by"], rows), rows, strict=True):
        for warning in row["warnings"]:
            told.setdefault(warning, []).append(name)
    overlaps = any(row["overlaps"] for row in rows)  # then the rows say it, each of itself
    of_all = [
        warning
        for warning in history["totals"]["warnings"]
        if warning not in told and not (overlaps and warning == COUNTED_ONCE)
    ]
    said = [f"note: {clean(warning, words.REASON_LIMIT)}" for warning in of_all]
    for warning, names in told.items():
        whose = f"{_some_of(names)}: " if history["by"] == "notebook" else ""
        said.append(f"†{clean(whose + warning, words.REASON_LIMIT)}")
    left_out = len(history["rows"]) - len(rows)
    if left_out:
        said.append(f"{words.counted(left_out, 'more ' + history['by'])}: --all shows them")
    return said


def _some_of(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")

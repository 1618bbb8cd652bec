"""A notebook's totals and its cells, most expensive first: what `summary` shows.

Either from the store's records, or, for a notebook that the store does not know, from the
outputs saved in its file.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .carbon_sums import add_carbon, weight_j
from .errors import NoSuchNotebook
from .identity import SCRIPT_SUFFIXES, normalised, notebook_cells, read_notebook
from .model import Idle, Record
from .overlaps import overlap_notes
from .saved import cell_from_output
from .schema import (
    MIME_TYPE,
    SCHEMA,
    CarbonJson,
    CellJson,
    NotebookJson,
    SummaryJson,
    TotalsJson,
    ValueJson,
    cell_from_records,
    cell_key,
    grams_of_a_part,
    range_json,
    totals_from_records,
    value_json,
)
from .uncertainty import COVERAGE_FACTOR_95, Range, Uncertain, sum_of_ranges, sum_over_time
from .version import version as installed_version


def summarise(
    notebook: NotebookJson,
    records: Iterable[Record],
    version: str,
    idles: Iterable[Idle] = (),
    others: int = 0,
) -> SummaryJson:
    """The summary of a notebook's records: energies in J, grams of CO2e, durations in s.

    Only runs that lie in no other enter the totals. A run inside another one has a row of its own
    where it has a name (a block measured inside a cell); its energy is part of its cell's row.
    `idles` are what was drawn between the cells, which is told apart; `others` is how many other
    notebooks drew from the same devices meanwhile.
    """
    runs = list(records)
    rows: dict[tuple[str, ...], list[Record]] = {}
    for run in runs:
        if run.within is None:
            rows.setdefault(cell_key(run), []).append(run)
    for run in _blocks(runs):
        rows.setdefault(("block", run.cell_id or "", run.name or ""), []).append(run)
    totals = totals_from_records(runs, idles)
    totals["warnings"] += overlap_notes(others)
    return {
        "schema": SCHEMA,
        "version": version,
        "notebook": notebook,
        "totals": totals,
        "cells": most_expensive_first(cell_from_records(row) for row in rows.values()),
    }


def most_expensive_first(cells: Iterable[CellJson]) -> list[CellJson]:
    """The cells by measured plus middle of estimated energy, falling; unknown ones last.

    Of equals, the one that ran first comes first.
    """

    def rank(cell: CellJson) -> tuple[float, str]:
        cost_j = _cost_j(cell)
        return (math.inf if cost_j is None else -cost_j), cell["started"]

    return sorted(cells, key=rank)


def from_notebook_file(path: str | os.PathLike[str]) -> SummaryJson:
    """The summary that the outputs saved in a notebook still tell, without the store.

    Each cell counts with the last measurement among its outputs, and one that lies inside another
    only with its row. The systematic uncertainties of
    all cells add linearly, as if all energy had gone through one device: the split by device over
    time is no longer known, and this bound is never too narrow.
    Raises NoSuchNotebook.
    """
    found = _existing(path)
    is_script = found.lower().endswith(SCRIPT_SUFFIXES)
    content = {"cells": []} if is_script else read_notebook(found)
    cells = [c for c in map(_saved_cell, notebook_cells(content)) if c is not None]
    return {
        "schema": SCHEMA,
        "version": installed_version(),
        "notebook": {"id": None, "path": found, "name": Path(found).name},
        "totals": _totals(cells),
        "cells": most_expensive_first(cells),
    }


def _blocks(runs: Sequence[Record]) -> list[Record]:
    """The named runs inside others, without those that lie in a run of the same name and cell.

    A measured function that calls itself would otherwise count its inner calls twice.
    """
    by_id = {run.run_id: run for run in runs}
    blocks = []
    for run in runs:
        if run.within is None or run.name is None:
            continue
        seen = {run.run_id}
        outer = by_id.get(run.within)
        while outer is not None and outer.run_id not in seen:
            if (outer.cell_id, outer.name) == (run.cell_id, run.name):
                break
            seen.add(outer.run_id)
            outer = by_id.get(outer.within or "")
        else:
            blocks.append(run)
    return blocks


def _cost_j(cell: CellJson) -> float | None:
    """What a cell is ranked by; never shown, because measured and estimated do not add."""
    measured, estimated = cell["measured_j"], cell["estimated_j"]
    if measured is None and estimated is None:
        return None
    return (measured["value"] if measured else 0.0) + (estimated["mid"] if estimated else 0.0)


def _existing(path: str | os.PathLike[str]) -> str:
    try:
        found = normalised(os.fspath(path))
        Path(found).stat()
    except (OSError, ValueError, RuntimeError):
        raise NoSuchNotebook(f"{path}: there is no such file") from None
    return found


def _saved_cell(cell: Mapping[str, Any]) -> CellJson | None:
    """The last measurement among a cell's outputs."""
    outputs = cell.get("outputs")
    last = None
    for output in outputs if isinstance(outputs, list) else []:
        data = output.get("data") if isinstance(output, Mapping) else None
        if isinstance(data, Mapping):
            last = cell_from_output(data.get(MIME_TYPE)) or last
    if last is not None and last["cell_id"] is None and isinstance(cell.get("id"), str):
        last["cell_id"] = cell["id"]
    return last


def _totals(rows: Sequence[CellJson]) -> TotalsJson:
    """The totals of cells of which only the JSON is left."""
    cells = [row for row in rows if not row["inside"]]
    starts = sorted(c["started"] for c in cells)
    known = [c for c in cells if _cost_j(c) is not None]
    measured = sum_over_time(_uncertain(c["measured_j"]) for c in cells if c["measured_j"])
    estimated = sum_of_ranges(Range(**c["estimated_j"]) for c in cells if c["estimated_j"])
    carbon: list[tuple[CarbonJson, float]] = [
        (c["carbon_g"], weight_j(c["carbon_g"])) for c in cells if c["carbon_g"] is not None
    ]
    return {
        "runs": sum(c["runs"] for c in cells),
        "cells": len(cells),
        "duration_s": math.fsum(c["duration_s"] for c in cells),
        "measured_j": value_json(measured),
        "estimated_j": range_json(estimated),
        "carbon_g": add_carbon(carbon),
        "first": starts[0] if starts else None,
        "last": starts[-1] if starts else None,
        "interrupted": sum(c["outcome"] in ("interrupted", "lost") for c in cells),
        "lost": sum(c["outcome"] == "lost" for c in cells),
        "idle": None,  # no cell's output tells of the time between cells
        "warnings": grams_of_a_part(sum(c["carbon_g"] is None for c in known), len(known), "cells"),
    }


def _uncertain(value: ValueJson) -> Uncertain:
    """A measurement from its 95 % half-widths; the systematic part is what is left of the whole."""
    random, whole = value["u95_repeat"], value["u95"]
    systematic = math.sqrt(max(0.0, whole**2 - random**2))
    return Uncertain(value["value"], random / COVERAGE_FACTOR_95, systematic / COVERAGE_FACTOR_95)

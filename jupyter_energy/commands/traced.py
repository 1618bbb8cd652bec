"""Which run `plot CELL` means, and its power trace; the traces that `plan` makes a job of."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import StoreError, WrongUse
from ..identity import NotebookRef
from ..model import Record
from ..power.document import PowerTrace
from ..store import Store
from .base import Context


def find(context: Context, ref: NotebookRef, own: bool, cell: str) -> tuple[Record, PowerTrace]:
    """The last traced run of a cell that is named, counted ("[3]" or "3") or begins its id.

    Raises WrongUse where there is none, StoreError where it cannot be read.
    """
    records: list[Record] = []
    stored: frozenset[str] = frozenset()
    notebook = context.known_notebook() if own else None
    # What waits before what is stored: what is written meanwhile is found there.
    waiting = context.pending() if own else []
    pending = context.monitor().pending_power() if own else {}
    store = Store(context.settings.store_path())
    try:
        try:
            notebook = notebook or store.find_notebook(ref)
            if notebook is not None:
                records = store.records(notebook.id)
                stored = store.traced(notebook.id)
        except StoreError as error:  # what waits in memory can still be shown
            context.err(f"jupyter-energy: {error}")
        kept = {record.run_id for record in records}
        records += [r for r in waiting if r.run_id not in kept]
        runs = matching(records, cell)
        for run in reversed(runs):
            trace = pending.get(run.run_id)
            if trace is None and run.run_id in stored:
                trace = store.power(run.run_id)
            if trace is not None:
                return run, trace
    finally:
        store.close()
    if not runs:
        raise WrongUse(f"no cell {cell!r} has been measured in {ref.name}: see its summary")
    raise WrongUse(f"cell {cell!r} has no power trace: run it with %%energy --trace")


def all_of(context: Context, own: bool, runs: Sequence[Record]) -> dict[str, PowerTrace]:
    """The power traces of runs of one notebook, by their id, of those that have one. What cannot
    be read is told, and left out."""
    found: dict[str, PowerTrace] = {}
    if own:
        found |= context.monitor().pending_power()
    store = Store(context.settings.store_path())
    try:
        for notebook_id in {run.notebook_id for run in runs}:
            stored = store.traced(notebook_id)
            for run in runs:
                if run.run_id in stored and (trace := store.power(run.run_id)) is not None:
                    found[run.run_id] = trace
    except StoreError as error:
        context.err(f"jupyter-energy: {error}")
    finally:
        store.close()
    return found


def matching(records: Sequence[Record], cell: str) -> list[Record]:
    """The runs of the cell that is meant: by its name, else by its execution count, else by the
    beginning of its id. Raises WrongUse where that may be several cells."""
    named = [r for r in records if r.name == cell]
    if named:
        return named
    count = cell.removeprefix("[").removesuffix("]")
    if counted := [r for r in records if str(r.execution_count) == count]:
        return counted
    begun = [r for r in records if r.cell_id is not None and cell and r.cell_id.startswith(cell)]
    ids = sorted({str(r.cell_id) for r in begun})
    if len(ids) > 1:
        raise WrongUse(f"{cell!r} may be the cell {' or '.join(ids[:3])}: write more of its id")
    return begun

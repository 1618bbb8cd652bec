"""Totals of one notebook and its cells, most expensive first.

From the store; for a notebook that the store does not know, from the outputs saved in it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ..errors import NoSuchNotebook, StoreError, WrongUse
from ..history_rows import pruned_of
from ..identity import NotebookRef, from_file, from_path
from ..model import Idle, Record
from ..schema import NotebookJson, SummaryJson
from ..store import Store
from ..summary import from_notebook_file, summarise
from ..version import version
from .base import Context
from .unwritable import why_nothing

IN_NOTEBOOK = IN_SHELL = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("notebook", nargs="?", help="a notebook or script; default: this one")
    parser.add_argument("--json", action="store_true", help="print one JSON document (schema 1)")
    span = parser.add_mutually_exclusive_group()
    in_notebook = parser.prog.startswith("%")
    only_session = "this kernel's runs only" if in_notebook else argparse.SUPPRESS
    span.add_argument("--session", action="store_true", help=only_session)
    span.add_argument("--all-time", action="store_true", help="all runs (the default)")


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Show the summary; 0."""
    if arguments.notebook is None:
        ref = context.notebook()
        if ref is None:
            raise WrongUse("which notebook? jupyter energy summary NOTEBOOK.ipynb")
        own = True
    else:
        ref = _named(arguments.notebook, context)
        own = False
    session_id = context.session_id() if arguments.session else None
    if arguments.session and session_id is None:
        raise WrongUse("--session is for a notebook: %energy summary --session")
    summary = load(context, ref, session_id, own)
    if arguments.json:
        context.out(json.dumps(summary, indent=2, allow_nan=False))
    elif not context.in_notebook:
        from ..display.text import summary as summary_text

        context.out(summary_text(summary, "jupyter energy"))
    else:
        from ..display.bundle import summary_bundle

        context.show(summary_bundle(summary, context.command))
    return 0


def _named(path: str, context: Context) -> NotebookRef:
    """What the user named: a notebook or script, or whatever else the store has totals of, such
    as a program without a suffix or a file that is gone. Raises NoSuchNotebook."""
    try:
        return from_file(Path(path))
    except NoSuchNotebook:
        found = from_path(path)
        store = Store(context.settings.store_path())
        try:
            if found is None or store.find_notebook(found) is None:
                raise
        except StoreError:
            pass
        else:
            return found
        finally:
            store.close()
        raise


def load(
    context: Context, ref: NotebookRef, session_id: str | None = None, own: bool = False
) -> SummaryJson:
    """The summary of a notebook: stored records and, for the `own` one, what waits in memory.

    Raises NoSuchNotebook for one that was never measured.
    """
    records: list[Record] = []
    idles: list[Idle] = []
    others, pruned, trouble = 0, "", None
    # A kernel goes on with the notebook it began with: another may lie at the old path by now.
    notebook = context.known_notebook() if own else None
    store = Store(context.settings.store_path())
    try:
        with suppress(StoreError):  # what cannot be taken in is read where it lies
            store.absorb()
        notebook = notebook or store.find_notebook(ref)
        if notebook is not None:
            records = store.records(notebook.id, session_id)
            idles = store.idles(notebook.id, session_id)
            others = store.others_at_once([r for r in records if r.within is None])
            pruned = store.read(lambda c: pruned_of(c, notebook.id), "")
    except StoreError as error:
        trouble = str(error)
    finally:
        store.close()
    said = list(dict.fromkeys([*([trouble] if trouble else ()), *store.warnings]))
    if own:
        stored = {record.run_id for record in records}
        records += [r for r in context.pending() if r.run_id not in stored]
        booked = {idle.idle_id for idle in idles}
        idles += [i for i in context.pending_idle() if i.idle_id not in booked]  # this session's
    if not records and not pruned and not own and ref.path is not None:
        return _saved(context, ref, ref.path, trouble or why_nothing(store), said)
    for text in said:
        context.tell(text)
    named = NotebookJson(id=None if notebook is None else notebook.id, path=ref.path, name=ref.name)
    found = summarise(named, records, version(), idles, others)
    if pruned and session_id is None:
        told = f"runs from before {pruned} were pruned; {context.command} history has their totals"
        found["totals"]["warnings"].append(told)
    return found


def _saved(
    context: Context, ref: NotebookRef, path: str, trouble: str | None, said: Sequence[str]
) -> SummaryJson:
    """What the notebook's own outputs tell, where the store, which may be in `trouble`, has nothing
    of it. Raises NoSuchNotebook for one that was never measured, StoreError where nobody knows."""
    saved = from_notebook_file(Path(path)) if path.endswith(".ipynb") else None
    for text in said:
        if text != trouble or (saved and saved["cells"]):  # else it stands in the summary's place
            context.tell(text)
    if saved is not None:
        if saved["cells"]:
            context.err(f"from the outputs saved in {ref.name}: cells without %%energy left none")
        elif trouble is not None:
            saved["totals"]["warnings"].append(trouble)
        return saved
    if trouble is not None:
        raise StoreError(f"nothing is known of {path}: {trouble}")
    raise NoSuchNotebook(f"{path} was never measured; try: jupyter energy run {path}")

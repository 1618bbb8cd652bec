"""What is known of a notebook: the store's records and what waits in memory; else what is saved in
its outputs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Gathered:
    """A notebook's summary, and the records that it was made of.

    There are none where all is from the outputs saved in the notebook (`saved`): which session made
    which is then no longer known.
    """

    summary: SummaryJson
    records: Sequence[Record] = ()
    idles: Sequence[Idle] = ()
    saved: bool = False

    def sessions(self) -> tuple[SummaryJson, ...]:
        """A summary for each session (a kernel's life, a run of a script), the first one first."""
        runs: dict[str, list[Record]] = {}
        for record in sorted(self.records, key=lambda r: r.start):
            runs.setdefault(record.session_id, []).append(record)
        between: dict[str, list[Idle]] = {}
        for idle in self.idles:
            between.setdefault(idle.session_id, []).append(idle)
        named = self.summary["notebook"]
        return tuple(
            summarise(named, own, version(), between.get(session, ()))
            for session, own in runs.items()
        )

    def ran(self) -> int | None:
        """How many sessions ran a measured cell; None where nobody knows."""
        outer = (record for record in self.records if record.within is None)
        return None if self.saved else len({record.session_id for record in outer})


def asked_for(path: str | None, context: Context, command: str) -> tuple[NotebookRef, bool]:
    """The notebook that a command is about, and whether it is the one that the command is given in.

    Raises WrongUse where a shell names none, NoSuchNotebook.
    """
    if path is not None:
        return _named(path, context), False
    ref = context.notebook()
    if ref is None:
        raise WrongUse(f"which notebook? jupyter energy {command} NOTEBOOK.ipynb")
    return ref, True


def what_first(found: Gathered, context: Context) -> str:
    """Why there is nothing to tell, and what to run so that there is."""
    name = found.summary["notebook"]["name"]
    first = "run a cell first" if context.in_notebook else f"measure it: jupyter energy run {name}"
    return "; ".join([*found.summary["totals"]["warnings"], first])


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


def gather(
    context: Context, ref: NotebookRef, session_id: str | None = None, own: bool = False
) -> Gathered:
    """What is known of a notebook: stored records and, for the `own` one, what waits in memory.

    Raises NoSuchNotebook for one that was never measured.
    """
    records: list[Record] = []
    idles: list[Idle] = []
    others, pruned, trouble = 0, "", None
    # A kernel goes on with the notebook it began with: another may lie at the old path by now.
    notebook = context.known_notebook() if own else None
    # What waits before what is stored: what is written meanwhile is found there.
    waiting = context.pending() if own else []
    waiting_idle = context.pending_idle() if own else []
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
    stored = {record.run_id for record in records}
    records += [r for r in waiting if r.run_id not in stored]
    booked = {idle.idle_id for idle in idles}
    idles += [i for i in waiting_idle if i.idle_id not in booked]  # this session's
    if not records and not pruned and not own and ref.path is not None:
        saved = _saved(context, ref, ref.path, trouble or why_nothing(store), said)
        return Gathered(saved, saved=True)
    for text in said:
        context.tell(text)
    named = NotebookJson(id=None if notebook is None else notebook.id, path=ref.path, name=ref.name)
    found = summarise(named, records, version(), idles, others)
    if pruned and session_id is None:
        told = f"runs from before {pruned} were pruned; {context.command} history has their totals"
        found["totals"]["warnings"].append(told)
    return Gathered(found, records, idles)


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

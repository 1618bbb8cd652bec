"""What journals hold and the database may lack, for whoever reads the store meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from .journal import Entry
from .journals import Journals
from .model import Record
from .run_rows import readable


def of_notebook(
    journals: Journals,
    since: Mapping[str, int],
    notebook_id: str,
    session_id: str | None,
    kind: str = "record",
) -> tuple[dict[str, Entry], dict[str, int]]:
    """The last entry of each run of a notebook, and how far which journal was read: to the first
    entry whose notebook it has not told yet."""
    found: dict[str, Entry] = {}
    offsets: dict[str, int] = {}
    for name in journals.names():
        begin = since.get(name, 0)
        seen: list[tuple[int, Entry]] = []
        for entry, said, end in journals.read(name, begin):
            if entry.kind == kind and session_id in (None, said.session_id):
                seen.append((begin, entry))
            begin = end
        # Now, since which notebook an entry belongs to may be told by a later one.
        owned = [(at, entry, journals.described(name).notebook_id(entry)) for at, entry in seen]
        found |= {entry.name: entry for _, entry, owner in owned if owner == notebook_id}
        offsets[name] = next((at for at, _, owner in owned if not owner), begin)
    return found, offsets


def lost(journals: Journals, notebook_id: str, session_id: str | None) -> list[Record]:
    """The runs of a notebook of which journals of dead processes have a heartbeat; some of them may
    have finished."""
    beating, _ = of_notebook(journals, {}, notebook_id, session_id, "heartbeat")
    if not beating:
        return []
    over = {
        entry.name
        for name in journals.names()
        if journals.is_over(name)
        for entry, _, _ in journals.read(name)
    }
    documents = [entry.document for name, entry in beating.items() if name in over]
    return [replace(record, notebook_id=notebook_id) for record in readable(documents)]


def records(journals: Journals) -> list[Record]:
    """The records of all notebooks, finished or cut short; the database may have them too."""
    finished: dict[str, Entry] = {}
    cut: dict[str, Entry] = {}
    for name in journals.names():
        entries = [entry for entry, _, _ in journals.read(name)]
        said, over = journals.described(name), journals.is_over(name)
        for entry in entries:
            owned = replace(entry, notebook_id=said.notebook_id(entry))
            if entry.kind == "record":
                finished[entry.name] = owned
            elif entry.kind == "heartbeat" and over:
                cut[entry.name] = owned
    return [
        replace(record, notebook_id=entry.notebook_id)
        for entry in (cut | finished).values()
        for record in readable([entry.document])
    ]


def traces(journals: Journals, run_id: str) -> Iterator[str]:
    """The documents of the power traces of a run."""
    for name in journals.names():
        for entry, _, _ in journals.read(name):
            if entry.kind == "power" and entry.name == run_id:
                yield entry.document

"""Journals as other processes leave them beside a store, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from jupyter_energy.documents import record_to_document, to_json
from jupyter_energy.identity import NotebookRef
from jupyter_energy.journal import Entry
from jupyter_energy.journals import VERSION, Process, notebook_entry
from jupyter_energy.model import Record

PROCFS = Path("/proc")
HOST = "here"
NOTEBOOK = NotebookRef(None, "a.ipynb", kernel_id="kernel")
DEAD = {"began": 1}  # this process's number, when another had it


def head(session_id: str = "s1", version: int = VERSION, **process: Any) -> Entry:
    """A head of this process's, but for what `process` says otherwise."""
    whose = asdict(replace(Process.own(HOST, PROCFS), **process))
    document = {"version": version, "session_id": session_id, "process": whose}
    return Entry("head", to_json(document))


def about(ref: NotebookRef = NOTEBOOK, notebook_id: str = "", key: str | None = None) -> Entry:
    """What a journal says of a notebook."""
    return notebook_entry(key, notebook_id, ref)


def kept(record: Record, kind: str = "record", key: str | None = None) -> Entry:
    """A record, or a heartbeat, as it is appended before its notebook's id is known."""
    document = to_json(record_to_document(replace(record, notebook_id="")))
    return Entry(kind, document, record.run_id, key)


def leave(store: Path, entries: Sequence[Entry | bytes], name: str = "left") -> Path:
    """A journal of these entries, or lines, beside a store."""
    path = Path(f"{store}.journals") / f"{name}.journal"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lines = [entry if isinstance(entry, bytes) else entry.line() for entry in entries]
    path.write_bytes(b"".join(lines))
    return path

"""The rows of power traces in the store: one a run that was traced."""

from __future__ import annotations

import json

from .documents import to_json
from .migrations import Connection
from .power.document import PowerTrace


def keep(connection: Connection, run_id: str, trace: PowerTrace) -> None:
    """Keep the trace of a run; a second one of the same run changes nothing."""
    keep_document(connection, run_id, to_json(trace.to_document()))


def keep_document(connection: Connection, run_id: str, document: str) -> None:
    """The same of a trace that is a document already."""
    connection.execute(
        "INSERT INTO power_trace (run_id, document) VALUES (?, ?) ON CONFLICT DO NOTHING",
        (run_id, document),
    )


def find(connection: Connection, run_id: str) -> PowerTrace | None:
    """The trace of a run; None where it has none, or one that this version cannot read."""
    rows = connection.execute("SELECT document FROM power_trace WHERE run_id = ?", (run_id,))
    return next((readable(document) for (document,) in rows), None)


def readable(document: str) -> PowerTrace | None:
    """The trace of a document; None of one that this version cannot read."""
    try:
        return PowerTrace.from_document(json.loads(document))
    except (KeyError, TypeError, ValueError):
        return None


def traced(connection: Connection, notebook_id: str) -> frozenset[str]:
    """The runs of a notebook that have a trace."""
    rows = connection.execute(
        "SELECT run_id FROM record JOIN power_trace USING (run_id) WHERE notebook_id = ?",
        (notebook_id,),
    )
    return frozenset(run_id for (run_id,) in rows)

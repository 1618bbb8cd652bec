"""The rows of power traces in the store: one a run that was traced."""

from __future__ import annotations

from .documents import to_json
from .migrations import Connection
from .power.document import PowerTrace
from .seal import opened, sealed


def keep(connection: Connection, run_id: str, trace: PowerTrace) -> None:
    """Keep the trace of a run; a second one of the same run changes nothing."""
    # With the id of its run: a document that is found without its row tells what it is of.
    document = to_json({"run_id": run_id, **trace.to_document()})
    connection.execute(
        "INSERT INTO power_trace (run_id, document) VALUES (?, ?) ON CONFLICT DO NOTHING",
        (run_id, sealed(document)),
    )


def find(connection: Connection, run_id: str) -> PowerTrace | None:
    """The trace of a run; None where it has none, or one that this version cannot read."""
    rows = connection.execute("SELECT document FROM power_trace WHERE run_id = ?", (run_id,))
    return next((readable(document, run_id) for (document,) in rows), None)


def readable(document: str, run_id: str) -> PowerTrace | None:
    """The trace of a run in a document; None of one that this version cannot read, or of another
    run's, which a damaged index may name."""
    try:
        held = opened(document)
        return PowerTrace.from_document(held) if held.get("run_id", run_id) == run_id else None
    except (KeyError, TypeError, ValueError):
        return None


def traced(connection: Connection, notebook_id: str) -> frozenset[str]:
    """The runs of a notebook that have a trace."""
    rows = connection.execute(
        "SELECT run_id FROM record JOIN power_trace USING (run_id) WHERE notebook_id = ?",
        (notebook_id,),
    )
    return frozenset(run_id for (run_id,) in rows)

"""What a wait is likely to draw: by what was recorded of this notebook on this machine."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from ..errors import StoreError
from ..plan.pausing import Powers
from ..signals import raise_if_users

if TYPE_CHECKING:
    from ..model import Idle, Record
    from ..monitor import Monitor
    from ..plan.nouns import Job


def powers(monitor: Monitor, key: str | None) -> Powers:
    """As the plan has it: what was drawn between the cells of this session, or else of the last
    one, as a share of their mean power; else memory's share of that whole and the rest as assumed;
    as assumed where nothing is recorded, or the store does not answer."""
    from ..plan.job import job_from_records, last_session

    try:
        records, idles = _recorded(monitor, key)
        outer, _ = last_session([r for r in records if r.host == monitor.host], monitor.session_id)
        if not outer:
            return Powers()
        runs = [r for r in records if r.session_id == outer[0].session_id]
        job = job_from_records([*outer, *(r for r in runs if r.within is not None)], {})
        return _of(job, runs, idles)
    except Exception as error:  # noqa: BLE001  what is only told beside a wait does not end it
        raise_if_users(error)
        return Powers()


def _of(job: Job, runs: list[Record], idles: list[Idle]) -> Powers:
    """What these runs, which are the job's, and the time between them tell."""
    from ..plan import idling

    own = (idle for idle in idles if idle.session_id == runs[0].session_id)
    return idling.powers(job, idling.paused(runs, own))


def _recorded(monitor: Monitor, key: str | None) -> tuple[list[Record], list[Idle]]:
    """A notebook's records and idle time, those too that wait in memory. Raises StoreError."""
    from ..store import Store

    with suppress(StoreError):
        monitor.flush()
    records, idles = monitor.pending(key), monitor.idle.pending(key)
    notebook = monitor.known_notebook(key)
    if notebook is None:
        return records, idles
    store = Store(monitor.store_path)
    try:
        stored = {r.run_id: r for r in store.records(notebook.id)}
        booked = {i.idle_id: i for i in store.idles(notebook.id)}
    finally:
        store.close()
    return (
        [*stored.values(), *(r for r in records if r.run_id not in stored)],
        [*booked.values(), *(i for i in idles if i.idle_id not in booked)],
    )

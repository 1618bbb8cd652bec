"""Totals over notebooks, days or hosts.

DATE is a day, as 2026-11-01, or how long ago, as 7d or 4w; days are UTC, and `--until` includes its
own. What several notebooks measured at the same time on one host counts once in all totals; each
notebook's own row keeps what it measured. `--prune DATE` deletes the records from before a day;
the totals of its days stay.
"""

from __future__ import annotations

import argparse
import json
import re
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta

from ..errors import StoreError, WrongUse
from ..history import Found, Wanted, history_json, load
from ..history_rows import Named, pruned_before
from ..identity import Notebook, file_name
from ..json_shapes import HistoryJson
from ..retention import prunable, prune
from ..store import Store
from ..version import version
from .base import Context
from .unwritable import why_nothing

IN_NOTEBOOK = IN_SHELL = True
DAYS = {"d": 1, "w": 7}
_AGO = re.compile(r"([0-9]{1,5})([dw])")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("--since", metavar="DATE", help="from this day on: 2026-11-01, 7d, 4w")
    parser.add_argument("--until", metavar="DATE", help="up to this day")
    parser.add_argument("--by", choices=("notebook", "day", "host"), help="default: notebook")
    parser.add_argument("--all", action="store_true", help="all rows, not only the first 20")
    parser.add_argument("--json", action="store_true", help="print one JSON document (schema 1)")
    parser.add_argument("--prune", metavar="DATE", help="say what lies before this day")
    parser.add_argument("--yes", action="store_true", help="with --prune: and delete it")


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Show the history, or prune; 0, or 1 where the store cannot be used and there is nothing to
    show. Raises WrongUse for a date, StoreError."""
    today = datetime.now(UTC).date()
    store = Store(context.settings.store_path())
    try:
        with suppress(StoreError):  # what cannot be taken in is read where it lies
            store.absorb()
        if arguments.prune is not None:
            if arguments.since or arguments.until or arguments.by or arguments.json:
                raise WrongUse("--prune takes no other option but --yes")
            _prune(store, day(arguments.prune, today), today, arguments.yes, context)
            return 0
        if arguments.yes:
            raise WrongUse("--yes is for --prune DATE")
        wanted = Wanted(
            arguments.by or "notebook",
            day(arguments.since, today) if arguments.since else None,
            day(arguments.until, today) if arguments.until else None,
        )
        more = [*context.pending(), *store.loose()]
        found = load(store, wanted, more, lambda text: _tell(context, text))
        _name(found, store, context)
    finally:
        store.close()
    history = history_json(found, wanted, version())
    why = None if history["rows"] or context.in_notebook else why_nothing(store)
    if why is not None:
        if not arguments.json:
            raise StoreError(why)
        history["totals"]["warnings"].append(why)
    for text in store.warnings:
        if text != why:  # that stands in the place of the rows
            _tell(context, text)
    _show(history, arguments, context)
    return 0 if why is None else 1


def _name(found: Found, store: Store, context: Context) -> None:
    """Names for notebooks that no database has: where it cannot be written, journals have them."""
    if not found.groups.keys() - found.names.keys():
        return
    beside = [Notebook(n.id, n.path, file_name(n.path)) for n in store.journals.known() if n.path]
    own = context.known_notebook()
    named = {n.id: Named(n.name, n.path) for n in (*beside, *([own] if own else []))}
    found.names = {**named, **found.names}


def day(text: str, today: date) -> str:
    """The day that a user names, as "2026-11-01". Raises WrongUse."""
    ago = _AGO.fullmatch(text)
    try:
        if ago is not None:
            return (today - timedelta(int(ago[1]) * DAYS[ago[2]])).isoformat()
        return date.fromisoformat(text).isoformat()
    except (ValueError, OverflowError):
        raise WrongUse(f"{text!r} is no date: write 2026-11-01, or 7d, or 4w") from None


def _show(history: HistoryJson, arguments: argparse.Namespace, context: Context) -> None:
    if arguments.json:
        context.out(json.dumps(history, indent=2, allow_nan=False))
        return
    from ..display.bundle import history_bundle
    from ..display.history import FIRST_ROWS

    context.show(history_bundle(history, context.command, None if arguments.all else FIRST_ROWS))


def _prune(store: Store, before: str, today: date, is_sure: bool, context: Context) -> None:
    if before > today.isoformat():
        raise WrongUse(
            f"{before} lies ahead: --prune DATE deletes what is from before a day; write {today} "
            "for all but today's (UTC), or as far back as is to stay, such as 90d"
        )
    nothing = ""
    since = store.read(pruned_before, nothing)
    last = (date.fromisoformat(before) - timedelta(1)).isoformat()
    found = load(store, Wanted("notebook", since, last), (), lambda text: _tell(context, text))
    records = prunable(store, before)
    if not records:
        context.out(f"There are no records from before {before} (UTC).")
        return
    what = _what(records, found)
    if is_sure:
        records = prune(store, before)
        context.out(
            f"Deleted {_what(records, found)}. The totals of these days stay in the history. The "
            "file keeps its size; new records fill it."
        )
        return
    context.out(
        f"This would delete {what}. The totals of these days would stay in the history. Add --yes "
        "to delete."
    )


def _what(records: int, found: Found) -> str:
    """What a prune deletes: "214 records of 3 notebooks, from 2026-01-03 to …"."""
    from ..display.words import counted, energies

    totals = found.whole.to_json(())
    figures = " and ".join(f.text for f in energies(totals["measured_j"], totals["estimated_j"]))
    first, last = (totals["first"] or "?")[:10], (totals["last"] or "?")[:10]
    notebooks = counted(len(found.groups), "notebook")
    return f"{counted(records, 'record')} of {notebooks}, from {first} to {last} (UTC), {figures}"


def _tell(context: Context, text: str) -> None:
    context.tell(text)

"""Totals of one notebook and its cells, most expensive first.

From the store; for a notebook that the store does not know, from the outputs saved in it.
"""

from __future__ import annotations

import argparse
import json

from ..errors import WrongUse
from ..identity import NotebookRef
from ..schema import SummaryJson
from .base import Context
from .gathered import asked_for, gather

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
    ref, own = asked_for(arguments.notebook, context, "summary")
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


def load(
    context: Context, ref: NotebookRef, session_id: str | None = None, own: bool = False
) -> SummaryJson:
    """The summary of a notebook: stored records and, for the `own` one, what waits in memory.

    Raises NoSuchNotebook for one that was never measured.
    """
    return gather(context, ref, session_id, own).summary

"""The Software Carbon Intensity of a notebook, per run: O + M, with all that stands behind them.

SCI = (E × I + M) per R by ISO/IEC 21031 (GSF SCI specification 1.1), R being one run of the
notebook. M, what making the hardware emitted, is a range over published methods, or not known.
"""

from __future__ import annotations

import argparse
import json

from ..errors import WrongUse
from .base import Context
from .gathered import asked_for, gather, what_first

IN_NOTEBOOK = IN_SHELL = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("notebook", nargs="?", help="a notebook or script; default: this one")
    parser.add_argument("--json", action="store_true", help="print one JSON document (schema 1)")


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Show the report; 0. Raises WrongUse where no energy is known, NoSuchNotebook."""
    from ..display import sci as words
    from ..sci import report

    ref, own = asked_for(arguments.notebook, context, "sci")
    found = gather(context, ref, own=own)
    try:
        made = report(found.summary, found.sessions())
    except ValueError as error:
        raise WrongUse(f"no SCI: {error}; {what_first(found, context)}") from None
    if arguments.json:
        context.out(json.dumps(made, indent=2, allow_nan=False))
    else:
        context.out(words.text(made, found.summary["totals"]["carbon_g"], context.command))
    return 0

"""A methods paragraph for a paper, how to cite jupyter-energy, and a model card's emissions.

The paragraph names devices, sensors, uncertainty, carbon intensity and limits, from what was
recorded of the notebook. `--model-card` prints the `co2_eq_emissions` block of a model card on
huggingface.co, in grams, of everything that was recorded: put into it what kind of training it was.
"""

from __future__ import annotations

import argparse
import json

from ..errors import WrongUse
from ..schema import SCHEMA, SummaryJson
from .base import Context
from .gathered import asked_for, gather, what_first

IN_NOTEBOOK = IN_SHELL = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("notebook", nargs="?", help="a notebook or script; default: this one")
    parser.add_argument("--model-card", action="store_true", help="the block for a model card")
    parser.add_argument("--json", action="store_true", help="print one JSON document (schema 1)")


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Show it; 0. Raises WrongUse where nothing is known to tell, NoSuchNotebook."""
    from textwrap import fill

    from ..display import methods
    from ..version import homepage

    ref, own = asked_for(arguments.notebook, context, "cite")
    found = gather(context, ref, own=own)
    summary = found.summary
    if not summary["totals"]["runs"]:
        raise WrongUse(f"nothing to cite: {what_first(found, context)}")
    if arguments.json:
        context.out(json.dumps(_document(summary, found.ran()), indent=2, allow_nan=False))
    elif arguments.model_card:
        made = methods.card(summary, context.command)
        carbon = summary["totals"]["carbon_g"]
        assert carbon is not None  # else there was no card
        context.out(methods.card_yaml(made, carbon))
    else:
        version, url = summary["version"], homepage()
        context.out(
            "\n\n".join(
                (
                    fill(methods.paragraph(summary, found.ran()), 100, break_on_hyphens=False),
                    methods.citation(version, url),
                    methods.bibtex(version, url),
                )
            )
        )
    return 0


def _document(summary: SummaryJson, sessions: int | None) -> object:
    """The same for programs."""
    from ..display import methods
    from ..version import homepage

    version, url = summary["version"], homepage()
    try:
        card = methods.card(summary)
    except WrongUse:
        card = None
    return methods.CiteJson(
        schema=SCHEMA,
        version=version,
        notebook=summary["notebook"],
        methods=methods.paragraph(summary, sessions),
        citation=methods.citation(version, url),
        bibtex=methods.bibtex(version, url),
        co2_eq_emissions=card,
    )

"""Energy by cell, as bars; estimates have their own look and their range."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import WrongUse
from ..identity import from_file
from .base import Context
from .summary import load

IN_NOTEBOOK = IN_SHELL = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("notebook", nargs="?", help="a notebook or script; default: this one")
    parser.add_argument("--output", metavar="FILE", help="write a picture (png, svg or pdf)")


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Show or write the figure; 0."""
    own = arguments.notebook is None
    ref = context.notebook() if own else from_file(Path(arguments.notebook))
    if ref is None:
        raise WrongUse("which notebook? jupyter energy plot NOTEBOOK.ipynb --output energy.png")
    if not context.in_notebook and arguments.output is None:
        raise WrongUse("where to? jupyter energy plot NOTEBOOK.ipynb --output energy.png")
    summary = load(context, ref, own=own)
    if not summary["cells"]:
        raise WrongUse("no cell has been measured yet")
    if arguments.output is not None:
        target = Path(arguments.output)
        if target.is_dir():
            raise WrongUse(f"{target} could not be written: it is a folder")
        if not target.suffix:
            # matplotlib would add it unsaid, and the file named here would not be there.
            target = target.with_name(f"{target.name}.png")
        from ..display.plots import energy_by_cell

        figure = energy_by_cell(summary)
        try:
            figure.savefig(target, bbox_inches="tight")
        except (OSError, ValueError) as error:
            raise WrongUse(f"{target} could not be written: {error}") from None
        context.out(f"Written: {target}")
        return 0
    from ..display.bundle import plot_bundle

    context.show(plot_bundle(summary))
    return 0

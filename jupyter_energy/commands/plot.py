"""Energy by cell, as bars, or power over time of one traced cell; estimates have their own look.

A cell is named by its name, its execution count or the beginning of its id, and has a trace where
it ran with `%%energy --trace`. Its figure has a line a measured device, and a band a range.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import WrongUse
from ..identity import SCRIPT_SUFFIXES, NotebookRef, from_file
from .base import Context
from .summary import load

if TYPE_CHECKING:
    from matplotlib.figure import Figure

IN_NOTEBOOK = IN_SHELL = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("notebook", nargs="?", help="a notebook or script; default: this one")
    parser.add_argument("cell", nargs="?", help="a traced cell: its name, count or id")
    parser.add_argument("--output", metavar="FILE", help="write a picture (png, svg or pdf)")


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Show or write the figure; 0."""
    notebook, cell = arguments.notebook, arguments.cell
    if context.in_notebook and cell is None and notebook and not _is_file(notebook):
        notebook, cell = None, notebook
    own = notebook is None
    ref = context.notebook() if own else from_file(Path(notebook))
    if ref is None:
        raise WrongUse("which notebook? jupyter energy plot NOTEBOOK.ipynb --output energy.png")
    if cell is not None:
        return _power(context, ref, own, cell, arguments.output)
    if not context.in_notebook and arguments.output is None:
        raise WrongUse("where to? jupyter energy plot NOTEBOOK.ipynb --output energy.png")
    summary = load(context, ref, own=own)
    if not summary["cells"]:
        why = "; ".join(summary["totals"]["warnings"])  # such as that its runs were pruned
        raise WrongUse(f"nothing to plot: {why or 'no cell has been measured yet'}")
    if arguments.output is not None:
        target = target_of(arguments.output)
        from ..display.plots import energy_by_cell

        return write(context, energy_by_cell(summary), target)
    from ..display.bundle import plot_bundle

    context.show(plot_bundle(summary))
    return 0


def _power(context: Context, ref: NotebookRef, own: bool, cell: str, output: str | None) -> int:
    """Show or write the power of a cell over time; in a shell without a file, as text."""
    from ..display import power
    from .traced import find

    target = None if output is None else target_of(output)
    record, trace = find(context, ref, own, cell)
    row = record.to_dict()
    if target is not None:
        return write(context, power.power_over_time(row, trace), target)
    if not context.in_notebook:
        context.out(power.text(row, trace))
        return 0
    from ..display.bundle import power_bundle

    context.show(power_bundle(row, trace), power.alt(row, trace))
    return 0


def _is_file(word: str) -> bool:
    """Whether a word means a notebook or a script rather than a cell."""
    return word.lower().endswith((".ipynb", *SCRIPT_SUFFIXES))


def target_of(output: str) -> Path:
    """The file that a picture goes to. Raises WrongUse for a folder."""
    target = Path(output)
    if target.is_dir():
        raise WrongUse(f"{target} could not be written: it is a folder")
    if not target.suffix:
        # matplotlib would add it unsaid, and the file named here would not be there.
        target = target.with_name(f"{target.name}.png")
    return target


def write(context: Context, figure: Figure, target: Path, beside_json: bool = False) -> int:
    """Write a picture and say where, which is no part of a document on stdout; 0. Raises WrongUse
    where it cannot be written."""
    try:
        figure.savefig(target, bbox_inches="tight")
    except (OSError, ValueError) as error:
        raise WrongUse(f"{target} could not be written: {error}") from None
    (context.err if beside_json else context.out)(f"Written: {target}")
    return 0

"""Stop loading the extension in new kernels: takes back what `enable` wrote.

Other settings in the same files stay as they are, and so do kernels that run already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .enable import EXTENSION, files, lists_with_us, other_files_with_us, remove

if TYPE_CHECKING:
    import argparse

    from .base import Context


IN_NOTEBOOK, IN_SHELL = False, True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None: there is one thing to do."""


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Remove the entry wherever `enable` may have put it.

    Raises WrongUse for a broken file, EnergyError where a file is not writable.
    """
    # All are read before one is changed: a broken file stops the command with nothing done.
    holding = [file for file in files(context.environ) if lists_with_us(file)]
    for file in holding:
        remove(file)
        context.out(f"Disabled: new kernels no longer load {EXTENSION} ({file}).")
    for file in other_files_with_us(context.environ):
        context.err(f"{file} names {EXTENSION} as well: if it loads it, remove that line.")
    if not holding:
        context.out("Nothing to disable: it was not enabled.")
    return 0

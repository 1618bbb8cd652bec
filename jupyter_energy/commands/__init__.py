"""The commands: one file each, serving both `%energy NAME` and `jupyter energy NAME`.

A command file has a docstring (its help), `add_arguments(parser)`, `run(arguments, context)`
returning the exit status, and `IN_NOTEBOOK` / `IN_SHELL` saying where it makes sense.
"""

from __future__ import annotations

from .base import dispatch

# One line a command, in the order in which help lists them.
COMMANDS = (
    *("run", "summary", "history", "plot", "plan", "zone", "recompute", "sci", "cite"),
    *("baseline", "doctor", "enable", "disable"),
)

__all__ = ["COMMANDS", "dispatch"]

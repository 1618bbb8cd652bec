"""What every command is given, and how a command line finds its command."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import NoReturn, Protocol

from ..config import Energy
from ..errors import WrongUse
from ..identity import Notebook, NotebookRef
from ..model import Idle, Record
from ..monitor import Monitor

# argparse makes an empty list of such a value, whatever its type is to be.
_NO_VALUE = re.compile(r"--[a-z-]+=--|-[a-z]--")
SENTENCE = "What notebooks cost in energy and CO2e."
ON_OFF = "on, off     measure every cell from here on, showing nothing; or stop"


class Context(Protocol):
    """Where a command runs: a notebook's kernel, or a shell."""

    in_notebook: bool
    command: str  # how the user calls us here: "%energy" or "jupyter energy"
    environ: Mapping[str, str]
    settings: Energy

    def out(self, text: str) -> None:
        """Show text to the user (stdout)."""

    def err(self, text: str) -> None:
        """Show a message (stderr)."""

    def tell(self, text: str) -> None:
        """Tell something that happened, once: where it has been told already it is not again."""

    def show(self, bundle: Mapping[str, object], alt: str | None = None) -> None:
        """Show a MIME bundle: rich in a notebook, its plain text in a shell; `alt` is what its
        picture shows, in words."""

    def monitor(self) -> Monitor:
        """The notebook's monitor; in a shell one of its own, started at the first call."""

    def monitor_for(self, ref: NotebookRef, session_id: str) -> Monitor:
        """A monitor, started, that keeps its records under another notebook (or a script)."""

    def notebook(self) -> NotebookRef | None:
        """The notebook that the command is given in; None in a shell."""

    def known_notebook(self) -> Notebook | None:
        """That notebook as the store knows it; None in a shell, or before it was asked."""

    def pending(self) -> list[Record]:
        """Records of this notebook in this kernel that the store could not take yet."""

    def pending_idle(self) -> list[Idle]:
        """What was drawn between this notebook's cells and is not in the store yet."""

    def session_id(self) -> str | None:
        """This kernel's session; None in a shell."""

    def zone(self) -> tuple[str | None, str]:
        """The zone that counts and where it was said."""

    def pue(self) -> float:
        """The power usage effectiveness that counts."""

    def remember(self, key: str, value: object) -> Path:
        """Keep a setting in the settings file, and set it here at once. Raises EnergyError."""


class Parser(argparse.ArgumentParser):
    """Parses a command line; a mistake is a WrongUse, in a kernel as in a shell."""

    def error(self, message: str) -> NoReturn:
        """Raises WrongUse with argparse's message and the usage."""
        raise WrongUse(f"{message}\n{self.format_usage().strip()}")

    def meant(self, unknown: Sequence[str]) -> str:
        """Which option was meant where one is misspelt, as a question; else nothing."""
        options = [name for name in self._option_string_actions if name.startswith("--")]
        for word in unknown:
            name = word.partition("=")[0]
            if name.startswith("--") and (near := difflib.get_close_matches(name, options, 1)):
                return f"; did you mean {near[0]}?"
        return ""

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """Ends a `--help`: the help has been printed."""
        raise HelpShown


class HelpShown(Exception):
    """`--help` was asked for and printed."""


def find(name: str) -> ModuleType:
    """The module of a command. Raises WrongUse for an unknown one."""
    from . import COMMANDS

    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(COMMANDS)}"
        raise WrongUse(f"{name!r} is no command; {hint}")
    return import_module(f".{name}", __package__)


def usage(context: Context) -> str:
    """What there is to type here: each command with the first line of its help."""
    from . import COMMANDS

    lines = [f"usage: {context.command} COMMAND [options]", "", SENTENCE, ""]
    if context.in_notebook:
        lines += ["  (none)      this notebook's totals so far, as summary", f"  {ON_OFF}"]
    for name in COMMANDS:
        command = find(name)
        if command.IN_NOTEBOOK if context.in_notebook else command.IN_SHELL:
            first = (command.__doc__ or "").strip().splitlines()[0]
            lines.append(f"  {name:<10}  {first}")
    more = "" if context.in_notebook else f" `{context.command} --version` tells the version."
    return "\n".join([*lines, "", f"`{context.command} COMMAND --help` explains one.{more}"])


def dispatch(words: Sequence[str], context: Context) -> int:
    """Run the command that `words` name; its exit status. Raises WrongUse."""
    name, *rest = words
    if name in ("-h", "--help", "help"):
        context.out(usage(context))
        return 0
    command = find(name)
    if context.in_notebook and not command.IN_NOTEBOOK:
        raise WrongUse(f"{name} is for a shell: jupyter energy {name}")
    if not context.in_notebook and not command.IN_SHELL:
        raise WrongUse(f"{name} is for a notebook: %energy {name}")
    parser = Parser(
        prog=f"{context.command} {name}",
        description=command.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_arguments(parser)
    passed_on: list[str] = []
    if getattr(command, "PASSES_ON", False) and "--" in rest:
        # argparse takes them only right behind the other positional arguments (bpo-14191).
        at = rest.index("--")
        rest, passed_on = rest[:at], rest[at + 1 :]
    if any(_NO_VALUE.fullmatch(word) for word in rest):
        parser.error("-- is no value of an option")
    try:
        arguments, unknown = parser.parse_known_args(rest)
    except HelpShown:
        return 0
    if unknown:
        passes_on = getattr(command, "PASSES_ON", False)
        hint = " (arguments for a script go behind --)" if passes_on else parser.meant(unknown)
        parser.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
    if passed_on:
        arguments.arguments += passed_on
    status: int = command.run(arguments, context)
    return status

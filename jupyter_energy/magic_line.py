"""The line of `%%energy`: its options, and what they ask for."""

from __future__ import annotations

import argparse
import keyword
import re
import shlex
from dataclasses import dataclass
from typing import NoReturn

from .devices import parse as parse_devices
from .errors import WrongUse
from .open_window import Options, as_name

MAGIC = "%%energy"
# The line magic that marks the running cell; the transformer writes it.
BEGIN = "energy_begin"
# The line magic that the loop around a repeated body asks for its runs.
RUNS = "energy_runs"


@dataclass(slots=True)
class Shown:
    """What a `%%energy` line asked for beyond the measurement itself.

    `runs` of the body; None for as many as it takes (`-r auto`).
    """

    variable: str | None
    quiet: bool
    runs: int | None = 1


class LineParser(argparse.ArgumentParser):
    """Parses a magic's line; a mistake is a WrongUse, never an exit of the kernel."""

    def error(self, message: str) -> NoReturn:
        """Raises WrongUse with argparse's message."""
        raise WrongUse(f"{MAGIC}: {message}; see %%energy?")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """Never leaves the process: `--help` ends here too."""
        raise WrongUse("see %%energy? for the options")


def options_parser() -> argparse.ArgumentParser:
    """The options of `%%energy`."""
    parser = LineParser(prog=MAGIC, add_help=False, allow_abbrev=False)
    parser.add_argument("-n", "--name", help="name of the measurement")
    parser.add_argument("-v", "--variable", metavar="VAR", help="keep the result object in VAR")
    parser.add_argument("-q", "--quiet", action="store_true", help="show nothing, still keep it")
    parser.add_argument(
        "-r", "--repeat", type=_runs, default=1, metavar="N|auto", help="runs of the body"
    )
    parser.add_argument("--zone", help="place that CO2e is computed for, such as FR")
    parser.add_argument("--devices", metavar="LIST", help="what counts, such as gpu:0,cpu,memory")
    parser.add_argument("--trace", action="store_true", help="keep power over time")
    parser.add_argument("--no-sync", action="store_true", help="do not wait for queued GPU work")
    return parser


def split(line: str) -> list[str]:
    """The words of a magic's line. Raises WrongUse for an open quote."""
    try:
        return shlex.split(line)
    except ValueError as error:
        raise WrongUse(f"{MAGIC}: {error}; close the quote") from None


def parse(line: str, sync: bool) -> tuple[Options, Shown]:
    """What a line asks for; `sync` is what the settings say of it. Raises WrongUse."""
    asked = options_parser().parse_args(split(line))
    if [] in vars(asked).values():  # what argparse makes of -n-- and --name=--
        raise WrongUse(f"{MAGIC}: -- is no value of an option; see %%energy?")
    if asked.variable is not None and (
        not asked.variable.isidentifier() or keyword.iskeyword(asked.variable)
    ):
        raise WrongUse(f"{MAGIC} -v {asked.variable!r} is no variable name")
    options = Options(
        name=as_name(asked.name),
        choice=parse_devices(asked.devices),
        zone=asked.zone,
        sync=sync and not asked.no_sync,
        trace=asked.trace,
    )
    return options, Shown(asked.variable, asked.quiet, asked.repeat)


def _runs(text: str) -> int | None:
    """How often the body is to run; None for "auto". Raises WrongUse."""
    if text == "auto":
        return None
    if re.fullmatch("[1-9][0-9]{0,11}", text) is None:
        raise WrongUse(f"{MAGIC} -r {text!r:.40} is no number of runs: write -r 20, or -r auto")
    return int(text)

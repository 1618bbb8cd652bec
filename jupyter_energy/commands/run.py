"""Run a notebook or a script with every cell measured; a row a cell, then the summary.

The notebook file is left as it is, unless --output names a file for the executed copy. Exit
status: 0 done, 1 the code failed, 2 wrong usage, 3 the limit of --assert-under was passed, or it is
not known whether it was. SIGTERM and SIGHUP are passed on, and the status is then the script's.
Arguments for a script go behind --, as in: run train.py -- --epochs 3 or run -m package -- a b
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from errno import EISDIR
from pathlib import Path

from ..carbon import intensity
from ..errors import EnergyError, WrongUse
from ..identity import SCRIPT_SUFFIXES, from_file
from ..sensors import replay
from ..units import parse_limit
from .base import Context
from .limit import verdict
from .script import Script, module_file, run_script
from .session import Session

IN_NOTEBOOK, IN_SHELL = False, True
PASSES_ON = True  # what stands behind -- is the script's
LIMIT_PASSED = 3
USAGE = "usage: jupyter energy run [options] NOTEBOOK_OR_SCRIPT | -m MODULE [-- ARGUMENTS]"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument(
        "path", nargs="?", metavar="NOTEBOOK_OR_SCRIPT", help="an .ipynb, .py or .ipy file"
    )
    parser.add_argument("-m", dest="module", metavar="MODULE", help="a module, as in python -m")
    parser.add_argument("arguments", nargs="*", help="arguments of a script, behind --")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON only")
    parser.add_argument(
        "--assert-under",
        metavar="LIMIT",
        help="such as 5Wh or 3g: exit status 3 where the measured energy plus the middle of the "
        "estimate, or the middle of the CO2e, is not under it",
    )
    parser.add_argument("--output", metavar="OUT.ipynb", help="write the executed notebook here")


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Run it, print what it cost; the exit status, or below 0 the signal that is to end us."""
    limit: str | None = arguments.assert_under
    if limit is not None:
        parse_limit(limit)  # a mistake is told before anything runs
    path, script = _asked(arguments)
    ref = from_file(path)
    if arguments.output is not None:
        _check_output(Path(arguments.output))
    _tell_what_is_missing(context)
    session = Session(context, ref, quiet=arguments.json)
    if path.suffix.lower() not in SCRIPT_SUFFIXES:  # then `from_file` has found a notebook in it
        if arguments.arguments:
            raise WrongUse("arguments behind -- are for scripts; a notebook takes none")
        status = _run_notebook(path, session, arguments.output)
    else:
        if arguments.output is not None:
            raise WrongUse("--output is for notebooks: a script has no executed copy")
        status = run_script(script, arguments.arguments, session)
    session.keep()
    summary = session.summary()
    if arguments.json:
        context.out(json.dumps(summary, indent=2, allow_nan=False))
    else:
        from ..display.text import summary as summary_text

        context.out("\n" + summary_text(summary, context.command))
    if status:
        return status
    if limit is None:
        return 0
    passed, said = verdict(limit, summary)
    context.err(said)
    return LIMIT_PASSED if passed else 0


def _asked(arguments: argparse.Namespace) -> tuple[Path, Script]:
    """The file that is asked for, and how it is run where it is no notebook. Raises WrongUse."""
    if (arguments.path is None) == (arguments.module is None):
        raise WrongUse(f"either NOTEBOOK_OR_SCRIPT or -m MODULE says what to run\n{USAGE}")
    if arguments.path is not None:
        path = Path(arguments.path)
        ipython = ["-m", "IPython"] if path.suffix.lower() == ".ipy" else []
        return path, Script([*ipython, str(path)], path.name, str(path))
    words = ["-m", arguments.module]
    return module_file(arguments.module), Script(words, arguments.module, " ".join(words))


def _tell_what_is_missing(context: Context) -> None:
    """Say which settings will leave figures out, before the run that they are missing from."""
    machine = context.settings.machine(context.environ)
    try:
        intensity(*context.zone(), context.environ, machine=machine)
    except EnergyError as error:
        context.err(f"jupyter-energy: CO2e will not be known: {error}")
    for absence in replay.discover(machine).absences:
        context.err(f"jupyter-energy: {absence.reason}. {absence.remedy or ''}".rstrip())


def _check_output(output: Path) -> None:
    """Raises WrongUse where a copy could not be written: nothing has run yet that would be lost."""
    try:
        if output.is_dir():
            raise IsADirectoryError(EISDIR, os.strerror(EISDIR))
        if output.is_file():
            output.open("ab").close()  # changes nothing
        elif not output.exists():
            tempfile.TemporaryFile(dir=output.parent).close()
    except OSError as error:
        raise WrongUse(f"{output} could not be written: {error.strerror}") from None


def _run_notebook(path: Path, session: Session, output: str | None) -> int:
    """Run every cell; 1 when one failed or the kernel died, or below 0 the signal that ended it."""
    try:
        from .notebook_client import execute
    except ImportError as error:
        raise WrongUse(
            f"running a notebook needs the package {error.name}: pip install 'jupyter-energy[lab]'"
        ) from None
    return execute(path, session, output)

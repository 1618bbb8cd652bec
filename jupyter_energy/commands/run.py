"""Run a notebook or a script with every cell measured; a row a cell, then the summary.

The notebook file is left as it is, unless --output names a file for the executed copy. Exit
status: 0 done, 1 the code failed, 2 wrong usage, 3 the limit of --assert-under was passed.
Arguments for a script go behind --, as in: run train.py -- --epochs 3
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
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
from .session import Session

IN_NOTEBOOK, IN_SHELL = False, True
PASSES_ON = True  # what stands behind -- is the script's
LIMIT_PASSED = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("path", metavar="NOTEBOOK_OR_SCRIPT", help="an .ipynb or a .py file")
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
    """Run it, print what it cost; the exit status."""
    limit: str | None = arguments.assert_under
    if limit is not None:
        parse_limit(limit)  # a mistake is told before anything runs
    path = Path(arguments.path)
    ref = from_file(path)
    if arguments.output is not None:
        _check_output(Path(arguments.output))
    _tell_what_is_missing(context)
    session = Session(context, ref, quiet=arguments.json)
    if path.suffix.lower() not in SCRIPT_SUFFIXES:  # then `from_file` has found a notebook in it
        if arguments.arguments:
            raise WrongUse("arguments behind -- are for scripts; a notebook takes none")
        failed = _run_notebook(path, session, arguments.output)
    else:
        if arguments.output is not None:
            raise WrongUse("--output is for notebooks: a script has no executed copy")
        failed = _run_script(path, arguments.arguments, session)
    summary = session.summary()
    if arguments.json:
        context.out(json.dumps(summary, indent=2, allow_nan=False))
    else:
        from ..display.text import summary as summary_text

        context.out("\n" + summary_text(summary, context.command))
    if failed:
        return 1
    if limit is None:
        return 0
    passed, said = verdict(limit, summary["totals"])
    context.err(said)
    return LIMIT_PASSED if passed else 0


def _tell_what_is_missing(context: Context) -> None:
    """Say which settings will leave figures out, before the run that they are missing from."""
    try:
        intensity(*context.zone(), context.environ)
    except EnergyError as error:
        context.err(f"jupyter-energy: CO2e will not be known: {error}")
    for absence in replay.discover(context.settings.machine(context.environ)).absences:
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


def _run_notebook(path: Path, session: Session, output: str | None) -> bool:
    """Run every cell; True when one failed or the kernel died."""
    try:
        from .notebook_client import execute
    except ImportError as error:
        raise WrongUse(
            f"running a notebook needs the package {error.name}: pip install 'jupyter-energy[lab]'"
        ) from None
    return execute(path, session, output)


def _run_script(path: Path, arguments: list[str], session: Session) -> bool:
    """Run a script in a Python of its own, measured from outside; True when it failed."""
    from ..open_window import Options

    context = session.context
    context.settings.store = str(session.store_path)
    monitor = context.monitor_for(session.ref, session.session_id)
    window = monitor.open_window(Options(name=path.name), shown=True)
    environment = {**session.environment(), "JUPYTER_ENERGY_WITHIN": window.run_id}
    # With --json our stdout is one document, so the script's own output goes to stderr.
    stdout = sys.stderr if session.quiet else None
    outcome = "interrupted"
    try:
        child = subprocess.Popen(
            [sys.executable, str(path), *arguments], env=environment, stdout=stdout
        )
        status, interrupted = _wait(child)
        if interrupted:
            context.err("interrupted")
        else:
            outcome = "ok" if status == 0 else "error"
            if status:
                context.err(f"{path} ended with exit status {status}")
    finally:
        monitor.close_window(window, outcome)  # type: ignore[arg-type]  # the three words above are outcomes
    try:
        monitor.flush()
    except EnergyError as error:
        context.err(f"jupyter-energy: {error}")
    session.print_new_rows()
    return outcome != "ok"


def _wait(child: subprocess.Popen[bytes]) -> tuple[int, bool]:
    """A script's exit status and whether Ctrl-C was pressed: it has all the time it needs to end.

    `subprocess.run` would kill it 0.25 s after the first, in the middle of its checkpoint; here
    the second kills it.
    """
    presses = 0
    while True:
        try:
            return child.wait(), presses > 0
        except KeyboardInterrupt:
            presses += 1
            if presses > 1:
                child.kill()
            elif not _in_terminal():
                child.send_signal(signal.SIGINT)


def _in_terminal() -> bool:
    """Whether a Ctrl-C comes from a terminal, which gives it to the script as well."""
    if os.name == "nt":
        return True  # a console gives it to all of its processes
    try:
        with Path("/dev/tty").open("rb") as terminal:
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except OSError:
        return False

"""A script or module in a Python of its own, measured from outside: one window around it all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TextIO

from ..errors import StoreError, WrongUse
from ..model import Outcome
from ..open_window import Options
from . import ending
from .session import OURS, Session

STORE_DEADLINE_S = 5.0  # no cell waits


@dataclass(frozen=True)
class Ended:
    """How a script ended: its status as `subprocess` has it, whether by Ctrl-C, and whether a
    signal that ends processes `asked` it to."""

    status: int
    interrupted: bool
    asked: bool


@dataclass(frozen=True)
class Script:
    """What is run: the words behind the interpreter, and what to call it."""

    words: Sequence[str]
    name: str  # of its row
    label: str  # in messages


def module_file(name: str) -> Path:
    """The file that `python -m NAME` would run; nothing is imported. Raises WrongUse."""
    where: Sequence[str] = [str(Path.cwd()), *sys.path]
    found, module = None, ""
    for part in [*name.split("."), "__main__"]:
        module = f"{module}.{part}".lstrip(".")
        spec = PathFinder.find_spec(module, where)
        if spec is None or spec.submodule_search_locations is None:
            found = spec  # the end, if it is one
            break
        where = spec.submodule_search_locations
    if found is None or found.name not in (name, f"{name}.__main__") or not found.origin:
        raise WrongUse(f"there is no module {name} here that could be run")
    return Path(found.origin)


def run_script(script: Script, arguments: list[str], session: Session) -> int:
    """Run it; 0, or 1 where it failed. Where SIGTERM or SIGHUP came, its own status as of
    `subprocess`: below 0 the signal that ended it."""
    context = session.context
    context.settings.store = str(session.store_path)
    monitor = context.monitor_for(session.ref, session.session_id)
    window = monitor.open_window(Options(name=script.name), shown=True)
    environment = {**session.environment(), "JUPYTER_ENERGY_WITHIN": window.run_id}
    # With --json our stdout is one document, so the script's own output goes to stderr.
    stdout = sys.stderr if session.quiet else None
    outcome: Outcome = "interrupted"
    try:
        ended = _run([*script.words, *arguments], environment, stdout)
        if ended.interrupted:
            context.err("interrupted")
        else:
            if not ended.asked:
                outcome = "ok" if ended.status == 0 else "error"
            if ended.status:
                context.err(f"{script.label} {ending.words(ended.status)}")
    finally:
        monitor.close_window(window, outcome)
    try:
        monitor.flush(STORE_DEADLINE_S)
    except StoreError as error:
        for text in monitor.to_tell() if monitor.pending() else ():  # what is lost when we end
            session.relay(f"{OURS}{text}")
        session.tell_not_taken(error)
    session.print_new_rows()
    return ended.status if ended.asked else int(outcome != "ok")


def _run(words: Sequence[str], env: dict[str, str], stdout: TextIO | None) -> Ended:
    """Run a Python with these words. A script has all the time it needs to end after Ctrl-C.

    `subprocess.run` would kill it 0.25 s after the first, in the middle of its checkpoint; here
    the second kills it.
    """
    child: subprocess.Popen[bytes] | None = None
    early: list[int] = []
    presses = 0

    def pass_on(number: int) -> None:
        if child is None:
            early.append(number)
        else:
            child.send_signal(number)

    def press() -> None:
        nonlocal presses
        presses += 1
        if presses > 1:
            # Windows ends a process by the one as by the other.
            pass_on(getattr(signal, "SIGKILL", signal.SIGTERM))
        elif not _in_terminal():
            pass_on(signal.SIGINT)

    with ending.heard(pass_on) as came, ending.interrupts_heard(press):
        # Not in our process group, unless a terminal's keys are for it: `timeout` and others send a
        # signal to the group, which it would get a second time from us, in the middle of its end.
        group = None if os.name == "nt" or _in_terminal() else 0
        child = subprocess.Popen(
            [sys.executable, *words], env=env, stdout=stdout, process_group=group
        )
        for number in early:
            child.send_signal(number)
        status = child.wait()
    return Ended(status, presses > 0, bool(came))


def _in_terminal() -> bool:
    """Whether a Ctrl-C comes from a terminal, which gives it to the script as well."""
    if os.name == "nt":
        return True  # a console gives it to all of its processes
    try:
        with Path("/dev/tty").open("rb") as terminal:
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except OSError:
        return False

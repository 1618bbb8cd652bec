"""What ends a run from outside: SIGTERM, as `kill` and batch systems send it, and SIGHUP.

It is meant for what is run, so it is passed on; and whoever sent it looks at how the run ended,
so the run ends as what it runs would have ended without us.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

# One that is ignored, as under nohup, stays so: for what is run as well.
ENDS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


def that_end() -> list[signal.Signals]:
    """The signals that would end this process now; none where it cannot hear them."""
    if os.name == "nt" or threading.current_thread() is not threading.main_thread():
        return []
    return [number for number in ENDS if signal.getsignal(number) == signal.SIG_DFL]


@contextmanager
def heard(pass_on: Callable[[int], object]) -> Iterator[list[int]]:
    """Calls `pass_on` with each of these signals that comes meanwhile; the list of them."""
    came: list[int] = []

    def hear(number: int, _: object) -> None:
        came.append(number)
        pass_on(number)

    hearing = that_end()
    for number in hearing:
        signal.signal(number, hear)
    try:
        yield came
    finally:
        for number in hearing:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def interrupts_heard(press: Callable[[], object]) -> Iterator[None]:
    """Calls `press` at each Ctrl-C meanwhile, where one would raise KeyboardInterrupt: raised while
    a process begins, it leaves one behind that nobody knows of."""

    def hear(*_: object) -> None:
        press()

    is_main = threading.current_thread() is threading.main_thread()
    usual = signal.getsignal(signal.SIGINT)
    hears = is_main and usual is signal.default_int_handler
    if hears:
        signal.signal(signal.SIGINT, hear)
    try:
        yield
    finally:
        if hears:
            signal.signal(signal.SIGINT, usual)


def end_by(number: int) -> None:
    """Ends this process by a signal, so that its parent sees it as ended by that."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with suppress(OSError):  # nobody reads it
                stream.flush()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def words(status: int) -> str:
    """How a process failed, by its status as `subprocess` has it: below 0 it is a signal's."""
    if status > 0 or os.name == "nt":
        return f"ended with exit status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:  # a real-time signal has no name
        return f"was ended by signal {-status}"

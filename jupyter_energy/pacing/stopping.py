"""Ctrl-C while a run is held: it ends that at once, whoever handles it else.

Where code awaits, ipykernel and `asyncio.run` handle Ctrl-C by having the task cancelled when it
awaits again. A run that is held awaits nothing: nobody would hear them before it is over.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeVar

from ..cells import depth
from .telling import in_notebook

T = TypeVar("T")
# Whose handlers do not raise, and stop a task when it awaits again.
_PUT_OFF = ("asyncio.runners", "ipykernel")


class Stopped(Exception):
    """A handler of the user's has taken Ctrl-C, and raised nothing: what was held goes on."""


class _Taken(BaseException):
    """The same on its way through code of ours, which must not take it for a failure."""


def stoppable(call: Callable[[], T]) -> T:
    """What `call` gives, which holds this thread; Ctrl-C ends it at once.

    As KeyboardInterrupt, where that is not what comes by itself; in a kernel's task that is not the
    cell's as CancelledError, since the other would end the kernel. A handler of the user's is
    called as ever: what it raises goes through, and where it raises nothing, Stopped is raised. A
    second Ctrl-C is theirs alone. On other threads Ctrl-C comes to nobody.
    """
    theirs = signal.getsignal(signal.SIGINT)
    raises = theirs in (None, signal.SIG_DFL, signal.default_int_handler)
    if threading.current_thread() is not threading.main_thread() or raises:
        return call()
    in_kernel = in_notebook()
    in_cell = in_kernel and depth() > 0
    is_ignored = theirs is signal.SIG_IGN
    if is_ignored and (in_cell or not in_kernel):  # else by the kernel, whose cells are over
        return call()

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(number, theirs)
        if not is_ignored and not _module_of(theirs).startswith(_PUT_OFF):
            theirs(number, frame)  # type: ignore[operator,misc]  # neither None nor a number, by the above
            raise _Taken
        if in_cell or not in_kernel:
            raise KeyboardInterrupt
        from asyncio import CancelledError

        if callable(theirs):
            theirs(number, frame)  # the cell that runs is to end too
        raise CancelledError

    try:
        try:
            signal.signal(signal.SIGINT, stop)
            return call()
        finally:
            # It may be another by now: that of a user who has taken Ctrl-C once.
            if signal.getsignal(signal.SIGINT) is stop:
                signal.signal(signal.SIGINT, theirs)
    except _Taken:
        raise Stopped from None


def _module_of(handler: Any) -> str:
    """The module that a handler is of: a function, a method, or a partial."""
    return str(getattr(getattr(handler, "func", handler), "__module__", ""))

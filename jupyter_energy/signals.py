"""Signals that hit our code while they are meant for the user's: Ctrl-C, an alarm of the user's.

A handler of the user's may raise, as one that limits the time of a cell does. Where it does so
while a hook of ours runs, its exception is not a failure of ours.
"""

from __future__ import annotations

import functools
import signal
import threading
import traceback
from types import CodeType, FunctionType, MethodType
from typing import Any

SIGNALS = tuple(sorted(map(int, signal.valid_signals())))


def signal_of(error: BaseException) -> int | None:
    """The number of the signal whose handler raised this, or None where none of the user's did."""
    return _raised(error)[1]


def raise_if_users(error: BaseException) -> None:
    """Raises what was caught again, or what it was raised from, where that is the user's.

    To swallow it, as a failure of ours, would take their Ctrl-C from them, or the limit of time
    that they have set: that many raise TimeoutError, which is an OSError.
    """
    theirs, number = _raised(error)
    if number is not None:
        raise theirs


def _raised(error: BaseException) -> tuple[BaseException, int | None]:
    """An error, or what it was raised from, with the signal whose handler raised it."""
    handlers: dict[CodeType | None, int] | None = None
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, KeyboardInterrupt):
            return found, signal.SIGINT
        if threading.current_thread() is not threading.main_thread():
            break  # handlers run on the main thread alone
        if handlers is None:
            handlers = {_code_of(signal.getsignal(number)): number for number in SIGNALS}
            handlers.pop(None, None)  # of those that have none in Python
        for frame, _ in traceback.walk_tb(found.__traceback__):
            if frame.f_code in handlers:
                return found, handlers[frame.f_code]
        found = found.__cause__
    return error, None


def _code_of(handler: Any) -> CodeType | None:
    """The code of a handler: of a function, a method, a partial, or an object that is called."""
    while isinstance(handler, functools.partial):
        handler = handler.func
    if callable(handler) and not isinstance(handler, FunctionType | MethodType):
        handler = type(handler).__call__
    function = getattr(handler, "__func__", handler)
    return function.__code__ if isinstance(function, FunctionType) else None

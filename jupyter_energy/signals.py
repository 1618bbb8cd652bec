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


def signal_of(error: BaseException) -> int | None:
    """The number of the signal whose handler raised this, or None where none of the user's did."""
    if isinstance(error, KeyboardInterrupt):
        return signal.SIGINT
    if threading.current_thread() is not threading.main_thread():
        return None  # handlers run on the main thread alone
    run = {frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__)}
    for number in signal.valid_signals():
        if _code_of(signal.getsignal(number)) in run:
            return int(number)
    return None


def _code_of(handler: Any) -> CodeType | None:
    """The code of a handler: of a function, a method, a partial, or an object that is called."""
    while isinstance(handler, functools.partial):
        handler = handler.func
    if callable(handler) and not isinstance(handler, FunctionType | MethodType):
        handler = type(handler).__call__
    function = getattr(handler, "__func__", handler)
    return function.__code__ if isinstance(function, FunctionType) else None

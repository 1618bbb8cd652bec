"""What a call on another thread gives, for whoever waits for it.

concurrent.futures.Future and threading.Event do the same under a lock that Python code takes and
lets go of. A handler of a signal that raises in that code (Ctrl-C, the user's limit of time) leaves
it taken, and then whoever asks hangs for ever. Here no lock is shared: each who waits brings one.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

T = TypeVar("T")


class Answer(Generic[T]):
    """What a call gives, or raises, once it has. The names are those of Future."""

    _result: T

    def __init__(self) -> None:
        self._error: BaseException | None = None
        self._is_here = False
        self._gates: deque[threading.Lock] = deque()  # of those who wait
        self._calls: deque[Callable[[Answer[T]], object]] = deque()

    def done(self) -> bool:
        """Whether it is here."""
        return self._is_here

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for it, no longer than so many seconds (None: as long as it takes); whether it is
        here."""
        if not self.done() and (timeout_s is None or timeout_s > 0):
            gate = threading.Lock()
            gate.acquire()
            self._gates.append(gate)
            # Asked again behind that: who gives it has then seen the gate, or is seen here.
            if not self.done() and not gate.acquire(timeout=-1 if timeout_s is None else timeout_s):
                with suppress(ValueError):  # it came at the last moment
                    self._gates.remove(gate)
        return self.done()

    def result(self, timeout_s: float | None = None) -> T:
        """What the call gave. Raises what it raised, TimeoutError where it is not here in time."""
        if not self.wait(timeout_s):
            raise TimeoutError
        if self._error is not None:
            raise self._error
        return self._result

    def add_done_callback(self, call: Callable[[Answer[T]], object]) -> None:
        """Have `call` made with this once it is here, by whoever gives it, or at once. What it
        raises is dropped."""
        self._calls.append(call)
        if self._is_here:
            self._tell()

    def set_result(self, result: T) -> None:
        """It is here: what the call gave."""
        self._result = result
        self._give()

    def set_exception(self, error: BaseException) -> None:
        """It is here: what the call raised."""
        if not self._is_here:  # else telling of it was what failed
            self._error = error
        self._give()

    def _give(self) -> None:
        self._is_here = True
        with suppress(IndexError):  # none is left
            while True:
                self._gates.popleft().release()
        self._tell()

    def _tell(self) -> None:
        with suppress(IndexError):  # none is left
            while True:
                call = self._calls.popleft()
                with suppress(Exception):
                    call(self)

"""One daemon thread that runs calls in order, so that a call which hangs hurts nobody else.

Driver libraries and databases can block for as long as they like. The thread that runs the
user's cell hands such a call over and waits for it no longer than a deadline.
"""

from __future__ import annotations

import _thread
import os
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import ParamSpec, TypeVar

from .answer import Answer
from .errors import EnergyError

P = ParamSpec("P")
T = TypeVar("T")


class Worker:
    """A thread named `name`, started at the first call and asleep between calls."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_in_call = False  # else it sleeps, or has yet to get a processor
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._pid = 0  # the process that it runs in
        # Of `_closed` and `_thread`. A signal handler of the user's may measure while its thread is
        # in here, and so may a generator of theirs that the garbage collector ends (RLock).
        self._lock = threading.RLock()
        self._closed = False
        self._later: tuple[float, Callable[[], object]] | None = None

    def submit(self, call: Callable[[], T]) -> Answer[T]:
        """What a call gives, which runs after all calls submitted before it.

        After the end nothing runs, and the answer is an EnergyError.
        """
        answer: Answer[T] = Answer()

        def run() -> None:
            try:
                answer.set_result(call())
            except BaseException as error:  # noqa: BLE001  handed to whoever waits for the result
                answer.set_exception(error)

        with self._lock:
            if self._closed:
                # By a block that outlives the extension: no new thread is begun for it.
                answer.set_exception(EnergyError("jupyter-energy has been unloaded"))
                return answer
            threaded = self._started()
            if threaded:
                self._calls.put(run)
        if not threaded:
            run()
        return answer

    def later(self, seconds: float, call: Callable[[], object]) -> None:
        """Make a call once, in so many seconds or when the call that runs then has ended.

        It takes the place of one that still waits; what it raises is dropped. A thread that sleeps
        sees it with the next call that is submitted; without a thread it is not made.
        """
        self._later = time.monotonic() + seconds, call

    def _started(self) -> bool:
        """Whether there is a thread to run the calls. Where none is to be had (Pyodide has none,
        a process may have all it may have) a call is made at once, without a deadline."""
        if self._thread is None or self._pid != os.getpid():
            # A daemon: a driver that hangs must not keep the process from ending.
            thread = threading.Thread(target=self._run, name=self.name, daemon=True)
            try:
                thread.start()
            except RuntimeError:
                return False
            self._thread, self._pid = thread, os.getpid()
        return True

    def close(self, timeout_s: float = 0.5) -> bool:
        """Stop after the calls that wait; True when the thread ended within `timeout_s`."""
        with self._lock:
            was_closed, self._closed = self._closed, True
            thread = self._thread
        if thread is None:
            return True
        if not was_closed:
            self._calls.put(None)
        thread.join(timeout_s)
        return not thread.is_alive()

    def _run(self) -> None:
        # Not told by Thread.is_alive: Ctrl-C in that makes it take a thread that runs for a dead
        # one (bpo-45274 is of the other half). Two would call one driver, or one database, at once.
        me = threading.current_thread()
        with self._lock:
            if self._thread is not None and self._thread is not me and self._pid == os.getpid():
                return  # one was begun after this one, since Ctrl-C hit whoever began it
            self._thread, self._pid = me, os.getpid()
        # Any code of the process may throw an exception into this thread: it is not meant for us,
        # and its traceback would be printed into whatever cell runs then.
        ended = False
        try:
            while not ended:
                with suppress(BaseException):
                    self._work()
                    ended = True
        finally:
            if not ended:
                self._thread = None

    def _work(self) -> None:
        """Make the calls that come, until the end."""
        while True:
            later = self._later
            left_s = None if later is None else later[0] - time.monotonic()
            if later is not None and left_s is not None and left_s <= 0:
                # Before the next call: they may follow each other without end.
                if self._later is later:
                    self._later = None
                with suppress(Exception):  # nobody waits for it
                    later[1]()
                continue
            try:
                call = self._calls.get(timeout=left_s)
            except queue.Empty:
                continue
            if call is None:
                return
            self.is_in_call = True
            try:
                call()
            finally:
                self.is_in_call = False


def on_its_own_stack(call: Callable[P, T]) -> Callable[P, T]:
    """The same call, made on a thread of its own, which has all the frames that the user's
    `sys.setrecursionlimit` allows; it is waited for."""

    def made(*args: P.args, **kwargs: P.kwargs) -> T:
        answer: Answer[T] = Answer()

        def run() -> None:
            try:
                answer.set_result(call(*args, **kwargs))
            except BaseException as error:  # noqa: BLE001  handed to whoever waits for the result
                answer.set_exception(error)

        # By the module below `threading`: that begins a thread with a dozen frames of Python code.
        _thread.start_new_thread(run, ())
        return answer.result()

    return made

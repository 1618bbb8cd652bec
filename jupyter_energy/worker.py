"""One daemon thread that runs calls in order, so that a call which hangs hurts nobody else.

Driver libraries and databases can block for as long as they like. The thread that runs the
user's cell hands such a call over and waits for it no longer than a deadline.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import TypeVar

from .errors import EnergyError

T = TypeVar("T")


class Worker:
    """A thread named `name`, started at the first call and asleep between calls."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._closed = False
        self._at_rest: tuple[float, Callable[[], object]] | None = None

    def submit(self, call: Callable[[], T]) -> Future[T]:
        """The future of a call, which runs after all calls submitted before it.

        After the end nothing runs, and the future raises EnergyError.
        """
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(call())
            except BaseException as error:  # noqa: BLE001  handed to whoever waits for the result
                future.set_exception(error)

        with self._lock:
            if self._closed:
                # By a block that outlives the extension: no new thread is begun for it.
                future.set_exception(EnergyError("jupyter-energy has been unloaded"))
                return future
            threaded = self._started()
            if threaded:
                self._calls.put(run)
        if not threaded:
            run()
        return future

    def at_rest(self, seconds: float, call: Callable[[], object]) -> None:
        """Make a call once, when no other has come for `seconds` after the next one that comes.

        It takes the place of one that still waits; what it raises is dropped. Nothing is woken for
        it, and without a thread it is not made.
        """
        self._at_rest = seconds, call

    def _started(self) -> bool:
        """Whether there is a thread to run the calls. Where none is to be had (Pyodide has none,
        a process may have all it may have) a call is made at once, without a deadline."""
        if self._thread is None:
            # A daemon: a driver that hangs must not keep the process from ending.
            thread = threading.Thread(target=self._run, name=self.name, daemon=True)
            try:
                thread.start()
            except RuntimeError:
                return False
            self._thread = thread
        return True

    def close(self, timeout_s: float = 0.5) -> bool:
        """Stop after the calls that wait; True when the thread ended within `timeout_s`."""
        with self._lock:
            self._closed = True
            thread, self._thread = self._thread, None
        if thread is None:
            return True
        self._calls.put(None)
        thread.join(timeout_s)
        return not thread.is_alive()

    def _run(self) -> None:
        while True:
            waits = self._at_rest
            try:
                call = self._calls.get(timeout=None if waits is None else waits[0])
            except queue.Empty:
                if self._at_rest is waits:
                    self._at_rest = None
                if waits is not None:
                    with suppress(Exception):  # nobody waits for it
                        waits[1]()
                continue
            if call is None:
                return
            call()

"""When the cell that a loop was begun in is over, and when the interpreter ends."""

from __future__ import annotations

import atexit
import sys
import threading
from collections.abc import Callable
from typing import Any

from ..cells import depth, outcome_of
from ..model import Outcome
from ..signals import raise_if_users


class Watch:
    """Calls `over` once no more of the loop can follow: with how the cell ended, or the program,
    and by which exception. A loop that is left open would hold all that is measured later."""

    def __init__(self, over: Callable[[Outcome, BaseException | None], None]) -> None:
        self._over = over
        self._shell: Any = None
        self._depth = 0

    def begin(self) -> None:
        """From now on: what measures the loop is there, and ends after this. A task that outlives
        its cell is in none."""
        on_main_thread = threading.current_thread() is threading.main_thread()
        self._depth = depth() if on_main_thread and "IPython" in sys.modules else 0
        if self._depth:
            from IPython import get_ipython

            self._shell = get_ipython()
        if self._shell is not None:
            self._shell.events.register("post_run_cell", self._cell_over)
        atexit.register(self._exit)

    def forget(self) -> None:
        """It is known how the loop ended. Twice does no harm."""
        atexit.unregister(self._exit)
        shell, self._shell = self._shell, None
        if shell is not None:
            shell.events.unregister("post_run_cell", self._cell_over)

    def _cell_over(self, result: Any = None) -> None:
        if depth() < self._depth:  # else it was a cell within it
            self._call(outcome_of(result), getattr(result, "error_in_exec", None))

    def _exit(self) -> None:
        error = getattr(sys, "last_value", None)  # what nobody caught
        stopped: Outcome = "interrupted" if isinstance(error, KeyboardInterrupt) else "error"
        self._call("ok" if error is None else stopped, error)

    def _call(self, outcome: Outcome, error: BaseException | None) -> None:
        self.forget()
        try:
            self._over(outcome, error)
        except Exception as failure:  # noqa: BLE001  ours, where nobody could catch it
            raise_if_users(failure)

"""When a training was left without a word: by an exception, or by Ctrl-C."""

from __future__ import annotations

import atexit
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any
from weakref import ref

from ..signals import raise_if_users

if TYPE_CHECKING:
    from ..model import Outcome

# The key of the mark among a function's local names: none that code could use.
MARK = "(jupyter-energy)"


class _Mark:
    """An object that lives as long as the call of a function does."""


class Leaving:
    """Calls `end` once a training is left without its last hook having been called.

    Hugging Face's Trainer and Keras tell nobody of an exception. What tells of it is, whichever is
    first: the call of the function `loop` that trains is gone, with the exception that left it;
    the notebook's cell is over, which keeps such an exception; the interpreter ends.
    """

    def __init__(self, loop: str, end: Callable[[Outcome], None]) -> None:
        self._end = end
        self._mark = self._marked(loop)
        self._shell: Any = None
        if "IPython" in sys.modules and threading.current_thread() is threading.main_thread():
            from IPython import get_ipython

            self._shell = get_ipython()
        if self._shell is not None:
            self._shell.events.register("post_run_cell", self._cell_over)
        atexit.register(self._exit)

    def _marked(self, loop: str) -> ref[_Mark] | None:
        """A mark among the local names of the training function: it goes when they go."""
        frame: FrameType | None = sys._getframe()
        while frame is not None and frame.f_code.co_name != loop:
            frame = frame.f_back
        if frame is None:
            return None
        mark = _Mark()
        frame.f_locals[MARK] = mark
        return ref(mark, lambda _: self._left("interrupted"))

    def forget(self) -> None:
        """The training has ended, and said so."""
        self._mark = None
        atexit.unregister(self._exit)
        if self._shell is not None:
            self._shell.events.unregister("post_run_cell", self._cell_over)
            self._shell = None

    def _cell_over(self, result: Any = None) -> None:
        from ..cells import outcome_of

        self._left(outcome_of(result))

    def _exit(self) -> None:
        error = getattr(sys, "last_value", None)  # what nobody caught
        self._left("interrupted" if isinstance(error, KeyboardInterrupt) else "error")

    def _left(self, outcome: Outcome) -> None:
        try:
            self._end(outcome)
        except Exception as error:  # noqa: BLE001  ours, where nobody could catch it
            raise_if_users(error)

"""How a loop was left, which Python does not tell its generator: by `break`, or by an exception."""

from __future__ import annotations

import dis
import inspect
import sys
from collections.abc import Iterator
from types import CodeType, FrameType
from weakref import ref

from ..model import Outcome

# What a frame is at where it lets go of a loop that it is done with (break, return, del), and where
# a generator waits that its own user closes.
_LETS_GO = ("POP_TOP", "POP_ITER", "END_FOR", "DELETE_", "STORE_")
_WAITS = ("YIELD_VALUE", "RESUME")


class Left:
    """How the loop over one generator was left; asked in that generator.

    A `for` holds its generator alone. Where an exception ends it, the generator is closed while the
    frame is still at the instruction that raised; else at one that lets it go.
    """

    def __init__(self) -> None:
        self._generator: ref[Iterator[object]] | None = None
        self._users: list[tuple[int, CodeType]] = []  # the frames that iterate, innermost first
        self._raised: tuple[CodeType, int] | None = None  # the instruction that has raised

    def of(self, generator: Iterator[object]) -> None:
        """This is the generator."""
        self._generator = ref(generator)

    def begins(self) -> None:
        """Its first item is asked for."""
        for frame in _users(sys._getframe(1)):
            self._users.append((id(frame), frame.f_code))
            if not _is_generator(frame):
                if _instruction(frame) != "FOR_ITER":  # as of next(), which holds it elsewhere
                    self._users.clear()
                return

    def by(self, error: BaseException) -> Outcome:
        """How it was left, by what the generator is ended with."""
        if isinstance(error, GeneratorExit):
            return "error" if self._by_exception(sys._getframe(1)) else "ok"
        return "interrupted" if isinstance(error, KeyboardInterrupt) else "error"

    def _by_exception(self, generator: FrameType) -> bool:
        """Whether it is closed because an exception goes through the loop, as far as one can see.
        Where this says so, it is."""
        if self._generator is None or self._generator() is not None:
            return False  # somebody closes it, who still has it
        for frame in _users(generator):
            at = _instruction(frame)
            if at in _WAITS and _is_generator(frame):
                continue  # it is closed too, by whoever iterates over it
            if (id(frame), frame.f_code) not in self._users or at.startswith(_LETS_GO):
                return False
            # Where it was raised again, as behind a `with` in the loop, it has come from elsewhere.
            self._raised = frame.f_code, -1 if at == "RERAISE" else frame.f_lasti
            return True
        return False

    def is_by(self, error: BaseException | None) -> bool:
        """Whether it was this exception, by its traceback."""
        traceback = None if error is None else error.__traceback__
        while traceback is not None:
            code = traceback.tb_frame.f_code
            if self._raised in ((code, traceback.tb_lasti), (code, -1)):
                return True
            traceback = traceback.tb_next
        return False


def _users(frame: FrameType) -> Iterator[FrameType]:
    """The frames that a generator's frame is run by."""
    outer = frame.f_back
    while outer is not None:
        yield outer
        outer = outer.f_back


def _is_generator(frame: FrameType) -> bool:
    return bool(frame.f_code.co_flags & inspect.CO_GENERATOR)


def _instruction(frame: FrameType) -> str:
    """The name of the instruction that a frame is at."""
    code, at = frame.f_code.co_code, frame.f_lasti
    while at > 0 and dis.opname[code[at]] == "CACHE":
        at -= 2
    return dis.opname[code[at]] if at >= 0 else ""

"""What the callbacks of all frameworks share: a training that is measured and paused by a plan."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ..errors import WrongUse
from ..pacing.telling import Line
from ..signals import raise_if_users
from .leaving import Leaving

if TYPE_CHECKING:
    from ..blocks import measure
    from ..model import Outcome
    from ..pacing.pacer import Pacer

Hook = TypeVar("Hook", bound=Callable[..., None])


class Training:
    """A training under a callback: begun, asked about after each step, paused, ended.

    Nothing here raises into the training but what is its user's own: Ctrl-C, an alarm of theirs,
    and wrong arguments, before it begins.
    """

    def __init__(
        self,
        extend: str,
        hours: float | None,
        name: str,
        pacing: Mapping[str, Any] | None,
        on_anyway: bool = False,
    ) -> None:
        super().__init__()  # the framework's own
        self._asked: dict[str, Any] = {"extend": extend, "hours": hours, "name": name}
        self._asked |= {"on_anyway": on_anyway, **(pacing or {})}
        self._pacer: Pacer | None = None
        self._block: measure | None = None
        self._leaving: Leaving | None = None
        try:
            self._new_pacer()  # so that wrong arguments are told before a training begins
        except WrongUse:
            raise
        except Exception as error:  # noqa: BLE001  ours: it is told once the training begins
            raise_if_users(error)

    def _new_pacer(self) -> Pacer:
        from ..pacing.pacer import Pacer

        return Pacer(**self._asked, checkpointed=self._is_checkpointed())

    def _is_checkpointed(self) -> bool:
        """Whether a checkpoint is written before each pause."""
        return True

    def _begin(self, total_steps: int | None, loop: str, unpaused: str | None = None) -> None:
        """A training of so many steps (None: unknown) begins in a function of the name `loop`;
        `unpaused` says why it is only measured, None where it may be paused."""
        self._end("interrupted")  # an earlier one that ended without a word
        try:
            if unpaused is None:
                self._pacer = self._new_pacer()
                self._pacer.begin(total_steps)
            else:
                from ..blocks import measure

                say(f"this training is measured and not paused: {unpaused}")
                self._block = measure(self._asked["name"])
                self._block.__enter__()
            # After that: at the interpreter's end what was registered last comes first, and this
            # needs a monitor that is open.
            self._leaving = Leaving(loop, self._end)
        except BaseException:
            self._end("interrupted")
            raise

    def _due(self, steps_done: int) -> bool:
        """Whether a pause is to begin now, after so many steps of this run of the training."""
        return self._pacer is not None and steps_done > 0 and self._pacer.due(steps_done)

    def _pause(self) -> None:
        """Hold the training until the plan says go on."""
        if self._pacer is not None:
            self._pacer.pause()

    def _not_now(self) -> None:
        """What was to be paused goes on first."""
        if self._pacer is not None:
            self._pacer.not_now()

    def _end(self, outcome: Outcome = "ok") -> None:
        """The training is over; said twice, the second is nothing."""
        pacer, block, leaving = self._pacer, self._block, self._leaving
        self._pacer = self._block = self._leaving = None
        if leaving is not None:
            leaving.forget()
        if pacer is not None:
            pacer.end(outcome)
        if block is not None:
            # as `with` would be told
            kinds = {"error": Exception, "interrupted": KeyboardInterrupt}
            block.__exit__(kinds.get(outcome), None, None)

    def __getstate__(self) -> dict[str, Any]:
        """What a copy in another process begins with: no training."""
        return {**self.__dict__, "_pacer": None, "_block": None, "_leaving": None}


def together(processes: int) -> str | None:
    """Why a training of so many processes has no pauses. Where one of them waited, the others
    would wait for it in the middle of an exchange: with their GPUs busy, and until its time limit
    ends them all."""
    if processes == 1:
        return None
    return f"{processes} processes train together, and this one's machine is what is measured"


def say(text: str) -> None:
    """One line to the user, where the pacer's lines are too."""
    Line().say(text, is_last=True)


def harmless(hook: Hook) -> Hook:
    """A hook whose failures cost a line, the pauses and the measuring, and never the training."""

    @functools.wraps(hook)
    def call(self: Training, *args: Any, **kwargs: Any) -> None:
        try:
            hook(self, *args, **kwargs)
        except Exception as error:  # noqa: BLE001  ours: the training is not to stop for it
            raise_if_users(error)
            say(f"the training runs on, without pauses: {type(error).__name__}: {error}")
            give_up(self)

    return cast("Hook", call)


def give_up(training: Training) -> None:
    """End what can be ended of a training's pacing that has failed."""
    try:
        training._end("error")
    except Exception as error:  # noqa: BLE001  as above; what has failed has been told
        raise_if_users(error)


def framework_class(module: str, name: str, install: str) -> type:
    """A class of a framework. Raises ImportError with what to install where it is missing."""
    try:
        found: type = getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if (error.name or "").partition(".")[0] != package:
            raise  # it is there, and something that it needs is not
        raise ImportError(f"{package} is not installed: pip install {install}") from None
    return found

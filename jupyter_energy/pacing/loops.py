"""`je.carbon_aware`: a loop that pauses while power is dirty."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ..errors import WrongUse
from ..signals import raise_if_users
from .asked import anyway_of, extend_of, hours_of
from .left import Left
from .pacer import Pacer
from .watch import Watch

if TYPE_CHECKING:
    from ..model import Outcome, Record
    from .surroundings import Surroundings

T = TypeVar("T")


class carbon_aware(Generic[T]):  # noqa: N801  it is used as a function, like contextlib's suppress
    """The items of `loader`, each once and in order, with pauses while power is dirty:
    `for batch in je.carbon_aware(loader, extend="50%", checkpoint=save): ...`.

    `extend` is how much longer the loop may take: "50%" of its own time, or "6h". How long it takes
    is told by its first steps and `len(loader)`, or by `hours`. `checkpoint()` is called before
    each pause, and what it raises is raised; without one, pauses are in memory. The loop is a
    measured block of this `name`; `result` is the Record of the last loop, with its `shift`.

    Planned as Pause & Resume (Dodge et al. 2022) over the forecast of the chosen provider, a CSV
    trace or a typical day, again whenever a newer one comes; what pauses draw is counted against
    them, but with `on_anyway`: the machine runs anyway, and they draw nothing more. Without any of
    these, or a gain, the loop runs straight through and one line says why.
    It may be iterated over several times, as once an epoch: each is a loop of its own. What else
    the loader has, such as `dataset`, is had from it.
    Raises WrongUse for what cannot be, before anything begins.
    """

    def __init__(
        self,
        loader: Iterable[T],
        extend: str = "50%",
        checkpoint: Callable[[], object] | None = None,
        hours: float | None = None,
        name: object = "carbon_aware",
        *,
        on_anyway: bool = False,
        around: Surroundings | None = None,
    ) -> None:
        extend_of(extend)
        if hours is not None:
            hours_of(hours)
        if checkpoint is not None and not callable(checkpoint):
            raise WrongUse(f"checkpoint is {checkpoint!r:.40}: give a function that saves")
        if not hasattr(loader, "__iter__") and not hasattr(loader, "__getitem__"):
            raise WrongUse(
                f"{loader!r:.40} is nothing to loop over: give a loader, a list, a range"
            )
        self._loader, self._checkpoint = loader, checkpoint
        self._asked = (extend, hours, name, checkpoint is not None)
        self._around, self._on_anyway = around, anyway_of(on_anyway)
        self.result: Record | None = None

    def __len__(self) -> int:
        """The length of the loader. Raises TypeError where it has none."""
        return len(self._loader)  # type: ignore[arg-type]  # where it has none, that is what it says

    def __bool__(self) -> bool:
        """As of the loader: `if loader:` is asked of those that have no length, too."""
        return bool(self._loader)

    def __getattr__(self, name: str) -> Any:
        """What else the loader has, such as `dataset` and `sampler`. Raises AttributeError."""
        if name.startswith("_"):  # pickle and copy ask for such before there is a loader
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self._loader, name)

    def __iter__(self) -> Iterator[T]:
        """The items, paced."""
        left = Left()
        items = self._paced(left)
        left.of(items)
        return items

    def _paced(self, left: Left) -> Iterator[T]:
        iterator = iter(self._loader)
        pacer = Pacer(*self._asked, on_anyway=self._on_anyway, around=self._around)
        steps, is_over = 0, False
        ended: Outcome = "ok"

        def end(outcome: Outcome, error: BaseException | None = None) -> None:
            nonlocal is_over
            if not is_over:
                is_over = True
                pacer.end(outcome)
            elif isinstance(error, KeyboardInterrupt) and left.is_by(error):
                pacer.was_interrupted()
            self.result = pacer.result

        left.begins()
        watch = Watch(end)
        is_known = True
        try:
            pacer.begin(_length(self._loader))
            watch.begin()
            # The next item is there before a pause begins: nothing is paused for behind the last.
            for item in iterator:
                if pacer.due(steps):
                    if self._checkpoint is not None:
                        self._checkpoint()
                    pacer.pause()
                yield item
                steps += 1
        except BaseException as error:
            ended = left.by(error)
            # Which one went through the loop is known when it has come to where it is caught.
            is_known = ended == "ok" or not isinstance(error, GeneratorExit)
            raise
        finally:
            if is_known:
                watch.forget()
            end(ended)


def _length(loader: object) -> int | None:
    """How many items there will be; None where nobody knows, as of a stream's."""
    try:
        return len(loader)  # type: ignore[arg-type]  # asked of whatever it is
    except Exception as error:  # noqa: BLE001  a loader's own code: then it is not known
        raise_if_users(error)
        return None

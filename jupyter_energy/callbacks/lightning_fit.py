"""PyTorch Lightning's Trainer.fit under the plan (tested with lightning 2.6, and as
pytorch_lightning)."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..signals import raise_if_users
from .training import Training, framework_class, harmless, say, together

# One framework under two names.
PACKAGES = ("lightning.pytorch", "pytorch_lightning")


class LightningCallback(Training):
    """A `Trainer.fit` that is measured, and pauses while the grid is dirty.

    ::

        from jupyter_energy.callbacks import LightningCallback

        Trainer(max_epochs=20, callbacks=[LightningCallback(extend="50%")]).fit(model, loader)

    `extend` is how much longer the whole may take ("50%", "6h"), `hours` what it takes without
    pauses, where you know it, `name` what its record is called; with `on_anyway` the machine runs
    anyway, and pauses draw nothing more. Before each pause
    `trainer.save_checkpoint` writes `checkpoint` (without it `paused.ckpt` in the trainer's
    `default_root_dir`), so that `trainer.fit(model, loader, ckpt_path=...)` goes on even if the
    process was killed meanwhile. Losses and weights are the same as without pauses. Where several
    processes train together, and under `max_time`, it is measured and not paused.
    Raises WrongUse for an `extend` or `hours` that cannot be.
    """

    def __init__(
        self,
        extend: str = "50%",
        hours: float | None = None,
        name: str = "training",
        checkpoint: str | Path | None = None,
        *,
        on_anyway: bool = False,
        _pacing: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(extend, hours, name, _pacing, on_anyway)
        self._checkpoint = checkpoint
        self._steps_done = 0
        self._step_seen = 0

    @harmless
    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Begin the measuring; a training that is resumed has fewer steps to go."""
        self._steps_done = 0
        self._step_seen = trainer.global_step
        if trainer.is_global_zero:
            unpaused = together(trainer.world_size) or _time_limit(trainer)
            self._begin(_steps_left(trainer), "fit", unpaused)

    @harmless
    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save and pause where that is due, between two steps of the optimizer."""
        if trainer.global_step == self._step_seen:
            return  # gradients are being accumulated: no checkpoint holds them
        self._step_seen = trainer.global_step
        self._steps_done += 1
        if trainer.should_stop or not self._due(self._steps_done):
            return
        self._save(trainer)
        self._pause()

    @harmless
    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """The training is over, at its last step or stopped early."""
        self._end()

    @harmless
    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """The training has failed, or Ctrl-C was pressed."""
        self._end("interrupted" if isinstance(exception, KeyboardInterrupt) else "error")

    def _save(self, trainer: Any) -> None:
        path = self._checkpoint or Path(trainer.default_root_dir) / "paused.ckpt"
        try:
            trainer.save_checkpoint(path)
        except Exception as error:  # noqa: BLE001  a full disk: the training waits in memory
            raise_if_users(error)
            say(f"this pause keeps the training in memory alone: {type(error).__name__}: {error}")


def _time_limit(trainer: Any) -> str | None:
    """That pauses would end the training sooner, where they would: its `max_time` counts them."""
    timers = [one for one in trainer.callbacks if hasattr(one, "time_remaining")]
    limited = any(timer.time_remaining() is not None for timer in timers)
    return "its max_time would count the pauses too" if limited else None


def _steps_left(trainer: Any) -> int | None:
    """The steps to go; None where nobody knows, as with an endless loader."""
    try:
        total = trainer.estimated_stepping_batches
    except Exception as error:  # noqa: BLE001  Lightning's word for "not known" has changed its name
        raise_if_users(error)
        return None
    left = total - trainer.global_step
    return int(left) if math.isfinite(left) and left > 0 else None


def frameworks_own() -> tuple[type, ...]:
    """The class that Lightning expects of a callback; of both packages where both are in use."""
    used = [name for name in PACKAGES if sys.modules.get(name) is not None]
    there = [name for name in PACKAGES if find_spec(name.partition(".")[0]) is not None]
    names = used or there[:1] or PACKAGES[:1]
    return tuple(framework_class(f"{name}.callbacks", "Callback", "lightning") for name in names)

"""Keras' `model.fit` under the plan (tested with Keras 3.15 on PyTorch)."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import WrongUse
from ..signals import raise_if_users
from .training import Training, framework_class, harmless, say, together


class KerasCallback(Training):
    """A `model.fit` that is measured, and pauses while the grid is dirty.

    ::

        from jupyter_energy.callbacks import KerasCallback

        model.fit(x, y, epochs=20,
                  callbacks=[KerasCallback(extend="50%", checkpoint="model.keras")])

    `extend` is how much longer the whole may take ("50%", "6h"), `hours` what it takes without
    pauses, where you know it, `name` what its record is called; with `on_anyway` the machine runs
    anyway, and pauses draw nothing more. Before each pause the model is
    saved to `checkpoint`, which ends in `.keras`; without it what was trained is in memory alone
    while it waits, and a line says so. Losses and weights are the same as without pauses. Where
    several processes train together it is measured and not paused.
    Raises WrongUse for an `extend`, `hours` or `checkpoint` that cannot be.
    """

    params: Any  # set by Keras, as is the model
    model: Any

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
        self._checkpoint = None if checkpoint is None else Path(checkpoint)
        if self._checkpoint is not None and self._checkpoint.suffix != ".keras":
            raise WrongUse(f"Keras saves a model to a file that ends in .keras, not {checkpoint}")
        super().__init__(extend, hours, name, _pacing, on_anyway)
        self._first_epoch: int | None = None
        self._batches_before = 0  # of this run's earlier epochs
        self._batch = 0  # of its current epoch, from 0

    def _is_checkpointed(self) -> bool:
        return self._checkpoint is not None

    @harmless
    def on_train_begin(self, logs: Any = None) -> None:
        """A run begins; with which epoch, that epoch tells."""
        self._first_epoch = None

    @harmless
    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Begin the measuring with the first epoch; count the batches of those before."""
        steps, epochs = self.params.get("steps"), self.params.get("epochs")
        if self._first_epoch is None:
            self._first_epoch = epoch
            self._batches_before = 0
            total = steps * (epochs - epoch) if steps and epochs else None
            processes, is_first = _processes()
            if is_first:
                self._begin(total, "fit", together(processes))
        else:
            self._batches_before += steps or self._batch + 1
        self._batch = 0

    @harmless
    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Save and pause between two batches.

        Not at a batch's end: for a callback that is called there Keras waits for each batch's
        losses, where it would otherwise let a GPU work ahead.
        """
        self._batch = batch
        if self._due(self._batches_before + batch):
            self._save()
            self._pause()

    @harmless
    def on_train_end(self, logs: Any = None) -> None:
        """The training is over, at its last epoch or stopped early."""
        self._end()

    def _save(self) -> None:
        if self._checkpoint is None:
            say("this pause keeps the training in memory alone: give checkpoint= a file")
            return
        # Beside the last one, which is whole until this one is.
        new = self._checkpoint.with_name(f"{self._checkpoint.stem}.new.keras")
        try:
            self.model.save(new)
            new.replace(self._checkpoint)
        except Exception as error:  # noqa: BLE001  a full disk: the training waits in memory
            raise_if_users(error)
            say(f"this pause keeps the training in memory alone: {type(error).__name__}: {error}")


def _processes() -> tuple[int, bool]:
    """How many processes train together, and whether this one is their first."""
    torch = sys.modules.get("torch.distributed")
    if torch is not None and torch.is_available() and torch.is_initialized():
        return torch.get_world_size(), torch.get_rank() == 0
    if "tensorflow" in sys.modules and (config := os.environ.get("TF_CONFIG")):
        told = json.loads(config)
        workers = [
            (kind, n)
            for kind in ("chief", "worker")
            for n, _ in enumerate(told["cluster"].get(kind, ()))
        ]
        return len(workers), (told["task"]["type"], told["task"]["index"]) == workers[0]
    if sys.modules["keras"].backend.backend() == "jax":
        jax = sys.modules["jax"]
        return jax.process_count(), jax.process_index() == 0
    return 1, True


def frameworks_own() -> tuple[type, ...]:
    """The class that Keras expects of a callback."""
    return (framework_class("keras.callbacks", "Callback", "keras"),)

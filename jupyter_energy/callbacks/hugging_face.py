"""Hugging Face's Trainer under the plan (tested with transformers 5.23)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .training import Training, framework_class, harmless, say, together

# A checkpoint is the weights, and twice as much for the two moments of Adam; once more for luck.
CHECKPOINT_PER_WEIGHTS = 4
IN_MEMORY = "this pause keeps the training in memory alone"


class HuggingFaceCallback(Training):
    """A Trainer that is measured, and pauses while the grid is dirty.

    ::

        from jupyter_energy.callbacks import HuggingFaceCallback

        trainer = Trainer(model, args, train_dataset=data,
                          callbacks=[HuggingFaceCallback(extend="50%")])
        trainer.train()

    `extend` is how much longer the whole may take ("50%", "6h"), `hours` what it takes without
    pauses, where you know it, `name` what its record is called; with `on_anyway` the machine runs
    anyway, and pauses draw nothing more. Before each pause the Trainer
    writes its own checkpoint into `output_dir`, so that
    `trainer.train(resume_from_checkpoint=True)` goes on even if the process was killed meanwhile;
    `save_total_limit` counts it too; `checkpoint=False` writes none. Where none can be written a
    line says so, as with `save_strategy="best"` after an evaluation that is no better. Losses and
    weights are the same as without pauses. Where several processes train together it is measured
    and not paused.
    Raises WrongUse for an `extend` or `hours` that cannot be.
    """

    def __init__(
        self,
        extend: str = "50%",
        hours: float | None = None,
        name: str = "training",
        checkpoint: bool = True,
        *,
        on_anyway: bool = False,
        _pacing: Mapping[str, Any] | None = None,
    ) -> None:
        self._checkpoint = checkpoint
        super().__init__(extend, hours, name, _pacing, on_anyway)
        self._waits_for_save = False
        self._begun_at = 0  # steps that an earlier run has done

    def _is_checkpointed(self) -> bool:
        return self._checkpoint

    @harmless
    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Begin the measuring; a training that is resumed has fewer steps to go."""
        self._waits_for_save = False
        self._begun_at = state.global_step
        left = state.max_steps - state.global_step
        if state.is_world_process_zero:
            unpaused = together(args.world_size)
            self._begin(left if left > 0 else None, "_inner_training_loop", unpaused)

    @harmless
    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Ask for a checkpoint where a pause is due: it begins once that is on disk."""
        if not control.should_evaluate:  # an evaluation comes first, and is part of the training
            self._ask(args, state, control, more.get("model"))

    @harmless
    def on_prediction_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """An evaluation is under way: it may be the next of several data sets, or a callback's."""
        if self._waits_for_save:
            self._waits_for_save = False
            self._not_now()

    @harmless
    def on_evaluate(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """An evaluation is over, and what it calls for is saved after it."""
        self._ask(args, state, control, more.get("model"))

    @harmless
    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The checkpoint is on disk."""
        self._pause_if_due(control)

    @harmless
    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """No checkpoint was written after the last step of an epoch."""
        self._pause_unsaved(control)

    @harmless
    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """No checkpoint was written after the last step."""
        self._pause_unsaved(control)

    @harmless
    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The training is over, at its last step or stopped early."""
        self._end()

    def _ask(self, args: Any, state: Any, control: Any, model: Any) -> None:
        """Where a pause is due it begins: with a checkpoint, once the Trainer has written that."""
        if control.should_training_stop or not self._due(state.global_step - self._begun_at):
            return
        self._waits_for_save = True
        if self._checkpoint:
            if why := _why_unsaved(Path(args.output_dir), model):
                say(f"{IN_MEMORY}: {why}")
            else:
                control.should_save = True
        if not control.should_save:
            self._pause_if_due(control)

    def _pause_unsaved(self, control: Any) -> None:
        """The Trainer has the last word on its checkpoints: with save_strategy="best" it writes
        none after an evaluation that is no better."""
        if self._waits_for_save and self._checkpoint and not control.should_training_stop:
            say(f"{IN_MEMORY}: the Trainer wrote no checkpoint")
        self._pause_if_due(control)

    def _pause_if_due(self, control: Any) -> None:
        if not self._waits_for_save:
            return
        self._waits_for_save = False
        if control.should_training_stop:
            self._not_now()
        else:
            self._pause()


def _why_unsaved(folder: Path, model: Any) -> str | None:
    """Why a checkpoint would fail, and the training with it, in words; None where it would not."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        return f"{folder} cannot be written to"
    weights = model.parameters() if model is not None else ()
    needed = CHECKPOINT_PER_WEIGHTS * sum(one.numel() * one.element_size() for one in weights)
    free = shutil.disk_usage(there).free
    if free < needed:
        return f"a checkpoint may take {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free"
    return None


def frameworks_own() -> tuple[type, ...]:
    """The class that the Trainer expects of a callback."""
    return (framework_class("transformers", "TrainerCallback", "'transformers[torch]'"),)

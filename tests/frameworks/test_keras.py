"""Keras under our callback: a tiny network with dropout, on PyTorch and the processor."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch.distributed
from frameworks.pacing import Pauses, new_name, record, records
from IPython.core.interactiveshell import InteractiveShell
from torch.testing._internal.distributed.fake_pg import FakeStore

from jupyter_energy.callbacks import KerasCallback
from jupyter_energy.errors import WrongUse

STEPS = 8
Trained = tuple[list[float], list[np.ndarray]]


def trained(*callbacks: object, **more: Any) -> Trained:
    """The losses of each epoch and the weights after 2 epochs of 4 batches."""
    keras.utils.set_random_seed(3)
    x = np.random.default_rng(1).normal(size=(16, 4))
    layers = [keras.layers.Dense(8), keras.layers.Dropout(0.5), keras.layers.Dense(1)]
    model = keras.Sequential([keras.layers.Input((4,)), *layers])
    model.compile("adam", "mse")
    asked = {"x": x, "y": x.sum(1), "batch_size": 4, "epochs": 2, "verbose": 0, **more}
    fitted = model.fit(callbacks=list(callbacks), **asked)
    return fitted.history["loss"], model.get_weights()


def assert_same(one: Trained, other: Trained) -> None:
    """Equal to the last bit."""
    assert one[0] == other[0]
    assert all(np.array_equal(*both) for both in zip(one[1], other[1], strict=True))


class Ticks(keras.callbacks.Callback):
    """Moves the clock with each step."""

    def __init__(self, pauses: Pauses) -> None:
        super().__init__()
        self.pauses = pauses

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.pauses.tick()


def under(pauses: Pauses, **more: Any) -> list[keras.callbacks.Callback]:
    """What a training runs under."""
    return [Ticks(pauses), KerasCallback(**pauses.words, **more)]


class Fails(keras.callbacks.Callback):
    """Fails after the third batch."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if batch == 2:
            raise ValueError("theirs")


@pytest.mark.parametrize("steps", [(), (3, 6)], ids=["without pauses", "with pauses"])
def test_losses_and_weights_are_the_same_to_the_last_bit(
    tmp_path: Path, steps: tuple[int, ...]
) -> None:
    pauses = Pauses(*steps)
    callbacks = under(pauses, checkpoint=tmp_path / "model.keras")
    assert_same(trained(*callbacks), trained())
    assert (pauses.made, pauses.total) == (list(steps), STEPS)
    assert pauses.marks == ["save", "pause", "run"] * len(steps)
    assert pauses.ended == 1


def test_the_model_is_on_disk_when_a_pause_begins_as_it_was_then(tmp_path: Path) -> None:
    file = tmp_path / "model.keras"
    models = []

    def look() -> None:
        models.append(keras.saving.load_model(file).optimizer.iterations.numpy())

    trained(*under(Pauses(3, 6, during=look), checkpoint=file))
    assert models == [3, 6]
    assert list(tmp_path.iterdir()) == [file]


def test_without_a_file_it_pauses_in_memory_and_says_so(capfd: pytest.CaptureFixture[str]) -> None:
    pauses = Pauses(3)
    assert_same(trained(*under(pauses)), trained())
    assert pauses.made == [3]
    assert pauses.marks == ["pause", "run"]
    assert "in memory alone: give checkpoint= a file" in capfd.readouterr().err


def test_where_no_checkpoint_can_be_written_it_pauses_in_memory(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pauses = Pauses(3)
    callbacks = under(pauses, checkpoint=tmp_path / "none" / "a.keras")
    assert_same(trained(*callbacks), trained())
    assert pauses.made == [3]
    assert "keeps the training in memory alone" in capfd.readouterr().err


def test_a_checkpoint_that_keras_does_not_write_is_refused() -> None:
    with pytest.raises(WrongUse, match=r"ends in \.keras"):
        KerasCallback(checkpoint="model.pt")


def test_epochs_of_an_earlier_run_are_not_to_do_again() -> None:
    pauses = Pauses(3, steps=4)
    trained(*under(pauses), initial_epoch=1)
    assert (pauses.made, pauses.total) == ([3], STEPS / 2)


def test_a_generator_whose_length_nobody_knows_can_be_paused() -> None:
    def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for number in range(4):
            yield np.full((2, 4), number / 4), np.ones(2)

    pauses = Pauses(3, steps=4, hours=1 / 3)
    trained(*under(pauses), x=batches(), y=None, batch_size=None, epochs=1)
    assert pauses.made == [3]


def test_losses_are_not_waited_for_after_each_batch() -> None:
    callback = KerasCallback()
    for hook in (callback.on_batch_end, callback.on_train_batch_end):
        assert keras.src.utils.is_default(hook)


def test_ctrl_c_in_a_pause_goes_through() -> None:
    def press() -> None:
        raise KeyboardInterrupt

    pauses = Pauses(3, during=press)
    callbacks = under(pauses)
    with pytest.raises(KeyboardInterrupt):
        trained(*callbacks)
    assert pauses.ended == 1


def test_a_training_that_fails_is_measured_until_it_failed() -> None:
    name = new_name()
    callback = KerasCallback(name=name)
    with pytest.raises(ValueError, match="theirs"):
        trained(callback, Fails())
    assert record(name).outcome == "interrupted"  # while the callback is there still


def test_a_training_that_fails_in_a_notebook_is_measured_until_its_cell_is_over() -> None:
    name = new_name()
    shell = InteractiveShell.instance()
    shell.user_ns |= {
        "trained": trained,
        "callbacks": [KerasCallback(name=name), Fails()],
        "keep": [],
    }
    shell.run_cell("try: trained(*callbacks)\nexcept ValueError as e: keep.append(e); raise")
    assert record(name).outcome == "error"
    InteractiveShell.clear_instance()


def test_a_training_that_stops_early_is_measured_until_then() -> None:
    name = new_name()
    stops = keras.callbacks.EarlyStopping("loss", min_delta=1e9, patience=1)
    losses, _ = trained(KerasCallback(name=name), stops, epochs=5)
    assert len(losses) == 2
    assert record(name).outcome == "ok"


def test_what_fails_on_our_side_costs_a_line_and_not_the_training(
    capfd: pytest.CaptureFixture[str],
) -> None:
    callback = KerasCallback(_pacing={"around": "none of the kind"})
    assert_same(trained(callback), trained())
    ours = [line for line in capfd.readouterr().err.splitlines() if "jupyter-energy" in line]
    assert len(ours) == 1
    assert "the training runs on, without pauses: AttributeError" in ours[0]


def test_a_pause_that_fails_is_left_out(tmp_path: Path) -> None:
    def fail() -> None:
        raise OSError("no clock")

    pauses = Pauses(3, 6, during=fail)
    assert_same(trained(*under(pauses, checkpoint=tmp_path / "model.keras")), trained())
    assert pauses.made == [3]
    assert any("OSError: no clock" in line for line in pauses.said)
    assert pauses.ended == 1


@pytest.mark.parametrize("rank", [0, 1])
def test_of_several_processes_the_first_one_measures_and_none_pauses(
    rank: int, capfd: pytest.CaptureFixture[str]
) -> None:
    pauses, name = Pauses(3), new_name()
    torch.distributed.init_process_group("fake", store=FakeStore(), rank=rank, world_size=2)
    try:
        trained(*under(pauses, name=name))
    finally:
        torch.distributed.destroy_process_group()
    assert pauses.made == []
    assert len(records(name)) == (1 if rank == 0 else 0)
    assert ("2 processes train together" in capfd.readouterr().err) == (rank == 0)


def test_it_survives_pickling_as_where_processes_are_spawned() -> None:
    callback = pickle.loads(pickle.dumps(KerasCallback(hours=3)))
    assert isinstance(callback, KerasCallback)
    assert isinstance(callback, keras.callbacks.Callback)

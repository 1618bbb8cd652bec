"""Hugging Face's Trainer under our callback: a tiny BERT with dropout, on the processor."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from frameworks.pacing import Pauses, new_name, record, records
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    EarlyStoppingCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from jupyter_energy.callbacks import HuggingFaceCallback
from jupyter_energy.errors import WrongUse

STEPS = 8
Trained = tuple[list[float], dict[str, torch.Tensor]]


def trainer(folder: Path, *callbacks: object, **more: object) -> Trainer:
    """A Trainer of 2 epochs of 4 steps."""
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=50,
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=8,
    )
    arguments: dict[str, Any] = {
        "output_dir": str(folder),
        "per_device_train_batch_size": 4,
        "num_train_epochs": 2,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": [],
        "seed": 5,
        "disable_tqdm": True,
        "use_cpu": True,
        **more,
    }
    data = [
        {"input_ids": torch.tensor([n, 7, 3 * n, 11]), "labels": torch.tensor(n % 2)}
        for n in range(16)
    ]
    return Trainer(
        BertForSequenceClassification(config),
        TrainingArguments(**arguments),
        train_dataset=data,
        eval_dataset=data,
        callbacks=list(callbacks),
    )


def trained(trainer: Trainer, **more: object) -> Trained:
    """The losses of each step and the weights of a training that is run to its end."""
    trainer.train(**more)
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    return losses, trainer.model.state_dict()


def assert_same(one: Trained, other: Trained) -> None:
    """Equal to the last bit."""
    assert one[0] == other[0]
    assert len(one[0]) == STEPS
    assert all(torch.equal(weights, other[1][name]) for name, weights in one[1].items())


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A training without us."""
    return trained(trainer(tmp_path_factory.mktemp("plain")))


class Ticks(TrainerCallback):
    """Moves the clock with each step."""

    def __init__(self, pauses: Pauses) -> None:
        self.pauses = pauses

    def on_step_end(self, *_: object, **__: object) -> None:
        self.pauses.tick()


def under(pauses: Pauses, **more: Any) -> list[TrainerCallback]:
    """What a training runs under."""
    return [Ticks(pauses), HuggingFaceCallback(**pauses.words, **more)]


class Fails(TrainerCallback):
    """Fails after the second step."""

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == 2:
            raise ValueError("theirs")


@pytest.mark.parametrize("steps", [(), (3, 6)], ids=["without pauses", "with pauses"])
def test_losses_and_weights_are_the_same_to_the_last_bit(
    plain: Trained, tmp_path: Path, steps: tuple[int, ...]
) -> None:
    pauses = Pauses(*steps)
    assert_same(trained(trainer(tmp_path, *under(pauses))), plain)
    assert (pauses.made, pauses.total) == (list(steps), STEPS)
    assert pauses.marks == ["save", "pause", "run"] * len(steps)
    assert pauses.ended == 1


def test_whoever_is_killed_in_a_pause_goes_on_from_its_checkpoint(
    plain: Trained, tmp_path: Path
) -> None:
    class Killed(BaseException):
        pass

    def kill() -> None:
        raise Killed

    first = trainer(tmp_path, *under(Pauses(3, during=kill)))
    with pytest.raises(Killed):
        first.train()
    pauses = Pauses(steps=STEPS - 3)
    second = trainer(tmp_path, *under(pauses))
    assert_same(trained(second, resume_from_checkpoint=True), plain)
    assert pauses.total == STEPS - 3


def test_where_no_checkpoint_can_be_written_it_pauses_in_memory(
    plain: Trained, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    pauses = Pauses(3)
    made = trainer(tmp_path / "out", *under(pauses))
    made.args.output_dir = str(tmp_path / "file" / "out")
    assert_same(trained(made), plain)
    assert pauses.made == [3]
    assert "keeps the training in memory alone" in capfd.readouterr().err


def test_without_checkpoints_it_pauses_in_memory(plain: Trained, tmp_path: Path) -> None:
    pauses = Pauses(3)
    assert_same(trained(trainer(tmp_path, *under(pauses, checkpoint=False))), plain)
    assert pauses.marks == ["pause", "run"]
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_in_a_pause_goes_through(tmp_path: Path) -> None:
    def press() -> None:
        raise KeyboardInterrupt

    pauses = Pauses(3, during=press)
    made = trainer(tmp_path, *under(pauses))
    with pytest.raises(KeyboardInterrupt):
        made.train()
    assert made.state.global_step == 3
    assert pauses.ended == 1


def test_a_training_that_fails_is_measured_until_it_failed(tmp_path: Path) -> None:
    name = new_name()
    made = trainer(tmp_path, HuggingFaceCallback(name=name), Fails)
    with pytest.raises(ValueError, match="theirs"):
        made.train()
    assert record(name).outcome == "interrupted"  # while the Trainer is there still


def test_a_training_that_stops_early_is_measured_until_then(tmp_path: Path) -> None:
    name = new_name()
    more = {"eval_strategy": "steps", "eval_steps": 1, "save_strategy": "best"}
    made = trainer(
        tmp_path,
        HuggingFaceCallback(name=name),
        EarlyStoppingCallback(1, 100.0),
        metric_for_best_model="loss",
        load_best_model_at_end=True,
        **more,
    )
    made.train()
    assert made.state.global_step < STEPS
    assert record(name).outcome == "ok"


class Evaluates(TrainerCallback):
    """Sees what the meter was told to be going on by the end of each batch of an evaluation."""

    def __init__(self, pauses: Pauses) -> None:
        self.pauses, self.seen = pauses, set[str]()

    def on_prediction_step(self, *_: object, **__: object) -> None:
        self.seen.add((self.pauses.marks or ["run"])[-1])


@pytest.mark.parametrize("checkpoint", [True, False])
@pytest.mark.parametrize("strategy", ["steps", "epoch"])
@pytest.mark.parametrize("sets", [1, 2])
def test_an_evaluation_is_part_of_the_training_and_of_no_pause(
    tmp_path: Path, strategy: str, checkpoint: bool, sets: int
) -> None:
    def evaluated(folder: str, *callbacks: object) -> Trained:
        made = trainer(tmp_path / folder, *callbacks, eval_strategy=strategy, eval_steps=1)
        if sets > 1:
            made.eval_dataset = dict.fromkeys("ab", made.eval_dataset)
        return trained(made)

    pauses = Pauses(3, 4)
    evaluates = Evaluates(pauses)
    found = evaluated("ours", *under(pauses, checkpoint=checkpoint), evaluates)
    assert pauses.made == [3, 4]
    assert evaluates.seen == {"run"}
    assert_same(found, evaluated("plain"))


def test_a_pause_whose_checkpoint_the_trainer_leaves_out_is_made_and_that_is_said(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def during() -> None:
        assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-1"]

    pauses = Pauses(3, 4, during=during)
    made = trainer(
        *(tmp_path, *under(pauses)),
        eval_strategy="steps",
        eval_steps=1,
        save_strategy="best",
        metric_for_best_model="same",
        greater_is_better=True,
    )
    made.compute_metrics = lambda _: {"same": 1.0}  # the first one is the best, and none after it
    made.train()
    assert pauses.made == [3, 4]
    line = "keeps the training in memory alone: the Trainer wrote no checkpoint"
    assert capfd.readouterr().err.count(line) == 2


def test_what_fails_on_our_side_costs_a_line_and_not_the_training(
    plain: Trained, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    callback = HuggingFaceCallback(_pacing={"around": "none of the kind"})
    assert_same(trained(trainer(tmp_path, callback)), plain)
    ours = [line for line in capfd.readouterr().err.splitlines() if "jupyter-energy" in line]
    assert len(ours) == 1
    assert "the training runs on, without pauses: AttributeError" in ours[0]


def test_a_pause_that_fails_is_left_out(plain: Trained, tmp_path: Path) -> None:
    def fail() -> None:
        raise OSError("no clock")

    pauses = Pauses(3, 6, during=fail)
    assert_same(trained(trainer(tmp_path, *under(pauses))), plain)
    assert pauses.made == [3]
    assert any("OSError: no clock" in line for line in pauses.said)
    assert pauses.ended == 1


def test_a_trainer_may_be_given_the_class_itself_and_train_twice(tmp_path: Path) -> None:
    before = len(records("training"))
    made = trainer(tmp_path, HuggingFaceCallback)
    made.train()
    made.train()
    assert len(records("training")) == before + 2


def test_wrong_arguments_are_told_when_it_is_made() -> None:
    with pytest.raises(WrongUse, match="extend"):
        HuggingFaceCallback(extend="much")


def test_it_survives_pickling_as_where_processes_are_spawned() -> None:
    callback = pickle.loads(pickle.dumps(HuggingFaceCallback(hours=3)))
    assert isinstance(callback, HuggingFaceCallback)
    assert isinstance(callback, TrainerCallback)

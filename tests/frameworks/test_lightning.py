"""PyTorch Lightning under our callback: a tiny network with dropout, on the processor."""

from __future__ import annotations

import pickle
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning.pytorch
import pytest
import pytorch_lightning
import torch
from frameworks.pacing import Pauses, new_name, record
from lightning.pytorch.callbacks import Callback, EarlyStopping

from jupyter_energy.callbacks import LightningCallback, lightning_fit

STEPS = 8
PACKAGES = pytest.mark.parametrize(
    "package", [lightning.pytorch, pytorch_lightning], ids=["lightning", "pytorch_lightning"]
)
Trained = tuple[list[float], dict[str, torch.Tensor]]


def trained(
    folder: Path,
    *callbacks: object,
    package: Any = lightning.pytorch,
    ckpt_path: Path | None = None,
    **more: object,
) -> Trained:
    """The losses of each step and the weights after 2 epochs of 4 steps."""

    class Model(package.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.losses: list[float] = []
            self.layers = torch.nn.Sequential(
                torch.nn.Linear(4, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 1)
            )

        def training_step(self, batch: torch.Tensor, _: int) -> torch.Tensor:
            loss = self.layers(batch).square().mean()
            self.losses.append(loss.item())
            self.log("loss", loss)
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters())

    package.seed_everything(3, verbose=False)
    model = Model()
    trainer = package.Trainer(
        **{
            "default_root_dir": folder,
            "max_epochs": 2,
            "accelerator": "cpu",
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "callbacks": list(callbacks),
            **more,
        }
    )
    loader = torch.utils.data.DataLoader(torch.randn(16, 4), batch_size=4, shuffle=True)
    trainer.fit(model, loader, ckpt_path=ckpt_path)
    return model.losses, model.state_dict()


def assert_same(one: Trained, other: Trained) -> None:
    """Equal to the last bit."""
    assert one[0] == other[0]
    assert len(one[0]) == STEPS
    assert all(torch.equal(weights, other[1][name]) for name, weights in one[1].items())


class Ticks(Callback):
    """Moves the clock with each step."""

    def __init__(self, pauses: Pauses) -> None:
        self.pauses, self.steps = pauses, 0

    def on_train_batch_end(self, trainer: Any, *_: object) -> None:
        if trainer.global_step > self.steps:
            self.steps = trainer.global_step
            self.pauses.tick()


def under(pauses: Pauses, **more: Any) -> list[Callback]:
    """What a training runs under."""
    return [Ticks(pauses), LightningCallback(**pauses.words, **more)]


class Fails(Callback):
    """Fails before the step after the first five."""

    def __init__(self, error: type[BaseException]) -> None:
        self.error = error

    def on_train_batch_start(self, trainer: Any, *_: object) -> None:
        if trainer.global_step == 5:
            raise self.error


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C works again after the test: Lightning ignores it once it was pressed."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


@PACKAGES
@pytest.mark.parametrize("steps", [(), (3, 6)], ids=["without pauses", "with pauses"])
def test_losses_and_weights_are_the_same_to_the_last_bit(
    tmp_path: Path, package: Any, steps: tuple[int, ...]
) -> None:
    pauses = Pauses(*steps)
    found = trained(tmp_path, *under(pauses), package=package)
    assert_same(found, trained(tmp_path, package=package))
    assert (pauses.made, pauses.total) == (list(steps), STEPS)
    assert pauses.marks == ["save", "pause", "run"] * len(steps)
    assert pauses.ended == 1


def test_it_serves_the_other_package_too_where_it_was_made_before_that_was_imported(
    tmp_path: Path,
) -> None:
    bases = (lightning_fit.LightningCallback, Callback)
    pauses = Pauses(3)
    callback = type("LightningCallback", bases, {})(**pauses.words)
    trained(tmp_path, Ticks(pauses), callback, package=pytorch_lightning)
    assert pauses.made == [3]


def test_whoever_is_killed_in_a_pause_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    class Killed(BaseException):
        pass

    def kill() -> None:
        raise Killed

    with pytest.raises(Killed):
        trained(tmp_path, *under(Pauses(3, during=kill)))
    pauses = Pauses()
    callbacks = under(pauses)
    losses, _ = trained(tmp_path, *callbacks, ckpt_path=tmp_path / "paused.ckpt")
    assert len(losses) == pauses.total == STEPS - 3


def test_the_checkpoint_may_be_named(tmp_path: Path) -> None:
    named = tmp_path / "mine" / "before the pause.ckpt"
    trained(tmp_path, *under(Pauses(3), checkpoint=named))
    assert torch.load(named, weights_only=False)["global_step"] == 3


def test_where_no_checkpoint_can_be_written_it_pauses_in_memory(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    pauses = Pauses(3)
    callbacks = under(pauses, checkpoint=tmp_path / "file" / "a.ckpt")
    assert_same(trained(tmp_path, *callbacks), trained(tmp_path))
    assert pauses.made == [3]
    assert "keeps the training in memory alone" in capfd.readouterr().err


def test_gradients_that_are_being_accumulated_are_never_left_out_of_a_checkpoint(
    tmp_path: Path,
) -> None:
    seen = []

    class Sees(Callback):
        def on_save_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: Any) -> None:
            seen.append(trainer.fit_loop.total_batch_idx + 1)

    pauses = Pauses(1, 2, 3, steps=4, hours=1 / 3)
    callbacks = under(pauses)
    trained(tmp_path, *callbacks, Sees(), accumulate_grad_batches=2)
    assert pauses.made == [1, 2, 3]
    assert seen == [2, 4, 6]


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_in_a_pause_goes_to_lightning(tmp_path: Path) -> None:
    def press() -> None:
        raise KeyboardInterrupt

    pauses = Pauses(3, during=press)
    with pytest.raises(SystemExit):  # Lightning's way
        trained(tmp_path, *under(pauses))
    assert pauses.ended == 1


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize(
    ("error", "raised", "outcome"),
    [(ValueError, ValueError, "error"), (KeyboardInterrupt, SystemExit, "interrupted")],
)
def test_a_training_that_fails_is_measured_until_it_failed(
    tmp_path: Path, error: type[BaseException], raised: type[BaseException], outcome: str
) -> None:
    name = new_name()
    with pytest.raises(raised):
        trained(tmp_path, LightningCallback(name=name), Fails(error))
    assert record(name).outcome == outcome


def test_a_training_that_stops_early_is_measured_until_then(tmp_path: Path) -> None:
    name = new_name()
    stops = EarlyStopping("loss", divergence_threshold=-1.0, check_on_train_epoch_end=True)
    losses, _ = trained(tmp_path, LightningCallback(name=name), stops)
    assert len(losses) == STEPS / 2
    assert record(name).outcome == "ok"


def test_a_training_without_an_end_is_not_paused_and_says_what_is_missing(tmp_path: Path) -> None:
    class Stops(Callback):
        def on_train_batch_end(self, trainer: Any, *_: object) -> None:
            trainer.should_stop = trainer.global_step >= STEPS

    pauses = Pauses(3)
    trained(tmp_path, *under(pauses), Stops(), max_epochs=-1)
    assert pauses.made == []
    assert "hours=" in pauses.said[0]
    assert pauses.ended == 1


def test_pauses_do_not_use_up_a_limit_of_time(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pauses, name = Pauses(3), new_name()
    losses, _ = trained(tmp_path, *under(pauses, name=name), max_time={"hours": 1})
    assert (len(losses), pauses.made) == (STEPS, [])
    assert "max_time would count the pauses too" in capfd.readouterr().err
    assert record(name).outcome == "ok"


def test_what_fails_on_our_side_costs_a_line_and_not_the_training(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    callback = LightningCallback(_pacing={"around": "none of the kind"})
    assert_same(trained(tmp_path, callback), trained(tmp_path))
    ours = [line for line in capfd.readouterr().err.splitlines() if "jupyter-energy" in line]
    assert len(ours) == 1
    assert "the training runs on, without pauses: AttributeError" in ours[0]


def test_a_pause_that_fails_is_left_out(tmp_path: Path) -> None:
    def fail() -> None:
        raise OSError("no clock")

    pauses = Pauses(3, 6, during=fail)
    assert_same(trained(tmp_path, *under(pauses)), trained(tmp_path))
    assert pauses.made == [3]
    assert any("OSError: no clock" in line for line in pauses.said)
    assert pauses.ended == 1


def test_it_survives_pickling_as_where_processes_are_spawned() -> None:
    callback = pickle.loads(pickle.dumps(LightningCallback(hours=3)))
    assert isinstance(callback, LightningCallback)
    assert isinstance(callback, Callback)

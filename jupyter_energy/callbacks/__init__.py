"""Callbacks that train when the grid is clean: Hugging Face's Trainer, PyTorch Lightning, Keras.

    from jupyter_energy.callbacks import HuggingFaceCallback

    Trainer(model, args, train_dataset=data, callbacks=[HuggingFaceCallback(extend="50%")]).train()

Each does what `je.carbon_aware` does to a loop: it measures the training, pauses it by the plan
after the framework's own checkpoint was written, and tells what that saved. Importing this imports
no framework: each class is made of the framework's own when it is first asked for, and an
ImportError says what to install where that is missing.
"""

from __future__ import annotations

import functools
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .hugging_face import HuggingFaceCallback
    from .keras_fit import KerasCallback
    from .lightning_fit import LightningCallback

__all__ = ["HuggingFaceCallback", "KerasCallback", "LightningCallback"]

_HOMES = {
    "HuggingFaceCallback": "hugging_face",
    "KerasCallback": "keras_fit",
    "LightningCallback": "lightning_fit",
}


def __getattr__(name: str) -> Any:
    """A callback class, made at first use (PEP 562). Raises ImportError without its framework."""
    if name in _HOMES:
        return _made(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@functools.cache
def _made(name: str) -> type:
    """The class of this name, based on the framework's: one class for as long as we are loaded."""
    home = import_module(f".{_HOMES[name]}", __name__)
    ours: type = getattr(home, name)
    # By this name pickle finds it again, where a framework sends its callbacks to processes.
    words = {"__doc__": ours.__doc__, "__module__": __name__}
    return type(name, (ours, *home.frameworks_own()), words)

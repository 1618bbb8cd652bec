"""What a notebook cell costs in energy and CO2e: `%load_ext jupyter_energy`, then `%%energy`.

Importing this package starts no thread and opens no device, file or socket; every name below is
loaded when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from .blocks import measure, measured
    from .model import Record
    from .monitor import Monitor
    from .pacing.loops import carbon_aware
    from .pacing.waits import wait_for_clean_power
    from .uncertainty import Range, Uncertain

__all__ = [
    "Monitor",
    "Range",
    "Record",
    "Uncertain",
    "__version__",
    "carbon_aware",
    "measure",
    "measured",
    "wait_for_clean_power",
]

# No module may bear the name of what it is home of: importing it would put the module in its place.
_HOMES = {
    "measure": "blocks",
    "measured": "blocks",
    "carbon_aware": "pacing.loops",
    "wait_for_clean_power": "pacing.waits",
    "Monitor": "monitor",
    "Record": "model",
    "Range": "uncertainty",
    "Uncertain": "uncertainty",
}


def __getattr__(name: str) -> object:
    """A public name, imported from its module at first use (PEP 562)."""
    from importlib import import_module

    if name == "__version__":
        from .version import version

        return version()
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Measure every cell of `shell` from here on, and give it `%energy` and `%%energy`."""
    from .magics import load

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Leave `shell` as it was: no thread, hook, transformer or magic of ours remains."""
    from .magics import unload

    unload(shell)


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    """Where JupyterLab finds the front end in a development install."""
    return [{"src": "labextension", "dest": "jupyter-energy"}]

"""The callbacks against the real frameworks: one process, in an environment that holds them all.

`tests/all.py` makes that environment and runs these tests there; in any other one there are none.
"""

from __future__ import annotations

import os
import tempfile
from importlib.util import find_spec
from pathlib import Path

import pytest
from standins.network import unplug_everything

FRAMEWORKS = ("torch", "transformers", "accelerate", "lightning", "pytorch_lightning", "keras")
collect_ignore_glob = []

if all(map(find_spec, FRAMEWORKS)):
    # Gone with this process: what it starts finds the library of the unplugged network there.
    _home = tempfile.TemporaryDirectory(prefix="jupyter-energy-", ignore_cleanup_errors=True)
    HOME = Path(_home.name)
    (HOME / "sys").mkdir()
    os.environ |= {
        "HOME": str(HOME),
        "XDG_CONFIG_HOME": str(HOME / "config"),
        "XDG_DATA_HOME": str(HOME / "data"),
        "IPYTHONDIR": str(HOME / "ipython"),
        "JUPYTER_ENERGY_SYSFS": str(HOME / "sys"),
        "JUPYTER_ENERGY_STORE": str(HOME / "store" / "energy.sqlite"),
        "JUPYTER_ENERGY_ZONE": "FR",
        "KERAS_BACKEND": "torch",
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",  # sums in one order: two trainings are equal to the last bit
    }
    unplug_everything(HOME)
else:
    collect_ignore_glob += ["test_*.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Warnings fail no test here: the frameworks warn of themselves and of each other."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore"))

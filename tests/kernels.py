"""The kernels and JupyterLabs the tests run in: other versions, in environments of their own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

VARIABLE = "JUPYTER_ENERGY_TEST_KERNELS"
LABS_VARIABLE = "JUPYTER_ENERGY_TEST_LABS"


def kernel_pythons() -> dict[str, Path]:
    """Return the python of each kernel environment by its name, such as "ipython7".

    `tests/all.py` makes them and names them in the variable; without it there is only the
    Python that runs the tests, under the name "this".
    """
    return _named_in(VARIABLE) or {"this": Path(sys.executable)}


def lab_pythons() -> dict[str, Path]:
    """Return the python of each environment with an older JupyterLab, such as "lab40"; the
    newest lies in the environment that runs the tests."""
    return _named_in(LABS_VARIABLE)


def _named_in(variable: str) -> dict[str, Path]:
    pairs = (pair.partition("=") for pair in os.environ.get(variable, "").split(",") if pair)
    return {name: Path(path) for name, _, path in pairs}

"""The kernels the tests run in: other versions of IPython in environments of their own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

VARIABLE = "JUPYTER_ENERGY_TEST_KERNELS"


def kernel_pythons() -> dict[str, Path]:
    """Return the python of each kernel environment by its name, such as "ipython7".

    `tests/all.py` makes them and names them in the variable; without it there is only the
    Python that runs the tests, under the name "this".
    """
    named = os.environ.get(VARIABLE, "")
    pairs = (pair.partition("=") for pair in named.split(",") if pair)
    return {name: Path(path) for name, _, path in pairs} or {"this": Path(sys.executable)}

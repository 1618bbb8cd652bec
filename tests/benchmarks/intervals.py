"""How often the shown interval holds the truth, for each kind of simulated sensor, and how wide.

Not a time: the same figures come out on every machine, and tests/test_coverage.py guards them with
fewer cells.
"""

from __future__ import annotations

import sys

from common import ROOT, Row

sys.path.insert(0, str(ROOT / "tests"))
sys.path.insert(0, str(ROOT))

from coverage import table

NAME = "coverage"
CELLS = 8000


def run() -> list[Row]:
    """The table of tests/coverage.py: shares in %, widths as multiples of the oracle's."""
    return [
        Row(
            line.name,
            "%",
            {
                "repeat": 100 * line.repeat,
                "absolute": 100 * line.absolute,
                "width": line.width,
                "relative": 100 * line.relative,
                "bias": 100 * line.bias,
            },
        )
        for line in table(CELLS)
    ]

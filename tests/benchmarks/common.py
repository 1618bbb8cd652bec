"""What the benchmarks share: a row of the table, quartiles, and a home that is not the user's."""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Row:
    """One line of the table: the middle value and what surrounds it, in `unit`.

    `low` and `high` are the quartiles, unless the benchmark says otherwise in its name.
    """

    name: str
    unit: str
    low: float
    mid: float
    high: float
    aim: float | None = None

    @property
    def text(self) -> str:
        """The row as a line of the table."""
        aim = "" if self.aim is None else f"   aim: under {self.aim:g}"
        around = f"({self.low:.3f} to {self.high:.3f})"
        return f"  {self.name:<52} {self.mid:9.3f} {self.unit:<4}{around}{aim}"


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """First quartile, median and third quartile."""
    low, mid, high = statistics.quantiles(values, n=4)
    return low, mid, high


def percentiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Median, 99th percentile and the largest of all."""
    return statistics.median(values), statistics.quantiles(values, n=100)[98], max(values)


@contextmanager
def clean_environment() -> Iterator[dict[str, str]]:
    """An environment with a home of its own, in which this working tree is imported."""
    with tempfile.TemporaryDirectory() as home:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("JUPYTER", "IPYTHON", "XDG_", "PYTHON"))
        }
        yield {
            **kept,
            "HOME": home,
            "IPYTHONDIR": f"{home}/ipython",
            "XDG_DATA_HOME": f"{home}/data",
            "XDG_CONFIG_HOME": f"{home}/config",
            "PYTHONPATH": str(ROOT),
        }

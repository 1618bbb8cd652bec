"""What the benchmarks share: a row of the table, its figures, and a home that is not the user's."""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Row:
    """One line of the table: what was measured, in which unit, and its figures by name.

    `aim` is what the median should stay under, where there is such a promise.
    """

    name: str
    unit: str
    figures: Mapping[str, float]
    aim: float | None = None

    @property
    def text(self) -> str:
        """The row as a line of the table."""
        figures = "".join(f"{name:>8}{value:10.3f}" for name, value in self.figures.items())
        aim = "" if self.aim is None else f"   aim: under {self.aim:g} {self.unit}"
        return f"  {self.name:<44} {self.unit:<3}{figures}{aim}"


def quartiles(values: Sequence[float]) -> dict[str, float]:
    """First quartile, median and third quartile."""
    return dict(zip(("q1", "median", "q3"), statistics.quantiles(values, n=4), strict=True))


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Median, 99th percentile and the largest of all."""
    p99 = statistics.quantiles(values, n=100)[98]
    return {"median": statistics.median(values), "p99": p99, "max": max(values)}


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

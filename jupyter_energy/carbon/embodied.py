"""Carbon embodied in GPUs: kg of CO2e by the driver's name, as a range over methods.

The share of it that a use accounts for is the M of the Software Carbon Intensity (GSF SCI
specification 1.1): M = TE · TiR/EL · RR/ToR. Figures and their sources: data/embodied/README.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

# The life that the specification's example takes, and the figures' authors too.
LIFE_YEARS = 4
LIFE_S = LIFE_YEARS * 365 * 86_400.0
# How far one method's figure lies above another's at most, of the cards that have two.
BETWEEN_METHODS = 3.5
_BRANDS = re.compile(r"^((nvidia|tesla|quadro)\s+)+")


@dataclass(frozen=True, slots=True)
class Embodied:
    """What was emitted to make one device, in kg CO2e; `basis` has the methods in words."""

    low_kg: float
    high_kg: float
    basis: str


def of_gpu(name: str) -> Embodied | None:
    """The embodied carbon of a GPU by the name that its driver gives it; None where unknown."""
    return table().get(_key(name))


def share_g(
    total_kg: float, reserved_s: float, life_s: float = LIFE_S, reserved_share: float = 1.0
) -> float:
    """Grams of CO2e of a device that stand for a use of it: TE · TiR/EL · RR/ToR.

    `total_kg` is the device's (TE), `reserved_s` how long it was reserved (TiR), `life_s` its
    expected life (EL), `reserved_share` (0 to 1) how much of it was reserved (RR/ToR).
    """
    return total_kg * 1000.0 * reserved_s / life_s * reserved_share


@cache
def table() -> Mapping[str, Embodied]:
    """The table in this package, by name in lower case without the brand."""
    import csv
    from importlib.resources import files

    text = (
        files("jupyter_energy.carbon")
        .joinpath("data", "embodied", "gpu_embodied.csv")
        .read_text(encoding="utf-8")
    )
    found: dict[str, list[Mapping[str, str]]] = {}
    for row in csv.DictReader(text.splitlines()):
        for name in row["driver_names"].split(";"):
            found.setdefault(_key(name), []).append(row)
    return {name: _range_of(rows) for name, rows in found.items()}


def _range_of(rows: Iterable[Mapping[str, str]]) -> Embodied:
    """The range over methods; of a single one, its figure is the upper bound."""
    known = sorted(rows, key=lambda row: float(row["kgco2e_per_gpu"]))
    each = [
        f"{float(row['kgco2e_per_gpu']):g} kg: {row['source']}, {row['method']}" for row in known
    ]
    low_kg, high_kg = (float(row["kgco2e_per_gpu"]) for row in (known[0], known[-1]))
    if len(known) == 1:
        low_kg = high_kg / BETWEEN_METHODS
        each.append(
            f"the lower bound is 1/{BETWEEN_METHODS:g} of it, since methods differ by as much"
        )
    return Embodied(low_kg, high_kg, "; ".join(each))


def _key(name: str) -> str:
    """A card's name as the table has it: "NVIDIA H100 80GB HBM3" is "h100 80gb hbm3"."""
    return _BRANDS.sub("", " ".join(name.casefold().split()))

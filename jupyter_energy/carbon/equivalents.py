"""What a number of grams of CO2e is like: kilometres by car, or phones charged at the same place.

Figures and sources: data/equivalences/README.md. In the countries that the European figure of a
car covers it is taken, everywhere else the one of the US; it says which. A phone is compared by its
energy: grams of another place's grid would compare the grids.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

# Below this a comparison only makes a small number look like something.
LEAST_G = 1.0
# A grid that is nearly free of CO2e: so many phones are no comparison.
LEAST_CHARGE_G = 0.01
# Of a phone: (14.46 Wh a day - 22 h x 0.13 W while full) of the US Department of Energy's test, as
# EPA's Greenhouse Gas Equivalencies Calculator takes it.
CHARGE_KWH, CHARGE_SOURCE = 0.0116, "US EPA"
_CODE = re.compile(r"(?:EM:)?([A-Z]{2})(?:-|$)")
_EUROPEAN, _ELSEWHERE = "car_eu_new_2024", "car_us"
# The countries of the European figure: the EU, Iceland and Norway, by ISO 3166 code.
_COVERED = frozenset(
    "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK IS NO".split()
)


@dataclass(frozen=True, slots=True)
class Car:
    """What a car emits, in g CO2e/km: which car, and who says so."""

    g_per_km: float
    words: str
    source: str

    def distance_km(self, carbon_g: float) -> float:
        """The km that emit `carbon_g` grams of CO2e."""
        return carbon_g / self.g_per_km


def charge_g(g_per_kwh: float | None, pue: float | None) -> float | None:
    """The grams of CO2e of charging a phone where a kWh stands for so much; None where that is
    unknown, or too little to divide by."""
    grams = CHARGE_KWH * (g_per_kwh or 0.0) * (pue or 0.0)
    return grams if grams > LEAST_CHARGE_G else None


def car_for(zone: str | None) -> Car | None:
    """The car to compare with in a zone ("FR", "EM:DE", "aws:eu-west-3") or several ("FR, DE");
    an unknown one is anywhere. None where they lie in and outside of Europe: no car is of both."""
    is_covered = {_country(one.strip()) in _COVERED for one in (zone or "").split(",")}
    if len(is_covered) > 1:
        return None
    return cars()[_EUROPEAN if is_covered == {True} else _ELSEWHERE]


def _country(zone: str) -> str | None:
    """The country of a zone as its code tells it, or the table of cloud regions; else None."""
    table, colon, _ = zone.partition(":")
    if colon and table != "EM":
        from .zones import zones

        region = zones().tables.regions.get(zone)
        return None if region is None else region.country
    found = _CODE.match(zone)
    return None if found is None else found[1]


@cache
def cars() -> Mapping[str, Car]:
    """The table in this package, by name."""
    import csv
    from importlib.resources import files

    text = (
        files("jupyter_energy.carbon")
        .joinpath("data", "equivalences", "equivalences.csv")
        .read_text(encoding="utf-8")
    )
    return {
        row["name"]: Car(float(row["g_co2e_per_km"]), row["words"], row["source"])
        for row in csv.DictReader(text.splitlines())
    }

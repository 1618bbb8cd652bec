"""Whether a run stayed under the limit of --assert-under, and the line that says so."""

from __future__ import annotations

from .. import units
from ..display.words import energies, range_of, unmeasured
from ..schema import CarbonJson, RangeJson, SummaryJson, TotalsJson

NOT_SURE = "; the limit lies within what is not known for sure"


def verdict(limit: str, summary: SummaryJson) -> tuple[bool, str]:
    """Whether a run passed a limit such as "5Wh" or "3g", and the line that says so.

    Passed where the measured energy plus the middle of the estimate, or the middle of the CO2e,
    reaches the limit; unknown counts as passed, and so does a total that leaves something out: it
    cannot show that the whole is under the limit. So do average and marginal grams, which have no
    total. Raises WrongUse for what is no limit.
    """
    totals = summary["totals"]
    size, unit = units.parse_limit(limit)
    limit = limit.strip()
    found = _carbon(totals) if unit == "g" else _energy(totals)
    if found is None:
        kinds = _kinds(totals["carbon_g"]) if unit == "g" else ""
        why = f"{kinds} do not add up" if kinds else "nothing was measured or estimated"
        return True, f"--assert-under {limit}: {why}, so it is unknown"
    said, low, mid, high = found
    passed = mid >= size
    doubt = NOT_SURE if low <= size <= high else ""
    missing = [] if passed else _left_out(summary, unit)
    if missing:
        text = f"{said} without {', '.join(missing)}, of which nothing is known"
        return True, f"{text}: whether the limit of {limit} was passed is unknown"
    return passed, f"{said}: {'over' if passed else 'under'} the limit of {limit}{doubt}"


def _left_out(summary: SummaryJson, unit: str) -> list[str]:
    """What the totals do not hold, in words: devices in some cells, and cells altogether."""
    cells = [cell for cell in summary["cells"] if not cell["inside"]]
    found = list(dict.fromkeys(label for cell in cells for label in unmeasured(cell)))
    unknown = [
        cell["carbon_g"] is None
        if unit == "g"
        else cell["measured_j"] is None and cell["estimated_j"] is None
        for cell in cells
    ]
    return found + ([f"{sum(unknown)} of {len(cells)} cells"] if any(unknown) else [])


def _energy(totals: TotalsJson) -> tuple[str, float, float, float] | None:
    """Both energies in words, then the least, middle and most J that they can be together."""
    measured, estimated = totals["measured_j"], totals["estimated_j"]
    if measured is None and estimated is None:
        return None
    value_j, u95_j = (measured["value"], measured["u95"]) if measured else (0.0, 0.0)
    low_j, mid_j, high_j = (
        (estimated["low"], estimated["mid"], estimated["high"]) if estimated else (0.0, 0.0, 0.0)
    )
    words = " and ".join(figure.text for figure in energies(measured, estimated))
    return words, value_j - u95_j + low_j, value_j + mid_j, value_j + u95_j + high_j


def _carbon(totals: TotalsJson) -> tuple[str, float, float, float] | None:
    """CO2e in words, then its least, middle and most in g."""
    carbon = totals["carbon_g"]
    grams = None if carbon is None else _grams(carbon)
    return None if grams is None else (_co2e(grams), grams["low"], grams["mid"], grams["high"])


def _kinds(carbon: CarbonJson | None) -> str:
    """The grams of each kind in words, where they are of several kinds."""
    parts = (carbon["parts"] if carbon is not None else None) or []
    grams = [(part["kind"] or "kind unknown", _grams(part)) for part in parts]
    return " and ".join(f"{_co2e(found)} ({kind})" for kind, found in grams if found is not None)


def _grams(carbon: CarbonJson) -> RangeJson | None:
    low_g, mid_g, high_g = carbon["low"], carbon["mid"], carbon["high"]
    if low_g is None or mid_g is None or high_g is None:
        return None
    return {"low": low_g, "mid": mid_g, "high": high_g}


def _co2e(grams: RangeJson) -> str:
    return f"{units.estimated(range_of(grams), units.MASS_G)} CO2e"

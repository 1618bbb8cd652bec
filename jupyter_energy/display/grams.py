"""The words for CO2e: the figure, and the factor, place, source and year that it was made with."""

from __future__ import annotations

from dataclasses import dataclass

from .. import units
from ..plain_text import clean
from ..schema import CarbonJson
from ..uncertainty import Range
from .words import COMMAND, REASON_LIMIT, Figure, Look


@dataclass(frozen=True, slots=True)
class CarbonLine:
    """One figure of CO2e and, in words, the factor it was made with."""

    title: str
    figure: Figure
    basis: str


def carbon_lines(
    carbon: CarbonJson | None, energy_known: bool, command: str = COMMAND
) -> tuple[CarbonLine, ...]:
    """CO2e with its place, factor, kind, source and year; one line a kind of intensity."""
    if carbon is None:
        why = (
            f"no carbon intensity is known; set your place with {command} zone FR"
            if energy_known
            else "no energy was measured or estimated"
        )
        return (CarbonLine("CO2e", Figure("not known", "unknown"), why),)
    if carbon["parts"]:
        # Average and marginal factors answer different questions, and are never added.
        return tuple(
            _carbon_line(p, f"CO2e ({clean(p['kind'] or 'kind unknown', 20)})", command)
            for p in carbon["parts"]
        )
    return (_carbon_line(carbon, "CO2e", command),)


def carbon_short(carbon: CarbonJson | None) -> Figure | None:
    """CO2e for a narrow column, "≈ 5.0 mg"; None where it is unknown."""
    if carbon is None or carbon["mid"] is None:
        return None
    low, high = carbon["low"], carbon["high"]
    if low is not None and high is not None and low < units.LEAST_SHARE_OF_A_RANGE * high:
        # Of energy below what the sensor can tell: its middle says nothing.
        return Figure(f"< {units.quantity(high, units.MASS_G, 2)}", _carbon_look(carbon))
    return Figure(units.about(carbon["mid"], units.MASS_G), _carbon_look(carbon))


def _grams(carbon_g: Range) -> str:
    """Grams with their range; of energy that may as well be none, the most that it can be."""
    if carbon_g.mid <= 0 < carbon_g.high:
        return f"< {units.quantity(carbon_g.high, units.MASS_G, 2)}"
    return units.estimated(carbon_g, units.MASS_G)


def _carbon_look(carbon: CarbonJson) -> Look:
    """Grams are never measured; an estimate or an assumed place makes them estimated."""
    return "estimated" if carbon["estimated_share"] or carbon["assumed"] else "computed"


def _carbon_line(carbon: CarbonJson, title: str, command: str) -> CarbonLine:
    low, mid, high = carbon["low"], carbon["mid"], carbon["high"]
    if low is None or mid is None or high is None:
        return CarbonLine(title, Figure("not known", "unknown"), "no carbon intensity is known")
    share = carbon["estimated_share"] or 0.0
    figure = Figure(
        _grams(Range(low, mid, high)),
        _carbon_look(carbon),
        clean(f"place: {carbon['how']}", REASON_LIMIT) if carbon["how"] else "",
    )
    zone, place = clean(carbon["zone"] or "", 30), clean(carbon["place"] or "", 40)
    several = "," in zone and "," in place
    where = (
        f"{place} ({zone})"
        if place and zone.casefold() not in ("", place.casefold())
        else place or zone or "?"
    )
    if several:
        where = f"several places ({place}), weighted by energy"
    if carbon["assumed"]:
        how = carbon["how"] or ""
        if several:
            where += f", not all of them set by you ({command} zone FR)"
        elif how.startswith("guessed"):
            where = f"place {clean(how, 60)} (pin it: {command} zone {zone or 'FR'}): {where}"
        else:
            where = f"place assumed (set yours: {command} zone FR): {where}"
    parts = [where]
    if carbon["g_per_kwh"] is not None:
        factor = units.intensity(carbon["g_per_kwh"])
        parts.append(f"{factor} {clean(carbon['kind'], 20)}" if carbon["kind"] else factor)
    if carbon["pue"] is not None and carbon["pue"] != 1.0:
        parts.append(f"PUE {units.plain(carbon['pue'])}")
    if carbon["source"]:
        year = "" if carbon["year"] is None else f" {carbon['year']}"
        parts.append(f"{clean(carbon['source'], 40)}{year}")
    if share > 0:
        parts.append(
            "all from estimates" if share >= 1 else f"{units.percent(share)} of it from estimates"
        )
    return CarbonLine(title, figure, ", ".join(parts))

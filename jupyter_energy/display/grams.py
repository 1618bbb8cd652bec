"""The words for CO2e: the figure, and the factor, place, source and year that it was made with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from .. import units
from ..carbon.place import NO_PLACE
from ..carbon_sums import RESTATED, doubts
from ..foreign import moment, number
from ..plain_text import clean
from ..schema import CarbonJson
from ..uncertainty import Range
from .words import COMMAND, REASON_LIMIT, Figure, Look

YEAR = "year"  # the resolution of a table's figure
_DISTANCE_KM: units.Scale = ((0.0, 1e-3, "m"), (1.0, 1.0, "km"))
_NOTE_LIMIT = 240  # it may name two places and two figures
_WORDS_LIMIT = 600  # of several sources: a licence wants each named, to its end
DIRECT_AND_LIFECYCLE = "partly of direct emissions only, partly lifecycle (not comparable)"
# A range narrower than this has a second digit.
_TWO_DIGITS = 1.5


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


def in_grams(carbon_g: Range) -> str:
    """Grams with their range; of energy that may as well be none, the most that it can be."""
    if carbon_g.mid <= 0 < carbon_g.high:
        return f"< {units.quantity(carbon_g.high, units.MASS_G, 2)}"
    return units.estimated(carbon_g, units.MASS_G)


def equivalent(carbon: CarbonJson | None) -> str | None:
    """What the grams are like, with its source; None below 1 g, of no grams, of two kinds, and of
    places in Europe and elsewhere, for which the figures differ by more than twice.

    "about as much as 4.6 km by car (average new car of 2024 in the EU, 107 g/km: European …)"; of
    what is less than a kilometre, "about as much as charging 5 phones there (12 Wh each: US EPA)".
    """
    from ..carbon.equivalents import CHARGE_KWH, CHARGE_SOURCE, LEAST_G, car_for, charge_g

    if carbon is None or carbon["mid"] is None or carbon["mid"] < LEAST_G:
        return None
    zone = carbon["zone"]
    car = car_for(zone)
    if car is None:
        return None
    # A range of twice and half has no second digit to show.
    low, high = carbon["low"] or 0.0, carbon["high"] or math.inf
    digits = 2 if high < _TWO_DIGITS * low else 1
    each_g = charge_g(carbon["g_per_kwh"], carbon["pue"])
    if car.distance_km(carbon["mid"]) < 1 and each_g is not None:
        count = units.quantity(carbon["mid"] / each_g, ((0.0, 1.0, "phones"),), digits)
        each = f"{1000 * CHARGE_KWH:.0f} Wh each: {CHARGE_SOURCE}"
        return f"about as much as charging {count} there ({each})"
    distance = units.quantity(car.distance_km(carbon["mid"]), _DISTANCE_KM, digits)
    return (
        f"about as much as {distance} by car ({car.words}, {car.g_per_km:.0f} g/km: {car.source})"
    )


def basis(carbon: CarbonJson, command: str = COMMAND) -> tuple[str, ...]:
    """What grams were made with: place, factor, kind, time, PUE, source, and what is doubtful."""
    doubts = (_estimated(carbon["estimated_share"] or 0.0), _restated(carbon))
    return (_where(carbon, command), *_factor_words(carbon), *filter(None, doubts))


def factor_words(carbon: CarbonJson) -> tuple[str, ...]:
    """The same without doubts and remedies, for a sentence: place, factor, kind, time, source."""
    return (_place(carbon), *_factor_words(carbon))


def _factor_words(carbon: CarbonJson) -> tuple[str, ...]:
    note = clean(_said(carbon, "note"), _NOTE_LIMIT)
    pue = "" if carbon["pue"] == 1.0 else pue_words(carbon)
    told = (_factor(carbon), _period(carbon), pue, _source(carbon), note)
    return tuple(filter(None, told))


def _carbon_look(carbon: CarbonJson) -> Look:
    """Grams are never measured; an estimate, an assumed place, a fall-back make them estimated."""
    doubtful = carbon["estimated_share"] or carbon["assumed"] or doubts(_said(carbon, "note"))
    return "estimated" if doubtful or "forecast" in _said(carbon, "factor_quality") else "computed"


def _carbon_line(carbon: CarbonJson, title: str, command: str) -> CarbonLine:
    low, mid, high = carbon["low"], carbon["mid"], carbon["high"]
    if low is None or mid is None or high is None:
        return CarbonLine(title, Figure("not known", "unknown"), "no carbon intensity is known")
    figure = Figure(in_grams(Range(low, mid, high)), _carbon_look(carbon), _detail(carbon))
    return CarbonLine(title, figure, ", ".join(basis(carbon, command)))


def _detail(carbon: CarbonJson) -> str:
    """What a pointer that rests on the grams is told: what the factor counts, how it was found."""
    place = (f"place: {carbon['how']}",) if carbon["how"] else ()
    return clean(", ".join((*place, *counted_by(carbon))), REASON_LIMIT)


def counted_by(carbon: CarbonJson) -> tuple[str, ...]:
    """What the factor counts, in words: ("production based", "lifecycle")."""
    boundary, scope = (
        clean(_said(carbon, name).replace(", ", " and "), 40) for name in ("boundary", "scope")
    )
    return tuple(filter(None, (f"{boundary} based" if boundary else "", scope)))


def scope_words(carbon: Mapping[str, object]) -> str:
    """That a factor, or a part of a mean, is of direct emissions alone: what leaves the stacks is
    less than what most sources count. "" where it is lifecycle or not told."""
    scopes = set(_said(carbon, "scope").split(", "))
    if scopes == {"direct"}:
        return "direct emissions only"
    return DIRECT_AND_LIFECYCLE if "direct" in scopes else ""


def _said(carbon: Mapping[str, object], name: str) -> str:
    """A text of a figure; outputs that an older version saved lack some."""
    found = carbon.get(name)
    return found if isinstance(found, str) else ""


def _place(carbon: CarbonJson) -> str:
    """The place with its code, or all of several."""
    zone, place = clean(carbon["zone"] or "", 30), clean(carbon["place"] or "", 64)
    if _is_several(carbon):
        return f"several places ({place}), weighted by energy"
    is_named = place and zone.casefold() not in ("", place.casefold())
    return f"{place} ({zone})" if is_named else place or zone or "?"


def _is_several(carbon: CarbonJson) -> bool:
    return "," in (carbon["zone"] or "") and "," in (carbon["place"] or "")


def _where(carbon: CarbonJson, command: str) -> str:
    """The place, and the one command that sets it where nobody did."""
    where, how = _place(carbon), carbon["how"] or ""
    if not carbon["assumed"]:
        return where
    if _is_several(carbon):
        return f"{where}, not all of them set by you ({command} zone FR)"
    if how.startswith("guessed"):
        zone = clean(carbon["zone"] or "", 30)
        return f"place {clean(how, 100)} (pin it: {command} zone {zone or 'FR'}): {where}"
    # Why, where that is more than that nobody said: "on Colab, whose region is not told".
    why = how.removeprefix("assumed: ") if how != NO_PLACE else ""
    because = f"{clean(why, 100)}; " if why and why != how else ""
    return f"place assumed ({because}set yours: {command} zone FR): {where}"


def _factor(carbon: CarbonJson) -> str:
    if carbon["g_per_kwh"] is None:
        return ""
    factor = units.intensity(carbon["g_per_kwh"])
    if carbon["kind"]:
        factor += f" {clean(carbon['kind'], 20)}"
    return ", ".join(filter(None, (factor, scope_words(carbon))))


def _period(carbon: CarbonJson) -> str:
    """When a live value held, "2026-11-22 14:00–14:30 UTC, live"; nothing of a yearly factor."""
    resolutions = set((_said(carbon, "resolution") or YEAR).split(", "))
    if resolutions == {YEAR}:
        return ""
    qualities = _said(carbon, "factor_quality").split(", ")
    live = "forecast" if qualities == ["forecast"] else "live"
    if live == "live" and "forecast" in qualities:
        live = "live and forecast"
    if YEAR in resolutions:
        live = f"partly {live}, partly yearly"
    start, end = (moment(_said(carbon, name)) for name in ("start", "end"))
    if start is None or end is None:
        return live
    since, until = f"{start:%Y-%m-%d %H:%M}", f"{end:%Y-%m-%d %H:%M}"
    if start.date() == end.date():
        until = f"{end:%H:%M}"
    span = since if since.endswith(until) else f"{since}–{until}"
    return f"{span} UTC, {live}"


def pue_words(carbon: CarbonJson) -> str:
    """The PUE and whose figure it is: "PUE 1.15 (AWS's over all sites, 2023)"."""
    if carbon["pue"] is None:
        return ""
    whose = clean(_said(carbon, "pue_source"), _WORDS_LIMIT)
    return f"PUE {units.plain(carbon['pue'])}{f' ({whose})' if whose else ''}"


def _source(carbon: CarbonJson) -> str:
    """Who published the factor, with the licence where it has to be named, and its year."""
    if not carbon["source"]:
        return ""
    is_yearly = YEAR in (_said(carbon, "resolution") or YEAR)
    year = f" {carbon['year']}" if carbon["year"] is not None and is_yearly else ""
    return f"{clean(carbon['source'], _WORDS_LIMIT)}{year}"


def _estimated(share: float) -> str:
    if share <= 0:
        return ""
    return "all from estimates" if share >= 1 else f"{units.percent(share)} of it from estimates"


def _restated(carbon: CarbonJson) -> str:
    """What was said before `recompute`, so that nobody wonders where that figure went."""
    found: Mapping[str, object] = carbon
    said_g = number(found.get("said_g"))
    if said_g is None:
        return ""
    told = f"{units.quantity(said_g, units.MASS_G, 2)} were said at the time"
    return told if RESTATED in _said(carbon, "note") else f"restated; {told}"

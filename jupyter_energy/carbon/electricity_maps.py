"""Electricity Maps, v3: 352 grid zones of the world and clouds' regions, hours; with a token.

A free token is for one zone, its last 24 hours and no forecast. Without a zone that it knows the
service would guess one by the caller's address: a zone always goes with the question, and
`disableCallerLookup` (electricitymaps.com/docs; carbon.md 3.4). Its values may not be passed on:
they stay on this machine.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from ..errors import ProviderError, UnknownZone
from .answers import after, document, garbage, grams, in_order, moment, raise_if_alone, row, rows
from .base import Get, Interval, Provider, Quality, Query, Signal

_STEP_S = 3600.0
_SCOPE = "lifecycle"
_ZONE = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,8}){0,3}")
_STATE = re.compile(r"US-[A-Z]{2}")
# Its own two-letter zones within the USA.
_NO_STATES = frozenset({"US-AK", "US-HI"})
_CLOUD = re.compile(r"(aws|gcp|azure):([a-z0-9-]{2,40})")


@dataclass(frozen=True)
class ElectricityMaps:
    """Average of what is consumed, traced through the grids it comes from, over the life cycle."""

    name: str = "electricity_maps"
    title: str = "Electricity Maps"
    step_s: float = _STEP_S
    url: str = "https://api.electricitymaps.com/v3"
    secrets: tuple[str, ...] = ("token",)

    def region(self, zone: str) -> str:
        """A zone's id, or "aws:eu-west-3", which the service translates itself.

        Raises UnknownZone.
        """
        code = zone.strip()
        if _CLOUD.fullmatch(code.lower()):
            return code.lower()
        ours, code = code.upper().startswith("EM:"), code.upper().removeprefix("EM:")
        if _STATE.fullmatch(code) and not (ours or code in _NO_STATES):
            raise UnknownZone(
                f"Electricity Maps has no zone for the state {code}: write the part of the grid, "
                "such as EM:US-CAL-CISO"
            )
        if not _ZONE.fullmatch(code):
            raise UnknownZone(
                f"Electricity Maps has no zone {zone!r:.40}: write a country such as FR, or a zone "
                "such as EM:DK-DK1"
            )
        return code

    def fetch(self, query: Query, get: Get) -> Signal:
        """The last 24 hours, and the forecast where the token is for one. Raises ProviderError."""
        cloud = _CLOUD.fullmatch(query.region)
        where = {"zone": query.region}
        if cloud is not None:
            where = {"dataCenterProvider": cloud[1], "dataCenterRegion": cloud[2]}
        asked = {
            **where,
            "disableCallerLookup": "true",
            "emissionFactorType": _SCOPE,
            "temporalGranularity": "hourly",
        }
        letter = {"auth-token": query.secrets["token"]}
        told = document(get(f"/carbon-intensity/history?{urlencode(asked)}", letter), self.title)
        zone = self._zone(told, query.region if cloud is None else None)
        found = [(one, False) for one in rows(told.get("history"), self.title)]
        if query.end > query.now:
            hours = max(1, round((query.end - query.now).total_seconds() / 3600))
            path = f"/carbon-intensity/forecast?{urlencode({**asked, 'horizonHours': hours})}"
            try:
                told = document(get(path, letter), self.title)
                self._zone(told, zone)
                found += [(one, True) for one in rows(told.get("forecast"), self.title)]
            except ProviderError as error:
                raise_if_alone(error, found)
        return Signal(
            zone=zone,
            place=zone if cloud is None else f"{query.region} ({zone})",
            kind="average",
            boundary="consumption",
            scope="lifecycle",
            step_s=_STEP_S,
            source="Electricity Maps",
            url="https://www.electricitymaps.com",
            fetched=query.now,
            intervals=in_order(
                Interval(start, after(start, _STEP_S), g_per_kwh, quality, query.now)
                for one, ahead in found
                for start, g_per_kwh, quality in self._points(one, ahead)
            ),
        )

    def _zone(self, told: Mapping[str, Any], wanted: str | None) -> str:
        """The zone of an answer, which must be the one that was wanted. Raises ProviderError."""
        zone = told.get("zone")
        if not isinstance(zone, str) or not _ZONE.fullmatch(zone):
            raise garbage(self.title, "no zone")
        if wanted is not None and zone != wanted:
            raise garbage(self.title, "figures of another zone")
        return zone

    def _points(self, found: object, ahead: bool) -> list[tuple[Any, float, Quality]]:
        """One hour, or nothing where it has no value."""
        one = row(found, self.title)
        if one.get("emissionFactorType", _SCOPE) != _SCOPE:
            raise garbage(self.title, "figures that are not of the life cycle")
        g_per_kwh = grams(one.get("carbonIntensity"), self.title)
        start = moment(one.get("datetime"), self.title)
        if g_per_kwh is None:
            return []
        if ahead:
            return [(start, g_per_kwh, "forecast")]
        return [(start, g_per_kwh, "estimated" if one.get("isEstimated") is True else "measured")]


def provider() -> Provider:
    """The service."""
    return ElectricityMaps()

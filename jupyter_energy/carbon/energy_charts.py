"""Energy-Charts (Fraunhofer ISE): most of Europe by country, by quarter hour or hour, forecast.

No key. `GET /co2eq?country=de` answers three lists of equal length: moments, measured values and
forecasts, null where there is none (api.energy-charts.info; carbon.md 3.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from ..errors import UnknownZone
from ..plain_text import clean
from .answers import after, document, garbage, grams, in_order, moment, rows, usual
from .base import Get, Interval, Provider, Quality, Query, Signal

# Countries of the service by ISO 3166 code; of what differs the code is the service's.
_OTHER_CODES = {"GB": "uk"}
_COUNTRIES = frozenset(
    {
        *("AL", "AT", "AZ", "BA", "BE", "BG", "BY", "CH", "CY", "CZ", "DE", "DK", "EE", "ES", "FI"),
        *("FR", "GB", "GE", "GR", "HR", "HU", "IE", "IT", "LT", "LU", "LV", "MD", "ME", "MK", "MT"),
        *("NL", "NO", "PL", "PT", "RO", "RS", "RU", "SE", "SI", "SK", "TR", "UA", "XK"),
    }
)
_STEP_S = 900.0
_LONGEST_STEP_S = 3600.0
# Some name whose data it is behind it; a line of the front end has room for it (parse.ts).
_LONGEST_LICENCE = 140


@dataclass(frozen=True)
class EnergyCharts:
    """Average of the country's generation. Its factors are taken to be of the whole life cycle, as
    the "eq" of its name says; the service's own documents were not seen on that."""

    name: str = "energy_charts"
    title: str = "Energy-Charts"
    step_s: float = _STEP_S
    url: str = "https://api.energy-charts.info"
    secrets: tuple[str, ...] = ()

    def region(self, zone: str) -> str:
        """The country's code in lower case: "FR" is "fr", "GB" is "uk". Raises UnknownZone."""
        code = zone.strip().upper().removeprefix("EM:")
        code = {"UK": "GB", "XKX": "XK"}.get(code, code)
        if code not in _COUNTRIES:
            country = code.split("-")[0]
            hint = (
                f"it knows {country} as a whole; write {country}"
                if country != code and country in _COUNTRIES
                else "it knows countries of Europe, such as DE or FR"
            )
            raise UnknownZone(f"Energy-Charts has no figures for {zone!r:.40}: {hint}")
        return _OTHER_CODES.get(code, code.lower())

    def fetch(self, query: Query, get: Get) -> Signal:
        """Values since the day that `start` lies in. Raises ProviderError."""
        days = f"{query.start:%Y-%m-%d}", f"{query.end:%Y-%m-%d}"
        path = f"/co2eq?country={query.region}&start={days[0]}&end={days[1]}"
        found = document(get(path, {}), self.title)
        step_s = self._told_step_s(found)
        return Signal(
            zone=query.region,
            place=query.region.upper() if query.region != "uk" else "GB",
            kind="average",
            boundary="production",
            scope="lifecycle",
            step_s=step_s,
            source=f"Energy-Charts ({_licence(found)})",
            url="https://www.energy-charts.info",
            fetched=query.now,
            intervals=in_order(self._intervals(found, step_s, query.now)),
        )

    def _told_step_s(self, found: Mapping[str, Any]) -> float:
        """How far the moments are apart, in s: quarters of an hour, in some countries hours."""
        starts = sorted(
            moment(at, self.title) for at in rows(found.get("unix_seconds"), self.title)
        )
        step_s = usual((b - a).total_seconds() for a, b in pairwise(starts))
        return step_s if step_s is not None and 0 < step_s <= _LONGEST_STEP_S else _STEP_S

    def _intervals(self, found: Mapping[str, Any], step_s: float, now: datetime) -> list[Interval]:
        """The measured value of each moment, else its forecast."""
        starts = rows(found.get("unix_seconds"), self.title)
        measured = rows(found.get("co2eq"), self.title)
        forecast = rows(found.get("co2eq_forecast"), self.title) or [None] * len(starts)
        if not len(starts) == len(measured) == len(forecast):
            raise garbage(self.title, "lists of different length")
        intervals = []
        for at, value, expected in zip(starts, measured, forecast, strict=True):
            start = moment(at, self.title)
            seen, told = grams(value, self.title), grams(expected, self.title)
            g_per_kwh = told if seen is None else seen
            if g_per_kwh is not None:
                quality: Quality = "forecast" if seen is None else "measured"
                end = after(start, step_s)
                intervals.append(Interval(start, end, g_per_kwh, quality, now))
        return intervals


def _licence(found: Mapping[str, Any]) -> str:
    """The licence that the answer names: it differs by country."""
    said = found.get("license_info")
    if isinstance(said, str) and said.strip():
        return clean(said, _LONGEST_LICENCE)
    return "licence not told"


def provider() -> Provider:
    """The service."""
    return EnergyCharts()

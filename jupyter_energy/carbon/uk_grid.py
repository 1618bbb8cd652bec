"""Carbon Intensity API of Great Britain (NESO): country, grid regions, postcodes; half hours.

No key. Forecasts reach 48 h ahead; of the regions nothing but the forecast is told, also of the
past (carbonintensity.org.uk; carbon.md 3.1).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ..errors import UnknownZone
from .answers import after, document, empty, garbage, grams, in_order, moment, row, rows
from .base import Get, Interval, Provider, Quality, Query, Signal

_COUNTRY = "GB"
# The first half of a postcode; the second would tell the street, and the service wants none.
_OUTWARD = re.compile(r"[A-Z]{1,2}[0-9][A-Z0-9]?")
_POSTCODE = re.compile(rf"({_OUTWARD.pattern}) ?[0-9][A-Z]{{2}}")
# The numbers of api.carbonintensity.org.uk/regional; the last three are sums of others.
_REGIONS = (
    *("North Scotland", "South Scotland", "North West England", "North East England"),
    *("Yorkshire", "North Wales", "South Wales", "West Midlands", "East Midlands"),
    *("East England", "South West England", "South England", "London", "South East England"),
    *("England", "Scotland", "Wales"),
)
_STEP_S = 1800.0
_TIME = "%Y-%m-%dT%H:%MZ"


@dataclass(frozen=True)
class UkGrid:
    """Average of what is consumed, imports and losses in the grid included; power stations' own
    emissions only (wind, sun, water and nuclear count as 0)."""

    name: str = "uk_grid"
    title: str = "The GB Carbon Intensity API"
    step_s: float = _STEP_S
    url: str = "https://api.carbonintensity.org.uk"
    secrets: tuple[str, ...] = ()

    def region(self, zone: str) -> str:
        """ "GB", a region's number ("13") or the first half of a postcode. Raises UnknownZone."""
        code = zone.strip().upper().removeprefix("EM:")
        if code in ("GB", "UK"):
            return _COUNTRY
        if code.isdecimal() and 1 <= int(code[:3]) <= len(_REGIONS):
            return str(int(code[:3]))
        if _OUTWARD.fullmatch(code):
            return code
        whole = _POSTCODE.fullmatch(code)
        hint = f"write {whole[1]}, its first half" if whole else "it knows GB"
        raise UnknownZone(
            f"{self.title} has no figures for {zone!r:.40}: {hint}; a part of it is "
            'Energy.provider_zone, a region\'s number from 1 to 17 or a postcode such as "RG10"'
        )

    def fetch(self, query: Query, get: Get) -> Signal:
        """Half hours from `start` to `end`. Raises ProviderError."""
        span = f"{_half_hour(query.start):{_TIME}}/{after(_half_hour(query.end), _STEP_S):{_TIME}}"
        if query.region == _COUNTRY:
            found = rows(
                document(get(f"/intensity/{span}", {}), self.title).get("data"), self.title
            )
        else:
            which = "regionid" if query.region.isdecimal() else "postcode"
            path = f"/regional/intensity/{span}/{which}/{query.region}"
            found = self._of_region(document(get(path, {}), self.title).get("data"))
        return Signal(
            zone=query.region if query.region == _COUNTRY else f"GB {query.region}",
            place=_place(query.region),
            kind="average",
            boundary="consumption",
            scope="direct",
            step_s=_STEP_S,
            source="NESO Carbon Intensity API (CC BY 4.0)",
            url="https://carbonintensity.org.uk",
            fetched=query.now,
            intervals=in_order(self._intervals(found, query.now)),
        )

    def _of_region(self, found: object) -> list[Any]:
        """The half hours of a region: the service documents a list of one, and sends an object."""
        if isinstance(found, list):
            if not found:
                raise empty(self.title)
            found = found[0]
        return rows(row(found, self.title).get("data"), self.title)

    def _intervals(self, found: list[Any], now: datetime) -> list[Interval]:
        """What was, where it is known, else what was expected."""
        intervals = []
        for one in (row(item, self.title) for item in found):
            start, end = moment(one.get("from"), self.title), moment(one.get("to"), self.title)
            if end <= start:
                raise garbage(self.title, "an interval that is none")
            told = row(one.get("intensity"), self.title)
            actual = grams(told.get("actual"), self.title)
            expected = grams(told.get("forecast"), self.title)
            g_per_kwh = expected if actual is None else actual
            if g_per_kwh is not None:
                quality: Quality = "forecast" if actual is None else "measured"
                intervals.append(Interval(start, end, g_per_kwh, quality, now))
        return intervals


def _half_hour(moment: datetime) -> datetime:
    """The half hour that a moment lies in: questions that are alike are answered from a cache."""
    return moment - timedelta(
        minutes=moment.minute % 30, seconds=moment.second, microseconds=moment.microsecond
    )


def _place(region: str) -> str:
    if region == _COUNTRY:
        return "Great Britain"
    return _REGIONS[int(region) - 1] if region.isdecimal() else f"Great Britain, {region}"


def provider() -> Provider:
    """The service."""
    return UkGrid()

"""éCO2mix (RTE, through ODRÉ): France, quarter hours, without a forecast.

No key. `taux_co2` of the data set eco2mix-national-tr; values come about an hour late
(odre.opendatasoft.com; carbon.md 3.3).
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from ..errors import UnknownZone
from .answers import after, document, grams, in_order, moment, row, rows
from .base import Get, Interval, Provider, Query, Signal

_STEP_S = 900.0
_DELAY_S = 3600.0
# The most that the service gives at once: a day and an hour.
_MOST_ROWS = 100


@dataclass(frozen=True)
class Eco2mix:
    """Average of what France generates; power stations' own emissions only."""

    name: str = "eco2mix"
    title: str = "éCO2mix"
    step_s: float = _STEP_S
    delay_s: float = _DELAY_S
    url: str = "https://odre.opendatasoft.com/api/explore/v2.1/catalog/datasets"
    secrets: tuple[str, ...] = ()

    def region(self, zone: str) -> str:
        """ "FR" for France. Raises UnknownZone for all else."""
        if zone.strip().upper().removeprefix("EM:") != "FR":
            raise UnknownZone(f"éCO2mix has no figures for {zone!r:.40}: it knows FR")
        return "FR"

    def fetch(self, query: Query, get: Get) -> Signal:
        """The newest values since `start`. Raises ProviderError."""
        since = f"{query.start:%Y-%m-%dT%H:%M:%SZ}"
        asked = {
            "select": "date_heure,taux_co2",
            "where": f"taux_co2 is not null and date_heure >= date'{since}'",
            "order_by": "date_heure desc",
            "limit": str(_MOST_ROWS),
            "timezone": "UTC",
        }
        found = document(get(f"/eco2mix-national-tr/records?{urlencode(asked)}", {}), self.title)
        intervals = []
        for one in (row(item, self.title) for item in rows(found.get("results"), self.title)):
            g_per_kwh = grams(one.get("taux_co2"), self.title)
            start = moment(one.get("date_heure"), self.title)
            if g_per_kwh is not None:
                end = after(start, _STEP_S)
                # RTE estimates it from what power stations report.
                intervals.append(Interval(start, end, g_per_kwh, "estimated", query.now))
        return Signal(
            zone=query.region,
            place="France",
            kind="average",
            boundary="production",
            scope="direct",
            step_s=_STEP_S,
            source="RTE éCO2mix (Licence Ouverte)",
            url="https://www.rte-france.com/eco2mix",
            fetched=query.now,
            intervals=in_order(intervals),
        )


def provider() -> Provider:
    """The service."""
    return Eco2mix()

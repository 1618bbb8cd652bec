"""WattTime, v3: marginal emissions of grids in the USA and elsewhere, five minutes; with a login.

A login by name and password gives a token for 30 minutes, which is kept in memory alone. Values
are lb/MWh; free accounts get them of CAISO_NORTH, and of other regions only a signal index, a
percentile, which is no intensity and refused as one (docs.watttime.org; carbon.md 3.5). Its data
may not be passed on: they stay on this machine.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from ..errors import ProviderError, UnknownZone
from .answers import after, document, garbage, grams, in_order, moment, raise_if_alone, row, rows
from .base import Get, Interval, Named, Provider, Quality, Query, Secret, Signal

# A pound is 0.45359237 kg by definition (NIST SP 811, appendix B.8), a MWh is 1000 kWh.
G_PER_KWH_OF_LB_PER_MWH = 0.45359237
_UNITS = "lbs_co2_per_mwh"
_STEP_S = 300.0
_REGION = re.compile(r"[A-Z][A-Z0-9_-]{1,40}")
# It is valid for 30 minutes.
_TOKEN_LASTS = timedelta(minutes=28)
_FREE = (
    "values are for subscribers, and of CAISO_NORTH for all: choose another provider, or "
    "set Energy.provider_zone to CAISO_NORTH if your machine is there"
)


class WattTime:
    """Marginal: what one kWh more makes the grid's power stations emit."""

    name = "watttime"
    title = "WattTime"
    step_s = _STEP_S
    url = "https://api.watttime.org"
    secrets = ("user", "password")

    def __init__(self) -> None:
        # The user whom the token is of, the token, and when it is given up.
        self._token: tuple[Mapping[str, str], Secret, datetime] | None = None

    def region(self, zone: str) -> str:
        """A region of WattTime's own, as `Energy.provider_zone` has it. Raises UnknownZone for
        zones of ours: the borders differ, also where the names do not (SC)."""
        code = zone.strip().upper()
        if not _REGION.fullmatch(code) or not (isinstance(zone, Named) or "_" in code):
            raise UnknownZone(
                f"WattTime has regions of its own, and none is called {zone!r:.40}: set "
                "Energy.provider_zone to yours, such as CAISO_NORTH (watttime.org/explorer)"
            )
        return code

    def fetch(self, query: Query, get: Get) -> Signal:
        """Values since `start`, and the forecast where the account may see it.

        Raises ProviderError.
        """
        asked = {"region": query.region, "signal_type": "co2_moer"}
        past = {**asked, "start": _time(query.start), "end": _time(query.now)}
        points = self._points(f"/v3/historical?{urlencode(past)}", query, get, "measured")
        if query.end > query.now:
            hours = max(1, round((query.end - query.now).total_seconds() / 3600))
            path = f"/v3/forecast?{urlencode({**asked, 'horizon_hours': hours})}"
            try:
                points += self._points(path, query, get, "forecast")
            except ProviderError as error:
                raise_if_alone(error, points)
        return Signal(
            zone=query.region,
            place=query.region,
            kind="marginal",
            boundary="production",
            scope="direct",
            step_s=_STEP_S,
            source="WattTime (marginal)",
            url="https://watttime.org",
            fetched=query.now,
            intervals=in_order(points),
        )

    def _points(self, path: str, query: Query, get: Get, quality: Quality) -> list[Interval]:
        """The values of one question, in g/kWh."""
        told = document(self._get(path, query, get), self.title)
        meta = row(told.get("meta"), self.title)
        if meta.get("units") == "percentile":
            raise ProviderError(
                "WattTime gave its signal index, a percentile, which is no intensity",
                "forbidden",
                remedy=_FREE,
            )
        if meta.get("units") != _UNITS:
            raise garbage(self.title, "figures that are not in lb/MWh")
        if meta.get("region", query.region) != query.region:
            raise garbage(self.title, "figures of another region")
        intervals = []
        for one in (row(item, self.title) for item in rows(told.get("data"), self.title)):
            g_per_kwh = grams(one.get("value"), self.title, G_PER_KWH_OF_LB_PER_MWH)
            start = moment(one.get("point_time"), self.title)
            if g_per_kwh is not None:
                end = after(start, _STEP_S)
                intervals.append(Interval(start, end, g_per_kwh, quality, query.now))
        return intervals

    def _get(self, path: str, query: Query, get: Get) -> Any:
        """One question with a token; with a new one where the old one is not known any more."""
        kept = self._token
        if kept is not None and kept[0] == query.secrets and query.now < kept[2]:
            problem = None
            try:
                return get(path, {"Authorization": kept[1]})
            except ProviderError as error:
                problem = error
            if problem.kind != "denied":
                raise _explained(problem)
        self._token = self._login(query, get)
        problem = None
        try:
            return get(path, {"Authorization": self._token[1]})
        except ProviderError as error:
            problem = error
        raise _explained(problem)

    def _login(self, query: Query, get: Get) -> tuple[Mapping[str, str], Secret, datetime]:
        """A token, as the header that it goes in. Raises ProviderError."""
        told = get("/login", {"Authorization": _basic(query.secrets)})
        token = _bearer(document(told, self.title).get("token"))
        if token is None:
            raise garbage(self.title, "no token")
        return query.secrets, token, query.now + _TOKEN_LASTS


def _basic(secrets: Mapping[str, Secret]) -> Secret:
    """The header of a login by name and password (RFC 7617)."""
    names = f"{secrets['user']}:{secrets['password']}".encode()
    return Secret(f"Basic {b64encode(names).decode()}")


def _bearer(token: object) -> Secret | None:
    """The header of a token; None for what is none."""
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        return None
    return Secret(f"Bearer {token}") if token else None


def _explained(problem: ProviderError) -> ProviderError:
    """The same, with what helps against a 403."""
    if problem.kind == "forbidden" and problem.remedy is None:
        return ProviderError(str(problem), problem.kind, problem.retry_after_s, _FREE)
    return problem


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def provider() -> Provider:
    """The service."""
    return WattTime()

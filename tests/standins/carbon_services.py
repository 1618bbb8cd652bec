"""What services of carbon intensity answer, in the shapes that they document; the figures are ours.

Sources of the shapes: carbon.md 3.1 to 3.5, which names the documents.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from jupyter_energy.carbon.feed import Feed, feed_for
from jupyter_energy.config import Energy
from jupyter_energy.factors import Factors

from .web_server import Asked, Told

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
NOW = NOON + timedelta(minutes=5)
TOKEN, USER, PASSWORD = "T0ken-geheim-4711", "Us3r-geheim-4712", "Passw0rd-geheim-4713"
LOGIN = "L0gin-geheim-4714"
Point = tuple[int, float, str]


def feed_of(settings: Energy) -> Feed:
    """The feed of the provider that is chosen, as a kernel with these settings makes it."""
    made = feed_for(settings, {}, Factors(settings, {}).is_home)
    assert made is not None
    return made


@dataclass(frozen=True)
class Documented:
    """A service: where it is asked, what it answers, and what that means.

    `points` are minutes from noon, g CO2e/kWh and quality, between `hours` before and after now.
    """

    provider: str
    zone: str
    region: str
    answer: Callable[[Asked], Told]
    points: list[Point]
    means: tuple[str, str, str]  # kind, boundary, scope
    step_s: float
    source: str
    secrets: dict[str, str] = field(default_factory=dict)


def iso(minutes: int, ending: str = "+00:00", seconds: bool = True) -> str:
    moment = NOON + timedelta(minutes=minutes)
    return f"{moment:%Y-%m-%dT%H:%M:%S}{ending}" if seconds else f"{moment:%Y-%m-%dT%H:%M}{ending}"


# -- Energy-Charts ---------------------------------------------------------------------------

# It ends with whose data it is, which the licence asks to be named.
ENERGY_CHARTS_LICENCE = (
    "CC BY 4.0 (creativecommons.org/licenses/by/4.0) from Bundesnetzagentur | SMARD.de"
)


def energy_charts(asked: Asked) -> Told:
    """Three lists: measured, then forecast, nulls at the end."""
    if asked.path != "/co2eq" or asked.parameters["country"] != "fr":
        return Told(404, {"detail": "not found"})
    starts = [int((NOON + timedelta(minutes=m)).timestamp()) for m in (-30, -15, 0, 15, 30, 45)]
    return Told(
        200,
        {
            "license_info": ENERGY_CHARTS_LICENCE,
            "unix_seconds": starts,
            "co2eq": [40.5, 41.0, None, None, None, None],
            "co2eq_forecast": [None, 42.5, 43.0, 44.0, 45.0, None],
            "substitute": False,
            "deprecated": False,
        },
    )


# -- Great Britain ---------------------------------------------------------------------------


def _half_hour(minutes: int, forecast: float | None, actual: float | None) -> dict[str, Any]:
    told = {"forecast": forecast, "actual": actual, "index": "moderate"}
    begins, ends = iso(minutes, "Z", seconds=False), iso(minutes + 30, "Z", seconds=False)
    return {"from": begins, "to": ends, "intensity": told}


def uk_grid(asked: Asked) -> Told:
    """The country; `actual` is null for now and for what comes."""
    if not asked.path.startswith("/intensity/2026-11-2"):
        return Told(400, {"error": {"code": "400 Bad Request", "message": "string"}})
    return Told(
        200,
        {"data": [_half_hour(-30, 150, 144), _half_hour(0, 160, None), _half_hour(30, 170, None)]},
    )


def uk_region(asked: Asked) -> Told:
    """A region by postcode: an object where the documents show a list, and no `actual`."""
    if not asked.path.endswith("/postcode/RG10"):
        return Told(200, None)
    halves = [_half_hour(0, 90, None), _half_hour(30, 80, None)]
    for half in halves:
        del half["intensity"]["actual"]
        half["generationmix"] = [{"fuel": "gas", "perc": 43.6}]
    return Told(
        200,
        {
            "data": {
                "regionid": 12,
                "shortname": "South England",
                "postcode": "RG10",
                "data": halves,
            }
        },
    )


# -- France ----------------------------------------------------------------------------------


def eco2mix(asked: Asked) -> Told:
    """Newest first; a value that is still to come is null."""
    if (
        asked.path != "/eco2mix-national-tr/records"
        or "date_heure" not in asked.parameters["where"]
    ):
        return Told(400, {"error_code": "ODSQLError"})
    rows = [(0, None), (-15, 31), (-30, 30.0)]
    return Told(
        200,
        {
            "total_count": len(rows),
            "results": [{"date_heure": iso(m), "taux_co2": g} for m, g in rows],
        },
    )


# -- Electricity Maps ------------------------------------------------------------------------


def electricity_maps(asked: Asked) -> Told:
    """A free token: the last hours of one zone, no forecast."""
    if asked.headers.get("auth-token") != TOKEN:
        return Told(401, {"message": f"Invalid auth-token {asked.headers.get('auth-token')}"})
    assert asked.parameters["disableCallerLookup"] == "true"
    if asked.parameters.get("zone") != "DK-DK1":
        return Told(404, {"message": "Zone not found"})
    if asked.path != "/carbon-intensity/history":
        return Told(403, {"message": "no access to this endpoint"})
    return Told(200, {"zone": "DK-DK1", "history": [_hour(-120, 90), _hour(-60, 95, True)]})


def electricity_maps_paid(asked: Asked) -> Told:
    """A token with a forecast."""
    if asked.path != "/carbon-intensity/forecast":
        return electricity_maps(asked)
    ahead = [
        {"carbonIntensity": g, "datetime": iso(m, ".000Z"), "temporalGranularity": "hourly"}
        for m, g in ((0, 99), (60, 98))
    ]
    return Told(200, {"zone": "DK-DK1", "updatedAt": iso(0, ".000Z"), "forecast": ahead})


def _hour(minutes: int, g_per_kwh: float, estimated: bool = False) -> dict[str, Any]:
    return {
        "zone": "DK-DK1",
        "carbonIntensity": g_per_kwh,
        "datetime": iso(minutes, ".000Z"),
        "updatedAt": iso(0, ".000Z"),
        "createdAt": iso(0, ".000Z"),
        "emissionFactorType": "lifecycle",
        "isEstimated": estimated,
        "estimationMethod": "TIME_SLICER_AVERAGE" if estimated else None,
        "temporalGranularity": "hourly",
    }


# -- WattTime --------------------------------------------------------------------------------


def watttime(asked: Asked) -> Told:
    """A login, values in lb/MWh, and a forecast."""
    letter = asked.headers.get("authorization", "")
    if asked.path == "/login":
        basic = b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        ok = letter == f"Basic {basic}"
        return Told(200, {"token": LOGIN}) if ok else Told(401, {"error": letter})
    if letter != f"Bearer {LOGIN}":
        return Told(401, {"error": letter})
    if asked.parameters["region"] != "CAISO_NORTH":
        return Told(403, {"error": "This account has no access"})
    assert asked.parameters["signal_type"] == "co2_moer"
    values = {
        "/v3/historical": [(-10, 1000.0), (-5, 1100.0)],
        "/v3/forecast": [(0, 1200.0), (5, 1300.0)],
    }[asked.path]
    return Told(200, moer(values))


def moer(values: list[tuple[int, float]], units: str = "lbs_co2_per_mwh") -> dict[str, Any]:
    """An answer of WattTime."""
    meta = {
        "region": "CAISO_NORTH",
        "signal_type": "co2_moer",
        "model": {"date": "2026-01-01"},
        "units": units,
        "generated_at": iso(0),
    }
    return {"meta": meta, "data": [{"point_time": iso(m), "value": v} for m, v in values]}


SERVICES = {
    "energy_charts": Documented(
        "energy_charts",
        "FR",
        "fr",
        energy_charts,
        [
            *((-30, 40.5, "measured"), (-15, 41.0, "measured"), (0, 43.0, "forecast")),
            *((15, 44.0, "forecast"), (30, 45.0, "forecast")),
        ],
        ("average", "production", "lifecycle"),
        900,
        f"Energy-Charts ({ENERGY_CHARTS_LICENCE})",
    ),
    "uk_grid": Documented(
        "uk_grid",
        "GB",
        "GB",
        uk_grid,
        [(-30, 144, "measured"), (0, 160, "forecast"), (30, 170, "forecast")],
        ("average", "consumption", "direct"),
        1800,
        "NESO Carbon Intensity API (CC BY 4.0)",
    ),
    "uk_region": Documented(
        "uk_grid",
        "RG10",
        "RG10",
        uk_region,
        [(0, 90, "forecast"), (30, 80, "forecast")],
        ("average", "consumption", "direct"),
        1800,
        "NESO Carbon Intensity API (CC BY 4.0)",
    ),
    "eco2mix": Documented(
        "eco2mix",
        "EM:FR",
        "FR",
        eco2mix,
        [(-30, 30, "estimated"), (-15, 31, "estimated")],
        ("average", "production", "direct"),
        900,
        "RTE éCO2mix (Licence Ouverte)",
    ),
    "electricity_maps": Documented(
        "electricity_maps",
        "EM:DK-DK1",
        "DK-DK1",
        electricity_maps,
        [(-120, 90, "measured"), (-60, 95, "estimated")],
        ("average", "consumption", "lifecycle"),
        3600,
        "Electricity Maps",
        {"token": TOKEN},
    ),
    "electricity_maps_paid": Documented(
        "electricity_maps",
        "DK-DK1",
        "DK-DK1",
        electricity_maps_paid,
        [
            *((-120, 90, "measured"), (-60, 95, "estimated")),
            *((0, 99, "forecast"), (60, 98, "forecast")),
        ],
        ("average", "consumption", "lifecycle"),
        3600,
        "Electricity Maps",
        {"token": TOKEN},
    ),
    "watttime": Documented(
        "watttime",
        "CAISO_NORTH",
        "CAISO_NORTH",
        watttime,
        [
            *((-10, 453.59237, "measured"), (-5, 498.951607, "measured")),
            *((0, 544.310844, "forecast"), (5, 589.670081, "forecast")),
        ],
        ("marginal", "production", "direct"),
        300,
        "WattTime (marginal)",
        {"user": USER, "password": PASSWORD},
    ),
}


def documents() -> dict[str, Any]:
    """The first answer with figures of each service, by its name here."""
    maps = {"zone": "DK-DK1", "disableCallerLookup": "true"}
    moer_of = {"region": "CAISO_NORTH", "signal_type": "co2_moer"}
    asked = {
        "energy_charts": Asked("/co2eq", {"country": "fr"}, {}),
        "uk_grid": Asked("/intensity/2026-11-23", {}, {}),
        "uk_region": Asked("/postcode/RG10", {}, {}),
        "eco2mix": Asked("/eco2mix-national-tr/records", {"where": "date_heure"}, {}),
        "electricity_maps": Asked("/carbon-intensity/history", maps, {"auth-token": TOKEN}),
        "electricity_maps_paid": Asked("/carbon-intensity/forecast", maps, {"auth-token": TOKEN}),
        "watttime": Asked("/v3/historical", moer_of, {"authorization": f"Bearer {LOGIN}"}),
    }
    return {name: service.answer(asked[name]).body for name, service in SERVICES.items()}

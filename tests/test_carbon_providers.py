"""One contract for all live providers: their documented answers, and all that can go wrong."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from standins.carbon_services import NOON, NOW, SERVICES, Documented, iso, moer
from standins.web_server import Asked, Service, Told, refusing

from jupyter_energy.carbon import PROVIDERS, provider
from jupyter_energy.carbon.address import checked_address
from jupyter_energy.carbon.answers import checked
from jupyter_energy.carbon.base import Provider, Query, Secret, Signal
from jupyter_energy.carbon.web import MOST_BYTES, Web
from jupyter_energy.config import Energy
from jupyter_energy.errors import ProviderError, UnknownZone, WrongUse
from jupyter_energy.identity import NotebookRef
from jupyter_energy.monitor import Monitor
from jupyter_energy.open_window import Options

every_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
Answer = Callable[[Asked], Told]


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


def query(service: Documented, **changes: Any) -> Query:
    """A day back, a day ahead."""
    day = timedelta(days=1)
    secrets = {name: Secret(value) for name, value in service.secrets.items()}
    return replace(Query(service.region, NOW - day, NOW, NOW + day, secrets), **changes)


def asked_at(
    url: str,
    service: Documented,
    made: Provider | None = None,
    limit_s: float = 5.0,
    **changes: Any,
) -> Signal:
    """What the provider of a service makes of what is answered at an address."""
    made = made or provider(service.provider)
    signal = made.fetch(query(service, **changes), Web(made.title, url, limit_s, lambda: NOW))
    return checked(signal, made.title)


def error_of(answer: Answer, service: Documented) -> ProviderError:
    """The error that answers lead to."""
    with Service(answer).running() as served, pytest.raises(ProviderError) as raised:
        asked_at(served.url, service)
    return raised.value


def always(told: Told) -> Answer:
    return lambda _: told


def points(signal: Signal) -> list[tuple[float, float, str]]:
    """Minutes from noon, g/kWh, quality."""
    return [
        ((i.start - NOON) / timedelta(minutes=1), pytest.approx(i.g_per_kwh), i.quality)
        for i in signal.intervals
    ]


# -- what is documented ----------------------------------------------------------------------


@every_service
def test_a_documented_answer_becomes_grams_a_kwh_in_order(service: Documented) -> None:
    with Service(service.answer).running() as served:
        signal = asked_at(served.url, service)
    assert points(signal) == service.points
    assert {i.end - i.start for i in signal.intervals} == {timedelta(seconds=service.step_s)}
    assert (signal.kind, signal.boundary, signal.scope) == service.means
    assert (signal.step_s, signal.source) == (service.step_s, service.source)
    assert signal.fetched == NOW
    assert all(i.fetched == NOW for i in signal.intervals)
    for asked in served.asked:
        assert asked.headers["user-agent"].startswith("jupyter-energy/")


@every_service
def test_a_place_has_one_name_at_its_service(service: Documented) -> None:
    assert provider(service.provider).region(service.zone) == service.region


@every_service
def test_no_secret_stands_in_an_address(service: Documented) -> None:
    with Service(service.answer).running() as served:
        asked_at(served.url, service)
    asked = json.dumps([[one.path, one.parameters] for one in served.asked])
    assert not any(secret in asked for secret in service.secrets.values())


@pytest.mark.parametrize(
    ("name", "zone", "region"),
    [
        ("energy_charts", "GB", "uk"),
        ("energy_charts", "em:de", "de"),
        ("uk_grid", "EM:GB", "GB"),
        ("uk_grid", "13", "13"),
        ("uk_grid", "rg10", "RG10"),
        ("uk_grid", "EC1A", "EC1A"),
        ("eco2mix", "fr", "FR"),
        ("electricity_maps", "FR", "FR"),
        ("electricity_maps", "EM:US-CAL-CISO", "US-CAL-CISO"),
        ("electricity_maps", "US-TEX-ERCO", "US-TEX-ERCO"),
        ("electricity_maps", "aws:eu-west-3", "aws:eu-west-3"),
        ("watttime", "caiso_north", "CAISO_NORTH"),
    ],
)
def test_zones_of_ours_are_translated(name: str, zone: str, region: str) -> None:
    assert provider(name).region(zone) == region


@pytest.mark.parametrize(
    ("name", "zone", "right"),
    [
        ("energy_charts", "US", "such as DE or FR"),
        ("energy_charts", "EM:DK-DK1", "write DK"),
        ("uk_grid", "FR", "it knows GB"),
        ("uk_grid", "18", "from 1 to 17"),
        ("uk_grid", "RG10 9NY", "write RG10"),
        ("uk_grid", "EM:GB-NIR", "it knows GB"),
        ("eco2mix", "DE", "it knows FR"),
        ("electricity_maps", "US-CA", "EM:US-CAL-CISO"),
        ("electricity_maps", "WORLD", "such as FR"),
        ("electricity_maps", "DE&zone=FR", "such as FR"),
        ("watttime", "US-CA", "CAISO_NORTH"),
        ("watttime", "FR", "CAISO_NORTH"),
    ],
)
def test_a_place_that_a_service_does_not_know_is_refused_with_what_would_be_right(
    name: str, zone: str, right: str
) -> None:
    with pytest.raises(UnknownZone, match=right):
        provider(name).region(zone)


# -- what goes wrong -------------------------------------------------------------------------


@every_service
@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, "denied"), (403, "forbidden"), (429, "limited"), (500, "failed"), (503, "failed")],
)
def test_a_status_says_what_is_wrong(service: Documented, status: int, kind: str) -> None:
    error = error_of(always(Told(status, b"<html>no</html>")), service)
    assert error.kind == kind
    assert str(error).endswith(f"(HTTP {status})")
    assert "html" not in str(error)


@every_service
def test_a_service_that_never_answers_is_left_after_a_while(service: Documented) -> None:
    with Service(service.answer).running() as served:
        served.never()
        with pytest.raises(ProviderError) as raised:
            asked_at(served.url, service, limit_s=0.05)
    assert raised.value.kind == "timeout"


@every_service
def test_a_name_that_does_not_exist_is_told(
    service: Documented, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)  # no test asks a name server
    with pytest.raises(ProviderError, match="DNS") as raised:
        asked_at("http://does-not-exist.invalid", service)
    assert raised.value.kind == "unreachable"


@every_service
def test_a_refused_connection_is_told(service: Documented) -> None:
    with pytest.raises(ProviderError, match="connection refused") as raised:
        asked_at(refusing(), service)
    assert raised.value.kind == "unreachable"


@every_service
@pytest.mark.parametrize(
    "body",
    [b"<html>Sign in to the network</html>", b'{"data": [', b"[1, 2]", b'"text"', b"\xff\xfe\x00"],
)
def test_an_answer_that_is_none_is_garbage(service: Documented, body: bytes) -> None:
    error = error_of(always(Told(200, body)), service)
    assert error.kind == "garbage"
    assert "Sign in" not in str(error)


@every_service
@pytest.mark.parametrize("body", [b"", b"null", b" "])
def test_an_empty_answer_is_told(service: Documented, body: bytes) -> None:
    assert error_of(always(Told(200, body)), service).kind == "empty"


def changed(document: Any, value: Any) -> Any:
    """A document whose first figure of carbon is another one."""
    found = deepcopy(document)
    done = []

    def walk(node: Any) -> None:
        pairs = list(node.items()) if isinstance(node, dict) else list(enumerate(node))
        for key, inside in pairs:
            figure = key in ("actual", "forecast", "taux_co2", "carbonIntensity", "value")
            if figure and isinstance(inside, int | float):
                node[key] = value
                done.append(key)
            elif key in ("co2eq", "co2eq_forecast"):
                node[key] = [value for _ in inside]
                done.append(key)
            elif isinstance(inside, dict | list):
                walk(inside)

    walk(found)
    return found, bool(done)


@every_service
@pytest.mark.parametrize(
    "value", ["12", -1, 9000, float("nan"), float("inf"), [], {}, True, 10**400]
)
def test_a_figure_that_cannot_be_makes_the_answer_garbage(service: Documented, value: Any) -> None:
    def answer(asked: Asked) -> Told:
        told = service.answer(asked)
        body, has_figures = changed(told.body, value) if told.body else (told.body, False)
        return replace(told, body=body) if has_figures else told

    assert error_of(answer, service).kind == "garbage"


@every_service
def test_figures_that_are_all_missing_are_no_figures(service: Documented) -> None:
    def answer(asked: Asked) -> Told:
        told = service.answer(asked)
        body, has_figures = changed(told.body, None) if told.body else (told.body, False)
        return replace(told, body=body) if has_figures else told

    assert error_of(answer, service).kind == "empty"


@every_service
def test_a_time_that_does_not_say_its_zone_makes_the_answer_garbage(service: Documented) -> None:
    def answer(asked: Asked) -> Told:
        text = json.dumps(service.answer(asked).body)
        for ending in ("+00:00", ".000Z", "Z"):
            text = text.replace(f'{ending}"', '"')
        text = text.replace('"unix_seconds": [', '"unix_seconds": ["2026-11-23T12:00:00",')
        told = service.answer(asked)
        return replace(told, body=json.loads(text))

    assert error_of(answer, service).kind == "garbage"


@pytest.mark.parametrize(
    ("said", "after_s"),
    [
        ("120", 120),
        (format_datetime(NOW + timedelta(minutes=10), usegmt=True), 600),
        (format_datetime(NOW - timedelta(minutes=10), usegmt=True), 0),
        ("999999999999", 86400),
        ("soon", None),
        ("", None),
        ("-5", None),
    ],
)
def test_how_long_a_service_wants_to_be_left_alone(said: str, after_s: float | None) -> None:
    told = Told(429, b"", {"Retry-After": said})
    assert error_of(always(told), SERVICES["energy_charts"]).retry_after_s == after_s


# -- the connection --------------------------------------------------------------------------

FRANCE = SERVICES["energy_charts"]
MAPS = SERVICES["electricity_maps"]


def test_a_server_that_drips_is_left_after_a_while() -> None:
    with Service(FRANCE.answer).running() as served:
        served.drip()
        with pytest.raises(ProviderError) as raised:
            asked_at(served.url, FRANCE, limit_s=0.2)
    assert raised.value.kind == "timeout"


def test_an_answer_without_end_is_not_read_to_its_end() -> None:
    error = error_of(always(Told(200, b" " * (MOST_BYTES + 1))), FRANCE)
    assert str(error) == "Energy-Charts gave an answer of more than 4 MiB"
    assert error.kind == "garbage"


def test_a_token_is_not_carried_to_another_host() -> None:
    with Service(MAPS.answer).running() as other:
        away = always(Told(302, b"", {"Location": f"{other.url}/carbon-intensity/history"}))
        error = error_of(away, MAPS)
    assert error.kind == "refused"
    assert other.asked == []


def test_a_redirection_within_the_host_is_followed() -> None:
    def answer(asked: Asked) -> Told:
        if asked.path == "/co2eq":
            return Told(307, b"", {"Location": "/v2/co2eq?country=fr"})
        return FRANCE.answer(replace(asked, path="/co2eq"))

    with Service(answer).running() as served:
        assert points(asked_at(served.url, FRANCE)) == FRANCE.points


def test_a_redirection_in_a_circle_ends() -> None:
    error = error_of(always(Told(302, b"", {"Location": "/co2eq?country=fr"})), FRANCE)
    assert error.kind == "refused"


def test_a_server_that_speaks_no_tls_where_it_should_is_told_no_token() -> None:
    with Service(MAPS.answer).running() as served, pytest.raises(ProviderError) as raised:
        asked_at(served.url.replace("http:", "https:"), MAPS)
    assert raised.value.kind == "unreachable"
    assert served.asked == []


def test_a_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with Service(lambda asked: FRANCE.answer(replace(asked, path="/co2eq"))).running() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        signal = asked_at("http://energy-charts.invalid", FRANCE)
    assert points(signal) == FRANCE.points
    assert proxy.asked[0].headers["host"] == "energy-charts.invalid"


@pytest.mark.parametrize(
    "address",
    [
        *("ftp://x.example", "file:///etc/passwd", "x.example", "", "https://"),
        *("https://user:geheim@x.example", "https://x.example?token=geheim", "https://x y.example"),
        *("https://x.example:port", "https://x.example/\r\nX: y"),
    ],
)
def test_what_is_no_address_is_refused_and_not_repeated(address: str) -> None:
    with pytest.raises(WrongUse) as raised:
        checked_address(address)
    assert "geheim" not in str(raised.value)


# -- one by one ------------------------------------------------------------------------------


def test_the_signal_index_of_watttime_is_no_intensity() -> None:
    service = SERVICES["watttime"]

    def answer(asked: Asked) -> Told:
        if asked.path == "/login":
            return service.answer(asked)
        return Told(200, moer([(0, 50.0)], units="percentile"))

    error = error_of(answer, service)
    assert "percentile" in str(error)
    assert error.remedy is not None
    assert "CAISO_NORTH" in error.remedy


def test_units_that_are_not_known_are_not_guessed() -> None:
    service = SERVICES["watttime"]

    def answer(asked: Asked) -> Told:
        return (
            service.answer(asked) if asked.path == "/login" else Told(200, moer([(0, 1.0)], "kg"))
        )

    assert error_of(answer, service).kind == "garbage"


def test_watttime_is_logged_in_to_once_in_half_an_hour_and_again_where_the_token_is_gone() -> None:
    service = SERVICES["watttime"]
    gone = []

    def answer(asked: Asked) -> Told:
        if asked.path != "/login" and gone:
            gone.pop()
            return Told(401, b"")
        return service.answer(asked)

    made = provider("watttime")
    with Service(answer).running() as served:

        def logins(minutes: float) -> int:
            now = NOW + timedelta(minutes=minutes)
            asked_at(served.url, service, made, now=now, end=now)
            return sum(asked.path == "/login" for asked in served.asked)

        assert [logins(0), logins(20), logins(31)] == [1, 1, 2]
        gone.append(1)
        assert logins(32) == 3


def test_where_an_account_sees_no_forecast_the_values_that_it_sees_count() -> None:
    service = SERVICES["watttime"]

    def answer(asked: Asked) -> Told:
        return Told(403) if asked.path == "/v3/forecast" else service.answer(asked)

    with Service(answer).running() as served:
        assert points(asked_at(served.url, service)) == service.points[:2]


@pytest.mark.parametrize("name", ["watttime", "electricity_maps_paid"])
@pytest.mark.parametrize("told", [Told(500), Told(429), Told(200, b"<html>"), Told(404)])
def test_a_forecast_that_fails_costs_none_of_the_values_that_came(name: str, told: Told) -> None:
    service = SERVICES[name]

    def answer(asked: Asked) -> Told:
        return told if asked.path.endswith("/forecast") else service.answer(asked)

    with Service(answer).running() as served:
        assert points(asked_at(served.url, service)) == service.points[:2]


@pytest.mark.parametrize(("step_min", "starts"), [(60, (-120, -60, 0)), (30, (-60, -30, 0, 60))])
def test_values_of_energy_charts_hold_as_long_as_the_country_s_steps_are(
    step_min: int, starts: tuple[int, ...]
) -> None:
    at = [int((NOON + timedelta(minutes=m)).timestamp()) for m in starts]
    told = Told(200, {"unix_seconds": at, "co2eq": [40.0 + n for n in range(len(at))]})
    with Service(always(told)).running() as served:
        signal = asked_at(served.url, FRANCE)
    assert signal.step_s == 60 * step_min
    assert {i.end - i.start for i in signal.intervals} == {timedelta(minutes=step_min)}


@pytest.mark.parametrize("starts", [(0,), (0, 0), (-1440, 0)])
def test_where_the_moments_tell_no_step_a_value_holds_a_quarter_of_an_hour(
    starts: tuple[int, ...],
) -> None:
    at = [int((NOON + timedelta(minutes=m)).timestamp()) for m in starts]
    told = Told(200, {"unix_seconds": at, "co2eq": [40.0] * len(at)})
    with Service(always(told)).running() as served:
        assert asked_at(served.url, FRANCE).step_s == 900


def test_electricity_maps_is_asked_for_a_region_of_a_cloud_by_name() -> None:
    def answer(asked: Asked) -> Told:
        assert asked.parameters["dataCenterProvider"] == "aws"
        assert asked.parameters["dataCenterRegion"] == "eu-west-3"
        assert "zone" not in asked.parameters
        asked.parameters["zone"] = "DK-DK1"
        return MAPS.answer(asked)

    with Service(answer).running() as served:
        signal = asked_at(served.url, MAPS, region="aws:eu-west-3")
    assert signal.place == "aws:eu-west-3 (DK-DK1)"


def test_figures_of_another_zone_than_the_one_asked_for_are_garbage() -> None:
    def answer(asked: Asked) -> Told:
        told = MAPS.answer(asked)
        return replace(told, body={**told.body, "zone": "DE"}) if told.status == 200 else told

    assert error_of(answer, MAPS).kind == "garbage"


def test_figures_of_another_boundary_than_the_one_asked_for_are_garbage() -> None:
    def answer(asked: Asked) -> Told:
        told = MAPS.answer(asked)
        text = json.dumps(told.body).replace('"lifecycle"', '"direct"')
        return replace(told, body=json.loads(text))

    assert error_of(answer, MAPS).kind == "garbage"


def test_a_forecast_is_not_asked_for_where_none_is_wanted() -> None:
    for name in ("electricity_maps_paid", "watttime"):
        with Service(SERVICES[name].answer).running() as served:
            asked_at(served.url, SERVICES[name], end=NOW)
        assert not [one for one in served.asked if "forecast" in one.path]


def test_half_hours_are_asked_for_whole_so_that_the_same_question_has_the_same_answer() -> None:
    service = SERVICES["uk_grid"]
    with Service(service.answer).running() as served:
        asked_at(served.url, service)
    begin, end = iso(-1440, "Z", seconds=False), iso(1470, "Z", seconds=False)
    assert served.asked[0].path == f"/intensity/{begin}/{end}"


# -- third parties ---------------------------------------------------------------------------

THEIRS = """
from datetime import timedelta
from jupyter_energy.carbon.base import Interval, Signal

class Theirs:
    name, title, step_s, url, secrets = "theirs", "Their grid", 300.0, "https://x.invalid", ()

    def region(self, zone):
        return zone

    def fetch(self, query, get):
        value = Interval(query.now, query.now + timedelta(minutes=5), 7.0, "measured")
        return Signal(query.region, "Here", "average", "production", "direct", 300.0, "Theirs", "",
                      query.now, (value,))

provider = Theirs
"""


def test_a_third_party_adds_a_provider_by_an_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "their_grid-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: their-grid\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[jupyter_energy.carbon]\ntheirs = their_grid\nbroken = no_such_module\n"
    )
    (tmp_path / "their_grid.py").write_text(THEIRS)
    monkeypatch.syspath_prepend(tmp_path)
    made = provider("theirs")
    assert made.title == "Their grid"
    with pytest.raises(WrongUse, match="the provider broken, no_such_module cannot be used"):
        provider("broken")


@pytest.mark.parametrize(
    "broken",
    [
        "Theirs.url = 5",
        "Theirs.step_s = None",
        "Theirs.step_s = -1.0",
        "Theirs.delay_s = property(lambda self: 1 / 0)",
        'def provider(): raise SystemExit("no")',
    ],
)
def test_a_third_partys_faulty_provider_is_refused_and_costs_no_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    info = tmp_path / "their_grid-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: their-grid\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[jupyter_energy.carbon]\nfaulty = faulty_grid\n")
    (tmp_path / "faulty_grid.py").write_text(f"{THEIRS}\n{broken}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "faulty_grid", raising=False)
    with pytest.raises(WrongUse, match="the provider faulty"):
        provider("faulty")
    environ = {
        "JUPYTER_ENERGY_STORE": str(tmp_path / "energy.sqlite"),
        "JUPYTER_ENERGY_SYSFS": str(tmp_path / "sys"),
        "JUPYTER_ENERGY_ZONE": "FR",
        "JUPYTER_ENERGY_PROVIDER": "faulty",
    }
    monitor = Monitor(Energy(environ=environ), lambda _: NotebookRef(None, "tested"), environ)
    monitor.start()
    try:
        assert monitor.sampler.wait_until_found(60)
        record = monitor.close_window(monitor.open_window(Options()), "ok")
    finally:
        monitor.close()
    assert record.emissions is not None
    assert "the provider faulty" in str(record.emissions.intensity.note)


@pytest.mark.parametrize("name", ["energy_chart", "nonsense", "os", "../base"])
def test_a_provider_that_there_is_not_is_refused_with_those_that_there_are(name: str) -> None:
    with pytest.raises(WrongUse, match="energy_charts"):
        provider(name)


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_provider_says_what_it_is(name: str) -> None:
    made = provider(name)
    assert made.name == name
    assert made.title
    assert made.step_s >= 300
    assert not made.url or made.url.startswith("https://")


def test_every_network_provider_is_in_the_contract() -> None:
    assert {service.provider for service in SERVICES.values()} == set(PROVIDERS) - {"csv_trace"}
    assert all(
        set(service.secrets) == set(provider(service.provider).secrets)
        for service in SERVICES.values()
    )

"""Tokens: where they come from, who may read them, and that they come out nowhere."""

from __future__ import annotations

import http.client
import json
import logging
import os
import traceback
from base64 import b64encode
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from standins.carbon_services import LOGIN, NOW, PASSWORD, SERVICES, TOKEN, USER, Documented
from standins.web_server import Asked, Service, Told, refusing

from jupyter_energy.carbon import provider
from jupyter_energy.carbon.base import Query, Secret
from jupyter_energy.carbon.cache import Cache
from jupyter_energy.carbon.feed import Feed
from jupyter_energy.carbon.tokens import secrets_of, variable
from jupyter_energy.carbon.web import Web
from jupyter_energy.errors import ProviderError

MAPS, WATTTIME = provider("electricity_maps"), provider("watttime")
SECRETS = (TOKEN, USER, PASSWORD, LOGIN, b64encode(f"{USER}:{PASSWORD}".encode()).decode())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tokens.json"


def write(file: Path, document: Any, mode: int = 0o600) -> None:
    file.write_text(document if isinstance(document, str) else json.dumps(document))
    file.chmod(mode)


def problem(file: Path, environ: dict[str, str] | None = None) -> ProviderError:
    with pytest.raises(ProviderError) as raised:
        secrets_of(MAPS, environ or {}, file)
    assert raised.value.kind == "no token"
    assert "geheim" not in f"{raised.value} {raised.value.remedy}"
    return raised.value


def test_a_variable_is_named_after_provider_and_secret() -> None:
    assert variable("electricity_maps", "token") == "JUPYTER_ENERGY_ELECTRICITY_MAPS_TOKEN"
    assert variable("watttime", "password") == "JUPYTER_ENERGY_WATTTIME_PASSWORD"


def test_the_environment_goes_before_the_file_and_each_secret_is_looked_for_alone(
    file: Path,
) -> None:
    write(file, {"watttime": {"user": "of the file", "password": PASSWORD}})
    environ = {"JUPYTER_ENERGY_WATTTIME_USER": USER}
    assert secrets_of(WATTTIME, environ, file) == {"user": USER, "password": PASSWORD}


def test_without_a_token_one_is_told_both_places_for_it(file: Path) -> None:
    error = problem(file)
    assert str(error) == "Electricity Maps wants a token"
    assert error.remedy is not None
    assert "JUPYTER_ENERGY_ELECTRICITY_MAPS_TOKEN" in error.remedy
    assert str(file) in error.remedy


@pytest.mark.skipif(os.name != "posix", reason="modes are of POSIX")
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o666, 0o610])
def test_a_file_that_others_may_read_is_refused_with_one_remedy(file: Path, mode: int) -> None:
    write(file, {"electricity_maps": {"token": TOKEN}}, mode)
    assert problem(file).remedy == f"chmod 600 {file}"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives away")
def test_a_file_of_another_user_is_refused(file: Path) -> None:
    write(file, {"electricity_maps": {"token": TOKEN}})
    os.chown(file, 65534, 65534)
    assert "belongs to another user" in str(problem(file))


@pytest.mark.parametrize(
    "content",
    [
        *("{", "[]", '"T0ken-geheim"', '{"electricity_maps": "T0ken-geheim"}', ""),
        *('{"electricity_maps": {"token": 4711}}', '{"electricity_maps": {"token": "a\\nb"}}'),
        *(
            '{"electricity_maps": {"token": "geheim\\u20ac"}}',
            '{"electricity_maps": {"token": ""}}',
        ),
    ],
)
def test_a_broken_file_is_told_and_not_repeated(file: Path, content: str) -> None:
    write(file, content)
    problem(file)


def test_what_is_no_file_is_not_waited_for(file: Path) -> None:
    os.mkfifo(file, 0o600)
    assert "is no file" in str(problem(file))


def test_a_secret_does_not_show_itself() -> None:
    assert TOKEN not in repr({"token": Secret(TOKEN)})
    assert TOKEN not in repr(Query("FR", NOW, NOW, NOW, {"token": Secret(TOKEN)}))


# -- nowhere ---------------------------------------------------------------------------------


def told(status: int, body: bytes = b"", **headers: str) -> Callable[[Asked], Told]:
    """Answers that hold all secrets, as a careless server's may."""
    loud = " ".join(SECRETS).encode()
    more = {"X-Token": TOKEN, "Retry-After": PASSWORD, **headers}
    return lambda _: Told(status, body or loud, more)


def in_each_way(service: Documented) -> dict[str, Callable[[Asked], Told]]:
    loud_json = json.dumps(
        {
            "zone": TOKEN,
            "history": [{"datetime": TOKEN, "carbonIntensity": PASSWORD}],
            "meta": {"units": TOKEN, "region": PASSWORD},
            "data": [{"point_time": TOKEN, "value": LOGIN}],
            "token": LOGIN,
        }
    ).encode()
    return {
        "works": service.answer,
        "401": told(401),
        "403": told(403),
        "404": told(404),
        "429": told(429),
        "500": told(500),
        "text": told(200),
        "JSON": told(200, loud_json),
        "cut": told(200, loud_json[:-9]),
        "empty": told(200, b" "),
        "away": told(302, Location=f"http://nowhere.invalid/{TOKEN}/{PASSWORD}"),
        "no address": told(302, Location=f"http://[{TOKEN}:{PASSWORD}"),
    }


def everything(value: object, depth: int = 0) -> str:
    """The repr of an object and of what it holds."""
    inside = getattr(value, "__dict__", {})
    if depth > 3 or not isinstance(inside, dict):
        return repr(value)
    return repr(value) + "".join(everything(one, depth + 1) for one in inside.values())


@pytest.mark.parametrize("name", ["electricity_maps", "watttime"])
@pytest.mark.parametrize(
    "way", [*in_each_way(SERVICES["watttime"]), "never", "refused", "no host", "no header"]
)
def test_no_secret_comes_out_whatever_a_service_does(
    name: str,
    way: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 1)  # prints headers
    for variable_name in [v for v in os.environ if v.lower().endswith("_proxy")]:
        monkeypatch.delenv(variable_name)
    service = SERVICES[name]
    secrets = dict(service.secrets)
    if way == "no header":
        secrets = {key: f"{value}\r\nX: {value}" for key, value in secrets.items()}
    answer = in_each_way(service).get(way, service.answer)
    with Service(answer).running() as served:
        if way == "never":
            served.never()
        url = {"refused": refusing(), "no host": "http://[nowhere"}.get(way, served.url)
        made = provider(name)
        web = Web(made.title, url, 0.1 if way == "never" else 5.0)
        hidden = {key: Secret(value) for key, value in secrets.items()}
        feed = Feed(
            made, web, Cache(tmp_path, name), lambda: hidden, lambda _: service.zone, lambda: NOW
        )
        feed.refresh("FR")
        signal, said = feed.between("FR", NOW, NOW + timedelta(minutes=1))
        seen = [repr(signal), str(said), repr(feed.known("FR")), everything(feed)]
        if way != "works":
            with pytest.raises(ProviderError) as raised:
                made.fetch(Query(service.region, NOW, NOW, NOW, hidden), web)
            error = raised.value
            seen += traceback.format_exception(error)
            seen += [repr(error), repr(error.__cause__), repr(error.__context__), str(error.args)]
            assert error.__traceback__ is not None
            # Below this test's frame. JSON that a service sends is looked at value by value.
            ours = traceback.walk_tb(error.__traceback__.tb_next)
            stack = traceback.StackSummary.extract(ours, capture_locals=way != "JSON")
            seen += stack.format()
        assert (signal is not None) == (way == "works"), said
        feed.close()
    seen += [file.read_text() for file in tmp_path.iterdir()]
    seen += [str(file) for file in tmp_path.iterdir()]
    seen += [caplog.text, *capfd.readouterr()]
    assert served.asked or way in ("refused", "no host", "no header")
    for secret in SECRETS:
        assert secret not in "\n".join(seen)

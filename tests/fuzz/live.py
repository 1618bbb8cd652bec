"""What live providers answer, what their cache holds, and a user's file of figures, as targets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta

from standins.carbon_services import NOW, SERVICES

from fuzz import inputs, oracles
from jupyter_energy.carbon import provider
from jupyter_energy.carbon.answers import MOST_G_PER_KWH, checked
from jupyter_energy.carbon.base import Get, Query, Reply, Secret, Signal
from jupyter_energy.carbon.known import from_text, to_text
from jupyter_energy.errors import ProviderError

_DAY = timedelta(days=1)
_SECRETS = {name: Secret("x") for name in ("token", "user", "password")}


def live_answers(data: bytes) -> None:
    """The answers of each service: any bytes, or its documented ones with changes."""
    documents = inputs.document_of(data, "live") if data[:1] == b"\0" else None
    for name, service in SERVICES.items():
        # JSON holds no NaN, and a service may send one all the same.
        body = data if documents is None else json.dumps(documents.get(name)).encode()
        _asked(service.provider, service.region, _always(body))


def live_cache(data: bytes) -> None:
    """The file that kernels share."""
    text = inputs.bytes_of(data, "known").decode("utf-8", "replace")
    known = from_text(text)
    if known is None:
        return
    assert from_text(to_text(known)) == known
    assert known.is_due(NOW, 900.0) in (True, False)
    if known.trouble is not None:
        assert str(known.trouble)
    if known.signal is not None:
        _holds(known.signal)


def csv_trace(data: bytes) -> None:
    """A table of the user's, as it is and below a head that is right."""
    for head in (b"", b"time (UTC),g_per_kwh\n2026-01-01 00:00,1\n2026-01-01 01:00,2\n"):
        for region in ("", "FR"):
            _asked("csv_trace", region, _always(head + data))


def _always(body: bytes) -> Get:
    def get(path: str, _headers: Mapping[str, str]) -> Reply:
        return Reply(200, {"x-name": "a.csv"}, b'{"token": "x"}' if path == "/login" else body)

    return get


def _asked(name: str, region: str, get: Get) -> None:
    query = Query(region, NOW - _DAY, NOW, NOW + _DAY, _SECRETS)
    made = provider(name)
    try:
        _holds(checked(made.fetch(query, get), made.title))
    except ProviderError as error:
        oracles.safe_message(error)


def _holds(signal: Signal) -> None:
    """What everyone relies on."""
    end: datetime | None = None
    for interval in signal.intervals:
        assert 0 <= interval.g_per_kwh <= MOST_G_PER_KWH
        assert interval.start < interval.end
        assert end is None or end <= interval.start
        end = interval.end
    for said in (signal.source, signal.place, signal.zone):
        oracles.safe_text(said, 300)

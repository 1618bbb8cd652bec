"""One question over HTTP: what is left of it after its limit of time."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from standins.web_server import Service, Told

from jupyter_energy.carbon.base import Secret
from jupyter_energy.carbon.web import Web
from jupyter_energy.errors import ProviderError

LIMIT_S = 0.1


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


def left_waiting(web: Web) -> list[threading.Thread]:
    """The threads that still ask when a question was not answered in time."""
    with pytest.raises(ProviderError) as raised:
        web("/x", {"auth-token": Secret("geheim")})
    assert raised.value.kind == "timeout"
    return [thread for thread in threading.enumerate() if thread.name == "jupyter-energy-web"]


def end(threads: list[threading.Thread]) -> bool:
    for thread in threads:
        thread.join(60)
    return not any(thread.is_alive() for thread in threads)


@contextmanager
def raw_server(answer: Callable[[socket.socket, threading.Event], None]) -> Iterator[int]:
    """The port of a server that answers below HTTP."""
    ended = threading.Event()

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = server.accept()
                threading.Thread(target=one, args=(connection,), daemon=True).start()

    def one(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            answer(connection, ended)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            ended.set()
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            thread.join(60)


def drips(head: bytes) -> Callable[[socket.socket, threading.Event], None]:
    """An answer that begins, and then comes byte by byte without end."""

    def answer(connection: socket.socket, ended: threading.Event) -> None:
        connection.recv(4096)
        connection.sendall(head)
        while not ended.wait(0.02):
            connection.sendall(b"a")

    return answer


def test_a_host_whose_name_is_found_after_the_limit_is_not_asked_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = threading.Event()
    resolve = socket.getaddrinfo

    def late(*how: object, **more: object) -> object:
        found.wait(60)
        return resolve(*how, **more)  # type: ignore[call-overload]  # whatever it was asked

    monkeypatch.setattr(socket, "getaddrinfo", late)
    with Service(lambda _: Told(200, {})).running() as served:
        asking = left_waiting(Web("The grid", served.url, LIMIT_S))
        found.set()
        assert end(asking)
    assert served.asked == []


@pytest.mark.parametrize(
    "head",
    [b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: "],
    ids=["body", "header"],
)
def test_nobody_waits_any_longer_for_a_server_that_drips(head: bytes) -> None:
    with raw_server(drips(head)) as port:
        assert end(left_waiting(Web("The grid", f"http://127.0.0.1:{port}", LIMIT_S)))


def test_nobody_waits_any_longer_for_a_proxy_that_drips(monkeypatch: pytest.MonkeyPatch) -> None:
    with raw_server(drips(b"HTTP/1.1 200 OK\r\nX: ")) as port:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
        assert end(left_waiting(Web("The grid", "https://grid.invalid", LIMIT_S)))

"""A local server that answers what it is told to, in the shapes that services document."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Asked:
    """A question that came: its path, its parameters, its headers in lower case."""

    path: str
    parameters: dict[str, str]
    headers: Mapping[str, str]


@dataclass
class Told:
    """What is answered: a status, a body (a document is sent as JSON), headers."""

    status: int = 200
    body: Any = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class Service:
    """Answers by `answer`; keeps what was asked. `never()` makes it silent, `drip()` slow."""

    def __init__(self, answer: Callable[[Asked], Told]) -> None:
        self.answer = answer
        self.asked: list[Asked] = []
        self.came = threading.Event()
        self._ended = threading.Event()
        self._silent = self._drips = False
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                service._serve(self)

            def log_message(self, *_: object) -> None:
                """Nothing on stderr."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def never(self) -> None:
        """Answer nothing from here on, until the end."""
        self._silent = True

    def drip(self) -> None:
        """Answer a byte now and then from here on."""
        self._drips = True

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        parameters = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        headers = {name.lower(): value for name, value in handler.headers.items()}
        asked = Asked(parts.path, parameters, headers)
        self.asked.append(asked)
        self.came.set()
        if self._silent:
            self._ended.wait()
            return
        told = self.answer(asked)
        body = told.body if isinstance(told.body, bytes) else json.dumps(told.body).encode()
        handler.send_response(told.status)
        for name, value in told.headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        try:
            if self._drips:
                for byte in body:
                    handler.wfile.write(bytes([byte]))
                    handler.wfile.flush()
                    if self._ended.wait(0.02):
                        return
            else:
                handler.wfile.write(body)
        except OSError:
            handler.close_connection = True

    @contextmanager
    def running(self) -> Iterator[Service]:
        """Serve until the end of the block."""
        thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            self._server.shutdown()
            self._server.server_close()
            thread.join()


def refusing() -> str:
    """An address where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"

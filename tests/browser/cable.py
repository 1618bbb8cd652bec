"""A cable to a server that can be pulled, as a laptop that sleeps or a network that fails does."""

from __future__ import annotations

import dataclasses
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

from browser.server import Server


class Cable:
    """Carries what is sent to a port of its own to a server's port, while it is plugged in."""

    def __init__(self, server: Server) -> None:
        self._to = urlsplit(server.url).port
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        self.server = dataclasses.replace(server, url=f"http://127.0.0.1:{port}/")
        self._lock = threading.Lock()
        self._is_plugged = True
        self._ends: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def pull(self) -> None:
        """End all connections, and let none through until `plug`."""
        with self._lock:
            self._is_plugged = False
            for end in self._ends:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def plug(self) -> None:
        """Let connections through again."""
        with self._lock:
            self._is_plugged = True

    def close(self) -> None:
        """End for good."""
        self.pull()
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):  # the listener was closed
            while True:
                page, _ = self._listener.accept()
                with self._lock:
                    if not self._is_plugged:
                        page.close()
                        continue
                    server = socket.create_connection(("127.0.0.1", self._to))
                    self._ends |= {page, server}
                for one, other in ((page, server), (server, page)):
                    threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):  # either end was closed
            while data := one.recv(65536):
                other.sendall(data)
        with self._lock:
            self._ends.discard(one)
            for end in (one, other):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)  # so that the other direction ends too
        one.close()


@contextmanager
def cable_to(server: Server) -> Iterator[Cable]:
    """A cable that is plugged in, gone after the block."""
    cable = Cable(server)
    try:
        yield cable
    finally:
        cable.close()

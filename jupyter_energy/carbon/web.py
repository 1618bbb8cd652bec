"""GET over HTTP with a limit on everything: time, size, where it may lead, what an error tells.

Nothing but GET exists here. A proxy of the environment is used (urllib's names: HTTPS_PROXY,
NO_PROXY); nothing is kept open between two questions.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)

from ..answer import Answer
from ..errors import ProviderError
from ..version import version
from .base import Reply

LIMIT_S = 5.0
# A day of a signal in steps of five minutes takes 30 kB.
MOST_BYTES = 4 * 2**20
LONGEST_RETRY_S = 24 * 3600.0
_AT_ONCE_BYTES = 2**16


class Web:
    """Asks one service. `title` is what people call it, `address` where it is."""

    def __init__(
        self,
        title: str,
        address: str,
        limit_s: float = LIMIT_S,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._title = title
        self._address = address.rstrip("/")
        self._limit_s = limit_s
        self._now = now
        self._open: set[_Question] = set()

    def __call__(self, path: str, headers: Mapping[str, str]) -> Reply:
        """What the service answers. Raises ProviderError; within the limit of time, also where a
        server sends a byte now and then, or where the name of the host is not found."""
        question = _Question(self._title, self._address + path, headers, self._limit_s, self._now)
        answered: Answer[Reply | ProviderError] = Answer()
        self._open.add(question)
        try:
            # On a thread of its own: to look a name up can neither be limited nor ended.
            threading.Thread(
                target=lambda: answered.set_result(question.ask()),
                name="jupyter-energy-web",
                daemon=True,
            ).start()
            came = answered.wait(self._limit_s)
        except RuntimeError:
            raise ProviderError(f"{self._title} was not asked: no thread", "unreachable") from None
        finally:
            self._open.discard(question)
            question.abort()
        if not came:
            raise ProviderError(
                f"{self._title} did not answer within {self._limit_s:g} s", "timeout"
            )
        found = answered.result()
        if isinstance(found, ProviderError):
            raise found
        return found

    def abort(self) -> None:
        """End the question that is under way."""
        for question in list(self._open):
            question.abort()


class _Question:
    """One GET."""

    def __init__(
        self,
        title: str,
        address: str,
        headers: Mapping[str, str],
        limit_s: float,
        now: Callable[[], datetime],
    ) -> None:
        self._title, self._address, self._headers = title, address, headers
        self._limit_s = limit_s
        self._now = now
        self._over = False
        self._sockets: list[socket.socket] = []

    def ask(self) -> Reply | ProviderError:
        """The answer, or why there is none. The error is made here, out of reach of the exception
        that it comes from: that one knows addresses, headers, and so tokens."""
        try:
            return self._asked()
        except _Elsewhere:
            return self._error("leads to another host", "refused")
        except HTTPError as error:
            with error:
                return self._of_status(error.code, error.headers.get("Retry-After"))
        except URLError as error:
            return self._of_connection(error.reason)
        except OSError as error:  # while the body was read
            return self._of_connection(error)
        except _TooLarge:
            return self._error(f"gave an answer of more than {MOST_BYTES >> 20} MiB", "garbage")
        except (HTTPException, ValueError):  # no HTTP; a header or an address that cannot be
            return self._error("gave an answer that is no HTTP", "garbage")
        except Exception as error:  # noqa: BLE001  whoever waits is to know
            return self._error(f"was not asked ({type(error).__name__})", "failed")
        finally:
            for one in self._sockets:
                one.close()

    def connected(self, *address: Any) -> socket.socket:
        """A connection as socket.create_connection makes it, and none once the question is over:
        what comes next is a header with a token. Raises OSError."""
        self._raise_if_over()
        made = socket.create_connection(*address)
        # Under the same connection TLS puts another socket in the place of this one.
        self._sockets.append(made.dup())
        try:
            self._raise_if_over()  # behind that: whoever ends it has seen the socket, or is seen
        except TimeoutError:
            made.close()
            raise
        return made

    def _raise_if_over(self) -> None:
        if self._over:
            raise TimeoutError

    def abort(self) -> None:
        """Have whoever waits for this connection wait no longer, and ask nothing any more."""
        self._over = True
        for one in list(self._sockets):
            with suppress(OSError, ValueError):
                one.shutdown(socket.SHUT_RDWR)

    def _asked(self) -> Reply:
        opener = OpenerDirector()
        for handler in (
            ProxyHandler(),
            _Http(self.connected),
            _Https(self.connected),
            HTTPDefaultErrorHandler(),
            HTTPErrorProcessor(),
            _SameHost(),
        ):
            opener.add_handler(handler)
        headers = {
            "Accept": "application/json",
            "User-Agent": f"jupyter-energy/{version()}",
            **self._headers,
        }
        # The scheme is checked where the setting is made (address.py).
        request = Request(self._address, headers=headers)  # noqa: S310
        with opener.open(request, timeout=self._limit_s) as response:
            return Reply(
                response.status,
                {name.lower(): value for name, value in response.headers.items()},
                _body(response),
            )

    def _of_status(self, status: int, retry_after: str | None) -> ProviderError:
        """What a status means."""
        said = f"(HTTP {status})"
        after_s = _retry_after_s(retry_after, self._now())
        if status == 401:
            return self._error(f"does not know this token {said}", "denied")
        if status == 403:
            return self._error(f"does not let this account ask that {said}", "forbidden")
        if status == 429:
            return self._error(f"wants to be asked less often {said}", "limited", after_s)
        if status >= 500:
            return self._error(f"did not answer {said}", "failed", after_s)
        return self._error(f"refused the question {said}", "refused", after_s)

    def _of_connection(self, why: object) -> ProviderError:
        """What kept us from asking, or from the whole answer."""
        import ssl

        if isinstance(why, TimeoutError):
            return self._error("did not answer in time", "timeout")
        if isinstance(why, socket.gaierror):
            return self._error("was not found (DNS)", "unreachable")
        if isinstance(why, ConnectionRefusedError):
            return self._error("cannot be reached (connection refused)", "unreachable")
        if isinstance(why, ssl.SSLCertVerificationError):
            return self._error("cannot be reached (its certificate is not trusted)", "unreachable")
        if isinstance(why, OSError):
            return self._error(f"cannot be reached ({type(why).__name__})", "unreachable")
        return self._error("cannot be reached", "unreachable")

    def _error(self, what: str, kind: str, retry_after_s: float | None = None) -> ProviderError:
        return ProviderError(f"{self._title} {what}", kind, retry_after_s)


class _Elsewhere(Exception):
    """A redirection to another host."""


class _TooLarge(Exception):
    """An answer that is longer than any of use."""


class _SameHost(HTTPRedirectHandler):
    """Goes where a server sends us only within that server: our headers hold tokens."""

    max_redirections = 3

    def redirect_request(
        self,
        req: Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Any,
        newurl: str,
    ) -> Request | None:
        """The next question. Raises _Elsewhere."""
        if urlsplit(newurl)[:2] != urlsplit(req.full_url)[:2]:
            raise _Elsewhere
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _Http(HTTPHandler):
    """Connects by way of a question, which another thread can end."""

    def __init__(self, connect: Callable[..., socket.socket]) -> None:
        super().__init__(debuglevel=0)  # the level of the class prints headers
        self._connect = connect

    def http_open(self, req: Request) -> HTTPResponse:
        """One question."""
        return self.do_open(_connecting(HTTPConnection, self._connect), req)


class _Https(HTTPSHandler):
    """The same over TLS, with the certificates that this machine trusts."""

    def __init__(self, connect: Callable[..., socket.socket]) -> None:
        super().__init__(debuglevel=0)
        self._connect = connect

    def https_open(self, req: Request) -> HTTPResponse:
        """One question."""
        return self.do_open(_connecting(HTTPSConnection, self._connect), req)


def _connecting(
    kind: type[HTTPConnection], connect: Callable[..., socket.socket]
) -> Callable[..., HTTPConnection]:
    """Makes connections of a kind that connect in a way of ours, before tunnel and TLS."""

    def connection(host: str, **how: Any) -> HTTPConnection:
        made = kind(host, **how)
        # http.client's own seam for this, since Python 2.7 (its tests use it too).
        made._create_connection = connect  # type: ignore[attr-defined]  # typeshed leaves it out
        return made

    return connection


def _body(response: HTTPResponse) -> bytes:
    """The whole body. Raises HTTPException for one that is cut, _TooLarge for one too large."""
    found = bytearray()
    while part := response.read(_AT_ONCE_BYTES):
        found += part
        if len(found) > MOST_BYTES:
            raise _TooLarge
    return bytes(found)


def _retry_after_s(said: str | None, now: datetime) -> float | None:
    """What a Retry-After header means in s: it holds seconds or a date (RFC 9110, 10.2.3)."""
    from email.utils import parsedate_to_datetime

    if said is None:
        return None
    after_s = 0.0
    try:
        if said.strip().isdecimal():
            after_s = float(said.strip()[:9])
        else:
            date = parsedate_to_datetime(said)
            after_s = (date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(after_s, 0.0), LONGEST_RETRY_S)

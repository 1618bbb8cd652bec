"""A cloud's instance metadata service on this machine's own address, with its documented manners.

AWS, "Use the Instance Metadata Service" (version 2 required): PUT /latest/api/token with a time to
live gives a token, without which every GET is 401. Google Cloud, "About VM metadata": the header
Metadata-Flavor is required, and stands in each answer. Azure, "Azure Instance Metadata Service":
the header Metadata is required, and a query without api-version is refused.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "AQAEAtokenthatnobodymaysee=="
Answer = tuple[int, dict[str, str], bytes]
# What a service answers: the method, the path, and the headers in small letters.
Service = Callable[[str, str, dict[str, str]], Answer]


def aws(region: str = "eu-west-3") -> Service:
    def answer(method: str, path: str, headers: dict[str, str]) -> Answer:
        if method == "PUT" and path == "/latest/api/token":
            ttl_s = headers.get("x-aws-ec2-metadata-token-ttl-seconds", "")
            if not (ttl_s.isdigit() and 1 <= int(ttl_s) <= 21600):
                return 400, {}, b"Bad Request"
            return 200, {"X-Aws-Ec2-Metadata-Token-Ttl-Seconds": ttl_s}, TOKEN.encode()
        if headers.get("x-aws-ec2-metadata-token") != TOKEN:
            return 401, {}, b"Unauthorized"
        if method == "GET" and path == "/latest/meta-data/placement/region":
            return 200, {"Content-Type": "text/plain"}, region.encode()
        return 404, {}, b"Not Found"

    return answer


def gcp(zone: str = "projects/123456789/zones/europe-west9-a", flavor: str = "Google") -> Service:
    def answer(method: str, path: str, headers: dict[str, str]) -> Answer:
        if headers.get("metadata-flavor") != "Google":
            return 403, {}, b"Forbidden"
        if (method, path) != ("GET", "/computeMetadata/v1/instance/zone"):
            return 404, {}, b"Not Found"
        return 200, {"Metadata-Flavor": flavor}, zone.encode()

    return answer


def azure(location: str = "westeurope") -> Service:
    def answer(method: str, path: str, headers: dict[str, str]) -> Answer:
        if headers.get("metadata") != "true" or "api-version=2021-02-01" not in path:
            return 400, {}, b'{"error":"Bad request"}'
        if method != "GET" or not path.startswith("/metadata/instance/compute/location?"):
            return 404, {}, b"Not Found"
        return 200, {"Content-Type": "text/plain; charset=utf-8"}, location.encode()

    return answer


class Standing:
    """A service that stands: where, and what it was asked, as "PUT /latest/api/token"."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.asked: list[str] = []


@contextmanager
def standing(service: Service) -> Iterator[Standing]:
    """A server that answers as `service` does, until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            stands.asked.append(f"{self.command} {self.path}")
            headers = {name.lower(): value for name, value in self.headers.items()}
            # Both refuse what came through a proxy, and a client that uses one is refused here.
            proxied = "x-forwarded-for" in headers or self.path.startswith("http")
            status, more, body = (
                (403, {}, b"") if proxied else service(self.command, self.path, headers)
            )
            self.send_response(status)
            for name, value in more.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_PUT(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Nothing is printed."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    stands = Standing(f"127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield stands
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

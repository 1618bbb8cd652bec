"""The region of a rented machine, asked of the machine's own cloud over a link-local address.

Only where the firmware names the cloud and the user said `zone auto`. One try, 0.3 s in all, no
proxy, no name looked up, no credentials; asked for the region alone, never for the document with
the account in it. The requests are those of the clouds' own documentation:

- AWS, "Use the Instance Metadata Service", version 2: a token first, then placement/region
- Google Cloud, "About VM metadata": instance/zone
- Azure, "Azure Instance Metadata Service": instance/compute/location
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from .platforms import CLOUD_NAMES

if TYPE_CHECKING:
    from http.client import HTTPResponse

# The same for all three. Google's name for it, metadata.google.internal, needs a name server.
ADDRESS = ("169.254.169.254", 80)
# Within a bridged container AWS's answer never comes: its hops are limited to one.
LIMIT_S = 0.3
# For tests, and for a machine that has the service elsewhere: an IP address that is the machine's
# own or link-local, and a port.
ADDRESS_VARIABLE = "JUPYTER_ENERGY_METADATA"
_LONGEST = 16384
_REGION = re.compile(r"[a-z][a-z0-9-]{1,39}")
_GOOGLE_ZONE = re.compile(r"projects/[^/]+/zones/([a-z][a-z0-9-]{1,39})-[a-z]")


@dataclass(frozen=True, slots=True)
class Told:
    """A region ("aws:eu-west-3"), or None and why not; `final` is False while nobody answered."""

    zone: str | None
    why: str = ""
    final: bool = True


def is_asked(cloud: str, environ: Mapping[str, str]) -> bool:
    """Whether a cloud is asked, which AWS's own users may have switched off."""
    return cloud != "aws" or environ.get("AWS_EC2_METADATA_DISABLED", "").lower() != "true"


def address_of(environ: Mapping[str, str]) -> str:
    """Where the clouds' services are, for people to read."""
    return environ.get(ADDRESS_VARIABLE) or ADDRESS[0]


def region(cloud: str, environ: Mapping[str, str], limit_s: float = LIMIT_S) -> Told:
    """What the cloud ("aws", "gcp", "azure") says of this machine's region. Never raises.

    Takes `limit_s` at most.
    """
    name = CLOUD_NAMES[cloud]
    if not is_asked(cloud, environ):
        return Told(None, f"{name} is not asked: AWS_EC2_METADATA_DISABLED is set")
    try:
        address = _address(environ)
        found = _ASK[cloud](address, monotonic() + limit_s)
    except TimeoutError:
        return Told(None, f"{name} did not tell its region within {limit_s:g} s")
    except (OSError, ValueError) as error:
        return Told(None, f"{name} did not tell its region: {error}")
    return Told(f"{cloud}:{found}")


def _aws(address: tuple[str, int], until: float) -> str:
    lasts = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    token, _ = _asked(address, "PUT", "/latest/api/token", lasts, until)
    if not re.fullmatch(r"[\x21-\x7e]{1,1000}", token):  # it becomes a line of a request
        raise ValueError("its token is none")
    sent = {"X-aws-ec2-metadata-token": token}
    found, _ = _asked(address, "GET", "/latest/meta-data/placement/region", sent, until)
    return _checked(found)


def _gcp(address: tuple[str, int], until: float) -> str:
    flavor = {"Metadata-Flavor": "Google", "Host": "metadata.google.internal"}
    zone, answer = _asked(address, "GET", "/computeMetadata/v1/instance/zone", flavor, until)
    if answer.getheader("Metadata-Flavor") != "Google":
        raise ValueError("what answered is not Google's service")
    # The number of the project stands before the zone, and is dropped here.
    match = _GOOGLE_ZONE.fullmatch(zone)
    return _checked(match[1] if match else "")


def _azure(address: tuple[str, int], until: float) -> str:
    path = "/metadata/instance/compute/location?api-version=2021-02-01&format=text"
    return _checked(_asked(address, "GET", path, {"Metadata": "true"}, until)[0])


_ASK = {"aws": _aws, "gcp": _gcp, "azure": _azure}


def _checked(text: str) -> str:
    if not _REGION.fullmatch(text):
        raise ValueError("its answer is no region")
    return text


def _asked(
    address: tuple[str, int], method: str, path: str, headers: Mapping[str, str], until: float
) -> tuple[str, HTTPResponse]:
    """One request's answer, as text and with its headers. Raises OSError, ValueError.

    The deadline holds for the whole of it, however slowly the bytes drip.
    """
    import socket

    host = {"Host": address[0], "Connection": "close"}
    lines = [f"{method} {path} HTTP/1.1", *(f"{k}: {v}" for k, v in {**host, **headers}.items())]
    if method == "PUT":
        lines.append("Content-Length: 0")
    with socket.create_connection(address, timeout=_left(until)) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode("ascii"))
        data = b""
        while len(data) < _LONGEST:
            connection.settimeout(_left(until))
            more = connection.recv(4096)
            data += more
            if (whole := _answer(data, ended=not more)) is not None:
                return whole
    raise ValueError("its answer has no end")


def _left(until: float) -> float:
    """The seconds that are left, above 0. Raises TimeoutError."""
    left_s = until - monotonic()
    if left_s <= 0:
        raise TimeoutError
    return left_s


def _answer(data: bytes, ended: bool) -> tuple[str, HTTPResponse] | None:
    """The answer that `data` is; None where more of it is to come. Raises ValueError."""
    from http.client import HTTPException, HTTPResponse, IncompleteRead
    from io import BytesIO

    if not ended and b"\r\n\r\n" not in data:
        return None

    class Received:
        """What was read, as the connection that a response reads from."""

        def makefile(self, *_: object) -> BytesIO:
            return BytesIO(data)

    response = HTTPResponse(Received())  # type: ignore[arg-type]  # it calls makefile alone
    try:
        response.begin()
        if not ended and response.length is None and not response.chunked:
            return None  # such an answer ends where the connection does
        body = response.read()
    except IncompleteRead:
        if ended:
            raise ValueError("its answer was cut off") from None
        return None
    except (HTTPException, OverflowError):  # a length beyond any number of the machine
        raise ValueError("its answer is no HTTP") from None
    if response.status != 200:
        raise ValueError(f"it answered {response.status}")
    return body.decode("utf-8", "replace").strip(), response


def _address(environ: Mapping[str, str]) -> tuple[str, int]:
    """Where the service is. Raises ValueError for an address that leaves this machine."""
    said = environ.get(ADDRESS_VARIABLE)
    if not said:
        return ADDRESS
    from ipaddress import ip_address

    host, _, port = said.rpartition(":")
    where = ip_address(host.strip("[]"))
    if not (where.is_loopback or where.is_link_local):
        raise ValueError(f"{ADDRESS_VARIABLE} is neither link-local nor this machine's own")
    return str(where), int(port)

"""An address of the user's for a service, checked without what it takes to ask there."""

from __future__ import annotations

from urllib.parse import urlsplit

from ..errors import WrongUse


def checked_address(address: str) -> str:
    """An address that a service may be asked at, without a slash at its end. Raises WrongUse."""
    try:
        parts = urlsplit(address)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number
        usable = False
    if not usable or not address.isascii() or any(c.isspace() for c in address):
        raise WrongUse("provider_url is no address: write one such as https://proxy.example/carbon")
    if "@" in parts.netloc or parts.query or parts.fragment:
        # It is shown, and tokens have places of their own.
        raise WrongUse(
            "provider_url holds more than a host and a path: leave out name, password, ?"
        )
    return address.rstrip("/")

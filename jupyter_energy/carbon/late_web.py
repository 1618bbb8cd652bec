"""A service on the network, whose library is imported by the thread that first asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..errors import ProviderError
from .base import Reply

if TYPE_CHECKING:
    from .web import Web


class LateWeb:
    """Asks a service by HTTP. To import what that takes lasts a tenth of a second, and a cell has
    begun meanwhile."""

    def __init__(self, title: str, address: str) -> None:
        self._title, self._address = title, address
        self._web: Web | None = None
        self._is_over = False

    def __call__(self, path: str, headers: Mapping[str, str]) -> Reply:
        """What the service answers. Raises ProviderError."""
        from .web import Web

        if self._web is None:
            self._web = Web(self._title, self._address)
        if self._is_over:
            raise ProviderError(f"{self._title} is asked no more", "failed")
        return self._web(path, headers)

    def abort(self) -> None:
        """End the question that is under way, and ask no other one."""
        self._is_over = True
        if self._web is not None:
            self._web.abort()

"""What a provider of carbon intensity is: one live service, one file, two verbs.

A provider file has `provider() -> Provider`, and one line in `PROVIDERS`. It knows what its
service calls a place, and how to read the service's answers; when to ask, what to keep and what
to do where it fails is feed.py's. It raises UnknownZone for a place that the service does not
know; it never answers with a neighbour. It reads no clock, no file, no environment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

Quality = Literal["measured", "estimated", "forecast"]


@dataclass(frozen=True, slots=True)
class Interval:
    """From `start` to `end` (UTC, `end` excluded) a kWh stands for `g_per_kwh` grams of CO2e.

    `fetched` is when the service said so (UTC).
    """

    start: datetime
    end: datetime
    g_per_kwh: float
    quality: Quality
    fetched: datetime | None = None


@dataclass(frozen=True, slots=True)
class Signal:
    """What a service says of one place: intervals in order, none overlapping, gaps allowed.

    `zone` is what the service calls the place, `step_s` the usual length of an interval; `source`
    names the service, and the licence where that asks for it. `fetched` is when it was asked (UTC).
    """

    zone: str
    place: str
    kind: Literal["average", "marginal"]
    boundary: Literal["consumption", "production"]
    scope: Literal["lifecycle", "direct"]
    step_s: float
    source: str
    url: str
    fetched: datetime
    intervals: tuple[Interval, ...]


class Secret(str):
    """A token or a password: its repr, which tracebacks and logs show, does not tell it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'…'"


class Named(str):
    """A place by the provider's own name, as the user wrote it: no zone of ours."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked of a service: a region between two moments (UTC).

    What lies after `now` is its forecast; where `end` is `now`, none is wanted. `secrets` has
    those that the provider named.
    """

    region: str
    start: datetime
    now: datetime
    end: datetime
    secrets: Mapping[str, Secret]


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered: its status, the headers in lower case, and the body.

    Its repr shows neither of them: a careless server sends back what it was sent.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


# One GET: what follows the service's address ("/intensity?x=1"), and headers, whose values are
# Secret where they hold one. Raises ProviderError for whatever is no 2xx answer; never follows a
# redirection to another host.
Get = Callable[[str, Mapping[str, str]], Reply]


class Provider(Protocol):
    """A live source of grams of CO2e a kWh, by place and time.

    One whose values are late as a rule may say by how much, in s, as `delay_s`: the last one holds
    so much longer.
    """

    @property
    def name(self) -> str:
        """The name of the provider in settings, such as "energy_charts"."""

    @property
    def title(self) -> str:
        """What people call it, such as "Energy-Charts"."""

    @property
    def step_s(self) -> float:
        """How long a value holds, in s; it is asked no more often."""

    @property
    def url(self) -> str:
        """Where it is asked unless the user says otherwise, without a slash at the end."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """The names of what one needs to be let in, such as ("token",); empty: nothing."""

    def region(self, zone: str) -> str:
        """What the service calls a place: one of ours ("FR", "EM:DK-DK1", "US-CA"), or one of its
        own, which a user wrote as `Energy.provider_zone`; that is a Named.

        Raises UnknownZone, with a text that says what would be right.
        """

    def fetch(self, query: Query, get: Get) -> Signal:
        """What the service says, whatever it does not tell left out. Raises ProviderError."""

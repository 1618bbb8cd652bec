"""What a provider of carbon intensity is: one table or service, one verb.

A provider file has `provider() -> Provider`, and one line in `PROVIDERS`. A provider answers for
the places it knows and raises UnknownZone for all others; it never answers with a neighbour.
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from ..model import CarbonIntensity


class Provider(Protocol):
    """A source of grams of CO2e a kWh, by place and time."""

    @property
    def name(self) -> str:
        """The name of the provider in settings, such as "static"."""

    def at(self, zone: str, when: datetime) -> CarbonIntensity:
        """The intensity in g CO2e/kWh in `zone` at `when` (UTC).

        `how` is empty: who asks knows how the place was found. Raises UnknownZone, with a text
        that says what would be right.
        """

"""What users ask for, as numbers: how long a run takes, and how much longer it may take."""

from __future__ import annotations

import re
from dataclasses import dataclass
from numbers import Real
from typing import Any

from ..errors import WrongUse

S_PER_HOUR = 3600.0
_S_PER = {"s": 1.0, "min": 60.0, "m": 60.0, "h": S_PER_HOUR, "d": 24 * S_PER_HOUR}
_SPAN = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*(s|min|m|h|d)\s*", re.ASCII)
_SHARE = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*%\s*", re.ASCII)
# Longer than any forecast, and than any trace that is planned over.
LONGEST_S = 366 * 24 * S_PER_HOUR


@dataclass(frozen=True, slots=True)
class Extend:
    """How much longer a run may take than without pauses: a share of its own time (0.5: half as
    long again), or an absolute time in s; the other one is None."""

    share: float | None
    seconds: float | None

    def slack_s(self, run_s: float) -> float:
        """How long a run of `run_s` may be paused in all, in s."""
        return self.seconds if self.seconds is not None else (self.share or 0.0) * run_s


def extend_of(given: object) -> Extend:
    """What "50%" or "6h" asks for. Raises WrongUse."""
    if isinstance(given, str):
        if (found := _SHARE.fullmatch(given)) and float(found[1]) <= 1000:
            return Extend(float(found[1]) / 100, None)
        if (seconds := _seconds(given)) is not None:
            return Extend(None, seconds)
    raise WrongUse(
        f'extend is {given!r:.40}: write how much longer it may take, such as "50%" or "6h"'
    )


def wait_of(given: object) -> float:
    """The s that "6h" or "90min" asks for. Raises WrongUse."""
    seconds = _seconds(given) if isinstance(given, str) else None
    if seconds is None:
        raise WrongUse(
            f'max_wait is {given!r:.40}: write how long it may wait, such as "6h" or "90min"'
        )
    return seconds


def hours_of(given: object) -> float:
    """The s of a number of hours. Raises WrongUse."""
    if not isinstance(given, bool) and isinstance(given, Real):
        hours: Any = given  # typeshed's Real has no order
        if hours > LONGEST_S / S_PER_HOUR:  # before it is a float, which it may be too large for
            raise WrongUse(f"hours is {given!r:.40}: plans are for a year at most")
        if hours > 0:  # false for NaN as well
            return float(hours) * S_PER_HOUR
    raise WrongUse(f"hours is {given!r:.40}: write how many hours the run takes, such as 3 or 0.5")


def anyway_of(given: object) -> bool:
    """Whether the machine runs anyway. Raises WrongUse."""
    if not isinstance(given, bool):
        raise WrongUse(
            f"on_anyway is {given!r:.40}: write True where the machine runs anyway, else False"
        )
    return given


def _seconds(text: str) -> float | None:
    found = _SPAN.fullmatch(text)
    if found is None:
        return None
    seconds = float(found[1]) * _S_PER[found[2]]
    return seconds if seconds <= LONGEST_S else None

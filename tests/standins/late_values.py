"""Great Britain's service, whose value of a half hour comes after it: 300 g CO2e/kWh for two hours
by its forecast, then 30. It has told what was once it `is_there`; it fails while it `is_down`."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from .web_server import Asked, Service, Told

STEP_S = 1800
DIRTY_G, CLEAN_G, TRUE_G = 300, 30, 240


class LateValues:
    """What the service answers, and what it was asked."""

    def __init__(self) -> None:
        self.is_there = self.is_down = False
        self.clean_s = int(time.time()) + 2 * 3600
        self.service = Service(self._answer)

    def _answer(self, asked: Asked) -> Told:
        if self.is_down:
            return Told(503)
        if not asked.path.startswith("/intensity/"):
            return Told(404)
        now = int(time.time()) // STEP_S * STEP_S
        halves = [self._half(start, now) for start in range(now - 86400, now + 172800, STEP_S)]
        return Told(200, {"data": halves})

    def _half(self, start: int, now: int) -> dict[str, object]:
        expected = DIRTY_G if start < self.clean_s else CLEAN_G
        # In the end all that has begun is known, at first what began a day before.
        known = now if self.is_there else now - 2 * STEP_S - 86400
        told = {"forecast": expected, "actual": TRUE_G if start <= known else None}
        return {"from": _text(start), "to": _text(start + STEP_S), "intensity": told}


def _text(moment_s: int) -> str:
    return f"{datetime.fromtimestamp(moment_s, UTC):%Y-%m-%dT%H:%MZ}"

"""What a kernel draws that waits for a cleaner start: a cost that no start has in it. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..units import percent
from .pausing import ASSUMED_IDLE, Powers


def wait_share(until: Sequence[float], idle: float, now_cost: float, passed: float = 0.0) -> float:
    """What a wait adds, as a share of what the run costs at once (`now_cost`), 2.1: 210 %.

    `until` has g/kWh of the slots up to the start, of whose first one a part has `passed`; one
    that nobody knows has the mean of the others. `idle` is what a slot of it draws, in the unit
    that makes `now_cost` of g/kWh. 0 where nothing of it is known, or a run at once costs nothing.
    """
    known = [value for value in until if math.isfinite(value)]
    if not known or now_cost <= 0:
        return 0.0
    mean = math.fsum(known) / len(known)
    slots = [value if math.isfinite(value) else mean for value in until]
    return idle * (math.fsum(slots) - passed * slots[0]) / now_cost


def wait_words(share: float, saved_fraction: float, powers: Powers, like: str = "") -> str:
    """A wait's share in words: what it rests on, and whether it is more than the start saves;
    `like` says what the run's power is taken from, where that is another's."""
    verb, how = "assumed to draw", ""
    if powers.is_measured or powers.estimated is not None:
        word = "measured" if powers.is_measured else "estimated"
        verb, how = "drawing", f", as {word} between cells"
    of_memory = f"memory's whole, {percent(ASSUMED_IDLE)} of the rest"
    bracket = "; ".join(filter(None, (like, of_memory if powers.constant and not how else "")))
    of = f"{percent(powers.idle)} of the run's power"
    draws = f"{verb} {of}" + (f" ({bracket})" if bracket else "") + how
    more = ""
    if share > saved_fraction:
        more = ": if the machine is on for this run alone, that is more than it saves"
    return f"the wait itself adds about {percent(share)} of the run's emissions, {draws}{more}"

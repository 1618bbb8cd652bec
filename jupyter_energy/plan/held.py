"""A kernel that waits for a cleaner start: what it draws, and when it had best begin. Pure.

Flexible Start begins a machine later too. A run that is held keeps its machine on meanwhile, and
what that draws is a cost of its start, as of a pause (pausing.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ..documents import utc_text
from ..units import J_PER_KWH, duration, percent
from . import LEAST_SAVING
from .nouns import SLOT_S, Job, Outlook
from .pausing import ASSUMED_IDLE, Powers
from .saved import costs_of, energy_of
from .shapes import HeldJson, ItemJson, StartJson
from .shifting import EPSILON, Schedule, starts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]


def drawn_until(price: Sequence[float], idle: float, passed: float = 0.0) -> Numbers:
    """What a kernel draws that waits until the begin of each slot of `price`, and to its end;
    `idle` is what a slot of it draws, `passed` the part of the first slot that is over.

    A slot without a price has the mean of the others, as a pause in one has.
    """
    import numpy as np

    series = np.asarray(price, dtype=float)
    known = np.isfinite(series)
    filled = np.where(known, series, series[known].mean() if known.any() else 0.0)
    filled[:1] *= 1 - passed
    return np.concatenate(([0.0], idle * np.cumsum(filled)))


def earliest_best(costs: Numbers) -> int | None:
    """The slot whose cost is the least, of equal ones the first; None where none is known."""
    import numpy as np

    if np.isnan(costs).all():
        return None
    return int(np.argmax(costs <= np.nanmin(costs) + EPSILON * np.nanmax(costs)))


def held_start(
    job: Job, outlook: Outlook, found: Schedule, slack: int, powers: Powers
) -> tuple[float, HeldJson | None]:
    """What a kernel adds that waits for a start that was found, as a share of running now; and when
    one had best begin that has so many slots to spare, None where that saves less than 2 %.

    Of what the outlook says that a start saves, as much counts as `found` promises of its own: by a
    typical day that is less (saved.promised), or nothing.
    """
    until = drawn_until(outlook.g_per_kwh, costs_of(job, powers)[1] / J_PER_KWH)
    runs = starts(energy_of(job), outlook.g_per_kwh)[: slack + 1]
    now_g = found.now_g
    if not now_g:
        return 0.0, None
    most_g = now_g - float(runs[found.start])
    kept = (now_g - found.carbon_g) / most_g if most_g > 0 else 0.0
    costs = now_g - kept * (now_g - runs) + until[: len(runs)]
    best, adds = earliest_best(costs), float(until[found.start]) / now_g
    saved = 0.0 if best is None else 1 - float(costs[best]) / now_g
    if best is None or saved < LEAST_SAVING:
        return adds, None
    start = outlook.begin + timedelta(seconds=best * SLOT_S)
    return adds, HeldJson(start=utc_text(start), saved_fraction=saved)


def draws(powers: Powers, like: str = "") -> str:
    """What a kernel that waits draws, and whose word that is: "assumed to draw 30 % of the run's
    power"; `like` says what the run's power is taken from, where that is another's."""
    verb, how = "assumed to draw", ""
    if powers.is_measured or powers.estimated is not None:
        word = "measured" if powers.is_measured else "estimated"
        verb, how = "drawing", f", as {word} between cells"
    of_memory = f"memory's whole, {percent(ASSUMED_IDLE)} of the rest"
    bracket = "; ".join(filter(None, (like, of_memory if powers.constant and not how else "")))
    of = f"{percent(powers.idle)} of the run's power"
    return f"{verb} {of}" + (f" ({bracket})" if bracket else "") + how


def waits_words(outlook: Outlook, start: StartJson, powers: Powers) -> str:
    """Whose saving that of a start is, and what a kernel saves that waits, in words."""
    if powers.on_anyway:
        return "as the machine runs anyway, the wait adds nothing"
    told = "that is the saving of a machine that is started then; a kernel that waits"
    held = start["held"]
    if held is None:
        is_more = start["wait_fraction"] > start["saved_fraction"]
        less = "more than it saves" if is_more else "so that less than 2 % is saved"
        adds = f"adds about {percent(start['wait_fraction'])} of the run's emissions"
        return f"{told} {adds}, {draws(powers)}, {less}: start the notebook then"
    saves = f"saves about {percent(held['saved_fraction'])}, what it draws taken off"
    if held["start"] == start["start"]:
        return f"{told} for it {saves} ({draws(powers)})"
    wait_s = (datetime.fromisoformat(held["start"]) - outlook.begin).total_seconds()
    return f"{told} had best begin {duration(wait_s)} later and {saves} ({draws(powers)})"


def worth(item: ItemJson, start: StartJson | None) -> float:
    """The share that a piece of advice saves if its command is what is done: that of a start holds
    a kernel until then, which saves less than a machine that is started then."""
    if item["what"] == "start" and item["command"] and start is not None and start["held"]:
        return start["held"]["saved_fraction"]
    return item["saved_fraction"]["mid"]

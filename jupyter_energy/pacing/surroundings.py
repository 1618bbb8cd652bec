"""What a shifted run looks at while it is held: clocks, a wait, forecasts; given, so that it can be
tried with others."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from ..answer import Answer
from ..plan.nouns import SLOT_S, Outlook

if TYPE_CHECKING:
    from ..monitor import Monitor

# An outlook, or None; and in words why there is none, or what is doubtful about it.
Found = tuple[Outlook | None, list[str]]
# A wait is cut into these, in s: a machine that was suspended meanwhile is found awake so soon.
# On Windows no lock that is waited for is interrupted by Ctrl-C (bpo-29971).
SLICE_S = 0.5 if os.name == "nt" else 5.0
# Where a service is being asked by another thread or process, its answer is looked for so often
# and so long, in s.
LOOK_S, ASKING_S = 0.1, 8.0


class Says(Protocol):
    """What shows how a shifted run stands."""

    def say(self, text: str, is_last: bool = False) -> None:
        """Show a text in place of the last one."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The clocks (UTC; monotonic, in s), how so many s are waited, how forecasts are asked for (off
    this thread: `find` is given when the outlook begins and how many s are wanted of it), where it
    is told how the run stands, and what ends it all."""

    utc: Callable[[], datetime]
    monotonic_s: Callable[[], float]
    wait: Callable[[float], object]
    find: Callable[[datetime, float], Answer[Found]]
    line: Says
    close: Callable[[], object]


def here(monitor: Monitor) -> Surroundings:
    """Those of this process; the thread that asks for forecasts ends with `close`."""
    from ..outlooks import find as found
    from ..worker import Worker
    from .telling import Line

    worker = Worker("jupyter-energy-pacing")

    def find(begin: datetime, length_s: float) -> Answer[Found]:
        factors, settings = monitor.factors, monitor.settings

        def looked() -> Found:
            # The thread that keeps live values fresh, or another kernel, may just be asking.
            until_s = time.monotonic() + ASKING_S
            while settings.provider and factors.ahead() == (None, None):
                if time.monotonic() >= until_s:
                    break
                time.sleep(LOOK_S)
            outlook, said = found(factors, settings, begin, length_s)
            if outlook is None or not math.isnan(outlook.g_per_kwh[0]):
                return outlook, said
            # Its values begin within the slot of now, as a file may: from now on they are known.
            of_now, _ = found(factors, settings, datetime.now(UTC), SLOT_S)
            if of_now is None or of_now.basis != outlook.basis:
                return outlook, said
            values = (of_now.g_per_kwh[0], *outlook.g_per_kwh[1:])
            return replace(outlook, g_per_kwh=values), said

        return worker.submit(looked)

    return Surroundings(
        utc=lambda: datetime.now(UTC),
        monotonic_s=time.monotonic,
        # Of an answer that never comes: its lock is no one else's (answer.py), and Ctrl-C ends it.
        wait=lambda seconds: Answer[None]().wait(seconds),
        find=find,
        line=Line(),
        close=lambda: worker.close(0.0),
    )

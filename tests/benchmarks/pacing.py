"""What a paced loop costs at each step while nothing is to be done: the loop is empty.

In turns with the plain loop; and a plan for a week of steps by a forecast of two days.
"""

from __future__ import annotations

import sys
import time
from collections import deque

from common import ROOT, Row, quartiles

sys.path.insert(0, str(ROOT / "tests"))
sys.path.insert(0, str(ROOT))

from standins.moved_clock import MovedClock, around, outlook, series

from jupyter_energy.pacing.loops import carbon_aware
from jupyter_energy.pacing.planning import pauses
from jupyter_energy.plan.pausing import Powers

NAME = "pacing"
STEPS, TURNS = 200_000, 15
NS = 1e9


def run() -> list[Row]:
    """ns a step without us and with us; ms a plan."""
    clock = MovedClock()
    flat = around(clock, series([100.0] * 12))
    plain, paced = [], []
    for _ in range(TURNS):
        for found, loop in (
            (plain, range(STEPS)),
            (paced, carbon_aware(range(STEPS), hours=1, around=flat)),
        ):
            began_s = time.perf_counter()
            deque(loop, maxlen=0)
            found.append((time.perf_counter() - began_s) / STEPS * NS)
    days = outlook([100.0 + slot % 288 for slot in range(2 * 288)])
    plans = []
    for _ in range(TURNS):
        began_s = time.perf_counter()
        pauses(days, clock.utc(), 7 * 86400.0, 7 * 43200.0, Powers())
        plans.append((time.perf_counter() - began_s) * 1e3)
    return [
        Row("a step of an empty loop", "ns", quartiles(plain)),
        Row("a step of an empty loop that is paced", "ns", quartiles(paced), 1000),
        Row("a plan over two days", "ms", quartiles(plans)),
    ]

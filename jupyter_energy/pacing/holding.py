"""Holds a run until a moment that may be moved while it waits."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from .surroundings import SLICE_S, Surroundings


def hold(
    around: Surroundings, until: datetime, limit_s: float, again: Callable[[], datetime | None]
) -> float:
    """Wait until a moment (UTC), `limit_s` at most; how long it took, in s.

    `again` is asked every few seconds: another moment to wait until, or None: the same. It is over
    as soon as the wall clock is there, as after a machine's sleep, or the other clock has counted
    the time that it was to take: a wall clock that is set back holds nobody longer. What is raised
    meanwhile, Ctrl-C above all, goes through.
    """
    began_s, began = around.monotonic_s(), around.utc()
    ends_s = began_s + min(limit_s, (until - began).total_seconds())
    while True:
        now_s = around.monotonic_s()
        left_s = min(ends_s - now_s, (until - around.utc()).total_seconds())
        if left_s <= 0:
            # A machine's sleep is in the wall clock alone.
            return max(now_s - began_s, (around.utc() - began).total_seconds(), 0.0)
        around.wait(min(left_s, SLICE_S))
        moved = again()
        if moved is not None:
            until = moved
            left_s = (until - around.utc()).total_seconds()
            ends_s = min(began_s + limit_s, around.monotonic_s() + left_s)

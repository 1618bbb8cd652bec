"""The runs of a repeated body, one by one: what the loop around it iterates over.

Runs on the user's thread, between two runs of their code, so it does little and never raises.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from .repeat import LIMIT_S, Repetition, block_sizes


def runs(
    repetition: Repetition,
    mark: Callable[[], None],
    tick: Callable[[float], None],
    block_s: float,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[tuple[()]]:
    """Empty tuples, one for each run but the last, which stands behind the loop.

    `mark` is called at the end of each block but the last, `tick` after each run, with the time in
    s since the first began. A block of `-r auto` lasts `block_s` at least; a run that is under way
    when its time is over is waited for. What `mark` or `tick` raise is theirs alone.
    """
    if repetition.asked is None:
        yield from _auto(repetition, mark, tick, block_s, clock)
    else:
        yield from _asked(repetition, repetition.asked, mark, tick, clock)
    repetition.begun += 1


def _asked(
    repetition: Repetition,
    asked: int,
    mark: Callable[[], None],
    tick: Callable[[float], None],
    clock: Callable[[], float],
) -> Iterator[tuple[()]]:
    *blocks, last = block_sizes(asked)
    began_s = clock()
    for size in blocks:
        for _ in range(size):
            repetition.begun += 1
            yield ()
            with suppress(Exception):
                tick(clock() - began_s)
        with suppress(Exception):
            mark()
    for _ in range(last - 1):
        repetition.begun += 1
        yield ()
        with suppress(Exception):
            tick(clock() - began_s)


def _auto(
    repetition: Repetition,
    mark: Callable[[], None],
    tick: Callable[[float], None],
    block_s: float,
    clock: Callable[[], float],
) -> Iterator[tuple[()]]:
    # By its time and not by a number of runs that the first block gave: a first run that imports
    # or compiles says little of the next.
    began_s = block_began_s = clock()
    while True:
        repetition.begun += 1
        yield ()
        now_s = clock()
        with suppress(Exception):
            tick(now_s - began_s)
        is_over = now_s - began_s >= LIMIT_S
        if now_s - block_began_s < block_s and not is_over:
            continue
        with suppress(Exception):
            mark()
        if is_over or repetition.narrow:
            return
        block_began_s = clock()

"""Windows of one counter, end to end, nested, overlapping and looked into, through the sampler."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulation import Counter, Load
from standins.sensors import LIMIT_S
from standins.stepped import SteppedClock

from jupyter_energy.model import Sample
from jupyter_energy.sampler import Sampler
from jupyter_energy.sensors.base import Discovery, Machine
from jupyter_energy.trace import Trace
from jupyter_energy.uncertainty import Uncertain
from jupyter_energy.window import Edge, between, measure

START = datetime(2026, 11, 22, tzinfo=UTC)
PERIOD_S, LEAST_W, MOST_W = 0.1, 50.0, 700.0
BEGIN_S = 1.0

loads = st.lists(
    st.tuples(st.floats(0.05, 3.0), st.floats(LEAST_W, MOST_W)), min_size=1, max_size=20
).map(lambda pieces: Load.of([*pieces, (math.inf, LEAST_W)]))
phases = st.floats(0, PERIOD_S, exclude_max=True)
# Longer than any correction of an edge can be of, so that none is cut off at 0 J.
durations = st.lists(st.floats(1.0, 5.0), min_size=2, max_size=8)


def energy(found: Any) -> Uncertain:
    assert isinstance(found.energy, Uncertain), found.reason
    return found.energy


def windows(sensor: Counter, edges_s: Sequence[float]) -> tuple[list[Uncertain], Uncertain]:
    """The windows between each two moments, and the one from the first to the last."""
    trace, samples = Trace(sensor), []
    for t_s in edges_s:
        sensor.now_s = t_s
        samples.append(trace.add(t_s, sensor.read()))
    pairs = itertools.pairwise(zip(edges_s, samples, strict=True))
    parts = [energy(between(sensor, a, b, a_s, b_s)) for (a_s, a), (b_s, b) in pairs]
    whole = between(sensor, samples[0], samples[-1], edges_s[0], edges_s[-1])
    return parts, energy(whole)


@given(loads, phases, durations)
def test_windows_end_to_end_add_up_to_the_whole_where_power_is_told_at_their_edges(
    load: Load, phase_s: float, seconds: list[float]
) -> None:
    sensor = Counter(load, PERIOD_S, phase_s)
    sensor.tells_s = 0.025
    parts, whole = windows(sensor, list(itertools.accumulate([1.0, *seconds])))
    assert math.fsum(p.value for p in parts) == pytest.approx(whole.value)


@given(loads, phases, durations)
def test_where_power_is_not_told_they_add_up_within_what_may_be_drawn_in_one_age_an_edge(
    load: Load, phase_s: float, seconds: list[float]
) -> None:
    parts, whole = windows(
        Counter(load, PERIOD_S, phase_s), list(itertools.accumulate([1.0, *seconds]))
    )
    # Also the first, of whose power the parts and the whole know different things.
    apart_j = len(parts) * PERIOD_S * MOST_W
    assert math.fsum(p.value for p in parts) == pytest.approx(whole.value, abs=apart_j)


@contextmanager
def sampled(sensor: Counter) -> Iterator[tuple[Sampler, SteppedClock]]:
    """A sampler of one simulated sensor, and its clock."""

    def moved(t_s: float) -> None:
        sensor.now_s = t_s

    clock = SteppedClock(moved, 0.0)
    family: Any = SimpleNamespace(
        __name__="simulated", WORKER=None, discover=lambda machine: Discovery((sensor,))
    )
    sampler = Sampler(Machine(), lambda: [family], 1.0, clock, clock.wait, lambda: 0.0)
    sampler.start()
    try:
        assert sampler.wait_until_found(LIMIT_S)
        yield sampler, clock
    finally:
        sampler.close()


def everything(_: object) -> bool:
    return True


def drawn_j(start: Edge, stop: Edge) -> float:
    """What the trace gained between two edges."""
    (first,), (last,) = start.readings.values(), stop.readings.values()
    assert isinstance(first, Sample)
    assert isinstance(last, Sample)
    return last.energy_j - first.energy_j


exact_windows = st.lists(
    st.tuples(st.floats(0, 10), st.floats(0.01, 10)).map(lambda w: (w[0], w[0] + w[1])),
    min_size=1,
    max_size=6,
)


@settings(max_examples=25, deadline=None)
@given(loads, exact_windows)
def test_nested_and_overlapping_windows_are_each_the_difference_of_their_own_edges(
    load: Load, wanted: list[tuple[float, float]]
) -> None:
    # A counter that is never late, so that each window is known exactly.
    sensor = Counter(load, 1e-9, 0.0)
    events = sorted(
        (BEGIN_S + t_s, is_end, number)
        for number, window in enumerate(wanted)
        for is_end, t_s in enumerate(window)
    )
    starts: dict[int, Edge] = {}
    with sampled(sensor) as (sampler, clock):
        for t_s, is_end, number in events:
            clock.go_to(t_s)
            if not is_end:
                starts[number] = sampler.opening_edge(everything, shown=number % 2 == 0)
                continue
            stop = sampler.closing_edge(everything, shown=number % 2 == 0)
            begin_s = BEGIN_S + wanted[number][0]
            (found,) = measure(START, starts[number], stop).domains
            truth_j = load.energy_j(t_s) - load.energy_j(begin_s)
            assert energy(found).value == pytest.approx(truth_j, abs=1e-4)


def looked_into(sensor: Counter, looks_s: Sequence[float], lasts_s: float) -> tuple[float, Any]:
    """What the trace gained over a window into which a live display looks, and what is shown."""
    told: list[Edge | None] = []
    random.seed(1)  # of the sampler's jitter
    with sampled(sensor) as (sampler, clock):
        clock.go_to(BEGIN_S)
        start = sampler.opening_edge(everything, shown=True)
        for t_s in looks_s:
            clock.go_to(BEGIN_S + t_s)
            sampler.look(everything)
        clock.go_to(BEGIN_S + lasts_s)
        stop = sampler.closing_edge(everything, shown=True)
        gained_j = drawn_j(start, stop)
        settles = sampler.settle(stop, told.append, shown=True)
        clock.go_to(BEGIN_S + 1 + lasts_s)
        assert settles == bool(told)
        assert drawn_j(start, stop) == gained_j  # what came after is in no reading before it
        settled = told[0] if told else None
        return gained_j, measure(START, start, stop, (), settled).domains[0]


@settings(max_examples=25, deadline=None)
@given(
    loads,
    phases,
    st.floats(1.0, 8.0),
    st.lists(st.floats(0.01, 0.99), min_size=1, max_size=5).map(sorted),
    st.sampled_from([None, 0.02]),
)
def test_a_live_look_and_polls_in_mid_window_leave_its_result_what_it_is(
    load: Load, phase_s: float, lasts_s: float, shares: list[float], polls_s: float | None
) -> None:
    def counter(polls_s: float | None) -> Counter:
        sensor = Counter(load, PERIOD_S, phase_s, settles_s=0.15, polls_s=polls_s)
        sensor.tells_s = 0.025
        return sensor

    plain_j, plain = looked_into(counter(None), (), lasts_s)
    gained_j, found = looked_into(counter(polls_s), [lasts_s * s for s in shares], lasts_s)
    assert gained_j == pytest.approx(plain_j)
    # They may tell how old the readings at the edges were, and so narrow the interval; never more.
    shift_j = abs(energy(found).value - energy(plain).value)
    assert shift_j <= 2 * PERIOD_S * MOST_W / 2
    assert energy(found).u95_repeat <= energy(plain).u95_repeat * (1 + 1e-9)
    looks_are_apart = all(2 * PERIOD_S < s * lasts_s < lasts_s - 2 * PERIOD_S for s in shares)
    if polls_s is None and looks_are_apart:
        assert shift_j == pytest.approx(0, abs=1e-6)

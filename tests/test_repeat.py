"""One run of a body that was repeated: blocks, their mean, its interval, and what drifts."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import a_record

from jupyter_energy.model import Domain, DomainEnergy, Measurement, Record
from jupyter_energy.repeat import (
    AIM,
    BLOCKS,
    LEAST_BLOCK_S,
    Repetition,
    block_s,
    block_sizes,
    half_width_of_mean,
    rank_correlation,
    t_975,
    with_repeats,
)
from jupyter_energy.repeats import Repeats
from jupyter_energy.uncertainty import Range, Uncertain
from jupyter_energy.window import Edge

STARTED = datetime(2025, 3, 1, tzinfo=UTC)
GPU = Domain("gpu", 0, "GPU")
few = st.lists(st.floats(0, 1e6), min_size=2, max_size=30)


def t_density(t: float, degrees: int) -> float:
    ratio = math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2)
    scale = math.exp(ratio) / math.sqrt(degrees * math.pi)
    return scale * (1 + t * t / degrees) ** (-(degrees + 1) / 2)


@pytest.mark.parametrize("degrees", [*range(1, 40), 100, 1000])
def test_a_t_quantile_leaves_a_fortieth_above_it(degrees: int) -> None:
    steps = 5000
    step = t_975(degrees) / steps
    half = math.fsum(t_density((i + 0.5) * step, degrees) * step for i in range(steps))
    assert half == pytest.approx(0.475, abs=2e-5)


def test_no_spread_is_made_up_of_one_value() -> None:
    assert half_width_of_mean([3.0]) is None
    assert half_width_of_mean([]) is None
    with pytest.raises(ValueError, match="two values"):
        t_975(0)


@given(few)
def test_the_half_width_is_t_times_the_standard_error(values: list[float]) -> None:
    error = statistics.stdev(values) / math.sqrt(len(values))
    expected = t_975(len(values) - 1) * error
    assert half_width_of_mean(values) == pytest.approx(expected, rel=1e-6, abs=1e-6)


@given(st.lists(st.integers(-99, 99), min_size=2, max_size=30), st.randoms())
def test_the_rank_correlation_asks_for_order_alone(values: list[int], dice: random.Random) -> None:
    rising = sorted(set(values))
    if len(rising) > 1:
        assert rank_correlation(rising) == pytest.approx(1)
        assert rank_correlation(rising[::-1]) == pytest.approx(-1)
    dice.shuffle(values)
    found = rank_correlation(values)
    assert -1 - 1e-9 <= found <= 1 + 1e-9
    assert rank_correlation([2 * v + 1 for v in values]) == pytest.approx(found, abs=1e-6)
    assert rank_correlation(values[::-1]) == pytest.approx(-found, abs=1e-9)


def test_the_rank_correlation_is_spearmans() -> None:
    # 1 - 6·Σd²/(n(n²-1)), without ties: d = 0 1 1 0 0.
    assert rank_correlation([1.0, 3.0, 2.0, 4.0, 5.0]) == pytest.approx(0.9)
    assert rank_correlation([1.0, 1.0, 2.0]) == pytest.approx(math.sqrt(3) / 2)
    assert rank_correlation([4.0] * 6) == 0.0


@given(st.integers(1, 10**6))
def test_the_blocks_hold_every_run_once_and_are_alike(runs: int) -> None:
    sizes = block_sizes(runs)
    assert sum(sizes) == runs
    assert len(sizes) == min(runs, 1 + BLOCKS)
    assert 1 <= sizes[0] == min(sizes) >= max(sizes) - 1


def test_a_block_lasts_until_its_own_edges_are_small() -> None:
    assert block_s(0.1) == pytest.approx(4.0)  # measuring.md 6.6: NVML 4 s for 2 %
    assert block_s(0.001) == block_s(0.0) == LEAST_BLOCK_S


# -- figures of one run ----------------------------------------------------------------------


class Meter:
    """Edges of a made-up window: each block adds an energy (None: no answer) over 1 s a run."""

    def __init__(self, *blocks: tuple[int, float | None], u_j: float = 0.0) -> None:
        self.runs = list(accumulate((n for n, _ in blocks), initial=0))
        self.edges = [Edge(float(n), {}) for n in self.runs]
        self._blocks, self._u_j = blocks, u_j

    def between(self, start: Edge, stop: Edge) -> Measurement:
        first, last = self.edges.index(start), self.edges.index(stop)
        energies = [e for _, e in self._blocks[first:last]]
        ends = (energies[0], energies[-1])  # who did not answer at an edge is not in the block
        energy = None if None in ends else Uncertain(sum(e or 0 for e in energies), self._u_j)
        domain = DomainEnergy(GPU, energy, "measured" if energy else "none", "test", 1.0)
        return Measurement(STARTED, stop.t_s - start.t_s, (domain,))

    def record(self, asked: int | None = 0, outcome: str = "ok", narrow: bool = True) -> Record:
        """The record of a repetition whose last block ends with the window."""
        repetition = Repetition(asked, self.runs[-1], narrow)
        ended = outcome == "ok"
        repetition.marks = list(zip(self.runs, self.edges, strict=True))[1 : -1 if ended else None]
        measurement = self.between(self.edges[0], self.edges[-1])
        plain = replace(a_record(outcome=outcome), measurement=measurement)
        return with_repeats(plain, repetition, self.edges[0], self.edges[-1], self.between)


def figures(record: Record) -> Repeats:
    assert record.repeats is not None
    return record.repeats


def test_one_run_is_the_mean_of_all_behind_the_first_block() -> None:
    meter = Meter((2, 40.0), (4, 40.0), (4, 42.0), (4, 41.0), (4, 38.0), (4, 39.0))
    record = meter.record()
    found = figures(record)
    assert found.measured_j is not None
    assert found.measured_j.value == pytest.approx(10.0)
    assert found.measured_j.u95_repeat == pytest.approx(
        t_975(4) * statistics.stdev([10, 10.5, 10.25, 9.5, 9.75]) / math.sqrt(5), rel=1e-3
    )
    assert (found.median_j, found.first_j) == (10.0, 20.0)
    assert (found.runs, found.blocks, found.first_runs) == (20, 5, 2)
    assert (found.run_s, found.first_run_s, found.auto) == (1.0, 1.0, False)
    assert record.warnings == ()
    assert record.energy_j == pytest.approx(240.0)  # the window's own energy has the warm-up


def test_blocks_that_happen_to_agree_are_no_better_than_the_sensor() -> None:
    found = figures(Meter(*[(4, 40.0)] * 6, u_j=5.0).record())
    assert found.measured_j is not None
    assert found.measured_j.u_random == pytest.approx(5.0 / 20)  # the error of two edges, over n


@given(st.integers(1, 1000), st.floats(1e-3, 1e6))
def test_the_error_of_the_edges_falls_as_the_number_of_runs(runs: int, u_j: float) -> None:
    found = figures(Meter(*[(runs, 1e9)] * 6, u_j=u_j).record())
    assert found.measured_j is not None
    assert found.measured_j.u_random == pytest.approx(u_j / (5 * runs))


def test_a_run_that_draws_more_from_block_to_block_is_told() -> None:
    rising = [(1, 10.0 + i) for i in range(6)]
    (said,) = Meter(*rising).record().warnings
    assert said == "a run drew more from block to block (11.0 J to 15.0 J): heating up?"
    (said,) = Meter(*rising[::-1]).record().warnings
    assert said == "a run drew less from block to block (14.0 J to 10.0 J): a longer warm-up?"


def test_few_runs_are_blocks_of_one_and_the_text_says_that_the_spread_is_of_few() -> None:
    record = Meter((1, 12.0), (1, 10.0), (1, 11.0)).record(asked=3)
    assert record.warnings == ("the ± of one run rests on 2 blocks only; from -r 6 on there are 5",)
    assert figures(record).measured_j.u95_repeat == pytest.approx(6.353, rel=1e-3)
    record = Meter((1, 12.0), (1, 10.0), u_j=1.0).record(asked=2)
    assert "1 block only" in record.warnings[0]
    assert figures(record).measured_j.u_random == 1.0  # the sensor's alone


def test_a_block_whose_edge_did_not_answer_is_in_the_mean_and_not_in_the_spread() -> None:
    blocks = [(1, 9.0), (1, 10.0), (1, 10.0), (1, 10.0), (1, None), (1, 10.0), (1, 10.0)]
    record = Meter(*blocks).record()
    assert figures(record).measured_j == Uncertain(pytest.approx(50.0 / 6))
    assert figures(record).median_j == 10.0


def test_a_device_that_never_answered_in_between_has_no_figure_and_the_text_says_so() -> None:
    meter = Meter((1, 9.0), (1, None), (1, 10.0))
    record = meter.record()
    found = figures(record)
    assert (found.measured_j, found.median_j, found.first_j) == (None, None, None)
    assert "without a device whose sensor did not answer" in record.warnings[0]


def test_with_an_estimate_alone_one_run_has_a_range_and_no_interval() -> None:
    edges = [Edge(float(i), {}) for i in range(3)]

    def between(start: Edge, stop: Edge) -> Measurement:
        energy = Range(1, 2, 4).scaled(stop.t_s - start.t_s)
        domain = DomainEnergy(GPU, energy, "estimated", "test", 1.0)
        return Measurement(STARTED, stop.t_s - start.t_s, (domain,))

    repetition = Repetition(4, 4, marks=[(2, edges[1])])
    record = with_repeats(a_record(), repetition, edges[0], edges[2], between)
    assert record.warnings == ()
    assert figures(record) == Repeats(2, 1, 2, 0.5, 0.5, None, None, None, Range(0.5, 1, 2))


def test_of_an_interrupted_repetition_the_whole_blocks_count() -> None:
    blocks = [(2, 20.0), (2, 20.0), (2, 22.0)]
    record = Meter(*blocks).record(asked=100, outcome="interrupted")
    found = figures(record)
    assert (found.runs, found.measured_j.value) == (4, pytest.approx(10.5))
    assert "the last run did not end" in record.warnings[-1]
    assert Meter((2, 20.0)).record(outcome="error").repeats is None


def test_the_run_behind_the_loop_belongs_to_the_last_block() -> None:
    blocks = [(5, 50.0)] * 6
    found = figures(Meter(*blocks, (1, 10.0)).record(asked=None))
    assert (found.runs, found.blocks, found.auto) == (26, 5, True)
    # Where a block is one run, it is a block like the others.
    found = figures(Meter(*[(1, 10.0)] * 7).record(asked=None))
    assert (found.runs, found.blocks) == (6, 6)


def test_auto_says_where_it_ran_out_of_time() -> None:
    record = Meter(*[(1, 10.0)] * 7).record(asked=None, narrow=False)
    assert record.warnings == ("stopped after 2 min 00 s, before the blocks agreed within ±2 %",)


def test_a_body_that_never_stood_in_a_loop_ran_once_and_the_text_says_so() -> None:
    meter = Meter((1, 10.0))
    record = with_repeats(a_record(), Repetition(9), *meter.edges, meter.between)
    assert record.repeats is None
    assert record.warnings == ("the body ran once: it cannot stand in a loop",)


# -- when auto has enough ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("blocks", "enough"),
    [
        ([50.0, 10.0, 10.1, 10.0, 9.9, 10.0], True),  # the first is out of the reckoning
        ([50.0, 10.0, 10.1, 10.0, 9.9], False),  # fewer than five
        ([10.0, 10.0, 12.0, 10.0, 9.0, 10.0], False),
        ([10.0, 0.0, 0.0, 0.0, 0.0, 0.0], False),  # nothing that could be told from nothing
    ],
)
def test_auto_has_enough_once_five_blocks_agree(blocks: list[float], enough: bool) -> None:
    meter = Meter(*((3, 3 * e) for e in blocks))
    repetition = Repetition(None)
    for runs, edge in zip(meter.runs[1:], meter.edges[1:], strict=True):
        repetition.begun = runs
        repetition.mark(edge, meter.edges[0], meter.between)
    assert repetition.narrow is enough
    assert (repetition.relative() < AIM) is (enough or len(blocks) < 6)


# -- a counter that is renewed now and then ------------------------------------------------------


RUN_S = 0.31  # out of step with the counter


def covered(seed: int, body: Callable[[random.Random], float]) -> tuple[int, list[float]]:
    """Of 1000 repetitions under a counter of 100 ms at 100 W: how many intervals hold the truth,
    and how wide each is, in parts of one run. `body` draws how long a run takes, in s."""
    dice, held, widths = random.Random(seed), 0, []
    for _ in range(1000):
        lengths_s = [body(dice) for _ in range(18)]
        ends = list(accumulate(lengths_s, initial=dice.random() * 0.1))
        # What the counter shows is the energy of a moment up to 100 ms ago.
        marks = [(i, Edge(math.floor(ends[i] / 0.1) * 10.0, {})) for i in range(0, 19, 3)]

        def between(a: Edge, b: Edge) -> Measurement:
            domain = DomainEnergy(GPU, Uncertain(b.t_s - a.t_s, 4.08), "measured", "test", 1.0)
            return Measurement(STARTED, 1.0, (domain,))

        repetition = Repetition(18, 18, marks=marks[1:-1])
        record = with_repeats(a_record(), repetition, marks[0][1], marks[-1][1], between)
        energy = figures(record).measured_j
        assert energy is not None
        truth_j = 100 * RUN_S
        held += abs(energy.value - truth_j) <= energy.u95_repeat
        widths.append(energy.u95_repeat / truth_j)
    return held, widths


def test_the_interval_of_one_run_holds_the_truth_where_the_body_is_steady() -> None:
    held, widths = covered(1, lambda _: RUN_S)
    assert held >= 930
    # Eighteen windows of one run each would have 1.96·4.08/31/√18.
    assert statistics.median(widths) < 0.061


def test_the_interval_of_one_run_holds_the_truth_where_the_body_varies() -> None:
    held, _ = covered(2, lambda dice: dice.gauss(RUN_S, 0.06))
    assert held >= 930

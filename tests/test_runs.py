"""The runs of a repeated body: how many, where blocks end, and when `-r auto` stops."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_energy.display.progress import LEAST_S, Progress, bundle
from jupyter_energy.repeat import LIMIT_S, Repetition, block_sizes
from jupyter_energy.runs import runs


class Loop:
    """A loop over runs that take `run_s` each on a clock of its own, and what it was told."""

    def __init__(self, asked: int | None, run_s: float, block_s: float = 1.0) -> None:
        self.now_s = 0.0
        self.repetition = Repetition(asked)
        self.marks: list[int] = []
        self.ticks: list[float] = []
        self.narrow_after = 10**9  # blocks
        self._run_s = run_s
        self._runs = runs(
            self.repetition, self.mark, self.ticks.append, block_s, lambda: self.now_s
        )

    def mark(self) -> None:
        self.marks.append(self.repetition.begun)
        self.repetition.narrow = len(self.marks) >= self.narrow_after

    def run(self) -> int:
        """How often the body of the loop ran, and once more behind it."""
        number = 0
        for nothing in self._runs:
            assert nothing == ()
            number += 1
            self.now_s += self._run_s
        return number + 1


@given(st.integers(2, 300))
def test_the_body_runs_as_often_as_it_was_asked_to(asked: int) -> None:
    loop = Loop(asked, 0.1)
    assert loop.run() == asked == loop.repetition.begun
    ends = [0, *loop.marks, asked]
    assert [b - a for a, b in pairwise(ends)] == block_sizes(asked)


@pytest.mark.parametrize(("run_s", "of_a_block"), [(0.125, 8), (0.75, 2), (3.0, 1)])
def test_a_block_of_auto_ends_with_the_first_run_that_ends_after_its_time(
    run_s: float, of_a_block: int
) -> None:
    loop = Loop(None, run_s)
    loop.narrow_after = 6
    assert loop.run() == 6 * of_a_block + 1 == loop.repetition.begun
    assert loop.marks == [of_a_block * (i + 1) for i in range(6)]


@pytest.mark.parametrize("run_s", [0.25, 16.0, 1000.0])
def test_auto_ends_when_its_time_is_over(run_s: float) -> None:
    loop = Loop(None, run_s)
    loop.run()
    assert LIMIT_S <= loop.now_s < LIMIT_S + run_s
    assert loop.marks[-1] == loop.repetition.begun - 1


def test_what_fails_between_two_runs_costs_no_run() -> None:
    def broken(*_: object) -> None:
        raise OSError("a sensor, or a front end, that is gone")

    assert len(list(runs(Repetition(7), broken, broken, 1.0))) == 6
    times = iter(range(1000))
    found = runs(Repetition(None), broken, broken, 1.0, lambda: float(next(times)))
    assert len(list(found)) > 1


def test_an_interrupt_between_two_runs_ends_the_cell() -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(runs(Repetition(7), interrupted, lambda _: None, 1.0))


# -- the line that tells how far it has got ------------------------------------------------------


def test_a_line_comes_at_most_twice_a_second_and_seldom_in_a_long_repetition() -> None:
    progress = Progress(Repetition(10**6))
    moments = [i / 50 for i in range(50 * 3600)]
    shown = [at for at in moments if progress.due(at) is not None]
    assert shown[0] >= 1
    assert min(b - a for a, b in pairwise(shown)) >= LEAST_S - 1e-9
    assert len(shown) < 600


def test_a_repetition_of_less_than_a_second_shows_no_line() -> None:
    progress = Progress(Repetition(10))
    assert [progress.due(at / 100) for at in range(100)] == [None] * 100


def test_the_line_says_how_far_it_has_got_as_text_and_as_html() -> None:
    told = bundle(Repetition(20, begun=5), 12.0)
    assert told["text/plain"] == "████████░░░░░░░░░░░░░░░░░░░░░░ 5 of 20 runs in 12.0 s"
    assert "5 of 20 runs in 12.0 s" in str(told["text/html"])
    assert "width:25%" in str(told["text/html"])
    auto = bundle(Repetition(None, begun=300), 240.0)
    assert str(auto["text/plain"]).endswith(
        "300 runs in 4 min 00 s; ends when the interval is below ±2 %, or after 2 min 00 s"
    )

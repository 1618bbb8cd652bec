"""Whatever breaks on our side, or around us, a paced loop runs on to its end."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest
from shell import Shell
from standins.moved_clock import ClockMeter, MovedClock, Told, around, series
from test_measure import Program

from jupyter_energy.pacing.loops import carbon_aware
from jupyter_energy.pacing.meter import NoMeter
from jupyter_energy.pacing.pacer import Pacer
from jupyter_energy.pacing.waits import Wait
from jupyter_energy.shift import Kind, Segment, Shift

DIRTY_FIRST = [400.0] * 24 + [100.0] * 480


class Broken(ClockMeter):
    """A meter that fails from a call on."""

    calls = 0

    def __init__(self, clock: MovedClock, at: int) -> None:
        super().__init__(clock)
        self.at = at

    def _count(self) -> None:
        self.calls += 1
        if self.calls >= self.at:
            raise OSError("the sensor is gone")

    def mark(self, kind: Kind) -> None:
        self._count()
        super().mark(kind)

    def segments(self) -> list[Segment]:
        self._count()
        return super().segments()

    def shift(self) -> Shift | None:
        self._count()
        return None


def steps_of(pacer: Pacer, clock: MovedClock, steps: int = 240) -> None:
    pacer.begin(steps)
    for step in range(steps):
        if pacer.due(step):
            pacer.pause()
        clock.run(60.0)
    pacer.end()


@pytest.mark.parametrize("at", range(1, 12))
def test_a_meter_that_fails_at_any_moment_costs_the_loop_nothing(at: int) -> None:
    clock, told = MovedClock(), Told()
    meter = Broken(clock, at)
    steps_of(Pacer("2h", around=around(clock, series(DIRTY_FIRST), told), meter=meter), clock)
    assert 240 * 60 <= clock.passed_s <= 240 * 60 + 2 * 3600
    if meter.calls >= at:
        assert any("OSError: the sensor is gone" in line for line in told.lines)


def test_a_pacer_that_is_used_in_another_order_than_it_should_does_nothing() -> None:
    clock = MovedClock()
    pacer = Pacer("2h", around=around(clock, series(DIRTY_FIRST)))
    assert not pacer.due(1)
    pacer.pause()
    pacer.end()
    steps_of(pacer, clock, 5)
    pacer.end()
    pacer.pause()
    assert not pacer.due(6)
    assert pacer.result is None


def test_a_due_pause_that_is_not_made_is_over_with_the_next_step() -> None:
    clock = MovedClock()
    meter = ClockMeter(clock)
    pacer = Pacer("2h", around=around(clock, series(DIRTY_FIRST)), meter=meter)
    pacer.begin(240)
    due = []
    for step in range(240):
        due.append(pacer.due(step))
        clock.run(60.0)
    pacer.end()
    assert clock.passed_s == 240 * 60.0
    assert sum(due) > 10
    for (kind, _), (following, _) in pairwise(meter.marks):
        assert (kind, following) != ("pause", "pause")


class Interrupted(MovedClock):
    """A clock in whose reading Ctrl-C comes, the n-th time that either is read."""

    def __init__(self) -> None:
        super().__init__()
        self.left = -1

    def utc(self) -> datetime:
        self._count()
        return super().utc()

    def monotonic_s(self) -> float:
        self._count()
        return super().monotonic_s()

    def _count(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def test_ctrl_c_goes_through_wherever_it_hits_us_and_the_loop_can_end() -> None:
    moments = []
    for n in [*range(1, 60), *range(60, 2000, 97)]:
        clock = Interrupted()
        meter = ClockMeter(clock)
        pacer = Pacer("2h", around=around(clock, series(DIRTY_FIRST)), meter=meter)
        clock.left = n
        try:
            steps_of(pacer, clock)
        except KeyboardInterrupt:
            moments.append(clock.passed_s)
            clock.left = -1
            pacer.end("interrupted")
            assert not pacer.due(240)
        else:
            assert clock.left > 0  # it was over before that
    assert len(moments) > 60
    assert any(200 < moment < 7000 for moment in moments)  # in the pause too


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_never_pauses() -> None:
    clock = MovedClock()
    pacer = Pacer("2h", hours=4, around=around(clock, series(DIRTY_FIRST)))
    pacer.begin(None)
    clock.run(60.0)
    pid = os.fork()
    if not pid:
        clock.run(60.0)
        is_due = pacer.due(1)
        pacer.end()
        os._exit(int(is_due))
    assert os.waitpid(pid, 0)[1] == 0
    assert pacer.due(1)  # its parent does


def test_a_loop_on_another_thread_is_paced_as_well() -> None:
    clock = MovedClock()
    found: list[int] = []

    def loop() -> None:
        for item in carbon_aware(range(240), "2h", around=around(clock, series(DIRTY_FIRST))):
            found.append(item)
            clock.run(60.0)

    thread = threading.Thread(target=loop)
    thread.start()
    thread.join(60.0)
    assert found == list(range(240))
    assert clock.passed_s > 240 * 60 + 3600


@pytest.mark.parametrize(
    ("said", "is_held"),
    [
        ({}, True),
        ({"WORLD_SIZE": "1"}, True),
        ({"WORLD_SIZE": "many"}, True),
        ({"WORLD_SIZE": "8"}, False),
        ({"SLURM_STEP_NUM_TASKS": "2"}, False),
    ],
)
def test_one_of_several_processes_that_run_together_is_never_held(
    said: dict[str, str], is_held: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, size in said.items():
        monkeypatch.setenv(name, size)
    clock, told = MovedClock(), Told()
    seen = around(clock, series(DIRTY_FIRST), told)
    waited = Wait(seen, NoMeter()).held(3600.0, 7200.0)
    assert (waited.waited_s > 0) is is_held
    before_s = clock.passed_s
    clock, told = MovedClock(), Told()
    steps_of(Pacer("2h", around=around(clock, series(DIRTY_FIRST), told)), clock)
    assert (clock.passed_s > 240 * 60) is is_held is (before_s > 0)
    assert any("processes run together" in line for line in told.lines) is not is_held


@pytest.mark.parametrize(("size", "is_held"), [(None, True), (1, True), (2, False)])
def test_nor_is_one_that_pytorch_knows_of_without_a_word_in_the_environment(
    size: int | None, is_held: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    distributed = ModuleType("torch.distributed")
    vars(distributed).update(
        is_available=lambda: True,
        is_initialized=lambda: size is not None,
        get_world_size=lambda: size,
    )
    monkeypatch.setitem(sys.modules, "torch.distributed", distributed)
    clock = MovedClock()
    Wait(around(clock, series(DIRTY_FIRST)), NoMeter()).held(3600.0, 7200.0)
    assert (clock.passed_s > 0) is is_held
    clock = MovedClock()
    steps_of(Pacer("2h", around=around(clock, series(DIRTY_FIRST))), clock)
    assert (clock.passed_s > 240 * 60) is is_held


# -- in processes of their own ---------------------------------------------------------------

SCRIPT = """
print(json.dumps([*je.carbon_aware(range(3))]))
print(json.dumps(repr(je.wait_for_clean_power(hours=1))))
for item in je.carbon_aware(range(10), hours=1):
    if item == 2:
        break
loop = je.carbon_aware(range(2))
for item in loop:
    with je.measure("inside"):
        work()
print(json.dumps([t.name for t in threading.enumerate() if "pacing" in t.name]))
print(json.dumps([loop.result.name, loop.result.outcome, loop.result.shift]))
"""


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(Shell(tmp_path))


def test_a_script_without_a_provider_runs_straight_through(program: Program) -> None:
    items, waited, threads, record = program.run(SCRIPT, said=None)
    assert items == [0, 1, 2]
    assert waited.startswith("began at once: no provider of carbon intensity is chosen")
    assert threads == []
    assert record == ["carbon_aware", "ok", None]
    lines: Sequence[str] = program.stderr.splitlines()
    assert lines
    assert all(line.startswith("jupyter-energy: ") for line in lines)
    rows = program.rows()
    assert rows["carbon_aware"]["runs"] == 3
    assert rows["inside"]["inside"]


def test_a_store_that_cannot_be_written_stops_no_loop(program: Program) -> None:
    items, *_ = program.run(SCRIPT, said=None, JUPYTER_ENERGY_STORE="/proc/no/such.sqlite")
    assert items == [0, 1, 2]

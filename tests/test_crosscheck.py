"""A counter is doubted only where it and its power's integral cannot both be true."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_energy.sensors.crosscheck import CrossCheck, Verdict, Verdicts

Power = Callable[[float], float]


def watched(power_w: Power, gain: float, seconds: float, seed: int = 0) -> CrossCheck:
    """A counter of that gain, polled about once a second; the truth adds up in steps of 1 ms."""
    chance = random.Random(seed)
    check, t_ms, true_j, next_ms = CrossCheck(), 0, 0.0, 0
    while t_ms < 1000 * seconds and check.verdict is None:
        if t_ms >= next_ms:
            renewed_j = gain * true_j
            check.add(t_ms / 1000, renewed_j, power_w(t_ms / 1000))
            next_ms = t_ms + round(1000 * chance.uniform(0.5, 1.5))
        true_j += power_w(t_ms / 1000) / 1000
        t_ms += 1
    return check


def steady(t_s: float) -> float:
    return 300.0


def jumping(t_s: float) -> float:
    """Seven seconds of work, two of waiting."""
    return 650.0 if t_s % 9.1 < 7 else 90.0


def flickering(t_s: float) -> float:
    """A load that no poll once a second can follow."""
    return 700.0 if (t_s * 3.7) % 1 < 0.5 else 100.0


@pytest.mark.parametrize("gain", [0.0, 0.05, 0.57, 0.86, 1.16, 2.0])
def test_a_counter_that_is_clearly_off_is_doubted_and_the_ratio_told(gain: float) -> None:
    verdict = watched(steady, gain, 60).verdict
    assert verdict is not None
    assert verdict.text == f"energy counter unreliable: it gave {gain:.2f} of the integrated power"


@pytest.mark.parametrize("gain", [0.92, 1.0, 1.08])
def test_a_counter_within_its_tolerance_agrees(gain: float) -> None:
    verdict = watched(steady, gain, 60).verdict
    assert verdict is not None
    assert verdict.reliable
    assert verdict.text is None


def test_less_than_two_stretches_doubt_nothing() -> None:
    assert watched(steady, 0.5, 14).verdict is None


@pytest.mark.parametrize("power_w", [jumping, flickering])
def test_a_good_counter_is_not_doubted_because_polls_missed_the_load(power_w: Power) -> None:
    verdicts = [watched(power_w, 1.0, 120, seed).verdict for seed in range(40)]
    assert not [v for v in verdicts if v is not None and not v.reliable]


@pytest.mark.parametrize("power_w", [jumping, flickering])
def test_half_a_counter_is_found_out_under_a_load_that_varies(power_w: Power) -> None:
    doubted = [watched(power_w, 0.5, 400, seed).verdict for seed in range(10)]
    assert all(v is not None and not v.reliable for v in doubted)


def test_what_lies_between_cells_enters_no_comparison() -> None:
    check, energy_j = CrossCheck(), 0.0
    for cell in range(20):
        for second in range(8):  # no stretch of ten seconds
            check.add(100.0 * cell + second, energy_j, 300.0)
            energy_j += 100.0
        energy_j += 50_000.0
    assert check.verdict is None


def test_a_counter_that_begins_again_begins_the_comparison_again() -> None:
    check = CrossCheck()
    for t in range(40):
        check.add(float(t), 300.0 * (t % 9), 300.0)
    assert check.verdict is None


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.floats(-1, 5),
            st.floats(allow_nan=True, allow_infinity=True),
            st.floats(allow_nan=True, allow_infinity=True),
        ),
        max_size=60,
    )
)
def test_no_reading_makes_it_fail(readings: list[tuple[float, float, float]]) -> None:
    check, t_s = CrossCheck(), 0.0
    for dt_s, energy_j, power_w in readings:
        t_s += dt_s
        check.add(t_s, energy_j, power_w)


def test_a_verdict_is_kept_by_gpu_and_driver(tmp_path: Path) -> None:
    file = tmp_path / "new" / "verdicts.json"
    Verdicts(file).remember("GPU-1", "580.1", Verdict(False, 0.571234))
    Verdicts(file).remember("GPU-2", "580.1", Verdict(True, 1.01))
    Verdicts(file).remember(None, "580.1", Verdict(True, 1.0))
    kept = Verdicts(file)
    assert kept.recall("GPU-1", "580.1") == Verdict(False, 0.5712)
    assert kept.recall("GPU-2", "580.1") == Verdict(True, 1.01)
    assert kept.recall("GPU-1", "580.2") is None
    assert kept.recall(None, "580.1") is None

"""Idle power, energy above it, this kernel's share: each true, and together never too much."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import uncertain

from jupyter_energy.attribution import (
    ALONE,
    Baseline,
    Gap,
    above_idle,
    all_devices,
    cpu_share,
    idle_power,
    newer,
    of_kernel,
    ranks_on_this_node,
)
from jupyter_energy.uncertainty import RECTANGULAR, Spread, Uncertain

NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)


def gap(watts: float, end_s: float = 0.0, **more: object) -> Gap:
    """A quiet gap of 20 s, unless told otherwise."""
    fields: dict[str, object] = {"seconds": 20.0, "busy": 0.01, **more}
    return Gap(watts, end_s=end_s, end=NOON + timedelta(seconds=end_s), **fields)  # type: ignore[arg-type]


def baseline(watts: float, u_w: float = 0.0, age_s: float = 0.0, **more: object) -> Baseline:
    return Baseline(watts, u_w, NOON - timedelta(seconds=age_s), 20.0, **more)  # type: ignore[arg-type]


# -- idle power ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "idle"),
    [
        ({}, True),
        ({"seconds": 5.0}, True),
        ({"seconds": 4.99}, False),
        ({"busy": 0.0299}, True),
        ({"busy": 0.03}, False),
        ({"busy": None}, False),
        ({"disturbed": True}, False),
        ({"settled": False}, False),
        ({"settled": False, "seconds": 60.0}, True),
    ],
)
def test_a_gap_tells_idle_power_where_it_is_long_and_known_to_be_quiet(
    more: dict[str, object], idle: bool
) -> None:
    assert gap(40.0, **more).is_idle is idle
    assert (idle_power([gap(40.0, **more)], 0.0) is not None) is idle


def test_idle_power_is_the_median_of_the_lowest_quarter() -> None:
    powers = [50.0, 41.0, 90.0, 40.0, 60.0, 42.0, 70.0, 80.0, 55.0, 65.0, 75.0, 85.0]
    found = idle_power([gap(w, n) for n, w in enumerate(powers)], 12.0)
    assert found is not None
    assert found.watts == 41.0
    assert found.seconds == 240.0
    assert found.taken == NOON + timedelta(seconds=11)
    assert found.how == "between cells"


def test_only_the_last_20_gaps_count_and_none_older_than_half_an_hour() -> None:
    gaps = [gap(1.0, n) for n in range(5)] + [gap(40.0, 5 + n) for n in range(20)]
    found = idle_power(gaps, 30.0)
    assert found is not None
    assert found.watts == 40.0
    assert idle_power(gaps, 24.0 + 1800.0) is not None
    assert idle_power(gaps, 24.0 + 1800.1) is None


def test_the_uncertainty_of_idle_power_is_the_scatter_of_the_gaps_and_2_percent_of_drift() -> None:
    found = idle_power([gap(w, n) for n, w in enumerate([38.0, 39.0, 40.0, 41.0, 42.0])], 5.0)
    assert found is not None
    assert found.watts == 38.5  # two of five are the lowest quarter
    assert found.u_w == pytest.approx(math.hypot(1.48 * 1.0 / math.sqrt(5), 0.02 * 38.5))


def test_one_gap_alone_does_not_claim_to_know_the_scatter() -> None:
    found = idle_power([gap(40.0)], 0.0)
    assert found is not None
    assert found.u_w == pytest.approx(2.0)


@given(st.lists(st.floats(0.1, 1e4), min_size=1, max_size=30))
def test_idle_power_lies_among_the_gaps_and_not_above_their_middle(powers: list[float]) -> None:
    found = idle_power([gap(w, n) for n, w in enumerate(powers)], 30.0)
    last = sorted(powers[-20:])
    assert found is not None
    assert last[0] <= found.watts <= last[len(last) // 2]


def test_the_newer_baseline_wins_wherever_it_came_from() -> None:
    free, asked = baseline(40.0, age_s=60), baseline(50.0, age_s=3600, how="%energy baseline")
    assert newer(free, asked) is newer(asked, free) is free
    assert newer(None, asked) is asked
    assert newer(free, None) is free
    assert newer(None, None) is None


def test_idle_power_of_several_devices_is_as_old_as_the_oldest() -> None:
    both = all_devices([baseline(40.0, 3.0, 60), baseline(10.0, 4.0, 600, how="asked")])
    assert both == Baseline(50.0, 5.0, NOON - timedelta(seconds=600), 20.0, "between cells, asked")
    assert all_devices([]) is None


# -- above idle ------------------------------------------------------------------------------


def test_energy_above_idle_has_the_gain_of_the_difference_and_not_of_the_whole() -> None:
    gain = Spread.rectangular(0.05 * 400)
    found = above_idle(
        Uncertain.made(400.0, Spread.normal(3.0), gain), baseline(40.0, 0.5), duration_s=5.0
    )
    assert found.value == 200.0
    assert found.u_random == pytest.approx(3.0)
    assert found.u_systematic == pytest.approx(math.hypot(0.05 * 200 / math.sqrt(3), 5 * 0.5))


def test_without_a_baselines_error_the_gain_keeps_its_shape() -> None:
    whole = Uncertain.made(400.0, Spread(), Spread.rectangular(20.0))
    assert above_idle(whole, baseline(40.0), 5.0).excess_systematic == pytest.approx(RECTANGULAR)


@given(uncertain(st.floats(0, 1e9)), st.floats(0, 1e3), st.floats(0, 10), st.floats(0, 1e5))
def test_device_energy_is_idle_energy_and_what_lies_above_it(
    energy: Uncertain, watts: float, u_w: float, duration_s: float
) -> None:
    found = above_idle(energy, baseline(watts, u_w), duration_s)
    assert found.value + watts * duration_s == pytest.approx(energy.value, rel=1e-9, abs=1e-3)
    assert found.u_random == pytest.approx(energy.u_random)


# -- whose -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kernel_s", "machine_s", "duration_s", "share"),
    [
        (3.0, 4.0, 2.0, 0.75),
        (4.01, 4.0, 2.0, 1.0),
        (0.0, 4.0, 2.0, 0.0),
        (3.0, 4.0, 0.49, None),
        (3.0, 4.0, 0.5, 0.75),
        (None, 4.0, 2.0, None),
        (3.0, None, 2.0, None),
        (3.0, 0.0, 2.0, None),
        (-0.1, 4.0, 2.0, None),
    ],
)
def test_a_share_is_of_the_machines_cpu_time_or_unknown(
    kernel_s: float | None, machine_s: float | None, duration_s: float, share: float | None
) -> None:
    assert cpu_share(kernel_s, machine_s, duration_s) == share


# CPU time of each process in ticks, as the system counts it.
users_ticks = st.lists(st.integers(0, 10**7), min_size=1, max_size=40)


@given(users_ticks, st.integers(0, 10**7))
def test_the_shares_of_all_users_are_never_more_than_the_whole(
    ticks: list[int], others: int
) -> None:
    machine_s = (sum(ticks) + others) * 0.01
    assume(machine_s > 0)
    shares = [cpu_share(t * 0.01, machine_s, 10.0) for t in ticks]
    assert None not in shares
    assert math.fsum(s for s in shares if s is not None) <= 1 + 1e-9


@given(users_ticks, st.integers(0, 10**7), uncertain(st.floats(-1e6, 1e9)))
def test_what_all_users_are_given_is_never_more_than_lies_above_idle(
    ticks: list[int], others: int, above: Uncertain
) -> None:
    machine_s = (sum(ticks) + others) * 0.01
    assume(machine_s > 0)
    parts = [
        of_kernel(above, share)
        for t in ticks
        if (share := cpu_share(t * 0.01, machine_s, 10.0)) is not None
    ]
    assert math.fsum(p.mid for p in parts) <= max(0.0, above.value) * (1 + 1e-9)
    assert math.fsum(p.low for p in parts) <= max(0.0, above.value) * (1 + 1e-9)
    assert all(p.low >= 0 for p in parts)


@pytest.mark.parametrize(
    ("share", "low", "mid", "high"),
    [(0.5, 35.0, 50.0, 65.0), (0.9, 63.0, 90.0, 100.0), (ALONE, 95.0, 95.0, 95.0)],
)
def test_a_share_is_known_to_30_percent_and_never_above_the_whole_unless_alone(
    share: float, low: float, mid: float, high: float
) -> None:
    found = of_kernel(Uncertain(100.0), share)
    assert (found.low, found.mid, found.high) == pytest.approx((low, mid, high))


def test_the_uncertainty_of_the_energy_widens_the_kernels_part() -> None:
    found = of_kernel(Uncertain(100.0, 10.0), 0.5)
    assert found.low == pytest.approx((100 - 19.6) * 0.35)
    assert found.high == pytest.approx((100 + 19.6) * 0.65)


def test_a_baseline_that_was_too_high_leaves_the_kernel_nothing_and_never_less() -> None:
    found = of_kernel(Uncertain(-50.0, 5.0), 0.5)
    assert (found.low, found.mid) == (0.0, 0.0)
    assert found.high == pytest.approx(9.8 * 0.65)


# -- ranks -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({}, None),
        ({"SLURM_NTASKS_PER_NODE": "4"}, "node-level; 4 ranks"),
        ({"SLURM_NTASKS_PER_NODE": "4(x2)"}, "node-level; 4 ranks"),
        ({"SLURM_NTASKS_PER_NODE": "1"}, None),
        ({"SLURM_NTASKS_PER_NODE": "many"}, None),
        ({"LOCAL_RANK": "0"}, "node-level; several ranks"),
        ({"LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "8"}, "node-level; 8 ranks"),
        ({"LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}, None),
        ({"LOCAL_RANK": ""}, None),
        ({"OMPI_COMM_WORLD_LOCAL_SIZE": "2"}, "node-level; 2 ranks"),
    ],
)
def test_several_ranks_on_one_machine_are_told(environ: dict[str, str], said: str | None) -> None:
    found = ranks_on_this_node(environ)
    assert found == said or (said is not None and found is not None and found.startswith(said))


def test_no_share_is_told_of_a_time_in_which_hardly_anything_ran() -> None:
    assert cpu_share(0.02, 0.05, 10.0) is None
    assert cpu_share(0.05, 0.1, 10.0) == pytest.approx(0.5)

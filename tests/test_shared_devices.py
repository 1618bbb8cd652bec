"""What several notebooks of one machine measured at the same time counts once in its totals."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import a_record, in_zone, one_after_another, records

from jupyter_energy.model import Domain, DomainEnergy, Measurement, Record
from jupyter_energy.overlaps import counted_once, device_key
from jupyter_energy.schema import measured_from_records
from jupyter_energy.shared_devices import Stretches, machine_once
from jupyter_energy.uncertainty import Range, Uncertain, sum_over_devices, sum_over_time

DAY = datetime(2025, 3, 1, tzinfo=UTC)
energies = st.builds(Uncertain, st.floats(0, 1e6), st.floats(0, 10), st.floats(0, 100))
estimates = st.lists(st.floats(0, 1e6), min_size=3, max_size=3).map(lambda x: Range(*sorted(x)))


@st.composite
def machine_runs(draw: st.DrawFn, kinds: st.SearchStrategy = energies) -> list[Record]:
    """Runs of a few kernels on one host, close together, on up to three devices."""
    runs = []
    for n in range(draw(st.integers(0, 7))):
        start = DAY + timedelta(seconds=draw(st.integers(0, 20)))
        devices = draw(st.sets(st.sampled_from(["gpu", "package", "dram"])))
        domains = tuple(
            DomainEnergy(
                Domain(kind, 0, kind),
                draw(energies if kind != "dram" else kinds),
                "measured",
                "x",
                1,
            )
            for kind in sorted(devices)
        )
        session = draw(st.sampled_from(["s1", "s2", "s3"]))
        run = a_record(f"r{n}", f"n{session}", session_id=session)
        seconds = float(draw(st.integers(0, 15)))
        runs.append(replace(run, measurement=Measurement(start, seconds, domains)))
    return runs


def by_device(runs: list[Record]) -> dict[tuple[str, str], list[Uncertain]]:
    found: dict[tuple[str, str], list[Uncertain]] = {}
    for run in runs:
        for d in run.measurement.counted():
            if isinstance(d.energy, Uncertain):
                found.setdefault(device_key(run.host, d.domain), []).append(d.energy)
    return found


@given(machine_runs())
def test_a_devices_total_is_never_more_than_the_sum_nor_less_than_the_largest(
    runs: list[Record],
) -> None:
    counted = by_device(machine_once(runs))
    for device, energies_j in by_device(runs).items():
        values = [e.value for e in energies_j]
        total = math.fsum(e.value for e in counted.get(device, []))
        assert max(values) * (1 - 1e-9) - 1e-9 <= total <= math.fsum(values) * (1 + 1e-9)


@given(machine_runs(estimates | energies), st.randoms())
def test_the_order_in_which_records_come_does_not_matter(runs: list[Record], random) -> None:
    mixed = list(runs)
    random.shuffle(mixed)
    assert machine_once(mixed) == machine_once(runs)


@given(st.lists(records(), max_size=6))
def test_runs_one_after_another_count_whole(runs: list[Record]) -> None:
    apart = [replace(r, host="one") for r in one_after_another(runs)]
    assert machine_once(apart) == apart


@given(machine_runs())
def test_each_device_is_counted_for_itself(runs: list[Record]) -> None:
    """What a device's total is does not change with what other devices there are."""
    counted = by_device(machine_once(runs))
    for device in by_device(runs):
        alone = [
            replace(
                run,
                measurement=replace(
                    run.measurement,
                    domains=tuple(d for d in run.domains if d.domain.kind == device[0]),
                ),
            )
            for run in runs
        ]
        assert by_device(machine_once(alone)).get(device) == counted.get(device)


@given(machine_runs())
def test_gain_errors_add_up_over_time_and_not_over_devices(runs: list[Record]) -> None:
    counted = machine_once(runs)
    total = measured_from_records(counted)
    devices = [sum_over_time(e) for e in by_device(counted).values()]
    assert total == sum_over_devices(d for d in devices if d is not None)
    for energies_j in by_device(counted).values():
        whole = sum_over_time(energies_j)
        assert whole is not None
        assert whole.u_systematic == math.fsum(e.u_systematic for e in energies_j)


@given(machine_runs())
def test_no_more_time_is_counted_than_has_passed(runs: list[Record]) -> None:
    total_s = math.fsum(r.duration_s for r in machine_once(runs))
    passed_s, end_s = 0.0, -math.inf
    for start_s, duration_s in sorted((r.start.timestamp(), r.duration_s) for r in runs):
        passed_s += max(0.0, start_s + duration_s - max(start_s, end_s))
        end_s = max(end_s, start_s + duration_s)
    assert total_s == pytest.approx(passed_s)


@given(machine_runs())
def test_of_one_kernel_it_is_what_counting_within_a_session_gives(runs: list[Record]) -> None:
    """But where a run has more energy than the longer one that it lies in: then that counts."""
    mine = [replace(r, session_id="s1", notebook_id="n1") for r in runs]
    at_one_power = [
        replace(
            run,
            measurement=replace(
                run.measurement,
                domains=tuple(
                    replace(d, energy=Uncertain(7.0 * run.duration_s)) for d in run.domains
                ),
            ),
        )
        for run in mine
    ]
    ours, theirs = by_device(machine_once(at_one_power)), by_device(counted_once(at_one_power)[0])
    assert {d: math.fsum(e.value for e in es) for d, es in ours.items()} == pytest.approx(
        {d: math.fsum(e.value for e in es) for d, es in theirs.items()}
    )


def test_two_notebooks_at_once_on_one_gpu_count_its_joules_once() -> None:
    one = a_record("a", "n1", duration_s=10, energies={"gpu": Uncertain(1000.0, 3, 50)})
    two = a_record(
        "b", "n2", session_id="s2", after_s=8, duration_s=4,
        energies={"gpu": Uncertain(400.0, 2, 20)}, emitted=in_zone("FR", 50, 400),
    )  # fmt: skip
    whole, part = machine_once([two, one])
    assert whole == one
    assert (part.duration_s, part.energy_j) == (2.0, 200.0)
    assert part.carbon_g is not None
    assert part.carbon_g.mid == pytest.approx(in_zone("FR", 50, 200).carbon_g.mid)


def test_what_one_measured_counts_before_what_another_estimated_of_the_same_device() -> None:
    guess = a_record("a", duration_s=10, energies={"package": Range(50, 100, 200)})
    known = a_record("b", "n2", session_id="s2", after_s=4, duration_s=2,
                     energies={"package": Uncertain(30.0)})  # fmt: skip
    first, second = machine_once([guess, known])
    assert first.domains[0].energy == Range(40, 80, 160)
    assert second.energy_j == 30.0


def test_a_short_run_with_more_than_the_long_one_around_it_counts_in_its_place() -> None:
    gap = a_record("a", duration_s=10, energies={"gpu": Uncertain(10.0)})
    peak = a_record("b", session_id="s2", after_s=4, duration_s=1, energies={"gpu": Uncertain(90)})
    assert [r.energy_j for r in machine_once([gap, peak])] == [None, 90]


def test_what_was_counted_before_is_not_counted_again() -> None:
    overnight = a_record("a", duration_s=10, energies={"gpu": Uncertain(100.0)})
    next_day = a_record("b", session_id="s2", after_s=5, duration_s=10,
                        energies={"gpu": Uncertain(300.0), "dram": Range(1, 2, 3)})  # fmt: skip
    (part,) = machine_once([next_day], [overnight])
    assert [d.energy for d in part.domains] == [Uncertain(150.0), Range(1, 2, 3)]


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 9)), max_size=9))
def test_stretches_are_kept_apart_and_in_order(pieces: list[tuple[int, int]]) -> None:
    kept = list(Stretches((s, s + long_s) for s, long_s in pieces))
    assert all(one[1] < other[0] for one, other in pairwise(kept))
    moments = {n + 0.5 for s, long_s in pieces for n in range(s, s + long_s)}
    assert {n + 0.5 for s, e in kept for n in range(int(s), int(e))} == moments

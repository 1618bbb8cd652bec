"""Runs that overlap in time count the time they share once."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import a_record, in_zone, one_after_another, records

from jupyter_energy.model import Record
from jupyter_energy.overlaps import counted_once
from jupyter_energy.uncertainty import Range, Uncertain


def placed(run: Record, start_s: float, duration_s: float) -> Record:
    start = datetime(2025, 3, 1, tzinfo=UTC) + timedelta(seconds=start_s)
    return replace(run, measurement=replace(run.measurement, start=start, duration_s=duration_s))


close_runs = st.builds(placed, records(), st.floats(0, 20), st.floats(0, 10))


@given(st.lists(records(), max_size=6))
def test_runs_that_do_not_overlap_stay_as_they_are(runs: list[Record]) -> None:
    apart = one_after_another(runs)
    assert counted_once(apart) == (apart, 0)


@given(st.lists(close_runs, max_size=8))
def test_no_more_time_is_counted_than_has_passed(runs: list[Record]) -> None:
    runs = [replace(r, session_id="s", host="h") for r in runs]
    counted, _ = counted_once(runs)
    assert [r.run_id for r in counted] == [
        r.run_id for r in sorted(runs, key=lambda r: (r.start, -r.duration_s, r.run_id))
    ]
    passed_s, end_s = 0.0, -math.inf
    for start_s, duration_s in sorted((r.start.timestamp(), r.duration_s) for r in runs):
        passed_s += max(0.0, start_s + duration_s - max(start_s, end_s))
        end_s = max(end_s, start_s + duration_s)
    tolerated_s = sum(1e-3 + 1e-3 * r.duration_s for r in runs)
    total_s = math.fsum(r.duration_s for r in counted)
    assert passed_s - 1e-5 <= total_s <= passed_s + tolerated_s


@given(st.lists(close_runs, max_size=8))
def test_no_run_counts_with_more_than_it_has(runs: list[Record]) -> None:
    whole = {r.run_id: r for r in runs}
    for part in counted_once(runs)[0]:
        run = whole[part.run_id]
        assert 0 <= part.duration_s <= run.duration_s
        for one, other in ((part.energy_j, run.energy_j), (mid(part), mid(run))):
            assert one is None or (other is not None and one <= other * (1 + 1e-9))
        if part.carbon_g is not None:
            assert run.carbon_g is not None
            assert part.carbon_g.mid <= run.carbon_g.mid


def mid(record: Record) -> float | None:
    return None if record.estimated_j is None else record.estimated_j.mid


def test_a_run_wholly_inside_another_counts_with_nothing_and_never_as_0_joules() -> None:
    gpu = {"gpu": Uncertain(50.0, 1.0, 2.0)}
    outer = a_record("outer", duration_s=5, energies=gpu)
    inner = a_record("inner", duration_s=1, after_s=1, energies=gpu, emitted=in_zone("FR", 50, 9))
    (one, other), overlapped = counted_once([inner, outer])
    assert (one, overlapped) == (outer, 2)
    assert (other.duration_s, other.energy_j, other.carbon_g) == (0.0, None, None)


def test_the_later_of_two_runs_counts_with_the_share_that_is_its_own() -> None:
    first = a_record("a", energies={"gpu": Uncertain(200.0)})
    later = a_record(
        "b",
        after_s=1,
        duration_s=4,
        energies={"gpu": Uncertain(400.0, 4.0, 8.0), "dram": Range(40, 80, 120)},
        emitted=in_zone("FR", 50, 480),
    )
    (one, part), overlapped = counted_once([first, later])
    assert (one, overlapped) == (first, 2)
    assert part.duration_s == 3.0
    # The first has no figure for the memory, so all of that is the later one's.
    assert [d.energy for d in part.domains] == [Uncertain(300.0, 3.0, 6.0), Range(40, 80, 120)]
    assert part.carbon_g.mid == pytest.approx(in_zone("FR", 50, 380).carbon_g.mid)


def test_what_an_outer_run_did_not_see_is_not_lost_with_the_run_inside_it() -> None:
    outer = a_record("outer", duration_s=5, energies={"gpu": None})
    inner = a_record("inner", duration_s=1, after_s=1, energies={"gpu": Uncertain(50.0)})
    (_, part), _ = counted_once([outer, inner])
    assert (part.duration_s, part.energy_j) == (0.0, 50.0)


@pytest.mark.parametrize("other", [{"session_id": "s2"}, {"host": "there"}])
def test_runs_of_two_kernels_at_once_both_count_whole(other: dict[str, str]) -> None:
    runs = [a_record("a"), a_record("b", after_s=1, **other)]
    assert counted_once(runs) == (runs, 0)


@pytest.mark.parametrize(("early_s", "overlapped"), [(0.0009, 0), (0.0019, 0), (0.1, 2)])
def test_clocks_that_disagree_by_a_little_make_no_overlap(early_s: float, overlapped: int) -> None:
    duration_s = 1.0 if early_s < 1e-3 else 2.0  # 1 ms, or 0.1 % where that is more
    runs = [a_record("a"), a_record("b", after_s=2 - early_s, duration_s=duration_s)]
    assert counted_once(runs)[1] == overlapped

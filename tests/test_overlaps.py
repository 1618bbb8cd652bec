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
from jupyter_energy.overlaps import Spell, counted_once, others_at_once, spell_of
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


def test_runs_of_two_hosts_at_once_both_count_whole() -> None:
    runs = [a_record("a"), a_record("b", after_s=1, host="there")]
    assert counted_once(runs) == (runs, 0)


def test_what_two_kernels_of_a_host_measured_at_once_counts_once() -> None:
    energies: dict[str, Uncertain | Range | None] = {"gpu": Uncertain(100.0)}
    runs = [
        a_record("a", duration_s=2, energies=energies),
        a_record("b", duration_s=2, after_s=1, session_id="s2", energies=energies),
    ]
    (_, part), overlapped = counted_once(runs)
    assert (part.duration_s, part.energy_j, overlapped) == (1.0, 50.0, 2)


@pytest.mark.parametrize(("early_s", "overlapped"), [(0.0009, 0), (0.0019, 0), (0.1, 2)])
def test_clocks_that_disagree_by_a_little_make_no_overlap(early_s: float, overlapped: int) -> None:
    duration_s = 1.0 if early_s < 1e-3 else 2.0  # 1 ms, or 0.1 % where that is more
    runs = [a_record("a"), a_record("b", after_s=2 - early_s, duration_s=duration_s)]
    assert counted_once(runs)[1] == overlapped


# -- other notebooks ---------------------------------------------------------------------------


def spell(**fields: object) -> Spell:
    """A run of 10 s on GPU 0 by another notebook, unless told otherwise."""
    made = {
        "notebook_id": "other",
        "session_id": "s2",
        "host": "here",
        "start_s": 0.0,
        "end_s": 10.0,
        "devices": frozenset({"gpu:0"}),
    }
    return Spell(**{**made, **fields})  # type: ignore[arg-type]


MINE = spell(notebook_id="mine", session_id="s1")


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({}, 1),
        ({"start_s": 9.99, "end_s": 30.0}, 1),
        ({"start_s": 10.0, "end_s": 30.0}, 0),
        ({"start_s": -5.0, "end_s": 0.0}, 0),
        ({"start_s": -5.0, "end_s": 50.0}, 1),
        ({"host": "there"}, 0),
        ({"devices": frozenset({"gpu:1", "package:0"})}, 0),
        ({"devices": frozenset({"gpu:1", "gpu:0"})}, 1),
        ({"devices": frozenset()}, 0),
        ({"session_id": "s1"}, 0),
        ({"notebook_id": "mine"}, 0),
        ({"notebook_id": "mine", "session_id": "s1"}, 0),
    ],
)
def test_another_notebook_is_told_of_where_it_drew_from_the_same_device_at_the_same_time(
    other: dict[str, object], told: int
) -> None:
    assert others_at_once([MINE], [spell(**other)]) == told


def test_a_notebook_is_counted_once_however_often_it_overlaps() -> None:
    others = [spell(start_s=n, end_s=n + 0.5) for n in range(8)]
    others += [spell(notebook_id="third", session_id="s3", start_s=2.0)]
    assert others_at_once([MINE], others) == 2


spells = st.builds(
    lambda notebook, session, start_s, long_s, device: Spell(
        notebook, f"{notebook}{session}", "here", start_s, start_s + long_s, frozenset({device})
    ),
    st.sampled_from("abc"),
    st.integers(0, 1),
    st.integers(0, 50).map(float),
    st.integers(0, 20).map(float),
    st.sampled_from(["gpu:0", "gpu:1"]),
)


@given(st.lists(spells, max_size=12), st.lists(spells, max_size=12))
def test_the_number_of_others_is_what_comparing_all_with_all_gives(
    mine: list[Spell], others: list[Spell]
) -> None:
    mine = [s for s in mine if s.notebook_id == "a"]
    found = {
        other.notebook_id
        for run in mine
        for other in others
        if run.notebook_id != other.notebook_id
        and run.devices == other.devices
        and min(run.end_s, other.end_s) - max(run.start_s, other.start_s) > 0.5
    }
    assert others_at_once(mine, others) == len(found)


def test_a_run_tells_the_devices_that_it_has_a_figure_of() -> None:
    record = a_record(
        energies={"gpu": Uncertain(1.0), "package": Range(1, 2, 3), "dram": None, "psys": None}
    )
    found = spell_of(record)
    assert found.devices == {"gpu:0", "package:0"}
    assert found.end_s - found.start_s == pytest.approx(record.duration_s)

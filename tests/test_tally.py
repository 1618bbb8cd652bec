"""Totals that grow with each record are those of all records together."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import a_record, in_zone, records

from jupyter_energy.display.grams import carbon_short
from jupyter_energy.model import Record
from jupyter_energy.schema import CarbonJson, totals_from_records
from jupyter_energy.tally import Tally
from jupyter_energy.uncertainty import Range, Uncertain


def placed(run: Record, start_s: float, duration_s: float) -> Record:
    start = datetime(2025, 3, 1, tzinfo=UTC) + timedelta(seconds=start_s)
    return replace(run, measurement=replace(run.measurement, start=start, duration_s=duration_s))


def near(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)


runs_near_each_other = st.lists(
    st.builds(
        placed,
        records(within=st.none() | st.just("another run")),
        st.floats(0, 30),
        st.floats(0, 10),
    ),
    max_size=8,
)


def looks_estimated(carbon: CarbonJson) -> bool:
    """Whether a summary shows these grams as no more than an estimate."""
    short = carbon_short(carbon)
    return short is not None and short.look == "estimated"


@given(runs_near_each_other)
def test_a_tally_gives_the_totals_of_all_its_records(runs: list[Record]) -> None:
    tally = Tally()
    for run in sorted(runs, key=lambda r: (r.start, -r.duration_s, r.run_id)):
        tally.add(run)
    found, expected = tally.totals(), totals_from_records(runs)
    assert found.runs == expected["runs"]
    assert near(found.duration_s, expected["duration_s"])
    if expected["measured_j"] is None:
        assert found.measured_j is None
    else:
        assert found.measured_j is not None
        assert near(found.measured_j.value, expected["measured_j"]["value"])
        assert near(found.measured_j.u95, expected["measured_j"]["u95"])
    if expected["estimated_j"] is None:
        assert found.estimated_j is None
    else:
        assert found.estimated_j is not None
        assert near(found.estimated_j.high, expected["estimated_j"]["high"])
    carbon = expected["carbon_g"]
    parts = [] if carbon is None else carbon["parts"] or [carbon]
    assert set(found.grams) == {part["kind"] for part in parts}
    measured = [part | {"estimated_share": 0.0} for part in parts]
    assert found.doubtful == any(looks_estimated(part) for part in measured)
    if carbon is None or carbon["mid"] is None:
        assert found.carbon_g is None
        assert found.estimated_share is None
    else:
        assert found.carbon_g is not None
        assert near(found.carbon_g.mid, carbon["mid"])
        assert found.estimated_share is not None
        assert 0 <= found.estimated_share <= 1


@given(runs_near_each_other, st.integers(0, 8))
def test_it_does_not_matter_which_of_the_runs_is_still_under_way(
    runs: list[Record], index: int
) -> None:
    runs = [replace(r, within=None, session_id="s", host="h") for r in runs]
    if not runs:
        return
    last = runs[index % len(runs)]
    whole, partly = Tally(), Tally()
    in_order = sorted(runs, key=lambda r: (r.start, -r.duration_s, r.run_id))
    for run in in_order:
        whole.add(run)
        if run is not last:
            partly.add(run, open_since_s=last.start.timestamp())
    assert near(partly.totals([last]).duration_s, whole.totals().duration_s)


def test_a_run_that_overlaps_those_before_it_counts_the_shared_time_once() -> None:
    tally = Tally()
    began = datetime(2025, 3, 1, 9, 30, tzinfo=UTC).timestamp()
    for number in range(3):
        tally.add(a_record(f"r{number}", duration_s=1.0, after_s=10.0 * number), began - 5)
    under_way = a_record("long", duration_s=60.0, after_s=-5.0)
    assert tally.totals([under_way]).duration_s == pytest.approx(60.0)
    assert tally.totals().duration_s == pytest.approx(3.0)


def test_a_run_that_overlaps_what_is_settled_is_told_from_others() -> None:
    tally = Tally()
    for number in range(3):
        assert tally.add(a_record(f"r{number}", duration_s=1.0, after_s=10.0 * number))
    other_kernel = a_record("other", duration_s=4.0, after_s=-3.5, session_id="s2")
    assert not tally.add(other_kernel)
    assert tally.add(a_record("next", duration_s=1.0, after_s=30.0))


def test_average_and_marginal_grams_do_not_meet_in_one_figure() -> None:
    tally = Tally()
    for kind in ("average", "marginal"):
        energies: dict[str, Uncertain | Range | None] = {"gpu": Uncertain(3600.0)}
        emitted = in_zone("FR", 100.0, 3600.0, kind)
        after_s = 10.0 * len(kind)
        tally.add(a_record(kind, energies=energies, emitted=emitted, after_s=after_s))
    assert tally.totals().carbon_g is None
    assert set(tally.totals().grams) == {"average", "marginal"}


def test_what_is_still_under_way_is_not_kept() -> None:
    tally = Tally()
    assert tally.totals([a_record(duration_s=5.0)]).runs == 1
    assert tally.totals().runs == 0

"""The job that is planned: recorded cells one after the other, or what the user says it is."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import a_record, one_after_another, records

from jupyter_energy.errors import WrongUse
from jupyter_energy.model import Record
from jupyter_energy.plan.job import job_from_records, job_of, last_session
from jupyter_energy.plan.nouns import SLOT_S, Job
from jupyter_energy.power.document import Curve, PowerTrace
from jupyter_energy.schema import totals_from_records
from jupyter_energy.shift import Shift, Stretch
from jupyter_energy.uncertainty import Range, Uncertain

KWH = 3.6e6
UNSHIFTED = records().filter(lambda r: 0 < r.duration_s < 1e6).map(lambda r: replace(r, shift=None))
IN_A_YEAR = st.lists(UNSHIFTED, min_size=1, max_size=6)


def a_run(run_id: str, joules: float | None, seconds: float, after_s: float = 0.0) -> Record:
    energy = None if joules is None else Uncertain(joules, 0.0, joules / 40)
    return a_record(
        run_id, cell_id=run_id, energies={"gpu": energy}, duration_s=seconds, after_s=after_s
    )


def a_trace(
    run: Record, ends_s: tuple[float, ...], power_w: tuple[float | None, ...]
) -> PowerTrace:
    (device,) = run.domains
    curve = Curve(device.domain, "measured", "nvml", None, ends_s, power_w)
    return PowerTrace(run.duration_s, 0.1, 0.1, 0.0, None, (curve,))


def test_cells_follow_each_other_without_the_time_between_them() -> None:
    made = job_from_records([a_run("a", 300.0, 300.0), a_run("b", 900.0, 300.0, 7200.0)], {})
    assert made.duration_s == 600.0
    assert made.shares == pytest.approx((0.25, 0.75))
    assert made.measured is not None
    assert made.measured.value == 1200.0
    assert made.estimated is None
    assert made.said == "the 2 cells of this session"


def test_a_cell_has_its_mean_power_in_every_slot_that_it_touches() -> None:
    made = job_from_records([a_run("a", 450.0, 450.0), a_run("b", 300.0, 150.0, 500.0)], {})
    assert made.shares == pytest.approx((300 / 750, 450 / 750))


def test_a_trace_says_when_a_cell_drew_its_energy_and_the_record_how_much() -> None:
    run = a_run("a", 1000.0, 900.0)
    trace = a_trace(run, (300.0, 600.0, 900.0), (1.0, None, 3.0))
    made = job_from_records([run], {"a": trace})
    assert made.shares == pytest.approx((1 / 6, 2 / 6, 3 / 6))  # unseen: the mean of the others
    assert made.measured is not None
    assert made.measured.value == 1000.0
    assert "power over time from the trace" in made.said


def test_what_runs_share_in_time_counts_once_and_no_trace_is_taken_of_a_part() -> None:
    runs = [a_run("a", 600.0, 600.0), a_run("b", 600.0, 600.0, 300.0)]
    traces = {"b": a_trace(runs[1], (300.0, 600.0), (0.0, 100.0))}
    made = job_from_records(runs, traces)
    assert made.duration_s == pytest.approx(900.0)
    assert made.measured is not None
    assert made.measured.value == pytest.approx(900.0)
    assert made.shares == pytest.approx((1 / 3,) * 3)
    assert "what runs share in time counts once" in made.said
    assert "trace" not in made.said


def test_runs_without_energy_count_in_time_only_and_that_is_said() -> None:
    made = job_from_records([a_run("a", None, 300.0), a_run("b", 60.0, 300.0, 400.0)], {})
    assert made.duration_s == 600.0
    assert made.shares == pytest.approx((0.0, 1.0))
    assert "1 of them without energy: only its time counts" in made.said


def test_a_job_of_which_no_energy_is_known_has_its_time_as_shares() -> None:
    made = job_from_records([a_run("a", None, 450.0)], {})
    assert made.energy_j is None
    assert made.shares == pytest.approx((300 / 450, 150 / 450))


def shifted(
    run: Record, *pauses: tuple[float, float, float | None], waited: bool = False
) -> Record:
    """A run that was held from and to some s after its begin, and drew so many J meanwhile."""
    stretches = tuple(
        Stretch(
            run.start + timedelta(seconds=begin),
            run.start + timedelta(seconds=end),
            None if drawn_j is None else Range(drawn_j, drawn_j, drawn_j),
        )
        for begin, end, drawn_j in pauses
    )
    held = {"waits" if waited else "pauses": stretches}
    nothing = Shift(run.start, None, None, None, (), (), None, None, None, None, None)
    return replace(run, shift=replace(nothing, **held))  # type: ignore[arg-type]  # for brevity


@pytest.mark.parametrize("waited", [True, False])
def test_waits_and_pauses_for_cleaner_power_are_no_part_of_the_job(waited: bool) -> None:
    run = shifted(a_run("a", 1000.0, 900.0), (0.0, 300.0, 100.0), waited=waited)
    made = job_from_records([run, a_run("b", 300.0, 300.0, 1000.0)], {})
    assert made.duration_s == pytest.approx(900.0)
    assert made.measured is not None
    assert made.measured.value == pytest.approx(900.0 + 300.0)
    assert made.shares == pytest.approx((450 / 1200, 450 / 1200, 300 / 1200))
    assert "without their waits and pauses for cleaner power" in made.said


def test_nor_are_those_of_a_loop_within_a_cell() -> None:
    cell = a_run("a", 1000.0, 900.0)
    loop = replace(shifted(a_run("loop", 900.0, 800.0, 50.0), (0.0, 600.0, 60.0)), within="a")
    twice = replace(loop, run_id="other", within="loop")  # the same time is taken out once
    made = job_from_records([cell, loop, twice], {})
    assert made.duration_s == pytest.approx(300.0)
    assert made.measured is not None
    assert made.measured.value == pytest.approx(940.0)


def test_of_a_pause_whose_energy_is_not_known_the_mean_power_is_taken_out() -> None:
    made = job_from_records([shifted(a_run("a", 900.0, 900.0), (0.0, 600.0, None))], {})
    assert made.measured is not None
    assert made.measured.value == pytest.approx(300.0)


def test_a_cell_that_only_waited_leaves_the_one_that_ran() -> None:
    wait = shifted(a_run("a", 30.0, 300.1), (0.0, 300.0, 29.9), waited=True)
    made = job_from_records([wait, a_run("b", 60.0, 1.2, 301.0)], {})
    assert made.duration_s == pytest.approx(1.3)
    assert made.measured is not None
    assert made.measured.value == pytest.approx(60.1)


def test_measured_and_estimated_energies_stay_apart() -> None:
    run = a_record(energies={"gpu": Uncertain(100.0), "dram": Range(1.0, 2.0, 4.0)})
    made = job_from_records([run], {})
    assert made.measured is not None
    assert made.measured.value == 100.0
    assert made.estimated == Range(1.0, 2.0, 4.0)


def test_memorys_share_is_known_of_a_job_and_of_hours_like_it() -> None:
    drawn = {"dram": Range(100.0, 300.0, 900.0), "package": Range(50.0, 100.0, 200.0)}
    made = job_from_records([a_record("a", cell_id="a", energies=drawn, duration_s=600.0)], {})
    assert made.constant == pytest.approx(0.75)
    assert job_of(3.0, None, made).constant == made.constant
    assert job_of(3.0, 1.0).constant == 0.0


def test_of_an_energy_that_is_given_memory_has_its_own_watts_and_no_share_of_another_job() -> None:
    drawn = {"dram": Range(1000.0, 3000.0, 9000.0), "package": Range(500.0, 1000.0, 2000.0)}
    made = job_from_records([a_record("a", cell_id="a", energies=drawn, duration_s=1000.0)], {})
    assert job_of(3.0, 1.0, made).constant == pytest.approx(3 * 3 * 3600 / KWH)  # 3 W of 333 W
    assert job_of(None, 1.0, made).constant == pytest.approx(3000 / KWH)
    assert job_of(1000.0, 1e-3, made).constant == 1.0  # never more than the whole


def test_cells_that_ran_several_times_are_told_as_runs() -> None:
    twice = [replace(a_run("a", 1.0, 1.0), run_id="x"), a_run("a", 1.0, 1.0, 5.0)]
    assert job_from_records(twice, {}).said == "2 runs of 1 cell of this session"


def test_no_time_and_more_than_a_year_are_refused() -> None:
    with pytest.raises(WrongUse, match="is no time that a job takes"):
        job_from_records([], {})
    with pytest.raises(WrongUse, match="more than a year"):
        job_from_records([a_run("a", 1.0, 367 * 86400.0)], {})


@given(IN_A_YEAR)
def test_shares_add_up_to_one_over_all_slots_whatever_was_recorded(runs: list[Record]) -> None:
    outer = [replace(run, within=None) for run in one_after_another(runs)]
    if math.fsum(run.duration_s for run in outer) > 3e7:
        return
    made = job_from_records(outer, {})
    assert len(made.shares) == max(1, math.ceil(made.duration_s / SLOT_S - 1e-9))
    assert min(made.shares) >= 0
    assert math.fsum(made.shares) == pytest.approx(1.0)


@given(IN_A_YEAR)
def test_a_job_has_the_energy_and_the_time_of_the_totals(runs: list[Record]) -> None:
    outer, session = last_session([replace(run, session_id="s", within=None) for run in runs])
    if math.fsum(run.duration_s for run in outer) > 3e7:
        return
    made, totals = job_from_records(outer, {}, session), totals_from_records(outer)
    assert made.duration_s == pytest.approx(totals["duration_s"])
    if made.measured is None:
        assert totals["measured_j"] is None
    else:
        assert totals["measured_j"] is not None
        assert made.measured.value == pytest.approx(totals["measured_j"]["value"])


# -- which session -------------------------------------------------------------------------------


def in_session(session: str, run: Record, days: float) -> Record:
    moved = replace(run.measurement, start=run.start + timedelta(days=days))
    return replace(run, session_id=session, measurement=moved)


def test_a_kernel_plans_its_own_session_else_the_last_one_that_measured_anything() -> None:
    runs = [
        in_session("own", a_run("a", None, 1.0), 0),
        in_session("older", a_run("b", 1.0, 1.0), 1),
        in_session("last", a_run("c", None, 1.0), 2),
    ]
    own, said = last_session(runs, "own")
    assert ([r.run_id for r in own], said) == (["a"], "this session")
    other, said = last_session(runs, "without any run")
    assert ([r.run_id for r in other], said) == (["b"], "the last session, of 2025-03-02")
    nothing, said = last_session([], "own")
    assert nothing == []


def test_where_no_session_measured_anything_the_last_one_is_planned() -> None:
    runs = [in_session(f"s{day}", a_run(f"r{day}", None, 1.0), day) for day in (0, 1)]
    assert [r.run_id for r in last_session(runs)[0]] == ["r1"]


def test_runs_within_others_and_runs_without_time_make_no_job() -> None:
    inner = replace(a_run("b", 5.0, 1.0), within="a")
    assert last_session([inner, a_run("c", 5.0, 0.0)])[0] == []


# -- as given ------------------------------------------------------------------------------------


RECORDED = job_from_records([a_run("a", 3600.0, 3600.0)], {})


def test_hours_alone_are_planned_at_the_recorded_mean_power_as_an_estimate() -> None:
    made = job_of(6.0, None, RECORDED)
    assert made.duration_s == 6 * 3600
    assert made.measured is None  # nobody measured this job
    assert made.estimated is not None
    assert made.estimated.mid == pytest.approx(6 * 3600.0)
    assert made.estimated.low < made.estimated.mid < made.estimated.high
    assert not made.is_given
    assert made.said == "a job as long as given, at the mean power of the one cell of this session"


def test_hours_without_a_record_have_no_energy() -> None:
    made = job_of(0.5, None)
    assert made.energy_j is None
    assert made.shares == pytest.approx((1 / 6,) * 6)


def test_given_energy_is_as_given_with_no_range_and_never_measured() -> None:
    made = job_of(2.0, 3.0, RECORDED)
    assert made.measured is None
    assert made.estimated == Range(3 * KWH, 3 * KWH, 3 * KWH)
    assert made.is_given
    assert made.said == "a job as given"


def test_kwh_alone_are_drawn_in_the_time_and_as_unevenly_as_was_recorded() -> None:
    uneven = job_from_records([a_run("a", 300.0, 300.0), a_run("b", 900.0, 300.0, 400.0)], {})
    made = job_of(None, 3.0, uneven)
    assert (made.duration_s, made.shares) == (uneven.duration_s, uneven.shares)
    assert made.energy_j == Range(3 * KWH, 3 * KWH, 3 * KWH)


def test_kwh_without_any_time_ask_for_the_hours() -> None:
    with pytest.raises(WrongUse, match="add --hours"):
        job_of(None, 3.0)


@pytest.mark.parametrize(
    ("hours", "kwh"),
    [
        *((hours, None) for hours in (0.0, -1.0, math.nan, math.inf, 9000.0)),
        *((1.0, kwh) for kwh in (0.0, -2.0, math.nan, math.inf)),
    ],
)
def test_what_is_no_job_is_refused(hours: float, kwh: float | None) -> None:
    with pytest.raises(WrongUse):
        job_of(hours, kwh, RECORDED)


@given(st.floats(1e-3, 8000))
def test_shares_of_any_length_add_up_to_one(hours: float) -> None:
    made: Job = job_of(hours, None)
    assert math.fsum(made.shares) == pytest.approx(1.0)
    assert min(made.shares) >= 0


@given(st.integers(1, 24 * 366))
def test_a_job_of_whole_hours_draws_the_same_in_every_slot(hours: int) -> None:
    made = job_of(float(hours), 2.0)
    assert len(made.shares) == 12 * hours
    assert len(set(made.shares)) == 1
    assert math.fsum(made.shares) == pytest.approx(1.0)


@pytest.mark.parametrize("kwh", [1e300, 1e14, 1e-320, 0.0, -1.0, math.inf, math.nan])
def test_an_energy_that_no_figure_can_hold_is_refused(kwh: float) -> None:
    with pytest.raises(WrongUse, match="no energy of a job"):
        job_of(1.0, kwh)

"""Records become documents and JSON, and add up."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import a_record, in_zone, measurements, one_after_another, records

from jupyter_energy.attribution import Baseline
from jupyter_energy.documents import idle_from_document, idle_to_document
from jupyter_energy.gpu_use import GpuUse
from jupyter_energy.model import Idle, Measurement, Record
from jupyter_energy.schema import (
    MIME_TYPE,
    CellJson,
    cell_from_records,
    record_from_document,
    record_to_document,
    to_json,
    totals_from_records,
    utc_text,
)
from jupyter_energy.uncertainty import COVERAGE_FACTOR_95, Range, Uncertain


@given(records())
def test_a_record_comes_back_from_its_document_as_it_was(record: Record) -> None:
    assert record_from_document(json.loads(to_json(record_to_document(record)))) == record


@given(records())
def test_a_document_has_every_field_of_a_record_and_of_all_that_it_holds(record: Record) -> None:
    whole = json.loads(json.dumps(asdict(record), default=utc_text))
    measurement = whole.pop("measurement")
    del measurement["_counted"]  # what follows from the others
    assert json.loads(to_json(record_to_document(record))) == {**whole, **measurement}


def test_fields_of_a_newer_version_are_passed_over() -> None:
    record = a_record(energies={"gpu": Uncertain(3.0)}, emitted=in_zone("FR", 50, 3))
    document = {**record_to_document(record), "colour": "green"}
    document["emissions"]["intensity"]["mood"] = "good"
    assert record_from_document(document) == record


@pytest.mark.parametrize("broken", [{}, {"start": "yesterday"}, {"start": 3}])
def test_a_document_that_is_none_of_ours_is_refused(broken: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        record_from_document(broken)


@pytest.mark.parametrize("figure", [Uncertain(math.nan), Uncertain(1.0, math.inf)])
def test_a_figure_that_is_no_number_is_kept_as_unknown(figure: Uncertain) -> None:
    record = a_record(energies={"gpu": figure, "package": Uncertain(2.0)})
    for shown in (record_to_document(record), cell_from_records([record])):
        assert json.loads(to_json(shown))
    back = record_from_document(record_to_document(record))
    assert [d.energy for d in back.domains] == [None, Uncertain(2.0)]
    assert back.domains[0].reason == "the sensor gave no finite number"
    assert back.domains[0].provenance == "none"
    assert totals_from_records([record])["measured_j"]["value"] == 2.0


def test_infinite_grams_are_unknown_grams() -> None:
    emitted = replace(in_zone("FR", 50, 3), carbon_g=Range(0, 1, math.inf))
    record = a_record(energies={"gpu": Uncertain(3.0)}, emitted=emitted)
    assert cell_from_records([record])["carbon_g"] is None
    assert record_from_document(record_to_document(record)).emissions is None


def test_json_with_a_nan_is_never_written() -> None:
    with pytest.raises(ValueError, match="JSON"):
        to_json({"value": math.nan})


def keys_of(kind: type) -> set[str]:
    return set(kind.__annotations__)


@given(st.lists(records(), min_size=1, max_size=4))
def test_a_cell_has_every_field_and_json_can_hold_it(runs: list[Record]) -> None:
    cell = cell_from_records(runs)
    assert set(cell) == keys_of(CellJson)
    assert json.loads(to_json(cell)) == cell


def test_a_cell_with_nothing_known_says_null_and_not_zero() -> None:
    cell = cell_from_records([a_record(energies={"package": None})])
    for field in ("measured_j", "estimated_j", "average_w", "peak_w", "carbon_g", "above_idle_j"):
        assert cell[field] is None
    (domain,) = cell["domains"]
    assert (domain["energy_j"], domain["low_j"], domain["mid_j"]) == (None, None, None)
    assert domain["reason"] == "permission"
    totals = totals_from_records([])
    assert totals["measured_j"] is totals["first"] is None


def test_a_cell_without_runs_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one run"):
        cell_from_records([])


def test_a_cell_has_the_outcome_of_its_last_run_and_the_start_of_its_first() -> None:
    first = a_record("a", outcome="error", count=1, name="old", warnings=("hot", "old"))
    last = a_record("b", outcome="ok", count=4, after_s=60, warnings=("hot",))
    cell = cell_from_records([last, first])
    assert (cell["outcome"], cell["execution_count"], cell["runs"]) == ("ok", 4, 2)
    assert cell["started"] == "2025-03-01T09:30:00.000000Z"
    assert cell["name"] == "old"
    assert cell["warnings"] == ["hot", "old"]


def test_average_power_is_measured_energy_over_duration_else_the_estimates_middle() -> None:
    both = a_record(energies={"gpu": Uncertain(10.0), "dram": Range(1, 2, 4)})
    assert cell_from_records([both])["average_w"] == 5.0
    estimate = a_record(energies={"dram": Range(1, 2, 4)})
    assert cell_from_records([estimate])["average_w"] == 1.0
    for duration_s in (0.0, 1e-320):
        assert cell_from_records([replace_duration(both, duration_s)])["average_w"] is None


def replace_duration(record: Record, duration_s: float) -> Record:
    return replace(record, measurement=replace(record.measurement, duration_s=duration_s))


def test_a_devices_gain_error_adds_up_over_runs_and_its_random_error_averages_out() -> None:
    runs = [a_record(f"r{n}", energies={"gpu": Uncertain(100.0, 1.0, 5.0)}) for n in range(4)]
    value = cell_from_records(runs)["measured_j"]
    assert value["value"] == 400.0
    assert value["u95_repeat"] == pytest.approx(COVERAGE_FACTOR_95 * 2.0)
    assert value["u95"] == pytest.approx(COVERAGE_FACTOR_95 * math.hypot(2.0, 20.0))


def test_different_devices_and_different_hosts_have_independent_gain_errors() -> None:
    one = Uncertain(100.0, 0.0, 3.0)
    other = Uncertain(100.0, 0.0, 4.0)
    devices = cell_from_records([a_record(energies={"gpu": one, "dram": other})])
    hosts = totals_from_records(
        [a_record("a", energies={"gpu": one}), a_record("b", host="b", energies={"gpu": other})]
    )
    for value in (devices["measured_j"], hosts["measured_j"]):
        assert value["u95"] == pytest.approx(COVERAGE_FACTOR_95 * 5.0)


def test_a_domain_measured_once_and_estimated_once_has_two_entries() -> None:
    runs = [
        a_record("a", energies={"dram": Uncertain(3.0)}),
        a_record("b", energies={"dram": Range(1, 2, 4)}, after_s=5),
    ]
    measured, estimated = cell_from_records(runs)["domains"]
    assert (measured["energy_j"], measured["mid_j"], measured["coverage"]) == (3.0, None, 0.5)
    assert (estimated["energy_j"], estimated["mid_j"], estimated["coverage"]) == (None, 2, 0.5)


def test_a_domain_that_had_no_reading_in_some_runs_says_so() -> None:
    runs = [
        a_record("a", energies={"gpu": Uncertain(3.0)}),
        a_record("b", energies={"gpu": None}, after_s=5),
    ]
    (domain,) = cell_from_records(runs)["domains"]
    assert domain["energy_j"] == 3.0
    assert domain["coverage"] == 0.5
    assert domain["reason"] == "no reading in 1 of 2 runs: permission"


def test_a_part_of_the_package_is_shown_and_not_added() -> None:
    cell = cell_from_records(
        [a_record(energies={"package": Uncertain(9.0), "core": Uncertain(5.0)})]
    )
    assert cell["measured_j"]["value"] == 9.0
    assert [d["energy_j"] for d in cell["domains"]] == [9.0, 5.0]


@pytest.mark.parametrize("outer", ["package", "module"])
@pytest.mark.parametrize("part", ["core", "uncore"])
def test_a_part_counts_only_where_nothing_around_it_was_measured(part: str, outer: str) -> None:
    inside, around = {part: Uncertain(5.0)}, {outer: Uncertain(9.0)}
    for energies, counted_j in ((inside | around, 9.0), (inside | {outer: None}, 5.0)):
        assert a_record(energies=energies).energy_j == counted_j


@given(st.lists(records(), min_size=1, max_size=5))
def test_every_share_of_a_cell_lies_between_0_and_1(runs: list[Record]) -> None:
    cell = cell_from_records(runs)
    assert all(0 <= d["coverage"] <= 1 for d in cell["domains"])
    carbon = cell["carbon_g"]
    for part in [carbon, *(carbon["parts"] or [])] if carbon else []:
        assert part["estimated_share"] is None or 0 <= part["estimated_share"] <= 1


def test_grams_of_several_places_add_and_the_factor_is_the_energy_weighted_mean() -> None:
    runs = [
        a_record("a", energies={"gpu": Uncertain(3e6)}, emitted=in_zone("FR", 50, 3e6)),
        a_record("b", energies={"gpu": Uncertain(1e6)}, emitted=in_zone("DE", 350, 1e6)),
    ]
    carbon = cell_from_records(runs)["carbon_g"]
    assert carbon["zone"] == "FR, DE"
    assert carbon["g_per_kwh"] == pytest.approx(125)
    assert carbon["mid"] == pytest.approx((3e6 * 50 + 1e6 * 350) / 3.6e6)
    assert carbon["parts"] is None


def test_average_and_marginal_grams_never_meet_in_one_figure() -> None:
    runs = [
        a_record("a", energies={"gpu": Uncertain(3e6)}, emitted=in_zone("FR", 50, 3e6)),
        a_record(
            "b",
            energies={"gpu": Uncertain(1e6)},
            emitted=in_zone("FR", 700, 1e6, "marginal"),
            after_s=9,
        ),
    ]
    carbon = totals_from_records(runs)["carbon_g"]
    for field in ("low", "mid", "high", "g_per_kwh", "kind", "zone"):
        assert carbon[field] is None
    assert [part["kind"] for part in carbon["parts"]] == ["average", "marginal"]
    assert carbon["parts"][1]["g_per_kwh"] == 700


def test_energy_without_grams_beside_energy_with_grams_is_told() -> None:
    runs = [
        a_record("a", energies={"gpu": Uncertain(3e6)}, emitted=in_zone("FR", 50, 3e6)),
        a_record("b", energies={"gpu": Uncertain(1e6)}),
        a_record("c"),
    ]
    (told,) = cell_from_records(runs)["warnings"]
    assert told == "1 of 2 runs has energy but no CO2e: the grams are of the others"
    assert cell_from_records(runs[1:])["warnings"] == []


@given(st.lists(records(), min_size=1, max_size=5))
def test_the_mean_factor_lies_between_the_factors_it_is_made_of(runs: list[Record]) -> None:
    carbon = totals_from_records(one_after_another(runs))["carbon_g"]
    for part in [] if carbon is None else carbon["parts"] or [carbon]:
        factors = [
            r.emissions.intensity.g_per_kwh
            for r in runs
            if r.emissions is not None and r.emissions.intensity.kind == part["kind"]
        ]
        if part["g_per_kwh"] is not None:
            assert min(factors) <= part["g_per_kwh"] <= max(factors)
        grams = [r.carbon_g.mid for r in runs if r.emissions is not None
                 and r.emissions.intensity.kind == part["kind"]]  # fmt: skip
        assert part["mid"] == pytest.approx(math.fsum(grams))


def test_totals_whose_grams_are_of_a_part_of_the_runs_say_so() -> None:
    runs = [
        a_record("a", energies={"gpu": Uncertain(3e6)}, emitted=in_zone("FR", 50, 3e6)),
        a_record("b", energies={"gpu": Uncertain(1e6)}, after_s=9),
        a_record("c", energies={"gpu": Uncertain(1e6)}, after_s=19),
        a_record("d", after_s=29),
    ]
    (told,) = totals_from_records(runs)["warnings"]
    assert told == "2 of 3 runs have energy but no CO2e: the grams are of the others"
    assert totals_from_records(runs[1:])["warnings"] == totals_from_records([])["warnings"] == []


def test_the_time_that_runs_share_counts_once_in_totals_which_say_so() -> None:
    runs = [
        a_record("cell", energies={"gpu": Uncertain(200.0)}),
        a_record("thread", name="t", energies={"gpu": Uncertain(300.0)}, duration_s=3, after_s=1),
        a_record("inside", cell_id="4567cdef", energies={"gpu": Uncertain(100.0)}, duration_s=1,
                 after_s=2, outcome="interrupted"),
    ]  # fmt: skip
    totals = totals_from_records(runs)
    assert (totals["duration_s"], totals["measured_j"]["value"]) == (4.0, pytest.approx(400.0))
    assert (totals["runs"], totals["cells"], totals["interrupted"]) == (3, 2, 1)
    assert totals["warnings"] == [
        "3 runs overlapped; the time they share is counted once, at mean power"
    ]


def test_runs_inside_other_runs_do_not_enter_totals() -> None:
    outer = a_record("a", energies={"gpu": Uncertain(10.0)})
    inner = a_record("b", energies={"gpu": Uncertain(9.0)}, within="a", name="epoch")
    totals = totals_from_records([outer, inner])
    assert (totals["runs"], totals["cells"], totals["duration_s"]) == (1, 1, 2.0)
    assert totals["measured_j"]["value"] == 10.0


def test_runs_cut_short_are_counted() -> None:
    outcomes = ["ok", "interrupted", "lost", "error"]
    runs = [a_record(o, outcome=o, after_s=n) for n, o in enumerate(outcomes)]
    totals = totals_from_records(runs)
    assert (totals["interrupted"], totals["lost"]) == (2, 1)
    assert totals["first"] == "2025-03-01T09:30:00.000000Z"
    assert totals["last"] == "2025-03-01T09:30:03.000000Z"


def test_a_result_shows_itself_as_text_and_in_a_notebook() -> None:
    record = a_record(energies={"gpu": Uncertain(412, 10, 10)})
    assert "412 ± 28 J measured" in str(record)
    bundle = record._repr_mimebundle_()
    assert bundle["text/plain"] == str(record)
    assert bundle[MIME_TYPE] == record.to_dict()


def test_mean_power_is_over_the_runs_that_have_the_figure() -> None:
    unknown = [a_record(f"u{n}", energies={}, after_s=n) for n in range(3)]
    known = a_record("m", energies={"gpu": Uncertain(150.0)}, after_s=9)
    cell = cell_from_records([*unknown, known])
    assert cell["average_w"] == pytest.approx(150.0 / known.duration_s)


# -- above idle, and whose -----------------------------------------------------------------


def above(record: Record, **figures: Uncertain | None) -> Record:
    """The record with energies above idle, by kind of device."""
    domains = tuple(replace(d, above_idle=figures.get(d.domain.kind)) for d in record.domains)
    return replace(record, measurement=replace(record.measurement, domains=domains))


def test_energy_above_idle_is_of_all_measured_devices_or_unknown() -> None:
    record = a_record(
        energies={"gpu": Uncertain(9.0), "package": Uncertain(5.0), "dram": Range(1, 2, 3)}
    )
    both = above(record, gpu=Uncertain(7.0, 3.0), package=Uncertain(2.0, 4.0))
    assert both.above_idle_j == Uncertain(9.0, 5.0)
    assert both.to_dict()["above_idle_j"]["value"] == 9.0
    assert above(record, gpu=Uncertain(7.0)).above_idle_j is None
    assert above(record, gpu=Uncertain(7.0)).to_dict()["above_idle_j"] is None
    assert a_record(energies={"dram": Range(1, 2, 3)}).above_idle_j is None


def test_energy_above_idle_adds_over_runs_with_the_errors_of_gain_and_baseline_linearly() -> None:
    runs = [
        above(
            a_record(f"r{n}", energies={"package": Uncertain(9.0)}, after_s=n * 10),
            package=Uncertain(4.0, 3.0, 1.0),
        )
        for n in range(4)
    ]
    found = cell_from_records(runs)["above_idle_j"]
    assert found["value"] == 16.0
    assert found["u95_repeat"] == pytest.approx(1.96 * 6)
    assert found["u95"] == pytest.approx(1.96 * math.hypot(6, 4))
    unknown = a_record("r9", energies={"package": Uncertain(9.0)}, after_s=90)
    assert cell_from_records([*runs, unknown])["above_idle_j"] is None
    nothing = a_record("r8", energies={"package": None}, after_s=80)
    assert cell_from_records([*runs, nothing])["above_idle_j"]["value"] == 16.0


def test_less_than_idle_is_shown_as_nothing_and_kept_as_it_is() -> None:
    record = above(a_record(energies={"package": Uncertain(9.0)}), package=Uncertain(-3.0, 1.0))
    assert cell_from_records([record])["above_idle_j"]["value"] == 0.0
    assert record_from_document(record_to_document(record)).above_idle_j == Uncertain(-3.0, 1.0)


def test_the_kernels_share_over_runs_is_weighted_by_cpu_time() -> None:
    short = replace(a_record("a"), kernel_cpu_s=1.0, machine_cpu_s=1.0)
    long = replace(a_record("b", after_s=10), kernel_cpu_s=3.0, machine_cpu_s=9.0)
    assert cell_from_records([short])["kernel_share"] == 1.0
    assert cell_from_records([short, long])["kernel_share"] == pytest.approx(0.4)
    assert cell_from_records([short, a_record("c", after_s=20)])["kernel_share"] == 1.0
    assert cell_from_records([a_record()])["kernel_share"] is None


def test_the_kernels_part_adds_over_runs_where_all_know_theirs() -> None:
    run = above(
        replace(
            a_record("a", energies={"package": Uncertain(99.0), "gpu": Uncertain(50.0)}),
            kernel_cpu_s=1.0,
            machine_cpu_s=2.0,
        ),
        package=Uncertain(80.0),
    )
    assert run.above_idle_j is None  # the GPU's is not known, which CPU time says nothing of
    found = cell_from_records([run, replace(run, run_id="b")])["kernel_j"]
    assert (found["low"], found["mid"], found["high"]) == pytest.approx((56.0, 80.0, 104.0))
    unknown = replace(run, run_id="c", kernel_cpu_s=None)
    assert cell_from_records([run, unknown])["kernel_j"] is None


def test_a_cell_tells_the_idle_power_that_its_last_run_was_computed_with() -> None:
    run = a_record()
    taken = run.start - timedelta(seconds=90)
    known = replace(run, baseline=Baseline(40.0, 2.0, taken, 30.0))
    assert cell_from_records([known])["baseline"] == {
        "power_w": 40.0,
        "u95_w": pytest.approx(3.92),
        "age_s": 90.0,
        "seconds": 30.0,
        "how": "between cells",
    }
    assert cell_from_records([run])["baseline"] is None


def test_a_record_of_a_version_that_knew_no_attribution_comes_back() -> None:
    record = a_record(energies={"gpu": Uncertain(3.0)})
    document = record_to_document(record)
    for field in ("kernel_cpu_s", "machine_cpu_s", "baseline"):
        del document[field]
    for d in document["domains"]:
        del d["above_idle"]
    assert record_from_document(document) == record


@given(measurements())
def test_what_was_drawn_between_cells_comes_back_from_its_document(found: Measurement) -> None:
    idle = Idle("i1", "n1", "s1", "here", found)
    assert idle_from_document(json.loads(to_json(idle_to_document(idle)))) == idle


def idle(kind: str, energy: Uncertain | Range, duration_s: float, coverage: float = 1.0) -> Idle:
    found = a_record(energies={kind: energy}, duration_s=duration_s).measurement
    domains = tuple(replace(d, coverage=coverage) for d in found.domains)
    return Idle("i", "n1", "s1", "here", replace(found, domains=domains))


def test_idle_energy_adds_up_apart_from_every_total() -> None:
    runs = [a_record(energies={"package": Uncertain(5.0)})]
    idles = [
        idle("package", Uncertain(100.0, 3.0, 1.0), 10.0),
        idle("package", Uncertain(50.0, 4.0, 1.0), 20.0, coverage=0.25),
        idle("dram", Range(1.0, 2.0, 4.0), 10.0),
    ]
    totals = totals_from_records(runs, idles)
    assert {**totals, "idle": None} == totals_from_records(runs)
    found = totals["idle"]
    assert found["duration_s"] == 40.0
    assert found["measured_j"]["value"] == 150.0
    assert found["measured_j"]["u95"] == pytest.approx(1.96 * math.hypot(5.0, 2.0))
    assert found["estimated_j"] == {"low": 1.0, "mid": 2.0, "high": 4.0}
    assert found["coverage"] == pytest.approx(10 / 40)  # the memory was seen least


def test_a_gpus_use_is_in_the_json_and_null_where_nobody_told() -> None:
    def of(*uses: GpuUse | None) -> object:
        runs = [a_record(f"r{n}", energies={"gpu": Uncertain(3.0)}) for n in range(len(uses))]
        told = [
            replace(r, measurement=replace(r.measurement, domains=(replace(d, use=use),)))
            for r, use in zip(runs, uses, strict=True)
            for d in r.domains
        ]
        (domain,) = json.loads(to_json(cell_from_records(told)))["domains"]
        return domain["use"]

    assert of(None) is None
    one = {"busy": 0.25, "known_s": 30.0, "memory_bytes": 10, "memory_total_bytes": 100}
    assert of(GpuUse(**one)) == one
    # Of several runs: the mean by time, and the most of the memory.
    other = GpuUse(1.0, 10.0, 90, 100)
    expected = {"busy": 0.4375, "known_s": 40.0, "memory_bytes": 90, "memory_total_bytes": 100}
    assert of(GpuUse(**one), None, other) == expected

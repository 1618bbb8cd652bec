"""The text under a cell, the summary's table and the row of a run."""

from __future__ import annotations

import json
import re
import unicodedata

import display_examples as examples
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_energy import units
from jupyter_energy.display import text, words
from jupyter_energy.json_shapes import UseJson
from jupyter_energy.plain_text import clean
from jupyter_energy.schema import CellJson, RangeJson, SummaryJson
from jupyter_energy.uncertainty import Range

FIGURES = st.floats(min_value=1e-6, max_value=1e9)
NAMES = st.one_of(st.none(), st.text(max_size=60))


@st.composite
def cells(draw: st.DrawFn) -> CellJson:
    """A cell with any mixture of measured, estimated and unknown."""
    made = examples.cell(
        draw(NAMES),
        runs=draw(st.integers(1, 9999)),
        execution_count=draw(st.one_of(st.none(), st.integers(1, 9999))),
        duration_s=draw(st.one_of(st.just(0.0), st.floats(1e-4, 1e6))),
        outcome=draw(st.sampled_from(["ok", "error", "interrupted", "lost"])),
        inside=draw(st.booleans()),
    )
    joules = draw(FIGURES)
    if draw(st.booleans()):
        made["measured_j"] = examples.value(joules, joules * draw(st.floats(0.01, 3.0)))
        made["average_w"] = joules / (made["duration_s"] or 1.0)
    if draw(st.booleans()):
        low, mid, high = sorted((joules, draw(FIGURES), draw(FIGURES)))
        made["estimated_j"] = examples.estimate(low, mid, high)
        made["average_w"] = made["average_w"] or mid
    if draw(st.booleans()):
        made["carbon_g"] = examples.world(draw(FIGURES))
    return made


def summary_of(made: list[CellJson]) -> SummaryJson:
    measured = [c["measured_j"]["value"] for c in made if c["measured_j"]]
    estimated = [c["estimated_j"] for c in made if c["estimated_j"]]
    return examples.summary(
        made,
        runs=len(made),  # even where the cells around the blocks have not ended yet
        measured_j=examples.value(sum(measured), 1.0) if measured else None,
        estimated_j=examples.estimate(
            sum(e["low"] for e in estimated),
            sum(e["mid"] for e in estimated),
            sum(e["high"] for e in estimated),
        )
        if estimated
        else None,
    )


def test_the_golden_files_hold_what_the_renderers_give() -> None:
    for name, (made, shown) in examples.rendered().items():
        golden = examples.GOLDEN / name
        assert golden.with_suffix(".txt").read_text(encoding="utf-8") == shown + "\n", name
        assert json.loads(golden.with_suffix(".json").read_text(encoding="utf-8")) == made, name
    names = {path.stem for path in examples.GOLDEN.glob("*.txt")} - {"plan"}
    found = {path.stem for path in examples.GOLDEN.glob("*.json")} - {"units"}
    assert names == set(examples.rendered()) == found


@pytest.mark.parametrize("name", [*examples.CELLS, *examples.SUMMARIES])
def test_every_golden_json_has_exactly_the_keys_of_the_schema(name: str) -> None:
    made = json.loads((examples.GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    found = made.get("cells", [made])
    if "cells" in made:
        assert set(made) == set(SummaryJson.__annotations__)
    for cell in found:
        assert set(cell) == set(CellJson.__annotations__)


@pytest.mark.parametrize(("known_s", "told"), [(4.0, True), (1.0, False)])
def test_a_gpus_use_is_told_where_most_of_the_run_was_watched(known_s: float, told: bool) -> None:
    use = UseJson(busy=0.37, known_s=known_s, memory_bytes=None, memory_total_bytes=None)
    made = examples.cell(duration_s=4.12, domains=[{**examples.gpu(), "use": use}])
    shown = " ".join(text.cell(made).split())
    assert ("whole device, busy 37 % (nvml-counter)" in shown) == told
    assert ("busy" in shown) == told


@given(st.floats(1e-6, 1e9), st.floats(1.0, 10.0))
def test_an_estimate_is_never_shown_with_a_plus_minus_or_as_measured(
    mid: float, factor: float
) -> None:
    made = examples.cell(
        estimated_j=examples.estimate(mid / factor, mid, mid * factor),
        average_w=mid,
        domains=[
            examples.domain(
                "package",
                "",
                low_j=mid / factor,
                mid_j=mid,
                high_j=mid * factor,
                provenance="estimated",
                source="cpu-time",
            )
        ],
    )
    shown = text.cell(made) + text.run_row(made) + text.summary(summary_of([made]))
    assert "±" not in shown
    assert "estimated" in text.cell(made).splitlines()[0]
    assert "estimated" in text.run_row(made)
    assert all("≈" in line for line in text.cell(made).splitlines()[:2])


def test_an_estimate_stands_under_estimated_and_a_measurement_under_measured() -> None:
    lines = text.summary(examples.SUMMARIES["summary_mixed"]).splitlines()
    heading = next(line for line in lines if line.startswith("cell"))
    end_measured = heading.index("measured") + len("measured")
    end_estimated = heading.index("estimated") + len("estimated")
    row = next(line for line in lines if line.startswith("plain python"))
    assert row[:end_measured].endswith("  –")
    assert row[end_measured:end_estimated].strip() == "≈ 12 J (6.0–24 J)"


def test_the_share_of_an_estimate_says_so() -> None:
    mixed = text.summary(examples.SUMMARIES["summary_mixed"])
    assert "50 % est." in next(x for x in mixed.splitlines() if x.startswith("plain python"))
    assert "est." not in next(x for x in mixed.splitlines() if x.startswith("1a2b"))


def test_measured_and_estimated_energies_are_never_added() -> None:
    assert text.cell(examples.MIXED).startswith(
        "train: 412 ± 21 J measured (mean 100 W) and ≈ 12 J (6.0–24 J) estimated in 4.12 s"
    )
    assert "424" not in text.cell(examples.MIXED)


def test_what_is_not_measured_has_a_reason_and_no_number() -> None:
    shown = text.cell(examples.UNKNOWN)
    assert "CPU                    not measured: permission denied (see %energy doctor)" in shown
    assert not any(f" {unit}" in shown.replace("4.12 s", "") for unit in ("J", "W", "g", "mg"))
    assert "0 J" not in shown


def test_a_reason_that_names_the_doctor_is_not_sent_there_twice() -> None:
    told = examples.domain("dram", "dram", reason="denied: see %energy doctor for the remedy")
    shown = text.cell(examples.cell(domains=[told]))
    assert shown.count("doctor") == 1


def test_a_domain_without_a_recorded_reason_says_that() -> None:
    shown = text.cell(examples.cell(domains=[examples.domain("dram", "dram")]))
    assert "not measured: no reason was recorded" in shown


def test_below_resolution_is_a_bound_for_energy_and_for_power() -> None:
    first = text.cell(examples.BELOW).splitlines()[0]
    assert first == "train: < 1.2 J measured (mean < 24 W) in 50.0 ms"


def test_an_assumed_place_says_so_beside_the_grams_with_the_command_that_sets_it() -> None:
    line = text.cell(examples.ASSUMED).splitlines()[-1]
    assert line.startswith("CO2e ≈ 54 mg")
    assert "assumed" in line
    assert "%energy zone FR" in line


def test_a_place_that_somebody_named_is_not_called_assumed() -> None:
    assert "assumed" not in text.cell(examples.MEASURED)


def test_grams_come_with_place_factor_kind_source_and_year() -> None:
    line = text.cell(examples.MEASURED).splitlines()[-1]
    assert line.endswith("France (FR), 44.3 g/kWh average, Ember 2024")


def test_average_and_marginal_grams_stand_on_lines_of_their_own() -> None:
    average, marginal = text.cell(examples.RUNS).splitlines()[-2:]
    assert average.startswith("CO2e (average) ≈ 15 mg")
    assert marginal.startswith("CO2e (marginal) ≈ 70 mg")


def test_grams_without_an_intensity_say_how_to_get_one() -> None:
    line = text.cell(examples.cell(measured_j=examples.value(1.0, 0.1))).splitlines()[-1]
    assert line == (
        "CO2e not known: no carbon intensity is known; set your place with %energy zone FR"
    )


def test_grams_whose_factor_is_missing_are_not_known_rather_than_zero() -> None:
    made = examples.cell(carbon_g=examples.carbon(None))
    assert "CO2e not known" in text.cell(made)


def test_in_a_shell_commands_are_written_as_a_shell_takes_them() -> None:
    shown = text.cell(
        examples.cell(domains=[examples.no_memory()], carbon_g=examples.world(1.0)),
        command="jupyter energy",
    )
    assert "%energy" not in shown
    assert "see jupyter energy doctor" in shown
    assert "jupyter energy zone FR" in shown


def test_what_lies_inside_another_domain_is_said_to_be_not_added() -> None:
    line = next(x for x in text.cell(examples.MEASURED).splitlines() if "CPU cores" in x)
    assert "part of CPU, not added" in line


def test_a_platform_sensor_is_said_to_be_not_added() -> None:
    psys = examples.domain("psys", "psys", energy_j=90.0, u95_j=4.0, provenance="measured")
    assert "not added" in text.cell(examples.cell(domains=[psys]))


def test_a_shared_machine_is_named_and_a_machine_of_ones_own_is_not() -> None:
    assert "73 % of the machine's CPU time" in text.cell(examples.MIXED)
    assert "machine's CPU time" not in text.cell(examples.cell(kernel_share=0.99))


def test_the_kernels_part_is_of_cpu_and_memory_alone_where_a_gpu_was_measured_too() -> None:
    part = {"kernel_share": 0.5, "kernel_j": examples.estimate(35.0, 50.0, 65.0)}
    cpu = examples.domain("package", "package-0", energy_j=120.0, u95_j=1.0)
    alone = text.cell(examples.cell(domains=[cpu], **part))
    assert "≈ 50 J (35–65 J) of it, estimated from that time" in alone
    for domains in ([cpu, examples.gpu()], [cpu, examples.gpu(0.0, 1.0)]):
        beside = text.cell(examples.cell(domains=domains, **part))
        assert "≈ 50 J (35–65 J) of what CPU and memory drew above idle" in beside
    absent = examples.domain("gpu", "GPU", reason="asleep")
    psys = examples.domain("psys", "psys", energy_j=200.0, u95_j=1.0)
    assert "(35–65 J) of it" in text.cell(examples.cell(domains=[cpu, absent, psys], **part))


def test_energy_above_idle_says_which_idle_power_was_taken_off_and_how_old_it_was() -> None:
    idle = examples.idle_power(18.0, 1.4, age_s=192.0, how="%energy baseline")
    made = text.cell(examples.cell(above_idle_j=examples.value(338.0, 20.0), baseline=idle))
    assert "above idle: 338 ± 20 J (idle 18.0 ± 1.4 W, %energy baseline, 3 min 12 s before)" in made


@pytest.mark.parametrize(
    ("measured", "estimated", "said"),
    [
        ((5210.0, 150.0), None, "1.447 ± 0.042 Wh measured in 42 min 00 s; in no total"),
        (None, (1.0, 2.0, 4.0), "≈ 2.0 J (1.0–4.0 J) estimated in 42 min 00 s; in no total"),
        (None, None, None),
    ],
)
def test_energy_between_cells_has_a_line_of_its_own_where_it_is_known(
    measured: tuple[float, float] | None,
    estimated: tuple[float, float, float] | None,
    said: str | None,
) -> None:
    idle = {
        "duration_s": 2520.0,
        "measured_j": measured and examples.value(*measured),
        "estimated_j": estimated and examples.estimate(*estimated),
        "coverage": 1.0,
    }
    shown = text.summary(examples.summary([examples.MEASURED], idle=idle))
    assert ("idle between cells" in shown) is (said is not None)
    assert said is None or f"idle between cells: {said}" in shown


def test_partial_coverage_is_said() -> None:
    assert "saw 93 % of the time" in text.cell(examples.MEASURED)


@pytest.mark.parametrize("outcome", ["error", "interrupted", "lost"])
def test_a_cell_that_did_not_end_well_says_how_everywhere(outcome: str) -> None:
    made = examples.cell("a", outcome=outcome, measured_j=examples.value(9.0, 1.0))
    said = {"error": "ended by an error", "interrupted": "interrupted", "lost": "lost"}[outcome]
    assert said in text.cell(made).splitlines()[0]
    assert outcome in text.run_row(made)
    assert f"a ({outcome})" in text.summary(summary_of([made]))


def test_a_mark_that_takes_the_place_of_an_outcome_is_explained() -> None:
    made = examples.cell("a rather long name", outcome="interrupted")
    shown = text.summary(summary_of([made]))
    assert "a rather long name !" in shown
    assert "! ended by an error, or was stopped." in shown
    assert "ended by an error" not in text.summary(examples.SUMMARIES["summary_mixed"])


def test_a_cell_is_known_by_its_name_then_its_count_then_its_id() -> None:
    assert words.cell_name(examples.cell("train")) == "train"
    assert words.cell_name(examples.cell(None)) == "[4]"
    assert words.cell_name(examples.cell(None, execution_count=None)) == "1a2b3c4d-5e…"
    assert words.cell_name(examples.cell(None, execution_count=None, cell_id=None)) == "unnamed"


def test_an_empty_notebook_is_told_how_to_measure() -> None:
    shown = text.summary(examples.SUMMARIES["summary_empty"])
    assert "%%energy" in shown
    assert " J" not in shown


@given(st.lists(cells(), min_size=1, max_size=6))
def test_no_line_of_a_summary_is_wider_than_100_columns(made: list[CellJson]) -> None:
    for line in text.summary(summary_of(made)).splitlines():
        assert _columns(line) <= 100, line


def test_the_row_that_run_prints_marks_a_block_inside_a_cell() -> None:
    for name, count, label in (("epoch", 3, "↳ [3] epoch"), ("epoch", None, "↳ epoch")):
        made = examples.cell(name, inside=True, execution_count=count)
        assert text.run_row(made).startswith(f"{label}  ")
        assert text.run_row({**made, "inside": False}).startswith(label.removeprefix("↳ "))
    unnamed = examples.cell(None, inside=True, execution_count=None)
    assert text.run_row(unnamed).startswith("↳ 1a2b3c4d-5e…  ")


@given(st.lists(cells(), min_size=1, max_size=6))
def test_the_rows_of_a_summary_are_all_as_wide_as_its_heading(made: list[CellJson]) -> None:
    lines = text.summary(summary_of(made)).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("cell "))
    assert {_columns(x) for x in lines[start : start + len(made) + 1]} == {_columns(lines[start])}


@given(st.text())
def test_cleaned_text_is_one_line_without_control_or_format_characters(raw: str) -> None:
    shown = clean(raw)
    assert len(shown) <= words.NAME_LIMIT
    assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in shown)
    shown.encode("utf-8")


@given(st.text(st.characters(categories=["L", "N"]), max_size=words.NAME_LIMIT))
def test_a_plain_name_is_left_as_it_is(name: str) -> None:
    assert clean(name) == name


def test_a_name_of_ten_thousand_characters_is_cut_with_a_sign() -> None:
    assert clean("x" * 10_000) == "x" * 39 + "…"
    assert clean("\n" * 10_000 + "x").endswith("…")


def _columns(line: str) -> int:
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in line
    )


def test_a_hostile_kind_of_intensity_is_cleaned_too() -> None:
    made = examples.carbon(None, parts=[examples.carbon(1.0, kind=examples.HOSTILE)])
    shown = text.cell(examples.cell(carbon_g=made))
    assert len(shown) < 400
    assert not any(unicodedata.category(c) in ("Cc", "Cf") for c in shown.replace("\n", ""))


@pytest.mark.parametrize("name", [*examples.CELLS, *examples.SUMMARIES])
def test_no_golden_text_has_a_control_or_format_character(name: str) -> None:
    shown = examples.rendered()[name][1].replace("\n", "")
    assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs") for c in shown)


def test_a_device_is_not_named_twice() -> None:
    made = examples.cell(domains=[examples.cpu_estimated(), examples.gpu()])
    lines = text.cell(made).splitlines()
    assert lines[1].startswith("  CPU (8 threads)  ")
    assert lines[2].startswith("  GPU 0 NVIDIA H100")


def test_two_devices_of_a_kind_are_told_apart_by_their_number() -> None:
    two = [examples.domain("package", f"package-{i}", index=i) for i in (0, 1)]
    lines = text.cell(examples.cell(domains=two)).splitlines()
    assert [line.split("  ")[1] for line in lines[1:3]] == ["CPU 0", "CPU 1"]


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (units.about(2.913, units.POWER_W), "≈ 2.9 W"),
        (units.about(0.00015, units.MASS_G), "≈ 150 µg"),
        (units.percent(0.0), "0 %"),
        (units.percent(0.001), "< 1 %"),
        (units.percent(0.624), "62 %"),
        (units.intensity(472.94), "473 g/kWh"),
        (units.plain(1.2), "1.2"),
        (units.estimated(Range(0.0, 0.0, 24.0)), "up to 24 J"),
        (units.estimated(Range(0.0, 0.0, 0.0)), "≈ 0 J"),
    ],
)
def test_numbers_become_text_with_no_more_digits_than_they_deserve(
    shown: str, expected: str
) -> None:
    assert shown == expected


@pytest.mark.parametrize(
    ("energy", "duration_s", "mean"),
    [
        (examples.estimate(0.0, 0.0, 0.029), 0.5, None),  # no tick of CPU time in half a second
        (examples.estimate(0.001, 0.01, 0.05), 0.0005, None),
        (examples.estimate(0.5, 1.5, 4.5), 0.5, "≈ 3.0 W"),
    ],
)
def test_an_estimate_has_a_mean_power_only_where_it_is_more_than_a_bound_and_a_tick(
    energy: RangeJson, duration_s: float, mean: str | None
) -> None:
    made = examples.cell(
        duration_s=duration_s,
        estimated_j=energy,
        average_w=energy["mid"] / duration_s,
        domains=[
            examples.domain(
                "package",
                "CPU",
                low_j=energy["low"],
                mid_j=energy["mid"],
                high_j=energy["high"],
                provenance="estimated",
            )
        ],
    )
    shown = text.cell(made) + text.summary(summary_of([made]))
    told = re.findall(r"≈ \S+ [mk]?W\b", shown)
    assert told == ([] if mean is None else [mean] * 3)  # the cell, its device, its row

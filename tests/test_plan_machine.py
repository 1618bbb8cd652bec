"""How to run: advice from what was measured of a notebook, with what it rests on and no more."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import a_record, in_zone, intensities, measurements, one_after_another, records

from jupyter_energy.gpu_use import GpuUse
from jupyter_energy.model import (
    CarbonIntensity,
    Domain,
    DomainEnergy,
    Idle,
    Measurement,
    Provenance,
    Record,
)
from jupyter_energy.plan.machine import items
from jupyter_energy.plan.shapes import ItemJson
from jupyter_energy.uncertainty import Range, Uncertain

KWH = 3.6e6
HOUR_S = 3600.0
STARTED = datetime(2025, 3, 1, 9, 30, tzinfo=UTC)
GIB = 2**30
HERE = in_zone("FR", 50.0, KWH).intensity
NUMBERS = count()


def gpu(
    energy: Uncertain | Range | None,
    name: str = "NVIDIA H100 80GB HBM3",
    index: int = 0,
    *,
    use: GpuUse | None = None,
    above: float | None = None,
    coverage: float = 1.0,
    scope: str = "device",
    source: str = "nvml-counter",
) -> DomainEnergy:
    kinds: dict[type, Provenance] = {Uncertain: "measured", Range: "estimated"}
    domain = Domain("gpu", index, name, f"GPU-{index}", scope)  # type: ignore[arg-type]  # of a parameter
    return DomainEnergy(
        *(domain, energy, kinds.get(type(energy), "none"), source, coverage, None),
        above_idle=None if above is None else Uncertain(above),
        use=use,
    )


def used(busy: float, known_s: float, memory_gib: int | None = None) -> GpuUse:
    taken = None if memory_gib is None else memory_gib * GIB
    return GpuUse(busy, known_s, taken, 80 * GIB)


def run(duration_s: float, *domains: DomainEnergy, cell: str | None = None) -> Record:
    number = next(NUMBERS)
    record = a_record(f"r{number}", cell_id=cell or f"cell{number}", count=number)
    return replace(record, measurement=Measurement(STARTED, duration_s, domains))


def idle(duration_s: float, *domains: DomainEnergy) -> Idle:
    measurement = Measurement(STARTED, duration_s, domains)
    return Idle(f"i{next(NUMBERS)}", "n1", "s1", "here", measurement)


def advice(
    runs: list[Record],
    idles: list[Idle] | None = None,
    here: CarbonIntensity | None = HERE,
    pue: float = 1.0,
    float32: str | None = None,
) -> list[ItemJson]:
    return items(one_after_another(runs), idles or [], None, here, (pue, "you said so"), float32)


def of(found: list[ItemJson], what: str) -> list[ItemJson]:
    return [item for item in found if item["what"] == what]


def the(found: list[ItemJson], what: str) -> ItemJson:
    (item,) = of(found, what)
    return item


def shut_down(found: list[ItemJson]) -> ItemJson:
    (item,) = [i for i in of(found, "idle") if i["change"].startswith("Restart")]
    return item


# -- idle --------------------------------------------------------------------------------------

NIGHT = [idle(16 * HOUR_S, gpu(Uncertain(16 * HOUR_S * 100.0)))]
HOUR_OF_WORK = [run(HOUR_S, gpu(Uncertain(HOUR_S * 500.0)))]


def test_a_night_of_an_idle_gpu_is_two_savings() -> None:
    found = advice(HOUR_OF_WORK, NIGHT)
    down, off = shut_down(found), of(found, "idle")[0]
    whole_j = HOUR_S * 500 + 16 * HOUR_S * 100
    # 26 to 50 W of context for 16 h (arXiv 2605.23918: 0.4 to 1.1 kWh, 66 W parts included).
    assert down["saved_j"] == pytest.approx(
        {"low": 26 * 16 * HOUR_S, "mid": 38 * 16 * HOUR_S, "high": 50 * 16 * HOUR_S}
    )
    assert down["saved_fraction"]["mid"] == pytest.approx(38 * 16 * HOUR_S / whole_j)
    assert "Restart or shut down the kernel" in down["change"]
    assert "held idle for 16 h 00 min in one gap and drew 1.6 kWh" in down["change"]
    assert "2605.23918" in down["evidence"]
    # Whoever leaves switches off ten minutes late, in the worst case.
    assert off["saved_j"] == pytest.approx(
        {"low": (16 - 1 / 6) * HOUR_S * 100, "mid": 16 * HOUR_S * 100, "high": 16 * HOUR_S * 100}
    )
    assert off["change"].startswith("Switch the machine off")


def test_grams_are_those_of_the_place_with_its_pue_and_unknown_without_one() -> None:
    off = of(advice(HOUR_OF_WORK, NIGHT, pue=1.2), "idle")[0]
    assert off["saved_g"] is not None
    assert off["saved_g"]["mid"] == pytest.approx(1.6 * 50 * 1.2)
    assert of(advice(HOUR_OF_WORK, NIGHT, here=None), "idle")[0]["saved_g"] is None


def test_on_a_cloud_it_is_the_instance_that_is_stopped() -> None:
    here = replace(HERE, zone="aws:eu-west-3")
    assert of(advice(HOUR_OF_WORK, NIGHT, here=here), "idle")[0]["change"].startswith("Stop the")


def test_what_a_context_draws_is_not_told_of_a_gpu_on_which_nobody_measured_it() -> None:
    work = [run(HOUR_S, gpu(Uncertain(HOUR_S * 300.0), "NVIDIA GeForce RTX 4090"))]
    night = [idle(16 * HOUR_S, gpu(Uncertain(16 * HOUR_S * 20.0), "NVIDIA GeForce RTX 4090"))]
    assert [i["change"].split()[0] for i in of(advice(work, night), "idle")] == ["Switch"]


def test_a_context_draws_no_more_than_the_whole_gpu_did() -> None:
    night = [idle(16 * HOUR_S, gpu(Uncertain(16 * HOUR_S * 30.0)))]
    down = shut_down(advice(HOUR_OF_WORK, night))
    assert down["saved_j"] is not None
    assert down["saved_j"]["high"] == pytest.approx(16 * HOUR_S * 30)


def test_time_that_nobody_measured_is_not_counted_and_said() -> None:
    night = [idle(16 * HOUR_S, gpu(Uncertain(4 * HOUR_S * 100.0), coverage=0.25))]
    down = shut_down(advice(HOUR_OF_WORK, night))
    assert down["saved_j"] is not None
    assert down["saved_j"]["mid"] == pytest.approx(38 * 4 * HOUR_S)
    assert "in the 4 h 00 min that were measured" in down["change"]


@pytest.mark.parametrize(
    ("case", "between"),
    [
        ("short gaps", [idle(599.0, gpu(Uncertain(599 * 100.0)))] * 50),
        ("a gpu at work", [idle(HOUR_S, gpu(Uncertain(HOUR_S * 450.0)))]),
        ("an estimate", [idle(HOUR_S, gpu(Range(1e3, HOUR_S * 100, 1e6)))]),
        ("another gpu than that of the runs", [idle(HOUR_S, gpu(Uncertain(3e5), index=1))]),
        ("nothing known", [idle(HOUR_S, gpu(None, coverage=0.0))]),
    ],
)
def test_what_is_no_held_gpu_is_not_called_one(case: str, between: list[Idle]) -> None:
    found = of(advice(HOUR_OF_WORK, between), "idle")
    assert not [i for i in found if "held idle" in i["change"]], case


@pytest.mark.parametrize("others", [[], [run(3.0, gpu(Uncertain(3 * 95.0)))]])
def test_a_gpu_on_which_nothing_of_the_notebook_ran_was_not_held_by_it(
    others: list[Record],
) -> None:
    unused = run(HOUR_S, gpu(Uncertain(HOUR_S * 95.0), use=used(0.0, 3500.0)))
    night = [idle(8 * HOUR_S, gpu(Uncertain(8 * HOUR_S * 60.0)))]
    (off,) = of(advice([unused, *others], night), "idle")
    assert off["change"].startswith("Switch the machine off")
    assert "held idle" not in off["change"]


@pytest.mark.parametrize(
    ("cells", "gap"),
    [
        ("its power, as in cells", gpu(Uncertain(8 * HOUR_S * 500.0))),
        ("its use", gpu(Uncertain(8 * HOUR_S * 100.0), use=used(0.9, 8 * HOUR_S))),
    ],
)
def test_no_machine_is_to_be_off_while_a_gpu_is_at_work_there(
    cells: str, gap: DomainEnergy
) -> None:
    assert not of(advice(HOUR_OF_WORK, [idle(8 * HOUR_S, gap)]), "idle"), cells
    down, off = of(advice(HOUR_OF_WORK, [*NIGHT, idle(8 * HOUR_S, gap)]), "idle")[::-1]
    assert off["saved_j"] is not None
    assert off["saved_j"]["mid"] == pytest.approx(16 * HOUR_S * 100)
    assert "one more gap left out, in which a GPU was at work" in off["change"]
    assert off["confidence"] == "medium"
    assert "in one gap" in down["change"]


def test_anothers_training_is_none_of_a_notebook_that_computes_without_the_gpu() -> None:
    unused = run(HOUR_S, gpu(Uncertain(HOUR_S * 95.0), use=used(0.0, 3500.0)))
    assert not of(advice([unused], [idle(8 * HOUR_S, gpu(Uncertain(8 * HOUR_S * 500.0)))]), "idle")


def test_the_seconds_of_use_that_a_driver_keeps_say_nothing_of_a_night() -> None:
    night = [idle(16 * HOUR_S, gpu(Uncertain(16 * HOUR_S * 100.0), use=used(0.9, 20.0)))]
    assert len(of(advice(HOUR_OF_WORK, night), "idle")) == 2


def test_what_saves_less_than_two_percent_of_cells_and_gaps_is_not_told() -> None:
    work = [run(100 * HOUR_S, gpu(Uncertain(100 * HOUR_S * 500.0)))]
    gap_j = 0.0199 * 50 * KWH / 0.9801
    assert not of(advice(work, [idle(10 * HOUR_S, gpu(Uncertain(gap_j)))]), "idle")
    told = of(advice(work, [idle(10 * HOUR_S, gpu(Uncertain(1.02 * gap_j)))]), "idle")
    assert told[0]["evidence"].endswith("a share of the cells and what was drawn between them")


def test_a_saving_in_the_cells_is_a_share_of_the_cells_whatever_lay_between_them() -> None:
    alone = the(advice(HOUR_OF_WORK), "power_limit")
    after_a_night = the(advice(HOUR_OF_WORK, NIGHT), "power_limit")
    after_a_week = the(advice(HOUR_OF_WORK, NIGHT * 7), "power_limit")
    assert alone["saved_fraction"]["mid"] == pytest.approx(0.12)
    assert alone == after_a_night == after_a_week


# -- use of the GPU ----------------------------------------------------------------------------


def starved(busy: float = 0.2, memory_gib: int | None = 10, above: float | None = None) -> Record:
    use = used(busy, HOUR_S, memory_gib)
    return run(HOUR_S, gpu(Uncertain(HOUR_S * 200.0), use=use, above=above))


def test_a_gpu_that_waits_with_free_memory_is_advised_larger_batches() -> None:
    item = the(advice([starved()]), "batch_size")
    assert "busy 20 % of 1 h 00 min, with 12 % of its memory taken" in item["change"]
    assert item["saved_fraction"] == pytest.approx({"low": 0, "mid": 0.153, "high": 0.758})
    assert (item["confidence"], "Latif 2024" in item["evidence"]) == ("low", True)


def test_where_idle_power_is_known_what_waiting_drew_here_is_the_range() -> None:
    # 150 of 200 W are idle power, and the GPU waited for 80 % of the time.
    item = the(advice([starved(above=HOUR_S * 50)]), "batch_size")
    most = 0.8 * 150 / 200
    assert item["saved_fraction"] == pytest.approx({"low": 0, "mid": most / 2, "high": most})
    assert item["confidence"] == "medium"


@pytest.mark.parametrize(
    ("memory_gib", "expected"),
    [(10, {"batch_size", "right_size"}), (30, {"batch_size"}), (60, set()), (None, set())],
)
def test_what_is_advised_follows_from_the_memory_taken(
    memory_gib: int | None, expected: set[str]
) -> None:
    assert {i["what"] for i in advice([starved(memory_gib=memory_gib)])} == expected


@pytest.mark.parametrize("busy", [0.30, 0.9])
def test_a_gpu_that_does_not_starve_is_advised_a_power_limit_and_nothing_else(busy: float) -> None:
    item = the(advice([starved(busy)]), "power_limit")
    assert item["saved_fraction"] == pytest.approx({"low": 0.03, "mid": 0.12, "high": 0.315})
    assert "nvidia-smi -i 0 -pl W" in item["change"]
    assert "1 min 48 s to 4 min 12 s on these runs" in item["cost"]
    assert "McDonald 2022" in item["evidence"]
    assert len(advice([starved(busy)])) == 1


def test_what_changes_the_cells_is_a_share_of_them_whatever_was_drawn_between_them() -> None:
    """It is told as a share of a run, and a long night is none of that."""
    at_work, nights = [starved(0.9)], NIGHT * 10
    (alone,), beside = advice(at_work), the(advice(at_work, nights), "power_limit")
    assert beside == alone
    assert beside["evidence"].endswith("a share of all cells")


def test_what_was_watched_for_less_than_a_minute_says_nothing() -> None:
    short = run(59.0, gpu(Uncertain(59 * 200.0), use=used(0.1, 59.0, 10)))
    assert {i["what"] for i in advice([short])} == {"power_limit"}


def test_use_is_the_mean_over_all_runs_by_the_time_that_was_watched() -> None:
    busy = run(3 * HOUR_S, gpu(Uncertain(3 * HOUR_S * 200.0), use=used(0.4, 3 * HOUR_S, 10)))
    assert not of(advice([starved(0.1), busy]), "batch_size")  # 32.5 %
    assert of(advice([starved(0.1), starved(0.1), busy]), "batch_size")  # 28 %


def test_a_gpu_on_which_nothing_ran_is_one_to_do_without() -> None:
    both = run(
        HOUR_S,
        gpu(Uncertain(HOUR_S * 500.0), use=used(0.9, HOUR_S)),
        gpu(Uncertain(HOUR_S * 100.0, u_random=HOUR_S), index=1, use=used(0.0, HOUR_S)),
    )
    item = the(advice([both]), "right_size")
    assert "GPU 1 (NVIDIA H100 80GB HBM3)" in item["change"]
    assert "GPU 0" not in item["change"]
    assert item["saved_fraction"]["mid"] == pytest.approx(1 / 6)
    assert item["confidence"] == "high"
    limit = the(advice([both]), "power_limit")  # of the one that works
    assert limit["saved_fraction"]["mid"] == pytest.approx(0.12 * 5 / 6)


@pytest.mark.parametrize(
    "one",
    [
        gpu(Uncertain(1e6), scope="board"),
        gpu(Uncertain(1e6), source="hwmon"),
        gpu(Range(1e5, 1e6, 2e6)),
        gpu(None),
    ],
)
def test_no_limit_is_advised_of_a_gpu_that_has_none_of_its_own(one: DomainEnergy) -> None:
    assert not of(advice([run(HOUR_S, one)]), "power_limit")


# -- precision and repeats ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "float32", "told"),
    [
        ("NVIDIA A100-SXM4-80GB", "highest", True),
        ("NVIDIA A100-SXM4-80GB", "high", False),
        ("NVIDIA A100-SXM4-80GB", None, False),
        ("Tesla P100-PCIE-16GB", "highest", False),
    ],
)
def test_precision_is_spoken_of_only_where_it_was_seen(
    name: str, float32: str | None, told: bool
) -> None:
    found = of(advice([run(HOUR_S, gpu(Uncertain(1e6), name))], float32=float32), "precision")
    assert bool(found) == told
    for item in found:
        assert (item["confidence"], item["saved_fraction"]["low"]) == ("low", 0)
        assert item["evidence"].startswith("weak")


@pytest.mark.parametrize(
    ("name", "has_tf32"),
    [
        # Turing has tensor cores, and no TF32: from compute capability 8.0 on (CUDA C++
        # Programming Guide), which NVIDIA lists by name.
        ("NVIDIA GeForce RTX 2080 Ti", False),
        ("NVIDIA GeForce RTX 2060 with Max-Q Design", False),
        ("Quadro RTX 8000", False),
        ("NVIDIA TITAN RTX", False),
        ("GRID RTX6000-4Q", False),
        ("Tesla T4", False),
        ("NVIDIA GeForce RTX 2050", True),
        ("NVIDIA GeForce RTX 3090", True),
        ("NVIDIA GeForce RTX 4070 Laptop GPU", True),
        ("NVIDIA GeForce RTX 5090", True),
        ("NVIDIA RTX A6000", True),
        ("NVIDIA RTX A500 Laptop GPU", True),
        ("NVIDIA RTX 6000 Ada Generation", True),
        ("NVIDIA RTX PRO 6000 Blackwell Workstation Edition", True),
        ("NVIDIA A10G", True),
        ("NVIDIA GH200 480GB", True),
        ("NVIDIA L4", True),
        ("AMD Instinct MI300X", False),
    ],
)
def test_tf32_is_advised_for_the_generations_that_have_it(name: str, has_tf32: bool) -> None:
    found = of(advice([run(HOUR_S, gpu(Uncertain(1e6), name))], float32="highest"), "precision")
    assert bool(found) == has_tf32


def test_a_cell_that_ran_again_and_again_is_one_to_keep_the_result_of() -> None:
    runs = [run(60.0, gpu(Uncertain(100.0)), cell="load") for _ in range(4)]
    item = the(advice([*runs, run(60.0, gpu(Uncertain(100.0)))]), "repeats")
    # Three of its four runs, of five in all; how many of them were needed nobody knows.
    assert item["saved_fraction"] == pytest.approx({"low": 0, "mid": 0.3, "high": 0.6})
    assert "it ran 4 times, and all runs but the last drew 300 J" in item["change"]


def test_two_runs_of_a_cell_are_none_to_speak_of() -> None:
    runs = [run(60.0, gpu(Uncertain(100.0)), cell="load") for _ in range(2)]
    assert not of(advice(runs), "repeats")


def test_runs_within_others_count_once() -> None:
    outer = run(HOUR_S, gpu(Uncertain(HOUR_S * 500.0)))
    inner = replace(run(HOUR_S, gpu(Uncertain(HOUR_S * 500.0))), within=outer.run_id)
    # By a clock that was set forward in it, so that the two do not overlap.
    later = replace(inner.measurement, start=STARTED + timedelta(hours=2))
    inner = replace(inner, measurement=later)
    apart = items([outer, inner], NIGHT, None, HERE, (1.0, ""))
    assert apart == items([outer], NIGHT, None, HERE, (1.0, ""))


# -- of anything -------------------------------------------------------------------------------

idles = st.builds(
    Idle,
    st.uuids().map(str),
    st.just("n"),
    st.sampled_from(["s1", "s2"]),
    st.sampled_from(["one", "two"]),
    measurements(),
)


@settings(max_examples=40)
@given(
    st.lists(records(), max_size=6),
    st.lists(idles, max_size=4),
    st.none() | intensities,
    st.none() | st.sampled_from(["highest", "high"]),
)
def test_every_item_is_a_saving_with_its_range_source_and_price(
    runs: list[Record],
    between: list[Idle],
    here: CarbonIntensity | None,
    float32: str | None,
) -> None:
    found = items(runs, between, None, here, (1.1, "a test"), float32)
    json.dumps(found, allow_nan=False)
    middles = [item["saved_fraction"]["mid"] for item in found]
    assert middles == sorted(middles, reverse=True)
    for item in found:
        share = item["saved_fraction"]
        assert 0 <= share["low"] <= share["mid"] <= share["high"] <= 1
        assert share["mid"] >= 0.02
        assert item["saved_j"] is not None
        assert (item["saved_g"] is None) == (here is None)
        assert item["cost"]
        assert item["evidence"]
        words = " ".join([item["change"], item["cost"], item["evidence"]])
        assert "avoid" not in words
        assert "nan" not in words.split()


def test_of_nothing_there_is_no_advice() -> None:
    assert items([], [], None, HERE, (1.0, "")) == []
    assert advice([run(10.0)], [idle(HOUR_S)]) == []

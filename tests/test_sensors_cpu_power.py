"""Watts a thread: what was fitted, what /proc/cpuinfo says, and how wide the range is."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_energy.sensors import cpu_power
from jupyter_energy.sensors.base import Machine
from jupyter_energy.sensors.cpu_power import Processor, thread_power

FIT = json.loads(Path(__file__).with_name("fits").joinpath("cpu_power.json").read_text())


# -- the fit ---------------------------------------------------------------------------------


def test_the_constants_are_those_of_the_fit() -> None:
    fitted = {
        name: (one["idle_w"], one["busy_w"], one["usual_threads"])
        for name, one in FIT["families"].items()
    }
    assert fitted == cpu_power.FAMILIES
    assert (FIT["unknown"]["idle_w"], FIT["unknown"]["busy_w"]) == cpu_power.UNKNOWN_W
    assert (FIT["idle_power"], FIT["busy_power"]) == (cpu_power.IDLE_POWER, cpu_power.BUSY_POWER)
    assert FIT["at_threads"] == cpu_power.AT_THREADS
    assert FIT["share"] == pytest.approx(cpu_power.SHARE, abs=5e-4)
    assert FIT["wakes"] == pytest.approx(cpu_power.WAKES, abs=5e-4)
    for level, band in cpu_power.BANDS.items():
        one = FIT[level]
        assert tuple(one["band"]) == band
        assert tuple(one["busy_band"]) == cpu_power.BUSY_BANDS[level]
        sigmas = one["idle_sigma"], one["busy_sigma"], one["correlation"]
        assert sigmas == cpu_power.DEVIATIONS[level]


@pytest.mark.parametrize("level", cpu_power.BANDS)
def test_the_band_held_95_percent_of_the_machines_whose_model_was_left_out(level: str) -> None:
    assert 0.93 <= FIT[level]["held_out_coverage"] <= 0.97


@pytest.mark.parametrize("level", cpu_power.BANDS)
def test_the_band_holds_95_percent_of_machines_drawn_from_the_published_deviations(
    level: str,
) -> None:
    idle_sigma, busy_sigma, correlation = cpu_power.DEVIATIONS[level]
    low, high = cpu_power.BANDS[level]
    chance, inside = random.Random(7), 0
    idle_w, busy_w = cpu_power.UNKNOWN_W
    for _ in range(4000):
        first, second = chance.gauss(), chance.gauss()
        both = correlation * first + math.sqrt(1 - correlation**2) * second
        load = chance.random()
        true_w = idle_w * math.exp(idle_sigma * first)
        true_w += busy_w * math.exp(busy_sigma * both) * load
        inside += low <= true_w / (idle_w + busy_w * load) <= high
    assert 0.93 <= inside / 4000 <= 0.97


def test_what_is_known_better_has_the_narrower_band() -> None:
    widths = [high / low for low, high in cpu_power.BANDS.values()]
    assert widths == sorted(widths)


# -- the line --------------------------------------------------------------------------------


def test_the_line_of_a_median_server_is_the_one_that_fits_load_tables_best() -> None:
    tdp_w = 100.0
    awake_w, work_w = cpu_power.line(0.15 * tdp_w, 0.75 * tdp_w)
    assert (awake_w, work_w) == (pytest.approx(25.0), pytest.approx(50.0))


@given(st.floats(0.1, 500), st.floats(0.1, 500))
def test_the_line_reaches_full_load_and_starts_between_rest_and_that(
    rest_w: float, more_w: float
) -> None:
    full_w = rest_w + more_w
    awake_w, work_w = cpu_power.line(rest_w, full_w)
    assert awake_w + work_w == pytest.approx(full_w)
    assert rest_w < awake_w < full_w


# -- what a processor is taken for -----------------------------------------------------------

X86 = "processor\t: 0\nvendor_id\t: {}\ncpu family\t: {}\nmodel\t\t: {}\nmodel name\t: {}\n"


def told(tmp_path: Path, text: str, **environ: str) -> Processor:
    (tmp_path / "cpuinfo").write_text(text)
    return cpu_power.processor(Machine(procfs=tmp_path, environ=environ))


@pytest.mark.parametrize(
    ("vendor", "family", "model", "name", "found"),
    [
        ("GenuineIntel", 6, 85, "Intel(R) Xeon(R) Platinum 8280 CPU @ 2.70GHz", "Skylake server"),
        ("GenuineIntel", 6, 106, "Intel(R) Xeon(R) Platinum 8380", "Ice Lake server"),
        ("GenuineIntel", 6, 143, "Intel(R) Xeon(R) Processor", "Sapphire Rapids"),
        ("GenuineIntel", 6, 207, "INTEL(R) XEON(R) PLATINUM 8592+", "Sapphire Rapids"),
        ("GenuineIntel", 6, 173, "Intel(R) Xeon(R) 6787P", "Granite Rapids"),
        ("GenuineIntel", 6, 175, "Intel(R) Xeon(R) 6780E", "Sierra Forest"),
        ("GenuineIntel", 6, 154, "12th Gen Intel(R) Core(TM) i7-1260P", "Client"),
        ("GenuineIntel", 6, 42, "Intel(R) Core(TM) i7-2600", "Client before 2015"),
        ("GenuineIntel", 6, 190, "Intel(R) N100", None),  # an Atom
        ("GenuineIntel", 15, 6, "Intel(R) Pentium(R) D", None),
        ("AuthenticAMD", 23, 49, "AMD EPYC 7742 64-Core Processor", "Zen 2"),
        ("AuthenticAMD", 25, 1, "AMD EPYC 7763 64-Core Processor", "Zen 3"),
        ("AuthenticAMD", 25, 17, "AMD EPYC 9654 96-Core Processor", "Zen 4"),
        ("AuthenticAMD", 25, 160, "AMD EPYC 9754 128-Core Processor", "Zen 4"),
        ("AuthenticAMD", 26, 2, "AMD EPYC", "Zen 5"),  # as clouds call it
        ("AuthenticAMD", 25, 97, "AMD EPYC 4344P 8-Core Processor", "Client"),
        ("AuthenticAMD", 23, 1, "AMD Ryzen 7 1700 Eight-Core Processor", "Client"),
        ("AuthenticAMD", 23, 1, "AMD EPYC 7601 32-Core Processor", "Zen 1"),
        ("AuthenticAMD", 26, 80, "AMD Eng Sample", None),  # of a generation after the data
        ("HygonGenuine", 24, 1, "Hygon C86", None),
    ],
)
def test_a_processor_is_taken_for_the_family_that_its_numbers_tell(
    tmp_path: Path, vendor: str, family: int, model: int, name: str, found: str | None
) -> None:
    own = told(tmp_path, X86.format(vendor, family, model, name))
    assert (own.family, own.name) == (found, name)


def test_an_arm_server_is_known_by_its_part_and_counts_its_own_threads(tmp_path: Path) -> None:
    one = "processor\t: {}\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n"
    own = told(tmp_path, "\n".join(map(one.format, range(80))))
    assert (own.family, own.socket_threads) == ("Neoverse N1", 80)


def test_windows_tells_the_same_numbers_in_the_environment(tmp_path: Path) -> None:
    words = "Intel64 Family 6 Model 154 Stepping 3, GenuineIntel"
    machine = Machine(procfs=tmp_path / "no", environ={"PROCESSOR_IDENTIFIER": words})
    assert cpu_power.processor(machine).family == "Client"


@given(text=st.text(max_size=200), identifier=st.text(max_size=60))
def test_no_text_makes_it_fail(
    tmp_path_factory: pytest.TempPathFactory, text: str, identifier: str
) -> None:
    folder = tmp_path_factory.mktemp("proc")
    (folder / "cpuinfo").write_text(text, encoding="utf-8", errors="replace")
    machine = Machine(procfs=folder, environ={"PROCESSOR_IDENTIFIER": identifier})
    found = thread_power(cpu_power.processor(machine))
    assert found.idle_w > 0
    assert found.busy_w > 0


@given(st.sampled_from(sorted(cpu_power.FAMILIES)), st.integers(1, 1024))
def test_a_larger_socket_draws_more_in_all_and_less_for_each_thread(
    family: str, threads: int
) -> None:
    small = thread_power(Processor("x", family, threads))
    large = thread_power(Processor("x", family, threads + 1))
    for one, other in ((small.idle_w, large.idle_w), (small.busy_w, large.busy_w)):
        assert other < one
        assert other * (threads + 1) > one * threads

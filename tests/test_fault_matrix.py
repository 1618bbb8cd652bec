"""Sensor by fault by moment: what fails is absent with its reason or covered in part, nothing else
changes, no energy is invented and none is negative (fault_rigs.py makes the faults).

RAPL's own matrix is in test_sensors_rapl_faults.py.
"""

from __future__ import annotations

import html
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fault_rigs import BESIDE, BESIDE_W, PLACES, RIGS, Perf
from faulty_sensor import install
from standins import HERE, build_nvml
from standins.nvml_child import H100, NvmlChild
from standins.sensors import FakeSensor
from test_sensors_perf_power import why_no_events

from jupyter_energy.errors import SensorError
from jupyter_energy.model import Domain, Sample
from jupyter_energy.sensors.base import Accuracy, Machine
from jupyter_energy.uncertainty import Uncertain
from jupyter_energy.window import Edge, measure

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the stand-ins are Linux's")

# What each sensor can be struck by. That a fault which shows nothing cannot be seen is no promise:
# a counter that was never right, or a recording whose file is read once.
FAULTS = {
    "nvml counter": (
        *("raises", "hangs", "no value", "disappears", "huge", "goes backwards", "stuck"),
        "driver reloaded",
    ),
    "nvml power": (
        *("raises", "hangs", "no value", "disappears", "huge", "negative", "wrong type"),
        *("realtime goes backwards", "driver reloaded"),
    ),
    "estimate": ("no value", "negative", "huge", "disappears", "goes backwards", "resets"),
    "perf": ("disappears", "resets"),
    "replay": ("disappears", "no value", "negative", "goes backwards"),
    "plug-in": (
        *("raises", "exits", "hangs", "NaN", "infinite", "negative", "huge", "wrong type"),
        *("no value", "disappears", "goes backwards", "resets"),
    ),
}
FAULTS["nvml ring"] = FAULTS["nvml power"]
MATRIX = [(rig, fault, place) for rig in RIGS for fault in FAULTS[rig] for place in PLACES]
# Faults by which a read gives no number at all; the others give a wrong one.
SILENT = {
    *("raises", "exits", "hangs", "no value", "disappears", "NaN", "infinite", "negative"),
    "wrong type",
}
LIMIT_S = 300.0  # bounds a hang, measures nothing


@pytest.fixture(scope="session")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What becomes of a rig's faults: a child process for each rig, run when first asked for."""
    library = build_nvml(tmp_path_factory.mktemp("nvml"))
    known: dict[str, dict[tuple[str, str], Any]] = {}

    def of(rig: str) -> dict[tuple[str, str], Any]:
        if rig not in known:
            known[rig] = run(rig, tmp_path_factory.mktemp("rig"), library)
        return known[rig]

    return of


def run(rig: str, folder: Path, library: Path) -> dict[tuple[str, str], Any]:
    """All outcomes of a rig, by fault and place."""
    plugged = install(folder / "site", ("steered",))["PYTHONPATH"]
    path = os.pathsep.join([str(HERE.parent.parent), str(HERE.parent), plugged])
    (folder / "proc").mkdir()
    environ = {name: value for name, value in os.environ.items() if not name.startswith("CUDA_")}
    done = subprocess.run(
        [sys.executable, str(HERE.parent / "fault_rigs.py"), rig, str(folder), str(library)],
        env={**environ, "HOME": str(folder), "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_S,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "the user would see this"
    told = [json.loads(line) for line in done.stdout.splitlines()]
    return {(one["fault"], one["place"]): one for one in told}


def figures(domain: Any) -> list[float]:
    """All numbers that say how much."""
    names = ("energy_j", "u95_j", "low_j", "mid_j", "high_j")
    return [domain[name] for name in names if domain[name] is not None]


def assert_holds(domain: Any, true_j: float) -> None:
    """A measured figure whose interval holds the truth."""
    assert domain["energy_j"] is not None, domain
    assert abs(domain["energy_j"] - true_j) <= domain["u95_j"] + 1e-6, (domain, true_j)


def assert_known_or_why_not(cell: Any, domain: Any) -> None:
    """A figure that is finite and not negative, or null with a reason that people see."""
    assert 0 <= domain["coverage"] <= 1
    if figures(domain):
        assert all(0 <= number < 1e6 for number in figures(domain)), domain
        assert domain["coverage"] > 0.995 or domain["reason"], domain
        return
    assert (domain["provenance"], bool(domain["reason"])) == ("none", True), domain
    words = domain["reason"].split()[:3]
    for text in (cell["text"], html.unescape(cell["html"])):
        shown = " ".join(text.split())
        assert "not measured" in shown
        assert " ".join(words) in shown, (words, shown)


def most_j(rig: str, window: Any, seconds: float) -> float:
    """The most that a domain can have drawn whose truth is not known to the joule."""
    if rig == "perf":  # its event is real, and counts real time
        return Perf.EVENT_W * float(window["real_s"])
    return 2.0 * 100.0 * (seconds + 1.0)  # the upper end of one thread at its TDP


@pytest.mark.parametrize(("rig", "fault", "place"), MATRIX)
def test_what_fails_is_absent_with_its_reason_and_nothing_else_changes(
    rig: str, fault: str, place: str, outcomes: Any, tmp_path: Path
) -> None:
    if rig == "perf" and (why := why_no_events(tmp_path / "sys")):
        pytest.skip(f"the kernel here opens no perf event for a whole CPU: {why}")
    found, made = outcomes(rig)[fault, place], RIGS[rig]
    assert "error" not in found, found["error"]
    for window in (found["said"], found["after"]):
        for phase in ("midst", "plain", "settled"):
            cell, seconds = window[phase], window["seconds"].get(phase, window["seconds"]["plain"])
            assert cell["same"], "the store's record is another one"
            for key, domain in cell["domains"].items():
                assert_known_or_why_not(cell, domain)
                if key == made.target and made.watts is not None and figures(domain):
                    if place != "discovery" or fault in SILENT or window is found["after"]:
                        assert_holds(domain, made.watts * seconds)
                elif key == made.target and figures(domain):
                    drawn = domain["energy_j"] or domain["high_j"] or 0.0
                    assert drawn <= most_j(rig, window, seconds) + 1, domain
            # Read by a file of its own, beside whatever fails.
            assert_holds(cell["domains"][BESIDE], BESIDE_W * seconds)
            assert cell["domains"][BESIDE]["coverage"] == 1
            assert cell["domains"][BESIDE]["reason"] is None
            for key, watts in made.neighbours.items():
                beside = cell["domains"].get(key)
                if beside is not None and figures(beside):
                    assert_holds(beside, watts * seconds)
                else:  # the same driver, of which all of it hung or was loaded again
                    assert fault in ("hangs", "driver reloaded") or place == "discovery"


@pytest.mark.parametrize(
    ("rig", "fault", "place"),
    [
        (rig, fault, place)
        for rig, fault, place in MATRIX
        if fault in SILENT and place in ("opening", "closing") and rig not in ("replay", "perf")
        # These are numbers to whoever reads them; the trace leaves them out.
        if fault != "negative" or rig.startswith("nvml")
    ],
)
def test_a_reading_that_is_none_at_an_edge_leaves_that_window_without_a_figure(
    rig: str, fault: str, place: str, outcomes: Any
) -> None:
    found, target = outcomes(rig)[fault, place], RIGS[rig].target
    domain = found["said"]["plain"]["domains"][target]
    assert figures(domain) == [], domain
    again = found["after"]["settled"]["domains"][target]  # it came back
    assert figures(again), again
    assert again["coverage"] == 1


@pytest.mark.parametrize("fault", ["goes backwards", "resets", "huge", "driver reloaded", "stuck"])
@pytest.mark.parametrize("rig", ["nvml counter", "estimate", "perf", "plug-in"])
def test_a_jump_of_a_counter_in_mid_window_is_left_out(rig: str, fault: str, outcomes: Any) -> None:
    if fault not in FAULTS[rig]:
        pytest.skip("this sensor has no such fault")
    domain = outcomes(rig)[fault, "midst"]["said"]["plain"]["domains"][RIGS[rig].target]
    assert domain["coverage"] < 1, domain
    assert domain["reason"], domain


def test_a_hung_gpu_leaves_the_figure_of_the_one_that_was_read_before_it(outcomes: Any) -> None:
    for rig in ("nvml counter", "nvml power", "nvml ring", "plug-in"):
        for place in ("opening", "closing"):
            domains = outcomes(rig)["hangs", place]["said"]["plain"]["domains"]
            assert domains["gpu:0"]["energy_j"] is not None, (rig, place)
            assert domains["gpu:1"]["reason"] == "the driver did not answer in time"


def test_the_matrix_knows_all_faults_of_its_rigs(outcomes: Any) -> None:
    for rig in set(RIGS) - {"perf"}:
        assert {fault for fault, _ in outcomes(rig)} == set(FAULTS[rig])


RELOADED_BEHIND_OUR_BACK = """
from datetime import UTC, datetime
from jupyter_energy.readers import Readers
from jupyter_energy.window import Edge, measure
from jupyter_energy.worker import Worker
clock, clocks = virtual(5.0)
fake.set("library reload=1", *first)  # the counter is low when the window begins
(sensor,) = discover(machine, clocks).sensors
worker = Worker("nvml")
readers = Readers(lambda: {"nvml": worker}, clock, lambda: 0.0)
worker.submit(lambda: readers.add((sensor,), "nvml")).result(60.0)
def edge(t_s):
    clock.set(t_s)
    return Edge(t_s, readers.read_drivers(lambda sensor: True))
start = edge(5.3)
clock.set(6.0)
fake.set("library reload=2", *first)
lost = edge(6.5)
edge(9.0)  # higher than at the beginning: it has not fallen
(domain,) = measure(datetime.now(UTC), start, edge(10.0)).domains
readers.close()
print(json.dumps([str(lost.readings[sensor]), sensor.restarts, domain.coverage,
    domain.energy is None, domain.reason]))
"""


def test_a_counter_that_a_reload_has_put_higher_than_before_is_a_gap(tmp_path: Path) -> None:
    child = NvmlChild(build_nvml(tmp_path / "library"), tmp_path)
    child.first = [H100 + "profile=0:100"]
    lost, restarts, coverage, unknown, reason = child.run(RELOADED_BEHIND_OUR_BACK)
    assert (lost, restarts) == ("the NVIDIA driver was loaded again", 1)
    assert coverage == pytest.approx(1 / 4.7)
    assert unknown
    assert reason == "the sensor saw 21% of the window"


@pytest.mark.parametrize("kind", ["perf", "estimate"])
def test_a_file_of_the_users_that_got_a_sensors_number_is_neither_read_nor_closed(
    kind: str, tmp_path: Path
) -> None:
    if kind == "perf" and (why := why_no_events(tmp_path / "probe")):
        pytest.skip(f"the kernel here opens no perf event for a whole CPU: {why}")
    rig = RIGS[kind](tmp_path, tmp_path)
    rig.mend()
    (family,) = rig.families()
    sensor: Any = family.discover(Machine()).sensors[0]
    number = sensor._descriptor if kind == "perf" else sensor.descriptor
    (tmp_path / "theirs").write_text("the user's own text, longer than a count\n" * 2)
    theirs = os.open(tmp_path / "theirs", os.O_RDONLY)
    os.dup2(theirs, number)  # closed, and opened again as another
    with pytest.raises(SensorError):
        sensor.read()
    assert os.lseek(number, 0, os.SEEK_CUR) == 0
    sensor.close()
    assert os.read(number, 8) == b"the user"
    os.close(number)
    os.close(theirs)


@pytest.mark.parametrize("nonsense", ["an accuracy in words", "one bound"])
def test_a_sensor_that_declares_nonsense_is_alone_in_having_no_figure(nonsense: str) -> None:
    odd, fine = FakeSensor(Domain("gpu", 0, "odd")), FakeSensor(Domain("gpu", 1, "fine"))
    if nonsense == "one bound":
        odd.spread = (1.0,)  # type: ignore[assignment]  # the fault
    else:
        odd.accuracy = Accuracy("5 %", "a test")  # type: ignore[arg-type]  # the fault
    start = Edge(0.0, {sensor: Sample(0.0, 0.0, 0.0) for sensor in (odd, fine)})
    stop = Edge(4.0, {sensor: Sample(4.0, 100.0, 4.0, 25.0) for sensor in (odd, fine)})
    first, second = measure(datetime(2026, 1, 1, tzinfo=UTC), start, stop).domains
    assert first.energy is None
    assert str(first.reason).startswith("failed: ")
    assert isinstance(second.energy, Uncertain)
    assert second.energy.value == pytest.approx(100)

"""A recording: energies worked out by hand, and what is said of a file that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_energy.errors import SensorError
from jupyter_energy.sensors import replay
from jupyter_energy.sensors.base import Discovery, Machine, Sensor
from jupyter_energy.trace import Trace


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now_s = 500.0

    def __call__(self) -> float:
        return self.now_s


RAMP = "t_s,domain,watts\n0,gpu:0,100\n2,gpu:0,300\n10,gpu:0,300\n"


@pytest.fixture
def clock() -> Clock:
    return Clock()


def play(tmp_path: Path, clock: Clock, text: str, name: str = "demo.csv") -> Discovery:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return replay.discover(Machine(replay=path), clock)


def only(found: Discovery) -> Sensor:
    [sensor] = found.sensors
    return sensor


@pytest.mark.parametrize(
    ("t_s", "energy_j"),
    [(0, 0), (1, 150), (2, 400), (6, 1600), (10, 2800), (11, 2950), (25, 2 * 2800 + 1300)],
)
def test_power_runs_straight_between_rows_and_begins_again_at_the_end(
    tmp_path: Path, clock: Clock, t_s: float, energy_j: float
) -> None:
    sensor = only(play(tmp_path, clock, RAMP))
    clock.now_s += t_s
    assert sensor.read() == pytest.approx(energy_j)


def test_two_rows_at_one_moment_are_a_step(tmp_path: Path, clock: Clock) -> None:
    text = "t_s,domain,watts\n0,gpu:0,100\n1,gpu:0,100\n1,gpu:0,300\n2,gpu:0,300\n"
    sensor = only(play(tmp_path, clock, text))
    clock.now_s += 1.5
    assert sensor.read() == pytest.approx(100 + 150)
    assert sensor.max_w == 300


def test_joules_count_from_the_first_row(tmp_path: Path, clock: Clock) -> None:
    text = "t_s,domain,joules\n5,package:1,1000\n7,package:1,1040\n9,package:1,1050\n"
    sensor = only(play(tmp_path, clock, text))
    clock.now_s += 1
    assert sensor.read() == pytest.approx(20)
    clock.now_s += 2
    assert sensor.read() == pytest.approx(45)
    clock.now_s += 2
    assert sensor.read() == pytest.approx(70)


def test_json_lines_and_csv_give_the_same(tmp_path: Path, clock: Clock) -> None:
    lines = (
        '# from nowhere\n{"t_s": 0, "domain": "gpu:0", "watts": 100}\n\n'
        '{"t_s": 2, "domain": "gpu:0", "watts": 300}\n{"t_s": 10, "domain": "gpu:0", "watts": 300}'
    )
    sensors = only(play(tmp_path, clock, RAMP)), only(play(tmp_path, clock, lines, "demo.jsonl"))
    clock.now_s += 7.25
    assert sensors[0].read() == sensors[1].read() > 0


def test_nothing_can_be_taken_for_this_machine_s_own(tmp_path: Path, clock: Clock) -> None:
    text = "# note\nt_s,domain,watts\n0,gpu:0,1\n0,dram:0,1\n1,gpu:0,1\n1,dram:0,1\n"
    found = play(tmp_path, clock, text)
    assert [sensor.domain.key for sensor in found.sensors] == ["dram:0", "gpu:0"]
    for sensor in found.sensors:
        assert "replay of demo.csv" in sensor.domain.name
        assert sensor.source == "replay:demo.csv"
    assert "none is this machine's" in found.notes[0]


def test_without_a_recording_there_is_nothing() -> None:
    assert replay.discover(Machine()) == Discovery()


def test_a_closed_recording_gives_no_reading(tmp_path: Path, clock: Clock) -> None:
    sensor = only(play(tmp_path, clock, RAMP))
    sensor.close()
    with pytest.raises(SensorError, match="closed"):
        sensor.read()


@settings(deadline=None)  # a busy machine is no fault of the arithmetic
@given(st.lists(st.floats(0, 30), min_size=1, max_size=30))
def test_a_trace_of_a_recording_has_no_gap_and_ends_where_the_curve_does(
    tmp_path_factory: pytest.TempPathFactory, steps_s: list[float]
) -> None:
    clock = Clock()
    sensor = only(play(tmp_path_factory.mktemp("replay"), clock, RAMP))
    trace = Trace(sensor)
    started_s = clock.now_s
    sample = trace.add(clock.now_s, sensor.read())
    for step_s in steps_s:
        clock.now_s += step_s
        sample = trace.add(clock.now_s, sensor.read())
    assert trace.gaps == 0
    assert sample.energy_j == pytest.approx(sensor.read(), abs=1e-6)
    assert sample.covered_s == pytest.approx(clock.now_s - started_s)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no rows"),
        ("t_s,domain,watts\n", "no rows"),
        ("time,device,power\n0,gpu:0,1\n", "line 1: the header needs"),
        ("t_s,domain,watts\n0,gpu:0,1\n1,gpu:0,abc\n", "line 3: watts is 'abc'"),
        ("t_s,domain,watts\n0,gpu:0,nan\n", "line 2: watts is 'nan'"),
        ("t_s,domain,watts\nx,gpu:0,1\n", "line 2: t_s is 'x'"),
        ("t_s,domain,watts\n0,gpu:0,-1\n", "line 2: watts is -1, below 0"),
        ("t_s,domain,watts\n0,gup:0,1\n", "line 2: 'gup:0' is no domain"),
        ("t_s,domain,watts\n0,gpu,1\n", "line 2: 'gpu' is no domain"),
        ("t_s,domain,watts\n0,gpu:0\n", "line 2: 2 columns"),
        ("t_s,domain,watts\n0,gpu:0,\n", "line 2: give either"),
        ("t_s,domain,watts,joules\n0,gpu:0,1,1\n", "line 2: give either"),
        ("t_s,domain,watts\n1,gpu:0,1\n0,gpu:0,1\n", "line 3: t_s falls"),
        ("t_s,domain,watts\n0,gpu:0,1\n", "line 2: gpu:0 needs rows at two moments"),
        ("t_s,domain,watts\n0,gpu:0,1\n0,gpu:0,2\n", "line 3: gpu:0 needs rows at two moments"),
        ("t_s,domain,joules\n0,gpu:0,2\n1,gpu:0,1\n", "line 3: joules must rise"),
        ("t_s,domain,joules\n0,gpu:0,2\n0,gpu:0,3\n", "line 3: joules must rise"),
        (
            "t_s,domain,watts,joules\n0,gpu:0,2,\n1,gpu:0,,3\n",
            "line 3: gpu:0 had watts before",
        ),
        (
            "t_s,domain,watts\n0,gpu:0,1\n0,dram:0,1\n2,gpu:0,1\n1,dram:0,1\n",
            "line 5: dram:0 ends at 1 s, gpu:0 at 2 s",
        ),
        (
            "t_s,domain,watts\n0,gpu:0,1\n1,dram:0,1\n2,gpu:0,1\n2,dram:0,1\n",
            "line 3: dram:0 begins at 1 s, gpu:0 at 0 s",
        ),
    ],
)
def test_a_bad_file_is_one_absence_with_its_line_and_reason(
    tmp_path: Path, clock: Clock, text: str, reason: str
) -> None:
    found = play(tmp_path, clock, text)
    assert found.sensors == ()
    [absence] = found.absences
    assert reason in absence.reason
    assert "demo.csv" in absence.reason
    assert absence.remedy


@pytest.mark.parametrize(
    ("text", "reason"),
    [("{\n", "line 1: not JSON"), ("[1]\n", "line 1: not an object"), ("{}\n", "no domain")],
)
def test_bad_json_is_an_absence_with_its_line(
    tmp_path: Path, clock: Clock, text: str, reason: str
) -> None:
    [absence] = play(tmp_path, clock, text, "demo.jsonl").absences
    assert reason in absence.reason


def test_a_missing_or_binary_file_is_an_absence(tmp_path: Path, clock: Clock) -> None:
    [absence] = replay.discover(Machine(replay=tmp_path / "none.csv"), clock).absences
    assert "No such file" in absence.reason
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x01")
    [absence] = replay.discover(Machine(replay=tmp_path / "binary.csv"), clock).absences
    assert "binary.csv" in absence.reason

"""Readings of real GPUs, played back; and the script that records them, tried on the stand-in.

tests/device/recordings holds one file a part, as tests/device/measure.py writes them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from standins import HERE, FakeNvml, build_nvml
from standins.sensors import FakeSensor

from jupyter_energy.model import Domain
from jupyter_energy.sensors.crosscheck import CrossCheck
from jupyter_energy.trace import Trace

DEVICE = HERE.parent / "device"
RECORDINGS = sorted((DEVICE / "recordings").glob("*.json"))
SIMULATED = "simulated"


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the script writes beside the stand-in: a counter of 100 ms at 300 W."""
    folder = tmp_path_factory.mktemp("device")
    fake = FakeNvml(build_nvml(folder / "lib"), folder)
    fake.set(
        'gpu 0 uuid=GPU-0 name="NVIDIA H100" profile=0:300 ring_ms=20 boxcar_ms=0 energy_mj=5000 '
        "limit_mw=700000 busy=0:40"
    )
    out = folder / "out.json"
    subprocess.run(
        [sys.executable, str(DEVICE / "measure.py"), str(out), "0.02"],
        env={**os.environ, **fake.environ},
        check=True,
        capture_output=True,
        timeout=120,
    )
    document: dict[str, Any] = json.loads(out.read_text())
    return document


@pytest.fixture(params=[SIMULATED, *(path.stem for path in RECORDINGS)])
def recording(request: pytest.FixtureRequest) -> dict[str, Any]:
    if request.param == SIMULATED:
        if sys.platform != "linux":
            pytest.skip("the stand-in is an ELF library")
        found: dict[str, Any] = request.getfixturevalue("simulated")
    else:
        found = json.loads((DEVICE / "recordings" / f"{request.param}.json").read_text())
    return found


def test_every_reading_is_complete_and_in_order(recording: dict[str, Any]) -> None:
    for rows in recording["readings"].values():
        assert rows
        assert all(len(row) == len(recording["columns"]) for row in rows)
        times = [row[0] for row in rows]
        assert times == sorted(times)


def test_a_trace_of_the_counter_only_grows_and_has_no_gap(recording: dict[str, Any]) -> None:
    for rows in recording["readings"].values():
        trace = Trace(FakeSensor(Domain("gpu", 0, recording["part"]), max_w=1000.0))
        samples = [trace.add(row[0], row[1]) for row in rows]
        energies = [sample.energy_j for sample in samples]
        assert energies == sorted(energies)
        assert trace.gaps == 0
        assert energies[-1] == pytest.approx(rows[-1][1] - rows[0][1])


def test_the_counter_and_the_power_are_not_found_to_differ(recording: dict[str, Any]) -> None:
    check = CrossCheck()
    for row in recording["readings"]["busy at 1 s"]:
        if row[2] is not None:
            check.add(row[0], row[1], row[2])
    assert check.verdict is None or check.verdict.reliable


def test_the_script_tells_the_stand_ins_period_and_ring(simulated: dict[str, Any]) -> None:
    ring = simulated["ring"]["idle"]
    assert len(ring) == 119
    assert ring[1][0] - ring[0][0] == pytest.approx(0.02, abs=1e-5)
    assert {w for _, w in ring} == {300}
    assert simulated["no_load_because"]
    assert simulated["cost_us"]["fields 83+186"]["n"] >= 5
    assert simulated["power_limits_mw"]["DefaultLimit"] == 700_000
    assert [percent for _, percent in simulated["utilisation"]] == [40] * 100

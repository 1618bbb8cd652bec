"""What is kept of a machine: idle power by host and device, a calibration by identity."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_energy import calibration
from jupyter_energy.calibration import Baselines, Calibration, IdlePower
from jupyter_energy.errors import WrongUse

GPU = IdlePower(
    "gpu:0", "NVIDIA T4", "GPU-1", "nvml-counter", 9.5, 0.2, 15.0, "2026-11-23T10:00:00"
)
CPU = IdlePower("package:0", "package-0", None, "rapl", 12.0, 0.3, 15.0, "2026-11-23T10:00:00")
PLUG = Calibration(20.0, 80.0, 0.7, 1.3, "plug", "2026-11-23T10:00:00")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "baselines.json"


def test_what_was_kept_is_found_again_by_host_and_device(file: Path) -> None:
    assert calibration.load("here", file) == Baselines("here")
    assert calibration.save(Baselines("here", (GPU, CPU)), file) == file
    found = calibration.load("here", file)
    assert found.of("gpu:0") == GPU
    assert found.of("package:0") == CPU
    assert found.of("gpu:1") is None
    assert calibration.load("elsewhere", file).idle == ()


def test_a_device_that_is_measured_again_replaces_itself_and_no_other(file: Path) -> None:
    calibration.save(Baselines("here", (GPU, CPU)), file)
    calibration.save(Baselines("elsewhere", (CPU,)), file)
    newer = IdlePower(**{**vars_of(GPU), "idle_w": 8.0})
    calibration.save(Baselines("here", (newer,)), file)
    assert calibration.load("here", file).idle == (CPU, newer)
    assert calibration.load("elsewhere", file).idle == (CPU,)


def vars_of(one: IdlePower) -> dict[str, object]:
    return {name: getattr(one, name) for name in IdlePower.__dataclass_fields__}


def test_a_calibration_is_kept_under_its_machine_and_can_be_forgotten(file: Path) -> None:
    calibration.save(Baselines("here", (GPU,)), file)
    calibration.calibrate("abc", PLUG, file)
    assert calibration.calibration("abc", file) == PLUG
    assert calibration.calibration("abd", file) is None
    calibration.calibrate("abc", None, file)
    assert calibration.calibration("abc", file) is None
    assert calibration.load("here", file).idle == (GPU,)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_only_the_user_may_read_the_file(file: Path) -> None:
    calibration.save(Baselines("here", (GPU,)), file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_broken_file_holds_nothing_and_is_not_written_over(file: Path) -> None:
    file.parent.mkdir()
    file.write_text('{"idle": {"here": [')
    assert calibration.load("here", file).idle == ()
    assert calibration.calibration("abc", file) is None
    with pytest.raises(WrongUse, match="not valid JSON"):
        calibration.save(Baselines("here", (GPU,)), file)
    assert file.read_text() == '{"idle": {"here": ['


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["here", "idle_w", "device", "date"]), inner, max_size=3)
    ),
)


@given(st.dictionaries(st.sampled_from(["idle", "calibrations"]), JSON))
def test_whatever_somebody_wrote_into_the_file_reading_it_gives_only_what_fits(
    tmp_path_factory: pytest.TempPathFactory, content: dict[str, object]
) -> None:
    file = tmp_path_factory.mktemp("data") / "baselines.json"
    file.write_text(json.dumps(content))
    assert calibration.load("here", file).idle == ()
    assert calibration.calibration("here", file) is None


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf"), "5", True, None])
def test_an_idle_power_that_is_none_is_left_out(file: Path, value: object) -> None:
    calibration.save(Baselines("here", (GPU, CPU)), file)
    content = json.loads(file.read_text())
    content["idle"]["here"][0]["idle_w"] = value
    file.write_text(json.dumps(content))
    assert calibration.load("here", file).idle == (CPU,)

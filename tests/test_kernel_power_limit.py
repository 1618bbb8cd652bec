"""The sweep of power limits, typed in a notebook."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from conftest import StartKernel
from harness import LOAD
from standins import FakeNvml, build_nvml

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the stand-in is an ELF library")

GPU = 'gpu 0 uuid=GPU-1 name="NVIDIA H100" mode=clock power_mw=350000 limit_mw=700000 '
SWEEP = '%energy plan --no-figure --sweep-power-limit "train_step()"'


def test_a_step_that_fails_or_may_not_be_tried_leaves_the_rest_of_the_plan(
    start_kernel: StartKernel, tmp_path: Path
) -> None:
    driver = FakeNvml(build_nvml(tmp_path / "lib"), tmp_path)
    driver.set(GPU)
    kernel = start_kernel({**driver.environ, "JUPYTER_ENERGY_ZONE": "FR"})
    kernel.run(LOAD)
    kernel.run("%%energy\nimport time; time.sleep(0.2)")

    failed = kernel.run(SWEEP)
    assert "power limits were not swept: train_step() failed: NameError" in failed.stderr
    stopped = kernel.run(f"def train_step():\n    raise KeyboardInterrupt\n{SWEEP}")
    assert (stopped.status, stopped.error and stopped.error[0]) == ("error", "KeyboardInterrupt")
    driver.set(GPU + "fault=NoPermission@nvmlDeviceSetPowerManagementLimit")
    denied = kernel.run(SWEEP)
    assert "nvidia-smi -i 0 -pl 560" in denied.stdout
    for told in (failed, denied):
        assert told.status == "ok"
        assert any("text/plain" in display for display in told.displays), "the plan is shown"
    assert {limit_w for _, limit_w in driver.limits_w} == {700.0}

"""A short cell's figure and its interval, in a real kernel with NVIDIA's bindings, in real time."""

from __future__ import annotations

import json
import os
import random
import sys
from pathlib import Path

import pytest
from conftest import StartKernel
from harness import LIMIT_S
from standins import HERE, FakeNvml, build_nvml
from standins.nvml_load import AFTER_W, BEFORE_W, WITHIN_W

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the stand-in is an ELF library")

# Each cell is one for each GPU, whose counters are renewed at moments of their own.
GPUS, CELLS = 8, 13
LASTS_S = 0.25
PARTS = ('name="NVIDIA H100" brand=14', 'name="NVIDIA GeForce RTX 4090" brand=5')

SETUP = """
import time
from pathlib import Path
from standins.nvml_load import Steered
steered = Steered(Path({config!r}), {gpus!r})
from jupyter_energy.magics import loaded_in
assert loaded_in(get_ipython()).monitor.sampler.wait_until_found({limit_s})
steered.rest(0.5)
"""
CELL = """%%energy -q -v r --devices gpu
first_s = time.monotonic()
begin_s, end_s = steered.work({lasts_s})
last_s = time.monotonic()"""
TOLD = (
    "(r.measurement.duration_s, first_s, begin_s, end_s, last_s,"
    " [(d.energy.value, d.energy.u95_repeat) for d in r.measurement.domains if d.energy])"
)


def gpus() -> list[str]:
    rng = random.Random(1)
    return [
        f"gpu {n} uuid=GPU-{n} pci=00000000:{n + 1:02X}:00.0 limit_mw=700000 {PARTS[n % 2]}"
        f" phase_ms={rng.uniform(0, 100)} power_phase_ms={rng.uniform(0, 100)}"
        for n in range(GPUS)
    ]


def test_of_100_short_cells_at_least_85_lie_within_their_own_interval(
    start_kernel: StartKernel, tmp_path: Path
) -> None:
    folder = tmp_path / "driver"
    driver = FakeNvml(build_nvml(folder), folder)
    driver.set(*gpus())
    found = os.pathsep.join([os.environ.get("PYTHONPATH", ""), str(HERE.parent)])
    kernel = start_kernel({**driver.environ, "PYTHONPATH": found})
    config = driver.environ["FAKE_NVML_CONFIG"]
    kernel.run("%load_ext jupyter_energy")
    kernel.run("%energy off")  # what is between the cells is measured by nobody
    ready = kernel.run(SETUP.format(config=config, gpus=gpus(), limit_s=LIMIT_S))
    assert ready.status == "ok", ready.error
    held, errors = 0, []
    rng = random.Random(2)
    for _ in range(CELLS):
        lasts_s = LASTS_S + rng.uniform(-0.05, 0.05)
        assert kernel.run(CELL.format(lasts_s=lasts_s)).status == "ok"
        duration_s, first_s, begin_s, end_s, last_s, values = kernel.value(TOLD)
        kernel.run("steered.rest(0.2)")
        # Of the window's time around the cell's own code nobody knows on which side of it it lies.
        around_s = duration_s - (last_s - first_s)
        truth_j = BEFORE_W * (begin_s - first_s) + WITHIN_W * (end_s - begin_s)
        truth_j += AFTER_W * (last_s - end_s) + (BEFORE_W + AFTER_W) / 2 * around_s
        for value_j, half_j in values:
            held += abs(value_j - truth_j) <= half_j
            errors.append(round(value_j / truth_j - 1, 4))
    assert held >= 0.85 * GPUS * CELLS, json.dumps(errors)

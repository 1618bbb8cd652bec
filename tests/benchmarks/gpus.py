"""What two edges of a window take with eight GPUs behind a simulated NVML, and what is in them."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from common import ROOT, Row, clean_environment, percentiles

sys.path.insert(0, str(ROOT / "tests"))

from standins import FakeNvml, build_nvml

NAME = "gpus"
GPUS = 8
WINDOWS = 1000

CHILD = """
import json, sys, time
from jupyter_energy.sampler import Sampler
from jupyter_energy.sensors import nvml
from jupyter_energy.sensors.base import Machine
sampler = Sampler(Machine(), lambda: [nvml])
sampler.start()
assert sampler.wait_until_found(30)
sensors = sampler.sensors()
assert len(sensors) == int(sys.argv[2])
us = {"both edges": [], "one read": []}
everything = lambda sensor: True
for number in range(int(sys.argv[1]) + 50):
    started = time.perf_counter()
    edges = sampler.opening_edge(everything), sampler.closing_edge(everything)
    us["both edges"].append(1e6 * (time.perf_counter() - started))
    assert all(not isinstance(one, str) for edge in edges for one in edge.readings.values())
sampler.close()
sensors = nvml.discover(Machine()).sensors
for sensor in sensors * (1 + int(sys.argv[1]) // len(sensors)):
    started = time.perf_counter()
    sensor.read()
    us["one read"].append(1e6 * (time.perf_counter() - started))
print(json.dumps({name: values[50:] for name, values in us.items()}))
"""


def run() -> list[Row]:
    """Median, 99th percentile and largest time in µs."""
    with clean_environment() as clean, tempfile.TemporaryDirectory() as folder:
        driver = FakeNvml(build_nvml(Path(folder) / "lib"), Path(folder))
        driver.set(
            *(
                f'gpu {i} uuid=GPU-{i} name="NVIDIA H100" pci=00000000:0{i}:00.0 profile=0:300'
                for i in range(GPUS)
            )
        )
        environ = clean | driver.environ
        del environ["FAKE_NVML_LOG"]  # writing the log takes longer than the call
        done = subprocess.run(
            [sys.executable, "-c", CHILD, str(WINDOWS), str(GPUS)],
            env=environ,
            capture_output=True,
            text=True,
            check=True,
        )
    seen = json.loads(done.stdout.splitlines()[-1])
    return [
        Row(f"{GPUS} GPUs: two edges", "us", percentiles(seen["both edges"]), 2000),
        Row("one GPU's reading by itself", "us", percentiles(seen["one read"])),
    ]

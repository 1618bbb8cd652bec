"""Waiting for queued GPU work, against a stand-in for CUDA's driver library and frameworks.

Each case is a child process: what is loaded and imported there is what the case says, no more.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from standins import HERE, build_cuda

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the stand-in is an ELF library")

ROOT = HERE.parent.parent
CAPTURING = "a CUDA graph is being captured, so queued GPU work was not waited for"

PRELUDE = """
import ctypes, json, os, sys, threading
from jupyter_energy.gpu_sync import wait_for_gpu
def told(result):
    return {"done": result.done, "waited_s": result.waited_s, "note": result.note}
"""
CUDA = """
cuda = ctypes.CDLL("libcuda.so.1")
cuda.fake_devices(3)
cuda.cuInit(0)
"""


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_cuda(tmp_path_factory.mktemp("cuda"))


class Child:
    def __init__(self, library: Path, folder: Path) -> None:
        self.library = library
        self.modules = folder / "modules"
        self.log = folder / "cuda.log"
        self.modules.mkdir()

    def run(self, *programs: str) -> dict:
        environ = {
            **os.environ,
            "LD_LIBRARY_PATH": str(self.library.parent),
            "FAKE_CUDA_LOG": str(self.log),
            "PYTHONPATH": os.pathsep.join([str(self.modules), str(ROOT)]),
            "JAX_PLATFORMS": "cpu",
        }
        done = subprocess.run(
            [sys.executable, "-c", "".join([PRELUDE, *programs])],
            env=environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr == "", "the user would see this"
        return json.loads(done.stdout)

    @property
    def calls(self) -> list[str]:
        return [line.split()[0] for line in self.log.read_text().splitlines()]


@pytest.fixture
def child(library: Path, tmp_path: Path) -> Child:
    return Child(library, tmp_path)


def test_without_cuda_there_is_nothing_to_wait_for_and_nothing_is_loaded(child: Child) -> None:
    seen = child.run(
        """
before = set(sys.modules)
result = wait_for_gpu(os.getpid())
maps = open("/proc/self/maps").read()
print(json.dumps(told(result) | {
    "loaded": "libcuda" in maps, "new": sorted(set(sys.modules) - before),
    "threads": threading.active_count()}))
"""
    )
    assert (seen["done"], seen["note"]) == (True, None)
    assert (seen["loaded"], seen["new"], seen["threads"]) == (False, [], 1)
    assert not child.log.exists()


def test_cuda_that_nobody_initialised_stays_uninitialised(child: Child) -> None:
    seen = child.run(
        """
cuda = ctypes.CDLL("libcuda.so.1")
print(json.dumps(told(wait_for_gpu())))
"""
    )
    assert (seen["done"], seen["note"]) == (True, None)
    assert set(child.calls) == {"cuDeviceGetCount", "cuCtxGetCurrent"}


def test_work_on_every_device_in_use_is_waited_for_and_no_context_is_made(child: Child) -> None:
    seen = child.run(
        CUDA,
        """
cuda.fake_queue(0, 100)
cuda.fake_queue(2, 300)
result = wait_for_gpu()
print(json.dumps(told(result) | {
    "busy": [cuda.fake_is_busy(i) for i in range(3)],
    "active": [cuda.fake_is_active(i) for i in range(3)],
    "retained": [cuda.fake_retained(i) for i in range(3)],
    "depth": cuda.fake_depth(), "threads": threading.active_count()}))
""",
    )
    assert (seen["done"], seen["note"]) == (True, None)
    assert seen["busy"] == [0, 0, 0]
    assert seen["active"] == [1, 0, 1]
    assert seen["retained"] == [0, 0, 0]
    assert (seen["depth"], seen["threads"]) == (0, 1)
    assert seen["waited_s"] > 0
    assert child.calls.count("cuCtxPushCurrent_v2") == child.calls.count("cuCtxPopCurrent_v2") == 2


def test_a_context_that_is_no_primary_one_is_waited_for_where_it_is_current(child: Child) -> None:
    seen = child.run(
        CUDA,
        """
cuda.fake_other_context(200)
result = wait_for_gpu()
print(json.dumps(told(result) | {"busy": cuda.fake_other_is_busy(), "depth": cuda.fake_depth()}))
""",
    )
    assert seen["done"]
    assert (seen["busy"], seen["depth"]) == (0, 1)


def test_a_capture_that_the_driver_shows_is_left_alone(child: Child) -> None:
    seen = child.run(
        CUDA,
        """
cuda.fake_queue(1, 60_000)
cuda.fake_capture(1, 1)
result = wait_for_gpu()
print(json.dumps(told(result) | {
    "broken": cuda.fake_is_broken(1), "retained": cuda.fake_retained(1)}))
""",
    )
    assert (seen["done"], seen["note"]) == (False, CAPTURING)
    assert (seen["broken"], seen["retained"]) == (0, 0)
    assert "cuCtxSynchronize" not in child.calls


TORCH_CAPTURES = """
class version:
    hip = None
class cuda:
    is_initialized = staticmethod(lambda: True)
    is_current_stream_capturing = staticmethod(lambda: True)
"""
CUPY_CAPTURES = """
class cuda:
    class get_current_stream:
        ptr = 94051
        is_capturing = staticmethod(lambda: True)
"""


@pytest.mark.parametrize(("name", "module"), [("torch", TORCH_CAPTURES), ("cupy", CUPY_CAPTURES)])
def test_a_capture_that_hides_from_the_driver_is_left_alone(
    child: Child, name: str, module: str
) -> None:
    (child.modules / f"{name}.py").write_text(module)
    seen = child.run(
        CUDA,
        f"""
import {name}
cuda.fake_queue(0, 60_000)
cuda.fake_capture(0, 2)
print(json.dumps(told(wait_for_gpu()) | {{"broken": cuda.fake_is_broken(0)}}))
""",
    )
    assert (seen["done"], seen["note"], seen["broken"]) == (False, CAPTURING, 0)


def test_a_capture_that_nobody_shows_is_reported(child: Child) -> None:
    seen = child.run(
        CUDA,
        """
cuda.fake_queue(0, 0)
cuda.fake_capture(0, 2)
print(json.dumps(told(wait_for_gpu())))
""",
    )
    assert (seen["done"], seen["note"]) == (False, CAPTURING)


def test_an_error_of_the_gpu_is_a_note_and_never_an_exception(child: Child) -> None:
    seen = child.run(
        CUDA,
        """
cuda.fake_queue(0, 0)
cuda.fake_failure(719)
print(json.dumps(told(wait_for_gpu()) | {"retained": cuda.fake_retained(0)}))
""",
    )
    assert not seen["done"]
    assert seen["note"] == "GPU work may extend past the cell (CUDA error 719)"
    assert seen["retained"] == 0


def test_a_forked_child_calls_nothing(child: Child) -> None:
    seen = child.run(
        CUDA,
        """
cuda.fake_queue(0, 60_000)
print(json.dumps(told(wait_for_gpu(home_pid=os.getppid()))))
""",
    )
    assert not seen["done"]
    assert "forked" in seen["note"]
    assert child.calls == ["cuInit"]


def test_ctrl_c_ends_the_wait_at_once(child: Child) -> None:
    seen = child.run(
        CUDA,
        """
import signal, time
cuda.fake_queue(0, 60_000)
def press():
    log = os.environ["FAKE_CUDA_LOG"]
    while "cuCtxSynchronize" not in open(log).read():
        pass
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=press, daemon=True).start()
try:
    wait_for_gpu()
    interrupted = False
except KeyboardInterrupt:
    interrupted = True
print(json.dumps({"interrupted": interrupted, "busy": cuda.fake_is_busy(0),
    "depth": cuda.fake_depth()}))
""",
    )
    assert seen == {"interrupted": True, "busy": 1, "depth": 0}


GPU_OF_ANOTHER_MAKER = """
calls = []
class _C:
    _cuda_hasPrimaryContext = staticmethod(lambda device: device == 1)
class version:
    hip = "6.4"
class cuda:
    is_initialized = staticmethod(lambda: True)
    is_current_stream_capturing = staticmethod(lambda: False)
    device_count = staticmethod(lambda: 3)
    synchronize = staticmethod(lambda device: calls.append(f"hip {device}"))
class xpu:
    is_initialized = staticmethod(lambda: True)
    device_count = staticmethod(lambda: 2)
    synchronize = staticmethod(lambda device: calls.append(f"xpu {device}"))
"""


def test_torch_waits_for_the_amd_and_intel_gpus_in_use(child: Child) -> None:
    (child.modules / "torch.py").write_text(GPU_OF_ANOTHER_MAKER)
    seen = child.run(
        "import torch\nresult = wait_for_gpu()\n",
        "print(json.dumps(told(result) | {'calls': torch.calls}))",
    )
    assert seen["done"]
    assert seen["calls"] == ["hip 1", "xpu 0", "xpu 1"]


def test_a_framework_that_fails_costs_a_note_and_the_others_are_still_asked(child: Child) -> None:
    (child.modules / "torch.py").write_text("class version: hip = '6'\n")
    (child.modules / "mlx").mkdir()
    (child.modules / "mlx/core.py").write_text("waited = []\ndef synchronize(): waited.append(1)\n")
    seen = child.run(
        "import torch, mlx.core\nresult = wait_for_gpu()\n",
        "print(json.dumps(told(result) | {'waited': mlx.core.waited}))",
    )
    assert not seen["done"]
    assert seen["note"] == "GPU work may extend past the cell (torch: AttributeError)"
    assert seen["waited"] == [1]


@pytest.mark.skipif(find_spec("jax") is None, reason="needs jax")
def test_jax_is_waited_for_but_never_started(child: Child) -> None:
    seen = child.run(
        """
import jax
from jax._src import xla_bridge
first = wait_for_gpu()
untouched = not xla_bridge.backends_are_initialized()
import jax.numpy as jnp
def slow(x):
    return jax.lax.fori_loop(0, 600, lambda i, y: y @ y / 300, x)
work = jax.jit(slow).lower(jnp.ones((300, 300))).compile()
gone, x = jnp.ones(3), jnp.ones((300, 300))
gone.delete()
x.block_until_ready()
y = work(x)
was_ready = y.is_ready()
result = wait_for_gpu()
def traced(x):
    global inside
    inside = wait_for_gpu()
    return x + 1
jaxpr = jax.make_jaxpr(traced)(1.0)
print(json.dumps(told(result) | {"first": first.done, "untouched": untouched,
    "was_ready": was_ready, "ready": y.is_ready(), "inside": inside.done,
    "equations": len(jaxpr.eqns)}))
"""
    )
    assert seen["untouched"]
    assert seen["first"]
    assert (seen["done"], seen["note"]) == (True, None)
    assert (seen["was_ready"], seen["ready"]) == (False, True)
    assert seen["inside"]
    assert seen["equations"] == 1

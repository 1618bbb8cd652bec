"""Waiting for queued GPU work at the edges of a measurement, importing no framework.

GPU work is queued: a cell can end seconds before its work does. CUDA's driver library knows the
work of every framework in this process (torch, CuPy, Numba, RAPIDS, JAX), so it is asked where
it is already loaded; nothing here loads, imports or initialises anything. Frameworks for other
GPUs are asked themselves, where they are already imported and in use.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from .cuda_library import SUCCESS, loaded_cuda
from .signals import raise_if_users

# CUresult, CUstream and CUstreamCaptureMode of NVIDIA's cuda.h.
CAPTURE_ERRORS = range(900, 910)
STREAM_LEGACY = 0x1
CAPTURE_ACTIVE = 1
CAPTURE_MODE_RELAXED = 2
# How long Ctrl-C may take to be noticed where a wait cannot be interrupted (Windows).
CTRL_C_S = 0.1

CAPTURING = "a CUDA graph is being captured, so queued GPU work was not waited for"


@dataclass(frozen=True, slots=True)
class SyncResult:
    """Whether all queued GPU work that we know of is done, and how long that took in s.

    `note` says in words why not (`done` is False then), or is None.
    """

    done: bool
    waited_s: float
    note: str | None = None


class _SyncError(Exception):
    """Queued work could not be waited for; the text is the reason."""


def wait_for_gpu(home_pid: int | None = None) -> SyncResult:
    """Wait until the GPU work that this process has queued is done.

    `home_pid` is the process that measuring began in: in a child that was forked from it CUDA
    is undefined, so nothing is called there. Nothing is waited for while a CUDA graph is being
    captured on this thread's stream, because a synchronisation ends a capture with an error.
    Never raises, but lets pass at once what stops the user's code, as Ctrl-C does.

    What cannot be known: a capture on a stream that hides from the driver's legacy stream and is
    not the current one of torch or CuPy, in another thread for example. CUDA then refuses to
    synchronise, whatever the mode of the capture, and the capture fails too
    (NVIDIA/TensorRT issue 2888); the result says so.
    """
    if home_pid is not None and home_pid != os.getpid():
        return SyncResult(False, 0.0, "a forked process cannot wait for the GPU")
    begin_s = time.perf_counter()
    notes: list[str] = []
    used = False  # where no GPU is in use, nothing was waited for
    # JAX first: it hands work to the driver from threads of its own.
    for wait in (_wait_for_jax, _wait_for_cuda, _wait_for_torch, _wait_for_mlx):
        try:
            used |= wait()
        except _SyncError as reason:
            used = True
            notes.append(str(reason))
        except Exception as error:  # noqa: BLE001  a framework may raise anything; the cell is sacred
            raise_if_users(error)
            where = wait.__name__.removeprefix("_wait_for_")
            notes.append(f"GPU work may extend past the cell ({where}: {type(error).__name__})")
    waited_s = time.perf_counter() - begin_s if used else 0.0
    return SyncResult(not notes, waited_s, "; ".join(notes) or None)


# --- CUDA, through the driver library ----------------------------------------------------------


def _wait_for_cuda() -> bool:
    """Wait for this process's work on all NVIDIA GPUs that it uses; False where it uses none."""
    cuda = loaded_cuda()
    if cuda is None:
        return False
    devices = list(_active_devices(cuda))
    # A context that is no device's primary one (PyCUDA makes such) can be seen where it is current.
    current = ctypes.c_void_p()
    if cuda.cuCtxGetCurrent(ctypes.byref(current)) != SUCCESS:
        current = ctypes.c_void_p()
    if not devices and current.value is None:
        return False
    if _torch_is_capturing() or _cupy_is_capturing():
        raise _SyncError(CAPTURING)
    # A thread of its own: Ctrl-C then ends the wait at once instead of when the GPU is done, and
    # the user's thread never has another context than its own.
    _interruptibly(lambda: _synchronize(cuda, devices, current.value))
    return True


def _active_devices(cuda: ctypes.CDLL) -> Iterator[int]:
    """The devices whose primary context exists already; asking makes none."""
    count = ctypes.c_int()
    if cuda.cuDeviceGetCount(ctypes.byref(count)) != SUCCESS:
        return  # nobody has initialised CUDA (or nobody could), so nothing is queued
    for ordinal in range(count.value):
        device, flags, active = ctypes.c_int(), ctypes.c_uint(), ctypes.c_int()
        _check(cuda.cuDeviceGet(ctypes.byref(device), ordinal))
        _check(cuda.cuDevicePrimaryCtxGetState(device, ctypes.byref(flags), ctypes.byref(active)))
        if active.value:
            yield device.value


def _synchronize(cuda: ctypes.CDLL, devices: list[int], current: int | None) -> None:
    """Synchronise the primary context of each device, and `current` if it is another one."""
    # Relaxed mode lets this thread make calls that a capture elsewhere would forbid, as far as
    # they do not conflict with it (cuda.h, cuThreadExchangeStreamCaptureMode).
    mode = ctypes.c_int(CAPTURE_MODE_RELAXED)
    cuda.cuThreadExchangeStreamCaptureMode(ctypes.byref(mode))
    held: list[tuple[int, int]] = []
    try:
        for device in devices:
            context = ctypes.c_void_p()
            _check(cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), device))
            held.append((device, context.value or 0))
        contexts = [context for _, context in held]
        if current and current not in contexts:
            contexts.append(current)
        for context_value in contexts:
            _synchronize_one(cuda, ctypes.c_void_p(context_value))
    finally:
        for device, _ in held:
            cuda.cuDevicePrimaryCtxRelease_v2(device)


def _synchronize_one(cuda: ctypes.CDLL, context: ctypes.c_void_p) -> None:
    """Wait for the work of one context, unless a graph is being captured in it."""
    _check(cuda.cuCtxPushCurrent_v2(context))
    try:
        # The legacy stream sees captures on the streams that wait for it, and only on those;
        # asking does not disturb them (cuda.h, cuStreamIsCapturing).
        status = ctypes.c_int()
        code = cuda.cuStreamIsCapturing(ctypes.c_void_p(STREAM_LEGACY), ctypes.byref(status))
        if code in CAPTURE_ERRORS or (code == SUCCESS and status.value == CAPTURE_ACTIVE):
            raise _SyncError(CAPTURING)
        _check(cuda.cuCtxSynchronize())
    finally:
        cuda.cuCtxPopCurrent_v2(ctypes.byref(ctypes.c_void_p()))


def _check(code: int) -> None:
    """Raise _SyncError unless CUDA says that all is well."""
    if code in CAPTURE_ERRORS:
        raise _SyncError(CAPTURING)
    if code != SUCCESS:
        # An error of the user's own kernel comes back here too; the framework reports it.
        raise _SyncError(f"GPU work may extend past the cell (CUDA error {code})")


def _interruptibly(call: Callable[[], None]) -> None:
    """Run a call that blocks on a thread of its own, and raise what it raises."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001  raised again by whoever waits
            failures.append(error)

    # A daemon: a GPU that never ends must not keep the process from ending.
    thread = threading.Thread(target=run, name="jupyter-energy-gpu-sync", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(CTRL_C_S)
    if failures:
        raise failures[0]


# --- the frameworks themselves, where they are in use ------------------------------------------


def _module(name: str) -> Any:
    """A module that somebody has imported already, or None."""
    return sys.modules.get(name)


def _torch_is_capturing() -> bool:
    """Whether torch captures a graph on this thread's stream; its streams hide from the driver."""
    torch = _module("torch")
    if torch is None or not torch.cuda.is_initialized():
        return False
    return bool(torch.cuda.is_current_stream_capturing())


def _cupy_is_capturing() -> bool:
    """Whether CuPy captures a graph on this thread's stream."""
    cupy = _module("cupy")
    if cupy is None:
        return False
    stream = cupy.cuda.get_current_stream()
    # 0, 1 and 2 are CUDA's own streams: to ask about them could make a context, and the legacy
    # stream is asked anyway.
    return stream.ptr > 2 and bool(stream.is_capturing())


def _wait_for_jax() -> bool:
    """Wait for what JAX has dispatched, on the CPU too."""
    jax, bridge = _module("jax"), _module("jax._src.xla_bridge")
    if jax is None or bridge is None or not bridge.backends_are_initialized():
        return False
    # On another thread, so that Ctrl-C works and nothing joins a trace that this one makes.
    _interruptibly(lambda: _drain_jax(jax))
    return True


def _drain_jax(jax: Any) -> None:
    """Wait for all arrays that JAX holds, and for work whose result was dropped."""
    jax.block_until_ready([array for array in jax.live_arrays() if not array.is_deleted()])
    # A GPU runs JAX's work in order, so that more work ends behind all of it (Zeus does the same).
    jax.block_until_ready(
        [jax.device_put(0.0, d) + 0 for d in jax.local_devices() if d.platform != "cpu"]
    )


def _wait_for_torch() -> bool:
    """Wait for torch on GPUs that are not NVIDIA's: AMD, Intel, Apple."""
    torch = _module("torch")
    used = False
    if torch is None:
        return used
    if getattr(torch.version, "hip", None) and torch.cuda.is_initialized():
        if torch.cuda.is_current_stream_capturing():
            raise _SyncError(CAPTURING)
        for device in range(torch.cuda.device_count()):
            if torch._C._cuda_hasPrimaryContext(device):
                torch.cuda.synchronize(device)
                used = True
    xpu = getattr(torch, "xpu", None)
    if xpu is not None and xpu.is_initialized():
        for device in range(xpu.device_count()):
            xpu.synchronize(device)
            used = True
    # torch does not tell whether Metal is in use; where it is not, this costs one empty queue.
    if sys.platform == "darwin" and torch.backends.mps.is_available():
        torch.mps.synchronize()
        used = True
    return used


def _wait_for_mlx() -> bool:
    """Wait for Apple's MLX."""
    mlx = _module("mlx.core")
    if mlx is None:
        return False
    mlx.synchronize()
    return True

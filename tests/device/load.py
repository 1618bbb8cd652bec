"""Work for an NVIDIA GPU through CUDA's driver library alone: no framework is needed."""

from __future__ import annotations

import ctypes
import time
from types import TracebackType

# Each thread multiplies and adds until so many ns have gone by on the GPU's own clock.
PTX = b"""
.version 6.0
.target sm_50
.address_size 64
.visible .entry spin(.param .u64 spin_ns)
{
    .reg .pred %p<2>;
    .reg .f32 %f<4>;
    .reg .u64 %t<5>;
    ld.param.u64 %t1, [spin_ns];
    mov.u64 %t2, %globaltimer;
    mov.f32 %f1, 0f3F800000;
    mov.f32 %f2, 0f3F7FFFFF;
again:
    fma.rn.f32 %f1, %f1, %f2, %f2;
    fma.rn.f32 %f1, %f1, %f2, %f2;
    fma.rn.f32 %f1, %f1, %f2, %f2;
    fma.rn.f32 %f1, %f1, %f2, %f2;
    mov.u64 %t3, %globaltimer;
    sub.u64 %t4, %t3, %t2;
    setp.lt.u64 %p1, %t4, %t1;
    @%p1 bra again;
    ret;
}
"""
BLOCKS, THREADS = 2048, 256


class Load:
    """Queues work on the first GPU. Raises OSError or RuntimeError where there is no CUDA."""

    def __init__(self) -> None:
        self.cuda = ctypes.CDLL("libcuda.so.1")
        self._device, self._context = ctypes.c_int(), ctypes.c_void_p()
        module, self._kernel = ctypes.c_void_p(), ctypes.c_void_p()
        self._do("cuInit", 0)
        self._do("cuDeviceGet", ctypes.byref(self._device), 0)
        self._do("cuDevicePrimaryCtxRetain", ctypes.byref(self._context), self._device)
        self._do("cuCtxSetCurrent", self._context)
        self._do("cuModuleLoadData", ctypes.byref(module), PTX)
        self._do("cuModuleGetFunction", ctypes.byref(self._kernel), module, b"spin")

    def _do(self, name: str, *arguments: object) -> None:
        try:
            code = getattr(self.cuda, name)(*arguments)
        except AttributeError as error:
            raise RuntimeError(f"libcuda has no {name}") from error
        if code:
            raise RuntimeError(f"{name} gave CUDA error {code}")

    def queue(self, seconds: float) -> None:
        """Work that keeps every multiprocessor busy for about so long; returns at once."""
        spin_ns = ctypes.c_uint64(int(1e9 * seconds))
        parameters = (ctypes.c_void_p * 1)(ctypes.cast(ctypes.byref(spin_ns), ctypes.c_void_p))
        shape = (BLOCKS, 1, 1, THREADS, 1, 1, 0)
        self._do("cuLaunchKernel", self._kernel, *shape, None, parameters, None)

    def wait(self) -> float:
        """Wait for the queued work; how long that took in s."""
        begin_s = time.perf_counter()
        self._do("cuCtxSynchronize")
        return time.perf_counter() - begin_s

    def __enter__(self) -> Load:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.cuda.cuDevicePrimaryCtxRelease_v2(self._device)

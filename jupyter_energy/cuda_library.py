"""CUDA's driver library, where this process has loaded it already: nothing here loads or starts it.

`gpu_sync` waits through it; here it is only asked which devices it counts, and how.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from .signals import raise_if_users

if TYPE_CHECKING:
    import ctypes

# CUresult of NVIDIA's cuda.h.
SUCCESS = 0


def loaded_cuda() -> ctypes.CDLL | None:
    """CUDA's driver library if this process has loaded it already, else None."""
    import ctypes

    if sys.platform == "win32":
        find = ctypes.windll.kernel32.GetModuleHandleW
        find.restype = ctypes.c_void_p
        handle = find("nvcuda.dll")
        return ctypes.CDLL("nvcuda.dll", handle=handle) if handle else None
    no_load = getattr(os, "RTLD_NOLOAD", None)
    if no_load is None:
        return None
    try:
        return ctypes.CDLL("libcuda.so.1", mode=no_load | os.RTLD_LAZY)
    except OSError as error:
        raise_if_users(error)
        return None


def device_uuids() -> tuple[str, ...] | None:
    """The UUIDs of the devices that CUDA sees in this process, in the order of its numbers.

    Each is 32 hexadecimal digits, without the dashes and without the word before them, because
    CUDA does not say whether a device is a GPU or a slice of one. None where nobody has initialised
    CUDA: only then is CUDA_VISIBLE_DEVICES still to be read. Never raises.
    """
    import ctypes

    cuda = loaded_cuda()
    count = ctypes.c_int()
    if cuda is None or not hasattr(cuda, "cuDeviceGetCount"):
        return None
    if cuda.cuDeviceGetCount(ctypes.byref(count)) != SUCCESS:
        return None
    # _v2 gives the UUID of a MIG device itself, where the first one gave its board's (cuda.h).
    ask = getattr(cuda, "cuDeviceGetUuid_v2", None) or getattr(cuda, "cuDeviceGetUuid", None)
    if ask is None:
        return None
    found = []
    for ordinal in range(count.value):
        device, uuid = ctypes.c_int(), (ctypes.c_ubyte * 16)()
        if cuda.cuDeviceGet(ctypes.byref(device), ordinal) != SUCCESS:
            return None
        if ask(ctypes.byref(uuid), device) != SUCCESS:
            return None
        found.append(bytes(uuid).hex())
    return tuple(found)

"""NVIDIA GPUs in the process that reads power over time, by ctypes and the driver's library.

No package of the user's has to be importable there.
"""

from __future__ import annotations

import struct
import sys
import time
from typing import Any

from .sources import NoReadingError, Source

# NVML_FI_DEV_POWER_INSTANT, nvmlValueType_t and nvmlFieldValue_t of nvml.h.
POWER_INSTANT = 186
VALUE_FORMATS = ("@d", "@I", "@L", "@Q", "@q", "@i", "@H")
FIELD_VALUE = "@IIqqii8s"
NOT_AVAILABLE = 0xFFFFFFFF


class Nvml:
    """NVIDIA's library, by ctypes: no package of the user's has to be importable here.

    Raises NoReadingError where it cannot be used.
    """

    def __init__(self) -> None:
        import ctypes

        self._ctypes = ctypes
        self._field = ctypes.create_string_buffer(struct.calcsize(FIELD_VALUE))
        try:
            name = "nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1"
            self._library = ctypes.CDLL(name)
            self._call("nvmlInit_v2")
        except OSError:
            raise NoReadingError("the NVIDIA library cannot be loaded") from None

    def handle(self, uuid: str) -> Any:
        """The handle of a GPU."""
        handle = self._ctypes.c_void_p()
        self._call("nvmlDeviceGetHandleByUUID", uuid.encode(), self._ctypes.byref(handle))
        return handle

    def power_w(self, handle: Any) -> float:
        """Power now; the mean of the last second from GPUs that tell no other.

        Never the energy counter, which consumer cards are reported to keep too low when it is
        asked often (measuring.md 1.3).
        """
        try:
            milliwatts = self._instant_mw(handle)
        except NoReadingError:
            value = self._ctypes.c_uint()
            self._call("nvmlDeviceGetPowerUsage", handle, self._ctypes.byref(value))
            milliwatts = float(value.value)
        if not 0 <= milliwatts < NOT_AVAILABLE:
            raise NoReadingError("the NVIDIA driver tells no power")
        return milliwatts / 1000

    def _instant_mw(self, handle: Any) -> float:
        field = self._field
        struct.pack_into(FIELD_VALUE, field, 0, POWER_INSTANT, 0, 0, 0, 0, 0, b"")
        self._call("nvmlDeviceGetFieldValues", handle, 1, field)
        *_, kind, code, value = struct.unpack(FIELD_VALUE, field)
        if code or not 0 <= kind < len(VALUE_FORMATS):
            raise NoReadingError(f"the NVIDIA driver tells no power (code {code})")
        return float(struct.unpack_from(VALUE_FORMATS[kind], value)[0])

    def _call(self, name: str, *arguments: Any) -> None:
        function = getattr(self._library, name, None)  # an old driver does not have them all
        code = -1 if function is None else function(*arguments)
        if code:
            raise NoReadingError(f"the NVIDIA driver refuses {name} (code {code})")


class Gpu(Source):
    """One NVIDIA GPU. One that sleeps is left asleep: nothing is asked of its driver."""

    is_gauge = True

    def __init__(self, plan: dict[str, Any], most: int) -> None:
        super().__init__(plan, most)
        self._uuid, self._status = plan["nvml"], plan.get("runtime_status")
        self._handle: Any = None
        self.nvml: Nvml | None = None  # opened for all GPUs at once, when the first one is awake

    def asleep(self) -> bool:
        """Whether sysfs says that it is suspended."""
        if self._status is None:
            return False
        try:
            with open(self._status, "rb") as file:  # noqa: PTH123  pathlib is slow to import
                return file.read().strip() == b"suspended"
        except OSError:
            return False

    def read(self) -> tuple[float, float]:
        """When, and the power in W."""
        if self.nvml is None or self.asleep():
            raise NoReadingError("GPU asleep")
        if self._handle is None:
            self._handle = self.nvml.handle(self._uuid)
        before_s = time.monotonic()
        power_w = self.nvml.power_w(self._handle)
        return (before_s + time.monotonic()) / 2, power_w

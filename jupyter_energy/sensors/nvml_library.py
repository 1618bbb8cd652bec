"""NVML itself: opened when it is needed, shut down when it is not, opened anew after a fault.

All calls belong on one thread, the worker "nvml".
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ..errors import SensorError
from .nvml_errors import RELOADED, STALE, code

# After a fault the library is opened anew once, and then not again for so long: nvmlInit takes up
# to 0.9 s on a laptop (measuring.md 1.5), and a GPU that is lost for good must not slow each edge.
RETRY_S = 5.0

NEEDED = (
    "NVMLError",
    "nvmlInit",
    "nvmlShutdown",
    "nvmlSystemGetDriverVersion",
    "nvmlDeviceGetCount",
    "nvmlDeviceGetHandleByIndex",
    "nvmlDeviceGetHandleByPciBusId",
    "nvmlDeviceGetHandleByUUID",
    "nvmlDeviceGetName",
    "nvmlDeviceGetUUID",
    "nvmlDeviceGetBrand",
    "nvmlDeviceGetArchitecture",
    "nvmlDeviceGetVirtualizationMode",
    "nvmlDeviceGetPciInfo",
    "nvmlDeviceGetTotalEnergyConsumption",
    "nvmlDeviceGetFieldValues",
    "nvmlDeviceGetSamples",
    "nvmlDeviceGetPowerUsage",
    "nvmlDeviceGetPowerManagementLimitConstraints",
    "nvmlDeviceGetEnforcedPowerLimit",
    "nvmlDeviceGetMigMode",
    "nvmlDeviceGetMaxMigDeviceCount",
    "nvmlDeviceGetMigDeviceHandleByIndex",
    "nvmlDeviceGetDeviceHandleFromMigDeviceHandle",
    "nvmlDeviceGetComputeRunningProcesses",
    "nvmlDeviceGetProcessUtilization",
    "nvmlDeviceGetMemoryInfo",
)


class Library:
    """NVML, shared by the sensors of all GPUs.

    What was got from it in another `generation`, such as a handle, is void. `restarts` counts how
    often the driver was loaded anew meanwhile, so that its counters began again.
    """

    def __init__(self, pynvml: Any, clock: Callable[[], float]) -> None:
        self.pynvml = pynvml
        self.generation = 0
        self.restarts = 0
        self._clock = clock
        self._is_open = False
        self._users = 0
        self._mended_s = float("-inf")
        self._failure: tuple[float, Exception] | None = None

    def open(self) -> None:
        """Initialise NVML unless it is. Raises NVMLError.

        A failure is kept for RETRY_S, because trying takes long.
        """
        if self._is_open:
            return
        if self._failure is not None and self._clock() - self._failure[0] < RETRY_S:
            raise self._failure[1]
        try:
            self.pynvml.nvmlInit()
        except self.pynvml.NVMLError as error:
            self._failure = self._clock(), error
            raise
        self._failure = None
        self._is_open = True
        self.generation += 1

    def shut(self) -> None:
        """Shut NVML down; the next call opens it again. Never raises."""
        if self._is_open:
            self._is_open = False
            self.generation += 1
            with suppress(self.pynvml.NVMLError):  # a driver that is gone needs no goodbye
                self.pynvml.nvmlShutdown()

    def failed(self, error: Exception) -> None:
        """Take note of an NVMLError; where it says that what we hold is void, begin anew."""
        if code(error) in RELOADED and self._is_open:
            self.restarts += 1
        if code(error) in STALE and self._clock() - self._mended_s >= RETRY_S:
            self._mended_s = self._clock()
            self.shut()

    def hold(self) -> None:
        """Count one more user."""
        self._users += 1

    def release(self) -> None:
        """Count one user less; the last one shuts NVML down."""
        self._users -= 1
        if self._users == 0:
            self.shut()

    def driver(self) -> str | None:
        """The driver's version, such as "580.65.06"; None where it is not told."""
        try:
            return text(self.pynvml.nvmlSystemGetDriverVersion()) or None
        except self.pynvml.NVMLError:
            return None


class Device:
    """One GPU of the library, found again by its PCI address whenever the library was opened anew.

    By the address, because a search by UUID may initialise, and so wake, other GPUs on its way
    (nvml.h, nvmlDeviceGetHandleByUUID).
    """

    def __init__(self, library: Library, handle: Any, bus_id: str, uuid: str | None) -> None:
        self.library = library
        self._handle = handle
        self._generation = library.generation
        self._bus_id = bus_id
        self._uuid = uuid

    def handle(self) -> Any:
        """NVML's handle of the GPU, good until the library is shut. Raises NVMLError, SensorError.

        Opens the library where it is shut.
        """
        library = self.library
        library.open()
        if self._generation != library.generation:
            pynvml = library.pynvml
            handle = pynvml.nvmlDeviceGetHandleByPciBusId(self._bus_id)
            if self._uuid is not None and text(pynvml.nvmlDeviceGetUUID(handle)) != self._uuid:
                raise SensorError("another GPU has taken this one's place")
            self._handle, self._generation = handle, library.generation
        return self._handle


def text(value: str | bytes) -> str:
    """Text that some bindings give as bytes."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value

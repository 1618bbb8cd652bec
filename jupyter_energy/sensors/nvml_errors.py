"""What NVML's return codes mean to a user: a reason and the one remedy."""

from __future__ import annotations

from ..errors import SensorDenied, SensorError, SensorTimeout

# nvmlReturn_t of nvml.h.
UNINITIALIZED = 1
INVALID_ARGUMENT = 2
NOT_SUPPORTED = 3
NO_PERMISSION = 4
NOT_FOUND = 6
DRIVER_NOT_LOADED = 9
TIMEOUT = 10
LIBRARY_NOT_FOUND = 12
FUNCTION_NOT_FOUND = 13
GPU_IS_LOST = 15
RESET_REQUIRED = 16
LIB_RM_VERSION_MISMATCH = 18

# With these codes no driver has answered, so they prove no GPU.
SILENCE = frozenset({LIBRARY_NOT_FOUND, DRIVER_NOT_LOADED, FUNCTION_NOT_FOUND})

# These say that the driver which was there is there no more.
RELOADED = frozenset({UNINITIALIZED, DRIVER_NOT_LOADED})
# After these the library has to be opened anew: the driver was loaded again, or what we hold of a
# device is void.
STALE = frozenset({UNINITIALIZED, INVALID_ARGUMENT, DRIVER_NOT_LOADED, GPU_IS_LOST})

_MEANINGS: dict[int, tuple[str, str | None]] = {
    UNINITIALIZED: ("the NVIDIA driver was loaded again", None),
    INVALID_ARGUMENT: ("the NVIDIA driver knows this GPU no more", None),
    NOT_FOUND: ("the NVIDIA driver no longer finds this GPU", None),
    NOT_SUPPORTED: ("not supported by this GPU", None),
    NO_PERMISSION: (
        "the NVIDIA driver refuses this user",
        "give this user read and write access to /dev/nvidia*",
    ),
    DRIVER_NOT_LOADED: (
        "the NVIDIA driver is not loaded",
        "load the kernel module nvidia, or restart the machine",
    ),
    TIMEOUT: ("the NVIDIA driver did not answer in time", None),
    LIBRARY_NOT_FOUND: ("no NVIDIA driver found", "install NVIDIA's driver"),
    FUNCTION_NOT_FOUND: ("the NVIDIA driver is too old", "update NVIDIA's driver"),
    GPU_IS_LOST: ("GPU is lost", "restart the machine"),
    RESET_REQUIRED: ("the GPU needs a reset", "reset the GPU, or restart the machine"),
    LIB_RM_VERSION_MISMATCH: (
        "the NVIDIA driver and its library differ in version",
        "restart the machine: the driver was updated while it ran",
    ),
}


def code(error: Exception) -> int:
    """The nvmlReturn_t in an NVMLError; 0 in any other error."""
    return int(getattr(error, "value", 0))


def explain(error: Exception) -> tuple[str, str | None]:
    """The reason a user is shown and the one remedy (or None), from NVML's error or ours."""
    if isinstance(error, SensorError):
        return str(error), None
    return _MEANINGS.get(code(error), (f"the NVIDIA driver says: {error}", None))


def as_sensor_error(error: Exception) -> SensorError:
    """An error of NVML's as one of ours, with the reason as its text."""
    kinds = {NO_PERMISSION: SensorDenied, TIMEOUT: SensorTimeout}
    reason, remedy = explain(error)
    return kinds.get(code(error), SensorError)(reason, remedy=remedy)

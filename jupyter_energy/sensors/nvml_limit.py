"""The power limit of an NVIDIA GPU: what it is, what it may be, and setting it.

Setting it needs an administrator's rights (nvml.h, nvmlDeviceSetPowerManagementLimit), and it holds
until the driver is unloaded, whoever set it. All calls belong on the worker "nvml".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from ..errors import SensorError
from ..units import MW_PER_W
from .nvml_errors import as_sensor_error
from .nvml_library import Device
from .nvml_values import ALL_ONES_32, plausible

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Limits:
    """Power limits of a GPU in W: in force now, the default, and the lowest and highest that it can
    be given."""

    now_w: float
    default_w: float
    least_w: float
    most_w: float


class PowerLimit:
    """One GPU's power limit. `refuse` raises SensorError where the GPU must not be asked."""

    def __init__(self, device: Device, refuse: Callable[[], None]) -> None:
        self._device, self._refuse = device, refuse

    def told(self) -> Limits:
        """What the limits are, in W. Raises SensorError where the driver does not tell."""

        def ask(pynvml: Any, handle: Any) -> Limits:
            now = pynvml.nvmlDeviceGetPowerManagementLimit(handle)
            default = pynvml.nvmlDeviceGetPowerManagementDefaultLimit(handle)
            least, most = pynvml.nvmlDeviceGetPowerManagementLimitConstraints(handle)
            in_mw = (now, default, least, most)
            return Limits(*(plausible(mw, ALL_ONES_32) / MW_PER_W for mw in in_mw))

        return self._call(ask)

    def put(self, watts: float) -> None:
        """Set the limit to so many W. Raises SensorDenied without the rights, SensorError."""

        def ask(pynvml: Any, handle: Any) -> None:
            pynvml.nvmlDeviceSetPowerManagementLimit(handle, round(watts * MW_PER_W))

        self._call(ask)

    def _call(self, ask: Callable[[Any, Any], T]) -> T:
        self._refuse()
        pynvml = self._device.library.pynvml
        try:
            return ask(pynvml, self._device.handle())
        except pynvml.NVMLError as error:
            raise as_sensor_error(error) from error
        except AttributeError as error:  # older bindings
            raise SensorError("the installed nvidia-ml-py has no power limits") from error

"""The numbers that NVML gives, in J and W: counter and power in one call, or each by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import SensorError
from ..units import MJ_PER_J, MW_PER_W
from .base import Reading

# A reading of the device behind one of NVML's handles.
Call = Callable[[Any], Reading]

# NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION, _POWER_AVERAGE and _POWER_INSTANT of nvml.h; older bindings
# do not name the last two.
ENERGY = 83
POWER_AVERAGE = 185
POWER_INSTANT = 186
# NVML_POWER_SCOPE_MODULE: a Grace-Hopper module, GPU and CPU together.
MODULE = 1
# The member of nvmlValue_t that holds a value, by nvmlValueType_t (nvml.h).
VALUE_MEMBERS = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")
# NVML_VALUE_NOT_AVAILABLE of nvml.h is -1, which reads as all ones in an unsigned number.
ALL_ONES_64 = 0xFFFFFFFFFFFFFFFF
ALL_ONES_32 = 0xFFFFFFFF


def plausible(value: float, not_available: int) -> float:
    """The value, if it is one. Raises SensorError for NVML's "not available" and for nonsense."""
    if not 0 <= value < not_available:  # false for a NaN as well
        raise SensorError(f"the NVIDIA driver gave a value that cannot be ({value})")
    return value


def member(value: Any, value_type: int) -> float:
    """The number in an nvmlValue_t. Raises SensorError for a type that nvml.h does not know."""
    if not 0 <= value_type < len(VALUE_MEMBERS):
        raise SensorError(f"the NVIDIA driver gave a value of unknown type {value_type}")
    number: float = getattr(value, VALUE_MEMBERS[value_type])
    return number


def energy_and_power(pynvml: Any) -> Call:
    """Counter in J, and instantaneous power in W where it is told, from one call."""

    def call(handle: Any) -> Reading:
        energy, power = pynvml.nvmlDeviceGetFieldValues(handle, [ENERGY, POWER_INSTANT])
        energy_j = _field(pynvml, energy, ALL_ONES_64) / MJ_PER_J
        try:
            power_w = _field(pynvml, power, ALL_ONES_32) / MW_PER_W
        except (pynvml.NVMLError, SensorError):
            return Reading(energy_j)  # the counter alone is a reading
        return Reading(energy_j, power_w)

    return call


def energy(pynvml: Any, power: Call | None) -> Call:
    """Counter in J by its own call, for drivers without field values; with a second one for the
    power in W where there is one that is instantaneous."""

    def call(handle: Any) -> Reading:
        whole_mj = pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
        energy_j = plausible(whole_mj, ALL_ONES_64) / MJ_PER_J
        try:
            return Reading(energy_j, power(handle).raw if power is not None else None)
        except (pynvml.NVMLError, SensorError):
            return Reading(energy_j)

    return call


def power_field(pynvml: Any, field: int, scope: int = 0) -> Call:
    """Power in W from a field, of the GPU or of the whole module."""

    def call(handle: Any) -> Reading:
        (value,) = pynvml.nvmlDeviceGetFieldValues(handle, [(field, scope)])
        return Reading(_field(pynvml, value, ALL_ONES_32) / MW_PER_W)

    return call


def power_usage(pynvml: Any) -> Call:
    """Power in W from the oldest call; what it is the mean of, `nvml_parts` knows."""

    def call(handle: Any) -> Reading:
        return Reading(plausible(pynvml.nvmlDeviceGetPowerUsage(handle), ALL_ONES_32) / MW_PER_W)

    return call


def _field(pynvml: Any, field: Any, not_available: int) -> float:
    """A field's number. Raises NVMLError by the field's own return code, or SensorError."""
    if field.nvmlReturn != 0:
        raise pynvml.NVMLError(field.nvmlReturn)
    return plausible(member(field.value, field.valueType), not_available)

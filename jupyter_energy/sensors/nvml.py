"""NVIDIA GPUs through NVML: the energy counter, or power where a GPU has no counter.

One sensor a GPU. The calls go through the module `pynvml` of the package nvidia-ml-py. They can
hang, so `discover`, `read` and `close` belong on the worker thread "nvml", and nothing here locks.
A sleeping GPU is left asleep: one NVML call wakes a laptop's GPU for seconds, and an open NVML
keeps it awake, so sysfs is asked first (measuring.md 1.8).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from ..errors import SensorError
from ..model import Domain, Provenance
from ..units import MJ_PER_J, MW_PER_W
from .base import Absence, Accuracy, Discovery, Machine
from .nvidia_pci import ASLEEP, Address, address, asleep, display_devices
from .nvml_errors import (
    GPU_IS_LOST,
    NO_PERMISSION,
    SILENCE,
    TIMEOUT,
    as_sensor_error,
    code,
    explain,
)

COUNTER = "nvml-counter"
POWER = "nvml-power-integrated"

ACCURACY = Accuracy(0.05, "Yang et al., arXiv 2312.02741, DOI 10.1109/SC41406.2024.00028")
# Counter and instantaneous power are renewed about every 100 ms (Yang et al.).
PERIOD_S = 0.1
# nvmlDeviceGetPowerUsage is a mean over 1 s from Ampere on, GA100 apart (nvml.h), so a reading
# speaks of the second before it.
AVERAGED_POWER_S = 1.0
COUNTER_STEP_J = 1 / MJ_PER_J
# NVML_FI_DEV_POWER_INSTANT of nvml.h; the older bindings do not name it.
POWER_INSTANT = 186
# The member of nvmlValue_t that holds a field's value, by nvmlValueType_t (nvml.h).
VALUE_MEMBERS = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")
# NVML_VALUE_NOT_AVAILABLE of nvml.h is -1, which reads as all ones in an unsigned number.
ALL_ONES_64 = 0xFFFFFFFFFFFFFFFF
ALL_ONES_32 = 0xFFFFFFFF
# Boards pass their limit for moments; a counter must not lose such a step. The trace allows a
# gauge twice its `max_w` by itself, so a gauge gets the plain limit.
COUNTER_HEADROOM = 1.3

NEEDED = (
    "NVMLError",
    "nvmlInit",
    "nvmlShutdown",
    "nvmlDeviceGetCount",
    "nvmlDeviceGetHandleByIndex",
    "nvmlDeviceGetName",
    "nvmlDeviceGetUUID",
    "nvmlDeviceGetPciInfo",
    "nvmlDeviceGetTotalEnergyConsumption",
    "nvmlDeviceGetFieldValues",
    "nvmlDeviceGetPowerUsage",
    "nvmlDeviceGetPowerManagementLimitConstraints",
    "nvmlDeviceGetEnforcedPowerLimit",
    "nvmlDeviceGetMigMode",
)


class _Library:
    """NVML, initialised once and shut down when the last user lets go. For one thread."""

    def __init__(self, pynvml: Any) -> None:
        self.pynvml = pynvml
        self._users = 0

    def hold(self) -> None:
        self._users += 1

    def release(self) -> None:
        self._users -= 1
        if self._users == 0:
            with suppress(self.pynvml.NVMLError):  # a driver that is gone needs no goodbye
                self.pynvml.nvmlShutdown()


@dataclass(slots=True, eq=False)
class NvmlSensor:
    """One NVIDIA GPU: its energy since the driver was loaded (J), or its power (W)."""

    domain: Domain
    kind: Literal["counter", "gauge"]
    provenance: Provenance
    source: str
    max_w: float | None
    step_j: float
    period_s: float
    _library: _Library
    _call: Callable[[], float]
    _status: Path | None
    _open: bool = True
    averages_s: float = 0.0
    settles_s: float | None = None
    polls_s: float | None = None
    accuracy: Accuracy = ACCURACY
    wraps_at_j: float | None = None  # 64 bits of mJ: never
    spread: tuple[float, float] | None = None
    worker: str | None = "nvml"

    def read(self) -> float:
        """Energy in J (counter) or power in W (gauge). Raises SensorError; wakes no GPU."""
        if not self._open:
            raise SensorError("the sensor is closed")
        if self._status is not None and asleep(self._status):
            raise SensorError(ASLEEP)
        try:
            return self._call()
        except self._library.pynvml.NVMLError as error:
            raise as_sensor_error(error) from error

    def trace_source(self) -> dict[str, object] | None:
        """What `--trace` reads in a process of its own: power, never the counter, which is not to
        be asked often (measuring.md 1.3; power/nvidia.py)."""
        if self.domain.uuid is None:
            return None
        status = None if self._status is None else str(self._status)
        return {"nvml": self.domain.uuid, "runtime_status": status, "name": "nvml-power"}

    def close(self) -> None:
        """Let go of the GPU; the last one to close shuts NVML down. Never raises."""
        if self._open:
            self._open = False
            self._library.release()


# Every call into the library is made on the worker thread of this name.
WORKER = "nvml"


def discover(machine: Machine) -> Discovery:
    """A sensor for each NVIDIA GPU that tells its energy or power; an absence for each other one.

    A machine without an NVIDIA GPU gets a note and no absence: it has nothing to be sorry for.
    Call it on the worker "nvml". Never raises.
    """
    cards = display_devices(machine.sysfs)
    if cards and all(asleep(status) for status in cards.values()):
        return Discovery(
            absences=tuple(_asleep(Domain("gpu", i, "NVIDIA GPU")) for i in range(len(cards)))
        )
    try:
        pynvml = import_module("pynvml")
    except Exception as error:  # noqa: BLE001  a broken package may raise anything on import
        missing = isinstance(error, ModuleNotFoundError) and error.name == "pynvml"
        why = (
            "the Python package nvidia-ml-py is not installed"
            if missing
            else f"the Python module pynvml cannot be imported ({error})"
        )
        return _nothing(bool(cards), why, "pip install nvidia-ml-py")
    if lacking := [name for name in NEEDED if not hasattr(pynvml, name)]:
        return _nothing(
            bool(cards),
            f"the installed module pynvml is too old or another one (no {lacking[0]})",
            "pip uninstall pynvml; pip install --force-reinstall nvidia-ml-py",
        )
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        reason, remedy = explain(error)
        return _nothing(bool(cards) or code(error) not in SILENCE, reason, remedy)
    library = _Library(pynvml)
    library.hold()
    try:
        return _ask_all(library, cards)
    except pynvml.NVMLError as error:
        return _nothing(True, *explain(error))
    finally:
        library.release()


def _ask_all(library: _Library, cards: dict[Address, Path]) -> Discovery:
    """What each GPU that NVML counts can tell."""
    pynvml = library.pynvml
    sensors: list[NvmlSensor] = []
    absences: list[Absence] = []
    notes: list[str] = []
    count = pynvml.nvmlDeviceGetCount()
    if count == 0:
        return _nothing(bool(cards), "the NVIDIA driver shows no GPU to this process", None)
    for index in range(count):
        domain = Domain("gpu", index, "NVIDIA GPU")
        try:
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            at = address(_text(pynvml.nvmlDeviceGetPciInfo(handle).busId))
            status = None if at is None else cards.get(at)
            if status is not None and asleep(status):
                absences.append(_asleep(domain))
                continue
            domain = _domain(pynvml, handle, index)
            sensor = _sensor(library, handle, domain, status)
        except (pynvml.NVMLError, SensorError, ValueError) as error:  # ValueError: garbled text
            absences.append(Absence(domain, COUNTER, *explain(error)))
            continue
        library.hold()
        sensors.append(sensor)
        if sensor.period_s == AVERAGED_POWER_S:
            notes.append(
                f"{domain.key}: power may be the mean of the last second,"
                " so windows under 2 s are rough"
            )
    return Discovery(tuple(sensors), tuple(absences), tuple(notes))


def _domain(pynvml: Any, handle: Any, index: int) -> Domain:
    """Name, UUID and scope of a GPU. Raises NVMLError."""
    words = _text(pynvml.nvmlDeviceGetName(handle)).split()
    while words[:2] == ["NVIDIA", "NVIDIA"]:
        del words[0]
    name = " ".join(words) or "NVIDIA GPU"
    uuid = _text(pynvml.nvmlDeviceGetUUID(handle)) or None
    try:
        sliced = pynvml.nvmlDeviceGetMigMode(handle)[0] == 1
    except pynvml.NVMLError:
        sliced = False  # GPUs before Ampere, and all that cannot be sliced, say "not supported"
    # Energy exists only for the whole board, also for a notebook that owns one slice of it.
    return Domain("gpu", index, name, uuid, "board" if sliced else "device")


def _sensor(library: _Library, handle: Any, domain: Domain, status: Path | None) -> NvmlSensor:
    """The best reading that this GPU gives. Raises NVMLError or SensorError where it gives none."""
    pynvml = library.pynvml
    limit_w = _limit_w(pynvml, handle)

    def energy_j() -> float:
        return (
            _plausible(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle), ALL_ONES_64) / MJ_PER_J
        )

    def instant_w() -> float:
        (field,) = pynvml.nvmlDeviceGetFieldValues(handle, [POWER_INSTANT])
        if field.nvmlReturn != 0:
            raise pynvml.NVMLError(field.nvmlReturn)
        if not 0 <= field.valueType < len(VALUE_MEMBERS):
            raise SensorError(f"the NVIDIA driver gave a value of unknown type {field.valueType}")
        return (
            _plausible(getattr(field.value, VALUE_MEMBERS[field.valueType]), ALL_ONES_32) / MW_PER_W
        )

    def averaged_w() -> float:
        return _plausible(pynvml.nvmlDeviceGetPowerUsage(handle), ALL_ONES_32) / MW_PER_W

    if _works(pynvml, energy_j):
        max_w = None if limit_w is None else COUNTER_HEADROOM * limit_w
        return NvmlSensor(
            domain, "counter", "measured", COUNTER, max_w, COUNTER_STEP_J, PERIOD_S,
            library, energy_j, status,
        )  # fmt: skip
    for call, period_s in ((instant_w, PERIOD_S), (averaged_w, AVERAGED_POWER_S)):
        if _works(pynvml, call):
            return NvmlSensor(
                domain, "gauge", "integrated", POWER, limit_w, 0.0, period_s,
                library, call, status,
            )  # fmt: skip
    raise SensorError("the GPU reports neither energy nor power")


def _works(pynvml: Any, call: Callable[[], float]) -> bool:
    """Whether a call gives a value. Raises NVMLError where the GPU or the user is the trouble."""
    try:
        call()
    except SensorError:
        return False
    except pynvml.NVMLError as error:
        # Another call on a lost GPU, or for a user who is refused, would only hide the reason.
        if code(error) in {NO_PERMISSION, TIMEOUT, GPU_IS_LOST}:
            raise
        return False
    return True


def _limit_w(pynvml: Any, handle: Any) -> float | None:
    """The highest power limit in W that the GPU can be given, or None.

    The largest of those it tells: the limit in force can be raised while a notebook runs.
    """

    def highest_mw() -> float:
        return float(pynvml.nvmlDeviceGetPowerManagementLimitConstraints(handle)[1])

    def in_force_mw() -> float:
        return float(pynvml.nvmlDeviceGetEnforcedPowerLimit(handle))

    limits_w = [0.0]
    for call in (highest_mw, in_force_mw):
        with suppress(pynvml.NVMLError, SensorError):
            limits_w.append(_plausible(call(), ALL_ONES_32) / MW_PER_W)
    return max(limits_w) or None


def _plausible(value: float, not_available: int) -> float:
    """The value, if it is one. Raises SensorError for NVML's "not available" and for nonsense."""
    if not 0 <= value < not_available:  # false for a NaN as well
        raise SensorError(f"the NVIDIA driver gave a value that cannot be ({value})")
    return value


def _asleep(domain: Domain) -> Absence:
    return Absence(domain, COUNTER, ASLEEP, None)


def _nothing(has_gpu: bool, reason: str, remedy: str | None) -> Discovery:
    """One absence where there is an NVIDIA GPU to miss, else a note."""
    if not has_gpu:
        return Discovery(notes=(f"NVIDIA GPU: {reason}",))
    return Discovery(absences=(Absence(Domain("gpu", 0, "NVIDIA GPU"), COUNTER, reason, remedy),))


def _text(value: str | bytes) -> str:
    """Text that some bindings give as bytes."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value

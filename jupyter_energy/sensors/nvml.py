"""NVIDIA GPUs through NVML: the energy counter, or power where a GPU has no counter.

One sensor a GPU. The calls go through the module `pynvml` of the package nvidia-ml-py. They can
hang, so `discover`, `read` and `close` belong on the worker thread "nvml". What a sleeping GPU
is spared, `nvml_sensor` says; how each number is read, `nvml_values` and `nvml_ring`.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from typing import Any

from ..errors import SensorError
from ..model import Domain
from ..units import MW_PER_W
from . import nvml_parts as parts
from . import nvml_values as values
from .base import Absence, Discovery, Machine, Sensor
from .crosscheck import Verdict, Verdicts
from .nvidia_pci import ASLEEP, Address, PowerState, address, display_devices
from .nvml_errors import GPU_IS_LOST, NO_PERMISSION, SILENCE, TIMEOUT, code, explain
from .nvml_library import NEEDED, Device, Library, text
from .nvml_ring import Ring
from .nvml_sensor import COUNTER, Clocks, Facts, NvmlSensor, Way
from .nvml_sharing import slices

# Every call into the library is made on the worker thread of this name.
WORKER = "nvml"

AVERAGED_S = 1.0
WSL_REMEDY = "update NVIDIA's driver for Windows: WSL uses that one"


def discover(machine: Machine, clocks: Clocks | None = None) -> Discovery:
    """A sensor for each NVIDIA GPU that tells its energy or power; an absence for each other one.

    A machine without an NVIDIA GPU gets a note and no absence: it has nothing to be sorry for.
    Call it on the worker "nvml". Never raises.
    """
    cards = {at: PowerState(status) for at, status in display_devices(machine.sysfs).items()}
    try:
        return _discover(machine, cards, clocks or Clocks())
    finally:
        for state in cards.values():
            state.close()  # a sensor opens it again


def has_woken(machine: Machine, found: Discovery) -> bool:
    """Whether a GPU that slept when `found` was discovered is awake now: then discover anew.

    Reads sysfs alone, so any thread may ask, at any time; it takes some 10 µs a GPU.
    """
    if not any(a.reason == ASLEEP for a in found.absences):
        return False
    states = [PowerState(status) for status in display_devices(machine.sysfs).values()]
    awake = [not state.asleep for state in states]
    for state in states:
        state.close()
    slept = {a.domain.index for a in found.absences if a.reason == ASLEEP}
    return any(awake[index] for index in slept if index < len(awake))


def _discover(machine: Machine, cards: dict[Address, PowerState], clocks: Clocks) -> Discovery:
    if cards and all(state.asleep for state in cards.values()):
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
    library = Library(pynvml, clocks.monotonic)
    try:
        library.open()
    except pynvml.NVMLError as error:
        reason, remedy = explain(error)
        if _in_wsl(machine):
            remedy = WSL_REMEDY
        return _nothing(bool(cards) or code(error) not in SILENCE, reason, remedy)
    library.hold()
    try:
        return _ask_all(library, cards, machine, clocks)
    except pynvml.NVMLError as error:
        return _nothing(True, *explain(error))
    finally:
        library.release()


def _ask_all(
    library: Library, cards: dict[Address, PowerState], machine: Machine, clocks: Clocks
) -> Discovery:
    """What each GPU that NVML counts can tell."""
    pynvml = library.pynvml
    sensors: list[Sensor] = []
    absences: list[Absence] = []
    notes: list[str] = []
    count = pynvml.nvmlDeviceGetCount()
    if count == 0:
        return _nothing(bool(cards), "the NVIDIA driver shows no GPU to this process", None)
    driver = library.driver()
    # NVML counts in PCI order; where sysfs shows as many, it tells who sleeps before NVML is asked
    # for a handle, which would wake the GPU.
    in_order = list(cards.values()) if len(cards) == count else [None] * count
    for index, likely in enumerate(in_order):
        domain = Domain("gpu", index, "NVIDIA GPU")
        if likely is not None and likely.asleep:
            absences.append(_asleep(domain))
            continue
        try:
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            bus_id = text(pynvml.nvmlDeviceGetPciInfo(handle).busId)
            at = address(bus_id)
            state = None if at is None else cards.get(at)
            if state is not None and state.asleep:
                absences.append(_asleep(domain))
                continue
            domain = _domain(pynvml, handle, index)
            device = Device(library, handle, bus_id, domain.uuid)
            sensor = _sensor(device, domain, state, driver, machine, clocks)
        except (pynvml.NVMLError, SensorError, ValueError) as error:  # ValueError: garbled text
            absences.append(Absence(domain, COUNTER, *explain(error)))
            continue
        sensors.append(sensor)
        if sensor.averages_s:
            notes.append(
                f"{sensor.domain.key}: power may be the mean of the last second,"
                " so windows under 2 s are rough"
            )
        if sensor.remark:
            notes.append(f"{sensor.domain.key}: {sensor.remark}")
    if _in_wsl(machine) and sensors:
        notes.append("in WSL the GPU's figures include what Windows does with it")
    return Discovery(tuple(sensors), tuple(absences), tuple(notes))


def _domain(pynvml: Any, handle: Any, index: int) -> Domain:
    """Name, UUID and scope of a GPU. Raises NVMLError."""
    words = text(pynvml.nvmlDeviceGetName(handle)).split()
    while words[:2] == ["NVIDIA", "NVIDIA"]:
        del words[0]
    name = " ".join(words) or "NVIDIA GPU"
    uuid = text(pynvml.nvmlDeviceGetUUID(handle)) or None
    try:
        sliced = pynvml.nvmlDeviceGetMigMode(handle)[0] == 1
    except pynvml.NVMLError:
        sliced = False  # GPUs before Ampere, and all that cannot be sliced, say "not supported"
    # Energy exists only for the whole board, also for a notebook that owns one slice of it.
    return Domain("gpu", index, name, uuid, "board" if sliced else "device")


def _sensor(
    device: Device,
    domain: Domain,
    state: PowerState | None,
    driver: str | None,
    machine: Machine,
    clocks: Clocks,
) -> NvmlSensor:
    """The best reading that this GPU gives. Raises NVMLError or SensorError where it gives none."""
    pynvml, handle = device.library.pynvml, device.handle()
    limit_w = _limit_w(pynvml, handle)
    way = _counter(pynvml, handle, domain.name)
    gauge = _gauge(pynvml, handle, domain.name, limit_w, clocks)
    known: Verdict | None = None
    if way is not None:
        if gauge is not None and (gauge.averages_s or gauge.module):
            gauge = None  # no better than a counter that is in doubt, or of another thing
        known = Verdicts().recall(domain.uuid, driver)
        if known is not None and not known.reliable:
            way = gauge or way
    way = way or gauge
    if way is None:
        raise SensorError(parts.why_no_power(domain.name, _virtualization(pynvml, handle)))
    if way.module:
        domain = replace(domain, kind="module")
    bears_polling = parts.bears_polling(domain.name, _brand(pynvml, handle))
    visible = machine.environ.get("CUDA_VISIBLE_DEVICES")
    cut = slices(pynvml, handle, visible) if domain.scope == "board" else ()
    hidden = sys.platform == "win32" or _in_wsl(machine)
    other = gauge if way.kind == "counter" else None
    facts = Facts(driver, cut, limit_w, bears_polling, hidden, other)
    own = None if state is None else PowerState(state.file)
    return NvmlSensor(domain, way, device, own, facts, machine, clocks, known)


def _counter(pynvml: Any, handle: Any, name: str) -> Way | None:
    """How the energy counter is read, with the power beside it; None where there is none."""
    both = values.energy_and_power(pynvml)
    if _works(pynvml, both, handle):
        return Way(both, "counter")
    usage = values.power_usage(pynvml) if _usage_is_instant(pynvml, handle, name) else None
    single = values.energy(pynvml, usage)
    return Way(single, "counter") if _works(pynvml, single, handle) else None


def _gauge(
    pynvml: Any, handle: Any, name: str, limit_w: float | None, clocks: Clocks
) -> Way | None:
    """How power is best read: the driver's ring, else the power of the moment, else a mean over
    1 s; of the GPU, else of the module that it lies on. None where there is no way."""
    instant = values.power_field(pynvml, values.POWER_INSTANT)
    usage = values.power_usage(pynvml)
    usage_is_instant = _usage_is_instant(pynvml, handle, name)
    plain = next(
        (c for c in (instant, *([usage] if usage_is_instant else [])) if _works(pynvml, c, handle)),
        None,
    )
    if plain is not None:
        ring = Ring(pynvml, plain, limit_w, clocks.monotonic, clocks.realtime)
        # Three samples tell their spacing; a ring without it cannot be used.
        if _works(pynvml, ring, handle) and ring.period_s is not None:
            return Way(ring, "gauge")
        return Way(plain, "gauge")
    average = values.power_field(pynvml, values.POWER_AVERAGE)
    for call in (average, usage):
        if _works(pynvml, call, handle):
            return Way(call, "gauge", averages_s=AVERAGED_S)
    # On Grace-Hopper the GPU's own scope can fail (measuring.md 1.7).
    for field, averages_s in ((values.POWER_INSTANT, 0.0), (values.POWER_AVERAGE, AVERAGED_S)):
        call = values.power_field(pynvml, field, values.MODULE)
        if _works(pynvml, call, handle):
            return Way(call, "gauge", averages_s, module=True)
    return None


def _works(pynvml: Any, call: values.Call, handle: Any) -> bool:
    """Whether a call gives a value. Raises NVMLError where the GPU or the user is the trouble."""
    try:
        call(handle)
    except SensorError:
        return False
    except pynvml.NVMLError as error:
        # Another call on a lost GPU, or for a user who is refused, would only hide the reason.
        if code(error) in {NO_PERMISSION, TIMEOUT, GPU_IS_LOST}:
            raise
        return False
    return True


def _usage_is_instant(pynvml: Any, handle: Any, name: str) -> bool:
    architecture: int | None = None
    with suppress(pynvml.NVMLError):
        architecture = pynvml.nvmlDeviceGetArchitecture(handle)
    return parts.usage_is_instant(name, architecture)


def _brand(pynvml: Any, handle: Any) -> int | None:
    with suppress(pynvml.NVMLError):
        return int(pynvml.nvmlDeviceGetBrand(handle))
    return None


def _virtualization(pynvml: Any, handle: Any) -> int | None:
    with suppress(pynvml.NVMLError):
        return int(pynvml.nvmlDeviceGetVirtualizationMode(handle))
    return None


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
            limits_w.append(values.plausible(call(), values.ALL_ONES_32) / MW_PER_W)
    return max(limits_w) or None


def _in_wsl(machine: Machine) -> bool:
    """Whether this is Windows' Linux, whose kernel names its maker."""
    with suppress(OSError):
        release = (machine.procfs / "sys/kernel/osrelease").read_text()
        return "microsoft" in release.lower()
    return False


def _asleep(domain: Domain) -> Absence:
    return Absence(domain, COUNTER, ASLEEP, None)


def _nothing(has_gpu: bool, reason: str, remedy: str | None) -> Discovery:
    """One absence where there is an NVIDIA GPU to miss, else a note."""
    if not has_gpu:
        return Discovery(notes=(f"NVIDIA GPU: {reason}",))
    return Discovery(absences=(Absence(Domain("gpu", 0, "NVIDIA GPU"), COUNTER, reason, remedy),))

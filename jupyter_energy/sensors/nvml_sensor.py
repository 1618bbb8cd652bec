"""One NVIDIA GPU as a sensor: its energy since the driver was loaded (J), or its power (W).

The calls can hang, so all of them belong on the worker thread "nvml", and nothing here locks. A
sleeping GPU is left asleep: one NVML call wakes a laptop's GPU for seconds, and an open NVML keeps
it awake, so sysfs is asked before each call (measuring.md 1.8).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from ..cuda_library import device_uuids
from ..errors import SensorError
from ..gpu_use import UseSoFar
from ..model import Domain, Provenance
from ..units import MJ_PER_J
from .base import Accuracy, Machine, Reading
from .crosscheck import CrossCheck, Verdict, Verdicts
from .cuda_devices import bare
from .nvidia_pci import ASLEEP, PowerState
from .nvml_errors import as_sensor_error
from .nvml_library import Device
from .nvml_limit import PowerLimit
from .nvml_ring import US_PER_S, Ring
from .nvml_sharing import gpu_share, shared_with, slice_words
from .nvml_use import Use
from .nvml_values import Call

COUNTER = "nvml-counter"
POWER = "nvml-power-integrated"

ACCURACY = Accuracy(0.05, "Yang et al., arXiv 2312.02741, DOI 10.1109/SC41406.2024.00028")
# Counter and instantaneous power are renewed about every 100 ms (Yang et al.).
PERIOD_S = 0.1
# One period and a half after a cell, the counter holds all that the cell drew (measuring.md 6.3).
SETTLES_S = 0.15
# How often a counter that bears it is read to see its edges (measuring.md 6.7).
POLLS_S = 0.02
COUNTER_STEP_J = 1 / MJ_PER_J
# Boards pass their limit for moments; a counter must not lose such a step. The trace allows a
# gauge twice its `max_w` by itself, so a gauge gets the plain limit.
COUNTER_HEADROOM = 1.3
# Windows does not say whether a GPU sleeps, so a slow call tells it: then it is left alone for a
# while (measuring.md 1.8: waking takes 480 ms and more, and holds the GPU awake for about 9 s).
SLOW_S = 0.05
LEFT_ALONE_S = 60.0
AGREES = "agrees"


@dataclass(frozen=True, slots=True)
class Way:
    """How a GPU is read: the call, and what its readings are."""

    call: Call
    kind: Literal["counter", "gauge"]
    averages_s: float = 0.0
    module: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """What was found out about a GPU once: `driver` is its version, `slices` the UUIDs of its MIG
    devices, `limit_w` the highest power limit it can be given, `gauge` how its power is read where
    the counter is not to be believed; `sleep_is_hidden` where no file says whether it sleeps."""

    driver: str | None
    slices: tuple[str, ...]
    limit_w: float | None
    bears_polling: bool
    sleep_is_hidden: bool
    gauge: Way | None


@dataclass(frozen=True, slots=True)
class Clocks:
    """Monotonic seconds, and seconds since 1970 for the driver's stamps."""

    monotonic: Callable[[], float] = time.monotonic
    realtime: Callable[[], float] = time.time


class NvmlSensor:
    """One GPU, or one module of GPU and CPU. `verdict` is None, "agrees", or why the counter is
    not to be believed: then `replacement()` gives the sensor to use instead."""

    provenance: Provenance
    source: str
    wraps_at_j: float | None = None  # 64 bits of mJ: never
    spread: tuple[float, float] | None = None
    accuracy: Accuracy = ACCURACY
    worker: str | None = "nvml"

    def __init__(
        self,
        domain: Domain,
        way: Way,
        device: Device,
        state: PowerState | None,
        facts: Facts,
        machine: Machine,
        clocks: Clocks,
        known: Verdict | None = None,
    ) -> None:
        self.domain, self.kind, self.averages_s = domain, way.kind, way.averages_s
        counts = way.kind == "counter"
        self.provenance = "measured" if counts else "integrated"
        self.source = COUNTER if counts else POWER
        self.step_j = COUNTER_STEP_J if counts else 0.0
        self.settles_s: float | None = SETTLES_S if counts else None
        self.polls_s: float | None = POLLS_S if counts and facts.bears_polling else None
        # The limit is the GPU's alone, without the rest of its module.
        limit_w = None if way.module else facts.limit_w
        self.max_w = COUNTER_HEADROOM * limit_w if counts and limit_w is not None else limit_w
        self.slices = facts.slices
        self._way, self._device, self._state = way, device, state
        self._facts, self._machine, self._clocks = facts, machine, clocks
        self._use = Use(device.library.pynvml, clocks.monotonic, clocks.realtime)
        self._verdict = known
        self._check = CrossCheck() if counts and known is None and facts.gauge is not None else None
        self._saved = known is not None
        self._left_alone_until_s = float("-inf")
        self._open = True
        device.library.hold()

    @property
    def period_s(self) -> float:
        """How often the driver renews its value, in s; of a ring, what its samples say."""
        ring = self._way.call
        return (ring.period_s if isinstance(ring, Ring) else None) or PERIOD_S

    @property
    def refused(self) -> int:
        """How many samples of the driver's ring were left out because they could not be."""
        return self._way.call.refused if isinstance(self._way.call, Ring) else 0

    @property
    def restarts(self) -> int:
        """How often the driver was loaded anew: what the counter gained across one is unknown, even
        where it is higher now than before."""
        return self._device.library.restarts

    @property
    def verdict(self) -> str | None:
        """None while the counter is not judged, "agrees", or why it is not to be believed."""
        return None if self._verdict is None else self._verdict.text or AGREES

    @property
    def checking(self) -> bool:
        """Whether readings once a second, within windows, would help to judge the counter."""
        return self._check is not None and self._verdict is None

    @property
    def remark(self) -> str | None:
        """What a user is to be told beside this GPU's figure, or None."""
        words = []
        if (number := self._cuda_number()) is not None and number != self.domain.index:
            words.append(f"cuda:{number} in this kernel")
        if self.domain.scope == "board":
            visible = self._machine.environ.get("CUDA_VISIBLE_DEVICES")
            words.append(slice_words(self.slices, visible))
        if self._verdict is not None and self._verdict.text is not None:
            words.append(self._verdict.text)
        return "; ".join(words) or None

    def read(self) -> Reading:
        """Energy in J (counter) or power in W (gauge). Raises SensorError; wakes no GPU.

        Opens NVML again where it rested, or where the driver was loaded anew.
        """
        self._refuse()
        library, clock = self._device.library, self._clocks.monotonic
        begin_s = clock()
        try:
            reading = self._way.call(self._device.handle())
        except library.pynvml.NVMLError as error:
            library.failed(error)
            raise as_sensor_error(error) from error
        finally:
            if self._facts.sleep_is_hidden and clock() - begin_s > SLOW_S:
                self._left_alone_until_s = clock() + LEFT_ALONE_S
        if self._check is not None and reading.power_w is not None:
            self._check.add(self._clocks.monotonic(), reading.raw, reading.power_w)
            if self._check.verdict is not None:
                self._verdict, self._check = self._check.verdict, None
        return reading

    def use(self) -> UseSoFar | None:
        """How busy the GPU has been since it was first read; None where the driver does not tell.

        To be asked right after a reading, whose time it is no part of. Never raises.
        """
        with suppress(self._device.library.pynvml.NVMLError, SensorError):
            self._refuse()
            return self._use.look(self._device.handle)
        return None

    def power_limit(self) -> PowerLimit | None:
        """The GPU's power limit; None of a board that is cut into slices, whose users share it, and
        of a module, whose limit is not the GPU's alone."""
        is_own = self.domain.kind == "gpu" and self.domain.scope == "device"
        return PowerLimit(self._device, self._refuse) if is_own else None

    def replacement(self) -> NvmlSensor | None:
        """Once the counter is found unreliable: the same GPU by its power, to be used instead.

        Else None. Also keeps the verdict for the next session. This sensor is still to be closed.
        """
        gauge = self._facts.gauge
        if not self._open or self._verdict is None or self._verdict.reliable or gauge is None:
            return None
        self._keep_verdict()
        return NvmlSensor(
            self.domain, gauge, self._device, self._state_anew(), self._facts, self._machine,
            self._clocks, self._verdict,
        )  # fmt: skip

    def shared_with(self, pids: Collection[int] | None = None) -> str | None:
        """ "shared with 2 other processes", or None where there are none or nobody says so.

        `pids` are ours, by default this process alone. Slow: once a cell at most. Never raises.
        """
        ours = {os.getpid()} if pids is None else pids
        procfs = self._machine.procfs
        with suppress(self._device.library.pynvml.NVMLError, SensorError):
            self._refuse()
            handle = self._device.handle()
            return shared_with(self._device.library.pynvml, handle, ours, procfs)
        return None

    def pids(self) -> frozenset[int]:
        """The processes that compute on the GPU, as the driver numbers them. Slow. Never raises."""
        with suppress(self._device.library.pynvml.NVMLError, SensorError):
            self._refuse()
            handle, pynvml = self._device.handle(), self._device.library.pynvml
            return frozenset(p.pid for p in pynvml.nvmlDeviceGetComputeRunningProcesses(handle))
        return frozenset()

    def gpu_share(self, pids: Collection[int], since_s: float) -> float | None:
        """The share, 0 to 1, of the multiprocessors' busy time that the processes had since a
        moment (monotonic s); None where the driver does not tell (slices, WSL, a container).

        Never raises.
        """
        procfs = self._machine.procfs
        with suppress(self._device.library.pynvml.NVMLError, SensorError):
            self._refuse()
            offset_s = self._clocks.realtime() - self._clocks.monotonic()
            since_us = max(0, int((since_s + offset_s) * US_PER_S))
            handle = self._device.handle()
            return gpu_share(self._device.library.pynvml, handle, pids, since_us, procfs)
        return None

    def rest(self) -> bool:
        """Nothing will be read for a while: where the GPU could then fall asleep, NVML is shut
        down, because an open one keeps it awake. True where that was done; the next read opens it
        again. Never raises."""
        self._keep_verdict()
        may_sleep = self._open and self._state is not None and self._state.can_sleep
        if may_sleep:
            self._device.library.shut()
        return may_sleep

    def trace_source(self) -> dict[str, object] | None:
        """What `--trace` reads in a process of its own: power, never the counter, which is not to
        be asked often (measuring.md 1.3; power/nvidia.py)."""
        if self.domain.uuid is None or self.domain.kind != "gpu":
            return None
        status = None if self._state is None else str(self._state.file)
        return {"nvml": self.domain.uuid, "runtime_status": status, "name": "nvml-power"}

    def close(self) -> None:
        """Let go of the GPU; the last one to close shuts NVML down. Never raises."""
        if self._open:
            self._open = False
            self._keep_verdict()
            if self._state is not None:
                self._state.close()
            self._device.library.release()

    def _refuse(self) -> None:
        """Raises SensorError where the GPU must not be asked."""
        if not self._open:
            raise SensorError("the sensor is closed")
        if self._state is not None and self._state.asleep:
            raise SensorError(ASLEEP)
        if self._clocks.monotonic() < self._left_alone_until_s:
            raise SensorError("the GPU was slow to answer, as one that sleeps: it is left alone")

    def _cuda_number(self) -> int | None:
        """What CUDA numbers this GPU in this process; None where nobody has initialised CUDA."""
        mine = {bare(uuid) for uuid in (self.domain.uuid or "", *self.slices)}
        uuids = device_uuids() or ()
        return next((n for n, uuid in enumerate(uuids) if uuid in mine), None)

    def _keep_verdict(self) -> None:
        if self._verdict is not None and not self._saved:
            self._saved = True
            Verdicts().remember(self.domain.uuid, self._facts.driver, self._verdict)

    def _state_anew(self) -> PowerState | None:
        """A power state of its own for another sensor, which closes its own."""
        return None if self._state is None else PowerState(self._state.file)

"""Whose power limits may be tried, and putting them back whatever happens meanwhile."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any

from .errors import EnergyError, SensorError
from .signals import raise_if_users

if TYPE_CHECKING:
    from .monitor import Monitor
    from .sensors.base import Sensor
    from .sensors.nvml_limit import Limits

# A driver has been seen to need most of a second for a new limit; ours, with room.
SETS_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU whose limit can be set: its sensor, NVML's number and name of it, its limits, and
    whether this process is seen to compute on it."""

    sensor: Sensor
    index: int
    name: str
    limits: Limits
    is_ours: bool

    @property
    def way_back(self) -> str:
        """What an administrator types to have the limit as it was."""
        return command(self.index, self.limits.now_w)


def command(index: int, watts: float) -> str:
    """What an administrator types to limit a GPU to so many W."""
    return f"nvidia-smi -i {index} -pl {watts:.0f}"


def candidates(monitor: Monitor, reads: Callable[[Sensor], bool]) -> list[Gpu]:
    """The GPUs that this process computes on; all that it may use, where the driver lists it on
    none, as before its first step. Raises EnergyError with the reason where there is none whose
    limit is to be had."""
    sensors = [s for s in monitor.sampler.sensors() if s.domain.kind in ("gpu", "module")]
    wanted = [s for s in sensors if reads(s)]
    if not wanted:
        raise EnergyError("no NVIDIA GPU is measured here, so there is no power limit to try")
    ours = [s for s in wanted if os.getpid() in _pids(monitor, s)]
    found = []
    for sensor in ours or wanted:
        limit = _limit(sensor)
        if limit is None:
            raise EnergyError(
                f"GPU {sensor.domain.index} has no power limit of its own to try (a slice of a "
                "board, a module with its CPU, or no NVIDIA GPU)"
            )
        try:
            limits = monitor.sampler.ask(sensor, limit.told)
        except SensorError as error:
            raise EnergyError(f"the power limit of GPU {sensor.domain.index}: {error}") from error
        found.append(Gpu(sensor, sensor.domain.index, sensor.domain.name, limits, bool(ours)))
    return found


def others(monitor: Monitor, gpus: Sequence[Gpu]) -> list[str]:
    """Which GPUs other processes use too, in words."""
    found = []
    for gpu in gpus:
        ask: Callable[[], str | None] = getattr(gpu.sensor, "shared_with", lambda: None)
        if text := monitor.sampler.ask(gpu.sensor, ask):
            found.append(f"GPU {gpu.index} is {text}")
    return found


def refuse_if(told: Sequence[str]) -> None:
    """Raises EnergyError of what `others` found, where that is any."""
    if told:
        raise EnergyError(f"{'; '.join(told)}, whom it would slow too: --yes tries all the same")


class Limiter:
    """Sets power limits, and puts them back as they were. `told` gets a line for the user where
    one could not be put back; `is_shared` where others on the GPUs may be slowed too."""

    def __init__(
        self,
        monitor: Monitor,
        gpus: Sequence[Gpu],
        told: Callable[[str], object],
        is_shared: bool = False,
    ) -> None:
        self._monitor, self._gpus, self._told = monitor, gpus, told
        self._is_shared = is_shared
        self._changed: list[Gpu] = []

    def check(self) -> None:
        """Raises SensorDenied where this user may not set a limit: each is set to what it is."""
        for gpu in self._gpus:
            self._put(gpu, gpu.limits.now_w)

    def put(self, watts: Mapping[int, float]) -> None:
        """Set the limits, in W by the number of the GPU. Raises SensorError, and EnergyError where
        others have come."""
        if not self._is_shared:
            refuse_if(others(self._monitor, self._gpus))
        for gpu in self._gpus:
            if gpu not in self._changed:
                self._changed.append(gpu)  # first: a call that comes too late is made all the same
            self._put(gpu, watts[gpu.index])

    def put_back(self) -> None:
        """Set all limits to what they were. Ctrl-C meanwhile is raised when that is done."""
        stopped: BaseException | None = None
        while self._changed:
            try:
                self._put_back(self._changed[-1])
                self._changed.pop()
            except BaseException as error:  # noqa: BLE001  the user's Ctrl-C, raised again below
                stopped = error
        if stopped is not None:
            raise stopped

    def _put_back(self, gpu: Gpu) -> None:
        try:
            self._put(gpu, gpu.limits.now_w)
        except Exception as error:  # noqa: BLE001  whatever it is, the user has to know
            raise_if_users(error)
            self._tell(
                f"the power limit of GPU {gpu.index} could not be put back ({error}): as "
                f"administrator type {gpu.way_back}"
            )

    def _tell(self, text: str) -> None:
        """A line for the user, if it reaches them: it is no reason to try for ever."""
        try:
            self._told(text)
        except Exception as error:  # noqa: BLE001  their standard error may be closed
            raise_if_users(error)

    @contextmanager
    def putting_back(self) -> Iterator[None]:
        """Puts the limits back when the block ends, however it ends, and on SIGTERM."""
        with _raising_sigterm():
            try:
                yield
            finally:
                self.put_back()

    def _put(self, gpu: Gpu, watts: float) -> None:
        limit = _limit(gpu.sensor)
        if limit is None:
            raise SensorError("the GPU has no power limit of its own any more")
        self._monitor.sampler.ask(gpu.sensor, lambda: limit.put(watts), SETS_WITHIN_S)


class _Terminated(BaseException):
    """SIGTERM came."""


@contextmanager
def _raising_sigterm() -> Iterator[None]:
    """SIGTERM ends the block as Ctrl-C does, and the process after it as it would have."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        raise _Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    except _Terminated:
        signal.signal(signal.SIGTERM, before)
        os.kill(os.getpid(), signal.SIGTERM)
        raise SystemExit(128 + signal.SIGTERM) from None  # a handler of theirs let it live
    finally:
        if signal.getsignal(signal.SIGTERM) is end:
            signal.signal(signal.SIGTERM, before)


def _limit(sensor: Sensor) -> Any:
    ask: Callable[[], Any] = getattr(sensor, "power_limit", lambda: None)
    return ask()


def _pids(monitor: Monitor, sensor: Sensor) -> frozenset[int]:
    ask: Callable[[], frozenset[int]] = getattr(sensor, "pids", frozenset)
    with suppress(SensorError):
        return monitor.sampler.ask(sensor, ask)
    return frozenset()

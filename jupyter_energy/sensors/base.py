"""What a sensor is: one domain, one verb.

A sensor file has `discover(machine) -> Discovery`, and one line in `SENSORS`. It declares what
it is (counter or gauge, its step, its period, its accuracy); nothing is ever sniffed from values.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from ..model import Domain, Provenance


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How far a sensor's gain may be off: half-width of a rectangular distribution, and who says.

    `gain` is a fraction (0.05 is ±5 %). `source` cites the paper or document, or says that the
    figure is our own policy.
    """

    gain: float
    source: str


class Sensor(Protocol):
    """One domain that can be read. `read()` gives J for a counter, W for a gauge.

    A sensor is hashable by identity: it is the key of its trace.
    `read` raises SensorError, with the reason a user is shown, and never returns a made-up value.
    """

    @property
    def domain(self) -> Domain:
        """What the reading is of."""

    @property
    def kind(self) -> Literal["counter", "gauge"]:
        """Energy since some start (J), or power now (W)."""

    @property
    def provenance(self) -> Provenance:
        """Whether a reading is measured, a vendor's model, integrated from power, or estimated."""

    @property
    def source(self) -> str:
        """The name of the method, such as "rapl" or "nvml-counter"."""

    @property
    def wraps_at_j(self) -> float | None:
        """The energy in J at which a counter starts again at 0; None where it never does."""

    @property
    def max_w(self) -> float | None:
        """The most power in W that the domain can draw; None where unknown."""

    @property
    def step_j(self) -> float:
        """The counter's smallest step in J (0 for a gauge)."""

    @property
    def period_s(self) -> float:
        """How often the hardware renews its value, in s."""

    @property
    def accuracy(self) -> Accuracy:
        """The sensor's gain error."""

    @property
    def spread(self) -> tuple[float, float] | None:
        """For an estimate, its bounds as multiples of the middle; None for a measurement."""

    @property
    def worker(self) -> str | None:
        """The library whose worker thread must make the call; None: safe on any thread."""

    def read(self) -> float:
        """The reading, in J (counter) or W (gauge). Raises SensorError."""

    def close(self) -> None:
        """Let go of descriptors and handles. Never raises."""


@dataclass(frozen=True, slots=True)
class Absence:
    """A domain that cannot be read here: why, and the one thing that would help (or None)."""

    domain: Domain
    source: str
    reason: str
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class Discovery:
    """What one sensor file found: sensors that work, and what is absent with its reason."""

    sensors: tuple[Sensor, ...] = ()
    absences: tuple[Absence, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Machine:
    """Where to look: the roots of sysfs and procfs (moved in containers and tests), environment."""

    sysfs: Path = Path("/sys")
    procfs: Path = Path("/proc")
    replay: Path | None = None
    cpu_tdp_w: float | None = None
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)


class Family(Protocol):
    """A module of sensors. Where it has `WORKER`, all its calls are made on that worker thread."""

    __name__: str

    def discover(self, machine: Machine) -> Discovery:
        """The sensors that work here, and what is absent with its reason."""

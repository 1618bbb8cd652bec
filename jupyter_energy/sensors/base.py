"""What a sensor is: one domain, one verb.

A sensor file has `discover(machine) -> Discovery`, and one line in `SENSORS`. It declares what
it is (counter or gauge, its step, its period, its accuracy); nothing is ever sniffed from values.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from numbers import Real
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

from ..model import Domain, Provenance


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How far a sensor's gain may be off: half-width of a rectangular distribution, and who says.

    `gain` is a fraction (0.05 is ±5 %). `source` cites the paper or document, or says that the
    figure is our own policy.
    """

    gain: float
    source: str


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading: `raw` in J (counter) or W (gauge), and what came with it in the same call.

    `power_w` is what the device itself says it draws at this moment, in W, beside a counter; None
    where it says nothing. `past` holds readings of a gauge that its driver kept since the last
    call, as (monotonic s, W), oldest first.
    """

    raw: float
    power_w: float | None = None
    past: tuple[tuple[float, float], ...] = ()


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
    def averages_s(self) -> float:
        """For a gauge, the s before a reading that it is the mean of; 0 for a counter."""

    @property
    def settles_s(self) -> float | None:
        """How many s after a window one more reading tells what the last one could not know yet;
        None where none is worth its cost (a period of 1 ms, an estimate)."""

    @property
    def polls_s(self) -> float | None:
        """How often in s a counter bears to be read around an edge, to see when it is renewed;
        None where it is to be read at edges alone (measuring.md 1.3)."""

    @property
    def accuracy(self) -> Accuracy:
        """The sensor's gain error."""

    @property
    def spread(self) -> tuple[float, float] | None:
        """For an estimate, its bounds as multiples of the middle; None for a measurement."""

    @property
    def worker(self) -> str | None:
        """The library whose worker thread must make the call; None: safe on any thread, and never
        slow. A third party's is always read on a worker of its own."""

    def read(self) -> float | Reading:
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
    """Where to look: the roots of sysfs and procfs (moved in containers and tests), environment.

    `baselines` is the file in which a calibration may be kept (calibration.py); None: none is.
    """

    sysfs: Path = Path("/sys")
    procfs: Path = Path("/proc")
    replay: Path | None = None
    cpu_tdp_w: float | None = None
    baselines: Path | None = None
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)


class Family(Protocol):
    """A module of sensors. Where it has `WORKER`, all its calls are made on that worker thread."""

    __name__: str

    def discover(self, machine: Machine) -> Discovery:
        """The sensors that work here, and what is absent with its reason."""


def usable(found: Discovery, worker: str | None) -> Discovery:
    """What a family found, without what is no sensor; notes say what was left out and why.

    `worker` is the family's. No type checker has seen third parties' sensors with our types, and
    one that failed at an edge would take all others' readings with it.
    """
    faults = [(sensor, _fault(sensor, worker)) for sensor in found.sensors]
    left_out = [f"a sensor is left out: {fault}" for _, fault in faults if fault is not None]
    absences: tuple[object, ...] = found.absences
    return replace(
        found,
        sensors=tuple(sensor for sensor, fault in faults if fault is None),
        absences=tuple(a for a in absences if isinstance(a, Absence)),
        notes=(*map(str, found.notes), *left_out),
    )


def _fault(sensor: Any, worker: str | None) -> str | None:
    """Why an object cannot be used as a sensor, or None."""
    try:
        hash(sensor)
        numbers = (sensor.step_j, sensor.period_s, sensor.averages_s, *(sensor.spread or ()))
        limits = (sensor.wraps_at_j, sensor.max_w)
        waits = (sensor.settles_s, sensor.polls_s)
        right = {
            "domain": isinstance(sensor.domain, Domain),
            "kind": sensor.kind in ("counter", "gauge"),
            "provenance": sensor.provenance in get_args(Provenance),
            "source": isinstance(sensor.source, str),
            "step_j, period_s, averages_s or spread": all(isinstance(x, Real) for x in numbers),
            "wraps_at_j or max_w": all(x is None or isinstance(x, Real) for x in limits),
            "settles_s or polls_s": all(x is None or isinstance(x, Real) for x in waits),
            "accuracy": isinstance(sensor.accuracy, Accuracy),
            # Whichever it names, it is read on its family's; there must be one.
            "worker": sensor.worker is None or worker is not None,
            "read or close": callable(sensor.read) and callable(sensor.close),
        }
    except Exception as error:  # noqa: BLE001  a foreign object may fail in any way when asked
        return f"{type(error).__name__}: {error}"
    wrong = [name for name, is_right in right.items() if not is_right]
    return f"its {wrong[0]} is not what a sensor has" if wrong else None


@dataclass(frozen=True, slots=True, eq=False)
class Declared:
    """A third party's sensor, with what it said of itself when it was found.

    What it says later does not count: a property that fails then, on whichever thread asks, would
    cost the other sensors their figures.
    """

    domain: Domain
    kind: Literal["counter", "gauge"]
    provenance: Provenance
    source: str
    wraps_at_j: float | None
    max_w: float | None
    step_j: float
    period_s: float
    averages_s: float
    settles_s: float | None
    polls_s: float | None
    accuracy: Accuracy
    spread: tuple[float, float] | None
    worker: str | None
    read: Callable[[], float | Reading]
    close: Callable[[], None]


def as_declared(found: Discovery) -> Discovery:
    """What a third party's family found, as it declares it now; notes say what cannot be used."""
    sensors: list[Sensor] = []
    notes = list(found.notes)
    for sensor in found.sensors:
        try:
            hash(sensor)
            told = {field.name: getattr(sensor, field.name) for field in fields(Declared)}
        except Exception as error:  # noqa: BLE001  a foreign object may fail in any way when asked
            notes.append(f"a sensor is left out: {type(error).__name__}: {error}")
        else:
            sensors.append(Declared(**told))
    return replace(found, sensors=tuple(sensors), notes=tuple(notes))

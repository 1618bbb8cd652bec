"""RAPL: the energy counters of Intel and AMD processors, as Linux shows them under powercap.

Packages, and the memory beside them, are counted; `psys` is shown apart. The parts of a package
(core, uncore) are not read, because the package has them already. A kind of domain that powercap
does not give, or denies, is read through perf events where those are allowed (perf_power.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..errors import SensorDenied, SensorError
from ..model import Domain, Provenance
from ..units import UJ_PER_J
from . import perf_power
from .base import Absence, Accuracy, Discovery, Machine, Sensor
from .kernel_file import KernelFile
from .powercap import LEAST_RANGE_J, Tree, Zone, tree
from .rapl_access import RECIPE, REMEDY, why_none
from .rapl_accuracy import Processor, processor

__all__ = ["RECIPE", "Rapl", "discover"]

SOURCE = "rapl"
# 2³² steps of the coarsest unit, whole joules, have 16 digits in µJ.
LONGEST_TEXT = 32


@dataclass(slots=True, eq=False)
class Rapl:
    """The energy of one RAPL domain in J since an arbitrary start, by one open descriptor."""

    domain: Domain
    provenance: Provenance
    accuracy: Accuracy
    wraps_at_j: float
    step_j: float
    max_w: float | None
    _file: KernelFile
    kind: Literal["counter"] = "counter"
    source: str = SOURCE
    # Intel's manual (SDM vol. 3B, "RAPL Interfaces") gives about 1 ms; 1.2 ms was seen.
    period_s: float = 0.001
    averages_s: float = 0.0
    settles_s: None = None
    polls_s: None = None
    spread: None = None
    worker: None = None

    def read(self) -> float:
        """The counter in J; costs about 1 µs of the calling thread.

        A counter that went away and came back is found again. Raises SensorDenied, SensorAbsent
        or SensorError where the file gives no number.
        """
        try:
            return self._counted_j()
        except SensorError:
            self._file.reopen()
        return self._counted_j()

    def _counted_j(self) -> float:
        text = self._file.read(LONGEST_TEXT).strip()
        if not text.isdigit():
            told = text.decode(errors="replace")
            raise SensorError(f"{self._file.path} holds {told!r}, not a number")
        return int(text) / UJ_PER_J  # powercap keeps µJ; from here on, J

    def close(self) -> None:
        """Let go of the descriptor."""
        self._file.close()


def discover(machine: Machine) -> Discovery:
    """Every package, memory and platform counter of this machine, or why there is none."""
    cpu = processor(machine)
    found = tree(machine, cpu.dies_share_a_counter)
    first = _by_powercap(found, cpu)
    failed = {absence.domain.kind for absence in first.absences}
    whole = {sensor.domain.kind for sensor in first.sensors} - failed
    second = perf_power.discover(machine, perf_power.EVENTS.keys() - whole, found, cpu)
    # A kind is read wholly one way, so that no package is counted in both.
    replaced = {sensor.domain.kind for sensor in second.sensors}
    sensors = [sensor for sensor in first.sensors if sensor.domain.kind not in replaced]
    for sensor in first.sensors:
        if sensor.domain.kind in replaced:
            sensor.close()
    absences = [absence for absence in first.absences if absence.domain.kind not in replaced]
    notes = [*found.notes, *first.notes]
    notes += [
        f"{absence.domain.name}: {absence.reason}; read through perf events instead"
        for absence in first.absences
        if absence.domain.kind in replaced
    ]
    # Beside a reason of powercap's, that of perf events is a note: they are a way around it.
    notes += sorted({a.reason for a in second.absences if a.domain.kind in failed})
    if not found.zones and not second.sensors and not notes:
        absences += _nothing(machine, found, second)
    return Discovery((*sensors, *second.sensors), tuple(absences), tuple(notes))


def _by_powercap(found: Tree, cpu: Processor) -> Discovery:
    """What can be read under powercap, and what cannot."""
    sensors: list[Sensor] = []
    absences: list[Absence] = []
    notes: list[str] = []
    for domain, twins in found.zones.items():
        failure: SensorError | None = None
        left = list(twins)
        while left:
            zone = left.pop(0)
            try:
                sensors.append(_open(domain, zone, cpu, notes))
            except SensorError as error:
                failure = failure or error
            else:
                notes += [f"{z.path.name} shows {domain.name} again and is not read" for z in left]
                break
        else:
            remedy = REMEDY if isinstance(failure, SensorDenied) else None
            absences.append(Absence(domain, SOURCE, str(failure), remedy))
    return Discovery(tuple(sensors), tuple(absences), tuple(notes))


def _nothing(machine: Machine, found: Tree, second: Discovery) -> list[Absence]:
    """Why there is neither a powercap zone nor a perf event, for processor and memory."""
    reason, remedy = why_none(machine, found.root)
    for absence in second.absences[:1]:
        reason = f"{reason}; {absence.reason}"
        remedy = absence.remedy or remedy
    unseen = (Domain("package", 0, "CPU"), Domain("dram", 0, "memory"))
    return [Absence(domain, SOURCE, reason, remedy) for domain in unseen]


def _open(domain: Domain, zone: Zone, cpu: Processor, notes: list[str]) -> Rapl:
    """A sensor that has given a first reading. Raises SensorError where there is none."""
    file = KernelFile(zone.path / "energy_uj", zone.check)
    range_j = zone.range_j
    sensor = Rapl(
        domain=domain,
        provenance=cpu.provenance,
        accuracy=cpu.accuracy(domain.kind),
        wraps_at_j=LEAST_RANGE_J if range_j is None else range_j,
        step_j=zone.step_j,
        max_w=zone.max_w,
        _file=file,
    )
    try:
        sensor.read()
    except SensorError:
        sensor.close()
        raise
    if range_j is None:
        notes.append(
            f"{zone.path.name}: max_energy_range_uj gives no number; {domain.name} is taken to "
            "wrap at 65.5 kJ, the least that is known, and a longer fall is left out"
        )
    return sensor

"""The nouns: what is read, what it adds up to, and what is kept.

All are frozen, read no clock, no file and no network. A name ends in its unit; seconds are
durations, dates are timezone-aware UTC.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from math import fsum
from typing import TYPE_CHECKING, Literal

from .attribution import BY_CPU_TIME, Baseline, of_kernel, share_of
from .gpu_use import GpuUse, UseSoFar
from .repeats import Repeats
from .shift import Shift
from .uncertainty import Range, Uncertain, sum_of_ranges, sum_over_devices

if TYPE_CHECKING:
    from .schema import CellJson

Provenance = Literal["measured", "vendor model", "integrated", "estimated", "none"]
Outcome = Literal["ok", "error", "interrupted", "lost"]
Scope = Literal["device", "board", "process"]

# What lies physically within what: a total takes the outermost, so nothing counts twice.
# Sources: the kernel's powercap documentation (core and uncore are parts of the package; dram is
# listed under it, but is no part of its energy) and measuring.md 1.7 (Grace-Hopper).
CONTAINED_IN: dict[str, tuple[str, ...]] = {
    "core": ("package", "module"),  # each names all that it lies in: a package may be unreadable
    "uncore": ("package", "module"),
    "gpu": ("module",),
    "package": ("module",),
    "dram": ("module",),
}
# Shown on a line of its own and never part of a total: psys is wired by the maker of the
# machine as it pleases, and on some machines reads less than the package (measuring.md 2.1).
APART = frozenset({"psys"})
# What a building draws in all, cooling included: all else lies in it, and no PUE is put on it.
FACILITY = "facility"


@dataclass(frozen=True, slots=True)
class Domain:
    """A thing that draws power: GPU 0, CPU package 1, the memory.

    `scope` says whose energy the reading is: of the whole device, of the board that a slice of a
    GPU lies on, or of one process.
    """

    kind: str
    index: int
    name: str
    uuid: str | None = None
    scope: Scope = "device"

    @property
    def key(self) -> str:
        """What identifies the domain on this machine, for example "gpu:0"."""
        return f"{self.kind}:{self.index}"


@dataclass(slots=True)
class Age:
    """How old the value of a reading was, in s: anything from `low_s` to `high_s`.

    It alone of the nouns may change: a later reading can tell when the value was renewed next,
    and so when it was renewed last.
    """

    low_s: float = 0.0
    high_s: float = 0.0

    @property
    def mean_s(self) -> float:
        """The age in the mean, in s."""
        return (self.low_s + self.high_s) / 2

    @property
    def half_s(self) -> float:
        """Half of the span that it lies in, in s."""
        return (self.high_s - self.low_s) / 2


@dataclass(frozen=True, slots=True)
class Sample:
    """A trace at one moment: `t_s` (monotonic), energy in J and seconds covered, both only grow.

    `power_w` is the mean power in W since `power_since_s`: of the moment before `t_s` where the
    device told it, else since an earlier reading; None while it is unknown. `took_s` is how long
    the reading took, `missed_j2` the variance in J² of what a gauge missed so far, `number` how
    many readings there have been, `use` how busy a GPU was so far. `still_s` is for how many s a
    counter has been read without its moving: infinite where it never has since its first reading.
    """

    t_s: float
    energy_j: float
    covered_s: float
    power_w: float | None = None
    power_since_s: float = 0.0
    age: Age = field(default_factory=Age)
    took_s: float = 0.0
    missed_j2: float = 0.0
    number: int = 0
    use: UseSoFar | None = None
    still_s: float = 0.0


@dataclass(frozen=True, slots=True)
class DomainEnergy:
    """What one domain drew in a window: `energy` in J, or None with the `reason`.

    `coverage` is the share of the window that the sensor saw, 0 to 1. `above_idle` is what of a
    measured energy lies above the device's idle power, in J; None where that power is not known.
    `use` is how busy a GPU was, None where nobody told.
    """

    domain: Domain
    energy: Uncertain | Range | None
    provenance: Provenance
    source: str
    coverage: float
    reason: str | None = None
    above_idle: Uncertain | None = None
    use: GpuUse | None = None


@dataclass(frozen=True, slots=True)
class Measurement:
    """The energy of one window by domain. `start` is UTC, `duration_s` monotonic."""

    start: datetime
    duration_s: float
    domains: tuple[DomainEnergy, ...]

    # What `counted` found: it is asked for ten times a record, and a summary has many records.
    _counted: tuple[DomainEnergy, ...] | None = field(
        default=None, init=False, repr=False, compare=False
    )

    def counted(self) -> tuple[DomainEnergy, ...]:
        """The domains that enter totals: the outermost ones that have a figure."""
        if self._counted is None:
            known = [d for d in self.domains if d.energy is not None]
            present = {d.domain.kind for d in known if isinstance(d.energy, Uncertain)}
            found = tuple(d for d in known if d.domain.kind == FACILITY) or tuple(
                d
                for d in known
                if d.domain.kind not in APART
                and not present.intersection(CONTAINED_IN.get(d.domain.kind, ()))
            )
            object.__setattr__(self, "_counted", found)
            return found
        return self._counted

    @property
    def measured_j(self) -> Uncertain | None:
        """The measured energy in J over all counted domains; None where nothing was measured."""
        return sum_over_devices(d.energy for d in self.counted() if isinstance(d.energy, Uncertain))

    @property
    def estimated_j(self) -> Range | None:
        """The estimated energy in J over all counted domains; None where nothing was estimated."""
        return sum_of_ranges(d.energy for d in self.counted() if isinstance(d.energy, Range))

    @property
    def above_idle_j(self) -> Uncertain | None:
        """What of `measured_j` lies above idle, in J; None where a device's idle power is unknown.

        It may be below 0 where the machine drew less than while its idle power was found.
        """
        return _sum_of_all(d.above_idle for d in self.counted() if isinstance(d.energy, Uncertain))

    @property
    def cpu_above_idle_j(self) -> Uncertain | None:
        """The same of processor and memory alone, which CPU time can be a share of."""
        return _sum_of_all(
            d.above_idle
            for d in self.counted()
            if isinstance(d.energy, Uncertain) and d.domain.kind in BY_CPU_TIME
        )

    @property
    def average_w(self) -> float | None:
        """Mean power in W: measured energy, else the estimate's middle, over the duration."""
        if self.duration_s <= 0:
            return None
        measured, estimated = self.measured_j, self.estimated_j
        if measured is not None:
            return measured.value / self.duration_s
        return None if estimated is None else estimated.mid / self.duration_s


def _sum_of_all(figures: Iterable[Uncertain | None]) -> Uncertain | None:
    """The sum over devices; None of nothing, and where one is unknown."""
    known: list[Uncertain] = []
    for figure in figures:
        if figure is None:
            return None
        known.append(figure)
    return sum_over_devices(known)


@dataclass(frozen=True, slots=True)
class Idle:
    """What the devices drew between two cells of a notebook: in no cell's total, and shown apart.

    `measurement` has the energies of the time that is known: a device's `coverage` says how much of
    `duration_s` that is.
    """

    idle_id: str
    notebook_id: str
    session_id: str
    host: str
    measurement: Measurement


@dataclass(frozen=True, slots=True)
class CarbonIntensity:
    """Grams of CO2e a kWh of electricity stands for, with all that is needed to defend it.

    `zone` is the code in its table ("FR"), `place` its plain name, `how` in words how the place was
    found; `assumed` is True where nobody said so (a guess, or the world average). `source` names
    who published the figure, and the licence where that asks for it; `year` is the figure's.
    `note` says, in words, why it is not the one that was asked for.
    """

    g_per_kwh: float
    zone: str
    place: str
    kind: Literal["average", "marginal"]
    boundary: Literal["consumption", "production"]
    scope: Literal["lifecycle", "direct"]
    resolution: str
    quality: Literal["measured", "estimated", "assumed", "forecast"]
    source: str
    year: int
    how: str
    assumed: bool
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """From `start` to `end` (UTC) a kWh stood for `g_per_kwh` grams, and `energy_share` (0 to 1) of
    a run's energy was drawn then."""

    start: datetime
    end: datetime
    g_per_kwh: float
    quality: Literal["measured", "estimated", "assumed", "forecast"]
    energy_share: float


@dataclass(frozen=True, slots=True)
class Emissions:
    """CO2e in g of measured and estimated energy together, and the estimated share (0 to 1).

    By a live signal `spans` has one entry for each value that held, and the intensity's `g_per_kwh`
    is their mean, weighted by energy. `pue_source` says whose figure the PUE is, `restated` when
    `recompute` made these grams (UTC).
    """

    carbon_g: Range
    intensity: CarbonIntensity
    pue: float
    estimated_share: float
    pue_source: str = ""
    spans: tuple[Span, ...] = ()
    restated: datetime | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """One run of one cell (or of a named block), as the store keeps it.

    `run_id` is unique; `within` is the run that this one lies inside of, if any: only runs
    that lie in no other enter a notebook's totals. `cell_id` is Jupyter's, or None. `repeats` has
    the figures of one of several runs in this window, whose energy is that of them all.
    `kernel_cpu_s` is the CPU time of this kernel's process tree, `machine_cpu_s` that of the whole
    machine, None where unknown; `baseline` the idle power that `above_idle` was computed with.
    `waited_s` is how long its end waited for queued GPU work, None where it did not wait.
    `peak_w` is the highest power in W of all measured devices together; known only of a run with a
    trace. `said` are the emissions as told at the time, where `recompute` has restated them since.
    `shift` is of a run that waited or paused for cleaner power, `shift_said` the same as told at
    its end, where its outcome has come to be known since.
    """

    run_id: str
    notebook_id: str
    session_id: str
    host: str
    cell_id: str | None
    name: str | None
    execution_count: int | None
    within: str | None
    outcome: Outcome
    measurement: Measurement
    emissions: Emissions | None
    synced: bool
    warnings: tuple[str, ...] = ()
    repeats: Repeats | None = None
    kernel_cpu_s: float | None = None
    machine_cpu_s: float | None = None
    baseline: Baseline | None = None
    peak_w: float | None = None
    waited_s: float | None = None
    said: Emissions | None = None
    shift: Shift | None = None
    shift_said: Shift | None = None

    @property
    def start(self) -> datetime:
        """When the run began, UTC."""
        return self.measurement.start

    @property
    def duration_s(self) -> float:
        """How long the run took, in s."""
        return self.measurement.duration_s

    @property
    def energy_j(self) -> float | None:
        """Measured energy in J, or None; never an estimate."""
        counted = [d.energy for d in self.measurement.counted()]
        values_j = [energy.value for energy in counted if isinstance(energy, Uncertain)]
        return fsum(values_j) if values_j else None  # that of `measured_j`, without its spread

    @property
    def estimated_j(self) -> Range | None:
        """Estimated energy in J, or None."""
        return self.measurement.estimated_j

    @property
    def above_idle_j(self) -> Uncertain | None:
        """What of the measured energy lies above idle, in J, or None."""
        return self.measurement.above_idle_j

    @property
    def kernel_share(self) -> float | None:
        """This kernel's share of the machine's CPU time, 0 to 1, or None."""
        if self.kernel_cpu_s is None or self.machine_cpu_s is None:
            return None
        return share_of(self.kernel_cpu_s, self.machine_cpu_s)

    @property
    def kernel_j(self) -> Range | None:
        """What of processor and memory above idle was this kernel's, in J, by CPU time; or None."""
        above, share = self.measurement.cpu_above_idle_j, self.kernel_share
        return None if above is None or share is None else of_kernel(above, share)

    @property
    def average_w(self) -> float | None:
        """Mean power in W, or None where nothing is known."""
        return self.measurement.average_w

    @property
    def carbon_g(self) -> Range | None:
        """CO2e in g; None where no energy or no intensity is known."""
        return None if self.emissions is None else self.emissions.carbon_g

    @property
    def domains(self) -> tuple[DomainEnergy, ...]:
        """One entry a device."""
        return self.measurement.domains

    def __str__(self) -> str:
        """What a `%%energy` cell shows, as text."""
        from .display import text

        return text.cell(self.to_dict())

    def _repr_mimebundle_(self, **_: object) -> dict[str, object]:
        """What Jupyter shows of a result: the block of a `%%energy` cell."""
        from .display.bundle import cell_bundle

        return cell_bundle(self.to_dict())

    def to_dict(self) -> CellJson:
        """What `--json` prints for one cell (schema 1)."""
        from .schema import cell_from_records

        return cell_from_records([self])

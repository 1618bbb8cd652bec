"""The shapes of this package's JSON, schema 1: one TypedDict for each kind of object.

Times are RFC 3339 in UTC, energies J, powers W, carbon g CO2e. An unknown field is null, never 0
and never left out.
"""

from __future__ import annotations

from typing import TypedDict


class ValueJson(TypedDict):
    """A measurement: value, 95 % half-widths for repeats on this machine and in all."""

    value: float
    u95_repeat: float
    u95: float


class RangeJson(TypedDict):
    """An estimate."""

    low: float
    mid: float
    high: float


class BaselineJson(TypedDict):
    """The idle power that energy above idle was computed with: W with its 95 % half-width, how old
    it was when the last run began, over how many seconds it was found, and how."""

    power_w: float
    u95_w: float
    age_s: float
    seconds: float
    how: str


class IdleJson(TypedDict):
    """What was drawn between cells, in no cell's figures: `duration_s` of which the sensors saw the
    share `coverage`, 0 to 1; the energies are of what they saw."""

    duration_s: float
    measured_j: ValueJson | None
    estimated_j: RangeJson | None
    coverage: float


class CarbonJson(TypedDict):
    """Grams of CO2e with the factor they were made with.

    Where several places enter one sum, `g_per_kwh` is the energy-weighted mean and `zone` lists
    them, as do the other words; where average and marginal meet, the figures are null and `parts`
    has one entry a kind. `factor_quality` is the factor's alone: the intensity was measured,
    estimated, forecast or assumed, whatever the energy is. `place` and `how` are words for people;
    `note` says why a factor is not the one that was asked for, `pue_source` whose figure the PUE
    is. `start` and `end`: from when to when the values of a live signal held; `said_g`: the grams
    that were told at the time, where some of them have been restated since, and were of this kind.
    """

    low: float | None
    mid: float | None
    high: float | None
    g_per_kwh: float | None
    zone: str | None
    place: str | None
    kind: str | None
    boundary: str | None
    scope: str | None
    resolution: str | None
    factor_quality: str | None
    source: str | None
    year: int | None
    pue: float | None
    pue_source: str | None
    how: str | None
    note: str | None
    start: str | None
    end: str | None
    said_g: float | None
    assumed: bool
    estimated_share: float | None
    parts: list[CarbonJson] | None


class UseJson(TypedDict):
    """A GPU's use, by all processes: the share of `known_s` in which it was `busy`, 0 to 1, and the
    most of its memory that was taken at a run's end, in bytes; null where nobody told."""

    busy: float
    known_s: float
    memory_bytes: int | None
    memory_total_bytes: int | None


class DomainJson(TypedDict):
    """One device: `energy_j` and `u95_j` where measured; `low_j`, `mid_j`, `high_j` also where
    estimated; `reason` where there is no measurement; `use` of a GPU, null where unknown."""

    kind: str
    index: int
    name: str
    uuid: str | None
    energy_j: float | None
    u95_j: float | None
    low_j: float | None
    mid_j: float | None
    high_j: float | None
    provenance: str
    source: str
    coverage: float
    scope: str
    reason: str | None
    use: UseJson | None


class RepeatsJson(TypedDict):
    """One run of a body that `%%energy -r` repeated: the mean of `runs` in `blocks`.

    A first block, of `first_runs`, is warm-up and not in the mean: a run in it took `first_run_s`
    and drew `first_j`. `median_j` is that of the blocks. `auto` where their spread decided how
    many there were.
    """

    runs: int
    blocks: int
    first_runs: int
    run_s: float
    first_run_s: float
    measured_j: ValueJson | None
    median_j: float | None
    first_j: float | None
    estimated_j: RangeJson | None
    auto: bool


class StretchJson(TypedDict):
    """From `start` to `end` all devices together drew `energy_j`, in J; null: unknown."""

    start: str
    end: str
    energy_j: RangeJson | None


class ShiftJson(TypedDict):
    """A run that waited or paused for cleaner power, against the same run at once, from `begun` on.

    `planned_fraction` of its emissions were to be saved by its plan, over a forecast, a trace or a
    typical day (`basis`); `realised_fraction` are, by the values known at its end: what `carbon_g`,
    pauses included, is less than `at_once_g`, below 0 where it is more. `note` says what is unknown
    and why. `waits` before it began and their grams are in no other figure; nor is what `pauses`
    drew where the machine is `on_anyway`, by the user's word.
    """

    begun: str
    planned_fraction: float | None
    basis: str | None
    source: str | None
    runs: list[StretchJson]
    pauses: list[StretchJson]
    carbon_g: RangeJson | None
    at_once_g: RangeJson | None
    realised_fraction: float | None
    kind: str | None
    note: str | None
    waits: list[StretchJson]
    waits_g: RangeJson | None
    on_anyway: bool


class CellJson(TypedDict):
    """One cell, or one named block: energies and durations summed over its `runs`.

    `repeats` and `shift` are of the last of these runs, or null. `inside` where every run lies in
    another one, whose row its energy is a part of.
    `waited_s` is what of `duration_s` was spent waiting for queued GPU work after the code's end.
    `above_idle_j` is what of `measured_j` lies above idle power, `baseline` that power;
    `kernel_share` is this kernel's share of the machine's CPU time, and `kernel_j` what of the
    processor's and the memory's energy above idle was this kernel's by that share.
    """

    cell_id: str | None
    name: str | None
    inside: bool
    runs: int
    execution_count: int | None
    started: str
    duration_s: float
    outcome: str
    measured_j: ValueJson | None
    estimated_j: RangeJson | None
    above_idle_j: ValueJson | None
    kernel_share: float | None
    kernel_j: RangeJson | None
    baseline: BaselineJson | None
    average_w: float | None
    waited_s: float | None
    peak_w: float | None
    domains: list[DomainJson]
    carbon_g: CarbonJson | None
    warnings: list[str]
    repeats: RepeatsJson | None
    shift: ShiftJson | None


class TotalsJson(TypedDict):
    """A notebook's totals: `runs` of `cells`, how many of the runs were `interrupted`, by the user
    or since their kernel stopped (`lost`, a part of them), and in `warnings` what else must be
    known to read the figures. `idle` is in none of the sums."""

    runs: int
    cells: int
    duration_s: float
    measured_j: ValueJson | None
    estimated_j: RangeJson | None
    carbon_g: CarbonJson | None
    first: str | None
    last: str | None
    interrupted: int
    lost: int
    idle: IdleJson | None
    warnings: list[str]


class NotebookJson(TypedDict):
    """Which notebook: its id in the store, its path (null when unsaved) and its name."""

    id: str | None
    path: str | None
    name: str


class SummaryJson(TypedDict):
    """What `summary --json` prints; `cells` most expensive first."""

    schema: int
    version: str
    notebook: NotebookJson
    totals: TotalsJson
    cells: list[CellJson]


class HistoryTotalsJson(TypedDict):
    """Totals over runs that lie in no other: figures as in TotalsJson, without cells and idle."""

    runs: int
    duration_s: float
    measured_j: ValueJson | None
    estimated_j: RangeJson | None
    carbon_g: CarbonJson | None
    first: str | None
    last: str | None
    interrupted: int
    warnings: list[str]


class HistoryRowJson(HistoryTotalsJson):
    """One notebook, day (UTC) or host; what it is not is null. `hosts` are those that its runs were
    on. A notebook's figures are what it measured itself; where `overlaps` other notebooks measured
    the same devices meanwhile, the totals count that time once. A day's and a host's count it once,
    and `overlaps` is null."""

    notebook: NotebookJson | None
    day: str | None
    hosts: list[str]
    overlaps: int | None


class HistoryJson(TypedDict):
    """What `history --json` prints: `totals` of all rows, with what was measured twice on one host
    counted once. `since` and `until` are days (UTC), null where there is no such limit."""

    schema: int
    version: str
    by: str
    since: str | None
    until: str | None
    totals: HistoryTotalsJson
    rows: list[HistoryRowJson]

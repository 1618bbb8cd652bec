"""The JSON of a plan, schema 1: what `plan --json` prints and what every renderer is given.

Times are RFC 3339 in UTC, energies J, carbon g CO2e, savings shares (0.2: a fifth less). An unknown
field is null, never 0 and never left out.
"""

from __future__ import annotations

from typing import Literal, TypedDict

from ..json_shapes import CarbonJson, NotebookJson, RangeJson, ValueJson

Change = Literal[
    "region",
    "start",
    "pause",
    "idle",
    "power_limit",
    "batch_size",
    "precision",
    "right_size",
    "repeats",
]
Confidence = Literal["high", "medium", "low"]


class JobJson(TypedDict):
    """What is planned: its length and energy, and where both are from, in words.

    `duration_s` is null where only an energy was given. An `estimated_j` whose three figures are
    one is an energy that the user gave: nobody measured it, and nobody knows how wrong it is.
    """

    duration_s: float | None
    measured_j: ValueJson | None
    estimated_j: RangeJson | None
    said: str


class HereJson(TypedDict):
    """The present place, `how` it was found in words, and whether it is only assumed."""

    zone: str
    place: str
    how: str
    assumed: bool


class NowJson(TypedDict):
    """The job begun now and run through: null where the outlook does not reach over it, or where
    its energy is not known. `yearly_g` is the same by the yearly factor."""

    carbon_g: RangeJson | None
    yearly_g: CarbonJson | None


class HeldJson(TypedDict):
    """A kernel that waits: when it had best begin, and what that saves, what it draws until then
    taken off."""

    start: str
    saved_fraction: float


class StartJson(TypedDict):
    """Flexible Start: the best moment to begin, at most `latest` away. `saved_fraction` is against
    running now, of a machine that is started then; `carbon_g` is null where the job's energy is not
    known. `wait_fraction` is what a kernel that waits for `start` adds, as a share of what running
    now emits: 0 where the machine runs anyway. `held` is null where one that waits saves less than
    2 %, whenever it begins."""

    start: str
    latest: str
    carbon_g: RangeJson | None
    saved_fraction: float
    saved_range: RangeJson
    wait_fraction: float
    held: HeldJson | None


class PauseJson(TypedDict):
    """Pause & Resume: when the job runs, [start, end] each, and how often it is interrupted.

    What pauses cost is in the grams: going on again, `pause_j` each time, null where the job's
    energy is not known; and what they are taken to draw, `idle_fraction` of the job's mean power,
    in the wait before the first run too. That is `idle_measured` or `idle_estimated` between cells,
    or assumed; or 0, as the user says that the machine runs anyway.
    """

    run: list[tuple[str, str]]
    pauses: int
    pause_j: float | None
    idle_fraction: float
    idle_measured: bool
    idle_estimated: bool
    until: str
    carbon_g: RangeJson | None
    saved_fraction: float
    saved_range: RangeJson


class RegionJson(TypedDict):
    """The same job elsewhere. `saved_fraction` is against the ranking's reference, below 0 where it
    would emit more, null where there is none; `carbon_g` is null where the job's energy is not
    known."""

    zone: str
    name: str
    place: str
    g_per_kwh: float
    pue: float
    pue_source: str
    carbon_g: RangeJson | None
    saved_fraction: float | None
    saved_range: RangeJson | None
    note: str | None


class RankingJson(TypedDict):
    """Places of one table, cleanest first: the zones of a table, or a provider's cloud regions.

    `reference` is the row that the others are compared with: where the job runs now, by this table;
    null where the table does not have that place, and then no row has a saving. `said` tells what
    a figure is: its kind and year, scope, boundary and source; `scope` is lifecycle or direct.
    """

    of: str
    reference: RegionJson | None
    rows: list[RegionJson]
    said: str
    kind: str
    scope: str
    notes: list[str]


# In the form of a function, as "from" is a word of Python.
BasisJson = TypedDict(
    "BasisJson",
    {
        "kind": str,
        "source": str | None,
        "zone": str | None,
        "place": str | None,
        "signal": str | None,
        "boundary": str | None,
        "scope": str | None,
        "from": str | None,
        "to": str | None,
        "forecast": bool,
        "hindsight": bool,
        "error": float | None,
        "error_source": str | None,
        "notes": list[str],
    },
)
BasisJson.__doc__ = """What start and pauses were planned over, and `from` when `to` when values
are known: `kind` is forecast, trace, typical day or none, and then `notes` says why there is none
and the one thing to do. `signal` is average or marginal, `scope` lifecycle or direct; with
`hindsight` the values have happened, and a saving over them is an upper bound."""


class SlotsJson(TypedDict):
    """The outlook as planned over, for figures: one value a slot from `begin`, null where unknown;
    and the job's mean power in W slot by slot, null where unknown."""

    begin: str
    slot_s: float
    g_per_kwh: list[float | None]
    job_w: list[float] | None


class ItemJson(TypedDict):
    """One piece of advice. `change` says what to do, `command` is what to type, null where there is
    nothing to, and `setup` the lines to type before it, null where there are none (in a script,
    variables of the environment take their place). `cost` is what it takes in time or otherwise,
    `evidence` whose finding it rests on.
    """

    what: Change
    change: str
    setup: str | None
    command: str | None
    saved_fraction: RangeJson
    saved_g: RangeJson | None
    saved_j: RangeJson | None
    cost: str
    evidence: str
    confidence: Confidence


class KeptJson(TypedDict):
    """What became of an earlier plan: what it promised, and what it saved. `done`: a run was held
    for it, and `realised_fraction` is what was measured of that run, else what its times would have
    saved by the values known since; null where neither is known."""

    made: str
    change: str
    predicted_fraction: float
    realised_fraction: float | None
    done: bool
    said: str


class PlanJson(TypedDict):
    """A plan. `regions` are the rows of the first ranking; `advice` is sorted by what it saves and
    empty where nothing saves 2 % or more. `notes` has what could not be answered, and why."""

    schema: int
    version: str
    notebook: NotebookJson | None
    made: str
    job: JobJson | None
    here: HereJson | None
    run_now: NowJson
    flexible_start: StartJson | None
    pause_resume: PauseJson | None
    regions: list[RegionJson]
    rankings: list[RankingJson]
    advice: list[ItemJson]
    basis: BasisJson
    slots: SlotsJson | None
    kept: list[KeptJson]
    notes: list[str]

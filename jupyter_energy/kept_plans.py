"""Earlier plans of a user, in one small JSON file beside the store, and what became of them.

A plan that gave a time is kept with what it promised. By the values that a service has told since,
the same schedule is reckoned again: forecast against realised (carbon.md 6).
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from . import foreign, json_file
from .documents import utc_text
from .errors import EnergyError
from .plain_text import clean
from .plan.nouns import SLOT_S, Job, Outlook
from .plan.outlook import slot_means
from .plan.shapes import KeptJson, PlanJson
from .shift import Shift, Stretch
from .units import percent

if TYPE_CHECKING:
    from .carbon.base import Signal

# What a notebook does when is nobody else's business.
_MODE = 0o600
MOST_KEPT, MOST_TOLD = 50, 3
# So many forecasts, of so many days, say what forecasts here are off by.
LEAST_FORECASTS, LEAST_DAYS = 8, 5
# A longer job's slots would not find room; in its file a slot takes up to four bytes.
MOST_SLOTS = 7 * 288
_FARTHEST = 366 * 288
_HAIR = 1e-3  # of a slot: what is left by rounding of times
_WHOLE = 999  # the largest of the shares, in the file
# A plan for another moment than when it was made is what-if.
_SOON = timedelta(minutes=10)
# A run that begins so much later than planned began as planned.
_ABOUT = timedelta(minutes=15)
# A run that was less of the planned one is another.
_LEAST_PART = 0.5
# What goes on for less after a wait is its cell's end, and no run (ours: 1 % of the shortest plan).
_LEAST_RUN = timedelta(seconds=0.01 * SLOT_S)
_SLOT = timedelta(seconds=SLOT_S)
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class KeptPlan:
    """One schedule that was advised: slots of `SLOT_S` from `begin` (UTC), first and after the last
    of each run, and the job's shares of energy in them. `idle` is what a slot of a pause was taken
    to draw, `resume` what going on again was, as such shares too."""

    made: datetime
    begin: datetime
    notebook: str
    change: str
    what: str
    predicted_fraction: float
    runs: tuple[tuple[int, int], ...]
    shares: tuple[float, ...]
    of: tuple[str, ...]  # zone, kind, boundary and scope of the signal
    idle: float = 0.0
    resume: float = 0.0
    told: tuple[float, ...] = ()  # the forecast in g/kWh, slot by slot; NaN where there was none

    @property
    def start(self) -> datetime:
        """When the run was to begin."""
        return self.begin + self.runs[0][0] * timedelta(seconds=SLOT_S)

    @property
    def end(self) -> datetime:
        """When all that the saving is reckoned from has happened."""
        last = max(self.runs[-1][1], len(self.shares))
        return self.begin + last * timedelta(seconds=SLOT_S)


def file_of(store: Path) -> Path:
    """Where the plans beside a store lie."""
    return store.with_name("plans.json")


def keep(file: Path, plan: PlanJson, job: Job, outlook: Outlook) -> None:
    """Keep the times that a plan advises, instead of those that it takes the place of.

    What was planned by hindsight or for another moment is no promise, and not kept. Raises WrongUse
    where the file is broken, EnergyError where it cannot be written.
    """
    notebook = plan["notebook"]["id"] if plan["notebook"] is not None else None
    made = datetime.fromisoformat(plan["made"])
    new = [*_advised(plan, notebook, made, job, outlook)] if notebook else []
    if not new or outlook.hindsight or abs(outlook.begin - made) > _SOON:
        return
    content = json_file.load(file)
    replaced = {(one.notebook, one.what) for one in new}
    older = [
        one
        for one in _read(content)
        if (one.notebook, one.what) not in replaced or one.start <= made
    ]
    kept = [_document(one) for one in (*older, *new)[-MOST_KEPT:]]
    json_file.save(file, content | {"plans": kept}, _MODE)


def tell(
    file: Path, notebook: str, signal: Signal | None, shifts: Iterable[Shift], now: datetime
) -> list[KeptJson]:
    """What became of a notebook's last plans whose time is over, and of its last runs that were
    held by a plan of their own, the newest first.

    `signal` is what a service has told since, `shifts` what was measured of the notebook's runs
    that waited or paused. Never raises: a broken file holds nothing.
    """
    kept: list[KeptPlan] = []
    with suppress(EnergyError):
        kept = _read(json_file.load(file))
    over = [one for one in kept if one.notebook == notebook and one.end <= now]
    found = [*shifts]
    told = [_told(one, signal, found) for one in over[-MOST_TOLD:]]
    told += [
        _of_run(one, one.planned_fraction)
        for one in found
        if one.planned_fraction is not None
        and not (one.waits and _ran(one) < _LEAST_RUN)
        and not any(_is_of(one, plan) for plan in over)
    ]
    return sorted(told, key=lambda one: one["made"], reverse=True)[:MOST_TOLD]


def realised(kept: KeptPlan, signal: Signal | None) -> float | None:
    """The share that a schedule saved by the values known since; None where one is missing, or is
    still a forecast."""
    import numpy as np

    if signal is None or kept.of != _of(signal):
        return None
    known = [one for one in signal.intervals if one.quality != "forecast"]
    count = max(kept.runs[-1][1], len(kept.shares))
    values = slot_means(known, kept.begin, count)
    slots = [n for first, after in kept.runs for n in range(first, after)]
    shares = np.asarray(kept.shares)
    now, then = (float((shares * values[of]).sum()) for of in (slice(len(shares)), slots))
    if kept.what == "pause":
        between = sorted({*range(slots[-1])} - {*slots})
        then += kept.idle * float(values[between].sum())
        then += kept.resume * float(values[[first for first, _ in kept.runs[1:]]].sum())
    if now != now or then != then or now <= 0:
        return None
    return 1 - then / now


def forecast_error(file: Path, signal: Signal) -> tuple[float, str] | None:
    """What the forecasts of earlier plans were off by in the mean, as a share, by the values that
    the same signal has told since, and that in words; None where too few of them tell."""
    import numpy as np

    try:
        kept = _read(json_file.load(file))
    except EnergyError:
        return None
    known = [one for one in signal.intervals if one.quality != "forecast"]
    off, days = [], set()
    for one in kept:
        if one.of != _of(signal) or not one.told:
            continue
        was = slot_means(known, one.begin, len(one.told))
        share = np.abs(np.asarray(one.told) - was) / np.where(was > 0, was, np.nan)
        if np.isfinite(share).mean() > 0.5:
            off.append(float(np.nanmean(share)))
            days.add(one.begin.date())
    if len(off) < LEAST_FORECASTS or len(days) < LEAST_DAYS:
        return None
    # Of small values a forecast may be off by a multiple: then it tells nothing of them.
    return min(1.0, sum(off) / len(off)), f"what {len(off)} forecasts here were off by in the mean"


def _told(kept: KeptPlan, signal: Signal | None, shifts: list[Shift]) -> KeptJson:
    shift = next((one for one in shifts if _is_of(one, kept)), None)
    measured = None if shift is None else shift.realised_fraction
    found = realised(kept, signal) if measured is None else measured
    promised = f"“{kept.change}” was to save {percent(kept.predicted_fraction)}"
    if measured is not None:
        became = f"it was run so, and {_measured(measured)}"
    else:
        became = "what it came to is not known: values for that time are missing"
        if found is not None:
            became = f"by the values known since it would have saved {percent(found)}"
        became += "; no run was held for it" if shift is None else f"; {_unknown(shift, 'its run')}"
    return KeptJson(
        made=utc_text(kept.made),
        change=kept.change,
        predicted_fraction=kept.predicted_fraction,
        realised_fraction=found,
        done=shift is not None,
        said=f"of {kept.made:%Y-%m-%d %H:%M} UTC: {promised}; {became}",
    )


def _of_run(shift: Shift, planned: float) -> KeptJson:
    """What became of a run that `je` held, by a plan that it made as it began."""
    measured = shift.realised_fraction
    became = _unknown(shift, "it") if measured is None else _measured(measured)
    return KeptJson(
        made=utc_text(shift.begun),
        change="hold the run for cleaner power",
        predicted_fraction=planned,
        realised_fraction=measured,
        done=True,
        said=(
            f"of {shift.begun:%Y-%m-%d %H:%M} UTC: a run that was held for cleaner power was to "
            f"save {percent(planned)}; {became}"
        ),
    )


def _unknown(shift: Shift, what: str) -> str:
    """That it is not known what a run saved, and why where that may change."""
    if shift.awaited is None or shift.note is None:
        return f"what {what} saved is unknown"
    return f"what {what} saved is not known yet: {clean(shift.note, _LONGEST)}"


def _measured(saved_fraction: float) -> str:
    if saved_fraction < 0:
        return f"as measured it emitted {percent(-saved_fraction)} more than at once"
    return f"as measured it saved {percent(saved_fraction)}"


def _is_of(shift: Shift, kept: KeptPlan) -> bool:
    """Whether a run that was shifted is the planned one: begun or paused as planned, for at least
    half as long. A start may be waited for, or be the end of a loop's first pause."""
    runs = _held(shift)
    if not runs or _ran(shift) < _LEAST_PART * len(kept.shares) * _SLOT:
        return False
    if kept.what == "start":
        is_held = bool(shift.waits or shift.pauses)
        return is_held and abs(runs[0].start - kept.start) <= _ABOUT
    return bool(shift.pauses) and kept.made <= shift.begun <= kept.begin + _ABOUT


def _held(shift: Shift) -> list[Stretch]:
    """What a run was that was held: what its cell ran before a wait is none of it."""
    return [run for run in shift.runs if not shift.waits or run.start >= shift.waits[-1].end]


def _ran(shift: Shift) -> timedelta:
    """How long the run was that was held."""
    return sum((run.end - run.start for run in _held(shift)), timedelta(0))


def _advised(
    plan: PlanJson, notebook: str, made: datetime, job: Job, outlook: Outlook
) -> Iterable[KeptPlan]:
    """The start and the pauses that are advised, as slots."""
    if len(job.shares) > MOST_SLOTS:
        return
    of = outlook.zone, outlook.kind, outlook.boundary, outlook.scope
    for item in plan["advice"]:
        start, pause = plan["flexible_start"], plan["pause_resume"]
        idle = resume = 0.0
        if item["what"] == "start" and start is not None:
            first = round(_slot(start["start"], outlook))
            runs = [(first, first + len(job.shares))]
        elif item["what"] == "pause" and pause is not None:
            # The last slot is one, though the job ends within it.
            runs = [
                (round(_slot(begins, outlook)), ceil(_slot(ends, outlook) - _HAIR))
                for begins, ends in pause["run"]
            ]
            idle = pause["idle_fraction"] * SLOT_S / job.duration_s
            resume = _share(pause["pause_j"], job)
        else:
            continue
        saves = item["saved_fraction"]["mid"]
        yield KeptPlan(
            *(made, outlook.begin, notebook, item["change"], item["what"], saves),
            *(tuple(runs), job.shares, of, idle, resume),
            outlook.g_per_kwh[:MOST_SLOTS] if outlook.basis == "forecast" else (),
        )


def _share(energy_j: float | None, job: Job) -> float:
    """An energy as a share of the job's; 0 where nobody knows the job's."""
    whole = job.energy_j
    return 0.0 if energy_j is None or whole is None or whole.mid <= 0 else energy_j / whole.mid


def _slot(text: str, outlook: Outlook) -> float:
    return (datetime.fromisoformat(text) - outlook.begin).total_seconds() / SLOT_S


def _of(signal: Signal) -> tuple[str, ...]:
    return signal.zone, signal.kind, signal.boundary, signal.scope


# -- the file --------------------------------------------------------------------------------


def _document(kept: KeptPlan) -> dict[str, object]:
    largest = max(kept.shares)
    return asdict(kept) | {
        "made": utc_text(kept.made),
        "begin": utc_text(kept.begin),
        "shares": " ".join(str(round(share / largest * _WHOLE)) for share in kept.shares),
        "told": " ".join(f"{g:.4g}" for g in kept.told),
    }


def _read(content: dict[str, object]) -> list[KeptPlan]:
    """The plans in a file; what is none of ours is left out."""
    found = (_plan(one) for one in foreign.items(content.get("plans"), MOST_KEPT))
    return [one for one in found if one is not None]


def _plan(found: object) -> KeptPlan | None:
    try:
        assert isinstance(found, dict)
        made, begin = (foreign.moment(found[name]) for name in ("made", "begin"))
        weights = [int(text) for text in str(found["shares"])[: 8 * MOST_SLOTS].split()]
        runs = tuple((int(first), int(after)) for first, after in found["runs"])
        told = tuple(map(float, str(found.get("told", ""))[: 8 * MOST_SLOTS].split()))
        predicted = foreign.number(found["predicted_fraction"])
        idle, resume = (foreign.number(found.get(name, 0.0)) for name in ("idle", "resume"))
        of = tuple(clean(str(word), _LONGEST) for word in found["of"])
        notebook, change, what = (
            clean(str(found[name]), _LONGEST) for name in ("notebook", "change", "what")
        )
    except (AssertionError, LookupError, TypeError, ValueError):
        return None
    edges = [edge for run in runs for edge in run]
    is_ours = (
        0 < len(weights) <= MOST_SLOTS
        and all(0 <= weight <= _WHOLE for weight in weights)
        and sum(after - first for first, after in runs) == len(weights)
        and edges == sorted(edges)
        and 0 <= edges[0] <= edges[-1] <= _FARTHEST
    )
    if made is None or begin is None or predicted is None or not is_ours or not any(weights):
        return None
    if idle is None or resume is None or idle < 0 or resume < 0:
        return None
    shares = tuple(weight / sum(weights) for weight in weights)
    return KeptPlan(
        made, begin, notebook, change, what, predicted, runs, shares, of, idle, resume, told
    )

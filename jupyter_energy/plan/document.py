"""The document of a plan, from its parts: sorted advice, what was planned over, what is not known.

Pure: each part is given, or is None or empty where it could not be made, and `notes` says why.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ..carbon.place import WORLD
from ..carbon_sums import carbon_json
from ..documents import utc_text
from ..json_shapes import NotebookJson, RangeJson
from ..model import CarbonIntensity, Emissions
from ..schema import SCHEMA, CarbonJson, range_json, value_json
from ..uncertainty import Range
from ..units import carbon_g
from . import LEAST_SAVING
from .held import worth
from .nouns import SLOT_S, Job, Outlook
from .shapes import (
    BasisJson,
    HereJson,
    ItemJson,
    JobJson,
    KeptJson,
    PauseJson,
    PlanJson,
    RankingJson,
    SlotsJson,
    StartJson,
)

# What carbon/csv_trace.py says of a file, beside its name.
_OF_A_FILE = re.compile(
    r" \((?=taken as|figures of|all its|[0-9]+ of)"
    r"(taken as .{1,200}?: its column does not say)?(?:, )?"
    r"(figures of .{1,80} kg/kWh\?|all its figures are 0, which are of no grid)?(?:, )?"
    r"([0-9]+ of [0-9]+ rows left out[^()]*)?\)$"
)
SCOPES = {
    "direct": "direct emissions (what power plants burn)",
    "lifecycle": "lifecycle emissions (their fuel's and their building's too)",
}


@dataclass(slots=True)
class Parts:
    """What a plan is made of, as far as it could be made.

    `energy_j` is the job's in J where nobody said how long it takes, and there is no `job`. `here`
    is the yearly factor of the present place, with its PUE and whose figure that is. `notes` has
    what could not be answered; `outlook_notes` why there is no outlook, or what is doubtful of it.
    """

    notebook: NotebookJson | None = None
    job: Job | None = None
    energy_j: Range | None = None
    here: CarbonIntensity | None = None
    pue: tuple[float, str] = (1.0, "")
    rankings: Sequence[RankingJson] = ()
    outlook: Outlook | None = None
    outlook_notes: list[str] = field(default_factory=list)
    now_g: RangeJson | None = None
    start: StartJson | None = None
    pause: PauseJson | None = None
    items: list[ItemJson] = field(default_factory=list)
    kept: Sequence[KeptJson] = ()
    notes: list[str] = field(default_factory=list)


def plan_json(parts: Parts, made: datetime, version: str) -> PlanJson:
    """The plan as JSON: grams of CO2e, energies in J, shares saved; `made` is when (UTC)."""
    return {
        "schema": SCHEMA,
        "version": version,
        "notebook": parts.notebook,
        "made": utc_text(made),
        "job": _job(parts),
        "here": _here(parts.here),
        "run_now": {"carbon_g": parts.now_g, "yearly_g": _yearly(parts)},
        "flexible_start": parts.start,
        "pause_resume": parts.pause,
        "regions": list(parts.rankings[0]["rows"]) if parts.rankings else [],
        "rankings": list(parts.rankings),
        "advice": advice(parts.items, parts.start),
        "basis": _basis(parts),
        "slots": _slots(parts.job, parts.outlook),
        "kept": list(parts.kept),
        "notes": list(dict.fromkeys([*parts.notes, *_not_comparable(parts)])),
    }


def advice(items: Iterable[ItemJson], start: StartJson | None = None) -> list[ItemJson]:
    """Those that save 2 % or more, what saves most first; of equals the one that came first. One
    with a command ranks by what that does."""
    told = (one for one in items if one["saved_fraction"]["mid"] >= LEAST_SAVING)
    return sorted(told, key=lambda one: -worth(one, start))


def _job(parts: Parts) -> JobJson | None:
    job, energy = parts.job, parts.energy_j
    if job is not None:
        return {
            "duration_s": job.duration_s,
            "measured_j": value_json(job.measured),
            "estimated_j": range_json(job.estimated),
            "said": job.said,
        }
    if energy is None:
        return None
    said = "a job of which only the energy is given"
    return {
        "duration_s": None,
        "measured_j": None,
        "estimated_j": range_json(energy),
        "said": said,
    }


def _yearly(parts: Parts) -> CarbonJson | None:
    """The job's grams by the yearly factor of the present place; None where one of both is not
    known."""
    job, here = parts.job, parts.here
    energy = parts.energy_j if job is None else job.energy_j
    if energy is None or here is None:
        return None
    estimated_j = 0.0 if job is None or job.estimated is None else job.estimated.mid
    share = estimated_j / energy.mid if energy.mid > 0 else 0.0
    pue, source = parts.pue
    low, mid, high = (
        carbon_g(j, here.g_per_kwh, pue) for j in (energy.low, energy.mid, energy.high)
    )
    found = carbon_json(Emissions(Range(low, mid, high), here, pue, share, source))
    if job is None or job.is_given:
        found["estimated_share"] = None  # the user's word is no estimate of ours
    return found


def _here(here: CarbonIntensity | None) -> HereJson | None:
    if here is None:
        return None
    return {"zone": here.zone, "place": here.place, "how": here.how, "assumed": here.assumed}


def _basis(parts: Parts) -> BasisJson:
    outlook, notes = parts.outlook, parts.outlook_notes
    if outlook is None:
        return {
            "kind": "none",
            "source": None,
            "zone": None,
            "place": None,
            "signal": None,
            "boundary": None,
            "scope": None,
            "from": None,
            "to": None,
            "forecast": False,
            "hindsight": False,
            "error": None,
            "error_source": None,
            "notes": list(notes),
        }
    end = outlook.begin + timedelta(seconds=SLOT_S * len(outlook.g_per_kwh))
    name, of_file = file_and_notes(outlook.source)
    # A file that names no place goes by the reader's, or where that is not known by its own name.
    of_no_place = outlook.zone in (WORLD, name)
    return {
        "kind": outlook.basis,
        "source": outlook.source,
        "zone": None if of_no_place else outlook.zone,
        "place": None if of_no_place else outlook.place,
        "signal": outlook.kind,
        "boundary": outlook.boundary,
        "scope": outlook.scope,
        "from": utc_text(outlook.begin),
        "to": utc_text(end),
        "forecast": outlook.basis == "forecast",
        "hindsight": outlook.hindsight,
        # Of values that have happened no forecast is wrong: what a range has of it, its notes say.
        "error": None if outlook.hindsight else outlook.error,
        "error_source": None if outlook.hindsight else outlook.error_source,
        "notes": list(
            dict.fromkeys([*outlook.notes, *notes, *(f"{name}: {note}" for note in of_file)])
        ),
    }


def file_and_notes(source: str) -> tuple[str, list[str]]:
    """The name of a file without what its reader says of it in brackets, and that: what its values
    were taken as, and how many rows were left out. Of any other source: itself, and nothing."""
    found = _OF_A_FILE.search(source)
    if found is None:
        return source, []
    return source[: found.start()], [note for note in found.groups() if note]


def _slots(job: Job | None, outlook: Outlook | None) -> SlotsJson | None:
    if outlook is None:
        return None
    return {
        "begin": utc_text(outlook.begin),
        "slot_s": SLOT_S,
        "g_per_kwh": [g if math.isfinite(g) else None for g in outlook.g_per_kwh],
        "job_w": None if job is None else power_w(job),
    }


def power_w(job: Job) -> list[float] | None:
    """The job's mean power in W in each slot, of the time that it runs in it; None where its energy
    is not known."""
    energy = job.energy_j
    if energy is None or not job.shares:
        return None
    last_s = job.duration_s - SLOT_S * (len(job.shares) - 1)
    lengths_s = [SLOT_S] * (len(job.shares) - 1) + [last_s]
    return [
        energy.mid * share / length_s if length_s > 0 else 0.0
        for share, length_s in zip(job.shares, lengths_s, strict=True)
    ]


def _not_comparable(parts: Parts) -> Iterator[str]:
    """That places are ranked by figures of another kind than those that the time is planned by."""
    outlook = parts.outlook
    if outlook is None or not parts.rankings:
        return
    name = file_and_notes(outlook.source)[0].partition(" (")[0]
    never = "the two are not comparable, and no figure is of both"
    if outlook.kind != "average":
        yield (
            "places are ranked by yearly average figures, start and pauses planned by "
            f"{outlook.kind} ones ({name}): {never}"
        )
    scopes = {ranking["scope"] for ranking in parts.rankings} - {outlook.scope}
    if scopes:
        yield (
            f"start and pauses are planned by {SCOPES[outlook.scope]} ({name}), places ranked by "
            f"{' or '.join(SCOPES[scope] for scope in sorted(scopes))}: {never}"
        )

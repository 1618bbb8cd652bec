"""What must be known to read a plan: the place to set first, that a job is small, its notes."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from .. import units
from ..plain_text import clean
from ..plan.places import MARGINAL
from ..plan.regions import COMPARED
from ..plan.shapes import PlanJson, RankingJson
from . import grams as of_place
from . import plan_words as said

_MOST_NOTES = 12
# Less CO2e than this is not worth a change: no equivalent is shown of it either (carbon.md 5.5).
SMALL_G = 1.0
_NO_GRID = "of no grid"  # how carbon/csv_trace.py says that a file's unit may be another one


def first(plan: PlanJson, command: str) -> Iterator[str]:
    """What stands before all advice: that the figures are doubtful, the place not known, or the
    job too small."""
    for note in _doubts(plan):
        yield f"First check {note} Until then all grams by it are doubtful."
    here = plan["here"]
    if here is not None and here["assumed"]:
        how, zone = clean(here["how"], 120), clean(here["zone"], said.ZONE_LIMIT)
        if how.startswith("guessed"):
            yield (
                f"First set the place: {clean(here['place'], said.NAME_LIMIT)} is {how}. Type "
                f"{command} zone {zone} if that is right, or your own instead of {zone}."
            )
        else:
            why = how.removeprefix("assumed: ")
            yield (
                f"First set the place, such as {command} zone FR: until then the grams here and "
                f"what a move saves are by the world's average ({why})."
            )
    if is_small(plan):
        job, grams = plan["job"], _whole_g(plan)
        assert grams is not None
        told = units.about(grams, units.MASS_G)
        more = ""
        if job is not None and job["duration_s"] is not None:
            more = " --hours 6 plans a longer one at its power."
        yield f"This job is too small for any change to matter: its whole CO2e is {told}.{more}"


def _doubts(plan: PlanJson) -> list[str]:
    """What makes all figures over the outlook doubtful, which is no note among others."""
    if plan["basis"]["kind"] == "none":
        return []
    found = (clean(n, said.CHANGE_LIMIT) for n in plan["basis"]["notes"] if _NO_GRID in n)
    return [note if note.endswith("?") else f"{note}." for note in found]


def small_by(plan: PlanJson, command: str) -> str:
    """By which figure a small job is one; nothing else is told of it."""
    now, yearly = plan["run_now"]["carbon_g"], plan["run_now"]["yearly_g"]
    if yearly is None or yearly["mid"] is None or (now is not None and now["mid"] > yearly["mid"]):
        return f"By the {clean(plan['basis']['kind'], 20)}: {said.outlook(plan['basis'])}"
    return f"By the yearly average: {', '.join(of_place.basis(yearly, command))}"


def is_small(plan: PlanJson) -> bool:
    """Whether all of the job, and all that idle time beside it could save, is next to nothing."""
    grams = _whole_g(plan)
    saved = (item["saved_g"]["mid"] for item in plan["advice"] if item["saved_g"] is not None)
    return grams is not None and max((grams, *saved)) < SMALL_G


def _whole_g(plan: PlanJson) -> float | None:
    now, yearly = plan["run_now"]["carbon_g"], plan["run_now"]["yearly_g"]
    known = [
        *([now["mid"]] if now is not None else []),
        *([yearly["mid"]] if yearly is not None and yearly["mid"] is not None else []),
    ]
    return max(known, default=None)


def two_figures(plan: PlanJson, first: str = "the first") -> str:
    """Why the job has two figures here, where it has; else nothing. `first` is where that by the
    hours stands."""
    now, yearly = plan["run_now"]["carbon_g"], plan["run_now"]["yearly_g"]
    if now is None or yearly is None or yearly["mid"] is None:
        return ""
    year = "a year" if yearly["year"] is None else f"{yearly['year']}"
    return (
        f"{first} is by these very hours, for choosing a time; the yearly average is of "
        f"{year}, for choosing a place"
    )


def notes(plan: PlanJson) -> list[str]:
    """What must be known to read a plan, each once, the first twelve; nothing of a small job, of
    which no figure but its own is told."""
    if is_small(plan):
        return []
    found = list(plan["notes"])
    if plan["basis"]["kind"] != "none":
        found += (note for note in plan["basis"]["notes"] if _NO_GRID not in note)
    rankings = said.rankings(plan)
    guessed = plan["here"] is not None and plan["here"]["assumed"]  # which is told before all else
    for ranking in rankings:
        here = [note for note in ranking["notes"] if not (guessed and note.startswith(COMPARED))]
        found += [f"{ranking['of']}: {note}" for note in here]
    found += _of_rows(rankings, said.advised(plan))
    told = list(dict.fromkeys(clean(note, said.CHANGE_LIMIT) for note in found))
    left_out = len(told) - _MOST_NOTES
    return [*told[:_MOST_NOTES], *([f"and {left_out} more, by --json"] if left_out > 0 else [])]


def _of_rows(rankings: list[RankingJson], advised: Collection[str]) -> Iterator[str]:
    """The notes of the places that are shown, which a star marks: each once, with its places; and
    in one line those on average and marginal figures, which name their places themselves."""
    zones: dict[str, list[str]] = {}
    disagree: dict[str, dict[str, None]] = {}
    for number, ranking in enumerate(rankings):
        for row in said.shown_rows(ranking, said.best_shown(number), advised):
            if isinstance(row, int) or not row["note"]:
                continue
            for note in row["note"].split("; "):
                start, _, figures = note.partition(f"{MARGINAL}: ")
                if start or not figures:
                    zones.setdefault(note, []).append(row["zone"])
                else:
                    figures, _, source = figures.partition(" (")
                    disagree.setdefault(source.partition(",")[0], {})[figures] = None
    for source, places in disagree.items():
        yield (
            f"* {MARGINAL} (what a kWh stands for, and what one more adds): "
            f"{'; '.join(places)}{f' ({source})' if source else ''}"
        )
    for note, of in zones.items():
        yield f"* {', '.join(dict.fromkeys(of))}: {note}"

"""When a job should run: Flexible Start and Pause & Resume of a Job over an Outlook.

Definitions: Dodge et al. 2022, section 6 (carbon.md 1.1), in shifting.py. What is saved is a share
of what running now is attributed by the same outlook. Its range: over a forecast, the worst that
the forecast's error can do to it, both ways; over values that have happened, that bound below, and
the figure itself above; over a typical day, for one more day like those on which the advice was
tried, each left out of the mean in turn: saved.py.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from math import fsum, log

from ..documents import utc_text
from ..json_shapes import RangeJson
from ..units import J_PER_KWH, duration, percent
from . import LEAST_SAVING
from .held import held_start, waits_words, worth
from .nouns import SLOT_S, Job, Outlook
from .pausing import Powers
from .saved import costs_of, energy_of, grams_of, is_rehearsed, promised
from .shapes import Confidence, ItemJson, PauseJson, StartJson
from .shifting import Schedule, flexible_start, is_too_long, pause_resume, starts

# A typical day tells when to start jobs up to this long, and nothing of day-long ones: tested with
# profiles of 2022 on 2023 in four grids (carbon.md 1.5).
LONGEST_BY_TYPICAL_DAY_S = 12 * 3600.0
DAY_S = 86400.0
# Dodge et al. 2022, tables 4 and 5, by the hours of the job: percent saved by the right start
# within 24 h, by pausing within 24 h more, and by pausing where it may take twice as long.
_DODGE = (
    (0.4, 25.9, 27.1, 3.1),
    (6.0, 14.5, 19.0, 9.5),
    (19.0, 5.6, 12.5, 11.0),
    (36.0, 3.4, 8.5, 11.0),
    (90.0, 1.3, 4.7, 11.4),
    (192.0, 0.5, 2.5, 11.4),
)


def best_start(
    job: Job, outlook: Outlook, within_s: float, pue: float = 1.0, powers: Powers | None = None
) -> StartJson | None:
    """The start within `within_s` from the outlook's begin that gives the least grams, and what it
    is for a kernel that waits, which draws what `powers` says of a pause, None: as assumed.

    None where that cannot be told; `problems` says why. `pue` multiplies grams.
    """
    found = _start(job, outlook, within_s)
    if found is None or found.saved_fraction is None:
        return None
    found, saved = promised(job, outlook, found, _whole(within_s), None)
    begin = outlook.begin
    wait_fraction, held = held_start(job, outlook, found, _whole(within_s), powers or Powers())
    return StartJson(
        start=utc_text(begin + _slots(found.start)),
        latest=utc_text(begin + _spare(job, outlook, within_s)),
        carbon_g=grams_of(job, outlook, found, pue),
        saved_fraction=saved["mid"],
        saved_range=saved,
        wait_fraction=wait_fraction,
        held=held,
    )


def can_choose(job: Job, outlook: Outlook, within_s: float) -> bool:
    """Whether there is more than one time to run at; `problems` says why there is not."""
    return _spare(job, outlook, within_s) >= _slots(1)


def best_pauses(
    job: Job, outlook: Outlook, within_s: float, powers: Powers, pue: float = 1.0
) -> PauseJson | None:
    """When the job should run and pause, to be done within its own time and `within_s` more.

    `powers` says what a pause draws and what going on again costs; where a search with the latter
    takes too long, it is taken off the best without it. None where pauses cannot be told;
    `problems` says why.
    """
    slack = _whole(within_s)
    costs = costs_of(job, powers)
    found = _paused(job, outlook, slack, *costs)
    if found is None or found.saved_fraction is None:
        return None
    found, saved = promised(job, outlook, found, slack, powers)
    begin = outlook.begin
    runs = [(begin + _slots(first), _end(job, begin, found, after)) for first, after in found.runs]
    spare = _spare(job, outlook, within_s)
    return PauseJson(
        run=[(utc_text(start), utc_text(end)) for start, end in runs],
        pauses=found.pauses,
        pause_j=None if job.energy_j is None else costs[0],
        idle_fraction=powers.idle,
        idle_measured=powers.is_measured,
        idle_estimated=powers.estimated is not None,
        until=utc_text(begin + spare + timedelta(seconds=job.duration_s)),
        carbon_g=grams_of(job, outlook, found, pue, powers),
        saved_fraction=saved["mid"],
        saved_range=saved,
    )


def grams_now(job: Job, outlook: Outlook, pue: float = 1.0) -> RangeJson | None:
    """Grams of CO2e of the job begun at the outlook's begin; None where some of it is unknown."""
    if job.energy_j is None or len(outlook.g_per_kwh) < len(job.shares):
        return None
    now = flexible_start(energy_of(job), outlook.g_per_kwh, 0)
    return None if now is None else grams_of(job, outlook, now, pue)


def problems(job: Job, outlook: Outlook, within_s: float) -> list[str]:
    """What of start and pauses over this outlook cannot be told, or not wholly, in words."""
    import numpy as np

    said: list[str] = []
    count, known = len(job.shares), len(outlook.g_per_kwh)
    reach = f"{outlook.begin + _slots(known):%Y-%m-%d %H:%M} UTC"
    window = count + _whole(within_s)
    if known < count:
        said.append(
            f"the job takes {duration(job.duration_s)}, longer than what is known ahead (until "
            f"{reach}): neither start nor pauses are planned; give a longer trace or a shorter job"
        )
        return said
    if np.isnan(np.asarray(outlook.g_per_kwh[:count])).any():
        said.append(
            "what running now would emit is not known, as values are missing from its time: so "
            f"no saving can be told{_from_when(job, outlook)}"
        )
    if within_s < SLOT_S:
        said.append("without time to wait there is nothing to choose: give a longer --within")
    elif known < window:
        said.append(f"values end at {reach}: no later time is planned")
    if _too_long(job, outlook):
        said.append(
            f"a typical day does not tell when to start a job of {duration(job.duration_s)} "
            "(up to 12 h it does): choose a provider with a forecast, or pause and resume it"
        )
    energy_j, slack = energy_of(job), _whole(within_s)
    if outlook.basis == "typical day" and not all(
        is_rehearsed(job, outlook, slack, powers) for powers in (None, Powers())
    ):
        said.append(
            "too few past days can be planned again to tell what pauses, or a later start, would "
            "have saved, so that neither is advised by a typical day: give more days, a shorter "
            "job, or a shorter --within"
        )
    pause_j, idle_j = costs_of(job, Powers())
    if is_too_long(energy_j, outlook.g_per_kwh, slack, 0.0, idle_j):
        said.append(
            f"pauses of a job of {duration(job.duration_s)} whose power varies are not planned "
            "over so long a time: give a shorter --within"
        )
    elif is_too_long(energy_j, outlook.g_per_kwh, slack, pause_j, idle_j):
        said.append(
            "over so long a time pauses are chosen as if going on again cost nothing, and what it "
            "costs is taken off: give a shorter --within for better ones"
        )
    return said


def items(
    job: Job,
    outlook: Outlook,
    start: StartJson | None,
    pause: PauseJson | None,
    now_g: RangeJson | None,
    can_type: bool = True,
    powers: Powers | None = None,
    first: str | None = None,
) -> list[ItemJson]:
    """Advice from a start and from pauses, the more useful one first; none below 2 %.

    `powers` is what `start` and `pause` were made with, None: as assumed.
    `can_type`: what is planned over is what the calls of `je` would find now, so that they can be
    typed as they stand; where they would find it after something else, `first` has its lines.

    A job of more than a day is told when to pause, and not when to start (carbon.md 1.1, 6). Of
    pauses that save hardly more than the right start nothing is said: they are more trouble.
    """
    found: list[ItemJson] = []
    start_saves = start["saved_fraction"] if start is not None else 0.0
    can_type = can_type and not outlook.hindsight

    def typed(item: ItemJson) -> ItemJson:
        if not can_type or item["command"] is None:
            return {**item, "command": None}
        return {**item, "setup": first}

    if start is not None and job.duration_s <= DAY_S:
        window_s = (_moment(start["latest"]) - outlook.begin).total_seconds()
        if start_saves >= LEAST_SAVING:
            item = typed(_start_item(job, outlook, start, now_g, window_s, powers or Powers()))
            if worth(item, start) < item["saved_fraction"]["mid"] - 0.005:
                item = {**item, "cost": f"{item['cost']}; it ranks by that"}
            found.append(item)
    if pause is not None and pause["pauses"] > 0:
        until_s = (_moment(pause["until"]) - outlook.begin).total_seconds()
        saves = pause["saved_fraction"]
        more = saves - (worth(found[0], start) if found else 0.0)
        if more >= LEAST_SAVING:
            within_s = until_s - job.duration_s
            found.append(typed(_pause_item(job, outlook, pause, now_g, within_s, powers)))
    return found


def _start_item(
    job: Job,
    outlook: Outlook,
    start: StartJson,
    now_g: RangeJson | None,
    window_s: float,
    powers: Powers,
) -> ItemJson:
    wait_s = (_moment(start["start"]) - outlook.begin).total_seconds()
    hours, longest = (_number(seconds / 3600) for seconds in (job.duration_s, window_s))
    asked = f'hours={hours}, max_wait="{longest}h"{_anyway(powers)}'
    return ItemJson(
        what="start",
        change=f"start at {_clock(start['start'], outlook)}",
        setup=None,
        command=None if start["held"] is None else f"je.wait_for_clean_power({asked})",
        saved_fraction=start["saved_range"],
        saved_g=_saved_g(now_g, start["saved_range"]),
        saved_j=None,
        cost=f"it begins and ends {duration(wait_s)} later; {waits_words(outlook, start, powers)}",
        evidence=f"{_what(outlook)}; {_published(job, 1, 'within 24 h')}",
        confidence=_confidence(outlook, start["saved_range"]),
    )


def _anyway(powers: Powers | None) -> str:
    """The argument with which a call of `je` takes a machine to run anyway, where it does."""
    return ", on_anyway=True" if powers is not None and powers.on_anyway else ""


def _pause_item(
    job: Job,
    outlook: Outlook,
    pause: PauseJson,
    now_g: RangeJson | None,
    within_s: float,
    powers: Powers | None,
) -> ItemJson:
    done = _moment(pause["run"][-1][1])
    later_s = (done - outlook.begin).total_seconds() - job.duration_s
    times = "1 pause" if pause["pauses"] == 1 else f"{pause['pauses']} pauses"
    share = 100 * within_s / job.duration_s
    extend = f"{max(1.0, share):.0f}%" if share <= 1000 else f"{_number(within_s / 3600)}h"
    source = "estimated between cells" if pause["idle_estimated"] else "assumed"
    source = "measured between cells" if pause["idle_measured"] else source
    drawn = f"pauses draw {percent(pause['idle_fraction'])} of its power ({source}), taken off here"
    if anyway := _anyway(powers):
        drawn = "as the machine runs anyway, pauses draw nothing more"
    end = _clock(pause["run"][-1][1], outlook)
    is_far = within_s > DAY_S and within_s > 0.75 * job.duration_s
    found = _published(job, *((3, "in twice the time") if is_far else (2, "within 24 h more")))
    return ItemJson(
        what="pause",
        change=f"pause while the grid is dirty: {times}, done at {end}",
        setup=None,
        command=f'for batch in je.carbon_aware(loader, extend="{extend}", checkpoint=save{anyway})',
        saved_fraction=pause["saved_range"],
        saved_g=_saved_g(now_g, pause["saved_range"]),
        saved_j=None,
        cost=f"it ends {duration(later_s)} later; {drawn}, and hold its memory",
        evidence=f"{_what(outlook)}; {found}",
        confidence=_confidence(outlook, pause["saved_range"]),
    )


# -- schedules -----------------------------------------------------------------------------


def _start(job: Job, outlook: Outlook, within_s: float) -> Schedule | None:
    if _too_long(job, outlook):
        return None
    return flexible_start(energy_of(job), outlook.g_per_kwh, _whole(within_s))


def _paused(
    job: Job, outlook: Outlook, slack: int, pause_j: float, idle_j: float
) -> Schedule | None:
    """The best pauses; where that takes too long to find, the best if going on again cost nothing,
    with that cost; None where even these do."""
    energy_j, series = energy_of(job), outlook.g_per_kwh
    if not is_too_long(energy_j, series, slack, pause_j, idle_j):
        return pause_resume(energy_j, series, slack, pause_j, idle_j)
    if is_too_long(energy_j, series, slack, 0.0, idle_j):
        return None
    found = pause_resume(energy_j, series, slack, 0.0, idle_j)
    if found is None:
        return None
    resumed = fsum(series[first] for first, _ in found.runs[1:])
    return replace(found, carbon_g=found.carbon_g + pause_j / J_PER_KWH * resumed)


def _from_when(job: Job, outlook: Outlook) -> str:
    """What to type where running now is not known: the first start of which all is."""
    import numpy as np

    known = np.flatnonzero(np.isfinite(starts(energy_of(job), outlook.g_per_kwh)))
    if not len(known):
        return ""
    first = outlook.begin + _slots(int(known[0]))
    return f"; against a later time it can: --start {first:%Y-%m-%dT%H:%MZ}"


def _spare(job: Job, outlook: Outlook, within_s: float) -> timedelta:
    """How long the job can wait or be paused: no longer than values are known."""
    known = _slots(len(outlook.g_per_kwh) - len(job.shares))
    return min(timedelta(seconds=max(0.0, within_s)), known)


def _too_long(job: Job, outlook: Outlook) -> bool:
    return outlook.basis == "typical day" and job.duration_s > LONGEST_BY_TYPICAL_DAY_S


def _end(job: Job, begin: datetime, found: Schedule, after: int) -> datetime:
    """When a run ends: the last one when the job does, inside its last slot."""
    if after <= found.slots[-1]:
        return begin + _slots(after)
    last_s = job.duration_s - (len(job.shares) - 1) * SLOT_S
    return begin + _slots(after - 1) + timedelta(seconds=min(max(last_s, 0.0), SLOT_S))


# -- advice ---------------------------------------------------------------------------------


def _saved_g(now_g: RangeJson | None, saved: RangeJson) -> RangeJson | None:
    if now_g is None:
        return None
    return RangeJson(
        low=saved["low"] * (now_g["low"] if saved["low"] > 0 else now_g["high"]),
        mid=saved["mid"] * now_g["mid"],
        high=saved["high"] * now_g["high"],
    )


def _confidence(outlook: Outlook, saved: RangeJson) -> Confidence:
    """High where a forecast's error cannot undo the saving, low where it may cost instead."""
    if saved["low"] < 0:
        return "low"
    return "high" if outlook.basis == "forecast" and saved["low"] >= LEAST_SAVING else "medium"


# -- words ---------------------------------------------------------------------------------


def _what(outlook: Outlook) -> str:
    """What was planned over, in words."""
    source = outlook.source.partition(" (")[0]
    if outlook.basis == "typical day":
        return f"by the typical day of past values ({source})"
    if outlook.hindsight:
        return f"an upper bound, by hindsight over values that have happened ({source})"
    return f"by the {outlook.basis} of {source}"


def _published(job: Job, column: int, when: str) -> str:
    """What was found for the job whose length is nearest."""
    hours = max(job.duration_s, 1.0) / 3600
    row = min(_DODGE, key=lambda one: abs(log(one[0] / hours)))
    return (
        f"Dodge et al. 2022 found {row[column]:g} % for a job of {row[0]:g} h {when} (mean of 16 "
        "regions, by hindsight)"
    )


def _clock(text: str, outlook: Outlook) -> str:
    moment = _moment(text)
    day = "" if moment.date() == outlook.begin.date() else f"{moment:%Y-%m-%d} "
    return f"{day}{moment:%H:%M} UTC"


def _number(figure: float) -> str:
    """A figure as it can be typed: three digits, and all of those before the point."""
    return f"{figure:.0f}" if figure >= 100 else f"{figure:.3g}"


def _whole(seconds: float) -> int:
    """How many slots lie within a time; one that is a hair short of a slot counts."""
    return max(0, int(seconds / SLOT_S + 1e-9))


def _slots(number: int) -> timedelta:
    return timedelta(seconds=number * SLOT_S)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)

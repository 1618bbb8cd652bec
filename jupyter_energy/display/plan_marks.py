"""What the picture of a plan shows: the ways to run the job over the hours, and it all in words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from .. import units
from ..json_shapes import RangeJson
from ..plain_text import clean
from ..plan.shapes import PlanJson, RankingJson, RegionJson, SlotsJson
from . import plan_words as words

# Okabe and Ito's palette, which colour-blind people can tell apart (jfly.uni-koeln.de/color).
NOW, START, PAUSE = "#757575", "#0072B2", "#009E73"
_MOST_TICKS, MOST_CHANGES = 10, 8
_TICK_HOURS = (1, 2, 3, 6, 12, 24, 48, 96, 168, 336, 672, 1344, 2688, 5376)
_QUARTER = timedelta(minutes=15)  # every time zone's hours begin on one


@dataclass(frozen=True, slots=True)
class Lane:
    """A way to run the job: when it runs, in hours since the outlook begins."""

    name: str
    colour: str
    runs_h: tuple[tuple[float, float], ...]


def alt(plan: PlanJson, zone: tzinfo | None = None) -> str:
    """The figure in words, for those who do not see it; empty where there is none."""
    said = []
    slots = plan["slots"]
    if slots is not None and (values := known(slots)):
        begin, end = begin_and_end(slots, zone)
        low, high = units.intensity(min(values)), units.intensity(max(values))
        said.append(
            f"{words.outlook(plan['basis'])}: {low} to {high}, from {words.clock(begin, end)} "
            f"to {words.clock(end, begin)} {local_time(plan, begin, end, zone)}."
        )
        for lane in ways(plan):
            spans = [_span(begin, run_h, zone) for run_h in lane.runs_h]
            said.append(f"{lane.name}: {', '.join(spans)}.")
    for ranking in words.rankings(plan)[:1]:
        rows = [
            r
            for r in words.shown_rows(ranking, advised=words.advised(plan))
            if not isinstance(r, int)
        ]
        places = "; ".join(f"{words.place_name(r)} {beside(r, ranking)}" for r in rows)
        said.append(f"{clean(ranking['of'], 40)}, cleanest first: {places}.")
    if saves := changes(plan, zone):
        saved = "; ".join(f"{name}: {words.share(value)}" for name, value in saves)
        said.append(f"Saved by each change: {saved}.")
    return " ".join(said)


def ways(plan: PlanJson) -> list[Lane]:
    """The ways to run the job over the outlook: when asked, at the best start, with pauses."""
    slots, job = plan["slots"], plan["job"]
    if slots is None or job is None or job["duration_s"] is None:
        return []
    begin = words.local(slots["begin"], UTC)
    end_h = len(slots["g_per_kwh"]) * slots["slot_s"] / 3600
    length_h = job["duration_s"] / 3600

    def hours(moment: str) -> float:
        return (words.local(moment, UTC) - begin).total_seconds() / 3600

    first = "at once" if words.asked_start(plan) is None else "as asked"
    found = [Lane(first, NOW, ((0.0, min(length_h, end_h)),))]
    start, pauses = plan["flexible_start"], plan["pause_resume"]
    if start is not None and words.is_gain(start["saved_fraction"]):
        at_h = hours(start["start"])
        found.append(Lane("best start", START, ((at_h, at_h + length_h),)))
    if pauses is not None and pauses["pauses"] and words.is_gain(pauses["saved_fraction"]):
        runs = tuple((hours(a), hours(b)) for a, b in pauses["run"])
        found.append(Lane(words.pauses(pauses["pauses"]), PAUSE, runs))
    return found


def changes(plan: PlanJson, zone: tzinfo | None) -> list[tuple[str, RangeJson]]:
    """What the advice says to do, and what that saves."""
    return [
        (words.change(item, plan, zone), item["saved_fraction"])
        for item in plan["advice"][:MOST_CHANGES]
    ]


def known(slots: SlotsJson) -> list[float]:
    """The values of the outlook that there are, in g/kWh."""
    return [value for value in slots["g_per_kwh"] if value is not None]


def begin_and_end(slots: SlotsJson, zone: tzinfo | None) -> tuple[datetime, datetime]:
    """From when to when the outlook is."""
    begin = words.local(slots["begin"], zone)
    length_s = len(slots["g_per_kwh"]) * slots["slot_s"]
    return begin, _later(begin, length_s / 3600, zone)


def local_time(plan: PlanJson, begin: datetime, end: datetime, zone: tzinfo | None) -> str:
    """What the clocks of a stretch of time are: "CET", and of another year than now "CET, 2022"."""
    years = dict.fromkeys((begin.year, end.year))
    others = f", {' to '.join(map(str, years))}"
    is_now = words.local(plan["made"], zone).year in years
    return words.zone_names(begin, end) + ("" if is_now else others)


def _later(begin: datetime, hours: float, zone: tzinfo | None) -> datetime:
    """So many hours after `begin`, by the clocks of then: they may change in between."""
    return (begin.astimezone(UTC) + timedelta(hours=hours)).astimezone(zone)


def _span(begin: datetime, run_h: tuple[float, float], zone: tzinfo | None) -> str:
    first, last = (_later(begin, hours, zone) for hours in run_h)
    return f"{words.clock(first, begin)} to {words.clock(last, first)}"


def ticks(begin: datetime, end: datetime, zone: tzinfo | None) -> list[tuple[float, str]]:
    """Whole local hours, at most eleven: hours since `begin`, and what is written there."""
    # In UTC: between two times of one zone, Python counts hours by the clock on the wall.
    begin, end = begin.astimezone(UTC), end.astimezone(UTC)
    length_h = (end - begin).total_seconds() / 3600
    every = next((h for h in _TICK_HOURS if length_h / h <= _MOST_TICKS), _TICK_HOURS[-1])
    first = begin.replace(minute=0, second=0, microsecond=0)
    found: list[tuple[float, str]] = []
    days: list[str] = []
    for quarter in range(math.ceil(length_h * 4) + 5):
        then = first + quarter * _QUARTER
        moment, at_h = then.astimezone(zone), (then - begin).total_seconds() / 3600
        hours = moment.toordinal() * 24 + moment.hour
        if moment.minute or hours % every or not 0 <= at_h <= length_h:
            continue
        found.append((at_h, f"{moment:%H:%M}"))
        days.append(f"{moment:%a} {moment.day} {moment:%b}")
    if every >= 24:
        return [(at_h, day) for (at_h, _), day in zip(found, days, strict=True)]
    # The date stands below the first hour of a day; two such in a row would overlap.
    new = [i == 0 or days[i] != days[i - 1] for i in range(len(days))]
    told = [new[i] and not any(new[i + 1 : i + 2]) for i in range(len(days))]
    return [
        (at_h, f"{text}\n{day}" if has_date else text)
        for (at_h, text), day, has_date in zip(found, days, told, strict=True)
    ]


def beside(row: RegionJson, ranking: RankingJson) -> str:
    """What stands at the end of a bar: its grams, and how that compares."""
    said = units.intensity(row["g_per_kwh"] * row["pue"])
    if row["carbon_g"] is not None:
        said = units.about(row["carbon_g"]["mid"], units.MASS_G)
    if ranking["reference"] is None:
        return said
    compared = "here" if words.is_reference(row, ranking) else words.compared(row)
    return f"{said}, {compared}"

"""The text of a plan: the job in a line, the advice, then where and when, then what to know."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import tzinfo
from textwrap import wrap

from .. import units
from ..plain_text import clean
from ..plan.shapes import ItemJson, JobJson, PlanJson, RankingJson, RegionJson
from . import grams, words
from . import plan_words as said
from .plan_notes import first, is_small, notes, small_by, two_figures
from .text import WIDTH

_LIMIT = said.TEXT_LIMIT
_HERE, _NAME_ROOM, _ZONE_ROOM = "← here", 28, said.ZONE_LIMIT
_MOST_RUNS = 4
_LEAST_WIDTH = 30  # a narrower window breaks words
# The columns of words, and the one of them that gives way where there is no room.
_WORDS, _NAME, _PUE, _GAP = (1, 2, 6), 2, 4, "  "
_PUE_SAID = "PUE: what the building draws for each kWh of its computers"
# A row of a table, as it is; or a line to be broken, and with what its next parts begin.
Line = str | tuple[str, str]
_QUANTITY = re.compile(r"(?<=[0-9]) (?=(?:%|[a-zA-Zµ]{1,3}\b))|(?<=≈) (?=[0-9])")


def text(
    plan: PlanJson,
    command: str = words.COMMAND,
    zone: tzinfo | None = None,
    width: int | None = None,
) -> str:
    """The plan as text, at most 100 wide, or `width` where that is less; tables keep their columns.

    `command` is how the reader calls us; times are those of `zone`, by default the reader's own.
    """
    width = WIDTH if width is None else min(WIDTH, max(width, _LEAST_WIDTH))
    lines: list[Line] = _job(plan)
    is_short = is_small(plan)
    if not is_short:
        lines += _now(plan, command, said.asked_start(plan, zone))
    for line in first(plan, command):
        lines += ["", *_wrapped(line)]
    if is_short:
        lines += _wrapped(small_by(plan, command))
    else:
        lines += ["", *_advice(plan, zone)]
        told: set[str] = set()
        for number, ranking in enumerate(said.rankings(plan)):
            shown = said.shown_rows(ranking, said.best_shown(number), said.advised(plan))
            lines += ["", *_where(ranking, shown, told, width)]
        lines += ["", *_when(plan, zone)]
    for kept in plan["kept"]:
        lines += _wrapped(f"Earlier: {clean(kept['said'], _LIMIT)}")
    if found := notes(plan):
        lines.append("")
        for note in found:
            lines += _wrapped(f"note: {note}", "  ")
    return "\n".join(broken for line in lines for broken in _broken(line, width))


# -- the job -----------------------------------------------------------------------------------


def _job(plan: PlanJson) -> list[Line]:
    job = plan["job"]
    if job is None:
        return _wrapped(f"Plan for {said.subject(plan)}: no job is known")
    of = clean(job["said"], _LIMIT)
    name = f"{said.subject(plan)}, " if plan["notebook"] else ""
    return _wrapped(f"Plan for {name}{of}: {', '.join(job_figures(job))}")


def job_figures(job: JobJson) -> Iterator[str]:
    """How long the job takes and what it draws: "6 h 00 min", "2.40 kWh as given"; what it
    is made of may say the latter."""
    if job["duration_s"] is not None:
        yield units.duration(job["duration_s"])
    measured, estimated = job["measured_j"], job["estimated_j"]
    if measured is None and estimated is not None and estimated["low"] == estimated["high"]:
        given = "" if "as given" in job["said"] else " as given"
        yield f"{units.quantity(estimated['mid'], units.ENERGY_J)}{given}"
    elif measured is None and estimated is None:
        yield "energy not known, so that shares can be told and grams cannot"
    else:
        yield " and ".join(figure.text for figure in words.energies(measured, estimated))


def _now(plan: PlanJson, command: str, start: str | None) -> list[Line]:
    """What it emits here, at once or from `start` on, and by the yearly factor."""
    lines: list[Line] = []
    now, yearly = plan["run_now"]["carbon_g"], plan["run_now"]["yearly_g"]
    if now is not None:
        by = f"the {clean(plan['basis']['kind'], 20)} below ({said.signal(plan['basis'])})"
        begun = "at once" if start is None else f"begun at {start}"
        lines += _wrapped(f"  {begun}: CO2e {said.grams(now)} by {by}", " " * 4)
    if yearly is None:
        return lines
    low, mid, high = yearly["low"], yearly["mid"], yearly["high"]
    if low is not None and mid is not None and high is not None:
        figure = said.grams({"low": low, "mid": mid, "high": high})
        by = ", ".join(grams.basis(yearly, command))
        lines += _wrapped(f"  run here: CO2e {figure} by the yearly average: {by}", " " * 4)
    if why := two_figures(plan):
        lines += _wrapped(f"  ({why})", " " * 4)
    return lines


# -- advice --------------------------------------------------------------------------------------


def _advice(plan: PlanJson, zone: tzinfo | None) -> list[Line]:
    if not plan["advice"]:
        return _wrapped(said.NO_GAIN) if plan["job"] is not None or plan["rankings"] else []
    lines: list[Line] = ["What would save most:"]
    for number, item in enumerate(plan["advice"], 1):
        lines += _item(number, item, plan, zone)
    if len(plan["advice"]) > 1:
        lines += _wrapped(f" {said.EACH_ALONE}")
    return lines


def _item(number: int, item: ItemJson, plan: PlanJson, zone: tzinfo | None) -> list[Line]:
    saves = f"saves {said.share(item['saved_fraction'])}"
    more = []
    if item["saved_g"] is not None:
        more.append(f"CO2e {said.grams(item['saved_g'])}")
    if item["saved_j"] is not None:
        more.append(units.estimated(words.range_of(item["saved_j"])))
    saves += f", or {' and '.join(more)}," if more else ""
    saves += f" {said.of_what(item)}"
    if by := said.by_what(item, plan):
        saves += f" ({by})"
    lines = _wrapped(f" {number}. {said.change(item, plan, zone)}: {saves}.", " " * 4)
    above, setup = said.setup(item)
    if setup:
        lines += _wrapped(f"    {above}", " " * 10)
        lines += [f"      {line}" for line in setup]  # broken lines could not be typed
    if item["command"]:
        lines += _wrapped(f"    type: {clean(item['command'], _LIMIT)}", " " * 10)
    cost = clean(item["cost"], _LIMIT).rstrip(".")
    lines += _wrapped(f"    Costs: {cost}.", " " * 6)
    sure = ": ".join(filter(None, (clean(item["confidence"], 12), said.sources(item, plan))))
    return lines + _wrapped(f"    Confidence {sure}.", " " * 6)


# -- where ---------------------------------------------------------------------------------------


def _where(
    ranking: RankingJson, shown: Sequence[RegionJson | int], told: set[str], width: int
) -> list[Line]:
    """The places that are shown as a table; what is `told` is not said again."""
    of, what = clean(ranking["of"], 60), clean(ranking["said"], _LIMIT).partition(";")[0]
    places = [row for row in shown if not isinstance(row, int)]
    has_pue = len({row["pue"] for row in places}) > 1
    about = [text for text in (what, *([_PUE_SAID] if has_pue else [])) if text not in told]
    told |= {what, *about}
    of += ", cleanest first"
    lines = _wrapped(f"Where: {of} ({'; '.join(about) or 'figures as above'})", " " * 4)
    rows: list[tuple[str, ...]] = []
    ranks = {row["zone"]: str(rank) for rank, row in enumerate(ranking["rows"], 1)}
    reference = ranking["reference"]
    for row in shown:
        if isinstance(row, int):
            rows.append(("", f"… {words.counted(row, 'other')} …", *[""] * 5))
        else:
            rows.append(_row(row, ranking, ranks.get(row["zone"], "")))
    titles = ("", "place", "", "g/kWh", "PUE", "CO2e", "against here" if reference else "")
    table = [titles, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(titles))]
    # One PUE for all is in the notes, and an empty column says nothing.
    hidden = [*([] if has_pue else [_PUE]), *(c for c in (5, 6) if not any(r[c] for r in rows))]
    for column in hidden:
        widths[column] = 0
    taken = sum(width + len(_GAP) for width in widths if width)
    widths[_NAME] = max(0, widths[_NAME] - max(0, taken - width))
    for cells in table:
        columns = [
            clean(cell, wide).ljust(wide) if number in _WORDS else cell.rjust(wide)
            for number, (cell, wide) in enumerate(zip(cells, widths, strict=True))
            if wide
        ]
        lines.append(f"{_GAP}{_GAP.join(columns)}".rstrip())
    return lines


def _row(row: RegionJson, ranking: RankingJson, rank: str) -> tuple[str, ...]:
    carbon = row["carbon_g"]
    here = said.is_reference(row, ranking)
    return (
        rank,
        clean(row["zone"], _ZONE_ROOM),
        clean(row["name"], _NAME_ROOM),
        f"{row['g_per_kwh']:.0f}{' *' if row['note'] else ''}",
        units.plain(row["pue"]),
        "" if carbon is None else units.about(carbon["mid"], units.MASS_G),
        _HERE if here else said.compared(row),
    )


# -- when ----------------------------------------------------------------------------------------


def _when(plan: PlanJson, zone: tzinfo | None) -> list[Line]:
    """The best start and pauses, in the reader's time."""
    basis, start, pause = plan["basis"], plan["flexible_start"], plan["pause_resume"]
    if basis["kind"] == "none":
        why = "; ".join(clean(note, _LIMIT) for note in basis["notes"]) or "nothing is known ahead"
        return _wrapped(f"When: not planned, as {why}", " " * 4)
    made = said.local(plan["made"], zone)
    lines = _wrapped(f"When: {reach(plan, zone)}", " " * 4)
    if start is None and pause is None:
        return [*lines, *_wrapped("  no start is planned: see the notes", " " * 4)]
    if start is not None:
        begins = said.local(start["start"], zone)
        latest = said.clock(said.local(start["latest"], zone), made)
        if said.is_gain(start["saved_fraction"]):
            lines += _wrapped(
                f"  start at {said.clock(begins, made)} {said.zone_name(begins)}, of all up to "
                f"{latest}: {said.saved(start['saved_range'], start['carbon_g'])}"
                f"{said.of_start(start)}",
                " " * 4,
            )
        else:
            begin = f"at {asked}" if (asked := said.asked_start(plan, zone)) else "now"
            lines += _wrapped(f"  starting later, up to {latest}: no gain; start {begin}", " " * 4)
    if pause is not None:
        lines += _pauses(plan, zone)
    return lines


def reach(plan: PlanJson, zone: tzinfo | None) -> str:
    """What is planned over: "Forecast for Germany, … (average), until Tue 24 Nov, 22:00 CET"."""
    basis = plan["basis"]
    told = said.outlook(basis)
    if basis["to"] is not None:
        end = said.local(basis["to"], zone)
        told += f", until {said.clock(end, said.local(plan['made'], zone))} {said.zone_name(end)}"
    if basis["error"]:
        whose = clean(basis["error_source"] or "", 80)
        # An assumption says so here; whose it is stands in the HTML and the JSON.
        whose = "assumed" if basis["hindsight"] or whose.startswith("assumed:") else whose
        range_of = "the range is as of a forecast" if basis["hindsight"] else "taken as"
        told += f"; {range_of} right to ± {units.percent(basis['error'])}"
        told += f" ({whose})" if whose else ""
    return told


def _pauses(plan: PlanJson, zone: tzinfo | None) -> list[Line]:
    pause = plan["pause_resume"]
    if pause is None:
        return []
    made = said.local(plan["made"], zone)
    until = said.local(pause["until"], zone)
    done = f"done by {said.clock(until, made)} {said.zone_name(until)}"
    if not pause["pauses"] or not said.is_gain(pause["saved_fraction"]):
        none = f"no gain over running through{said.of_pauses(pause)}"
        return _wrapped(f"  pausing, {done}: {none}", " " * 4)
    runs = [
        f"{said.clock(begin, made)}–{said.clock(end, begin)}"
        for begin, end in ((said.local(a, zone), said.local(b, zone)) for a, b in pause["run"])
    ]
    more = f" and {len(runs) - _MOST_RUNS} more" if len(runs) > _MOST_RUNS else ""
    when = ", ".join(runs[:_MOST_RUNS]) + more
    count = said.pauses(pause["pauses"])
    saved = said.saved(pause["saved_range"], pause["carbon_g"]) + said.of_pauses(pause)
    return _wrapped(f"  {count}, {done}: run {when}; {saved}", " " * 4)


def _wrapped(line: str, indent: str = "  ") -> list[Line]:
    """A line that may be broken, and with what the parts of it begin that follow."""
    return [(line, indent)]


def _broken(line: Line, width: int) -> list[str]:
    """A line broken at spaces, but not between a number and its unit; a table's row as it is."""
    if isinstance(line, str):
        return [line]
    kept = _QUANTITY.sub("\N{NO-BREAK SPACE}", line[0])
    lines = wrap(kept, width, subsequent_indent=line[1], break_on_hyphens=False) or [line[0]]
    return [one.replace("\N{NO-BREAK SPACE}", " ") for one in lines]

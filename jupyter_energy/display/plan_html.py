"""The HTML of a plan: first what to do and what it saves, then when and where, the rest to open.

As html.py's, with `details` besides, which opens without a script; where it is sanitised away, its
words stay. The words are those of the text (plan.py).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import tzinfo
from itertools import islice

from .. import units
from ..json_shapes import RangeJson
from ..plain_text import clean
from ..plan.shapes import ItemJson, PlanJson, RankingJson, RegionJson
from . import grams, markup, plan_notes, words
from . import plan as in_text
from . import plan_words as said
from .words import Figure

_LIMIT = said.TEXT_LIMIT
# Of a ranking that is opened: every zone of the largest table, and no more if somebody made one.
_MOST_ROWS = 1000
_MOST_RUNS = 4
_PREDICTED = "predicted: the truth is expected within the range"
_CODE = "font-family:var(--jp-code-font-family, monospace);font-size:12px"
_TYPED = f"{_CODE};white-space:pre-wrap"  # a path may have two spaces in a row
_ITEM = "margin:6px 0"
_WIDE = "overflow-x:auto"
_SPANS = "left;min-width:13em"
_INDENTED = "padding-left:1.4em"


def html(plan: PlanJson, command: str = words.COMMAND, zone: tzinfo | None = None) -> str:
    """The plan as HTML; times are those of `zone`, by default the reader's own."""
    job = plan["job"]
    energies: tuple[Figure, ...] = ()
    head = f"<b>Plan for {markup.text(said.subject(plan))}</b>"
    if job is None:
        head += ": no job is known"
    else:
        energies = words.energies(job["measured_j"], job["estimated_j"])
        in_words = " and ".join(figure.text for figure in energies)
        told = [
            markup.joined(energies) if text == in_words else markup.text(text)
            for text in in_text.job_figures(job)
        ]
        from_where = clean(job["said"], _LIMIT)
        head += f": {', '.join(told)} {markup.faint(f'({from_where})')}"
    parts = [head, *(f"<b>{markup.text(line)}</b>" for line in plan_notes.first(plan, command))]
    earlier = [markup.faint(f"Earlier: {clean(kept['said'], _LIMIT)}") for kept in plan["kept"]]
    if plan_notes.is_small(plan):
        parts += [markup.faint(plan_notes.small_by(plan, command)), *earlier]
        return markup.box(parts, energies)
    parts += [*_advice(plan, zone), *_when(plan, command, zone)]
    rankings = said.rankings(plan)
    for ranking in rankings[:1]:  # the others can be opened below
        parts += _where(ranking, said.advised(plan))
    parts += earlier
    parts += [markup.faint(f"note: {note}") for note in plan_notes.notes(plan)]
    parts += _evidence(plan, zone)
    parts += [_every_row(ranking) for ranking in rankings]
    return markup.box(parts, energies)


# -- what to do ----------------------------------------------------------------------------------


def _advice(plan: PlanJson, zone: tzinfo | None) -> Iterator[str]:
    if not plan["advice"]:
        if plan["job"] is not None or plan["rankings"]:
            yield f"<b>{markup.text(said.NO_GAIN)}</b>"
        return
    for number, item in enumerate(plan["advice"], 1):
        yield _item(number, item, plan, zone)
    if len(plan["advice"]) > 1:
        yield markup.faint(said.EACH_ALONE)


def _item(number: int, item: ItemJson, plan: PlanJson, zone: tzinfo | None) -> str:
    saves = _predicted(said.share(item["saved_fraction"]))
    more = []
    if item["saved_g"] is not None:
        more.append(f"CO2e {_predicted(said.grams(item['saved_g']))}")
    if item["saved_j"] is not None:
        energy = units.estimated(words.range_of(item["saved_j"]))
        more.append(_predicted(energy))
    saves += f", or {' and '.join(more)}," if more else ""
    saves += f" {said.of_what(item)}"
    if by := said.by_what(item, plan):
        saves += f" ({markup.text(by)})"
    lines = [f"{number}. <b>{markup.text(said.change(item, plan, zone))}</b>: saves {saves}."]
    above, setup = said.setup(item)
    if setup:
        lines.append(markup.text(above))
        lines += [markup.span(line, _TYPED) for line in setup]
    if item["command"]:
        lines.append(f"type: {markup.span(clean(item['command'], _LIMIT), _CODE)}")
    cost, confidence = clean(item["cost"], _LIMIT).rstrip("."), clean(item["confidence"], 12)
    lines.append(markup.faint(f"Costs: {cost}. Confidence {confidence}."))
    first, *rest = (f"<div>{line}</div>" for line in lines)
    return f'<div style="{_ITEM}">{first}<div style="{_INDENTED}">{"".join(rest)}</div></div>'


# -- when ----------------------------------------------------------------------------------------


def _when(plan: PlanJson, command: str, zone: tzinfo | None) -> Iterator[str]:
    """Now, the best start and pauses as a table, and what they are planned over."""
    now, yearly = plan["run_now"]["carbon_g"], plan["run_now"]["yearly_g"]
    if yearly is not None:
        low, mid, high = yearly["low"], yearly["mid"], yearly["high"]
        if low is not None and mid is not None and high is not None:
            figure = _predicted(said.grams(RangeJson(low=low, mid=mid, high=high)))
            by = ", ".join(grams.basis(yearly, command))
            yield f"Run here: CO2e {figure} {markup.faint(f'by the yearly average: {by}')}"
    if why := plan_notes.two_figures(plan, "the table below"):
        yield markup.faint(f"({why})")
    if plan["basis"]["kind"] == "none":
        notes = (clean(note, _LIMIT) for note in plan["basis"]["notes"])
        yield markup.faint(f"When: not planned, as {'; '.join(notes) or 'nothing is known ahead'}")
        return
    start, pause, made = (
        plan["flexible_start"],
        plan["pause_resume"],
        said.local(plan["made"], zone),
    )
    asked = said.asked_start(plan, zone)
    rows = [("at once", "", now, "") if asked is None else ("as asked", asked, now, "")]
    if start is not None:
        latest = said.at(start["latest"], made, zone)
        if said.is_gain(start["saved_fraction"]):
            at = said.at(start["start"], made, zone)
            saves = said.share(start["saved_range"])
            told = f"{at}, of all up to {latest}{said.of_start(start)}"
            rows.append(("best start", told, start["carbon_g"], saves))
        else:
            told = f"{asked or 'now'}: up to {latest} there is no gain"
            rows.append(("best start", told, now, ""))
    if pause is not None:
        until = f"done by {said.at(pause['until'], made, zone)}"
        if pause["pauses"] and said.is_gain(pause["saved_fraction"]):
            spans = [(said.local(a, zone), said.local(b, zone)) for a, b in pause["run"]]
            runs = [f"{said.clock(a, made)}–{said.clock(b, a)}" for a, b in spans]
            more = f" and {len(runs) - _MOST_RUNS} more" if len(runs) > _MOST_RUNS else ""
            told = f"{', '.join(runs[:_MOST_RUNS])}{more}; {until}{said.of_pauses(pause)}"
            saves = said.share(pause["saved_range"])
            rows.append((said.pauses(pause["pauses"]), told, pause["carbon_g"], saves))
        else:
            told = f"{until}: no gain over running through{said.of_pauses(pause)}"
            rows.append(("pausing", told, now, ""))
    yield _table([_titles(("when", "", said.EMITS, "saves")), *(_way(*row) for row in rows)])
    yield markup.faint(in_text.reach(plan, zone))


def _way(name: str, told: str, carbon: RangeJson | None, saves: str) -> str:
    figure = markup.NONE if carbon is None else _predicted(said.grams(carbon))
    return (
        markup.td(markup.text(name), markup.NAME)
        + markup.td(markup.text(told), _SPANS)
        + markup.td(figure)
        + markup.td(_predicted(saves) if saves else "")
    )


# -- where ---------------------------------------------------------------------------------------


def _where(ranking: RankingJson, advised: Collection[str]) -> Iterator[str]:
    """The cleanest places, the one that is `advised`, here and the last one."""
    lines = [_titles(("where", "", "g/kWh", "PUE", "CO2e", "against here"))]
    for row in said.shown_rows(ranking, advised=advised):
        if isinstance(row, int):
            others = markup.faint(f"… {words.counted(row, 'other')} …")
            lines.append(markup.td(others, markup.NAME) + markup.td("") * 5)
        else:
            lines.append(_place(row, ranking))
    yield _table(lines)
    yield markup.faint(f"{clean(ranking['of'], 60)}: {clean(ranking['said'], _LIMIT)}")


def _place(row: RegionJson, ranking: RankingJson) -> str:
    carbon, here = row["carbon_g"], said.is_reference(row, ranking)
    mid = "" if carbon is None else units.about(carbon["mid"], units.MASS_G)
    name, against = markup.text(clean(row["name"], 40)), markup.text(said.compared(row))
    return (
        markup.td(f"<b>{name}</b>" if here else name, markup.NAME)
        + markup.td(markup.text(clean(row["zone"], said.ZONE_LIMIT)), markup.NAME)
        + markup.td(f"{row['g_per_kwh']:.0f}{' *' if row['note'] else ''}")
        + markup.td(markup.text(units.plain(row["pue"])))
        + markup.td(_predicted(mid, "" if carbon is None else said.grams(carbon)) if mid else "")
        + markup.td("<b>here</b>" if here else against, markup.NAME)
    )


# -- to be opened --------------------------------------------------------------------------------


def _evidence(plan: PlanJson, zone: tzinfo | None) -> Iterator[str]:
    """Whose findings the advice rests on."""
    if not plan["advice"]:
        return
    lines = [
        f"<div>{number}. {markup.text(said.change(item, plan, zone))}: "
        f"{markup.faint(clean(item['evidence'], said.CHANGE_LIMIT * 2))}</div>"
        for number, item in enumerate(plan["advice"], 1)
    ]
    if plan["basis"]["error"] and (whose := clean(plan["basis"]["error_source"] or "", _LIMIT)):
        error = f"± {units.percent(plan['basis']['error'])}"
        lines.append(f"<div>{markup.faint(f'{error}: {whose}')}</div>")
    yield _opened("What this rests on", "".join(lines))


def _every_row(ranking: RankingJson) -> str:
    """The whole ranking, light: one of grid zones has 350 rows, and is kept with the notebook."""
    rows = said.ranked(ranking)
    ranks = {row["zone"]: f"{rank}" for rank, row in enumerate(ranking["rows"], 1)}
    lines = [
        f"<tr>{_light(ranks.get(row['zone'], ''), row, ranking)}</tr>"
        for row in islice(rows, _MOST_ROWS)
    ]
    left_out = len(rows) - len(lines)
    more = f"<div>and {left_out} more, by --json</div>" if left_out > 0 else ""
    table = f'<div style="{_WIDE}"><table style="font-size:12px">{"".join(lines)}</table></div>'
    ranked = len(ranking["rows"])
    here = ", and here" if len(rows) > ranked else ""
    return _opened(f"All {ranked}: {clean(ranking['of'], 60)}{here}", table + more)


def _light(rank: str, row: RegionJson, ranking: RankingJson) -> str:
    carbon, pue = row["carbon_g"], units.plain(row["pue"])
    cells = (
        f"{units.intensity(row['g_per_kwh'])}{'' if row['pue'] == 1 else f' × {pue}'}",
        "" if carbon is None else units.about(carbon["mid"], units.MASS_G),
        "here" if said.is_reference(row, ranking) else said.compared(row),
    )
    # JupyterLab sets what is in a table to the right.
    place = f'<td style="text-align:left">{markup.text(said.place_name(row))}</td>'
    return f"<td>{rank}</td>{place}" + "".join(f"<td>{markup.text(text)}</td>" for text in cells)


def _opened(title: str, inner: str) -> str:
    return f"<details><summary>{markup.text(title)}</summary>{inner}</details>"


def _predicted(text: str, detail: str = _PREDICTED) -> str:
    return markup.figure(Figure(text, "estimated", detail))


def _titles(titles: Sequence[str]) -> str:
    left = ("when", "where", "against here", "")
    return "".join(
        markup.td(
            f"<b>{title}</b>" if title else "", markup.NAME if title in left else markup.RIGHT
        )
        for title in titles
    )


def _table(rows: Sequence[str]) -> str:
    """A table that a narrow page can move sideways."""
    return f'<div style="{_WIDE}">{markup.table(rows)}</div>'

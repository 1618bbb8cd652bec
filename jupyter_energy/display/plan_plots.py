"""The pictures of a plan: what is ahead with the runs on it, places ranked, what changes save.

matplotlib is imported when one is drawn, and never pyplot. Every colour in it is set here: a user's
style must not make it unreadable. In a file it is dark on white; on a page, whose colour nobody
knows, it has no paper, and an ink that reads on white as on black.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import TYPE_CHECKING, Any

from .. import units
from ..json_shapes import RangeJson
from ..plain_text import clean
from ..plan.shapes import PlanJson, RankingJson, RegionJson, SlotsJson
from . import plan_marks as marks
from . import plan_words as words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WIDTH_IN = 6.4
_MORE = "#C8C8C8"  # places where the job would emit more
_SMALL, _TEXT = 7.5, 8.5


@dataclass(frozen=True, slots=True)
class Look:
    """The colours of words and lines, and of what lies behind them."""

    ink: str
    paper: str


IN_FILE, ON_PAGE = Look("#222222", "white"), Look("#757575", "none")


def figure(plan: PlanJson, zone: tzinfo | None = None, look: Look = IN_FILE) -> Figure | None:
    """A figure of up to three panels, those that have something to show; None of nothing.

    Times are those of `zone`, by default the reader's own.
    """
    from matplotlib.figure import Figure

    panels: list[tuple[float, Callable[[Any], None]]] = []
    slots = plan["slots"]
    if slots is not None and marks.known(slots):
        lanes = marks.ways(plan)
        height = 1.9 + 0.22 * len(lanes)
        panels.append((height, lambda space: _outlook(space, plan, slots, lanes, zone, look)))
    rankings = words.rankings(plan)
    if rankings:
        ranking, rows = rankings[0], words.shown_rows(rankings[0], advised=words.advised(plan))
        panels.append((1.1 + 0.21 * len(rows), lambda space: _regions(space, ranking, rows, look)))
    changes = marks.changes(plan, zone)
    if changes:
        height = 0.8 + 0.36 * len(changes)
        idle = any(item["what"] == "idle" for item in plan["advice"])
        panels.append((height, lambda space: _savings(space, changes, idle, look)))
    if not panels:
        return None
    heights = [height for height, _ in panels]
    whole = Figure(figsize=(_WIDTH_IN, sum(heights)), layout="constrained", facecolor=look.paper)
    spaces = whole.subfigures(len(panels), 1, height_ratios=heights, squeeze=False)
    for space, (_, draw) in zip(spaces[:, 0], panels, strict=True):
        space.set_facecolor(look.paper)
        draw(space)
    return whole


def _outlook(
    space: Any,
    plan: PlanJson,
    slots: SlotsJson,
    lanes: Sequence[marks.Lane],
    zone: tzinfo | None,
    look: Look,
) -> None:
    """The carbon intensity ahead, and below it a lane for each way to run the job."""
    upper, lower = (
        space.subplots(
            2, 1, sharex=True, height_ratios=[1.25, 0.24 * len(lanes) + 0.02], squeeze=False
        )[:, 0]
        if lanes
        else (space.subplots(), None)
    )
    step_h = slots["slot_s"] / 3600
    edges = [i * step_h for i in range(len(slots["g_per_kwh"]) + 1)]
    values = [math.nan if v is None else v for v in slots["g_per_kwh"]]
    values.append(values[-1])
    _plain(upper, look)
    upper.step(edges, values, where="post", color=look.ink, linewidth=1.3)
    # Values that have happened are what they are: the error is that of a forecast of them.
    error = None if plan["basis"]["hindsight"] else plan["basis"]["error"]
    label = ""
    if error:
        low, high = ([v * (1 + side * error) for v in values] for side in (-1, 1))
        upper.fill_between(edges, low, high, step="post", color=look.ink, alpha=0.15, linewidth=0)
        label = f", ± {error * 100:.0f} % shaded"
    for lane in lanes[1:][-1:] or lanes[:1]:
        for a, b in lane.runs_h:
            upper.axvspan(a, b, color=lane.colour, alpha=0.14, linewidth=0)
    top = max(marks.known(slots)) * (1 + (error or 0))
    upper.set_ylim(0, top * 1.08 or 1)
    upper.set_xlim(0, edges[-1])
    upper.set_ylabel("g/kWh", color=look.ink, fontsize=_TEXT)
    _title(upper, f"{words.outlook(plan['basis'])}{label}", look)
    begin, end = marks.begin_and_end(slots, zone)
    below = upper
    if lower is not None:
        below = lower
        upper.tick_params(labelbottom=False)
        _plain(lower, look)
        lower.spines["left"].set_visible(False)
        for row, lane in enumerate(lanes):
            spans = [(a, b - a) for a, b in lane.runs_h]
            lower.broken_barh(spans, (row - 0.32, 0.64), facecolor=lane.colour, linewidth=0)
        lower.set_ylim(len(lanes) - 0.5, -0.5)
        lower.set_yticks(range(len(lanes)), [lane.name for lane in lanes])
        lower.tick_params(axis="y", length=0)
    ticks = marks.ticks(begin, end, zone)
    below.set_xticks([at for at, _ in ticks], [text for _, text in ticks])
    below.set_xlabel(
        f"local time, {marks.local_time(plan, begin, end, zone)}", color=look.ink, fontsize=_TEXT
    )


def _regions(
    space: Any, ranking: RankingJson, rows: Sequence[RegionJson | int], look: Look
) -> None:
    """What the job would be at each place, cleanest on top; a row of dots for those left out."""
    axes = space.subplots()
    _plain(axes, look)
    places = [row for row in rows if not isinstance(row, int)]
    known = all(row["carbon_g"] is not None for row in places)
    tops = [row["carbon_g"]["high"] for row in places if row["carbon_g"] is not None]
    size, symbol = units.scale_for(max(tops), units.MASS_G) if known and tops else (1.0, "g/kWh")
    doubted = words.doubted(ranking)
    doubt = any(row["zone"] in doubted for row in places)
    longest, names = 0.0, []
    for y, row in enumerate(rows):
        if isinstance(row, int):
            names.append(f"… {row} others …")
            continue
        # In tables a star is said of average and marginal.
        names.append(_name(row) + (" †" if row["zone"] in doubted else ""))
        here, saved = words.is_reference(row, ranking), row["saved_fraction"]
        colour = marks.NOW if here else marks.START if saved is None or saved > 0 else _MORE
        value, end, error = row["g_per_kwh"] * row["pue"], row["g_per_kwh"] * row["pue"], None
        if known and row["carbon_g"] is not None:
            one = row["carbon_g"]
            value, end = one["mid"] / size, one["high"] / size
            error = [[(one["mid"] - one["low"]) / size], [(one["high"] - one["mid"]) / size]]
        axes.barh(y, value, 0.68, color=colour, xerr=error, ecolor=look.ink, capsize=1.5)
        text = axes.text(end, y, f"  {marks.beside(row, ranking)}", va="center", fontsize=_SMALL)
        text.set_color(look.ink)
        text.set_fontweight("bold" if here else "normal")
        longest = max(longest, end)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    # Room for the words at the end of the longest bar.
    axes.set_xlim(0, longest * 1.5 or 1)
    axes.set_yticks(range(len(rows)), names, parse_math=False)
    axes.tick_params(axis="y", length=0)
    dagger = "; † with a PUE that is not the place's own" if doubt else ""
    what = f"CO2e ({symbol})" if known and tops else "g/kWh, times PUE"
    kind = f", {clean(ranking['kind'], 12)}" if ranking["kind"] else ""
    source = "\n".join(textwrap.wrap(clean(ranking["said"].partition(";")[0], 200), 70))
    axes.set_xlabel(
        f"{what}{kind}{dagger}\n{source}", color=look.ink, fontsize=_TEXT, parse_math=False
    )
    _title(axes, f"The same job elsewhere: {clean(ranking['of'], 40)}", look)


def _savings(
    space: Any, changes: Sequence[tuple[str, RangeJson]], has_idle: bool, look: Look
) -> None:
    """What each change saves: its middle as a point, its range as a line."""
    axes = space.subplots()
    _plain(axes, look)
    for y, (_, value) in enumerate(changes):
        low, mid, high = (value[key] * 100 for key in ("low", "mid", "high"))
        axes.plot([low, high], [y, y], color=marks.START, linewidth=2.2, solid_capstyle="butt")
        axes.plot([mid], [y], "o", color=marks.START, markersize=5)
        text = axes.text(high, y, f"  {words.share(value)}", va="center", fontsize=_SMALL)
        text.set_color(look.ink)
    names = [_two_lines(name) for name, _ in changes]
    axes.set_ylim(len(changes) - 0.5, -0.5)
    axes.set_yticks(range(len(changes)), names, parse_math=False)
    axes.tick_params(axis="y", length=0)
    low = min(0.0, *(100 * value["low"] for _, value in changes))
    high = max(100 * value["high"] for _, value in changes)
    axes.set_xlim(low, low + (high - low) * 1.42 or 1)
    axes.set_xticks([at for at in axes.get_xticks() if low <= at <= 100])
    # What is right of it has room for words alone: no share is more than all.
    axes.spines["bottom"].set_bounds(low, min(axes.get_xlim()[1], 100))
    # An idle kernel's saving is of no run (plan_words.of_what).
    of = words.OF_THIS_RUN + ("\n(idle: to this notebook)" if has_idle else "")
    axes.set_xlabel(f"% {of}; they do not add up", color=look.ink, fontsize=_TEXT)
    _title(axes, "What each change would save", look)


def _name(row: RegionJson) -> str:
    return clean(row["name"], 30) or clean(row["zone"], 30)


def _two_lines(said: str) -> str:
    return "\n".join(textwrap.wrap(said, 38, max_lines=2, placeholder=" …", break_on_hyphens=False))


def _plain(axes: Any, look: Look) -> None:
    axes.set_facecolor(look.paper)
    axes.tick_params(colors=look.ink, labelsize=_SMALL)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(look.ink)


def _title(axes: Any, text: str, look: Look) -> None:
    said = "\n".join(textwrap.wrap(text, 84))
    axes.set_title(said, loc="left", color=look.ink, fontsize=_TEXT, parse_math=False)

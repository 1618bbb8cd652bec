"""The words for a cell's figures, chosen once for plain text and for HTML.

Each figure comes with its look: measured, estimated, computed (CO2e of measured energy) or
unknown. An estimate is always `≈`, with a
range and the word "estimated" near it; what is not known has a reason and never a number.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from .. import units
from ..model import APART, CONTAINED_IN
from ..schema import CarbonJson, CellJson, DomainJson, RangeJson, TotalsJson, ValueJson
from ..uncertainty import COVERAGE_FACTOR_95, Range, Uncertain

Look = Literal["measured", "estimated", "computed", "unknown"]

NAME_LIMIT = 40
REASON_LIMIT = 160
COMMAND = "%energy"  # how commands are written in a notebook; in a shell "jupyter energy"
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_ELLIPSIS = "…"

_LABELS = {
    "gpu": "GPU",
    "package": "CPU",
    "cpu": "CPU",
    "core": "CPU cores",
    "uncore": "CPU uncore",
    "dram": "memory",
    "memory": "memory",
    "module": "module",
    "machine": "machine",
    "psys": "platform",
}
_PROVENANCES = {"integrated": "integrated from power"}
_SCOPES = {"device": "whole device", "board": "whole board", "process": "this process"}
_OUTCOMES = {
    "error": "ended by an error",
    "interrupted": "interrupted",
    "lost": "lost: the kernel stopped before the cell ended",
}
# From here on the machine was this kernel's alone (measuring.md 5.2).
_ALONE = 0.95


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure as text, its look, and what a pointer that rests on it is told."""

    text: str
    look: Look
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One device: its label and name, energy, mean power, and where the figures come from."""

    label: str
    name: str
    energy: Figure
    mean: Figure | None
    note: str


@dataclass(frozen=True, slots=True)
class CarbonLine:
    """One figure of CO2e and, in words, the factor it was made with."""

    title: str
    figure: Figure
    basis: str


def clean(text: str, limit: int = NAME_LIMIT) -> str:
    """Somebody else's text on one line, at most `limit` characters, safe to lay out.

    Control and format characters (among them U+202E, which turns the rest of a line around),
    line ends and lone surrogates become U+FFFD, so that one sees that something was there.
    """
    shown = (
        " " if c.isspace() else _REPLACEMENT if unicodedata.category(c)[0] == "C" else c
        for c in text[: 8 * limit]
    )
    line = " ".join("".join(shown).split())
    if len(line) > limit or len(text) > 8 * limit:
        return line[: limit - 1].rstrip() + _ELLIPSIS
    return line


def counted(number: int, noun: str) -> str:
    """A count with its noun: "1 run", "3 runs"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def uncertain(value: ValueJson) -> Uncertain:
    """A measurement of the JSON as a value with its uncertainty in all."""
    return Uncertain(value["value"], 0.0, value["u95"] / COVERAGE_FACTOR_95)


def range_of(value: RangeJson) -> Range:
    """An estimate of the JSON as a range."""
    return Range(value["low"], value["mid"], value["high"])


def cell_name(cell: CellJson, limit: int = NAME_LIMIT) -> str:
    """What a person knows the cell by: its name, else [execution count], else its id."""
    if cell["name"]:
        return clean(cell["name"], limit)
    if cell["execution_count"] is not None:
        return f"[{cell['execution_count']}]"
    return clean(cell["cell_id"], min(limit, 12)) if cell["cell_id"] else "unnamed"


def measured_figure(value: ValueJson) -> Figure:
    """Measured energy, for example "412 ± 21 J" or "< 1.2 J"."""
    repeat = Uncertain(value["value"], value["u95_repeat"] / COVERAGE_FACTOR_95)
    between = units.measured(repeat)
    detail = f"95 % interval, sensor gain included; between runs on this machine {between}"
    return Figure(units.measured(uncertain(value)), "measured", detail)


def estimated_figure(value: RangeJson) -> Figure:
    """Estimated energy, for example "≈ 12 J (6.0–24 J)"."""
    return Figure(
        units.estimated(range_of(value)),
        "estimated",
        "estimated without a sensor: the truth is expected within the range",
    )


def mean_power(cell: CellJson) -> Figure | None:
    """Mean power over the cell: of what was measured, else of the estimate, else None."""
    return _mean(cell["average_w"], cell["measured_j"], cell["duration_s"])


def _mean(watts: float | None, measured: ValueJson | None, duration_s: float) -> Figure | None:
    if watts is None or duration_s <= 0:
        return None
    if measured is None:
        return Figure(units.about(watts, units.POWER_W), "estimated")
    energy = uncertain(measured)
    if energy.value < energy.u95:  # below resolution: a bound, as for the energy itself
        return Figure(units.measured(energy.scaled(1 / duration_s), units.POWER_W), "measured")
    return Figure(units.quantity(watts, units.POWER_W), "measured")


def mean_words(cell: CellJson) -> str:
    """Mean and peak power in brackets, or nothing: " (mean 103 W, peak 310 W)"."""
    mean = mean_power(cell)
    if mean is None:
        return ""
    peak = cell["peak_w"]
    peak_text = "" if peak is None else f", peak {units.quantity(peak, units.POWER_W)}"
    return f" (mean {mean.text}{peak_text})"


def ending(cell: CellJson) -> str:
    """How long the cell took, over how many runs, and how it ended if not well."""
    time = units.duration(cell["duration_s"])
    runs = "" if cell["runs"] == 1 else f" over {counted(cell['runs'], 'run')}"
    outcome = _OUTCOMES.get(cell["outcome"])
    return f" in {time}{runs}" + (f", {outcome}" if outcome else "")


def rows(cell: CellJson, command: str = COMMAND) -> tuple[Row, ...]:
    """One row a device, in the order of the cell."""
    domains = cell["domains"]
    many = Counter(d["kind"] for d in domains)
    present = {d["kind"] for d in domains if d["energy_j"] is not None}
    return tuple(
        _row(d, cell["duration_s"], many[d["kind"]] > 1, present, command) for d in domains
    )


def _row(
    domain: DomainJson, duration_s: float, several: bool, present: set[str], command: str
) -> Row:
    kind = domain["kind"]
    label = _LABELS.get(kind, clean(kind, 20))
    if several or kind == "gpu":
        label = f"{label} {domain['index']}"
    name = _without_label(clean(domain["name"], 28), kind)
    energy, watts = _energy_of(domain, duration_s)
    reason = _reason(domain["reason"], command)
    if energy is None:
        return Row(label, name, Figure(f"{units.NOT_MEASURED}: {reason}", "unknown"), None, "")
    provenance = domain["provenance"]
    notes = [_PROVENANCES.get(provenance, clean(provenance, 20)), _SCOPES.get(domain["scope"], "")]
    if domain["coverage"] < 0.995:
        notes.append(f"saw {units.percent(domain['coverage'])} of the time")
    inside = present.intersection(CONTAINED_IN.get(kind, ()))
    if inside:
        notes.append(f"part of {_LABELS.get(min(inside), min(inside))}, not added")
    elif kind in APART:
        notes.append("not added")
    source = clean(domain["source"].removeprefix("estimate:"))
    note = f"{', '.join(n for n in notes if n)} ({source})"
    if energy.look == "estimated" and domain["reason"]:
        note += f"; {units.NOT_MEASURED}: {reason}"
    return Row(label, name, energy, watts, note)


def _without_label(name: str, kind: str) -> str:
    """A device's name less what its label says: "CPU (8 threads)" beside "CPU" is "(8 threads)"."""
    folded = name.casefold()
    if folded.startswith("package"):  # powercap's own names are the kinds, with a number
        return ""
    for word in (_LABELS.get(kind, kind).casefold(), kind.casefold()):
        if folded.startswith(word):
            rest = name[len(word) :].strip()
            return "" if rest.isdecimal() else rest
    return name


def _energy_of(domain: DomainJson, duration_s: float) -> tuple[Figure | None, Figure | None]:
    """A device's energy and mean power, or (None, None) where nothing is known."""
    energy_j = domain["energy_j"]
    if energy_j is not None:
        u95 = domain["u95_j"] or 0.0
        value = ValueJson(value=energy_j, u95_repeat=u95, u95=u95)
        watts = energy_j / duration_s if duration_s > 0 else None
        energy = Figure(units.measured(uncertain(value)), "measured")
        return energy, _mean(watts, value, duration_s)
    low, mid, high = domain["low_j"], domain["mid_j"], domain["high_j"]
    if low is None or mid is None or high is None:
        return None, None
    watts = mid / duration_s if duration_s > 0 else None
    return estimated_figure(RangeJson(low=low, mid=mid, high=high)), _mean(watts, None, duration_s)


def _reason(reason: str | None, command: str) -> str:
    """Why a device has no measurement, and where the remedy is."""
    text = clean(reason, REASON_LIMIT) if reason else "no reason was recorded"
    return text if "doctor" in text else f"{text} (see {command} doctor)"


def carbon_lines(
    carbon: CarbonJson | None, energy_known: bool, command: str = COMMAND
) -> tuple[CarbonLine, ...]:
    """CO2e with its place, factor, kind, source and year; one line a kind of intensity."""
    if carbon is None:
        why = (
            f"no carbon intensity is known; set your place with {command} zone FR"
            if energy_known
            else "no energy was measured or estimated"
        )
        return (CarbonLine("CO2e", Figure("not known", "unknown"), why),)
    if carbon["parts"]:
        # Average and marginal factors answer different questions, and are never added.
        return tuple(_carbon_line(p, f"CO2e ({p['kind']})", command) for p in carbon["parts"])
    return (_carbon_line(carbon, "CO2e", command),)


def carbon_short(carbon: CarbonJson | None) -> Figure | None:
    """CO2e for a narrow column, "≈ 5.0 mg"; None where it is unknown."""
    if carbon is None or carbon["mid"] is None:
        return None
    return Figure(units.about(carbon["mid"], units.MASS_G), _carbon_look(carbon))


def _carbon_look(carbon: CarbonJson) -> Look:
    """Grams are never measured; an estimate or an assumed place makes them estimated."""
    return "estimated" if carbon["estimated_share"] or carbon["assumed"] else "computed"


def _carbon_line(carbon: CarbonJson, title: str, command: str) -> CarbonLine:
    low, mid, high = carbon["low"], carbon["mid"], carbon["high"]
    if low is None or mid is None or high is None:
        return CarbonLine(title, Figure("not known", "unknown"), "no carbon intensity is known")
    share = carbon["estimated_share"] or 0.0
    figure = Figure(
        units.estimated(Range(low, mid, high), units.MASS_G),
        _carbon_look(carbon),
        clean(f"place: {carbon['how']}", REASON_LIMIT) if carbon["how"] else "",
    )
    zone, place = clean(carbon["zone"] or "", 30), clean(carbon["place"] or "", 30)
    where = (
        f"{place} ({zone})"
        if place and zone.casefold() not in ("", place.casefold())
        else place or zone or "?"
    )
    if carbon["assumed"]:
        where = f"place assumed (set yours: {command} zone FR): {where}"
    parts = [where]
    if carbon["g_per_kwh"] is not None:
        factor = units.intensity(carbon["g_per_kwh"])
        parts.append(f"{factor} {clean(carbon['kind'], 20)}" if carbon["kind"] else factor)
    if carbon["pue"] is not None and carbon["pue"] != 1.0:
        parts.append(f"PUE {units.plain(carbon['pue'])}")
    if carbon["source"]:
        year = "" if carbon["year"] is None else f" {carbon['year']}"
        parts.append(f"{clean(carbon['source'], 40)}{year}")
    if share > 0:
        parts.append(
            "all from estimates" if share >= 1 else f"{units.percent(share)} of it from estimates"
        )
    return CarbonLine(title, figure, ", ".join(parts))


def remarks(cell: CellJson) -> tuple[str, ...]:
    """What else must be said about a cell: its share of a shared machine, idle, warnings."""
    said: list[str] = []
    if cell["above_idle_j"] is not None:
        said.append(f"above idle: {units.measured(uncertain(cell['above_idle_j']))}")
    share = cell["kernel_share"]
    if share is not None and share < _ALONE:
        said.append(f"{units.percent(share)} of the machine's CPU time was this kernel's")
    said.extend(f"note: {clean(w, REASON_LIMIT)}" for w in cell["warnings"])
    return tuple(said)


def shares(
    cells: Sequence[CellJson], measured: ValueJson | None, estimated: RangeJson | None
) -> tuple[Figure | None, ...]:
    """Each cell's share of the measured total, else of the estimated total and saying so."""
    return tuple(_share(c, measured, estimated) for c in cells)


def _share(
    cell: CellJson, measured: ValueJson | None, estimated: RangeJson | None
) -> Figure | None:
    if cell["measured_j"] is not None and measured is not None and measured["value"] > 0:
        part = cell["measured_j"]["value"] / measured["value"]
        return Figure(units.percent(part), "measured")
    if cell["estimated_j"] is not None and estimated is not None and estimated["mid"] > 0:
        part = cell["estimated_j"]["mid"] / estimated["mid"]
        return Figure(f"{units.percent(part)} est.", "estimated")
    return None


def energies(
    measured: ValueJson | None, estimated: RangeJson | None, power: str = ""
) -> tuple[Figure, ...]:
    """Measured and estimated energy side by side; never their sum.

    `power`, from `mean_words`, follows the figure that the mean power was computed from.
    """
    found: list[Figure] = []
    if measured is not None:
        figure = measured_figure(measured)
        found.append(Figure(f"{figure.text} measured{power}", figure.look, figure.detail))
    if estimated is not None:
        figure, power = estimated_figure(estimated), "" if found else power
        found.append(Figure(f"{figure.text} estimated{power}", figure.look, figure.detail))
    return tuple(found) or (Figure(f"energy {units.NOT_MEASURED}", "unknown"),)


def span(totals: TotalsJson) -> str:
    """What a notebook's totals are over: " in 1 min 12 s, 12 runs of 8 cells"."""
    runs, cells = counted(totals["runs"], "run"), counted(totals["cells"], "cell")
    stopped = totals["interrupted"]
    ended = f", {counted(stopped, 'run')} interrupted" if stopped else ""
    return f" in {units.duration(totals['duration_s'])}, {runs} of {cells}{ended}"


NOTHING_YET = "Nothing measured yet. Put %%energy on the first line of a cell, or type %energy on."
LEGEND_MEASURED = "± is the 95 % interval."
LEGEND_ESTIMATED = (
    "≈ is estimated without a sensor; the truth is expected within the range. "
    "est.: share of the estimated total."
)


def legend(totals: TotalsJson) -> str:
    """What the signs in a summary mean; only those that occur."""
    said = [LEGEND_MEASURED] if totals["measured_j"] is not None else []
    if totals["estimated_j"] is not None:
        said.append(LEGEND_ESTIMATED)
    return " ".join(said)

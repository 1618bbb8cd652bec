"""The words for a cell's figures, chosen once for plain text and for HTML.

Each figure comes with its look: measured, estimated, computed (CO2e of measured energy) or
unknown. An estimate is always `≈`, with a
range and the word "estimated" near it; what is not known has a reason and never a number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from .. import units
from ..attribution import ALONE, BY_CPU_TIME
from ..json_shapes import BaselineJson, DomainJson
from ..missing import ACCELERATORS, MOST_TOLD
from ..model import APART
from ..plain_text import NAME_LIMIT, clean
from ..schema import CellJson, RangeJson, SummaryJson, TotalsJson, ValueJson
from ..sensors.nvidia_pci import ASLEEP
from ..uncertainty import COVERAGE_FACTOR_95, Range, Uncertain
from . import shifts

Look = Literal["measured", "estimated", "computed", "unknown"]

REASON_LIMIT = 160
WHY_LIMIT = 400  # why there is nothing at all, which names a file
COMMAND = "%energy"  # how commands are written in a notebook; in a shell "jupyter energy"
STAR = " *"  # behind a figure that a device is missing in
INSIDE = "↳ "  # before the name of a row whose energy is part of another row's
LEAST_S = 1e-9  # the clock counts nanoseconds: in less, nothing has a mean
# CPU time, which estimates are made from, is told in ticks of this (time(7): USER_HZ is 100).
TICK_S = 0.01
# A wait for the GPU is told from this share of the cell's time on.
_LEAST_WAIT = 0.01
# An interval between runs that is this much of the whole one says nothing new.
_MOSTLY = 0.9

_OUTCOMES = {
    "error": "ended by an error",
    "interrupted": "interrupted",
    "lost": "lost: the kernel stopped before the cell ended",
}
_ALL_SEEN = 0.99


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure as text, its look, and what a pointer that rests on it is told."""

    text: str
    look: Look
    detail: str = ""


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
    """What a person knows the cell by: its name, else [execution count], else its id.

    With ↳ before it where the cell lies inside another.
    """
    mark = INSIDE if cell["inside"] else ""
    limit -= len(mark)
    if cell["name"]:
        return mark + clean(cell["name"], limit)
    if cell["execution_count"] is not None:
        return f"{mark}[{cell['execution_count']}]"
    return mark + (clean(cell["cell_id"], min(limit, 12)) if cell["cell_id"] else "unnamed")


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
    return mean_of(cell["average_w"], cell["measured_j"], cell["duration_s"])


def mean_of(watts: float | None, measured: ValueJson | None, duration_s: float) -> Figure | None:
    """Mean power in W as a figure: measured (a bound below resolution), estimated, or None.

    Estimates have none in less than a tick, or where their middle is nothing: that is a bound.
    """
    if watts is None or duration_s < LEAST_S:
        return None
    if measured is None:
        if duration_s < TICK_S or watts <= 0:
            return None
        return Figure(units.about(watts, units.POWER_W), "estimated")
    energy = uncertain(measured)
    # By the mean that was computed: it may be over a part of the runs.
    factor = watts / energy.value if energy.value > 0 else 1 / duration_s
    if not factor * max(energy.value, energy.u95) < math.inf:
        return None
    power = energy.scaled(factor)
    return Figure(units.measured_alone(power, units.POWER_W), "measured")


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
    waited_s, waited = cell["waited_s"], ""
    if waited_s is not None and waited_s >= _LEAST_WAIT * cell["duration_s"]:
        waited = f" ({units.duration(waited_s)} of it waiting for the GPU to end)"
    outcome = _OUTCOMES.get(cell["outcome"])
    missed = "".join(f", {label} not measured" for label in unmeasured(cell))
    return f" in {time}{waited}{runs}" + (f", {outcome}" if outcome else "") + missed


def unmeasured(cell: CellJson) -> list[str]:
    """The devices that a cell's headline leaves out though they draw power: "GPU 0"."""
    if cell["measured_j"] is None and cell["estimated_j"] is None:
        return []  # it says so itself
    known = {d["kind"] for d in cell["domains"] if d["energy_j"] is not None} - APART
    return [
        f"{'GPU' if d['kind'] == 'gpu' else clean(d['kind'], 20)} {d['index']}"
        for d in cell["domains"]
        if d["energy_j"] is None
        and d["low_j"] is None
        and d["reason"] != ASLEEP
        and (d["kind"] in ACCELERATORS or d["kind"] in known)
    ][:MOST_TOLD]


def measured_cell(cell: CellJson) -> Figure | None:
    """A cell's measured energy for a table, with a star where a device is missing in it."""
    if cell["measured_j"] is None:
        return None
    figure = measured_figure(cell["measured_j"])
    return (
        Figure(f"{figure.text}{STAR}", figure.look, figure.detail) if unmeasured(cell) else figure
    )


def one_run(cell: CellJson) -> tuple[tuple[Figure, ...], str] | None:
    """What one run of a repeated body drew, and what the figures are of; None where none was.

    "12.30 ± 0.61 J a run measured", " in 0.51 s (± 0.20 J on this machine; mean of 20 runs …)".
    """
    repeats = cell["repeats"]
    if repeats is None:
        return None
    measured, estimated = repeats["measured_j"], repeats["estimated_j"]
    found, basis = [], []
    if measured is not None:
        figure = measured_figure(measured)
        detail = figure.detail + (
            "; about 95 %, since the runs ended when it was narrow" if repeats["auto"] else ""
        )
        found.append(Figure(f"{figure.text} a run measured", figure.look, detail))
        if 0 < measured["u95_repeat"] <= measured["value"]:
            around = units.quantity(measured["u95_repeat"], units.ENERGY_J, 2)
            basis.append(f"± {around} between runs on this machine")
    if estimated is not None:
        figure = estimated_figure(estimated)
        found.append(Figure(f"{figure.text} a run estimated", figure.look, figure.detail))
    runs = counted(repeats["runs"], "run")
    basis.append(f"mean of {runs} in {counted(repeats['blocks'], 'block')}")
    # Below what the sensor can tell, figures of single blocks say nothing.
    tells = measured is None or measured["value"] > measured["u95"]
    if repeats["median_j"] is not None and tells:
        basis.append(f"median {units.quantity(repeats['median_j'], units.ENERGY_J)}")
    first = units.duration(repeats["first_run_s"])
    if repeats["first_j"] is not None and tells and repeats["first_j"] > 0:
        first = units.quantity(repeats["first_j"], units.ENERGY_J)
    left_out = counted(repeats["first_runs"], "run")
    basis.append(f"first block of {left_out}, {first} a run, left out")
    figures = tuple(found) or (Figure(f"energy {units.NOT_MEASURED}", "unknown"),)
    return figures, f" in {units.duration(repeats['run_s'])} ({'; '.join(basis)})"


def remarks(cell: CellJson) -> tuple[str, ...]:
    """What else must be said about a cell: its share of a shared machine, idle, warnings."""
    said: list[str] = []
    measured = cell["measured_j"]
    if measured is not None and cell["repeats"] is None:
        said += _between_runs(measured)
    if cell["above_idle_j"] is not None:
        above = units.measured(uncertain(cell["above_idle_j"]))
        said.append(f"above idle: {above}{_baseline(cell['baseline'])}")
    share, kernel = cell["kernel_share"], cell["kernel_j"]
    if share is not None and share < ALONE:
        line = f"{units.percent(share)} of the machine's CPU time was this kernel's"
        if kernel is not None and kernel["high"] > 0:
            # A GPU's work is in no CPU time, so that its energy is not shared out by it.
            whole = any(d["kind"] not in BY_CPU_TIME for d in cell["domains"] if _is_counted(d))
            of = "what CPU and memory drew above idle" if whole else "it"
            line += f": {units.estimated(range_of(kernel))} of {of}, estimated from that time"
        said.append(line)
    if cell["shift"] is not None:
        said.append(shifts.line(cell["shift"]))
    return (*said, *notes(cell["warnings"]))


def _between_runs(measured: ValueJson) -> list[str]:
    """The smaller of the two intervals: the sensor's gain is in every run of this machine alike."""
    half_j = measured["u95_repeat"]
    if not 0 < half_j < _MOSTLY * measured["u95"] or half_j > measured["value"]:
        return []
    return [f"between runs on this machine: ± {units.quantity(half_j, units.ENERGY_J, 2)}"]


def _is_counted(domain: DomainJson) -> bool:
    return domain["energy_j"] is not None and domain["kind"] not in APART


def _baseline(found: BaselineJson | None) -> str:
    """Which idle power was taken off, where it came from and how old it was."""
    if found is None:
        return ""
    power = Uncertain(found["power_w"], found["u95_w"] / COVERAGE_FACTOR_95)
    watts = units.measured(power, units.POWER_W)
    age = "just now" if found["age_s"] < 1 else f"{units.duration(found['age_s'])} before"
    return f" (idle {watts}, {clean(found['how'])}, {age})"


def idle(totals: TotalsJson) -> tuple[str, ...]:
    """What was drawn between cells, which is in no total; no line where nothing is known."""
    found = totals["idle"]
    if found is None or (found["measured_j"] is None and found["estimated_j"] is None):
        return ()
    energy = " and ".join(f.text for f in energies(found["measured_j"], found["estimated_j"]))
    seen = ""
    if found["coverage"] < _ALL_SEEN:
        seen = f", of which the sensors saw {units.percent(found['coverage'])}"
    time = units.duration(found["duration_s"])
    return (f"idle between cells: {energy} in {time}{seen}; in no total",)


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
    lost = totals["lost"]
    stopped = totals["interrupted"] - lost
    ended = f", {counted(stopped, 'run')} interrupted" if stopped else ""
    if lost:
        ended += f", {counted(lost, 'run')} lost with {'its' if lost == 1 else 'their'} kernel"
    return f" in {units.duration(totals['duration_s'])}, {runs} of {cells}{ended}"


def shifted(cells: Sequence[CellJson]) -> tuple[str, ...]:
    """What became of the cells that waited or paused for cleaner power, a line each."""
    held = ((cell, cell["shift"]) for cell in cells)
    lines = [
        f"{cell_name(cell)}: {shifts.line(shift)}" for cell, shift in held if shift is not None
    ]
    return tuple(lines[:MOST_TOLD])


def notes(warnings: Sequence[str]) -> tuple[str, ...]:
    """Warnings as lines for people."""
    return tuple(f"note: {clean(w, REASON_LIMIT)}" for w in warnings)


def without_runs(summary: SummaryJson, command: str = COMMAND) -> str:
    """What stands in the place of the totals where there are no runs: why, where that is known."""
    if why := "; ".join(clean(w, WHY_LIMIT) for w in summary["totals"]["warnings"]):
        return why
    if command == COMMAND:
        return NOTHING_YET
    name = clean(summary["notebook"]["name"], WHY_LIMIT)
    return f"Nothing measured yet. To measure it: {command} run {name}"


NOTHING_YET = "Nothing measured yet. Put %%energy on the first line of a cell, or type %energy on."

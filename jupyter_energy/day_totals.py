"""The totals of one host's day: of the machine, and of each notebook on its own. Pure functions.

A run belongs to the day (UTC) that it began. What a notebook's row has is what that notebook
measured; in the machine's row, what several measured at the same time counts once.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass

from .carbon_sums import mean
from .documents import sound, utc_text
from .model import Emissions, Record
from .overlaps import LEAST_S, Spell, counted_once, device_key, meet, spell_of
from .shared_devices import machine_once
from .uncertainty import Range, Uncertain, sum_of_ranges, sum_over_time

# The row of the whole machine among those of notebooks; a notebook's id is hexadecimal.
MACHINE = "*"
# A value of a column.
Column = str | float | int | None
Row = tuple[Column, ...]
# How grams were computed: those of one such row add up. Behind it the factor in g/kWh.
WORDS = (
    *("kind", "zone", "place", "source", "year", "pue", "how", "assumed"),
    *("boundary", "scope", "resolution", "quality", "pue_source"),
)
FACTOR = (*WORDS, "g_per_kwh")
# The last of them were not known before 0006: of days that were closed then they stay unknown.
SINCE_0006 = 5


@dataclass(frozen=True, slots=True)
class DayTotals:
    """The rows of a host's day, each beginning with a notebook's id or MACHINE.

    `totals`: runs, how many were cut short, how many have energy, how many of these no grams,
    duration in s, the estimate's three bounds in J, when the first and the last began.
    `devices`: device, energy in J, variance and fourth cumulant of what changes from run to run
    (J², J⁴), standard uncertainty of what does not (J), its excess kurtosis.
    `grams`: WORDS, the mean factor in g/kWh weighted by energy; then three bounds in g, the energy
    in J, and the grams that come from estimates.
    `overlaps`: another notebook that drew from a device at the same time.
    """

    totals: tuple[Row, ...]
    devices: tuple[Row, ...]
    grams: tuple[Row, ...]
    overlaps: tuple[Row, ...]


def day_totals(began: Iterable[Record], before: Iterable[Record] = ()) -> DayTotals:
    """The totals of the runs that began on a day on one host; those `before` it reach into it."""
    runs = [sound(r) for r in began if r.within is None]
    past = [sound(r) for r in before if r.within is None]
    mine: dict[str, list[Record]] = {}
    for run in runs:
        mine.setdefault(run.notebook_id, []).append(run)
    parts: dict[str, tuple[list[Record], list[Record]]] = {}
    if runs:
        parts[MACHINE] = runs, machine_once(runs, past)
    for notebook_id, own in sorted(mine.items()):
        ids = {run.run_id for run in own}
        earlier = [run for run in past if run.notebook_id == notebook_id]
        parts[notebook_id] = own, [r for r in counted_once([*own, *earlier])[0] if r.run_id in ids]
    totals, devices, grams = [], [], []
    figures: dict[int, Figures] = {}  # by run, which most often is the same one in both parts
    for notebook_id, (own, counted) in parts.items():
        shares = [figures.get(id(run)) or Figures(run) for run in counted]
        figures.update((id(one.run), one) for one in shares)
        totals.append((notebook_id, *_totals(own, shares)))
        devices += [(notebook_id, *row) for row in _devices(shares)]
        grams += [(notebook_id, *row) for row in _grams(shares)]
    met = sorted(_met(map(spell_of, [*past, *runs])))
    return DayTotals(tuple(totals), tuple(devices), tuple(grams), tuple(met))


class Figures:
    """What of a run enters sums, taken out of it once."""

    __slots__ = ("estimated", "measured", "run")

    def __init__(self, run: Record) -> None:
        self.run = run
        self.measured: list[tuple[str, Uncertain]] = []
        self.estimated: list[Range] = []
        for d in run.measurement.counted():
            if isinstance(d.energy, Uncertain):
                self.measured.append((":".join(device_key(run.host, d.domain)), d.energy))
            elif d.energy is not None:
                self.estimated.append(d.energy)

    @property
    def weight_j(self) -> float:
        """What grams weigh by, as in carbon_sums.py."""
        measured_j = math.fsum(energy.value for _, energy in self.measured)
        return measured_j + math.fsum(energy.mid for energy in self.estimated)


def _totals(own: Sequence[Record], counted: Sequence[Figures]) -> Row:
    starts = [run.start for run in own]
    # By what each run has of its own: one within the time of another has energy, and adds none.
    known = [r for r in own if any(d.energy is not None for d in r.measurement.counted())]
    estimated = sum_of_ranges(energy for one in counted for energy in one.estimated)
    return (
        len(own),
        sum(run.outcome in ("interrupted", "lost") for run in own),
        len(known),
        sum(run.emissions is None for run in known),
        math.fsum(one.run.duration_s for one in counted),
        *((None, None, None) if estimated is None else astuple(estimated)),
        utc_text(min(starts)),
        utc_text(max(starts)),
    )


def _devices(counted: Sequence[Figures]) -> list[Row]:
    found: dict[str, list[Uncertain]] = {}
    for one in counted:
        for device, energy in one.measured:
            found.setdefault(device, []).append(energy)
    rows: list[Row] = []
    for device, energies in sorted(found.items()):
        total = sum_over_time(energies)
        if total is not None:
            random = total.random
            of_gain = total.u_systematic, total.excess_systematic
            rows.append((device, total.value, random.variance, random.fourth, *of_gain))
    return rows


def _grams(counted: Sequence[Figures]) -> list[Row]:
    """One row for each way in which grams were computed: those add up. A live factor is another
    one for each run, so it is their mean."""
    found: dict[Row, list[tuple[Emissions, float]]] = {}
    for one in counted:
        if (emitted := one.run.emissions) is not None:
            found.setdefault(_words(emitted), []).append((emitted, one.weight_j))
    rows: list[Row] = []
    for words, items in sorted(found.items(), key=lambda one: tuple(map(str, one[0]))):
        grams = [emitted.carbon_g for emitted, _ in items]
        sums = (math.fsum(getattr(g, bound) for g in grams) for bound in ("low", "mid", "high"))
        of_estimates = math.fsum(e.carbon_g.mid * e.estimated_share for e, _ in items)
        energy_j = math.fsum(energy_j for _, energy_j in items)
        factor = mean((e.intensity.g_per_kwh, weight_j) for e, weight_j in items)
        rows.append((*words, factor, *sums, energy_j, of_estimates))
    return rows


def _words(emitted: Emissions) -> Row:
    of = emitted.intensity
    return (
        *(of.kind, of.zone, of.place, of.source, of.year, emitted.pue, of.how, int(of.assumed)),
        *(of.boundary, of.scope, of.resolution, of.quality, emitted.pue_source),
    )


def with_all_words(row: Row) -> Row:
    """A row of `grams` as it is now, of one that may have been written before 0006."""
    at = 1 + len(WORDS) - SINCE_0006
    is_old = len(row) == 1 + len(FACTOR) + 5 - SINCE_0006
    return (*row[:at], *(None,) * SINCE_0006, *row[at:]) if is_old else row


def _met(spells: Iterable[Spell]) -> set[tuple[str, str]]:
    """Which notebooks drew from one device at the same time, each with each."""
    met: set[tuple[str, str]] = set()
    running: list[tuple[float, int, Spell]] = []  # by when they end
    for number, spell in enumerate(sorted(spells, key=lambda s: (s.start_s, s.session_id))):
        while running and running[0][0] <= spell.start_s + LEAST_S:
            heapq.heappop(running)
        for _, _, other in running:
            if spell.notebook_id != other.notebook_id and meet(spell, other):
                met.add((spell.notebook_id, other.notebook_id))
                met.add((other.notebook_id, spell.notebook_id))
        heapq.heappush(running, (spell.end_s, number, spell))
    return met

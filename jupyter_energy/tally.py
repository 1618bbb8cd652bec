"""A notebook's totals as they grow: what `totals_from_records` gives, record by record.

The live figures are sent every second, and a notebook may have ten thousand records: a tally adds
each once. Runs that overlap in time are kept until nothing can overlap them any more, so that the
time they share counts once here too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from .carbon_sums import doubts
from .documents import sound
from .model import Record
from .overlaps import LEAST_S, LEAST_SHARE, counted_once, device_key
from .uncertainty import Range, Uncertain, sum_of_ranges, sum_over_devices, sum_over_time


@dataclass(slots=True)
class Totals:
    """Sums over runs: energies in J, `duration_s`, CO2e in g, of which `estimated_g` comes from
    estimates. `carbon_g` is None where nothing is known, and where average and marginal met;
    `doubtful` where some grams are by an assumed place, a fall-back or a forecast."""

    runs: int = 0
    duration_s: float = 0.0
    devices: dict[tuple[str, str], Uncertain] = field(default_factory=dict)
    estimated_j: Range | None = None
    grams: dict[str, Range] = field(default_factory=dict)  # by kind of intensity
    estimated_g: float = 0.0
    doubtful: bool = False

    @property
    def measured_j(self) -> Uncertain | None:
        """The measured energy in J; None where nothing was measured."""
        return sum_over_devices(self.devices.values())

    @property
    def carbon_g(self) -> Range | None:
        """The grams, where all were computed with one kind of intensity."""
        (one, *others) = self.grams.values() or (None,)
        return None if others else one

    @property
    def estimated_share(self) -> float | None:
        """The share of the grams that comes from estimates, 0 to 1; None without grams."""
        carbon = self.carbon_g
        if carbon is None:
            return None
        return min(1.0, self.estimated_g / carbon.mid) if carbon.mid > 0 else 0.0

    def plus(self, runs: Iterable[Record]) -> Totals:
        """These totals with those of more runs, of which none overlaps."""
        made = Totals(
            self.runs,
            self.duration_s,
            dict(self.devices),
            self.estimated_j,
            dict(self.grams),
            self.estimated_g,
            self.doubtful,
        )
        for run in runs:
            made._add(run)
        return made

    def _add(self, run: Record) -> None:
        self.runs += 1
        self.duration_s += run.duration_s
        for d in run.measurement.counted():
            if isinstance(d.energy, Uncertain):
                key = device_key(run.host, d.domain)
                before = self.devices.get(key, Uncertain(0.0))
                self.devices[key] = sum_over_time((before, d.energy)) or before
            elif isinstance(d.energy, Range):
                ranges = (self.estimated_j, d.energy)
                self.estimated_j = sum_of_ranges(r for r in ranges if r is not None)
        if run.emissions is not None:
            of, carbon = run.emissions.intensity, run.emissions.carbon_g
            kind = of.kind
            grams = (self.grams.get(kind), carbon)
            self.grams[kind] = sum_of_ranges(g for g in grams if g is not None) or carbon
            self.estimated_g += carbon.mid * run.emissions.estimated_share
            self.doubtful |= of.assumed or bool(doubts(of.note)) or "forecast" in of.quality


class Tally:
    """The totals of the records added so far. Runs that lie within another one are left out."""

    def __init__(self) -> None:
        self._settled = Totals()
        # Of each host, whose runs alone can overlap: the runs not yet settled, and until when (s
        # since the epoch) they and those that are settled reach.
        self._tails: dict[str, tuple[list[Record], float]] = {}
        self._settled_s: dict[str, float] = {}

    def add(self, record: Record, open_since_s: float = math.inf) -> bool:
        """Count a record. What ends after `open_since_s` (s since the epoch), when a run that is
        still under way began, is not settled: that run may overlap it.

        False for one that overlaps what is settled, as one of another kernel may that was told of
        late: what they share is in these totals twice.
        """
        if record.within is not None:
            return True
        run = sound(record)
        start_s = run.start.timestamp()
        end_s = start_s + run.duration_s
        tail, reached_s = self._tails.get(run.host, ([], -math.inf))
        slack_s = max(LEAST_S, LEAST_SHARE * run.duration_s)
        if tail and start_s >= reached_s - slack_s and reached_s <= open_since_s:
            self._settled = self._settled.plus(counted_once(tail)[0])
            self._settled_s[run.host] = reached_s
            tail = []
        self._tails[run.host] = [*tail, run], max(reached_s, end_s)
        return start_s >= self._settled_s.get(run.host, -math.inf) - slack_s

    def totals(self, more: Iterable[Record] = ()) -> Totals:
        """The totals, with those of runs that are not kept here, such as one under way."""
        rest = [run for tail, _ in self._tails.values() for run in tail]
        rest += [sound(run) for run in more if run.within is None]
        return self._settled.plus(counted_once(rest)[0])

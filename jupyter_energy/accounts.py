"""Whose energy it was: idle power from the gaps between cells, CPU times at the edges of windows.

An `Accounts` is told when nothing runs any more and when something begins; from the same sensors'
traces it then knows what was drawn in between, and from quiet gaps what the machine draws idle.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from .attribution import (
    GAPS_EXPIRE_S,
    MOST_GAPS,
    Baseline,
    Gap,
    above_idle,
    all_devices,
    cpu_share,
    idle_power,
    newer,
)
from .calibration import load
from .model import Domain, DomainEnergy, Measurement, Sample
from .process_tree import CpuTimes, ProcessTree, kernel_s, machine_s
from .readers import asleep_s
from .sensors.base import Machine, Sensor
from .uncertainty import Range, Spread, Uncertain
from .window import Edge, why_still

# Shorter gaps, as between the cells of "run all", are not booked: they hold next to nothing, and
# a row each would be more than the cells' own.
LEAST_BOOKED_S = 1.0
# A device that was seen for less of a gap than this does not tell its power in the gap.
LEAST_SEEN = 0.99
# measuring.md 8: less is the two clocks' own jitter.
LEAST_SLEEP_S = 0.2
# A GPU's idle power with a live context decays over seconds (measuring.md 5.3).
SETTLED_AFTER_S = 2.0
NOT_SEEN = "the sensor saw nothing of it"


@dataclass(frozen=True, slots=True)
class Whose:
    """What is known of whose energy a window's was, as a record keeps it."""

    measurement: Measurement
    kernel_cpu_s: float | None = None
    machine_cpu_s: float | None = None
    baseline: Baseline | None = None


@dataclass(slots=True)
class Rest:
    """Nothing runs since `edge`, the closing one of a window of `notebook`."""

    edge: Edge
    start: datetime
    notebook: str | None
    times: CpuTimes
    slept_s: float
    settled: Mapping[Sensor, Sample] = field(default_factory=dict)
    in_use: frozenset[Domain] = frozenset()


@dataclass(frozen=True, slots=True)
class Between:
    """A stretch between two windows, which was that of `notebook`."""

    rest: Rest
    edge: Edge

    @property
    def notebook(self) -> str | None:
        """The key of the notebook whose window ended before it."""
        return self.rest.notebook

    def measurement(self) -> Measurement:
        """What each device drew in the time that is known, with how much of the stretch that is.

        An estimate is left out where a device of its kind was measured.
        """
        duration_s = self.edge.t_s - self.rest.edge.t_s
        found = []
        for sensor, last in self.edge.readings.items():
            first = self.rest.edge.readings.get(sensor)
            drawn, why = None, next((r for r in (first, last) if isinstance(r, str)), NOT_SEEN)
            if isinstance(first, Sample) and isinstance(last, Sample):
                still = why_still(sensor, first, last, last.t_s - first.t_s)
                why = still or NOT_SEEN
                drawn = None if still else _drawn(sensor, first, last, duration_s)
            if drawn is None and first is not None and sensor.spread is None:
                drawn = DomainEnergy(sensor.domain, None, "none", sensor.source, 0.0, why)
            found += [] if drawn is None else [drawn]
        measured = {d.domain.kind for d in found if isinstance(d.energy, Uncertain)}
        kept = (
            d for d in found if not isinstance(d.energy, Range) or d.domain.kind not in measured
        )
        return Measurement(self.rest.start, duration_s, tuple(kept))


class Accounts:
    """CPU times at edges, and idle power by device. `close()` once.

    `settled` may be called from any thread; what is asked of the calling thread at an edge is one
    small read of procfs. `slept_s` counts the time that the machine was suspended.
    """

    def __init__(self, machine: Machine, slept_s: Callable[[], float] | None = None) -> None:
        self._tree = ProcessTree(machine)
        self._supplies = machine.sysfs / "class/power_supply"
        self._slept_s = slept_s or asleep_s
        self._pid = os.getpid()
        self._rest: Rest | None = None
        self._on_mains: bool | None = None
        # Replaced as a whole: other threads walk through them.
        self._gaps: Mapping[Domain, tuple[Gap, ...]] = {}
        self._known: Mapping[Domain, tuple[tuple[Gap, ...], float, Baseline | None]] = {}
        # Baselines that a user asked for, by the key of the device ("gpu:0") or its UUID.
        self.asked: Mapping[str, Baseline] = {}
        self._kept_in = machine.baselines
        self.look_up_baselines()

    def look_up_baselines(self) -> None:
        """Take what `%energy baseline` has kept of this host."""
        self.asked = asked_for(socket.gethostname(), self._kept_in)

    def close(self) -> None:
        """Let go of procfs."""
        self._tree.close()

    def times(self, walk: bool, since: CpuTimes | None = None) -> CpuTimes:
        """CPU times now; `walk` the tree of processes where that is what it takes."""
        if os.getpid() != self._pid:
            return CpuTimes()  # a forked child is no kernel
        return self._tree.read(walk, since)

    # -- between cells -----------------------------------------------------------------------

    def rests(self, edge: Edge, notebook: str | None, times: CpuTimes) -> None:
        """The last window has ended at `edge`."""
        self._rest = Rest(edge, datetime.now(UTC), notebook, times, self._slept_s())

    @property
    def rests_now(self) -> bool:
        """Whether nothing runs, as far as was told."""
        return self._rest is not None

    def settled(self, readings: Mapping[Sensor, Sample | str]) -> None:
        """Devices were read while nothing runs: `SETTLED_AFTER_S` after the last window, or as its
        settle read. A first such reading is where the gap begins for idle power."""
        on_mains = _on_mains(self._supplies)
        if on_mains != self._on_mains:
            self._on_mains, self._gaps = on_mains, {}  # on battery a machine idles otherwise
        rest = self._rest
        if rest is not None:
            known = {s: r for s, r in readings.items() if isinstance(r, Sample)}
            rest.settled = {**known, **rest.settled}

    def in_use(self, domain: Domain) -> None:
        """Somebody else was seen to use a device since the last window: the gap that runs now says
        nothing about its idle power."""
        rest = self._rest
        if rest is not None:
            rest.in_use |= {domain}

    def begins(self, edge: Edge, times: CpuTimes) -> Between | None:
        """A window begins at `edge` and none was open: what lay before it, where it is to be
        booked. A quiet gap tells idle power from here on."""
        rest, self._rest = self._rest, None
        if rest is None or edge.t_s - rest.edge.t_s < LEAST_BOOKED_S:
            return None
        found = Between(rest, edge)
        gaps = dict(self._gaps)
        for domain, gap in self._gaps_of(found, times):
            gaps[domain] = (*gaps.get(domain, ())[1 - MOST_GAPS :], gap)
        self._gaps = gaps
        return found

    def _gaps_of(self, between: Between, times: CpuTimes) -> list[tuple[Domain, Gap]]:
        rest, edge = between.rest, between.edge
        seconds = edge.t_s - rest.edge.t_s
        busy_s, threads = machine_s(rest.times, times), self._tree.threads
        busy = None if busy_s is None or threads == 0 else busy_s / threads / seconds
        slept = self._slept_s() - rest.slept_s > LEAST_SLEEP_S
        now = datetime.now(UTC)
        found = []
        for sensor, last in edge.readings.items():
            settled = rest.settled.get(sensor)
            first = settled or rest.edge.readings.get(sensor)
            if sensor.spread is not None:
                continue  # an estimate knows nothing of idle power that it was not told
            if not isinstance(first, Sample) or not isinstance(last, Sample):
                continue
            read_s = last.t_s - first.t_s
            if read_s <= 0 or last.covered_s - first.covered_s < LEAST_SEEN * read_s:
                continue
            if why_still(sensor, first, last, read_s) is not None:
                continue  # 0 W would be taken for what the device draws idle
            watts = (last.energy_j - first.energy_j) / read_s
            disturbed = slept or sensor.domain in rest.in_use
            gap = Gap(watts, read_s, edge.t_s, now, busy, settled is not None, disturbed)
            if gap.is_idle:
                found.append((sensor.domain, gap))
        return found

    # -- a window ----------------------------------------------------------------------------

    def baseline(self, domain: Domain, now_s: float) -> Baseline | None:
        """A device's idle power: from the gaps, or as it was asked for, whichever is newer."""
        asked = self.asked.get(domain.uuid or domain.key) or self.asked.get(domain.key)
        gaps = self._gaps.get(domain, ())
        if not gaps:
            return asked
        known = self._known.get(domain)
        if known is None or known[0] is not gaps or now_s > known[1]:
            fresh = [gap.end_s for gap in gaps if now_s - gap.end_s <= GAPS_EXPIRE_S]
            until_s = min(fresh, default=now_s) + GAPS_EXPIRE_S
            known = gaps, until_s, idle_power(gaps, now_s)
            self._known = {**self._known, domain: known}
        return newer(known[2], asked)

    def whose(
        self, measurement: Measurement, start: CpuTimes, stop: CpuTimes, now_s: float
    ) -> Whose:
        """A window's measurement with what lies above idle, and the CPU times it is shared by."""
        baselines = {
            d.domain: found
            for d in measurement.domains
            if isinstance(d.energy, Uncertain)
            and (found := self.baseline(d.domain, now_s)) is not None
        }
        if baselines:
            whole_s = measurement.duration_s
            domains = tuple(
                _above(d, baselines.get(d.domain), whole_s) for d in measurement.domains
            )
            measurement = replace(measurement, domains=domains)
        counted = [baselines[d.domain] for d in measurement.counted() if d.domain in baselines]
        ours_s, all_s = kernel_s(start, stop), machine_s(start, stop)
        if cpu_share(ours_s, all_s, measurement.duration_s) is None:
            ours_s = all_s = None
        return Whose(measurement, ours_s, all_s, all_devices(counted))


def _above(found: DomainEnergy, baseline: Baseline | None, duration_s: float) -> DomainEnergy:
    if baseline is None or not isinstance(found.energy, Uncertain):
        return found
    # What was not seen is not in the energy, so its idle power is not taken off either.
    above = above_idle(found.energy, baseline, duration_s * found.coverage)
    return replace(found, above_idle=above)


def _drawn(sensor: Sensor, first: Sample, last: Sample, duration_s: float) -> DomainEnergy | None:
    """What a device drew between two samples, in the time that its trace covers; or None."""
    known_s = last.covered_s - first.covered_s
    if known_s <= 0 or duration_s <= 0:
        return None
    energy_j = last.energy_j - first.energy_j
    made = partial(
        DomainEnergy,
        domain=sensor.domain,
        provenance=sensor.provenance,
        source=sensor.source,
        coverage=min(1.0, known_s / duration_s),
    )
    if sensor.spread is not None:
        low, high = sensor.spread
        return made(energy=Range(energy_j * low, energy_j, energy_j * high))
    # The cell before has what was drawn since its last value, and the gap what was drawn since its
    # own (window.py): then no joule is in both.
    energy_j = max(0.0, energy_j + _behind_j(last) - _behind_j(first))
    # Two readings, each up to a period old and a step behind (measuring.md 6.1, 6.5).
    age = Spread.rectangular(energy_j / known_s * sensor.period_s / 2)
    step = Spread.rectangular(sensor.step_j / 2)
    gain = Spread.rectangular(sensor.accuracy.gain * energy_j)
    return made(energy=Uncertain.made(energy_j, age + age + step + step, gain))


def _behind_j(sample: Sample) -> float:
    """What was drawn since the value of a reading was renewed, in J, as far as power is known."""
    return 0.0 if sample.power_w is None else sample.power_w * sample.age.mean_s


def _on_mains(supplies: Path) -> bool | None:
    """Whether a laptop is plugged in; None for a machine that does not say."""
    found = None
    for supply in sorted(supplies.glob("*")):
        try:
            if (supply / "type").read_text(encoding="ascii", errors="replace").strip() == "Mains":
                found = bool(found) or (supply / "online").read_text().strip() == "1"
        except OSError:
            continue
    return found


def asked_for(host: str, file: Path | None) -> Mapping[str, Baseline]:
    """What `%energy baseline` found of a host's devices, by UUID, else by key. Never raises."""
    if file is None:
        return {}
    found = {}
    for one in load(host, file).idle:
        with suppress(ValueError):  # a date that somebody wrote by hand
            taken = datetime.fromisoformat(one.date)
            if taken.tzinfo is not None:
                kept = Baseline(one.idle_w, one.u_w, taken, one.measured_s, "%energy baseline")
                found[one.uuid or one.device] = kept
    return found

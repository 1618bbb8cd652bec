"""Runs that overlap in time, as they enter totals: what a device drew while both ran counts once.

Blocks of several threads or tasks overlap without one lying in another, and so do the cells of a
notebook that two kernels run at once: both measure the whole device. A record has one sum for
its whole window and not when within it the energy was drawn, so the energy of the shared time is
taken at the run's mean power.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate

from .model import Domain, DomainEnergy, Emissions, Record
from .uncertainty import Range

# Two cells one after the other may seem to overlap by this much: their starts are UTC, their
# durations monotonic, and the two clocks are slewed against each other.
LEAST_S, LEAST_SHARE = 1e-3, 1e-3


@dataclass(frozen=True, slots=True)
class Spell:
    """When one run drew from which devices of its host; times in s since the epoch."""

    notebook_id: str
    session_id: str
    host: str
    start_s: float
    end_s: float
    devices: frozenset[str]


def spell_of(record: Record) -> Spell:
    """When a run drew from which devices, measured or estimated."""
    start_s = record.start.timestamp()
    domains = [d.domain for d in record.measurement.counted()]
    devices = frozenset(map(device_name, domains))
    end_s = start_s + record.duration_s
    return Spell(record.notebook_id, record.session_id, record.host, start_s, end_s, devices)


@lru_cache(256)
def device_name(domain: Domain) -> str:
    """What tells one device of a host from another: "package:0", "gpu:GPU-5f1c…"."""
    return f"{domain.kind}:{domain.uuid or domain.index}"


def others_at_once(mine: Iterable[Spell], others: Iterable[Spell]) -> int:
    """How many other notebooks drew from a device of one host while one of `mine` did. Another
    session of the same notebook is none of them."""
    runs = sorted(mine, key=lambda s: s.start_s)
    starts = [run.start_s for run in runs]
    # How far all runs up to this one reach: a later one may be short and an earlier one long.
    reach = list(accumulate((run.end_s for run in runs), max))
    found: set[str] = set()
    for other in others:
        at = bisect_left(starts, other.end_s - LEAST_S) - 1
        while at >= 0 and reach[at] > other.start_s + LEAST_S:
            run = runs[at]
            who = other.notebook_id
            if who != run.notebook_id and who not in found and meet(run, other):
                found.add(who)
            at -= 1
    return len(found)


def overlap_notes(others: int) -> list[str]:
    """What to say where so many other notebooks drew from the same devices; nothing of none."""
    if not others:
        return []
    notebooks = "1 other notebook" if others == 1 else f"{others} other notebooks"
    return [f"overlaps with {notebooks} on this machine; do not add these totals"]


def meet(run: Spell, other: Spell) -> bool:
    """Whether two runs of two sessions drew from a device of one host at the same time."""
    shared_s = min(run.end_s, other.end_s) - max(run.start_s, other.start_s)
    return (
        run.session_id != other.session_id
        and run.host == other.host
        and shared_s > LEAST_S
        and not run.devices.isdisjoint(other.devices)
    )


def device_key(host: str, domain: Domain) -> tuple[str, str]:
    """What tells one device from another, wherever it was measured."""
    return domain.kind, domain.uuid or f"{host}:{domain.index}"


def counted_once(records: Iterable[Record]) -> tuple[list[Record], int]:
    """The runs in the order they began, each without the time (s), energy (J) and grams that it
    shares with earlier ones; and how many runs overlapped.

    A device's energy is shared only by runs that have a figure for it. Runs of different hosts
    share nothing here.
    """
    # Until when a host's runs, or their figures of one device, reach, and which run does. In the
    # order in which runs begin, the time from a run's start up to there is taken.
    reached: dict[tuple[str, Domain | None], tuple[float, str]] = {}
    overlapped: set[str] = set()

    def own_share(run: Record, start_s: float, domain: Domain | None) -> float:
        key = run.host, domain
        duration_s = run.duration_s
        end_s, by = reached.get(key, (-math.inf, ""))
        if start_s + duration_s > end_s:
            reached[key] = start_s + duration_s, run.run_id
        shared_s = min(end_s - start_s, duration_s)
        if shared_s <= max(LEAST_S, LEAST_SHARE * duration_s):
            return 1.0
        overlapped.update((by, run.run_id))
        return 1.0 - shared_s / duration_s

    counted = []
    for run in sorted(records, key=lambda r: (r.start, -r.duration_s, r.run_id)):
        start_s = run.start.timestamp()
        share = own_share(run, start_s, None)
        shares = {d.domain: own_share(run, start_s, d.domain) for d in run.measurement.counted()}
        whole = share == 1 and all(s == 1 for s in shares.values())
        counted.append(run if whole else part_of(run, share, shares))
    return counted, len(overlapped)


def part_of(run: Record, share: float, shares: Mapping[Domain, float]) -> Record:
    """A run with these shares of its time and of its devices' energies. A device without any of
    its own is left out: 0 J would be a figure that nobody measured."""
    before = [d for d in run.measurement.counted() if d.energy is not None]
    domains = tuple(
        replace(
            d,
            energy=d.energy.scaled(shares[d.domain]),
            above_idle=None if d.above_idle is None else d.above_idle.scaled(shares[d.domain]),
        )
        for d in before
        if d.energy is not None and shares[d.domain] > 0
    )
    before_j = math.fsum(map(middle_j, before))
    of_energy = math.fsum(map(middle_j, domains)) / before_j if before_j > 0 else share

    def grams(whole: Emissions | None) -> Emissions | None:
        if whole is None or not domains:
            return None
        return replace(whole, carbon_g=whole.carbon_g.scaled(of_energy))

    measurement = replace(run.measurement, duration_s=run.duration_s * share, domains=domains)
    emissions, said = grams(run.emissions), grams(run.said)
    return replace(run, measurement=measurement, emissions=emissions, said=said)


def middle_j(found: DomainEnergy) -> float:
    """The energy of a device in J, of an estimate its middle; 0 where it is unknown."""
    if found.energy is None:
        return 0.0
    return found.energy.mid if isinstance(found.energy, Range) else found.energy.value

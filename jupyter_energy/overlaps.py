"""Runs that overlap in time, as they enter totals: what a device drew while both ran counts once.

Blocks of several threads or tasks overlap without one lying in another. A record has one sum for
its whole window and not when within it the energy was drawn, so the energy of the shared time is
taken at the run's mean power.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

from .model import Domain, DomainEnergy, Record
from .uncertainty import Range

# Two cells one after the other may seem to overlap by this much: their starts are UTC, their
# durations monotonic, and the two clocks are slewed against each other.
LEAST_S, LEAST_SHARE = 1e-3, 1e-3


def device_key(host: str, domain: Domain) -> tuple[str, str]:
    """What tells one device from another, wherever it was measured."""
    return domain.kind, domain.uuid or f"{host}:{domain.index}"


def counted_once(records: Iterable[Record]) -> tuple[list[Record], int]:
    """The runs in the order they began, each without the time (s), energy (J) and grams that it
    shares with earlier ones; and how many runs overlapped.

    A device's energy is shared only by runs that have a figure for it. Runs of different sessions
    or hosts share nothing here.
    """
    # Until when a session's runs, or their figures of one device, reach, and which run does. In
    # the order in which runs begin, the time from a run's start up to there is taken.
    reached: dict[tuple[str, str, Domain | None], tuple[float, str]] = {}
    overlapped: set[str] = set()

    def own_share(run: Record, domain: Domain | None) -> float:
        key = run.session_id, run.host, domain
        start_s, duration_s = run.start.timestamp(), run.duration_s
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
        share = own_share(run, None)
        shares = {d.domain: own_share(run, d.domain) for d in run.measurement.counted()}
        whole = share == 1 and all(s == 1 for s in shares.values())
        counted.append(run if whole else _part(run, share, shares))
    return counted, len(overlapped)


def _part(run: Record, share: float, shares: Mapping[Domain, float]) -> Record:
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
    emissions = run.emissions
    before_j = math.fsum(map(_middle_j, before))
    if emissions is not None:
        of_energy = math.fsum(map(_middle_j, domains)) / before_j if before_j > 0 else share
        grams = emissions.carbon_g.scaled(of_energy)
        emissions = replace(emissions, carbon_g=grams) if domains else None
    measurement = replace(run.measurement, duration_s=run.duration_s * share, domains=domains)
    return replace(run, measurement=measurement, emissions=emissions)


def _middle_j(found: DomainEnergy) -> float:
    if found.energy is None:
        return 0.0
    return found.energy.mid if isinstance(found.energy, Range) else found.energy.value

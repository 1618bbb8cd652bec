"""Devices that some runs could not measure, though others did: what totals do not hold."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from .model import APART, Domain, DomainEnergy, Record
from .overlaps import device_key
from .sensors.nvidia_pci import ASLEEP
from .units import duration

# What people call the kinds of device whose absence they must know of wherever they are.
ACCELERATORS = ("gpu", "module")
_LABELS = {"gpu": "GPU", "package": "CPU", "dram": "memory"}
# More are told as a number.
MOST_TOLD = 3


def missing(found: Iterable[DomainEnergy], known: frozenset[str]) -> list[Domain]:
    """The devices of one run that have no figure: accelerators, and those of the `known` kinds,
    which are measured elsewhere. One that sleeps is none of them, nor one that is in no total
    anyway, nor one that another sensor had, as the estimate has a processor whose counters cannot
    be read."""
    all_found = list(found)
    seen = {(d.domain.kind, d.domain.index) for d in all_found if d.energy is not None}
    without = {
        (d.domain.kind, d.domain.index): d.domain
        for d in all_found
        if d.energy is None
        and d.reason != ASLEEP
        and d.domain.kind not in APART
        and (d.domain.kind in ACCELERATORS or d.domain.kind in known)
    }
    return [domain for place, domain in without.items() if place not in seen]


def without(runs: Sequence[Record]) -> list[str]:
    """What the totals of these runs leave out, in words: each device with its time."""
    measured = frozenset(d.domain.kind for r in runs for d in r.domains if d.energy is not None)
    times_s: dict[tuple[str, str], tuple[Domain, list[float]]] = {}
    for run in runs:
        for domain in missing(run.domains, measured):
            key = device_key(run.host, domain)
            times_s.setdefault(key, (domain, []))[1].append(run.duration_s)
    whole = duration(math.fsum(r.duration_s for r in runs))
    told = [
        f"{_LABELS.get(d.kind, d.kind)} {d.index} was not measured in "
        f"{duration(math.fsum(seconds))} of {whole}: that is in no figure here"
        for d, seconds in times_s.values()
    ]
    if len(told) > MOST_TOLD:
        told[MOST_TOLD:] = [f"{len(told) - MOST_TOLD} more devices were not measured all the time"]
    return told

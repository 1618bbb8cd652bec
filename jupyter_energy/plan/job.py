"""The job that is planned: from what was recorded, or from hours and kWh that the user gives."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ..documents import sound
from ..errors import WrongUse
from ..model import DomainEnergy, Record
from ..overlaps import counted_once, middle_j, part_of
from ..power.document import PowerTrace
from ..schema import cell_key, estimated_from_records, measured_from_records
from ..shift import Stretch
from ..uncertainty import Range
from ..units import DURATION_S, J_PER_KWH
from .nouns import SLOT_S, Job

# What is longer is a mistake in writing, and more slots than anybody can plan.
LONGEST_S = 366 * DURATION_S["d"]
# Of less than the first, figures run out of digits; the second is a year of all that the world's
# power stations deliver.
LEAST_KWH, MOST_KWH = 1e-12, 3e13
# A slot is not begun for what rounding adds to a duration.
_ROUNDING = 1e-9


def last_session(
    records: Iterable[Record], session_id: str | None = None
) -> tuple[list[Record], str]:
    """The runs that a job is made of, and in words what they are.

    The outermost ones of the session `session_id` (a kernel's own), where it has any; else of the
    last one that knows an energy; else of the last one. Empty where nothing ran.
    """
    sessions: dict[str, list[Record]] = {}
    for record in sorted(records, key=lambda r: r.start):
        if record.within is None and record.duration_s > 0:
            sessions.setdefault(record.session_id, []).append(sound(record))
    if session_id is not None and session_id in sessions:
        return sessions[session_id], "this session"
    order = list(reversed(sessions.values()))
    found = next((runs for runs in order if any(map(_is_known, runs))), order[0] if order else [])
    if not found:
        return [], "no session"
    return found, f"the last session, of {found[0].start:%Y-%m-%d}"


def job_from_records(
    records: Sequence[Record], traces: Mapping[str, PowerTrace], session: str = "this session"
) -> Job:
    """These runs one after the other, without the time between them.

    `traces` has the power over time of runs by their id; where a run has none its power is its
    mean. Time that runs share counts once, with its energy; runs without energy count in time
    only. What runs, or blocks within them, waited and paused for cleaner power is no part of the
    job, nor is what was drawn meanwhile. `session` says in words whose runs they are. Raises
    WrongUse where nothing took any time, and for more than a year of it.
    """
    runs = [record for record in records if record.within is None and record.duration_s > 0]
    once, overlapped = counted_once(runs)
    held = _held(records)
    once = [_without(run, held[run.run_id]) if run.run_id in held else run for run in once]
    duration_s = math.fsum(run.duration_s for run in once)
    _check(duration_s, f"what is recorded of {session}")
    whole = {run.run_id: run for run in runs}
    drawn_j = [0.0] * _slots(duration_s)
    at_s, traced, memory_j = 0.0, 0, 0.0
    for run in once:
        # Of a part of a run nobody knows which part.
        trace = traces.get(run.run_id) if run is whole.get(run.run_id) else None
        traced += trace is not None
        for device in run.measurement.counted():
            _draw(drawn_j, at_s, run.duration_s, device, trace)
            memory_j += middle_j(device) if device.domain.kind == "dram" else 0.0
        at_s += run.duration_s
    said = [_counted(runs, session)]
    if without := sum(not _is_known(run) for run in runs):
        no_run = without == len(runs)
        which = "all" if no_run else str(without)
        rest = "only their time counts" if without > 1 else "only its time counts"
        said.append(f"{which} of them without energy: {rest}")
    if held:
        said.append("without their waits and pauses for cleaner power")
    if overlapped:
        said.append("what runs share in time counts once")
    if traced:
        said.append(f"power over time from {'the trace' if traced == 1 else f'{traced} traces'}")
    return Job(
        duration_s=duration_s,
        shares=_shares(drawn_j, duration_s),
        measured=measured_from_records(once),
        estimated=estimated_from_records(once),
        said="; ".join(said),
        constant=min(1.0, memory_j / whole_j) if (whole_j := math.fsum(drawn_j)) > 0 else 0.0,
    )


def job_of(hours: float | None, kwh: float | None, like: Job | None = None) -> Job:
    """A job of so many hours, or so many kWh, or both, as the user gives them.

    Of hours alone the energy is that of as long at the mean power of `like`, what was recorded: an
    estimate, whatever that was; without it the energy is not known. Of kWh alone the time, and how
    the energy is spread over it, are those of `like`. Raises WrongUse for what is no time and no
    energy, and where the time is not known.
    """
    estimated = given = None if kwh is None else given_j(kwh)
    if hours is None:
        if like is None or estimated is None:
            raise WrongUse("how long does it take? add --hours, such as --hours 6")
        said = f"an energy as given, in the time of {like.said}"
        constant = _constant(like, like.duration_s, estimated)
        return replace(like, measured=None, estimated=estimated, said=said, constant=constant)
    duration_s = hours * DURATION_S["h"]
    _check(duration_s, f"{hours:g} hours")
    said = "a job as long as given"
    if estimated is not None:
        said = "a job as given"
    elif like is not None and like.energy_j is not None:
        estimated = like.energy_j.scaled(duration_s / like.duration_s)
        said += f", at the mean power of {like.said}"
    shares = _shares([0.0] * _slots(duration_s), duration_s)
    return Job(duration_s, shares, None, estimated, said, _constant(like, duration_s, given))


def _constant(like: Job | None, duration_s: float, given: Range | None) -> float:
    """The share that memory draws of an energy that is given, in J: it has the same W whatever
    runs. Where none is given, its share of `like`."""
    if like is None or like.energy_j is None or given is None:
        return 0.0 if like is None else like.constant
    memory_w = like.constant * like.energy_j.mid / like.duration_s
    return min(1.0, memory_w * duration_s / given.mid)


def given_j(kwh: float) -> Range:
    """An energy in J that the user gives: one figure, without a range. Raises WrongUse."""
    if not LEAST_KWH <= kwh <= MOST_KWH:
        raise WrongUse(f"{kwh:g} kWh is no energy of a job: write what it draws, such as --kwh 3")
    energy_j = kwh * J_PER_KWH
    return Range(energy_j, energy_j, energy_j)


def _counted(runs: Sequence[Record], session: str) -> str:
    """ "the 14 cells of this session", "16 runs of 14 cells of this session"."""
    cells = len({cell_key(run) for run in runs})
    noun = "cell" if cells == 1 else "cells"
    if cells == len(runs):
        return f"the {f'{cells} {noun}' if cells > 1 else f'one {noun}'} of {session}"
    return f"{len(runs)} runs of {cells} {noun} of {session}"


def _held(records: Sequence[Record]) -> dict[str, tuple[Record, list[Stretch]]]:
    """The outermost runs that waited or paused, or that hold one which did, by their id, with the
    stretches in which they did; of stretches that overlap the first."""
    by_id = {record.run_id: record for record in records}
    found: dict[str, tuple[Record, list[Stretch]]] = {}
    for record in sorted(records, key=lambda r: r.start):
        if record.shift is None:
            continue
        outer = record
        for _ in by_id:  # no more steps than that, whatever a damaged store says
            if outer.within is None or outer.within not in by_id:
                break
            outer = by_id[outer.within]
        if outer.within is not None:
            continue
        stretches = found.setdefault(outer.run_id, (outer, []))[1]
        for one in sorted((*record.shift.waits, *record.shift.pauses), key=lambda s: s.start):
            if one.end > one.start and not any(
                one.start < other.end and other.start < one.end for other in stretches
            ):
                stretches.append(one)
    return {run_id: held for run_id, held in found.items() if held[1]}


def _without(run: Record, held: tuple[Record, list[Stretch]]) -> Record:
    """A run, or what is counted of it, without the time and the energy of these stretches of its
    whole. A stretch whose energy is not known has the mean power, and all devices have one share:
    which of them drew it is not kept."""
    whole, stretches = held
    held_s = math.fsum((one.end - one.start).total_seconds() for one in stretches)
    of_time = min(1.0, held_s / whole.duration_s)
    whole_j = math.fsum(map(middle_j, whole.measurement.counted()))
    of_energy = of_time
    if whole_j > 0 and all(one.energy_j is not None for one in stretches):
        drawn_j = math.fsum(one.energy_j.mid for one in stretches if one.energy_j is not None)
        of_energy = min(1.0, drawn_j / whole_j)
    shares = {device.domain: 1 - of_energy for device in run.measurement.counted()}
    return part_of(run, 1 - of_time, shares)


def _is_known(run: Record) -> bool:
    return any(d.energy is not None for d in run.measurement.counted())


def _check(duration_s: float, what: str) -> None:
    """Raises WrongUse for a time that no job takes."""
    if not (math.isfinite(duration_s) and duration_s > 0):
        raise WrongUse(f"{what} is no time that a job takes: write more than 0, such as --hours 6")
    if duration_s > LONGEST_S:
        raise WrongUse(f"{what} is more than a year, and plans are for a year at most")


def _slots(duration_s: float) -> int:
    return max(1, math.ceil(duration_s / SLOT_S - _ROUNDING))


def _shares(drawn_j: Sequence[float], duration_s: float) -> tuple[float, ...]:
    """The shares of the energy by slot; of none, or of none that is known, those of the time."""
    whole_j = math.fsum(drawn_j)
    if whole_j > 0:
        return tuple(one_j / whole_j for one_j in drawn_j)
    slot = SLOT_S / duration_s
    last = len(drawn_j) - 1
    rest = 1.0 - last * slot
    # What rounding leaves would make of a constant power a varying one, which is searched for long.
    return (*([slot] * last), slot if abs(rest - slot) <= _ROUNDING * slot else rest)


def _draw(
    drawn_j: list[float],
    begin_s: float,
    duration_s: float,
    device: DomainEnergy,
    trace: PowerTrace | None,
) -> None:
    """Add a device's energy in a run that begins at `begin_s` to the slots it is drawn in.

    A trace says how it is spread, and the record how much it is: NVIDIA's power and its energy
    counter do not quite agree. Stretches without a reading have the mean power of the others.
    """
    energy_j = max(0.0, middle_j(device))
    curve = next((c for c in trace.curves if c.domain == device.domain), None) if trace else None
    pieces = [(0.0, duration_s, 1.0)]
    if trace is not None and curve is not None and trace.duration_s > 0:
        mean_w, stretch = curve.mean_w, duration_s / trace.duration_s
        if mean_w is not None and mean_w > 0:
            pieces = [
                (begin * stretch, end * stretch, mean_w if power_w is None else power_w)
                for begin, end, power_w in curve.stretches()
            ]
    area = math.fsum((end - begin) * power for begin, end, power in pieces)
    if area <= 0 or energy_j <= 0:
        return
    for begin, end, power in pieces:
        _spread(drawn_j, begin_s + begin, begin_s + end, energy_j * power / area)


def _spread(drawn_j: list[float], begin_s: float, end_s: float, power_w: float) -> None:
    """Add a power in W from `begin_s` to `end_s` to the slots of `SLOT_S`."""
    last = len(drawn_j) - 1
    slot = min(last, int(begin_s // SLOT_S))
    while begin_s < end_s:
        until_s = end_s if slot == last else min(end_s, (slot + 1) * SLOT_S)
        drawn_j[slot] += max(0.0, until_s - begin_s) * power_w
        begin_s, slot = max(begin_s, until_s), min(last, slot + 1)

"""The outlook that a plan is made over, and where there is none, why, and the one thing to do.

It is a file's, the chosen provider's forecast, or the typical day of what is kept of past values.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import EnergyError, ProviderError, UnknownZone
from .kept_plans import file_of, forecast_error
from .plan.nouns import SLOT_S, Basis, Outlook
from .plan.outlook import from_signal, typical_day

if TYPE_CHECKING:
    from .carbon.base import Signal
    from .config import Energy
    from .factors import Factors

# These need no key, and tell what is to come.
KEY_FREE = ("uk_grid", "energy_charts")
# A forecast that reaches over less of the time than this gives way to a typical day of it all.
LEAST_COVERED = 0.25
# A service takes its time to answer.
_LATE = timedelta(seconds=2 * SLOT_S)
# How a file is handed in: to the plan, and to what holds a run.
BY_OPTION = "hand in a trace: --trace FILE.csv"
BY_SETTING = 'hand in a file: %config Energy.csv_trace = "FILE.csv", and "csv_trace" as provider'


def find(
    factors: Factors,
    settings: Energy,
    begin: datetime,
    length_s: float,
    trace: Path | None = None,
    by_file: str = BY_SETTING,
) -> tuple[Outlook | None, list[str]]:
    """The outlook for `length_s` s from `begin` on, and what is to be said beside its own notes:
    why there is none and what to do, or what is doubtful; `by_file` is how a file is handed in.

    The chosen provider is asked, which takes some seconds at most; with a `trace`, nobody is.
    Raises nothing of ours.
    """
    found, said = _found(factors, settings, begin, length_s, trace, by_file)
    if found is not None and not found.hindsight and datetime.now(UTC) - begin > _LATE:
        said = [*said, "this time has begun already: no run can start in what of it has passed"]
    return found, said


def _found(
    factors: Factors,
    settings: Energy,
    begin: datetime,
    length_s: float,
    trace: Path | None,
    by_file: str,
) -> tuple[Outlook | None, list[str]]:
    """What `find` gives, whenever that is."""
    slots = max(1, math.ceil(length_s / SLOT_S))
    if trace is not None:
        try:
            signal, said = _of_file(factors, settings, trace, begin, slots)
        except ProviderError as error:
            return None, ["; ".join(filter(None, (str(error), error.remedy)))]
        found, why = _over_file(signal, begin, slots)
        return found, said + why
    if not settings.provider:
        advice = _advice(factors, settings, by_file)
        return None, [f"no provider of carbon intensity is chosen: {advice}"]
    found_signal, trouble = factors.ahead((begin, _end(begin, slots)))
    said = [trouble] if trouble else []
    if found_signal is None:
        what = said or [f"{settings.provider} has not answered yet: try again in a minute"]
        advice = _advice(factors, settings, by_file)
        return None, [*what, f"without it no start is planned: {advice}"]
    if settings.provider == "csv_trace":
        found, why = _over_file(found_signal, begin, slots)
    else:
        found, why = _over_live(found_signal, begin, slots, factors, settings, by_file)
    return found, said + why


def _of_file(
    factors: Factors, settings: Energy, trace: Path, begin: datetime, slots: int
) -> tuple[Signal, list[str]]:
    """A file's values, of the user's zone if it has it. Raises ProviderError."""
    from .carbon.base import Query
    from .carbon.csv_part import part_reader
    from .carbon.csv_trace import CsvTrace

    now = datetime.now(UTC)
    end, get, file = _end(begin, slots), part_reader(str(trace)), CsvTrace()
    zones = [*_own_zones(factors, settings)]
    for zone in zones:
        with suppress(ProviderError):
            return file.fetch(Query(zone, begin, now, end, {}), get), []
    found = file.fetch(Query("", begin, now, end, {}), get)
    return found, [f"the file is of {found.zone}, your own zone is {zones[0]}"] if zones else []


def _end(begin: datetime, slots: int) -> datetime:
    return begin + slots * timedelta(seconds=SLOT_S)


def _over_file(signal: Signal, begin: datetime, slots: int) -> tuple[Outlook | None, list[str]]:
    """The values of a file for that time; else the typical day of those before it."""
    try:
        return from_signal(signal, begin, slots, "trace"), []
    except ValueError as error:
        why = str(error)
    try:
        return typical_day([signal], begin, slots), []
    except ValueError as error:
        start = signal.intervals[0].start
        return None, [
            f"{why}: plan from within it, --start {start:%Y-%m-%dT%H:%MZ}",
            f"nor does it tell a typical day ({error})",
        ]


def _over_live(
    signal: Signal, begin: datetime, slots: int, factors: Factors, settings: Energy, by_file: str
) -> tuple[Outlook | None, list[str]]:
    """A provider's forecast; where it has none, the typical day of what is kept."""
    from .carbon.known import FORECAST_EVERY

    name = signal.source.partition(" (")[0].partition(",")[0]
    step = timedelta(seconds=signal.step_s)
    basis: Basis = "forecast" if begin > signal.fetched - 2 * step - FORECAST_EVERY else "trace"
    found = None
    with suppress(ValueError):
        found = from_signal(_bridged(signal, begin), begin, slots, basis)
    if found is not None and found.basis == "forecast":
        learnt = forecast_error(file_of(settings.store_path()), signal)
        if learnt is not None:
            found = replace(found, error=learnt[0], error_source=learnt[1])
    if found is not None and len(found.g_per_kwh) >= LEAST_COVERED * slots:
        return found, [*_old(signal, name)]
    lacks = f"{name} tells no forecast for {signal.place or signal.zone}"
    if found is not None and any(
        i.quality == "forecast" and i.end > begin for i in signal.intervals
    ):
        reached = signal.intervals[-1].end
        lacks = f"the forecast of {name} ends at {reached:%Y-%m-%d %H:%M} UTC"
    try:
        return typical_day([signal], begin, slots), [lacks]
    except ValueError as error:
        if found is not None and "ends at" in lacks:  # some of it can be answered
            return found, [lacks]
        return None, [f"{lacks}: {_advice(factors, settings, by_file)}", str(error)]


def _bridged(signal: Signal, begin: datetime) -> Signal:
    """The signal with its last value held until its forecast begins, two steps at most, where
    `begin` lies between the two."""
    from .carbon.known import HELD_STEPS

    before = [one for one in signal.intervals if one.start <= begin]
    after = signal.intervals[len(before) :]
    if not before or not after or before[-1].end > begin:
        return signal
    gap = after[0].start - before[-1].end
    if gap > HELD_STEPS * timedelta(seconds=signal.step_s):
        return signal
    held = replace(before[-1], end=after[0].start, quality="estimated")
    return replace(signal, intervals=(*before[:-1], held, *after))


def _old(signal: Signal, name: str) -> Iterator[str]:
    """That the forecast is an old one, where it is."""
    from .carbon.known import FORECAST_EVERY

    usual = FORECAST_EVERY + timedelta(seconds=2 * signal.step_s)
    made = [
        i.fetched for i in signal.intervals if i.quality == "forecast" and i.fetched is not None
    ]
    if made and datetime.now(UTC) - max(made) > usual:
        yield f"the forecast of {name} is of {max(made):%Y-%m-%d %H:%M} UTC: there is no newer one"


def _advice(factors: Factors, settings: Energy, by_file: str) -> str:
    """What to choose to get a forecast here."""
    zones = [*_own_zones(factors, settings, named=False)]
    for zone in zones:
        for name in KEY_FREE:
            if name != settings.provider and _knows(name, zone):
                return (
                    f'%config Energy.provider = "{name}" has a forecast for this place without a '
                    f"key (in a shell: JUPYTER_ENERGY_PROVIDER={name}), or {by_file}"
                )
    if any(_knows(settings.provider, zone) for zone in zones if settings.provider in KEY_FREE):
        other = "no other service without a key has a forecast for this place"
        return f"try again later, as {other}, or {by_file}"
    return f"no service without a key has a forecast for this place; {by_file}"


def own_zone(factors: Factors, settings: Energy) -> str | None:
    """The zone that rows of a file have to be of for the provider csv_trace to take them, where
    they name one; None where no place is known."""
    return next(_own_zones(factors, settings), None)


def _own_zones(factors: Factors, settings: Energy, named: bool = True) -> Iterator[str]:
    """What the user's place may be called in a file or by a provider."""
    from .carbon.asked_as import grid_of

    with suppress(EnergyError):
        zone = factors.yearly().zone
        names = (settings.provider_zone if named else "", grid_of(zone), zone)
        yield from dict.fromkeys(name.removeprefix("EM:") for name in names if name)


def _knows(name: str, zone: str) -> bool:
    from .carbon import provider

    with suppress(UnknownZone):
        provider(name).region(zone)
        return True
    return False

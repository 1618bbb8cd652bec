"""Every sensor and provider: works, or why not and the one remedy; then store, place, settings."""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Iterator
from typing import TypedDict

from ..errors import EnergyError, SensorError
from ..model import APART, Domain
from ..monitor import Monitor
from ..sampler import Sampler
from ..sensors.base import Sensor
from ..sensors.rapl_access import RECIPE, REMEDY, surroundings
from ..version import version
from ..window import longest_still_s
from .base import Context
from .provider_state import look_at_network, look_at_provider, told_of_network, told_of_provider
from .store_state import look_at, told

IN_NOTEBOOK = IN_SHELL = True
WAIT_S = 5.0
# Between two looks at a counter that has not moved yet. Some bear no more (measuring.md 1.3).
LOOK_S = 0.2


class Line(TypedDict):
    """One finding: `state` is works, estimated, absent, failed or note."""

    family: str
    device: str
    state: str
    detail: str
    remedy: str | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Show what is seen, what is not and why; 0."""
    monitor = context.monitor()
    complete = monitor.sampler.wait_until_found(WAIT_S)
    around = surroundings(context.settings.machine(context.environ))
    lines = findings(context)
    if not complete:
        lines.append(
            Line(
                family="?",
                device="",
                state="failed",
                remedy=None,
                detail=f"a driver has not answered for {WAIT_S:g} s",
            )
        )
    store = look_at(monitor.store_path)
    place = _place(monitor)
    provider = look_at_provider(context)
    network = look_at_network(context, provider)
    if arguments.json:
        document = {
            "schema": 1,
            "version": version(),
            "python": platform.python_version(),
            "system": platform.platform(),
            "within": around,
            "sensors": lines,
            "store": store,
            "place": place,
            "provider": provider,
            "network": network,
            "settings": context.settings.complaints_now(),
        }
        context.out(json.dumps(document, indent=2))
        return 0
    context.out(f"jupyter-energy {version()}, Python {platform.python_version()}")
    if around:
        context.out(f"Within a {' in a '.join(around)}: counters of the host may not be seen here")
    for line in lines:
        context.out(f"  {line['state']:<10} {line['device']:<24} {line['detail']}".rstrip())
        for remedy_line in (line["remedy"] or "").splitlines():
            context.out(f"  {'':<10} {'':<24} {remedy_line}".rstrip())
    if any(line["remedy"] == REMEDY for line in lines):
        context.out("\n" + RECIPE)
    for told_line in told(store, len(context.pending())):
        context.out(told_line)
    context.out(f"Place: {place}")
    for provider_line in told_of_provider(provider):
        context.out(provider_line)
    for complaint in context.settings.complaints_now():
        context.out(f"Setting: {complaint}")
    context.out(told_of_network(network, provider))
    return 0


def findings(context: Context) -> list[Line]:
    """One line a sensor, an absence or a note, family by family."""
    lines = []
    sampler = context.monitor().sampler
    still = standing_still(sampler)
    for family, found in sampler.discoveries().items():
        lines += [_of_sensor(context, family, s, s in still) for s in found.sensors]
        lines += [
            Line(
                family=family,
                device=_device(absence.domain),
                state="absent",
                detail=absence.reason,
                remedy=absence.remedy,
            )
            for absence in found.absences
        ]
        lines += [
            Line(family=family, device=family, state="note", detail=note, remedy=None)
            for note in found.notes
        ]
    return lines


def _place(monitor: Monitor) -> str:
    """The place, its yearly factor, and how it was found."""
    try:
        monitor.factors.wait()
        found = monitor.intensity()
    except EnergyError as error:
        return str(error)
    factor = f"{found.g_per_kwh:g} g CO2e/kWh"
    return f"{found.place}, {factor} ({found.source}, {found.year}; {found.how})"


def standing_still(sampler: Sampler) -> set[Sensor]:
    """The counters that can be read but do not move, though there has been time enough."""
    counters = [s for s in sampler.sensors() if s.kind == "counter" and s.spread is None]
    still = {s for s in counters if longest_still_s(s) <= WAIT_S}
    until_s = time.monotonic() + max(map(longest_still_s, still), default=0.0)
    while True:
        is_last = time.monotonic() >= until_s
        readings = sampler.look(still.__contains__).readings
        # Of one that cannot be read, its own reason is told.
        still = {
            sensor
            for sensor, seen in readings.items()
            if not isinstance(seen, str) and seen.still_s >= longest_still_s(sensor)
        }
        if is_last or not still:
            return still
        time.sleep(LOOK_S)


def _of_sensor(context: Context, family: str, sensor: Sensor, is_still: bool) -> Line:
    state, detail, remedy = _try(context, sensor)
    if is_still and state == "works":
        state, detail = "failed", f"{sensor.source} reads, but stands still: it measures nothing"
        remedy = _IN_NO_TOTAL if sensor.domain.kind in APART else _STILL
    device = _device(sensor.domain)
    return Line(family=family, device=device, state=state, detail=detail, remedy=remedy)


# Such a counter is no matter of rights or settings: nothing that a user could do is left out.
_WHY_STILL = "The maker of the machine, or the host of a virtual one, has not connected it"
_STILL = f"{_WHY_STILL}: its figures are estimated where that is possible."
_IN_NO_TOTAL = f"{_WHY_STILL}. Nothing is to be done: no total needs it."


def _device(domain: Domain) -> str:
    """A device's name, with its number where a machine may have several of one name."""
    return f"GPU {domain.index} {domain.name}" if domain.kind == "gpu" else domain.name


def _try(context: Context, sensor: Sensor) -> tuple[str, str, str | None]:
    """Reads a sensor once, on the thread that may read it: its state, details, and a remedy."""
    try:
        context.monitor().sampler.try_once(sensor)
    except SensorError as error:
        return "failed", str(error), error.remedy
    if sensor.spread is not None:
        low, high = sensor.spread
        times = f"{low:.3g} to {high:.3g} times the figure shown"
        return "estimated", f"{sensor.source}, {times}; used where no sensor measures it", None
    gain = f"±{sensor.accuracy.gain:.0%} ({sensor.accuracy.source})"
    works = "; ".join((f"{sensor.source}, {sensor.provenance}, {gain}", *_times(sensor)))
    return "works", works, None


def _times(sensor: Sensor) -> Iterator[str]:
    """How often a sensor's value is renewed, and when it is read beyond the edges of a cell."""
    yield f"a new value every {_time(sensor.period_s)}"
    if sensor.averages_s:
        yield f"each the mean of {_time(sensor.averages_s)}"
    if sensor.settles_s is not None:
        yield f"read once more {_time(sensor.settles_s)} after a cell"
    if sensor.polls_s is not None:
        yield f"read every {_time(sensor.polls_s)} around its edges"


def _time(seconds: float) -> str:
    return f"{seconds:g} s" if seconds >= 1 else f"{1000 * seconds:g} ms"

"""Measure what this machine draws while nothing runs, or calibrate its CPU estimate.

`baseline` alone waits 15 s (or SECONDS) with the machine left alone, shows the idle power of each
device that has a sensor, and keeps it. Where no sensor may be read, the CPU is estimated; then
`--plug IDLE_W BUSY_W` narrows its range by two readings of a plug or meter, of the machine at rest
and with all threads busy. `--calibrate` finds such a pair by RAPL, which mostly only root may
read: it keeps nothing, and prints the command with `--set` that you then run as yourself.
`--forget` takes a calibration back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import EnergyError, WrongUse

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from pathlib import Path

    from ..calibration import Calibration
    from .base import Context
    from .idle import Found

IN_NOTEBOOK = IN_SHELL = True
DEFAULT_S, LEAST_S, MOST_S = 15.0, 1.0, 3600.0
CALIBRATE_S = 10.0  # at rest, and again under load
FIND_S = 5.0
BUSY_SHARE = 0.03  # a machine that is busier than this is not idle (measuring.md 5.3)
# How far a calibrated estimate may be off: by RAPL as measuring.md 4.3 has it, by a plug more,
# because the processors' share of the machine is known no better than that (cpu_power.py).
RAPL_BAND, PLUG_BAND = 0.2, 0.3
MOST_W = 20_000.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """SECONDS, or one of the ways to calibrate, and --json."""
    parser.add_argument("seconds", nargs="?", type=float, metavar="SECONDS", help="how long (15)")
    pair = ("IDLE_W", "BUSY_W")
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument("--plug", nargs=2, type=float, metavar=pair, help="two readings of a plug")
    ways.add_argument("--set", nargs=2, type=float, metavar=pair, help="what --calibrate printed")
    ways.add_argument("--calibrate", action="store_true", help="load all threads and read RAPL")
    ways.add_argument("--forget", action="store_true", help="forget this machine's calibration")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Do what was asked; 0, or 1 where the machine was not idle.

    Raises WrongUse for numbers that cannot be, EnergyError where nothing can be measured or kept.
    """
    seconds = arguments.seconds
    if seconds is None:
        seconds = CALIBRATE_S if arguments.calibrate else DEFAULT_S
    elif arguments.plug or arguments.set or arguments.forget:
        raise WrongUse("SECONDS goes with a measurement, and nothing is measured here")
    elif not LEAST_S <= seconds <= MOST_S:  # false for NaN as well
        raise WrongUse(f"SECONDS is {seconds:g}: give {LEAST_S:g} to {MOST_S:g}")
    if arguments.plug:
        return _keep(_by_plug(arguments.plug), arguments, context)
    if arguments.set:
        return _keep(_by_rapl(arguments.set), arguments, context)
    if arguments.forget:
        return _keep(None, arguments, context)
    return (_calibrate if arguments.calibrate else _measure)(seconds, arguments, context)


# -- idle power ------------------------------------------------------------------------------


def _measure(seconds: float, arguments: argparse.Namespace, context: Context) -> int:
    """Measure idle power, show it, and keep it where the machine was idle."""
    from ..calibration import Baselines, save
    from .idle import is_measured, power

    monitor = context.monitor()
    monitor.sampler.wait_until_found(FIND_S)
    if not any(map(is_measured, monitor.sampler.sensors())):
        raise EnergyError(
            f"no sensor can be read here, so there is no idle power to measure "
            f"({context.command} doctor says why); a plug's readings narrow the estimate: "
            f"{context.command} baseline --plug IDLE_W BUSY_W"
        )
    context.err(f"Measuring idle power for {seconds:g} s: leave the machine alone.")
    machine = context.settings.machine(context.environ)
    found = power(monitor, machine, seconds, context.err)
    if not found.devices:
        raise EnergyError(f"no sensor gave a reading: {context.command} doctor says why")
    _refuse_busy(found)
    if found.busy is None:
        context.err("How busy the processor was cannot be read: make sure that nothing ran.")
    file = save(Baselines(monitor.host, found.devices))
    monitor.accounts.look_up_baselines()
    if arguments.json:
        _print_json(context, found, monitor.host, file)
    else:
        context.out(_text(found, file))
    return 0


def _refuse_busy(found: Found) -> None:
    """Raises EnergyError where the processor was at work."""
    if found.busy is not None and found.busy > BUSY_SHARE:
        raise EnergyError(
            f"the processor was {found.busy:.0%} busy, so this was no idle power and is not "
            "kept: stop what runs and try again"
        )


def _text(found: Found, file: Path) -> str:
    from .. import units
    from ..uncertainty import Uncertain

    lines = ["Idle power:"]
    for one in found.devices:
        figure = Uncertain(one.idle_w, found.u95_w[one.device] / 1.96)
        lines.append(f"  {one.name:<28} {units.measured(figure, units.POWER_W)} ({one.source})")
    return "\n".join([*lines, f"Kept in {file}."])


def _print_json(context: Context, found: Found, host: str, file: Path) -> None:
    import json
    from dataclasses import asdict

    from ..schema import SCHEMA

    devices = [asdict(one) | {"u95_w": found.u95_w[one.device]} for one in found.devices]
    document = {"schema": SCHEMA, "host": host, "devices": devices, "file": str(file)}
    context.out(json.dumps(document, ensure_ascii=False, indent=2))


# -- calibration of the estimate -------------------------------------------------------------


def _by_plug(pair: Sequence[float]) -> Calibration:
    """The package's power from a plug's, which sees the whole machine. Raises WrongUse."""
    from ..sensors.cpu_power import SHARE

    rest_w, full_w = _checked(pair)
    return _calibration(SHARE * rest_w, SHARE * full_w, PLUG_BAND, "plug")


def _by_rapl(pair: Sequence[float]) -> Calibration:
    """The package's power as RAPL gave it. Raises WrongUse."""
    return _calibration(*_checked(pair), RAPL_BAND, "RAPL")


def _checked(pair: Sequence[float]) -> tuple[float, float]:
    rest_w, full_w = pair
    if not 0 < rest_w < full_w <= MOST_W:  # false for NaN as well
        raise WrongUse(
            f"{rest_w:g} W idle and {full_w:g} W busy cannot be: give two powers in W, first the "
            "idle one, and the busy one above it"
        )
    return rest_w, full_w


def _calibration(rest_w: float, full_w: float, band: float, how: str) -> Calibration:
    from ..calibration import Calibration, now
    from ..sensors.cpu_power import line

    # A machine at rest lies below the line, which is that of one where something runs.
    at_rest = rest_w / line(rest_w, full_w)[0]
    low = min(1 - band, at_rest)
    return Calibration(rest_w, full_w, low, 1 + band, "plug" if how == "plug" else "RAPL", now())


def _keep(found: Calibration | None, arguments: argparse.Namespace, context: Context) -> int:
    """Keep a calibration of this machine, or forget it, and say what that changes."""
    from ..calibration import calibrate
    from ..sensors.estimate import identity_of

    file = calibrate(identity_of(context.settings.machine(context.environ)), found)
    if arguments.json:
        import json
        from dataclasses import asdict

        from ..schema import SCHEMA

        kept = None if found is None else asdict(found)
        document = {"schema": SCHEMA, "calibration": kept, "file": str(file)}
        context.out(json.dumps(document, ensure_ascii=False, indent=2))
        return 0
    if found is None:
        context.out("The CPU estimate is no longer calibrated.")
    else:
        share = "69 % of what the plug shows, " if found.how == "plug" else ""
        context.out(
            f"The CPU is taken for {share}{found.rest_w:.3g} W at rest and {found.full_w:.3g} W "
            f"with all threads busy; its estimate now ranges from {found.low:.2g} to "
            f"{found.high:.2g} times the middle."
        )
    context.out(f"Counts in kernels that start from now on (kept in {file}).")
    return 0


def _calibrate(seconds: float, arguments: argparse.Namespace, context: Context) -> int:
    """Read RAPL at rest and under load, and print the command that keeps it."""
    from .idle import all_threads_busy, power

    monitor = context.monitor()
    monitor.sampler.wait_until_found(FIND_S)
    machine = context.settings.machine(context.environ)
    packages = [s for s in monitor.sampler.sensors() if s.domain.kind == "package"]
    if not any(sensor.spread is None for sensor in packages):
        raise EnergyError(
            "RAPL cannot be read by this user: run this once as root (sudo jupyter energy "
            "baseline --calibrate), or read a plug (--plug)"
        )
    context.err(
        f"Reading RAPL for {seconds:g} s at rest, then for {seconds:g} s with all threads busy."
    )
    rest = power(monitor, machine, seconds, context.err)
    _refuse_busy(rest)
    with all_threads_busy(machine):
        full = power(monitor, machine, seconds, context.err)
    rest_w, full_w = rest.package_w(), full.package_w()
    if rest_w is None or full_w is None or not rest_w < full_w:
        raise EnergyError("RAPL shows no more under load than at rest: its readings are no truth")
    pair = f"{rest_w:.4g} {full_w:.4g}"
    if arguments.json:
        import json

        from ..schema import SCHEMA

        document = {"schema": SCHEMA, "rest_w": rest_w, "full_w": full_w}
        context.out(json.dumps(document, indent=2))
    else:
        context.out(f"To keep this, run as yourself:\n  jupyter energy baseline --set {pair}")
    return 0

"""The sweep of `plan --sweep-power-limit CODE`: the power limit of the least energy a step."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .. import units
from ..devices import EVERYTHING, selector
from ..errors import EnergyError, SensorDenied, SensorError
from ..limiter import Gpu, Limiter, candidates, command, others, refuse_if
from ..power_limit import BLOCK_S, Knee, Point, knee, shares, swept, timed
from ..repeat import BLOCKS
from ..signals import raise_if_users

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from ..monitor import Monitor
    from ..plan.shapes import ItemJson
    from ..sensors.base import Sensor
    from .base import Context

FIND_S = 5.0
# What is named to an administrator where nothing may be tried: 10-15 % less energy for some 3 %
# more time is typical of it (MIT Lincoln Laboratory, McDonald 2022; carbon.md 6).
USUAL_SHARE = 0.8
HOW = (
    "--sweep-power-limit needs a piece of your work that can run again and again, in quotes: "
    '%energy plan --sweep-power-limit "train_step()"'
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The sweep's part of the plan command."""
    parser.add_argument(
        "--sweep-power-limit",
        nargs="?",
        const="",
        metavar="CODE",
        help='try power limits with this step of your work, such as "train_step()"',
    )
    parser.add_argument(
        "--yes", action="store_true", help="sweep although others use the GPU as well"
    )


def sweep(arguments: argparse.Namespace, context: Context) -> list[ItemJson] | None:
    """The item of the least energy a step, with its table told; none of no gain. None where nothing
    was measured, and why is told: no CODE, no rights, others on the GPU, a step that fails.

    Lets Ctrl-C pass; the limits are put back before.
    """
    code: str | None = arguments.sweep_power_limit
    if code is None:
        return None
    tell = context.err if arguments.json else context.out
    try:
        return _swept(code, arguments.yes, context, tell)
    except EnergyError as error:
        raise_if_users(error)
        context.err(f"power limits were not swept: {error}")
    return None


def _swept(
    code: str, goes_on: bool, context: Context, tell: Callable[[str], None]
) -> list[ItemJson] | None:
    step = _step(code, context)
    monitor = context.monitor()
    monitor.sampler.wait_until_found(FIND_S)
    reads = _reads(monitor, context)
    gpus = candidates(monitor, reads)
    try:
        Limiter(monitor, gpus, context.err).check()
    except SensorDenied:
        tell(_for_an_administrator(gpus))
        return None
    except SensorError as error:
        raise EnergyError(f"the power limit cannot be set ({error})") from error
    told = [] if goes_on else others(monitor, gpus)
    if len(told) == len(gpus):  # whichever of them the step computes on
        refuse_if(told)
    try:
        alone_s = timed(monitor, step)
        # Only now that it has run it is seen on which of them it computes.
        gpus = candidates(monitor, reads)
        if not goes_on:
            refuse_if(others(monitor, gpus))
        context.err(_announced(gpus))
        limiter = Limiter(monitor, gpus, context.err, is_shared=goes_on)
        points = swept(monitor, gpus, limiter, step, alone_s)
    except EnergyError:
        raise
    except Exception as error:
        raise_if_users(error)
        raise EnergyError(f"{code} failed: {type(error).__name__}: {error}") from error
    found = knee(points)
    tell(_table(points, gpus, found))
    return _items(found, gpus)


def _announced(gpus: Sequence[Gpu]) -> str:
    """What is about to be tried. Raises EnergyError where no lower limit can be."""
    number = len(shares(gpus))
    if number == 1:
        raise EnergyError("the GPU can be given no lower limit than it has")
    which = ", ".join(str(g.index) for g in gpus)
    if len(gpus) > 1 and not any(g.is_ours for g in gpus):
        which += " (which of them the step uses, the driver does not tell)"
    return (
        f"Tries {number} power limits of GPU {which}, which takes about "
        f"{units.duration((number + 1) * (1 + BLOCKS) * BLOCK_S)}, and then sets the limit as it "
        "was. Only if this kernel is killed meanwhile, an administrator has to: "
        f"{'; '.join(g.way_back for g in gpus)}"
    )


def _step(code: str, context: Context) -> Callable[[], object]:
    """What runs a step once, in the user's namespace. Raises EnergyError where there is none."""
    if not context.in_notebook:
        raise EnergyError("the step is code of a notebook: type %energy plan there")
    if not code.strip():
        raise EnergyError(HOW)
    from IPython import get_ipython

    shell = get_ipython()
    if shell is None:
        raise EnergyError("there is no notebook whose code it could run")
    try:
        compiled = compile(code, "<--sweep-power-limit>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        raise EnergyError(f"{code} is no Python code ({error})") from error
    namespace = shell.user_ns

    def step() -> None:
        exec(compiled, namespace)  # noqa: S102  the user's own code, as typed in the cell

    return step


def _reads(monitor: Monitor, context: Context) -> Callable[[Sensor], bool]:
    """Which GPUs this kernel may use."""
    sampler = monitor.sampler
    counts = selector(EVERYTHING, sampler.sensors, sampler.absences, context.environ)
    return lambda sensor: counts(sensor.domain)


def _for_an_administrator(gpus: Sequence[Gpu]) -> str:
    """What to have typed by somebody with the rights, where nothing may be tried here."""
    which = ", for those of these GPUs that the step computes on," if len(gpus) > 1 else ""
    lines = [
        f"Setting a power limit needs an administrator, so none was tried. They can type{which}"
    ]
    for gpu in gpus:
        least_w, most_w = gpu.limits.least_w, gpu.limits.now_w
        watts = min(most_w, max(least_w, round(USUAL_SHARE * gpu.limits.default_w)))
        lines.append(f"  {command(gpu.index, watts)}    (and to undo it: {gpu.way_back})")
    lines.append(
        f"{units.percent(USUAL_SHARE)} of the default is a usual first try, and not measured "
        "here: compare a step before and after it with %%energy -r auto. Not where others use the "
        "GPU, unless they agree."
    )
    return "\n".join(lines)


def _table(points: Sequence[Point], gpus: Sequence[Gpu], found: Knee) -> str:
    """What each limit came to, and what follows."""
    rows = [("limit", "a step draws", "and takes", "")]
    for point in points:
        watts = ", ".join(f"{w:.0f} W" for w in dict.fromkeys(point.limits_w.values()))
        mark = "least" if point is found.point else ""
        # What the sensors are off by alike at every limit says nothing of which is the least.
        energy = units.measured(replace(point.energy_j, u_systematic=0.0))
        took = units.duration(point.step_s)
        rows.append((f"{watts} ({units.percent(point.share)})", energy, took, mark))
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    lines = []
    for *cells, mark in rows:
        padded = (f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True))
        lines.append("  ".join([*padded, mark]).rstrip())
    numbers = ", ".join(str(g.index) for g in gpus)
    title = (
        f"Energy a step by power limit of GPU {numbers}, of all measured devices (±: from run to "
        "run; what their sensors are off by is the same in each row):"
    )
    return "\n".join([title, *lines, _conclusion(points, gpus, found)])


def _conclusion(points: Sequence[Point], gpus: Sequence[Gpu], found: Knee) -> str:
    back = "The limit is as it was." if len(gpus) == 1 else "The limits are as they were."
    if found.point is points[0]:
        return f"No gain: none of the lower limits takes less energy. {back}"
    low, mid, high = (100 * s for s in (found.saved.low, found.saved.mid, found.saved.high))
    told = f"The least, {mid:.1f} % less ({low:.1f} to {high:.1f} %), takes {_more(found)} time."
    if found.saved.low <= 0:
        told += " That may be chance."
    if found.is_last:
        told += " No limit below that was tried."
    return f"{told} {back}"


def _more(found: Knee) -> str:
    """How much longer a step takes at the knee, such as "+19 %"."""
    return f"{100 * found.slower:+.0f} %"


def _items(found: Knee, gpus: Sequence[Gpu]) -> list[ItemJson]:
    if found.saved.mid <= 0:
        return []
    low, mid, high = found.saved.low, found.saved.mid, found.saved.high
    watts = found.point.limits_w
    typed = "; ".join(command(g.index, watts[g.index]) for g in gpus)
    named = ", ".join(f"GPU {g.index} to {watts[g.index]:.0f} W" for g in gpus)
    item: ItemJson = {
        "what": "power_limit",
        "change": f"Limit {named} ({units.percent(found.point.share)} of the default)",
        "setup": None,
        "command": typed,
        "saved_fraction": {"low": max(0.0, low), "mid": mid, "high": high},
        "saved_g": None,
        "saved_j": None,
        "cost": f"{_more(found)} time; administrator's rights, and again after each restart "
        "of the machine; others on the GPU are slowed too",
        "evidence": "measured here: a step at each limit; the saving is of such steps alone",
        "confidence": "high" if low > 0 else "low",
    }
    return [item]

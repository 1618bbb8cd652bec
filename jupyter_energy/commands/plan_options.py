"""What is asked of `plan`, read once and checked: times in s, energy in kWh."""

from __future__ import annotations

import argparse
import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

from ..errors import WrongUse
from ..plan.job import LONGEST_S
from ..plan.nouns import SLOT_S
from ..plan.regions import checked_cloud
from ..units import DURATION_S, J_PER_KWH, parse_duration, parse_limit

WITHIN_H = "24"
# What a checkpoint takes to write and read is not known before it is said.
CHECKPOINT = "0s"
# No grid's carbon intensity was written down before (ours).
FIRST_YEAR = 1970
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True, slots=True)
class Options:
    """`hours` and `kwh` of the job, None where nobody said; `begin` is when it could begin at the
    earliest (UTC), `within_s` how long it could wait, `checkpoint_s` how long one takes;
    `on_anyway`: the machine runs anyway; `clocks` are the time zone that its begin was said in,
    None where that is the user's own; `notes` has what was not taken as it was given."""

    hours: float | None
    kwh: float | None
    begin: datetime
    within_s: float
    checkpoint_s: float
    cloud: str | None
    trace: Path | None
    begins_later: bool = False
    on_anyway: bool = False
    notes: tuple[str, ...] = ()
    zone: str | None = None
    clocks: tzinfo | None = None


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that `read` reads."""
    parser.add_argument("--hours", metavar="6", help="how long the job takes: 6, 90min, 2d")
    parser.add_argument("--kwh", metavar="3", help="what it draws: 3, 500Wh")
    parser.add_argument(
        "--within",
        metavar="24",
        default=WITHIN_H,
        help="how long it can wait: the latest start, or all pauses together (default 24, in h)",
    )
    parser.add_argument(
        "--start", metavar="TIME", help="from when on it can begin: 18:00, 2026-11-24T08:00"
    )
    parser.add_argument("--trace", metavar="FILE.csv", help="carbon intensity ahead, from a file")
    parser.add_argument(
        "--zone", help="the place that it runs at, such as FR; default: as it is set"
    )
    parser.add_argument(
        "--cloud",
        metavar="NAME",
        help="rank the regions of aws, gcp or azure (default: where it is)",
    )
    parser.add_argument(
        "--checkpoint",
        metavar="30s",
        default=CHECKPOINT,
        help="how long it takes to save and load for a pause (default 0s)",
    )
    parser.add_argument(
        "--on-anyway",
        action="store_true",
        help="the machine runs anyway: waits and pauses draw nothing more",
    )


def read(arguments: argparse.Namespace, now: datetime) -> Options:
    """The options as they were given at `now` (with a time zone). Raises WrongUse."""
    hours = None if arguments.hours is None else _hours(arguments.hours)
    begin = now if arguments.start is None else _moment(arguments.start, now)
    within_s = _duration("--within", arguments.within)
    if within_s > LONGEST_S:
        raise WrongUse(f"--within {arguments.within}: plans are for a year at most")
    trace = None if arguments.trace is None else Path(arguments.trace).expanduser()
    if trace is not None and not trace.exists():
        raise WrongUse(f"--trace {arguments.trace}: there is no such file")
    notes: tuple[str, ...] = ()
    passed_s = (now - begin).total_seconds()
    if 0 < passed_s < within_s:
        # Some of its starts can still be made, and those that cannot are no advice.
        begin, within_s = now, within_s - passed_s
        notes = (f"--start {arguments.start} has passed: planned from now on, to the same end",)
    return Options(
        hours=hours,
        kwh=None if arguments.kwh is None else _kwh(arguments.kwh),
        begin=_next_slot(begin),
        within_s=within_s,
        checkpoint_s=_duration("--checkpoint", arguments.checkpoint, "s"),
        cloud=checked_cloud(arguments.cloud),
        trace=trace,
        begins_later=arguments.start is not None,
        on_anyway=arguments.on_anyway,
        notes=notes,
        zone=arguments.zone,
        clocks=_clocks(arguments.start),
    )


def _duration(option: str, text: str, bare: str = "h") -> float:
    """A duration in s, a `bare` number in that unit. Raises WrongUse, which names the option."""
    try:
        return parse_duration(text, bare)
    except WrongUse as error:
        raise WrongUse(f"{option} {error}") from None


def _hours(text: str) -> float:
    seconds = _duration("--hours", text)
    if seconds <= 0:
        raise WrongUse(f"--hours {text}: a job takes some time; write such as --hours 6")
    if seconds > LONGEST_S:
        raise WrongUse(f"--hours {text}: plans are for a year at most")
    return seconds / DURATION_S["h"]


def _kwh(text: str) -> float:
    """An energy as "3" (kWh), "500Wh" or "2 MWh" in kWh. Raises WrongUse."""
    try:
        energy_j, unit = parse_limit(text if re.search(r"[A-Za-z]\s*$", text) else f"{text}kWh")
    except WrongUse:
        energy_j, unit = math.nan, ""
    if unit != "J" or not energy_j > 0:
        raise WrongUse(f"--kwh {text!r:.40} is no energy: write more than 0, such as 3 or 500Wh")
    return energy_j / J_PER_KWH


def _moment(text: str, now: datetime) -> datetime:
    """A time that a user means: of the next 24 hours, or with its day; local unless it says."""
    local = now.astimezone()
    if clock := _CLOCK.fullmatch(text.strip()):
        hour, minute = map(int, clock.groups())
        naive = local.replace(tzinfo=None, hour=hour, minute=minute, second=0, microsecond=0)
        found = _utc(naive)
        return found if found >= now else _utc(naive + timedelta(days=1))
    try:
        found = _utc(datetime.fromisoformat(text.strip()))
        if found.year >= FIRST_YEAR and (found - now).total_seconds() <= LONGEST_S:
            return found
        raise WrongUse(
            f"--start {text!r:.40}: plans are for a year ahead at most, or for a time since "
            f"{FIRST_YEAR}"
        )
    except (ValueError, OverflowError, OSError):
        raise WrongUse(
            f"--start {text!r:.40} is no time: write 18:00, or 2026-11-24T08:00"
        ) from None


def _clocks(start: str | None) -> tzinfo | None:
    """The time zone that a start says: -07:00 of 2022-04-25T17:00-07:00; None where it says none,
    or the one that the user's clock has then."""
    try:
        found = datetime.fromisoformat((start or "").strip())
    except ValueError:  # a time of a clock
        return None
    is_own = found.utcoffset() == found.astimezone().utcoffset()
    return None if is_own else found.tzinfo


def _utc(moment: datetime) -> datetime:
    """The same moment in UTC; local where it has no zone. In the hour that summer time skips, by
    the clock before it, so that it is later (PEP 495); `astimezone` would make it earlier."""
    if moment.tzinfo is not None:
        return moment.astimezone(UTC)
    return datetime.fromtimestamp(moment.timestamp(), UTC)


def _next_slot(moment: datetime) -> datetime:
    """The next full slot (of 5 minutes), at which signals change too; UTC."""
    moment = moment.astimezone(UTC)
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + math.ceil((moment - midnight).total_seconds() / SLOT_S) * timedelta(
        seconds=SLOT_S
    )

"""`je.wait_for_clean_power`: holds a run until the cleanest time that it may begin at."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ..plan.held import draws
from ..plan.nouns import Outlook
from ..plan.pausing import Powers, free
from ..reckoning import Promise
from ..signals import raise_if_users
from ..units import duration, percent
from .asked import anyway_of, hours_of, wait_of
from .holding import hold
from .known import powers
from .meter import Meter, NoMeter, WindowMeter
from .outlooking import Outlooks
from .past_days import PastDays
from .planning import SLOT, Start, start
from .stopping import Stopped, stoppable
from .surroundings import Surroundings, here
from .telling import TO_STOP, by, until
from .together import together

if TYPE_CHECKING:
    from ..monitor import Monitor
    from ..open_window import OpenWindow

# A provider has so long to answer before the run begins at once, in s.
ANSWER_S = 10.0


@dataclass(frozen=True, slots=True)
class Waited:
    """How long a run was held, in s, and what its plan promised: to begin at `planned` (UTC), which
    saves `saved_fraction` of its emissions, what the wait draws taken off; both None where it began
    at once, or its wait was stopped, as `why` says."""

    waited_s: float
    planned: datetime | None
    saved_fraction: float | None
    basis: str | None
    source: str | None
    why: str | None

    def __repr__(self) -> str:
        if self.planned is None or self.saved_fraction is None:
            waited = f"waited {duration(self.waited_s)}" if self.waited_s > 0 else "began at once"
            return f"{waited}: {self.why}"
        return (
            f"waited {duration(self.waited_s)} for a start that was planned to save about "
            f"{percent(self.saved_fraction)} of the emissions attributed to the run, what the wait "
            "draws taken off"
        )


def wait_for_clean_power(hours: float, max_wait: str = "6h", on_anyway: bool = False) -> Waited:
    """Hold until the cleanest time to begin a run of so many `hours`, `max_wait` at most:
    `je.wait_for_clean_power(hours=3, max_wait="6h")` on the line before it.

    Planned over the forecast of the chosen provider, a CSV trace or a typical day, again whenever
    a newer one comes. What the kernel that waits draws is taken off, as measured between cells,
    else assumed; with `on_anyway` the machine runs anyway, and a wait draws nothing more. Without
    something to plan over, or a gain of 2 %, the run begins at once and one line says why. Ctrl-C
    ends the wait, and the cell.

    What follows it until the end of the measured cell, or of the `je.measure` block that it stands
    in, is the run: its Record's `shift` has what was saved against beginning at once, and beside
    that what the machine drew while it waited. In a script under `jupyter energy run`, outside of
    any block, the run goes to the script's end, in a row of its own. Where nothing measures, only
    the plan is known. Raises WrongUse for what cannot be, before anything begins.
    """
    run_s, wait_s = hours_of(hours), wait_of(max_wait)
    is_free = anyway_of(on_anyway)
    try:
        from ..blocks import current, rest_of_script

        monitor = current()
        around = here(monitor)
        rest = None
        if (window := monitor.windows.around()) is None:
            window = rest = rest_of_script(monitor, "wait_for_clean_power")
        meter = NoMeter() if window is None else _meter_of(monitor, window)
    except Exception as error:  # noqa: BLE001  ours must not keep the run from beginning
        raise_if_users(error)
        return _at_once(f"{type(error).__name__}: {error}")
    began_s = around.monotonic_s()
    try:
        key = None if window is None else window.notebook
        found = free if is_free else lambda: powers(monitor, key)
        wait = Wait(around, meter, found)
        waited = stoppable(lambda: wait.held(run_s, wait_s))
        if rest is not None and waited.planned is None:
            monitor.drop_window(rest)  # it began at once: there is nothing to tell of
        return waited
    except Stopped:
        waited_s = around.monotonic_s() - began_s
        return replace(_at_once("its wait was stopped"), waited_s=waited_s)
    except Exception as error:  # noqa: BLE001  the same
        raise_if_users(error)
        why = f"{type(error).__name__}: {error}"
        around.line.say(f"begins at once: {why}", is_last=True)
        return _at_once(why)
    finally:
        around.close()


class Wait:
    """One wait, by clocks that may be others than this machine's. Its methods may raise."""

    def __init__(
        self, around: Surroundings, meter: Meter, powers: Callable[[], Powers] = Powers
    ) -> None:
        """`powers` tells what a wait draws; it is asked once, where there is a forecast."""
        self._around, self._meter = around, meter
        self._find_powers, self._powers = powers, Powers()
        self._outlooks, self._past_days = Outlooks(around), PastDays()
        self._told = around.utc()  # until when it waits, as it was told last

    def held(self, run_s: float, wait_s: float) -> Waited:
        """Hold, and tell how long it was."""
        around = self._around
        if (why := together(os.environ)) is not None:
            return self._now(why)
        self._outlooks.ask(run_s + wait_s)
        self._outlooks.taken(ANSWER_S)
        outlook = self._outlooks.last
        if outlook is None:
            return self._now(self._outlooks.why or f"no forecast came within {ANSWER_S:g} s")
        self._powers = self._find_powers()
        found = self._start(outlook, run_s, wait_s)
        if isinstance(found, str):
            return self._now(f"{found} ({by(outlook)})")
        begins, saved = found.at, found.saved_fraction
        # What the run itself saves, as is realised: what was drawn in the wait is kept beside.
        self._meter.promise = Promise(
            saved + found.wait_fraction,
            *(outlook.basis, outlook.source, run_s),
            on_anyway=self._powers.on_anyway,
        )
        latest = around.utc() + timedelta(seconds=wait_s)

        def again() -> datetime | None:
            try:
                return self._moved(run_s, latest)
            except Exception as error:  # noqa: BLE001  ours: then it begins
                raise_if_users(error)
                return around.utc()

        try:
            self._tell(found, outlook)
            self._meter.mark("wait")
            waited_s = hold(around, begins, wait_s, again)
        except BaseException:
            if (promise := self._meter.promise) is not None:
                self._meter.promise = replace(promise, is_stopped=True)
            around.line.say("stopped while it waited", is_last=True)
            raise
        finally:
            self._meter.mark("run")
        around.line.say(
            f"begins after {duration(waited_s)} of waiting, planned to save about {percent(saved)}"
            f"{'' if self._powers.on_anyway else ', what the wait draws taken off'}",
            is_last=True,
        )
        return Waited(waited_s, begins, saved, outlook.basis, outlook.source, None)

    def _start(
        self, outlook: Outlook, run_s: float, wait_s: float, is_waiting: bool = False
    ) -> Start | str:
        now = self._around.utc()
        kept = self._past_days.kept(outlook, now, run_s, wait_s)
        return start(outlook, now, run_s, wait_s, self._powers, is_waiting, self._like, kept)

    def _moved(self, run_s: float, latest: datetime) -> datetime | None:
        """Another start, by what has come since; None: as it was."""
        now = self._around.utc()
        left_s = (latest - now).total_seconds()
        if self._outlooks.is_due():
            self._outlooks.ask(run_s + max(0.0, left_s))
        if not self._outlooks.taken() or (outlook := self._outlooks.last) is None:
            return None
        found = self._start(outlook, run_s, left_s, is_waiting=True)
        if isinstance(found, str):
            return now
        if abs(found.at - self._told) >= SLOT:
            self._tell(found, outlook)
        return found.at

    def _tell(self, found: Start, outlook: Outlook) -> None:
        self._told = found.at
        when = until(found.at, self._around.utc())
        saved, wait = found.saved_fraction, found.wait_fraction
        how = (
            f"{percent(saved + wait)}, less {percent(wait)} for the wait, "
            f"{draws(self._powers, self._like)}"
        )
        if self._powers.on_anyway:
            how = "the machine runs anyway"
        self._around.line.say(
            f"waits until {when}: saves about {percent(saved)} of the emissions "
            f"attributed to this run ({how}), {by(outlook)}; {TO_STOP}"
        )

    @property
    def _like(self) -> str:
        """What the run's power is taken from, where that is known of others alone."""
        return "taken to be that of earlier runs" if self._powers != Powers() else ""

    def _now(self, why: str) -> Waited:
        self._around.line.say(f"begins at once: {why}", is_last=True)
        return _at_once(why)


def _meter_of(monitor: Monitor, window: OpenWindow) -> Meter:
    """The meter of a window; the one that it has, where it waits a second time."""
    held = window.shifted
    of = getattr(held, "__self__", None)
    return of if isinstance(of, WindowMeter) else WindowMeter(monitor, window)


def _at_once(why: str) -> Waited:
    return Waited(0.0, None, None, None, None, why)

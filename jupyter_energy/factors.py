"""Which carbon intensity and which PUE count: the place's, and a live signal's while cells run.

Where no provider is chosen nothing of the live providers is imported, and no thread exists.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from .carbon import pue_of
from .carbon.here import Here
from .carbon.metadata import LIMIT_S
from .carbon.place import AUTO
from .config import Energy
from .errors import EnergyError, UnknownZone
from .model import CarbonIntensity, Span
from .signals import raise_if_users

if TYPE_CHECKING:
    from .carbon.base import Signal
    from .carbon.feed import Feed
    from .carbon.weighting import Drawn

# Signals hold for 5, 15, 30 or 60 minutes, which begin at the full hour.
SHORTEST_STEP_S = 300.0
# So long behind the end of a step is looked: before it would be in vain, and to be done again.
BEHIND_S = 0.01


class Factors:
    """The factors of one process. Any thread may ask; nothing here waits for a network."""

    def __init__(
        self,
        settings: Energy,
        environ: Mapping[str, str],
        is_running: Callable[[], bool] = lambda: True,
        cloud_limit_s: float = LIMIT_S,
    ) -> None:
        """`is_running` says whether a cell runs; `cloud_limit_s` is how long a cloud may take to
        tell where this is, in s."""
        self._is_running = is_running
        self._settings = settings
        self._environ = environ
        self._machine = settings.machine(environ)
        self._here = Here(self._machine, cloud_limit_s)
        self._here.begin(*self.zone())
        self._pues: dict[tuple[str, float, str], tuple[float, str]] = {}
        self._feed: Feed | None = None
        self._feed_of: tuple[str, ...] = ("",)  # the settings that it was made with
        self._trouble: str | None = None  # why there is none although a provider is chosen
        self._closed = False
        # A handler of a signal may measure as well, while its thread is in here (RLock).
        self._making = threading.RLock()

    def zone(self, option: str | None = None) -> tuple[str | None, str]:
        """The zone that counts, and where it was said."""
        if option is not None:
            return option, "--zone"
        return self._settings.zone, self._settings.origin("zone")

    def yearly(self, option: str | None = None) -> CarbonIntensity:
        """The yearly factor of the place that counts. Raises UnknownZone."""
        return self._here.intensity(*self.zone(option))

    def is_home(self, zone: str) -> bool:
        """Whether a zone is the user's own place, however that was found."""
        with suppress(UnknownZone):
            return zone in (self._settings.zone, self.yearly().zone)
        return False

    def wait(self) -> None:
        """Wait for a cloud's word of where this is, half a second at most. Raises UnknownZone."""
        self.yearly()
        self._here.wait()

    def cloud(self) -> str | None:
        """The cloud that is asked where this is ("aws"); None where none is."""
        is_auto = (self._settings.zone or "").strip().lower() == AUTO
        return self._here.asked if is_auto else None

    def pue(self, found: CarbonIntensity) -> tuple[float, str]:
        """The PUE that counts at a place, and whose figure it is, in words."""
        asked = found.zone, self._settings.pue, self._settings.origin("pue")
        if asked not in self._pues:
            self._pues[asked] = pue_of(*asked, self._machine)
        return self._pues[asked]

    def prepare(self) -> None:
        """Have tables, provider and what this machine has kept of live values read before a cell
        begins: that would else wait for it (some 30 ms, once), and the first one, if it is short,
        have a figure of another kind than all others. Nobody is asked."""
        feed = self._live()
        with suppress(UnknownZone):
            found = self.yearly()
            self.pue(found)
            if feed is not None:  # a large file takes long: its own thread reads it
                (feed.recall if feed.provider.url else feed.wanted)(found.zone)

    # -- live ------------------------------------------------------------------------------

    def is_live(self) -> bool:
        """Whether a live provider is chosen."""
        return bool(self._settings.provider)

    def runs(self, option: str | None = None) -> None:
        """A cell runs, with its `--zone` if it has one: the live values of its time are wanted."""
        feed = self._live()
        if feed is not None:
            with suppress(UnknownZone):  # as its record says
                feed.wanted(self.yearly(option).zone)

    def of_run(
        self, course: Sequence[Drawn], option: str | None = None
    ) -> tuple[CarbonIntensity, tuple[Span, ...]]:
        """The factor of a run and the spans that it is the mean of; see weighting.weighted.

        `course` is what the run had drawn by when. From memory alone. Raises UnknownZone.
        """
        found = self.yearly(option)
        if not self.is_live():
            return found, ()
        from .carbon.weighting import weighted

        feed, why = self._live(), self._trouble
        if feed is not None:
            try:
                signal, why = feed.between(found.zone, course[0].at, course[-1].at)
                if signal is not None:
                    return weighted(course, signal, found, why)
            except Exception as error:  # noqa: BLE001  nobody has seen a third party's provider
                raise_if_users(error)
                # Without its text, which may hold anything, a token too.
                why = f"the live values cannot be read ({type(error).__name__})"
        return _fallen_back(found, why), ()

    def asked(self, option: str | None = None) -> str | None:
        """Which values are asked for: the provider that is chosen, and what it calls the place, as
        "uk_grid GB"; of a file, which one. None where none is. Raises UnknownZone."""
        feed = self._live()
        if feed is None:
            return None
        region = feed.asked_as(self.yearly(option).zone)
        file = "" if feed.provider.url else self._settings.csv_trace
        return " ".join(filter(None, (feed.provider.name, region, file)))

    def ask(self, option: str | None = None) -> None:
        """Have `of_run` know what the provider has of live values of a place, for a command.

        It is asked where what this machine knows is older than a step: some seconds at most.
        """
        feed = self._live()
        if feed is not None:
            with suppress(UnknownZone):
                feed.refresh(self.yearly(option).zone)

    def ahead(
        self, over: tuple[datetime, datetime] | None = None
    ) -> tuple[Signal | None, str | None]:
        """All that is known of the provider's values here, past ones and its forecast, and what
        went wrong when it was asked last, in words, with what to do. Both None: none is chosen.

        It is asked as `ask` does: some seconds at most. A file, which may be too large to be known
        as a whole, is read for the time (UTC) that it is wanted `over`.
        """
        feed = self._live()
        if feed is None:
            return None, self._trouble
        try:
            zone = self.yearly().zone
            if over is not None and not feed.provider.url:
                known = feed.over(zone, *over)
            else:
                feed.refresh(zone)
                known = feed.known(zone)
        except UnknownZone as error:
            return None, str(error)
        except Exception as error:  # noqa: BLE001  nobody has seen a third party's provider
            raise_if_users(error)
            return None, f"the live values cannot be read ({type(error).__name__})"
        trouble = known.trouble
        if trouble is None:
            return known.signal, None
        return known.signal, "; ".join(filter(None, (str(trouble), trouble.remedy)))

    def now(self, option: str | None = None) -> tuple[CarbonIntensity, datetime | None]:
        """The factor that counts now, and since when it holds where it is a live one (UTC).

        Raises UnknownZone.
        """
        found, now = self.yearly(option), datetime.now(UTC)
        if not self.is_live():
            return found, None
        feed, why = self._live(), self._trouble
        if feed is not None:
            from .carbon.weighting import Drawn, weighted

            with suppress(Exception):  # nobody has seen a third party's provider
                signal, why = feed.between(found.zone, now, now)
                if signal is not None:
                    live, _ = weighted([Drawn(now, {})] * 2, signal, found, why)
                    held = (i.start for i in signal.intervals if i.start <= now < i.end)
                    return live, next(held, None)
        return _fallen_back(found, why), None

    def to_next_step_s(self) -> float:
        """How long until a live signal may change, in s; without one it never does."""
        if not self.is_live():
            return float("inf")
        return SHORTEST_STEP_S - datetime.now(UTC).timestamp() % SHORTEST_STEP_S + BEHIND_S

    def close(self) -> None:
        """Let go of the provider; live values are asked for no more."""
        self._closed = True
        feed, self._feed = self._feed, None
        if feed is not None:
            feed.close()

    def _live(self) -> Feed | None:
        """The feed of the provider that is chosen; another one where settings have changed."""
        if self._closed:
            return None
        settings = self._settings
        chosen: tuple[str, ...] = (settings.provider,)
        if settings.provider:
            chosen += (settings.provider_url, settings.csv_trace, settings.cache)
        if chosen == self._feed_of:
            return self._feed
        with self._making:
            if chosen != self._feed_of:
                self._make()
                self._feed_of = chosen
        return self._feed

    def _make(self) -> None:
        before, self._feed, self._trouble = self._feed, None, None
        if before is not None:
            before.close()
        if self._settings.provider:
            from .carbon.feed import feed_for

            try:
                self._feed = feed_for(self._settings, self._environ, self.is_home, self._is_running)
            except EnergyError as error:
                self._trouble = str(error)
            except Exception as error:  # noqa: BLE001  nobody has seen a third party's provider
                raise_if_users(error)
                self._trouble = f"the provider cannot be used ({type(error).__name__})"


def _fallen_back(found: CarbonIntensity, why: str | None) -> CarbonIntensity:
    """The yearly factor, which says why it is not a live one."""
    return replace(found, note=f"{why or 'no live value yet'}: the yearly factor")

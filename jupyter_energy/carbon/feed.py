"""A live signal in the background: asked while cells run, remembered, never waited for.

`wanted` says that a cell runs, `between` what was known of a time. What lies between them happens
on a thread that ends soon after the last cell. A service is asked at its own step, by one kernel
for all of this user on this machine (cache.py); its failures never change the place.
"""

from __future__ import annotations

import os
import queue
import random
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from .. import foreign
from ..errors import ProviderError, UnknownZone
from ..signals import raise_if_users
from .answers import checked, empty
from .asked_as import IsHome, asked_as, grid_of, of_file
from .base import Get, Provider, Query, Secret, Signal
from .known import KEPT, PERSONAL, Known, from_text, newer, to_text

if TYPE_CHECKING:
    from pathlib import Path

    from ..config import Energy
    from .cache import Cache

# A cell that runs says so at least every 5 s (the sign of life of a kernel).
LINGER_S = 15.0
# How far a service is asked back and ahead. The free tier of Electricity Maps tells a day.
BACK = timedelta(hours=24)
AHEAD = timedelta(hours=48)
# While another kernel asks, its answer is looked for this often, and so long at most: a child
# that was forked meanwhile may hold the lock for ever.
LOOK_S, ASKING_S = 2.0, 30.0
# All kernels that wait for a step to end do not ask at once.
JITTER = 0.1
LONGEST_DELAY_S = 24 * 3600.0
CLOSE_S = 0.5


def _utc() -> datetime:
    return datetime.now(UTC)


class Feed:
    """One provider's signal. Any thread may call it; only `refresh` and `recall` take time.

    `place` says what of ours, or of the provider's own, a zone is to be asked as; `secrets` gives
    what lets one in, and raises ProviderError; `now` is the wall clock, UTC. Where no cell runs,
    as `is_running` says, what one wanted is asked once, and nothing anew.
    """

    def __init__(
        self,
        provider: Provider,
        get: Get,
        cache: Cache | None = None,
        secrets: Callable[[], Mapping[str, Secret]] = dict,
        place: Callable[[str], str] = str,
        now: Callable[[], datetime] = _utc,
        linger_s: float = LINGER_S,
        is_running: Callable[[], bool] = lambda: True,
    ) -> None:
        self.provider, self.is_running = provider, is_running
        self._get, self._cache, self._secrets = get, cache, secrets
        self._place, self._now, self._linger_s = place, now, linger_s
        late_s = foreign.seconds(getattr(provider, "delay_s", None)) or 0.0
        self._delay_s = min(late_s, LONGEST_DELAY_S)
        self._every_s = provider.step_s * (1 + JITTER * random.random())
        self._known: dict[str, Known] = {}  # by region; each value is replaced, never changed
        self._used: Mapping[str, Secret] = {}  # the secrets of the last question
        self._busy: dict[str, datetime] = {}  # since when another kernel asks, by region
        self._wants: dict[str, float] = {}  # when a zone was wanted last (monotonic s)
        self._looked_s = 0.0  # when it was last looked what is wanted
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()
        self._closed = False

    # -- while cells run -------------------------------------------------------------------

    def wanted(self, zone: str) -> None:
        """A cell runs at a place; to be called at its start and at least every 15 s while it runs.

        Takes microseconds; a thread sees to it that what is known is no older than a step.
        """
        if self._closed or os.getpid() != self._pid:
            return
        self._wants[zone] = time.monotonic()
        self._wake.put(None)
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="jupyter-energy-carbon", daemon=True)
            self._thread = thread
            try:
                thread.start()
            except RuntimeError:  # no thread is to be had
                self._thread = None
            except BaseException:  # the user's Ctrl-C; if it runs already it sees that, and ends
                self._thread = None
                raise

    def between(
        self, zone: str, start: datetime, end: datetime
    ) -> tuple[Signal | None, str | None]:
        """The signal with what it has for a time (UTC), and what is to be said of it, in words.

        From memory, at once. Its intervals reach over that time's edges, and leave out what is not
        known; a value that no newer one follows yet is held for two steps, and for as long as the
        service is late by its own word, as "estimated". None where nothing is known, and then the
        words say why.
        """
        try:
            region = self._region(zone)
        except UnknownZone as error:
            return None, str(error)
        known = self._known.get(region, Known())
        return known.between(start, end, self._now(), self.provider.title, self._delay_s)

    def close(self) -> None:
        """Ask no more, and end the thread."""
        self._closed = True
        if os.getpid() != self._pid:
            return
        abort = getattr(self._get, "abort", None)
        if abort is not None:
            abort()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            self._wake.put(None)
            with suppress(RuntimeError):  # it is about to begin, and ends at once
                thread.join(CLOSE_S)

    # -- for commands, which may wait ------------------------------------------------------

    def known(self, zone: str) -> Known:
        """What is known of a place, for `doctor`. Raises UnknownZone."""
        return self._known.get(self._region(zone), Known())

    def over(self, zone: str, begin: datetime, end: datetime) -> Known:
        """What a file has for a time (UTC) that may lie anywhere, which is not kept: of a large one
        `known` has the part around now. It is read at once. Raises UnknownZone."""
        return self._asked(self._region(zone), self._now(), (begin, end))

    def asked_as(self, zone: str) -> str:
        """What the provider calls a place. Raises UnknownZone."""
        return self._region(zone)

    def recall(self, zone: str) -> None:
        """Have `between` know what this machine has kept of a place; reads a file and asks nobody.

        Raises UnknownZone.
        """
        if self._cache is None:
            self.refresh(zone)
        else:
            self._recalled(self._region(zone))

    def refresh(self, zone: str) -> None:
        """Ask the service, where what this machine knows is older than a step.

        It may take some seconds, and raises UnknownZone; failures are kept, and told by `between`.
        """
        region = self._region(zone)
        now = self._now()
        if not self._is_due(region, now):
            return
        if self._cache is None:
            self._known[region] = self._asked(region, now)
            return
        with self._cache.turn(region) as ours:
            self._recalled(region)
            if not self._is_due(region, now):
                self._busy.pop(region, None)
                return
            if not ours:
                since = self._busy.setdefault(region, now)
                if timedelta(0) <= now - since < timedelta(seconds=ASKING_S):
                    return
            self._busy.pop(region, None)
            found = self._asked(region, now)
            if self._closed:  # it was cut off, which is no failure that others should know
                return
            self._known[region] = found
            self._cache.write(region, to_text(found))

    # -- within ----------------------------------------------------------------------------

    def _region(self, zone: str) -> str:
        """What the provider calls a place; a cloud region that it does not know is asked as its
        grid zone. Raises UnknownZone."""
        asked = self._place(zone)
        try:
            try:
                return self.provider.region(asked)
            except UnknownZone:
                grid = grid_of(asked)
                if grid is None:
                    raise
            return self.provider.region(grid)
        except UnknownZone:
            raise
        except BaseException as error:  # noqa: BLE001  a third party's code: it may also exit
            self._raise_if_users(error)
            what = f"{self.provider.title} cannot tell what {zone} is ({type(error).__name__})"
        raise UnknownZone(what)

    def _raise_if_users(self, error: BaseException) -> None:
        """Raises what is meant for the user's code, which nothing on our own thread is."""
        if threading.current_thread() is not self._thread:
            raise_if_users(error)

    def _is_due(self, region: str, now: datetime) -> bool:
        known = self._known.get(region, Known())
        if known.is_due(now, self._every_s):
            return True
        if known.trouble is None or known.trouble.kind not in PERSONAL:
            return False
        with suppress(ProviderError):  # still no token
            return dict(self._secrets()) != self._used  # there is another one now
        return False

    def _recalled(self, region: str) -> None:
        """Take over what the file knows, where that is newer."""
        assert self._cache is not None
        text = self._cache.read(region)
        kept = None if text is None else from_text(text)
        if kept is not None:
            self._known[region] = newer(self._known.get(region, Known()), kept)

    def _asked(
        self, region: str, now: datetime, over: tuple[datetime, datetime] | None = None
    ) -> Known:
        """What is known after the service was asked, for its newest values or those of a time."""
        known = self._known.get(region, Known())
        with_forecast = known.wants_forecast(now)
        end = now + AHEAD if with_forecast else now
        error: ProviderError
        try:
            self._used = dict(self._secrets())
            begin, end = over or (self._since(known, now), end)
            query = Query(region, begin, now, end, self._used)
            signal = self.provider.fetch(query, self._get)
            signal = checked(signal, self.provider.title)
            before, oldest = known, now - KEPT
            if self._cache is None:  # a file is its own memory
                before, oldest = Known(), signal.intervals[0].start
            if signal.intervals[-1].end <= oldest:
                raise empty(self.provider.title)
            return before.answered(signal, now, with_forecast, oldest)
        except (ProviderError, UnknownZone) as found:
            kind = found.kind if isinstance(found, ProviderError) else "refused"
            after_s = found.retry_after_s if isinstance(found, ProviderError) else None
            remedy = found.remedy if isinstance(found, ProviderError) else None
            error = ProviderError(str(found), kind, after_s, remedy)
        except BaseException as found:  # noqa: BLE001  a third party's code: it may also exit
            self._raise_if_users(found)
            what = f"{self.provider.title} cannot be read ({type(found).__name__})"
            error = ProviderError(what, "failed")
        return known.failed(error, now)

    def _since(self, known: Known, now: datetime) -> datetime:
        """From when on values are wanted: the last that may still change, a day back at most; of a
        file always a day, so that the same part of it is asked for all day long."""
        if not self.provider.url:
            return now - BACK
        settled = [
            interval.start
            for interval in (known.signal.intervals if known.signal else ())
            if interval.quality == "measured" and interval.start <= now
        ]
        step = timedelta(seconds=self.provider.step_s)
        return min(max(settled[-1] - step, now - BACK), now - step) if settled else now - BACK

    def _run(self) -> None:
        """The thread: tends the places that are wanted, and ends when none is."""
        me = threading.current_thread()
        try:
            while self._thread is me:
                # Any code of the process may throw an exception into this thread: it is not meant
                # for us, and its traceback would be printed into whatever cell runs then.
                with suppress(BaseException):
                    self._work()
                    self._thread = None
                    # Whoever woke it before that saw a thread, and began none.
                    if not (self._closed or self._wake.empty() or self._has_thread()):
                        self._thread = me
        finally:
            if self._thread is me:
                self._thread = None

    def _has_thread(self) -> bool:
        return self._thread is not None

    def _work(self) -> None:
        while not self._closed:
            while not self._wake.empty():
                self._wake.get_nowait()
            zones = self._to_tend()
            wait_s = min((self._tend(zone) for zone in zones), default=self._linger_s)
            try:
                self._wake.get(timeout=min(wait_s, self._linger_s))
            except queue.Empty:
                if not zones:
                    return

    def _to_tend(self) -> list[str]:
        """Where cells run; where none does any more, those that were wanted since it was looked."""
        now_s = time.monotonic()
        since_s = now_s - self._linger_s
        if not self.is_running():
            since_s = max(since_s, self._looked_s)
        self._looked_s = now_s
        return [zone for zone, at_s in list(self._wants.items()) if at_s >= since_s]

    def _tend(self, zone: str) -> float:
        """Have a place known; in how many s it is to be looked at again."""
        try:
            self.refresh(zone)
            region = self._region(zone)
        except Exception as error:  # noqa: BLE001  a plug-in's region(), as UnknownZone: told by `between`
            raise_if_users(error)
            return self._linger_s
        if region in self._busy:
            return LOOK_S
        due = self._known.get(region, Known()).due(self._every_s)
        left_s = 0.0 if due is None else (due - self._now()).total_seconds()
        return max(left_s, 1.0)


def feed_for(
    settings: Energy,
    environ: Mapping[str, str],
    is_home: IsHome,
    is_running: Callable[[], bool] = lambda: True,
) -> Feed | None:
    """The feed of the provider that the settings name; None where they name none.

    `is_home` says whether a zone is the user's own place, `is_running` whether a cell runs.
    Raises WrongUse for a provider that there is not. Opens nothing, starts no thread.
    """
    if not settings.provider:
        return None
    from . import provider as provider_named
    from .cache import Cache
    from .late_web import LateWeb
    from .tokens import FILE, secrets_of

    found = provider_named(settings.provider)
    if not found.url:
        from .csv_part import EVER, part_reader

        get, place = part_reader(settings.csv_trace, EVER), of_file(settings, is_home)
        return Feed(found, get, place=place, is_running=is_running)
    address = (settings.provider_url or found.url).rstrip("/")
    return Feed(
        found,
        LateWeb(found.title, address),
        Cache(settings.cache_folder(), found.name, address if address != found.url else ""),
        lambda: secrets_of(found, environ, _settings_folder() / FILE),
        asked_as(settings, is_home),
        is_running=is_running,
    )


def _settings_folder() -> Path:
    from ..settings import default_file

    return default_file().parent

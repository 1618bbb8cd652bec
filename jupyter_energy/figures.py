"""The figures of the live messages: power since the last one, totals up to now.

Read and added up on the live channel's own thread, never on the one that runs the cell.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from .display.devices import device_label
from .errors import EnergyError, StoreError, topic_of
from .live_message import (
    PROTOCOL_VERSION,
    DeviceJson,
    LiveJson,
    LiveTotalsJson,
    PlaceJson,
    RangeList,
    State,
    fitted,
)
from .model import CarbonIntensity, DomainEnergy, Measurement, Record
from .monitor import Monitor
from .open_window import OpenWindow, own
from .pages import Key, Pages
from .plain_text import clean
from .sensors.nvidia_pci import ASLEEP
from .store import Mark, Store
from .tally import Tally, Totals
from .uncertainty import Range, Uncertain, sum_of_ranges, sum_over_devices
from .version import version
from .window import Edge

STORE_DEADLINE_S = 2.0
# A record that is still to be made again is not counted before; that takes less than this.
SETTLED_S = 0.5
# Power over less is mostly the age of the sensors' values.
LEAST_S = 0.2
LONGEST_NAME, LONGEST_HOST = 28, 40
# A file's source names it and what was taken for granted of it, a service's its licence.
LONGEST_NOTE, LONGEST_SOURCE = 120, 160
# More devices of a kind than this are told as one: "GPU ×8".
MOST_OF_A_KIND = 2
# More than are ever shown.
DIGITS, DIGITS_OF_A_RANGE = 5, 3


@dataclass(slots=True)
class Books:
    """What has been added up of a notebook: all its records, and those of this session."""

    notebook_id: str
    generation: int
    restated: int = 0  # Store.restatements
    last: Mark = field(default_factory=Mark)
    # Run ids of the latest read, and those before it that are in motion.
    seen: set[str] = field(default_factory=set)
    whole: Tally = field(default_factory=Tally)
    session: Tally = field(default_factory=Tally)
    is_outdated: bool = False


class Figures:
    """Makes messages. One thread uses it, and closes it."""

    def __init__(self, monitor: Monitor, pages: Pages) -> None:
        self._monitor = monitor
        self._pages = pages
        self._store = Store(monitor.store_path)
        self._books: dict[Key, Books] = {}
        self._edge: Edge | None = None
        self._version = version()
        self.lacking: list[Key] = []  # the notebooks whose totals the last messages lack

    def close(self) -> None:
        """Let go of the store's file."""
        self._store.close()

    def messages(
        self, state: State, notebooks: Sequence[Key], every_s: float, measuring: bool
    ) -> list[LiveJson]:
        """What there is to say of each notebook now. Sensors are read while it is "running"."""
        windows = self._monitor.outermost() if state == "running" else []
        now = None
        if windows:
            now = self._monitor.sampler.look(lambda s: any(w.reads(s) for w in windows))
        found = []
        self.lacking = []
        for notebook in notebooks:
            mine = [w for w in windows if w.notebook == notebook]
            zone = (mine or windows)[0].options.zone if windows else None
            message = self._message(state, notebook, every_s, measuring, self._place(zone))
            more = []
            if now is not None:
                self._add_power(message, (mine or windows)[0], now)
                more = [self._monitor.under_way(w, own(w, now)) for w in mine[:1]]
            self._add_totals(message, notebook, windows, more)
            found.append(fitted(message))
        self._edge = now
        return found

    def gone(self) -> LiveJson:
        """What is said when nothing more will come."""
        message = self._message("gone", None, 1.0, False, None)
        return fitted({**message, "path": None})

    def _add_totals(
        self,
        message: LiveJson,
        notebook: Key,
        windows: Sequence[OpenWindow],
        more: list[Record],
    ) -> None:
        unsettled = self._monitor.refining.wait(SETTLED_S)
        is_current = self._take_replaced()
        waiting = self._monitor.pending(notebook)  # first: what is stored meanwhile is seen below
        in_motion = unsettled.union(r.run_id for r in waiting)
        books = self._books.get(notebook)
        try:
            books = self._read(notebook, windows, in_motion)
        except StoreError as error:
            message["note"] = clean(str(error), LONGEST_NOTE)
            self.lacking.append(notebook)
        else:
            if unsettled & books.seen or not is_current:
                self.lacking.append(notebook)
        if self._store.trouble is not None:
            message["note"] = clean(self._store.trouble, LONGEST_NOTE)
        books = books or Books("", 0)
        # A cell that ends meanwhile is under way, waits and is in the store.
        told = {r.run_id: r for r in [*more, *waiting] if r.run_id not in books.seen}
        more = list(told.values())
        message["notebook"] = _totals(books.whole.totals(more))
        message["session"] = _totals(books.session.totals(more))

    def _message(
        self, state: State, notebook: Key, every_s: float, measuring: bool, place: PlaceJson | None
    ) -> LiveJson:
        return {
            "v": PROTOCOL_VERSION,
            "version": self._version,
            "state": state,
            "host": clean(self._monitor.host, LONGEST_HOST),
            "measuring": measuring,
            "path": self._pages.said(notebook),
            "notebooks": len(self._pages),
            "every_s": every_s,
            "running_s": None,
            "over_s": None,
            "measured_w": None,
            "estimated_w": None,
            "gpu_asleep": any(a.reason == ASLEEP for a in self._monitor.sampler.absences()),
            "devices": [],
            "notebook": _totals(Totals()),
            "session": _totals(Totals()),
            "place": place,
            "note": None,
        }

    def _place(self, option: str | None) -> PlaceJson | None:
        try:
            found, since = self._monitor.factors.now(option)
            return _place(found, self._monitor.factors.pue(found)[0], since)
        except EnergyError:
            return None

    # -- power -----------------------------------------------------------------------------

    def _add_power(self, message: LiveJson, window: OpenWindow, now: Edge) -> None:
        """Mean power since the message before, or since the window began, by device."""
        since, now, before = window.start, own(window, now), self._edge
        # One message may see another cell than the one before: between them nothing paused.
        if before is not None and before.readings.keys() >= set(since.readings):
            since = own(window, before)
        recent = self._monitor.so_far(window, since, now)
        message["running_s"] = _short(now.t_s - window.start.t_s)
        if recent.duration_s < LEAST_S:
            return
        message["over_s"] = _short(recent.duration_s)
        measured, estimated = recent.measured_j, recent.estimated_j
        message["measured_w"] = _measured_w(measured, recent.duration_s)
        if estimated is not None:
            message["estimated_w"] = _range(estimated.scaled(1 / recent.duration_s))
        message["devices"] = devices(recent)
        message["gpu_asleep"] = any(
            d.domain.kind == "gpu" and d.reason == ASLEEP for d in recent.domains
        )

    # -- totals ----------------------------------------------------------------------------

    def _take_replaced(self) -> bool:
        """See to it that no books hold a record as it was before it was made again; whether the
        database, which is believed before a journal, has them all as they are now."""
        replaced = self._monitor.refining.replaced
        if replaced:
            try:
                self._monitor.flush(SETTLED_S)
            except StoreError:
                return False
        while replaced:
            run_id = replaced.popleft()
            for books in self._books.values():
                books.is_outdated |= run_id in books.seen
        return True

    def _read(
        self, notebook: Key, windows: Sequence[OpenWindow], in_motion: frozenset[str]
    ) -> Books:
        """The books of a notebook, with what the store has got since. Runs `in_motion` may come
        from elsewhere too, or become others. Raises StoreError."""
        known = self._monitor.known_notebook(notebook)
        if known is None:
            with suppress(StoreError):  # then the journals may know
                self._monitor.flush(STORE_DEADLINE_S)  # it is being asked: right after loading
            known = self._monitor.known_notebook(notebook)
        if known is None:
            raise StoreError("the store has not answered yet")
        books = self._books.get(notebook)
        restated = self._store.restatements(known.id)
        is_same = books and (books.notebook_id, books.restated) == (known.id, restated)
        if books is None or not is_same or books.is_outdated:
            books = Books(known.id, self._store.generation, restated)
        records, last = self._store.records_after(books.last, known.id)
        if books.generation != self._store.generation and books.last != Mark():
            # Opened anew: it may be another file, without what was counted.
            books = Books(known.id, self._store.generation, restated)
            records, last = self._store.records_after(Mark(), known.id)
        books.generation = self._store.generation
        for text in self._store.warnings:
            if text != self._store.trouble:  # told by who writes it
                self._monitor.tell(topic_of(text), text)
        open_since_s = min((w.start_utc.timestamp() for w in windows), default=math.inf)
        late = self._count(books, records, open_since_s)
        if any(record.session_id != self._monitor.session_id for record in late):
            # Another kernel ran this notebook meanwhile: all in the order in which it began.
            books = Books(known.id, books.generation, restated)
            records, last = self._store.records_after(Mark(), known.id)
            self._count(books, sorted(records, key=lambda r: r.start), open_since_s)
        if records:
            books.seen = {r.run_id for r in records} | (books.seen & in_motion)
        books.last = last
        self._books[notebook] = books
        return books

    def _count(self, books: Books, records: Sequence[Record], open_since_s: float) -> list[Record]:
        """Add records to the books; those that overlap what has been settled there."""
        late = [r for r in records if not books.whole.add(r, open_since_s)]
        for record in records:
            if record.session_id == self._monitor.session_id:
                books.session.add(record, open_since_s)
        return late


# -- numbers as they are sent --------------------------------------------------------------


def devices(recent: Measurement) -> list[DeviceJson]:
    """Each device's power over a measurement; many of a kind are one entry, "GPU ×8"."""
    many = Counter(d.domain.kind for d in recent.domains)
    groups: dict[tuple[object, ...], list[DomainEnergy]] = {}
    for d in recent.domains:
        crowd = many[d.domain.kind] > MOST_OF_A_KIND
        alone = () if crowd else (d.domain.key, d.domain.uuid, d.domain.scope)
        groups.setdefault((d.domain.kind, d.provenance, d.source, *alone), []).append(d)
    return [
        _device(group, many[group[0].domain.kind] > 1, recent.duration_s)
        for group in groups.values()
    ]


def _device(group: Sequence[DomainEnergy], several: bool, duration_s: float) -> DeviceJson:
    first = group[0]
    label, name = device_label(first.domain.kind, first.domain.index, first.domain.name, several)
    if len(group) > 1:
        label = f"{label.rpartition(' ')[0] or label} ×{len(group)}"
    measured = sum_over_devices(d.energy for d in group if isinstance(d.energy, Uncertain))
    estimated = sum_of_ranges(d.energy for d in group if isinstance(d.energy, Range))
    watts: float | RangeList | None = None
    if measured is not None:
        watts = _measured_w(measured, duration_s)
    elif estimated is not None:
        watts = _range(estimated.scaled(1 / duration_s))
    below = measured is not None and watts is None
    reason = "below what the sensor can tell" if below else first.reason
    return {
        "label": label,
        "name": clean(name, LONGEST_NAME),
        "w": watts,
        "provenance": first.provenance,
        "source": first.source.removeprefix("estimate:"),
        "reason": None if reason is None or watts is not None else clean(reason, LONGEST_NOTE),
    }


def _measured_w(energy: Uncertain | None, duration_s: float) -> float | None:
    """Mean power in W; None where nothing is known, or less than the sensor can tell."""
    if energy is None or energy.value <= energy.u95:
        return None
    return _short(energy.value / duration_s)


def _totals(totals: Totals) -> LiveTotalsJson:
    measured, share = totals.measured_j, totals.estimated_share
    return {
        "runs": totals.runs,
        "duration_s": _short(totals.duration_s),
        "measured_j": None if measured is None else (_short(measured.value), _short(measured.u95)),
        "estimated_j": None if totals.estimated_j is None else _range(totals.estimated_j),
        "carbon_g": None if totals.carbon_g is None else _range(totals.carbon_g),
        "kind": ", ".join(sorted(totals.grams)) or None,
        "doubtful": totals.doubtful,
        "estimated_share": None if share is None else round(share, 3),
    }


def _place(found: CarbonIntensity, pue: float, since: datetime | None) -> PlaceJson:
    """`since` is when the value began to hold (UTC), where it is a live one."""
    how = "set"
    if found.assumed:
        how = "guessed" if found.how.startswith("guessed") else "assumed"
    made: PlaceJson = {
        "name": clean(found.place, LONGEST_NAME),
        "zone": clean(found.zone, LONGEST_NAME),
        "g_per_kwh": _short(found.g_per_kwh),
        "kind": found.kind,
        "source": clean(found.source, LONGEST_SOURCE),
        "year": found.year,
        "pue": pue,
        "how": how,
    }
    if since is not None:
        live = "forecast" if found.quality == "forecast" else "live"
        made["held"] = f"{live}, since {since:%H:%M} UTC"
    if found.note:
        made["note"] = clean(found.note, LONGEST_NOTE)
    return made


def _short(number: float, digits: int = DIGITS) -> float:
    """The number with no more digits than can be shown, so that the message stays small."""
    return float(f"{number:.{digits}g}")


def _range(estimate: Range) -> RangeList:
    """Its three figures: low, middle, high."""
    low, mid, high = (
        _short(x, DIGITS_OF_A_RANGE) for x in (estimate.low, estimate.mid, estimate.high)
    )
    return low, mid, high

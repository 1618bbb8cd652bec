"""What the kernel tells the page: one message, as plain numbers that the page formats.

`labextension/src/protocol.ts` is the other half; both are tested against tests/golden/live/.
Energies are J, powers W, durations s, CO2e g, shares 0 to 1; an unknown figure is null, never 0.
The data stays under 1 kB (promise 11.7), because a server keeps every message for a page that is
away: so a field that says what `PLAIN` or `PLAIN_DEVICE` says is left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NotRequired, TypedDict, cast

from .plain_text import clean

COMM_ID = "jupyter-energy"
# Of the messages. Fields may be added within a version: readers ignore those they do not know.
PROTOCOL_VERSION = 1

State = Literal["running", "idle", "gone"]
# low, middle, high
RangeList = tuple[float, float, float]
# value, half-width of its 95 % interval
MeasuredList = tuple[float, float]


class DeviceJson(TypedDict):
    """Power now of one device, or of several of a kind ("GPU ×8"), and where it comes from.

    `w` is a number where it is measured, a range where it is estimated; else there is a reason.
    """

    label: str
    name: NotRequired[str]
    w: float | RangeList | None
    provenance: str
    source: str
    reason: NotRequired[str | None]


class LiveTotalsJson(TypedDict):
    """Totals of a notebook or of its session, the run that is under way included.

    `kind` is that of the intensity behind the grams; "average, marginal" where both are, which do
    not add. `doubtful`: some grams are by an assumed place, a fall-back or a forecast. Both are
    left out where they are as those of `place`, and where there are none.
    """

    runs: int
    duration_s: float
    measured_j: MeasuredList | None
    estimated_j: RangeList | None
    carbon_g: RangeList | None
    kind: NotRequired[str | None]
    doubtful: NotRequired[bool]
    estimated_share: float | None


class PlaceJson(TypedDict):
    """Where and with which factor grams are computed; `how`: "set", "guessed" or "assumed".

    `held` says since when a live value holds, in place of the year; `note` why it is another one
    than was asked for.
    """

    name: str
    zone: str
    g_per_kwh: float
    kind: str
    source: str
    year: int
    pue: float
    how: str
    held: NotRequired[str]
    note: NotRequired[str]


class LiveJson(TypedDict):
    """One message to the page.

    `path` is the notebook that `notebook` is about, as a page said it, null where none did or there
    is no room for it, and "" where there is none and the kernel has several; `every_s`: while
    running, the next message comes no later; the power is a mean over the last `over_s`; `host` is
    where the kernel runs, which a page cannot know.
    """

    v: int
    version: str
    state: State
    measuring: NotRequired[bool]
    path: str | None
    notebooks: NotRequired[int]
    every_s: float
    running_s: float | None
    over_s: float | None
    measured_w: float | None
    estimated_w: RangeList | None
    host: NotRequired[str]
    gpu_asleep: NotRequired[bool]
    devices: list[DeviceJson]
    notebook: LiveTotalsJson
    session: LiveTotalsJson
    place: PlaceJson | None
    note: NotRequired[str | None]


PLAIN: dict[str, Any] = {
    "measuring": True,
    "notebooks": 1,
    "gpu_asleep": False,
    "host": "",
    "note": None,
}
PLAIN_DEVICE: dict[str, Any] = {"name": "", "reason": None}
MOST_BYTES = 1000
# Characters of a note, and of whose figures they are, where there is no room for more.
SHORT_NOTE, SHORT_SOURCE = 40, 40
# Bytes of each text where even that is too much.
TIGHT_BYTES = (32, 16, 8, 4)


def fitted(message: LiveJson) -> LiveJson:
    """The message as it is sent: without what is plain, and short enough.

    Where it is too long the host goes first, then the devices' names, then the end of the notes and
    of the source, then the devices that were named last. The path is sent whole or not at all.
    """
    made = _without(message)
    shorter = _shorter(message)
    while _size_bytes(made) > MOST_BYTES and (less := next(shorter, None)) is not None:
        made = _without(less)
    return made


def _shorter(whole: LiveJson) -> Iterator[LiveJson]:
    """The message with less and less in it."""
    message = whole.copy()
    message["host"] = ""
    yield message
    message["devices"] = [{**d, "name": ""} for d in message["devices"]]
    yield message
    place = message["place"] = None if whole["place"] is None else whole["place"].copy()
    # Its beginning is enough to know that another factor was taken.
    if place is not None and "note" in place:
        place["note"] = clean(place["note"], SHORT_NOTE)
        yield message
    if note := message.get("note"):
        message["note"] = clean(note, SHORT_NOTE)
        yield message
    if place is not None:
        place["source"] = clean(place["source"], SHORT_SOURCE)
        yield message
    while message["devices"]:
        message["devices"] = message["devices"][:-1]
        yield message
    if whole["path"]:
        # Part of a path may be another document's. Null is of whoever listens, which is right for
        # the only notebook; "" is of none.
        several = whole.get("notebooks", 1) > 1
        yield from _shorter({**whole, "path": "" if several else None})
        return
    for most_bytes in TIGHT_BYTES:
        if note := message.get("note"):
            message["note"] = _cut(note, most_bytes)
        if place is not None:
            place["name"] = _cut(place["name"], most_bytes)
            place["zone"] = _cut(place["zone"], most_bytes)
            place["source"] = _cut(place["source"], most_bytes)
            if "note" in place:
                place["note"] = _cut(place["note"], most_bytes)
        yield message


def _cut(text: str, most_bytes: int) -> str:
    """The beginning of a text, of which always something is left."""
    while len(text) > 1 and _size_bytes(text) > most_bytes + len('""'):
        text = clean(text, len(text) - 1)
    return text


def _without(message: LiveJson) -> LiveJson:
    whole = {
        **message,
        "devices": [_lean(d, PLAIN_DEVICE) for d in message["devices"]],
        "notebook": _lean_totals(message["notebook"], message["place"]),
        "session": _lean_totals(message["session"], message["place"]),
    }
    return cast(LiveJson, _lean(whole, PLAIN))


def _lean_totals(totals: LiveTotalsJson, place: PlaceJson | None) -> dict[str, object]:
    plain: dict[str, object] = {"kind": None, "doubtful": False}
    if totals["carbon_g"] is not None:
        doubtful = None if place is None else place["how"] != "set" or "note" in place
        plain = {"kind": None if place is None else place["kind"], "doubtful": doubtful}
    return _lean(totals, plain)


def _lean(said: Mapping[str, object], plain: Mapping[str, object]) -> dict[str, object]:
    return {k: v for k, v in said.items() if k not in plain or plain[k] != v}


def _size_bytes(message: LiveJson | str) -> int:
    return len(json.dumps(message, ensure_ascii=False).encode(errors="surrogatepass"))

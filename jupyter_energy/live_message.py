"""What the kernel tells the page: one message, as plain numbers that the page formats.

`labextension/src/protocol.ts` is the other half; both are tested against tests/golden/live/.
Energies are J, powers W, durations s, CO2e g, shares 0 to 1; an unknown figure is null, never 0.
The data stays under 1 kB (promise 11.7), because a server keeps every message for a page that is
away: so a field that says what `PLAIN` or `PLAIN_DEVICE` says is left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
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

    `path` is the notebook that `notebook` is about, as a page said it; `every_s`: while running,
    the next message comes no later; the power is a mean over the last `over_s`; `host` is where the
    kernel runs, which a page cannot know.
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
# Of why another factor was taken, where there is no room for more.
SHORT_NOTE = 40


def fitted(message: LiveJson) -> LiveJson:
    """The message as it is sent: without what is plain, and short enough.

    Where it is too long the host goes first, then the devices' names, then the end of the place's
    note, then the devices that were named last.
    """
    devices = message["devices"]
    made = _without(message, devices)
    if _size_bytes(made) > MOST_BYTES:
        message = {**message, "host": ""}
        made = _without(message, devices)
    if _size_bytes(made) > MOST_BYTES:
        devices = [{**d, "name": ""} for d in devices]
        made = _without(message, devices)
    place = message["place"]
    if place is not None and "note" in place and _size_bytes(made) > MOST_BYTES:
        # Its beginning is enough to know that another factor was taken.
        message = {**message, "place": {**place, "note": clean(place["note"], SHORT_NOTE)}}
        made = _without(message, devices)
    while devices and _size_bytes(made) > MOST_BYTES:
        devices = devices[:-1]
        made = _without(message, devices)
    return made


def _without(message: LiveJson, devices: list[DeviceJson]) -> LiveJson:
    whole = {
        **message,
        "devices": [_lean(d, PLAIN_DEVICE) for d in devices],
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


def _size_bytes(message: LiveJson) -> int:
    return len(json.dumps(message, ensure_ascii=False).encode(errors="surrogatepass"))

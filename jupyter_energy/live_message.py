"""What the kernel tells the page: one message, as plain numbers that the page formats.

`labextension/src/protocol.ts` is the other half; both are tested against tests/golden/live/.
Energies are J, powers W, durations s, CO2e g, shares 0 to 1; an unknown field is null, never 0.
The data stays under 1 kB (promise 11.7): a server keeps every message for a page that is away.
"""

from __future__ import annotations

from typing import Literal, TypedDict

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

    `w` is a number where it is measured and a range where it is estimated.
    """

    label: str
    name: str
    w: float | RangeList | None
    provenance: str
    source: str
    reason: str | None


class LiveTotalsJson(TypedDict):
    """Totals of a notebook or of its session, the run that is under way included."""

    runs: int
    duration_s: float
    measured_j: MeasuredList | None
    estimated_j: RangeList | None
    carbon_g: RangeList | None
    estimated_share: float | None


class PlaceJson(TypedDict):
    """Where and with which factor grams were computed; `how`: "set", "guessed" or "assumed"."""

    name: str
    zone: str
    g_per_kwh: float
    kind: str
    source: str
    year: int
    pue: float
    how: str


class LiveJson(TypedDict):
    """One message to the page.

    `path` is the notebook that `notebook` is about, as a page said it; `every_s`: while running,
    the next message comes no later; the power is a mean over the last `over_s`.
    """

    v: int
    version: str
    state: State
    measuring: bool
    path: str | None
    notebooks: int
    every_s: float
    running_s: float | None
    over_s: float | None
    measured_w: float | None
    estimated_w: RangeList | None
    gpu_asleep: bool
    devices: list[DeviceJson]
    notebook: LiveTotalsJson
    session: LiveTotalsJson
    place: PlaceJson | None
    note: str | None

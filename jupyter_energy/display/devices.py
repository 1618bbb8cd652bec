"""The words for one device: its figures, where they come from, or why there are none."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from .. import units
from ..model import APART, CONTAINED_IN
from ..plain_text import clean
from ..schema import CellJson, DomainJson, RangeJson, ValueJson
from .words import COMMAND, REASON_LIMIT, Figure, estimated_figure, mean_of, uncertain

_LABELS = {
    "gpu": "GPU",
    "package": "CPU",
    "cpu": "CPU",
    "core": "CPU cores",
    "uncore": "CPU uncore",
    "dram": "memory",
    "memory": "memory",
    "module": "module",
    "machine": "machine",
    "psys": "platform",
    "facility": "facility",
}
_PROVENANCES = {"integrated": "integrated from power"}
_MOSTLY = 0.5  # of a window: what is known of less says nothing of the rest (ours)
_SAW = "the sensor saw"  # how window.py begins what it says of a coverage
_SCOPES = {"device": "whole device", "board": "whole board", "process": "this process"}


@dataclass(frozen=True, slots=True)
class Row:
    """One device: its label and name, energy, mean power, and where the figures come from."""

    label: str
    name: str
    energy: Figure
    mean: Figure | None
    note: str


def rows(cell: CellJson, command: str = COMMAND) -> tuple[Row, ...]:
    """One row a device, in the order of the cell."""
    domains = cell["domains"]
    many = Counter(d["kind"] for d in domains)
    present = {d["kind"] for d in domains if d["energy_j"] is not None}
    return tuple(
        _row(d, cell["duration_s"], many[d["kind"]] > 1, present, command) for d in domains
    )


def _row(
    domain: DomainJson, duration_s: float, several: bool, present: set[str], command: str
) -> Row:
    kind = domain["kind"]
    label, name = device_label(kind, domain["index"], domain["name"], several)
    energy, watts = _energy_of(domain, duration_s)
    reason = _reason(domain["reason"], command)
    if energy is None:
        return Row(label, name, Figure(f"{units.NOT_MEASURED}: {reason}", "unknown"), None, "")
    provenance = domain["provenance"]
    notes = [_PROVENANCES.get(provenance, clean(provenance, 20)), _SCOPES.get(domain["scope"], "")]
    if domain["coverage"] < 0.995:
        notes.append(f"saw {units.percent(domain['coverage'])} of the time")
    use = domain["use"]
    if use is not None and use["known_s"] >= _MOSTLY * duration_s:
        notes.append(f"busy {units.percent(use['busy'])}")
    inside = present.intersection(CONTAINED_IN.get(kind, ()))
    if inside:
        notes.append(f"part of {_LABELS.get(min(inside), min(inside))}, not added")
    elif kind in APART:
        notes.append("not added")
    source = clean(domain["source"].removeprefix("estimate:"))
    note = f"{', '.join(n for n in notes if n)} ({source})"
    if energy.look == "estimated" and domain["reason"]:
        note += f"; {units.NOT_MEASURED}: {reason}"
    elif domain["reason"] and not domain["reason"].startswith(_SAW):  # the coverage says that
        note += f"; {clean(domain['reason'], REASON_LIMIT)}"
    return Row(label, name, energy, watts, note)


def device_label(kind: str, index: int, name: str, several: bool) -> tuple[str, str]:
    """What a device is called, and its name as far as that says more: ("GPU 0", "NVIDIA T4")."""
    label = _LABELS.get(kind, clean(kind, 20))
    if several or kind == "gpu":
        label = f"{label} {index}"
    return label, _without_label(clean(name, 28), kind)


def _without_label(name: str, kind: str) -> str:
    """A device's name less what its label says: "CPU (8 threads)" beside "CPU" is "(8 threads)"."""
    folded = name.casefold()
    if folded.startswith("package"):  # powercap's own names are the kinds, with a number
        return ""
    for word in (_LABELS.get(kind, kind).casefold(), kind.casefold()):
        if folded.startswith(word):
            rest = name[len(word) :].strip()
            return "" if rest.isdecimal() else rest
    return name


def _energy_of(domain: DomainJson, duration_s: float) -> tuple[Figure | None, Figure | None]:
    """A device's energy and mean power, or (None, None) where nothing is known."""
    energy_j = domain["energy_j"]
    if energy_j is not None:
        u95 = domain["u95_j"] or 0.0
        value = ValueJson(value=energy_j, u95_repeat=u95, u95=u95)
        watts = energy_j / duration_s if duration_s > 0 else None
        energy = Figure(units.measured(uncertain(value)), "measured")
        return energy, mean_of(watts, value, duration_s)
    low, mid, high = domain["low_j"], domain["mid_j"], domain["high_j"]
    if low is None or mid is None or high is None:
        return None, None
    watts = mid / duration_s if duration_s > 0 else None
    return estimated_figure(RangeJson(low=low, mid=mid, high=high)), mean_of(
        watts, None, duration_s
    )


def _reason(reason: str | None, command: str) -> str:
    """Why a device has no measurement, and where the remedy is."""
    text = clean(reason, REASON_LIMIT) if reason else "no reason was recorded"
    return text if "doctor" in text else f"{text} (see {command} doctor)"

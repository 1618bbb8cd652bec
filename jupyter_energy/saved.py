"""One cell's JSON as read back from a notebook's outputs: checked, because anyone may edit a file.

What has the wrong shape becomes unknown; what is not one measured cell is passed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from .documents import utc_text
from .foreign import items, moment, number, seconds, share, text, whole
from .json_shapes import BaselineJson, ShiftJson, StretchJson, UseJson
from .model import Outcome
from .schema import CarbonJson, CellJson, DomainJson, RangeJson, RepeatsJson, ValueJson

# Of one cell: more than any has, few enough to be shown.
MOST_WARNINGS, MOST_PARTS, MOST_STRETCHES = 50, 10, 10_000


def cell_from_output(found: object) -> CellJson | None:
    """The cell in a MIME bundle's JSON; None where it holds something else, such as a summary."""
    if not isinstance(found, Mapping):
        return None
    started, duration_s = moment(found.get("started")), seconds(found.get("duration_s"))
    runs, outcome = whole(found.get("runs")), text(found.get("outcome"))
    if started is None or duration_s is None or outcome is None:
        return None
    if outcome not in get_args(Outcome):
        return None
    warnings = items(found.get("warnings"), MOST_WARNINGS)
    return {
        "cell_id": text(found.get("cell_id")),
        "name": text(found.get("name")),
        "inside": found.get("inside") is True,
        "runs": runs if runs is not None and runs > 0 else 1,
        "execution_count": whole(found.get("execution_count")),
        "started": utc_text(started),
        "duration_s": duration_s,
        "outcome": outcome,
        "measured_j": _value(found.get("measured_j")),
        "estimated_j": _range(found.get("estimated_j")),
        "above_idle_j": _value(found.get("above_idle_j")),
        "kernel_share": share(found.get("kernel_share")),
        "kernel_j": _range(found.get("kernel_j")),
        "baseline": _baseline(found.get("baseline")),
        "average_w": number(found.get("average_w")),
        "waited_s": number(found.get("waited_s")),
        "peak_w": number(found.get("peak_w")),
        "domains": [_domain(d) for d in items(found.get("domains")) if isinstance(d, Mapping)],
        "carbon_g": _carbon(found.get("carbon_g")),
        "warnings": [w for w in warnings if isinstance(w, str)],
        "repeats": _repeats(found.get("repeats")),
        "shift": _shift(found.get("shift")),
    }


def _shift(found: object) -> ShiftJson | None:
    if not isinstance(found, Mapping) or (begun := moment(found.get("begun"))) is None:
        return None
    return {
        "begun": utc_text(begun),
        "planned_fraction": number(found.get("planned_fraction")),
        "basis": text(found.get("basis")),
        "source": text(found.get("source")),
        "runs": _stretches(found.get("runs")),
        "pauses": _stretches(found.get("pauses")),
        "carbon_g": _range(found.get("carbon_g")),
        "at_once_g": _range(found.get("at_once_g")),
        "realised_fraction": number(found.get("realised_fraction")),
        "kind": text(found.get("kind")),
        "note": text(found.get("note")),
        "waits": _stretches(found.get("waits")),
        "waits_g": _range(found.get("waits_g")),
        "on_anyway": found.get("on_anyway") is True,
    }


def _stretches(found: object) -> list[StretchJson]:
    read: list[StretchJson] = []
    for one in items(found, MOST_STRETCHES):
        if isinstance(one, Mapping):
            start, end = moment(one.get("start")), moment(one.get("end"))
            if start is not None and end is not None:
                energy_j = _range(one.get("energy_j"))
                read.append({"start": utc_text(start), "end": utc_text(end), "energy_j": energy_j})
    return read


def _repeats(found: object) -> RepeatsJson | None:
    if not isinstance(found, Mapping):
        return None
    counts = [whole(found.get(k)) for k in ("runs", "blocks", "first_runs")]
    run_s, first_run_s = (seconds(found.get(k)) for k in ("run_s", "first_run_s"))
    runs, blocks, first_runs = (n if n is not None and n > 0 else 0 for n in counts)
    if not (runs and blocks and first_runs) or run_s is None or first_run_s is None:
        return None
    return {
        "runs": runs,
        "blocks": blocks,
        "first_runs": first_runs,
        "run_s": run_s,
        "first_run_s": first_run_s,
        "measured_j": _value(found.get("measured_j")),
        "median_j": number(found.get("median_j")),
        "first_j": number(found.get("first_j")),
        "estimated_j": _range(found.get("estimated_j")),
        "auto": found.get("auto") is True,
    }


def _domain(found: Mapping[str, Any]) -> DomainJson:
    estimate = _range({k: found.get(f"{k}_j") for k in ("low", "mid", "high")})
    return {
        "kind": text(found.get("kind")) or "unknown",
        "index": whole(found.get("index")) or 0,
        "name": text(found.get("name")) or "unknown",
        "uuid": text(found.get("uuid")),
        "energy_j": number(found.get("energy_j")),
        "u95_j": number(found.get("u95_j")),
        "low_j": estimate["low"] if estimate else None,
        "mid_j": estimate["mid"] if estimate else None,
        "high_j": estimate["high"] if estimate else None,
        "provenance": text(found.get("provenance")) or "none",
        "source": text(found.get("source")) or "none",
        "coverage": number(found.get("coverage")) or 0.0,
        "scope": text(found.get("scope")) or "device",
        "reason": text(found.get("reason")),
        "use": _use(found.get("use")),
    }


def _use(found: object) -> UseJson | None:
    if not isinstance(found, Mapping):
        return None
    busy, known_s = share(found.get("busy")), seconds(found.get("known_s"))
    if busy is None or known_s is None:
        return None
    taken, all_of_it = (whole(found.get(k)) for k in ("memory_bytes", "memory_total_bytes"))
    return {
        "busy": busy,
        "known_s": known_s,
        "memory_bytes": taken,
        "memory_total_bytes": all_of_it,
    }


def _baseline(found: object) -> BaselineJson | None:
    if not isinstance(found, Mapping):
        return None
    power_w, u95_w = (number(found.get(k)) for k in ("power_w", "u95_w"))
    age_s, over_s = (seconds(found.get(k)) for k in ("age_s", "seconds"))
    if power_w is None or u95_w is None or age_s is None or over_s is None:
        return None
    how = text(found.get("how")) or "unknown"
    return {"power_w": power_w, "u95_w": u95_w, "age_s": age_s, "seconds": over_s, "how": how}


def _carbon(found: object, is_part: bool = False) -> CarbonJson | None:
    if not isinstance(found, Mapping):
        return None
    # Parts have no parts: one level is read, however many there are.
    inner = [] if is_part else items(found.get("parts"), MOST_PARTS)
    parts = [c for c in (_carbon(part, is_part=True) for part in inner) if c is not None]
    grams = _range(found)
    if grams is None and not parts:
        return None
    return {
        "low": grams["low"] if grams else None,
        "mid": grams["mid"] if grams else None,
        "high": grams["high"] if grams else None,
        "g_per_kwh": number(found.get("g_per_kwh")),
        "zone": text(found.get("zone")),
        "place": text(found.get("place")),
        "kind": text(found.get("kind")),
        "boundary": text(found.get("boundary")),
        "scope": text(found.get("scope")),
        "resolution": text(found.get("resolution")),
        "factor_quality": text(found.get("factor_quality")),
        "source": text(found.get("source")),
        "year": whole(found.get("year")),
        "pue": number(found.get("pue")),
        "pue_source": text(found.get("pue_source")),
        "how": text(found.get("how")),
        "note": text(found.get("note")),
        "start": _moment(found.get("start")),
        "end": _moment(found.get("end")),
        "said_g": number(found.get("said_g")),
        # Where nobody said that a place was known, it was not.
        "assumed": found.get("assumed") is not False,
        "estimated_share": number(found.get("estimated_share")),
        "parts": parts or None,
    }


def _moment(found: object) -> str | None:
    at = moment(found)
    return None if at is None else utc_text(at)


def _value(found: object) -> ValueJson | None:
    if not isinstance(found, Mapping):
        return None
    value, repeat, in_all = (number(found.get(k)) for k in ("value", "u95_repeat", "u95"))
    if value is None or repeat is None or in_all is None or repeat < 0 or in_all < 0:
        return None
    return {"value": value, "u95_repeat": repeat, "u95": in_all}


def _range(found: object) -> RangeJson | None:
    if not isinstance(found, Mapping):
        return None
    low, mid, high = (number(found.get(k)) for k in ("low", "mid", "high"))
    if low is None or mid is None or high is None or not low <= mid <= high:
        return None
    return {"low": low, "mid": mid, "high": high}

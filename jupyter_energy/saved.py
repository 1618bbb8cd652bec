"""One cell's JSON as read back from a notebook's outputs: checked, because anyone may edit a file.

What has the wrong shape becomes unknown; what is not one measured cell is passed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, get_args

from .documents import utc_text
from .json_shapes import BaselineJson
from .model import Outcome
from .schema import CarbonJson, CellJson, DomainJson, RangeJson, RepeatsJson, ValueJson

# No energy, power, time or mass of ours comes near; sums and squares of less stay finite.
LARGEST = 1e30


def cell_from_output(found: object) -> CellJson | None:
    """The cell in a MIME bundle's JSON; None where it holds something else, such as a summary."""
    if not isinstance(found, Mapping):
        return None
    started, duration_s = _moment(found.get("started")), _number(found.get("duration_s"))
    runs, outcome = _whole(found.get("runs")), found.get("outcome")
    if started is None or duration_s is None or duration_s < 0 or outcome not in get_args(Outcome):
        return None
    domains = found.get("domains")
    warnings = found.get("warnings")
    return {
        "cell_id": _text(found.get("cell_id")),
        "name": _text(found.get("name")),
        "inside": found.get("inside") is True,
        "runs": runs if runs is not None and runs > 0 else 1,
        "execution_count": _whole(found.get("execution_count")),
        "started": started,
        "duration_s": duration_s,
        "outcome": str(outcome),
        "measured_j": _value(found.get("measured_j")),
        "estimated_j": _range(found.get("estimated_j")),
        "above_idle_j": _value(found.get("above_idle_j")),
        "kernel_share": _share(found.get("kernel_share")),
        "kernel_j": _range(found.get("kernel_j")),
        "baseline": _baseline(found.get("baseline")),
        "average_w": _number(found.get("average_w")),
        "waited_s": _number(found.get("waited_s")),
        "peak_w": _number(found.get("peak_w")),
        "domains": [_domain(d) for d in _list(domains) if isinstance(d, Mapping)],
        "carbon_g": _carbon(found.get("carbon_g")),
        "warnings": [w for w in _list(warnings) if isinstance(w, str)],
        "repeats": _repeats(found.get("repeats")),
    }


def _repeats(found: object) -> RepeatsJson | None:
    if not isinstance(found, Mapping):
        return None
    counts = [_whole(found.get(k)) for k in ("runs", "blocks", "first_runs")]
    times_s = [_number(found.get(k)) for k in ("run_s", "first_run_s")]
    runs, blocks, first_runs = (n if n is not None and n > 0 else 0 for n in counts)
    run_s, first_run_s = (t if t is not None and t >= 0 else None for t in times_s)
    if not (runs and blocks and first_runs) or run_s is None or first_run_s is None:
        return None
    return {
        "runs": runs,
        "blocks": blocks,
        "first_runs": first_runs,
        "run_s": run_s,
        "first_run_s": first_run_s,
        "measured_j": _value(found.get("measured_j")),
        "median_j": _number(found.get("median_j")),
        "first_j": _number(found.get("first_j")),
        "estimated_j": _range(found.get("estimated_j")),
        "auto": found.get("auto") is True,
    }


def _domain(found: Mapping[str, Any]) -> DomainJson:
    return {
        "kind": _text(found.get("kind")) or "unknown",
        "index": _whole(found.get("index")) or 0,
        "name": _text(found.get("name")) or "unknown",
        "uuid": _text(found.get("uuid")),
        "energy_j": _number(found.get("energy_j")),
        "u95_j": _number(found.get("u95_j")),
        "low_j": _number(found.get("low_j")),
        "mid_j": _number(found.get("mid_j")),
        "high_j": _number(found.get("high_j")),
        "provenance": _text(found.get("provenance")) or "none",
        "source": _text(found.get("source")) or "none",
        "coverage": _number(found.get("coverage")) or 0.0,
        "scope": _text(found.get("scope")) or "device",
        "reason": _text(found.get("reason")),
    }


def _baseline(found: object) -> BaselineJson | None:
    if not isinstance(found, Mapping):
        return None
    power_w, u95_w, age_s, seconds = (
        _number(found.get(k)) for k in ("power_w", "u95_w", "age_s", "seconds")
    )
    if power_w is None or u95_w is None or age_s is None or seconds is None:
        return None
    how = _text(found.get("how")) or "unknown"
    return {"power_w": power_w, "u95_w": u95_w, "age_s": age_s, "seconds": seconds, "how": how}


def _carbon(found: object) -> CarbonJson | None:
    if not isinstance(found, Mapping):
        return None
    parts = [c for c in map(_carbon, _list(found.get("parts"))) if c is not None]
    grams = _range(found)
    if grams is None and not parts:
        return None
    return {
        "low": grams["low"] if grams else None,
        "mid": grams["mid"] if grams else None,
        "high": grams["high"] if grams else None,
        "g_per_kwh": _number(found.get("g_per_kwh")),
        "zone": _text(found.get("zone")),
        "place": _text(found.get("place")),
        "kind": _text(found.get("kind")),
        "source": _text(found.get("source")),
        "year": _whole(found.get("year")),
        "pue": _number(found.get("pue")),
        "how": _text(found.get("how")),
        # Where nobody said that a place was known, it was not.
        "assumed": found.get("assumed") is not False,
        "estimated_share": _number(found.get("estimated_share")),
        "parts": parts or None,
    }


def _value(found: object) -> ValueJson | None:
    if not isinstance(found, Mapping):
        return None
    value, repeat, whole = (_number(found.get(k)) for k in ("value", "u95_repeat", "u95"))
    if value is None or repeat is None or whole is None or repeat < 0 or whole < 0:
        return None
    return {"value": value, "u95_repeat": repeat, "u95": whole}


def _range(found: object) -> RangeJson | None:
    if not isinstance(found, Mapping):
        return None
    low, mid, high = (_number(found.get(k)) for k in ("low", "mid", "high"))
    if low is None or mid is None or high is None or not low <= mid <= high:
        return None
    return {"low": low, "mid": mid, "high": high}


def _moment(found: object) -> str | None:
    if not isinstance(found, str):
        return None
    try:
        moment = datetime.fromisoformat(found)
        return utc_text(moment) if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def _number(found: object) -> float | None:
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    try:
        number = float(found)
    except OverflowError:
        return None
    return number if abs(number) <= LARGEST else None  # NaN is not


def _share(found: object) -> float | None:
    number = _number(found)
    return number if number is not None and 0 <= number <= 1 else None


def _whole(found: object) -> int | None:
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def _text(found: object) -> str | None:
    return found if isinstance(found, str) else None


def _list(found: object) -> list[Any]:
    return found if isinstance(found, list) else []

"""The Software Carbon Intensity of a notebook: SCI = (O + M) per R, R one run of the notebook.

ISO/IEC 21031:2024, whose public text is the GSF SCI specification 1.1: O = E · I, M = TE · TS · RS.
E is that of the measured cells, with PUE; I location-based, average or marginal, never both in one
figure. What is not known stays so: an M that nobody has a figure for is not 0.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict

from .carbon.embodied import LIFE_YEARS, of_gpu, share_g
from .carbon_sums import weight_j
from .schema import (
    SCHEMA,
    CarbonJson,
    NotebookJson,
    RangeJson,
    SummaryJson,
    TotalsJson,
    ValueJson,
    is_of_a_part,
)
from .units import J_PER_KWH, carbon_g

STANDARD = "ISO/IEC 21031:2024 (GSF SCI specification 1.1)"
R = "one run of the notebook"
FROM_STORE = "a run is one session (a kernel's life, or a run of a script) that measured a cell"
FROM_OUTPUTS = "one run: the last result of each cell that shows one in the saved notebook"
BOUNDARY = (
    "the measured cells; GPU, CPU and memory as whole devices; not disks, network, fans, losses in "
    "the power supply, and what lies outside this machine"
)
METHOD = (
    "E measured by the machine's sensors where it has any, else estimated as a range; "
    "I location-based (market-based measures excluded); M = TE × TiR/EL × RR/ToR with an expected "
    f"life (EL) of {LIFE_YEARS} years and whole devices reserved while cells ran"
)
NO_FIGURE = "no figure for this device is in our table"
REST = "CPU, memory, boards, power supply and case: no figure is in our table"


class EnergyJson(TypedDict):
    """Energy in kWh: what was measured, and beside it what was estimated; never their sum."""

    measured: ValueJson | None
    estimated: RangeJson | None


class BoundsJson(TypedDict):
    """A figure that is known within bounds only."""

    low: float
    high: float


class DeviceJson(TypedDict):
    """A kind of device: how many of it a run had at most, `total_kg` embodied in one (TE), and its
    grams of a run."""

    device: str
    count: int
    total_kg: BoundsJson | None
    g: BoundsJson | None
    basis: str


class OperationalJson(TypedDict):
    """O in g with the I in g/kWh that it was made with, and whose figure the PUE is."""

    O_g: RangeJson | None
    pue: float | None
    pue_source: str | None
    I: float | None  # noqa: E741  the standard's own name
    I_kind: str | None
    I_boundary: str | None
    I_scope: str | None
    I_source: str | None
    I_year: int | None
    I_zone: str | None
    I_place: str | None
    I_how: str | None
    I_assumed: bool | None
    I_note: str | None


class KindJson(OperationalJson):
    """O by one kind of intensity: the mean of the `runs` that have cells computed with it, which
    drew `E_share` (0 to 1) of all energy."""

    runs: int
    E_share: float | None


class BetweenJson(TypedDict):
    """What the devices drew between the cells, which is in no other figure: the mean of a run.
    The sensors saw the share `coverage` (0 to 1) of `duration_s`."""

    duration_s: float
    coverage: float
    E_kwh: EnergyJson
    O_g: RangeJson | None
    M_g: BoundsJson | None


class RunJson(TypedDict):
    """One run: its first cell's start, energy in kWh and O in g."""

    first: str | None
    E_kwh: EnergyJson
    O_g: RangeJson | None


class SciJson(OperationalJson):
    """What `sci --json` prints: means of a run, and in `each` the runs one by one.

    `O_g` is the mean of the `O_runs` that have grams; `O_is_part` where cells of theirs or of other
    runs have energy and none. `SCI_g` is null where O, of every cell, or M is not known. `M_g` is
    of those `M_devices` that have a figure, and `M_not_known` says of what it is not. Where some
    cells were computed with an average and some with a marginal intensity, `dual` has O by kind,
    and no figure is of both.
    """

    schema: int
    version: str
    notebook: NotebookJson
    R: str
    R_means: str
    runs: int
    O_runs: int
    O_is_part: bool
    SCI_g: BoundsJson | None
    E_kwh: EnergyJson
    M_g: BoundsJson | None
    M_devices: list[DeviceJson]
    M_not_known: list[str]
    idle: BetweenJson | None
    dual: list[KindJson] | None
    each: list[RunJson]
    boundary: str
    method: str
    standard: str
    warnings: list[str]


def report(whole: SummaryJson, sessions: Sequence[SummaryJson]) -> SciJson:
    """The SCI of a notebook, in g CO2e a run: the mean over its `sessions`.

    Without sessions (from the outputs saved in a notebook) `whole` counts as one run. A session of
    which no energy is known is no run. Raises ValueError where there is none.
    """
    ran = [s for s in sessions or [whole] if _has_energy(s["totals"])]
    if not ran:
        raise ValueError("no energy is known of any cell")
    many, totals = len(ran), whole["totals"]
    carbon = totals["carbon_g"]
    parts = None if carbon is None else carbon["parts"]
    with_grams = sum(s["totals"]["carbon_g"] is not None for s in ran)
    is_part = 0 < with_grams < many or any(map(_lacks_grams, ran))
    operational = _operational(carbon, with_grams)
    devices = _devices(ran)
    embodied = _added(d["g"] for d in devices)
    not_known = [f"{d['device']}: {d['basis']}" for d in devices if d["g"] is None]
    return {
        "schema": SCHEMA,
        "version": whole["version"],
        "notebook": whole["notebook"],
        "R": R,
        "R_means": FROM_STORE if sessions else FROM_OUTPUTS,
        "runs": many,
        "O_runs": with_grams,
        "O_is_part": is_part,
        "SCI_g": None if is_part else _score(operational["O_g"], embodied),
        "E_kwh": _energy(totals["measured_j"], totals["estimated_j"], many),
        **operational,
        "M_g": embodied,
        "M_devices": devices,
        "M_not_known": [*not_known, REST],
        "idle": _between(totals, ran),
        "dual": None if not parts else _dual(parts, ran),
        "each": [_run(s["totals"]) for s in ran],
        "boundary": BOUNDARY,
        "method": METHOD,
        "standard": STANDARD,
        "warnings": list(totals["warnings"]),
    }


def _has_energy(totals: TotalsJson) -> bool:
    return totals["measured_j"] is not None or totals["estimated_j"] is not None


def _lacks_grams(run: SummaryJson) -> bool:
    """Whether some cells of a run have grams and others, or other runs of them, do not."""
    cells = [cell for cell in run["cells"] if not cell["inside"]]
    return any(map(is_of_a_part, [run["totals"]["warnings"], *(c["warnings"] for c in cells)]))


def _energy(measured: ValueJson | None, estimated: RangeJson | None, many: int) -> EnergyJson:
    """Energies in J of all runs as kWh of one."""
    per = 1.0 / (J_PER_KWH * many)
    return {
        "measured": None
        if measured is None
        else {
            "value": measured["value"] * per,
            "u95_repeat": measured["u95_repeat"] * per,
            "u95": measured["u95"] * per,
        },
        "estimated": None if estimated is None else _range(estimated, per),
    }


def _joules(measured: ValueJson | None, estimated: RangeJson | None) -> RangeJson:
    """Energy in J within the bounds of both kinds, as grams are computed (carbon/emissions.py)."""
    found: RangeJson = estimated or {"low": 0.0, "mid": 0.0, "high": 0.0}
    value, u95 = (measured["value"], measured["u95"]) if measured else (0.0, 0.0)
    return {
        "low": found["low"] + max(0.0, value - u95),
        "mid": found["mid"] + max(0.0, value),
        "high": found["high"] + max(0.0, value + u95),
    }


def _range(found: RangeJson, factor: float) -> RangeJson:
    return {
        "low": found["low"] * factor,
        "mid": found["mid"] * factor,
        "high": found["high"] * factor,
    }


def _grams(carbon: CarbonJson | None) -> RangeJson | None:
    if carbon is None:
        return None
    low, mid, high = carbon["low"], carbon["mid"], carbon["high"]
    if low is None or mid is None or high is None:
        return None
    return {"low": low, "mid": mid, "high": high}


def _operational(carbon: CarbonJson | None, many: int) -> OperationalJson:
    grams = _grams(carbon)
    said: Mapping[str, Any] = carbon or {}
    return {
        "O_g": None if grams is None else _range(grams, 1 / max(1, many)),
        "pue": said.get("pue"),
        "pue_source": said.get("pue_source"),
        "I": said.get("g_per_kwh"),
        "I_kind": said.get("kind"),
        "I_boundary": said.get("boundary"),
        "I_scope": said.get("scope"),
        "I_source": said.get("source"),
        "I_year": said.get("year"),
        "I_zone": said.get("zone"),
        "I_place": said.get("place"),
        "I_how": said.get("how"),
        "I_assumed": None if carbon is None else carbon["assumed"] is not False,
        "I_note": said.get("note"),
    }


def _dual(parts: Sequence[CarbonJson], ran: Sequence[SummaryJson]) -> list[KindJson]:
    """O by kind; a run whose cells are of both kinds counts with each."""
    energies_j = [weight_j(part) for part in parts]
    whole_j = math.fsum(energies_j)
    found: list[KindJson] = []
    for part, energy_j in zip(parts, energies_j, strict=True):
        runs = sum(part["kind"] in _kinds(s["totals"]["carbon_g"]) for s in ran) or len(ran)
        share = energy_j / whole_j if whole_j > 0 else None
        found.append({**_operational(part, runs), "runs": runs, "E_share": share})
    return found


def _kinds(carbon: CarbonJson | None) -> set[str | None]:
    return set() if carbon is None else {part["kind"] for part in carbon["parts"] or [carbon]}


def _run(totals: TotalsJson) -> RunJson:
    return {
        "first": totals["first"],
        "E_kwh": _energy(totals["measured_j"], totals["estimated_j"], 1),
        "O_g": _grams(totals["carbon_g"]),
    }


def _score(operational: RangeJson | None, embodied: BoundsJson | None) -> BoundsJson | None:
    """O + M, bound by bound; None where either is not known."""
    if operational is None or embodied is None:
        return None
    return {
        "low": operational["low"] + embodied["low"],
        "high": operational["high"] + embodied["high"],
    }


def _added(bounds: Iterable[BoundsJson | None]) -> BoundsJson | None:
    """The sum of those that are known; None where none is."""
    known = [b for b in bounds if b is not None]
    if not known:
        return None
    return {
        "low": math.fsum(b["low"] for b in known),
        "high": math.fsum(b["high"] for b in known),
    }


def _devices(ran: Sequence[SummaryJson]) -> list[DeviceJson]:
    """The GPUs by name: their M of a run, for the time that cells ran with them."""
    reserved_s: dict[str, float] = {}
    most: dict[str, int] = {}
    for summary in ran:
        cells = [cell for cell in summary["cells"] if not cell["inside"]]
        # Cells that overlapped held one device for the time that they shared: that counts once.
        all_s = math.fsum(cell["duration_s"] for cell in cells)
        once = min(1.0, summary["totals"]["duration_s"] / all_s) if all_s > 0 else 0.0
        for cell in cells:
            for name in (d["name"] for d in cell["domains"] if d["kind"] == "gpu"):
                reserved_s[name] = reserved_s.get(name, 0.0) + cell["duration_s"] * once
        for name, count in _gpus(summary).items():
            most[name] = max(most.get(name, 0), count)
    return [
        _device(name, most[name], seconds / len(ran))
        for name, seconds in sorted(reserved_s.items())
    ]


def _gpus(run: SummaryJson) -> dict[str, int]:
    """How many GPUs of each name a run had."""
    domains = [d for cell in run["cells"] if not cell["inside"] for d in cell["domains"]]
    gpus = {(d["name"], d["uuid"] or str(d["index"])) for d in domains if d["kind"] == "gpu"}
    return Counter(name for name, _ in gpus)


def _device(name: str, count: int, reserved_s: float) -> DeviceJson:
    """One kind of GPU; `reserved_s` are device-seconds of a run."""
    found = of_gpu(name)
    if found is None:
        return {"device": name, "count": count, "total_kg": None, "g": None, "basis": NO_FIGURE}
    return {
        "device": name,
        "count": count,
        "total_kg": {"low": found.low_kg, "high": found.high_kg},
        "g": {
            "low": share_g(found.low_kg, reserved_s),
            "high": share_g(found.high_kg, reserved_s),
        },
        "basis": found.basis,
    }


def _between(totals: TotalsJson, ran: Sequence[SummaryJson]) -> BetweenJson | None:
    """What was drawn between cells, with the I and the PUE of the cells, and the M of the GPUs
    that each run had; None where not known."""
    many = len(ran)
    idle, carbon = totals["idle"], totals["carbon_g"]
    if idle is None or (idle["measured_j"] is None and idle["estimated_j"] is None):
        return None
    grams: RangeJson | None = None
    factor = None if carbon is None else carbon["g_per_kwh"]
    pue = None if carbon is None else carbon["pue"]
    if factor is not None and pue is not None:
        grams = _range(
            _joules(idle["measured_j"], idle["estimated_j"]), carbon_g(1, factor, pue) / many
        )
    reserved_s: dict[str, float] = {}
    for run in ran:
        between = run["totals"]["idle"]
        for name, count in _gpus(run).items():
            seconds = 0.0 if between is None else between["duration_s"] * count
            reserved_s[name] = reserved_s.get(name, 0.0) + seconds
    return {
        "duration_s": idle["duration_s"] / many,
        "coverage": idle["coverage"],
        "E_kwh": _energy(idle["measured_j"], idle["estimated_j"], many),
        "O_g": grams,
        "M_g": _added(
            _device(name, 1, seconds / many)["g"] for name, seconds in reserved_s.items() if seconds
        ),
    }

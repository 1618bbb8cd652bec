"""The cells and summaries that the golden files hold, built from schema 1's own types.

`PYTHONPATH=. python tests/display_examples.py` writes tests/golden/ again after a change that is
meant; the tests compare what is there with what the renderers give.
"""

from __future__ import annotations

import json
from pathlib import Path

from jupyter_energy.display import text
from jupyter_energy.json_shapes import BaselineJson, ShiftJson, StretchJson
from jupyter_energy.schema import (
    SCHEMA,
    CarbonJson,
    CellJson,
    DomainJson,
    NotebookJson,
    RangeJson,
    RepeatsJson,
    SummaryJson,
    TotalsJson,
    ValueJson,
)

GOLDEN = Path(__file__).parent / "golden"
EVIL = '<script>alert(1)</script>"><img src=x onerror=alert(2)>\u202egnp.exe\x00\x1b[31m\n&amp;'
HOSTILE = EVIL + "long " * 2000


def value(joules: float, u95: float) -> ValueJson:
    return ValueJson(value=joules, u95_repeat=u95 / 4, u95=u95)


def estimate(low: float, mid: float, high: float) -> RangeJson:
    return RangeJson(low=low, mid=mid, high=high)


def idle_power(power_w: float, u95_w: float, **fields: object) -> BaselineJson:
    made = BaselineJson(power_w=power_w, u95_w=u95_w, age_s=0.0, seconds=60.0, how="between cells")
    made.update(fields)  # type: ignore[typeddict-item]
    return made


def stretch(start: str, end: str, energy_j: RangeJson) -> StretchJson:
    begin, until = (f"2025-03-01T{moment}:00.000000Z" for moment in (start, end))
    return StretchJson(start=begin, end=until, energy_j=energy_j)


def domain(kind: str, name: str, **fields: object) -> DomainJson:
    made = DomainJson(
        kind=kind,
        index=0,
        name=name,
        uuid=None,
        energy_j=None,
        u95_j=None,
        low_j=None,
        mid_j=None,
        high_j=None,
        provenance="none",
        source="rapl",
        coverage=1.0,
        scope="device",
        reason=None,
        use=None,
    )
    made.update(fields)  # type: ignore[typeddict-item]
    return made


def gpu(joules: float = 412.0, u95: float = 21.0, index: int = 0) -> DomainJson:
    return domain(
        "gpu",
        "NVIDIA H100 80GB HBM3",
        index=index,
        uuid=f"GPU-5f1c{index}",
        energy_j=joules,
        u95_j=u95,
        provenance="measured",
        source="nvml-counter",
    )


def cpu_estimated(mid: float = 12.0) -> DomainJson:
    return domain(
        "package",
        "CPU (8 threads)",
        low_j=mid / 2,
        mid_j=mid,
        high_j=mid * 2,
        provenance="estimated",
        source="estimate:cpu-time",
        reason="permission denied",
    )


def no_memory() -> DomainJson:
    return domain(
        "dram", "package-0 dram", reason="this machine has no memory sensor", coverage=0.0
    )


def carbon(mid: float | None, spread: float = 1.05, **fields: object) -> CarbonJson:
    made = CarbonJson(
        low=None if mid is None else mid / spread,
        mid=mid,
        high=None if mid is None else mid * spread,
        g_per_kwh=44.3,
        zone="FR",
        place="France",
        kind="average",
        boundary="production",
        scope="lifecycle",
        resolution="year",
        factor_quality="measured",
        source="Ember",
        year=2024,
        pue=1.0,
        pue_source="the default",
        note=None,
        start=None,
        end=None,
        said_g=None,
        how="set with %energy zone",
        assumed=False,
        estimated_share=0.0,
        parts=None,
    )
    made.update(fields)  # type: ignore[typeddict-item]
    return made


def world(mid: float, spread: float = 2.0, **fields: object) -> CarbonJson:
    assumed: dict[str, object] = {
        "g_per_kwh": 472.94,
        "zone": "WORLD",
        "place": "World",
        "how": "nothing says where this machine is",
        "assumed": True,
    }
    return carbon(mid, spread, **(assumed | fields))


def cell(name: str | None = "train", **fields: object) -> CellJson:
    made = CellJson(
        cell_id="1a2b3c4d-5e6f",
        name=name,
        inside=False,
        runs=1,
        execution_count=4,
        started="2026-11-22T10:00:00Z",
        duration_s=4.12,
        outcome="ok",
        measured_j=None,
        estimated_j=None,
        above_idle_j=None,
        kernel_share=None,
        kernel_j=None,
        baseline=None,
        average_w=None,
        waited_s=None,
        peak_w=None,
        domains=[],
        carbon_g=None,
        warnings=[],
        repeats=None,
        shift=None,
    )
    made.update(fields)  # type: ignore[typeddict-item]
    return made


def summary(cells: list[CellJson], **totals: object) -> SummaryJson:
    counted = [c for c in cells if not c["inside"]]
    made = TotalsJson(
        runs=sum(c["runs"] for c in counted),
        cells=len(counted),
        duration_s=sum(c["duration_s"] for c in counted),
        measured_j=None,
        estimated_j=None,
        carbon_g=None,
        first="2026-11-22T10:00:00Z",
        last="2026-11-22T10:05:00Z",
        interrupted=0,
        lost=0,
        idle=None,
        warnings=[],
    )
    made.update(totals)  # type: ignore[typeddict-item]
    return SummaryJson(
        schema=SCHEMA,
        version="0.1.0",
        notebook=NotebookJson(id="n1", path="work/digits.ipynb", name="digits.ipynb"),
        totals=made,
        cells=cells,
    )


MEASURED = cell(
    measured_j=value(534.0, 24.0),
    average_w=534.0 / 4.12,
    waited_s=0.42,
    peak_w=312.0,
    domains=[
        gpu(),
        domain(
            "package", "package-0", energy_j=96.0, u95_j=4.7, provenance="measured", source="rapl"
        ),
        domain("core", "core", energy_j=61.0, u95_j=3.0, provenance="measured", source="rapl"),
        domain(
            "dram",
            "dram",
            energy_j=26.0,
            u95_j=5.1,
            provenance="measured",
            source="rapl",
            coverage=0.93,
        ),
    ],
    carbon_g=carbon(0.00657),
)
ESTIMATED = cell(
    estimated_j=estimate(6.0, 12.0, 24.0),
    average_w=12.0 / 4.12,
    domains=[cpu_estimated(), no_memory()],
    carbon_g=carbon(0.000148, 2.0, estimated_share=1.0),
)
MIXED = cell(
    measured_j=value(412.0, 21.0),
    estimated_j=estimate(6.0, 12.0, 24.0),
    average_w=100.0,
    above_idle_j=value(338.0, 20.0),
    kernel_share=0.73,
    baseline=idle_power(18.0, 1.4, age_s=192.0),
    domains=[gpu(), cpu_estimated(), no_memory()],
    carbon_g=carbon(0.00522, estimated_share=0.028),
)
UNKNOWN = cell(
    name=None,
    outcome="error",
    domains=[
        domain("gpu", "NVIDIA RTX 3050", reason="the GPU is asleep and was left so", coverage=0.0),
        domain("package", "package-0", reason="permission denied", coverage=0.0),
        no_memory(),
    ],
)
BELOW = cell(
    duration_s=0.05,
    measured_j=value(0.4, 0.8),
    average_w=8.0,
    domains=[gpu(0.4, 0.8)],
    carbon_g=carbon(5e-6, 3.0),
)
ASSUMED = cell(
    name=None,
    measured_j=value(412.0, 21.0),
    average_w=100.0,
    domains=[gpu()],
    carbon_g=world(0.0541, 1.1, pue=1.2),
)
RUNS = cell(
    runs=3,
    duration_s=12.4,
    outcome="interrupted",
    measured_j=value(1240.0, 62.0),
    average_w=100.0,
    domains=[gpu(700.0, 40.0), gpu(540.0, 47.0, index=1)],
    carbon_g=carbon(
        None,
        parts=[carbon(0.0153), carbon(0.07, kind="marginal", source="WattTime", g_per_kwh=610.0)],
    ),
    warnings=["the GPU was shared with 2 other processes"],
)
REPEATED = cell(
    duration_s=12.4,
    measured_j=value(299.0, 15.0),
    estimated_j=estimate(4.0, 9.0, 22.0),
    average_w=24.1,
    domains=[gpu(299.0, 15.0)],
    carbon_g=carbon(0.0037),
    warnings=["a run drew more from block to block (12.1 J to 12.9 J): heating up?"],
    repeats=RepeatsJson(
        runs=20,
        blocks=5,
        first_runs=4,
        run_s=0.51,
        first_run_s=0.62,
        measured_j=ValueJson(value=12.3, u95_repeat=0.2, u95=0.62),
        median_j=12.2,
        first_j=14.0,
        estimated_j=estimate(0.15, 0.35, 0.8),
        auto=True,
    ),
)
REPEATED_ESTIMATE = cell(
    estimated_j=estimate(2.0, 4.0, 9.0),
    average_w=12.0,
    carbon_g=carbon(0.00005, 2.0, estimated_share=1.0),
    repeats=RepeatsJson(
        runs=2,
        blocks=2,
        first_runs=1,
        run_s=0.11,
        first_run_s=0.13,
        measured_j=None,
        median_j=None,
        first_j=None,
        estimated_j=estimate(0.5, 1.3, 2.9),
        auto=False,
    ),
)
SHIFTED = cell(
    name="train",
    duration_s=21600.0,
    measured_j=value(4.1e6, 2.1e5),
    average_w=189.8,
    domains=[gpu(4.1e6, 2.1e5)],
    carbon_g=carbon(410.0),
    shift=ShiftJson(
        begun="2025-03-01T09:30:00.000000Z",
        planned_fraction=0.18,
        basis="forecast",
        source="Energy-Charts (CC BY 4.0)",
        runs=[
            stretch("09:30", "10:30", estimate(1.9e6, 2.0e6, 2.1e6)),
            stretch("12:30", "15:30", estimate(2.0e6, 2.05e6, 2.1e6)),
        ],
        pauses=[stretch("10:30", "12:30", estimate(37000.0, 43200.0, 51000.0))],
        carbon_g=estimate(390.0, 410.0, 430.0),
        at_once_g=estimate(459.0, 482.0, 505.0),
        realised_fraction=0.15,
        kind="average",
        note=None,
        waits=[],
        waits_g=None,
        on_anyway=False,
    ),
)
HOSTILE_CELL = cell(
    name=HOSTILE,
    estimated_j=estimate(6.0, 12.0, 24.0),
    average_w=12.0 / 4.12,
    domains=[
        domain(EVIL, EVIL, source=EVIL, reason=EVIL),
        domain(
            "gpu",
            EVIL,
            low_j=6.0,
            mid_j=12.0,
            high_j=24.0,
            provenance=EVIL,
            scope=EVIL,
            source=EVIL,
            reason=EVIL,
        ),
    ],
    carbon_g=world(
        0.001,
        zone=EVIL,
        place=EVIL,
        source=EVIL,
        kind=EVIL,
        how=EVIL,
        estimated_share=1.0,
    ),
    warnings=[EVIL],
)
SMALL = cell(
    name=None,
    execution_count=None,
    measured_j=value(3.1, 1.2),
    duration_s=0.41,
    average_w=7.56,
    carbon_g=carbon(0.000038),
)

SHARED = cell(
    measured_j=value(122.0, 7.2),
    average_w=122.0 / 4.12,
    above_idle_j=value(84.0, 6.1),
    kernel_share=0.41,
    kernel_j=estimate(22.4, 34.4, 48.0),
    baseline=idle_power(9.2, 0.5, age_s=86_400.0, seconds=15.0, how="%energy baseline"),
    domains=[
        domain(
            "package", "package-0", energy_j=96.0, u95_j=4.7, provenance="measured", source="rapl"
        ),
        domain("dram", "dram", energy_j=26.0, u95_j=5.1, provenance="measured", source="rapl"),
    ],
    carbon_g=carbon(0.0015),
    warnings=["overlaps with 1 other notebook on this machine; do not add these totals"],
)
NEXT_TO_IDLE = cell(
    measured_j=value(76.0, 4.0),
    average_w=76.0 / 4.12,
    above_idle_j=value(0.0, 3.1),
    kernel_share=0.004,
    kernel_j=estimate(0.0, 0.0, 0.02),
    baseline=idle_power(18.9, 0.7),
    domains=[
        gpu(60.0, 3.0),
        domain(
            "package", "package-0", energy_j=16.0, u95_j=1.1, provenance="measured", source="rapl"
        ),
    ],
    carbon_g=carbon(0.00093),
)

LIVE = cell(
    measured_j=value(412.0, 21.0),
    average_w=100.0,
    domains=[gpu()],
    carbon_g=carbon(
        0.0322,
        zone="GB",
        place="Great Britain",
        g_per_kwh=281.0,
        boundary="consumption",
        scope="direct",
        resolution="30min",
        source="NESO Carbon Intensity API (CC BY 4.0)",
        year=2026,
        start="2026-11-22T14:28:10Z",
        end="2026-11-22T14:31:02Z",
        factor_quality="measured",
    ),
)
FALLEN_BACK = cell(
    measured_j=value(412.0, 21.0),
    average_w=100.0,
    domains=[gpu()],
    carbon_g=carbon(
        0.00583,
        pue=1.15,
        pue_source="AWS's over all sites, 2023",
        note="Energy-Charts did not answer: the yearly factor",
    ),
)
RESTATED = cell(
    measured_j=value(412.0, 21.0),
    average_w=100.0,
    domains=[gpu()],
    carbon_g=carbon(0.00507, note="restated on 2026-11-23", said_g=0.0541),
)

CELLS: dict[str, CellJson] = {
    "measured": MEASURED,
    "estimated": ESTIMATED,
    "mixed": MIXED,
    "unknown": UNKNOWN,
    "below_resolution": BELOW,
    "assumed_place": ASSUMED,
    "several_runs": RUNS,
    "repeated": REPEATED,
    "repeated_estimate": REPEATED_ESTIMATE,
    "shifted": SHIFTED,
    "hostile": HOSTILE_CELL,
    "shared": SHARED,
    "next_to_idle": NEXT_TO_IDLE,
    "live_factor": LIVE,
    "fallen_back": FALLEN_BACK,
    "restated": RESTATED,
}
SUMMARIES: dict[str, SummaryJson] = {
    "summary_mixed": summary(
        [
            RUNS,
            MIXED,
            cell(
                "epoch 1",
                inside=True,
                measured_j=value(206.0, 11.0),
                average_w=50.0,
                carbon_g=carbon(0.0026),
            ),
            SMALL,
            cell(
                "plain python",
                estimated_j=estimate(6, 12, 24),
                average_w=2.9,
                carbon_g=carbon(0.000148, estimated_share=1.0),
            ),
            UNKNOWN,
        ],
        measured_j=value(1655.1, 83.0),
        estimated_j=estimate(12.0, 24.0, 48.0),
        carbon_g=carbon(0.0207, estimated_share=0.014),
        interrupted=1,
        idle={
            "duration_s": 2520.0,
            "measured_j": value(5210.0, 150.0),
            "estimated_j": estimate(3100.0, 7750.0, 19000.0),
            "coverage": 0.74,
        },
        warnings=[
            "2 runs overlapped; the time they share is counted once, at mean power",
            "1 of 6 runs has energy but no CO2e: the grams are of the others",
        ],
    ),
    "summary_idle": summary(
        [MEASURED],
        measured_j=value(534.0, 24.0),
        carbon_g=carbon(0.00657),
        idle={
            "duration_s": 2520.0,
            "measured_j": value(5210.0, 150.0),
            "estimated_j": None,
            "coverage": 1.0,
        },
    ),
    "summary_estimated": summary(
        [
            ESTIMATED,
            cell(
                "scaled",
                duration_s=81.0,
                estimated_j=estimate(1.5, 3.0, 6.0),
                average_w=0.04,
                carbon_g=world(0.0004, estimated_share=1.0),
            ),
        ],
        estimated_j=estimate(7.5, 15.0, 30.0),
        carbon_g=world(0.00197, estimated_share=1.0),
    ),
    "summary_empty": summary([], first=None, last=None),
    "summary_hostile": summary(
        [HOSTILE_CELL],
        estimated_j=estimate(6.0, 12.0, 24.0),
        carbon_g=HOSTILE_CELL["carbon_g"],
        warnings=[EVIL],
    ),
}
SUMMARIES["summary_of_a_long_run"] = summary(
    [cell(measured_j=value(4.1e7, 2.1e6), duration_s=9e4, carbon_g=carbon(505.0))],
    measured_j=value(4.1e7, 2.1e6),
    carbon_g=carbon(505.0),
)
SUMMARIES["summary_shifted"] = summary(
    [SHIFTED], measured_j=value(4.1e6, 2.1e5), carbon_g=carbon(410.0), duration_s=21600.0
)
SUMMARIES["summary_hostile"]["notebook"] = NotebookJson(id=EVIL, path=EVIL, name=HOSTILE)


def rendered() -> dict[str, tuple[object, str]]:
    """Each golden file's name with the JSON it holds and the text expected of it."""
    cells: dict[str, tuple[object, str]] = {
        name: (made, text.cell(made)) for name, made in CELLS.items()
    }
    return cells | {name: (made, text.summary(made)) for name, made in SUMMARIES.items()}


def write() -> None:
    """Write every golden file again."""
    for name, (made, words) in rendered().items():
        document = json.dumps(made, indent=1, ensure_ascii=True)
        (GOLDEN / f"{name}.json").write_text(document + "\n", encoding="utf-8")
        (GOLDEN / f"{name}.txt").write_text(words + "\n", encoding="utf-8")


if __name__ == "__main__":
    write()

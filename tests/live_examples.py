"""Messages to the page that the golden files hold; `PYTHONPATH=. python tests/live_examples.py`
writes tests/golden/live/ again after a change that is meant.

The kernel's tests compare what it sends with them, the page's tests what it shows of them.
"""

from __future__ import annotations

import json
from pathlib import Path

from jupyter_energy.live_message import (
    DeviceJson,
    LiveJson,
    LiveTotalsJson,
    MeasuredList,
    PlaceJson,
    RangeList,
    fitted,
)

GOLDEN = Path(__file__).parent / "golden" / "live"

NOTHING = LiveTotalsJson(
    runs=0,
    duration_s=0.0,
    measured_j=None,
    estimated_j=None,
    carbon_g=None,
    kind=None,
    doubtful=False,
    estimated_share=None,
)
FRANCE = PlaceJson(
    name="France",
    zone="FR",
    g_per_kwh=44.3,
    kind="average",
    source="Ember",
    year=2024,
    pue=1.0,
    how="set",
)
GUESSED = FRANCE | PlaceJson(how="guessed", pue=1.2)  # type: ignore[typeddict-item]
WORLD = FRANCE | PlaceJson(  # type: ignore[typeddict-item]
    name="World", zone="WORLD", g_per_kwh=473.0, how="assumed"
)
CALIFORNIA = FRANCE | PlaceJson(  # type: ignore[typeddict-item]
    name="California",
    zone="CAISO_NORTH",
    g_per_kwh=412.0,
    kind="marginal",
    source="WattTime",
    year=2026,
    held="live, since 14:00 UTC",
)


def totals(
    runs: int,
    duration_s: float,
    measured_j: MeasuredList | None,
    estimated_j: RangeList | None,
    carbon_g: RangeList | None,
    estimated_share: float | None = 0.0,
    kind: str | None = "average",
    *,
    doubtful: bool = False,
) -> LiveTotalsJson:
    return LiveTotalsJson(
        runs=runs,
        duration_s=duration_s,
        measured_j=measured_j,
        estimated_j=estimated_j,
        carbon_g=carbon_g,
        kind=kind,
        doubtful=doubtful,
        estimated_share=estimated_share,
    )


def device(
    label: str,
    name: str,
    w: float | RangeList | None = None,
    provenance: str = "none",
    source: str = "rapl",
    reason: str | None = None,
) -> DeviceJson:
    return DeviceJson(
        label=label,
        name=name,
        w=w,
        provenance=provenance,
        source=source,
        reason=reason,
    )


def message(**fields: object) -> LiveJson:
    made = LiveJson(
        v=1,
        version="0.1.0",
        state="idle",
        measuring=True,
        path="work/fit.ipynb",
        notebooks=1,
        every_s=1.0,
        running_s=None,
        over_s=None,
        measured_w=None,
        estimated_w=None,
        host="gpu-node-7",
        gpu_asleep=False,
        devices=[],
        notebook=NOTHING,
        session=NOTHING,
        place=FRANCE,
        note=None,
    )
    made.update(fields)  # type: ignore[typeddict-item]
    return made


GPU = device("GPU 0", "NVIDIA H100 80GB HBM3", 312.4, "measured", "nvml-counter")
CPU_ESTIMATED = device("CPU", "(8 threads)", (9.8, 24.6, 61.5), "estimated", "cpu-time")
MEMORY_ESTIMATED = device("memory", "62 GiB", (1.2, 2.4, 4.7), "estimated", "memory-size")
ESTIMATED = totals(3, 12.5, None, (0.21, 0.53, 1.3), (2.6e-6, 6.5e-6, 1.6e-5), 1.0)

EXAMPLES: dict[str, LiveJson] = {
    "nothing_yet": message(place=GUESSED),
    "running_measured": message(
        state="running",
        running_s=12.4,
        over_s=1.0,
        measured_w=376.9,
        devices=[
            GPU,
            device("CPU", "", 60.4, "measured", "rapl"),
            device("memory", "", 4.1, "measured", "rapl"),
        ],
        notebook=totals(42, 3605.2, (1_234_567.0, 51_234.0), None, (14.6, 15.2, 15.8)),
        session=totals(12, 61.3, (23_456.0, 812.0), None, (0.279, 0.289, 0.299)),
    ),
    "running_estimated": message(
        state="running",
        running_s=2.0,
        over_s=1.0,
        estimated_w=(11.0, 27.0, 66.2),
        devices=[CPU_ESTIMATED, MEMORY_ESTIMATED],
        notebook=ESTIMATED | {"doubtful": True},  # type: ignore[arg-type]
        session=ESTIMATED | {"doubtful": True},  # type: ignore[arg-type]
        place=GUESSED,
    ),
    "running_mixed": message(
        state="running",
        running_s=700.0,
        every_s=5.0,
        over_s=5.0,
        measured_w=312.4,
        estimated_w=(11.0, 27.0, 66.2),
        devices=[GPU, CPU_ESTIMATED, MEMORY_ESTIMATED],
        notebook=totals(
            7,
            810.0,
            (252_000.0, 12_600.0),
            (8_900.0, 21_900.0, 53_600.0),
            (2.95, 3.37, 3.9),
            0.08,
            doubtful=True,
        ),
        session=totals(
            1, 700.0, (218_680.0, 10_934.0), (7_700.0, 18_900.0, 46_340.0), None, None, None
        ),
        place=WORLD,
    ),
    "gpu_asleep": message(
        state="running",
        running_s=0.5,
        over_s=0.5,
        measured_w=8.2,
        gpu_asleep=True,
        devices=[
            device("CPU", "", 8.2, "vendor model", "rapl"),
            device("GPU 0", "NVIDIA GPU", reason="GPU asleep", source="nvml-counter"),
        ],
        notebook=totals(1, 0.5, (4.1, 0.8), None, (4.1e-5, 5.0e-5, 6.0e-5)),
        session=totals(1, 0.5, (4.1, 0.8), None, (4.1e-5, 5.0e-5, 6.0e-5)),
    ),
    "nothing_known": message(
        state="running",
        running_s=3.0,
        over_s=1.0,
        devices=[device("CPU", "", reason="permission denied")],
        notebook=totals(1, 3.0, None, None, None, None, None),
        session=totals(1, 3.0, None, None, None, None, None),
        place=None,
    ),
    "idle": message(
        notebook=totals(42, 3605.2, (1_234_567.0, 51_234.0), None, (14.6, 15.2, 15.8)),
        session=totals(12, 61.3, (23_456.0, 812.0), None, (0.279, 0.289, 0.299)),
        note="the store cannot be written: 3 records wait in memory",
    ),
    "below_resolution": message(
        notebook=totals(1, 0.004, (0.02, 1.2), None, (0.0, 2.5e-7, 1.5e-5)),
        session=totals(1, 0.004, (0.02, 1.2), None, (0.0, 2.5e-7, 1.5e-5)),
    ),
    "off": message(measuring=False, notebook=ESTIMATED, session=ESTIMATED),
    # Average by a fall-back in this session, both kinds in all time, and marginal from now on.
    "fallen_back": message(
        notebook=totals(3, 61.3, (234_560.0, 812.0), None, None, None, "average, marginal"),
        session=totals(2, 41.0, (123_456.0, 812.0), None, (2.1, 2.2, 2.3), doubtful=True),
        place=CALIFORNIA,
    ),
    "gone": message(state="gone", path=None, place=None),
    "no_path": message(path=None, notebook=ESTIMATED, session=ESTIMATED),
    "many_gpus": message(
        state="running",
        running_s=36_000.0,
        every_s=30.0,
        over_s=30.0,
        measured_w=5123.0,
        notebooks=2,
        devices=[
            device("GPU ×8", "NVIDIA H100 80GB HBM3", 4801.0, "measured", "nvml-counter"),
            device("CPU ×2", "", 322.0, "measured", "rapl"),
        ],
        notebook=totals(900, 36_000.0, (1.84e8, 3.1e6), None, (2_213.0, 2_264.0, 2_302.0)),
        session=totals(900, 36_000.0, (1.84e8, 3.1e6), None, (2_213.0, 2_264.0, 2_302.0)),
    ),
}

if __name__ == "__main__":
    GOLDEN.mkdir(parents=True, exist_ok=True)
    for name, example in EXAMPLES.items():
        # As it is sent, which for some is less than there is to say.
        text = json.dumps(fitted(example), indent=1, ensure_ascii=False)
        (GOLDEN / f"{name}.json").write_text(text + "\n", encoding="utf-8")

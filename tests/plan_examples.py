"""Plans as every renderer is given them, built from the types of plan/shapes.py.

The times are of one fixed afternoon; the figures of grids are those of the tables, the outlooks
are drawn. What a plan says of a start or of pauses is computed here by the plain definition, so
that pictures and words can be compared with it.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jupyter_energy
from jupyter_energy.documents import utc_text
from jupyter_energy.json_shapes import CarbonJson, NotebookJson, RangeJson, ValueJson
from jupyter_energy.plan.nouns import SLOT_S
from jupyter_energy.plan.shapes import (
    BasisJson,
    Change,
    Confidence,
    ItemJson,
    JobJson,
    KeptJson,
    NowJson,
    PauseJson,
    PlanJson,
    RankingJson,
    RegionJson,
    SlotsJson,
    StartJson,
)
from jupyter_energy.units import J_PER_KWH

EVIL = '<script>alert(1)</script>"><img src=x onerror=alert(2)>\u202egnp.exe\x00\x1b[31m\n&amp;'
HOSTILE = EVIL + "long " * 2000
MADE = datetime(2026, 11, 23, 14, 3, tzinfo=UTC)
BEGIN = datetime(2026, 11, 23, 14, 5, tzinfo=UTC)
SLOTS_AN_HOUR = round(3600 / SLOT_S)
DATA = Path(jupyter_energy.__file__).parent / "carbon" / "data"


def at(slot: float) -> str:
    """The time at which a slot begins."""
    return utc_text(BEGIN + timedelta(seconds=slot * SLOT_S))


def span(low: float, mid: float, high: float) -> RangeJson:
    return RangeJson(low=low, mid=mid, high=high)


def about(mid: float, part: float) -> RangeJson:
    """A range of ± a part of its middle, in order below 0 as well."""
    return span(mid - abs(mid) * part, mid, mid + abs(mid) * part)


def measured(joules: float, part: float = 0.06) -> ValueJson:
    return ValueJson(value=joules, u95_repeat=joules * part / 4, u95=joules * part)


def job(hours: float | None, kwh: float | None, said: str, estimated: bool = False) -> JobJson:
    joules = None if kwh is None else kwh * J_PER_KWH
    return JobJson(
        duration_s=None if hours is None else hours * 3600,
        measured_j=None if joules is None or estimated else measured(joules),
        estimated_j=about(joules, 0.5) if joules is not None and estimated else None,
        said=said,
    )


def yearly(g: float | None, g_per_kwh: float, zone: str, place: str, pue: float) -> CarbonJson:
    return CarbonJson(
        low=None if g is None else g * 0.94,
        mid=g,
        high=None if g is None else g * 1.06,
        g_per_kwh=g_per_kwh,
        zone=zone,
        place=place,
        kind="average",
        boundary="consumption",
        scope="lifecycle",
        resolution="year",
        factor_quality="measured",
        source="Electricity Maps (ODbL 1.0)",
        year=2025,
        pue=pue,
        pue_source="AWS's for the region, 2024" if pue != 1 else "the default",
        how="set with %energy zone",
        note=None,
        start=None,
        end=None,
        said_g=None,
        assumed=False,
        estimated_share=0.0,
        parts=None,
    )


def series(hours: float, shape: Callable[[float], float]) -> list[float | None]:
    """One value a slot: `shape` of the hours since `BEGIN`."""
    return [round(shape(i / SLOTS_AN_HOUR), 1) for i in range(round(hours * SLOTS_AN_HOUR))]


def slots(values: list[float | None], watts: list[float] | None = None) -> SlotsJson:
    return SlotsJson(begin=at(0), slot_s=SLOT_S, g_per_kwh=values, job_w=watts)


def basis(kind: str, values: Sequence[object] = (), **fields: object) -> BasisJson:
    has = kind != "none"
    made: BasisJson = {
        "kind": kind,
        "source": None,
        "zone": None,
        "place": None,
        "signal": "average" if has else None,
        "boundary": "consumption" if has else None,
        "scope": "lifecycle" if has else None,
        "from": at(0) if has else None,
        "to": at(len(values)) if has else None,
        "forecast": kind == "forecast",
        "hindsight": False,
        "error": None,
        "error_source": None,
        "notes": [],
    }
    made.update(fields)  # type: ignore[typeddict-item]
    return made


def mean(values: list[float | None], first: int, last: int) -> float:
    """The mean of the slots from `first` up to `last`, all known."""
    found = [v for v in values[first:last] if v is not None]
    assert len(found) == last - first
    return math.fsum(found) / len(found)


def cheapest_start(values: list[float | None], length: int, latest: int) -> int:
    known = [
        (mean(values, s, s + length), s)
        for s in range(min(latest, len(values) - length) + 1)
        if None not in values[s : s + length]
    ]
    return min(known)[1]


def start_of(
    values: list[float | None], hours: float, within: float, kwh: float | None, pue: float = 1.0
) -> tuple[NowJson, StartJson]:
    """Run now, and Flexible Start, of a job of constant power."""
    length, latest = round(hours * SLOTS_AN_HOUR), round(within * SLOTS_AN_HOUR)
    best = cheapest_start(values, length, latest)
    now, then = mean(values, 0, length), mean(values, best, best + length)
    saved = 1 - then / now
    return (
        NowJson(carbon_g=None if kwh is None else about(kwh * now * pue, 0.1), yearly_g=None),
        StartJson(
            start=at(best),
            latest=at(latest),
            carbon_g=None if kwh is None else about(kwh * then * pue, 0.1),
            saved_fraction=saved,
            saved_range=about(saved, 0.2),
            wait_fraction=0.3 * math.fsum(v or 0.0 for v in values[:best]) / (now * length),
            held=None,
        ),
    )


def pauses_of(
    values: list[float | None], hours: float, within: float, kwh: float | None, pue: float = 1.0
) -> PauseJson:
    """Pause & Resume of a job of constant power: the cheapest slots of the window."""
    length, window = round(hours * SLOTS_AN_HOUR), round((hours + within) * SLOTS_AN_HOUR)
    known = sorted((v, i) for i, v in enumerate(values[:window]) if v is not None)
    chosen = sorted(i for _, i in known[:length])
    runs: list[list[int]] = []
    for i in chosen:
        if runs and runs[-1][1] == i:
            runs[-1][1] = i + 1
        else:
            runs.append([i, i + 1])
    then = math.fsum(v for v, _ in known[:length]) / length
    saved = 1 - then / mean(values, 0, length)
    return PauseJson(
        run=[(at(a), at(b)) for a, b in runs],
        pauses=len(runs) - 1,
        pause_j=9000.0,
        idle_fraction=0.0,
        idle_measured=True,
        idle_estimated=False,
        until=at(window),
        carbon_g=None if kwh is None else about(kwh * then * pue, 0.1),
        saved_fraction=saved,
        saved_range=about(saved, 0.2),
    )


# Zone, name, the grid that feeds it, g/kWh and PUE, where AWS tells the region's.
AWS = (
    ("aws:eu-north-1", "Europe (Stockholm)", "SE-SE3", 20.0, 1.1, True),
    ("aws:ca-west-1", "Canada West (Calgary)", "CA-AB", 411.0, 1.15, False),
    ("aws:eu-west-3", "Europe (Paris)", "FR", 31.0, 1.15, False),
    ("aws:ca-central-1", "Canada (Central)", "CA-QC", 35.0, 1.15, False),
    ("aws:eu-central-2", "Europe (Zurich)", "CH", 50.0, 1.11, True),
    ("aws:sa-east-1", "South America (São Paulo)", "BR-CS", 83.0, 1.18, True),
    ("aws:eu-west-2", "Europe (London)", "GB", 176.0, 1.15, False),
    ("aws:us-west-2", "US West (Oregon)", "US-NW-PACW", 204.0, 1.13, True),
    ("aws:us-west-1", "US West (N. California)", "US-CAL-CISO", 234.0, 1.17, True),
    ("aws:eu-central-1", "Europe (Frankfurt)", "DE", 342.0, 1.33, True),
    ("aws:us-east-1", "US East (N. Virginia)", "US-MIDA-PJM", 418.0, 1.15, True),
    ("aws:us-east-2", "US East (Ohio)", "US-MIDA-PJM", 418.0, 1.12, True),
    ("aws:ap-southeast-3", "Asia Pacific (Jakarta)", "ID", 640.0, 1.35, True),
    ("aws:ap-south-2", "Asia Pacific (Hyderabad)", "IN-SO", 560.0, 1.46, True),
    ("aws:af-south-1", "Africa (Cape Town)", "ZA", 690.0, 1.24, True),
)
AWS_SAID = (
    "AWS regions with their grids' yearly averages, consumption based, life cycle, Electricity "
    "Maps (ODbL 1.0) 2025, times each region's PUE"
)
GRID_SAID = (
    "Grid zones: yearly averages, consumption based, life cycle, Electricity Maps (ODbL 1.0) 2025"
)


def region(
    zone: str,
    name: str,
    place: str,
    g_per_kwh: float,
    pue: float,
    own: bool,
    kwh: float | None,
    here: float | None,
) -> RegionJson:
    """A row; `here` is g/kWh times PUE of the place to compare with."""
    saved = None if here is None else 1 - g_per_kwh * pue / here
    return RegionJson(
        zone=zone,
        name=name,
        place=place,
        g_per_kwh=g_per_kwh,
        pue=pue,
        pue_source="AWS's for the region, 2024"
        if own
        else "AWS's over all sites, 2023: the region's is not told",
        carbon_g=None if kwh is None else about(kwh * g_per_kwh * pue, 0.06),
        saved_fraction=saved,
        saved_range=None if saved is None else about(saved, 0.0 if own else 0.05),
        note=None,
    )


def aws(here: str, kwh: float | None) -> RankingJson:
    [mine] = [row for row in AWS if row[0] == here]
    product = mine[3] * mine[4]
    rows = [region(*row, kwh=kwh, here=product) for row in AWS]
    rows.sort(key=lambda r: r["g_per_kwh"] * r["pue"])
    return RankingJson(
        of="AWS regions",
        reference=next(r for r in rows if r["zone"] == here),
        rows=rows,
        said=AWS_SAID,
        kind="average",
        scope="lifecycle",
        notes=[
            "by marginal figures the order differs: Stockholm's grid would emit more, not less",
            "moving takes data transfer; prices and law differ",
        ],
    )


def grid_zones(here: str | None, kwh: float | None) -> RankingJson:
    """Every grid zone of the table: what a full ranking looks like."""
    with (DATA / "electricity_maps" / "grid_zones_electricity_maps.csv").open(
        encoding="utf-8", newline=""
    ) as file:
        found = [row for row in csv.DictReader(file) if row["g_per_kwh_2025"]]
    factors = {f"EM:{row['zone']}": float(row["g_per_kwh_2025"]) for row in found}
    rows = [
        region(
            f"EM:{row['zone']}",
            row["name"],
            row["country"] or row["name"],
            factors[f"EM:{row['zone']}"],
            1.0,
            True,
            kwh,
            None if here is None else factors[here],
        )
        for row in found
    ]
    for row in rows:
        row["pue_source"] = "the default"
    rows.sort(key=lambda r: r["g_per_kwh"])
    return RankingJson(
        of="grid zones",
        reference=None if here is None else next(r for r in rows if r["zone"] == here),
        rows=rows,
        said=GRID_SAID,
        kind="average",
        scope="lifecycle",
        notes=[],
    )


def item(what: Change, change: str, saved: RangeJson, **fields: object) -> ItemJson:
    confidence: Confidence = "medium"
    made = ItemJson(
        what=what,
        change=change,
        setup=None,
        command=None,
        saved_fraction=saved,
        saved_g=None,
        saved_j=None,
        cost="nothing",
        evidence="Dodge et al. 2022, doi 10.1145/3531146.3533234",
        confidence=confidence,
    )
    made.update(fields)  # type: ignore[typeddict-item]
    return made


def plan(**fields: object) -> PlanJson:
    made = PlanJson(
        schema=1,
        version="0.1.0",
        notebook=NotebookJson(id="nb-1", path="/home/ada/train.ipynb", name="train.ipynb"),
        made=utc_text(MADE),
        job=None,
        here=None,
        run_now=NowJson(carbon_g=None, yearly_g=None),
        flexible_start=None,
        pause_resume=None,
        regions=[],
        rankings=[],
        advice=[],
        basis=basis("none"),
        slots=None,
        kept=[],
        notes=[],
    )
    made.update(fields)  # type: ignore[typeddict-item]
    if made["rankings"]:
        made["regions"] = made["rankings"][0]["rows"]
    return made


def sunny(hour: float) -> float:
    """A grid with much sun, on the coast of California: dirty at dawn, clean at noon (20 UTC)."""

    def near(then: float, width: float) -> float:
        return sum(math.exp(-(((hour - then - day) / width) ** 2)) for day in (0, 24))

    return 290 - 180 * near(6, 3.2) + 35 * near(12.5, 2)


def windy(hour: float) -> float:
    """A grid that swings by day and by weather."""
    return 190 + 45 * math.cos(2 * math.pi * hour / 12) + 40 * math.sin(hour / 9)


def told(start: StartJson | None) -> str:
    assert start is not None
    return f"Start at {start['start'][:10]} {start['start'][11:16]} UTC instead of now."


def _cloud() -> PlanJson:
    values = series(30, sunny)
    now, start = start_of(values, 6, 24, 2.4, 1.17)
    now["yearly_g"] = yearly(2.4 * 234 * 1.17, 234.0, "aws:us-west-1", "N. California", 1.17)
    ranking = aws("aws:us-west-1", 2.4)
    best = ranking["rows"][0]
    pauses = pauses_of(values, 6, 24, 2.4, 1.17)
    best_g = best["carbon_g"]
    assert now["carbon_g"] is not None
    assert start["carbon_g"] is not None
    assert best_g is not None
    saved_g = now["carbon_g"]["mid"] - start["carbon_g"]["mid"]
    return plan(
        job=job(6, 2.4, "the 14 cells of this session"),
        run_now=now,
        flexible_start=start,
        pause_resume=pauses,
        rankings=[ranking, grid_zones("EM:US-CAL-CISO", 2.4)],
        advice=[
            item(
                "region",
                "Run it in AWS Europe (Stockholm), aws:eu-north-1.",
                span(0.91, 0.92, 0.93),
                saved_g=about(2.4 * 234 * 1.17 - best_g["mid"], 0.06),
                cost="moving the data; prices and law differ",
                evidence="Electricity Maps 2025; Dodge et al. 2022; Sukprasert et al. 2024",
                confidence="high",
            ),
            item(
                "pause",
                "Pause it once, and run in the cleanest hours of the next 30 h.",
                pauses["saved_range"],
                command='je.carbon_aware(loader, extend="400%", checkpoint=save)',
                cost="ends 24 h later; the checkpoint is counted",
                evidence="Electricity Maps' forecast of 14:00; Dodge et al. 2022",
            ),
            item(
                "start",
                told(start),
                start["saved_range"],
                command='je.wait_for_clean_power(hours=6, max_wait="24h")',
                saved_g=about(saved_g, 0.2),
                cost="3 h of waiting",
                evidence="Electricity Maps' forecast of 14:00 for US-CAL-CISO; Dodge et al. 2022",
            ),
        ],
        basis=basis(
            "forecast",
            values,
            source="Electricity Maps",
            zone="US-CAL-CISO",
            place="California ISO",
            error=0.05,
            error_source="Wiesner et al. 2021",
        ),
        slots=slots(values, [400.0] * 72),
        kept=[
            KeptJson(
                made=utc_text(MADE - timedelta(days=1)),
                change="Start at 2026-11-22 21:40 instead of 14:10.",
                predicted_fraction=0.38,
                realised_fraction=0.33,
                done=True,
                said="advised 38 %, got 33 % by the values known since",
            )
        ],
    )


def _pauses() -> PlanJson:
    values = series(60, windy)
    values[400:424] = [None] * 24
    now, start = start_of(values, 24, 24, 9.3)
    pauses = pauses_of(values, 24, 24, 9.3)
    assert now["carbon_g"] is not None
    assert pauses["carbon_g"] is not None
    saved_g = now["carbon_g"]["mid"] - pauses["carbon_g"]["mid"]
    return plan(
        job=job(24, 9.3, "the last run of finetune.ipynb"),
        run_now=now,
        flexible_start=start,
        pause_resume=pauses,
        rankings=[grid_zones("EM:GB", 9.3)],
        advice=[
            item(
                "pause",
                f"Pause it {pauses['pauses']} times and run in the cleanest hours of two days.",
                pauses["saved_range"],
                command='je.carbon_aware(loader, extend="100%", checkpoint=save)',
                saved_g=about(saved_g, 0.2),
                cost="ends up to 24 h later; writing and reading the checkpoint is counted",
                evidence="NESO's forecast; Dodge et al. 2022; Wiesner et al. 2021",
            ),
            item(
                "right_size",
                "Take a smaller GPU: this one was busy 24 % of the time.",
                span(0.1, 0.3, 0.5),
                cost="the run may take longer",
                evidence="Patterson et al. 2022",
                confidence="low",
            ),
        ],
        basis=basis(
            "forecast",
            values,
            source="NESO, Carbon Intensity API (CC BY 4.0)",
            zone="GB",
            place="Great Britain",
            scope="direct",
            error=0.05,
            error_source="Wiesner et al. 2021",
            notes=["2 h in it have no value: nothing is planned there"],
        ),
        slots=slots(values, [387.5] * 288),
    )


def _no_gain() -> PlanJson:
    values = series(24, lambda hour: 21 + 0.1 * math.sin(hour))
    now, start = start_of(values, 3, 12, 0.9)
    return plan(
        job=job(3, 0.9, "the 3 cells of this session"),
        run_now=now,
        flexible_start=start,
        pause_resume=pauses_of(values, 3, 12, 0.9),
        rankings=[grid_zones("EM:SE", 0.9)],
        basis=basis(
            "forecast",
            values,
            source="Energy-Charts, Fraunhofer ISE (CC BY 4.0)",
            zone="SE",
            place="Sweden",
            boundary="production",
            error=0.05,
            error_source="Wiesner et al. 2021",
        ),
        slots=slots(values, [300.0] * 36),
        notes=["Nothing here saves 2 % or more: run it now, where it is."],
    )


def _assumed() -> PlanJson:
    return plan(
        job=job(0.5, 0.05, "the 9 cells of this session", estimated=True),
        run_now=NowJson(
            carbon_g=None, yearly_g=yearly(0.05 * 472.9, 472.9, "WORLD", "the world", 1.0)
        ),
        rankings=[grid_zones(None, 0.05)],
        basis=basis(
            "none",
            notes=[
                'no provider is chosen: %config Energy.provider = "energy_charts", or --trace FILE'
            ],
        ),
        notes=["where this runs is assumed, the world's average: %energy zone ZONE sets it"],
    )


def _hours_only() -> PlanJson:
    values = series(24, sunny)
    now, start = start_of(values, 6, 18, None)
    return plan(
        notebook=None,
        job=job(6, None, "--hours 6"),
        run_now=now,
        flexible_start=start,
        pause_resume=pauses_of(values, 6, 18, None),
        rankings=[grid_zones("EM:US-CAL-CISO", None)],
        advice=[
            item(
                "start",
                told(start),
                start["saved_range"],
                cost="3 h of waiting",
                evidence="california.csv, by hindsight: an upper bound",
            )
        ],
        basis=basis(
            "trace",
            values,
            source="california.csv",
            zone="US-CAL-CISO",
            place="California ISO",
            error=0.0,
            error_source="values of the file, taken as they are",
            notes=["a trace knows what was to come: an upper bound"],
        ),
        slots=slots(values),
        notes=["without --kwh or a record there are shares and no grams"],
    )


def _typical() -> PlanJson:
    values = series(24, lambda hour: 190 - 80 * math.sin(2 * math.pi * (hour + 2) / 24))
    now, start = start_of(values, 3, 12, 1.1)
    return plan(
        job=job(3, 1.1, "the last run of train.ipynb"),
        run_now=now,
        flexible_start=start,
        rankings=[grid_zones("EM:ES", 1.1)],
        advice=[
            item(
                "start",
                told(start),
                start["saved_range"],
                cost="2 h 30 min of waiting",
                evidence="the typical day of 21 days of your own history (carbon.md 1.5)",
                confidence="low",
            )
        ],
        basis=basis(
            "typical day",
            values,
            source="Energy-Charts, Fraunhofer ISE (CC BY 4.0)",
            zone="ES",
            place="Spain",
            boundary="production",
            error=0.2,
            error_source="how far your past days lie from their mean",
            notes=["the mean of 21 past days, no forecast: this day may differ"],
        ),
        slots=slots(values, [366.7] * 36),
    )


def _idle() -> PlanJson:
    return plan(
        job=job(2, 0.8, "the 5 cells of this session"),
        run_now=NowJson(carbon_g=None, yearly_g=yearly(0.8 * 342, 342.0, "EM:DE", "Germany", 1.0)),
        rankings=[grid_zones("EM:DE", 0.8)],
        advice=[
            item(
                "idle",
                "Shut the kernel down when you leave: its GPU was held idle for 15 h 40 min.",
                span(0.42, 0.55, 0.61),
                saved_g=span(200.0, 320.0, 410.0),
                saved_j=span(2.1e6, 3.4e6, 4.3e6),
                cost="variables are gone; loading them again took 40 s",
                evidence="measured here between cells; arXiv:2605.23918",
                confidence="high",
            )
        ],
        basis=basis("none", notes=["no provider is chosen"]),
    )


def _sweep() -> PlanJson:
    return plan(
        job=job(10, 3.2, "the 2 cells of this session"),
        run_now=NowJson(carbon_g=None, yearly_g=yearly(3.2 * 31, 31.0, "EM:FR", "France", 1.0)),
        rankings=[grid_zones("EM:FR", 3.2)],
        advice=[
            item(
                "power_limit",
                "Limit GPU 0 to 490 W: the knee of the sweep of 700, 630, 560, 490 W.",
                span(0.09, 0.13, 0.17),
                command="sudo nvidia-smi -i 0 -pl 490",
                saved_g=span(8.9, 12.9, 16.9),
                saved_j=span(1.0e6, 1.5e6, 2.0e6),
                cost="each step takes 3.1 % longer",
                evidence="measured here, 4 limits of 20 s each; McDonald et al. 2022",
                confidence="high",
            ),
            item(
                "repeats",
                "Keep the result of cell [7]: it ran 12 times with the same result.",
                span(0.02, 0.031, 0.04),
                saved_g=span(2.0, 3.1, 4.0),
                cost="memory for what is kept",
                evidence="your own records",
            ),
        ],
        basis=basis("none", notes=["no provider is chosen"]),
    )


def _kwh_only() -> PlanJson:
    """On a laptop, an energy as given: the regions of all clouds against the grid here."""
    ranking = aws("aws:us-west-1", 3.0)
    here = region("EM:DE", "Germany", "Germany", 342.0, 1.0, True, 3.0, 342.0)
    ranking["rows"] = [region(*row, kwh=3.0, here=342.0) for row in AWS]
    ranking["rows"].sort(key=lambda r: r["g_per_kwh"] * r["pue"])
    ranking["reference"] = here
    made = job(None, 3.0, "an energy as given; how long it takes is not known", estimated=True)
    made["estimated_j"] = span(3 * J_PER_KWH, 3 * J_PER_KWH, 3 * J_PER_KWH)
    return plan(
        notebook=None,
        job=made,
        run_now=NowJson(carbon_g=None, yearly_g=yearly(3 * 342, 342.0, "EM:DE", "Germany", 1.0)),
        rankings=[grid_zones("EM:DE", 3.0), ranking],
        advice=[
            item(
                "region",
                "If it can run elsewhere: in aws:eu-north-1, Europe (Stockholm), instead of EM:DE.",
                span(0.92, 0.94, 0.95),
                cost="a machine there, which may draw another power than this one",
                confidence="low",
            )
        ],
        notes=["when to start is not known: how long the job takes was not told (--hours 6)"],
    )


def _hostile() -> PlanJson:
    made = _cloud()
    made["notebook"] = NotebookJson(id=HOSTILE, path=HOSTILE, name=HOSTILE)
    assert made["job"] is not None
    made["job"]["said"] = HOSTILE
    ranking = aws("aws:us-west-1", 2.4)
    for row in ranking["rows"]:
        row["zone"], row["name"], row["place"] = HOSTILE, HOSTILE, HOSTILE
        row["pue_source"], row["note"] = HOSTILE, HOSTILE
    ranking["of"] = ranking["said"] = ranking["kind"] = HOSTILE
    ranking["notes"] = [HOSTILE] * 3
    made["rankings"], made["regions"] = [ranking], ranking["rows"]
    for one in made["advice"]:
        one["change"] = one["cost"] = one["evidence"] = HOSTILE
        one["command"], one["setup"] = HOSTILE, EVIL
    for key in ("source", "zone", "place", "signal", "boundary", "scope", "error_source"):
        made["basis"][key] = HOSTILE
    made["basis"]["notes"] = made["notes"] = [HOSTILE]
    for kept in made["kept"]:
        kept["change"] = kept["said"] = HOSTILE
    return made


def _nothing() -> PlanJson:
    return plan(
        basis=basis("none", notes=["no provider is chosen"]),
        notes=["nothing has been measured yet: run a cell first, or give --hours 6"],
    )


PLANS: dict[str, PlanJson] = {
    "cloud": _cloud(),
    "pauses": _pauses(),
    "no_gain": _no_gain(),
    "assumed_place": _assumed(),
    "hours_only": _hours_only(),
    "kwh_only": _kwh_only(),
    "typical_day": _typical(),
    "idle_gpu": _idle(),
    "sweep": _sweep(),
    "hostile": _hostile(),
    "nothing": _nothing(),
}

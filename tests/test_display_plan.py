"""A plan in words, as a shell and a front end without HTML show it; `python` this file writes the
golden text."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from plan_examples import PLANS

from jupyter_energy.carbon import factor
from jupyter_energy.display.plan import text
from jupyter_energy.display.plan_html import html
from jupyter_energy.display.plan_words import setup
from jupyter_energy.plan import regions, timing
from jupyter_energy.plan.document import Parts, plan_json
from jupyter_energy.plan.nouns import SLOT_S, Job, Outlook
from jupyter_energy.plan.pausing import Powers
from jupyter_energy.plan.shapes import PlanJson
from jupyter_energy.uncertainty import Uncertain

GOLDEN = Path(__file__).parent / "golden" / "plan.txt"
BERLIN = ZoneInfo("Europe/Berlin")
MADE = datetime(2026, 11, 23, 14, 3, tzinfo=UTC)
COUNT = round(6 * 3600 / SLOT_S)


def a_plan() -> PlanJson:
    """Six measured hours in Virginia, over a forecast that falls for ten hours, then rises."""
    here = replace(factor("aws:us-east-1"), how="set by the settings file")
    pue = 1.15, "AWS's for us-east-1, 2024"
    job = Job(
        6 * 3600.0, (1 / COUNT,) * COUNT, Uncertain(8.6e6, 0.0, 2.2e5), None,
        "the 14 cells of this session",
    )  # fmt: skip
    falling = tuple(440.0 - 20 * abs(10 - abs(n / 12 - 10)) for n in range(5 * COUNT))
    outlook = Outlook(
        MADE + timedelta(minutes=2), falling, "forecast", "US-MIDA-PJM", "PJM", "average",
        "consumption", "lifecycle", "A Service (CC BY 4.0)", 0.05, "the service's word",
    )  # fmt: skip
    within_s = 24 * 3600.0
    start = timing.best_start(job, outlook, within_s, pue[0], Powers())
    pause = timing.best_pauses(job, outlook, within_s, Powers(), pue[0])
    now_g = timing.grams_now(job, outlook, pue[0])
    ranked = regions.rankings(job, here, pue, "aws")
    best = regions.item(ranked, here, "aws")
    assert best is not None
    items = [*timing.items(job, outlook, start, pause, now_g), best]
    parts = Parts(
        notebook={"id": "n", "path": "/home/ada/train.ipynb", "name": "train.ipynb"},
        job=job, here=here, pue=pue, rankings=ranked, outlook=outlook, now_g=now_g,
        start=start, pause=pause, items=items,
    )  # fmt: skip
    return plan_json(parts, MADE, "1.0")


def test_a_plan_reads_as_it_should() -> None:
    assert text(a_plan(), "jupyter energy", BERLIN) + "\n" == GOLDEN.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PLANS)
def test_no_plan_is_wider_than_a_hundred_or_has_what_a_terminal_obeys(name: str) -> None:
    shown = text(PLANS[name], "%energy", BERLIN)
    assert max(map(len, shown.splitlines())) <= 100
    assert all(line.isprintable() for line in shown.split("\n"))


@pytest.mark.parametrize("name", PLANS)
def test_a_narrow_window_has_narrow_sentences_with_the_same_words(name: str) -> None:
    narrow, wide = (text(PLANS[name], "%energy", BERLIN, width) for width in (40, None))
    typed = {f"      {line}" for item in PLANS[name]["advice"] for line in setup(item)[1]}
    told, rest = (
        [
            line
            for line in shown.splitlines()
            if line not in typed and not re.search(r"\S  +\S", line)  # no table's row
        ]
        for shown in (narrow, wide)
    )
    assert max(map(len, told), default=0) <= 40
    assert "".join("".join(told).split()) == "".join("".join(rest).split())


def test_brackets_stand_in_no_others_where_a_place_is_assumed() -> None:
    plan = a_plan()
    yearly = plan["run_now"]["yearly_g"]
    assert yearly is not None
    yearly["assumed"], yearly["how"] = True, "assumed: no place is set"
    line = " ".join(text(plan, "%energy", BERLIN).split()).partition("run here: ")[2]
    assert line.startswith("CO2e ≈ 1.1 kg (1.1–1.2 kg) by the yearly average: place assumed (")


def test_times_are_the_readers_own_with_zone_and_day_where_that_is_another() -> None:
    plan = a_plan()
    start = plan["flexible_start"]
    assert start is not None
    assert start["start"].startswith("2026-11-23T21:") or start["start"].startswith("2026-11-23T22")
    berlin, kolkata = (
        " ".join(text(plan, "%energy", zone).split()) for zone in (BERLIN, ZoneInfo("Asia/Kolkata"))
    )
    hour = datetime.fromisoformat(start["start"])
    assert f"Start at {hour.astimezone(BERLIN):%H:%M} CET:" in berlin
    assert f"Start at Tue 24 Nov, {hour.astimezone(ZoneInfo('Asia/Kolkata')):%H:%M} IST:" in kolkata


def test_the_words_claim_what_is_attributed_and_nothing_else() -> None:
    for plan in [a_plan(), *(PLANS[name] for name in PLANS if name != "hostile")]:
        shown = text(plan, "%energy", BERLIN).lower()
        assert "avoid" not in shown
        assert "reduces by" not in shown
        if plan["advice"]:
            assert "attributed to this " in " ".join(shown.split())
    of_idle = " ".join(text(PLANS["idle_gpu"], "%energy", BERLIN).split())
    assert "attributed to this notebook, the time between its cells included" in of_idle


def test_grams_that_are_saved_and_grams_that_are_left_are_told_apart() -> None:
    shown, page = " ".join(text(a_plan(), "%energy", BERLIN).split()), html(a_plan(), zone=BERLIN)
    assert re.search(r"saves ≈ 29 % \(.*?\), or CO2e ≈ 300 g \(.*?\), of what is attr", shown)
    assert re.search(r"saves ≈ 29 % \(.*?\), then emits CO2e ≈ 740 g", shown)
    assert re.search(r"saves .*? 29 % .*?, or CO2e .*?, of what is attributed to this run", page)
    assert "<b>emits CO2e</b>" in page


def test_no_gain_is_an_answer() -> None:
    assert "No gain" in text(PLANS["no_gain"], "%energy", BERLIN)


def test_a_text_needs_no_more_than_the_json_that_is_printed() -> None:
    plan = a_plan()
    assert text(json.loads(json.dumps(plan)), "%energy", BERLIN) == text(plan, "%energy", BERLIN)


if __name__ == "__main__":
    GOLDEN.write_text(text(a_plan(), "jupyter energy", BERLIN) + "\n", encoding="utf-8")

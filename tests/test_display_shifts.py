"""What a shifted run was promised and what it got, in one line."""

from __future__ import annotations

import pytest
from display_examples import SHIFTED, estimate, stretch

from jupyter_energy.display.shifts import line
from jupyter_energy.json_shapes import ShiftJson
from jupyter_energy.shift import STOPPED

OF = "of the emissions attributed to this run"
BY = "planned over the forecast of Energy-Charts"
WAIT_DREW = "while it waited the machine drew ≈ 12 Wh (10–14 Wh)"
GRAMS = "(≈ 4.0 g (2.0–6.0 g) CO2e)"
LATER = "not counted: start the machine later to save that too"
NOT_LATER = f"{WAIT_DREW}, not counted"
WAITED = stretch("09:00", "09:30", estimate(37000.0, 43200.0, 51000.0))
TWICE = "more than twice as much as without a pause"
PAUSE_DREW = "the pause drew ≈ 12 Wh (10–14 Wh)"
DREW = f"{PAUSE_DREW}, counted"
ANYWAY = "not counted: the machine runs anyway"


def said(**changes: object) -> str:
    shift = SHIFTED["shift"]
    assert shift is not None
    made: ShiftJson = {**shift, **changes}  # type: ignore[typeddict-item]  # what a test changes
    return line(made)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, f"planned 18 %, got 15 % {OF} (average, {BY}); {DREW}"),
        (
            {"realised_fraction": -0.121},
            f"planned 18 % {OF} (average, {BY}), got 12 % more than without a pause; {DREW}",
        ),
        (
            {"realised_fraction": -900.0},
            f"planned 18 % {OF} (average, {BY}), got {TWICE}; {DREW}",
        ),
        (
            {"realised_fraction": None, "kind": None, "note": "no live values"},
            f"planned 18 % {OF} ({BY}), what it got is not known: no live values; {DREW}",
        ),
        (
            {"planned_fraction": None, "basis": None, "source": None, "pauses": []},
            f"no saving was planned, got 15 % {OF} (average); there was no pause",
        ),
        (
            {"note": "30 % has another factor"},
            f"planned 18 %, got 15 % {OF} (average, {BY}), but 30 % has another factor; {DREW}",
        ),
        (
            {"pauses": [], "waits": [WAITED], "waits_g": None},
            f"planned 18 %, got 15 % {OF} (average, {BY}); {WAIT_DREW}, {LATER}",
        ),
        (
            {"waits": [WAITED], "waits_g": estimate(2.0, 4.0, 6.0)},
            f"planned 18 %, got 15 % {OF} (average, {BY}); {DREW}; {WAIT_DREW} {GRAMS}, {LATER}",
        ),
        (
            {"waits": [WAITED], "waits_g": None, "on_anyway": True},
            f"planned 18 %, got 15 % {OF} (average, {BY}); {PAUSE_DREW}, {ANYWAY}; {WAIT_DREW}, "
            + ANYWAY,
        ),
        (
            {
                "runs": [],
                "pauses": [],
                "realised_fraction": None,
                "note": STOPPED,
                "waits": [WAITED],
                "waits_g": None,
            },
            f"planned 18 % {OF} (average, {BY}), what it got is not known: {STOPPED}; {NOT_LATER}",
        ),
    ],
)
def test_a_plan_and_what_became_of_it_are_one_line(changes: dict[str, object], words: str) -> None:
    assert said(**changes) == words


def test_a_pause_of_which_nobody_knows_what_it_drew_is_said_so() -> None:
    shift = SHIFTED["shift"]
    assert shift is not None
    pauses = [*shift["pauses"], {**shift["pauses"][0], "energy_j": None}]
    assert said(pauses=pauses).endswith("; what its 2 pauses drew is not known")

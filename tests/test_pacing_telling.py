"""The one line of a shifted run: in place on a terminal, a line each in a log, never harmful."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from standins.moved_clock import outlook

from jupyter_energy.errors import WrongUse
from jupyter_energy.pacing.asked import Extend, extend_of, hours_of, wait_of
from jupyter_energy.pacing.telling import Line, by, clauses, until

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def shown(on: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(sys, "stderr", on)
    line = Line()
    for text in ("paused until 14:00", "paused until 14:00", "paused"):
        line.say(text)
    line.say("goes on", is_last=True)
    line.say("done", is_last=True)
    return on.getvalue()


def test_a_terminal_has_one_line_that_is_written_over(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, rest = shown(Terminal(), monkeypatch).split("\n")
    assert first.split("\r") == [
        "",
        "jupyter-energy: paused until 14:00",
        "jupyter-energy: paused            ",
        "jupyter-energy: goes on",
    ]
    assert (second, rest) == ("\rjupyter-energy: done", "")


def test_a_log_has_a_line_of_each_thing_that_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f"jupyter-energy: {s}" for s in ("paused until 14:00", "paused", "goes on", "done")]
    assert shown(io.StringIO(), monkeypatch).splitlines() == lines


def test_an_output_that_is_closed_or_missing_hurts_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    for stream in (closed, None):
        monkeypatch.setattr(sys, "stderr", stream)
        Line().say("goes on", is_last=True)


def test_a_moment_is_the_users_own_with_how_far_it_is_and_its_day_where_it_is_another() -> None:
    local = (NOW + timedelta(minutes=72)).astimezone()
    assert until(NOW + timedelta(minutes=72), NOW).endswith("(in 1 h 12 min)")
    assert f"{local:%H:%M}" in until(NOW + timedelta(minutes=72), NOW)
    later = (NOW + timedelta(days=3)).astimezone()
    assert until(NOW + timedelta(days=3), NOW).startswith(f"{later:%Y-%m-%d %H:%M}")


def test_a_plan_is_told_with_what_it_was_made_over() -> None:
    made = outlook([100.0])
    assert by(made) == "by the forecast of Energy-Charts for France, average"
    file = replace(made, basis="trace", source="grid.csv", place="")
    assert by(file) == "by the trace of grid.csv, average"
    assert "\x1b" not in by(replace(made, source="\x1b[31mgrid.csv"))


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("50%", Extend(0.5, None)),
        (" 12.5 % ", Extend(0.125, None)),
        ("6h", Extend(None, 21600.0)),
        ("90 min", Extend(None, 5400.0)),
        ("2d", Extend(None, 172800.0)),
        (".5h", Extend(None, 1800.0)),
    ],
)
def test_what_is_asked_for_is_read_as_people_write_it(text: str, means: Extend) -> None:
    assert extend_of(text) == means
    if means.seconds is not None:
        assert wait_of(text) == means.seconds


@pytest.mark.parametrize(
    "text", ["", "6", "h", "-6h", "1e9h", "2000%", "5٪", "6h30", None, 6, b"6h"]
)
def test_what_says_no_time_is_told_with_what_would(text: object) -> None:
    with pytest.raises(WrongUse, match=r'such as "50%" or "6h"'):
        extend_of(text)
    with pytest.raises(WrongUse, match=r'such as "6h" or "90min"'):
        wait_of(text)


@pytest.mark.parametrize("hours", [0, -1, float("nan"), "3", None, True])
def test_hours_are_a_number_above_0(hours: object) -> None:
    with pytest.raises(WrongUse, match=r"hours is .*: write how many hours the run takes"):
        hours_of(hours)


@pytest.mark.parametrize("hours", [8785, 10**9, 10**400, float("inf")])
def test_more_hours_than_a_years_are_told_to_be_too_many(hours: object) -> None:
    with pytest.raises(WrongUse, match=r"hours is .*: plans are for a year at most"):
        hours_of(hours)


def test_a_line_is_parted_at_semicolons_for_a_page_but_not_within_brackets() -> None:
    said = "waits until 06:00 (in 10 h); it adds 9 % (memory's whole; the rest 30 %); Ctrl-C stops"
    assert clauses(said) == [
        "waits until 06:00 (in 10 h)",
        "it adds 9 % (memory's whole; the rest 30 %)",
        "Ctrl-C stops",
    ]

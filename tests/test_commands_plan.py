"""`plan` as a user types it: from records or figures, with every bad option, offline and not."""

from __future__ import annotations

import ast
import json
import re
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from shell import LIMIT_S, PROGRAM, Shell, notebook
from standins.web_server import Asked, Service, Told
from strategies import a_record, in_zone

from jupyter_energy import kept_plans
from jupyter_energy.commands import dispatch
from jupyter_energy.commands.shell_context import ShellContext
from jupyter_energy.display import markup
from jupyter_energy.display.plan_html import html
from jupyter_energy.errors import NoSuchNotebook, UnknownZone, WrongUse
from jupyter_energy.identity import from_file
from jupyter_energy.model import Idle, Record
from jupyter_energy.plan.idling import paused
from jupyter_energy.power.document import Curve, PowerTrace
from jupyter_energy.shift import Shift, Stretch
from jupyter_energy.store import Store
from jupyter_energy.uncertainty import Range, Uncertain

KWH = 3.6e6
HOUR = timedelta(hours=1)


class Person:
    """Somebody in a shell, with a store of their own and one notebook."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.path = notebook(folder / "train.ipynb", ["1 + 1"])
        self._capsys = capsys

    def measured(
        self,
        *runs: Record,
        traces: dict[str, PowerTrace] | None = None,
        idles: Iterable[Idle] = (),
    ) -> None:
        store = Store(self.folder / "store" / "energy.sqlite")
        try:
            of = store.notebook_for(from_file(self.path)).id
            store.append(*(replace(run, notebook_id=of) for run in runs))
            store.book_idle(*(replace(idle, notebook_id=of) for idle in idles))
            for run_id, trace in (traces or {}).items():
                store.keep_power(run_id, trace)
        finally:
            store.close()

    def says(self, *words: str | Path, status: int = 0) -> str:
        context = ShellContext()
        try:
            assert dispatch(["plan", *map(str, words)], context) == status
        finally:
            context.close()
        return self._capsys.readouterr().out

    def plans(self, *words: str | Path) -> Any:
        return json.loads(self.says(*words, "--json"))

    def trace(self, *g_per_kwh: float, begin: str = "2026-03-01T00:00") -> Path:
        """A file of hourly values."""
        start = datetime.fromisoformat(begin).replace(tzinfo=UTC)
        rows = [f"{start + n * HOUR:%Y-%m-%dT%H:%MZ},{g}" for n, g in enumerate(g_per_kwh)]
        file = self.folder / "trace.csv"
        file.write_text("\n".join(["time,g_per_kwh", *rows]) + "\n", encoding="utf-8")
        return file


@pytest.fixture
def person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Person]:
    (tmp_path / "sys").mkdir()
    for name, value in {
        "JUPYTER_ENERGY_STORE": str(tmp_path / "store" / "energy.sqlite"),
        "JUPYTER_ENERGY_SYSFS": str(tmp_path / "sys"),  # whatever cloud the tests run on
        "JUPYTER_ENERGY_CACHE": str(tmp_path / "cache"),
        "JUPYTER_ENERGY_ZONE": "aws:us-east-1",
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "TZ": "UTC",
        "COLUMNS": "100",
    }.items():
        monkeypatch.setenv(name, value)
    time.tzset()
    yield Person(tmp_path, capsys)
    monkeypatch.undo()
    time.tzset()


def a_run(run_id: str, kwh: float | None, hours: float, after_s: float = 0.0, **how: Any) -> Record:
    energy = None if kwh is None else Uncertain(kwh * KWH, 0.0, kwh * KWH / 40)
    seconds = hours * 3600
    return a_record(
        run_id, cell_id=run_id, energies={"gpu": energy}, duration_s=seconds, after_s=after_s, **how
    )


# -- the job -------------------------------------------------------------------------------------


def test_what_the_last_session_measured_is_planned(person: Person) -> None:
    person.measured(
        a_run("old", 9.0, 1.0, session_id="s0"),
        a_run("a", 1.0, 1.0, 90000),
        a_run("b", 2.0, 2.0, 99000),
    )
    plan = person.plans(person.path)
    assert plan["job"]["duration_s"] == 3 * 3600
    assert plan["job"]["measured_j"]["value"] == pytest.approx(3 * KWH)
    assert plan["job"]["said"] == "the 2 cells of the last session, of 2025-03-02"
    assert plan["notebook"]["name"] == "train.ipynb"
    told = person.says(person.path)
    assert told.splitlines()[0].startswith("Plan for train.ipynb, the 2 cells of the last session")
    assert "3 h 00 min, 3.00 ± 0.15 kWh measured" in " ".join(told.split())


def test_a_power_trace_of_the_store_says_when_the_energy_is_drawn(person: Person) -> None:
    run = a_run("a", 2.0, 1.0)
    (device,) = run.domains
    curve = Curve(device.domain, "measured", "nvml", None, (1800.0, 3600.0), (0.0, 4000.0))
    person.measured(run, traces={"a": PowerTrace(3600.0, 0.1, 0.1, 0.0, None, (curve,))})
    trace = person.trace(*[100.0] * 48)
    plan = person.plans(person.path, "--trace", trace, "--start", "2026-03-01T00:00Z")
    assert plan["slots"]["job_w"] == pytest.approx([0.0] * 6 + [4000.0] * 6)


def test_without_records_and_options_it_is_said_what_to_run_first(person: Person) -> None:
    with pytest.raises(WrongUse, match=r"measure it: jupyter energy run train.ipynb.*--hours 6"):
        person.says(person.path)
    with pytest.raises(NoSuchNotebook):
        person.says(person.folder / "none.ipynb")
    with pytest.raises(WrongUse, match=r"jupyter energy plan NOTEBOOK.ipynb.*plan --hours 6"):
        person.says()


def test_a_session_that_took_no_time_is_nothing_to_plan_from(person: Person) -> None:
    person.measured(a_run("a", 1.0, 0.0))
    with pytest.raises(WrongUse, match=r"nothing is recorded to plan from.*--hours 6"):
        person.says(person.path)


def test_hours_alone_give_shares_and_no_grams(person: Person) -> None:
    plan = person.plans("--hours", "6")
    assert (plan["job"]["measured_j"], plan["job"]["estimated_j"]) == (None, None)
    assert plan["run_now"] == {"carbon_g": None, "yearly_g": None}
    assert plan["advice"][0]["what"] == "region"
    assert plan["advice"][0]["saved_g"] is None
    assert "energy not known" in person.says("--hours", "6")


def test_hours_of_a_measured_notebook_are_at_its_mean_power(person: Person) -> None:
    person.measured(a_run("a", 1.0, 2.0))
    job = person.plans(person.path, "--hours", "6")["job"]
    assert job["measured_j"] is None
    assert job["estimated_j"]["mid"] == pytest.approx(3 * KWH)
    assert "at the mean power of the one cell" in job["said"]


def test_kwh_alone_rank_places_and_ask_for_the_hours(person: Person) -> None:
    plan = person.plans("--kwh", "2")
    assert plan["job"]["duration_s"] is None
    assert plan["run_now"]["yearly_g"]["mid"] == pytest.approx(2 * 418 * 1.15)
    assert plan["run_now"]["yearly_g"]["estimated_share"] is None
    assert plan["flexible_start"] is plan["pause_resume"] is plan["slots"] is None
    assert "--hours 6" in plan["basis"]["notes"][0]
    assert "2.00 kWh as given" in person.says("--kwh", "2")
    assert person.says("--kwh", "2", "--hours", "1").startswith(
        "Plan for a job as given: 1 h 00 min, 2.00 kWh\n"
    )
    assert "measured" not in person.says("--kwh", "2").splitlines()[0]


@pytest.mark.parametrize(
    ("word", "hours"),
    [("6", 6), ("6h", 6), ("90min", 1.5), ("2d", 48), (".5", 0.5), ("30 s", 1 / 120)],
)
def test_hours_may_have_a_unit(person: Person, word: str, hours: float) -> None:
    assert person.plans("--hours", word)["job"]["duration_s"] == pytest.approx(hours * 3600)


@pytest.mark.parametrize(("word", "kwh"), [("3", 3), ("500Wh", 0.5), ("7.2 MJ", 2), ("3 kWh", 3)])
def test_kwh_may_have_a_unit(person: Person, word: str, kwh: float) -> None:
    found = person.plans("--hours", "1", "--kwh", word)["job"]["estimated_j"]
    assert found == pytest.approx({"low": kwh * KWH, "mid": kwh * KWH, "high": kwh * KWH})


BAD = {
    "--hours": ("-1", "nan", "inf", "0", "", "6x", "six", "1e9", "400d", "6 h 3"),
    "--kwh": ("-1", "nan", "0", "", "5g", "x", "1e400"),
    "--within": ("-1", "nan", "x", "367d"),
    "--checkpoint": ("-1s", "nan", "30x"),
    "--start": ("25:00", "noon", "", "2026-13-01", "2026-02-30T00:00"),
    "--cloud": ("ibm", ""),
}


@pytest.mark.parametrize(
    ("option", "word"), [(o, word) for o, words in BAD.items() for word in words]
)
def test_a_bad_value_is_one_clear_line(person: Person, option: str, word: str) -> None:
    hours = [] if option == "--hours" else ["--hours=1"]
    with pytest.raises(WrongUse) as refused:
        person.says(*hours, f"{option}={word}")
    assert len(str(refused.value).splitlines()) == 1
    assert len(str(refused.value)) < 200
    assert option.strip("-") in str(refused.value)


@pytest.mark.parametrize(
    ("start", "begins"),
    [
        ("2027-03-28T01:30", "2027-03-28T00:30"),
        ("2027-03-28T02:30", "2027-03-28T01:30"),  # no clock shows that: it is 03:30 CEST
        ("2027-03-28T03:30", "2027-03-28T01:30"),
    ],
)
def test_a_start_in_the_hour_that_summer_time_skips_is_never_earlier_than_asked(
    person: Person, monkeypatch: pytest.MonkeyPatch, start: str, begins: str
) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    trace = person.trace(*[100.0] * 48, begin="2027-03-27T12:00")
    found = person.plans("--hours", "1", "--trace", trace, "--start", start)["basis"]["from"]
    assert found.startswith(begins)


# -- where ---------------------------------------------------------------------------------------


def test_the_regions_of_the_own_cloud_are_ranked_first_with_the_place_here(person: Person) -> None:
    plan = person.plans("--hours", "1", "--kwh", "1")
    assert [one["of"] for one in plan["rankings"]] == ["regions of AWS", "grid zones"]
    assert plan["regions"] == plan["rankings"][0]["rows"]
    here = plan["rankings"][0]["reference"]
    assert here["zone"] == "aws:us-east-1"
    assert here["carbon_g"]["mid"] == pytest.approx(plan["run_now"]["yearly_g"]["mid"])


def test_another_cloud_can_be_named(person: Person) -> None:
    plan = person.plans("--hours", "1", "--cloud", "gcp")
    assert plan["rankings"][0]["of"] == "regions of Google Cloud"
    assert plan["rankings"][0]["reference"]["zone"] == "aws:us-east-1"
    best = plan["advice"][0]
    assert best["change"].startswith("If it can run elsewhere: in gcp:europe-north2, Stockholm")
    assert best["confidence"] == "low"  # another provider's machine is another machine


def test_the_cloud_of_the_machine_is_found_without_asking_it(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_ENERGY_ZONE", "DE")
    maker = person.folder / "sys" / "class" / "dmi" / "id" / "sys_vendor"
    maker.parent.mkdir(parents=True)
    maker.write_text("Amazon EC2\n", encoding="utf-8")
    assert person.plans("--hours", "1")["rankings"][0]["of"] == "regions of AWS"


def test_a_zone_that_no_table_knows_costs_the_places_and_no_more(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_ENERGY_ZONE", "XQ")
    trace = person.trace(*[200.0] * 24, *[100.0] * 24)
    plan = person.plans("--hours", "2", "--trace", trace, "--start", "2026-03-01T00:00Z")
    assert plan["rankings"] == []
    assert any(note.startswith("where to run: ") and "XQ" in note for note in plan["notes"])
    assert plan["flexible_start"]["saved_fraction"] == pytest.approx(0.5)


def test_marginal_grams_are_never_compared_with_average_places(person: Person) -> None:
    person.measured(a_run("a", 1.0, 1.0, emitted=in_zone("CAISO", 400.0, KWH, "marginal")))
    plan = person.plans(person.path)
    assert any("are marginal" in n and "not comparable" in n for n in plan["notes"])


# -- when ----------------------------------------------------------------------------------------


def test_a_trace_gives_a_start_and_pauses_by_hand(person: Person) -> None:
    # 300 in the first hour, 100 in the third, 200 else
    trace = person.trace(300, 200, 100, *[200.0] * 30)
    how = ("--trace", trace, "--start", "2026-03-01T00:00Z", "--kwh", "2")
    plan = person.plans("--hours", "1", *how)
    assert plan["flexible_start"]["start"] == "2026-03-01T02:00:00.000000Z"
    assert plan["flexible_start"]["saved_fraction"] == pytest.approx(2 / 3)
    assert plan["flexible_start"]["carbon_g"]["mid"] == pytest.approx(2 * 100 * 1.15)
    assert plan["run_now"]["carbon_g"]["mid"] == pytest.approx(2 * 300 * 1.15)
    assert plan["basis"]["kind"] == "trace"
    assert plan["basis"]["forecast"] is False
    told = " ".join(person.says("--hours", "1", *how).split())
    # the year is told from the next one on
    assert re.search("Start at Sun 1 Mar( 2026)?, 02:00 UTC: saves ≈ 67 %", told)
    assert "attributed to this run" in told


@pytest.mark.parametrize(
    ("row", "left_out"),
    [("2026-03-01T01:00Z,-5", 1), ("2026-03-01T01:00Z,900", 1), ("2026-03-01T01:00Z,oops", 1)],
    ids=["negative", "another value for the same hour", "no number"],
)
def test_rows_of_a_trace_that_were_left_out_are_told(
    person: Person, row: str, left_out: int
) -> None:
    trace = person.trace(300, 200, 100, *[200.0] * 9)
    trace.write_text(trace.read_text(encoding="utf-8") + f"{row}\n", encoding="utf-8")
    told = person.says("--hours", "1", "--trace", trace, "--start", "2026-03-01T00:00Z")
    assert f"{left_out} of 13 rows left out" in told


def test_a_trace_is_of_no_place_where_none_is_set(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JUPYTER_ENERGY_ZONE")
    trace = person.trace(300, 200, 100, *[200.0] * 9)
    how = ("--hours", "1", "--trace", trace, "--start", "2026-03-01T00:00Z")
    plan = person.plans(*how)
    assert plan["here"]["assumed"] is True
    assert plan["basis"]["place"] is None
    told = person.says(*how)
    assert "When: Trace, trace.csv (average)" in told
    assert told.index("First set the place, such as jupyter energy zone") < told.index("1. ")


def test_a_job_of_next_to_nothing_is_told_so_in_few_lines(person: Person) -> None:
    person.measured(a_run("a", 2e-7, 0.001))
    told = person.says(person.path)
    assert "too small for any change to matter: its whole CO2e is ≈ 96 µg." in told
    assert "--hours 6 plans a longer one at its power" in " ".join(told.split())
    assert len(told.splitlines()) < 8
    assert not (person.folder / "store" / "plans.json").exists()  # nothing was promised
    assert "too small" not in person.says(person.path, "--hours", "600")


def test_advice_over_a_file_says_how_the_calls_find_it(person: Person) -> None:
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    trace = person.trace(*[900.0] * 3, *[30.0] * 40, begin=f"{hour:%Y-%m-%dT%H:%M}")
    how = ("--trace", trace, "--hours", "1", "--within", "6")
    (start,) = (item for item in person.plans(*how)["advice"] if item["what"] == "start")
    setup = [f'%config Energy.csv_trace = "{trace}"', '%config Energy.provider = "csv_trace"']
    assert start["setup"].splitlines() == setup
    assert start["command"] == 'je.wait_for_clean_power(hours=1, max_wait="6h")'
    told = [line.strip() for line in person.says(*how).splitlines()]
    first = told.index(setup[0])
    assert told[first - 1].endswith("JUPYTER_ENERGY_CSV_TRACE, JUPYTER_ENERGY_PROVIDER):")
    assert told[first + 1 : first + 3] == [setup[1], f"type: {start['command']}"]
    later = ("--start", f"{hour + 2 * HOUR:%Y-%m-%dT%H:%MZ}")
    (start,) = (item for item in person.plans(*how, *later)["advice"] if item["what"] == "start")
    assert (start["setup"], start["command"]) == (None, None)
    # a call in a cell is for one's own place
    (start,) = (i for i in person.plans(*how, "--zone", "FR")["advice"] if i["what"] == "start")
    assert (start["setup"], start["command"]) == (None, None)


@pytest.mark.parametrize("zone", ["US-CAL-CISO", "US-MIDA-PJM"])
def test_what_is_to_be_typed_for_a_file_makes_it_the_provider_whatever_place_it_is_of(
    person: Person, monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    rows = [f"{hour + n * HOUR:%Y-%m-%dT%H:%MZ},{zone},{900 if n < 3 else 30}" for n in range(40)]
    trace = person.folder / "trace.csv"
    trace.write_text("\n".join(["time,zone id,g_per_kwh", *rows]), encoding="utf-8")
    how = ("--hours", "1", "--within", "6", "--on-anyway")
    given = person.plans(*how, "--trace", trace)
    (start,) = (item for item in given["advice"] if item["what"] == "start")
    for line in start["setup"].splitlines():
        name, value = re.fullmatch(r"%config Energy\.(\w+) = (.*)", line).groups()  # type: ignore[union-attr]
        monkeypatch.setenv(f"JUPYTER_ENERGY_{name.upper()}", ast.literal_eval(value))
    by_provider = person.plans(*how)
    assert by_provider["basis"]["zone"] == given["basis"]["zone"] == zone
    (same,) = (item for item in by_provider["advice"] if item["what"] == "start")
    assert (same["setup"], same["command"]) == (None, start["command"])


@pytest.mark.parametrize("name", ["long " * 40, "two  spaces", "ä 'b' \"c\" \\d", "a\u202eb\nc"])
def test_what_is_to_be_typed_for_a_file_is_whole_whatever_it_is_called(
    person: Person, name: str
) -> None:
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    trace = person.trace(*[900.0] * 3, *[30.0] * 40, begin=f"{hour:%Y-%m-%dT%H:%M}")
    trace = trace.rename(trace.with_name(f"{name}.csv"))
    how = ("--trace", trace, "--hours", "1", "--within", "6")
    (start,) = (item for item in person.plans(*how)["advice"] if item["what"] == "start")
    first, _ = start["setup"].split("\n")
    assert ast.literal_eval(first.removeprefix("%config Energy.csv_trace = ")) == str(trace)
    assert f"      {first}" in person.says(*how).split("\n")
    shown = html(person.plans(*how))
    assert f">{markup.text(first)}<" in shown


def test_a_start_that_a_waiting_kernel_cannot_save_by_has_no_command_but_on_a_machine_that_is_on(
    person: Person,
) -> None:
    """300 g/kWh for three to four hours, then 100: the wait adds 90 % or more for 67 %."""
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    trace = person.trace(*[300.0] * 4, *[100.0] * 40, begin=f"{hour:%Y-%m-%dT%H:%M}")
    how = ("--trace", trace, "--hours", "1", "--within", "6", "--kwh", "1")
    plan = person.plans(*how)
    (item,) = (item for item in plan["advice"] if item["what"] == "start")
    assert plan["flexible_start"]["wait_fraction"] > plan["flexible_start"]["saved_fraction"]
    assert plan["flexible_start"]["held"] is None
    assert (item["setup"], item["command"]) == (None, None)
    assert "more than it saves: start the notebook then" in item["cost"]
    told = " ".join(person.says(*how).split())
    assert ", for a machine started then" in told
    assert "no gain over running through, what pauses draw counted" in told
    plan = person.plans(*how, "--on-anyway")
    (item,) = (item for item in plan["advice"] if item["what"] == "start")
    assert plan["flexible_start"]["wait_fraction"] == 0
    assert plan["flexible_start"]["held"]["saved_fraction"] == pytest.approx(2 / 3)
    assert (plan["pause_resume"]["idle_fraction"], plan["pause_resume"]["pause_j"]) == (0, 0)
    assert item["command"].endswith('max_wait="6h", on_anyway=True)')
    told = " ".join(person.says(*how, "--on-anyway").split())
    assert "for a machine started then" not in told
    assert "what pauses draw" not in told


def test_on_a_machine_that_runs_anyway_a_checkpoint_is_all_that_a_pause_costs(
    person: Person,
) -> None:
    trace = person.trace(300, 200, 100, *[200.0] * 30)
    how = ("--trace", trace, "--start", "2026-03-01T00:00Z", "--hours", "1", "--kwh", "1")
    pause = person.plans(*how, "--on-anyway", "--checkpoint", "3min")["pause_resume"]
    assert (pause["idle_fraction"], pause["pause_j"]) == (0, pytest.approx(KWH * 3 / 60))


@pytest.mark.parametrize("within", ["0", "1min"])
def test_with_nothing_to_compare_no_gain_is_told_of_nothing_but_the_note(
    person: Person, within: str
) -> None:
    trace = person.trace(300, 200, 100, *[200.0] * 30)
    how = ("--trace", trace, "--start", "2026-03-01T00:00Z", "--hours", "1", "--within", within)
    plan = person.plans(*how)
    assert plan["flexible_start"] is plan["pause_resume"] is None
    told = " ".join(person.says(*how).split())
    assert "starting later" not in told
    assert "pausing" not in told
    note = "without time to wait there is nothing to choose: give a longer --within"
    assert told.count(note) == 1


def test_times_are_told_in_the_zone_of_the_start_that_is_asked_for(person: Person) -> None:
    trace = person.trace(*[300.0] * 6, *[100.0] * 40)
    how = ("--hours", "1", "--kwh", "1", "--trace", trace)
    told = person.says(*how, "--start", "2026-02-28T17:00-07:00")
    assert "Start at Sat 28 Feb, 23:00 UTC-07:00:" in told
    assert "begun at Sat 28 Feb, 17:00 UTC-07:00:" in told
    told = person.says(*how, "--start", "2026-03-01T00:00+00:00")
    assert "Start at Sun 1 Mar, 06:00 UTC:" in told  # as this person's clock has it


def test_another_place_is_planned_for_without_setting_it(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_ENERGY_PROVIDER_ZONE", "RG10")
    trace = person.trace(*[300.0] * 6, *[100.0] * 40)
    person.measured(a_run("a", 2.0, 2.0))
    how = ("--trace", trace, "--start", "2026-03-01T00:00Z", "--zone", "gcp:europe-west1")
    plan = person.plans(person.path, *how)
    assert plan["here"]["zone"] == plan["rankings"][0]["reference"]["zone"] == "gcp:europe-west1"
    assert plan["here"]["how"] == "set by --zone"
    assert plan["rankings"][0]["of"] == "regions of Google Cloud"
    assert not (person.folder / "store" / "plans.json").exists()  # it is a question, no promise
    assert person.plans(person.path)["here"]["zone"] == "aws:us-east-1"
    with pytest.raises(UnknownZone, match="no zone 'Frankreich'"):
        person.says("--hours", "1", "--zone", "Frankreich")


def test_sentences_are_no_wider_than_the_window(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    told = person.says("--hours", "1", "--kwh", "1").splitlines()
    assert max(len(line) for line in told) <= 60


def test_a_shorter_wait_leaves_later_starts_out(person: Person) -> None:
    trace = person.trace(300, 200, 100, *[200.0] * 30)
    how = ("--trace", trace, "--start", "2026-03-01T00:00Z", "--hours", "1")
    plan = person.plans(*how, "--within", "1")
    assert plan["flexible_start"]["start"] == "2026-03-01T01:00:00.000000Z"
    assert plan["flexible_start"]["latest"] == "2026-03-01T01:00:00.000000Z"


def test_no_start_is_advised_that_has_passed(person: Person) -> None:
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    # cleanest two hours ago, then in five hours
    values = [300.0, 300.0, 50.0, *[300.0] * 6, 100.0, *[300.0] * 40]
    trace = person.trace(*values, begin=f"{hour - 4 * HOUR:%Y-%m-%dT%H:%M}")
    how = ("--trace", trace, "--hours", "1", "--start", f"{hour - 3 * HOUR:%Y-%m-%dT%H:%MZ}")
    plan = person.plans(*how)
    assert plan["flexible_start"]["start"] == f"{hour + 5 * HOUR:%Y-%m-%dT%H:%M:%S.%fZ}"
    assert any("has passed: planned from now on" in note for note in plan["notes"])
    assert plan["basis"]["hindsight"] is False
    gone = person.plans(*how, "--within", "2")  # all of its starts
    assert gone["basis"]["hindsight"] is True
    assert any("have happened" in note for note in gone["basis"]["notes"])
    for one in (plan, gone):
        (start,) = (item for item in one["advice"] if item["what"] == "start")
        assert start["command"] is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--start", "9999-12-31T23:59Z"), "a year ahead at most"),
        (("--start", "2326-01-01"), "a year ahead at most"),
        (("--start", "0001-01-02"), "a time since 1970"),
        (("--kwh", "1e300"), "no energy of a job"),
    ],
)
def test_what_no_figure_can_hold_is_refused_in_a_line(
    person: Person, words: tuple[str, str], said: str
) -> None:
    with pytest.raises(WrongUse, match=said):
        person.says("--hours", "1", *words)


def test_what_was_measured_between_cells_is_what_a_pause_draws(person: Person) -> None:
    run = a_run("a", 2.0, 2.0)  # 1 kW
    idle = replace(run.measurement, duration_s=3600.0, domains=tuple(
        replace(d, energy=Uncertain(0.1 * KWH, 0.0, 0.0)) for d in run.measurement.domains
    ))  # fmt: skip
    assert paused([run], []) is None
    gap = Idle("i", run.notebook_id, run.session_id, run.host, idle)
    drew = paused([run], [gap])
    assert drew is not None
    assert (drew.power_w.mid, drew.is_measured) == (pytest.approx(100.0), True)
    unseen = replace(idle, domains=tuple(replace(d, coverage=0.5) for d in idle.domains))
    assert paused([run], [replace(gap, measurement=unseen)]) is None
    person.measured(run, idles=[gap])
    trace = person.trace(100, 900, *[100.0, 900.0] * 20)
    plan = person.plans(person.path, "--trace", trace, "--start", "2026-03-01T00:00Z")
    assert plan["pause_resume"]["idle_fraction"] == pytest.approx(0.1)
    assert plan["pause_resume"]["idle_measured"]
    (pause,) = (item for item in plan["advice"] if item["what"] == "pause")
    assert "pauses draw 10 % of its power (measured between cells)" in pause["cost"]


@pytest.mark.parametrize(
    ("cpu", "of_gap"),
    [
        (Range(0.4 * KWH, 1.0 * KWH, 2.0 * KWH), Range(0.02 * KWH, 0.1 * KWH, 0.3 * KWH)),
        (Uncertain(1.0 * KWH, 0.0, 0.0), Range(0.02 * KWH, 0.1 * KWH, 0.3 * KWH)),
        (Range(0.4 * KWH, 1.0 * KWH, 2.0 * KWH), Uncertain(0.1 * KWH, 0.0, 0.0)),
    ],
)
def test_what_was_estimated_between_cells_is_told_as_that_and_has_its_bounds(
    person: Person, cpu: Uncertain | Range, of_gap: Uncertain | Range
) -> None:
    energies = {"gpu": Uncertain(1.0 * KWH, 0.0, 0.0), "cpu": cpu}
    run = a_record("a", cell_id="a", energies=energies, duration_s=7200.0)  # about 1 kW
    between = {"gpu": Uncertain(0.1 * KWH, 0.0, 0.0), "cpu": of_gap}
    domains = (replace(d, energy=between[d.domain.name]) for d in run.domains)
    idle = replace(run.measurement, duration_s=3600.0, domains=tuple(domains))
    gap = Idle("i", run.notebook_id, run.session_id, run.host, idle)
    person.measured(run, idles=[gap])
    trace = person.trace(100, 900, *[100.0, 900.0] * 20)
    plan = person.plans(person.path, "--trace", trace, "--start", "2026-03-01T00:00Z")
    found = plan["pause_resume"]
    assert found["idle_fraction"] == pytest.approx(0.2)
    assert (found["idle_measured"], found["idle_estimated"]) == (False, True)
    (pause,) = (item for item in plan["advice"] if item["what"] == "pause")
    assert "pauses draw 20 % of its power (estimated between cells)" in pause["cost"]
    low_kw, high_kw = (0.1 + getattr(of_gap, n, 0.1 * KWH) / KWH for n in ("low", "high"))
    run_low_kw, run_high_kw = ((1 + getattr(cpu, n, KWH) / KWH) / 2 for n in ("low", "high"))
    # An hour of a pause at 900 g/kWh, of a run at once at 100 and 900; a minute to go on at 100.
    most, least = high_kw / run_low_kw, low_kw / run_high_kw
    ran, saved = 100 + 100 + 100 / 60, found["saved_range"]
    assert saved["mid"] == pytest.approx(1 - (ran + 900 * 0.2) / 1000)
    assert saved["high"] == pytest.approx(1 - (ran + 900 * least) / 1000)
    # At its worst the trace is 7 % too low at 100 and too high at 900, in both.
    at_once = 1.07 * 100 + 0.93 * 900
    assert saved["low"] == pytest.approx(1 - (1.07 * ran + 0.93 * 900 * most) / at_once)


def a_gap(run: Record, **watts: Uncertain | Range) -> Idle:
    """An hour between cells in which devices drew so many W."""
    domains = (replace(d, energy=watts[d.domain.name].scaled(3600)) for d in run.domains)
    idle = replace(run.measurement, duration_s=3600.0, domains=tuple(domains))
    return Idle("i", run.notebook_id, run.session_id, run.host, idle)


def test_a_pause_of_a_job_that_is_given_draws_the_watts_that_were_measured_between_cells(
    person: Person,
) -> None:
    run = a_run("a", 0.1, 2.0)  # 50 W, of which the cells' own pauses draw 80 %
    person.measured(run, idles=[a_gap(run, gpu=Uncertain(40.0, 0.0, 0.0))])
    trace = person.trace(100, 900, *[100.0, 900.0] * 20)
    how = (person.path, "--trace", trace, "--start", "2026-03-01T00:00Z")
    assert person.plans(*how)["pause_resume"]["idle_fraction"] == pytest.approx(0.8)
    for given in (("--hours", "4", "--kwh", "2"), ("--kwh", "1")):  # 500 W
        found = person.plans(*how, *given)["pause_resume"]
        assert found["idle_fraction"] == pytest.approx(40 / 500)
        assert found["idle_measured"]


def test_a_notebook_of_estimates_does_not_change_what_is_assumed_of_a_job_that_is_given(
    person: Person,
) -> None:
    """Found by a newcomer: memory drew 64 % of their cells' few W, and so of their 333 W."""
    drawn = {"package": Range(3.5e3, 11.5e3, 37e3), "dram": Range(6e3, 20.5e3, 65e3)}  # 1.6, 2.9 W
    run = a_record("a", cell_id="a", energies=drawn, duration_s=7200.0)
    trace = person.trace(100, 900, *[100.0, 900.0] * 20)
    how = ("--trace", trace, "--start", "2026-03-01T00:00Z", "--hours", "30", "--kwh", "20")
    alone = person.plans(*how)["pause_resume"]
    between = {"package": Range(0.0, 0.1, 1.0), "dram": Range(0.9, 2.9, 9.0)}
    for idles in ((), (a_gap(run, **between),)):
        person.measured(run, idles=idles)
        found = person.plans(person.path, *how)["pause_resume"]
        assert found["idle_fraction"] == pytest.approx(0.3 + 0.7 * 2.9 / 667, abs=1e-4)
        assert not found["idle_measured"]
        assert not found["idle_estimated"]
        assert found["saved_fraction"] == pytest.approx(alone["saved_fraction"], abs=0.01)


def test_a_checkpoint_costs_its_time_at_the_mean_power_and_a_minute_at_least(
    person: Person,
) -> None:
    trace = person.trace(100, 900, *[100.0, 900.0] * 20)
    how = ("--trace", trace, "--start", "2026-03-01T00:00Z", "--hours", "2", "--kwh", "2")
    longer, least = person.plans(*how, "--checkpoint", "90s"), person.plans(*how)
    for plan, seconds in ((longer, 90), (least, 60)):
        assert plan["pause_resume"]["pauses"] == 1
        assert plan["pause_resume"]["pause_j"] == pytest.approx(1000.0 * seconds)
        assert plan["pause_resume"]["idle_fraction"] == 0.3
        assert not plan["pause_resume"]["idle_measured"]
        expected = 1.15 * (200 + 0.3 * 900 + 100 * seconds / 3600)
        assert plan["pause_resume"]["carbon_g"]["mid"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--within", "0"), "give a longer --within"),
        (("--hours", "100"), "longer than what is known ahead"),
    ],
)
def test_what_cannot_be_planned_is_said_and_the_rest_is_answered(
    person: Person, words: tuple[str, str], said: str
) -> None:
    trace = person.trace(*[300.0, 100.0] * 20)
    hours = () if "--hours" in words else ("--hours", "1")
    plan = person.plans(*hours, *words, "--trace", trace, "--start", "2026-03-01T00:00Z")
    assert any(said in note for note in plan["notes"])
    assert plan["advice"][0]["what"] == "region"
    assert all(item["what"] == "region" for item in plan["advice"])


def test_a_series_that_never_changes_gives_no_gain_and_says_so(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_ENERGY_ZONE", "aws:eu-north-1")
    trace = person.trace(*[100.0] * 48)
    how = ("--hours", "1", "--kwh", "1", "--trace", trace, "--start", "2026-03-01T00:00Z")
    assert person.plans(*how)["advice"] == []
    assert "No gain" in person.says(*how)
    told = " ".join(person.says(*how).split())
    # the year is told from the next one on
    asked = "Sun 1 Mar( 2026)?, 00:00 UTC"
    assert re.search(f"begun at {asked}: CO2e", told)
    assert re.search(f"no gain; start at {asked}", told)
    assert "at once" not in told


def test_a_misspelt_name_of_a_file_is_wrong_use(person: Person) -> None:
    with pytest.raises(WrongUse, match=r"--trace .*none.csv: there is no such file"):
        person.says("--hours", "1", "--trace", person.folder / "none.csv")


def test_a_file_that_cannot_be_read_costs_the_times_and_no_more(person: Person) -> None:
    file = person.folder / "empty.csv"
    file.touch()
    # By its status a script knows that nothing could be told over the file.
    plan = json.loads(person.says("--hours", "1", "--trace", file, "--json", status=1))
    assert plan["basis"]["kind"] == "none"
    assert any("empty.csv" in note for note in plan["basis"]["notes"])
    assert plan["advice"][0]["what"] == "region"


def test_a_folder_given_as_a_file_is_told_by_its_name(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    (person.folder / "traces").mkdir()
    monkeypatch.chdir(person.folder / "traces")
    told = " ".join(person.says("--hours", "1", "--trace", ".", status=1).split())
    assert "When: not planned, as traces cannot be read (it is no file)" in told


def test_without_a_provider_it_is_said_how_to_get_a_forecast(person: Person) -> None:
    plan = person.plans("--hours", "1")
    assert plan["basis"]["kind"] == "none"
    assert "no provider" in plan["basis"]["notes"][0]


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Service]]:
    """Starts a local service that is chosen as the provider; it ends with the test."""
    with ExitStack() as stack:

        def start(answer: Callable[[Asked], Told]) -> Service:
            one = stack.enter_context(Service(answer).running())
            monkeypatch.setenv("JUPYTER_ENERGY_PROVIDER", "energy_charts")
            monkeypatch.setenv("JUPYTER_ENERGY_PROVIDER_URL", one.url)
            monkeypatch.setenv("JUPYTER_ENERGY_ZONE", "DE")
            return one

        yield start


def falling(_: Asked) -> Told:
    """An hour of values up to now and 40 ahead, each lower than the one before."""
    now = int(time.time()) // 900 * 900
    seconds = [*range(now - 3600, now + 40 * 3600, 900)]
    values = [float(400 - n) for n in range(len(seconds))]
    known = [value if at < now else None for at, value in zip(seconds, values, strict=True)]
    ahead = [value if at >= now else None for at, value in zip(seconds, values, strict=True)]
    document = {"license_info": "CC BY 4.0", "unix_seconds": seconds}
    return Told(200, {**document, "co2eq": known, "co2eq_forecast": ahead})


def test_a_providers_forecast_is_planned_over_and_named_as_one(
    person: Person, service: Callable[..., Service]
) -> None:
    service(falling)
    plan = person.plans("--hours", "2", "--kwh", "1")
    assert (plan["basis"]["kind"], plan["basis"]["forecast"]) == ("forecast", True)
    start = plan["flexible_start"]
    assert start["start"] == start["latest"]  # the last is the cleanest
    assert {item["what"] for item in plan["advice"]} >= {"region", "start"}
    saved = [item["saved_fraction"]["mid"] for item in plan["advice"]]
    assert saved == sorted(saved, reverse=True)
    assert min(saved) >= 0.02


def test_a_provider_that_fails_costs_the_times_and_no_more(
    person: Person, service: Callable[..., Service]
) -> None:
    service(lambda _: Told(500, {}))
    plan = person.plans("--hours", "2")
    assert plan["flexible_start"] is None
    assert plan["basis"]["notes"]
    assert plan["advice"][0]["what"] == "region"


def test_a_provider_that_hangs_is_given_up_by_ctrl_c_at_once(
    person: Person, service: Callable[..., Service]
) -> None:
    hanging = service(falling)
    hanging.never()
    words = [*PROGRAM, "plan", "--hours", "2"]
    asking = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert hanging.came.wait(LIMIT_S)
    asking.send_signal(signal.SIGINT)
    out, err = asking.communicate(timeout=LIMIT_S)
    assert (asking.returncode, out) == (1, "")
    assert err == "jupyter energy: interrupted\n"


def test_what_a_plan_promised_is_kept_and_told_beside_what_came_of_it(
    person: Person, service: Callable[..., Service]
) -> None:
    service(falling)
    person.measured(a_run("a", 1.0, 1.0))
    first = person.plans(person.path)
    assert first["kept"] == []
    file = kept_plans.file_of(person.folder / "store" / "energy.sqlite")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    held = json.loads(file.read_text(encoding="utf-8"))
    for one in held["plans"]:  # as if it had been made two days before
        for name in ("made", "begin"):
            moved = datetime.fromisoformat(one[name]) - timedelta(days=3)
            one[name] = moved.isoformat()
    file.write_text(json.dumps(held), encoding="utf-8")
    kept = person.plans(person.path)["kept"]
    assert kept
    assert kept[0]["predicted_fraction"] == pytest.approx(
        first["flexible_start"]["saved_fraction"], rel=0.01
    )
    assert kept[0]["realised_fraction"] is None
    assert "Earlier: " in person.says(person.path)


def test_a_checkpoint_of_hours_is_told_to_be_outside_of_the_times(person: Person) -> None:
    trace = person.trace(100, 900, *[100.0, 900.0] * 20)
    how = ("--trace", trace, "--start", "2026-03-01T00:00Z", "--hours", "2", "--kwh", "2")
    (note,) = [n for n in person.plans(*how, "--checkpoint", "3h")["notes"] if "checkpoint" in n]
    assert note.startswith("--checkpoint 3 h 00 min: times are told as if saving and loading")
    assert not any("checkpoint" in n for n in person.plans(*how, "--checkpoint", "5min")["notes"])


def test_what_became_of_runs_that_were_held_is_told_by_the_next_plan(person: Person) -> None:
    begun = datetime(2026, 3, 1, tzinfo=UTC)

    def held(day: int, planned: float | None, saved: float | None) -> Record:
        start = begun + timedelta(days=day)
        pause, run = (Stretch(start + n * HOUR, start + (n + 1) * HOUR, None) for n in (0, 1))
        basis = ("forecast", "a service") if planned is not None else (None, None)
        shift = Shift(start, planned, *basis, (run,), (pause,), None, None, saved, "average", None)
        return replace(a_run(f"{day}", 1.0, 2.0, day * 86400.0), shift=shift)

    person.measured(held(0, 0.3, 0.1), held(1, 0.3, 0.25), held(2, 0.2, -0.33), held(3, 0.2, None))
    person.measured(held(4, None, 0.1))  # it was paused by hand: nothing was promised
    kept = person.plans(person.path)["kept"]
    assert [(k["predicted_fraction"], k["realised_fraction"]) for k in kept] == [
        (0.2, None), (0.2, -0.33), (0.3, 0.25),
    ]  # fmt: skip
    told = " ".join(person.says(person.path).split())
    promised = "UTC: a run that was held for cleaner power was to save"
    assert f"Earlier: of 2026-03-04 00:00 {promised} 20 %; what it saved is unknown" in told
    assert f"{promised} 20 %; as measured it emitted 33 % more than at once" in told
    assert f"{promised} 30 %; as measured it saved 25 %" in told


def test_plans_that_cannot_be_kept_are_told_and_shown_all_the_same(
    person: Person, service: Callable[..., Service], capsys: pytest.CaptureFixture[str]
) -> None:
    service(falling)
    person.measured(a_run("a", 1.0, 1.0))
    file = kept_plans.file_of(person.folder / "store" / "energy.sqlite")
    file.write_text("{", encoding="utf-8")
    context = ShellContext()
    assert dispatch(["plan", str(person.path), "--json"], context) == 0
    context.close()
    printed = capsys.readouterr()
    assert json.loads(printed.out)["flexible_start"] is not None
    assert "this plan is not kept" in printed.err


# -- ways to see it ------------------------------------------------------------------------------


def test_json_is_one_document_and_a_picture_goes_to_its_file(person: Person) -> None:
    target = person.folder / "plan.png"
    told = person.says("--hours", "1", "--kwh", "1", "--figure", target)
    assert f"Written: {target}" in told
    assert target.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(WrongUse, match="is a folder"):
        person.says("--hours", "1", "--figure", person.folder)


def test_json_stays_one_document_with_a_picture_beside_it(
    person: Person, capsys: pytest.CaptureFixture[str]
) -> None:
    target = person.folder / "plan.svg"
    context = ShellContext()
    assert dispatch(["plan", "--hours", "1", "--json", "--figure", str(target)], context) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["schema"] == 1
    assert target.exists()


def test_the_text_is_never_wider_than_a_hundred(person: Person) -> None:
    person.measured(a_run("a", 1.0, 3.0))
    trace = person.trace(*[300.0, 100.0] * 30)
    told = person.says(person.path, "--trace", trace, "--start", "2026-03-01T00:00Z")
    assert max(map(len, told.splitlines())) <= 100


def test_estimates_stay_estimates(person: Person) -> None:
    person.measured(
        a_record("a", energies={"package": Range(KWH, 2 * KWH, 4 * KWH)}, duration_s=3600.0)
    )
    plan = person.plans(person.path)
    assert plan["job"]["measured_j"] is None
    assert plan["run_now"]["yearly_g"]["estimated_share"] == 1.0
    assert "≈ 2.0 kWh (1.0–4.0 kWh) estimated" in " ".join(person.says(person.path).split())


def test_in_a_shell_all_wrong_turns_end_with_status_2_and_one_line(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    done = shell("plan")
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.strip().splitlines()) == 1
    done = shell("plan", "--hours", "6", "--json", more={"JUPYTER_ENERGY_ZONE": "FR"})
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["advice"][0]["what"] == "region"

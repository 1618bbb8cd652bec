"""What a run saved, looked up once its values have come: of the provider and the place that it is
of, kept beside what was told at its end, and told wherever that is."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from standins.late_values import LateValues
from standins.sensors import LIMIT_S
from test_commands_plan import Person, a_run, person
from test_factors import Desk, MakeDesk, desk, gpu
from test_pacing_measured import shifted

from jupyter_energy import later
from jupyter_energy.commands import dispatch
from jupyter_energy.commands.shell_context import ShellContext
from jupyter_energy.identity import from_file
from jupyter_energy.model import Record
from jupyter_energy.restating import taken_back
from jupyter_energy.shift import Awaited, Segment, Shift, Stretch
from jupyter_energy.store import Store
from jupyter_energy.uncertainty import Range

__all__ = ["desk", "person"]  # fixtures
HOUR = timedelta(hours=1)
KWH = Range(3.6e6, 3.6e6, 3.6e6)


# -- by a monitor --------------------------------------------------------------------------------


def unknown(here: Desk) -> Record:
    """A run of the three hours whose values are told from the end of it on."""
    here.says((-600, 500), (-540, 500))
    record = shifted(here)
    assert record.shift is not None
    assert record.shift.realised_fraction is None
    assert record.shift.awaited is not None
    return record


def test_it_is_told_as_by_values_that_were_there_at_the_end(desk: MakeDesk) -> None:
    here = desk(gpu())
    record = unknown(here)
    assert later.with_outcome(record, here.monitor.factors) is record  # nothing has come
    here.says((0, 500), (120, 100), (240, 100))
    told = later.with_outcome(record, here.monitor.factors)
    assert told.shift is not None
    assert told.shift.realised_fraction == pytest.approx(0.35, rel=1e-3)
    assert told.shift.awaited is None
    assert told.shift_said == record.shift
    assert later.with_outcome(told, here.monitor.factors) is told
    assert taken_back(told) == record


@pytest.mark.parametrize(
    ("setting", "value"),
    [("provider", "energy_charts"), ("provider", ""), ("zone", "FR"), ("provider_zone", "AT")],
)
def test_values_of_another_provider_or_place_do_not_tell_it(
    desk: MakeDesk, setting: str, value: str
) -> None:
    here = desk(gpu())
    record = unknown(here)
    here.says((0, 500), (120, 100), (240, 100))
    setattr(here.settings, setting, value)
    assert later.with_outcome(record, here.monitor.factors) is record


def test_another_file_does_not_tell_it(desk: MakeDesk) -> None:
    here = desk(gpu())
    record = unknown(here)
    here.trace = here.trace.with_name("other.csv")
    here.settings.csv_trace = str(here.trace)
    here.says((0, 500), (120, 100), (240, 100))
    assert later.with_outcome(record, here.monitor.factors) is record


def test_the_same_run_written_again_keeps_what_was_found_and_live_totals_hear_of_it(
    desk: MakeDesk,
) -> None:
    here = desk(gpu())
    record = unknown(here)
    here.monitor.flush(LIMIT_S)
    notebook = here.monitor.known_notebook()
    assert notebook is not None
    here.says((0, 500), (120, 100), (240, 100))
    store = Store(here.monitor.store_path)
    (kept,) = store.records(notebook.id)
    assert kept.shift == record.shift
    before = store.restatements(notebook.id)
    factors = here.monitor.factors
    ((_, told),) = store.restate(notebook.id, lambda one: later.with_outcome(one, factors))
    assert store.restatements(notebook.id) > before
    assert store.records(notebook.id) == [told]
    assert told.emissions == kept.emissions
    store.append(kept)  # as a journal has it
    assert store.records(notebook.id) == [told]
    store.restate(notebook.id, taken_back)
    assert store.records(notebook.id) == [kept]
    store.close()


# -- by a command --------------------------------------------------------------------------------


def waited(asked: str = "uk_grid GB") -> Record:
    """A run of an hour after an hour's wait, of which its provider had told a forecast alone."""
    begun = datetime.now(UTC) - 3 * HOUR
    wait = Stretch(begun, begun + HOUR, KWH)
    run = Stretch(begun + HOUR, begun + 2 * HOUR, KWH)
    segments = (Segment("wait", wait), Segment("run", run))
    shift = Shift(
        *(begun, 0.9, "forecast", "a service", (run,), (), None, None, None, None),
        note="not known; a later plan asks again",
        waits=(wait,),
        awaited=Awaited(asked, "GB", 1.0, segments),
    )
    record = a_run("a", 2.0, 2.0)
    measurement = replace(record.measurement, start=begun)
    return replace(record, measurement=measurement, shift=shift)


@pytest.fixture
def late(person: Person, monkeypatch: pytest.MonkeyPatch) -> Iterator[LateValues]:
    values = LateValues()
    with values.service.running() as served:
        monkeypatch.setenv("JUPYTER_ENERGY_ZONE", "GB")
        monkeypatch.setenv("JUPYTER_ENERGY_PROVIDER", "uk_grid")
        monkeypatch.setenv("JUPYTER_ENERGY_PROVIDER_URL", served.url)
        yield values


def stored(person: Person) -> Record:
    store = Store(person.folder / "store" / "energy.sqlite")
    try:
        (record,) = store.records(store.notebook_for(from_file(person.path)).id)
    finally:
        store.close()
    return record


def test_a_plan_tells_promised_against_realised_and_keeps_it(
    person: Person, late: LateValues
) -> None:
    person.measured(waited())
    before = stored(person)
    late.is_there = True
    (told,) = person.plans(person.path)["kept"]
    assert told["realised_fraction"] == pytest.approx(0)
    assert told["predicted_fraction"] == 0.9
    record = stored(person)
    assert record.shift is not None
    assert record.shift.note is None
    assert record.shift_said == before.shift
    number = len(late.service.asked)
    assert person.plans(person.path)["kept"] == [told]
    assert len(late.service.asked) == number  # what is known is not asked for again


@pytest.mark.parametrize("is_down", [False, True])
def test_where_the_values_have_not_come_a_plan_says_so_in_one_line_and_changes_nothing(
    person: Person, late: LateValues, is_down: bool
) -> None:
    person.measured(waited())
    late.is_down = is_down
    before = stored(person)
    (told,) = person.plans(person.path)["kept"]
    assert told["realised_fraction"] is None
    _, _, why = told["said"].partition("what it saved is not known yet: ")
    expected = "HTTP 503" if is_down else "its provider has told a forecast alone for 100 % of it"
    assert expected in why
    assert why.endswith("a later plan asks again")
    assert stored(person) == before


def test_nobody_asks_for_what_another_provider_owes(
    person: Person, late: LateValues, monkeypatch: pytest.MonkeyPatch
) -> None:
    person.measured(waited("energy_charts gb"))
    late.is_there = True
    before = stored(person)
    (told,) = person.plans(person.path)["kept"]
    assert told["realised_fraction"] is None
    assert stored(person) == before
    monkeypatch.delenv("JUPYTER_ENERGY_PROVIDER")
    number = len(late.service.asked)
    person.plans(person.path)
    assert len(late.service.asked) == number


def recompute(person: Person, *words: str) -> None:
    assert dispatch(["recompute", str(person.path), *words], ShellContext()) == 0


@pytest.mark.parametrize("look", [lambda p: p.plans(p.path), recompute])
def test_undo_brings_back_what_was_told_at_the_end(
    person: Person, late: LateValues, look: Callable[[Person], object]
) -> None:
    person.measured(waited())
    before = stored(person)
    late.is_there = True
    look(person)
    assert stored(person).shift != before.shift
    recompute(person, "--undo")
    assert stored(person) == before


@pytest.mark.parametrize("words", [("--zone", "FR"), ("--pue", "1.2")])
def test_another_place_or_pue_alone_looks_up_nothing(
    person: Person, late: LateValues, words: tuple[str, ...]
) -> None:
    person.measured(waited())
    before = stored(person)
    late.is_there = True
    recompute(person, *words)
    assert not late.service.asked
    assert stored(person).shift == before.shift


def test_a_store_that_cannot_be_written_keeps_nobody_from_being_told(
    person: Person, late: LateValues, capsys: pytest.CaptureFixture[str]
) -> None:
    person.measured(waited())
    before = stored(person)
    late.is_there = True
    with closing(sqlite3.connect(person.folder / "store" / "energy.sqlite")) as other:
        other.execute("BEGIN IMMEDIATE")
        assert dispatch(["plan", str(person.path), "--json"], ShellContext()) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["kept"][0]["realised_fraction"] == pytest.approx(0)
    assert "what earlier runs saved is known now, but cannot be kept" in told.err
    assert stored(person) == before

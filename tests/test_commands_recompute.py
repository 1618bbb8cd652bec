"""`recompute` as a user calls it: exact, reversible, and in step with all that adds grams up."""

from __future__ import annotations

import json
import platform
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from left_journals import DEAD, about, head, kept, leave
from shell import notebook
from standins.metadata import Answer, aws, standing
from standins.web_server import Asked, Service, Told
from strategies import a_record, in_zone, records

from jupyter_energy.carbon import factor
from jupyter_energy.carbon.emissions import emissions
from jupyter_energy.carbon.metadata import ADDRESS_VARIABLE
from jupyter_energy.commands import dispatch
from jupyter_energy.commands.shell_context import ShellContext
from jupyter_energy.documents import to_json
from jupyter_energy.errors import NoSuchNotebook, UnknownZone, WrongUse
from jupyter_energy.history import Wanted, history_json, load
from jupyter_energy.identity import from_file
from jupyter_energy.model import CarbonIntensity, Emissions, Record, Span
from jupyter_energy.restating import Basis, is_restated, restated, taken_back
from jupyter_energy.schema import totals_from_records
from jupyter_energy.seal import opened, sealed
from jupyter_energy.store import Store
from jupyter_energy.uncertainty import Range, Uncertain

KWH = 3.6e6
WHEN = datetime(2026, 11, 23, 12, tzinfo=UTC)
PARIS = factor("FR")


class Person:
    """Somebody in a shell, with a store of their own and one notebook."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.path = notebook(folder / "train.ipynb", ["1 + 1"])
        self.store = folder / "store" / "energy.sqlite"
        self._capsys = capsys

    def with_store(self, call: Callable[[Store, str], Any]) -> Any:
        store = Store(self.store)
        try:
            return call(store, store.notebook_for(from_file(self.path)).id)
        finally:
            store.close()

    def measured(self, *runs: Record) -> None:
        self.with_store(lambda s, of: s.append(*(replace(run, notebook_id=of) for run in runs)))

    def records(self) -> list[Record]:
        return self.with_store(lambda s, of: s.records(of))

    def says(self, *words: str) -> str:
        assert dispatch(["recompute", str(self.path), *words], ShellContext()) == 0
        return self._capsys.readouterr().out

    def document(self, *words: str) -> Any:
        return json.loads(self.says(*words, "--json"))


@pytest.fixture
def person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Person:
    made = Person(tmp_path, capsys)
    monkeypatch.setenv("JUPYTER_ENERGY_STORE", str(made.store))
    monkeypatch.setenv("JUPYTER_ENERGY_ZONE", "DE")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return made


def a_run(run_id: str, kwh: float = 1.0, **how: Any) -> Record:
    how.setdefault("emitted", in_zone("XX", 500.0, kwh * KWH))
    energies = {"gpu": Uncertain(kwh * KWH, 0.0, kwh * KWH / 20)}
    return a_record(run_id, energies=energies, **how)


def live(run: Record, zone: str, g_per_kwh: float) -> Record:
    """The run with grams by a live signal."""
    of = in_zone(zone, g_per_kwh, KWH).intensity
    spans = (Span(WHEN, WHEN + timedelta(minutes=15), g_per_kwh, "measured", 1.0),)
    return replace(run, emissions=emissions(run.measurement, of, spans=spans))


def test_another_zone_restates_all_runs_and_says_what_it_was_and_is(person: Person) -> None:
    person.measured(a_run("a"), a_run("b", 3.0, after_s=60))
    told = person.says("--zone", "FR")
    grams = 4 * PARIS.g_per_kwh
    assert told.splitlines()[0] == "train.ipynb: 2 of 2 runs restated"
    assert "CO2e (average): ≈ 2.0 kg (500 g/kWh, XX) → ≈ 180 g" in told
    assert "recompute --undo" in told
    first, second = person.records()
    assert first.carbon_g is not None
    assert second.carbon_g is not None
    assert first.carbon_g.mid + second.carbon_g.mid == pytest.approx(grams)
    assert first.emissions is not None
    assert first.emissions.intensity.zone == "FR"
    assert first.emissions.intensity.note is not None
    assert first.emissions.intensity.note.startswith("restated on 2")
    assert "from 500 g/kWh average of XX (a table 2024)" in first.emissions.intensity.note
    assert first.said == a_run("a").emissions


def test_a_sum_of_direct_and_lifecycle_figures_is_told_as_one_on_the_side_that_it_is_on(
    person: Person,
) -> None:
    def emitted(zone: str) -> Emissions:
        there = factor(zone)
        return replace(in_zone(zone, there.g_per_kwh, KWH), intensity=there)

    person.measured(
        a_run("a", emitted=emitted("FR")), a_run("b", emitted=emitted("US-CA"), after_s=60)
    )
    before, _, after = person.says("--zone", "FR").partition(" → ")
    assert "partly of direct emissions only, partly lifecycle (not comparable), France" in before
    assert "direct" not in after
    before, _, after = person.says("--zone", "US-CA").partition(" → ")
    assert "direct" not in before
    assert "g/kWh, direct emissions only, California" in after


def test_undo_brings_back_exactly_what_was(person: Person) -> None:
    runs = [a_run("a"), a_run("none", emitted=None, after_s=60), a_run("b", 3.0, after_s=90)]
    person.measured(*runs)
    before = person.records()
    person.says("--zone", "FR")
    person.says("--zone", "PL", "--pue", "1.5")
    assert all(map(is_restated, person.records()))
    told = person.says("--undo")
    assert "3 of 3 runs restated" in told
    assert person.records() == before
    assert "are so already" in person.says("--undo")


def test_the_same_again_changes_nothing_in_the_store(person: Person) -> None:
    person.measured(a_run("a"), a_run("b", 3.0, after_s=60))
    person.says("--zone", "FR")
    once = person.records()
    assert "the grams of its 2 runs are so already" in person.says("--zone", "France")
    assert person.records() == once


def test_a_run_without_grams_gets_them_by_the_place_that_is_set_now(person: Person) -> None:
    person.measured(a_run("a", emitted=None))
    document = person.document()
    assert (document["runs"], document["restated"], document["before"]) == (1, 1, None)
    assert document["after"]["zone"] == "DE"
    assert document["after"]["note"].endswith("from no figure")
    assert document["after"]["said_g"] is None
    (record,) = person.records()
    assert record.said is None


def test_pue_alone_changes_nothing_else(person: Person) -> None:
    person.measured(a_run("a"))
    after = person.document("--pue", "1.5")["after"]
    assert after["mid"] == pytest.approx(750)
    assert (after["g_per_kwh"], after["zone"]) == (500, "XX")
    by = "set by recompute --pue"
    assert (after["pue"], after["pue_source"], after["said_g"]) == (1.5, by, 500)


def test_live_values_of_the_same_place_are_not_given_up_for_a_yearly_factor(
    person: Person,
) -> None:
    person.measured(live(a_run("a"), "DE", 200.0))
    assert "so already" in person.says()
    assert "1 of 1 run restated" in person.says("--zone", "DE")


def test_the_pue_that_is_set_now_counts_for_live_values_too(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    person.measured(live(a_run("live"), "DE", 200.0), a_run("yearly", after_s=60))
    before = person.records()
    monkeypatch.setenv("JUPYTER_ENERGY_PUE", "1.5")
    person.says()
    assert [r.emissions.pue for r in person.records() if r.emissions] == [1.5, 1.5]
    assert person.records()[0].carbon_g.mid == pytest.approx(300)  # type: ignore[union-attr]
    person.says("--undo")
    assert person.records() == before


def test_live_values_that_another_zone_took_the_place_of_come_back_with_the_place(
    person: Person,
) -> None:
    person.measured(live(a_run("a"), "DE", 200.0))
    before = person.records()
    person.says("--zone", "FR")
    assert "1 of 1 run restated" in person.says()
    assert person.records() == before


def test_values_of_a_run_that_have_come_since_are_asked_for(
    person: Person, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    began = datetime.now(UTC) - timedelta(hours=2)
    steps = [int(began.timestamp()) // 900 * 900 + 900 * step for step in range(-4, 4)]

    def answer(asked: Asked) -> Told:
        assert (asked.path, asked.parameters["country"]) == ("/co2eq", "de")
        figures = {"co2eq": [100.0] * len(steps), "co2eq_forecast": [None] * len(steps)}
        return Told(200, {"license_info": "CC BY 4.0", "unix_seconds": steps, **figures})

    run = a_run("a")
    person.measured(replace(run, measurement=replace(run.measurement, start=began)))
    with Service(answer).running() as service:
        monkeypatch.setenv("JUPYTER_ENERGY_PROVIDER", "energy_charts")
        monkeypatch.setenv("JUPYTER_ENERGY_PROVIDER_URL", service.url)
        monkeypatch.setenv("JUPYTER_ENERGY_CACHE", str(tmp_path / "cache"))
        after = person.document()["after"]
    assert (after["g_per_kwh"], after["resolution"]) == (100, "15min")
    assert "Energy-Charts" in after["source"]


def test_no_run_changes_between_average_and_marginal_unless_a_zone_is_named(
    person: Person, capsys: pytest.CaptureFixture[str]
) -> None:
    run = a_run("a")
    assert run.emissions is not None
    marginal = replace(run.emissions.intensity, kind="marginal")
    person.measured(replace(run, emissions=replace(run.emissions, intensity=marginal)))
    assert dispatch(["recompute", str(person.path)], ShellContext()) == 0
    told = capsys.readouterr()
    assert "so already" in told.out
    assert "1 run keeps the kind it has, average or marginal" in told.err
    assert "1 of 1 run restated" in person.says("--zone", "DE")


def test_marginal_values_of_the_time_do_not_come_back_into_an_average(
    person: Person, capsys: pytest.CaptureFixture[str]
) -> None:
    run = live(a_run("a"), "DE", 200.0)
    assert run.emissions is not None
    marginal = replace(run.emissions.intensity, kind="marginal")
    person.measured(replace(run, emissions=replace(run.emissions, intensity=marginal)))
    person.says("--zone", "DE")
    assert person.document()["after"]["kind"] == "average"
    person.says("--undo")
    assert [r.emissions.intensity.kind for r in person.records() if r.emissions] == ["marginal"]


def test_another_pue_asks_nobody(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def answer(question: Asked) -> Told:
        asked.append(question)
        return Told(503)

    person.measured(a_run("a"))
    with Service(answer).running() as service:
        monkeypatch.setenv("JUPYTER_ENERGY_PROVIDER", "energy_charts")
        monkeypatch.setenv("JUPYTER_ENERGY_PROVIDER_URL", service.url)
        monkeypatch.setenv("JUPYTER_ENERGY_CACHE", str(person.store.parent / "cache"))
        person.says("--pue", "1.2")
        assert not asked
        person.says()
    assert asked


def test_a_place_that_nobody_said_takes_the_place_of_none_that_was_known(
    person: Person, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    person.measured(a_run("known"), a_run("unknown", emitted=None, after_s=60))
    monkeypatch.delenv("JUPYTER_ENERGY_ZONE")
    monkeypatch.setenv("TZ", "UTC")
    assert dispatch(["recompute", str(person.path), "--json"], ShellContext()) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["restated"] == 1
    assert "1 run keeps the place it has: nobody has said where this is now" in told.err
    known, unknown = person.records()
    assert known.emissions == a_run("known").emissions
    assert unknown.emissions is not None
    assert unknown.emissions.intensity.assumed


def test_a_cloud_that_takes_its_time_to_answer_is_waited_for(
    person: Person, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    dmi = tmp_path / "sys" / "class" / "dmi" / "id"
    dmi.mkdir(parents=True)
    (dmi / "sys_vendor").write_text("Amazon EC2\n")
    monkeypatch.setenv("JUPYTER_ENERGY_SYSFS", str(tmp_path / "sys"))
    monkeypatch.setenv("JUPYTER_ENERGY_ZONE", "auto")
    monkeypatch.setenv("TZ", "UTC")
    person.measured(a_run("a", emitted=None))
    tells = aws()

    def late(method: str, path: str, headers: dict[str, str]) -> Answer:
        threading.Event().wait(0.05)
        return tells(method, path, headers)

    with standing(late) as stands:
        monkeypatch.setenv(ADDRESS_VARIABLE, stands.address)
        zones = []
        for _ in range(9):  # on a busy machine its answer may take longer than the product waits
            zones.append(person.document()["after"]["zone"])
            if zones[-1] == "aws:eu-west-3":
                break
    assert zones[-1] == "aws:eu-west-3"


def test_a_cell_keeps_the_place_that_was_said_in_it(person: Person) -> None:
    french = in_zone("FR", 60.0, KWH)
    said = replace(french, intensity=replace(french.intensity, how="set by --zone"))
    person.measured(a_run("a", emitted=said), a_run("b", after_s=60))
    after = person.document()["after"]
    assert {*after["zone"].split(", ")} == {"FR", "DE"}
    assert after["mid"] == pytest.approx(PARIS.g_per_kwh + factor("DE").g_per_kwh)


@pytest.mark.parametrize(
    ("words", "error", "says"),
    [
        (["--zone", "Frnace"], UnknownZone, "France"),
        (["--pue", "0.5"], WrongUse, "no PUE"),
        (["--undo", "--zone", "FR"], WrongUse, "--undo goes without"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(
    person: Person, words: list[str], error: type[Exception], says: str
) -> None:
    person.measured(a_run("a"))
    before = person.records()
    with pytest.raises(error, match=says):
        person.says(*words)
    assert person.records() == before


def test_a_notebook_that_was_never_measured_has_nothing_to_restate(person: Person) -> None:
    with pytest.raises(NoSuchNotebook, match="never measured"):
        person.says("--zone", "FR")


def test_history_and_summary_are_in_step(person: Person) -> None:
    person.measured(a_run("a"), a_run("b", 3.0, after_s=60))

    def of_history() -> Any:
        wanted = Wanted()
        found = person.with_store(lambda s, _: load(s, wanted, (), lambda _: None))
        return history_json(found, wanted, "1")["totals"]["carbon_g"]

    assert of_history()["mid"] == pytest.approx(2000)
    for words in (("--zone", "FR"), ("--zone", "US", "--pue", "1.2"), ("--undo",)):
        after = person.document(*words)["after"]
        of_day = of_history()
        assert of_day["mid"] == pytest.approx(after["mid"])
        assert (of_day["zone"], of_day["pue"]) == (after["zone"], after["pue"])
        assert totals_from_records(person.records())["carbon_g"] == after


def test_what_dead_kernels_have_left_is_restated_and_their_old_word_does_not_come_back(
    person: Person,
) -> None:
    """A journal of a kernel that was killed has the run as it was before; it is taken in late."""
    ref, dead = from_file(person.path), head(host=platform.node(), **DEAD)
    first, second = a_run("a"), a_run("b", 3.0, after_s=60)
    person.measured(first)
    leave(person.store, [dead, about(ref), kept(second)])
    person.says("--zone", "FR")
    now = person.records()
    assert [r.run_id for r in now if is_restated(r)] == ["a", "b"]
    late = leave(person.store, [dead, about(ref), kept(first), kept(second)], "late")
    person.with_store(lambda s, _: s.absorb())
    assert not late.exists()
    assert person.records() == now


def test_a_better_measurement_of_a_restated_run_is_restated_too(person: Person) -> None:
    person.measured(a_run("a"))
    person.says("--zone", "FR")
    better = a_run("a", 2.0)
    person.measured(better)
    (record,) = person.records()
    assert record.energy_j == 2 * KWH
    assert record.carbon_g is not None
    assert record.carbon_g.mid == pytest.approx(2 * PARIS.g_per_kwh)
    assert record.said == better.emissions
    person.says("--undo")
    assert person.records()[0].emissions == better.emissions


def test_whoever_adds_up_as_records_come_is_told_to_begin_anew(person: Person) -> None:
    person.measured(a_run("a"))
    numbers = [person.with_store(lambda s, of: s.restatements(of))]
    for words in (("--zone", "FR"), ("--zone", "FR"), ("--undo",)):
        person.says(*words)
        numbers.append(person.with_store(lambda s, of: s.restatements(of)))
    assert numbers == [0, 1, 1, 2]


def test_a_kill_in_the_midst_leaves_every_record_as_it_was(person: Person) -> None:
    person.measured(*(a_run(str(n), after_s=n * 10.0) for n in range(5)))
    before = person.records()
    seen: list[Record] = []

    def dies(record: Record) -> Record:
        seen.append(record)
        if len(seen) == 4:
            raise KeyboardInterrupt
        return restated(record, (PARIS, 1.0, "", ()), WHEN)

    with pytest.raises(KeyboardInterrupt):
        person.with_store(lambda s, of: s.restate(of, dies))
    assert person.records() == before


def test_a_record_of_somebody_elses_making_is_left_as_it_is(person: Person) -> None:
    person.measured(a_run("a"), a_run("b", after_s=60))
    with closing(sqlite3.connect(person.store)) as connection, connection:
        connection.execute("UPDATE record SET document = '{\"x\": 1}' WHERE run_id = 'b'")
    document = person.document("--zone", "FR")
    assert (document["runs"], document["restated"]) == (1, 1)
    with closing(sqlite3.connect(person.store)) as connection:
        rows = connection.execute("SELECT document FROM record WHERE run_id = 'b'").fetchall()
    assert rows == [('{"x": 1}',)]


def test_what_a_newer_version_has_written_stays_through_recompute_and_undo(person: Person) -> None:
    person.measured(a_run("a"))

    def documents(connection: sqlite3.Connection) -> Any:
        ((document,),) = connection.execute("SELECT document FROM record").fetchall()
        return opened(document)

    with closing(sqlite3.connect(person.store)) as connection:
        newer = documents(connection)
        newer["of_a_newer_version"] = {"k": 1}
        newer["emissions"]["of_a_newer_version"] = 0.1
        newer["domains"][0]["of_a_newer_version"] = "x"
        with connection:
            text = (sealed(to_json(newer)),)
            connection.execute("UPDATE record SET document = ?", text)
        person.says("--zone", "FR")
        person.says("--pue", "1.5")
        restated_now = documents(connection)
        assert restated_now["of_a_newer_version"] == {"k": 1}
        assert restated_now["said"] == newer["emissions"]
        assert "of_a_newer_version" not in restated_now["emissions"]
        person.says("--undo")
        assert documents(connection) == newer


intensities = st.sampled_from([factor(zone) for zone in ("FR", "DE", "US-CA", "EM:NO")])
pues = st.floats(1, 3)


def basis(of: CarbonIntensity, pue: float) -> Basis:
    return of, pue, "the settings file", ()


@given(records(), st.lists(st.tuples(intensities, pues), max_size=4))
def test_however_often_a_run_is_restated_undo_gives_the_first_word(
    record: Record, steps: list[tuple[CarbonIntensity, float]]
) -> None:
    now = record
    for step in steps:
        now = restated(now, basis(*step), WHEN)
        assert restated(now, basis(*step), WHEN + timedelta(days=1)) == now
        assert now.measurement == record.measurement
    assert taken_back(now) == record


@given(records(), intensities, pues)
def test_restated_grams_are_energy_times_factor_times_pue(
    record: Record, of: CarbonIntensity, pue: float
) -> None:
    made = restated(record, basis(of, pue), WHEN).emissions
    measured, estimated = record.measurement.measured_j, record.measurement.estimated_j
    if measured is None and estimated is None:
        assert made == record.emissions
        return
    assert made is not None
    energy_j = (0 if measured is None else measured.value) + (
        0 if estimated is None else estimated.mid
    )
    assert made.carbon_g.mid == pytest.approx(energy_j / KWH * of.g_per_kwh * pue)


@settings(max_examples=10, deadline=None)
@given(st.lists(records(), min_size=1, max_size=6, unique_by=lambda r: r.run_id), intensities)
def test_the_store_gives_back_what_was_restated_and_what_was_taken_back(
    runs: list[Record], of: CarbonIntensity
) -> None:
    with TemporaryDirectory() as folder:
        store = Store(Path(folder) / "energy.sqlite")
        store.append(*runs)
        before = store.records("n")
        pairs = store.restate("n", lambda r: restated(r, basis(of, 1.0), WHEN))
        assert [old for old, _ in pairs] == before
        assert store.records("n") == [new for _, new in pairs]
        store.restate("n", taken_back)
        assert store.records("n") == before
        store.close()


def test_grams_that_are_no_number_come_back_as_unknown_also_those_of_the_time() -> None:
    from jupyter_energy.documents import record_from_document, record_to_document

    wrong = Emissions(Range(0, 1, float("inf")), PARIS, 1.0, 0.0)
    made = restated(a_run("a"), basis(PARIS, 1.0), WHEN)
    kept_back = record_from_document(record_to_document(replace(made, said=wrong)))
    assert kept_back.said is None
    assert kept_back.emissions == made.emissions

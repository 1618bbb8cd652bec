"""--assert-under on grams: what has no total is unknown, and said in its own words."""

from __future__ import annotations

from strategies import a_record, in_zone

from jupyter_energy.commands.limit import verdict
from jupyter_energy.model import Record
from jupyter_energy.schema import NotebookJson
from jupyter_energy.summary import summarise
from jupyter_energy.uncertainty import Uncertain

NOTEBOOK: NotebookJson = {"id": "n1", "path": "/a/b.ipynb", "name": "b.ipynb"}
KWH = 3.6e6


def a_run(kind: str, after_s: float = 0.0) -> Record:
    """1 kWh at 50 g/kWh."""
    emitted = in_zone("FR", 50.0, KWH, kind)
    energies = {"gpu": Uncertain(KWH)}
    return a_record(kind, cell_id=kind, energies=energies, after_s=after_s, emitted=emitted)


def test_average_and_marginal_grams_have_no_total_that_could_be_under_a_limit() -> None:
    runs = [a_run("average"), a_run("marginal", after_s=60)]
    passed, text = verdict("3kg", summarise(NOTEBOOK, runs, "1"))
    assert passed
    assert text == (
        "--assert-under 3kg: ≈ 50 g (45–55 g) CO2e (average) and ≈ 50 g (45–55 g) CO2e (marginal) "
        "do not add up, so it is unknown"
    )


def test_grams_of_one_kind_are_under_a_limit_or_over_it() -> None:
    summary = summarise(NOTEBOOK, [a_run("marginal")], "1")
    assert verdict("51g", summary)[0] is False
    assert verdict("49g", summary)[0] is True


def test_where_no_grams_are_known_that_is_what_is_said() -> None:
    run = a_record("a")
    passed, text = verdict("3g", summarise(NOTEBOOK, [run], "1"))
    assert (passed, "nothing was measured or estimated" in text) == (True, True)

"""The messages of both halves are the same: one set of golden files, one set of fields."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import units_examples
from hypothesis import given
from hypothesis import strategies as st
from live_examples import EXAMPLES, FRANCE, GOLDEN, device, message, totals

from jupyter_energy import live_message
from jupyter_energy.live_message import (
    COMM_ID,
    MOST_BYTES,
    PLAIN,
    PLAIN_DEVICE,
    PROTOCOL_VERSION,
    LiveJson,
    LiveTotalsJson,
    fitted,
)

PROTOCOL = (Path(__file__).parents[1] / "labextension/src/protocol.ts").read_text(encoding="utf-8")
PAIRS = {
    "ILive": live_message.LiveJson,
    "ITotals": live_message.LiveTotalsJson,
    "IDevice": live_message.DeviceJson,
    "IPlace": live_message.PlaceJson,
}


def fields_in_typescript(name: str) -> set[str]:
    found = re.search(rf"export interface {name} {{(.*?)\n}}", PROTOCOL, re.DOTALL)
    assert found, name
    return set(re.findall(r"^  (\w+)\??:", found[1], re.MULTILINE))


@pytest.mark.parametrize("name", PAIRS)
def test_both_halves_name_the_same_fields(name: str) -> None:
    assert fields_in_typescript(name) == set(PAIRS[name].__annotations__)


def test_both_halves_mean_the_same_channel_and_version() -> None:
    assert f"COMM_ID = '{COMM_ID}'" in PROTOCOL
    assert f"PROTOCOL_VERSION = {PROTOCOL_VERSION};" in PROTOCOL


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_golden_file_holds_the_example_as_it_is_sent(name: str) -> None:
    golden = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    assert golden == json.loads(json.dumps(fitted(EXAMPLES[name])))
    assert set(golden | PLAIN) == set(live_message.LiveJson.__annotations__)
    for one in golden["devices"]:
        assert set(one | PLAIN_DEVICE) == set(live_message.DeviceJson.__annotations__)
    for part in ("notebook", "session"):
        assert {*golden[part], "kind", "doubtful"} == set(
            live_message.LiveTotalsJson.__annotations__
        )


def test_there_is_no_golden_file_without_an_example() -> None:
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_message_is_short_and_keeps_every_device_of_a_usual_machine(name: str) -> None:
    sent, meant = fitted(EXAMPLES[name]), EXAMPLES[name]
    assert len(json.dumps(sent, ensure_ascii=False).encode()) <= MOST_BYTES
    labels = [device["label"] for device in meant["devices"]]
    assert [device["label"] for device in sent["devices"]] == labels
    for part in ("notebook", "session"):
        sent[part] = meant[part] | sent[part]
    assert {**meant, **sent, "devices": [], "host": ""} == {**meant, "devices": [], "host": ""}


def test_a_long_note_on_the_factor_costs_its_end_and_no_device() -> None:
    note = "Electricity Maps's value of 14:00 UTC, while there is no newer one: it does not answer"
    whole = EXAMPLES["running_measured"]
    live = {"source": "Electricity Maps (its terms)", "held": "live, since 14:00 UTC"}
    sums = {**whole["notebook"], "doubtful": True}
    sent = fitted(
        {**whole, "notebook": sums, "session": sums, "place": FRANCE | live | {"note": note}}
    )
    assert len(json.dumps(sent, ensure_ascii=False).encode()) <= MOST_BYTES
    assert len(sent["devices"]) == len(whole["devices"])
    assert sent["place"]["note"].startswith("Electricity Maps's value of")
    assert sent["place"]["note"].endswith("…")


@pytest.mark.parametrize("how", ["set", "guessed"])
@pytest.mark.parametrize("kind", ["average", "marginal"])
@pytest.mark.parametrize("doubtful", [True, False])
def test_totals_say_their_kind_and_doubt_where_the_place_now_has_another(
    how: str, kind: str, doubtful: bool
) -> None:
    sums = totals(1, 1.0, (9.0, 1.0), None, (1.0, 2.0, 3.0), kind=kind, doubtful=doubtful)
    sent = fitted(message(place=FRANCE | {"how": how}, session=sums))["session"]
    assert sent.get("kind", "average") == kind
    assert ("kind" in sent) == (kind == "marginal")
    assert sent.get("doubtful", how != "set") == doubtful
    nowhere = fitted(message(place=None, session=sums))["session"]
    assert (nowhere["kind"], nowhere["doubtful"]) == (kind, doubtful)


def running(path: str, **place: str) -> LiveJson:
    """As long as it gets on a usual machine while the store and the provider have troubles."""
    trouble = {"path": path, "note": "the store cannot be written: " + "n" * 80}
    sums = {**EXAMPLES["running_mixed"]["notebook"], "kind": "average, marginal"}
    oregon = {"name": "Oregon, grid EM:US-NW-PACW", "zone": "aws:us-west-2", **place}
    of = {"place": FRANCE | oregon, "notebook": sums | {"carbon_g": None}}
    return {**EXAMPLES["running_mixed"], **trouble, **of}  # type: ignore[typeddict-item]


def test_a_long_source_costs_names_and_notes_before_its_own_end_and_keeps_a_name() -> None:
    source = "NESO Carbon Intensity API (CC BY 4.0)"
    roomy = fitted({**EXAMPLES["idle"], "place": FRANCE | {"source": source * 3}})
    assert roomy["place"] is not None
    assert roomy["place"]["source"] == source * 3
    tight = fitted(running("work/fit.ipynb", source=source + " and more" * 12, note="n" * 120))
    assert tight["place"] is not None
    assert tight["place"]["source"].startswith(source)
    assert tight["note"] is not None
    assert tight["note"].startswith("the store cannot be written")


def test_a_path_is_sent_whole_before_all_devices_and_never_in_part() -> None:
    usual = running("folder/" * 12 + "fit.ipynb", source="Electricity Maps (ODbL 1.0)")
    assert fitted(usual)["path"] == usual["path"]
    endless = "folder/" * 150 + "fit.ipynb"
    alone, one_of_two = (fitted({**usual, "path": endless, "notebooks": n}) for n in (1, 2))
    # Null is of whoever listens, "" of no document.
    assert (alone["path"], one_of_two["path"]) == (None, "")
    assert alone["devices"]


CHARACTERS = st.sampled_from(["a", '"', "\\", "é", "\ufffd", "\U0001f600"])


def texts(most: int) -> st.SearchStrategy[str]:
    return st.builds(lambda c, n: c * n, CHARACTERS, st.integers(1, most))


def short(digits: int) -> st.SearchStrategy[float]:
    """Numbers as the kernel sends them, up to 3 MWh in J."""
    return st.floats(1e-9, 1e10).map(lambda x: float(f"{x:.{digits}g}"))


RANGES = st.tuples(short(3), short(3), short(3))


@st.composite
def sums(draw: st.DrawFn) -> LiveTotalsJson:
    carbon = draw(st.none() | RANGES)
    both = ["average, marginal"] if carbon is None else []  # they do not add
    kind = draw(st.sampled_from(["average", "marginal", *both]))
    measured = draw(st.tuples(short(5), short(5)))
    more = draw(RANGES), carbon, 0.123, kind
    doubtful = draw(st.booleans())
    return totals(999_999, draw(short(5)), measured, *more, doubtful=doubtful)


@st.composite
def long_messages(draw: st.DrawFn) -> LiveJson:
    place = {
        "name": draw(texts(28)),
        "zone": draw(texts(28)),
        "source": draw(texts(160)),
        "how": "assumed",
        "held": "forecast, since 14:00 UTC",
        "note": draw(texts(120)),
    }
    return message(
        state="running",
        measuring=draw(st.booleans()),
        path=draw(st.none() | texts(4000)),
        notebooks=draw(st.sampled_from([1, 18])),
        host=draw(texts(40)),
        running_s=draw(short(5)),
        over_s=draw(short(5)),
        measured_w=draw(short(5)),
        estimated_w=draw(RANGES),
        gpu_asleep=draw(st.booleans()),
        devices=[device(f"GPU {n}", "n" * 28, 300.0) for n in range(draw(st.integers(0, 9)))],
        notebook=draw(sums()),
        session=draw(sums()),
        place=draw(st.sampled_from([None, FRANCE | place])),
        note=draw(st.none() | texts(120)),
    )


@given(long_messages())
def test_whatever_a_message_says_it_is_short_and_tells_no_part_of_a_path(said: LiveJson) -> None:
    sent = fitted(said)
    text = json.dumps(sent, ensure_ascii=False, allow_nan=False)
    assert len(text.encode()) <= MOST_BYTES
    assert json.loads(text)["state"] == "running"
    assert sent["path"] in (said["path"], "" if said.get("notebooks", 1) > 1 else None)
    assert (sent["place"] is None) == (said["place"] is None)
    if said["place"] is not None and sent["place"] is not None:
        # That there is a note makes its grams doubtful.
        assert ("note" in sent["place"]) == ("note" in said["place"])
        assert bool(sent["place"]["note"]) == bool(said["place"]["note"])
    assert bool(sent.get("note")) == bool(said["note"])


def test_of_too_many_devices_the_last_are_left_out() -> None:
    crowd = [device(f"GPU {n}", "NVIDIA H100 80GB HBM3", 300.0) for n in range(40)]
    sent = fitted(message(devices=crowd))
    assert len(json.dumps(sent, ensure_ascii=False).encode()) <= MOST_BYTES
    assert sent["devices"]
    assert [d["label"] for d in sent["devices"]] == [d["label"] for d in crowd][
        : len(sent["devices"])
    ]


def test_the_golden_numbers_are_those_that_the_kernel_writes() -> None:
    golden = json.loads(units_examples.GOLDEN.read_text(encoding="utf-8"))
    assert golden == units_examples.examples()

"""The messages of both halves are the same: one set of golden files, one set of fields."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import units_examples
from live_examples import EXAMPLES, FRANCE, GOLDEN, device, message, totals

from jupyter_energy import live_message
from jupyter_energy.live_message import (
    COMM_ID,
    MOST_BYTES,
    PLAIN,
    PLAIN_DEVICE,
    PROTOCOL_VERSION,
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

"""Bytes as hostile input: raw, or as changes to a document of ours, so that a fuzzer that knows
only bytes gets past the first check of a parser."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import timedelta
from functools import cache
from typing import Any

import display_examples as examples
from standins.carbon_services import NOW, documents
from strategies import a_record, in_zone

from jupyter_energy import foreign
from jupyter_energy.attribution import Baseline
from jupyter_energy.calibration import Calibration, IdlePower
from jupyter_energy.carbon.base import Interval, Signal
from jupyter_energy.carbon.known import Known, Trouble, to_text
from jupyter_energy.documents import record_to_document
from jupyter_energy.model import Domain, Record, Span
from jupyter_energy.power.document import Curve, PowerTrace
from jupyter_energy.repeats import Repeats
from jupyter_energy.restating import restated
from jupyter_energy.schema import MIME_TYPE
from jupyter_energy.shift import Shift, Stretch
from jupyter_energy.uncertainty import Range, Uncertain

MARKUP = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>&lt;b&gt;<!--]]>"
STEERING = "\x1b]0;owned\x07\x1b[2J\x9b31m\x08\r\n\t\x00\x7f\u202egnp\u2066\u200b\ufeff\u2028"
HALF = "\udfff\ud800"
FORMULA = "$\\frac{1}{0}$ %s {0} %1 =cmd|' /C calc'!A0"
LONG = "ﷺ̖̀́" * 2000
PATHS = ("../../etc/passwd", "/dev/zero", "C:\\a.ipynb", "a\0b.ipynb", "~nobody/a.ipynb", "RTC:a")
NAMES = ("__proto__", "constructor", "__class__", "'; DROP TABLE record; --", "cell:[*]?")
MOMENTS = (
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59.999999-23:59",
    "2025-03-01T09:30:00Z",
    "2025-03-01",
    "２０２５-03-01T09:30:00Z",
)
NUMBERS = (
    *(0, -1, 1, 2**53, 2**63, -(2**64), 10**400, 1e30, -1e30, 1e31, 1e308, 5e-324, 1e-320),
    *(float("nan"), float("inf"), float("-inf"), True, False),
)
DIGITS = ("０", "²", "1e400", "1_000", "9" * 5000, "-0", "0x10", "NaN", " 7 ", "+3", "٣")


def _nested(depth: int) -> Any:
    found: Any = []
    for _ in range(depth):
        found = {"parts": [found]}
    return found


HOSTILE: tuple[Any, ...] = (
    *(None, "", [], {}, [[]], [None] * 2000, {"low": 3, "mid": 2, "high": 1}),
    *(MARKUP, STEERING, HALF, FORMULA, LONG, *PATHS, *NAMES, *MOMENTS, *NUMBERS, *DIGITS),
    *({"value": 1e7, "u95_repeat": 0, "u95": 1e-320}, _nested(60)),
)


def text_of(data: bytes) -> str:
    """Bytes as text, whatever they are; half of a surrogate pair among it where they say so."""
    for errors in ("surrogatepass", "surrogateescape"):
        try:
            return data.decode("utf-8", errors)
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1")


def document_of(data: bytes, kind: str) -> Any:
    """The JSON that some bytes stand for. Raises ValueError where they are no JSON.

    Behind a NUL, each three bytes are one change to our own document of that kind: which of its
    values (two bytes), and which of HOSTILE takes its place. Else they are JSON as text.
    """
    if data[:1] != b"\0":
        return foreign.loads(data)
    document = copy.deepcopy(example(kind))
    for at in range(1, len(data) - 2, 3):
        number, which = int.from_bytes(data[at : at + 2], "big"), data[at + 2]
        places = list(_places(document))
        if not places:
            break
        inside, key = places[number % len(places)]
        inside[key] = copy.deepcopy(HOSTILE[which % len(HOSTILE)])
    return document


def bytes_of(data: bytes, kind: str) -> bytes:
    """The same as the bytes of a file; raw bytes are given as they are."""
    if data[:1] != b"\0":
        return data
    text = json.dumps(document_of(data, kind), ensure_ascii=data[-1] % 2 == 0)
    return text.encode("utf-8", "surrogatepass")


def _places(inside: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a document that can hold another value."""
    keys = list(inside) if isinstance(inside, dict) else range(len(inside))
    for key in keys:
        yield inside, key
        if isinstance(inside[key], dict | list) and len(inside[key]) < 100:
            yield from _places(inside[key])


@cache
def example(kind: str) -> Any:
    """One of our own documents, with as many of its fields filled as there are."""
    cell = {**examples.MIXED, "carbon_g": examples.RUNS["carbon_g"], "warnings": ["a note"]}
    cell["repeats"] = examples.REPEATED["repeats"]
    cell["shift"] = examples.SHIFTED["shift"]
    run = {**record_to_document(_record()), "name": "train"}
    made = {
        "cell": cell,
        "notebook": {
            "cells": [
                {"id": "0123abcd", "outputs": [{"data": {MIME_TYPE: cell}}], "source": ""},
                {"id": "4567cdef", "outputs": [{"data": {MIME_TYPE: dict(cell, name="b")}}]},
            ],
            "metadata": {},
            "nbformat": 4,
            "nbformat_minor": 5,
        },
        "record": run,
        "idle": {
            **{k: run[k] for k in ("notebook_id", "session_id", "host", "start", "duration_s")},
            "idle_id": "i1",
            "domains": run["domains"],
        },
        "power": _trace(),
        "live": documents(),
        "known": json.loads(to_text(_KNOWN)),
        "hello": {"op": "hello", "v": 1, "path": "a/b.ipynb", "was": None, "cells": ["0123abcd"]},
        "settings": {"Energy": {"zone": "FR", "pue": 1.2, "interval_s": 1, "store": "~/s.sqlite"}},
        "baselines": {
            "idle": {"here": [asdict(_IDLE)]},
            "calibrations": {"id": asdict(Calibration(5.0, 50.0, 0.8, 1.3, "plug", "2026"))},
        },
    }
    return json.loads(json.dumps(made[kind]))


_SIGNAL = Signal(
    *("fr", "France", "average", "production", "lifecycle", 900.0, "Us", "", NOW),
    (Interval(NOW, NOW + timedelta(minutes=15), 43.0, "measured", NOW),),
)
_KNOWN = Known(
    _SIGNAL, NOW, NOW, Trouble("It fails", "failed", NOW, 2, NOW + timedelta(hours=1), NOW)
)
_IDLE = IdlePower("gpu:0", "NVIDIA T4", "GPU-1", "nvml-counter", 9.5, 0.1, 15.0, "2026")


def _record() -> Record:
    """A run of which everything is known."""
    energies = {"gpu": Uncertain(412.0, 3.0, 10.0), "package": Range(6.0, 12.0, 24.0), "dram": None}
    run = a_record(energies=energies, name="train", emitted=in_zone("FR", 44.3, 412.0))
    idle = Baseline(18.0, 0.7, run.start, 60.0)
    one = Repeats(20, 5, 4, 0.5, 0.6, Uncertain(2.0, 0.1, 0.1), 2.0, 2.5, Range(1.0, 2.0, 3.0))
    hours = [
        Stretch(run.start, run.start, Range(1.0, 2.0, 3.0)),
        Stretch(run.start, run.start, None),
    ]
    moved = Shift(
        *(run.start, 0.18, "forecast", "Energy-Charts", (hours[0],), (hours[1],)),
        *(Range(1.0, 2.0, 3.0), Range(2.0, 3.0, 4.0), 0.15, "average", "a note"),
        *((hours[0],), Range(1.0, 2.0, 3.0)),
    )
    run = replace(
        run, warnings=("a note",), repeats=one, baseline=idle, kernel_cpu_s=1.0, machine_cpu_s=4.0
    )
    run = replace(run, shift=moved)
    assert run.emissions is not None
    quarter = timedelta(minutes=15)
    spans = tuple(
        Span(run.start + n * quarter, run.start + (n + 1) * quarter, 40.0 + n, "measured", 0.5)
        for n in range(2)
    )
    live = replace(run, emissions=replace(run.emissions, spans=spans, pue_source="the default"))
    place = replace(run.emissions.intensity, zone="DE", g_per_kwh=350.0)
    return restated(live, (place, 1.2, "--pue", spans), run.start)


def _trace() -> dict[str, object]:
    """The power of two devices over four seconds."""
    gpu = Domain("gpu", 0, "NVIDIA H100", "GPU-0a")
    times, watts = (1.0, 2.0, 2.5, 4.0), (100.0, 700.0, None, 150.0)
    curves = (
        Curve(gpu, "measured", "nvml-power", None, times, watts, "GPU asleep"),
        Curve(
            Domain("package", 0, "CPU"), "estimated", "estimate:cpu-time", (0.5, 2), times, watts
        ),
    )
    return PowerTrace(4.0, 0.02, 0.5, 1.5, 700.0, curves).to_document()

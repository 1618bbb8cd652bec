"""A record as a document that JSON can hold, and back: what the store keeps of a run.

Nothing is lost on the way: figures keep every bit, and what is unknown stays unknown.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Hashable, Mapping
from dataclasses import fields, replace
from datetime import UTC, datetime
from functools import cache, lru_cache
from types import UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from . import foreign
from .attribution import Baseline
from .gpu_use import GpuUse
from .model import (
    CarbonIntensity,
    Domain,
    DomainEnergy,
    Emissions,
    Idle,
    Measurement,
    Record,
    Span,
)
from .repeats import Repeats
from .shift import Awaited, Segment, Shift, Stretch
from .uncertainty import Range, Uncertain

NOT_A_NUMBER = "the sensor gave no finite number"
T = TypeVar("T")
# A field: its name, what it is where a document lacks it, the types whose every value it may have,
# between what any float will do, and what reads another value; None of one that it cannot have.
Reader = tuple[str, object, frozenset[type], float, float, Callable[[object], object]]


def to_json(document: Mapping[str, object], indent: int | None = None) -> str:
    """A document as JSON text, plain ASCII. Raises ValueError on a NaN or an infinity."""
    return json.dumps(document, allow_nan=False, indent=indent)


def utc_text(moment: datetime) -> str:
    """A moment as RFC 3339 in UTC to the microsecond: "2025-03-01T09:30:00.000000Z"."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def record_to_document(record: Record) -> dict[str, object]:
    """A record as a dictionary that JSON can hold, from which it comes back as it was.

    A figure that is no finite number comes back as unknown, with the reason.
    """
    kept = sound(record)
    document = _fields_of(kept)
    del document["measurement"]
    for name in ("emissions", "said"):
        emissions = getattr(kept, name)
        document[name] = None if emissions is None else _emissions_fields(emissions)
    if kept.repeats is not None:
        document["repeats"] = {
            name: _fields_of(value) if isinstance(value, Uncertain | Range) else value
            for name, value in _fields_of(kept.repeats).items()
        }
    if kept.baseline is not None:
        taken = utc_text(kept.baseline.taken)
        document["baseline"] = {**_fields_of(kept.baseline), "taken": taken}
    for name in ("shift", "shift_said"):
        shift = getattr(kept, name)
        document[name] = None if shift is None else _shift_fields(shift)
    return document | _measurement_fields(kept.measurement)


def idle_to_document(idle: Idle) -> dict[str, object]:
    """What was drawn between two cells as a dictionary, from which it comes back as it was."""
    document = _fields_of(idle)
    del document["measurement"]
    domains = _sound_domains(idle.measurement)
    return document | _measurement_fields(replace(idle.measurement, domains=domains))


def idle_from_document(document: Mapping[str, Any]) -> Idle:
    """The noun that `idle_to_document` wrote.

    Raises KeyError, TypeError or ValueError where the document is none of ours.
    """
    return _made(Idle, {**document, "measurement": _measurement(document)})


def _measurement_fields(measurement: Measurement) -> dict[str, Any]:
    return {
        **_fields_of(measurement),
        "start": utc_text(measurement.start),
        "domains": [
            {
                **_fields_of(d),
                "domain": _fields_of(d.domain),
                "energy": None if d.energy is None else _fields_of(d.energy),
                "above_idle": None if d.above_idle is None else _fields_of(d.above_idle),
                "use": None if d.use is None else _fields_of(d.use),
            }
            for d in measurement.domains
        ],
    }


def _fields_of(item: Any) -> dict[str, Any]:
    """The fields of one of our dataclasses, as they are: a fifth of the time of `asdict`, which
    copies each value, and a cell's reply waits for this."""
    return {name: getattr(item, name) for name in item.__slots__ if name[0] != "_"}


def record_from_document(document: Mapping[str, Any]) -> Record:
    """The record that `record_to_document` wrote; fields of a newer version are passed over.

    Raises KeyError, TypeError or ValueError where the document is none of ours.
    """
    emissions = _emissions(document["emissions"])  # first: what is no object has no items
    baseline = None
    if (found := document.get("baseline")) is not None:
        baseline = _made(Baseline, {**found, "taken": _moment(found["taken"])})
    rest = {
        "emissions": emissions,
        "said": _emissions(document.get("said")),
        "warnings": _texts(document.get("warnings", [])),
        "repeats": _repeats(document.get("repeats")),
        "baseline": baseline,
        "shift": _shift(document.get("shift")),
        "shift_said": _shift(document.get("shift_said")),
        "measurement": _measurement(document),
    }
    return _made(Record, {**document, **rest})


def _emissions_fields(emissions: Emissions) -> dict[str, Any]:
    return {
        **_fields_of(emissions),
        "carbon_g": _fields_of(emissions.carbon_g),
        "intensity": _fields_of(emissions.intensity),
        "restated": None if emissions.restated is None else utc_text(emissions.restated),
        "spans": [
            {**_fields_of(s), "start": utc_text(s.start), "end": utc_text(s.end)}
            for s in emissions.spans
        ],
    }


def _emissions(document: Mapping[str, Any] | None) -> Emissions | None:
    if document is None:
        return None
    factor = _members(document["intensity"])  # first: what is no object has no items
    restated = document.get("restated")
    made = {
        "intensity": _made_once(CarbonIntensity, factor),
        "restated": None if restated is None else _moment(restated),
        "carbon_g": _made(Range, document["carbon_g"]),
        "spans": tuple(map(_span, foreign.items(document.get("spans") or []))),
    }
    return _made(Emissions, {**document, **made})


def _span(document: Mapping[str, Any]) -> Span:
    moments = {name: _moment(document[name]) for name in ("start", "end")}
    return _made(Span, {**document, **moments})


_SHIFT_GRAMS = ("carbon_g", "at_once_g", "waits_g")
_SHIFT_STRETCHES = ("runs", "pauses", "waits")


def _stretch_fields(one: Stretch) -> dict[str, Any]:
    energy_j = None if one.energy_j is None else _fields_of(one.energy_j)
    return {"start": utc_text(one.start), "end": utc_text(one.end), "energy_j": energy_j}


def _shift_fields(shift: Shift) -> dict[str, Any]:
    def segment(one: Segment) -> dict[str, Any]:
        return {**_fields_of(one), "stretch": _stretch_fields(one.stretch)}

    of, awaited = shift.awaited, None
    if of is not None:
        awaited = {**_fields_of(of), "segments": [*map(segment, of.segments)]}
    grams = {name: getattr(shift, name) for name in _SHIFT_GRAMS}
    return {
        **_fields_of(shift),
        **{name: None if of is None else _fields_of(of) for name, of in grams.items()},
        **{name: [*map(_stretch_fields, getattr(shift, name))] for name in _SHIFT_STRETCHES},
        "begun": utc_text(shift.begun),
        "awaited": awaited,
    }


def _range(held: object) -> Range | None:
    return None if held is None else _made(Range, cast(Mapping[str, Any], held))


def _stretch(held: Mapping[str, Any]) -> Stretch:
    return Stretch(_moment(held["start"]), _moment(held["end"]), _range(held["energy_j"]))


def _awaited(document: Mapping[str, Any] | None) -> Awaited | None:
    if document is None:
        return None

    def segment(held: Mapping[str, Any]) -> Segment:
        return _made(Segment, {**held, "stretch": _stretch(held["stretch"])})

    segments = tuple(map(segment, foreign.items(document["segments"])))
    return _made(Awaited, {**document, "segments": segments}) if segments else None


def _shift(document: Mapping[str, Any] | None) -> Shift | None:
    if document is None:
        return None
    document = {"waits": [], "waits_g": None, **document}  # of before waits were told apart
    made = {
        **{name: _range(document[name]) for name in _SHIFT_GRAMS},
        **{n: tuple(map(_stretch, foreign.items(document[n]))) for n in _SHIFT_STRETCHES},
        "begun": _moment(document["begun"]),
        "awaited": _awaited(document.get("awaited")),
    }
    return _made(Shift, {**document, **made})


def _measurement(document: Mapping[str, Any]) -> Measurement:
    domains = tuple(map(_domain_energy, foreign.items(document["domains"])))
    start = _moment(document["start"])
    return _made(Measurement, {**document, "start": start, "domains": domains})


def _repeats(document: Mapping[str, Any] | None) -> Repeats | None:
    if document is None:
        return None
    figures = {name: _energy(document[name]) for name in ("measured_j", "estimated_j")}
    return _made(Repeats, {**document, **figures})


def _domain_energy(document: Mapping[str, Any]) -> DomainEnergy:
    domain = _made_once(Domain, _members(document["domain"]))
    energy = _energy(document["energy"])
    above = document.get("above_idle")
    above_idle = None if above is None else _made(Uncertain, above)
    used = document.get("use")
    use = None if used is None else _made(GpuUse, used)
    figures = {"domain": domain, "energy": energy, "above_idle": above_idle, "use": use}
    return _made(DomainEnergy, {**document, **figures})


def _energy(held: Mapping[str, Any] | None) -> Uncertain | Range | None:
    if held is None:
        return None
    return _made(Uncertain, held) if "value" in held else _made(Range, held)


def _moment(found: object) -> datetime:
    moment = foreign.moment(found)
    if moment is None:
        raise ValueError(f"{found!r:.60} is no moment")
    return moment


def _texts(found: object) -> tuple[str, ...]:
    texts = foreign.items(found)
    if not texts:  # as of nearly all
        return ()
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("a warning is a text")
    return tuple(texts)


def _made(kind: type[T], values: Mapping[str, Any]) -> T:
    """One of our dataclasses from the values that it has a field for, each of that field's type:
    a store may be somebody else's work, and whatever shows a record relies on it."""
    if not isinstance(values, dict):
        raise TypeError(f"{values!r:.60} is no object")
    made: list[Any] = []
    for name, default, types, low, high, read in _readers(cast(Hashable, kind)):
        value = values.get(name, default)
        of = type(value)
        # Most are floats, and a call for each would take a third of the time.
        if not (of is float and low <= value <= high) and of not in types:
            value = read(value)
            if value is None:
                raise ValueError(f"{name} is {values.get(name)!r:.60}")
        made.append(value)
    return kind(*made)


def _members(found: object) -> tuple[tuple[str, Any], ...]:
    """What a JSON object holds. Raises TypeError for what is none."""
    if not isinstance(found, dict):
        raise TypeError(f"{found!r:.60} is no object")
    return tuple(found.items())


@lru_cache(256)
def _made_once(kind: type[T], values: tuple[tuple[str, Any], ...]) -> T:
    """The same of what thousands of records have alike: a machine's devices, a place's factor."""
    return _made(kind, dict(values))


@cache
def _readers(kind: type) -> tuple[Reader, ...]:
    """How each field is read."""
    found = []
    hints = get_type_hints(kind)
    for field in fields(cast(Any, kind)):
        if not field.init:
            continue
        name, hint = field.name, hints[field.name]
        options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
        read: Callable[[object], object] = _refuse
        low, high = 1.0, 0.0  # no float at all
        if float in options:
            is_time = name.endswith(("_s", "seconds"))
            low, high = (0.0, foreign.LONGEST_S) if is_time else (-foreign.LARGEST, foreign.LARGEST)
            read = foreign.seconds if is_time else foreign.number
        elif int in options:
            read = foreign.whole
        elif get_origin(options[0]) is Literal:
            read = {word: word for word in get_args(options[0])}.get
        # tuple, of tuple[str, ...]; of numbers and words not every one will do
        types = frozenset(get_origin(option) or option for option in options)
        found.append((name, field.default, types - {float, int, Literal}, low, high, read))
    return tuple(found)


def _refuse(_: object) -> None:
    """No other value will do."""


def sound(record: Record) -> Record:
    """The record with every figure that is not finite made unknown: JSON has no NaN."""
    if _all_finite(record):
        return record  # as nearly all are
    domains = _sound_domains(record.measurement)
    emissions = record.emissions if _finite_grams(record.emissions) else None
    said = record.said if _finite_grams(record.said) else None
    repeats = record.repeats
    if repeats is not None and not _finite_run(repeats):
        repeats = None
    measurement = replace(record.measurement, domains=domains)
    shift, shift_said = (
        one if one is not None and one.is_finite else None
        for one in (record.shift, record.shift_said)
    )
    made = replace(record, measurement=measurement, emissions=emissions, said=said, shift=shift)
    return replace(made, repeats=repeats, shift_said=shift_said)


def _all_finite(record: Record) -> bool:
    repeats = record.repeats
    if not (_finite_grams(record.emissions) and _finite_grams(record.said)):
        return False
    if repeats is not None and not _finite_run(repeats):
        return False
    if any(one is not None and not one.is_finite for one in (record.shift, record.shift_said)):
        return False
    return all(_finite(d.energy) and _finite(d.above_idle) for d in record.domains)


def _finite_grams(emissions: Emissions | None) -> bool:
    if emissions is None:
        return True
    figures = [emissions.pue, emissions.estimated_share, emissions.intensity.g_per_kwh]
    figures += [number for s in emissions.spans for number in (s.g_per_kwh, s.energy_share)]
    return _finite(emissions.carbon_g) and all(map(math.isfinite, figures))


def _finite_run(repeats: Repeats) -> bool:
    numbers = (repeats.run_s, repeats.first_run_s, repeats.median_j, repeats.first_j)
    return (
        all(number is None or math.isfinite(number) for number in numbers)
        and _finite(repeats.measured_j)
        and _finite(repeats.estimated_j)
    )


def _sound_domains(measurement: Measurement) -> tuple[DomainEnergy, ...]:
    return tuple(map(_sound_domain, measurement.domains))


def _sound_domain(found: DomainEnergy) -> DomainEnergy:
    if not _finite(found.energy):
        nothing = replace(found, energy=None, provenance="none", reason=NOT_A_NUMBER)
        return replace(nothing, above_idle=None)
    return found if _finite(found.above_idle) else replace(found, above_idle=None)


def _finite(figure: Uncertain | Range | None) -> bool:
    if figure is None:
        return True
    if isinstance(figure, Range):
        return math.isfinite(figure.low) and math.isfinite(figure.high)
    of_errors = math.isfinite(figure.u_random) and math.isfinite(figure.u_systematic)
    return of_errors and math.isfinite(figure.value)

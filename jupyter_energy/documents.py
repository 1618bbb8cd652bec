"""A record as a document that JSON can hold, and back: what the store keeps of a run.

Nothing is lost on the way: figures keep every bit, and what is unknown stays unknown.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

from .attribution import Baseline
from .model import (
    CarbonIntensity,
    Domain,
    DomainEnergy,
    Emissions,
    Idle,
    Measurement,
    Record,
    Repeats,
)
from .uncertainty import Range, Uncertain

NOT_A_NUMBER = "the sensor gave no finite number"
T = TypeVar("T")


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
    if kept.emissions is not None:
        document["emissions"] = {
            **_fields_of(kept.emissions),
            "carbon_g": _fields_of(kept.emissions.carbon_g),
            "intensity": _fields_of(kept.emissions.intensity),
        }
    if kept.repeats is not None:
        document["repeats"] = {
            name: _fields_of(value) if isinstance(value, Uncertain | Range) else value
            for name, value in _fields_of(kept.repeats).items()
        }
    if kept.baseline is not None:
        taken = utc_text(kept.baseline.taken)
        document["baseline"] = {**_fields_of(kept.baseline), "taken": taken}
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
            }
            for d in measurement.domains
        ],
    }


def _fields_of(item: Any) -> dict[str, Any]:
    """The fields of one of our dataclasses, as they are: a fifth of the time of `asdict`, which
    copies each value, and a cell's reply waits for this."""
    return {name: getattr(item, name) for name in item.__slots__}


def record_from_document(document: Mapping[str, Any]) -> Record:
    """The record that `record_to_document` wrote; fields of a newer version are passed over.

    Raises KeyError, TypeError or ValueError where the document is none of ours.
    """
    held = document["emissions"]
    emissions = None
    if held is not None:
        intensity = _made(CarbonIntensity, held["intensity"])
        carbon_g = _made(Range, held["carbon_g"])
        emissions = _made(Emissions, {**held, "intensity": intensity, "carbon_g": carbon_g})
    baseline = None
    if (found := document.get("baseline")) is not None:
        taken = datetime.fromisoformat(found["taken"])
        baseline = _made(Baseline, {**found, "taken": taken})
    rest = {
        "emissions": emissions,
        "warnings": tuple(document.get("warnings", ())),
        "repeats": _repeats(document.get("repeats")),
        "baseline": baseline,
        "measurement": _measurement(document),
    }
    return _made(Record, {**document, **rest})


def _measurement(document: Mapping[str, Any]) -> Measurement:
    return Measurement(
        datetime.fromisoformat(document["start"]),
        document["duration_s"],
        tuple(_domain_energy(d) for d in document["domains"]),
    )


def _repeats(document: Mapping[str, Any] | None) -> Repeats | None:
    if document is None:
        return None
    figures = {name: _energy(document[name]) for name in ("measured_j", "estimated_j")}
    return _made(Repeats, {**document, **figures})


def _domain_energy(document: Mapping[str, Any]) -> DomainEnergy:
    domain, energy = _made(Domain, document["domain"]), _energy(document["energy"])
    above = document.get("above_idle")
    above_idle = None if above is None else _made(Uncertain, above)
    whole = {**document, "domain": domain, "energy": energy, "above_idle": above_idle}
    return _made(DomainEnergy, whole)


def _energy(held: Mapping[str, Any] | None) -> Uncertain | Range | None:
    if held is None:
        return None
    return _made(Uncertain, held) if "value" in held else _made(Range, held)


def _made(kind: type[T], values: Mapping[str, Any]) -> T:
    """One of our dataclasses from the values that it has a field for."""
    names = cast(Any, kind).__slots__  # a tenth of the time of `fields`; a summary reads thousands
    return kind(**{name: values[name] for name in names if name in values})


def sound(record: Record) -> Record:
    """The record with every figure that is not finite made unknown: JSON has no NaN."""
    domains = _sound_domains(record.measurement)
    emissions = record.emissions
    if emissions is not None and not _finite(emissions.carbon_g):
        emissions = None
    repeats = record.repeats
    if repeats is not None and not _finite_run(repeats):
        repeats = None
    if (domains, emissions, repeats) == (record.domains, record.emissions, record.repeats):
        return record
    measurement = replace(record.measurement, domains=domains)
    return replace(record, measurement=measurement, emissions=emissions, repeats=repeats)


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
    if isinstance(figure, Uncertain):
        return all(map(math.isfinite, (figure.value, figure.u_random, figure.u_systematic)))
    return figure is None or (math.isfinite(figure.low) and math.isfinite(figure.high))

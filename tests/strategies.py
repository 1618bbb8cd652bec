"""Hypothesis strategies for our nouns: any value that they can really have."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from jupyter_energy.attribution import Baseline
from jupyter_energy.gpu_use import GpuUse
from jupyter_energy.model import (
    CarbonIntensity,
    Domain,
    DomainEnergy,
    Emissions,
    Measurement,
    Record,
    Span,
)
from jupyter_energy.repeats import Repeats
from jupyter_energy.shift import Shift, Stretch
from jupyter_energy.uncertainty import Range, Uncertain

# From less than any counter's step to a year of a large cluster.
joules = st.just(0.0) | st.floats(1e-9, 1e13)
shares = st.floats(0, 1)
# The monotonic clock counts nanoseconds.
durations_s = st.just(0.0) | st.floats(1e-9, 1e6)
moments = st.datetimes(
    datetime(2020, 1, 1),  # noqa: DTZ001 - Hypothesis adds the zone itself
    datetime(2100, 1, 1),  # noqa: DTZ001 - the same
    timezones=st.just(UTC),
    allow_imaginary=False,
)
# Any text, lone surrogates too: names are typed by users.
texts = st.text(max_size=12)
cell_ids = st.text("0123456789abcdef", min_size=8, max_size=8)


def uncertain(values: st.SearchStrategy[float] = joules) -> st.SearchStrategy[Uncertain]:
    """Measured values with uncertainties of up to the value's own size and more."""
    return st.builds(Uncertain, values, st.floats(0, 1e6), st.floats(0, 1e6))


def ranges(values: st.SearchStrategy[float] = joules) -> st.SearchStrategy[Range]:
    """Estimates."""
    return st.lists(values, min_size=3, max_size=3).map(lambda three: Range(*sorted(three)))


uses = st.builds(
    GpuUse,
    shares,
    durations_s,
    st.none() | st.integers(0, 2**40),
    st.none() | st.integers(1, 2**40),
)


@st.composite
def domain_energies(draw: st.DrawFn, kinds: tuple[str, ...]) -> DomainEnergy:
    """One device's figure: measured, estimated or absent with the reason."""
    domain = Domain(
        draw(st.sampled_from(kinds)),
        draw(st.integers(0, 2)),
        draw(st.sampled_from(["GPU", "CPU package", "DRAM"])),
        draw(st.sampled_from([None, "GPU-1", "GPU-2"])),
        draw(st.sampled_from(["device", "board", "process"])),
    )
    energy = draw(st.none() | uncertain() | ranges())
    if energy is None:
        return DomainEnergy(domain, None, "none", "rapl", 0.0, "permission")
    if isinstance(energy, Range):
        return DomainEnergy(domain, energy, "estimated", "estimate", draw(shares), "no sensor")
    provenance = draw(st.sampled_from(["measured", "vendor model", "integrated"]))
    above = draw(st.none() | uncertain(st.floats(-1e6, 1e13)))
    figures = domain, energy, provenance, "rapl", draw(shares), None
    return DomainEnergy(*figures, above_idle=above, use=draw(st.none() | uses))


def _no_device_twice(domains: list[DomainEnergy]) -> tuple[DomainEnergy, ...]:
    return tuple({(d.domain.key, d.domain.uuid, d.domain.scope): d for d in domains}.values())


def measurements(
    kinds: tuple[str, ...] = ("gpu", "package", "core", "dram", "psys"),
) -> st.SearchStrategy[Measurement]:
    """The energy of a window by domain, no device twice."""
    domains = st.lists(domain_energies(kinds), max_size=5).map(_no_device_twice)
    return st.builds(Measurement, moments, durations_s, domains)


intensities = st.builds(
    CarbonIntensity,
    g_per_kwh=st.floats(1, 2000),
    zone=st.sampled_from(["FR", "DE", "WORLD"]),
    place=st.sampled_from(["France", "Germany", "the world"]),
    kind=st.sampled_from(["average", "marginal"]),
    boundary=st.sampled_from(["consumption", "production"]),
    scope=st.sampled_from(["lifecycle", "direct"]),
    resolution=st.just("year"),
    quality=st.sampled_from(["measured", "estimated", "assumed", "forecast"]),
    source=st.sampled_from(["Ember", "a grid operator"]),
    year=st.integers(2015, 2030),
    how=texts,
    assumed=st.booleans(),
    note=st.none() | texts,
)
baselines = st.builds(
    Baseline,
    watts=st.floats(0, 1e4),
    u_w=st.floats(0, 1e3),
    taken=moments,
    seconds=st.floats(5, 1e5),
    how=st.sampled_from(["between cells", "%energy baseline"]),
)
spans = st.builds(
    Span,
    start=moments,
    end=moments,
    g_per_kwh=st.floats(0, 2000),
    quality=st.sampled_from(["measured", "estimated", "assumed", "forecast"]),
    energy_share=shares,
)
emissions = st.builds(
    Emissions,
    ranges(),
    intensities,
    st.floats(1, 3),
    shares,
    pue_source=st.sampled_from(["", "the settings file"]),
    spans=st.lists(spans, max_size=3).map(tuple),
)


durations_of_a_run_s = st.floats(1e-9, 1e4)
repeats = st.builds(
    Repeats,
    runs=st.integers(1, 10**6),
    blocks=st.integers(1, 50),
    first_runs=st.integers(1, 10**6),
    run_s=durations_of_a_run_s,
    first_run_s=durations_of_a_run_s,
    measured_j=st.none() | uncertain(),
    median_j=st.none() | joules,
    first_j=st.none() | joules,
    estimated_j=st.none() | ranges(),
    auto=st.booleans(),
)


stretches = st.builds(Stretch, start=moments, end=moments, energy_j=st.none() | ranges())
savings = st.none() | st.floats(-10, 1)
shifts = st.builds(
    Shift,
    begun=moments,
    planned_fraction=savings,
    basis=st.sampled_from([None, "forecast", "trace", "typical day"]),
    source=st.none() | texts,
    runs=st.lists(stretches, max_size=3).map(tuple),
    pauses=st.lists(stretches, max_size=3).map(tuple),
    carbon_g=st.none() | ranges(),
    at_once_g=st.none() | ranges(),
    realised_fraction=savings,
    kind=st.sampled_from([None, "average", "marginal"]),
    note=st.none() | texts,
    waits=st.lists(stretches, max_size=2).map(tuple),
    waits_g=st.none() | ranges(),
    on_anyway=st.booleans(),
)


def records(
    measurement: st.SearchStrategy[Measurement] | None = None,
    within: st.SearchStrategy[str | None] | None = None,
    emitted: st.SearchStrategy[Emissions | None] | None = None,
) -> st.SearchStrategy[Record]:
    """Runs of a few cells, on two hosts, each with a run id of its own."""
    return st.builds(
        Record,
        run_id=st.uuids().map(lambda u: u.hex),
        notebook_id=st.just("n"),
        session_id=st.sampled_from(["s1", "s2"]),
        host=st.sampled_from(["one", "two"]),
        cell_id=st.none() | st.sampled_from(["0123abcd", "4567cdef", "#3"]),
        name=st.none() | texts,
        execution_count=st.none() | st.integers(1, 9),
        within=st.none() if within is None else within,
        outcome=st.sampled_from(["ok", "error", "interrupted", "lost"]),
        measurement=measurements() if measurement is None else measurement,
        emissions=(st.none() | emissions) if emitted is None else emitted,
        synced=st.booleans(),
        warnings=st.lists(texts, max_size=2).map(tuple),
        repeats=st.none() | repeats,
        kernel_cpu_s=st.none() | durations_s,
        machine_cpu_s=st.none() | durations_s,
        baseline=st.none() | baselines,
        peak_w=st.none() | durations_s,
        waited_s=st.none() | durations_s,
        shift=st.none() | shifts,
    )


def a_record(
    run_id: str = "r1",
    notebook_id: str = "n1",
    *,
    session_id: str = "s1",
    host: str = "here",
    cell_id: str | None = "0123abcd",
    name: str | None = None,
    count: int | None = 1,
    within: str | None = None,
    outcome: str = "ok",
    energies: dict[str, Uncertain | Range | None] | None = None,
    duration_s: float = 2.0,
    after_s: float = 0.0,
    emitted: Emissions | None = None,
    warnings: tuple[str, ...] = (),
) -> Record:
    """One plain record, for tests that look at one thing; `energies` by kind of domain."""
    domains = []
    for kind, energy in (energies or {}).items():
        provenance = "measured" if isinstance(energy, Uncertain) else "estimated"
        if energy is None:
            provenance = "none"
        reason = "permission" if energy is None else None
        domains.append(DomainEnergy(Domain(kind, 0, kind), energy, provenance, "test", 1.0, reason))
    start = datetime(2025, 3, 1, 9, 30, tzinfo=UTC) + timedelta(seconds=after_s)
    return Record(
        run_id=run_id,
        notebook_id=notebook_id,
        session_id=session_id,
        host=host,
        cell_id=cell_id,
        name=name,
        execution_count=count,
        within=within,
        outcome=outcome,
        measurement=Measurement(start, duration_s, tuple(domains)),
        emissions=emitted,
        synced=True,
        warnings=warnings,
    )


def one_after_another(runs: list[Record]) -> list[Record]:
    """The runs moved so that none overlaps another, in the order given."""
    moved, start = [], datetime(2025, 3, 1, tzinfo=UTC)
    for run in runs:
        moved.append(replace(run, measurement=replace(run.measurement, start=start)))
        start += timedelta(seconds=run.duration_s + 1)
    return moved


def in_zone(zone: str, g_per_kwh: float, energy_j: float, kind: str = "average") -> Emissions:
    """The emissions of an energy in J in a place."""
    grams = energy_j / 3.6e6 * g_per_kwh
    intensity = CarbonIntensity(
        g_per_kwh, zone, zone, kind, "consumption", "lifecycle", "year", "measured",
        "a table", 2024, "you said so", False,
    )  # fmt: skip
    return Emissions(Range(grams * 0.9, grams, grams * 1.1), intensity, 1.0, 0.0)

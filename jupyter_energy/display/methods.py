"""How a notebook's figures came to be, in words for a paper: devices, sensors, factor, limits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any, TypedDict

from .. import units
from ..errors import WrongUse
from ..plain_text import clean
from ..schema import CarbonJson, DomainJson, NotebookJson, SummaryJson
from ..uncertainty import Range
from . import grams, words
from .devices import device_label
from .words import REASON_LIMIT

SOFTWARE = "jupyter-energy"
AUTHORS = "the jupyter-energy contributors"
LIMITS = (
    "Figures are of whole devices, with whatever else ran on them meanwhile, and of the measured "
    "cells alone: what was drawn between cells, disks, network, fans, losses in the power supply "
    "and the making of the hardware are in none of them."
)
_SENSORS = {
    "nvml-counter": "energy counter of NVIDIA's driver",
    "nvml-power-integrated": "power told by NVIDIA's driver, integrated over time",
    "rapl": "RAPL counter of the processor, through Linux powercap",
    "perf": "RAPL counter of the processor, through perf events",
    "estimate:cpu-time": "from CPU time and the processor's family",
    "estimate:calibrated": "from CPU time, calibrated on this machine",
    "estimate:memory-capacity": "from its capacity",
}


class CardJson(TypedDict):
    """The `co2_eq_emissions` of a model card, with the names that huggingface.co/docs/hub has for
    it; `emissions` are g CO2e."""

    emissions: float
    source: str
    geographical_location: str
    hardware_used: str


class CiteJson(TypedDict):
    """What `cite --json` prints; `co2_eq_emissions` is null where no one number can be given."""

    schema: int
    version: str
    notebook: NotebookJson
    methods: str
    citation: str
    bibtex: str
    co2_eq_emissions: CardJson | None


def paragraph(summary: SummaryJson, sessions: int | None) -> str:
    """The methods paragraph: one, in full sentences. `sessions` is None where nobody knows."""
    return " ".join(_sentences(summary, sessions))


def citation(version: str, url: str | None) -> str:
    """The line for a list of references."""
    return f"{SOFTWARE}, version {version}, {AUTHORS}, BSD-3-Clause licence{_and(url)}."


def bibtex(version: str, url: str | None) -> str:
    """The same for BibTeX; a year is not known, and so not given."""
    lines = [
        f"  title = {{{SOFTWARE}}},",
        f"  author = {{{{{AUTHORS}}}}},",
        f"  version = {{{version}}},",
        "  note = {BSD-3-Clause licence},",
        *([f"  url = {{{url}}},"] if url else []),
    ]
    return "\n".join(["@software{jupyter_energy,", *lines, "}"])


def card(summary: SummaryJson) -> CardJson:
    """A model card's `co2_eq_emissions`, of all that was measured of the notebook.

    Raises WrongUse where the grams are not known, or are of two kinds that do not add.
    """
    carbon = summary["totals"]["carbon_g"]
    if carbon is not None and carbon["parts"]:
        raise WrongUse(
            "a model card has one number, and these cells were computed with average and with "
            "marginal intensities, which do not add: recompute one kind first"
        )
    if carbon is None or carbon["mid"] is None:
        raise WrongUse("no grams of CO2e are known, so there is no number for a model card")
    found = f"{SOFTWARE} {summary['version']}: {_kinds_of_energy(summary)}; {_of_factor(carbon)}"
    where = f"{carbon['place'] or carbon['zone'] or 'not known'}"
    if carbon["assumed"]:
        where = f"not known; {carbon['how'] or 'assumed'}: {where}"
    return {
        "emissions": float(f"{carbon['mid']:.3g}"),
        "source": clean(found, REASON_LIMIT * 3),
        "geographical_location": clean(where, REASON_LIMIT),
        "hardware_used": clean(", ".join(_hardware(summary)) or "not known", REASON_LIMIT * 2),
    }


def card_yaml(found: CardJson, carbon: CarbonJson) -> str:
    """The block as YAML, to be put into the card's front matter."""
    import json

    low, high = carbon["low"] or 0.0, carbon["high"] or 0.0
    size, symbol = units.scale_for(high, units.MASS_G)
    between = f"{units.two_digits(low / size)} to {units.two_digits(high / size)} {symbol}"
    number = format(Decimal(repr(found["emissions"])), "f")  # YAML 1.1 reads 1e-05 as a text
    lines = [
        "co2_eq_emissions:",
        f"  emissions: {number}  # g CO2e; within {between}",
        "  # training_type: pre-training or fine-tuning",
    ]
    for name in ("source", "geographical_location", "hardware_used"):
        told: Any = found
        lines.append(f"  {name}: {json.dumps(told[name], ensure_ascii=False)}")
    return "\n".join(lines)


def _and(url: str | None) -> str:
    return f", {url}" if url else ""


def _sentences(summary: SummaryJson, sessions: int | None) -> Iterator[str]:
    totals, name = summary["totals"], clean(summary["notebook"]["name"], 60)
    first, last = (totals["first"] or "")[:10], (totals["last"] or "")[:10]
    when = f"on {first}" if first == last else f"between {first} and {last}"
    over = f" in {words.counted(sessions, 'run')} of the notebook" if sessions else ""
    yield (
        f"The energy of {name} was recorded with {SOFTWARE} {summary['version']}: "
        f"{words.counted(totals['runs'], 'execution')} of "
        f"{words.counted(totals['cells'], 'cell')}, {units.duration(totals['duration_s'])} in "
        f"all,{over} {when} (UTC)."
    )
    domains = tuple(_domains(summary))
    measured, estimated = totals["measured_j"], totals["estimated_j"]
    if measured is not None:
        yield (
            f"Measured: {words.measured_figure(measured).text} (95 % interval, the sensors' gain "
            f"errors included), by {_listed(d for d in domains if d['energy_j'] is not None)}."
        )
    if estimated is not None:
        beside = "; it is not added to what was measured" if measured is not None else ""
        yield (
            f"Estimated without a sensor, as a range: {words.estimated_figure(estimated).text}, of "
            f"{_listed(d for d in domains if d['low_j'] is not None)}{beside}."
        )
    absent = [d for d in domains if d["energy_j"] is None and d["low_j"] is None]
    if absent:
        unknown = (f"{_label(d)} ({clean(d['reason'] or 'no reason given', 80)})" for d in absent)
        yield f"Not known: {'; '.join(dict.fromkeys(unknown))}."
    yield from _emissions(totals["carbon_g"])
    yield LIMITS
    for warning in totals["warnings"]:
        said = clean(warning, REASON_LIMIT)
        yield f"{said[:1].upper()}{said[1:]}."


def _emissions(carbon: CarbonJson | None) -> Iterator[str]:
    """A sentence for each kind of intensity, and what the range does not hold."""
    if carbon is None:
        yield "Emissions are not known, since no carbon intensity was."
        return
    for part in carbon["parts"] or [carbon]:
        low, mid, high = part["low"], part["mid"], part["high"]
        if low is None or mid is None or high is None:
            continue
        figure = grams.in_grams(Range(low, mid, high))
        # A marginal intensity attributes nothing: it tells what one kWh more makes the grid emit.
        of_kind = (
            "attributed to" if part["kind"] != "marginal" else "that one more such use adds, of"
        )
        which = f"{part['kind']}, of a part of the cells" if carbon["parts"] else part["kind"]
        yield (
            f"Emissions {of_kind} this electricity: {figure} CO2e, as energy × carbon intensity "
            f"({which}) × PUE."
        )
        yield f"Carbon intensity, location-based: {_of_factor(part)}."
        if part["assumed"]:
            yield f"The place was not set ({clean(part['how'] or 'assumed', 100)})."
    if carbon["parts"]:
        yield "Figures by average and by marginal intensity are of different cells and do not add."
    yield "The range is the energy's alone: no source tells how far its intensity may be off."


def _of_factor(part: CarbonJson) -> str:
    """The factor with all that defends it, in a sentence's part."""
    told = [*grams.factor_words(part), *grams.counted_by(part)]
    if part["pue"] == 1.0:  # else it is among the words of the factor
        told.append(grams.pue_words(part))
    return ", ".join(told)


def _domains(summary: SummaryJson) -> Iterator[DomainJson]:
    for cell in summary["cells"]:
        yield from cell["domains"]


def _listed(domains: Iterable[DomainJson]) -> str:
    """Each device once with its sensor and kind: "the GPU (NVIDIA H100 …; …, measured)"."""
    return "; ".join(dict.fromkeys(map(_device, domains))) or "devices that were not recorded"


def _device(domain: DomainJson) -> str:
    each = (_SENSORS.get(source, source) for source in domain["source"].split(", "))
    sensor = clean(", ".join(each), REASON_LIMIT)
    return f"{_label(domain)} ({sensor}; {clean(domain['provenance'], 20)})"


def _label(domain: DomainJson) -> str:
    """A device by what it is and its name: several of one name are told once."""
    number = f" {domain['index']}"
    label, name = device_label(domain["kind"], domain["index"], domain["name"], False)
    return f"{label.removesuffix(number)} {name}".strip()


def _hardware(summary: SummaryJson) -> Sequence[str]:
    """The devices that have a figure, by name, GPUs with how many there are."""
    seen: dict[str, set[str]] = {}
    for domain in _domains(summary):
        if domain["kind"] == "gpu":
            name = clean(domain["name"])
            seen.setdefault(name, set()).add(domain["uuid"] or str(domain["index"]))
        elif domain["kind"] in ("package", "dram", "machine", "module"):
            seen.setdefault(_label(domain), set()).add("")
    return [f"{len(ids)} x {name}" if len(ids) > 1 else name for name, ids in seen.items()]


def _kinds_of_energy(summary: SummaryJson) -> str:
    totals = summary["totals"]
    return " and ".join(f.text for f in words.energies(totals["measured_j"], totals["estimated_j"]))

"""The words of the SCI report: the score, then each of its terms with what it was made from."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap

from .. import units
from ..plain_text import clean
from ..schema import CarbonJson, RangeJson
from ..sci import BetweenJson, BoundsJson, DeviceJson, EnergyJson, SciJson
from . import grams, words

WIDTH = 100
_LABEL = 10
_BASIS_LIMIT = 400


def text(report: SciJson, carbon: CarbonJson | None, command: str = words.COMMAND) -> str:
    """The report as text, at most 100 wide.

    `carbon` are the grams of all runs, whose words for I are those of a summary; `command` is how
    the reader calls us.
    """
    return "\n".join(
        line
        for label, said in _entries(report, carbon, command)
        for line in wrap(
            f"{label:<{_LABEL}}{said}",
            WIDTH,
            subsequent_indent=" " * _LABEL,
            break_on_hyphens=False,
        )
    )


def _entries(report: SciJson, carbon: CarbonJson | None, command: str) -> Iterator[tuple[str, str]]:
    name = clean(report["notebook"]["name"], 60)
    yield "SCI", _score(report)
    yield "of", f"{name}, by {report['standard']}, jupyter-energy {report['version']}"
    yield "R", _runs(report)
    yield "E", f"{energy(report['E_kwh'])}, a run"
    for part in _parts(carbon):
        yield from _operational(report, part, command)
    yield "M", _embodied(report)
    if report["idle"] is not None:
        yield "idle", _between(report["idle"])
    yield "boundary", report["boundary"]
    yield "method", report["method"]
    for note in words.notes(report["warnings"]):
        yield "", note


def energy(found: EnergyJson) -> str:
    """Energy in kWh of both kinds, side by side: "534 ± 24 J measured and ≈ …"."""
    measured, estimated = found["measured"], found["estimated"]
    joules = units.J_PER_KWH
    told = []
    if measured is not None:
        value = words.uncertain(measured).scaled(joules)
        told.append(f"{units.measured(value)} measured")
    if estimated is not None:
        told.append(f"{units.estimated(words.range_of(estimated).scaled(joules))} estimated")
    return " and ".join(told) or units.NOT_MEASURED


def bounds(found: BoundsJson, scale: units.Scale = units.MASS_G) -> str:
    """A figure that is known within bounds: "≈ 1.2–4.1 g"."""
    size, symbol = units.scale_for(found["high"], scale)
    low, high = (units.two_digits(found[name] / size) for name in ("low", "high"))
    return f"≈ {low}–{high} {symbol}" if low != high else f"≈ {high} {symbol}"


def _grams(found: RangeJson | None) -> str:
    return "not known" if found is None else grams.in_grams(words.range_of(found))


def _score(report: SciJson) -> str:
    embodied = report["M_g"]
    if report["SCI_g"] is not None:
        return f"{bounds(report['SCI_g'])} CO2e a run = O + what is known of M"
    rest = "M, which is not known"
    if embodied is not None:
        rest = f"what is known of M, {bounds(embodied)} CO2e a run"
    if report["dual"]:
        return f"an O of each kind of I, which do not add, + {rest}"
    operational = report["O_g"]
    if operational is None:
        return f"O, which is not known, + {rest}"
    return f"O {_grams(operational)} CO2e a run + {rest}"


def _runs(report: SciJson) -> str:
    many = report["runs"]
    said = f"{report['R']}; {report['R_means']}"
    if many == 1:
        return f"{said}; 1 run"
    known = [run["O_g"]["mid"] for run in report["each"] if run["O_g"] is not None]
    said = f"{said}; figures are the mean of {many} runs"
    if not known or report["dual"]:
        return said
    least, most = (units.quantity(f(known), units.MASS_G, 2) for f in (min, max))
    return f"{said}, whose O went from {least} to {most}"


def _parts(carbon: CarbonJson | None) -> list[CarbonJson]:
    return [] if carbon is None else carbon["parts"] or [carbon]


def _operational(report: SciJson, part: CarbonJson, command: str) -> Iterator[tuple[str, str]]:
    """O and the I behind it; where there are two kinds, of which share of the energy."""
    found = report["O_g"]
    of = ""
    for kind in report["dual"] or ():
        if kind["I_kind"] == part["kind"]:
            found = kind["O_g"]
            if kind["E_share"] is not None:
                share = units.percent(kind["E_share"])
                of = f", mean of {words.counted(kind['runs'], 'run')} with {share} of all energy"
    yield "O", f"{_grams(found)} CO2e = E × I × PUE{of}"
    told = [*grams.basis(part, command), *grams.counted_by(part)]
    if part["pue"] == 1.0:  # else it is among the words of the basis
        told.append(grams.pue_words(part))
    yield "I", ", ".join(told)


def _embodied(report: SciJson) -> str:
    said = [_device(device) for device in report["M_devices"] if device["g"] is not None]
    unknown = "; for ".join(clean(device, _BASIS_LIMIT) for device in report["M_not_known"])
    return "; ".join([*said, f"not known for {unknown}"])


def _device(device: DeviceJson) -> str:
    name, many = clean(device["device"]), device["count"]
    label = name if many == 1 else f"{many} × {name}"
    share = "" if device["g"] is None else bounds(device["g"])
    return f"{share} estimated for {label} ({clean(device['basis'], _BASIS_LIMIT)})"


def _between(idle: BetweenJson) -> str:
    seen = "" if idle["coverage"] >= 0.99 else f", {units.percent(idle['coverage'])} of it seen"
    said = [f"{energy(idle['E_kwh'])} between cells, in {units.duration(idle['duration_s'])}{seen}"]
    if idle["O_g"] is not None:
        said.append(f"O {_grams(idle['O_g'])}")
    if idle["M_g"] is not None:
        said.append(f"M {bounds(idle['M_g'])}")
    return (
        f"{', '.join(said)}; a run, and in no figure above. Where the machine is reserved for this "
        "notebook, as a rented one is, SCI counts it too: add it and say so"
    )

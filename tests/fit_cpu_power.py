"""Watts a hardware thread by processor family, fitted to published wall power of whole servers.

    python tests/fit_cpu_power.py specpower_servers.csv

prints what jupyter_energy/sensors/cpu_power.py holds, and writes it to tests/fits/cpu_power.json:
the constants, how they did on processors that they were not fitted to, and the data's digest. The
data (SPECpower_ssj2008 results as collected in ccf-coefficients, Apache-2.0) are not part of this
repository; its columns are cpu, sockets, cores, threads, mhz, memory_gb, year, idle_w, full_load_w.

What is published is power at the wall, idle and at full load. Two steps lead to the package:

* SHARE of the wall's power is the processors'; the rest is memory, board, fans and the losses of
  the power supply.
* The line starts WAKES of the way up from idle: of published tables of load against RAPL (4
  machines, 78 points), the best straight line is 0.25 + 0.50 x load of the TDP, while machines at
  rest draw 0.15 of it. As soon as anything runs, caches and interconnect are awake.

A socket draws power for itself too, so that of two processors of one family the larger one draws
less for each thread: W a thread fall with a power of the threads in a socket, the same powers for
all families. A virtual machine does not tell how many threads its host's sockets have; there the
family's usual number is taken, and the band is wider.

Every processor model counts once, however many machines were published with it, and a residual is
that of a model which was left out of the fit: most people's own model is not among the published.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import random
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

OUT = Path(__file__).with_name("fits") / "cpu_power.json"
DATA = (
    "SPECpower_ssj2008 results to March 2026, as collected in ccf-coefficients (Apache-2.0); "
    "SPEC and SPECpower_ssj are trademarks of the Standard Performance Evaluation Corporation"
)
# A machine of median wall power draws 1.09 of its processors' TDP at full load and 0.21 idle (SPEC
# results with known TDP); the median package draws 0.75 and 0.15 (measuring.md 4.2, 4.3).
SHARE = 0.75 / 1.09
WAKES = (0.25 - 0.15) / (0.75 - 0.15)
# Ours, in log: the share lies between 0.51 and 0.93 of the wall in 95 % of machines, and a straight
# line fitted to one machine is off by 8 to 18 % of its mean (measuring.md 4.2).
SHARE_SIGMA = 0.15
LINE_SIGMA = 0.15
# What is written in results for one family of /proc/cpuinfo; the first that fits counts.
FAMILIES = (
    ("Zen 1", r"EPYC 7\d\d1"),
    ("Zen 2", r"EPYC 7\d\d2"),
    ("Zen 3", r"EPYC 7\d\d3"),
    ("Zen 4", r"EPYC [89]\d\d4"),
    ("Zen 5", r"EPYC 9\d\d5"),
    ("Opteron 10h", r"Opteron\S* (Processor )?(23[78]|24|83|84|41|61)\d"),
    ("Opteron 15h", r"Opteron (42|43|62|63)\d\d"),
    ("Neoverse N1", r"Altra"),
    ("Sierra Forest", r"Xeon\S* (Gold )?67\d\dE"),
    ("Granite Rapids", r"Xeon 6[579]\d\dP"),
    ("Sapphire Rapids", r"(Platinum|Gold|Silver|\(R\)) [3-8][45]\d\d"),
    ("Ice Lake server", r"(Platinum|Gold|Silver) [3-8]3\d\d|D-27\d\d"),
    ("Skylake server", r"(Platinum|Gold|Silver) [3-8][12]\d\d"),
    ("Haswell server", r"E[57]-\d{4}L? ?[vV][34]"),
    ("Sandy Bridge server", r"E5-\d{4}L?( ?[vV]2)?$"),
    ("Client", r"E3-12\d\dL? [vV][56]|E-2\d\d\d|Core Ultra|Xeon 63\d\dP|EPYC 4\d\d\d"),
    ("Client before 2015", r"E3-12\d\dL? ?([vV][234])?$"),
    ("Nehalem", r"i3-540|[WX]34\d\d|[XELW]5[56]\d\d|X75\d\d|E7-48\d\d"),
    ("Core 2", r"[XEL]5[234]\d\d|X3[23]\d\d|E73\d\d|\b30[47]\d|E3110|5160"),
)
# Those still sold or rented: what a processor is taken for that the table does not know.
TODAY = (
    *("Zen 1", "Zen 2", "Zen 3", "Zen 4", "Zen 5", "Neoverse N1", "Skylake server"),
    *("Ice Lake server", "Sapphire Rapids", "Granite Rapids", "Sierra Forest"),
    "Client",
)
LEAST_MODELS = 2
AT_THREADS = 64  # in a socket: where the families' lines are compared
DRAWS = 200_000


@dataclass(frozen=True, slots=True)
class Server:
    """One published machine: its family, its processor's model, threads in a socket (in log, over
    AT_THREADS), and its line in log W a thread."""

    family: str
    model: str
    size: float
    idle: float
    busy: float

    def scaled(self, powers: tuple[float, float]) -> Server:
        """The same machine as if its sockets had AT_THREADS threads."""
        return replace(
            self, idle=self.idle + powers[0] * self.size, busy=self.busy + powers[1] * self.size
        )


def server(row: dict[str, str]) -> Server | None:
    """One row of the data, or None of a processor that no family holds."""
    model = re.sub(r"\(R\)|®|\b(CPU|Processor|processor|Intel|AMD)\b|[\",]", " ", row["cpu"])
    model = " ".join(model.split())
    told = " ".join(row["cpu"].strip('", ').split())
    family = next((name for name, pattern in FAMILIES if re.search(pattern, told)), None)
    if family is None:
        return None
    threads = int(row["threads"])
    idle_w, full_w = float(row["idle_w"]) / threads, float(row["full_load_w"]) / threads
    step_w = full_w - idle_w
    return Server(
        family,
        re.sub(r"( DELL SKU.*| 192-CORE|(?<=\d{4})P)$", "", model.upper()),
        math.log(threads / int(row["sockets"]) / AT_THREADS),
        math.log(SHARE * (idle_w + WAKES * step_w)),
        math.log(SHARE * (1 - WAKES) * step_w),
    )


def median(values: Iterable[tuple[float, float]]) -> float:
    """The weighted median of (value, weight)."""
    ordered = sorted(values)
    half, below = sum(weight for _, weight in ordered) / 2, 0.0
    for value, weight in ordered:
        below += weight
        if below >= half:
            return value
    raise ValueError("no values")


def by_model(servers: Iterable[Server]) -> dict[str, list[Server]]:
    """The servers of each processor model."""
    found = defaultdict(list)
    for one in servers:
        found[one.model].append(one)
    return found


def powers(families: dict[str, list[Server]]) -> tuple[float, float]:
    """With which power of the threads in a socket the W a thread fall, idle and busy: the slope
    within families, each model once."""
    found = []
    for of in (lambda one: one.idle, lambda one: one.busy):
        up = down = 0.0
        for servers in families.values():
            models = by_model(servers).values()
            sizes = [fmean(one.size for one in own) for own in models]
            values = [fmean(map(of, own)) for own in models]
            size, value = fmean(sizes), fmean(values)
            up += sum((x - size) * (y - value) for x, y in zip(sizes, values, strict=True))
            down += sum((x - size) ** 2 for x in sizes)
        found.append(round(-up / down, 2))
    return found[0], found[1]


def line(servers: Sequence[Server]) -> tuple[float, float]:
    """The median line in log W a thread, idle and busy; every model counts once."""
    weight = {model: 1 / len(found) for model, found in by_model(servers).items()}
    return (
        median((one.idle, weight[one.model]) for one in servers),
        median((one.busy, weight[one.model]) for one in servers),
    )


@dataclass(frozen=True, slots=True)
class Residual:
    """How far one machine lies from a line it was left out of, in log; `weight` of its model."""

    family: str
    idle: float
    busy: float
    weight: float


def residuals(servers: Sequence[Server], at: tuple[float, float], weight: float) -> list[Residual]:
    """The residuals of some servers, which together weigh `weight`."""
    return [
        Residual(one.family, one.idle - at[0], one.busy - at[1], weight / len(servers))
        for one in servers
    ]


def models_left_out(families: dict[str, list[Server]]) -> list[Residual]:
    """Each processor model against the line of the others in its family."""
    found = []
    for servers in families.values():
        for model, own in by_model(servers).items():
            others = [one for one in servers if one.model != model]
            found += residuals(own, line(others), 1.0)
    return found


def middle(families: dict[str, list[Server]]) -> tuple[float, float]:
    """The line of an unknown processor: the median of the families' lines."""
    lines = [line(servers) for servers in families.values()]
    return median((idle, 1.0) for idle, _ in lines), median((busy, 1.0) for _, busy in lines)


def families_left_out(families: dict[str, list[Server]]) -> list[Residual]:
    """Each family of today against the middle of the others."""
    found = []
    for name, servers in families.items():
        others = middle({other: s for other, s in families.items() if other != name})
        for own in by_model(servers).values():
            found += residuals(own, others, 1 / len(by_model(servers)))
    return found


def spread_of(found: Sequence[Residual]) -> dict[str, float]:
    """Log-sigmas of the two, and their correlation, with the share's and the line's own."""
    total = sum(one.weight for one in found)
    idle = sum(one.weight * one.idle**2 for one in found) / total
    busy = sum(one.weight * one.busy**2 for one in found) / total
    both = sum(one.weight * one.idle * one.busy for one in found) / total
    common = SHARE_SIGMA**2 + LINE_SIGMA**2
    idle, busy, both = idle + common, busy + common, both + common
    return {
        "idle_sigma": round(math.sqrt(idle), 2),
        "busy_sigma": round(math.sqrt(busy), 2),
        "correlation": round(both / math.sqrt(idle * busy), 2),
    }


def ratio(idle: float, busy: float, idle_w: float, busy_w: float, load: float) -> float:
    """A machine's power over the model's at one load, from its two errors in log."""
    true_w = idle_w * math.exp(idle) + busy_w * math.exp(busy) * load
    return true_w / (idle_w + busy_w * load)


def band(spread: dict[str, float], idle_w: float, busy_w: float) -> tuple[float, float]:
    """What 95 % of machines lie between, as multiples of the middle, at loads from 0 to 1."""
    chance, rho = random.Random(4), spread["correlation"]
    ratios = []
    for _ in range(DRAWS):
        first, second = chance.gauss(), chance.gauss()
        idle = spread["idle_sigma"] * first
        busy = spread["busy_sigma"] * (rho * first + math.sqrt(1 - rho**2) * second)
        ratios.append(ratio(idle, busy, idle_w, busy_w, chance.random()))
    ratios.sort()
    return round(ratios[DRAWS // 40], 2), round(ratios[-DRAWS // 40], 2)


def coverage(
    found: Sequence[Residual], lines: dict[str, tuple[float, float]], within: tuple[float, float]
) -> float:
    """The share of held-out machines within a band, each at many loads and errors of the share."""
    chance, inside, total = random.Random(5), 0.0, 0.0
    for one in found:
        for _ in range(200):
            off = math.hypot(SHARE_SIGMA, LINE_SIGMA) * chance.gauss()
            idle_w, busy_w = lines[one.family]
            seen = ratio(one.idle + off, one.busy + off, idle_w, busy_w, chance.random())
            inside += one.weight * (within[0] <= seen <= within[1])
            total += one.weight
    return round(inside / total, 3)


def level(found: Sequence[Residual], idle_w: float, busy_w: float) -> dict[str, object]:
    """How far machines lie from the line of one level of knowledge, and how that did."""
    spread = spread_of(found)
    within = band(spread, idle_w, busy_w)
    covered = coverage(found, dict.fromkeys({r.family for r in found}, (idle_w, busy_w)), within)
    # Of the work alone, as a virtual machine's estimate counts it: 95 % of a log-normal.
    factor = math.exp(1.96 * spread["busy_sigma"])
    return {
        **spread,
        "band": within,
        "busy_band": (round(1 / factor, 2), round(factor, 2)),
        "held_out_coverage": covered,
    }


def fit(path: Path) -> dict[str, object]:
    """The constants and how they did."""
    text = path.read_bytes()
    rows = list(csv.DictReader(text.decode().splitlines()))
    servers = [one for one in map(server, rows) if one is not None]
    families = {
        name: own
        for name, _ in FAMILIES
        if len(by_model(own := [s for s in servers if s.family == name])) >= LEAST_MODELS
    }
    falls = powers(families)
    scaled = {name: [one.scaled(falls) for one in own] for name, own in families.items()}
    usual = {
        name: AT_THREADS * math.exp(median((one.size, 1.0) for one in own))
        for name, own in families.items()
    }
    lines = {name: [round(math.exp(x), 3) for x in line(own)] for name, own in scaled.items()}
    today = {name: families[name] for name in TODAY}
    unknown_w = [round(math.exp(x), 3) for x in middle(today)]
    known, in_vm = models_left_out(scaled), models_left_out(families)
    unknown = families_left_out(today)
    idle_w, busy_w = (fmean(lines[name][i] for name in TODAY) for i in (0, 1))
    return {
        "data": DATA,
        "sha256": hashlib.sha256(text).hexdigest(),
        "machines": sum(map(len, families.values())),
        "models": sum(len(by_model(own)) for own in families.values()),
        "left_out": len(rows) - sum(map(len, families.values())),
        "share": round(SHARE, 3),
        "wakes": round(WAKES, 3),
        "at_threads": AT_THREADS,
        "idle_power": falls[0],
        "busy_power": falls[1],
        "families": {
            name: {
                "idle_w": lines[name][0],
                "busy_w": lines[name][1],
                "usual_threads": round(usual[name]),
                "machines": len(own),
                "models": len(by_model(own)),
            }
            for name, own in families.items()
        },
        "known": level(known, idle_w, busy_w),
        "in_vm": level(in_vm, idle_w, busy_w),
        "unknown": {
            "idle_w": unknown_w[0],
            "busy_w": unknown_w[1],
            **level(unknown, *unknown_w),
        },
    }


if __name__ == "__main__":
    found = fit(Path(sys.argv[1]))
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=2))

"""Watts a hardware thread, by what /proc/cpuinfo says of the processor.

The constants are fitted to published wall power of 792 servers by tests/fit_cpu_power.py, which
tells how; what it found is kept in tests/fits/cpu_power.json. The data are SPECpower_ssj2008
results (Standard Performance Evaluation Corporation) as collected in ccf-coefficients
(Apache-2.0). A hidden machine of a test is drawn from `DEVIATIONS`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from .base import Machine

# Of the power at the wall, the processors' share: 0.75 of the TDP is what the median package
# draws at full load, 1.09 of it what the median server draws (measuring.md 4.2). The rest is
# memory, board, fans and what the power supply loses.
SHARE = 0.75 / 1.09
# The part of the way from rest to full load that is taken as soon as anything runs, because
# caches and interconnect are awake then: the best straight line is 0.25 + 0.50·load of the TDP,
# while a machine at rest draws 0.15 of it (measuring.md 4.2, 4.3).
WAKES = (0.25 - 0.15) / (0.75 - 0.15)
# W of the package for each thread of a socket with 64 threads: awake, what a busy thread adds;
# and how many threads a socket of the family has in most published machines.
FAMILIES = {
    "Zen 1": (0.712, 0.917, 64),
    "Zen 2": (0.872, 0.934, 128),
    "Zen 3": (0.774, 1.091, 128),
    "Zen 4": (0.946, 0.958, 192),
    "Zen 5": (1.026, 1.39, 320),
    "Opteron 10h": (1.247, 1.979, 4),
    "Opteron 15h": (0.699, 1.676, 16),
    "Neoverse N1": (0.784, 0.56, 128),
    "Sierra Forest": (1.423, 1.422, 144),
    "Granite Rapids": (1.477, 1.501, 172),
    "Sapphire Rapids": (1.273, 2.083, 120),
    "Ice Lake server": (1.081, 1.586, 80),
    "Skylake server": (0.694, 1.756, 56),
    "Haswell server": (0.505, 1.428, 36),
    "Sandy Bridge server": (0.635, 1.647, 16),
    "Client": (0.387, 0.991, 16),
    "Client before 2015": (0.603, 1.401, 8),
    "Nehalem": (0.867, 2.053, 12),
    "Core 2": (1.963, 2.307, 4),
}
AT_THREADS = 64
# A socket draws for itself too: W a thread fall with these powers of the threads in it.
IDLE_POWER, BUSY_POWER = 0.77, 0.44
# The median of the families that are still sold or rented, for a processor of no known family.
UNKNOWN_W = (0.712, 0.917)
# What 95 % of machines lie between whose model was left out of the fit, as multiples of the
# middle: family and size of the socket known, the size unknown, nothing known.
BANDS = {"known": (0.54, 1.89), "in_vm": (0.43, 2.42), "unknown": (0.33, 3.17)}
# The same of the work alone, which is all that a virtual machine's estimate counts.
BUSY_BANDS = {"known": (0.51, 1.95), "in_vm": (0.47, 2.15), "unknown": (0.32, 3.12)}
# How such machines deviate, log-normally: sigma of idle, sigma of busy, their correlation.
DEVIATIONS = {
    "known": (0.36, 0.34, 0.52),
    "in_vm": (0.51, 0.39, 0.7),
    "unknown": (0.62, 0.58, 0.78),
}

# Models of Intel's family 6, by the names in the kernel's arch/x86/include/asm/intel-family.h.
# Atoms are left out: no published machine has one.
INTEL = {
    "Core 2": (0x0F, 0x17, 0x1D),
    "Nehalem": (0x1A, 0x1E, 0x1F, 0x25, 0x2C, 0x2E, 0x2F),
    "Sandy Bridge server": (0x2D, 0x3E),
    "Client before 2015": (0x2A, 0x3A, 0x3C, 0x3D, 0x45, 0x46, 0x47),
    "Haswell server": (0x3F, 0x4F, 0x56),
    "Skylake server": (0x55,),
    "Ice Lake server": (0x6A, 0x6C),
    "Sapphire Rapids": (0x8F, 0xCF),
    "Granite Rapids": (0xAD, 0xAE),
    "Sierra Forest": (0xAF,),
    "Client": (
        *(0x4E, 0x5E, 0x66, 0x7D, 0x7E, 0x8C, 0x8D, 0x8E, 0x97, 0x9A, 0x9E, 0xA5, 0xA6, 0xA7),
        *(0xAA, 0xAC, 0xB5, 0xB7, 0xBA, 0xBD, 0xBF, 0xC5, 0xC6, 0xCC),
    ),
}
# Models of AMD's families, first and last (the kernel's arch/x86/kernel/cpu/amd.c for the
# generation; within it, the server parts are the lower models). The first that fits counts.
AMD = (
    ("Opteron 10h", 0x10, 0x00, 0xFF),
    ("Opteron 15h", 0x15, 0x00, 0x2F),
    ("Zen 1", 0x17, 0x00, 0x0F),
    ("Zen 2", 0x17, 0x30, 0x3F),
    ("Client", 0x17, 0x00, 0xFF),
    ("Zen 3", 0x19, 0x00, 0x0F),
    ("Zen 4", 0x19, 0x10, 0x1F),
    ("Zen 4", 0x19, 0xA0, 0xAF),
    ("Client", 0x19, 0x00, 0xFF),
    ("Zen 5", 0x1A, 0x00, 0x1F),
    ("Client", 0x1A, 0x20, 0x4F),
    ("Client", 0x1A, 0x60, 0x7F),
)
# No band is narrow here: the published machines are small servers, tuned for the purpose, and
# desktops of the same silicon are allowed to draw far more.
CLIENTS = frozenset({"Client", "Client before 2015"})


@dataclass(frozen=True, slots=True)
class Processor:
    """What a machine says of its processor; `socket_threads` is None where it does not say."""

    name: str = "a processor of unknown name"
    family: str | None = None
    socket_threads: int | None = None


@dataclass(frozen=True, slots=True)
class ThreadPower:
    """W of the package for each thread: `idle_w` while anything runs, `busy_w` more of a busy one.

    `spread` gives the range as multiples of both together, `busy_spread` of the work alone.
    """

    idle_w: float
    busy_w: float
    spread: tuple[float, float]
    busy_spread: tuple[float, float]


def line(rest_w: float, full_w: float) -> tuple[float, float]:
    """The straight line in load through a package that draws `rest_w` and `full_w`, in W: awake,
    and what full load adds."""
    awake_w = rest_w + WAKES * (full_w - rest_w)
    return awake_w, full_w - awake_w


def thread_power(
    processor: Processor, is_virtual: bool = False, is_laptop: bool = False
) -> ThreadPower:
    """W a thread of a processor, by its family where that is known.

    A virtual machine makes its sockets up. Laptops are taken for unknown: none was published, and
    their chips have the numbers of desktops'.
    """
    if processor.family is None or is_laptop:
        return ThreadPower(*UNKNOWN_W, BANDS["unknown"], BUSY_BANDS["unknown"])
    idle_w, busy_w, usual_threads = FAMILIES[processor.family]
    told = None if is_virtual else processor.socket_threads
    size = (told or usual_threads) / AT_THREADS
    level = "known" if told else "in_vm"
    if processor.family in CLIENTS:
        level = "unknown"
    return ThreadPower(
        idle_w * size**-IDLE_POWER, busy_w * size**-BUSY_POWER, BANDS[level], BUSY_BANDS[level]
    )


def processor(machine: Machine) -> Processor:
    """What this machine says of its processor; never raises."""
    first, count = _cpuinfo(machine)
    if not first:  # Windows tells it here: "Intel64 Family 6 Model 154 Stepping 3, GenuineIntel"
        first = _windows(machine.environ.get("PROCESSOR_IDENTIFIER", ""))
    name = first.get("model name") or first.get("cpu part") or Processor().name
    siblings = _number(first.get("siblings", ""))
    if siblings is None and first.get("cpu implementer"):  # one thread a core, mostly one socket
        siblings = count
    return Processor(
        name=" ".join(name.split()),
        family=_family(first, name),
        socket_threads=siblings or None,
    )


def _cpuinfo(machine: Machine) -> tuple[dict[str, str], int]:
    """What /proc/cpuinfo says of its first processor, and how many it lists."""
    try:
        text = (machine.procfs / "cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}, 0
    count = sum(line.startswith("processor") for line in text.splitlines())
    fields = (line.partition(":") for line in text.partition("\n\n")[0].splitlines())
    return {name.strip().lower(): value.strip() for name, _, value in fields}, count


def _windows(identifier: str) -> dict[str, str]:
    """The same fields from what Windows calls the processor."""
    words = identifier.replace(",", " ").split()
    if len(words) < 8 or words[1:6:2] != ["Family", "Model", "Stepping"]:
        return {}
    return {
        "model name": identifier,
        "vendor_id": words[7],
        "cpu family": words[2],
        "model": words[4],
    }


def _family(first: Mapping[str, str], name: str) -> str | None:
    """The family of FAMILIES that a processor belongs to, or None."""
    vendor = first.get("vendor_id", "")
    family, model = _number(first.get("cpu family", "")), _number(first.get("model", ""))
    if vendor == "GenuineIntel" and family == 6:
        return next((found for found, models in INTEL.items() if model in models), None)
    if vendor == "AuthenticAMD" and family is not None and model is not None:
        # The first Ryzens have the numbers of the first EPYCs; Threadrippers are like these.
        if "Ryzen" in name and "Threadripper" not in name and family >= 0x17:
            return "Client"
        return next(
            (found for found, of, low, high in AMD if of == family and low <= model <= high), None
        )
    # Neoverse N1 (Arm's identification of implementer and part): Altra, Graviton2
    if (first.get("cpu implementer"), first.get("cpu part")) == ("0x41", "0xd0c"):
        return "Neoverse N1"
    return None


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() else None


def identity(machine: Machine, own: Processor, threads: int) -> str:
    """What a calibration is kept under: the processor, its threads, and which machine it is, from
    which nobody can tell the machine's own id."""
    try:
        machine_id = (machine.procfs / "self/root/etc/machine-id").read_bytes().strip()
    except OSError:
        machine_id = b""
    told = f"{own.name}\n{threads}\n".encode() + machine_id
    return hashlib.sha256(told).hexdigest()[:16]

"""What is known of RAPL's truth by processor: measured or modelled, by how much off, one counter
a die or one a package.

No maker publishes a tolerance, so every gain here is our own policy, beside what was found.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..model import Provenance
from .base import Accuracy, Machine
from .kernel_file import lines_of

# Sandy Bridge and Ivy Bridge computed their figures from activity; measured since Haswell
# (Hackenberg et al. 2015, doi 10.1109/IPDPSW.2015.70). Model numbers: asm/intel-family.h.
MODELLED_INTEL = frozenset({0x2A, 0x2D, 0x3A, 0x3E})

PACKAGE = Accuracy(
    0.05,
    "our policy: no vendor tolerance is published; RAPL follows plug power closely "
    "(Khan et al. 2018, doi 10.1145/3177754)",
)
DRAM = Accuracy(
    0.20,
    "our policy: measured on servers, off by a constant on desktops "
    "(Desrochers, Paradis, Weaver 2016, doi 10.1145/2989081.2989088)",
)
MODEL = Accuracy(
    0.15,
    "our policy: the counter is computed, not measured (Schöne et al., arXiv 2108.00808)",
)
OLD_INTEL = Accuracy(
    0.15,
    "our policy: computed from activity before Haswell "
    "(Hackenberg et al. 2015, doi 10.1109/IPDPSW.2015.70)",
)
PSYS = Accuracy(
    0.30,
    # 12.2 W against 9.3 W at the battery: CodeCarbon, docs/explanation/rapl.md.
    "our policy: what it holds differs by maker; on one laptop it told 31 % more than the battery "
    "gave",
)


@dataclass(frozen=True, slots=True)
class Processor:
    """The first processor that the kernel lists, which speaks for all; None where it says not."""

    vendor: str | None
    family: int | None
    model: int | None

    @property
    def is_modelled(self) -> bool:
        """Whether its counters are computed: AMD, Hygon, old Intel, and whoever does not say."""
        if self.vendor != "GenuineIntel":
            return True
        return self.family == 6 and self.model in MODELLED_INTEL

    @property
    def dies_share_a_counter(self) -> bool:
        """Whether each die of a package shows the counter of the whole package.

        AMD and Hygon count by package, Intel by die (rapl_msrs_are_pkg_scope in the kernel's
        intel_rapl_common.c). Kernels before 6.12 show the one counter under every die all the
        same: 68 W and 68 W on a Threadripper 1950X that draws 68 W (codecarbon#1274).
        """
        return self.vendor in ("AuthenticAMD", "HygonGenuine")

    @property
    def provenance(self) -> Provenance:
        """What its counters are."""
        return "vendor model" if self.is_modelled else "measured"

    def accuracy(self, kind: str) -> Accuracy:
        """How far the gain of a package, dram or psys counter may be off."""
        if kind == "package" and self.is_modelled:
            return OLD_INTEL if self.vendor == "GenuineIntel" else MODEL
        return {"package": PACKAGE, "dram": DRAM, "psys": PSYS}[kind]


def processor(machine: Machine) -> Processor:
    """The processor, from /proc/cpuinfo (Documentation/arch/x86/cpuinfo.rst)."""
    said = {}
    for line in lines_of(machine.procfs / "cpuinfo"):
        name, _, value = line.partition(":")
        if not line.strip():
            break
        said[name.strip()] = value.strip()

    def number(name: str) -> int | None:
        text = said.get(name, "")
        return int(text) if text.isdecimal() else None

    return Processor(said.get("vendor_id"), number("cpu family"), number("model"))

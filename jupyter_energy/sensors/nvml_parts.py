"""What is known of NVIDIA's parts by their names and brands, from documents and papers: pure."""

from __future__ import annotations

import re

# nvmlBrandType_t of nvml.h: what drivers call their data-centre parts, before and since 2020.
BRAND_TESLA = 2
BRAND_NVIDIA = 14
# nvmlDeviceArchitecture_t of nvml.h.
TURING, AMPERE, UNKNOWN = 6, 7, 0xFFFFFFFF
# nvmlGpuVirtualizationMode_t of nvml.h.
VGPU = 2

# By name, because drivers give the same brand to small workstation cards such as the T400.
_DATA_CENTRE = re.compile(
    r"\b(?:A2|A10G?|A16|A30X?|A40|A100X?|A800|B[123]00|G[BH]\d{3}|H20|H[128]00|L2|L4|L20|L40[SG]?"
    r"|P4|P40|P100|T4G?|V100S?)\b"
)
_TEGRA = re.compile(r"\b(?:Tegra|Jetson|Xavier|Orin|Thor)\b|nvgpu", re.IGNORECASE)
# The chip GA100, whose power is instantaneous where all others of its age give a mean (nvml.h).
_GA100 = re.compile(r"\b(?:A100|A800|A30|A30X|A100X|GA100)\b")


def bears_polling(name: str, brand: int | None) -> bool:
    """Whether the energy counter may be polled: only on parts known to be for data centres.

    Consumer cards are reported to count less the more they are polled (measuring.md 1.3: 13 % at
    100 ms, 76 % at 10 ms), so one that we do not know is taken for such a card.
    """
    return brand in (BRAND_TESLA, BRAND_NVIDIA) and _DATA_CENTRE.search(name) is not None


def usage_is_instant(name: str, architecture: int | None) -> bool:
    """Whether nvmlDeviceGetPowerUsage tells the power of the moment.

    nvml.h: from Ampere on, GA100 apart, it is the mean of one second. An architecture that is not
    told is taken for a newer one: a mean that is taken for instantaneous would be the worse error.
    """
    if architecture is None or architecture == UNKNOWN:
        return False
    return architecture <= TURING or (architecture == AMPERE and bool(_GA100.search(name)))


def why_no_power(name: str, virtualization: int | None) -> str:
    """The reason for a GPU that tells neither energy nor power."""
    if virtualization == VGPU:
        return "a virtual GPU shows no power to its guest"
    if _TEGRA.search(name):
        return "a Jetson's GPU tells no power through NVML"
    return "the GPU reports neither energy nor power"

"""Grams of CO2e from joules: E · I · PUE, bound by bound.

Pure functions. The formula is the O of the Software Carbon Intensity, O = E · I (ISO/IEC 21031),
with the data centre's overhead in E.
"""

from __future__ import annotations

import math

from ..errors import WrongUse
from ..model import FACILITY, CarbonIntensity, Emissions, Measurement, Span
from ..uncertainty import Range
from ..units import carbon_g

# No data centre is known to be worse; the limit is ours, to catch "120" written for 1.20.
HIGHEST_PUE = 5.0
# Whose figure the PUE of 1 is where a sensor of kind "facility" was read.
SEEN = "the sensor sees the whole facility"


def emissions(
    measurement: Measurement,
    intensity: CarbonIntensity,
    pue: float = 1.0,
    pue_source: str = "",
    spans: tuple[Span, ...] = (),
) -> Emissions | None:
    """CO2e in g of the energy of `measurement`; None where no energy is known.

    The bounds are those of the energy: measured ± u95 and not below 0, plus the bounds of what is
    estimated. How wrong the factor itself may be is in no source of ours, and so in no bound; nor
    is how the energy was shared out over `spans`, whose mean `intensity` has.
    Where a sensor sees the whole facility, what the building draws is in its energy: the PUE is 1.
    """
    measured, estimated = measurement.measured_j, measurement.estimated_j
    if measured is None and estimated is None:
        return None
    low_j = mid_j = high_j = estimated_mid_j = 0.0
    if measured is not None:
        low_j = max(0.0, measured.value - measured.u95)
        mid_j = max(0.0, measured.value)
        high_j = max(0.0, measured.value + measured.u95)
    if estimated is not None:
        low_j += estimated.low
        mid_j += estimated.mid
        high_j += estimated.high
        estimated_mid_j = estimated.mid
    nothing_share = 0.0 if measured is not None else 1.0
    estimated_share = estimated_mid_j / mid_j if mid_j > 0 else nothing_share
    if any(d.domain.kind == FACILITY for d in measurement.counted()):
        pue, pue_source = 1.0, SEEN
    factor = intensity.g_per_kwh
    return Emissions(
        carbon_g=Range(
            carbon_g(low_j, factor, pue),
            carbon_g(mid_j, factor, pue),
            carbon_g(high_j, factor, pue),
        ),
        intensity=intensity,
        pue=pue,
        estimated_share=estimated_share,
        pue_source=pue_source,
        spans=spans,
    )


def checked_pue(value: float) -> float:
    """`value` as a PUE: what a data centre draws over what its computers draw, so 1 or more.

    Raises WrongUse.
    """
    if not (math.isfinite(value) and 1.0 <= value <= HIGHEST_PUE):
        raise WrongUse(
            f"{value:g} is no PUE: write 1 for a machine of your own, or the data centre's "
            "figure, such as 1.2"
        )
    return value

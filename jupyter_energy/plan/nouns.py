"""What is planned, and over what: a job's energy over time, and a grid's carbon intensity ahead."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from ..uncertainty import Range, Uncertain

# Jobs and outlooks are cut into these (Dodge et al. 2022, section 6).
SLOT_S = 300.0

# What an outlook is: a provider's forecast; a file's values for the time that is planned; or the
# mean day of past values, which tells what hours are clean and not what this day will be.
Basis = Literal["forecast", "trace", "typical day"]


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be run: how long it takes, and how its energy is spread over that time.

    `shares` has the share (0 to 1, their sum 1) of the energy that is drawn in each slot of
    `SLOT_S` from its start, the last one as much as is left of it. `measured` and `estimated` are
    its energies in J as everywhere: never added in a figure that says measured; both None where
    only the time is known, and then only shares can be saved. An estimate whose three figures are
    one is what the user gave. `constant` is the share of the energy that memory draws, whose power
    does not fall in a pause; 0 where nobody knows. `said` tells in words where all that is from,
    such as "the 14 cells of this session".
    """

    duration_s: float
    shares: tuple[float, ...]
    measured: Uncertain | None
    estimated: Range | None
    said: str
    constant: float = 0.0

    @property
    def is_given(self) -> bool:
        """Whether the energy is what the user said it is: no estimate of ours has one figure."""
        found = self.estimated
        return self.measured is None and found is not None and 0 < found.high == found.low

    @property
    def energy_j(self) -> Range | None:
        """Measured and estimated energy in J within both their bounds; None where unknown."""
        if self.measured is None and self.estimated is None:
            return None
        rest = self.estimated or Range(0.0, 0.0, 0.0)
        value_j, u95_j = 0.0, 0.0
        if self.measured is not None:
            value_j, u95_j = self.measured.value, self.measured.u95
        return Range(
            rest.low + max(0.0, value_j - u95_j),
            rest.mid + max(0.0, value_j),
            rest.high + max(0.0, value_j + u95_j),
        )


@dataclass(frozen=True, slots=True)
class Outlook:
    """Grams of CO2e a kWh stands for, in slots of `SLOT_S` from `begin` (UTC); NaN where unknown.

    A slot in which several values hold has their mean over time. `error` is the relative error
    (0.05: ±5 %) that the values are taken to have, and `error_source` says whose word that is.
    `notes` has what is to be said of it, in words: gaps, rows left out, an old forecast.
    `hindsight`: the values have happened, so what is saved over them is an upper bound.
    `rehearsals` are past days from the same time of day on, two series each: what the others would
    have told of it, and what it was.
    """

    begin: datetime
    g_per_kwh: tuple[float, ...]
    basis: Basis
    zone: str
    place: str
    kind: Literal["average", "marginal"]
    boundary: Literal["consumption", "production"]
    scope: Literal["lifecycle", "direct"]
    source: str
    error: float
    error_source: str
    notes: tuple[str, ...] = ()
    hindsight: bool = False
    rehearsals: tuple[tuple[tuple[float, ...], tuple[float, ...]], ...] = ()

"""What became of a run that was shifted in time: what its plan promised, and what it is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from .uncertainty import Range

# What goes on: a wait before the run; the run; the saving of a checkpoint before a pause; a pause.
Kind = Literal["wait", "run", "save", "pause"]
# What is noted of a wait that the user ended: there is no run to start a machine later for.
STOPPED = "the wait was stopped, and no run followed"


@dataclass(frozen=True, slots=True)
class Stretch:
    """From `start` to `end` (UTC) all devices together drew `energy_j`, in J; None: unknown.

    Measured energy within its 95 % interval and estimated energy within its range, as one range.
    """

    start: datetime
    end: datetime
    energy_j: Range | None


@dataclass(frozen=True, slots=True)
class Segment:
    """What went on between two moments, and what was drawn meanwhile: of it `constant_j`, in J, by
    what draws as much in a pause."""

    kind: Kind
    stretch: Stretch
    constant_j: float = 0.0


@dataclass(frozen=True, slots=True)
class Awaited:
    """What it takes to tell a run's outcome once values have come that were late at its end: whose
    they are (`asked`, of Factors.asked), the zone of ours that they are of, the PUE, and what went
    on, piece by piece and in order."""

    asked: str
    zone: str
    pue: float
    segments: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class Shift:
    """A run that waited or paused for cleaner power, against the same run begun at once.

    `begun` (UTC) is when it could have begun. `planned_fraction` is the share of its emissions that
    its plan promised to save (0.18: 18 %), None where none was made; `basis` and `source` say over
    what. `runs` are what it ran, `pauses` what it did not, writing checkpoints included. `carbon_g`
    are the grams of both, `at_once_g` those of the energy of `runs` alone, drawn from `begun` on
    without a pause; both in g CO2e by the values known at its end, of one `kind`.
    `realised_fraction` is what the first are less than the second, below 0 where they are more.
    What is unknown is None, and `note` says why; beside a figure it says what that lacks. `awaited`
    is of an outcome that its provider may still tell.

    `waits` are the waits before it began, and `waits_g` the grams of what its machine drew in them.
    They are in no other figure: who begins a run later need not have the machine on until then.
    `on_anyway`: by the user's word it runs anyway, and what pauses drew is in no figure either.
    """

    begun: datetime
    planned_fraction: float | None
    basis: Literal["forecast", "trace", "typical day"] | None
    source: str | None
    runs: tuple[Stretch, ...]
    pauses: tuple[Stretch, ...]
    carbon_g: Range | None
    at_once_g: Range | None
    realised_fraction: float | None
    kind: Literal["average", "marginal"] | None
    note: str | None
    waits: tuple[Stretch, ...] = ()
    waits_g: Range | None = None
    awaited: Awaited | None = None
    on_anyway: bool = False

    @property
    def is_finite(self) -> bool:
        """Whether JSON can hold all its figures."""
        awaited = () if self.awaited is None else self.awaited.segments
        stretches = (*self.runs, *self.pauses, *self.waits, *(s.stretch for s in awaited))
        ranges = [self.carbon_g, self.at_once_g, self.waits_g, *(s.energy_j for s in stretches)]
        figures = [bound for r in ranges if r is not None for bound in (r.low, r.mid, r.high)]
        figures += [f for f in (self.planned_fraction, self.realised_fraction) if f is not None]
        figures += [s.constant_j for s in awaited]
        figures += [] if self.awaited is None else [self.awaited.pue]
        return all(map(math.isfinite, figures))

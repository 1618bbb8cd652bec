"""Whether an energy counter can be believed: compared with the power that the device tells.

Counters of some cards give half of what the same card's power adds up to, or less
(ml-energy/zeus issue 181; measuring.md 1.3). The rule there: over stretches of at least 10 s, a
ratio further than 10 % from 1 makes the counter unreliable.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..errors import EnergyError
from ..json_file import load, save

STRETCH_S = 10.0
LIMIT = 0.10
# Polls come about once a second (jittered by half); a longer pause hides too much power.
LONGEST_STEP_S = 2.5
LEAST_READINGS = 8
# How many standard deviations sampling may explain: with 8 readings of a load that jumps, 3 let
# fewer than 1 of 50 good counters be doubted in one stretch (Student's t with 7 degrees).
COVERAGE = 3.0
# A mean power known as well as this leaves nothing to wait for.
CERTAIN = 0.02
# Two stretches must say so: a load in step with the 100 ms of a power sensor that looks for 25 ms
# shows one and the same wrong power for a while (measuring.md 6.4), without any spread.
STRETCHES = 2
# A counter that is renewed every 100 ms may be off by so much at each end.
PERIOD_S = 0.1


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of the comparison: the counter's energy over the integrated power's."""

    reliable: bool
    ratio: float

    @property
    def text(self) -> str | None:
        """What a user is told of a counter that is not to be believed; None of a good one."""
        if self.reliable:
            return None
        return f"energy counter unreliable: it gave {self.ratio:.2f} of the integrated power"


class CrossCheck:
    """Fed with each reading of a counter that comes with a power, until `verdict` is there.

    A stretch that varies too much to tell goes on until its mean power is known well enough.
    """

    def __init__(self) -> None:
        self.verdict: Verdict | None = None
        self._doubts: list[float] = []
        self._last: tuple[float, float, float] | None = None
        self._begin()

    def add(self, t_s: float, energy_j: float, power_w: float) -> None:
        """One reading: monotonic s, counter in J, instantaneous power in W."""
        if self.verdict is not None or not math.isfinite(energy_j + power_w):
            return
        before = self._last
        self._last = t_s, energy_j, power_w
        if before is None or not 0 <= t_s - before[0] <= LONGEST_STEP_S or energy_j < before[1]:
            self._begin()
            return
        dt_s = t_s - before[0]
        self._seconds += dt_s
        self._counted_j += energy_j - before[1]
        self._integrated_j += (before[2] + power_w) / 2 * dt_s
        # Half the square of a difference is the variance of one of two independent readings; of a
        # load that jumps once, it says more than the trapezoid errs (measuring.md 6.4).
        jump_j = (power_w - before[2]) * dt_s
        self._variance_j2 += jump_j * jump_j / 2
        self._readings += 1
        if self._seconds >= STRETCH_S and self._readings >= LEAST_READINGS:
            self._judge()

    def _begin(self) -> None:
        self._seconds, self._counted_j, self._integrated_j = 0.0, 0.0, 0.0
        self._variance_j2 = 0.0
        self._readings = 0

    def _judge(self) -> None:
        if self._integrated_j <= 0:
            self._begin()
            return
        u = math.sqrt(self._variance_j2) / self._integrated_j
        # At each end the counter is up to a period old (measuring.md 6.1).
        u = math.hypot(u, PERIOD_S / self._seconds * math.sqrt(2 / 12))
        ratio = self._counted_j / self._integrated_j
        off = abs(ratio - 1)
        if off - COVERAGE * u > LIMIT:
            if self._doubts and (self._doubts[-1] - 1) * (ratio - 1) < 0:
                self._doubts.clear()  # now too little, then too much: neither is the counter's
            self._doubts.append(ratio)
            if len(self._doubts) >= STRETCHES:
                self.verdict = Verdict(False, sum(self._doubts) / len(self._doubts))
            self._begin()
        elif off + COVERAGE * u <= LIMIT or COVERAGE * u <= CERTAIN:
            self.verdict = Verdict(True, ratio)


class Verdicts:
    """What was found of each counter on this machine, by UUID and driver version, in a small file.

    It saves the next session the looking: where it cannot be read or written, that is all that is
    lost, so no method raises.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._given = file

    def recall(self, uuid: str | None, driver: str | None) -> Verdict | None:
        """The verdict on a counter, if there is one."""
        kept: object = self._read().get(_key(uuid, driver))
        if not isinstance(kept, Mapping):
            return None
        reliable, ratio = kept.get("reliable"), kept.get("ratio")
        if not isinstance(reliable, bool) or not isinstance(ratio, int | float):
            return None
        return Verdict(reliable, float(ratio)) if math.isfinite(ratio) else None

    def remember(self, uuid: str | None, driver: str | None, verdict: Verdict) -> None:
        """Keep a verdict; one on a GPU or driver that is not told is not kept."""
        if uuid is None or driver is None:
            return
        kept = {"reliable": verdict.reliable, "ratio": round(verdict.ratio, 4)}
        with suppress(EnergyError, OSError):
            save(self._file(), {**self._read(), _key(uuid, driver): kept}, 0o600)

    def _read(self) -> dict[str, object]:
        with suppress(EnergyError, OSError):
            return load(self._file())
        return {}

    def _file(self) -> Path:
        """Such as ~/.cache/jupyter-energy/nvml-counters.json."""
        if self._given is not None:
            return self._given
        from platformdirs import user_cache_dir

        return Path(user_cache_dir("jupyter-energy", appauthor=False)) / "nvml-counters.json"


def _key(uuid: str | None, driver: str | None) -> str:
    return f"{uuid} {driver}"

"""What one run of a repeated body drew and took, among several in one window."""

from __future__ import annotations

from dataclasses import dataclass

from .uncertainty import Range, Uncertain


@dataclass(frozen=True, slots=True)
class Repeats:
    """One run of a body that was repeated (`%%energy -r`), as the mean of `runs` in `blocks`.

    The first block, of `first_runs`, is warm-up: it is in no mean, and what its runs drew and took
    stands apart. `measured_j` is None where nothing was measured, `median_j` (of the blocks) and
    `first_j` too; `estimated_j` where nothing was estimated. `auto` where the spread of the blocks
    decided how many runs there were: then the 95 % of its intervals are about 92 %.
    """

    runs: int
    blocks: int
    first_runs: int
    run_s: float
    first_run_s: float
    measured_j: Uncertain | None
    median_j: float | None
    first_j: float | None
    estimated_j: Range | None
    auto: bool = False

"""How fast a loop runs, from its steps so far: how long it takes, and when that has changed."""

from __future__ import annotations

# The first step may import and compile. What comes after it tells the pace from so many steps and
# so many seconds on.
LEAST_STEPS, LEAST_S = 2, 10.0
# Over so long the pace is taken anew; one that is by so much another changes the plan.
RECENT_STEPS, RECENT_S = 3, 300.0
CHANGED = 0.25
# A share of a loop's own time is known once it has run for such a share of it, or for RECENT_S: its
# first steps may compile and fill caches (ours).
YOUNG = 0.05


class Pace:
    """The pace of a loop of `total` steps (None: unknown), or of one that takes `run_s`, in s.

    Told of the steps that are done and of the time that it has run, without its pauses.
    """

    def __init__(self, total: int | None, run_s: float | None) -> None:
        self._total, self._given_s = total, run_s
        self._since: tuple[int, float] | None = None
        self._step_s: float | None = None
        self._planned_step_s: float | None = None
        # its pace over its last steps, and since when
        self._latest_s: float | None = None
        self._latest_since: tuple[int, float] = 0, 0.0

    @property
    def can_be_known(self) -> bool:
        """Whether it can be told how long the loop takes."""
        return self._total is not None or self._given_s is not None

    def note(self, steps: int, ran_s: float) -> None:
        """So many steps have been done in a time."""
        if self._since is None:
            if steps >= 1:
                self._since = self._latest_since = steps, ran_s
            return
        self._note_latest(steps, ran_s)
        many, long_s = steps - self._since[0], ran_s - self._since[1]
        if self._step_s is None or many >= RECENT_STEPS:
            if many >= LEAST_STEPS and long_s >= LEAST_S:
                self._step_s = long_s / many
            if many >= RECENT_STEPS and long_s >= RECENT_S:
                self._since = steps, ran_s

    def _note_latest(self, steps: int, ran_s: float) -> None:
        many, long_s = steps - self._latest_since[0], ran_s - self._latest_since[1]
        if many >= LEAST_STEPS and long_s >= LEAST_S:
            self._latest_s = long_s / many
            self._latest_since = steps, ran_s

    def left_s(self, steps: int, ran_s: float) -> float | None:
        """How long the loop has to go, in s; None while nobody can tell."""
        if self._total is not None and self._step_s is not None:
            return max(0, self._total - steps) * self._step_s
        if self._given_s is not None:
            return max(0.0, self._given_s - ran_s)
        return None

    def least_left_s(self, steps: int, ran_s: float) -> float:
        """How long it has to go, in s, if it stays as fast as its last steps where these were
        faster; 0 while nobody can tell. A share of that is never too much."""
        left_s = self.left_s(steps, ran_s) or 0.0
        if self._step_s is None or self._latest_s is None:
            return left_s
        return left_s * min(1.0, self._latest_s / self._step_s)

    def is_young(self, steps: int, ran_s: float) -> bool:
        """Whether its steps so far do not tell its time well enough to take a share of it."""
        left_s = self.left_s(steps, ran_s)
        if self._step_s is None or left_s is None:
            return False  # by what the user said
        return ran_s < min(RECENT_S, YOUNG * (ran_s + left_s))

    def planned(self) -> None:
        """A plan is made with the pace as it is now."""
        self._planned_step_s = self._step_s

    @property
    def has_changed(self) -> bool:
        """Whether it is far from what the last plan was made with."""
        before, now = self._planned_step_s, self._step_s
        if now is None or before is None:
            return now is not before
        return abs(now - before) > CHANGED * before

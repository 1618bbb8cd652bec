"""What past days leave of the savings that a typical day tells of a run; all of a forecast's."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from ..plan import LEAST_SAVING
from ..plan.nouns import SLOT_S, Job, Outlook
from ..plan.pausing import Powers
from ..plan.saved import costs_of, energy_of, promised
from ..plan.shifting import flexible_start, is_too_long, pause_resume
from .planning import SLOT, slots_of, work_of


class PastDays:
    """The word of past days on one run. They are asked once: a run that is held or paused keeps to
    it, and tries that chance fails may not be repeated until one passes."""

    def __init__(self) -> None:
        self._kept: float | None = None

    def kept(
        self,
        outlook: Outlook,
        now: datetime,
        run_s: float,
        slack_s: float,
        powers: Powers | None = None,
    ) -> float:
        """The part of what an outlook says that a later start saves, or pauses that cost `powers`,
        that may be promised (saved.promised): 0 where past days do not clearly speak for it."""
        if outlook.basis != "typical day":
            return 1.0
        if self._kept is not None:
            return self._kept
        passed = max(0, (now - outlook.begin) // SLOT)
        count = len(work_of(run_s))
        slack = slots_of(slack_s + (now - outlook.begin).total_seconds() - passed * SLOT_S)
        until = passed + count + slack
        ahead = replace(
            outlook,
            begin=outlook.begin + passed * SLOT,
            g_per_kwh=outlook.g_per_kwh[passed:until],
            rehearsals=tuple((a[passed:until], b[passed:until]) for a, b in outlook.rehearsals),
        )
        if count < 1 or not ahead.g_per_kwh:
            return 1.0  # there is nothing to plan, and so nothing to ask
        count = min(count, len(ahead.g_per_kwh))
        # Whole slots of one power are the quickest to plan, and the ratio is what is asked for.
        job = Job(count * SLOT_S, (1 / count,) * count, None, None, "")
        energy_j = energy_of(job)
        if powers is None:
            found = flexible_start(energy_j, ahead.g_per_kwh, slack)
        elif is_too_long(energy_j, ahead.g_per_kwh, slack, *costs_of(job, powers)):
            return 0.0
        else:
            found = pause_resume(energy_j, ahead.g_per_kwh, slack, *costs_of(job, powers))
        saves = 0.0 if found is None else found.saved_fraction or 0.0
        if found is None or saves < LEAST_SAVING:
            return 1.0
        self._kept = promised(job, ahead, found, slack, powers)[1]["mid"] / saves
        return self._kept

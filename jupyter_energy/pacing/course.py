"""A loop on its way: its pace, what lies ahead, its plan, its pauses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from ..plan.nouns import SLOT_S, Outlook
from ..plan.pausing import ASSUMED_IDLE, LEAST_RESUME_S, Powers, assumed, free
from ..reckoning import Promise
from ..shift import Kind, Segment
from ..signals import raise_if_users
from ..units import percent
from .asked import Extend
from .holding import hold
from .meter import Meter
from .outlooking import Outlooks
from .pace import Pace
from .past_days import PastDays
from .planning import NO_GAIN, SLOT, Plan, pauses
from .surroundings import Surroundings
from .telling import TO_STOP, by, until

# A loop looks what is to be done so often, in s; while an answer is under way, so often; and after
# each step for so long, since its first steps tell the pace.
LOOK_S, ANSWER_S, YOUNG_S = 5.0, 0.5, 10.0
# So long it runs before a first plan, in s: what of its power is memory's is known by then.
MEASURED_S = 3.0


class Course:
    """The state of a loop that is paced. Its methods may raise; whoever calls them then lets the
    loop run on."""

    def __init__(
        self,
        around: Surroundings,
        meter: Meter,
        extend: Extend,
        pace: Pace,
        checkpointed: bool,
        on_anyway: bool = False,
    ) -> None:
        self.around, self.meter = around, meter
        self._extend, self._pace, self._checkpointed = extend, pace, checkpointed
        self._on_anyway = on_anyway
        self._outlooks, self._past_days = Outlooks(around), PastDays()
        self._plan: Plan | None = None
        self._steps = 0
        self._began_s = self.look_s = around.monotonic_s()
        # When a pause began by both clocks, while one is under way; its saving is a part of it.
        self._pause: tuple[float, datetime] | None = None
        self._paused_s = (
            0.0  # by the monotonic clock: what of the time since it began it did not run
        )
        self._used_s = 0.0  # of the slack: a machine's sleep in a pause is a part of it
        self._told = self._is_idle_told = False
        self._told_until = around.utc()  # when the pause that is told of ends

    # -- between steps -----------------------------------------------------------------------

    def due(self, steps_done: int) -> bool:
        """Whether a pause begins now. `look_s` says when that is to be asked again."""
        if self._pause is not None:  # the caller did not come to pause
            self._resume()
        self._steps = steps_done
        ran_s = self._ran_s()
        self._pace.note(steps_done, ran_s)
        now_s = self.around.monotonic_s()
        left_s = self._left_s()
        is_young = self._extend.share is not None and self._pace.is_young(steps_done, ran_s)
        if left_s is None or is_young:
            self.look_s = now_s + (0.0 if ran_s < YOUNG_S else ANSWER_S)
            return False
        if ran_s < MEASURED_S:
            self.look_s = now_s + MEASURED_S - ran_s
            return False
        self._replan(left_s)
        self.look_s = now_s + (ANSWER_S if self._outlooks.is_asked else LOOK_S)
        if self._plan is None:
            return False
        now = self.around.utc()
        if left_s > 0 and self._is_worth_a_pause(now):
            self._pause = self.around.monotonic_s(), now
            self.meter.mark("save" if self._checkpointed else "pause")
            return True
        if (begins := self._plan.next_after(now)) is not None:
            self.look_s = min(self.look_s, now_s + (begins - now).total_seconds())
        return False

    def _is_worth_a_pause(self, now: datetime) -> bool:
        """Whether a planned pause lasts for longer from now on than it costs to make."""
        planned = None if self._plan is None else self._plan.pause_at(now)
        if planned is None:
            return False
        lasts_s = min(self._slack_s(), (planned[1] - now).total_seconds())
        # Asks the sensors, so only where it may matter.
        return lasts_s > LEAST_RESUME_S and lasts_s > self._powers().resume_s

    def pause(self) -> None:
        """Hold while the plan says so; what stops the user's code goes through."""
        if self._pause is None:
            return
        if self._checkpointed:
            self.meter.mark("pause")
        planned = None if self._plan is None else self._plan.pause_at(self.around.utc())
        try:
            if planned is not None:
                self._tell_pause(planned[1])
                hold(self.around, planned[1], self._slack_s(), self._again)
        except BaseException:
            self.around.line.say("stopped while it was paused", is_last=True)
            raise
        finally:
            self._resume()
        self.around.line.say("goes on", is_last=True)

    def end(self) -> None:
        """The loop has ended; so has a pause that it did not come to."""
        if self._pause is not None:
            self._resume()

    @property
    def is_silent(self) -> bool:
        """Whether nothing has been told of this loop: it was over before that."""
        return self._plan is None and not self._told and not self._used_s

    # -- within ------------------------------------------------------------------------------

    def _ran_s(self) -> float:
        return max(
            0.0, self.around.monotonic_s() - self._began_s - self._paused_s - self._lasts_s()
        )

    def _lasts_s(self) -> float:
        """How long the pause that is under way has lasted, by the monotonic clock; 0 in none."""
        return 0.0 if self._pause is None else self.around.monotonic_s() - self._pause[0]

    def _left_s(self) -> float | None:
        return self._pace.left_s(self._steps, self._ran_s())

    def _slack_s(self) -> float:
        """How long the loop may still be paused, in s."""
        used_s = self._used_s
        if self._pause is not None:
            used_s += max(self._lasts_s(), (self.around.utc() - self._pause[1]).total_seconds())
        ran_s = self._ran_s()
        left_s = self._pace.least_left_s(self._steps, ran_s)
        return self._extend.slack_s(ran_s + left_s) - used_s

    def _resume(self) -> None:
        """The pause is over, or did not come to be."""
        if self._pause is not None:
            began = self._pause[1]
            lasted_s = self._lasts_s()
            self._paused_s += lasted_s
            self._used_s += max(lasted_s, (self.around.utc() - began).total_seconds())
        self._pause = None
        self.look_s = self.around.monotonic_s()
        self.meter.mark("run")

    def _again(self) -> datetime | None:
        """Until when the pause that is under way lasts, by what has come since; None: as it was."""
        try:
            left_s = self._left_s()
            if left_s is None or not self._replan(left_s):
                return None
            now = self.around.utc()
            planned = None if self._plan is None else self._plan.pause_at(now)
            if planned is None:
                return now
            if abs(planned[1] - self._told_until) >= SLOT:
                self._tell_pause(planned[1])
            return planned[1]
        except Exception as error:  # noqa: BLE001  ours: then it runs on
            raise_if_users(error)
            return self.around.utc()

    def _replan(self, left_s: float) -> bool:
        """Ask for what lies ahead where that is due, and take what has come; whether the plan may
        be another now."""
        slack_s = self._slack_s()
        if self._outlooks.is_due():
            self._outlooks.ask(left_s + max(0.0, slack_s))
        is_new = self._outlooks.taken()
        outlook = self._outlooks.last
        if outlook is None:
            if self._outlooks.why is not None:
                self._runs_on(self._outlooks.why)
            return False
        if not is_new and not self._has_changed():
            return False
        if self._pace.has_changed:  # to the past days it is another run
            self._past_days = PastDays()
        self._pace.planned()
        is_paused = self._pause is not None
        now, powers = self.around.utc(), self._powers()
        kept = self._past_days.kept(outlook, now, left_s, slack_s, powers)
        found = pauses(outlook, now, left_s, slack_s, powers, is_paused, kept)
        before, self._plan = self._plan, found if isinstance(found, Plan) else None
        if isinstance(found, str):
            if not is_paused:
                # What pauses draw is often why there is no gain in them.
                how = [by(outlook), *([_idle(powers)] if found == NO_GAIN else [])]
                self._runs_on(f"{found} ({', '.join(how)})")
            return True
        if self.meter.promise is None:
            # Of the whole run: what has run already, or lies behind the outlook, is not saved on.
            share = min(1.0, found.planned_s / max(found.planned_s, self._ran_s() + left_s))
            promised = found.saved_fraction * share
            run_s = self._ran_s() + left_s
            self.meter.promise = Promise(
                promised, outlook.basis, outlook.source, run_s, on_anyway=self._on_anyway
            )
        if not is_paused and (before is None or before.pauses != found.pauses):
            self._tell_plan(found, outlook, powers)
        return True

    def _has_changed(self) -> bool:
        """Whether the loop, or what its pauses draw, is not as it was planned with."""
        if self._pause is not None and not self._is_idle_told and self._lasts_s() >= SLOT_S:
            self._is_idle_told = True
            return True
        return self._pace.has_changed

    def _powers(self) -> Powers:
        """What pauses draw and cost, from those there have been up to now."""
        segments = self.meter.segments()
        run_w, pause_w = mean_w(segments, "run"), mean_w(segments, "pause")
        if not run_w:
            return free() if self._on_anyway else Powers()
        powers = free() if self._on_anyway else assumed(constant_share(segments))
        if pause_w is not None and not self._on_anyway:
            powers = replace(powers, idle=min(1.0, pause_w / run_w), is_measured=True)
        saves = [
            s.stretch.energy_j.mid for s in segments if s.kind == "save" and s.stretch.energy_j
        ]
        if saves:
            of_one_s = sum(saves) / len(saves) / run_w
            powers = replace(powers, resume_s=max(powers.resume_s, of_one_s))
        return powers

    # -- telling -----------------------------------------------------------------------------

    def _tell_plan(self, plan: Plan, outlook: Outlook, powers: Powers) -> None:
        many = "1 pause" if len(plan.pauses) == 1 else f"{len(plan.pauses)} pauses"
        now = self.around.utc()
        if plan.pause_at(now) is not None:
            return  # it is told in a moment
        when = until(plan.pauses[0][0], now)
        self.around.line.say(
            f"{many} planned, at {when} first: {_saves(plan, outlook, powers)}; {TO_STOP}"
        )

    def _tell_pause(self, goes_on: datetime) -> None:
        plan, outlook = self._plan, self._outlooks.last
        if plan is not None and outlook is not None:
            when = until(goes_on, self.around.utc())
            saves = _saves(plan, outlook, self._powers())
            self._told_until = goes_on
            self.around.line.say(f"paused until {when}: {saves}; {TO_STOP}")

    def _runs_on(self, why: str) -> None:
        """Say once that it runs on, and why, where it has not been paused."""
        if not self._told and not self._used_s:
            self._told = True
            self.around.line.say(f"runs on without a pause: {why}", is_last=True)


def _saves(plan: Plan, outlook: Outlook, powers: Powers) -> str:
    """What a plan saves, and over what it was made."""
    return (
        f"saves about {percent(plan.saved_fraction)} of the emissions attributed to what is left "
        f"of this run, {by(outlook)}{'' if powers.is_measured else f', {_idle(powers)}'}"
    )


def _idle(powers: Powers) -> str:
    """What a pause draws of the loop's power, and how that is known."""
    if powers.on_anyway:
        return "the machine runs anyway"
    draws = f"draw {percent(powers.idle)} of the loop's power"
    if powers.is_measured:
        return f"pauses {draws}, as measured in one"
    of_memory = f" (memory's whole, {percent(ASSUMED_IDLE)} of the rest)" if powers.constant else ""
    return f"pauses assumed to {draws}{of_memory}"


def constant_share(segments: Sequence[Segment]) -> float:
    """The share of a run's energy that is drawn in a pause as well (0 to 1)."""
    runs = [(s.constant_j, s.stretch.energy_j) for s in segments if s.kind == "run"]
    whole_j = sum(energy_j.mid for _, energy_j in runs if energy_j is not None)
    of_j = sum(constant_j for constant_j, energy_j in runs if energy_j is not None)
    return min(1.0, of_j / whole_j) if whole_j > 0 else 0.0


def mean_w(segments: Sequence[Segment], kind: Kind) -> float | None:
    """Mean power in W over the segments of a kind whose energy is known; None without any."""
    seconds, joules = timedelta(0), 0.0
    for segment in segments:
        energy_j = segment.stretch.energy_j
        if segment.kind == kind and energy_j is not None:
            seconds += segment.stretch.end - segment.stretch.start
            joules += energy_j.mid
    return joules / seconds.total_seconds() if seconds > timedelta(0) else None

"""Which plan answers which tick: the controller's side of the lock-step, without ROS."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from kd_planner_ros.core.ego import EgoState
from kd_planner_ros.core.records import Control, Plan
from kd_planner_ros.driving.pilot import Pilot
from kd_planner_ros.driving.supervisor import Reason, last_stop
from kd_planner_ros.sync.aligner import JUMP_NS
from kd_planner_ros.sync.cadence import Cadence

PLAN_LATE, CLOCK_MISSING, ODOMETRY_STALE = Reason.PLAN_LATE, "clock_missing", "odometry_stale"


class PlanGate:
    """Gives exactly one control per tick, stamped with the tick's stamp.

    In lock-step a tick for which a plan is due waits for that plan, at most ``timeout_s`` of wall time. After a plan
    failed to come nothing is waited for until there is one again, so a dead planner costs one wait and not one a tick.
    A tick that comes while another waits is answered at once: the world does not wait, and the pilot knows how old its plan may be.
    Where there is a fallback planner, the same holds for its plans while the planner gives none: else a world that waits for nobody would
    tick on until they are stale.

    Args:
        send: called with the control of each tick.
        slower_period_s: time between the fallback planner's plans; 0: there is none.
        now_s: wall clock.
    """

    def __init__(self, pilot: Pilot, period_s: float, lockstep: bool, timeout_s: float,
                 send: Callable[[Control, EgoState], None], now_s: Callable[[], float] = time.monotonic, slower_period_s: float = 0.0):
        self.pilot, self._lockstep, self._timeout_s, self._send, self._now_s = pilot, lockstep, timeout_s, send, now_s
        self._cadence, self._slower = Cadence(period_s), Cadence(slower_period_s) if slower_period_s else None
        self.waits_missed = self.slower_missed = 0
        self._sent: tuple[Control, EgoState] | None = None
        self.reset()

    def values(self) -> dict[str, Any]:
        """Facts for the diagnostics: plans that came too late, and the ticks with each reason and fault of the supervisor."""
        late = {} if self._slower is None else {"fallback plans late": self.slower_missed}
        return {"plans late": self.waits_missed, **late, **{f"ticks with {name}": n for name, n in self.pilot.supervisor.counts.items()}}

    def reset(self) -> None:
        """Forget everything: time was set back, or a new drive begins."""
        self.pilot.reset()
        self._cadence.reset()
        if self._slower is not None:
            self._slower.reset()
        self._slower_lost = self._for_slower = False
        self._waiting: EgoState | None = None
        self._deadline_s = 0.0
        self._last_ns: int | None = None
        self._lost = False
        self._failed_ns: int | None = None

    def tick(self, ego: EgoState) -> None:
        """One odometry message: answered at once, or when its plan is there."""
        if self._last_ns is not None and ego.stamp_ns <= self._last_ns:
            return  # each tick is answered once
        if self.pilot.knows_later(ego.stamp_ns + JUMP_NS):
            self.pilot.reset()  # a plan from before time was set back, which came after the reset
        self._last_ns = ego.stamp_ns
        given_up, self._waiting = self._waiting is not None, None
        due = self._lockstep and self._cadence.due(ego.stamp_ns)
        here = self.pilot.plan is not None and self.pilot.plan.stamp_ns == ego.stamp_ns
        if due and not here and not given_up and not self._lost and self._failed_ns != ego.stamp_ns:
            self._wait(ego)
        else:
            self._settle(ego, given_up)

    def _wait(self, ego: EgoState, for_slower: bool = False) -> None:
        self._waiting, self._deadline_s, self._for_slower = ego, self._now_s() + self._timeout_s, for_slower

    def _settle(self, ego: EgoState, given_up: bool = False) -> None:
        """Answer; or wait for the fallback planner's plan, where the planner has none and that one is due."""
        due = self._lockstep and self._slower is not None and self._slower.due(ego.stamp_ns)
        if due and self.pilot.failed and not given_up and not self._slower_lost:
            self._wait(ego, for_slower=True)
        else:
            self._answer(ego)

    def take(self, plan: Plan) -> None:
        """A plan has come. One from the future is from before time was set back, and is left out."""
        if self._lies_ahead(plan.stamp_ns):
            return
        self.pilot.take(plan)
        self._lost = False
        self._cadence.mark(plan.stamp_ns)
        self._resume(plan.stamp_ns)

    def take_slower(self, plan: Plan) -> None:
        """A plan of the fallback planner has come. One from the future is left out as in ``take``."""
        if not self._lies_ahead(plan.stamp_ns):
            self.pilot.take(plan, slower=True)
            self._hear_slower(plan.stamp_ns)

    def fail_slower(self, stamp_ns: int, error: str) -> None:
        """The fallback planner says that it has no plan for ``stamp_ns``: its last one counts."""
        if not self._lies_ahead(stamp_ns):
            self._hear_slower(stamp_ns)

    def _hear_slower(self, stamp_ns: int) -> None:
        """Answer the tick that waits unless a newer plan is due in it: that planner may work off an older picture first."""
        self._slower_lost = False
        if self._slower is None:
            return
        self._slower.mark(stamp_ns)
        if self._for_slower and self._waiting is not None and not self._slower.due(self._waiting.stamp_ns):
            self._resume(self._waiting.stamp_ns)

    def fail(self, stamp_ns: int, error: str) -> None:
        """The planner says that it has no plan for ``stamp_ns``; ``error`` is the class name of what went wrong. One from the
        future is left out as in ``take``."""
        if self._lies_ahead(stamp_ns):
            return
        self.pilot.fail(Reason.INPUT_FAILED if error == "SensorError" else Reason.PLANNER_FAILED)
        self._cadence.mark(stamp_ns)
        self._failed_ns = stamp_ns
        if self._waiting is not None and stamp_ns >= self._waiting.stamp_ns and not self._for_slower:
            ego, self._waiting = self._waiting, None
            self._settle(ego)

    def expire(self) -> bool:
        """Call now and then: answers a tick that has waited too long with what the pilot falls back on; True if there was one."""
        if self._waiting is None or self._now_s() < self._deadline_s:
            return False
        if self._for_slower and self._slower is not None:
            self._slower_lost = True
            self.slower_missed += 1
            self._slower.mark(self._waiting.stamp_ns)
        else:
            self._lost = True
            self.waits_missed += 1
            self._cadence.mark(self._waiting.stamp_ns)
            self.pilot.fail(PLAN_LATE)
        self._resume(self._waiting.stamp_ns)
        return True

    def stop(self, ego: EgoState | None, stamp_ns: int | None, reason: str) -> None:
        """One safe-stop control outside the ticks, for ``reason``, stamped ``stamp_ns``. Nothing happens where that stamp
        was answered already, or where ``ego`` or the time is not known yet."""
        if ego is None or stamp_ns is None or (self._last_ns is not None and stamp_ns <= self._last_ns):
            return
        self.pilot.fail(reason)
        self._waiting = None
        self._last_ns = stamp_ns
        self._answer(replace(ego, stamp_ns=stamp_ns))

    def leave(self, stamp_ns: int | None, reason: str) -> bool:
        """The last control before silence, once: a full safe stop, also in a tick that was answered already, and also where time
        was set back. Whether there was one: there is none where no control was sent since the last ``leave``.

        Args:
            stamp_ns: the time now; None: that of the last control.
        """
        self.reset()
        if self._sent is None:
            return False
        last, ego = self._sent
        stamp_ns = last.stamp_ns if stamp_ns is None else stamp_ns
        self._send(last_stop(last, stamp_ns, reason, self.pilot.supervisor.limits), replace(ego, stamp_ns=stamp_ns))
        self._sent = None
        return True

    def _lies_ahead(self, stamp_ns: int) -> bool:
        return self._last_ns is not None and stamp_ns > self._last_ns + JUMP_NS

    def _resume(self, stamp_ns: int) -> None:
        if self._waiting is not None and stamp_ns >= self._waiting.stamp_ns:
            ego, self._waiting = self._waiting, None
            self._answer(ego)

    def _answer(self, ego: EgoState) -> None:
        control = replace(self.pilot.step(ego, ego.stamp_ns), stamp_ns=ego.stamp_ns)
        self._sent = control, ego
        self._send(control, ego)

"""Which of a plan's candidates is followed: the best one, or the next best that passes when it fails. Open to every planner that has some.

A candidate passes if its trajectory is plausible (``check_trajectory``), and if on it the car keeps away from the road users that the
planner detects (``clearance.unsafe``).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kd_planner_ros.core.ego import EgoState
from kd_planner_ros.core.records import Plan, Trajectory
from kd_planner_ros.driving.clearance import GateSettings, unsafe
from kd_planner_ros.driving.supervisor import Limits, Reason, check_trajectory


class CandidateGate:
    """Chooses once for each plan."""

    def __init__(self, settings: GateSettings = GateSettings()):
        self.settings = settings
        self.reset()

    def reset(self) -> None:
        """Forget the last choice."""
        self._last: tuple[Plan, Plan, str] | None = None

    def choose(self, plan: Plan, ego: EgoState, limits: Limits) -> tuple[Plan, str]:
        """(the plan to follow, what is wrong with the best candidate).

        The plan is ``plan`` itself where nothing is wrong, where it has no candidates with scores, or where none of them passes; else
        ``plan`` with the trajectory of the next best candidate, without the control branch's wish. Candidates with a score below 0, or
        one that is not finite, are never followed.
        """
        if plan.candidates is None or plan.scores is None or not np.isfinite(ego.speed_mps):
            return plan, ""
        if self._last is None or self._last[0] is not plan:
            self._last = (plan, *self._choose(plan, ego, limits))
        return self._last[1:]

    def _choose(self, plan: Plan, ego: EgoState, limits: Limits) -> tuple[Plan, str]:
        fault = self._fault(plan, ego, limits)
        if not fault or plan.candidates is None or plan.scores is None:
            return plan, fault
        candidates, scores = np.asarray(plan.candidates, float), np.asarray(plan.scores, float)
        usable = np.flatnonzero(np.isfinite(scores) & (scores >= 0.0))
        for index in usable[np.argsort(-scores[usable], kind="stable")]:
            trajectory = Trajectory(plan.trajectory.stamp_ns, candidates[index], plan.trajectory.times_s)
            other = replace(plan, trajectory=trajectory, control=None)
            if not np.array_equal(candidates[index], plan.trajectory.points) and not self._fault(other, ego, limits):
                return other, fault
        return plan, fault

    def _fault(self, plan: Plan, ego: EgoState, limits: Limits) -> str:
        if fault := check_trajectory(plan, ego.speed_mps, limits):
            return fault
        return Reason.PLAN_UNSAFE if plan.detections is not None and unsafe(plan, plan.detections, ego.speed_mps, self.settings) else ""

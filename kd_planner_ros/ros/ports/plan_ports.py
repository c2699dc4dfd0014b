"""Plans as they arrive: two messages of equal stamp become one Plan. For the controller and for the recorder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sensor_msgs.msg import JointState
from trajectory_msgs.msg import MultiDOFJointTrajectory

from kd_planner_ros.core.records import Plan
from kd_planner_ros.ros.adapters import standard
from kd_planner_ros.ros.qos import COMMAND, subscribe
from kd_planner_ros.ros.stamps import from_stamp


class PlanSubscription:
    """Subscribes to ``joint_trajectory`` and ``plan_state``.

    Args:
        guard: wraps a callback so that it does not raise; called with (callback, port's name).
        on_plan: gets each plan whose two messages have come.
        on_fault: gets (stamp_ns, error's class name) when the planner says that there is none.
    """

    def __init__(self, node: Any, guard: Callable[[Callable, str], Callable], on_plan: Callable[[Plan], None],
                 on_fault: Callable[[int, str], None], on_mismatch: Callable[[str], None] | None = None):
        self._on_plan, self._on_fault = on_plan, on_fault
        self.reset()
        self.subscriptions = [
            subscribe(node, MultiDOFJointTrajectory, "joint_trajectory", guard(self._take_joints, "joint_trajectory"),
                      COMMAND, on_mismatch),
            subscribe(node, JointState, "plan_state", guard(self._take_state, "plan_state"), COMMAND, on_mismatch)]

    def reset(self) -> None:
        """Forget half a plan."""
        self._joints: MultiDOFJointTrajectory | None = None
        self._state: JointState | None = None

    def _take_joints(self, message: MultiDOFJointTrajectory) -> None:
        self._joints = message
        self._pair()

    def _take_state(self, message: JointState) -> None:
        error = standard.fault_from_state(message)
        if error is not None:
            self._on_fault(from_stamp(message.header.stamp), error)
            return
        self._state = message
        self._pair()

    def _pair(self) -> None:
        joints, state = self._joints, self._state
        if joints is not None and state is not None and joints.header.stamp == state.header.stamp:
            self.reset()
            self._on_plan(standard.plan_from_msgs(joints, state))

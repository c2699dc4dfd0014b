"""From Plans to the planner's topics."""

from __future__ import annotations

from typing import Any

from nav_msgs.msg import Path
from sensor_msgs.msg import Image, JointState
from trajectory_msgs.msg import MultiDOFJointTrajectory
from visualization_msgs.msg import MarkerArray

from kd_planner_ros.core.records import EgoState, Plan
from kd_planner_ros.ros.adapters import standard
from kd_planner_ros.ros.qos import COMMAND, advertise


class PlannerOutputs:
    """Publishes each plan once, under its own stamp; silent while the node is not active.

    Messages for people (path, markers, attention) are only built while somebody listens.
    """

    def __init__(self, node: Any, adapter: Any, first_camera: str):
        self._adapter, self._base_frame, self._camera = adapter, adapter.frame_id(), first_camera

        def port(kind: type, topic: str) -> Any:
            return advertise(node, kind, topic, COMMAND, lifecycle=True)

        self._joints = port(MultiDOFJointTrajectory, "joint_trajectory")
        self._state = port(JointState, "plan_state")
        self._path = port(Path, "trajectory")
        self._markers = port(MarkerArray, "markers")
        self._attention = port(Image, "attention")
        self._node = node

    def publish(self, plan: Plan, ego: EgoState) -> None:
        """Send ``plan``, made for ``ego``. The attention goes first, so that it is there when the plan is."""
        if plan.attention is not None and self._attention.get_subscription_count():
            self._attention.publish(self._adapter.to_msg("attention", plan.attention, plan.stamp_ns, self._camera))
        self._joints.publish(standard.trajectory_to_joints(plan.trajectory, self._base_frame))
        self._state.publish(standard.plan_to_state(plan, self._base_frame))
        self._path.publish(standard.trajectory_to_path(plan.trajectory, ego.pose))
        if self._markers.get_subscription_count():
            self._markers.publish(standard.plan_to_markers(plan, ego.pose))

    def fault(self, stamp_ns: int, name: str) -> None:
        """Say that there is no plan for ``stamp_ns``, so that nobody waits for it."""
        self._state.publish(standard.fault_to_state(stamp_ns, name, self._base_frame))

    def close(self) -> None:
        """Drop the publishers."""
        for one in (self._joints, self._state, self._path, self._markers, self._attention):
            self._node.destroy_lifecycle_publisher(one)

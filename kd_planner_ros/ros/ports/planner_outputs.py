"""From Plans to the planner's topics."""

from __future__ import annotations

from typing import Any

from nav_msgs.msg import Path
from trajectory_msgs.msg import MultiDOFJointTrajectory
from visualization_msgs.msg import MarkerArray

from kd_planner_ros.core.records import Frame, Plan
from kd_planner_ros.ros.adapters import standard
from kd_planner_ros.ros.adapters.foreign import ForeignPort
from kd_planner_ros.ros.adapters.plan_markers import plan_to_markers
from kd_planner_ros.ros.qos import COMMAND, advertise
from kd_planner_ros.wire.codec.autoware import Placed
from kd_planner_ros.wire.codec.base import MAP_FRAME
from kd_planner_ros.wire.codec.plans import PARTS, Fault, parts_of


class PlannerOutputs:
    """Publishes each plan once, under its own stamp; silent while the node is not active.

    Messages for others (trajectories, markers, attention) are only built while somebody listens.
    """

    def __init__(self, node: Any, adapter: Any, first_camera: str):
        self._node, self._adapter, self._base_frame, self._camera = node, adapter, adapter.frame_id(), first_camera

        def port(kind: type, topic: str) -> Any:
            return advertise(node, kind, topic, COMMAND, lifecycle=True)

        self._tables = {name: port(adapter.type_of(name), name) for name in ("plan", *PARTS, "attention")}
        self._path = port(Path, "trajectory")
        self._joints = port(MultiDOFJointTrajectory, "joint_trajectory")
        self._markers = port(MarkerArray, "markers")
        self._boxes, *self._placed = (ForeignPort(node, name, COMMAND, lifecycle=True) for name in (
            "detections_3d", "autoware_trajectory", "autoware_candidates", "autoware_objects"))

    def publish(self, plan: Plan, frame: Frame) -> None:
        """Send ``plan``, made of ``frame``. Its parts and the attention go first, so that they are there when the plan is."""
        if plan.attention is not None and self._tables["attention"].get_subscription_count():
            self._send("attention", plan.attention, plan.stamp_ns, self._camera)
        for name, record in parts_of(plan).items():
            self._send(name, record, plan.stamp_ns)
        self._send("plan", plan, plan.stamp_ns)
        if self._path.get_subscription_count():
            self._path.publish(standard.trajectory_to_path(plan.trajectory, frame.ego.pose))
        if self._joints.get_subscription_count():
            self._joints.publish(standard.trajectory_to_joints(plan.trajectory, self._base_frame))
        if self._markers.get_subscription_count():
            self._markers.publish(plan_to_markers(plan, frame.ego.pose))
        if plan.detections is not None:
            self._boxes.publish(plan.detections, plan.stamp_ns, self._base_frame)
        for port in (one for one in self._placed if one.wanted):
            port.publish(Placed(plan, frame.ego.pose), plan.stamp_ns, MAP_FRAME)

    def fault(self, stamp_ns: int, name: str) -> None:
        """Say that there is no plan for ``stamp_ns``, so that nobody waits for it."""
        self._send("plan", Fault(stamp_ns, name), stamp_ns)

    def close(self) -> None:
        """Drop the publishers."""
        for one in (*self._tables.values(), self._path, self._joints, self._markers):
            self._node.destroy_lifecycle_publisher(one)
        for foreign in (self._boxes, *self._placed):
            foreign.close()

    def _send(self, channel: str, record: Any, stamp_ns: int, sensor: str = "") -> None:
        self._tables[channel].publish(self._adapter.to_msg(channel, record, stamp_ns, sensor))

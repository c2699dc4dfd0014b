"""A perception's named numbers as messages: all of them, the ego's twist, and the steering angle."""

from __future__ import annotations

import math
from typing import Any

from geometry_msgs.msg import TwistStamped
from sensor_msgs.msg import JointState

from kd_planner_ros.core.outputs import TWIST, Perception, vehicle_twist
from kd_planner_ros.core.records import Control, Frame
from kd_planner_ros.ros.adapters import standard
from kd_planner_ros.ros.adapters.optional import missing_sentence
from kd_planner_ros.ros.qos import STATE, advertise

STEER = "steer"
SCALE = ("scale", "plane_inliers")
"""Numbers that say how well a network's lengths are metres."""


class PerceptionMotion:
    """Publishers of the numbers that the first perception ``first`` has."""

    def __init__(self, node: Any, adapter: Any, first: Perception):
        self._node, self._adapter = node, adapter
        self._told: dict[str, str] = {}
        self._scalars = advertise(node, JointState, "perception_scalars", STATE, lifecycle=True)
        moves, steers = set(TWIST) <= set(first.scalars), STEER in first.scalars
        self._twist = advertise(node, TwistStamped, "perception_twist", STATE, lifecycle=True) if moves else None
        self._steers, self._kind = steers, standard.steering_type() if steers else None
        self._steering = None if self._kind is None else advertise(node, self._kind, "perception_steering", STATE, lifecycle=True)

    def publish(self, seen: Perception, frame: Frame) -> None:
        """Send what ``seen`` has and somebody listens to; a twist or an angle that is not known is not sent."""
        scalars = seen.scalars
        self._told |= {name: f"{scalars[name]:.3f}" for name in SCALE if name in scalars}
        if scalars and self._scalars.get_subscription_count():
            self._scalars.publish(self._adapter.to_msg("scalars", dict(scalars), seen.stamp_ns))
        if self._twist is not None and self._twist.get_subscription_count() and (twist := vehicle_twist(seen)) is not None:
            self._twist.publish(self._adapter.to_msg("perception_twist", twist, seen.stamp_ns))
        if self._steering is not None and self._steering.get_subscription_count() and math.isfinite(scalars.get(STEER, math.nan)):
            control = Control(seen.stamp_ns, 0.0, scalars[STEER], 0.0)
            speed = frame.ego.speed_mps if math.isfinite(frame.ego.speed_mps) else scalars.get(TWIST[0], math.nan)
            self._steering.publish(standard.steering_to_msg(self._kind, control, speed if math.isfinite(speed) else 0.0,
                                                            self._adapter.max_steer_rad, self._adapter.frame_id()))

    def values(self) -> dict[str, Any]:
        """Facts for the diagnostics: numbers of ``SCALE`` in the last perception that had them, and what cannot be sent."""
        if not self._steers or self._kind is not None:
            return dict(self._told)
        lacks = missing_sentence("ackermann_msgs", f"the angle is the number '{STEER}' of perception/scalars")
        return {**self._told, "steering message": lacks}

    def close(self) -> None:
        """Drop the publishers."""
        for one in (self._scalars, self._twist, self._steering):
            if one is not None:
                self._node.destroy_lifecycle_publisher(one)

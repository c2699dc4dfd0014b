"""From controls to the controller's topics."""

from __future__ import annotations

from typing import Any

from rclpy.duration import Duration
from std_msgs.msg import String

from kd_planner_ros.core.ego import EgoState
from kd_planner_ros.core.records import Control
from kd_planner_ros.driving.supervisor import FALLBACKS, WISHES
from kd_planner_ros.ros.adapters import standard
from kd_planner_ros.ros.adapters.optional import missing_sentence
from kd_planner_ros.ros.diagnostics import ERROR, WARN, Health
from kd_planner_ros.ros.qos import COMMAND, LATCHED, advertise

ARRIVAL_S = 0.2
"""Longest wait for the readers of the last control; one that hangs must not keep the node from ending."""


class ControllerOutputs:
    """Publishes each control once, its reason when that changes, and the steering angle where that has a message."""

    def __init__(self, node: Any, adapter: Any, max_steer_rad: float, health: Health):
        self._adapter, self._max_steer_rad, self._health = adapter, max_steer_rad, health
        self._node, self.sent, self._reason = node, 0, ""
        self._control = advertise(node, adapter.control_type, "control", COMMAND, lifecycle=True)
        self._reasons = advertise(node, String, "control_reason", LATCHED)
        self._kind = standard.steering_type()
        self._steering = None
        if self._kind is not None:
            self._steering = advertise(node, self._kind, "steering", COMMAND, lifecycle=True)

    def send(self, control: Control, ego: EgoState) -> None:
        """One control, made for ``ego``."""
        self._control.publish(self._adapter.control_to_msg(control))
        self.sent += 1
        if self._steering is not None:
            self._steering.publish(standard.steering_to_msg(self._kind, control, ego.speed_mps, self._max_steer_rad,
                                                            self._adapter.frame_id()))
        if control.reason != self._reason:
            self._reason = control.reason
            self._reasons.publish(String(data=control.reason))
            if control.reason in WISHES:
                self._health.clear("stop")
            elif control.reason in FALLBACKS:
                self._health.set("stop", WARN, f"fallback: {control.reason}")
            else:
                self._health.set("stop", ERROR, f"safe stop: {control.reason}")

    def values(self) -> dict[str, Any]:
        """Facts for the diagnostics."""
        steering = self._kind.__name__ if self._kind is not None else missing_sentence(
            "ackermann_msgs", "no steering topic; the control topic is complete without it")
        return {"steering message": steering, "controls sent": self.sent}

    def flush(self) -> None:
        """Wait until the last control has arrived where it can, at most ``ARRIVAL_S``."""
        self._control.wait_for_all_acked(Duration(seconds=ARRIVAL_S))

    def close(self) -> None:
        """Drop the publishers, and with them the latched reason."""
        self._health.clear("stop")
        for one in (self._control, self._reasons, self._steering):
            if one is not None:
                self._node.destroy_lifecycle_publisher(one)

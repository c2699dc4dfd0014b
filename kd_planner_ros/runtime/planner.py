"""A learned network as a Planner."""

from __future__ import annotations

from dataclasses import replace

from kd_planner_ros.core.records import Frame, Plan
from kd_planner_ros.networks.planner import Planner
from kd_planner_ros.runtime.network_model import NetworkModel


class NetworkPlanner(NetworkModel[Plan], Planner):
    """A planner whose network runs on one engine."""

    def plan(self, frame: Frame) -> Plan:
        """The plan for ``frame``, with the time from its pixels to its waypoints in ``inference_ms``.

        Raises:
            SensorError: a declared sensor is missing from the frame, or has the wrong size.
        """
        plan, spent_ms = self.run(frame)
        return replace(plan, inference_ms=sum(spent_ms.values()))

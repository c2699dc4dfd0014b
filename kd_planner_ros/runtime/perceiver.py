"""A learned network as a Perceiver."""

from __future__ import annotations

from dataclasses import replace

from kd_planner_ros.core.outputs import Perception
from kd_planner_ros.core.records import Frame
from kd_planner_ros.networks.planner import Perceiver
from kd_planner_ros.runtime.network_model import NetworkModel


class NetworkPerceiver(NetworkModel[Perception], Perceiver):
    """A perceiver whose network runs on one engine."""

    def perceive(self, frame: Frame) -> Perception:
        """What is seen in ``frame``, with the time from its pixels to its outputs in ``inference_ms``.

        Raises:
            SensorError: a declared sensor is missing from the frame, or has the wrong size.
        """
        found, spent_ms = self.run(frame)
        return replace(found, inference_ms=spent_ms)

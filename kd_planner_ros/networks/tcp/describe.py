"""How TCP presents itself to tables, drawings and explanations."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from kd_planner_ros.core.records import Frame
from kd_planner_ros.geometry.frames import base_to_planner, to_base
from kd_planner_ros.networks.describe import Description
from kd_planner_ros.networks.tcp.config import TCPConfig


def published(config: TCPConfig) -> dict[str, float]:
    """PlanKD's Table 5: parameters, multiply-accumulates and milliseconds."""
    return {name: value for name, value in asdict(config.spec).items() if name.startswith(("parameters", "paper_"))}


def taught_waypoints(recording: Any, frame: Frame, processor: Any) -> np.ndarray:
    """Where the car was at each of the processor's times ahead [T, 2]: metres, planner frame, NaN where unknown."""
    stamps = frame.stamp_ns + np.round(processor.times_s * 1e9).astype(np.int64)
    return base_to_planner(to_base(recording.timeline.ego.take(stamps)[:, :2], frame.ego.pose))


DESCRIPTION = Description("TCP", "l2_m", ("image",), published, taught_waypoints)

"""How TCP presents itself to tables, drawings and explanations."""

from __future__ import annotations

from typing import Any

import numpy as np

from kd_planner_ros.core.records import Frame
from kd_planner_ros.geometry.frames import base_to_planner, to_base
from kd_planner_ros.networks.describe import Description, published_of_spec


def taught_waypoints(recording: Any, frame: Frame, processor: Any) -> np.ndarray:
    """Where the car was at each of the processor's times ahead [T, 2]: metres, planner frame, NaN where unknown."""
    stamps = frame.stamp_ns + np.round(processor.times_s * 1e9).astype(np.int64)
    return base_to_planner(to_base(recording.timeline.ego.take(stamps)[:, :2], frame.ego.pose))


DESCRIPTION = Description("TCP", "l2_m", ("image",), published_of_spec, taught_waypoints,
                          bench_size="13.9m")  # the student of PlanKD's main comparison

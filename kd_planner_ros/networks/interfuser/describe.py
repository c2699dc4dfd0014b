"""How InterFuser presents itself to tables, drawings and explanations."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.records import Frame
from kd_planner_ros.geometry.frames import base_to_planner
from kd_planner_ros.networks.describe import Description
from kd_planner_ros.networks.interfuser.config import InterFuserConfig
from kd_planner_ros.networks.interfuser.targets import path_targets

VIEWS = ("left", "front", "right")
"""The camera views that are distilled, in PlanKD's order."""


def published(config: InterFuserConfig) -> dict[str, float]:
    """PlanKD's Table 5: parameters, multiply-accumulates, the printed FLOPs and milliseconds."""
    return {name: value for name, value in asdict(config.spec).items() if name.startswith(("parameters", "paper_"))}


def taught_waypoints(recording: Any, frame: Frame, processor: Any) -> np.ndarray:
    """The next points of the route [T, 2]: metres, planner frame, NaN past its end.

    Raises:
        BagError: no route was recorded.
    """
    if recording.route is None:
        raise BagError(f"{recording.topics.route} in {recording.path}", "no such topic", "record the route too")
    ego = recording.timeline.ego
    until = ego.values[:int(ego.at(np.array([frame.stamp_ns]))[0]) + 1]
    return base_to_planner(path_targets(recording.route, until[:, [0, 1, 3]])[-1])


DESCRIPTION = Description("InterFuser", "path_m", VIEWS, published, taught_waypoints)

"""How InterFuser presents itself to tables, drawings and explanations."""

from __future__ import annotations

from typing import Any

import numpy as np

from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.records import Frame
from kd_planner_ros.geometry.frames import base_to_planner
from kd_planner_ros.networks.blocks.inputs import DISTILLED_VIEWS
from kd_planner_ros.networks.describe import Description, published_of_spec
from kd_planner_ros.networks.interfuser.targets import path_targets


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


DESCRIPTION = Description("InterFuser", "path_m", DISTILLED_VIEWS, published_of_spec, taught_waypoints)

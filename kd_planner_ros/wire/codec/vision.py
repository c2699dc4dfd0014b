"""Detected road users as vision_msgs/Detection3DArray, names of classes as vision_msgs/LabelInfo."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.outputs import NO_ID, Detections
from kd_planner_ros.core.scene import ActorKind
from kd_planner_ros.wire.codec.base import Make, header, pose, vector

LABEL_INFO = "vision_msgs/msg/LabelInfo"
DETECTIONS_3D = "vision_msgs/msg/Detection3DArray"


def detections_3d(make: Make, found: Detections, stamp_ns: int, frame: str) -> Any:
    """``found`` in ``frame`` (the vehicle's). A box's centre is half its height above the ground. The class is ActorKind's name in
    lower case; an unknown height is 0, as the message has no other word for it."""
    return make(DETECTIONS_3D, header=header(make, stamp_ns, frame), detections=[_one(make, row, stamp_ns, frame) for row in found.rows])


def label_info(make: Make, labels: Sequence[str], stamp_ns: int, frame: str) -> Any:
    """Names of classes in the order of their ids, for ``mono8`` pictures of class ids."""
    classes = [make("vision_msgs/msg/VisionClass", class_id=number, class_name=name) for number, name in enumerate(labels)]
    return make(LABEL_INFO, header=header(make, stamp_ns, frame), class_map=classes, threshold=0.0)


def _one(make: Make, row: np.void, stamp_ns: int, frame: str) -> Any:
    height, ground = (float(np.nan_to_num(row[name])) for name in ("height", "z"))
    centre = pose(make, Pose(float(row["x"]), float(row["y"]), ground + height / 2.0, float(row["yaw"])))
    box = make("vision_msgs/msg/BoundingBox3D", center=centre, size=vector(make, row["length"], row["width"], height))
    what = make("vision_msgs/msg/ObjectHypothesis", class_id=ActorKind(int(row["kind"])).name.lower(), score=float(row["probability"]))
    result = make("vision_msgs/msg/ObjectHypothesisWithPose", hypothesis=what,
                  pose=make("geometry_msgs/msg/PoseWithCovariance", pose=centre, covariance=np.zeros(36)))
    name = "" if int(row["id"]) == NO_ID else str(int(row["id"]))
    return make("vision_msgs/msg/Detection3D", header=header(make, stamp_ns, frame), results=[result], bbox=box, id=name)

"""Detected road users with their forecasts as autoware_perception_msgs/PredictedObjects."""

from __future__ import annotations

import math
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import numpy as np

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.outputs import NO_ID, Detections
from kd_planner_ros.core.scene import ActorKind
from kd_planner_ros.geometry.frames import from_base
from kd_planner_ros.wire.codec.autoware import GENERATOR, Placed
from kd_planner_ros.wire.codec.base import Make, header, planar_pose, pose, vector

PREDICTED = "autoware_perception_msgs/msg/PredictedObjects"
LABELS = {ActorKind.CAR: 1, ActorKind.TRUCK: 2, ActorKind.BUS: 3, ActorKind.MOTORCYCLE: 5, ActorKind.BICYCLE: 6, ActorKind.PEDESTRIAN: 7}
"""Of autoware_perception_msgs/ObjectClassification; anything else is UNKNOWN."""
UNKNOWN, BOUNDING_BOX = 0, 0
SAME_S = 1e-3
_MOVES_M = 0.01


def predicted_objects(make: Make, placed: Placed, stamp_ns: int, frame: str) -> Any:
    """The road users of the plan in ``map``; none where the planner looks for none.

    A future is told where its times are whole multiples of the first one, for the message has one step: from where the road user is
    now to the last position before the first that is not known. Velocities are along the road user's own axes; an unknown velocity or
    height is 0, as the message has no other word for it. Covariances are 0: not known.
    """
    found = placed.plan.detections
    objects = [] if found is None else [_one(make, found, index, placed.ego) for index in range(len(found))]
    return make(PREDICTED, header=header(make, stamp_ns, frame), objects=objects)


def _one(make: Make, found: Detections, index: int, ego: Pose) -> Any:
    row = found.rows[index]
    ground, height, vx, vy = (float(np.nan_to_num(row[name])) for name in ("z", "height", "vx", "vy"))
    x, y = from_base(np.array([row["x"], row["y"]], float), ego)
    turn, yaw = float(row["yaw"]), float(row["yaw"]) + ego.yaw
    centre = pose(make, Pose(float(x), float(y), ego.z + ground + height / 2.0, yaw))
    ahead, across = math.cos(turn) * vx + math.sin(turn) * vy, math.cos(turn) * vy - math.sin(turn) * vx
    linear, none = vector(make, ahead, across, 0.0), vector(make, 0.0, 0.0, 0.0)
    kinematics = make(
        "autoware_perception_msgs/msg/PredictedObjectKinematics",
        initial_pose_with_covariance=make("geometry_msgs/msg/PoseWithCovariance", pose=centre, covariance=np.zeros(36)),
        initial_twist_with_covariance=make("geometry_msgs/msg/TwistWithCovariance", covariance=np.zeros(36),
                                           twist=make("geometry_msgs/msg/Twist", linear=linear, angular=none)),
        initial_acceleration_with_covariance=make("geometry_msgs/msg/AccelWithCovariance", covariance=np.zeros(36),
                                                  accel=make("geometry_msgs/msg/Accel", linear=none, angular=none)),
        predicted_paths=_paths(make, found, index, ego, yaw))
    shape = make("autoware_perception_msgs/msg/Shape", type=BOUNDING_BOX, footprint=make("geometry_msgs/msg/Polygon", points=[]),
                 dimensions=vector(make, row["length"], row["width"], height))
    probability = float(row["probability"])
    kind = make("autoware_perception_msgs/msg/ObjectClassification", label=LABELS.get(ActorKind(int(row["kind"])), UNKNOWN),
                probability=probability)
    named = f"row {index}" if int(row["id"]) == NO_ID else str(int(row["id"]))
    name = make("unique_identifier_msgs/msg/UUID",
                uuid=np.frombuffer(uuid5(NAMESPACE_URL, f"{GENERATOR}/{named}").bytes, np.uint8))
    return make("autoware_perception_msgs/msg/PredictedObject", object_id=name, existence_probability=probability, classification=[kind],
                kinematics=kinematics, shape=shape)


def _paths(make: Make, found: Detections, index: int, ego: Pose, yaw: float) -> list[Any]:
    """The futures that can be told, with their probabilities; equal ones where the network does not tell."""
    times = np.zeros(0) if found.forecast_times_s is None else np.asarray(found.forecast_times_s, float)
    if found.forecasts is None or not len(times) or np.abs(times - times[0] * np.arange(1, len(times) + 1)).max() > SAME_S:
        return []
    futures = np.asarray(found.forecasts[index], float)
    chances = np.full(len(futures), 1.0 / max(len(futures), 1)) if found.forecast_scores is None else found.forecast_scores[index]
    step_ns = round(float(times[0]) * 1e9)
    step = make("builtin_interfaces/msg/Duration", sec=step_ns // 10**9, nanosec=step_ns % 10**9)
    now = np.array([[found.rows["x"][index], found.rows["y"][index]]], float)
    paths = []
    for future, chance in zip(futures, chances, strict=True):
        unknown = np.flatnonzero(~np.isfinite(future).all(1))
        known = future[:unknown[0]] if len(unknown) else future
        if len(known):
            paths.append(make("autoware_perception_msgs/msg/PredictedPath", path=_way(make, np.concatenate([now, known]), ego, yaw),
                              time_step=step, confidence=float(chance)))
    return paths


def _way(make: Make, places: np.ndarray, ego: Pose, yaw: float) -> list[Any]:
    """Poses at ``places`` [T, 2] of ``base_link``; a heading is that of the step that leads there, one that stands keeps it."""
    out, before = [], None
    for here in from_base(places, ego):
        if before is not None and np.hypot(*(here - before)) > _MOVES_M:
            yaw = math.atan2(here[1] - before[1], here[0] - before[0])
        out.append(planar_pose(make, here[0], here[1], yaw))
        before = here
    return out

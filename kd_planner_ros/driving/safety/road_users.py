"""Detections as the safety controller tracks them: one speed along the heading instead of a velocity."""

from __future__ import annotations

import numpy as np

from kd_planner_ros.core.outputs import DETECTION_DTYPE, NO_ID, Detections

ROAD_USER_DTYPE = np.dtype([("kind", "u1"), ("x", "f8"), ("y", "f8"), ("yaw", "f8"), ("length", "f8"), ("width", "f8"),
                            ("speed", "f8"), ("probability", "f8")])
"""One row a road user: ``kind`` as ``core/scene.py`` ActorKind, pose in ``base_link``, full dimensions in metres, ``speed`` in
m/s along the heading, negative for one that moves backward."""
_SHARED = tuple(name for name in ROAD_USER_DTYPE.names or () if name != "speed")


def road_users(detections: Detections | None) -> np.ndarray:
    """The rows of ``detections`` as ROAD_USER_DTYPE [K]; None counts as nobody.

    The speed is the part of the velocity along the heading, rounded to float32. Networks give speeds of float32, so the
    rounding removes what turning the speed into a velocity and back has added: the result is the network's own speed to the
    last bit.
    """
    if detections is None:
        return np.zeros(0, ROAD_USER_DTYPE)
    rows = detections.rows
    out = np.empty(len(rows), ROAD_USER_DTYPE)
    for name in _SHARED:
        out[name] = rows[name]
    with np.errstate(invalid="ignore", over="ignore"):  # a value that is not finite is passed on
        out["speed"] = (rows["vx"] * np.cos(rows["yaw"]) + rows["vy"] * np.sin(rows["yaw"])).astype(np.float32)
    return out


def detections_from(users: np.ndarray) -> np.ndarray:
    """``users`` ROAD_USER_DTYPE [K] as rows of DETECTION_DTYPE [K] without identity; ``z`` and ``height`` are unknown."""
    out = np.empty(len(users), DETECTION_DTYPE)
    for name in _SHARED:
        out[name] = users[name]
    out["id"], out["z"], out["height"] = NO_ID, np.nan, np.nan
    with np.errstate(invalid="ignore"):
        out["vx"], out["vy"] = users["speed"] * np.cos(users["yaw"]), users["speed"] * np.sin(users["yaw"])
    return out

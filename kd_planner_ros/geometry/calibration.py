"""The calibration that a vehicle or a recording tells against the one that a model declares. Pure comparisons.

A model sees through the cameras that it was trained with: another field of view or mounting makes its distances wrong in silence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.sensors import CameraSpec
from kd_planner_ros.geometry.frames import rotation_3d

SAME_SHARE, SAME_M, SAME_DEG = 0.005, 0.01, 0.1
"""Differences up to these are rounding."""


@dataclass(frozen=True)
class Limits:
    """Differences above which the calibration is an error: a share of the focal length, metres, degrees."""

    focal_share: float = 0.05
    mount_m: float = 0.2
    mount_deg: float = 3.0


@dataclass(frozen=True)
class Gap:
    """A difference. ``size`` is its share of the limit: above 1 it is an error. ``text`` has both numbers."""

    size: float
    text: str


def intrinsics_gap(declared: CameraSpec, info: Any, max_share: float) -> Gap | None:
    """How ``info`` (sensor_msgs/CameraInfo) differs from ``declared``; None where it does not.

    Args:
        max_share: largest share by which focal lengths may differ, and of the width by which the principal point may.
    """
    fx, fy, cx, cy = (float(info.k[i]) for i in (0, 4, 2, 5))
    if not (math.isfinite(fx + fy + cx + cy) and fx > 0.0 and fy > 0.0):
        return Gap(0.0, f"camera_info has no calibration (focal lengths {fx:g} and {fy:g} px): the model's is used")
    focal, x, y = declared.focal_px, declared.width / 2.0, declared.height / 2.0
    share = max(abs(fx / focal - 1.0), abs(fy / focal - 1.0), abs(cx - x) / declared.width, abs(cy - y) / declared.width)
    bent = max((abs(float(one)) for one in info.d), default=0.0)
    if share <= SAME_SHARE and not bent > SAME_SHARE:
        return None
    lens = f", distortion {bent:.3g}" if bent > SAME_SHARE else ""
    return Gap(share / max_share, f"camera_info has focal lengths {fx:.1f} and {fy:.1f} px, centre ({cx:.1f}, {cy:.1f}) px{lens}; "
                                  f"the model declares {focal:.1f} px and ({x:.1f}, {y:.1f}) px")


def mount_gap(declared: Pose, told: Pose, max_m: float, max_deg: float, topic: str = "tf_static") -> Gap | None:
    """How the frame at ``told``, heard on ``topic``, differs from the one ``declared``, both in the vehicle's frame; None where it does
    not."""
    away_m = float(np.linalg.norm([told.x - declared.x, told.y - declared.y, told.z - declared.z]))
    turn = rotation_3d(declared).T @ rotation_3d(told)
    turn_deg = math.degrees(math.acos(min(max((float(np.trace(turn)) - 1.0) / 2.0, -1.0), 1.0)))
    if away_m <= SAME_M and turn_deg <= SAME_DEG:
        return None
    return Gap(max(away_m / max_m, turn_deg / max_deg),
               f"{topic} has {_text(told)}; the model declares {_text(declared)}: {away_m:.2f} m and {turn_deg:.1f} degrees apart")


def _text(pose: Pose) -> str:
    angles = ", ".join(f"{math.degrees(one):.1f}" for one in (pose.yaw, pose.pitch, pose.roll))
    return f"({pose.x:.2f}, {pose.y:.2f}, {pose.z:.2f}) m and yaw, pitch, roll ({angles}) degrees"

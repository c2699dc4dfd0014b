"""The sensors of the shared recordings, which every network of this package can be trained on."""

from __future__ import annotations

import math

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.sensors import CameraSpec, RoadsideWish, SensorRig

WIDTH, HEIGHT, FOV_DEG = 448, 336, 100.0
YAWS_DEG = {"front": 0.0, "left": 60.0, "right": -60.0}
LABELLED = ("front",)
"""Cameras with depth, class and instance pictures."""
LEFT_OUT = ("LiDAR: record it with --network interfuser",
            f"labels of the cameras {', '.join(name for name in YAWS_DEG if name not in LABELLED)}")
"""What the shared recordings do not hold of what networks and ``--labels`` ask for."""
FPS = 10
STATIONS = RoadsideWish(views=2, range_m=150.0, objects=True)
"""The two nearest: halfway between two junctions the nearest one may be the one behind the car."""


def shared_rig(fps: int = FPS) -> SensorRig:
    """Three cameras 1.3 m ahead of the vehicle's centre and 2.3 m up, as InterFuser mounts them, and the two nearest
    roadside stations within 150 m with their object lists.

    A picture of 448x336 pixels with a field of view of 100 degrees contains each network's input: TCP's students cut 448x128 pixels out of
    it, InterFuser's students take the whole picture, the unified encoder and DistillDrive scale it to a width of 352 and cut 128 rows.
    """
    cameras = tuple(CameraSpec(name, Pose(x=1.3, z=2.3, yaw=math.radians(yaw)), WIDTH, HEIGHT, FOV_DEG, period_s=1.0 / fps)
                    for name, yaw in YAWS_DEG.items())
    return SensorRig(cameras, roadside=STATIONS)

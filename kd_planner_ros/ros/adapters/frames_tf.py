"""Frames as tf2_msgs, where that package is installed: ``map`` to the vehicle, and the vehicle to its sensors."""

from __future__ import annotations

from typing import Any

from geometry_msgs.msg import Transform, TransformStamped, Vector3

from kd_planner_ros.core.records import Pose
from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.geometry.attitude import optical
from kd_planner_ros.ros.adapters.carla_bridge import MAP_FRAME
from kd_planner_ros.ros.adapters.optional import message_type
from kd_planner_ros.ros.adapters.poses import quaternion


def tf_type() -> Any | None:
    """tf2_msgs/TFMessage, or None where it is not installed."""
    return message_type("tf2_msgs", "TFMessage")


def frames_to_transforms(adapter: Any, rig: SensorRig, ego: Pose, stamp_ns: int) -> list[TransformStamped]:
    """All transforms of one tick. Camera frames are optical although their names do not say so, as with the bridge."""
    found = [_transform(adapter, stamp_ns, MAP_FRAME, adapter.frame_id(), ego, is_camera=False)]
    for specs, is_camera in ((rig.cameras, True), (rig.lidars, False)):
        found += [_transform(adapter, stamp_ns, adapter.frame_id(), adapter.frame_id(spec.id), spec.pose, is_camera)
                  for spec in specs]
    for specs, is_camera in ((rig.roadside_cameras, True), (rig.roadside_lidars, False)):
        found += [_transform(adapter, stamp_ns, MAP_FRAME, spec.id, spec.pose, is_camera) for spec in specs]
    return found


def _transform(adapter: Any, stamp_ns: int, parent: str, child: str, pose: Pose, is_camera: bool) -> TransformStamped:
    rotation = quaternion(optical(pose) if is_camera else pose)
    place = Vector3(x=float(pose.x), y=float(pose.y), z=float(pose.z))
    return TransformStamped(header=adapter.header(stamp_ns, parent), child_frame_id=child,
                            transform=Transform(translation=place, rotation=rotation))
